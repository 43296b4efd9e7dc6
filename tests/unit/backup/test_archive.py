"""The file of a backup."""

import io
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon.backup import archive
from pantheon.backup.archive import FORMAT, Chain, Manifest, Reader, Writer
from pantheon.errors import PantheonError

CONTENT = {"runs/1/run.json": b"{}", "models/robots/1/model.onnx": bytes(range(256)) * 1000, "empty": b""}


def manifest() -> Manifest:
    return Manifest(
        FORMAT, "", "0.1.0", "2026-11-30T12:00:00+00:00", "pantheon", "zeus", "", "local", [], "none", [], []
    )


def write(path: Path, content: dict[str, bytes], base: Path | None = None, known: bool = True) -> Manifest:
    reader = Reader(base) if base else None
    with archive.new(path) as part:
        writer = Writer(part, reader)
        for name, body in content.items():
            writer.add(name, io.BytesIO(body), len(body) if known else None)
        made = manifest()
        writer.finish(made)
    if reader:
        reader.close()
    return made


def contents(path: Path, *places: Path) -> dict[str, bytes]:
    chain = Chain(path, list(places))
    try:
        return {archive.native(entry.path): chain.read(entry) for entry in chain.manifest.files}
    finally:
        chain.close()


@pytest.mark.parametrize("known", [True, False])
def test_what_is_written_is_read(tmp_path: Path, known: bool) -> None:
    write(tmp_path / "a.zip", CONTENT, known=known)
    assert contents(tmp_path / "a.zip") == CONTENT
    assert (tmp_path / "a.zip").stat().st_mode & 0o777 == 0o600


def test_other_programs_read_it(tmp_path: Path) -> None:
    write(tmp_path / "a.zip", CONTENT)
    with zipfile.ZipFile(tmp_path / "a.zip") as found:
        assert {name: found.read(name) for name in found.namelist() if name != "manifest.json"} == CONTENT


def test_names_that_are_not_utf_8_are_kept(tmp_path: Path) -> None:
    content = {"notebooks/caf\udce9.ipynb": b"latin-1", "bytes:6162": b"looks like one"}
    write(tmp_path / "a.zip", content)
    assert contents(tmp_path / "a.zip") == content


@given(st.text(st.characters(blacklist_categories=["Cs"]) | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)))
def test_every_name_has_a_form_in_the_manifest(name: str) -> None:
    form = archive.text(name)
    form.encode()
    assert archive.native(form) == name


def test_an_incremental_backup_has_only_what_changed(tmp_path: Path) -> None:
    write(tmp_path / "monday.zip", CONTENT)
    changed = CONTENT | {"runs/1/run.json": b"[]", "runs/2/run.json": b"{}"}
    made = write(tmp_path / "tuesday.zip", changed, tmp_path / "monday.zip")
    within = {entry.path for entry in made.files if entry.within}
    assert within == {"models/robots/1/model.onnx", "empty"}
    assert contents(tmp_path / "tuesday.zip") == changed
    assert (tmp_path / "tuesday.zip").stat().st_size < 2000


def test_a_chain_of_backups_needs_only_the_files_that_it_refers_to(tmp_path: Path) -> None:
    write(tmp_path / "1.zip", {"a": b"a" * 10})
    write(tmp_path / "2.zip", {"a": b"a" * 10, "b": b"b" * 10}, tmp_path / "1.zip")
    write(tmp_path / "3.zip", {"b": b"b" * 10, "c": b"c"}, tmp_path / "2.zip")
    (tmp_path / "1.zip").unlink()
    assert contents(tmp_path / "3.zip") == {"b": b"b" * 10, "c": b"c"}


def test_the_base_is_found_under_another_name_or_in_another_folder(tmp_path: Path) -> None:
    write(tmp_path / "monday.zip", CONTENT)
    write(tmp_path / "tuesday.zip", CONTENT, tmp_path / "monday.zip")
    away = tmp_path / "away"
    away.mkdir()
    shutil.move(tmp_path / "monday.zip", away / "renamed.zip")
    with pytest.raises(PantheonError, match=r"its base monday.zip was not found. Name the file: BASE="):
        contents(tmp_path / "tuesday.zip")
    assert contents(tmp_path / "tuesday.zip", away) == CONTENT
    assert contents(tmp_path / "tuesday.zip", away / "renamed.zip") == CONTENT


def test_another_backup_is_not_taken_for_the_base(tmp_path: Path) -> None:
    write(tmp_path / "monday.zip", CONTENT)
    write(tmp_path / "tuesday.zip", CONTENT, tmp_path / "monday.zip")
    (tmp_path / "monday.zip").unlink()
    write(tmp_path / "monday.zip", CONTENT)
    with pytest.raises(PantheonError, match="was not found"):
        contents(tmp_path / "tuesday.zip")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.zip", CONTENT)
    whole = (tmp_path / "a.zip").read_bytes()
    for size in range(0, len(whole), 97):
        (tmp_path / "a.zip").write_bytes(whole[:size])
        with pytest.raises(PantheonError, match="is not a complete backup"):
            Reader(tmp_path / "a.zip")


def test_no_changed_byte_goes_unnoticed(tmp_path: Path) -> None:
    content = {"a": b"abcdefghij" * 20, "b": bytes(range(200))}
    write(tmp_path / "a.zip", content)
    whole = bytearray((tmp_path / "a.zip").read_bytes())
    for place in range(len(whole)):
        whole[place] ^= 0x20
        (tmp_path / "a.zip").write_bytes(whole)
        with suppress(PantheonError):
            assert contents(tmp_path / "a.zip") == content, f"byte {place}"  # such as a date in a header
        whole[place] ^= 0x20


def test_a_newer_format_is_refused_with_both_versions(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("manifest.json", msgspec.json.encode({"format": 99, "pantheon": "7.0", "files": {"new": "form"}}))
    with pytest.raises(PantheonError, match=r"has the format 99 of Pantheon 7.0; this Pantheon reads up to 1"):
        Reader(tmp_path / "a.zip")


def test_a_failed_backup_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(PantheonError, match="the disk is full"), archive.new(tmp_path / "a.zip") as part:
        Writer(part, None).add("a", io.BytesIO(b"a"), 1)
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_what_a_killed_backup_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    left = tmp_path / ".a.zip.4194999.0123456789abcdef.part"  # above the largest pid
    left.touch()
    write(tmp_path / "a.zip", CONTENT)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
