"""Counters of several programs, looked at now and then, as a rate."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

TRAEFIK_REQUESTS: Final = "traefik_service_requests"
Counts = Mapping[tuple[tuple[str, str], ...], float]


class CounterRates:
    """Remembers what each program's counters showed last."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, Counts]] = {}

    def rate(self, program: str, counts: Counts, now: float) -> float | None:
        """Increase per second since the last look; None at the first. A counter that went back began at 0."""
        before = self._last.get(program)
        if before is not None and now <= before[0]:
            return None
        self._last[program] = (now, counts)
        if before is None:
            return None
        then, old = before
        return sum(_increase(old.get(labels, 0.0), value) for labels, value in counts.items()) / (now - then)

    def forget_all_but(self, programs: Collection[str]) -> None:
        """Programs that are gone for good; one that comes back begins anew."""
        self._last = {name: seen for name, seen in self._last.items() if name in programs}


def requests_of(exposition: str, service: str) -> Counts:
    """Traefik's request counters of one service, whichever provider it comes from.

    Raises ValueError where the text is no Prometheus exposition.
    """
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition)
        if family.name == TRAEFIK_REQUESTS
        for sample in family.samples
        if sample.labels.get("service", "").partition("@")[0] == service
    }


def _increase(old: float, new: float) -> float:
    return new - old if new >= old else new
