"""Manifests are read as Kubernetes reads YAML; specs are checked with the path of each field."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pantheon.kubeflow import manifests, validation
from pantheon.kubeflow.contract import Kind, Refused


class Part(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    name: str
    max_count: int | None = None


class Spec(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    goal: float
    parts: list[Part] = []
    by_name: dict[str, Part] = {}
    one: Part | None = None


def test_values_are_those_of_json() -> None:
    text = b"""
        date: 2026-01-31
        time: 12:30
        yes: no
        version: "1.10"
        number: 1e3
        hex: 0x10
        empty:
        list: &a [1, 2.5, true, null, ~]
        again: *a
        base: &b {x: 1, y: 2}
        merged: {<<: *b, y: 3}
        block: |
          two
          lines
    """
    assert manifests.read(text) == [
        {
            "date": "2026-01-31", "time": "12:30", "yes": "no", "version": "1.10", "number": 1000.0, "hex": 16,
            "empty": None, "list": [1, 2.5, True, None, None], "again": [1, 2.5, True, None, None],
            "base": {"x": 1, "y": 2}, "merged": {"x": 1, "y": 3}, "block": "two\nlines\n",
        }
    ]  # fmt: skip


def test_lists_and_several_documents_are_flat() -> None:
    text = b'---\na: 1\n---\n---\n{"kind": "List", "items": [{"b": 2}, {"c": 3}]}\n...\n'
    assert manifests.read(text) == [{"a": 1}, {"b": 2}, {"c": 3}]


def test_a_text_that_grows_by_its_aliases_is_refused_before_it_does() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12))
    with pytest.raises(Refused, match="more than 100,000 values, counted with their aliases"):
        manifests.read(bomb.encode())
    deep = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 99))
    with pytest.raises(Refused, match="is nested more than 50 levels deep"):
        manifests.read(deep.encode())
    merges = "a: &a {x: 1}\n" + "".join(
        f"m{n}: &m{n} {{<<: [*{'a' if n == 0 else f'm{n - 1}'}, *a]}}\n" for n in range(20)
    )
    assert manifests.read(merges.encode())[0]["m19"] == {"x": 1}


# Not what YAML reads otherwise than JSON: control characters, and separators of lines.
texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co", "Zl", "Zp"]), max_size=20)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(texts, below, max_size=4),
    max_leaves=20,
)


@given(value=st.dictionaries(st.sampled_from(["a", "b", "items"]), json_values, max_size=3))
def test_json_is_read_as_it_is(value: dict[str, Any]) -> None:
    assert manifests.read(msgspec.json.encode(value)) == [value]


@pytest.mark.parametrize(
    ("given_spec", "said"),
    [
        (
            {"goal": 1, "parts": [{"name": "a", "maxCont": 1}]},
            "spec.parts[0].maxCont: there is no such field. Did you mean maxCount?",
        ),
        ({"goal": "x"}, "spec.goal: must be a number, not a string. Remove the quotes."),
        ({"goal": 1, "parts": [{"maxCount": 1}]}, "spec.parts[0].name: is missing."),
        ({"goal": 1, "parts": {}}, "spec.parts: must be a list, not a mapping."),
        (
            {"goal": 1, "byName": {"x": {"name": "a"}, "y.z": {"name": 1}}},
            "spec.byName.y.z.name: must be a string, not a whole number. Put quotes around it.",
        ),
        ({"goal": 1, "byName": {"k": {"nam": 1}}}, "spec.byName.k.nam: there is no such field. Did you mean name?"),
        (
            {"goal": 1, "one": {"name": "a", "maxCount": 1.5}},
            "spec.one.maxCount: must be a whole number, not a decimal number.",
        ),
        ({"goal": 1, "one": 5}, "spec.one: must be a mapping, not a whole number."),
        ({}, "spec.goal: is missing."),
        ({"zzz": 1, "goal": 1}, "spec.zzz: there is no such field. Fields: goal, parts, byName, one."),
    ],
)
def test_a_struct_refuses_with_the_path(given_spec: Any, said: str) -> None:
    with pytest.raises(Refused) as refused:
        validation.convert(given_spec, Spec, "spec")
    assert str(refused.value) == said


def test_a_pydantic_model_refuses_with_the_path() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Space(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        max: pydantic.StrictStr | None = None  # type: ignore[name-defined]

    class Experiment(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        parameters: list[Space] | None = None
        most: pydantic.StrictInt = pydantic.Field(alias="maxTrialCount")  # type: ignore[name-defined]

    for given_spec, said in [
        (
            {"maxTrialCount": 1, "parameters": [{}, {"max": 3}]},
            "spec.parameters[1].max: must be a string, not a number.",
        ),
        (
            {"maxTrialCount": 1, "parameters": [{"mx": 3}]},
            "spec.parameters[0].mx: there is no such field. Did you mean max?",
        ),
        ({"maxTrialcount": 1}, "spec.maxTrialcount: there is no such field. Did you mean maxTrialCount?"),
        ({"parameters": []}, "spec.maxTrialCount: is missing."),
        ({"most": 1}, "spec.most: there is no such field."),
        ({"maxTrialCount": 1, "parameters": [5]}, "spec.parameters[0]: must be a mapping, not a number."),
    ]:
        with pytest.raises(Refused) as refused:
            validation.conform(given_spec, Experiment, "spec")
        assert str(refused.value).startswith(said)
    assert validation.conform({"maxTrialCount": 2}, Experiment, "spec").most == 2


def test_what_get_prints_can_be_applied() -> None:
    kinds = [Kind("Count", ("tests.pantheon/v1",), "counts")]
    printed = {
        "apiVersion": "tests.pantheon/v1", "kind": "Count", "spec": {}, "status": {"conditions": []},
        "metadata": {
            "name": "a", "namespace": "b", "uid": "u", "resourceVersion": "7", "generation": 2, "labels": {"x/y": ""},
            "creationTimestamp": "2026-01-31T00:00:00Z", "annotations": {"pantheon/by": "ada"},
        },
    }  # fmt: skip
    kind, found = validation.manifest(printed, kinds)
    assert kind is kinds[0]
    assert found["metadata"] == {
        "name": "a", "namespace": "b", "uid": "u", "resourceVersion": "7", "labels": {"x/y": ""},
        "annotations": {"pantheon/by": "ada"},
    }  # fmt: skip
    assert "status" not in found
