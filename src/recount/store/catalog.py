"""Sites and their tokens, kept in the table `catalog` as one item an entity.

site   / <id>     a site with its rules
common / rules    the rules for all sites
token  / <digest> whose a token is
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from recount.errors import Conflict, InvalidInput
from recount.rules import EVERY_SITE, BotRule, Exclusion, Goal, Rules, SourceRule
from recount.store.rule_versions import Version, Versions
from recount.store.table import Key, Table
from recount.timeline import Timeline

__all__ = [
    "NO_COMMON",
    "Catalog",
    "Goal",
    "Identity",
    "Redaction",
    "Site",
    "token_allows",
    "token_digest",
    "validate",
]

Identity = Literal["daily_hash", "first_party"]
DoNotTrack = Literal["respect", "ignore"]
SITES: Final = "site"
COMMON: Final[Key] = ("common", "rules")
TOKENS: Final = "token"
FIRST_PARTY_SECRET: Final = "first-party visitors"
RESERVED: Final = frozenset(
    ("api", "dagster", "healthz", "metrics", "operator", "problems", "readyz", "recount.js", "static", "v1")
)  # a site's pages are at /<id>
SPREAD_MAX: Final = 1024
ID_MAX: Final = 64


@dataclass(frozen=True, kw_only=True)
class Redaction:
    """What the door removes: query parameters outside the allow-list, and values that look personal."""

    keep_params: tuple[str, ...] = (
        *("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"),
        *("ref", "source", "gclid", "gbraid", "wbraid", "msclkid"),
    )
    mask_personal: bool = True


@dataclass(frozen=True, kw_only=True)
class Site:
    """A site of the catalog. `hostnames`, `goals`, `exclusions`, `bots` and `sources` are its rules, in the
    version that counts what comes now; `timeline` says which version counts which hours of the past."""

    id: str
    domain: str
    hostnames: tuple[str, ...] = ()
    timezone: str = "UTC"
    currency: str = "EUR"
    retention_days: int = 20 * 365  # what older logs an import may bring
    identity: Identity = "daily_hash"
    do_not_track: DoNotTrack = "respect"
    spread: int = 1
    widest_spread: int = 0  # of all that it had before: events of that time still lie there
    only_own_hostnames: bool = False
    redaction: Redaction = field(default_factory=Redaction)
    goals: tuple[Goal, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    bots: tuple[BotRule, ...] = ()
    sources: tuple[SourceRule, ...] = ()
    rules_version: int = 1
    newest_rules: int = 0  # the highest version that was ever in force, if that is another
    timeline: Timeline = ()
    created_ms: int = 0

    @property
    def rules(self) -> Rules:
        return Rules(
            hostnames=self.hostnames,
            goals=self.goals,
            exclusions=self.exclusions,
            bots=self.bots,
            sources=self.sources,
        )

    def ruled(self, rules: Rules, version: int) -> Site:
        """The site under other rules."""
        return replace(
            self,
            hostnames=rules.hostnames,
            goals=rules.goals,
            exclusions=rules.exclusions,
            bots=rules.bots,
            sources=rules.sources,
            rules_version=version,
        )

    @property
    def own_hostnames(self) -> frozenset[str]:
        """Links from these are not referrers."""
        names = {self.domain, *self.hostnames}
        return frozenset(names | {f"www.{n}" for n in names if not n.startswith("www.")})

    @property
    def reach(self) -> int:
        """Over how many Kafka partitions its events lie, those of earlier spreads included."""
        return max(self.spread, self.widest_spread)


NO_COMMON: Final = Site(id=EVERY_SITE, domain="")
"""The rules for all sites before there are any."""


def validate(site: Site) -> None:
    """Raises InvalidInput naming the field at fault."""
    if site.id in RESERVED:
        raise InvalidInput(
            f"{site.id!r} is an address of its own on the dashboard: choose another", field="id"
        )
    if not site.id or not all(c.isalnum() or c in "-_." for c in site.id) or len(site.id) > ID_MAX:
        raise InvalidInput(
            f"a site id has 1 to {ID_MAX} letters, digits, dots, dashes or underscores", field="id"
        )
    if site.timezone not in available_timezones():
        raise InvalidInput(
            f"{site.timezone!r} is no time zone; try one such as Europe/Berlin", field="timezone"
        )
    if not 1 <= site.spread <= SPREAD_MAX:
        raise InvalidInput(f"spread is a number from 1 to {SPREAD_MAX}", field="spread")
    if len(site.currency) != 3 or not site.currency.isupper():
        raise InvalidInput("a currency is three capital letters (ISO 4217), such as EUR", field="currency")
    ZoneInfo(site.timezone)


def version_of(site: Site) -> Version:
    """The version of its rules that is in force, as the site itself says it."""
    return Version(site=site.id, version=site.rules_version, rules=site.rules, made_ms=site.created_ms)


class Catalog:
    """Reads and writes of the catalog; callers on a hot path keep their own copy of `sites()`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, site: Site) -> None:
        """Raises InvalidInput for a bad field, Conflict where the id is taken."""
        validate(site)
        try:
            self._table.put(_item(site), if_absent=True)
        except Conflict:
            raise Conflict(f"site {site.id!r} exists already") from None

    def update(self, site: Site) -> None:
        """Write a site anew; how far it was spread before is kept.

        Other rules than before get the next version, and count all of time when it is counted again.
        """
        validate(site)
        before = self.get(site.id)
        if before is not None:
            site = replace(site, widest_spread=max(site.reach, before.reach))
            site = site if site.rules == before.rules else self._next_version(before, site)
        self._table.put(_item(site))

    def _next_version(self, before: Site, site: Site) -> Site:
        versions = Versions(self._table)
        versions.keep(version_of(before))
        newest = versions.newest(site.id)
        number = max(before.rules_version, 0 if newest is None else newest.version) + 1
        changed = replace(site, rules_version=number, newest_rules=number, timeline=())
        versions.add(version_of(changed))
        return changed

    def swap(self, before: Site, after: Site) -> bool:
        """Write a site, or the rules for all of them, if it is still as it was read; whether it was."""
        if after.id != EVERY_SITE:
            validate(after)
        try:
            if before == NO_COMMON:
                self._table.put(_item(after), if_absent=True)
            else:
                self._table.put(_item(after), if_equals={"site": _item(before)["site"]})
        except Conflict:
            return False
        return True

    def common(self) -> Site:
        """What holds on every site: of it only the rules count, their versions and their timeline."""
        item = self._table.get(COMMON, consistent=True)
        return NO_COMMON if item is None else _site(item)

    def ruled(self) -> dict[str, Site]:
        """Every site by its id, and what holds on all under EVERY_SITE: what the fold counts by."""
        return self.sites() | {EVERY_SITE: self.common()}

    def get(self, site_id: str) -> Site | None:
        item = self._table.get((SITES, site_id), consistent=True)
        return None if item is None else _site(item)

    def sites(self) -> dict[str, Site]:
        """Every site by its id."""
        return {site.id: site for site in map(_site, self._table.query(SITES))}

    def new_token(self, site_id: str) -> str:
        """A site token, shown once; only its SHA-256 is kept."""
        token = "rt_" + secrets.token_urlsafe(24)
        self._table.put({"pk": TOKENS, "sk": token_digest(token), "site": site_id})
        return token

    def tokens(self) -> dict[str, str]:
        """Digest of every token -> its site."""
        return {item["sk"]: item["site"] for item in self._table.query(TOKENS)}

    def remove(self, site_id: str) -> int:
        """Forget a site and its tokens: doors refuse it within seconds. Returns how many tokens it had."""
        self._table.delete((SITES, site_id))
        digests = [digest for digest, site in self.tokens().items() if site == site_id]
        self._table.delete_many([(TOKENS, digest) for digest in digests])
        return len(digests)

    def secret(self, name: str) -> bytes:
        """A 32-byte secret of this deployment, made at the first call and the same ever after."""
        with suppress(Conflict):
            self._table.put({"pk": "secret", "sk": name, "value": secrets.token_bytes(32)}, if_absent=True)
        item = self._table.get(("secret", name), consistent=True)
        assert item is not None
        value: bytes = item["value"]
        return value


def token_digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def token_allows(tokens: dict[str, str], token: str, site_id: str) -> bool:
    """Whether a token (as sent) belongs to a site."""
    return hmac.compare_digest(tokens.get(token_digest(token), ""), site_id)


def _item(site: Site) -> dict[str, object]:
    pk, sk = COMMON if site.id == EVERY_SITE else (SITES, site.id)
    return {"pk": pk, "sk": sk, "site": msgspec.json.encode(site).decode()}


def _site(item: dict[str, str]) -> Site:
    return msgspec.json.decode(item["site"], type=Site)
