"""Answers from the rollups where they know, from the archive where they do not, in one answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from recount.querying.answers import About, Answers, Stamp
from recount.querying.compared import compared
from recount.querying.measures import Row
from recount.querying.query import Query, Span
from recount.querying.reach import needs_archive
from recount.querying.rows import empty_row
from recount.scanning.answer import (
    Numbers,
    asked_of,
    confidence_of,
    everyone_of,
    notes_of,
    rows_of,
    table_of,
)
from recount.scanning.gate import never
from recount.scanning.scanner import Scanner
from recount.store.catalog import NO_COMMON, Site


class FromRollups(Protocol):
    """Of `recount.querying.answers.Answerer`, what is needed here."""

    def answer_many(self, site: Site, queries: Sequence[Query]) -> Answers: ...

    def stamp(self, site: Site, queries: Sequence[Query]) -> Stamp: ...

    def extent(self, site: Site) -> tuple[str, str] | None: ...


@dataclass(frozen=True)
class _Scan:
    """How the scans of one call are made: of the state that its other answers show, for as long as wanted."""

    scanner: Scanner
    site: Site
    common: Site
    root: str | None
    is_gone: Callable[[], bool]
    now_ms: int


@dataclass(frozen=True)
class _Table:
    rows: list[Row]
    about: About
    notes: list[str]


class Answering:
    """Safe to share between threads."""

    def __init__(self, rollups: FromRollups, scanner: Scanner, now_ms: Callable[[], int]) -> None:
        self._rollups = rollups
        self._scanner = scanner
        self._now_ms = now_ms

    def answer_many(
        self, site: Site, queries: Sequence[Query], is_gone: Callable[[], bool] = never
    ) -> Answers:
        """All queries answered; raises what `Answerer` and `Scanner` raise."""
        beyond = [n for n, query in enumerate(queries) if needs_archive(site, query) is not None]
        common = self._scanner.common() if beyond else NO_COMMON
        for number in beyond:
            # What is refused is refused at once.
            asked_of(site, queries[number], queries[number].span, common)
        known = self._rollups.answer_many(site, [_known(site, query) for query in queries])
        tables, about = list(known.tables), list(known.about)
        notes = list(known.notes) if len(beyond) < len(queries) else []
        scan = _Scan(self._scanner, site, common, known.root, is_gone, self._now_ms())
        for number in beyond:
            found = _scanned(scan, queries[number])
            tables[number], about[number] = found.rows, found.about
            notes += found.notes
        return replace(
            known,
            tables=tables,
            about=tuple(about),
            notes=tuple(dict.fromkeys(notes)),
            live_as_of_ms=known.live_as_of_ms if len(beyond) < len(queries) else None,
        )

    def stamp(self, site: Site, queries: Sequence[Query]) -> Stamp:
        """What is published decides which archive is read, too."""
        return self._rollups.stamp(site, [_known(site, query) for query in queries])

    def extent(self, site: Site) -> tuple[str, str] | None:
        return self._rollups.extent(site)


def _known(site: Site, query: Query) -> Query:
    """The query, or one over the same ranges that rollups answer: what is published and used is the same."""
    if needs_archive(site, query) is None:
        return query
    return Query(query.span, ("visitors",), timezone=query.timezone, compared=query.compared, root=query.root)


def _scanned(scan: _Scan, query: Query) -> _Table:
    numbers = _numbers(scan, query, query.span)
    asked, scanned = numbers.asked, numbers.scanned
    whole = table_of(scan.site, query, numbers)
    page = whole.slice(query.offset, query.limit) if query.dimensions else whole
    rows = rows_of(scan.site, query, numbers, page, scan.now_ms)
    total = whole.height if query.dimensions else len(rows)
    if query.compared is not None:
        old = _old(scan, query, query.compared, rows)
        rows = compared(query, scan.site.currency, rows, old)
    about = About(total, confidence_of(asked, scanned))
    return _Table(rows, about, list(notes_of(scan.site, asked, scanned)))


def _numbers(scan: _Scan, query: Query, span: Span) -> Numbers:
    asked = asked_of(scan.site, query, span, scan.common)
    scanned = scan.scanner.numbers(scan.site, asked, scan.is_gone, scan.root)
    whole = everyone_of(asked)
    everyone = None if whole is None else scan.scanner.numbers(scan.site, whole, scan.is_gone, scan.root)
    return Numbers(asked, scanned, everyone)


def _old(scan: _Scan, query: Query, span: Span, rows: list[Row]) -> list[Row]:
    """For each row what it was in the range that is compared with: of the same values, or the same place in
    a series."""
    numbers = _numbers(scan, query, span)
    found = rows_of(scan.site, query, numbers, table_of(scan.site, query, numbers), scan.now_ms)
    nothing = empty_row(query)
    if not query.dimensions:
        return [*found, *[nothing] * len(rows)][: len(rows)]
    by_values = {_values(query, row): row for row in found}
    return [by_values.get(_values(query, row), nothing) for row in rows]


def _values(query: Query, row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in query.dimensions)
