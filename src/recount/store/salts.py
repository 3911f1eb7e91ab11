"""Daily salts and the anonymous visitor hash.

A salt belongs to (site, local day) and is made by whichever process needs it first (a conditional write), so
that every ingest instance hashes alike. Once deleted, no visitor of that day can be recognised again.
"""

from __future__ import annotations

import secrets
from hashlib import blake2b
from typing import Final

from recount.errors import Conflict
from recount.store.table import Table

SALT_BYTES: Final = 32
KEPT_DAYS: Final = 2


class Salts:
    """The table `salts`: one item a (site, day). Keeps nothing: what is deleted must not live on here."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def of(self, site_id: str, day: str) -> bytes:
        """The salt of a site's local day (or of an import's day: `day` is then `<import id>/<date>`)."""
        item = self._table.get((site_id, day), consistent=True)
        if item is None:
            fresh = secrets.token_bytes(SALT_BYTES)
            try:
                self._table.put({"pk": site_id, "sk": day, "salt": fresh}, if_absent=True)
                return fresh
            except Conflict:
                item = self._table.get((site_id, day), consistent=True)
        assert item is not None
        salt: bytes = item["salt"]
        return salt

    def destroy(self, site_id: str, day: str) -> None:
        """Delete a salt for good."""
        self._table.delete((site_id, day))

    def destroy_before(self, site_id: str, day: str) -> int:
        """Delete the salts of days before `day`; returns how many went."""
        names = [item["sk"] for item in self._table.query(site_id, end=day, consistent=True)]
        old = [name for name in names if name < day and "/" not in name]
        for name in old:
            self.destroy(site_id, name)
        return len(old)

    def destroy_site(self, site_id: str) -> int:
        """Delete every salt of a site; returns how many went."""
        names = [item["sk"] for item in self._table.query(site_id, consistent=True)]
        for name in names:
            self.destroy(site_id, name)
        return len(names)

    def destroy_import(self, site_id: str, import_id: str) -> int:
        """Delete the keys of every day of an import; returns how many went."""
        prefix = f"{import_id}/"
        found = self._table.query(site_id, start=prefix, end=prefix + "\U0010ffff", consistent=True)
        names = [item["sk"] for item in found]
        for name in names:
            self.destroy(site_id, name)
        return len(names)


def visitor_hash(salt: bytes, site_id: str, address: str, ua: str) -> int:
    """64 bits of a keyed BLAKE2b (RFC 7693) over who is asking; the address goes nowhere else."""
    return int(visitor_hex(salt, site_id, address, ua), 16)


def visitor_hex(salt: bytes, site_id: str, address: str, ua: str) -> str:
    """The same as the 16 hex digits of the wire."""
    return blake2b(f"{site_id}\0{address}\0{ua}".encode(), digest_size=8, key=salt).hexdigest()
