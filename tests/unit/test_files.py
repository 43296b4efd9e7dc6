"""Files are written atomically, never through a planted link; the kernel frees locks."""

import os
import threading
from pathlib import Path

import pytest

from pantheon import files
from pantheon.errors import PantheonError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_and_nothing_else_stays(tmp_path: Path) -> None:
    file = tmp_path / "inner" / "a.json"
    files.write_json(file, {"a": 1})
    files.write_json(file, {"a": 2}, fsync=True)
    assert files.read_json(file) == {"a": 2}
    assert names(file.parent) == ["a.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "a"
    files.write_text(file, "old")
    with pytest.raises(ValueError, match="Out of range float"):
        files.write_json(file, float("nan"))
    with pytest.raises(KeyboardInterrupt), files.atomic(file) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    for content in ("first", "second"):
        with files.atomic_folder(tmp_path / "out") as part:
            (part / content).touch()
    assert names(tmp_path / "out") == ["second"]
    with pytest.raises(RuntimeError), files.atomic_folder(tmp_path / "out") as part:
        (part / "third").touch()
        raise RuntimeError
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["second"]


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_the_mode_is_the_requested_one_under_every_umask(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        files.write_bytes(tmp_path / "a", b"", mode=mode)
        with files.atomic(tmp_path / "b", mode=mode) as part:
            part.write_bytes(b"x")
    finally:
        os.umask(before)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in "ab"} == {mode}


def test_a_secret_is_never_readable_by_others(tmp_path: Path) -> None:
    descriptor = files.create(tmp_path / "a", 0o600)
    assert os.fstat(descriptor).st_mode & 0o777 == 0o600
    os.close(descriptor)


def test_no_write_goes_through_a_planted_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    planted = tmp_path / "planted"
    monkeypatch.setattr(files, "part_of", lambda path: planted)  # the attacker guessed the name after all
    for target in (victim, tmp_path / "nowhere"):
        planted.symlink_to(target)
        with pytest.raises(FileExistsError):
            files.write_text(tmp_path / "a", "theirs")
    assert victim.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()
    assert not (tmp_path / "a").exists()


def test_a_link_in_the_place_of_the_target_is_replaced_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "a").symlink_to(victim)
    files.write_text(tmp_path / "a", "new")
    assert victim.read_text() == "mine"
    assert (tmp_path / "a").read_text() == "new"
    (tmp_path / "lock").symlink_to(tmp_path / "made")
    with pytest.raises(OSError, match="symbolic links"):
        files.take_lock(tmp_path / "lock")
    assert not (tmp_path / "made").exists()


def test_temporary_names_cannot_be_guessed(tmp_path: Path) -> None:
    assert len({files.part_of(tmp_path / "a") for _ in range(100)}) == 100


def test_of_two_writers_the_first_one_wins(tmp_path: Path) -> None:
    assert files.write_once(tmp_path / "a", b"first", mode=0o600)
    assert not files.write_once(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("content", [b"", b"{", b"\0\0\0\0", b"\xff\xfe{}"])
def test_a_damaged_file_is_named_with_the_cure(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(PantheonError, match=r"a\.json is damaged: ") as error:
        files.read_json(tmp_path / "a.json", "Bring it up again.")
    assert error.value.cure == "Bring it up again."
    with pytest.raises(FileNotFoundError):
        files.read_json(tmp_path / "b.json")


def test_the_checksum_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_lock_is_exclusive_or_shared(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not files.is_locked(path)
    with files.lock(path):
        assert files.is_locked(path)
        for shared in (False, True):
            with pytest.raises(files.Busy), files.lock(path, shared, timeout=0.05):
                pass
    with files.lock(path, shared=True), files.lock(path, shared=True, timeout=0):
        assert files.is_locked(path, shared=True)
        assert not files.is_locked(path), "nobody has it alone"
        with pytest.raises(files.Busy), files.lock(path, timeout=0):
            pass
    assert not files.is_locked(path, shared=True)


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    path, order = tmp_path / "lock", list[str]()

    def wait(timeout: float | None) -> None:
        with files.lock(path, timeout=timeout):
            order.append("waiter")

    for timeout in (None, 30.0):
        with files.lock(path):
            thread = threading.Thread(target=wait, args=(timeout,))
            thread.start()
            thread.join(0.1)
            order.append("holder")
        thread.join()
    assert order == ["holder", "waiter"] * 2
