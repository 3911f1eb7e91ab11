"""What the facts of visits mean: the visit-scoped dimensions, each distinct fact interpreted once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import polars as pl

from recount.counting import ruling
from recount.counting.coding import ABSENT, Coded, Flags, Ints, code, pairs
from recount.counting.matching import reclassified
from recount.counting.visits import ENTRY_SCHEMA
from recount.interpret import Interpreter, bots, languages, pages, screens, sources
from recount.interpret.values import UNKNOWN
from recount.rules import EVERY_SITE, ExclusionKind, Rules
from recount.store.catalog import Site

_OF_UA: Final = ("device", "browser", "browser_version", "os", "os_version")
_TELLING_PARAMS: Final = ["utm_", *(f"{n}=" for n in (*sources.SOURCE_PARAMS[1:], *sources.CLICK_IDS))]
_WWW: Final = r"^www\."


Said = Mapping[str, Coded]
"""What the first events of visits say, by the names of ENTRY_SCHEMA."""


def said(visits: pl.DataFrame) -> Said:
    """Of a frame with the columns of ENTRY_SCHEMA."""
    return {name: code(visits[name]) for name in ENTRY_SCHEMA}


@dataclass(frozen=True)
class Urls:
    """The urls of rows, and where each of their values lies: `pages`, `hosts`."""

    url: Coded
    pages: Coded
    hosts: Coded

    @property
    def page(self) -> Coded:
        return self.pages.at(self.url.codes)

    @property
    def hostname(self) -> Coded:
        return self.hosts.at(self.url.codes)

    def of(self, url: Coded) -> Urls:
        """Other rows, by the same values."""
        return Urls(url, self.pages, self.hosts)

    def at(self, rows: Ints | Flags) -> Urls:
        return self.of(self.url.at(rows))

    def page_if_any(self) -> Coded:
        """The page, ABSENT where there is no url."""
        codes = np.where(self.url.values.is_null().to_numpy(), ABSENT, self.pages.codes)
        return Coded(codes[self.url.codes], self.pages.values)


def locate(url: Coded) -> Urls:
    located = pages.located(url.values)
    each = Coded(np.arange(url.size), url.values)
    return Urls(url, each.shown_as(located["page"]), each.shown_as(located["hostname"]))


@dataclass(frozen=True)
class Agents:
    """The user agents of visits, what is known of each, and the verdict on each visit."""

    ua: Coded
    known: pl.DataFrame
    verdict: Coded

    @property
    def human(self) -> Flags:
        return np.asarray((self.verdict.values == bots.HUMAN).to_numpy()[self.verdict.codes])

    def at(self, rows: Flags) -> Agents:
        return Agents(self.ua.at(rows), self.known, self.verdict.at(rows))

    def ruled(
        self, network: Coded, excluding: ruling.FactOf, site: Coded, rules: Mapping[str, Rules]
    ) -> Agents:
        """With the verdicts by the rules of each site."""
        verdict = ruling.verdicts(self.verdict, self.ua, network, excluding, site, rules)
        return Agents(self.ua, self.known, verdict)


def agents(said: Said, interpreter: Interpreter) -> Agents:
    ua, network = said["entry_ua"].compact(), said["entry_network"].compact()
    known = interpreter.user_agents(ua.values)
    distinct, places = pairs(ua.codes, network.codes, network.size)
    networks = network.values.gather(distinct % network.size).alias("network")
    facts = known.select(pl.col("ua_rule").gather(distinct // network.size)).hstack([networks])
    verdicts = facts.select(bots.verdict()).to_series()
    return Agents(ua, known, Coded(places, verdicts).shown_as(verdicts))


def visit_dimensions(
    said: Said,
    site: Coded,
    entry: Urls,
    agents: Agents,
    sites: Mapping[str, Site],
    interpreter: Interpreter,
    rules: Mapping[str, Rules],
) -> dict[str, Coded]:
    """Every visit-scoped dimension but the verdict, of the same visits in each argument. `rules`: those that
    the fold has to look at, by site."""
    return {
        "entry_page": ruling.without_hidden(site, entry.page, rules),
        "hostname": entry.hostname,
        **of_source(said["entry_referrer"], site, entry, sites, interpreter, rules),
        **{name: agents.ua.shown_as(agents.known[name]) for name in _OF_UA},
        **{name: _as_it_is(said[f"entry_{name}"]) for name in ("country", "region")},
        "language": _language(said["entry_lang"]),
        "screen": _screen(said["entry_screen"]),
    }


def excluding(
    said: Said,
    site: Coded,
    entry: Urls,
    sites: Mapping[str, Site],
    interpreter: Interpreter,
    rules: Mapping[str, Rules],
) -> ruling.FactOf:
    """The facts that exclusions look at."""

    def sourced(rows: Flags) -> dict[str, Coded]:
        return of_source(
            said["entry_referrer"].at(rows), site.at(rows), entry.at(rows), sites, interpreter, rules
        )

    facts: dict[ExclusionKind, Callable[[Flags], Coded]] = {
        "hostname": lambda rows: entry.hostname.at(rows),
        "country": lambda rows: said["entry_country"].at(rows),
        "network": lambda rows: said["entry_network"].at(rows),
        "referrer": lambda rows: sourced(rows)["referrer"],
        "source": lambda rows: sourced(rows)["source"],
    }
    return facts


def _as_it_is(fact: Coded) -> Coded:
    return fact.shown_as(fact.values.fill_null(UNKNOWN))


def _language(fact: Coded) -> Coded:
    return fact.shown_as(languages.interpret(fact.values)["language"])


def _screen(fact: Coded) -> Coded:
    return fact.shown_as(screens.interpret(fact.values)["screen_class"])


def of_source(
    referrer: Coded,
    site: Coded,
    entry: Urls,
    catalog: Mapping[str, Site],
    interpreter: Interpreter,
    rules: Mapping[str, Rules],
) -> dict[str, Coded]:
    """The source depends on what the link says of itself and on the referrer, unless that is the site itself.

    So urls are cut down to queries that say something, and own referrers to none: few pairs are left to
    look at.
    """
    query, referrer = _queries(entry.url.compact()), referrer.compact()
    none = len(referrer.values)
    own = _own_referrers(site, entry, referrer, catalog)
    distinct, places = pairs(query.codes, np.where(own, none, referrer.codes), none + 1)
    texts = pl.concat([referrer.values.alias("text"), pl.Series("text", [None], dtype=pl.String)])
    asked = pl.DataFrame(
        {
            "entry_url": query.values.gather(distinct // (none + 1)),
            "entry_referrer": texts.gather(distinct % (none + 1)),
        }
    )
    answers = interpreter.sources(asked)
    found = {name: Coded(places, answers[name]).shown_as(answers[name]) for name in sources.DIMENSIONS}
    return reclassified(found, site, rules) if rules else found


def _queries(url: Coded) -> Coded:
    """Each url's query where it may name a source, null for most."""
    telling = pl.col("url").str.contains_any(_TELLING_PARAMS)
    query = pl.when(telling).then(pl.col("url")).str.extract(r"(\?[^#]*)").alias("query")
    coded = code(pl.DataFrame({"url": url.values}).select(query).to_series())
    return Coded(coded.codes[url.codes], coded.values)


def _own_referrers(site: Coded, entry: Urls, referrer: Coded, sites: Mapping[str, Site]) -> Flags:
    """Whether each row's referrer is the host of its entry page, or another that is its site's own, or
    every site's."""
    hosts = sources.hosts(referrer.values)
    hostname = entry.hostname
    here = hostname.values.str.replace(_WWW, "")
    names = code(pl.concat([hosts.alias("host"), here.alias("host")]))
    of_referrer = np.where(hosts.is_not_null().to_numpy(), names.codes[: len(hosts)], ABSENT)
    linked = of_referrer[referrer.codes]
    own: Flags = linked == names.codes[len(hosts) :][hostname.codes]
    number = dict(zip(hosts.to_list(), of_referrer.tolist(), strict=True))
    own |= np.isin(linked, [number[host] for host in _own_hosts(sites.get(EVERY_SITE)) if host in number])
    listed = [
        (n, number[h]) for n, s in enumerate(site.values) for h in _own_hosts(sites.get(s)) if h in number
    ]
    some = np.flatnonzero(np.isin(linked, [host for _, host in listed]) & ~own)
    owned = [n * names.size + host for n, host in listed]
    own[some] = np.isin(site.codes[some] * names.size + linked[some], owned)
    return own


@lru_cache(maxsize=100_000)
def _hosts_of(domain: str, hostnames: tuple[str, ...]) -> frozenset[str]:
    """As `sources` shows hosts: lower case, without `www.`."""
    return frozenset(host.lower().removeprefix("www.") for host in (domain, *hostnames))


def _own_hosts(site: Site | None) -> frozenset[str]:
    return _hosts_of(site.domain, site.hostnames) if site else frozenset()
