"""The commands of erasures, on tables in memory; what a run does is for the tests of the steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli import erase
from cli.context import CliContext
from recount.erasing.tombstone import Tombstone
from recount.errors import InvalidInput
from recount.settings import Settings
from recount.store.catalog import Catalog, Site
from recount.store.erasures import Erasures
from recount.store.tables import Tables, memory_tables
from recount.store.tombstones import Tombstones


class Desk(CliContext):
    """A working copy with one site, whose runs are only noted."""

    def __init__(self, folder: Path) -> None:
        self.made = memory_tables()
        self.runs: list[tuple[str, dict[str, Any]]] = []
        self.__dict__["settings"] = Settings(state=folder, archive=str(folder))
        Catalog(self.made.catalog).add(Site(id="demo", domain="demo.example"))

    def tables(self) -> Tables:
        return self.made

    def run(self, _: CliContext, job: str, configs: dict[str, Any], **_said: str) -> str:
        self.runs.append((job, configs))
        return "run"

    def call(self, *arguments: str, text: str | None = None) -> Result:
        result = CliRunner().invoke(erase.erase, arguments, obj=self, input=text)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    @property
    def tombstones(self) -> list[Tombstone]:
        return Tombstones(self.made.catalog).active()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(tmp_path)
    monkeypatch.setattr(erase, "run_alone", made.run)
    monkeypatch.setattr(erase, "source_partitions", lambda _: [])
    return made


def test_an_order_is_recorded_hidden_at_once_and_run(desk: Desk) -> None:
    printed = json.loads(desk.call("page", "demo", "/u/*", "--reason", "names", "--yes", "--json").stdout)
    (erasure,) = Erasures(desk.made.catalog).all()
    assert (printed["id"], printed["site"], printed["reason"]) == (erasure.id, "demo", "names")
    (tombstone,) = desk.tombstones
    assert (tombstone.id, tombstone.what, tombstone.page) == (erasure.id, "page", "/u/*")
    config = {"erasure": erasure.id}
    assert desk.runs == [("erase", {"rewrite_archives": config, "publish_and_prove": config})]
    desk.call("resume", erasure.id)
    assert len(desk.runs) == 2


@pytest.mark.parametrize(
    ("pattern", "name", "value"), [("email", "email", "*"), ("email=*@x.example", "email", "*@x.example")]
)
def test_a_property_is_of_some_values_or_of_all(desk: Desk, pattern: str, name: str, value: str) -> None:
    desk.call("property", "demo", pattern, "--reason", "asked", "--yes")
    (tombstone,) = desk.tombstones
    assert (tombstone.what, tombstone.name, tombstone.value) == ("property", name, value)


def test_a_look_changes_nothing(desk: Desk) -> None:
    found = json.loads(desk.call("site", "demo", "--dry-run", "--json").stdout)
    assert (found["site"], found["dry_run"], found["hours"]) == ("demo", True, [])
    assert (desk.tombstones, desk.runs, Erasures(desk.made.catalog).all()) == ([], [], [])


def test_nothing_is_erased_without_a_reason_and_the_sites_name(desk: Desk) -> None:
    with pytest.raises(InvalidInput, match="say why"):
        desk.call("site", "demo", "--yes")
    with pytest.raises(InvalidInput, match="nothing was erased"):
        desk.call("site", "demo", "--reason", "closed", text="other\n")
    assert (desk.tombstones, desk.runs) == ([], [])
    assert "demo" in desk.call("site", "demo", "--reason", "closed", text="demo\n").output
    assert len(desk.runs) == 1


def test_a_site_that_hashes_its_visitors_has_none_to_erase(desk: Desk) -> None:
    with pytest.raises(InvalidInput, match="--first-party-id"):
        desk.call("visitor", "demo", "user-4711", "--reason", "asked", "--yes")
