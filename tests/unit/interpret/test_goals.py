"""Goals: events by name, pages by pattern, each site by its own rules."""

from __future__ import annotations

import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recount.interpret import goals
from recount.store.catalog import Goal

RULES = {
    "a": (
        Goal(name="Sign-up", event="signup"),
        Goal(name="Thanks", page="/thanks"),
        Goal(name="Blog", page="/blog/*"),
    ),
    "b": (Goal(name="Any signup", event="signup"), Goal(name="Also", event="signup")),
}


def pages(*rows: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={"site": pl.String, "page": pl.String}, orient="row")


def test_events() -> None:
    rows = [("a", "signup"), ("b", "signup"), ("a", "other"), ("c", "signup"), ("a", None), ("a", "signup")]
    events = pl.DataFrame(rows, schema={"site": pl.String, "event": pl.String}, orient="row")
    assert list(goals.match_events(events, RULES).iter_rows()) == [
        ("a", "signup", "Sign-up"),
        ("b", "signup", "Any signup"),
        ("b", "signup", "Also"),
    ]


def test_pages() -> None:
    asked = pages(
        ("a", "/thanks"),
        ("a", "/thanks/"),
        ("a", "/blog/x/y"),
        ("b", "/thanks"),
        ("a", "/blog"),
        ("a", "/blog/"),
    )
    assert set(goals.match_pages(asked, RULES).iter_rows()) == {
        ("a", "/thanks", "Thanks"),
        ("a", "/blog/x/y", "Blog"),
        ("a", "/blog/", "Blog"),
    }


def test_a_goal_named_twice_is_reached_once() -> None:
    rules = {"a": (Goal(name="Read", page="/docs/*"), Goal(name="Read", page="/docs/start"))}
    assert goals.match_pages(pages(("a", "/docs/start")), rules).height == 1


@pytest.mark.parametrize("rules", [{}, {"a": ()}, {"other": (Goal(name="All", page="*"),)}])
def test_without_rules_nothing_is_reached(rules: dict[str, tuple[Goal, ...]]) -> None:
    got = goals.match_pages(pages(("a", "/")), rules)
    assert (got.columns, got.height) == (["site", "page", "goal"], 0)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.text(max_size=6), min_size=1, max_size=6, unique=True),
    st.text(alphabet="*ab./[\\+ \n", max_size=6),
)
def test_a_pattern_means_what_it_says(paths: list[str], pattern: str) -> None:
    got = goals.match_pages(pages(*(("a", path) for path in paths)), {"a": (Goal(name="G", page=pattern),)})
    regex = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
    want = {path for path in paths if pattern and regex.fullmatch(path)}
    assert set(got["page"].to_list()) == want
