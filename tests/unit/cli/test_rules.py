"""The commands of rules, on tables in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from cli import goals, impact, rules
from cli.context import CliContext
from recount.errors import InvalidInput
from recount.rules import BotRule, Exclusion, Goal, Rules, SourceRule
from recount.settings import Settings
from recount.store.catalog import Catalog, Site
from recount.store.rulebook import Rulebook
from recount.store.tables import Tables, memory_tables


class Desk(CliContext):
    """A working copy with one site and nothing published."""

    def __init__(self, folder: Path) -> None:
        self.made = memory_tables()
        self.__dict__["settings"] = Settings(state=folder, archive=str(folder))
        Catalog(self.made.catalog).add(Site(id="demo", domain="demo.example"))
        self.book = Rulebook(self.made.catalog)

    def tables(self) -> Tables:
        return self.made

    @property
    def draft(self) -> Rules | None:
        found = self.book.draft(self.book.site("demo"))
        return None if found is None else found.rules


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def call(desk: Desk, command: click.Command, *arguments: str, text: str | None = None) -> Result:
    result = CliRunner().invoke(command, arguments, obj=desk, input=text)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def add(desk: Desk, *arguments: str) -> Result:
    return call(desk, rules.rules, "add", "demo", *arguments)


ADDED: Final[list[tuple[tuple[str, ...], Rules]]] = [
    (
        ("exclude", "--page", "/admin/*"),
        Rules(exclusions=(Exclusion(kind="page", pattern="/admin/*"),)),
    ),
    (("exclude", "--country", "de"), Rules(exclusions=(Exclusion(kind="country", pattern="DE"),))),
    (
        ("exclude", "--referrer", "https://www.Spam.example/"),
        Rules(exclusions=(Exclusion(kind="referrer", pattern="spam.example"),)),
    ),
    (
        ("bot", "--user-agent", "*Probe*"),
        Rules(bots=(BotRule(counts_as="bot", by="user_agent", pattern="*Probe*"),)),
    ),
    (
        ("human", "--network", "hosting"),
        Rules(bots=(BotRule(counts_as="human", by="network", pattern="hosting"),)),
    ),
    (
        ("source", "--referrer", "p.example", "--as", "Partner", "--channel", "Affiliates"),
        Rules(
            sources=(SourceRule(by="referrer", pattern="p.example", source="Partner", channel="Affiliates"),)
        ),
    ),
    (("goal", "signup", "--event", "Signup"), Rules(goals=(Goal(name="signup", event="Signup"),))),
    (("hostname", "Shop.example"), Rules(hostnames=("shop.example",))),
]


@pytest.mark.parametrize(("arguments", "wanted"), ADDED)
def test_a_rule_is_added_to_a_draft_and_taken_out(
    desk: Desk, arguments: tuple[str, ...], wanted: Rules
) -> None:
    said = add(desk, *arguments, "--why", "as it should be").output
    assert desk.draft == wanted
    assert f"+ {wanted.lines[0]}" in said
    assert "recount rules preview demo" in said
    assert desk.book.site("demo").rules == Rules(), "nothing is counted by it"
    shown = call(desk, rules.rules, "show", "demo").output
    assert f"+ {wanted.lines[0]}" in shown
    assert "as it should be" in shown
    call(desk, rules.rules, "remove", "demo", wanted.lines[0])
    assert desk.draft == Rules()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("exclude", "--page", "*"), "would match everything"),
        (("exclude", "--hostname", "*.*"), "would match everything"),
        (("exclude", "--page", "/*"), "would match everything"),
        (("exclude", "--page", "admin"), "begins with / or"),
        (("exclude", "--country", "Germany"), "no country code"),
        (("exclude", "--country", "XX"), "no country code"),
        (("exclude", "--verdict", "robot"), r"no verdict 'robot' \(known: empty_ua, headless"),
        (("exclude", "--network", "home"), r"no network 'home' \(known: business"),
        (("human", "--verdict", "own_list"), "no verdict"),
        (("bot", "--user-agent", "**"), "would match everything"),
        (("source", "--referrer", "p.example", "--as", "P", "--channel", "Mail"), "known: Direct"),
        (("source", "--referrer", "p.example", "--as", " "), "what the source is called"),
        (("goal", "g"), "either --event or --page"),
        (("goal", "g", "--event", "e", "--page", "/p"), "either --event or --page"),
        (("hostname", "https://a.example"), "no hostname"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(desk: Desk, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        add(desk, *arguments)
    assert desk.draft is None


@pytest.mark.parametrize(
    "arguments", [("exclude",), ("exclude", "--page", "/a", "--country", "DE"), ("bot",), ("human",)]
)
def test_one_rule_at_a_time(desk: Desk, arguments: tuple[str, ...]) -> None:
    assert add(desk, *arguments).exit_code == 2


def test_the_same_rule_twice_is_told(desk: Desk) -> None:
    add(desk, "exclude", "--country", "DE")
    with pytest.raises(InvalidInput, match="there already: exclude country DE"):
        add(desk, "exclude", "--country", "de")


def test_rules_are_edited_as_json(desk: Desk) -> None:
    add(desk, "exclude", "--country", "DE")
    given = msgspec.json.encode(Rules(exclusions=(Exclusion(kind="country", pattern="fr"),))).decode()
    call(desk, rules.rules, "edit", "demo", "--file", "-", text=given)
    assert desk.draft == Rules(exclusions=(Exclusion(kind="country", pattern="FR"),))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "these are no rules"),
        ('{"exclude": []}', r"no rules 'exclude' \(known: hostnames, goals, exclusions"),
        ('{"exclusions": [{"kind": "planet", "pattern": "x"}]}', "Invalid enum value 'planet'"),
        ('{"exclusions": [{"kind": "page"}]}', "missing required field `pattern`"),
    ],
)
def test_json_that_is_no_set_of_rules_is_refused(desk: Desk, text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        call(desk, rules.rules, "edit", "demo", "--file", "-", text=text)


def test_from_now_on_by_word_only(desk: Desk) -> None:
    with pytest.raises(InvalidInput, match="has no draft"):
        call(desk, rules.rules, "activate", "demo", "--from-now")
    add(desk, "exclude", "--country", "DE", "--why", "not our market")
    refused = call(desk, rules.rules, "activate", "demo")
    assert refused.exit_code == 2
    said = call(desk, rules.rules, "activate", "demo", "--from-now").output
    assert "Rules 2 of demo count from" in said
    assert "remain as they were, counted by rules 1" in said
    assert desk.book.site("demo").rules.lines == ["exclude country DE"]
    assert "from the beginning      rules 1" in call(desk, rules.rules, "show", "demo").output


def test_the_history_of_rules_and_the_way_back(desk: Desk) -> None:
    add(desk, "exclude", "--country", "DE", "--why", "not our market")
    call(desk, rules.rules, "activate", "demo", "--from-now")
    call(desk, rules.rules, "revert", "demo", "1")
    assert desk.draft == Rules()
    lines = call(desk, rules.rules, "history", "demo").output.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["3", "draft,"],
        ["-", "exclude"],
        ["2", "in"],
        ["+", "exclude"],
        ["1", "counts"],
    ]
    assert "not our market" in call(desk, rules.rules, "show", "demo", "2").output
    call(desk, rules.rules, "discard", "demo")
    assert desk.draft is None
    with pytest.raises(InvalidInput, match="have no version 7"):
        call(desk, rules.rules, "revert", "demo", "7")


def test_a_preview_needs_a_draft(desk: Desk) -> None:
    with pytest.raises(InvalidInput, match="has no draft"):
        call(desk, rules.rules, "preview", "demo")


def test_goals_are_rules(desk: Desk) -> None:
    said = call(desk, goals.goals, "add", "demo", "signup", "--event", "Signup").output
    assert "+ goal signup: event Signup" in said
    with pytest.raises(InvalidInput, match="known: signup"):
        call(desk, goals.goals, "remove", "demo", "other")
    call(desk, goals.goals, "remove", "demo", "signup")
    assert desk.draft == Rules()
    assert "none" in call(desk, goals.goals, "list", "demo").output


def test_impact_says_what_a_version_said_and_what_came_after_it(desk: Desk) -> None:
    for country in ("DE", "FR"):
        add(desk, "exclude", "--country", country, "--why", f"not {country}")
        call(desk, rules.rules, "activate", "demo", "--from-now")
    said: Any = call(desk, impact.impact, "--rule", "demo:2").output
    assert "Rules 2 of demo say (not DE):\n  exclude country DE" in said
    assert "Rules 3, which followed, differ:\n  + exclude country FR" in said
    said = call(desk, impact.impact, "--rule", "demo").output
    assert [line for line in said.splitlines() if line.startswith("Rules")] == [
        "Rules 1 of demo say:",
        "Rules 2 of demo say (not DE):",
        "Rules 3 of demo say (not FR):",
    ]
    found = msgspec.json.decode(call(desk, impact.impact, "--rule", "demo:2", "--json").output)
    assert found["rules"] == [{"of": "demo", "version": 2, "why": "not DE", "says": ["exclude country DE"]}]


def test_rules_for_all_sites_are_named_by_a_star(desk: Desk) -> None:
    said = call(desk, rules.rules, "add", "*", "bot", "--user-agent", "*Probe*", "--why", "new").output
    assert "Draft 2 of the rules for all sites, against 1 in force" in said
    assert "recount rules preview '*'" in said
    call(desk, rules.rules, "discard", "*")
    with pytest.raises(InvalidInput, match="what holds on all sites has no draft") as none:
        call(desk, rules.rules, "discard", "*")
    assert "recount rules add '*'" in str(none.value)
    call(desk, rules.rules, "revert", "*", "2")
    said = call(desk, rules.rules, "activate", "*", "--from-now").output
    assert "Rules 3 for all sites count from" in said
    shown = call(desk, rules.rules, "show", "demo").output
    assert (
        "Rules 1 of demo are in force:\n  none\nAnd rules 3 for all sites:\n  bot user_agent *Probe*" in shown
    )
    assert "Rules 3 for all sites are in force" in call(desk, rules.rules, "show", "*").output
    call(desk, rules.rules, "add", "*", "goal", "signup", "--event", "Signup")
    call(desk, rules.rules, "activate", "*", "--from-now")
    assert "goal signup: event Signup" in call(desk, goals.goals, "list", "demo").output
    assert "Rules 3 for all sites say (as in version 2):" in call(desk, impact.impact, "--rule", "*:3").output
