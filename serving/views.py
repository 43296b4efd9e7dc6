"""What the page shows of models, runs and services, shaped for its templates."""

import hashlib
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from pantheon.errors import PantheonError
from serving.predictor import Predictor
from serving.reader import Reader
from serving.state import State
from serving.words import duration, metric, number, title

RUNS = 8
VERSIONS = 30
STAGES = (
    *("load_data", "clean_data", "split_data", "preprocess", "feature_engineering", "feature_selection", "train"),
    *("model_selection", "hyperparameter_tuning", "evaluate", "performance_metrics", "model_comparison", "deploy"),
)
CAPTIONS = {"roc": "ROC curve", "precision_recall": "Precision and recall", "predicted_actual": "Predicted and actual"}
_SCROLL = '<div class="scroll" tabindex="0" role="region" aria-label="Table of the card">'
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def fingerprint(value: Any) -> str:
    """Short hash of what a part shows, so that polling swaps it only when it changed."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]


def card(text: str) -> tuple[str, Markup]:
    """The model card: its first paragraph as text, and the rest as HTML whose headings fit below the page's own."""
    tokens = _markdown.parse(text)
    lead = ""
    for i, token in enumerate(tokens):
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
        if token.type in ("th_open", "td_open") and token.attrs.pop("style", "") == "text-align:right":
            token.attrSet("class", "n")  # the page allows no style in HTML
        if token.type == "th_open" and not tokens[i + 1].content:
            token.tag = tokens[i + 2].tag = "td"  # a head without a word is no head to a screen reader
    if tokens and tokens[0].type == "heading_open":
        tokens = tokens[3:]  # the title, which the page has already
    if tokens and tokens[0].type == "paragraph_open":
        lead, tokens = tokens[1].content, tokens[3:]
    html = _markdown.renderer.render(tokens, _markdown.options, {})
    # Tags, since text would be escaped. A table wider than the screen scrolls by itself, by keyboard too.
    html = html.replace("<table>", _SCROLL + "<table>").replace("</table>", "</table></div>")
    # Safe: markdown-it escapes all text, raw HTML is off, and it refuses javascript: and data: links.
    return lead, Markup(html)  # noqa: S704


def figures(metrics: dict[str, Any]) -> dict[str, Any]:
    """Tables of ``metrics.json``: scores, candidates, slices."""
    held_out = metrics.get("held_out") or {}
    primary = (metrics.get("primary") or {}).get("name", "")
    sides = [
        ("Held out", held_out),
        ("Training", metrics.get("train") or {}),
        ("Baseline", metrics.get("baseline") or {}),
    ]
    return {
        "primary": metric(primary) if primary else "",
        "columns": [name for name, side in sides if side],
        "scores": [
            (metric(name), name == primary, [number(side.get(name)) for _, side in sides if side]) for name in held_out
        ],
        "candidates": [
            {
                "name": title(c["name"]) + (", tuned" if c.get("tuned") else ""),
                "chosen": c.get("chosen", c["name"] == metrics.get("chosen")),
                "cv": f"{number(c.get('cv_mean'))} ± {number(c.get('cv_std'), 2)}",
                "held_out": number((c.get("held_out") or {}).get(primary)),
            }
            for c in metrics.get("candidates") or []
        ],
        "slices": [
            (title(s["column"]), str(s["value"]), number(s["rows"]), number((s.get("metrics") or {}).get(primary)))
            for s in metrics.get("slices") or []
        ],
        "verdict": (metrics.get("overfitting") or {}).get("verdict", ""),
        "warnings": metrics.get("warnings") or [],
        "rows": metrics.get("rows") or {},
    }


def plots(predictor: Predictor) -> list[tuple[str, str]]:
    """(file, caption) of the bundle's pictures, the calibration first: it is the one drawn interactively."""
    found = sorted(p.name for p in (predictor.folder / "plots").glob("*") if p.suffix in (".svg", ".png"))
    found.sort(key=lambda name: not name.startswith("calibration"))
    return [(name, CAPTIONS.get(Path(name).stem, title(Path(name).stem))) for name in found]


def services(state: State) -> dict[str, Any]:
    raw = state.services
    listed = [s for s in raw.get("services") or [] if isinstance(s, dict) and s.get("name")]
    return {"services": [_service(s) for s in listed]}


def _service(raw: dict[str, Any]) -> dict[str, Any]:
    state = str(raw.get("state", ""))
    text = {key: str(raw.get(key) or "") for key in ("name", "why", "address")}
    return text | {
        "state": state,
        "tone": _tone(state),
        "memory": _megabytes(raw.get("memory")),
        "restarts": int(raw.get("restarts") or 0),
    }


def _megabytes(count: Any) -> str:
    return f"{count / 1e6:.0f} MB" if isinstance(count, (int, float)) and count else ""


def _tone(state: str) -> str:
    if state in ("healthy", "running", "completed"):
        return "good"
    return "wait" if state in ("waiting", "starting", "stopped", "") else "bad"


def runs(state: State) -> list[dict[str, Any]]:
    return [_run(raw) for raw in state.runs(RUNS)]


def _run(raw: dict[str, Any]) -> dict[str, Any]:
    stages = {s["stage"]: s for s in raw["stages"]}
    outcome = raw["outcome"]
    states = [s.get("state") for s in stages.values()]
    failed = next((s for s in stages.values() if s.get("state") in ("failed", "interrupted")), None)
    if outcome:
        state, why = outcome.get("decision", "done"), outcome.get("reason", "")
    elif failed:
        state, why = failed["state"], failed.get("error", "")
    else:
        state, why = ("running" if "running" in states else "begun"), ""
    return {
        "id": raw["id"],
        "dataset": raw.get("dataset", ""),
        "runner": raw.get("runner", ""),
        "tier": raw.get("tier", ""),
        "created": raw.get("created", ""),
        "state": state,
        "why": why,
        "version": outcome.get("version"),
        "seconds": _span(stages),
        "stages": [
            {
                "name": name.replace("_", " "),
                "state": stages.get(name, {}).get("state", "waiting"),
                "seconds": _took(stages.get(name)),
            }
            for name in STAGES
        ],
    }


def _took(stage: dict[str, Any] | None) -> str:
    seconds = (stage or {}).get("seconds")
    return duration(seconds) if isinstance(seconds, (int, float)) else ""


def _span(stages: dict[str, dict[str, Any]]) -> str:
    """From the first start to the last end: stages run side by side, so their seconds do not add up."""
    try:
        begin = min(datetime.fromisoformat(s["started"]) for s in stages.values())
        end = max(datetime.fromisoformat(s["finished"]) for s in stages.values())
    except (KeyError, ValueError):
        return ""
    return duration((end - begin).total_seconds())


def versions(state: State, store: Reader, current: Predictor | None) -> dict[str, Any]:
    """The versions of the model that is trained here, its challenger, and its score from version to version."""
    model = str(state.deployment.get("dataset") or state.served)
    empty: dict[str, Any] = {"model": model, "versions": [], "challenger": None, "history": None, "error": ""}
    empty |= {"where": "", "git": False, "champion": None}
    if not model:
        return empty
    try:
        where, listed = state.place(store.where), store.list(model)
        champion, challenger = store.alias(model, "champion"), store.alias(model, "challenger")
    except (PantheonError, OSError) as error:
        return {**empty, "error": str(error)}
    roles = {}
    if champion:
        roles[champion.version] = "champion"
    if challenger:
        roles[challenger.version] = "challenger"
    rows = [
        {
            "version": v.version,
            "created": v.created,
            "chosen": title(str(v.metadata.get("chosen", ""))) if v.metadata.get("chosen") else "",
            "score": number((v.metadata.get("metric") or {}).get("value")),
            "role": roles.get(v.version, ""),
            "answers": bool(current and (current.model, current.version) == (model, v.version)),
            "commit": str((v.metadata.get("version_control") or {}).get("commit") or ""),
        }
        for v in reversed(listed[-VERSIONS:])
    ]
    scores = [(int(v.version), v.metadata["metric"]) for v in listed if v.metadata.get("metric")]
    name = scores[-1][1]["name"] if scores else ""
    points = [(number_, m["value"]) for number_, m in scores if m["name"] == name]
    return {
        **empty,
        "where": where,
        "versions": rows,
        "git": any(row["commit"] for row in rows),
        "metric": metric(name) if name else "",
        "champion": champion.as_dict() if champion else None,
        "challenger": challenger.as_dict() if challenger else None,
        "history": {"name": metric(name), "points": points} if len(points) > 1 else None,
    }


_STYLE = re.compile(r"<style>.*?</style>\n?", re.DOTALL)


def diagram(picture: Path | None) -> Markup:
    """A diagram for the page; its style lies in a file of ours, since the page allows no style inside."""
    if picture is None:
        return Markup()
    # Safe: a file of this repository, drawn by bin/draw-diagrams.
    return Markup(_STYLE.sub("", picture.read_text(encoding="utf-8")))  # noqa: S704
