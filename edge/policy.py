"""The policy of the door: one visible list of steps that an event passes, in order.

A `drop_*` step may refuse the event, a `put_*` step completes it (and refuses what cannot be completed).
Every refusal names one of `recount.reasons.Reason`, the code that clients and metrics see.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Final, Protocol

import msgspec

from edge.client_event import ClientEvent
from edge.geo import Geo
from edge.rules import SiteRules
from recount.callers import normalise
from recount.errors import Refused
from recount.event import (
    AGE_MAX_MS,
    FUTURE_MAX_MS,
    REVENUE_MAX_MICROS,
    SCHEMA_VERSION,
    UA_MAX_CHARS,
    ObservedEvent,
    Revenue,
    SourceKind,
)
from recount.ids import new_id
from recount.reasons import Reason
from recount.store.catalog import token_allows
from recount.store.salts import visitor_hex

CACHED_SHAPES: Final = 4_096

VisitorOf = Callable[[bytes, str, str, str], str]
"""`visitor_hex`, with a memory or without one."""

_is_id: Final = re.compile(r"[A-Za-z0-9_.:-]+").fullmatch
# Of screens and languages there are few: each is looked at once.
_is_lang: Final = lru_cache(CACHED_SHAPES)(re.compile(r"[A-Za-z0-9_-]+").fullmatch)
_is_screen: Final = lru_cache(CACHED_SHAPES)(re.compile(r"[0-9]{1,5}[xX][0-9]{1,5}").fullmatch)
_AMOUNT: Final = re.compile(r"-?[0-9]{1,16}(?:\.[0-9]{1,6})?")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")


class Asked(msgspec.Struct, gc=False):
    """What a request says about all its events."""

    received: int  # ms UTC
    address: str
    ua: str
    source_kind: SourceKind
    token: str = ""
    signals_opt_out: bool = False  # Do-Not-Track or Global Privacy Control


class Door(Protocol):
    """What the steps need to know of the world."""

    @property
    def tokens(self) -> dict[str, str]: ...
    @property
    def geo(self) -> Geo: ...
    @property
    def visitor_of(self) -> VisitorOf: ...
    def rules_of(self, site_id: str) -> SiteRules | None: ...
    def salt_of(self, rules: SiteRules, ts: int) -> bytes: ...
    def first_party_key(self) -> bytes: ...
    def check_ready(self) -> None: ...


class Draft(msgspec.Struct, gc=False):
    """One event on its way through the steps, which never change `sent`: pixels share it."""

    door: Door
    asked: Asked
    sent: ClientEvent
    event: ObservedEvent
    address: str
    ua: str
    visitor_of: VisitorOf  # of before the rules and salts that it may remember were looked up
    host: str = ""
    partition: int = 0
    is_authorised: bool = False
    rules: SiteRules = None  # type: ignore[assignment] # set by the first step, or the event is dropped


def drop_unknown_site(draft: Draft) -> None:
    """unknown_site; raises Unavailable while no catalog was read"""
    rules = draft.door.rules_of(draft.sent.site)
    if rules is None:
        draft.door.check_ready()
        raise Refused(Reason.UNKNOWN_SITE, "no such site; `recount sites list` names them", field="site")
    draft.rules = rules


def drop_not_allowed(draft: Draft) -> None:
    """not_allowed: a token of another site, or fields that need one"""
    token, sent = draft.asked.token, draft.sent
    if token:
        if not token_allows(draft.door.tokens, token, sent.site):
            raise Refused(Reason.NOT_ALLOWED, "this token is not one of the site's")
        draft.is_authorised = True
        draft.event.source_kind = "api"
    elif sent.ts is not None or sent.ip is not None or sent.ua is not None:
        raise Refused(Reason.NOT_ALLOWED, "ts, ip and ua need Authorization: Bearer <site token>")


def drop_opted_out(draft: Draft) -> None:
    """opted_out: Do-Not-Track or Global Privacy Control, where the site respects them"""
    if draft.asked.signals_opt_out and draft.rules.respects_signals:
        raise Refused(Reason.OPTED_OUT, "the visitor asked not to be counted")


def put_client(draft: Draft) -> None:
    """bad_event: an authorised sender speaks for somebody else"""
    sent = draft.sent
    if sent.ip is not None:
        address = normalise(sent.ip)
        if address is None:
            raise Refused(Reason.BAD_EVENT, "ip is no address", field="ip")
        draft.address = address
    if sent.ua is not None:
        draft.ua = sent.ua
    if draft.ua:
        draft.event.ua = draft.ua[:UA_MAX_CHARS]


def put_time(draft: Draft) -> None:
    """too_old: when it happened; too far in the future is set to now and flagged"""
    sent, event = draft.sent, draft.event
    received = event.received
    if sent.ts is not None:
        ts = sent.ts
    elif sent.age_ms:
        ts = received - int(sent.age_ms)
    else:
        return
    if ts > received + FUTURE_MAX_MS:
        event.ts_clamped = True
        return
    if ts < received - AGE_MAX_MS and not draft.is_authorised:
        raise Refused(Reason.TOO_OLD, "older than 24 hours; that needs a site token", field="age_ms")
    if ts < received - draft.rules.retention_ms:
        raise Refused(Reason.TOO_OLD, "older than what the site keeps", field="ts")
    event.ts = ts


def put_past_time(draft: Draft) -> None:
    """bad_event, in_the_future, too_old: an import says itself when it was"""
    ts = draft.sent.ts
    if ts is None:
        raise Refused(Reason.BAD_EVENT, "an imported event needs ts", field="ts")
    if ts > draft.event.received + FUTURE_MAX_MS:
        raise Refused(Reason.IN_THE_FUTURE, "history lies in the past", field="ts")
    if ts < draft.event.received - draft.rules.retention_ms:
        raise Refused(Reason.TOO_OLD, "older than what the site keeps", field="ts")
    draft.event.ts = ts


def put_url(draft: Draft) -> None:
    """bad_event: the address, redacted"""
    url = draft.sent.url
    if url:
        draft.event.url, draft.host = draft.rules.redactor.url(url)
    elif draft.event.kind != "event":
        raise Refused(Reason.BAD_EVENT, "url is missing", field="url")


def drop_foreign_hostname(draft: Draft) -> None:
    """hostname_not_allowed"""
    rules = draft.rules
    if rules.site.only_own_hostnames and draft.host and draft.host not in rules.hosts:
        raise Refused(Reason.HOSTNAME_NOT_ALLOWED, "the url's host is not one of the site's", field="url")


def put_name(draft: Draft) -> None:
    """bad_event: a custom event has a name, redacted"""
    name = draft.sent.name
    if draft.event.kind == "event":
        if not name:
            raise Refused(Reason.BAD_EVENT, "an event needs a name", field="name")
        draft.event.name = draft.rules.redactor.text(name)


def put_referrer(draft: Draft) -> None:
    """never refuses: a referrer that is no address is left out"""
    if draft.sent.referrer:
        draft.event.referrer = draft.rules.redactor.referrer(draft.sent.referrer)


def put_screen_and_lang(draft: Draft) -> None:
    """never refuses: what has not the shape of a screen or a language tag is left out"""
    sent, event = draft.sent, draft.event
    if sent.screen and _is_screen(sent.screen):
        event.screen = sent.screen
    if sent.lang and _is_lang(sent.lang):
        event.lang = sent.lang


def put_props(draft: Draft) -> None:
    """never refuses: properties, redacted"""
    if draft.sent.props:
        draft.event.props = draft.rules.redactor.props(draft.sent.props)


def put_revenue(draft: Draft) -> None:
    """bad_event: an exact amount in a currency"""
    sent = draft.sent.revenue
    if sent is None:
        return
    currency = (sent.currency or draft.rules.site.currency).upper()
    if not _CURRENCY.fullmatch(currency):
        raise Refused(Reason.BAD_EVENT, "currency is three letters (ISO 4217)", field="revenue")
    draft.event.revenue = Revenue(_amount(sent.amount), currency)


def put_engagement(draft: Draft) -> None:
    """never refuses: only engagement events have it"""
    if draft.event.kind == "engagement":
        draft.event.engaged_ms = draft.sent.engaged_ms
        draft.event.scroll_percent = draft.sent.scroll_percent


def put_place(draft: Draft) -> None:
    """never refuses: country, region, network of the address"""
    event = draft.event
    event.country, event.region, event.network = draft.door.geo(draft.address)


def put_visitor(draft: Draft) -> None:
    """raises Unavailable where no salt can be had: the anonymous visitor, and with it the partition"""
    rules, sent = draft.rules, draft.sent
    if sent.visitor is not None and rules.first_party:
        visitor = visitor_hex(draft.door.first_party_key(), sent.site, sent.visitor, "")
    else:
        salt = draft.door.salt_of(rules, draft.event.ts)
        visitor = draft.visitor_of(salt, sent.site, draft.address, draft.ua)
    draft.event.visitor = visitor
    draft.partition = rules.partition_of(visitor) if rules.partition is None else rules.partition


def put_id(draft: Draft) -> None:
    """bad_event: the client's id, so that a retry counts once; else one of ours"""
    sent_id = draft.sent.id
    if not sent_id:
        draft.event.id = new_id(draft.event.received)
    elif _is_id(sent_id):
        draft.event.id = sent_id
    else:
        raise Refused(Reason.BAD_EVENT, "an id has letters, digits and . _ : - only", field="id")


def drop_without_number(draft: Draft) -> None:
    """bad_event: an import counts its lines and names its events, so that it can be repeated"""
    if draft.sent.line is None or not draft.sent.id:
        raise Refused(Reason.BAD_EVENT, "an imported event needs line and id", field="line")


Steps = tuple[Callable[[Draft], None], ...]

# POST /v1/events and GET /p.gif.
STEPS: Final[Steps] = (
    drop_unknown_site,  # unknown_site
    drop_not_allowed,  # not_allowed
    drop_opted_out,  # opted_out
    put_client,  # bad_event
    put_time,  # too_old
    put_url,  # bad_event
    drop_foreign_hostname,  # hostname_not_allowed
    put_name,  # bad_event
    put_referrer,
    put_screen_and_lang,
    put_props,
    put_revenue,  # bad_event
    put_engagement,
    put_place,
    put_id,  # bad_event
    put_visitor,  # last: the only step that may have to wait
)


# POST /v1/import: the same door for history; the sender's token was checked for the whole batch.
IMPORT_STEPS: Final[Steps] = (
    drop_unknown_site,  # unknown_site
    drop_without_number,  # bad_event
    put_client,  # bad_event
    put_past_time,  # bad_event, in_the_future, too_old
    put_url,  # bad_event
    drop_foreign_hostname,  # hostname_not_allowed
    put_name,  # bad_event
    put_referrer,
    put_screen_and_lang,
    put_props,
    put_revenue,  # bad_event
    put_engagement,
    put_place,
    put_id,  # bad_event
    put_visitor,
)


def apply(door: Door, asked: Asked, sent: ClientEvent, steps: Steps = STEPS) -> Draft:
    """The completed draft. Raises Refused with the reason, Unavailable where it cannot be decided now."""
    received = asked.received
    event = ObservedEvent(
        v=SCHEMA_VERSION,
        id="",
        site=sent.site,
        ts=received,
        received=received,
        kind=sent.kind,
        visitor="",
        source_kind=asked.source_kind,
    )
    draft = Draft(door, asked, sent, event, asked.address, asked.ua, door.visitor_of)
    for step in steps:
        step(draft)
    return draft


def _amount(sent: str | int | float) -> str:
    """A decimal string with at most six decimals."""
    text = sent.strip() if isinstance(sent, str) else f"{Decimal(str(sent)):f}"
    if not _AMOUNT.fullmatch(text) or abs(Decimal(text)) * 1_000_000 > REVENUE_MAX_MICROS:
        raise Refused(Reason.BAD_EVENT, "amount is a number such as 12.50", field="revenue")
    return text
