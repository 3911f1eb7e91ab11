"""The cut and the fold of one busy hour, beside what chdb and DuckDB need for part of it.

The peers count events and distinct visitors of nine (site, quarter hour, raw column) sets over the same
Parquet file; ours reads it, interprets every fact and makes the whole rollup: all dimensions, metrics and
visitor sets.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypeVar

import polars as pl

from recount.counting.fold import fold, merge, truncate
from recount.counting.visits import Cut, cut
from recount.interpret import Interpreter
from recount.periods import HOUR_MS, QUARTER_MS, hour_start_ms
from tests.bench import generate
from tests.bench.rows import Row

EVENTS: Final = 5_000_000
ROUNDS: Final = 2
TOP_VALUES: Final = 1_000
TARGET_S: Final = 10.0
SETS: Final = ("''", "url", "referrer", "ua", "lang", "screen", "country", "region", "kind")
PEERS: Final = ("chdb", "duckdb")

T = TypeVar("T")


def measure(*, large: bool) -> list[Row]:
    del large  # the large hour is measured with its files, in bench_hour
    threads = pl.thread_pool_size()
    conditions = f"fold: {EVENTS:,} events, {generate.SITES:,} sites, one hour, {threads} threads"
    done, cut_s = _cut_hour()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.parquet"
        done.events.write_parquet(path, compression="zstd", compression_level=1)
        sites, interpreter = generate.sites(), Interpreter()
        rollup, fold_s = _best(lambda: fold(pl.read_parquet(path), done.ends, sites, interpreter))
        _, merge_s = _best(lambda: truncate(merge([rollup, rollup]), TOP_VALUES))
        peers = [_peer(name, path, fold_s, conditions) for name in PEERS]
    rows = rollup.rows.height
    return [
        Row(
            name="cut and fold (reading Parquet)",
            ours=EVENTS / (cut_s + fold_s),
            unit="events/s",
            target=f"at least {EVENTS / TARGET_S:,.0f}",
            ok=cut_s + fold_s <= TARGET_S,
            conditions=conditions,
        ),
        Row(name="cut into visits", ours=EVENTS / cut_s, unit="events/s", conditions=conditions),
        Row(
            name=f"merge and truncate 2 x {rows:,} rows",
            ours=2 * rows / merge_s,
            unit="rows/s",
            conditions=conditions,
        ),
        *peers,
    ]


def _cut_hour() -> tuple[Cut, float]:
    """The hour in visits, and the seconds it took."""
    events = generate.events(EVENTS)
    until = hour_start_ms(generate.HOUR) + HOUR_MS
    return _best(lambda: cut(events, None, until))


def _best(work: Callable[[], T]) -> tuple[T, float]:
    """The result, and the wall seconds of the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return result, best


def _peer(name: str, path: Path, ours_s: float, conditions: str) -> Row:
    row = Row(name="fold, every dimension", ours=EVENTS / ours_s, unit="events/s", conditions=conditions)
    if find_spec(name) is None:
        return replace(row, peer=f"{name} is not installed")
    _, peer_s = _best(lambda: [_asked(name, path, column) for column in SETS])
    return replace(row, peer=f"{name}, nine group-bys", peer_value=EVENTS / peer_s)


def _asked(name: str, path: Path, column: str) -> object:
    """One group-by, its rows fetched."""
    source = f"file('{path}', 'Parquet')" if name == "chdb" else f"read_parquet('{path}')"
    quarter = f"intDiv(ts, {QUARTER_MS})" if name == "chdb" else f"ts // {QUARTER_MS}"
    counts = "count(*), count(DISTINCT visitor)"
    query = f"SELECT site, {quarter} AS q, {column} AS v, {counts} FROM {source} GROUP BY 1, 2, 3"
    peer = import_module(name)
    return peer.query(query, "Arrow") if name == "chdb" else peer.sql(query).to_arrow_table()
