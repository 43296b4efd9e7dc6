"""The files of a model built elsewhere: what they are, by name and content, and how they are sent."""

import bz2
import gzip
import lzma
import os
import re
import shlex
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pantheon.errors import PantheonError

LARGEST = 200_000_000  # bytes of all files, checked before copying; the workflow's own limits are lower
MOST = 200  # files
BLOCK = 1 << 20
GIVE = (
    "Give model.onnx, a bundle's folder, model.joblib or model.pkl (scikit-learn), model.json (XGBoost), model.txt "
    "(LightGBM), model.keras, model.h5, or a SavedModel's folder."
)


@dataclass(frozen=True)
class Kind:
    """A format of models.

    Attributes:
        title: of the library.
        name: of the file, or the folder, in the archive that is sent.
        environment: the one that converts it to ONNX; empty if nothing has to be converted.
    """

    title: str
    name: str
    environment: str = ""


PICKLE, PICKLE_OF_OTHERS = (Kind("pickle", "model.joblib", each) for each in ("workflow", "boosting"))
SAVED_MODEL = Kind("TensorFlow", "saved_model", "tensorflow")
BUNDLE = Kind("bundle", "bundle")
KINDS = {
    ".onnx": Kind("ONNX", "model.onnx"),
    **dict.fromkeys((".joblib", ".pkl", ".pickle"), PICKLE),
    ".json": Kind("XGBoost", "model.json", "boosting"),
    ".ubj": Kind("XGBoost", "model.ubj", "boosting"),
    ".txt": Kind("LightGBM", "model.txt", "boosting"),
    ".keras": Kind("Keras", "model.keras", "tensorflow"),
    **dict.fromkeys((".h5", ".hdf5"), Kind("Keras", "model.h5", "tensorflow")),
    ".zip": Kind("TensorFlow", "saved_model.zip", "tensorflow"),
}
OF_OTHERS = re.compile(rb"(xgboost|lightgbm|pandas)[.\n]")  # modules in a pickle that need more than the workflow has
ELSEWHERE = {
    **dict.fromkeys((".pt", ".pth"), "Export it from PyTorch: torch.onnx.export(model, example, 'model.onnx')"),
    ".cbm": "Export it from CatBoost: model.save_model('model.onnx', format='onnx')",
    ".pb": "Give the folder of the SavedModel that contains it",
    ".tflite": "Give the SavedModel or Keras file that it was made from",
    **dict.fromkeys((".model", ".bst", ".deprecated"), "Save it from XGBoost: model.save_model('model.json')"),
    ".pmml": "Export the original to ONNX",
}


@dataclass(frozen=True)
class Chosen:
    """The file or folder to publish, with its signature."""

    path: Path
    signature: Path | None
    kind: Kind = BUNDLE

    @property
    def is_pickle(self) -> bool:
        """Whether loading it runs the code in it."""
        return self.kind in (PICKLE, PICKLE_OF_OTHERS)

    @property
    def files(self) -> dict[str, Path]:
        """Files to send, by name in the archive: ``bundle/…``, ``model.onnx``, ``model.joblib`` …, ``signature.json``.

        Raises:
            PantheonError: as ``files_of``.
        """
        if self.path.is_dir():
            sent = {f"{self.kind.name}/{file.relative_to(self.path)}": file for file in files_of(self.path)}
        else:
            sent = {self.kind.name: self.path}
        return sent | ({"signature.json": self.signature} if self.signature else {})


@contextmanager
def packed(files: Mapping[str, Path]) -> Iterator[Path]:
    """Yield a temporary tar archive of ``files``, given by their names in it.

    Raises:
        PantheonError: a file cannot be read, or changed in the meantime.
    """
    with tempfile.TemporaryFile() as made:  # without a name, so that nothing is left if this process is killed
        with tarfile.open(fileobj=made, mode="w", dereference=True) as archive:
            for name, file in files.items():
                try:
                    archive.add(file, name, recursive=False)
                except OSError as error:
                    cause = f"{file} cannot be read: {error.strerror or error}."
                    raise PantheonError(cause, "Try again when no program writes to it.", 1) from None
        made.flush()
        yield Path(f"/proc/self/fd/{made.fileno()}")


def files_of(folder: Path) -> list[Path]:
    """Return a folder's files, without the store's manifest and hidden files.

    Raises:
        PantheonError: there are too many files, or one is not a regular file.
    """
    paths = []
    for path in sorted(folder.rglob("*")):
        if path.name == "manifest.json" or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise PantheonError(f"{path} is not a regular file.", "It may contain only files and folders.")
        if path.is_file():
            paths.append(path)
    if len(paths) > MOST:
        raise PantheonError(f"{folder} has {len(paths)} files.", f"At most {MOST} can be published.")
    return paths


def chosen(path: str, signature: str) -> Chosen:
    """Return the files to publish for ``path``.

    Raises:
        PantheonError: it cannot be published, is too large, or its signature is missing.
    """
    file, beside = Path(path).expanduser(), Path(signature).expanduser() if signature else None
    for each in (file, *([beside] if beside else [])):
        if not each.exists():
            raise PantheonError(f"{each} does not exist.", GIVE)
        if not (each.is_file() or (each is file and each.is_dir())):
            raise PantheonError(f"{each} is not a regular file.", GIVE)
        if not os.access(each, os.R_OK):
            raise PantheonError(f"{each} cannot be read by this user.", f"Check its permissions: ls -ld {each}")
    kind = kind_of(file)
    if kind.name == "model.onnx" and not beside:
        raise PantheonError(
            "an ONNX file does not describe its inputs.",
            f"Add a signature: `models publish {shlex.quote(path)} --signature signature.json`",
        )
    total = sum(each.stat().st_size for each in ([file] if file.is_file() else files_of(file)))
    if total > LARGEST:
        raise PantheonError(f"{file} has {total / 1e6:.0f} MB.", f"At most {LARGEST / 1e6:.0f} MB can be published.")
    return Chosen(file, beside, kind)


def kind_of(file: Path) -> Kind:
    """Return the format of a file or folder, by its name and its beginning; nothing is loaded.

    Raises:
        PantheonError: it is none that can be published.
    """
    if file.is_dir():
        if (file / "saved_model.pb").is_file():
            return SAVED_MODEL
        if (file / "model.onnx").is_file():
            return BUNDLE
        raise PantheonError(
            f"{file} has neither model.onnx nor saved_model.pb.",
            "A bundle is a folder with model.onnx and signature.json, a SavedModel one with saved_model.pb.",
        )
    suffix = file.suffix.lower()
    kind = KINDS.get(suffix)
    if kind is None:
        raise PantheonError(f"{file} cannot be published.", ELSEWHERE.get(suffix, GIVE))
    with file.open("rb") as opened:
        begin = opened.read(4096)
    if kind is PICKLE:
        return PICKLE_OF_OTHERS if needs_others(file) else PICKLE
    if suffix == ".json" and not (begin.lstrip().startswith(b"{") and b'"learner"' in begin):
        raise PantheonError(f"{file} is not a model of XGBoost.", "Save one with model.save_model('model.json').")
    if suffix == ".txt" and not begin.startswith(b"tree\n"):
        raise PantheonError(f"{file} is not a model of LightGBM.", "Save one with booster.save_model('model.txt').")
    if suffix in (".h5", ".hdf5") and not begin.startswith(b"\x89HDF"):
        raise PantheonError(f"{file} is not an HDF5 file of Keras.", "Save the model with model.save('model.keras').")
    if suffix in (".keras", ".zip") and not zipfile.is_zipfile(file):
        raise PantheonError(f"{file} is not a complete zip archive, as such a file is.", "Save or copy it again.")
    return kind


def needs_others(file: Path) -> bool:
    """Return whether a pickle, compressed or not, names a package that the workflow's environment does not have."""
    rest = b""
    try:
        for part in unpacked(file):
            if OF_OTHERS.search(rest + part):
                return True
            rest = part[-16:]
    except (OSError, EOFError, zlib.error, lzma.LZMAError):  # the conversion says what is wrong with it
        pass
    return False


def unpacked(file: Path) -> Iterator[bytes]:
    """Yield the content of a pickle, without the compression of joblib, up to ten times the largest file."""
    with file.open("rb") as raw:
        begin = raw.read(6)
        raw.seek(0)
        openers = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ", lzma.open), (b"]\x00", lzma.open))
        if begin[:1] == b"\x78":
            inflate = zlib.decompressobj()
            left = 10 * LARGEST
            while (part := raw.read(BLOCK)) and left > 0:
                while part and left > 0:
                    out = inflate.decompress(part, BLOCK)
                    part, left = inflate.unconsumed_tail, left - len(out)
                    yield out
            return
        for magic, opener in openers:
            if begin.startswith(magic):
                with opener(raw, "rb") as stream:
                    for _ in range(10 * LARGEST // BLOCK):
                        if not (part := stream.read(BLOCK)):
                            return
                        yield part
                return
        while part := raw.read(BLOCK):
            yield part
