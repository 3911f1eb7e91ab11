"""Event sequences for tests of visits and folds, and the plain-Python oracles they are held against."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl
from hypothesis import strategies as st

from recount.counting.visits import ENTRY_FACTS, Cut
from recount.event import EVENT_SCHEMA
from recount.periods import HOUR_MS, MINUTE_MS, hour_start_ms

Row = dict[str, Any]

START: Final = hour_start_ms("2026-11-22T09")
SILENCE_MS: Final = 30 * MINUTE_MS
VISIT_MAX_MS: Final = 12 * HOUR_MS
FIREFOX: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
SAFARI: Final = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)
GOOGLEBOT: Final = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

_GAPS_MS: Final = (
    *(0, 0, 1, 1_000, 40_000, 5 * MINUTE_MS, 20 * MINUTE_MS),
    *(SILENCE_MS - 1, SILENCE_MS, SILENCE_MS + 1, HOUR_MS, 11 * HOUR_MS),
)


def event(**given: Any) -> Row:
    """A pageview on `demo` at START; `at` is in ms from there."""
    at = given.pop("at", 0)
    fields: Row = {
        **{"topic": "events", "partition": 0, "offset": 0, "v": 1, "id": "e", "spool": "s", "seq": 0},
        **{"site": "demo", "ts": START + at, "received": START + at + 5, "kind": "pageview", "visitor": 1},
        **{"source_kind": "tracker", "url": "https://demo.example/", "ua": FIREFOX, "ts_clamped": False},
    }
    return fields | given


def frame(rows: Iterable[Row]) -> pl.DataFrame:
    """EVENT_SCHEMA; rows without a number get theirs."""
    numbered = [row | {"seq": row["seq"] or n, "offset": row["offset"] or n} for n, row in enumerate(rows, 1)]
    return pl.DataFrame(numbered, schema=dict(EVENT_SCHEMA))


@st.composite
def sequences(draw: st.DrawFn, *, size: int = 40) -> list[Row]:
    """Events in order of time, with gaps around every limit; long visits are as likely as short ones."""
    gaps = draw(st.sampled_from([_GAPS_MS, (25 * MINUTE_MS, SILENCE_MS - 1), (HOUR_MS, 5 * MINUTE_MS)]))
    drawn = draw(st.lists(st.tuples(st.sampled_from(gaps), _facts()), max_size=size))
    rows, at = [], draw(st.integers(0, HOUR_MS))
    for number, (gap, facts) in enumerate(drawn, 1):
        at += gap
        rows.append(event(at=at, seq=number, offset=number, id=f"e{number}", **facts))
    return rows


def _facts() -> st.SearchStrategy[Row]:
    return st.fixed_dictionaries(
        {
            "visitor": st.sampled_from([1, 1, 1, 2, 2**64 - 1]),
            "site": st.sampled_from(["demo", "demo", "other"]),
            "url": st.sampled_from(
                [None, "https://demo.example/a?utm_source=news", "https://demo.example/b", "/c"]
            ),
            "referrer": st.sampled_from([None, "https://www.google.com/", "https://demo.example/b"]),
            "ua": st.sampled_from([FIREFOX, FIREFOX, SAFARI, GOOGLEBOT, None]),
            "country": st.sampled_from([None, "DE"]),
            "network": st.sampled_from([None, "residential", "hosting"]),
        }
    ).flatmap(lambda facts: _acts().map(lambda act: facts | act))


def _acts() -> st.SearchStrategy[Row]:
    engaged = st.fixed_dictionaries(
        {
            "kind": st.just("engagement"),
            "engaged_ms": st.one_of(st.none(), st.integers(0, 10**6)),
            "scroll_percent": st.one_of(st.none(), st.integers(0, 100)),
        }
    )
    custom = st.fixed_dictionaries(
        {
            "kind": st.just("event"),
            "name": st.sampled_from(["signup", "outbound", "play"]),
            "props": st.sampled_from([None, '{"url":"https://x.example/"}', '{"plan":"p1","n":2}']),
            "revenue_amount": st.sampled_from([None, "12.34", "-0.000001"]),
        }
    ).map(lambda act: act | {"revenue_currency": act["revenue_amount"] and "EUR"})
    return st.one_of(st.just({"kind": "pageview"}), engaged, custom)


@st.composite
def splits(draw: st.DrawFn, *, size: int = 40) -> tuple[list[Row], list[int]]:
    """A sequence and the places where batches begin (besides the first)."""
    rows = draw(sequences(size=size))
    places = draw(st.lists(st.integers(0, len(rows)), max_size=5))
    return rows, sorted(places)


@dataclass
class Visit:
    """A visit as the oracle sees it: its events in order."""

    events: list[Row] = field(default_factory=list)

    @property
    def start(self) -> int:
        return int(self.events[0]["ts"])

    @property
    def last(self) -> int:
        return int(self.events[-1]["ts"])

    @property
    def end_at(self) -> int:
        return min(self.last + SILENCE_MS, self.start + VISIT_MAX_MS)

    def takes(self, ts: int) -> bool:
        return ts < self.end_at

    def seen(self, kind: str) -> int:
        return sum(event["kind"] == kind for event in self.events)


def visits_of(rows: Sequence[Row]) -> dict[tuple[str, int], list[Visit]]:
    """The visits of each (site, visitor), by the definition, one event after another."""
    found: dict[tuple[str, int], list[Visit]] = defaultdict(list)
    for row in sorted(rows, key=lambda r: (r["ts"], r["received"], r["spool"], r["seq"])):
        of_visitor = found[row["site"], row["visitor"]]
        if not of_visitor or not of_visitor[-1].takes(row["ts"]):
            of_visitor.append(Visit())
        of_visitor[-1].events.append(row)
    return found


def expected_cut(rows: Sequence[Row], until_ms: int) -> tuple[list[Row], list[Row], list[Row]]:
    """What `cut` gives: facts of each event's visit, ends, carry; each ordered as `cut` orders it."""
    events: list[Row] = []
    ends: list[Row] = []
    carry: list[Row] = []
    for key, visits in sorted(visits_of(rows).items()):
        for visit in visits:
            events += _described(visit)
            summary = {"site": key[0], "visitor": key[1], **_summary(visit)}
            if visit.end_at <= until_ms or visit is not visits[-1]:
                ends.append(summary | {"end_at": visit.end_at})
            else:
                carry.append(summary)
    return events, ends, carry


def _entry(visit: Visit) -> Row:
    return {f"entry_{fact}": visit.events[0].get(fact) for fact in ENTRY_FACTS}


def _described(visit: Visit) -> list[Row]:
    return [
        {
            "id": event["id"],
            "visit_start": visit.start,
            "position": number + 1,
            "pageviews_before": Visit(visit.events[:number]).seen("pageview"),
            "events_before": Visit(visit.events[:number]).seen("event"),
            **_entry(visit),
        }
        for number, event in enumerate(visit.events)
    ]


def _summary(visit: Visit) -> Row:
    viewed = [event.get("url") for event in visit.events if event["kind"] == "pageview"]
    return {
        "start": visit.start,
        "last": visit.last,
        "position": len(visit.events),
        "pageviews": visit.seen("pageview"),
        "events": visit.seen("event"),
        "engaged_ms": sum(event.get("engaged_ms") or 0 for event in visit.events),
        **_entry(visit),
        "exit_url": viewed[-1] if viewed else None,
    }


def rows_of(cut: Cut) -> tuple[list[Row], list[Row], list[Row]]:
    """A cut in the shape of `expected_cut`."""
    described = ("id", "visit_start", "position", "pageviews_before", "events_before")
    entry = [f"entry_{fact}" for fact in ENTRY_FACTS]
    return cut.events.select(*described, *entry).to_dicts(), cut.ends.to_dicts(), cut.carry.to_dicts()


def as_dicts(rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Rows with their fields in one order, to compare."""
    return [dict(sorted(row.items())) for row in rows]
