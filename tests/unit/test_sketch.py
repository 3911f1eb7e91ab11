"""Visitor sets: exact where promised, close beyond, and the same in any order."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from recount.counting import sketch


def counted(sets: pl.Series) -> list[int]:
    return sets.to_frame("v").select(sketch.count(pl.col("v"))).to_series().to_list()


def of(hashes: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> pl.Series:
    return sketch.as_sets(*sketch.lowest(np.sort(hashes), np.zeros(len(hashes), dtype=np.int64), 1))


@pytest.mark.parametrize("visitors", [0, 1, sketch.EXACT_MAX - 1, sketch.EXACT_MAX])
def test_up_to_the_limit_the_count_is_exact(visitors: int) -> None:
    hashes = np.random.default_rng(1).integers(0, 2**64, visitors, dtype=np.uint64)
    assert counted(of(hashes)) == [visitors]


def test_beyond_the_limit_it_is_an_estimate() -> None:
    errors = []
    for seed in range(40):
        hashes = np.random.default_rng(seed).integers(0, 2**64, 100_000, dtype=np.uint64)
        found = of(hashes)
        assert found.list.len().item() == sketch.K
        assert not found.to_frame("v").select(sketch.is_exact(pl.col("v"))).item()
        errors.append(counted(found)[0] / 100_000 - 1)
    assert np.std(errors) < 0.022  # 1.56 % expected; the deviation of 40 draws itself varies by a ninth
    assert abs(np.mean(errors)) < 0.008


def test_repeats_count_once() -> None:
    hashes = np.array([1, 1, 2, 2, 2, 2], dtype=np.uint64)
    of_set = np.array([0, 0, 0, 2, 2, 2])
    assert sketch.as_sets(*sketch.lowest(hashes, of_set, 4)).to_list() == [[1, 2], [], [2], []]


def test_union_of_cut_sets_is_the_cut_of_the_union() -> None:
    rng = np.random.default_rng(5)
    parts = [np.unique(rng.integers(0, 2**64, n, dtype=np.uint64)) for n in (9_000, 10, 5_000)]
    sets = pl.Series([part[: sketch.K] for part in parts], dtype=sketch.SET)
    together = sketch.union(sets, np.array([1, 1, 1]), 2)
    assert together.to_list() == [[], np.unique(np.concatenate(parts))[: sketch.K].tolist()]


def test_the_largest_hash_is_a_hash_like_others() -> None:
    hashes = np.array([0, 2**63, 2**64 - 1], dtype=np.uint64)
    assert sketch.union(pl.Series([hashes.tolist()], dtype=sketch.SET), np.array([0]), 1).to_list() == [
        hashes.tolist()
    ]


def test_order_is_stable_also_where_numbers_do_not_fit() -> None:
    keys = np.array([2**62, 5, 2**62, 5, 0])
    assert sketch.stable_order(keys, 2**62 + 1).tolist() == [4, 1, 3, 0, 2]
    assert sketch.stable_order(np.array([1, 0, 1, 0]), 2).tolist() == [1, 3, 0, 2]


def test_sets_are_made_without_pandas() -> None:
    """A run starts a process of its own, in which importing pandas would take longer than a small hour."""
    asked = (
        "import sys; import numpy as np; from recount.counting import sketch; "
        "sketch.as_sets(np.arange(3, dtype=np.uint64), np.array([2, 1])); sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
