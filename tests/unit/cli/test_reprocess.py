"""The commands of corrections, on tables in memory and a Dagster that only takes notes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from cli import computing, corrections, reprocess
from cli.context import CliContext
from cli.dagster_client import RunState
from cli.publishing import RANGE_TAGS
from recount.errors import Incomplete, InvalidInput, SetupError
from recount.settings import Settings
from recount.store.catalog import Catalog, Site
from recount.store.reprocessings import Reprocessings
from recount.store.tables import Tables, memory_tables
from tests.publishing import SLOTS, Press
from tests.rollups import hour_rollup

HOURS = [f"2026-10-31T{hour:02d}" for hour in (3, 4, 20)]


@dataclass
class FakeDagster:
    """Runs end as `status` says; `interrupted` presses Ctrl-C at the first look."""

    status: str = "SUCCESS"
    interrupted: bool = False
    launched: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    terminated: list[str] = field(default_factory=list)

    def launch(self, job: str, tags: dict[str, str], config: dict[str, Any] | None = None) -> str:
        self.launched.append((job, tags))
        return f"run-{len(self.launched)}"

    def state(self, run_id: str) -> RunState:
        if self.interrupted:
            self.interrupted = False
            raise KeyboardInterrupt
        return RunState("STARTED" if self.status == "STARTED" else self.status, 0)

    def unfinished(self, tag: str, value: str) -> list[str]:
        return [f"run of {value}"]

    def terminate(self, run_ids: Sequence[str]) -> None:
        self.terminated += run_ids

    def failures(self, run_id: str) -> list[str]:
        return [f"{run_id} broke"]

    def run_url(self, run_id: str) -> str:
        return f"page/{run_id}"


class Desk(CliContext):
    """A working copy with three published hours of two sites."""

    def __init__(self, folder: Path) -> None:
        self.made = memory_tables()
        self.__dict__["settings"] = Settings(state=folder, archive=str(folder), site_slots=SLOTS)
        self.press = Press(folder, self.made.rollups, self.made.manifests)
        self.press.publish({hour: hour_rollup(hour, ["utc", "berlin"]) for hour in HOURS})
        Catalog(self.made.catalog).add(Site(id="utc", domain="utc.example"))
        self.reprocessings = Reprocessings(self.made.catalog)

    def tables(self) -> Tables:
        return self.made


@pytest.fixture
def dagster(monkeypatch: pytest.MonkeyPatch) -> FakeDagster:
    fake = FakeDagster()
    for module in (reprocess, computing, corrections):
        monkeypatch.setattr(module, "DagsterClient", lambda url: fake)
    monkeypatch.setattr(computing, "POLL_S", 0.0)
    return fake


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def call(desk: Desk, command: click.Command, *arguments: str) -> Result:
    result = CliRunner().invoke(command, arguments, obj=desk)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def asked(desk: Desk, *more: str) -> Result:
    options = ("--from", "2026-10-31", "--to", "2026-10-31", "--reason", "a bug", *more)
    return call(desk, reprocess.reprocess, *options)


def test_what_is_published_is_computed_in_few_runs(desk: Desk, dagster: FakeDagster) -> None:
    assert "nothing is published yet" in asked(desk, "--sites", "utc").output
    (request,) = desk.reprocessings.all()
    assert (request.first, request.last, request.sites) == ("2026-10-31T00", "2026-10-31T23", ["utc"])
    assert [job for job, _ in dagster.launched] == ["candidates_from_archive"] * 2
    tags = [tags for _, tags in dagster.launched]
    assert [t["dagster/asset_partition_range_start"] for t in tags] == [HOURS[0], HOURS[2]]
    assert {t["recount/reprocessing"] for t in tags} == {request.id}


def test_from_raw_takes_every_hour_in_short_runs(desk: Desk, dagster: FakeDagster) -> None:
    options = ("--from", "2026-10-01", "--to", "2026-10-04", "--reason", "x", "--from-raw")
    call(desk, reprocess.reprocess, *options)
    spans = [tuple(tags[name] for name in RANGE_TAGS) for _, tags in dagster.launched]
    assert spans == [("2026-10-01T00", "2026-10-02T23"), ("2026-10-03T00", "2026-10-04T23")]
    assert {job for job, _ in dagster.launched} == {"candidates_from_raw"}


def test_ctrl_c_stops_the_runs_and_says_how_to_go_on(desk: Desk, dagster: FakeDagster) -> None:
    dagster.interrupted, dagster.status = True, "STARTED"
    result = asked(desk)
    assert result.exit_code == 1
    assert dagster.terminated == ["run-1", "run-2"]
    (request,) = desk.reprocessings.all()
    assert f"recount reprocess resume {request.id}" in result.output


def test_a_run_that_fails_is_told_with_its_reason(desk: Desk, dagster: FakeDagster) -> None:
    dagster.status = "FAILURE"
    with pytest.raises(Incomplete, match="run-1 broke"):
        asked(desk)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--from", "2026-10-32", "--to", "2026-10-31", "--reason", "x"), InvalidInput),
        (("--from", "2026-10-31", "--to", "2026-10-30", "--reason", "x"), InvalidInput),
        (("--from", "2026-10-31", "--to", "2026-10-31", "--reason", " "), InvalidInput),
        (("--from", "2026-10-31", "--to", "2026-10-31", "--reason", "x", "--sites", "none"), InvalidInput),
        (("--from", "2020-01-01", "--to", "2020-01-01", "--reason", "x"), SetupError),
    ],
)
def test_what_cannot_be_computed_is_refused(
    desk: Desk, dagster: FakeDagster, options: tuple[str, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        call(desk, reprocess.reprocess, *options)
    assert dagster.launched == []


def test_a_reprocessing_is_listed_shown_stopped_and_given_up(desk: Desk, dagster: FakeDagster) -> None:
    assert "Nothing was ever" in call(desk, reprocess.reprocess, "list").output
    asked(desk)
    (request,) = desk.reprocessings.all()
    assert request.id in call(desk, reprocess.reprocess, "list").output
    listed = json.loads(call(desk, reprocess.reprocess, "list", "--json").output)["reprocessings"]
    assert [one["id"] for one in listed] == [request.id]
    shown = call(desk, reprocess.reprocess, "show", request.id[:12]).output
    assert "no candidate yet" in shown
    assert "Stopped 1 runs" in call(desk, reprocess.reprocess, "cancel", request.id).output
    call(desk, reprocess.reprocess, "discard", request.id)
    assert desk.reprocessings.get(request.id).state == "discarded"
    for command in (("resume", request.id), ("discard", request.id)):
        with pytest.raises(InvalidInput, match="is discarded"):
            call(desk, reprocess.reprocess, *command)
    with pytest.raises(InvalidInput, match="recount reprocess list"):
        call(desk, reprocess.reprocess, "show", "unknown")


def test_the_history_names_what_moved_and_why(desk: Desk, dagster: FakeDagster) -> None:
    desk.press.publish({HOURS[0]: hour_rollup(HOURS[0], ["utc", "berlin"], 1, 9)}, "late events")
    lines = call(desk, corrections.history, "--limit", "1").output.splitlines()
    root = desk.press.manifests.current()
    assert root is not None
    assert lines[0].startswith(root.id)
    assert lines[0].endswith("1 hour, 1 day and 1 month of 2 sites changed")
    assert lines[1].strip() == "late events"
    (told,) = json.loads(call(desk, corrections.history, "--limit", "1", "--json").output)["publications"]
    assert (told["id"], told["reason"]) == (root.id, "late events")
    assert told["moved"][f"hour/{HOURS[0]}"] == ["berlin", "utc"]
