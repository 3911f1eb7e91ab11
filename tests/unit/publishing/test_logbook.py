"""What is written down of a publication: which sites, which hours, what moved, and that nothing gets lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recount.corrections import Correction, sentence
from recount.counting.rollup import Rollup, merge
from recount.errors import Unavailable
from recount.periods import HOUR_MS
from recount.store.manifests import Publication
from tests.publishing import SITES, Press, total
from tests.rollups import hour_rollup

DAY = "2026-10-30"
HOURS = [f"{DAY}T{hour:02d}" for hour in (8, 9, 10)]


@pytest.fixture
def press(tmp_path: Path) -> Press:
    press = Press(tmp_path)
    press.publish({hour: hour_rollup(hour, ["utc", "berlin"]) for hour in HOURS})
    return press


def more(hour: str, site: str, seed: int = 5, views: int = 3) -> Rollup:
    """The hour as it was, and what came later on one site."""
    return merge([hour_rollup(hour, ["utc", "berlin"]), hour_rollup(hour, [site], seed, views)])


def publish(press: Press, hours: dict[str, Rollup], **given: Any) -> Publication:
    made = [press.candidate(hour, rollup, **given) for hour, rollup in hours.items()]
    return press.publisher.publish(made, "hour")


def only(press: Press, site: str = "utc") -> Correction:
    (found,) = press.log.of_site(site)
    return found


def shown(press: Press, key: str, metric: str) -> int:
    return total(press.shown("utc", key), metric)


def test_what_is_published_first_corrects_nothing(press: Press) -> None:
    assert press.log.of_site("utc") == []
    publish(press, {f"{DAY}T11": hour_rollup(f"{DAY}T11", ["utc"])})
    publish(press, {HOURS[0]: hour_rollup(HOURS[0], ["utc", "berlin"])})
    assert press.log.of_site("utc") == []


def test_a_late_event_says_how_many_moved_which_numbers(press: Press) -> None:
    before = {metric: shown(press, f"day/{DAY}", metric) for metric in ("visitors", "pageviews")}
    line = {"accepted": 9, "counted": 8, "duplicate": 1}
    made = publish(press, {HOURS[1]: more(HOURS[1], "utc")}, ledger={"utc": line})
    found = only(press)
    assert press.log.of_site("berlin") == []
    assert (found.kind, found.publication, found.at_ms) == ("late", made.id, made.at_ms)
    assert found.spans == [(HOURS[1], HOURS[1])]
    assert found.late_events == 8
    for metric, old in before.items():
        assert found.moved[metric] == found.days[DAY][metric] == (old, shown(press, f"day/{DAY}", metric))
    assert found.moved["pageviews"][1] - found.moved["pageviews"][0] == 3
    assert "8 events arrived late" in sentence(found)
    assert "30 Oct 2026, 09:00 – 10:00" in sentence(found)


def test_an_hour_that_comes_with_it_is_no_part_of_the_correction(press: Press) -> None:
    late, fresh = HOURS[1], f"{DAY}T11"
    publish(press, {late: more(late, "utc"), fresh: hour_rollup(fresh, ["utc"], views=40)})
    found = only(press)
    assert found.spans == [(late, late)]
    assert found.moved["pageviews"][1] - found.moved["pageviews"][0] == 3


def test_a_running_hour_that_goes_on_is_none(tmp_path: Path) -> None:
    press, hour = Press(tmp_path), HOURS[0]
    publish(press, {hour: hour_rollup(hour, ["utc"])}, open_until=1)
    publish(press, {hour: more(hour, "utc")}, open_until=2)
    publish(press, {hour: more(hour, "utc", seed=6)})
    assert press.log.of_site("utc") == []
    publish(press, {hour: more(hour, "utc", seed=7)})
    assert only(press).spans == [(hour, hour)]


def test_days_that_showed_nothing_are_added_not_corrected(press: Press) -> None:
    publish(press, {HOURS[1]: more(HOURS[1], "auckland")})
    found = only(press, "auckland")
    assert (found.kind, found.is_mark) == ("added", False)
    assert found.moved["pageviews"] == (0, 3)
    assert "were added" in sentence(found)


def test_a_reprocessing_names_its_reason_and_the_dimensions_that_moved(press: Press) -> None:
    def renamed(hour: str) -> Rollup:
        whole = hour_rollup(hour, ["utc"])
        value = pl.when(pl.col("value") == "Google").then(pl.lit("Bing")).otherwise(pl.col("value"))
        is_source = pl.col("dimension") == "source"
        value = pl.when(is_source).then(value).otherwise(pl.col("value"))
        return merge(
            [Rollup(whole.rows.with_columns(value.alias("value")), whole.revenue)], regroup=pl.col("at")
        )

    press.reprocess("r1", {hour: renamed(hour) for hour in HOURS}, only=["utc"])
    made = press.corrections.publish("r1")
    found = only(press)
    assert (found.kind, found.cause) == ("reprocessing", "reprocessing/r1")
    assert found.spans == [(HOURS[1], HOURS[2])]  # the first has no visit from Google
    assert (found.moved, found.dimensions) == ({}, ["source"])
    assert "totals stay, values of source moved; because reprocessing r1" in sentence(found)
    assert press.log.of_site("berlin") == []

    press.undo(made)
    undone, again = press.log.of_site("utc")
    assert again == found
    assert (undone.kind, undone.dimensions) == ("rollback", ["source"])


def test_a_publisher_that_dies_after_its_move_loses_no_entry(
    press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(publication: Publication) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(press.publisher, "_after", dies)
        for seed, views in ((5, 3), (6, 4)):
            with pytest.raises(KeyboardInterrupt):
                publish(press, {HOURS[1]: more(HOURS[1], "utc", seed, views)})
    assert press.log.of_site("utc") == []
    same = HOURS[0]
    publish(press, {same: hour_rollup(same, ["utc", "berlin"])})
    newest, oldest = press.log.of_site("utc")
    assert (oldest.moved["pageviews"], newest.moved["pageviews"]) == ((18, 21), (21, 22))


def test_entries_are_written_once_however_often_they_are_derived(press: Press) -> None:
    made = publish(press, {HOURS[1]: more(HOURS[1], "utc")})
    found = press.log.of_site("utc")
    for later_ms in (0, 8 * 86_400_000):
        press.clock_ms += later_ms
        press.log.advance("an older one, unknown to the history")
        press.logbook.catch_up(made)
        assert press.log.of_site("utc") == found


def test_a_log_that_cannot_be_written_stops_no_publication(
    press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: object) -> None:
        raise Unavailable("dynamodb", "gone")

    with monkeypatch.context() as patched:
        patched.setattr(press.log, "put", away)
        publish(press, {HOURS[1]: more(HOURS[1], "utc")})
    assert press.log.of_site("utc") == []
    publish(press, {HOURS[2]: hour_rollup(HOURS[2], ["utc", "berlin"])})
    assert only(press).spans == [(HOURS[1], HOURS[1])]


def test_what_was_shown_too_long_ago_is_told_without_numbers(
    press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(press.publisher, "_after", lambda publication: None)
        made = publish(press, {HOURS[1]: more(HOURS[1], "utc")})
    press.clock_ms += 8 * 86_400_000
    press.logbook.catch_up(made)
    found = only(press)
    assert (found.whole, found.moved) == (False, {})
    assert "the numbers before are no longer kept" in sentence(found)


def test_days_made_again_are_told_if_a_number_moved(press: Press) -> None:
    """Their hours stay: here the site's time zone is another one, and the last hour lies in the next day."""
    press.publisher.rebuild([DAY], [], "nothing has changed")
    assert press.log.of_site("utc") == []
    press.sites = dict(press.sites) | {"utc": replace(SITES["utc"], timezone="Pacific/Kiritimati")}
    before = shown(press, f"day/{DAY}", "pageviews")
    made = press.publisher.rebuild([DAY], [], "its days begin elsewhere")
    found = only(press)
    assert press.log.of_site("berlin") == [], "made again too, and equal"
    assert (found.kind, found.publication, found.late_events) == ("reprocessing", made.id, 0)
    after = shown(press, f"day/{DAY}", "pageviews")
    assert found.moved["pageviews"] == found.days[DAY]["pageviews"] == (before, after)
    assert before > after > 0
    assert list(found.local_days()) == [DAY]
    assert "because its days begin elsewhere" in sentence(found)
    press.undo(made)
    assert [c.kind for c in press.log.of_site("utc")] == ["rollback", "reprocessing"]


def test_a_month_made_again_is_told_only_where_its_days_are_not(press: Press) -> None:
    press.publisher.rebuild([], ["2026-10"], "nothing has changed")
    press.sites = dict(press.sites) | {"utc": replace(SITES["utc"], identity="first_party")}
    press.publisher.rebuild([], ["2026-10"], "visitors are known over days")
    assert press.log.of_site("utc") == [], "one day: as many visitors"
    tomorrow = f"{DAY[:-2]}31T08"
    publish(press, {tomorrow: hour_rollup(tomorrow, ["utc"])})
    press.sites = dict(press.sites) | {"utc": SITES["utc"]}
    press.publisher.rebuild([], ["2026-10"], "visitors are known for a day")
    found = only(press)
    assert (found.kind, found.days) == ("reprocessing", {})
    assert set(found.moved) == {"visitors"}
    assert (found.first_day, found.last_day) == ("2026-10-01", "2026-10-31")


def test_what_days_showed_too_long_ago_is_told_without_numbers(press: Press) -> None:
    press.sites = dict(press.sites) | {"utc": replace(SITES["utc"], timezone="Pacific/Kiritimati")}
    made = press.publisher.rebuild([DAY], [], "its days begin elsewhere")
    press.clock_ms += 7 * 24 * HOUR_MS
    (found,) = press.logbook.corrections(made)
    assert (found.site, found.whole, found.moved) == ("utc", False, {})
    assert list(found.local_days()) == [DAY]
