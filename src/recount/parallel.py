"""Work on many things in a few threads: polars and numpy compute without the interpreter's lock."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

AHEAD_PER_WORKER: Final = 2

T = TypeVar("T")
R = TypeVar("R")


def in_order(work: Callable[[T], R], items: Iterable[T], workers: int | None = None) -> Iterator[R]:
    """The result of `work` on each item, in order, by `workers` threads (default: one a core).

    No more than two a worker are begun before they are asked for, so results do not pile up.
    """
    count = workers or os.cpu_count() or 1
    begun: deque[Future[R]] = deque()
    with ThreadPoolExecutor(count) as pool:
        for item in items:
            begun.append(pool.submit(work, item))
            if len(begun) >= count * AHEAD_PER_WORKER:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
