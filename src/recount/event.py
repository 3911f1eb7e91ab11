"""The raw event: what was observed, before any interpretation.

One event is one Kafka message: the JSON object of `RawEvent`, absent fields left out. In columns (raw
batches, the archive, the fold) it is one row of `EVENT_SCHEMA`. Fields are only ever added; unknown fields
are kept in the column `extra`, an unknown version is quarantined.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
import polars as pl

SCHEMA_VERSION: Final = 1

BATCH_MAX_EVENTS: Final = 500
URL_MAX_CHARS: Final = 2_000
UA_MAX_CHARS: Final = 1_000
ID_MAX_CHARS: Final = 64
NAME_MAX_CHARS: Final = 120
LANG_MAX_CHARS: Final = 35
SCREEN_MAX_CHARS: Final = 15
PROPS_MAX_COUNT: Final = 30
PROP_NAME_MAX_CHARS: Final = 64
PROP_VALUE_MAX_CHARS: Final = 512
REVENUE_MAX_MICROS: Final = 10**15
ENGAGED_MAX_MS: Final = 24 * 3_600_000
FUTURE_MAX_MS: Final = 5 * 60_000
AGE_MAX_MS: Final = 24 * 3_600_000

Kind = Literal["pageview", "event", "engagement"]
ERASED: Final = "erased"  # the kind of what is left of an erased event: its place and number, no fact
SourceKind = Literal["tracker", "pixel", "api", "import"]
PropValue = str | int | float | bool


class Revenue(msgspec.Struct, frozen=True, gc=False):
    """An amount as a decimal string (at most six decimals) and its ISO 4217 currency."""

    amount: str
    currency: str


class ObservedEvent(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One event as the door makes it; times are milliseconds UTC, `visitor` 16 hex digits."""

    v: int
    id: str
    site: str
    ts: int
    received: int
    kind: Kind
    visitor: str
    source_kind: SourceKind
    name: str | None = None
    url: str | None = None
    referrer: str | None = None
    ua: str | None = None
    lang: str | None = None
    screen: str | None = None
    country: str | None = None
    region: str | None = None
    network: str | None = None
    props: dict[str, PropValue] | None = None
    revenue: Revenue | None = None
    engaged_ms: int | None = None
    scroll_percent: int | None = None
    ts_clamped: bool = False


class RawEvent(ObservedEvent, kw_only=True, omit_defaults=True, gc=False):
    """One event as it travels through Kafka: with the spool that took it and its number there."""

    spool: str
    seq: int


# One row an event. `props` is the JSON object as text, so that it is interpreted once per distinct value;
# `extra` is a JSON object of fields that this version does not know.
FACTS_SCHEMA: Final[dict[str, pl.DataType]] = {
    "v": pl.Int16(),
    "id": pl.String(),
    "spool": pl.String(),
    "seq": pl.Int64(),
    "site": pl.String(),
    "ts": pl.Int64(),
    "received": pl.Int64(),
    "kind": pl.String(),
    "visitor": pl.UInt64(),
    "source_kind": pl.String(),
    "name": pl.String(),
    "url": pl.String(),
    "referrer": pl.String(),
    "ua": pl.String(),
    "lang": pl.String(),
    "screen": pl.String(),
    "country": pl.String(),
    "region": pl.String(),
    "network": pl.String(),
    "props": pl.String(),
    "revenue_amount": pl.String(),
    "revenue_currency": pl.String(),
    "engaged_ms": pl.Int64(),
    "scroll_percent": pl.Int16(),
    "ts_clamped": pl.Boolean(),
    "extra": pl.String(),
}

# Where an event was read from: a source partition is a topic *and* a partition, everywhere.
POSITION_SCHEMA: Final[dict[str, pl.DataType]] = {
    "topic": pl.String(),
    "partition": pl.Int32(),
    "offset": pl.Int64(),
}

EVENT_SCHEMA: Final[dict[str, pl.DataType]] = {**POSITION_SCHEMA, **FACTS_SCHEMA}

_encoder = msgspec.json.Encoder()


def encode(event: RawEvent) -> bytes:
    """The Kafka value of an event: JSON on one line."""
    return _encoder.encode(event)
