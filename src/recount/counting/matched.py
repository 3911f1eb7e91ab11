"""How many events each rule fits, whatever the other rules do: a rule that fits none is a mistake more often
than not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl

from recount.counting import facts
from recount.counting.coding import ABSENT, Coded, code
from recount.counting.matching import Wanted, first_match, first_referrer_match, rules_of
from recount.counting.visits import ENTRY_SCHEMA
from recount.interpret import Interpreter, sources
from recount.rules import EVERY_SITE, BotRule, Exclusion, Goal, Rules, SourceRule
from recount.store.catalog import Site

COLUMNS: Final = ("site", "kind", "name", "url", *ENTRY_SCHEMA)
"""What has to be known of events (ARCHIVE_SCHEMA)."""


def matched(
    events: pl.DataFrame, owner: str, sites: Mapping[str, Site], interpreter: Interpreter
) -> dict[str, int]:
    """The events (COLUMNS) that each rule of a site, or of EVERY_SITE, fits, by the rule's words. `sites`: as
    the fold takes them.

    Of an exclusion by source or verdict, and of those alone, what is asked is what other rules make of a
    visit.
    """
    rules = sites[owner].rules
    if events.is_empty():
        return dict.fromkeys(rules.lines, 0)
    seen = _Seen(events, owner, sites, interpreter)
    counts = [seen.linked_from(name) for name in rules.hostnames]
    counts += [seen.goal(rule) for rule in rules.goals]
    counts += [seen.fact(rule, rule.kind) for rule in rules.exclusions]
    counts += [seen.fact(rule, "before" if _lifts(rule) else rule.by) for rule in rules.bots]
    counts += [seen.fact(rule, "link" if rule.by == "referrer" else rule.by) for rule in rules.sources]
    return dict(zip(rules.lines, counts, strict=True))


def _lifts(rule: BotRule) -> bool:
    return rule.counts_as == "human" and rule.by != "user_agent"


@dataclass(frozen=True)
class _Seen:
    """Facts of events, each looked at when a rule first asks for it."""

    events: pl.DataFrame
    owner: str
    sites: Mapping[str, Site]
    interpreter: Interpreter

    def fact(self, rule: Exclusion | BotRule | SourceRule, name: str) -> int:
        """Events whose fact of that name the rule fits."""
        pattern = rule.pattern.lower() if name == "user_agent" else rule.pattern
        match = first_referrer_match if name in ("referrer", "link") else first_match
        return int((match(self._site, self._fact(name), [Wanted(self.owner, pattern, 0)]) >= 0).sum())

    def goal(self, rule: Goal) -> int:
        """Custom events of the name, or pageviews of the page."""
        if rule.page is None:
            return int(((self.events["kind"] == "event") & (self.events["name"] == rule.event)).sum())
        hits = first_match(self._site, self._urls.page_if_any(), [Wanted(self.owner, rule.page, 0)])
        return int(((hits >= 0) & (self.events["kind"] == "pageview").to_numpy()).sum())

    def linked_from(self, hostname: str) -> int:
        """Events of visits that a link on the hostname led to."""
        hosts = sources.hosts(self.events["entry_referrer"])
        return int((hosts == hostname.removeprefix("www.")).sum())

    @cached_property
    def _site(self) -> Coded:
        return code(self.events["site"])

    @cached_property
    def _rules(self) -> dict[str, Rules]:
        return rules_of(self._site, self.sites)

    @cached_property
    def _said(self) -> facts.Said:
        return facts.said(self.events)

    @cached_property
    def _urls(self) -> facts.Urls:
        return facts.locate(code(self.events["url"]))

    @cached_property
    def _entry(self) -> facts.Urls:
        return facts.locate(self._said["entry_url"])

    @cached_property
    def _agents(self) -> facts.Agents:
        return facts.agents(self._said, self.interpreter)

    def _sources(self, *, ruled: bool) -> dict[str, Coded]:
        rules, referrer = self._rules if ruled else {}, self._said["entry_referrer"]
        return facts.of_source(referrer, self._site, self._entry, self.sites, self.interpreter, rules)

    def _verdict(self, layers: Collection[str]) -> Coded:
        """By the rules of some owners about bots."""
        rules = {name: Rules(bots=rules.bots) for name, rules in self._rules.items() if name in layers}
        return self._agents.ruled(self._said["entry_network"], {}, self._site, rules).verdict

    def _before(self) -> Coded:
        """The verdict that the owner's rules about bots find: built in, or of the rules for all sites."""
        return self._agents.verdict if self.owner == EVERY_SITE else self._verdict([EVERY_SITE])

    def _quiet(self) -> Coded:
        """The referrer, where the link says nothing of itself."""
        found = self._sources(ruled=False)
        link, said = found["referrer"], found["utm_source"]
        return Coded(np.where(said.codes >= 0, ABSENT, link.codes), link.values)

    def _fact(self, name: str) -> Coded:
        make: dict[str, Callable[[], Coded]] = {
            "page": lambda: self._urls.page_if_any(),
            "hostname": lambda: self._entry.hostname,
            "country": lambda: self._said["entry_country"],
            "network": lambda: self._said["entry_network"],
            "referrer": lambda: self._sources(ruled=False)["referrer"],
            "source": lambda: self._sources(ruled=True)["source"],
            "verdict": lambda: self._verdict(self._rules),
            "before": self._before,
            "user_agent": lambda: Coded(self._agents.ua.codes, self._agents.ua.values.str.to_lowercase()),
            "link": self._quiet,
            "utm_source": lambda: self._sources(ruled=False)["utm_source"],
        }
        return make[name]()
