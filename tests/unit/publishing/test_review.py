"""A correction that moves totals too far is published only with a name under it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recount.errors import InvalidInput
from recount.publishing.comparison import Comparison
from recount.publishing.review import NeedsApproval
from recount.publishing.summary import appeared_and_vanished, largest, totals, unchanged_share
from recount.publishing.thresholds import Threshold
from recount.store.reprocessings import Reprocessing
from tests.publishing import Press, total
from tests.rollups import hour_rollup

HOURS = ("2026-11-22T10", "2026-11-22T11")
SITES = ["utc", "kolkata"]


@pytest.fixture
def press(tmp_path: Path) -> Press:
    made = Press(tmp_path, thresholds=(Threshold("pageviews", 0.1, 2),))
    made.publish({hour: hour_rollup(hour, SITES) for hour in HOURS})
    return made


def doubled(press: Press) -> Reprocessing:
    return press.reprocess("one", {hour: hour_rollup(hour, SITES, views=12) for hour in HOURS})


def test_what_moves_too_far_is_refused_and_nothing_is_published(press: Press) -> None:
    request, before = doubled(press), press.manifests.current()
    with pytest.raises(NeedsApproval, match=r"recount publish one --approve") as refused:
        press.corrections.publish(request.id)
    assert {(move.site, move.metric) for move in refused.value.moves} == {
        ("utc", "pageviews"), ("kolkata", "pageviews"),
    }  # fmt: skip
    assert press.manifests.current() == before


def test_an_approval_lets_these_candidates_pass(press: Press) -> None:
    request = doubled(press)
    approved = press.review.approve(request, "ada", "bots were not counted before", 5)
    press.corrections.publish(request.id)
    assert total(press.shown("utc", "day/2026-11-22")) == 24
    kept = press.reprocessings.get(request.id).approval
    assert kept == approved.approval
    assert kept is not None
    assert (kept.by, kept.why, kept.at_ms) == ("ada", "bots were not counted before", 5)


def test_candidates_computed_again_need_a_new_approval(press: Press) -> None:
    request = doubled(press)
    press.review.approve(request, "ada", "yes", 5)
    again = press.candidate(HOURS[0], hour_rollup(HOURS[0], SITES, views=30))
    done = press.reprocessings.hours(request.id)[HOURS[0]]
    fields = {name: getattr(done, name) for name in done.__struct_fields__}
    press.reprocessings.put_hours(request.id, [type(done)(**fields | {"generation": again.generation})])
    with pytest.raises(NeedsApproval):
        press.corrections.publish(request.id)


def test_an_approval_says_why(press: Press) -> None:
    with pytest.raises(InvalidInput, match="why"):
        press.review.approve(doubled(press), "ada", "  ", 5)


def test_small_changes_pass_by_themselves(press: Press) -> None:
    request = press.reprocess("same", {hour: hour_rollup(hour, SITES) for hour in HOURS})
    assert press.review.compare(request).is_empty
    press.corrections.publish(request.id)


def test_only_the_sites_of_a_reprocessing_are_compared(press: Press) -> None:
    made = {hour: hour_rollup(hour, ["utc"], views=12) for hour in HOURS}
    request = press.reprocess("part", made, only=["utc"])
    assert set(press.review.compare(request).totals["site"]) == {"utc"}


def test_without_candidates_there_is_nothing_to_compare(press: Press) -> None:
    request = press.reprocess("none", {HOURS[0]: hour_rollup(HOURS[0], SITES)})
    fresh = Reprocessing(
        id="fresh", spans=request.spans, source="archive", reason="r", requested_by="t", requested_ms=1
    )
    press.reprocessings.add(fresh)
    with pytest.raises(InvalidInput, match="resume fresh"):
        press.review.compare(fresh)


@pytest.fixture
def found(press: Press) -> Comparison:
    return press.review.compare(doubled(press))


def test_the_summary_adds_up_the_days_and_puts_what_moves_most_first(found: Comparison) -> None:
    rows = totals(found, ("visitors", "pageviews"))
    assert rows.filter(pl.col("metric") == "pageviews").drop("metric").sort("site").rows() == [
        ("kolkata", 12, 24), ("utc", 12, 24),
    ]  # fmt: skip
    values = largest(found, "pageviews", 3)
    moves = (values["new"] - values["old"]).abs().to_list()
    assert values.height == 3
    assert moves == sorted(moves, reverse=True)
    assert "total" not in set(values["dimension"])


def test_shares_and_counts_are_of_all_rows(found: Comparison) -> None:
    rows = found.rows.select(pl.col("changed", "rows").sum()).row(0)
    assert unchanged_share(found) == pytest.approx(1 - rows[0] / rows[1])
    appeared, vanished = appeared_and_vanished(found)
    assert appeared == found.rows["appeared"].sum()
    assert vanished == found.rows["vanished"].sum()
