from __future__ import annotations

from pathlib import Path

import pytest

from recount.periods import hour_start_ms
from recount.querying.answers import Answerer
from recount.querying.explain import Explainer
from recount.querying.query import Query, Span
from recount.rules import Exclusion, Rules
from recount.store.catalog import Catalog
from recount.store.provenance import ArchiveSource
from tests.publishing import SITES, SLOTS, Press
from tests.rollups import hour_rollup

DAY = "2026-10-30"
HOURS = [f"{DAY}T{hour:02d}" for hour in (10, 11, 12)]


@pytest.fixture
def press(tmp_path: Path) -> Press:
    press = Press(tmp_path)
    made = []
    for n, hour in enumerate(HOURS):
        archive = ArchiveSource(hour=hour, generation=f"a{n}", cut={"events/00000": 10 + n})
        made.append(
            press.candidate(
                hour,
                hour_rollup(hour, ["utc", "berlin"]),
                archive=archive,
                rules={"utc": 3},
                common={"utc": 2} if n == 2 else {},
                run_id=f"run-{n}",
                logic_version=7,
                reason="hour",
            )
        )
    press.publisher.publish(made, "hour", "run-p")
    return press


def answered(press: Press, site: str) -> tuple[set[tuple[str, str]], Explainer]:
    now = hour_start_ms("2026-11-05T00")
    answerer = Answerer(press.manifests, press.segments, site_slots=SLOTS, now_ms=lambda: now)
    used = answerer.answer(SITES[site], Query(span=Span(DAY, DAY))).used
    explainer = Explainer(
        *(press.manifests, press.segments, press.candidates, SLOTS, lambda run: f"page/{run}"),
        press.rulebook,
    )
    return set(used), explainer


def test_a_number_is_traced_to_its_hours_runs_offsets_rules_and_publication(press: Press) -> None:
    own = Rules(exclusions=(Exclusion(kind="country", pattern="DE"),))
    Catalog(press.roots).add(SITES["utc"].ruled(own, 3))
    used, explainer = answered(press, "utc")
    found = explainer.explain(SITES["utc"], used)
    root = press.manifests.current()
    assert root is not None
    assert [p["day"] for p in found["periods"]] == [DAY]
    assert found["periods"][0]["publication"] == root.id
    assert [h["hour"] for h in found["hours"]] == HOURS
    last = found["hours"][-1]
    assert last["archive"] == {"generation": "a2", "offsets": {"events/00000": 12}}
    assert (last["logic_version"], last["rules_version"], last["run"]) == (7, 3, "page/run-2")
    assert [h["common_rules_version"] for h in found["hours"]] == [1, 1, 2]
    assert last["publication"] == root.id
    assert last["published"].endswith("Z")
    assert found["hours_left_out"] == 0
    assert found["rules"] == [
        {"of": "utc", "version": 3, "says": ["exclude country DE"]},
        {"of": "*", "version": 2, "says": None},
    ], "in words, where they are known"


def test_an_hour_that_another_site_corrected_is_explained_by_what_wrote_its_own_rows(press: Press) -> None:
    press.reprocess("fix", {HOURS[1]: hour_rollup(HOURS[1], ["berlin"], views=9)}, ["berlin"])
    press.corrections.publish("fix")
    used, explainer = answered(press, "utc")
    reasons = {h["hour"]: h["reason"] for h in explainer.explain(SITES["utc"], used)["hours"]}
    assert set(reasons.values()) == {"hour"}
    used, explainer = answered(press, "berlin")
    reasons = {h["hour"]: h["reason"] for h in explainer.explain(SITES["berlin"], used)["hours"]}
    assert reasons[HOURS[1]] == "reprocessing fix"
    assert reasons[HOURS[0]] == "hour"


def test_nothing_read_is_nothing_to_explain(press: Press) -> None:
    used, explainer = answered(press, "kolkata")
    assert explainer.explain(SITES["kolkata"], used) == {
        **{"periods": [], "hours": [], "hours_left_out": 0},
        "rules": [],
    }
