"""Comparisons of reprocessings with what is published, made in the background: a large one takes minutes.

One at a time and the newest few kept, by what was compared: these candidates against that root.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from recount.publishing.comparison import Comparison
from recount.publishing.review import Review, digest
from recount.store.manifests import Manifests
from recount.store.reprocessings import Reprocessing

KEPT_MAX: Final = 4

_Key = tuple[str, str, str]


@dataclass
class Job:
    """A comparison under way or done. `days_done` of `days` are compared."""

    days: int
    days_done: int = 0
    future: Future[Comparison] = field(default_factory=Future)

    @property
    def result(self) -> Comparison | None:
        """None while it is under way. Raises what the comparison raised."""
        return self.future.result() if self.future.done() else None


class Comparisons:
    """Safe to share between threads."""

    def __init__(self, review: Review, manifests: Manifests) -> None:
        self._review = review
        self._manifests = manifests
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="compare")
        self._lock = threading.Lock()
        self._jobs: OrderedDict[_Key, Job] = OrderedDict()

    def of(self, request: Reprocessing) -> Job:
        """The comparison of a reprocessing as it is now, begun where nobody has yet.

        Raises Unavailable where the tables do not answer. One that failed is begun again.
        """
        done = self._review.reprocessings.hours(request.id)
        root = self._manifests.current()
        key = (request.id, digest(done), "" if root is None else root.id)
        days = len(self._review.days(request))
        with self._lock:
            job = self._jobs.get(key)
            if job is None or (job.future.done() and job.future.exception() is not None):
                job = self._jobs[key] = Job(days)
                job.future = self._pool.submit(self._compare, request, job)
            self._jobs.move_to_end(key)
            self._let_go()
        return job

    def _let_go(self) -> None:
        done = [key for key, job in self._jobs.items() if job.future.done()]
        for key in done[: max(0, len(self._jobs) - KEPT_MAX)]:
            del self._jobs[key]

    def _compare(self, request: Reprocessing, job: Job) -> Comparison:
        def progress(_: str) -> None:
            job.days_done += 1

        return self._review.compare(request, progress)
