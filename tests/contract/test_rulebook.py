"""Rules of sites in the catalog, in memory and in DynamoDB: versions, drafts, what is in force."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from recount.errors import Conflict, InvalidInput
from recount.periods import HOUR_MS, hour_of, hour_start_ms
from recount.rules import EVERY_SITE, Exclusion, Goal, Rules
from recount.store.catalog import NO_COMMON, Catalog, Site
from recount.store.in_force import SitesInForce
from recount.store.provenance import Provenance
from recount.store.rulebook import Rulebook
from recount.store.table import Table
from recount.timeline import at
from tests.contract import tables

NOW_MS = hour_start_ms("2026-11-22T12") + 5
SITE = Site(id="demo", domain="demo.example", hostnames=("shop.example",))
ADMIN = Rules(hostnames=SITE.hostnames, exclusions=(Exclusion(kind="page", pattern="/admin/*"),))
GOAL = replace(ADMIN, goals=(Goal(name="signup", event="Signup"),))


@pytest.fixture(params=tables.KINDS)
def table(request: pytest.FixtureRequest) -> Table:
    made = tables.make(request)
    Catalog(made).add(SITE)
    return made


@pytest.fixture
def book(table: Table) -> Rulebook:
    return Rulebook(table)


def edit(book: Rulebook, rules: Rules, why: str = "") -> int:
    return book.edit(book.site("demo"), rules, by="eve", why=why, now_ms=NOW_MS).version


def bring(book: Rulebook, version: int, spans: dict[str, str | None], now_ms: int = NOW_MS) -> Site:
    return book.bring_into_force("demo", version, spans, how="test", now_ms=now_ms)


def test_a_draft_changes_nothing_and_gets_no_new_number_before_it_is_seen(book: Rulebook) -> None:
    assert edit(book, ADMIN, "staff") == 2
    assert edit(book, GOAL) == 2
    draft = book.draft(book.site("demo"))
    assert draft is not None
    assert (draft.rules, draft.by, draft.why, draft.made_from) == (GOAL, "eve", "staff", 1)
    assert book.site("demo").rules == SITE.rules
    book.previewed(draft, "p1")
    assert edit(book, ADMIN) == 3
    assert book.version("demo", 2).rules == GOAL, "what a preview was counted by is kept"
    assert [v.version for v in book.versions("demo")] == [1, 2, 3]
    with pytest.raises(Conflict, match="3 is the draft"):
        book.check("demo", 2)


def test_the_same_rules_again_are_no_draft(book: Rulebook) -> None:
    with pytest.raises(InvalidInput, match="changes nothing"):
        edit(book, SITE.rules)


def test_of_two_who_edit_at_a_time_one_is_told(book: Rulebook) -> None:
    edit(book, ADMIN)
    draft = book.draft(book.site("demo"))
    assert draft is not None
    book.previewed(draft, "p1")
    with pytest.raises(Conflict, match="look again"):
        book.previewed(draft, "p2")


def test_a_discarded_number_is_not_used_again(book: Rulebook) -> None:
    edit(book, ADMIN)
    draft = book.draft(book.site("demo"))
    assert draft is not None
    book.discard(draft)
    assert book.draft(book.site("demo")) is None
    assert edit(book, ADMIN) == 3


def test_in_force_for_a_range_and_from_now_on(book: Rulebook, table: Table) -> None:
    bring(book, edit(book, ADMIN), {"2026-11-20T00": "2026-11-21T00"})
    site = bring(book, 2, {"2026-11-20T00": "2026-11-21T00"})
    assert site == Catalog(table).get("demo"), "doing it again finds it done"
    assert (site.rules, site.rules_version) == (ADMIN, 2)
    known = {hour: at(site.timeline, hour, 2) for hour in ("2026-11-19T23", "2026-11-20T00", "2026-11-20T23")}
    assert known == {"2026-11-19T23": 1, "2026-11-20T00": 2, "2026-11-20T23": 2}
    assert at(site.timeline, "2026-11-21T00", 2) == 1
    assert at(site.timeline, "2026-11-22T12", 2) == 2, "the running hour"
    assert book.version("demo", 1).rules == SITE.rules


def test_sites_by_the_hour(book: Rulebook, table: Table) -> None:
    bring(book, edit(book, ADMIN), {})
    sites = SitesInForce(Catalog(table).sites(), book)
    assert sites.version("demo", "2026-11-22T11") == 1
    assert sites.at("2026-11-22T11")["demo"].rules == SITE.rules
    assert sites.at("2026-11-22T12")["demo"].rules == ADMIN
    assert sites.version("nobody", "2026-11-22T12") is None
    hours = [(hour, hour) for hour in ("2026-11-22T10", "2026-11-22T11", "2026-11-22T12")]
    assert [(s["demo"].rules_version, h) for s, h in sites.apart(hours)] == [
        (1, ["2026-11-22T10", "2026-11-22T11"]),
        (2, ["2026-11-22T12"]),
    ]
    instead = SitesInForce(Catalog(table).sites(), book, {"demo": 1})
    assert {instead.version("demo", hour) for hour, _ in hours} == {1}


def test_a_version_that_is_withdrawn_keeps_what_it_counted(book: Rulebook) -> None:
    bring(book, edit(book, ADMIN), {"2026-11-01T00": None})
    later = NOW_MS + 3 * HOUR_MS
    site = book.withdraw("demo", 2, later)
    assert book.withdraw("demo", 2, later) == site, "doing it again finds it done"
    assert (site.rules, site.rules_version) == (SITE.rules, 1)
    hours = [hour_of(NOW_MS + n * HOUR_MS) for n in range(-1, 5)]
    assert [at(site.timeline, hour, 1) for hour in hours] == [1, 2, 2, 2, 1, 1]
    assert book.draft(site) is None, "it was in force once"
    assert edit(book, GOAL) == 3


def test_withdrawing_leaves_what_came_later(book: Rulebook) -> None:
    bring(book, edit(book, ADMIN), {"2026-11-01T00": "2026-11-10T00"})
    bring(book, edit(book, GOAL), {"2026-11-05T00": "2026-11-10T00"}, NOW_MS + HOUR_MS)
    site = book.withdraw("demo", 2, NOW_MS + 2 * HOUR_MS)
    assert site.rules_version == 3
    hours = ("2026-11-01T00", "2026-11-05T00", hour_of(NOW_MS), hour_of(NOW_MS + HOUR_MS))
    assert [at(site.timeline, hour, 3) for hour in hours] == [1, 3, 2, 3]


def test_a_site_written_anew_with_other_rules_gets_a_version(book: Rulebook, table: Table) -> None:
    edit(book, ADMIN)
    site = book.site("demo")
    Catalog(table).update(replace(site, hostnames=("a.example",)))
    changed = book.site("demo")
    assert (changed.rules_version, book.draft(changed)) == (3, None)
    assert book.version("demo", 1).rules.hostnames == ("shop.example",)
    assert book.version("demo", 3).rules.hostnames == ("a.example",)
    Catalog(table).update(replace(changed, currency="USD"))
    assert book.site("demo").rules_version == 3, "the fold reads no currency of a site"


def test_an_unknown_version_names_those_there_are(book: Rulebook) -> None:
    edit(book, ADMIN)
    with pytest.raises(InvalidInput, match=r"no version 9 \(known: 1, 2\)"):
        book.version("demo", 9)
    with pytest.raises(InvalidInput, match="recount sites list"):
        book.site("nobody")


def test_rules_for_all_sites_have_the_same_life(book: Rulebook, table: Table) -> None:
    assert book.site(EVERY_SITE) == NO_COMMON
    version = book.edit(book.common(), ADMIN, by="eve", why="", now_ms=NOW_MS)
    assert version.version == 2
    spans = {"2026-11-20T00": "2026-11-21T00"}
    common = book.bring_into_force(EVERY_SITE, 2, spans, how="test", now_ms=NOW_MS)
    assert common == Catalog(table).common()
    assert (common.rules, common.rules_version) == (ADMIN, 2)
    assert set(Catalog(table).sites()) == {"demo"}, "no site"
    assert Catalog(table).get(EVERY_SITE) is None

    sites = SitesInForce(Catalog(table).ruled(), book)
    hours = ("2026-11-19T23", "2026-11-20T00", "2026-11-21T00", "2026-11-22T12")
    assert [sites.version(EVERY_SITE, hour) for hour in hours] == [1, 2, 1, 2]
    assert [sites.version("demo", hour) for hour in hours] == [1, 1, 1, 1]
    assert sites.at("2026-11-20T00")[EVERY_SITE].rules == ADMIN

    book.edit(common, GOAL, by="eve", why="", now_ms=NOW_MS)
    again = book.bring_into_force(EVERY_SITE, 3, {}, how="test", now_ms=NOW_MS + HOUR_MS)
    assert again.rules == GOAL
    back = book.withdraw(EVERY_SITE, 3, NOW_MS + HOUR_MS)
    assert (back.rules, back.rules_version) == (ADMIN, 2)
    assert [v.version for v in book.versions(EVERY_SITE)] == [1, 2, 3]
    with pytest.raises(InvalidInput, match="rules for all sites have no version 9"):
        book.version(EVERY_SITE, 9)


def test_of_two_first_rules_for_all_sites_one_is_told(table: Table) -> None:
    catalog = Catalog(table)
    assert catalog.swap(NO_COMMON, NO_COMMON.ruled(ADMIN, 2))
    assert not catalog.swap(NO_COMMON, NO_COMMON.ruled(GOAL, 2))
    assert catalog.common().rules == ADMIN


def test_what_a_generation_was_counted_by(book: Rulebook, table: Table) -> None:
    """One that names no version of the rules for all sites was made when there were none."""

    def made(**given: Any) -> Provenance:
        fields: dict[str, Any] = {
            "generation": "g",
            "made_ms": 1,
            "logic_version": 1,
            "rules": {"demo": 1},
            "sites": {"demo": 9},
        }
        return Provenance(kind="hour", period="2026-11-22T12", **fields | given)

    assert SitesInForce(Catalog(table).ruled(), book).has_counted(made())
    book.edit(book.common(), ADMIN, by="eve", why="", now_ms=NOW_MS)
    book.bring_into_force(EVERY_SITE, 2, {}, how="test", now_ms=NOW_MS)
    now = SitesInForce(Catalog(table).ruled(), book)
    assert not now.has_counted(made())
    assert now.has_counted(made(common={"demo": 2}))
    assert not now.has_counted(made(common={"demo": 2}, rules={"demo": 7}))
    assert now.has_counted(made(common={"demo": 2}, rules={"demo": 1, "left": 7})), "gone from the catalog"
    assert not now.has_counted(made(sites={"left": 3}, rules={})), "and still counted by what holds on all"
