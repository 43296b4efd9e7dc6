"""Reports of `compare` with figures that nobody measured."""

from typing import Any

from pantheon.tiers import find

METRICS = {"task": "classification", "held_out": {"roc_auc": 0.912345678901, "accuracy": 0.85}}


def cell(**given: Any) -> dict[str, Any]:
    """Return the figures of one cell."""
    return {
        "measured": "2026-11-30T12:00:00+00:00",
        "busy_percent": 2.0,
        "start_s": 2.5,
        "run_s": 9.1,
        "from_down_s": 1.2,
        "up_again_s": 0.8,
        "down_s": 0.5,
        "memory_idle_mb": 80.0,
        "memory_peak_mb": 410.0,
        "cpu_idle_percent": 0.4,
        "software_mb": 900.0,
        "software_made_s": 11.0,
        "software": [{"name": "serving", "mb": 300, "made_s": 4.0}],
        "state_mb": 4.0,
        "disk_mb": 904,
        "predict_p50_ms": 0.41,
        "predict_p99_ms": 1.2,
        "predict_per_s": 2200.0,
        "predict16_p50_ms": 3.1,
        "predict16_p99_ms": 6.0,
        "predict16_per_s": 5000.0,
        "services": 1,
        "service_list": [{"name": "button", "memory_mb": 70.0}],
        "processes": 2,
        "ports": 1,
        "ports_outside": 0,
        "port_list": [16080],
        "ports_inside": 0,
        "secrets": 1,
        "packages": 60,
        "lines_compose": 120,
        "lines_helm": 2,
        "components": ["button"],
        "stages": {"load_data": 0.1, "train": 4.0},
        "metrics": METRICS,
        "questions": [
            {"question": "Which version serves now?", "state": "answered", "answer": "1", "source": "the store"},
            {"question": "Which version served at time T?", "state": "cannot", "answer": "nemesis", "source": ""},
        ],
        "questions_answered": 1,
        "kills": [
            {
                "service": "button", "noticed_by": "the supervisor", "healthy_s": 0.7, "broken": ["ask", "the page"],
                "unanswered": 7, "slowest_answer_s": 0.1, "run": "went on",
            }
        ],
        "kills_before": "",
        "kills_healed": 1,
        "kills_slowest_s": 0.7,
        "kills_unanswered": 7,
        "kills_unlogged": None,
        "kills_lost": [],
        "seconds": 40.0,
    } | given  # fmt: skip


def report(tiers: dict[str, dict[str, dict[str, Any]]], **given: Any) -> dict[str, Any]:
    """Return a report of these cells."""
    named = {name: find(name) for name in tiers}
    return {
        "version": 1,
        "made": "2026-11-30T12:30:00+00:00",
        "pantheon": "0.1.0",
        "commit": "abc1234",
        "data": "robots",
        "machine": {
            "cpu": "Example CPU (x86_64)", "cores": 2, "memory_mb": 16000, "os": "Debian 12", "kernel": "6.1",
            "python": "3.11.2",
        },
        "names": {name: {"number": t.number, "title": t.title, "adds": t.adds} for name, t in named.items()},
        "tiers": tiers,
        "errors": [],
        "metrics_equal": True,
    } | given  # fmt: skip
