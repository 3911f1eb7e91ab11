"""Combinations, funnels and exports of a dashboard as a process of its own, over real tables and HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from click.testing import CliRunner, Result

from cli.context import CliContext
from cli.main import recount
from deploy.local.ports import free_settings
from recount.errors import InvalidInput, SetupError
from recount.settings import Settings
from recount.store.catalog import Catalog, Site
from recount.store.tables import ensure_tables, open_tables
from tests.archived import publish
from tests.integration.test_dashboard import metric, running
from tests.publishing import SLOTS, Press
from tests.sequences import Row
from tests.stack import TestStack
from tests.unit.scanning.rows import visits

SITE = Site(id="scanned", domain="demo.example")
RANGE = "2026-11-22,2026-11-25"
ROWS = visits(40, site=SITE.id)


@pytest.fixture(scope="module")
def own(stack_parts: TestStack, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A site of which three days are archived and published."""
    stack_parts.need("dynamodb")
    folder = tmp_path_factory.mktemp("scanned")
    archive = str(folder / "archive")
    settings = replace(
        free_settings(folder),
        dynamodb=stack_parts.settings.dynamodb,
        archive=archive,
        dax="",
        site_slots=SLOTS,
        table_prefix="scanned-",
    )
    ensure_tables(settings)
    tables = open_tables(settings)
    Catalog(tables.catalog).add(SITE)
    press = Press(Path(archive), rollups=tables.rollups, roots=tables.manifests, sites={SITE.id: SITE})
    publish(press, ROWS)
    return settings


@pytest.fixture(scope="module")
def url(own: Settings) -> Iterator[str]:
    with running(own) as (url, _):
        yield url


@pytest.fixture
def run(url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(CliContext, "dashboard_url", lambda _: url)

    def invoke(*args: str) -> Result:
        return CliRunner().invoke(recount, args)

    return invoke


def own_events(**wanted: Any) -> list[Row]:
    return [row for row in ROWS if all(row[name] == value for name, value in wanted.items())]


@pytest.mark.stack
def test_a_combination_and_a_funnel(url: str, run: Any) -> None:
    body = {
        "site": SITE.id,
        "date_range": RANGE.split(","),
        "metrics": ["pageviews"],
        "dimensions": ["country", "verdict"],
    }
    answer = httpx.post(f"{url}/api/v1/query", json=body, timeout=60).json()
    assert sum(row["pageviews"] for row in answer["rows"]) == len(own_events(kind="pageview"))
    assert metric(url, 'recount_scan_bytes_total{kind="query"}') > 0
    said = run("funnel", SITE.id, "--range", RANGE, "--step", "/pricing", "--step", "event:signup")
    assert said.exit_code == 0, said.output
    assert "event:signup" in said.output
    assert "published until 2026-11-25" in said.output
    with pytest.raises(InvalidInput, match="2 to 10 steps"):
        CliRunner().invoke(recount, ["funnel", SITE.id, "--step", "/pricing"], catch_exceptions=False)


@pytest.mark.stack
@pytest.mark.parametrize("wanted", ["csv", "parquet"])
def test_an_export_is_whole(run: Any, tmp_path: Path, wanted: str) -> None:
    path = tmp_path / f"events.{wanted}"
    said = run("export", SITE.id, "--range", RANGE, "--format", wanted, "-o", str(path))
    assert said.exit_code == 0, said.output
    found = pl.read_parquet(path) if wanted == "parquet" else pl.read_csv(path, infer_schema_length=None)
    assert sorted(found["id"]) == sorted(row["id"] for row in ROWS)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.stack
def test_numbers_are_exported_too(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "pages.csv"
    asked = ("--dimension", "page", "--metrics", "pageviews", "-o", str(path))
    assert run("export", SITE.id, "--range", RANGE, *asked).exit_code == 0
    assert set(pl.read_csv(path)["page"]) == {"/", "/pricing", "/docs/a", "/docs/b"}


@pytest.mark.stack
def test_an_export_cut_short_is_no_file(own: Settings, run: Any, url: str, tmp_path: Path) -> None:
    """The last hour's rows cannot be read, which shows only after the first ones have been sent."""
    files = sorted(Path(own.archive).glob("archive/hour=*/generation=*/slot=*/events.parquet"))
    last = [file for file in files if not pl.read_parquet(file).is_empty()][-1]
    kept = last.read_bytes()
    with last.open("r+b") as file:
        file.seek(4)
        file.write(b"\0" * (len(kept) // 2))
    try:
        with pytest.raises(httpx.RemoteProtocolError):
            _all_of(url)
        path = tmp_path / "events.csv"
        said = run("export", SITE.id, "--range", RANGE, "-o", str(path))
        assert isinstance(said.exception, SetupError)
        assert "before its end" in str(said.exception)
        assert list(tmp_path.iterdir()) == []
    finally:
        last.write_bytes(kept)
    assert _all_of(url).startswith(b"id,ts,kind")


def _all_of(url: str) -> bytes:
    path = f"{url}/api/v1/export/events?site={SITE.id}&date_range={RANGE}"
    with httpx.stream("GET", path, timeout=60) as answer:
        assert answer.status_code == 200
        return b"".join(answer.iter_raw())


@pytest.mark.stack
def test_who_stops_reading_frees_the_place(url: str) -> None:
    path = f"{url}/api/v1/export/events?site={SITE.id}&date_range={RANGE}"
    for _ in range(6):  # more than may run at once
        with httpx.stream("GET", path, timeout=60) as answer:
            if answer.status_code == 503:
                time.sleep(0.5)
                continue
            next(answer.iter_raw())
    end = time.monotonic() + 60
    while httpx.get(path, timeout=60).status_code != 200:
        assert time.monotonic() < end, "the places are still taken"
        time.sleep(0.2)
