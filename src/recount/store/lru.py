"""What is kept in process, as long as it fits."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TypeVar

T = TypeVar("T")


class Lru:
    """Bounded by the sum of sizes; least recently used goes first. Safe to share between threads."""

    def __init__(self, size_max: int) -> None:
        self._max = size_max
        self._size = 0
        self._lock = threading.Lock()
        self._items: OrderedDict[object, tuple[object, int]] = OrderedDict()

    def get(self, key: object, kind: type[T]) -> T | None:
        with self._lock:
            found = self._items.get(key)
            if found is None:
                return None
            self._items.move_to_end(key)
        assert isinstance(found[0], kind)
        return found[0]

    def put(self, key: object, value: object, size: int) -> None:
        with self._lock:
            _, old = self._items.pop(key, (None, 0))
            self._items[key] = (value, size)
            self._size += size - old
            while self._size > self._max:
                _, (_, gone) = self._items.popitem(last=False)
                self._size -= gone

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._items.clear()
            self._size = 0
