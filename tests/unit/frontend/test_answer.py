"""What the page says about an answer."""

from typing import Any

from serving.frontend.answer import answer, bars
from serving.frontend.client import Reply
from tests.support.bundles import ROBOTS, signature


def explained(output: float, **features: float) -> dict[str, Any]:
    listed = [{"name": name, "value": 9, "shapley": size} for name, size in features.items()]
    return {"base": 0.4, "output": output, "of": "Bad Condition", "features": listed, "words": "So it is."}


def test_a_class_with_its_probability_and_its_reasons() -> None:
    reply = Reply("id", "3", 0, explained(0.92, rust_level=0.6, robot_age=-0.08), [])
    made = answer(signature(ROBOTS), reply, {"rust-level": "9"})
    assert (made.headline, made.figure, made.typical, made.tone) == ("Bad Condition", "92 %", "40 %", 0)
    assert made.sentence.startswith("The model is fairly confident. Of 100 similar cases, it expects about 92")
    assert made.bars == [("Rust level", "9", "+60 points", 100), ("Robot age", "9", "\N{MINUS SIGN}8.0 points", -13)]
    assert (made.words, made.version, made.values) == ("So it is.", "3", {"rust-level": "9"})


def test_a_number_with_its_unit() -> None:
    reply = Reply("id", "3", 19.25, explained(19.25, rust=2.0, age=-1e-9), [])
    made = answer(signature(ROBOTS, "regression"), reply, {})
    assert (made.headline, made.figure, made.typical) == ("19.25 h", "", "0.4 h")
    assert made.bars == [("Rust", "9", "+2 h", 100), ("Age", "9", "no effect", 0)]


def test_without_an_explanation_the_alert_is_the_same() -> None:
    made = answer(signature(ROBOTS), Reply("id", "3", 1, None, ["A note."]), {})
    assert (made.headline, made.figure, made.bars, made.words) == ("Good Condition", "", [], "")
    assert made.notes == ["A note."]


def test_many_inputs_share_the_last_bar_and_none_matters_without_bars() -> None:
    many = [{"name": f"x{i}", "value": None, "shapley": 0.1} for i in range(30)]
    made = bars(many, {"classes": [0, 1]})
    assert len(made) == 7
    assert made[-1] == ("24 other inputs", "", "+240 points", 100)
    assert bars([{**each, "shapley": 0.0} for each in many], {"classes": [0, 1]}) == []
