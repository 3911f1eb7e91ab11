"""Answers that know which corrections changed the numbers in them."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from recount.corrections import Correction, Numbers, label, range_words, sentence
from recount.querying.answers import Answers, Stamp
from recount.querying.query import Query
from recount.scanning.gate import never
from recount.store.catalog import Site

KEPT_S: Final = 2.0
KEPT_MAX: Final = 2_000
SAID_MAX: Final = 3


class Correcting(Protocol):
    """Of `recount.store.correction_log.CorrectionLog`, what the views need."""

    def of_site(self, site: str, limit: int = ...) -> list[Correction]: ...

    def touching(self, site: str, first_day: str, last_day: str) -> list[Correction]: ...


class Answering(Protocol):
    """Of `recount.scanning.answering.Answering`, what the views need."""

    def answer_many(
        self, site: Site, queries: Sequence[Query], is_gone: Callable[[], bool] = never
    ) -> Answers: ...

    def stamp(self, site: Site, queries: Sequence[Query]) -> Stamp: ...

    def extent(self, site: Site) -> tuple[str, str] | None: ...


class KeptLog:
    """The log, asked once in KEPT_S for the same range. Safe to share between threads."""

    def __init__(self, log: Correcting, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str, str], tuple[float, list[Correction]]] = {}

    def of_site(self, site: str, limit: int = 500) -> list[Correction]:
        return self._log.of_site(site, limit)

    def touching(self, site: str, first_day: str, last_day: str) -> list[Correction]:
        key, now = (site, first_day, last_day), self._clock()
        with self._lock:
            read_at, found = self._kept.get(key, (float("-inf"), []))
        if now - read_at < KEPT_S:
            return found
        found = self._log.touching(*key)
        with self._lock:
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            self._kept[key] = (now, found)
        return found


@dataclass(frozen=True, kw_only=True)
class CorrectedAnswers(Answers):
    """Answers, and the corrections that changed numbers of their ranges, newest first."""

    corrections: tuple[Correction, ...] = ()


class Corrected:
    """An Answerer whose versions change with the correction log, so that no kept page lacks a note."""

    def __init__(self, answerer: Answering, log: Correcting) -> None:
        self._answerer = answerer
        self._log = log

    def answer_many(
        self, site: Site, queries: Sequence[Query], is_gone: Callable[[], bool] = never
    ) -> CorrectedAnswers:
        found = self._touching(site, queries)
        answers = self._answerer.answer_many(site, queries, is_gone)
        version = _version(answers.version, found)
        return CorrectedAnswers(**vars(answers) | {"version": version, "corrections": tuple(found)})

    def stamp(self, site: Site, queries: Sequence[Query]) -> Stamp:
        found = self._touching(site, queries)
        made = self._answerer.stamp(site, queries)
        return replace(made, version=_version(made.version, found))

    def extent(self, site: Site) -> tuple[str, str] | None:
        return self._answerer.extent(site)

    def _touching(self, site: Site, queries: Sequence[Query]) -> list[Correction]:
        local = {query.local_span(site, span) for query in queries for span in query.spans}
        spans = {(span.first, span.last) for span in local}
        found = {c.publication: c for span in spans for c in self._log.touching(site.id, *span) if c.is_mark}
        return [found[name] for name in sorted(found, reverse=True)]


def notes(corrections: Sequence[Correction]) -> list[str]:
    """What an answer over a range says of its corrections: the newest in full, late events as one line."""
    late = [c for c in corrections if c.kind == "late"]
    others = [c for c in corrections if c.kind != "late"]
    said = [sentence(c) for c in others[:SAID_MAX]]
    if len(others) > SAID_MAX:
        said.append(f"{len(others) - SAID_MAX} more corrections changed numbers of this range before.")
    if len(late) > 1:
        return [*said, _of_late(late)]
    return [*said, *map(sentence, late)]


def _of_late(late: Sequence[Correction]) -> str:
    """`12 late events changed numbers of 22 Nov 2026 and of 3 ranges more: visitors +3, pageviews +12.`"""
    events = sum(c.late_events for c in late)
    first, *more = dict.fromkeys(range_words(c) for c in late)
    also = f" and of {len(more)} range{'' if len(more) == 1 else 's'} more" if more else ""
    moved = ", ".join(
        f"{label(metric)} {by:+,}" for metric, by in _differences(c.moved for c in late).items() if by
    )
    return f"{events:,} late events changed numbers of {first}{also}{f': {moved}' if moved else ''}."


def _differences(moved: Iterable[Numbers]) -> dict[str, int]:
    """By how much counts moved in all; money is left out, for it is told in each correction."""
    total: dict[str, int] = {}
    for metric, (old, new) in (entry for numbers in moved for entry in numbers.items()):
        if ":" not in metric:
            total[metric] = total.get(metric, 0) + new - old
    return total


def _version(version: str, found: Sequence[Correction]) -> str:
    """As it was where nothing was ever corrected."""
    if not found:
        return version
    text = "|".join([version, *(c.publication for c in found)])
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
