"""The hashes of the split are published algorithms, whose values never change."""

import numpy as np
import polars as pl

from pantheon.workflow.data.hashing import below, fnv1a, hash64, mix


def test_splitmix64_gives_its_published_values() -> None:
    # The first outputs of splitmix64.c from the seed 0: the state advances by the golden gamma each time.
    states = np.arange(3, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert [hex(word) for word in mix(states)] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4", "0x6c45d188009454f"]


def test_fnv1a_gives_its_published_values() -> None:
    texts = [b"", b"a", b"foobar"]
    assert [hex(word) for word in fnv1a(texts)] == ["0xcbf29ce484222325", "0xaf63dc4c8601ec8c", "0x85944171f73967e8"]


def test_the_hash_of_a_text_does_not_depend_on_other_texts() -> None:
    long = "x" * 200
    alone = [hash64(pl.Series([text]))[0] for text in ("a", "robot-7", "žluťoučký", long, "a\0")]
    together = hash64(pl.Series(["a", "robot-7", "žluťoučký", long, "a\0"]))
    assert together.tolist() == alone
    assert len(set(together.tolist())) == 5


def test_hashes_are_distributed_evenly() -> None:
    for values in (pl.Series(range(100_000)), pl.Series([f"customer-{n}" for n in range(100_000)])):
        share = float((hash64(values) < below(0.2)).mean())
        assert abs(share - 0.2) < 0.005
