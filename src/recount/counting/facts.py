"""What the facts of visits mean: the visit-scoped dimensions, each distinct fact interpreted once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recount.counting import ruling
from recount.counting.coding import ABSENT, Coded, code, pairs
from recount.counting.matching import reclassified
from recount.interpret import Interpreter, bots, languages, pages, screens, sources
from recount.interpret.values import UNKNOWN
from recount.rules import EVERY_SITE, ExclusionKind, Rules
from recount.store.catalog import Site

_OF_UA: Final = ("device", "browser", "browser_version", "os", "os_version")
_TELLING_PARAMS: Final = ["utm_", *(f"{n}=" for n in (*sources.SOURCE_PARAMS[1:], *sources.CLICK_IDS))]
_WWW: Final = r"^www\."

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Urls:
    """Every url of a batch, once: raw, and where each lies."""

    url: Coded
    page: Coded
    hostname: pl.Series

    def part(self, rows: slice) -> Urls:
        url, page = (
            Coded(self.url.codes[rows], self.url.values),
            Coded(self.page.codes[rows], self.page.values),
        )
        return Urls(url, page, self.hostname)

    def at(self, rows: Flags) -> Urls:
        return Urls(self.url.at(rows), self.page.at(rows), self.hostname)

    def page_if_any(self) -> Coded:
        """The page, ABSENT where there is no url."""
        is_absent = self.url.values.is_null().to_numpy()[self.url.codes]
        return Coded(np.where(is_absent, ABSENT, self.page.codes), self.page.values)


def locate(urls: pl.Series) -> Urls:
    url = code(urls)
    located = pages.locate(pl.DataFrame({"url": url.values}))
    return Urls(url, url.shown_as(located["page"]), located["hostname"])


@dataclass(frozen=True)
class Agents:
    """The user agents of visits, what is known of each, and the verdict on each visit."""

    ua: Coded
    known: pl.DataFrame
    verdict: Coded

    @property
    def human(self) -> Flags:
        return np.asarray((self.verdict.values == bots.HUMAN).to_numpy()[self.verdict.codes])

    def ruled(
        self, network: pl.Series, excluding: ruling.FactOf, site: Coded, rules: Mapping[str, Rules]
    ) -> Agents:
        """With the verdicts by the rules of each site."""
        verdict = ruling.verdicts(self.verdict, self.ua, network, excluding, site, rules)
        return Agents(self.ua, self.known, verdict)


def agents(visits: pl.DataFrame, interpreter: Interpreter) -> Agents:
    """Of visits with the columns `entry_ua` and `entry_network`."""
    ua, network = code(visits["entry_ua"]), code(visits["entry_network"])
    known = interpreter.user_agents(ua.values)
    distinct, places = pairs(ua.codes, network.codes, network.size)
    networks = network.values.gather(distinct % network.size).alias("network")
    facts = known.select(pl.col("ua_rule").gather(distinct // network.size)).hstack([networks])
    verdicts = facts.select(bots.verdict()).to_series()
    return Agents(ua, known, Coded(places, verdicts).shown_as(verdicts))


def visit_dimensions(
    visits: pl.DataFrame,
    site: Coded,
    entry: Urls,
    agents: Agents,
    sites: Mapping[str, Site],
    interpreter: Interpreter,
    rules: Mapping[str, Rules],
) -> dict[str, Coded]:
    """Every visit-scoped dimension but the verdict; rows of `visits` (ENTRY_SCHEMA) go with those of the
    rest. `rules`: those that the fold has to look at, by site."""
    return {
        "entry_page": ruling.without_hidden(site, entry.page, rules),
        "hostname": entry.url.shown_as(entry.hostname),
        **of_source(visits["entry_referrer"], site, entry, sites, interpreter, rules),
        **{name: agents.ua.shown_as(agents.known[name]) for name in _OF_UA},
        **{name: _as_it_is(visits[f"entry_{name}"]) for name in ("country", "region")},
        "language": _language(visits["entry_lang"]),
        "screen": _screen(visits["entry_screen"]),
    }


def excluding(
    visits: pl.DataFrame,
    site: Coded,
    entry: Urls,
    sites: Mapping[str, Site],
    interpreter: Interpreter,
    rules: Mapping[str, Rules],
) -> ruling.FactOf:
    """The facts that exclusions look at, of visits as above."""

    def sourced(rows: Flags) -> dict[str, Coded]:
        referrers = visits["entry_referrer"].filter(pl.Series(rows))
        return of_source(referrers, site.at(rows), entry.at(rows), sites, interpreter, rules)

    def stated(name: str, rows: Flags) -> Coded:
        return code(visits[name].filter(pl.Series(rows)))

    facts: dict[ExclusionKind, Callable[[Flags], Coded]] = {
        "hostname": lambda rows: Coded(entry.url.codes[rows], entry.hostname),
        "country": lambda rows: stated("entry_country", rows),
        "network": lambda rows: stated("entry_network", rows),
        "referrer": lambda rows: sourced(rows)["referrer"],
        "source": lambda rows: sourced(rows)["source"],
    }
    return facts


def _as_it_is(facts: pl.Series) -> Coded:
    coded = code(facts)
    return coded.shown_as(coded.values.fill_null(UNKNOWN))


def _language(facts: pl.Series) -> Coded:
    coded = code(facts)
    return coded.shown_as(languages.interpret(coded.values)["language"])


def _screen(facts: pl.Series) -> Coded:
    coded = code(facts)
    return coded.shown_as(screens.interpret(coded.values)["screen_class"])


def of_source(
    referrers: pl.Series,
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
    query, referrer = _queries(entry.url), code(referrers)
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
    here = entry.hostname.str.replace(_WWW, "")
    names = code(pl.concat([hosts.alias("host"), here.alias("host")]))
    of_referrer = np.where(hosts.is_not_null().to_numpy(), names.codes[: len(hosts)], ABSENT)
    linked = of_referrer[referrer.codes]
    own: Flags = linked == names.codes[len(hosts) :][entry.url.codes]
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
