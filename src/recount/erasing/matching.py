"""What tombstones make of events: frames in, frames of the same rows out.

An erased event becomes a husk: where it lay in Kafka and its number in a spool stay, so that receipts and
ledgers still add up, and every fact is gone. The husks of an erased site do not even name it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson
import polars as pl

from recount.erasing.tombstone import Tombstone, regex
from recount.event import ERASED, FACTS_SCHEMA
from recount.interpret.pages import locate
from recount.periods import HOUR_MS

BY_BROWSERS: Final = ("tracker", "pixel")
NAMELESS: Final = ""  # the site of the husks of an erased site
_STAYS: Final = frozenset({"v", "spool", "seq", "site"})


@dataclass(frozen=True)
class Effect:
    """How many events tombstones take, and of how many others they take something."""

    erased: int = 0
    edited: int = 0

    def __add__(self, other: Effect) -> Effect:
        return Effect(self.erased + other.erased, self.edited + other.edited)

    @property
    def is_empty(self) -> bool:
        return not (self.erased or self.edited)


def applied(events: pl.DataFrame, tombstones: Sequence[Tombstone]) -> pl.DataFrame:
    """The same rows (EVENT_SCHEMA, same order): husks where an event is erased, others without what is."""
    if not tombstones or events.is_empty():
        return events
    present = set(events["site"].unique())
    concerned = [t for t in tombstones if t.site in present]
    if not concerned:
        return events
    events = _husked(events, [t for t in concerned if t.takes_events])
    for tombstone in concerned:
        if tombstone.what == "property":
            events = _without_property(events, tombstone)
        elif tombstone.what == "page":
            events = _without_referrers(events, tombstone)
    return events


def living(events: pl.DataFrame) -> pl.DataFrame:
    """The events that are no husks."""
    return events.filter(pl.col("kind") != ERASED)


def husks(events: pl.DataFrame) -> pl.DataFrame:
    """What is left of erased events."""
    return events.filter(pl.col("kind") == ERASED)


def effect(before: pl.DataFrame, after: pl.DataFrame) -> Effect:
    """What `applied` did to rows."""
    if before is after or before.equals(after):
        return Effect()
    erased = husks(after).height - husks(before).height
    stay = after["kind"] != ERASED
    changed = pl.lit(False)
    facts = ("props", "referrer")
    both = before.select(facts).hstack(after.select(pl.col(name).alias(f"new_{name}") for name in facts))
    for name in facts:
        changed |= ~pl.col(name).eq_missing(pl.col(f"new_{name}"))
    return Effect(erased, both.filter(stay).filter(changed).height)


def hit_of(value: bytes, tombstones: Sequence[Tombstone]) -> Tombstone | None:
    """The tombstone that takes a record, whole and readable or not; where it cannot be told, it takes it."""
    if not tombstones:
        return None
    fields = _fields(value)
    return next((t for t in tombstones if t.takes_events and _takes(t, value, fields)), None)


def redacted(value: bytes, tombstones: Sequence[Tombstone]) -> bytes:
    """A record without the properties that are erased."""
    fields = _fields(value)
    wanted = [t for t in tombstones if t.what == "property" and t.site == fields.get("site")]
    if not wanted or not isinstance(fields.get("props"), dict):
        return value
    props = fields["props"]
    for tombstone in wanted:
        if _is_before(tombstone, fields):
            props = _kept(props, tombstone)
    if props == fields["props"]:
        return value
    return orjson.dumps(fields | {"props": props})


def _husked(events: pl.DataFrame, tombstones: Sequence[Tombstone]) -> pl.DataFrame:
    if not tombstones:
        return events
    takes = pl.any_horizontal([_matches(events, t) for t in tombstones]).fill_null(False)
    sites = [t.site for t in tombstones if t.what == "site"]
    is_husk = pl.col("_takes") | (pl.col("kind") == ERASED)
    left = {"kind": pl.lit(ERASED), "ts": pl.col("ts") // HOUR_MS * HOUR_MS}
    facts = [
        pl.when("_takes").then(left.get(name, pl.lit(None, kind))).otherwise(name).alias(name)
        for name, kind in FACTS_SCHEMA.items()
        if name not in _STAYS
    ]
    nameless = pl.when(is_husk & pl.col("site").is_in(sites)).then(pl.lit(NAMELESS)).otherwise("site")
    return events.with_columns(takes.alias("_takes")).with_columns(*facts, site=nameless).drop("_takes")


def _matches(events: pl.DataFrame, tombstone: Tombstone) -> pl.Expr:
    """True for the events that it takes, not for husks."""
    before = _before(tombstone)
    if tombstone.what == "visitor":
        return before & (pl.col("visitor") == pl.lit(tombstone.visitor, pl.UInt64))
    if tombstone.what == "page":
        return before & pl.col("url").is_in(_urls(events.filter(before)["url"], tombstone).implode())
    return before


def _before(tombstone: Tombstone) -> pl.Expr:
    """Taken by the door before the moment; what a browser sends again later is as old as it says itself."""
    resent = pl.col("source_kind").is_in(BY_BROWSERS) & (pl.col("ts") < tombstone.before_ms)
    before = (pl.col("received") < tombstone.before_ms) | resent
    return (pl.col("site") == tombstone.site) & (pl.col("kind") != ERASED) & before


def _urls(urls: pl.Series, tombstone: Tombstone) -> pl.Series:
    """Those of some addresses whose page matches."""
    located = locate(urls.drop_nulls().unique().alias("url").to_frame())
    return located.filter(pl.col("is_valid") & pl.col("page").str.contains(regex(tombstone.page)))["url"]


def _without_referrers(events: pl.DataFrame, tombstone: Tombstone) -> pl.DataFrame:
    """The erased pages led to others, where they stand as referrers."""
    before = _before(tombstone)
    referrers = events.filter(before)["referrer"].drop_nulls().unique()
    located = locate(referrers.alias("url").to_frame())
    own = pl.col("hostname").is_in(tombstone.hosts) & pl.col("page").str.contains(regex(tombstone.page))
    gone = located.filter(pl.col("is_valid") & own)["url"]
    if gone.is_empty():
        return events
    hidden = before & pl.col("referrer").is_in(gone.implode())
    return events.with_columns(
        pl.when(hidden.fill_null(False)).then(pl.lit(None, pl.String)).otherwise("referrer").alias("referrer")
    )


def _without_property(events: pl.DataFrame, tombstone: Tombstone) -> pl.DataFrame:
    before = _before(tombstone).fill_null(False)
    texts = events.filter(before)["props"].drop_nulls().unique().to_list()
    new = {text: left for text in texts if (left := _props_left(text, tombstone)) != text}
    if not new:
        return events
    changed = pl.col("props").replace(
        pl.Series(list(new), dtype=pl.String), pl.Series(list(new.values()), dtype=pl.String)
    )
    return events.with_columns(pl.when(before).then(changed).otherwise("props").alias("props"))


def _props_left(text: str, tombstone: Tombstone) -> str | None:
    props = msgspec.json.decode(text, type=dict[str, Any])
    left = _kept(props, tombstone)
    if len(left) == len(props):
        return text
    return msgspec.json.encode(left).decode() if left else None


def _kept(props: dict[str, Any], tombstone: Tombstone) -> dict[str, Any]:
    return {
        name: value
        for name, value in props.items()
        if name != tombstone.name or not re.match(regex(tombstone.value), _shown(value))
    }


def _shown(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _fields(value: bytes) -> dict[str, Any]:
    """Of a record that is no JSON object: nothing."""
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _takes(tombstone: Tombstone, value: bytes, fields: dict[str, Any]) -> bool:
    if not fields:
        named = f"{tombstone.visitor:016x}" if tombstone.what == "visitor" else tombstone.site
        return named.encode() in value
    if fields.get("site") != tombstone.site or not _is_before(tombstone, fields):
        return False
    if tombstone.what == "visitor":
        return str(fields.get("visitor", "")).lower() == f"{tombstone.visitor:016x}"
    if tombstone.what == "page":
        url = fields.get("url")
        return isinstance(url, str) and not _urls(pl.Series([url], dtype=pl.String), tombstone).is_empty()
    return True


def _is_before(tombstone: Tombstone, fields: dict[str, Any]) -> bool:
    """As `_before`; a moment that cannot be read lies before."""
    moments = [fields.get("received")]
    if fields.get("source_kind") in BY_BROWSERS:
        moments.append(fields.get("ts"))
    return any(not isinstance(moment, int) or moment < tombstone.before_ms for moment in moments)
