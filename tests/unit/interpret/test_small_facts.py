"""Screens, languages, properties: what is shown for what was sent."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recount.interpret import languages, properties, screens

TEXTS = st.lists(
    st.one_of(st.none(), st.text(max_size=20), st.from_regex(r"\A[a-z0-9x-]{0,10}\Z")), max_size=20
)


@pytest.mark.parametrize(
    ("screen", "shown"),
    [
        ("390x844", "Mobile"),
        ("575x1", "Mobile"),
        ("576x1024", "Tablet"),
        ("991", "Tablet"),
        ("992x1", "Laptop"),
        ("1366x768", "Laptop"),
        ("1440x900", "Desktop"),
        ("3840×2160", "Desktop"),
        (" 1920 x 1080 ", "Desktop"),
        ("0x0", "Unknown"),
        ("-1x5", "Unknown"),
        ("123456x1", "Unknown"),
        ("", "Unknown"),
        ("wide", "Unknown"),
        (None, "Unknown"),
    ],
)
def test_screens(screen: str | None, shown: str) -> None:
    assert screens.interpret(pl.Series([screen], dtype=pl.String))["screen_class"].item() == shown


@pytest.mark.parametrize(
    ("lang", "shown"),
    [
        ("en-US", "en-US"),
        ("EN_us", "en-US"),
        ("de", "de"),
        ("zh-Hans-CN", "zh-CN"),
        ("zh-Hant", "zh"),
        ("es-419", "es-419"),
        ("fil-PH", "fil-PH"),
        ("de-DE,de;q=0.9,en;q=0.8", "de-DE"),
        ("en_US.UTF-8", "en-US"),
        ("ca-ES-valencia", "ca-ES"),
        ("c", "Unknown"),
        ("*", "Unknown"),
        ("english", "Unknown"),
        ("", "Unknown"),
        (None, "Unknown"),
    ],
)
def test_languages(lang: str | None, shown: str) -> None:
    assert languages.interpret(pl.Series([lang], dtype=pl.String))["language"].item() == shown


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_any_text_gives_one_row_per_distinct_value(values: list[str | None]) -> None:
    asked = pl.Series(values, dtype=pl.String)
    distinct = list(dict.fromkeys(values))
    for got, column in ((screens.interpret(asked), "screen"), (languages.interpret(asked), "lang")):
        assert got[column].to_list() == distinct
        assert got.to_series(1).null_count() == 0


def test_properties_are_one_row_each_as_text() -> None:
    text = (
        '{"plan":"pro","seats":3,"ratio":2.5,"whole":4.0,"annual":true,"trial":false,'
        '"none":null,"empty":"","deep":{}}'
    )
    got = properties.interpret(pl.Series([text, None, text, "[]", "not json", '"text"']))
    assert list(got.iter_rows()) == [
        (text, "plan", "pro"),
        (text, "seats", "3"),
        (text, "ratio", "2.5"),
        (text, "whole", "4"),
        (text, "annual", "true"),
        (text, "trial", "false"),
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text()), max_size=10))
def test_no_text_is_too_odd_for_properties(values: list[str | None]) -> None:
    got = properties.interpret(pl.Series(values, dtype=pl.String))
    assert dict(got.schema) == properties.SCHEMA


KEYS = st.text(min_size=1, alphabet=st.characters(codec="utf-8"))


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(KEYS, KEYS, max_size=5))
def test_text_properties_come_back_as_sent(props: dict[str, str]) -> None:
    got = properties.interpret(pl.Series([json.dumps(props)]))
    assert dict(got.select("key", "value").iter_rows()) == props
