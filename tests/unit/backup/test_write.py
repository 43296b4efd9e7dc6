"""What ``read`` writes as a tar becomes the same files again."""

import io
import tarfile
from pathlib import Path

import pytest

from pantheon.backup.read import Folder, write
from pantheon.backup.write import write as unpack


def made(*members: tuple[str, bytes, str]) -> io.BytesIO:
    """A tar of ``(name, type, target of a link)``."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    stream.seek(0)
    return stream


def test_files_folders_and_links_have_their_content_modes_and_times(tmp_path: Path) -> None:
    source, target, stream = tmp_path / "source", tmp_path / "target", io.BytesIO()
    (source / "18" / "base").mkdir(parents=True)
    (source / "18" / "base" / "1").write_bytes(bytes(range(256)))
    (source / "18" / "base" / "1").chmod(0o600)
    (source / "latest").symlink_to("18/base")
    (source / "18").chmod(0o700)
    target.mkdir()
    write([Folder("runs", source)], stream)
    stream.seek(0)
    unpack(target, stream)
    for path in ("18", "18/base", "18/base/1"):
        was, now = (source / path).stat(), (target / "runs" / path).stat()
        assert (now.st_mode, now.st_mtime) == (was.st_mode, pytest.approx(was.st_mtime)), path
    assert (target / "runs" / "18" / "base" / "1").read_bytes() == bytes(range(256))
    assert (target / "runs" / "latest").readlink() == Path("18/base")


@pytest.mark.parametrize(
    "members",
    [
        [("../outside", tarfile.REGTYPE, "")],
        [("/outside", tarfile.REGTYPE, "")],
        [("in", tarfile.SYMTYPE, ".."), ("in/outside", tarfile.REGTYPE, "")],
        [("pipe", tarfile.FIFOTYPE, "")],
        [("hard", tarfile.LNKTYPE, "../outside")],
    ],
)
def test_what_is_not_in_the_folder_is_refused(tmp_path: Path, members: list[tuple[str, bytes, str]]) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(tarfile.TarError, match=r"not a file of the folder|leads to another place"):
        unpack(tmp_path / "folder", made(*members))
    assert not (tmp_path / "outside").exists()


def test_a_tar_that_was_cut_off_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.onnx").write_bytes(bytes(100_000))
    stream = io.BytesIO()
    write([Folder("models", source)], stream)
    with pytest.raises(tarfile.TarError):
        unpack(tmp_path, io.BytesIO(stream.getvalue()[:50_000]))
