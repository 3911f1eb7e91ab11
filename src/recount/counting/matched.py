"""How many events each rule of a site fits, whatever the other rules do: a rule that fits none is a mistake
more often than not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl

from recount.counting import facts
from recount.counting.coding import ABSENT, Coded, code, named
from recount.counting.matching import Wanted, first_match, first_referrer_match
from recount.counting.visits import ENTRY_SCHEMA
from recount.interpret import Interpreter, sources
from recount.rules import BotRule, Exclusion, Goal, SourceRule
from recount.store.catalog import Site

COLUMNS: Final = ("site", "kind", "name", "url", *ENTRY_SCHEMA)
"""What has to be known of events (ARCHIVE_SCHEMA)."""


def matched(events: pl.DataFrame, site: Site, interpreter: Interpreter) -> dict[str, int]:
    """The events (COLUMNS) of a site that each of its rules fits, by the rule's words.

    Of an exclusion by source or verdict, and of those alone, what is asked is what the site's other rules
    make of a visit.
    """
    if events.is_empty():
        return dict.fromkeys(site.rules.lines, 0)
    seen = _Seen(events, site, interpreter)
    counts = [seen.linked_from(name) for name in site.hostnames]
    counts += [seen.goal(rule) for rule in site.goals]
    counts += [seen.fact(rule, rule.kind) for rule in site.exclusions]
    counts += [seen.fact(rule, "builtin" if _lifts(rule) else rule.by) for rule in site.bots]
    counts += [seen.fact(rule, "link" if rule.by == "referrer" else rule.by) for rule in site.sources]
    return dict(zip(site.rules.lines, counts, strict=True))


def _lifts(rule: BotRule) -> bool:
    return rule.counts_as == "human" and rule.by != "user_agent"


@dataclass(frozen=True)
class _Seen:
    """Facts of events, each looked at when a rule first asks for it."""

    events: pl.DataFrame
    site: Site
    interpreter: Interpreter

    def fact(self, rule: Exclusion | BotRule | SourceRule, name: str) -> int:
        """Events whose fact of that name the rule fits."""
        pattern = rule.pattern.lower() if name == "user_agent" else rule.pattern
        match = first_referrer_match if name in ("referrer", "link") else first_match
        return int((match(self._site, self._fact(name), [Wanted(self.site.id, pattern, 0)]) >= 0).sum())

    def goal(self, rule: Goal) -> int:
        """Custom events of the name, or pageviews of the page."""
        if rule.page is None:
            return int(((self.events["kind"] == "event") & (self.events["name"] == rule.event)).sum())
        hits = first_match(self._site, self._urls.page_if_any(), [Wanted(self.site.id, rule.page, 0)])
        return int(((hits >= 0) & (self.events["kind"] == "pageview").to_numpy()).sum())

    def linked_from(self, hostname: str) -> int:
        """Events of visits that a link on the hostname led to."""
        hosts = sources.hosts(self.events["entry_referrer"])
        return int((hosts == hostname.removeprefix("www.")).sum())

    @cached_property
    def _site(self) -> Coded:
        return named(self.site.id, self.events.height)

    @cached_property
    def _urls(self) -> facts.Urls:
        return facts.locate(self.events["url"])

    @cached_property
    def _entry(self) -> facts.Urls:
        return facts.locate(self.events["entry_url"].alias("url"))

    @cached_property
    def _agents(self) -> facts.Agents:
        return facts.agents(self.events, self.interpreter)

    def _sources(self, *, ruled: bool) -> dict[str, Coded]:
        rules = {self.site.id: self.site.rules} if ruled else {}
        referrers, known = self.events["entry_referrer"], {self.site.id: self.site}
        return facts.of_source(referrers, self._site, self._entry, known, self.interpreter, rules)

    def _verdict(self) -> Coded:
        rules = {self.site.id: replace(self.site.rules, exclusions=())}
        network = self.events["entry_network"]
        return self._agents.ruled(network, {}, self._site, rules).verdict

    def _quiet(self) -> Coded:
        """The referrer, where the link says nothing of itself."""
        found = self._sources(ruled=False)
        link, said = found["referrer"], found["utm_source"]
        return Coded(np.where(said.codes >= 0, ABSENT, link.codes), link.values)

    def _fact(self, name: str) -> Coded:
        make: dict[str, Callable[[], Coded]] = {
            "page": lambda: self._urls.page_if_any(),
            "hostname": lambda: Coded(self._entry.url.codes, self._entry.hostname),
            "country": lambda: code(self.events["entry_country"]),
            "network": lambda: code(self.events["entry_network"]),
            "referrer": lambda: self._sources(ruled=False)["referrer"],
            "source": lambda: self._sources(ruled=True)["source"],
            "verdict": self._verdict,
            "builtin": lambda: self._agents.verdict,
            "user_agent": lambda: Coded(self._agents.ua.codes, self._agents.ua.values.str.to_lowercase()),
            "link": self._quiet,
            "utm_source": lambda: self._sources(ruled=False)["utm_source"],
        }
        return make[name]()
