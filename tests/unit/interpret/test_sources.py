"""Sources and channels: real referrers, campaign links, the site's own hostnames."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recount.interpret import channels, sources
from recount.interpret.values import DIRECT, table
from tests.unit.interpret.golden import differences, samples

OWN = {"shop": ["shop.example", "blog.shop.example"]}
CATEGORIES = {"search", "social", "video", "shopping", "email", "ai", "referral"}
TEXT = st.one_of(
    st.none(), st.text(), st.from_regex(r"\A(https?://)?[a-z.]{0,9}/?(\?(utm_source|ref)=.{0,6})?\Z")
)


def entries(*pairs: tuple[str | None, str | None], site: str = "shop") -> pl.DataFrame:
    schema = {"entry_url": pl.String, "entry_referrer": pl.String}
    return pl.DataFrame(list(pairs), schema=schema, orient="row").with_columns(pl.lit(site).alias("site"))


def test_samples() -> None:
    want = samples("sources")
    got = sources.interpret(entries(*want.select("entry_url", "entry_referrer").iter_rows()), OWN)
    assert differences(want, got) == []


def test_campaign_parameters_are_given_along() -> None:
    url = "https://shop.example/?utm_source=a&utm_medium=b&utm_campaign=c&utm_term=d&utm_content=e"
    [row] = sources.interpret(entries((url, None)), OWN).to_dicts()
    assert [row[f"utm_{name}"] for name in ("source", "medium", "campaign", "term", "content")] == [*"abcde"]


def test_own_hostnames_are_those_of_the_site_of_the_row() -> None:
    link = ("https://other.example/", "https://blog.shop.example/")
    asked = pl.concat([entries(link), entries(link, site="other")])
    assert sources.interpret(asked, OWN)["source"].to_list() == [DIRECT, "blog.shop.example"]


def test_without_a_list_only_the_page_s_own_host_is_own() -> None:
    asked = entries(
        ("https://www.shop.example/", "http://shop.example/a"),
        ("https://shop.example/", "https://blog.shop.example/"),
    ).drop("site")
    assert sources.interpret(asked)["source"].to_list() == [DIRECT, "blog.shop.example"]


def test_an_unknown_entry_page_keeps_its_referrer() -> None:
    assert sources.interpret(entries((None, "https://t.co/a")), OWN)["source"].item() == "X (Twitter)"


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), max_size=15))
def test_any_text_gives_one_row_per_distinct_pair(pairs: list[tuple[str | None, str | None]]) -> None:
    got = sources.interpret(entries(*pairs), OWN)
    assert list(got.select("entry_url", "entry_referrer").iter_rows()) == list(dict.fromkeys(pairs))
    assert got.select("source", "channel").null_count().row(0) == (0, 0)
    assert (got["source"] != "").all()
    names = {name for name, _ in channels.rules()} | {"Unassigned"}
    assert set(got["channel"].to_list()) <= names


def test_the_table_names_no_place_twice() -> None:
    listed = table("sources.toml")["source"]
    for places in (
        [place for s in listed for place in (*s["domains"], *s.get("apps", ()))],
        [alias for s in listed for alias in {s["name"].lower(), *s.get("aliases", ())}],
        [s["name"] for s in listed],
    ):
        assert sorted(places) == sorted(set(places))
        assert [place for place in places if place != place.strip()] == []
    assert {s["category"] for s in listed} == CATEGORIES


@pytest.mark.parametrize(
    "source", [s for s in table("sources.toml")["source"] if s["domains"]], ids=lambda s: s["name"]
)
def test_every_domain_of_the_table_is_found_and_its_subdomains(source: dict[str, object]) -> None:
    domains = source["domains"]
    assert isinstance(domains, list)
    got = sources.interpret(entries(*((None, f"https://{d}/x") for d in domains)), OWN)
    assert set(got["source"].to_list()) == {source["name"]}
    below = sources.interpret(entries(*((None, f"https://a-b.{d}/x") for d in domains)), OWN)
    assert set(below["source"].to_list()) == {source["name"]}


def test_the_table_s_text_is_lower_case() -> None:
    listed = table("sources.toml")["source"]
    texts = [text for s in listed for key in ("domains", "aliases") for text in s.get(key, ())]
    assert [text for text in texts if text != text.lower()] == []
