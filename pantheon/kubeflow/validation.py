"""Check manifests strictly: what is unknown, missing or of another type is refused with the path of the field.

Controllers describe their specs by ``msgspec.Struct`` (``convert``) or use pydantic models that exist (``conform``).
"""

import difflib
import re
import types
import typing
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from pantheon.kubeflow.contract import DEFAULT_NAMESPACE, Kind, Object, Refused
from pantheon.kubeflow.manifests import what

T = TypeVar("T")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # of RFC 1123
_PART = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
MOST_TEXT = 256 * 1024  # characters of all annotations
TOP = ("apiVersion", "kind", "metadata", "spec", "status")
SET_BY_US = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields")
METADATA = ("name", "namespace", "labels", "annotations", *SET_BY_US)


def manifest(given: Object, kinds: Iterable[Kind], namespace: str = "") -> tuple[Kind, Object]:
    """Check all of a manifest except its spec.

    Args:
        given: as it was read. What the service itself sets, such as ``status``, is ignored, so that what `get -o yaml`
            prints can be applied; ``metadata.uid`` and ``resourceVersion`` stay, to be compared.
        namespace: for a manifest that names none; also the only one that it may name, unless empty.

    Returns:
        Its kind, and the manifest with a complete ``metadata`` and a ``spec``.

    Raises:
        Refused: with the path of the field.
    """
    known = {each.name: each for each in kinds}
    if "pipelineInfo" in given and "apiVersion" not in given:
        cure = "Run it: `bin/pantheon pipeline run FILE`"
        raise Refused("", "this is a compiled pipeline, not a manifest of an object.", cure)
    name = text(given, "kind", "", "Such as kind: Experiment")
    kind = known.get(name)
    if kind is None:
        raise Refused("kind", f"there is no kind {name[:60]!r} here.", hint(name, known) or f"Kinds: {listed(known)}.")
    version = text(given, "apiVersion", "", f"Write apiVersion: {kind.api_versions[0]}")
    if version not in kind.api_versions:
        cause = f"{kind.name} has no version {version[:60]!r} here."
        raise Refused("apiVersion", cause, f"Write apiVersion: {' or '.join(kind.api_versions)}")
    fields(given, TOP, "")
    metadata = _metadata(mapping(given.get("metadata"), "metadata", "It needs a name."), namespace)
    spec = mapping(given.get("spec"), "spec", f"It says what the {kind.name} is.")
    return kind, {"apiVersion": version, "kind": kind.name, "metadata": metadata, "spec": spec}


def _metadata(given: Object, namespace: str) -> Object:
    if "generateName" in given:
        raise Refused("metadata.generateName", "names are not generated when a manifest is applied.", "Write a name.")
    fields(given, METADATA, "metadata")
    named = given.get("namespace")
    made: Object = {
        "name": label(text(given, "name", "metadata"), "metadata.name"),
        "namespace": label(named, "metadata.namespace") if named is not None else namespace or DEFAULT_NAMESPACE,
    }
    if namespace and made["namespace"] != namespace:
        cause = f"is {made['namespace']}, but the namespace {namespace} was asked for."
        raise Refused("metadata.namespace", cause, "Remove it, or ask for the same.")
    for part in ("labels", "annotations"):
        if given.get(part) is not None:
            made[part] = _texts(mapping(given[part], f"metadata.{part}"), f"metadata.{part}", part == "labels")
    for part in ("uid", "resourceVersion"):
        if given.get(part) is not None:
            made[part] = text(given, part, "metadata")
    return made


def _texts(given: Object, path: str, values_too: bool) -> dict[str, str]:
    for key, value in given.items():
        prefix, slash, name = key.rpartition("/")
        if not _PART.fullmatch(name) or (slash and not _PREFIX.fullmatch(prefix)):
            cure = "Use at most 63 letters, digits, '-', '_' and '.', after a domain and a slash if it has one."
            raise Refused(path, f"{key[:80]!r} is not a valid key.", cure)
        if not isinstance(value, str):
            raise Refused(f"{path}.{key}", f"must be a string, not {what(value)}.", "Put quotes around it.")
        if values_too and value and not _PART.fullmatch(value):
            raise Refused(
                f"{path}.{key}", f"{value[:80]!r} is not valid: at most 63 letters, digits, '-', '_' and '.'."
            )
    if sum(len(key) + len(value) for key, value in given.items()) > MOST_TEXT:
        raise Refused(path, f"has more than {MOST_TEXT:,} characters.")
    return given


def label(given: Any, path: str) -> str:
    """Return a name if it is valid in Kubernetes: an RFC 1123 label.

    Raises:
        Refused: it is not.
    """
    if not isinstance(given, str):
        raise Refused(path, f"must be a string, not {what(given)}.", "Put quotes around it.")
    if not LABEL.fullmatch(given):
        cure = "Use at most 63 lower-case letters, digits and '-', with a letter or digit at both ends."
        raise Refused(path, f"{given[:80]!r} is not a valid name.", cure)
    return given


def text(given: Object, name: str, path: str, cure: str = "") -> str:
    """Return the field ``name`` of the mapping ``given`` at ``path``, a text that is not empty.

    Raises:
        Refused: it is not.
    """
    where = joined(path, name)
    value = given.get(name)
    if value is None or value == "":
        raise Refused(where, "is missing.", cure)
    if not isinstance(value, str):
        raise Refused(where, f"must be a string, not {what(value)}.", "Put quotes around it.")
    return value


def mapping(given: Any, path: str, cure: str = "") -> Object:
    """Return ``given`` if it is a mapping.

    Raises:
        Refused: it is not.
    """
    if given is None:
        raise Refused(path, "is missing.", cure)
    if not isinstance(given, dict):
        raise Refused(path, f"must be a mapping, not {what(given)}.", cure)
    return given


def fields(given: Object, known: Sequence[str], path: str) -> None:
    """Refuse fields of a mapping that are not known, with a similar name if there is one.

    Raises:
        Refused: there is one.
    """
    for name in given:
        if name not in known:
            raise Refused(joined(path, name[:60]), "there is no such field.", hint(name, known) or options(known))


def convert(given: Any, kind: type[T], path: str) -> T:
    """Return a JSON value as a ``msgspec.Struct`` with ``forbid_unknown_fields`` (and, usually, ``rename="camel"``).

    Raises:
        Refused: it is not; with the path of the field below ``path``.
    """
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at ")
        where = path + _place(given, kind, place.strip("`"))
        name = re.search(r"`([^`]*)`", said)
        if "unknown field" in said and name:
            known = _names(kind, _steps(place))
            cure = hint(name[1], known) or options(known)
            raise Refused(joined(where, name[1][:60]), "there is no such field.", cure) from None
        if "missing required field" in said and name:
            raise Refused(joined(where, name[1]), "is missing.") from None
        raise Refused(where, _plain(said), _quotes(_plain(said))) from None


def conform(given: Any, model: Any, path: str) -> Any:
    """Return a JSON value as a pydantic model, such as Katib's; unknown fields are refused, whatever the model does.

    Args:
        model: a subclass of ``pydantic.BaseModel``.

    Raises:
        Refused: it is not valid; with the path of the field below ``path``.
    """
    import pydantic

    _known(given, model, path)
    try:
        return model.model_validate(given)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where, value = path, given
        for step in first["loc"]:
            if not isinstance(value, dict | list):  # one of several types that a value may have
                break
            where += f"[{step}]" if isinstance(step, int) else f".{step}"
            value = value.get(step) if isinstance(value, dict) else value[int(step)]
        said = "is missing." if first["type"] == "missing" else _said(first)
        raise Refused(where, said, _quotes(said)) from None


def _known(given: Any, kind: Any, path: str) -> None:
    """Refuse fields that a pydantic model and its parts do not name."""
    kind = _bare(kind)
    origin = typing.get_origin(kind)
    if origin is list and isinstance(given, list):
        for place, each in enumerate(given):
            _known(each, typing.get_args(kind)[0], f"{path}[{place}]")
    elif origin is dict and isinstance(given, dict):
        for key, each in given.items():
            _known(each, typing.get_args(kind)[1], f"{path}.{key[:60]}")
    elif hasattr(kind, "model_fields"):
        named = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
        fields(mapping(given, path), list(named), path)
        for name, each in given.items():
            if each is not None:
                _known(each, named[name], f"{path}.{name}")


def _bare(kind: Any) -> Any:
    """Return a type without ``Optional`` and ``Annotated``."""
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        left = [each for each in typing.get_args(kind) if each is not type(None)]
        return _bare(left[0]) if len(left) == 1 else kind
    return kind


def _said(error: Any) -> str:
    """Return what pydantic says about a value, as the end of a sentence."""
    wanted = {
        "string_type": "a string",
        "int_type": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
    }
    wanted |= {
        "list_type": "a list",
        "dict_type": "a mapping",
        "model_type": "a mapping",
        "model_attributes_type": "a mapping",
    }
    if error["type"] in wanted:
        return f"must be {wanted[error['type']]}, not {what(error['input'])}."
    return f"is not valid: {' '.join(str(error['msg']).split())[:200]}."


def _plain(said: str) -> str:
    """Return what msgspec says about a value, as the end of a sentence."""
    words = {"str": "a string", "int": "a whole number", "float": "a number", "bool": "true or false", "null": "empty"}
    words |= {"array": "a list", "object": "a mapping"}
    got = re.fullmatch(r"Expected `([^`]*)`, got `([^`]*)`", said)
    if not got:
        return f"is not valid: {said[:1].lower()}{said[1:]}."
    wanted = [words.get(each.strip(), each.strip()) for each in got[1].split("|") if each.strip() != "null"]
    given = "a decimal number" if got[2] == "float" else words.get(got[2], got[2])
    return f"must be {' or '.join(wanted)}, not {given}."


def _quotes(said: str) -> str:
    """Return what to do about a value of the wrong type, if quotes make the difference."""
    if re.fullmatch(r"must be a string, not (a number|a whole number|a decimal number|true or false)\.", said):
        return "Put quotes around it."
    return "Remove the quotes." if re.fullmatch(r"must be (a.* number|true or false), not a string\.", said) else ""


def _steps(place: str) -> list[str]:
    """Split msgspec's ``$.a[0].b``; ``[...]`` is a value of a mapping, whose key it does not say."""
    return [name or index for name, index in re.findall(r"\.([^.\[\]]+)|(\[[^\]]*\])", place.strip("`"))]


def _place(given: Any, kind: Any, place: str) -> str:
    """Return msgspec's place as a path, with the keys of mappings."""
    made = ""
    for step in _steps(place):
        below = _below(kind, step)
        if step == "[...]":
            key = next((key for key, each in given.items() if not _fits(each, below)), "")
            made, given = f"{made}.{key}", given.get(key)
        else:
            made += step if step.startswith("[") else f".{step}"
            given = given[int(step[1:-1])] if step.startswith("[") else given.get(step)
        kind = below
    return made


def _fits(given: Any, kind: Any) -> bool:
    try:
        msgspec.convert(given, kind)
    except msgspec.ValidationError:
        return False
    return True


def _below(kind: Any, step: str) -> Any:
    """Return the type of a part of ``kind``: a field by its name, or an item."""
    kind = _bare(kind)
    if step.startswith("["):
        return typing.get_args(kind)[-1]
    found = [each.type for each in msgspec.structs.fields(kind) if each.encode_name == step]
    return found[0]


def _names(kind: Any, steps: list[str]) -> list[str]:
    """Return the fields of the struct that is reached from ``kind``."""
    for step in steps:
        kind = _below(kind, step)
    return [each.encode_name for each in msgspec.structs.fields(_bare(kind))]


def joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def hint(name: str, known: Iterable[str]) -> str:
    """Return ``Did you mean …?`` if a known name is similar; else an empty text."""
    every = list(known)
    lower = {each.lower(): each for each in reversed(every)}
    near = difflib.get_close_matches(name.lower(), list(lower), 1, 0.6)
    return f"Did you mean {lower[near[0]]}?" if near else ""


def options(known: Sequence[str]) -> str:
    return f"Fields: {', '.join(known)}." if known else ""


def listed(known: Iterable[str]) -> str:
    return ", ".join(sorted(known))
