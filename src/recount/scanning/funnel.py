"""Funnels: how many get from step to step, in order, within a visit or within some days."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

import numpy as np
import polars as pl

from recount.counting.coding import Ints
from recount.counting.rollup import VERDICT
from recount.errors import InvalidInput
from recount.interpret import bots
from recount.periods import HOUR_MS
from recount.querying.query import Filter, Span
from recount.rules import goals_of
from recount.scanning.dimensions import Lookup, facts_of, is_of_visits, is_ruled
from recount.scanning.gate import Stop, never
from recount.scanning.reading import Columns
from recount.scanning.scanner import Found, Piece, Scanner
from recount.scanning.valued import Rows
from recount.store.catalog import NO_COMMON, Site

Kind = Literal["page", "event", "goal"]

STEPS_MIN: Final = 2
STEPS_MAX: Final = 10
WINDOW_MAX_DAYS: Final = 90
KINDS: Final = ("page", "event", "goal")
STEP_MAX_CHARS: Final = 2_000
_COLUMNS: Final = (
    *("visitor", "visit_start", "ts", "position", "kind", "name", "url"),
    *("pageviews_before", "events_before"),
)
_BEGINS: Final = (pl.col("pageviews_before") == 0) & (pl.col("events_before") == 0)
_OF_KIND: Final[dict[Kind, pl.Expr]] = {
    "page": pl.col("kind") == "pageview",
    "event": pl.col("kind") == "event",
    "goal": pl.col("kind") != "engagement",
}
_IS_HUMAN: Final = Filter(VERDICT, "equals", (bots.HUMAN,))
_DAYS: Final = re.compile(r"(\d{1,3})d")
_DAY_MS: Final = 24 * HOUR_MS


@dataclass(frozen=True)
class Step:
    """A view of a page, an event, or a goal reached; `*` in a pattern is any text."""

    kind: Kind
    pattern: str

    @property
    def filter(self) -> Filter:
        return Filter(self.kind, "matches", (self.pattern,))

    @property
    def name(self) -> str:
        return self.pattern if self.kind == "page" else f"{self.kind}:{self.pattern}"


@dataclass(frozen=True)
class Funnel:
    """`window_days`: from the first step to the last; None: within one visit."""

    span: Span
    zone: str
    steps: tuple[Step, ...]
    window_days: int | None = None
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True)
class Reached:
    """Who got to a step after all those before it; `visits` is None where a window is longer than a visit.
    `median_ms`: from the first step to this one."""

    step: Step
    visitors: int
    visits: int | None
    median_ms: int | None

    @property
    def people(self) -> int:
        """What conversion is computed of: visits, or visitors over several of them."""
        return self.visitors if self.visits is None else self.visits


@dataclass(frozen=True)
class Answer:
    """`visits`: those that began in the range and pass the filters, whether or not they took any step."""

    steps: tuple[Reached, ...]
    visits: int
    published_until_ms: int | None
    bytes: int


def funnel_of(
    site: Site,
    span: Span,
    zone: str,
    steps: object,
    window: object,
    filters: tuple[Filter, ...],
    common: Site = NO_COMMON,
) -> Funnel:
    """A funnel as it is asked for, checked, given what holds on all sites.

    Raises InvalidInput naming the field at fault.
    """
    for index, one in enumerate(filters):
        if not is_of_visits(one.dimension):
            raise InvalidInput(
                f"a funnel is filtered by dimensions of whole visits; make {one.dimension} a step",
                field=f"filters[{index}].dimension",
            )
    if not isinstance(steps, list) or not STEPS_MIN <= len(steps) <= STEPS_MAX:
        raise InvalidInput(f"a funnel has {STEPS_MIN} to {STEPS_MAX} steps, in order", field="steps")
    parsed = tuple(_step(given, f"steps[{index}]") for index, given in enumerate(steps))
    known = {goal.name for goal in goals_of(site.goals, common.goals)}
    for index, step in enumerate(parsed):
        if step.kind == "goal" and "*" not in step.pattern and step.pattern not in known:
            names = ", ".join(sorted(known)) or "none yet"
            raise InvalidInput(
                f"{site.id} has no goal {step.pattern!r}; known: {names}", field=f"steps[{index}]"
            )
    return Funnel(span, zone, parsed, _window(site, window), filters)


def count(scanner: Scanner, site: Site, funnel: Funnel, is_gone: Callable[[], bool] = never) -> Answer:
    """Raises what scans raise."""
    names, common = (VERDICT, *(one.dimension for one in funnel.filters)), scanner.common()
    facts = (column for name in names for column in facts_of(name, ruled=is_ruled(site, common)))
    columns = Columns(tuple(dict.fromkeys((*_COLUMNS, *facts))))

    def scan(found: Found, stop: Stop) -> Answer:
        def take(piece: Piece) -> tuple[pl.DataFrame, int]:
            chunks = scanner.chunks(site, piece.hours, columns, stop)
            return _Taking(funnel, piece.lookup).take(chunk.events for chunk in chunks)

        parts = list(scanner.each(site, common, found.hours, take))
        taken = pl.concat([_nothing(funnel), *(rows for rows, _ in parts)])
        reached = _reached(funnel, taken)
        return Answer(reached, sum(visits for _, visits in parts), found.published.until_ms, found.bytes)

    return scanner.scan("funnel", site, funnel.span.bounds_ms(funnel.zone), columns, scan, is_gone)


class _Taking:
    """Picks the events that are steps. Safe to share between threads."""

    def __init__(self, funnel: Funnel, lookup: Lookup) -> None:
        self._funnel = funnel
        self._lookup = lookup
        self._start_ms, self._end_ms = funnel.span.bounds_ms(funnel.zone)

    def take(self, chunks: Iterable[pl.DataFrame]) -> tuple[pl.DataFrame, int]:
        """The events that are any of the steps, with a flag for each, and how many visits began."""
        taken, begun = [_nothing(self._funnel)], 0
        for events in chunks:
            if not events.is_empty():
                rows = self._of_asked(events)
                begun += int(rows.flags(_BEGINS).sum())
                taken.append(self._steps(rows.shown()))
        return pl.concat(taken), begun

    def _of_asked(self, events: pl.DataFrame) -> Rows:
        """The pageviews and custom events of humans in the range whose visits pass the filters."""
        inside = pl.col("ts").is_between(self._start_ms, self._end_ms, closed="left")
        rows = Rows.of(events, self._lookup).where(inside & (pl.col("kind") != "engagement"))
        return rows.fitting((*self._funnel.filters, _IS_HUMAN))

    def _steps(self, rows: Rows) -> pl.DataFrame:
        """Those of the rows that are any of the steps."""
        wanted = {step.kind for step in self._funnel.steps}
        places = {kind: np.flatnonzero(rows.flags(_OF_KIND[kind])) for kind in wanted}
        of_kind = {kind: rows.at_rows(where) for kind, where in places.items()}
        flags = {}
        for name, step in zip(_flags(self._funnel), self._funnel.steps, strict=True):
            flags[name] = np.zeros(len(rows), dtype=np.bool_)
            flags[name][places[step.kind][of_kind[step.kind].fits(step.filter)]] = True
        taken = np.flatnonzero(np.logical_or.reduce(list(flags.values())))
        schema = _nothing(self._funnel).schema
        moments = rows.at_rows(taken).gathered([name for name in schema if name not in flags])
        return moments.with_columns(pl.Series(name, flags[name][taken]) for name in flags).cast(schema)


def _flags(funnel: Funnel) -> list[str]:
    return [f"step{number}" for number in range(len(funnel.steps))]


def _nothing(funnel: Funnel) -> pl.DataFrame:
    moments = {"visitor": pl.UInt64(), **dict.fromkeys(("visit_start", "ts", "position"), pl.Int64())}
    return pl.DataFrame(schema=moments | dict.fromkeys(_flags(funnel), pl.Boolean()))


def _reached(funnel: Funnel, taken: pl.DataFrame) -> tuple[Reached, ...]:
    """Each step's events that come after one of the step before, by the same visit (or visitor, in time).

    Of several ways to a step the one that began last is gone on with: it leaves most of the window.
    """
    of_visit = funnel.window_days is None
    who = ("visitor", "visit_start") if of_visit else ("visitor",)
    rows = taken.sort(*who, "ts", "visit_start", "position")
    person, visitor = _numbers(rows, who), _numbers(rows, ("visitor",))
    ts = rows["ts"].to_numpy()
    window_ms = _DAY_MS * (funnel.window_days or 0)
    found: list[Reached] = []
    at = begun = np.empty(0, dtype=np.int64)
    for number, step in enumerate(funnel.steps):
        here = np.flatnonzero(rows[f"step{number}"].to_numpy())
        if number == 0:
            at, begun = here, ts[here]
        else:
            at, begun = _after(here, person, at, begun)
            if not of_visit:
                near = ts[at] - begun <= window_ms
                at, begun = at[near], begun[near]
        people, first = np.unique(person[at], return_index=True)
        took = (ts[at] - begun)[first]
        visits = len(people) if of_visit else None
        median = int(np.median(took)) if len(took) else None
        found.append(Reached(step, len(np.unique(visitor[at])), visits, median))
    return tuple(found)


def _after(here: Ints, person: Ints, at: Ints, begun: Ints) -> tuple[Ints, Ints]:
    """Those of the rows `here` whose person was `at` the step before, and when that way began."""
    before = np.searchsorted(at, here, side="left") - 1
    rows = np.flatnonzero(before >= 0)
    rows = rows[person[at[before[rows]]] == person[here[rows]]]
    return here[rows], begun[before[rows]]


def _numbers(rows: pl.DataFrame, keys: Sequence[str]) -> Ints:
    """A number for each value of the keys that rows are sorted by."""
    new = pl.any_horizontal(pl.col(key) != pl.col(key).shift() for key in keys).fill_null(False)
    return rows.select(new.cast(pl.Int64).cum_sum()).to_series().to_numpy()


def _step(given: object, field: str) -> Step:
    """`/pricing`, `event:Signup`, `goal:Bought`, or an object with one of these names."""
    kind, pattern = "", given
    if isinstance(given, dict) and len(given) == 1:
        [(kind, pattern)] = given.items()
    elif isinstance(given, str):
        name, colon, rest = given.partition(":")
        kind, pattern = (name, rest) if colon and name in KINDS else ("page", given)
    if kind not in KINDS or not isinstance(pattern, str) or not 1 <= len(pattern) <= STEP_MAX_CHARS:
        raise InvalidInput(
            "a step is a page such as '/pricing*', 'event:Signup' or 'goal:Bought'", field=field
        )
    if kind == "page" and not pattern.startswith(("/", "*")):
        raise InvalidInput(
            f"a page begins with / or *; an event is asked for as 'event:{pattern}'", field=field
        )
    return Step(cast("Kind", kind), pattern)


def _window(site: Site, given: object) -> int | None:
    if given is None or given == "visit":
        return None
    days = _DAYS.fullmatch(given) if isinstance(given, str) else None
    if days is None or not 1 <= int(days[1]) <= WINDOW_MAX_DAYS:
        raise InvalidInput(f"a window is 'visit' or days from '1d' to '{WINDOW_MAX_DAYS}d'", field="window")
    if int(days[1]) > 1 and site.identity == "daily_hash":
        raise InvalidInput(
            f"{site.id} knows its visitors for one day only: they cannot be followed longer than '1d'; sites "
            "with first-party ids can",
            field="window",
        )
    return int(days[1])
