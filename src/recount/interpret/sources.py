"""Where a visit came from: entry URL and entry referrer -> source, referrer, channel and campaign parameters.

The source is what the link says of itself (`utm_source`, else `ref`, else `source`), else the referrer
under its well-known name (`sources.toml`), else the referrer's hostname without `www.`, else an ad's click
identifier, else direct. A link from one of the site's own hostnames is no referrer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import polars as pl

from recount.interpret import pages
from recount.interpret.channels import channel
from recount.interpret.values import DIRECT, distinct, table

SOURCE_PARAMS: Final = ("utm_source", "ref", "source")
CLICK_IDS: Final = {"gclid": "Google", "gbraid": "Google", "wbraid": "Google", "msclkid": "Bing"}
CLICK_MEDIUM: Final = "cpc"

_APP: Final = r"^(?:android|ios)-app://([^/?#\s]+)(/[^?#]*)?"
_BARE: Final = r"^((?:[0-9A-Za-z_-]+\.)+[A-Za-z][0-9A-Za-z-]+)\.?(?::[0-9]+)?(?:$|[?#]|(/[^?#]*))"
_WWW: Final = r"^www\."
_WEBMAIL: Final = r"^(?:web)?mail[0-9]*\.|^e?mail\.|^outlook\."
_NO_VALUE: Final = ["(direct)", "direct", "(none)", "(not set)", "none", "null", "undefined"]
_PARENTS_MAX: Final = 3

DIMENSIONS: Final = ("source", "referrer", "channel", *pages.CAMPAIGN_PARAMS)


def interpret(
    entries: pl.DataFrame, own_hostnames: Mapping[str, Collection[str]] | None = None
) -> pl.DataFrame:
    """The distinct rows of `entries` with `source`, `referrer`, `channel` and the five `utm_*` parameters.

    Columns: `entry_url`, `entry_referrer`, any others kept. `own_hostnames` are those of each `site` (a
    column then needed); the entry page's own host always counts as own. `source` and `channel` are never
    null; `referrer` (host and path, no `www.`, no query) and the parameters are, where there is none.
    """
    rows = entries.unique(maintain_order=True)
    said = pages.parameters(rows["entry_url"], (*pages.CAMPAIGN_PARAMS, *SOURCE_PARAMS[1:], *CLICK_IDS))
    here = pages.split(rows["entry_url"]).select(pl.col("host").str.replace(_WWW, "").alias("_here"))
    facts = rows.hstack(said.rename({"ref": "_ref", "source": "_source"})).hstack(here)
    facts = facts.join(
        _referrers(rows["entry_referrer"]),
        on="entry_referrer",
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )
    facts = _without_own(facts, own_hostnames or {})
    facts = _with_known(facts.with_columns(_stated()), "_stated", _known_values)
    facts = _with_channel(facts.with_columns(_source(), _category(), _medium()))
    return facts.select(*entries.columns, *DIMENSIONS)


def _referrers(referrers: pl.Series) -> pl.DataFrame:
    """[entry_referrer, _host, referrer, _host_name, _host_category], one row per distinct referrer.

    `_host` is the lower-case host without `www.`, or the name of the app that linked; null if neither.
    """
    known = _with_known(_hosts_and_paths(distinct(referrers, "entry_referrer")), "_host", _known_hosts)
    shown_path = pl.when(pl.col("_path") != "/").then("_path").fill_null("")
    return known.with_columns(referrer=pl.col("_host") + shown_path).drop("_path")


def hosts(referrers: pl.Series) -> pl.Series:
    """The host of each referrer as `referrer` begins: lower case, no `www.`; null where there is none."""
    return _hosts_and_paths(referrers.cast(pl.String).to_frame("entry_referrer"))["_host"]


def _hosts_and_paths(found: pl.DataFrame) -> pl.DataFrame:
    """[entry_referrer, _host, _path], row by row."""
    found = found.hstack(pages.split(found["entry_referrer"]))
    app = pl.col("entry_referrer").str.extract_groups(_APP).struct
    bare = pl.col("entry_referrer").str.extract_groups(_BARE).struct
    host = pl.coalesce("host", bare[0].str.to_lowercase()).str.replace(_WWW, "")
    path = pl.when(pl.col("host").is_not_null()).then("path").otherwise(pl.coalesce(app[1], bare[1]))
    return found.select("entry_referrer", _host=pl.coalesce(app[0], host), _path=path)


def _without_own(facts: pl.DataFrame, own_hostnames: Mapping[str, Collection[str]]) -> pl.DataFrame:
    """`facts` with nothing of the referrer left where it is a host of the site itself."""
    own = pl.col("_host").eq_missing(pl.col("_here"))
    if own_hostnames:
        pairs = [
            (site, name.lower().removeprefix("www."))
            for site, names in own_hostnames.items()
            for name in names
        ]
        listed = pl.DataFrame(pairs, schema={"site": pl.String, "_host": pl.String}, orient="row").unique()
        facts = facts.join(
            listed.with_columns(_own=True), on=["site", "_host"], how="left", maintain_order="left"
        )
        own = own | pl.col("_own").fill_null(False)
    return facts.with_columns(pl.when(~own).then(pl.col("_host", "_host_name", "_host_category", "referrer")))


def _stated() -> pl.Expr:
    """What the link says of itself; words that say "nothing" say nothing."""
    said = (pl.col(name) for name in ("utm_source", "_ref", "_source"))
    return pl.coalesce(
        pl.when(~value.str.to_lowercase().is_in(_NO_VALUE)).then(value) for value in said
    ).alias("_stated")


def _source() -> pl.Expr:
    click = pl.coalesce(
        pl.when(pl.col(name).is_not_null()).then(pl.lit(by)) for name, by in CLICK_IDS.items()
    )
    known = ("_stated_name", "_stated", "_host_name", "_host")
    return pl.coalesce(*known, click, pl.lit(DIRECT)).alias("source")


def _category() -> pl.Expr:
    of_referrer = (
        pl.when(pl.col("_host").is_null() & _clicked()).then(pl.lit("search")).otherwise("_host_category")
    )
    return (
        pl.when(pl.col("_stated").is_null()).then(of_referrer).otherwise("_stated_category").alias("category")
    )


def _medium() -> pl.Expr:
    medium = pl.col("utm_medium")
    said = pl.when(~medium.str.to_lowercase().is_in(_NO_VALUE)).then(medium)
    return pl.coalesce(said, pl.when(_clicked()).then(pl.lit(CLICK_MEDIUM))).alias("medium")


def _with_channel(facts: pl.DataFrame) -> pl.DataFrame:
    """`facts` with `channel`, asked once per distinct answer of all that its rules look at."""
    asked = ["source", "category", "medium", "utm_campaign"]
    known = facts.select(asked).unique().with_columns(channel())
    return facts.join(known, on=asked, how="left", nulls_equal=True, maintain_order="left")


def _clicked() -> pl.Expr:
    return pl.any_horizontal(pl.col(*CLICK_IDS).is_not_null())


def _with_known(
    facts: pl.DataFrame, column: str, lookup: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    """`facts` with the well-known name and the category of `column`, looked up once per distinct value."""
    values = facts.select(pl.col(column).alias("value")).drop_nulls().unique()
    known = lookup(values).select(
        pl.col("value").alias(column),
        pl.col("name").alias(f"{column}_name"),
        pl.col("category").alias(f"{column}_category"),
    )
    return facts.join(known, on=column, how="left", maintain_order="left")


def _known_hosts(values: pl.DataFrame) -> pl.DataFrame:
    """[value, name, category] of hosts and app names; a webmail host has a category, but no name."""
    known = _sources()
    parents = [pl.col("value").str.replace(rf"^(?:[^.]+\.){{{n}}}", "") for n in range(_PARENTS_MAX + 1)]
    by_place = (
        parent.replace_strict(known.places, default=None, return_dtype=pl.String) for parent in parents
    )
    brand = pl.col("value").str.extract(known.brand_regex)
    by_brand = brand.replace_strict(known.brands, default=None, return_dtype=pl.String)
    named = values.with_columns(name=pl.coalesce(*by_place, by_brand))
    webmail = pl.when(pl.col("value").str.contains(_WEBMAIL)).then(pl.lit("email"))
    return named.with_columns(category=pl.coalesce(_category_of_name(), webmail))


def _known_values(values: pl.DataFrame) -> pl.DataFrame:
    """[value, name, category] of what links say: an alias, a name, a host, or a URL (its host is shown)."""
    lower = pl.col("value").str.to_lowercase()
    alias = lower.replace_strict(_sources().aliases, default=None, return_dtype=pl.String)
    stated = values.hstack(pages.split(values["value"]).select("host"))
    host = pl.coalesce("host", lower.str.extract(_BARE)).str.replace(_WWW, "")
    stated = stated.with_columns(host=host, alias=alias)
    hosts = _known_hosts(stated.select(pl.col("host").alias("value")).drop_nulls().unique())
    found = stated.join(hosts, left_on="host", right_on="value", how="left")
    named = found.select("value", name=pl.coalesce("alias", "name", "host"), of_host="category")
    return named.with_columns(category=pl.coalesce(_category_of_name(), "of_host"))


def _category_of_name() -> pl.Expr:
    return pl.col("name").replace_strict(_sources().categories, default=None, return_dtype=pl.String)


@dataclass(frozen=True, slots=True)
class _Sources:
    places: dict[str, str]
    brands: dict[str, str]
    aliases: dict[str, str]
    categories: dict[str, str]
    brand_regex: str


@cache
def _sources() -> _Sources:
    listed = table("sources.toml")["source"]
    places = {place: s["name"] for s in listed for place in (*s["domains"], *s.get("apps", ()))}
    brands = {s["brand"]: s["name"] for s in listed if "brand" in s}
    aliases = {alias: s["name"] for s in listed for alias in (s["name"].lower(), *s.get("aliases", ()))}
    country = r"\.(?:com|[a-z]{2}|com?\.[a-z]{2})$"
    return _Sources(
        places,
        aliases=aliases,
        brands=brands,
        categories={s["name"]: s["category"] for s in listed},
        brand_regex=rf"(?:^|\.)({'|'.join(brands)}){country}",
    )
