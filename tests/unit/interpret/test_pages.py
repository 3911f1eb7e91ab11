"""Pages: path, hostname and parameters of well-formed and broken URLs."""

from __future__ import annotations

from urllib.parse import quote, quote_plus

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recount.interpret import pages
from tests.unit.interpret.golden import differences, samples

URLS = st.one_of(
    st.none(),
    st.text(),
    st.from_regex(r"\A(https?:)?//[a-zA-Z0-9.@:\[\]-]{0,12}(/[^?#]{0,8})?(\?[^#]{0,20})?(#.{0,5})?\Z"),
)


def test_samples() -> None:
    want = samples("pages")
    assert differences(want, pages.interpret(want.select("url"))) == []


def test_an_absent_url_is_unknown() -> None:
    [row] = pages.locate(pl.DataFrame({"url": [None]}, schema={"url": pl.String})).to_dicts()
    assert row == {"url": None, "page": "Unknown", "hostname": "Unknown", "is_valid": False}


def test_other_columns_come_first_and_rows_are_distinct() -> None:
    asked = pl.DataFrame({"site": ["b", "a", "b"], "url": ["https://x.example/1"] * 3})
    got = pages.interpret(asked)
    assert got.columns[:5] == ["site", "url", "page", "hostname", "is_valid"]
    assert got["site"].to_list() == ["b", "a"]


@settings(max_examples=100, deadline=None)
@given(st.lists(URLS, max_size=20))
def test_any_text_gives_one_row_per_distinct_value(urls: list[str | None]) -> None:
    got = pages.interpret(pl.DataFrame({"url": urls}, schema={"url": pl.String}))
    assert got["url"].to_list() == list(dict.fromkeys(urls))
    assert got.select("page", "hostname", "is_valid").null_count().row(0) == (0, 0, 0)
    assert got.filter(pl.col("is_valid") & ~pl.col("page").str.starts_with("/")).is_empty()
    assert got.select((pl.col(*pages.CAMPAIGN_PARAMS, "ref") == "").any()).row(0) == (False,) * 6


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1), st.sampled_from([quote, quote_plus]))
def test_what_a_browser_encodes_is_decoded(value: str, encode: object) -> None:
    assert callable(encode)
    url = f"https://x.example/?a=1&utm_campaign={encode(value, safe='')}&b=2#end"
    [got] = pages.parameters(pl.Series([url]), ("utm_campaign",))["utm_campaign"].to_list()
    assert got == (pl.Series([value]).str.strip_chars().item() or None)


@pytest.mark.parametrize("urls", [[], ["https://x.example/"], [None]])
def test_columns_are_text_even_if_no_url_has_a_parameter(urls: list[str | None]) -> None:
    got = pages.parameters(pl.Series(urls, dtype=pl.String), ("ref",))
    assert (dict(got.schema), got.height) == ({"ref": pl.String()}, len(urls))
