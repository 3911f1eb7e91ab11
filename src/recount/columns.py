"""Kafka values to columns: the one decoder that history and the live service share.

The fast path decodes a whole batch with a typed decoder that refuses unknown fields. Whatever it refuses is
looked at record by record: fields this version does not know go into `extra`, and what can never be read is
handed back as poison with its reason, so that one bad record never stops the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Annotated, Any, Final, cast

import msgspec
import numpy as np
import polars as pl

from recount.errors import Poison
from recount.event import (
    EVENT_SCHEMA,
    FACTS_SCHEMA,
    POSITION_SCHEMA,
    SCHEMA_VERSION,
    PropValue,
    RawEvent,
)

TIME_MAX_MS: Final = 4_102_444_800_000  # the year 2100
VISITOR_DIGITS: Final = 16
VERSION_SHOWN_BYTES: Final = 40
NO_VISITOR: Final = "`visitor` is not 16 hex digits"

_Time = Annotated[int, msgspec.Meta(ge=0, lt=TIME_MAX_MS)]
_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
_Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
_ABSENT: Final = msgspec.Raw(b"")


class PoisonReason(StrEnum):
    """Why a record is quarantined; the value travels with the dead letter.

    The last two can be read, but no hour takes them: it has left the archive, or is still to come.
    """

    BAD_JSON = "bad_json"
    NOT_AN_OBJECT = "not_an_object"
    UNKNOWN_VERSION = "unknown_version"
    WRONG_TYPE = "wrong_type"
    TOO_OLD = "too_old"
    IN_THE_FUTURE = "in_the_future"


class _Wire(RawEvent, kw_only=True, omit_defaults=False, forbid_unknown_fields=True, gc=False):
    """`RawEvent` as the decoder wants it: numbers within their columns' range, `props` left as text."""

    seq: _Count
    ts: _Time
    received: _Time
    props: msgspec.Raw = _ABSENT  # type: ignore[assignment]
    engaged_ms: _Count | None = None
    scroll_percent: _Percent | None = None


_FIELDS: Final = _Wire.__struct_fields__
_SPECIAL: Final = frozenset({"visitor", "props", "revenue"})
_decode_wire: Final = msgspec.json.Decoder(_Wire).decode
_decode_props: Final = msgspec.json.Decoder(dict[str, PropValue] | None).decode
_decode_raw: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Decoded:
    """`events`: EVENT_SCHEMA, in the order of the values; `poison`: (index into the values, reason)."""

    events: pl.DataFrame
    poison: list[tuple[int, PoisonReason]]


def positions(topic: str, partition: int, offsets: Sequence[int]) -> pl.DataFrame:
    """POSITION_SCHEMA rows of records that all lie in one source partition."""
    return pl.DataFrame({"offset": offsets}, schema={"offset": pl.Int64}).select(
        pl.lit(topic).alias("topic"), pl.lit(partition, pl.Int32).alias("partition"), "offset"
    )


def decode(values: Sequence[bytes], places: pl.DataFrame) -> Decoded:
    """Decode JSON messages; `places` (POSITION_SCHEMA) has one row a value. No value makes it raise."""
    try:
        wires = list(map(_decode_wire, values))
        facts = _facts(wires, None)
        return Decoded(_placed(facts, places), [])
    except (msgspec.MsgspecError, Poison):
        return _decode_each(values, places)


def fault(value: bytes) -> Poison | None:
    """Why a record cannot be read, in detail; None where it can."""
    try:
        _decode_one(value)
    except Poison as error:
        return error
    return None


def concat(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Event frames one after the other; an empty EVENT_SCHEMA frame for none."""
    kept = list(frames)
    return pl.concat(kept) if kept else pl.DataFrame(schema=EVENT_SCHEMA)


def groups(frame: pl.DataFrame, *names: str) -> list[tuple[tuple[str | int, ...], pl.DataFrame]]:
    """The rows of each combination of values in some columns, in the order of these values."""
    if frame.is_empty():
        return []
    parts = frame.partition_by(names, as_dict=True, maintain_order=True)
    return sorted(
        cast("dict[tuple[str | int, ...], pl.DataFrame]", parts).items(), key=lambda entry: entry[0]
    )


def _decode_each(values: Sequence[bytes], places: pl.DataFrame) -> Decoded:
    wires: list[_Wire] = []
    extras: list[str | None] = []
    poison: list[tuple[int, PoisonReason]] = []
    good = [True] * len(values)
    for index, value in enumerate(values):
        try:
            wire, extra = _decode_one(value)
        except Poison as error:
            poison.append((index, PoisonReason(error.reason)))
            good[index] = False
        else:
            wires.append(wire)
            extras.append(extra)
    if not wires:
        return Decoded(pl.DataFrame(schema=EVENT_SCHEMA), poison)
    kept = places if all(good) else places.filter(pl.Series(good))
    return Decoded(_placed(_facts(wires, extras), kept), poison)


def _decode_one(value: bytes) -> tuple[_Wire, str | None]:
    """One record by the same rules; raises Poison."""
    try:
        return _checked(_decode_wire(value)), None
    except (msgspec.MsgspecError, Poison, UnicodeDecodeError):
        return _decode_with_extra(value)


def _decode_with_extra(value: bytes) -> tuple[_Wire, str | None]:
    try:
        raw = _decode_raw(value)
    except msgspec.ValidationError as error:
        raise Poison(PoisonReason.NOT_AN_OBJECT, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Poison(PoisonReason.BAD_JSON, str(error)) from None
    version = bytes(raw.get("v", _ABSENT)).strip()
    if version != str(SCHEMA_VERSION).encode():
        given = version[:VERSION_SHOWN_BYTES].decode("utf-8", "backslashreplace") or "none"
        raise Poison(PoisonReason.UNKNOWN_VERSION, f"`v` is {given}, this version reads {SCHEMA_VERSION}")
    known = {name: raw[name] for name in _FIELDS if name in raw}
    extra = {name: part for name, part in raw.items() if name not in known}
    try:
        return _checked(_decode_wire(_encode(known))), _encode(extra).decode() if extra else None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Poison(PoisonReason.WRONG_TYPE, str(error)) from None


def _checked(wire: _Wire) -> _Wire:
    """What `_facts` checks of a batch, for one record."""
    if wire.v != SCHEMA_VERSION:
        raise Poison(PoisonReason.UNKNOWN_VERSION)
    _visitors([wire.visitor])
    _props_text(bytes(wire.props))
    return wire


def _facts(wires: list[_Wire], extras: list[str | None] | None) -> pl.DataFrame:
    """FACTS_SCHEMA; raises Poison or a msgspec error when a value does not fit its column."""
    columns: dict[str, Any] = {
        name: list(map(attrgetter(name), wires)) for name in _FIELDS if name not in _SPECIAL
    }
    if not {*columns["v"]} <= {SCHEMA_VERSION}:
        raise Poison(PoisonReason.UNKNOWN_VERSION)
    columns["visitor"] = _visitors([wire.visitor for wire in wires])
    columns["props"] = _props([wire.props for wire in wires])
    revenues = [wire.revenue for wire in wires]
    columns["revenue_amount"] = [r and r.amount for r in revenues]
    columns["revenue_currency"] = [r and r.currency for r in revenues]
    columns["extra"] = extras if extras is not None else [None] * len(wires)
    return pl.DataFrame([pl.Series(name, columns[name], dtype=dtype) for name, dtype in FACTS_SCHEMA.items()])


def _visitors(digits: list[str]) -> Any:
    """Hex digits to UInt64, all at once."""
    try:
        raw = bytes.fromhex("".join(digits))
    except ValueError:
        raise Poison(PoisonReason.WRONG_TYPE, NO_VISITOR) from None
    # fromhex skips blanks, so the sum of the lengths alone would not prove that each has its 16 digits.
    if len(raw) * 2 != VISITOR_DIGITS * len(digits) or not {*map(len, digits)} <= {VISITOR_DIGITS}:
        raise Poison(PoisonReason.WRONG_TYPE, NO_VISITOR)
    return np.frombuffer(raw, dtype=">u8").astype(np.uint64)


def _props(raws: list[msgspec.Raw]) -> list[str | None]:
    """Property objects as canonical text, checked once a distinct text."""
    texts = list(map(bytes, raws))
    known = {text: _props_text(text) for text in set(texts)}
    return [known[text] for text in texts]


def _props_text(text: bytes) -> str | None:
    if not text:
        return None
    props = _decode_props(text)
    return _encode(props).decode() if props else None


def _placed(facts: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    return pl.concat(
        [places.select(pl.col(n).cast(t) for n, t in POSITION_SCHEMA.items()), facts], how="horizontal"
    )


def drop_repeats(events: pl.DataFrame) -> pl.DataFrame:
    """Each (topic, partition, offset) once: what redelivery wrote twice."""
    return events.unique(subset=list(POSITION_SCHEMA), keep="first", maintain_order=False)
