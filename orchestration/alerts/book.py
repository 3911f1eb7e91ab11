"""Incidents: what is open, since when, and who was told what. Pure; the sensor keeps it in its cursor."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from orchestration.alerts.problems import Event, Problem

INCIDENTS_MAX: Final = 500  # the newest; a cursor of about half a megabyte
OVER: Final = "over"


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """`told`: for each receiver the severity, or `over`, that it was told last. `over_ms` 0: still open."""

    problem: Problem
    seen_ms: int
    over_ms: int = 0
    told: dict[str, str] = {}

    def due(self, receiver: str) -> Event | None:
        """What a receiver is still to be told: the beginning, that it has become critical, the end."""
        told = self.told.get(receiver)
        if self.over_ms:
            return "over" if told not in (None, OVER) else None
        return None if told in ("critical", self.problem.severity) else "open"


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """Incidents by the key of their problem."""

    incidents: dict[str, Incident] = {}

    def noted(
        self, problems: Iterable[Problem], *, checked: Collection[str], now_ms: int, settle_ms: int
    ) -> Book:
        """The book after a look around.

        A problem that is not seen is over after `settle_ms`, if its family could be `checked` at all.
        """
        found = dict(self.incidents)
        for problem in problems:
            found[problem.key] = _opened(found.get(problem.key), problem, now_ms)
        for key, incident in self.incidents.items():
            unseen_ms = now_ms - found[key].seen_ms
            if incident.over_ms or incident.problem.family not in checked or unseen_ms < max(settle_ms, 1):
                continue
            if incident.problem.recovers:
                found[key] = msgspec.structs.replace(incident, over_ms=now_ms)
            else:
                del found[key]
        newest = sorted(found.items(), key=lambda entry: entry[1].seen_ms)[-INCIDENTS_MAX:]
        return Book(incidents=dict(newest))

    def told(self, receiver: str, keys: Iterable[str]) -> Book:
        """After a receiver has taken what was due."""
        found = dict(self.incidents)
        for key in keys:
            incident = found[key]
            state = OVER if incident.over_ms else incident.problem.severity
            found[key] = msgspec.structs.replace(incident, told=incident.told | {receiver: state})
        return Book(incidents=found)

    def without_finished(self, receivers: Collection[str]) -> Book:
        """Without what is over and known to be over by everybody who can be told."""
        return Book(
            incidents={
                key: incident
                for key, incident in self.incidents.items()
                if not incident.over_ms or any(incident.due(name) for name in receivers)
            }
        )


def _opened(known: Incident | None, problem: Problem, now_ms: int) -> Incident:
    if known is None:
        return Incident(problem=problem, seen_ms=now_ms)
    since_ms = min(problem.since_ms, known.problem.since_ms)
    return msgspec.structs.replace(
        known, problem=msgspec.structs.replace(problem, since_ms=since_ms), seen_ms=now_ms, over_ms=0
    )
