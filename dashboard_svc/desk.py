"""What operators look at, put together once by the entry point or by a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dashboard_svc.comparisons import Comparisons
from recount.publishing.review import Review
from recount.store.catalog import Site
from recount.store.correction_log import CorrectionLog
from recount.store.manifests import Manifests
from recount.store.reprocessings import Reprocessings
from recount.store.rulebook import Rulebook


@dataclass(frozen=True)
class Desk:
    """`sites` gives those of now, `run_url` the page of a Dagster run."""

    reprocessings: Reprocessings
    manifests: Manifests
    review: Review
    comparisons: Comparisons
    log: CorrectionLog
    rulebook: Rulebook
    sites: Callable[[], Mapping[str, Site]]
    run_url: Callable[[str], str]
