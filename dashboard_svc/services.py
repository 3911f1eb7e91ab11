"""What the views work with, put together once by the entry point or by a test."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dashboard_svc.access.gate import Gate
from dashboard_svc.corrected import CorrectedAnswers, Correcting
from dashboard_svc.sites import KnownSites
from recount.metrics import Metrics
from recount.periods import day_of
from recount.querying.answers import Stamp
from recount.querying.query import Query
from recount.reconciliation import Compared, HourCompared
from recount.scanning.gate import never
from recount.scanning.scanner import Scanner
from recount.store.catalog import Site


class Answering(Protocol):
    """Of `dashboard_svc.corrected.Corrected`, what the views need."""

    def answer_many(
        self, site: Site, queries: Sequence[Query], is_gone: Callable[[], bool] = never
    ) -> CorrectedAnswers: ...

    def stamp(self, site: Site, queries: Sequence[Query]) -> Stamp: ...

    def extent(self, site: Site) -> tuple[str, str] | None: ...


class Reconciling(Protocol):
    """Of `recount.store.reconciliations.Reconciliations`, what the views need."""

    def of_site(self, site: str, first: str, last: str) -> list[tuple[HourCompared, Compared | None]]: ...


class Explaining(Protocol):
    """Of `recount.querying.explain.Explainer`, what the API needs."""

    def explain(self, site: Site, used: Collection[tuple[str, str]]) -> dict[str, Any]: ...


class Living(Protocol):
    """Of the live service, what the API passes on."""

    def state(self, site: str, minutes: int) -> bytes | None: ...


@dataclass(frozen=True)
class Services:
    """`front_url` gives where the pages of a site find the tracker."""

    sites: KnownSites
    gate: Gate
    live: Living
    answerer: Answering
    scanner: Scanner
    corrections: Correcting
    reconciliations: Reconciling
    explainer: Explaining
    metrics: Metrics
    front_url: Callable[[], str]
    now_ms: Callable[[], int]

    def today(self, site: Site) -> str:
        """The site's local date."""
        return day_of(self.now_ms(), site.timezone)
