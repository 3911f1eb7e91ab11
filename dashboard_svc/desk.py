"""What operators look at, put together once by the entry point or by a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dashboard_svc.comparisons import Comparisons
from recount.publishing.review import Review
from recount.store.correction_log import CorrectionLog
from recount.store.manifests import Manifests
from recount.store.reprocessings import Reprocessings


@dataclass(frozen=True)
class Desk:
    """`run_url` gives the page of a Dagster run."""

    reprocessings: Reprocessings
    manifests: Manifests
    review: Review
    comparisons: Comparisons
    log: CorrectionLog
    run_url: Callable[[str], str]
