"""User agent -> browser, system, device and the bot rule it falls under.

Names and versions come from ua-parser's rules, run by its Rust engine; how they are shown is in
`user_agents.toml`. An iPad that asks for desktop pages and a desktop browser are the same text, and count
as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import polars as pl
from ua_parser.core import Domain, PartialResult
from ua_parser.loaders import load_lazy_builtins
from ua_parser.regex import Resolver

from recount.interpret import bots, sources
from recount.interpret.values import NAME_MAX_CHARS, UNKNOWN, distinct, or_unknown, table

CACHE_MAX_ROWS: Final = 100_000
BOT_DEVICE: Final = "bot"

SCHEMA: Final[dict[str, pl.DataType]] = dict.fromkeys(
    ("ua", "browser", "browser_version", "os", "os_version", "device", "ua_rule"), pl.String()
)

_PARSED: Final[dict[str, pl.DataType]] = dict.fromkeys(
    ("family", "major", "minor", "os_family", "os_major", "os_minor", "device_family"), pl.String()
)


def interpret(ua: pl.Series) -> pl.DataFrame:
    """Rows of `SCHEMA`, one per distinct value of `ua` (null included), in order of first appearance.

    `browser_version` and `os_version` carry the name ("Firefox 128", "Windows 10"); `ua_rule` is null for
    humans.
    """
    frame = distinct(ua, "ua")
    if frame.is_empty():
        return pl.DataFrame(schema=SCHEMA)
    frame = frame.hstack(_parse(frame["ua"])).with_columns(bots.ua_rules(frame["ua"]))
    return frame.with_columns(_rule(), _browser(), _system()).select(
        "ua",
        or_unknown(pl.col("browser")),
        or_unknown(_versioned("browser", "major", "minor")).alias("browser_version"),
        or_unknown(_shown_system()).alias("os"),
        or_unknown(_versioned("os", "os_major", "os_minor")).alias("os_version"),
        _device().alias("device"),
        "ua_rule",
    )


class Interpreter:
    """`interpret` with a memory: the user agents of one hour are mostly those of the hour before.

    Keeps the most recently used values in two frames of at most `cache_max_rows` together: what is asked for
    moves to the young one; when that is full, it becomes the old one and the old one is forgotten. Both are
    replaced, never changed, so threads may share an interpreter: at worst a value is interpreted twice.
    """

    def __init__(self, cache_max_rows: int = CACHE_MAX_ROWS) -> None:
        self._half_rows = max(1, cache_max_rows // 2)
        self._young = pl.DataFrame(schema=SCHEMA)
        self._old = pl.DataFrame(schema=SCHEMA)
        self._cache_max_rows = cache_max_rows
        self._sources: dict[tuple[str | None, str | None], tuple[str | None, ...]] = {}

    @property
    def remembered_rows(self) -> int:
        return self._young.height + self._old.height

    def user_agents(self, ua: pl.Series) -> pl.DataFrame:
        """As the function `interpret`."""
        wanted = distinct(ua, "ua")
        young, old = self._young, self._old
        found = wanted.join(young, on="ua", nulls_equal=True)
        if found.height == wanted.height:
            return _in_order(wanted, found)
        missing = wanted.join(young, on="ua", how="anti", nulls_equal=True)
        promoted = missing.join(old, on="ua", nulls_equal=True)
        fresh = interpret(missing.join(old, on="ua", how="anti", nulls_equal=True)["ua"])
        self._remember(young, pl.concat([promoted, fresh]))
        return _in_order(wanted, pl.concat([found, promoted, fresh]))

    def sources(self, entries: pl.DataFrame) -> pl.DataFrame:
        """As `sources.interpret` for [entry_url, entry_referrer], but row by row, and without those columns.

        A batch too large to remember is not remembered; a memory that is full starts again.
        """
        if entries.height > self._cache_max_rows // 4:
            return (
                sources.interpret(entries.unique())
                .join(entries, on=entries.columns, how="right", nulls_equal=True, maintain_order="right")
                .select(sources.DIMENSIONS)
            )
        pairs = entries.select("entry_url", "entry_referrer").rows()
        known = self._sources
        missing = list(dict.fromkeys(pair for pair in pairs if pair not in known))
        if missing:
            schema = {"entry_url": pl.String, "entry_referrer": pl.String}
            found = sources.interpret(pl.DataFrame(missing, schema=schema, orient="row"))
            fresh = dict(zip(missing, found.select(sources.DIMENSIONS).rows(), strict=True))
            fits = len(known) + len(fresh) <= self._cache_max_rows
            known = {**known, **fresh} if fits else {**fresh, **{p: known[p] for p in pairs if p in known}}
            self._sources = known
        schema = dict.fromkeys(sources.DIMENSIONS, pl.String)
        return pl.DataFrame([known[pair] for pair in pairs], schema=schema, orient="row")

    def _remember(self, young: pl.DataFrame, news: pl.DataFrame) -> None:
        if young.height + news.height <= self._half_rows:
            self._young = pl.concat([young, news])
        else:
            self._young, self._old = news.tail(self._half_rows), young


def _in_order(wanted: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    return wanted.join(found, on="ua", how="left", nulls_equal=True, maintain_order="left")


def _parse(ua: pl.Series) -> pl.DataFrame:
    resolve = _resolver()
    rows = [_fields(resolve(text, Domain.ALL)) if text else (None,) * len(_PARSED) for text in ua]
    return pl.DataFrame(rows, schema=_PARSED, orient="row").with_columns(pl.all().str.head(NAME_MAX_CHARS))


def _fields(found: PartialResult) -> tuple[str | None, ...]:
    browser, system, device = found.user_agent, found.os, found.device
    return (
        *((browser.family, browser.major, browser.minor) if browser else (None, None, None)),
        *((system.family, system.major, system.minor) if system else (None, None, None)),
        device.family if device else None,
    )


def _rule() -> pl.Expr:
    unnamed = pl.col("family").is_null() & ~pl.col("ua").str.contains(bots.BROWSER_OPENING)
    return pl.coalesce(
        pl.col("ua_rule"),
        pl.when(pl.col("device_family") == "Spider").then(pl.lit(bots.SPIDER_RULE)),
        pl.when(unnamed).then(pl.lit(bots.UNNAMED_RULE)),
    ).alias("ua_rule")


def _browser() -> pl.Expr:
    return pl.col("family").replace(_names().browsers).alias("browser")


def _system() -> pl.Expr:
    return pl.col("os_family").replace(_names().systems).replace("Other", None).alias("os")


def _shown_system() -> pl.Expr:
    return pl.when(pl.col("os").is_in(_names().distributions)).then(pl.lit("Linux")).otherwise(pl.col("os"))


def _versioned(name: str, major: str, minor: str) -> pl.Expr:
    """ "Name 17.4": the minor version only where it says something."""
    point = pl.when(pl.col(minor) != "0").then("." + pl.col(minor)).otherwise(pl.lit("")).fill_null("")
    version = (" " + pl.col(major) + point).fill_null("")
    return pl.col(name) + version


def _device() -> pl.Expr:
    kinds = (pl.when(pl.col("ua").str.contains(regex)).then(pl.lit(name)) for name, regex in _names().devices)
    bot = pl.when(pl.col("ua_rule").is_not_null()).then(pl.lit(BOT_DEVICE))
    return pl.coalesce(bot, *kinds, pl.lit(UNKNOWN))


@dataclass(frozen=True, slots=True)
class _Names:
    browsers: dict[str, str]
    systems: dict[str, str]
    distributions: list[str]
    devices: list[tuple[str, str]]


@cache
def _names() -> _Names:
    shown = table("user_agents.toml")
    devices = [(kind["name"], "|".join(f"(?:{p})" for p in kind["patterns"])) for kind in shown["devices"]]
    return _Names(shown["browsers"], shown["systems"], shown["distributions"]["names"], devices)


@cache
def _resolver() -> Resolver:
    """Matchers are compiled when a user agent is first held against them: most never are."""
    return Resolver(load_lazy_builtins())
