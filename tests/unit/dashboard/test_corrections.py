"""Corrections as customers see them: pages, notes, the API, and copies kept of any of these."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from dashboard_svc.app import create_app
from dashboard_svc.corrected import KEPT_S, KeptLog, notes
from recount.store.correction_log import CorrectionLog
from recount.store.memory_table import MemoryTable
from tests.unit.dashboard.conftest import SITES
from tests.unit.dashboard.fake import NOW_MS, FakeAnswerer, services
from tests.unit.dashboard.some import COMPUTED, CORRECTIONS, LATE, correction, hours

SETTLED = "/demo?from=2026-11-18&to=2026-11-20&compare=none"
QUERY = "/api/v1/query?site=demo&metrics=visitors&date_range=2026-11-18,2026-11-20"
LOG = "/api/v1/corrections/demo"


@pytest.fixture
def corrected(answerer: FakeAnswerer) -> FlaskClient:
    return create_app(services(answerer, *SITES, corrections=CORRECTIONS)).test_client()


def test_the_page_of_a_range_tells_and_marks_what_was_corrected(corrected: FlaskClient) -> None:
    page = corrected.get(SETTLED).text
    assert "Numbers of 18 – 19 Nov 2026 were corrected on 22 Nov 2026: visitors 1,209 → 1,261" in page
    assert "because partner.example is our own site." in page
    assert f'href="/demo/corrections#{COMPUTED.publication}"' in page
    assert '<i class="mark"></i>Corrected' in page
    assert "corrected on" not in corrected.get("/demo?from=2026-11-01&to=2026-11-05&compare=none").text


def test_the_log_as_a_page(corrected: FlaskClient) -> None:
    page = corrected.get("/demo/corrections")
    assert page.headers["Cache-Control"] == "no-store"
    positions = [page.text.index(f'id="{c.publication}"') for c in CORRECTIONS]
    assert positions == sorted(positions)
    for text in (
        "3 events arrived late.",
        "+1.00",
        "Revenue EUR",
        "from=2026-11-18",
        "channel, entry page, source",
    ):
        assert text in page.text
    assert "No published number of new.example was ever changed." in corrected.get("/new/corrections").text
    assert corrected.get("/nobody/corrections").status_code == 404


def test_a_kept_copy_does_not_outlive_an_entry_of_the_log(
    client: FlaskClient, corrected: FlaskClient
) -> None:
    for path in (SETTLED, QUERY):
        before = client.get(path).headers["ETag"]
        assert client.get(path, headers={"If-None-Match": before}).status_code == 304
        now = corrected.get(path, headers={"If-None-Match": before})
        assert now.status_code == 200
        assert corrected.get(path, headers={"If-None-Match": now.headers["ETag"]}).status_code == 304


def test_answers_of_a_touched_range_carry_a_note(corrected: FlaskClient) -> None:
    body = {"site": "demo", "metrics": ["visitors"], "date_range": ["2026-11-19", "2026-11-19"]}
    told = corrected.post("/api/v1/query", json=body).get_json()["notes"]
    assert any(note.startswith("Numbers of 18 – 19 Nov 2026 were corrected") for note in told)
    untouched = body | {"date_range": ["2026-11-10", "2026-11-11"]}
    assert not any(
        "corrected" in note for note in corrected.post("/api/v1/query", json=untouched).get_json()["notes"]
    )


def test_the_log_over_the_api(corrected: FlaskClient) -> None:
    found = corrected.get(LOG).get_json()["corrections"]
    assert [c["publication"] for c in found] == [c.publication for c in CORRECTIONS]
    assert found[1] == {
        "publication": COMPUTED.publication,
        "corrected": "2026-11-22T07:34:00Z",
        "kind": "reprocessing",
        "text": "Numbers of 18 – 19 Nov 2026 were corrected on 22 Nov 2026: visitors 1,209 → 1,261, "
        "visits 1,300 → 1,400, revenue EUR 1.50 → 2.50; because partner.example is our own site.",
        "reason": "partner.example is our own site",
        "late_events": 0,
        "from": "2026-11-18",
        "to": "2026-11-19",
        "timezone": "UTC",
        "hours": [["2026-11-18T00:00:00Z", "2026-11-20T00:00:00Z"]],
        "changes": {
            "visitors": {"from": 1209, "to": 1261},
            "visits": {"from": 1300, "to": 1400},
            "revenue:EUR": {"from": "1.50", "to": "2.50"},
        },
        "days": {
            "2026-11-18": {"visitors": {"from": 600, "to": 650}},
            "2026-11-19": {"visitors": {"from": 609, "to": 611}},
        },
        "dimensions": ["channel", "entry_page", "source"],
        "is_complete": True,
    }
    in_range = corrected.get(f"{LOG}?date_range=2026-11-19,2026-11-22&limit=1").get_json()["corrections"]
    assert [c["publication"] for c in in_range] == [LATE.publication]
    assert corrected.get("/api/v1/corrections/new").get_json() == {"corrections": []}


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/api/v1/corrections/nobody", 404, "site"),
        (f"{LOG}?limit=0", 400, "limit"),
        (f"{LOG}?limit=x", 400, "limit"),
        (f"{LOG}?from=2026-11-19", 400, "from"),
        (f"{LOG}?date_range=yesteryear", 400, "date_range"),
    ],
)
def test_what_cannot_be_asked_is_said(corrected: FlaskClient, path: str, status: int, field: str) -> None:
    answer = corrected.get(path)
    assert (answer.status_code, answer.get_json(force=True)["field"]) == (status, field)


def test_many_late_events_are_one_note() -> None:
    again = correction("p2", hours("2026-11-21T00", "2026-11-21T00"), NOW_MS, kind="late", late_events=4)
    more = correction(
        "p1", hours("2026-11-21T05", "2026-11-21T05"), NOW_MS, kind="late", moved={"visits": (5, 4)}
    )
    assert notes([LATE, again, more]) == [
        "7 late events changed numbers of 22 Nov 2026, 17:00 – 18:00 and of 2 ranges more: "
        "visitors +1, pageviews +3, visits -1."
    ]
    many = [COMPUTED] * 5
    assert len(notes(many)) == 4
    assert notes(many)[-1] == "2 more corrections changed numbers of this range before."


def test_the_log_is_asked_once_for_a_moment() -> None:
    now = [0.0]
    log = CorrectionLog(MemoryTable())
    kept = KeptLog(log, clock=lambda: now[0])
    assert kept.touching("demo", "2026-11-18", "2026-11-22") == []
    log.put(CORRECTIONS)
    assert kept.touching("demo", "2026-11-18", "2026-11-22") == []
    now[0] = KEPT_S
    assert kept.touching("demo", "2026-11-18", "2026-11-22") == [LATE, COMPUTED]
