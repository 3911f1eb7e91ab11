"""The sites of the catalog, kept for a few seconds, so that a page does not ask for them each time."""

from __future__ import annotations

import threading
import time
from typing import Final, Protocol

from recount.store.catalog import ID_MAX, Catalog, Site

KEPT_S: Final = 5.0


class KnownSites(Protocol):
    """Sites that can be asked for. Raises Unavailable where the catalog cannot be read."""

    def all(self) -> dict[str, Site]: ...

    def get(self, site_id: str) -> Site | None: ...

    def read(self) -> dict[str, Site]: ...


class Sites:
    """Safe to share between threads. Raises Unavailable where the catalog cannot be read."""

    def __init__(self, catalog: Catalog, *, kept_s: float = KEPT_S) -> None:
        self._catalog = catalog
        self._kept_s = kept_s
        self._lock = threading.Lock()
        self._sites: dict[str, Site] = {}
        self._read_at = float("-inf")

    def all(self) -> dict[str, Site]:
        """Every site by its id."""
        with self._lock:
            is_fresh = time.monotonic() - self._read_at < self._kept_s
        return self._sites if is_fresh else self.read()

    def read(self) -> dict[str, Site]:
        """Every site as the catalog has it now."""
        sites = self._catalog.sites()
        with self._lock:
            self._sites, self._read_at = sites, time.monotonic()
        return sites

    def get(self, site_id: str) -> Site | None:
        """A site; one that was just added is found, too."""
        if not 1 <= len(site_id) <= ID_MAX:
            return None  # and no key that a table takes
        return self.all().get(site_id) or self._catalog.get(site_id)
