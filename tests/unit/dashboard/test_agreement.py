"""Live against published as customers see it."""

from __future__ import annotations

from flask.testing import FlaskClient

from dashboard_svc import agreement
from dashboard_svc.app import create_app
from recount.store.catalog import Site
from tests.unit.dashboard.conftest import SITES
from tests.unit.dashboard.fake import FakeAnswerer, services
from tests.unit.dashboard.some import HOURS

DEMO = Site(id="demo", domain="demo.example")


def test_each_hour_has_both_numbers_and_the_reasons() -> None:
    found = agreement.look(services(FakeAnswerer(), *SITES, compared=HOURS), DEMO, 48)
    assert [row.state for row in found.rows] == ["agrees", "explained", "unexplained", "unknown", "explained"]
    assert [row.by for row in found.rows] == ["=", "+3", "−20", "", "+2"]
    same, twice, lacking, away, bots = found.rows
    assert (same.hour, same.live, same.published) == ("12:00", ("40", "90"), ("40", "90"))
    assert same.left_out == "4 by bots, 6 duplicates"
    assert twice.reasons == ["3 events were delivered twice and are counted once"]
    assert lacking.reasons == ["20 without a known reason"]
    assert (away.live, away.reasons) == (
        ("–", "–"),
        ["Live was away, or had not seen the hour from its start"],
    )
    assert bots.reasons == ["2 events turned out to be of bots or excluded"]
    assert found.sentence == "1 of 4 hours differ from live for no known reason."


def test_a_range_that_is_running_has_the_panel(answerer: FakeAnswerer) -> None:
    client = create_app(services(answerer, *SITES, compared=HOURS)).test_client()
    running = client.get("/demo?period=today").text
    assert "Live against published" in running
    assert "3 events were delivered twice and are counted once" in running
    assert "Live against published" not in client.get("/demo?period=yesterday").text
    assert "Live against published</h2>" not in client.get("/log").text


def test_the_page_of_more_hours(client: FlaskClient, answerer: FakeAnswerer) -> None:
    full = create_app(services(answerer, *SITES, compared=HOURS)).test_client().get("/demo/reconciliation")
    assert full.headers["Cache-Control"] == "no-store"
    assert "20 without a known reason." in full.text
    assert "there is nothing to compare" in client.get("/demo/reconciliation").text
    assert client.get("/nobody/reconciliation").status_code == 404
