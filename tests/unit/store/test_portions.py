"""An hour in portions: together they are the hour, in whatever order threads ask for them."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from recount.counting.visits import ARCHIVE_SCHEMA, Cut, cut
from recount.periods import HOUR_MS
from recount.store import parquet
from recount.store.archive import Archive, ArchiveInfo, Part, by_slot
from recount.store.objects import SiteRange
from recount.store.portions import Portion, Portions
from tests.sequences import START, event, frame

HOUR = "2026-11-22T20"
COLUMNS: dict[Part, dict[str, pl.DataType]] = {
    "events": {name: ARCHIVE_SCHEMA[name] for name in ("site", "visitor", "ts", "url", "name")}
}
PORTIONS = [
    Portion(SiteRange("", "s2")),
    Portion(SiteRange("s2", "s5"), 0),
    Portion(SiteRange("s2", "s5"), 1),
    Portion(SiteRange("s5")),
]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Seven sites in two slots, in row groups that hold more than one site and end within one."""
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 5)
    found = Archive(str(tmp_path))
    slots = [found.write_slot(HOUR, "g", slot, _cut(slot)) for slot in range(2)]
    found.seal(HOUR, "g", ArchiveInfo(hour=HOUR, generation="g", made_ms=0, cut={}, slots=by_slot(slots)))
    return found


def _cut(slot: int) -> Cut:
    events = [
        event(at=n * 1_000, visitor=2 * n + slot, site=f"s{n % 7}", url=f"https://a.example/{n % 4}")
        for n in range(40)
    ]
    return cut(frame(events), None, START + HOUR_MS)


def _frame(table: pa.Table) -> pl.DataFrame:
    found = pl.from_arrow(table)
    assert isinstance(found, pl.DataFrame)
    return found.cast({pl.Categorical: pl.String})


@pytest.mark.parametrize("asked", [[0, 1, 2, 3], [3, 1, 0, 2]])
def test_each_portion_is_what_the_archive_holds_of_it(archive: Archive, asked: list[int]) -> None:
    portions = Portions(archive, HOUR, "g", PORTIONS, COLUMNS)
    for number in asked:
        portion = PORTIONS[number]
        read = _frame(portions.take(portion)["events"])
        held = archive.read_events(HOUR, "g", portion.slot, list(COLUMNS["events"]), portion.sites)
        assert held.height > 0
        assert_frame_equal(read, held)


def test_files_are_open_from_the_first_portion_to_the_last(archive: Archive, tmp_path: Path) -> None:
    portions = Portions(archive, HOUR, "g", PORTIONS, COLUMNS)
    found = [_open_files(tmp_path)]
    for portion in PORTIONS:
        portions.take(portion)
        found.append(_open_files(tmp_path))
    assert found == [0, 2, 2, 2, 0]


def _open_files(folder: Path) -> int:
    opened = (Path(os.path.realpath(link)) for link in Path("/proc/self/fd").iterdir())
    return sum(folder.resolve() in path.parents for path in opened)


def test_texts_are_dictionaries(archive: Archive) -> None:
    table = Portions(archive, HOUR, "g", PORTIONS, COLUMNS).take(PORTIONS[0])["events"]
    assert {name for name in table.column_names if pa.types.is_dictionary(table[name].type)} == {
        "site",
        "url",
        "name",
    }


def test_a_generation_that_is_not_sealed_has_no_portions(archive: Archive) -> None:
    with pytest.raises(KeyError):
        Portions(archive, HOUR, "other", PORTIONS, COLUMNS).take(PORTIONS[0])
