"""Visits in pieces: slices (a visit within one step of time), then the ends of visits.

What is true of a visit as a whole is counted once for all of its pieces within one bucket: a row of visits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recount.counting.coding import ABSENT, Coded, Ints, Numbers, changes, person_keys, together
from recount.counting.grouping import Facts, Metrics, Visitors
from recount.counting.rows import Rows
from recount.counting.visits import ENTRY_SCHEMA


@dataclass(frozen=True)
class Slices:
    """start: first event of each slice; of_event: the slice of each event."""

    start: Ints
    of_event: Ints

    @property
    def count(self) -> int:
        return len(self.start)


def slices_of(events: Rows, step_ms: int) -> Slices:
    keys = (events.number(name) for name in ("visitor", "visit_start"))
    begins = changes(events.site.codes, *keys, events.number("ts") // step_ms)
    return Slices(np.flatnonzero(begins), np.cumsum(begins) - 1)


@dataclass(frozen=True)
class Pieces:
    """Of each piece: when it happened, by whom, when its visit began, and what the visit's first event said
    (ENTRY_SCHEMA). url: of each event, exit_url: of each end, both by the values of `entry_url`."""

    slices: int
    site: Coded
    visitor: Visitors
    start: Ints
    at: Ints
    entry: dict[str, Coded]
    url: Coded
    exit_url: Coded


def pieces_of(events: Rows, ends: Rows, slices: Slices) -> Pieces:
    def both(of_event: str, of_end: str) -> Numbers:
        return np.concatenate([events.number(of_event)[slices.start], ends.number(of_end)])

    site = np.concatenate([events.site.codes[slices.start], ends.site.codes])
    at = both("ts", "end_at")
    at[slices.count :] -= 1
    url, exit_url, entry_url = _coded(
        [events.text("url")], [ends.text("exit_url")], _entry(events, ends, slices, "entry_url")
    )
    others = (name for name in ENTRY_SCHEMA if name != "entry_url")
    return Pieces(
        slices=slices.count,
        site=Coded(site, events.site.values),
        visitor=both("visitor", "visitor"),
        start=both("visit_start", "start"),
        at=at,
        entry={"entry_url": entry_url}
        | {name: _coded(_entry(events, ends, slices, name))[0] for name in others},
        url=url,
        exit_url=exit_url,
    )


def _entry(events: Rows, ends: Rows, slices: Slices, name: str) -> list[Coded]:
    return [events.text(name, slices.start), ends.text(name)]


def _coded(*columns: list[Coded]) -> list[Coded]:
    """Columns in parts, by the same values."""
    parts = iter(together([part for column in columns for part in column]))
    found = [[next(parts) for _ in column] for column in columns]
    return [Coded(np.concatenate([part.codes for part in column]), column[0].values) for column in found]


@dataclass(frozen=True)
class Stays:
    """Rows of visits. slices: how many pieces are slices; first: a piece of each row; of_piece: the row of
    each piece."""

    slices: int
    first: Ints
    of_piece: Ints

    @property
    def of_end(self) -> Ints:
        return self.of_piece[self.slices :]

    def summed(self, facts: Facts) -> Facts:
        """Facts of pieces for each row; the visitors of ends do not count."""
        starts = self.first[self.first < self.slices]
        alone = np.zeros(len(self.first) - len(starts), dtype=np.int64)
        words = []
        for word in facts.metrics.words:
            added = np.concatenate([_reduced(np.add, word[: self.slices], starts), alone])
            np.add.at(added, self.of_end, word[self.slices :])
            words.append(added)
        counts = _reduced(np.logical_or, facts.counts[: self.slices], starts)
        metrics = Metrics(facts.metrics.fields, tuple(words))
        counts = np.concatenate([counts, alone > 0])
        return Facts(facts.place[self.first], facts.visitor[self.first], counts, metrics)


def stays_of(pieces: Pieces, place: Ints) -> Stays:
    """The pieces of one visit at one place, which say the same of its first event, are a row."""
    told = (
        pieces.site.codes,
        pieces.visitor,
        pieces.start,
        place,
        *(said.codes for said in pieces.entry.values()),
    )
    begins = changes(*(column[: pieces.slices] for column in told))
    starts = np.flatnonzero(begins)
    row = _last_rows(pieces, starts)
    tried = np.flatnonzero(row >= 0)
    fits = np.ones(len(tried), dtype=np.bool_)
    for column in told:
        fits &= column[pieces.slices + tried] == column[starts[row[tried]]]
    of_end = np.full(len(row), ABSENT)
    of_end[tried[fits]] = row[tried[fits]]
    alone = np.flatnonzero(of_end < 0)
    of_end[alone] = len(starts) + np.arange(len(alone))
    of_piece = np.concatenate([np.cumsum(begins) - 1, of_end])
    return Stays(pieces.slices, np.concatenate([starts, pieces.slices + alone]), of_piece)


def _last_rows(pieces: Pieces, starts: Ints) -> Ints:
    """The last row of slices that may be of the visit of each end, ABSENT for none."""
    keys = person_keys(pieces.site, pieces.visitor)
    begins = changes(keys[starts])
    of_row = np.cumsum(begins) - 1
    of_end = np.searchsorted(keys[starts[begins]], keys[pieces.slices :])
    moment = pieces.start - pieces.start.min()
    span = moment.max() + 1
    visit, ended = of_row * span + moment[starts], of_end * span + moment[pieces.slices :]
    last: Ints = np.searchsorted(visit, ended, side="right") - 1
    return last


def _reduced(add: np.ufunc, numbers: Numbers, starts: Ints) -> Numbers:
    return add.reduceat(numbers, starts) if len(starts) else numbers
