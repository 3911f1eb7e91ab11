"""A fake of the store's answers with believable numbers, the same for the same question."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import xxhash

from dashboard_svc.access.gate import Gate
from dashboard_svc.access.known_tokens import KnownTokens
from dashboard_svc.access.rates import Rates
from dashboard_svc.corrected import Corrected
from dashboard_svc.services import Services
from dashboard_svc.sites import Sites
from recount.callers import Proxies
from recount.corrections import Correction
from recount.errors import Unavailable
from recount.metrics import Metrics
from recount.periods import HOUR_MS, day_span_ms
from recount.querying.answers import Answers, Stamp
from recount.querying.measures import Row
from recount.querying.query import Query
from recount.reconciliation import HourCompared
from recount.scanning.gate import never
from recount.scanning.scanner import Scanner, open_scanner
from recount.settings import Settings
from recount.store.catalog import Catalog, Site
from recount.store.correction_log import CorrectionLog
from recount.store.manifests import Manifests
from recount.store.memory_table import MemoryTable
from recount.store.reconciliations import Reconciliations
from recount.store.rulebook import Rulebook
from recount.store.segments import SegmentStore
from recount.store.table import Table
from recount.store.tokens import Tokens

NOW_MS: Final = 1_795_442_400_000 - 26 * 60_000  # 2026-11-23 13:34 UTC, a Monday
VALUES: Final = {
    "page": ["/", "/pricing", "/docs/getting-started", "/blog/why-we-recount", "/docs/api", "/about"],
    "entry_page": ["/", "/blog/why-we-recount", "/docs/getting-started", "/pricing"],
    "exit_page": ["/", "/pricing", "/docs/api", "/blog/why-we-recount"],
    "source": ["Direct / None", "Google", "Hacker News", "GitHub", "DuckDuckGo", "newsletter", "Bing"],
    "channel": ["Organic Search", "Direct", "Referral", "Email", "Organic Social"],
    "referrer": ["news.ycombinator.com/item", "github.com/", "google.com/", "lobste.rs/s/abc"],
    "utm_campaign": ["autumn-launch", "weekly-42"],
    "country": ["DE", "US", "CH", "GB", "FR", "IN", "JP", "BR", "NL", "SE", "ES"],
    "region": ["Unknown"],
    "language": ["en-US", "de", "de-CH", "fr-FR", "ja"],
    "device": ["desktop", "mobile", "tablet"],
    "browser": ["Chrome", "Safari", "Firefox", "Edge", "Samsung Internet"],
    "os": ["Windows", "macOS", "iOS", "Android", "Linux"],
    "screen": ["Desktop", "Mobile", "Laptop", "Tablet"],
    "event": ["Signup", "Download report", "outbound"],
    "goal": ["Signup"],
    "outbound": ["https://github.com/recount/recount"],
    "download": [],
    "verdict": ["human", "crawler", "headless"],
}
ACTIONS: Final = ("event", "goal", "outbound", "download")


@dataclass
class FakeAnswerer:
    """Numbers until an hour ago are published; `live` says whether the live service answers, `away` whether
    the tables do not, `has_data` whether the site has any numbers; a correction changes `version`."""

    now_ms: int = NOW_MS
    live: bool = True
    away: bool = False
    has_data: bool = True
    asked: list[Query] = field(default_factory=list)
    calls: int = 0
    version: str = "first"

    @property
    def published_until_ms(self) -> int:
        return self.now_ms // HOUR_MS * HOUR_MS

    def extent(self, site: Site) -> tuple[str, str] | None:
        return ("2015-05-17", "2015-05-20") if site.id == "log" else None

    def answer_many(
        self, site: Site, queries: Sequence[Query], is_gone: Callable[[], bool] = never
    ) -> Answers:
        if self.away:
            raise Unavailable("DynamoDB", "connection refused")
        self.asked += queries
        self.calls += 1
        reaches = max(query.span.bounds_ms(site.timezone)[1] for query in queries) > self.published_until_ms
        return Answers(
            tables=[self._table(site, query) for query in queries],
            published_until_ms=self.published_until_ms,
            live_as_of_ms=self.now_ms - 800 if reaches and self.live else None,
            notes=("Visitors of several days are the sum of daily visitors.",),
            used=frozenset({("day/2026-11-22", "g1")}),
            version=self.version,
        )

    def stamp(self, site: Site, queries: Sequence[Query]) -> Stamp:
        reaches = max(query.span.bounds_ms(site.timezone)[1] for query in queries) > self.published_until_ms
        return Stamp(
            version=self.version,
            published_until_ms=self.published_until_ms,
            live_as_of_ms=self.now_ms - 800 if reaches and self.live else None,
        )

    def _table(self, site: Site, query: Query) -> list[Row]:
        if query.interval is not None:
            return self._series(site, query)
        start, end = query.span.bounds_ms(site.timezone)
        weight = self._weight(start, min(end, self.now_ms))
        origin = "mixed" if end > self.published_until_ms and self.live else "published"
        if query.dimension is None:
            return [_row(query, weight, origin)]
        values = VALUES.get(query.dimension, ["one", "another"]) if self.has_data else []
        rows = [
            {query.dimension: value} | _row(query, weight * 0.52 / (n + 1) ** 0.9, origin, query.dimension)
            for n, value in enumerate(values)
        ]
        return rows[: query.limit]

    def _series(self, site: Site, query: Query) -> list[Row]:
        rows = []
        for day in query.span.days:
            first, after = day_span_ms(day, site.timezone)
            step = HOUR_MS if query.interval == "hour" else after - first
            for at in range(first, min(after, self.now_ms), step):
                is_live = at + step > self.published_until_ms and self.live
                weight = self._weight(at, min(at + step, self.now_ms))
                clock = datetime.fromtimestamp(at / 1000, ZoneInfo(site.timezone))
                date = f"{clock:%Y-%m-%dT%H:%M}" if query.interval == "hour" else day
                rows.append(
                    {"at": at, "date": date} | _row(query, weight, "mixed" if is_live else "published")
                )
        return rows

    def _weight(self, start_ms: int, end_ms: int) -> float:
        """Visitors between two moments: nights, weekends, slow growth and a little noise."""
        if not self.has_data:
            return 0.0
        total = 0.0
        for at in range(start_ms, end_ms, HOUR_MS):
            hour, day = at // HOUR_MS % 24, at // (24 * HOUR_MS)
            noise = 0.8 + xxhash.xxh3_64_intdigest(str(at).encode()) % 400 / 1000
            week = 0.55 if day % 7 in (2, 3) else 1.0
            growth = 1 + (day - 20_780) / 400
            total += (14 + 60 * math.exp(-(((hour - 14) / 5) ** 2))) * noise * week * max(growth, 0.2)
        return total


def _row(query: Query, weight: float, origin: str, dimension: str | None = None) -> Row:
    bounce = 0.38 + (xxhash.xxh3_64_intdigest(f"{weight:.3f}".encode()) % 100) / 700
    values: dict[str, Any] = {
        "visitors": round(weight),
        "visits": round(weight * 1.21),
        "pageviews": round(weight * 3.4),
        "events": round(weight * 0.2),
        "exits": round(weight * 0.7),
        "views_per_visit": 2.81,
        "bounce_rate": bounce if weight else None,
        "visit_duration": 40 + bounce * 200 if weight else None,
        "engagement": 31.5,
        "scroll": 0.62,
        "revenue": {"EUR": f"{weight * 1.5:.2f}"} if dimension in ("event", "goal") else {},
    }
    if dimension in ACTIONS:
        values |= {"visitors": round(weight * 0.1), "events": round(weight * 0.13)}
    return {name: values[name] for name in query.metrics} | {"origin": origin}


class FakeExplainer:
    """Says what it was asked for."""

    def explain(self, site: Site, used: Collection[tuple[str, str]]) -> dict[str, Any]:
        return {"periods": sorted(used), "hours": [], "hours_left_out": 0}


@dataclass
class FakeLive:
    """The live service; None: no instance answers."""

    body: bytes | None = b'{"as_of": 1, "current_visitors": 3}'
    asked: list[tuple[str, int]] = field(default_factory=list)

    def state(self, site: str, minutes: int) -> bytes | None:
        self.asked.append((site, minutes))
        return self.body


@dataclass
class Door:
    """How the API is guarded; `tokens_kept_s`: how long a token is known without being read again."""

    required: bool = False
    per_token: int = 0
    per_client: int = 0
    instances: int = 1
    proxies: str = ""
    tokens_kept_s: float = 0.0

    def gate(self, table: Table, now_ms: Callable[[], int]) -> Gate:
        return Gate(
            KnownTokens(Tokens(table), kept_s=self.tokens_kept_s),
            Rates(self.per_token, self.per_client, lambda: self.instances),
            Proxies(self.proxies),
            required=self.required,
            now_ms=now_ms,
        )


def _scanner_of_nothing() -> Scanner:
    """Where nothing is published."""
    manifests, segments = Manifests(MemoryTable()), SegmentStore(MemoryTable(), 1)
    return open_scanner(Settings(), manifests, segments, Rulebook(MemoryTable()), Metrics())


def services(
    answerer: FakeAnswerer,
    *sites: Site,
    table: Table | None = None,
    door: Door | None = None,
    live: FakeLive | None = None,
    corrections: Sequence[Correction] = (),
    compared: Sequence[HourCompared] = (),
) -> Services:
    table = MemoryTable() if table is None else table
    catalog = Catalog(table)
    for site in sites or (Site(id="demo", domain="demo.example"),):
        catalog.add(site)
    log = CorrectionLog(MemoryTable())
    log.put(corrections)
    kept = Reconciliations(MemoryTable(), site_slots=4)
    for hour in compared:
        kept.put(hour)
    return Services(
        sites=Sites(catalog),
        gate=(door or Door()).gate(table, lambda: answerer.now_ms),
        live=live or FakeLive(),
        answerer=Corrected(answerer, log),
        scanner=_scanner_of_nothing(),
        corrections=log,
        reconciliations=kept,
        explainer=FakeExplainer(),
        metrics=Metrics(),
        front_url=lambda: "http://127.0.0.1:8080",
        now_ms=lambda: answerer.now_ms,
    )
