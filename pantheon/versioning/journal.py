"""What a recording changes in the repository, written down before it does: that is undone after a kill, and no more."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pantheon.errors import PantheonError
from pantheon.versioning import bring, pipeline
from pantheon.versioning.dvc import Dvc
from pantheon.versioning.git import Git
from pantheon.workflow.run import Run, read_json, write_json

NAME = "pantheon-recording.json"
LOCK, POINTER = "dvc.lock", f"{pipeline.SOURCE}.dvc"


def ignores() -> list[str]:
    """The files where DVC has git ignore what it keeps."""
    return sorted({str(Path(place).parent / ".gitignore") for place in bring.places()})


def managed() -> list[str]:
    """What DVC itself writes for git."""
    return [LOCK, POINTER, *ignores()]


def sha(path: Path) -> str:
    """The sha256 of a file, of a link itself, not of what it leads to; empty where there is nothing."""
    if path.is_symlink():
        return hashlib.sha256(b"link to " + bytes(path.readlink())).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


class Journal:
    """``.git/pantheon-recording.json`` of the repository ``folder``; it is there while a run is being recorded.

    ``{"run", "branch", "head", "files": {path: sha256 as written}, "gone": [path], "before": {path: sha256}, "after":
    {path: sha256 as DVC has written}, "brought": {path: [bytes, mtime in ns]}, "source": [name, sha256, bytes]}``
    """

    def __init__(self, folder: Path, git: Git, dvc: Dvc) -> None:
        self.folder, self.git, self.dvc = folder, git, dvc
        self.path = git.private / NAME
        self.stats: dict[str, tuple[int, int]] = {}

    @property
    def said(self) -> dict[str, Any]:
        said: dict[str, Any] = read_json(self.path)
        return {"before": {}, "after": {}, "brought": {}, **said}  # an older Pantheon's has less

    def begin(self, run: Run, files: dict[str, bytes], gone: list[str]) -> None:
        names = [*files, *gone, *managed()]
        said = {
            "run": run.id,
            "branch": self.git.branch(),
            "head": self.git.head(),
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
            "gone": gone,
            "before": {name: sha(self.folder / name) for name in names},
            "after": {},
            "brought": bring.figures(run),
            "source": [*bring.origin(run), bring.weight(run)],
        }
        write_json(self.path, said)

    def written(self, names: list[str]) -> None:
        """Our files are there: one that is changed, and changed back, is found out by its time."""
        self.stats = {name: self._stat(name) for name in names}

    def committed(self) -> None:
        """DVC has written its files."""
        write_json(self.path, self.said | {"after": {name: sha(self.folder / name) for name in managed()}})

    def end(self) -> None:
        self.path.unlink(missing_ok=True)

    def paths(self) -> list[str]:
        """What the recording's commit may have, and nothing else."""
        said = self.said
        return [*said["files"], *said["gone"], *managed()]

    def meddled(self) -> list[str]:
        """What somebody has done here since the recording began, in words; nothing as a rule."""
        said, found = self.said, list[str]()
        if self.git.branch() != said["branch"]:
            return [f"the branch is {self.git.branch() or 'none'} now, not {said['branch']}"]
        if self.git.head() != said["head"]:
            return [f"{said['branch']} has a new commit {self.git.head()[:12]}"]
        expected = said["files"] | dict.fromkeys(said["gone"], "") | said["after"]
        for name, content in expected.items():
            if sha(self.folder / name) != content or self.stats.get(name, self._stat(name)) != self._stat(name):
                found.append(f"{name} was changed")
        ours = set(self.paths())
        return found + [f"{name} was added to the index" for name in self.staged() if name not in ours]

    def staged(self) -> list[str]:
        return [name for name in self.git("diff", "--cached", "--name-only", "--no-renames", "-z").split("\0") if name]

    def theirs(self) -> list[str]:
        """Of our files, those that somebody has changed since a recording was cut short."""
        ours, changed = set(self.paths()), self.git.changed()
        return [name for name in changed if name in ours and not self._ours(name)]

    def undo(self) -> bool:
        """Everything that is ours as it was: git's files as HEAD has them, DVC's as HEAD says; others' stays.

        Returns:
            Whether DVC had all of it; ``dvc checkout`` gets what is missing at any time.

        Raises:
            PantheonError: git failed.
        """
        theirs, known = set(self.theirs()), set(self.git.files())
        mine = [name for name in self.paths() if name not in theirs]
        self.git("reset", "-q", "--", *mine, check=False)
        changed = set(self.git.changed())
        if here := [name for name in mine if name in known and name in changed]:
            self.git("checkout", "-q", "HEAD", "--", *here)
        said = self.said
        for name in mine:
            new = name not in known and sha(self.folder / name) != said["before"].get(name, "")
            if new and self._ours(name):
                (self.folder / name).unlink(missing_ok=True)
        place = self.folder / pipeline.SOURCE
        if bring.holds(place, *said["source"][:2]):  # a link or copy of ours, in no cache yet perhaps
            bring.remove(place)
        bring.take_back(self.folder, said["brought"])
        return self._checkout_data()

    def _checkout_data(self) -> bool:
        """Without ``-f``, and not where somebody's own files lie: DVC would delete what is in no cache."""
        if LOCK not in self.git.files(LOCK):
            return True
        lock = pipeline.parse((self.folder / LOCK).read_text(encoding="utf-8"), LOCK).get("stages") or {}
        # By stages: DVC 3.67 fails on some files as targets ("unexpected error - ('candidates.json',)").
        kept = {name: places for name, places in pipeline.outputs().items() if name in lock}
        wanted = kept | ({POINTER: (pipeline.SOURCE,)} if self.git.files(POINTER) else {})
        if self._checked_out(wanted):
            return True
        strangers = {Path(name) for name in bring.strangers(self.folder, bring.places())}
        full = {str(each) for path in strangers for each in (path, *path.parents)}
        free = [name for name, places in wanted.items() if not full & set(places)]
        return len(free) < len(wanted) and self._checked_out(free)

    def _checked_out(self, targets: Iterable[str]) -> bool:
        try:
            self.dvc("checkout", *targets)
        except PantheonError:  # what led here is what to tell
            return False
        return True

    def _stat(self, name: str) -> tuple[int, int]:
        path = self.folder / name
        found = path.lstat() if path.is_file() else None
        return (found.st_ino, found.st_mtime_ns) if found else (0, 0)

    def _ours(self, name: str) -> bool:
        """Whether the file, and what git's index has of it, is as it was before, or as the recording writes it."""
        said, now = self.said, sha(self.folder / name)
        ours = {said["before"].get(name), said["files"].get(name), said["after"].get(name)}
        if name in said["gone"]:
            ours.add("")
        if now not in ours and not (name in managed() and not said["after"] and self._by_dvc(name)):
            return False
        index = self.git("rev-parse", "-q", "--verify", f":{name}", check=False)
        head = self.git("rev-parse", "-q", "--verify", f"HEAD:{name}", check=False)
        return index in ("", head) or index == self.git("hash-object", "--", name, check=False)

    def _by_dvc(self, name: str) -> bool:
        """Whether ``dvc commit`` may have written the file of what we brought: it was killed before we could look."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        before = self.git("show", f"HEAD:{name}", check=False)
        if name in ignores():
            added = set(text.splitlines()) - set(before.splitlines())
            return set(before.splitlines()) <= set(text.splitlines()) and added <= {
                f"/{Path(place).name}" for place in bring.places()
            }
        if not _comments(text) <= _comments(before):  # DVC writes none
            return False
        if not text:  # DVC writes in place, and had just begun
            return True
        cut = not text.endswith("\n")
        if cut:  # as far as it came: within a stage
            begins = [found.start() for found in re.finditer(r"^  \S", text, re.MULTILINE)]
            if not begins or re.search(r"^\S", text[begins[-1] :], re.MULTILINE):
                return False
            text = text[: begins[-1]]
        try:
            new, old = pipeline.parse(text, name), pipeline.parse(before, name)
            return self._fits_pointer(new, old) if name == POINTER else self._fits_lock(new, old, cut)
        except (PantheonError, AttributeError, KeyError, TypeError, IndexError):
            return False

    def _fits_pointer(self, new: dict[str, Any], old: dict[str, Any]) -> bool:
        (out,) = new["outs"]
        rest = {key: value for key, value in new.items() if key != "outs"}
        weight = self.said["source"][2] if len(self.said["source"]) > 2 else 0
        return rest == {key: value for key, value in old.items() if key != "outs"} and (
            "md5" not in out or (out["size"], out["nfiles"]) == (weight, 1)
        )

    def _fits_lock(self, new: dict[str, Any], old: dict[str, Any], cut: bool) -> bool:
        stages, before = new.get("stages") or {}, old.get("stages") or {}
        if not cut and set(before) - set(stages) - set(pipeline.outputs()):
            return False
        rest = {key: value for key, value in old.items() if key != "stages"} or {"schema": "2.0"}
        if {key: value for key, value in new.items() if key != "stages"} != rest:
            return False
        for name, stage in stages.items():
            if stage == before.get(name):
                continue
            outs = [out for out in stage["outs"] if out["path"] in bring.places()]
            if name not in pipeline.outputs() or any(out["size"] != self._brought(out["path"]) for out in outs):
                return False
        return True

    def _brought(self, place: str) -> int:
        """Bytes that the recording has brought to a place of DVC's."""
        return sum(
            size
            for name, (size, _) in self.said["brought"].items()
            if name == place or Path(place) in Path(name).parents
        )


def _comments(text: str) -> set[str]:
    return {line for line in text.splitlines() if line.lstrip().startswith("#")}
