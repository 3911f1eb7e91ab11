"""What the entry facts of visits mean: the visit-scoped dimensions, each distinct fact interpreted once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recount.coding import Coded, code, pairs
from recount.interpret import Interpreter, bots, languages, pages, screens, sources
from recount.interpret.values import UNKNOWN
from recount.store.catalog import Site

VISIT_DIMENSIONS: Final = (
    *("entry_page", "hostname", "source", "referrer", "channel"),
    *("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"),
    *("country", "region", "device", "browser", "browser_version", "os", "os_version", "language", "screen"),
)

_OF_UA: Final = ("device", "browser", "browser_version", "os", "os_version")
_OF_SOURCE: Final = ("source", "referrer", "channel", *pages.CAMPAIGN_PARAMS)
_TELLING_PARAMS: Final = ["utm_", *(f"{n}=" for n in (*sources.SOURCE_PARAMS[1:], *sources.CLICK_IDS))]
_WWW: Final = r"^www\."


def visit_dimensions(
    visits: pl.DataFrame, site: Coded, sites: Mapping[str, Site], interpreter: Interpreter
) -> dict[str, Coded]:
    """VISIT_DIMENSIONS and `verdict` for each row of `visits`, which has ENTRY_SCHEMA's columns."""
    url = code(visits["entry_url"])
    located = pages.locate(pl.DataFrame({"url": url.values}))
    return {
        "entry_page": url.shown_as(located["page"]),
        "hostname": url.shown_as(located["hostname"]),
        **_of_source(visits, site, url, located["hostname"], sites),
        **_of_user_agent(visits, interpreter),
        **{name: _as_it_is(visits[f"entry_{name}"]) for name in ("country", "region")},
        "language": _interpreted(visits["entry_lang"], "language"),
        "screen": _interpreted(visits["entry_screen"], "screen"),
    }


def _as_it_is(facts: pl.Series) -> Coded:
    coded = code(facts)
    return coded.shown_as(coded.values.fill_null(UNKNOWN))


def _interpreted(facts: pl.Series, name: str) -> Coded:
    coded = code(facts)
    if name == "language":
        return coded.shown_as(languages.interpret(coded.values)["language"])
    return coded.shown_as(screens.interpret(coded.values)["screen_class"])


def _of_user_agent(visits: pl.DataFrame, interpreter: Interpreter) -> dict[str, Coded]:
    ua, network = code(visits["entry_ua"]), code(visits["entry_network"])
    known = interpreter.user_agents(ua.values)
    distinct, places = pairs(ua.codes, network.codes, network.size)
    facts = known.select(pl.col("ua_rule").gather(distinct // network.size)).hstack(
        [network.values.gather(distinct % network.size).alias("network")]
    )
    verdicts = facts.select(bots.verdict()).to_series()
    return {
        **{name: ua.shown_as(known[name]) for name in _OF_UA},
        "verdict": Coded(places, verdicts).shown_as(verdicts),
    }


def _of_source(
    visits: pl.DataFrame, site: Coded, url: Coded, hostname: pl.Series, sites: Mapping[str, Site]
) -> dict[str, Coded]:
    """The source depends on what the link says of itself and on the referrer, unless that is the site itself.

    So urls are cut down to queries that say something, and own referrers to none: few pairs are left to look
    at.
    """
    query = _queries(url)
    referrer = code(visits["entry_referrer"])
    none = len(referrer.values)
    own = _own_referrers(site, url, hostname, referrer, sites)
    distinct, places = pairs(query.codes, np.where(own, none, referrer.codes), none + 1)
    referrers = pl.concat([referrer.values, pl.Series([None], dtype=pl.String)])
    asked = pl.DataFrame(
        {
            "entry_url": query.values.gather(distinct // (none + 1)),
            "entry_referrer": referrers.gather(distinct % (none + 1)),
        }
    )
    place = asked.unique(maintain_order=True).with_row_index("place")
    answers = sources.interpret(asked)
    of_asked = asked.join(place, on=asked.columns, how="left", nulls_equal=True, maintain_order="left")[
        "place"
    ]
    rows = of_asked.to_numpy()[places].astype(np.int64)
    return {name: Coded(rows, answers[name]).shown_as(answers[name]) for name in _OF_SOURCE}


def _queries(url: Coded) -> Coded:
    """Each url's query where it may name a source, null for most."""
    telling = pl.col("url").str.contains_any(_TELLING_PARAMS)
    query = pl.when(telling).then(pl.col("url")).str.extract(r"(\?[^#]*)").alias("query")
    coded = code(pl.DataFrame({"url": url.values}).select(query).to_series())
    return Coded(coded.codes[url.codes], coded.values)


def _own_referrers(
    site: Coded, url: Coded, hostname: pl.Series, referrer: Coded, sites: Mapping[str, Site]
) -> NDArray[np.bool_]:
    """Whether each row's referrer is the host of its entry page or another of its site's own hostnames."""
    nowhere = pl.Series([None] * referrer.size, dtype=pl.String)
    known = sources.interpret(pl.DataFrame({"entry_url": nowhere, "entry_referrer": referrer.values}))
    hosts = known["referrer"].str.split("/").list.first()
    listed = [(s, h.lower().removeprefix("www.")) for s in site.values for h in _own_hostnames(sites, s)]
    here = hostname.str.replace(_WWW, "")
    names = code(pl.concat([hosts, here, pl.Series([h for _, h in listed], dtype=pl.String)]).rename("host"))
    of_referrer, of_url, of_list = np.split(names.codes, np.cumsum([len(hosts), len(here)]))
    linked = np.where(hosts.is_not_null().to_numpy(), of_referrer, -1)[referrer.codes]
    own: NDArray[np.bool_] = linked == of_url[url.codes]
    some = np.flatnonzero(np.isin(linked, of_list) & ~own)
    place = {s: n for n, s in enumerate(site.values)}
    owned = np.array([place[s] for s, _ in listed], dtype=np.int64) * names.size + of_list
    own[some] = np.isin(site.codes[some] * names.size + linked[some], owned)
    return own


def _own_hostnames(sites: Mapping[str, Site], site: str) -> frozenset[str]:
    known = sites.get(site)
    return known.own_hostnames if known else frozenset()
