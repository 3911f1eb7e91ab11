"""Versions of the rules of sites, kept for ever. In the table `catalog`:

rules#<site> / <version, 8 digits>   what it says, who made it, when, why
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from recount.errors import Conflict
from recount.rules import Rules
from recount.store.table import Item, Table
from recount.timeline import Since


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a site's rules; `made_from`: the one it was edited from.

    What it says may change until it is previewed first; `previews` are the reprocessings that fold by it.
    `in_force_ms`, `how` and `replaced` (the timeline until then) are set when it comes into force.
    """

    site: str
    version: int
    rules: Rules
    made_ms: int = 0
    by: str = ""
    why: str = ""
    made_from: int = 0
    previews: list[str] = []
    discarded: bool = False
    in_force_ms: int = 0
    how: str = ""
    replaced: list[Since] = []
    revision: int = 0


class Versions:
    """One item a version."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def find(self, site: str, number: int) -> Version | None:
        item = self._table.get((_pk(site), _sk(number)), consistent=True)
        return None if item is None else _version(item)

    def newest(self, site: str) -> Version | None:
        found = self._table.query(_pk(site), descending=True, limit=1, consistent=True)
        return next(map(_version, found), None)

    def all(self, site: str) -> list[Version]:
        """Oldest first."""
        return [_version(item) for item in self._table.query(_pk(site), consistent=True)]

    def forget(self, site: str) -> None:
        """Delete every version of a site's rules (its erasure)."""
        self._table.delete_many([(_pk(site), _sk(version.version)) for version in self.all(site)])

    def add(self, version: Version) -> None:
        """Raises Conflict where the number is taken."""
        try:
            self._table.put(_item(version), if_absent=True)
        except Conflict:
            raise Conflict(f"the rules of {version.site} were changed meanwhile; look again") from None

    def keep(self, version: Version) -> None:
        """The same, and fine where there is one of that number."""
        with suppress(Conflict):
            self.add(version)

    def change(self, version: Version, **fields: object) -> Version:
        """Raises Conflict where another writer changed it since it was read."""
        changed = msgspec.structs.replace(version, **fields, revision=version.revision + 1)
        try:
            self._table.put(_item(changed), if_equals={"revision": version.revision})
        except Conflict:
            raise Conflict(f"the rules of {version.site} were changed meanwhile; look again") from None
        return changed


def _pk(site: str) -> str:
    return f"rules#{site}"


def _sk(version: int) -> str:
    return f"{version:08d}"


def _item(version: Version) -> Item:
    text = msgspec.json.encode(version).decode()
    return {
        "pk": _pk(version.site),
        "sk": _sk(version.version),
        "version": text,
        "revision": version.revision,
    }


def _version(item: Item) -> Version:
    return msgspec.json.decode(item["version"], type=Version)
