"""What the door knows about each site: the catalog, kept in the process and refreshed in the background.

A catalog that cannot be reached is no reason to refuse events of sites that are known: the copy stays in use.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import structlog

from edge.redact import Redactor
from recount.errors import Unavailable
from recount.keys import kafka_partition
from recount.periods import day_of, day_span_ms
from recount.store.catalog import Catalog, Site
from recount.store.salts import KEPT_DAYS, Salts, visitor_hex

REFRESH_S: Final = 2.0
SWEEP_EVERY_S: Final = 3600.0
FETCH_WAIT_S: Final = 1.0
RETRY_AFTER_FAILURE_S: Final = 1.0
AHEAD_MS: Final = 30 * 60_000
WINDOWS_MAX: Final = 4
DAY_MS: Final = 86_400_000
POLICIES_MAX: Final = 64
CACHED_VISITORS: Final = 16_384

log = structlog.get_logger("ingest")


@dataclass(slots=True)
class SiteRules:
    """A site's catalog entry, compiled for the hot path."""

    site: Site
    redactor: Redactor
    hosts: frozenset[str]
    partition: int | None  # None where the site is spread over several
    partitions: int
    retention_ms: int
    respects_signals: bool
    first_party: bool
    windows: list[tuple[int, int, bytes]] = field(
        default_factory=list
    )  # days: [start, end) ms UTC and their salt

    def partition_of(self, visitor: str) -> int:
        """The partition of a visitor (16 hex digits) of a site that is spread over several."""
        return kafka_partition(
            self.site.id, int(visitor, 16), spread=self.site.spread, partitions=self.partitions
        )


class DaySalts:
    """The salt of a site's local day of a moment; days already met are known without the table.

    `visitors` is `visitor_hex` with a memory, for whoever comes again. It holds salts: whoever drops one
    calls `forget`. A request asks for `visitors` before it looks up anything that may be dropped meanwhile:
    then what it remembers goes with the memory it began with.
    """

    def __init__(self, salts: Salts, clock: Callable[[], float] = time.monotonic) -> None:
        self._salts = salts
        self.forget()
        self._clock = clock
        self._lock = threading.Lock()
        self._failed_at = -RETRY_AFTER_FAILURE_S

    def of(self, rules: SiteRules, ts: int) -> bytes:
        """Raises Unavailable where the day is new to this process and the table is away."""
        for start, end, salt in rules.windows:
            if start <= ts < end:
                return salt
        return self._fetch(rules, ts)

    def forget(self) -> None:
        """Begin a new memory of visitors; the one before goes with the requests that still have it."""
        self.visitors = lru_cache(CACHED_VISITORS)(visitor_hex)

    def prepare(self, rules: SiteRules, now_ms: int) -> None:
        """Fetch the next day's salt ahead of midnight for a site that is in use."""
        if rules.windows and not any(start <= now_ms + AHEAD_MS < end for start, end, _ in rules.windows):
            self._fetch(rules, now_ms + AHEAD_MS)

    def sweep(self, rules: SiteRules, now_ms: int) -> None:
        """Delete the salts of days past, here and in the table: from then on nobody can be recognised."""
        oldest = day_of(now_ms - (KEPT_DAYS - 1) * DAY_MS, rules.site.timezone)
        first_ms = day_span_ms(oldest, rules.site.timezone)[0]
        self._keep(rules, [window for window in rules.windows if window[0] >= first_ms])
        self._salts.destroy_before(rules.site.id, oldest)

    def _fetch(self, rules: SiteRules, ts: int) -> bytes:
        if not self._lock.acquire(timeout=FETCH_WAIT_S):
            raise Unavailable("salts", "still waiting for an earlier answer")
        try:
            if self._clock() - self._failed_at < RETRY_AFTER_FAILURE_S:
                raise Unavailable("salts", "asked a moment ago")
            day = day_of(ts, rules.site.timezone)
            salt = self._salts.of(rules.site.id, day)
        except Unavailable:
            self._failed_at = self._clock()
            raise
        finally:
            self._lock.release()
        start, end = day_span_ms(day, rules.site.timezone)
        self._keep(rules, [(start, end, salt), *rules.windows][:WINDOWS_MAX])
        return salt

    def _keep(self, rules: SiteRules, windows: list[tuple[int, int, bytes]]) -> None:
        gone = any(window not in windows for window in rules.windows)
        rules.windows = windows
        if gone:
            self.forget()


class Sites:
    """The catalog in memory. `get` and `tokens` never wait."""

    def __init__(self, catalog: Catalog, day_salts: DaySalts, *, partitions: int) -> None:
        self._catalog = catalog
        self._day_salts = day_salts
        self._partitions = partitions
        self._redactor = lru_cache(POLICIES_MAX)(Redactor)
        self._rules: dict[str, SiteRules] = {}
        self.get = self._rules.get
        self.tokens: dict[str, str] = {}
        self.loaded = False
        self._first_read = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="catalog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait so long at most until the catalog has been read; whether it has."""
        return self._first_read.wait(seconds)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def refresh(self) -> None:
        """Read the catalog; sites that did not change keep what was learnt about them. Raises Unavailable."""
        sites = self._catalog.sites()
        self.tokens = self._catalog.tokens()
        for site_id, site in sites.items():
            known = self._rules.get(site_id)
            if known is None or known.site != site:
                self._rules[site_id] = self._compile(site, known)
                self._day_salts.forget()
        for site_id in self._rules.keys() - sites.keys():
            del self._rules[site_id]
            self._day_salts.forget()
        self.loaded = True
        self._first_read.set()

    def _compile(self, site: Site, known: SiteRules | None) -> SiteRules:
        keeps_days = known is not None and known.site.timezone == site.timezone
        only = kafka_partition(site.id, 0, spread=1, partitions=self._partitions)
        return SiteRules(
            site=site,
            redactor=self._redactor(site.redaction),
            hosts=site.own_hostnames,
            partition=only if site.spread == 1 else None,
            partitions=self._partitions,
            retention_ms=site.retention_days * DAY_MS,
            respects_signals=site.do_not_track == "respect",
            first_party=site.identity == "first_party",
            windows=known.windows if known is not None and keeps_days else [],
        )

    def _run(self) -> None:
        swept_at = -SWEEP_EVERY_S
        failing = False
        while True:
            try:
                self.refresh()
                now_ms = time.time_ns() // 1_000_000
                for rules in list(self._rules.values()):
                    self._day_salts.prepare(rules, now_ms)
                if time.monotonic() - swept_at >= SWEEP_EVERY_S:
                    swept_at = time.monotonic()
                    for rules in list(self._rules.values()):
                        self._day_salts.sweep(rules, now_ms)
                failing = False
            except Unavailable as error:
                if not failing:
                    log.warning("catalog or salts unavailable; going on with what is known", error=str(error))
                failing = True
            if self._stop.wait(REFRESH_S):
                return
