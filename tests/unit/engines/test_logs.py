"""Logs: bounded, tailed, followed."""

from pathlib import Path

import pytest

from pantheon.engines import logs


def test_the_last_lines_of_a_log_are_read_without_reading_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    assert logs.last_lines(path, 3) == []
    path.write_bytes(b"old\n" + b"".join(b"%d\n" % n for n in range(100_000)) + b"caf\xe9 no end")
    assert logs.last_lines(path, 3) == ["99998", "99999", "caf\ufffd no end"]
    assert logs.last_lines(path, 0) == []
    assert logs.last_lines(path, 9, begin=path.stat().st_size - 6) == ["no end"]
    assert logs.last_lines(path, 9, begin=10**9)[-1].endswith("no end"), "the log was emptied since"


@pytest.mark.parametrize("running", [True, False])
def test_a_large_log_is_set_aside_and_only_one_older_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, running: bool
) -> None:
    monkeypatch.setattr(logs, "MAX_BYTES", 1000)
    path = tmp_path / "a.log"
    with path.open("ab") as service:
        for round in range(3):
            service.write(b"%d" % round * 2000 + b"\n")
            service.flush()
            if running:
                logs.bound(path)
            else:
                logs.open_log(path).close()
                service = path.open("ab")
        service.write(b"new\n")
        service.flush()
    assert path.read_bytes() == b"new\n"
    assert path.with_suffix(".log.1").read_bytes().startswith(b"2222")
    assert len(list(tmp_path.iterdir())) == 2


def test_following_survives_emptying_and_replacing(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("before\n")
    lines = logs.stream({"web": path}, follow=True, tail=5)
    with path.open("a") as file:
        file.write("after\nhalf")
    assert [next(lines), next(lines)] == ["web | before", "web | after"]
    with path.open("a") as file:
        file.write(" whole\n")
    assert next(lines) == "web | half whole"
    path.write_text("x\n")
    assert next(lines) == "web | x"
    path.replace(tmp_path / "a.log.1")
    path.write_text("a longer line in a new file\n")
    assert next(lines) == "web | a longer line in a new file"
