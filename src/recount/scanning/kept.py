"""What never changes, kept in process as long as there is room."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Safe to share between threads; those not asked for longest make room."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._found: OrderedDict[K, V] = OrderedDict()

    def clear(self) -> None:
        with self._lock:
            self._found.clear()

    def many(self, keys: list[K], read: Callable[[list[K]], dict[K, V]]) -> dict[K, V]:
        """The values that there are; `read` gets those of the keys that are not kept."""
        with self._lock:
            found = {key: self._found[key] for key in keys if key in self._found}
        missing = [key for key in keys if key not in found]
        more = read(missing) if missing else {}
        with self._lock:
            for key in keys:
                if key in more:
                    self._found[key] = more[key]
                if key in self._found:
                    self._found.move_to_end(key)
            while len(self._found) > self._most:
                self._found.popitem(last=False)
        return found | more
