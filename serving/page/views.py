"""Data about models, runs and services for the page's templates."""

import hashlib
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from pantheon.errors import PantheonError
from pantheon.state import ServiceRecord
from serving.formatting import duration, metric, number, title
from serving.model.predictor import Predictor
from serving.questions.reader import Reader
from serving.state import State

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
    """Return a short hash of a part's content, so that polling only replaces it if it changed."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]


def card(text: str) -> tuple[str, Markup]:
    """Return the model card: its first paragraph as text, and the rest as HTML with headings below the page's."""
    tokens = _markdown.parse(text)
    lead = ""
    for i, token in enumerate(tokens):
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
        if token.type in ("th_open", "td_open") and token.attrs.pop("style", "") == "text-align:right":
            token.attrSet("class", "n")  # the page's policy does not allow inline styles
        if token.type == "th_open" and not tokens[i + 1].content:
            token.tag = tokens[i + 2].tag = "td"  # screen readers do not accept empty table headers
    if tokens and tokens[0].type == "heading_open":
        tokens = tokens[3:]  # the title, which the page already shows
    if tokens and tokens[0].type == "paragraph_open":
        lead, tokens = tokens[1].content, tokens[3:]
    html = _markdown.renderer.render(tokens, _markdown.options, {})
    # Insert tags, because text would be escaped. A table wider than the screen scrolls, also with the keyboard.
    html = html.replace("<table>", _SCROLL + "<table>").replace("</table>", "</table></div>")
    # Safe: markdown-it escapes all text, raw HTML is disabled, and it rejects javascript: and data: links.
    return lead, Markup(html)  # noqa: S704


def figures(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the tables of ``metrics.json``: scores, candidates, slices."""
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
    """Return (file, caption) of the bundle's pictures; the calibration is first, because it is interactive."""
    names = sorted(p.name for p in (predictor.folder / "plots").glob("*") if p.suffix in (".svg", ".png"))
    names.sort(key=lambda name: not name.startswith("calibration"))
    return [(name, CAPTIONS.get(Path(name).stem, title(Path(name).stem))) for name in names]


def services(state: State) -> dict[str, Any]:
    return {"services": [_service(record) for record in state.services.services]}


def _service(record: ServiceRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "why": record.why,
        "address": record.address,
        "state": record.state,
        "tone": _tone(record.state),
        "memory": f"{record.memory / 1e6:.0f} MB" if record.memory else "",
        "restarts": record.restarts,
    }


def _tone(state: str) -> str:
    if state in ("healthy", "running", "completed"):
        return "good"
    return "wait" if state in ("waiting", "starting", "stopped", "") else "bad"


def runs(state: State) -> list[dict[str, Any]]:
    return [_run(raw) for raw in state.runs(RUNS)]


def _run(raw: dict[str, Any]) -> dict[str, Any]:
    stages = {s["stage"]: s for s in raw.get("stages", [])}
    outcome = raw.get("outcome", {})
    states = [s.get("state") for s in stages.values()]
    failed = next((s for s in stages.values() if s.get("state") in ("failed", "interrupted")), None)
    if "damage" in raw:
        state, why = "damaged", raw["damage"]
    elif outcome:
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
    """Return the time from the first start to the last end; stages run in parallel, so durations do not add up."""
    try:
        begin = min(datetime.fromisoformat(s["started"]) for s in stages.values())
        end = max(datetime.fromisoformat(s["finished"]) for s in stages.values())
    except (KeyError, ValueError):
        return ""
    return duration((end - begin).total_seconds())


def versions(state: State, store: Reader, current: Predictor | None) -> dict[str, Any]:
    """Return the versions of the trained model, its challenger, and the score of every version."""
    model = state.deployment.dataset or state.served
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
    """Return a diagram for the page. Its style is in a static file: the page's policy does not allow inline styles."""
    if picture is None:
        return Markup()
    # Safe: a file of this repository, generated by bin/draw-diagrams.
    return Markup(_STYLE.sub("", picture.read_text(encoding="utf-8")))  # noqa: S704
