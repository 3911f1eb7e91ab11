"""Synthetic events in columns: the variety of a busy hour.

Sites are zipf-distributed, a visitor has one or two visits of a few pageviews with engagement and now and
then a custom event; everything follows from the seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recount.event import EVENT_SCHEMA
from recount.periods import HOUR_MS, hour_start_ms
from recount.store.catalog import Goal, Site

Ints = NDArray[np.int64]

HOUR: Final = "2026-11-22T20"
SITES: Final = 2_000
PAGES_MAX: Final = 2_000
EVENTS_PER_VISITOR: Final = 5
PARTITIONS: Final = 6
PORTION_EVENTS: Final = 600_000  # a multiple of PARTITIONS
ITEM_EVENTS: Final = 10_000  # as many as fit a raw item

_WINDOWS: Final = "Mozilla/5.0 (Windows NT 10.0; Win64; x64"
_WEBKIT: Final = "AppleWebKit/537.36 (KHTML, like Gecko)"
_APPLE: Final = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
_BROWSERS: Final = (
    _WINDOWS + ") " + _WEBKIT + " Chrome/{}.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; K) " + _WEBKIT + " Chrome/{}.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) " + _APPLE + " Version/{}.4 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS {0}_5 like Mac OS X) " + _APPLE + " Version/{0}.5 Mobile/15E148",
    _WINDOWS + "; rv:{0}.0) Gecko/20100101 Firefox/{0}.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:{0}.0) Gecko/20100101 Firefox/{0}.0",
    _WINDOWS + ") " + _WEBKIT + " Chrome/{0}.0.0.0 Safari/537.36 Edg/{0}.0.{1}.0",
    "Mozilla/5.0 (Linux; Android 13; SM-S9{1}) " + _WEBKIT + " SamsungBrowser/{0}.0 Chrome/115.0.0.0 Mobile",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html) {0}.{1}",
)
_REFERRERS: Final = (
    *([None] * 8),
    "https://www.google.com/",
    "https://www.google.com/",
    "https://www.bing.com/",
    "https://duckduckgo.com/",
    "https://t.co/abcdef",
    "https://www.facebook.com/",
    "https://news.ycombinator.com/item?id=1",
    "https://www.reddit.com/r/analytics/",
    *(f"https://blog-{n}.example/post/{n}" for n in range(200)),
)
_COUNTRIES: Final = (
    "US",
    "DE",
    "FR",
    "GB",
    "IN",
    "BR",
    "JP",
    "CA",
    "ES",
    "IT",
    "NL",
    "PL",
    "SE",
    "AU",
    "MX",
    "ZA",
)
_LANGUAGES: Final = ("en-US", "de-DE", "fr-FR", "en-GB", "es-ES", "pt-BR", "ja", "it-IT", "nl", "pl-PL")
_SCREENS: Final = (
    "1920x1080",
    "390x844",
    "1440x900",
    "1366x768",
    "412x915",
    "2560x1440",
    "820x1180",
    "1536x864",
)


def sites(count: int = SITES) -> dict[str, Site]:
    """The catalog that goes with the events; the goals are reached by some of them."""
    goals = (Goal(name="signup", event="signup"), Goal(name="docs", page="/docs/*"))
    return {s: Site(id=s, domain=f"{s}.example", goals=goals) for s in map(_site_id, range(count))}


def events(
    count: int, *, seed: int = 1, sites: int = SITES, hour: str = HOUR, span_ms: int = HOUR_MS
) -> pl.DataFrame:
    """`count` events (EVENT_SCHEMA) within `span_ms` from the start of `hour`, in order of arrival."""
    rng = np.random.default_rng(seed)
    visitors = _visitors(rng, max(1, count // EVENTS_PER_VISITOR), sites)
    who = np.sort(rng.integers(0, visitors.height, count))
    start = hour_start_ms(hour)
    kind = rng.choice(3, count, p=(0.6, 0.3, 0.1))
    moments = _moments(rng, who, visitors.height, span_ms)
    order = np.argsort(moments, kind="stable")
    ts, who, kind = start + moments[order], who[order], kind[order]
    columns = {
        **_envelope(rng, ts),
        **{name: visitors[name].gather(who) for name in visitors.columns if name != "site_number"},
        **_pages(rng, visitors["site_number"].to_numpy()[who], kind),
        **_behaviour(rng, kind),
    }
    return pl.DataFrame({name: columns.get(name) for name in EVENT_SCHEMA}, schema_overrides=EVENT_SCHEMA)


def items(count: int, *, portion: int = PORTION_EVENTS) -> Iterator[pl.DataFrame]:
    """`count` events of HOUR as raw items hold them: each of one source partition, by offset.

    Made a portion at a time, so that an hour of any size takes no more memory than that.
    """
    for number, first in enumerate(range(0, count, portion)):
        made = events(min(portion, count - first), seed=1 + number)
        numbered = made.with_columns(pl.col("offset") + first // PARTITIONS, pl.col("seq") + first)
        for of_partition in numbered.partition_by("partition", maintain_order=True):
            yield from of_partition.iter_slices(ITEM_EVENTS)


def _site_id(number: int) -> str:
    return f"site{number:04d}"


def _zipf(rng: np.random.Generator, values: int, size: int, exponent: float = 1.0) -> Ints:
    weights = 1.0 / np.arange(1, values + 1) ** exponent
    return np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(size)).clip(0, values - 1)


def _pick(
    rng: np.random.Generator, values: tuple[str | None, ...] | pl.Series, size: int, exponent: float
) -> pl.Series:
    texts = values if isinstance(values, pl.Series) else pl.Series(values, dtype=pl.String)
    return texts.gather(_zipf(rng, len(texts), size, exponent))


def _visitors(rng: np.random.Generator, count: int, site_count: int) -> pl.DataFrame:
    agents = [b.format(v, 10 + w) for v in range(90, 132) for w in range(6) for b in _BROWSERS]
    site = _zipf(rng, site_count, count)
    regions = tuple(f"{c}-{n}" for n in range(8) for c in _COUNTRIES)
    region = _pick(rng, regions, count, 0.8)
    return pl.DataFrame(
        {
            "site_number": site,
            "site": pl.Series([_site_id(n) for n in range(site_count)]).gather(site),
            "visitor": rng.integers(0, 2**64, count, dtype=np.uint64),
            "ua": _pick(rng, pl.Series(list(dict.fromkeys(agents))), count, 0.9),
            "lang": _pick(rng, _LANGUAGES, count, 0.8),
            "screen": _pick(rng, _SCREENS, count, 0.6),
            "region": region,
            "country": region.str.head(2),
            "network": _pick(rng, (*["residential"] * 30, "hosting", None), count, 0.0),
        }
    )


def _moments(rng: np.random.Generator, who: Ints, visitors: int, span_ms: int) -> Ints:
    """A visitor's events lie near one another; about one in ten comes back after a silence."""
    first = rng.integers(0, span_ms, visitors)[who]
    gaps = rng.exponential(40_000, len(who)).astype(np.int64)
    again = (rng.random(len(who)) < 0.1) * 35 * 60_000
    return (first + gaps * 3 + again) % span_ms


def _envelope(rng: np.random.Generator, ts: Ints) -> dict[str, object]:
    count = len(ts)
    offset = np.arange(count)
    numbers = pl.Series(rng.integers(0, 2**62, count))
    return {
        "topic": pl.repeat("events", count, eager=True),
        "partition": (offset % PARTITIONS).astype(np.int32),
        "offset": offset // PARTITIONS,
        "v": np.ones(count, dtype=np.int16),
        "id": pl.select(pl.format("e{}", numbers)).to_series(),
        "spool": pl.repeat("bench-1", count, eager=True),
        "seq": offset,
        "ts": ts,
        "received": ts + rng.integers(0, 2_000, count),
        "source_kind": pl.repeat("tracker", count, eager=True),
        "ts_clamped": np.zeros(count, dtype=np.bool_),
    }


def _pages(rng: np.random.Generator, site: Ints, kind: Ints) -> dict[str, object]:
    """urls of a site: a zipf of paths, some with a campaign."""
    count = len(site)
    sections = ("docs", "blog", "shop", "help")
    paths = pl.Series(["/", *(f"/{sections[n % 4]}/article-{n}" for n in range(1, PAGES_MAX))])
    queries = pl.Series(
        [""] * 12
        + [f"?utm_source=s{n}&utm_medium={'cpc' if n % 2 else 'email'}&utm_campaign=c{n}" for n in range(4)]
    )
    parts = pl.DataFrame(
        {
            "site": pl.Series([f"https://site{n:04d}.example" for n in range(int(site.max()) + 1)]).gather(
                site
            ),
            "path": paths.gather(_zipf(rng, PAGES_MAX, count, 1.1)),
            "query": queries.gather(rng.integers(0, len(queries), count)),
        }
    )
    referrer = _pick(rng, _REFERRERS, count, 0.3)
    return {
        "url": parts.select(pl.concat_str("site", "path", "query")).to_series(),
        "referrer": referrer.zip_with(pl.Series(kind == 0), pl.Series([None], dtype=pl.String)),
    }


def _behaviour(rng: np.random.Generator, kind: Ints) -> dict[str, object]:
    count = len(kind)
    custom, engaged = pl.Series(kind == 2), pl.Series(kind == 1)
    nothing = pl.Series([None], dtype=pl.String)
    names = pl.Series(["signup", "purchase", "outbound", "download", "play"])
    chosen = rng.integers(0, len(names), count)
    props = pl.Series(
        [*(f'{{"plan":"p{n}"}}' for n in range(5)), '{"sku":"A1","size":"xl"}']
        + [f'{{"url":"https://partner-{n}.example/file-{n}.pdf"}}' for n in range(30)]
    )
    link = (chosen == 2) | (chosen == 3)
    which = np.where(link, 6 + rng.integers(0, 30, count), rng.integers(0, 6, count))
    bought = custom & pl.Series(chosen == 1)
    amounts = pl.Series([f"{n // 100}.{n % 100:02d}" for n in range(99, 20_000, 50)])
    return {
        "kind": pl.Series(["pageview", "engagement", "event"]).gather(kind),
        "name": names.gather(chosen).zip_with(custom, nothing),
        "props": props.gather(which).zip_with(custom, nothing),
        "revenue_amount": amounts.gather(rng.integers(0, len(amounts), count)).zip_with(bought, nothing),
        "revenue_currency": pl.Series(["EUR", "USD"])
        .gather(rng.integers(0, 2, count))
        .zip_with(bought, nothing),
        "engaged_ms": pl.select(
            pl.when(engaged).then(pl.Series(rng.integers(500, 60_000, count)))
        ).to_series(),
        "scroll_percent": pl.select(
            pl.when(engaged).then(pl.Series(rng.integers(1, 101, count)))
        ).to_series(),
    }
