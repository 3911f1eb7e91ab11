"""What the views work with, put together once by the entry point or by a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dashboard_svc.sites import Sites
from recount.metrics import Metrics
from recount.querying.answers import Answers
from recount.querying.query import Query
from recount.store.catalog import Site


class Answering(Protocol):
    """Of `recount.querying.answers.Answerer`, what the views need."""

    def answer_many(self, site: Site, queries: Sequence[Query]) -> Answers: ...

    def extent(self, site: Site) -> tuple[str, str] | None: ...


@dataclass(frozen=True)
class Services:
    """`front_url` gives where the pages of a site find the tracker."""

    sites: Sites
    answerer: Answering
    metrics: Metrics
    front_url: Callable[[], str]
    now_ms: Callable[[], int]
