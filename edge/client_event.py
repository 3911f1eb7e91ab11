"""What a client may send, checked while it is decoded: one event, an array, or `{"events": [...]}`."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec

from recount.columns import TIME_MAX_MS
from recount.errors import Refused
from recount.event import (
    BATCH_MAX_EVENTS,
    ENGAGED_MAX_MS,
    ID_MAX_CHARS,
    LANG_MAX_CHARS,
    NAME_MAX_CHARS,
    PROP_NAME_MAX_CHARS,
    PROP_VALUE_MAX_CHARS,
    PROPS_MAX_COUNT,
    SCREEN_MAX_CHARS,
    UA_MAX_CHARS,
    Kind,
)
from recount.limits import BODY_SINGLE_MAX_BYTES
from recount.reasons import Reason

WHOLE_MAX: Final = 2**53 - 1  # beyond it, JSON readers disagree about a number
SITE_MAX_CHARS: Final = 64
VISITOR_MAX_CHARS: Final = 128
REFERRER_MAX_CHARS: Final = 65_536
AMOUNT_MAX_CHARS: Final = 32

_Whole = Annotated[int, msgspec.Meta(ge=-WHOLE_MAX, le=WHOLE_MAX)]
_Number = _Whole | float
_PropName = Annotated[str, msgspec.Meta(min_length=1, max_length=PROP_NAME_MAX_CHARS)]
_PropText = Annotated[str, msgspec.Meta(max_length=PROP_VALUE_MAX_CHARS)]
_Props = Annotated[dict[_PropName, _PropText | _Number | bool], msgspec.Meta(max_length=PROPS_MAX_COUNT)]
_Engaged = Annotated[int, msgspec.Meta(ge=0, le=ENGAGED_MAX_MS)]
_Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
_ABSENT: Final = msgspec.Raw(b"")


class ClientRevenue(msgspec.Struct, frozen=True, gc=False):
    """Without a currency the site's own is meant."""

    amount: Annotated[str, msgspec.Meta(max_length=AMOUNT_MAX_CHARS)] | _Whole | float
    currency: Annotated[str, msgspec.Meta(min_length=3, max_length=3)] | None = None


class ClientEvent(msgspec.Struct, gc=False):
    """One event as sent; `ts`, `ip` and `ua` need a site token, `visitor` a site with first-party ids."""

    site: Annotated[str, msgspec.Meta(max_length=SITE_MAX_CHARS)] = ""
    kind: Kind = "pageview"
    id: Annotated[str, msgspec.Meta(max_length=ID_MAX_CHARS)] | None = None
    name: Annotated[str, msgspec.Meta(max_length=NAME_MAX_CHARS)] | None = None
    url: str | None = None
    referrer: str | None = None
    screen: Annotated[str, msgspec.Meta(max_length=SCREEN_MAX_CHARS)] | None = None
    lang: Annotated[str, msgspec.Meta(max_length=LANG_MAX_CHARS)] | None = None
    age_ms: _Number | None = None
    props: _Props | None = None
    revenue: ClientRevenue | None = None
    engaged_ms: _Engaged | None = None
    scroll_percent: _Percent | None = None
    ts: Annotated[int, msgspec.Meta(ge=0, lt=TIME_MAX_MS)] | None = None
    ip: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    ua: Annotated[str, msgspec.Meta(max_length=UA_MAX_CHARS)] | None = None
    visitor: Annotated[str, msgspec.Meta(min_length=1, max_length=VISITOR_MAX_CHARS)] | None = None
    line: Annotated[int, msgspec.Meta(ge=0, le=WHOLE_MAX)] | None = None


class _Envelope(ClientEvent, gc=False):
    """A body that starts with `{`: one event, or a batch under `events`."""

    events: msgspec.Raw = _ABSENT


Parsed = ClientEvent | Refused
T = TypeVar("T")

_one = msgspec.json.Decoder(ClientEvent)
_envelope = msgspec.json.Decoder(_Envelope)
_many = msgspec.json.Decoder(list[ClientEvent])
_pieces = msgspec.json.Decoder(list[msgspec.Raw])


def parse_body(body: bytes) -> ClientEvent | list[Parsed]:
    """One event, or a batch in which bad events stand as the Refused that says why. Raises Refused."""
    if body[:1] != b"{" and body.lstrip()[:1] == b"[":
        return parse_batch(body, BATCH_MAX_EVENTS)
    sent = decode(_envelope, body)
    if sent.events:
        return parse_batch(bytes(sent.events), BATCH_MAX_EVENTS)
    if len(body) > BODY_SINGLE_MAX_BYTES:
        raise Refused(Reason.TOO_LARGE, f"one event has at most {BODY_SINGLE_MAX_BYTES} bytes")
    return sent


def parse_batch(array: bytes, max_events: int) -> list[Parsed]:
    """Every event of a JSON array, decoded at one go where all are good."""
    try:
        events: list[Parsed] = list(_many.decode(array))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pieces = decode(_pieces, array)
        _check_count(len(pieces), max_events)
        return [_parse_piece(bytes(piece)) for piece in pieces]
    _check_count(len(events), max_events)
    return events


def from_query(fields: dict[str, str]) -> ClientEvent:
    """The event of a pixel's query string. Raises Refused."""
    try:
        return msgspec.convert(fields, ClientEvent, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(Reason.BAD_EVENT, str(error)) from None


def _parse_piece(piece: bytes) -> Parsed:
    try:
        return decode(_one, piece)
    except Refused as refused:
        return refused


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Raises Refused: bad_json where it is no JSON, bad_event where it has another shape."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refused(Reason.BAD_EVENT, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(Reason.BAD_JSON, str(error)) from None
    except RecursionError:
        raise Refused(Reason.BAD_JSON, "nested too deeply") from None


def _check_count(count: int, max_events: int) -> None:
    if count > max_events:
        raise Refused(Reason.TOO_MANY, f"a batch has at most {max_events} events, this one has {count}")
