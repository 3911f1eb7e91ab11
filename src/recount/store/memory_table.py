"""A table in memory, for unit tests: a dictionary with the behaviour of the contract suite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from recount.errors import Conflict
from recount.store.table import Item, Key, Value, key_of


class MemoryTable:
    """Keeps copies: what a caller does with an item afterwards changes nothing."""

    def __init__(self) -> None:
        self._items: dict[Key, Item] = {}

    def get(self, key: Key, *, consistent: bool = False) -> Item | None:
        item = self._items.get(key)
        return None if item is None else dict(item)

    def get_many(self, keys: Sequence[Key]) -> dict[Key, Item]:
        return {k: dict(self._items[k]) for k in keys if k in self._items}

    def query(
        self,
        pk: str,
        *,
        start: str | None = None,
        end: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        consistent: bool = False,
    ) -> Iterator[Item]:
        found = sorted(
            k
            for k in self._items
            if k[0] == pk and (start is None or k[1] >= start) and (end is None or k[1] <= end)
        )
        for key in reversed(found) if descending else iter(found):
            if limit is not None and limit <= 0:
                return
            limit = None if limit is None else limit - 1
            yield dict(self._items[key])

    def scan(self) -> Iterator[Item]:
        yield from [dict(item) for item in self._items.values()]

    def put(
        self, item: Item, *, if_absent: bool = False, if_equals: Mapping[str, Value] | None = None
    ) -> None:
        key = key_of(item)
        stored = self._items.get(key)
        if if_absent and stored is not None:
            raise Conflict(f"{key} exists already")
        if if_equals is not None and any((stored or {}).get(n) != v for n, v in if_equals.items()):
            raise Conflict(f"{key} is not as expected: {dict(if_equals)}")
        self._items[key] = dict(item)

    def put_many(self, items: Iterable[Item]) -> None:
        for item in items:
            self.put(item)

    def delete(self, key: Key) -> None:
        self._items.pop(key, None)

    def delete_many(self, keys: Sequence[Key]) -> None:
        for key in keys:
            self.delete(key)
