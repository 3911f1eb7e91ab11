"""User agents: names, versions, devices and bot rules of real browsers and bots; the interpreter's memory."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recount.interpret import Interpreter, user_agents
from recount.interpret.values import NAME_MAX_CHARS, UNKNOWN
from tests.unit.interpret.golden import differences, samples

CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36"
)
TEXT = st.one_of(st.none(), st.text(), st.text().map(lambda text: f"Mozilla/5.0 ({text}) {text}"))


def test_real_user_agents() -> None:
    want = samples("user_agents")
    assert differences(want, user_agents.interpret(want["ua"])) == []


def test_an_absent_user_agent_is_unknown_but_no_bot() -> None:
    [row] = user_agents.interpret(pl.Series([None], dtype=pl.String)).to_dicts()
    unknown = ("browser", "browser_version", "os", "os_version", "device")
    assert row == {"ua": None, **dict.fromkeys(unknown, UNKNOWN), "ua_rule": None}


@pytest.mark.parametrize("ua", ["", " ", "-", "null", "undefined"])
def test_a_user_agent_sent_empty_is_a_bot(ua: str) -> None:
    [row] = user_agents.interpret(pl.Series([ua])).to_dicts()
    assert (row["device"], row["ua_rule"]) == ("bot", "empty_ua")


def test_nothing_in_nothing_out() -> None:
    assert_frame_equal(
        user_agents.interpret(pl.Series([], dtype=pl.String)), pl.DataFrame(schema=user_agents.SCHEMA)
    )


def test_invented_names_are_cut() -> None:
    long = "x" * 900
    got = user_agents.interpret(pl.Series([f"{long}bot/1.0", f"Mozilla/5.0 (compatible; {long}bot/{long})"]))
    assert got["browser"].str.len_chars().max() <= NAME_MAX_CHARS  # type: ignore[operator]


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXT, max_size=20))
def test_any_text_gives_one_row_per_distinct_value(values: list[str | None]) -> None:
    got = user_agents.interpret(pl.Series(values, dtype=pl.String))
    assert got["ua"].to_list() == list(dict.fromkeys(values))
    assert dict(got.schema) == user_agents.SCHEMA
    assert got.drop("ua", "ua_rule").null_count().row(0) == (0,) * 5
    bots = got.filter(pl.col("ua_rule").is_not_null())
    assert bots["device"].eq("bot").all()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.one_of(st.none(), st.integers(1, 12)), max_size=8), max_size=8), st.integers(2, 10)
)
def test_memory_changes_no_answer(calls: list[list[int | None]], cache_max_rows: int) -> None:
    interpreter = Interpreter(cache_max_rows)
    for call in calls:
        asked = pl.Series([None if n is None else CHROME.format(n) for n in call], dtype=pl.String)
        assert_frame_equal(interpreter.user_agents(asked), user_agents.interpret(asked))
        assert interpreter.remembered_rows <= cache_max_rows


def test_what_is_asked_for_again_stays_while_others_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    interpreted: list[str] = []
    original = user_agents.interpret

    def spy(ua: pl.Series) -> pl.DataFrame:
        interpreted.extend(ua.to_list())
        return original(ua)

    monkeypatch.setattr(user_agents, "interpret", spy)
    interpreter = Interpreter(cache_max_rows=10)
    for number in range(30):
        interpreter.user_agents(pl.Series(["curl/8.5.0", CHROME.format(number)]))
    assert interpreted.count("curl/8.5.0") == 1
    assert len(interpreted) == 31
