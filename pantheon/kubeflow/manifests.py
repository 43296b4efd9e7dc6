"""Read manifests: YAML (so JSON, too) as Kubernetes reads it, into JSON values. Limited, so that no text costs much.

Unlike PyYAML by itself: dates and ``12:30`` stay texts, ``yes`` and ``on`` too, keys are texts and not given twice, and
what JSON cannot say is refused.
"""

import math
import re
from typing import Any, ClassVar

import yaml

from pantheon.kubeflow.contract import Refused

MOST_BYTES = 1 << 20  # of a text with manifests
MOST_DOCUMENTS = 100
MOST_DEPTH = 50
MOST_VALUES = 100_000  # of a text, with every alias replaced by what it stands for
LONG = 40  # characters of a key in a message
_TAG = "tag:yaml.org,2002:"
_PLAIN = {  # of a text without quotes: its type, and the characters that it may begin with
    "null": (re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""]),
    "bool": (re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF")),
    "int": (re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+"), list("-+0123456789")),
    "float": (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), list("-+.0123456789")),
    "special": (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), list("-+.")),
    "merge": (re.compile("<<"), ["<"]),
}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Composes nodes with the types of YAML 1.2, as JSON has them."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


for _name, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern.pattern})\Z"), _first)


def read(text: bytes) -> list[dict[str, Any]]:
    """Return the documents of a YAML text, without empty ones. A ``List`` stands for its items.

    Raises:
        Refused: it is too large, not YAML, or says what manifests cannot; with the line, or the field's path.
    """
    if len(text) > MOST_BYTES:
        raise Refused(
            "",
            f"the manifests have {len(text):,} bytes, and the limit is {MOST_BYTES:,}.",
            "Apply them in several parts.",
        )
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise Refused(
            "", f"line {line} is not UTF-8: byte {text[error.start]:#04x}.", "Save the file as UTF-8."
        ) from None
    found = []
    for number, node in enumerate(_composed(decoded), 1):
        where = f"document {number}"
        value = _Values(where).value(node, "", 0) if node is not None else None
        if value is None:
            continue
        if not isinstance(value, dict):
            raise Refused(
                "", f"{where} is {what(value)}, not a manifest.", "A manifest starts with apiVersion: and kind:"
            )
        items = value.get("items")
        if value.get("kind") == "List" and isinstance(items, list):
            for place, item in enumerate(items):
                if not isinstance(item, dict):
                    raise Refused(f"items[{place}]", f"is {what(item)}, not a manifest.")
            found += items
        else:
            found.append(value)
    if len(found) > MOST_DOCUMENTS:
        raise Refused(
            "",
            f"there are {len(found):,} manifests, and the limit is {MOST_DOCUMENTS}.",
            "Apply them in several parts.",
        )
    return found


def _composed(text: str) -> list[yaml.Node | None]:
    """Return the documents as nodes, in which an alias is the node that it stands for."""
    try:
        _check_shape(text)
        nodes = []
        loader = _Loader(text)
        try:
            while loader.check_node():
                nodes.append(loader.get_node())
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise Refused(
            "", f"this is not YAML: {_problem(error)}.", "Check the indentation and the quotes there."
        ) from None
    except (ValueError, RecursionError) as error:  # of PyYAML, for an escape or a version that is out of range
        raise Refused("", f"this is not YAML: {error}.") from None
    total = 0
    for node in nodes:
        total += _size(node, {}, set())
        if total > MOST_VALUES:
            raise Refused(
                "",
                f"the manifests have more than {MOST_VALUES:,} values, counted with their aliases.",
                "Apply them in several parts.",
            )
    return nodes


def _check_shape(text: str) -> None:
    """Check depth and numbers while nothing is built yet: building is recursive."""
    depth = documents = 0
    for values, event in enumerate(yaml.parse(text, Loader=_Loader), 1):
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        line = event.start_mark.line + 1 if event.start_mark else 0
        if depth > MOST_DEPTH:
            raise Refused(
                "", f"line {line} is nested more than {MOST_DEPTH} levels deep, the limit.", "Check its brackets."
            )
        if documents > MOST_DOCUMENTS:
            raise Refused(
                "",
                f"line {line} begins document {documents}, and the limit is {MOST_DOCUMENTS}.",
                "Apply them in several parts.",
            )
        if values > 2 * MOST_VALUES:
            raise Refused("", f"the manifests have more than {MOST_VALUES:,} values.", "Apply them in several parts.")


def _size(node: yaml.Node | None, known: dict[int, int], above: set[int]) -> int:
    """Return how many values a node has, with aliases replaced."""
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in above:
        raise Refused("", f"line {node.start_mark.line + 1} contains an alias of itself.")
    if id(node) not in known:
        above.add(id(node))
        parts = node.value if isinstance(node, yaml.SequenceNode) else [each for pair in node.value for each in pair]
        known[id(node)] = 1 + sum(_size(part, known, above) for part in parts)
        above.discard(id(node))
    return known[id(node)]


class _Values:
    """Makes JSON values of nodes.

    Args:
        document: which one, for messages.
    """

    def __init__(self, document: str) -> None:
        self.document = document

    def value(self, node: yaml.Node, path: str, depth: int) -> Any:
        if depth > MOST_DEPTH:  # an alias adds the depth of what it stands for
            raise Refused(path, f"is nested more than {MOST_DEPTH} levels deep.")
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, path)
        if isinstance(node, yaml.SequenceNode):
            if node.tag != _TAG + "seq":
                raise self.tag(node, path)
            return [self.value(each, f"{path}[{place}]", depth + 1) for place, each in enumerate(node.value)]
        if node.tag != _TAG + "map":
            raise self.tag(node, path)
        return self.mapping(node, path, depth)

    def mapping(self, node: yaml.Node, path: str, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            plain = isinstance(key_node, yaml.ScalarNode)
            merges = key_node.tag == _TAG + "merge"
            key = "<<" if merges else self.scalar(key_node, path) if plain else None
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                said = f" {key_node.value[:LONG]!r}" if plain else ""
                raise Refused(path, f"line {line}: the key{said} is not a string.", "Put quotes around it.")
            below = f"{path}.{key[:LONG]}" if path else key[:LONG]
            if merges:
                merged = self.merge(value_node, path, depth) | merged
                continue
            if key in made:
                raise Refused(below, f"is given twice, the second time in line {line}.", "Remove one.")
            made[key] = self.value(value_node, below, depth + 1)
        return merged | made

    def merge(self, node: yaml.Node, path: str, depth: int) -> dict[str, Any]:
        given = self.value(node, path, depth + 1)
        merged: dict[str, Any] = {}
        for each in reversed(given if isinstance(given, list) else [given]):
            if not isinstance(each, dict):
                raise Refused(path, f"line {node.start_mark.line + 1}: << merges mappings, not {what(each)}.")
            merged |= each
        return merged

    def scalar(self, node: yaml.ScalarNode, path: str) -> Any:
        text: str = node.value
        kind = str(node.tag).removeprefix(_TAG)
        if kind in _PLAIN and _PLAIN[kind][0].fullmatch(text):
            return _plain(kind, text, path)
        if kind != "str":
            raise self.tag(node, path)
        if "\0" in text or any("\ud800" <= each <= "\udfff" for each in text):
            raise Refused(
                path, f"line {node.start_mark.line + 1} has a character that is not allowed, such as a zero byte."
            )
        return text

    def tag(self, node: yaml.Node, path: str) -> Refused:
        said = str(node.tag).removeprefix(_TAG)[:LONG]
        line = node.start_mark.line + 1
        return Refused(path, f"line {line} has the tag {said!r}, which manifests cannot have.", "Remove it.")


def _plain(kind: str, text: str, path: str) -> Any:
    """Return the value of a text without quotes."""
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    quoted = "Put quotes around it to have a string."
    if kind == "int":
        digits = text.lstrip("-+")
        value = 2**63 if len(digits) > LONG else int(text, 0) if digits[:2] in ("0x", "0o") else int(text)
        if not -(2**63) <= value < 2**63:
            raise Refused(path, f"{text[:LONG]} is not a number of 64 bits.", quoted)
        return value
    number = float(text) if kind == "float" else math.inf
    if math.isinf(number):
        raise Refused(path, f"{text[:LONG]} is not a number that JSON has.", quoted)
    return number


def _problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        return f"{place}{error.problem}"
    if isinstance(error, yaml.reader.ReaderError):
        code = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
        return f"the character {code:#06x} is not allowed"
    return " ".join(str(error).split())


def what(value: Any) -> str:
    """Describe the type of a JSON value."""
    if isinstance(value, bool):
        return "true or false"
    for kind, words in ((dict, "a mapping"), (list, "a list"), (str, "a string"), ((int, float), "a number")):
        if isinstance(value, kind):
            return words
    return "empty"
