"""The routes of the live service, and the answers of several instances put together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from werkzeug.serving import make_server

from recount.counting.rollup import Rollup
from recount.discovery import Instance
from recount.store.segment_wire import Segment
from recount.store.segments import decode
from streaming.places import partitions_of
from tests.made import TS
from tests.unit.streaming.stage import NOW, PARTITIONS, SITES, Read, Stage, home, seen

HOUR = "2026-09-21T15"
MINUTE = 60_000


def fill(stage: Stage) -> None:
    """Three visitors of `demo` and nine of `wide` between 15:10 and 15:40."""
    stage.given(
        seen(11, 1, referrer="https://news.example/"),
        seen(38, 1, url="https://demo.example/a"),
        seen(39, 2, url="https://demo.example/a"),
        seen(40, 3, kind="event", name="signup"),
        *(seen(39, n, site="wide") for n in range(9)),
    )


def test_an_answer_has_all_that_a_dashboard_shows(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    fill(stage)
    answer = stage.answer()
    assert answer["as_of"] == NOW
    assert answer["published_until"] == TS
    assert answer["complete"] is True
    assert answer["current_visitors"] == 3
    totals = answer["totals"]
    assert isinstance(totals, dict)
    assert (totals["visitors"], totals["visits"], totals["pageviews"], totals["events"]) == (3, 3, 3, 1)
    minutes = answer["minutes"]
    assert isinstance(minutes, list)
    assert [m["at"] for m in minutes] == [TS + n * MINUTE for n in range(11, 41)]
    assert [m["pageviews"] for m in minutes][-4:] == [0, 1, 1, 0]
    assert minutes[0] == {"at": TS + 11 * MINUTE, "visitors": 1, "pageviews": 1}
    top = answer["top"]
    assert isinstance(top, dict)
    assert [(p["value"], p["visitors"], p["pageviews"]) for p in top["page"]] == [("/a", 2, 2), ("/", 1, 1)]
    assert top["event"][0]["value"] == "signup"
    assert top["browser"][0]["visitors"] == 3


def test_the_window_can_be_chosen(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    fill(stage)
    answer = stage.answer(query="?minutes=3")
    assert isinstance(answer["minutes"], list)
    assert len(answer["minutes"]) == 3
    assert answer["from"] == TS + 35 * MINUTE


def test_a_site_without_events_has_zeros(tmp_path: Path) -> None:
    answer = Stage(tmp_path).answer()
    assert (answer["current_visitors"], answer["top"]) == (0, {})


@pytest.mark.parametrize("path", ["", "/stream", "/rollup?hours=2026-09-21T15"])
def test_an_unknown_site_is_not_found(tmp_path: Path, path: str) -> None:
    answer = Stage(tmp_path).http.get(f"/v1/live/nowhere{path}")
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert answer.get_json(force=True)["field"] == "site"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?minutes=0", "minutes"),
        ("?minutes=181", "minutes"),
        ("?minutes=x", "minutes"),
        ("/rollup", "hours"),
        ("/rollup?hours=yesterday", "hours"),
        ("/rollup?since=-1", "since"),
    ],
)
def test_a_question_that_makes_no_sense_is_told_why(tmp_path: Path, query: str, field: str) -> None:
    answer = Stage(tmp_path).http.get(f"/v1/live/demo{query}")
    assert (answer.status_code, answer.get_json(force=True)["field"]) == (400, field)


def test_health_and_readiness(tmp_path: Path) -> None:
    stage = Stage(tmp_path, read=Read(unread=frozenset(range(PARTITIONS))))
    assert stage.http.get("/healthz").status_code == 200
    assert stage.http.get("/readyz").status_code == 503
    assert stage.answer()["complete"] is False
    stage.read.unread = frozenset()
    assert stage.http.get("/readyz").status_code == 200
    assert stage.http.get("/metrics").status_code == 200
    assert stage.http.get("/nothing").status_code == 404


def rollup(stage: Stage, query: str, site: str = "demo") -> tuple[Rollup, dict[str, str]]:
    answer = stage.http.get(f"/v1/live/{site}/rollup?{query}")
    return decode(Segment.from_bytes(answer.data), site), dict(answer.headers)


def test_whole_hours_come_as_the_archive_would_have_them(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    fill(stage)
    found, headers = rollup(stage, f"hours={HOUR},2026-09-21T03")
    assert headers["Recount-Hours"] == f"2026-09-21T14,{HOUR}"
    assert set(found.rows.filter(dimension="page")["at"]) == {TS}
    assert set(found.rows.filter(dimension="series")["at"]) == {TS, TS + 30 * MINUTE}
    (total,) = found.rows.filter(dimension="total").iter_rows(named=True)
    assert (len(total["visitors"]), total["pageviews"], total["accepted"]) == (3, 3, 4)


def test_hours_that_are_not_covered_are_left_out(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    fill(stage)
    found, _ = rollup(stage, "hours=2026-09-21T03")
    assert found.is_empty


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Stage, Stage]]:
    """Two instances that own three partitions each; the second is served and in the directory."""
    own = frozenset(sorted(partitions_of(SITES["wide"], PARTITIONS))[:1]) | {home(seen(0))}
    first = Stage(tmp_path, "first", Read(own))
    second = Stage(tmp_path, "second", Read(frozenset(range(PARTITIONS)) - own, as_of_ms=NOW - 7))
    server = make_server("127.0.0.1", 0, second.app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    owned = ",".join(map(str, second.read.partitions))
    second.directory.register(Instance("live", "second", "127.0.0.1", server.port, {"partitions": owned}))
    yield first, second
    server.shutdown()
    thread.join()


def visitors(answer: dict[str, object]) -> int:
    totals = answer["totals"]
    assert isinstance(totals, dict)
    found: int = totals["visitors"]
    return found


def test_owners_answer_together(pair: tuple[Stage, Stage]) -> None:
    for stage in pair:
        fill(stage)
    answer = pair[0].answer("wide")
    assert (visitors(answer), answer["complete"], answer["as_of"]) == (9, True, NOW - 7)
    assert visitors(pair[0].answer("wide", "?local=1")) < 9
    found, _ = rollup(pair[0], f"hours={HOUR}", "wide")
    assert len(found.rows.filter(dimension="total")["visitors"][0]) == 9


def test_a_site_of_one_partition_is_answered_by_its_owner_alone(pair: tuple[Stage, Stage]) -> None:
    fill(pair[0])
    pair[0].directory.deregister(pair[0].directory.instances("live")[0])
    assert pair[0].answer()["complete"] is True
    assert visitors(pair[0].answer()) == 3


def test_an_answer_without_an_owner_says_so(pair: tuple[Stage, Stage]) -> None:
    for stage in pair:
        fill(stage)
    pair[0].directory.register(Instance("live", "second", "127.0.0.1", 9, {"partitions": "0,1,2,3,4,5"}))
    answer = pair[0].answer("wide")
    assert answer["complete"] is False
    assert 0 < visitors(answer) < 9


def test_an_owner_that_still_reads_its_part_again_makes_the_answer_incomplete(
    pair: tuple[Stage, Stage],
) -> None:
    first, second = pair
    fill(first)
    second.read.unread = second.read.partitions
    answer = first.answer("wide")
    assert answer["complete"] is False
    assert 0 < visitors(answer) < 9
    _, headers = rollup(first, f"hours={HOUR}", "wide")
    assert headers["Recount-Complete"] == "0"
    assert frozenset(map(int, headers["Recount-Partitions"].split(","))) <= first.read.partitions
    assert first.answer()["complete"] is True, "its owner has read all of it"


def test_what_two_claim_while_it_changes_hands_is_counted_once(pair: tuple[Stage, Stage]) -> None:
    first, second = pair
    second.read.partitions = frozenset(range(PARTITIONS))  # it has taken over before the first one knows
    for stage in pair:
        fill(stage)
    answer = first.answer("wide")
    assert (visitors(answer), answer["complete"]) == (9, True)
    totals = answer["totals"]
    assert isinstance(totals, dict)
    assert totals["pageviews"] == 9


def test_two_others_that_claim_the_same_are_not_both_asked(pair: tuple[Stage, Stage]) -> None:
    first, _ = pair
    for stage in pair:
        fill(stage)
    (entry,) = first.directory.instances("live")
    first.directory.register(replace(entry, id="its-former-name"))
    answer = first.answer("wide")
    totals = answer["totals"]
    assert isinstance(totals, dict)
    assert (totals["pageviews"], answer["complete"]) == (9, True)


@pytest.mark.parametrize("named", ["", "x", "1,,2", "-1", "1234567"])
def test_partitions_are_numbers(tmp_path: Path, named: str) -> None:
    answer = Stage(tmp_path).http.get(f"/v1/live/demo/rollup?since=0&partitions={named}")
    assert (answer.status_code, answer.get_json(force=True)["field"]) == (400, "partitions")


def test_events_from_before_a_narrower_spread_stay_in_the_answer(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    fill(stage)
    narrowed = replace(SITES["wide"], spread=1, widest_spread=3)
    stage.catalog["wide"] = narrowed
    assert partitions_of(narrowed, PARTITIONS) == partitions_of(SITES["wide"], PARTITIONS)
    assert visitors(stage.answer("wide")) == 9


def test_totals_of_hours_are_told_for_every_site_and_partition(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    fill(stage)
    stage.given(seen(41, 4, ua="Googlebot/2.1 (+http://www.google.com/bot.html)"), seen(-5, 5))
    answer = stage.http.get(f"/v1/totals?hours={HOUR},2020-01-01T00").get_json()
    assert (answer["as_of"], answer["hours"]) == (NOW, [HOUR])
    assert answer["positions"] == {str(n): 100 for n in range(PARTITIONS)}
    rows = [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]
    (demo,) = [row for row in rows if row["site"] == "demo"]
    assert demo == {
        **{"hour": HOUR, "site": "demo", "partition": home(seen(1)), "visitors": 3, "visits": 3},
        **{"pageviews": 3, "events": 1, "counted": 4, "set_aside": 1},
    }
    wide = [row for row in rows if row["site"] == "wide"]
    assert len(wide) > 1
    assert sum(row["visitors"] for row in wide) == 9


def test_totals_leave_out_partitions_that_are_still_being_read(tmp_path: Path) -> None:
    unread = home(seen(1))
    stage = Stage(tmp_path, read=Read(unread=frozenset({unread})))
    fill(stage)
    answer = stage.http.get(f"/v1/totals?hours={HOUR}").get_json()
    assert str(unread) not in answer["positions"]
    assert not [row for row in answer["rows"] if row[2] == unread]
    assert stage.http.get("/v1/totals").status_code == 400
