"""Metrics in the text format that Prometheus reads."""

import re

from serving.inference.metrics import BUCKETS, Metrics

LINE = re.compile(r'[a-z_]+(\{([a-z]+="([^"\\\n]|\\.)*",?)*\})? [0-9.e+-]+')


def test_every_line_is_a_comment_or_a_sample() -> None:
    metrics = Metrics()
    metrics.answered('a"b\\c\nd', "1", "predict", 200, 0.0003, 5)
    metrics.count("unlogged")
    text = metrics.text({"pantheon_keys": ("API keys.", [((), 2.0)])})
    assert text.endswith("\n")
    for line in text.splitlines():
        assert line.startswith("# ") or LINE.fullmatch(line), line
    assert 'model="a\\"b\\\\c\\nd"' in text
    assert 'pantheon_events_total{kind="unlogged"} 1' in text
    assert "pantheon_keys 2.0" in text


def test_buckets_are_cumulative() -> None:
    metrics = Metrics()
    for seconds in (0.0001, 0.0003, 0.0003, 100.0):
        metrics.answered("robots", "1", "predict", 200, seconds, 1)
    found = re.findall(r'request_seconds_bucket\{.*le="(.*)"\} (\d+)', metrics.text({}))
    assert [bound for bound, _ in found] == [*map(repr, BUCKETS), "+Inf"]
    counts = [int(count) for _, count in found]
    assert counts[:2] == [1, 3]
    assert counts[-2:] == [3, 4]
    assert counts == sorted(counts)
