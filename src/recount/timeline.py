"""Which version of a site's rules is in force for which hours: history keeps the rules it was counted by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

BEGINNING = ""  # before every hour


@dataclass(frozen=True)
class Since:
    """From an hour on, a version of the rules is in force."""

    hour: str
    version: int


Timeline = tuple[Since, ...]
"""In the order of hours, from BEGINNING on; empty: one version for all of time."""

Spans = Mapping[str, str | None]
"""First hour -> the first hour after the span; None: it has no end."""


def at(timeline: Timeline, hour: str, current: int) -> int:
    """The version for an hour; `current` where the timeline is empty."""
    found = current
    for since in timeline:
        if since.hour > hour:
            break
        found = since.version
    return found


def spliced(timeline: Timeline, current: int, spans: Spans, version: int) -> Timeline:
    """The timeline with `version` in force in each span."""

    def wanted(hour: str) -> int:
        inside = any(first <= hour and (end is None or hour < end) for first, end in spans.items())
        return version if inside else at(timeline, hour, current)

    return _made(wanted, {*_hours(timeline), *spans, *(end for end in spans.values() if end)})


def withdrawn(
    timeline: Timeline, version: int, before: Timeline, replaced: int, kept: tuple[str, str]
) -> Timeline:
    """The timeline as if `version` had never replaced the timeline `before` (and `replaced`, then in force),
    but for the hours `kept` (first, and first after), which were published by it."""

    def wanted(hour: str) -> int:
        found = at(timeline, hour, version)
        stays = found != version or kept[0] <= hour < kept[1]
        return found if stays else at(before, hour, replaced)

    return _made(wanted, {*_hours(timeline), *_hours(before), *kept})


def _hours(timeline: Timeline) -> Iterable[str]:
    return (since.hour for since in timeline)


def _made(version_at: Callable[[str], int], hours: set[str]) -> Timeline:
    """What is wanted at the hours where it may change, each said once."""
    kept: list[Since] = []
    for hour in sorted({BEGINNING, *hours}):
        version = version_at(hour)
        if not kept or kept[-1].version != version:
            kept.append(Since(hour, version))
    return tuple(kept)
