"""User-defined estimators and features: Python files in the deployment's ``extensions`` folder.

    from sklearn.ensemble import ExtraTreesClassifier
    from pantheon.workflow.extensions import candidate, feature

    @candidate("extra_trees", task="classification", space={"max_depth": (3, 12), "min_samples_leaf": (1, 20)})
    def extra_trees(seed, max_depth=8, **params):
        return ExtraTreesClassifier(100, max_depth=max_depth, random_state=seed, **params)

    @feature("rust_per_year")
    def rust_per_year(columns):
        return columns["rust-level"] / (columns["robot-age"] + 1)

A candidate is any scikit-learn estimator that skl2onnx can convert. Its function is called with ``seed`` and the
parameters that the search chose from ``space``: ``(1, 9)`` integers, ``(0.1, 1.0)`` floats, ``(0.001, 1.0, "log")``
floats on a logarithmic scale, ``["a", "b"]`` choices. Missing values are imputed before it, unless ``missing=True``;
``scale=True`` standardises the columns. A feature's function is called once, with symbolic columns instead of rows: the
expression that it returns becomes part of the ONNX model, so no user code runs while serving.
"""

import hashlib
import linecache
import sys
import threading
import traceback
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pantheon.errors import PantheonError
from pantheon.workflow.expressions import Column, Columns
from pantheon.workflow.outputs import Input, Tree

F = TypeVar("F", bound=Callable[..., Any])
Space = Mapping[str, Any]
TASKS = ("classification", "regression")


@dataclass(frozen=True)
class OwnCandidate:
    """An estimator that a user registered."""

    name: str
    tasks: tuple[str, ...]
    build: Callable[..., Any]
    space: Space
    scale: bool
    missing: bool
    file: Path


@dataclass(frozen=True)
class OwnFeature:
    """A feature that a user registered."""

    name: str
    compute: Callable[[Columns], Column]
    file: Path
    owner: str = ""


@dataclass
class Extensions:
    """The registrations of all files of one folder, and the files' checksums."""

    candidates: dict[str, OwnCandidate] = field(default_factory=dict)
    features: dict[str, OwnFeature] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


_current = threading.local()
_loaded: dict[tuple[str, str], Extensions] = {}
_lock = threading.Lock()


def _register(kind: str, name: str, entry: Callable[[Path], Any]) -> None:
    registry: Extensions | None = getattr(_current, "extensions", None)
    if registry is None:  # the file was imported directly, for example in a notebook
        return
    table: dict[str, OwnCandidate | OwnFeature] = getattr(registry, kind)
    if name in table:
        raise ValueError(f"{name!r} is registered twice")
    table[name] = entry(_current.file)


def _check(name: object) -> str:
    if not isinstance(name, str) or not name.replace("_", "").replace("-", "").isalnum():
        raise ValueError(f"{name!r} is not a valid name: use letters, digits, dashes and underscores")
    return name


def candidate(
    name: str, *, task: str = "classification", space: Space | None = None, scale: bool = False, missing: bool = False
) -> Callable[[F], F]:
    """Register an estimator for ``task`` ("classification", "regression" or "both"); see the module's docstring."""
    _check(name)
    if task not in (*TASKS, "both"):
        raise ValueError(f"task must be classification, regression or both, not {task!r}")
    for key, choice in (space or {}).items():
        bounds = choice[:2] if isinstance(choice, tuple) else ()
        fits = len(bounds) == 2 and all(isinstance(bound, int | float) for bound in bounds) and bounds[0] < bounds[1]
        if not (fits and choice[2:] in ((), ("log",))) and not (isinstance(choice, list) and choice):
            expected = "(low, high), (low, high, 'log') or a list of choices"
            raise ValueError(f"space[{key!r}] must be {expected}, not {choice!r}")
    if name in ("baseline", "linear", "random_forest", "hist_gradient_boosting"):
        raise ValueError(f"{name!r} is the name of a built-in candidate")
    tasks = TASKS if task == "both" else (task,)

    def decorate(build: F) -> F:
        _register(
            "candidates", name, lambda file: OwnCandidate(name, tasks, build, dict(space or {}), scale, missing, file)
        )
        return build

    return decorate


def feature(name: str, *, owner: str = "") -> Callable[[F], F]:
    """Register a feature: a function that computes a column from the dataset's columns; see the module's docstring.

    Args:
        owner: who answers questions about it, for the catalogue of the feature store; empty: who owns the dataset.
    """
    _check(name)
    if not isinstance(owner, str):
        raise ValueError(f"the owner of {name!r} is not a text: {owner!r}")

    def decorate(compute: F) -> F:
        _register("features", name, lambda file: OwnFeature(name, compute, file, owner))
        return compute

    return decorate


def load(folder: Path) -> Extensions:
    """Load the registrations of ``folder/*.py``, in the order of the file names; none if the folder does not exist.

    Raises:
        PantheonError: a file fails; names file and line.
    """
    merged = Extensions()
    for file in sorted(folder.glob("*.py")) if folder.is_dir() else []:
        try:
            text = file.read_bytes()
        except OSError as error:
            raise PantheonError(f"the extension {file} cannot be read: {error.strerror}.") from None
        digest = hashlib.sha256(text).hexdigest()
        with _lock:
            key = (str(file), digest)
            if key not in _loaded:
                _loaded[key] = _execute(file, text)
            loaded = _loaded[key]
        for kind in ("candidates", "features"):
            table = getattr(merged, kind)
            for name, entry in getattr(loaded, kind).items():
                if name in table:
                    raise PantheonError(f"{file} and {table[name].file} both register {name!r}.", "Rename one of them.")
                table[name] = entry
        merged.files[file.name] = digest
    return merged


def _execute(file: Path, text: bytes) -> Extensions:
    module = types.ModuleType(f"pantheon_extension_{file.stem}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # so that instances of the user's classes can be pickled
    registry = Extensions()
    _current.extensions, _current.file = registry, file
    linecache.checkcache(str(file))
    try:
        exec(compile(text, str(file), "exec"), module.__dict__)  # noqa: S102  # the user's file, in the user's run
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        raise extension_error(file, error) from error
    finally:
        _current.extensions = None
    return registry


def extension_error(file: Path, error: BaseException, what: str = "") -> PantheonError:
    """Return the user's error as one sentence with file and line."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    line = lines[-1] if lines else getattr(error, "lineno", None)
    message = str(error.msg) if isinstance(error, SyntaxError) else str(error) or type(error).__name__
    reason = f"{type(error).__name__}: {message}"
    if isinstance(error, SystemExit):
        reason = f"the code called {exit_call(error)}"
    where = f"{file}, line {line}" if line else str(file)
    return PantheonError(f"{where}: {what}{reason}.", "Correct the file, or move it out of extensions/.")


def exit_call(error: SystemExit) -> str:
    """Return the call that ended the code: ``sys.exit(0)``."""
    return f"sys.exit({'' if error.code is None else repr(error.code)})"


def place(error: BaseException, folder: Path) -> str:
    """Return ``FILE, line N``: where a file of ``folder`` raised the error; empty if none did."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((f"{f.filename}, line {f.lineno}" for f in reversed(frames) if Path(f.filename).parent == folder), "")


def trace(own: OwnFeature, inputs: list[Input]) -> Tree:
    """Convert a user-defined feature to an expression.

    Raises:
        PantheonError: the function fails, or does not return a column.
    """
    try:
        value = own.compute(Columns(inputs))
        if not isinstance(value, Column):
            raise TypeError(f"{own.name} must return a column, not {type(value).__name__}")
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        raise extension_error(own.file, error, f"the feature {own.name!r} fails: ") from error
    return value.tree
