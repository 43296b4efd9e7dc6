"""Files are read by their content: packed ones, JSON and Arrow, whatever their ending is."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pantheon.errors import PantheonError
from pantheon.workflow.data import zstd
from pantheon.workflow.data.infer import infer_spec
from pantheon.workflow.run import Run
from pantheon.workflow.stages.load_data import load_data

RECORDS = [{"age": 20 + n * 7 % 50, "visits": n % 4 + 0.5, "bought": "yes" if n % 3 else "no"} for n in range(60)]
CSV = pl.DataFrame(RECORDS).write_csv().encode()
Write = Callable[..., Path]


def zipped(*names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, CSV)
    return made.getvalue()


def zstandard(data: bytes) -> bytes:
    """Return a Zstandard frame with one block that is not compressed (RFC 8878)."""
    block = (len(data) << 3 | 1).to_bytes(3, "little") + data
    return b"\x28\xb5\x2f\xfd\xa0" + len(data).to_bytes(4, "little") + block


def arrow(stream: bool) -> bytes:
    made = io.BytesIO()
    frame = pl.DataFrame(RECORDS)
    _ = frame.write_ipc_stream(made) if stream else frame.write_ipc(made)
    return made.getvalue()


COLUMNS = pl.DataFrame(RECORDS).to_dict(as_series=False)
FILES = {
    "t.csv.gz": gzip.compress(CSV),
    "gzip.csv": gzip.compress(CSV),
    "t.csv.bz2": bz2.compress(CSV),
    "t.csv.xz": lzma.compress(CSV),
    "t.csv.zst": zstandard(CSV),
    "frames.csv": zstandard(CSV[:100]) + zstandard(CSV[100:]),
    "t.zip": zipped("t.csv", "__MACOSX/._t.csv"),
    "t.feather": arrow(stream=False),
    "t.arrow": arrow(stream=True),
    "arrow.csv": arrow(stream=False),
    "t.json": json.dumps(RECORDS).encode(),
    "t.jsonl": "\n".join(map(json.dumps, RECORDS)).encode(),
    "lines.csv": "\n".join(map(json.dumps, RECORDS)).encode(),
    "lists.json": json.dumps(COLUMNS).encode(),
    "pandas.json": json.dumps({k: {str(n): v for n, v in enumerate(c)} for k, c in COLUMNS.items()}).encode(),
    "split.json": json.dumps({"columns": list(COLUMNS), "data": [list(r.values()) for r in RECORDS]}).encode(),
    "wrapped.json": json.dumps({"count": 60, "results": RECORDS}).encode(),
    "noending": CSV,
}


@pytest.mark.parametrize("name", FILES)
def test_files_are_read_by_their_content(write: Write, new_run: Callable[..., Run], name: str) -> None:
    spec = infer_spec(write(FILES[name], name), "bought")
    assert [(column.name, column.type) for column in spec.columns] == [
        ("age", "integer"),
        ("visits", "number"),
        ("bought", "category"),
    ]
    run = new_run(spec)
    load_data(run)
    rows = pl.read_parquet(run.path("data/raw.parquet"))
    assert rows.height == 60
    assert [str(cell) for cell in rows.row(1)] == ["27", "1.5", "yes"]
    assert not list(run.folder.glob(".load-*"))


def test_an_archive_with_several_files_names_them(write: Write) -> None:
    with pytest.raises(PantheonError, match=r"has 2 files: a\.csv, b\.csv"):
        infer_spec(write(zipped("a.csv", "b.csv"), "t.zip"), "bought")


def test_an_error_inside_an_archive_names_both_files(write: Write) -> None:
    broken = CSV.replace(b"27,1.5,yes\n", b"27,1.5,yes,no\n", 1)
    with pytest.raises(PantheonError, match=r"t\.csv\.gz \(t\.csv\) line 3 has 4 fields"):
        infer_spec(write(gzip.compress(broken), "t.csv.gz"), "bought")


def test_a_zstandard_file_that_is_cut_off_is_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.zst"
    for content in (zstandard(CSV)[:-50], zstandard(CSV)[:9] + b"\xff" * 50):
        path.write_bytes(content)
        with pytest.raises(PantheonError, match="is a damaged archive"):
            infer_spec(path, "bought")


def test_without_libzstd_the_message_says_how_to_unpack_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv.zst"
    path.write_bytes(zstandard(CSV))
    monkeypatch.setattr(zstd, "LIBRARY", "libnothing.so.1")
    with pytest.raises(PantheonError, match="this system has no libzstd") as error:
        infer_spec(path, "bought")
    assert "zstd -d FILE" in error.value.cure
