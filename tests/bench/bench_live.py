"""The live service on one core: from Kafka values to the live state, and a question to it."""

from __future__ import annotations

import json
import time
from typing import Final

import polars as pl

from recount.columns import decode
from recount.counting.fold import fold
from recount.counting.visits import cut
from recount.interpret import Interpreter
from recount.periods import MINUTE_MS
from streaming.answers import BUCKET_MS, SERIES_MS, Window, answer
from streaming.pipeline import Pipeline
from streaming.places import places_of
from streaming.sites import SitesCache
from streaming.state import LiveState
from tests.bench import generate, one_core
from tests.bench.rows import Row
from tests.bench.values import PARTITIONS, in_partitions, values

BATCH: Final = 100_000
BATCHES: Final = 6
SMALL: Final = 3_000  # 0.3 s at 10,000 events/s
TARGET_RATE: Final = 200_000
BUSIEST: Final = "site0000"


def measure(*, large: bool) -> list[Row]:
    found = one_core.run("tests.bench.bench_live")
    count, sites = f"{BATCH * BATCHES:,} events", f"{generate.SITES:,} sites"
    conditions = f"live: {count} of {sites} within a minute, batches of {BATCH:,}, one core"
    return [
        Row(
            name="live fold (cut and fold of a batch)",
            ours=found["fold"],
            unit="events/s a core",
            target=f"at least {TARGET_RATE:,}",
            ok=found["fold"] >= TARGET_RATE,
            conditions=conditions,
        ),
        Row(name="decode", ours=found["decode"], unit="events/s a core", conditions=conditions),
        Row(
            name="live, Kafka value to state",
            ours=found["take"],
            unit="events/s a core",
            conditions=conditions,
        ),
        Row(
            name="live, compaction beside it",
            ours=found["compact"],
            unit="events/s a core",
            conditions=conditions,
        ),
        Row(
            name=f"live, batches of {SMALL:,}",
            ours=found["small"],
            unit="events/s a core",
            conditions=conditions,
        ),
        Row(name="live answer, busiest site", ours=found["answer_ms"], unit="ms", conditions=conditions),
    ]


def main() -> None:
    sites = generate.sites()
    events = in_partitions(generate.events(BATCH * BATCHES, span_ms=MINUTE_MS))
    encoded, places = values(events), events.select("topic", "partition", "offset")
    moments = events["ts"].to_list()
    interpreter = Interpreter()
    batch = events[:BATCH]

    def counted() -> None:
        done = cut(batch, None, 0)
        fold(done.events, done.ends, sites, interpreter, series_ms=SERIES_MS, bucket_ms=BUCKET_MS)

    counted()
    found = {
        "fold": one_core.best_rate(BATCH, counted),
        "decode": one_core.best_rate(BATCH, lambda: decode(encoded[:BATCH], places[:BATCH])),
    }
    state = LiveState()
    pipeline = Pipeline(state, SitesCache(lambda: sites))
    pipeline.warm_up()
    taking = compacting = 0.0
    for first in range(0, len(encoded), BATCH):
        started = time.process_time()
        pipeline.take(encoded[first : first + BATCH], places[first : first + BATCH], 0, moments[first])
        taken = time.process_time()
        taking += taken - started
    started = time.process_time()
    state.add(state.runs[0].rollup)
    state.add(state.runs[0].rollup)
    state.compact(0)
    compacting = time.process_time() - started
    found |= {"take": len(encoded) / taking, "compact": BATCH * (BATCHES + 2) / compacting}
    found["answer_ms"] = 1000 / one_core.best_rate(1, lambda: _ask(state, moments[-1]))
    found["small"] = _small(Pipeline(LiveState(), SitesCache(lambda: sites)), encoded, places)
    print(json.dumps(found))


def _ask(state: LiveState, now_ms: int) -> None:
    window = Window(now_ms)
    answer(state.of_site(BUSIEST, places_of(BUSIEST, range(PARTITIONS)), window.from_ms), window)


def _small(pipeline: Pipeline, encoded: list[bytes], places: pl.DataFrame) -> float:
    pipeline.warm_up()
    started = time.process_time()
    for first in range(0, 20 * SMALL, SMALL):
        pipeline.take(encoded[first : first + SMALL], places[first : first + SMALL], 0, 0)
    return 20 * SMALL / (time.process_time() - started)


if __name__ == "__main__":
    main()
