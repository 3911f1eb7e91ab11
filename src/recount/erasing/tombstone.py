"""A tombstone: which events of a site must never be seen again."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
import polars as pl

from recount.errors import InvalidInput
from recount.event import PROP_NAME_MAX_CHARS, URL_MAX_CHARS
from recount.periods import MINUTE_MS

What = Literal["visitor", "site", "page", "property"]
WILDCARD: Final = "*"
DOORS_CLOSE_MS: Final = 10 * MINUTE_MS  # doors forget a site within seconds; clocks differ
DAY_MS: Final = 24 * 60 * MINUTE_MS
MARGIN_DAYS: Final = 2  # DynamoDB and Kafka delete a little after they may


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """Events of `site` from before `before_ms`: those of one visitor, all, those of pages, or a property.

    `visitor` is the hash of a first-party id, never the id. `page` and `value` are patterns in which `*`
    stands for any text; `hosts` are the site's own names, whose pages are erased as referrers too.
    `rewritten`: the archive no longer holds what it takes; `done`: nothing that can be rewritten does.
    """

    id: str
    site: str
    what: What
    before_ms: int
    expires_ms: int
    visitor: int = 0
    page: str = ""
    hosts: list[str] = []
    name: str = ""
    value: str = WILDCARD
    rewritten: bool = False
    done: bool = False

    @property
    def takes_events(self) -> bool:
        """Whether whole events go; of a property only the property does."""
        return self.what != "property"

    @property
    def subject(self) -> str:
        """What it takes, for people and for ever: not who it was."""
        if self.what == "page":
            return f"page {self.page}"
        if self.what == "property":
            return f"property {self.name}" + ("" if self.value == WILDCARD else f"={self.value}")
        return "a visitor" if self.what == "visitor" else "the site"


def check_page(pattern: str) -> None:
    """Raises InvalidInput for what matches no page."""
    if not pattern.startswith(("/", WILDCARD)) or len(pattern) > URL_MAX_CHARS:
        raise InvalidInput(
            f"{pattern!r} is no page; give a path as the dashboard shows it, such as '/user/*'", field="page"
        )


def check_property(name: str) -> None:
    """Raises InvalidInput for a name that no property has."""
    if not 1 <= len(name) <= PROP_NAME_MAX_CHARS or WILDCARD in name:
        raise InvalidInput(
            f"{name!r} names no property; give one name, and a pattern of its values if you like: "
            "email or 'email=*@example.com'",
            field="property",
        )


def expires_ms(now_ms: int, *, raw_ttl_days: int, kafka_retention_ms: int, dead_retention_days: int) -> int:
    """When every copy that cannot be rewritten has expired by itself, if nothing holds it up."""
    kept_days = max(raw_ttl_days, -(-kafka_retention_ms // DAY_MS), dead_retention_days)
    return now_ms + (kept_days + MARGIN_DAYS) * DAY_MS


def regex(pattern: str) -> str:
    """A pattern as a regular expression over the whole text."""
    return "(?s)^" + ".*".join(pl.escape_regex(part) for part in pattern.split(WILDCARD)) + "$"
