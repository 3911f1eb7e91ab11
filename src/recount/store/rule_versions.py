"""Versions of the rules of sites, and of those for all (EVERY_SITE), kept for ever. In the table `catalog`:

rules#<site> / <version, 8 digits>   what it says, who made it, when, why
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from recount.errors import Conflict
from recount.rules import Rules, whose
from recount.store.records import Records
from recount.store.table import Key, Table
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
        self._records = Records(
            table,
            Version,
            attribute="version",
            key_of=lambda version: _key(version.site, version.version),
            conflict=lambda version: f"the rules {whose(version.site)} were changed meanwhile; look again",
        )

    def find(self, site: str, number: int) -> Version | None:
        return self._records.find(_key(site, number))

    def newest(self, site: str) -> Version | None:
        return next(self._records.query(_pk(site), descending=True, limit=1), None)

    def all(self, site: str) -> list[Version]:
        """Oldest first."""
        return list(self._records.query(_pk(site)))

    def forget(self, site: str) -> None:
        """Delete every version of a site's rules (its erasure)."""
        self._table.delete_many([_key(site, version.version) for version in self.all(site)])

    def add(self, version: Version) -> None:
        """Raises Conflict where the number is taken."""
        self._records.add(version)

    def keep(self, version: Version) -> None:
        """The same, and fine where there is one of that number."""
        with suppress(Conflict):
            self.add(version)

    def change(self, version: Version, **fields: object) -> Version:
        """Raises Conflict where another writer changed it since it was read."""
        return self._records.change(version, **fields)


def _pk(site: str) -> str:
    return f"rules#{site}"


def _key(site: str, version: int) -> Key:
    return _pk(site), f"{version:08d}"
