"""A day of dashboards replayed: how many of all reads of segments reach DynamoDB, behind memory and DAX."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from recount.periods import day_span_ms, days_between
from recount.querying.answers import Answerer
from recount.querying.query import Query, Span
from recount.store.catalog import Site
from recount.store.manifests import Manifests
from recount.store.segments import SegmentStore
from recount.store.table import Reads
from recount.store.tables import Tables
from tests.bench.rows import Row
from tests.bench.stacks import own_stack, tables_behind_dax
from tests.publishing import Press
from tests.rollups import hour_rollup

SITES: Final = {name: Site(id=name, domain=f"{name}.example") for name in (f"s{n}" for n in range(12))}
SLOTS: Final = 4
DAY: Final = "2026-11-22"
HISTORY: Final = days_between("2026-10-24", "2026-11-21")
VIEWS: Final = 60  # an hour
INSTANCES: Final = 2
RESTARTED_AT: Final = 12  # both begin with nothing in memory
RANGES: Final = (("2026-11-16", 45), (DAY, 25), ("2026-10-24", 25), ("2026-11-01", 5))
FROM_CACHE_MIN: Final = 0.95
HIT: Final = 'dax_cache_hits_total{cache="item"}'
MISS: Final = 'dax_cache_misses_total{cache="item"}'


@dataclass
class Day:
    """What was read so far: pages, and the segments that they are made of."""

    pages: int = 0
    segments: int = 0


def measure(*, large: bool) -> list[Row]:
    """Every hour is published, then pages are asked for by zipf's law."""
    with own_stack() as stack, tables_behind_dax(stack, "replay-") as (tables, through):
        through.get_many([("warm", "up")])  # connects beside the first reads
        day = _replay(stack.folder, tables, through)
        node = _counts(f"{stack.urls['dax']}/metrics")
        return [_row(day, node)]


def _replay(folder: Path, tables: Tables, through: Reads) -> Day:
    press = Press(folder / "press", tables.rollups, tables.manifests, SITES, slots=SLOTS)
    press.publish({f"{day}T10": hour_rollup(f"{day}T10", SITES) for day in HISTORY})
    rng = random.Random(1)
    done = Day()
    instances: list[Answerer] = []
    for n in range(24):
        hour = f"{DAY}T{n:02d}"
        if n in (0, RESTARTED_AT):
            instances = [_answerer(tables, through) for _ in range(INSTANCES)]
        press.publish({hour: hour_rollup(hour, SITES)})
        for _ in range(VIEWS):
            _view(rng.choice(instances), rng, done)
    return done


def _answerer(tables: Tables, through: Reads) -> Answerer:
    now_ms = day_span_ms(DAY, "UTC")[1] + 1
    segments = SegmentStore(tables.rollups, SLOTS, through=through)
    return Answerer(
        Manifests(tables.manifests), segments, site_slots=SLOTS, root_kept_s=0, now_ms=lambda: now_ms
    )


def _view(answerer: Answerer, rng: random.Random, done: Day) -> None:
    names = list(SITES)
    site = rng.choices(names, [1 / (n + 1) for n in range(len(names))])[0]
    first = rng.choices([name for name, _ in RANGES], [share for _, share in RANGES])[0]
    span = Span(first, DAY)
    asked = [Query(span), Query(span, interval="day"), Query(span.before())]
    asked += [Query(span, dimensions=(name,), limit=10) for name in ("page", "source")]
    done.segments += len(answerer.answer_many(SITES[site], asked).used)
    done.pages += 1


def _counts(url: str) -> dict[str, float]:
    lines = httpx.get(url, trust_env=False).text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith((HIT, MISS)))
    return {name: float(value) for name, value in pairs}


def _row(day: Day, node: dict[str, float]) -> Row:
    share = 1 - node[MISS] / day.segments
    return Row(
        name="segments of a replayed day not read from DynamoDB",
        ours=round(share * 100, 1),
        unit="%",
        target=f"at least {FROM_CACHE_MIN * 100:.0f}",
        ok=share >= FROM_CACHE_MIN,
        conditions=f"replay: {day.pages:,} pages of {len(SITES)} sites, {day.segments:,} segments, "
        f"24 publications, {INSTANCES} dashboards, restarted once; {node[HIT]:,.0f} from DAX, "
        f"{node[MISS]:,.0f} from DynamoDB",
    )
