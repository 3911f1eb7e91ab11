"""The catalog as the live service sees it, refreshed now and then and whenever an unknown site turns up.

Among the sites is what holds on all of them, under EVERY_SITE.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

import structlog

from recount.errors import Unavailable
from recount.rules import EVERY_SITE
from recount.store.catalog import Site

REFRESH_S: Final = 30.0
LOOK_AGAIN_S: Final = 0.5

log = structlog.get_logger("live")


class SitesCache:
    """Sites by id. While the catalog is away the last copy serves."""

    def __init__(
        self, load: Callable[[], Mapping[str, Site]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._load = load
        self._clock = clock
        self._lock = threading.Lock()
        self._sites: Mapping[str, Site] = {}
        self._loaded = False
        self._loaded_at = float("-inf")

    def known(self, wanted: Collection[str] = ()) -> Mapping[str, Site]:
        """All sites; looks again where one of the wanted is not among them."""
        with self._lock:
            age = self._clock() - self._loaded_at
            lacking = age > LOOK_AGAIN_S and any(site not in self._sites for site in wanted)
            overdue = age > (REFRESH_S if self._loaded else LOOK_AGAIN_S)
            if overdue or lacking:
                self._refresh()
            return self._sites

    def get(self, site: str) -> Site | None:
        """A site, and only that."""
        return None if site == EVERY_SITE else self.known([site]).get(site)

    @property
    def loaded(self) -> bool:
        """Whether the catalog has been read at all; tries to if not."""
        self.known()
        return self._loaded

    def _refresh(self) -> None:
        self._loaded_at = self._clock()
        try:
            self._sites = self._load()
            self._loaded = True
        except Unavailable as error:
            log.warning("catalog_unavailable", error=str(error))
