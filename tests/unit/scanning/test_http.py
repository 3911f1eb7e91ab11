"""The archive through the Stats API: combinations, funnels, exports, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import polars as pl
import pytest
from flask import Flask
from flask.testing import FlaskClient

from dashboard_svc.app import create_app
from dashboard_svc.corrected import Corrected
from recount.client import Client, InvalidQuery
from recount.querying.answers import Answerer
from recount.scanning.answering import Answering
from recount.scanning.events import EXPORTED
from recount.scanning.scanner import Scanner
from recount.store.correction_log import CorrectionLog
from recount.store.memory_table import MemoryTable
from tests.publishing import Press
from tests.sequences import visits_of
from tests.unit.dashboard.fake import FakeAnswerer, services
from tests.unit.scanning.conftest import ROWS, SITES, scanner_of
from tests.unit.scanning.test_scanner import NOW

RANGE = ["2026-11-22", "2026-11-25"]
COMBINED = {
    "site": "demo",
    "date_range": RANGE,
    "metrics": ["pageviews", "revenue"],
    "dimensions": ["page", "country"],
    "filters": [{"dimension": "browser", "operator": "equals", "values": ["Firefox"]}],
}
FUNNEL = {"site": "demo", "date_range": RANGE, "steps": ["/pricing", "event:signup"]}


@pytest.fixture
def client(press: Press, scanner: Scanner) -> FlaskClient:
    return client_of(press, scanner)


@pytest.fixture
def notebook(press: Press, scanner: Scanner) -> Iterator[Client]:
    transport = httpx.WSGITransport(app_of(press, scanner))
    with Client("http://recount.example", transport=transport) as made:
        yield made


def client_of(press: Press, scanner: Scanner) -> FlaskClient:
    return app_of(press, scanner).test_client()


def app_of(press: Press, scanner: Scanner) -> Flask:
    answerer = Answerer(press.manifests, press.segments, site_slots=press.slots, now_ms=lambda: NOW)
    made = services(FakeAnswerer(now_ms=NOW), *SITES.values())
    answering = Corrected(Answering(answerer, scanner, lambda: NOW), CorrectionLog(MemoryTable()))
    return create_app(replace(made, answerer=answering, scanner=scanner))


def own_rows() -> list[dict[str, Any]]:
    return [row for row in ROWS if row["site"] == "demo"]


def test_a_combination(client: FlaskClient) -> None:
    answer = client.post("/api/v1/query", json=COMBINED).get_json()
    wanted: dict[tuple[str, str], int] = {}
    for visits in visits_of(own_rows()).values():
        for event in (
            event for visit in visits if "Firefox" in visit.events[0]["ua"] for event in visit.events
        ):
            if event["kind"] == "pageview":
                key = (event["url"].removeprefix("https://demo.example"), event["country"] or "Unknown")
                wanted[key] = wanted.get(key, 0) + 1
    assert {(row["page"], row["country"]): row["pageviews"] for row in answer["rows"]} == wanted
    assert answer["published_until"]
    assert answer["live_as_of"] is None


def test_a_funnel(client: FlaskClient) -> None:
    answer = client.post("/api/v1/funnel", json=FUNNEL).get_json()
    first, second = answer["steps"]
    assert (first["step"], second["step"]) == ("/pricing", "event:signup")
    assert first["visits"] - second["visits"] == second["dropped"]
    assert second["of_first"] == second["of_previous"] == answer["conversion_rate"]
    assert 0 < second["of_first"] < first["of_first"] == 1
    assert answer["visits"] >= first["visits"]
    assert second["median_seconds"] > 0
    assert any("sum of daily visitors" in note for note in answer["notes"])


@pytest.mark.parametrize("wanted", ["csv", "parquet"])
def test_all_rows_of_a_query(client: FlaskClient, wanted: str) -> None:
    asked = COMBINED | {"dimensions": ["source", "country"]}
    answer = client.post("/api/v1/export/query", json=asked | {"format": wanted, "limit": 1})
    rows = client.post("/api/v1/query", json=asked).get_json()["rows"]
    found = read(answer.data, wanted)
    assert found["pageviews"].to_list() == [row["pageviews"] for row in rows]
    earned = [None if money is None else float(money) for money in found["revenue_EUR"]]
    assert earned == [float(row["revenue"]["EUR"]) if row["revenue"] else None for row in rows]
    assert answer.headers["Content-Disposition"].endswith(
        f'demo-source-country-2026-11-22-2026-11-25.{wanted}"'
    )


def test_rows_by_parameters(client: FlaskClient) -> None:
    asked = "site=demo&dimensions=page&metrics=visitors,pageviews&date_range=2026-11-22,2026-11-25"
    path = f"/api/v1/export/query?{asked}"
    found = list(csv.DictReader(io.StringIO(client.get(path).text)))
    assert {row["page"] for row in found} == {"/", "/pricing", "/docs/a", "/docs/b"}
    only = {"dimension": "page", "operator": "contains", "values": ["/docs/"]}
    docs = client.get(f"{path}&filters={quote(json.dumps([only]))}")
    assert {row["page"] for row in csv.DictReader(io.StringIO(docs.text))} == {"/docs/a", "/docs/b"}
    nothing = client.get(path.replace("2026-11-22,2026-11-25", "2026-01-01,2026-01-02"))
    assert nothing.text == "page,visitors,pageviews\n"


@pytest.mark.parametrize("wanted", ["csv", "parquet"])
@pytest.mark.parametrize("days", [RANGE, ["2026-11-23", "2026-11-23"]])
def test_all_events_of_a_range(client: FlaskClient, wanted: str, days: list[str]) -> None:
    answer = client.post("/api/v1/export/events", json={"site": "demo", "date_range": days, "format": wanted})
    assert answer.status_code == 200
    assert answer.headers["X-Accel-Buffering"] == "no"
    found = read(answer.data, wanted)
    assert found.columns == list(EXPORTED)
    local = pl.from_epoch(pl.Series([row["ts"] for row in own_rows()]), "ms").dt.replace_time_zone("UTC")
    dates = local.dt.convert_time_zone("Europe/Berlin").dt.date().cast(pl.String)
    within = [row for row, date in zip(own_rows(), dates, strict=True) if days[0] <= date <= days[1]]
    assert within
    assert sorted(found["id"]) == sorted(row["id"] for row in within)
    one = found.filter(pl.col("id") == within[0]["id"]).to_dicts()[0]
    assert one["visitor"] == f"{within[0]['visitor']:016x}"
    assert one["url"] == within[0]["url"]
    assert set(found["verdict"]) == {"human", "crawler"}


def read(data: bytes, wanted: str) -> pl.DataFrame:
    return pl.read_parquet(data) if wanted == "parquet" else pl.read_csv(data, infer_schema_length=None)


def test_times_of_csv_are_utc(client: FlaskClient) -> None:
    answer = client.get("/api/v1/export/events?site=demo&date_range=2026-11-22,2026-11-25")
    first = next(csv.DictReader(io.StringIO(answer.text)))
    [row] = [row for row in own_rows() if row["id"] == first["id"]]
    assert first["ts"] == str(
        pl.from_epoch(pl.Series([row["ts"]]), "ms").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")[0]
    )


@pytest.mark.parametrize(
    ("path", "body", "field", "says"),
    [
        ("query", {"dimensions": ["exit_page", "page"]}, "dimensions", "exit_page is known of a visit"),
        ("funnel", {"steps": ["/"]}, "steps", "2 to 10 steps"),
        ("funnel", {"steps": ["/", "/a"], "unit": 1}, "unit", "unknown field"),
        ("funnel", {"steps": ["/", "/a"], "date_range": "tomorrow"}, "date_range", "no such range"),
        ("export/query", {"format": "xlsx"}, "format", "csv, parquet"),
        ("export/events", {"format": "json"}, "format", "csv, parquet"),
        ("export/events", {"metrics": ["visitors"]}, "metrics", "an export of events has no 'metrics'"),
        ("export/events", {"site": "nobody"}, "site", "there is no site 'nobody'"),
        ("export/events", {"date_range": ["2024-01-01", "2026-01-01"]}, "date_range", "at most 366 days"),
    ],
)
def test_bad_input(client: FlaskClient, path: str, body: dict[str, Any], field: str, says: str) -> None:
    answer = client.post(f"/api/v1/{path}", json={"site": "demo"} | body)
    problem = answer.get_json()
    assert (answer.status_code, problem["field"]) == (400, field)
    assert says in problem["detail"]


def test_too_much_at_once_says_what_would_do(press: Press) -> None:
    answer = client_of(press, scanner_of(press, max_bytes=1_000)).post("/api/v1/query", json=COMBINED)
    assert answer.status_code == 400
    assert "ask for a shorter range" in answer.get_json()["detail"]


def test_busy_is_503_with_a_time_to_come_back(press: Press) -> None:
    scanner = scanner_of(press, running=0, waiting=0)
    answer = client_of(press, scanner).post("/api/v1/funnel", json=FUNNEL)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


def test_one_export_more_than_may_run_is_refused(press: Press, scanner: Scanner) -> None:
    client = client_of(press, scanner)
    path = "/api/v1/export/events?site=demo&date_range=2026-11-22,2026-11-25"
    first = client.get(path, buffered=False)
    assert next(iter(first.iter_encoded())).startswith(b"id,ts,kind")
    assert client.get(path).status_code == 503
    first.close()
    assert client.get(path).status_code == 200


def test_an_export_that_cannot_go_on_raises_instead_of_ending(press: Press, scanner: Scanner) -> None:
    client = client_of(press, scanner)
    answer = client.get("/api/v1/export/events?site=demo&date_range=2026-11-22,2026-11-25", buffered=False)
    parts = iter(answer.response)
    next(parts)
    broken = scanner.reader.groups
    scanner.reader.groups = lambda *_: (_ for _ in ()).throw(OSError("gone"))  # type: ignore[method-assign]
    try:
        with pytest.raises(OSError, match="gone"):
            list(parts)
    finally:
        scanner.reader.groups = broken  # type: ignore[method-assign]
        answer.close()
    assert scanner.exports.present == 0


def test_a_funnel_in_a_notebook_is_a_data_frame(client: FlaskClient, notebook: Client) -> None:
    answer = client.post("/api/v1/funnel", json=FUNNEL).get_json()
    steps = notebook.funnel("demo", FUNNEL["steps"], date_range=RANGE)
    assert list(steps["step"]) == [step["step"] for step in answer["steps"]]
    assert list(steps["visits"]) == [step["visits"] for step in answer["steps"]]
    assert list(steps["of_first"]) == [step["of_first"] for step in answer["steps"]]
    assert steps.attrs["conversion_rate"] == answer["conversion_rate"]
    assert steps.attrs["visits"] == answer["visits"] > 0


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_events_are_exported_into_a_file(
    client: FlaskClient, notebook: Client, tmp_path: Path, ending: str
) -> None:
    asked = {"site": "demo", "date_range": RANGE, "format": ending}
    sent = client.post("/api/v1/export/events", json=asked, buffered=True)
    file = tmp_path / f"events.{ending}"
    until = notebook.export_events("demo", file, date_range=RANGE)
    assert file.read_bytes() == sent.data
    assert until is not None
    assert until.isoformat() == sent.headers["Recount-Published-Until"].replace("Z", "+00:00")


def test_what_cannot_be_exported_leaves_no_file(notebook: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidQuery, match="nobody"):
        notebook.export_events("nobody", tmp_path / "events.csv", date_range=RANGE)
    with pytest.raises(ValueError, match="neither"):
        notebook.export_events("demo", tmp_path / "events.xlsx", date_range=RANGE)
    assert list(tmp_path.iterdir()) == []
