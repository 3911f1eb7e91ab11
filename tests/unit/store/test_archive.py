from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from recount.errors import Conflict
from recount.keys import event_slots
from recount.store.archive import Archive, ArchiveInfo, by_slot, carry_source
from recount.store.objects import SiteRange

HOUR = "2026-11-22T23"


def cut_of(*visitors: int, site: str = "demo", open_visits: int = 0) -> Any:
    """Frames with the columns that the archive itself looks at."""
    rows = pl.DataFrame(
        {"site": [site] * len(visitors), "visitor": list(visitors), "ts": list(range(len(visitors)))},
        schema={"site": pl.String, "visitor": pl.UInt64, "ts": pl.Int64},
    )
    ends = rows.select("site", "visitor", start=pl.col("ts"))
    return SimpleNamespace(events=rows, ends=ends, carry=ends.head(open_visits))


def sealed(archive: Archive, generation: str, *cuts: Any) -> ArchiveInfo:
    infos = [archive.write_slot(HOUR, generation, slot, cut) for slot, cut in enumerate(cuts)]
    info = ArchiveInfo(
        hour=HOUR, generation=generation, made_ms=5, cut={"events/00000": 7}, slots=by_slot(infos)
    )
    archive.seal(HOUR, generation, info)
    return info


def test_a_generation_exists_only_once_sealed(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    archive.write_slot(HOUR, "g1", 0, cut_of(1))
    assert archive.info(HOUR, "g1") is None
    assert archive.newest(HOUR) is None
    assert archive.newest("2020-01-01T00") is None
    with pytest.raises(KeyError):
        archive.read_events(HOUR, "g1")


def test_newest_passes_over_unsealed_generations(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    info = sealed(archive, "g1", cut_of(1))
    archive.write_slot(HOUR, "g2", 0, cut_of(2))
    assert archive.newest(HOUR) == info
    newer = sealed(archive, "g3", cut_of(3))
    assert archive.newest(HOUR) == newer
    assert archive.hours() == [HOUR]


def test_a_sealed_generation_is_never_sealed_again(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    info = sealed(archive, "g1", cut_of(1))
    with pytest.raises(Conflict):
        archive.seal(HOUR, "g1", info)


def test_reads_slots_columns_and_sites(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    info = sealed(archive, "g1", cut_of(1, 3, site="a"), cut_of(2, site="b"))
    assert archive.read_events(HOUR, "g1")["visitor"].to_list() == [1, 3, 2]
    assert archive.read_events(HOUR, "g1", 1)["visitor"].to_list() == [2]
    assert archive.read_events(HOUR, "g1", columns=["ts"]).columns == ["ts"]
    assert archive.read_events(HOUR, "g1", sites=["a"])["visitor"].to_list() == [1, 3]
    assert archive.read_events(HOUR, "g1", sites=SiteRange("", "b"))["visitor"].to_list() == [1, 3]
    assert archive.read_events(HOUR, "g1", sites=SiteRange("b"))["visitor"].to_list() == [2]
    assert archive.read_ends(HOUR, "g1").height == 3
    assert archive.read_ends(HOUR, "g1", 0, SiteRange("aa")).is_empty()
    assert info.sites == {"a": 2, "b": 1}
    assert info.events == 3


def test_hours_from_before_a_field_was_there_are_read_with_those_since(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    sealed(archive, "g1", cut_of(1, 2))
    newer = cut_of(3)
    newer.events = newer.events.with_columns(since=pl.lit(1))
    sealed(archive, "g2", newer)
    places = [(HOUR, generation, 0) for generation in ("g1", "g2")]
    for some in (places, places[::-1]):
        rows = archive.read_site("events", some, ["visitor"], "demo")
        assert sorted(rows["visitor"]) == [1, 2, 3]


def test_a_slot_of_another_slot_count_is_picked_from_all_files(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    sealed(archive, "g1", cut_of(*range(1, 50)))
    parts = [archive.read_events(HOUR, "g1", slot, slots=4) for slot in range(4)]
    assert sorted(v for part in parts for v in part["visitor"]) == list(range(1, 50))
    for slot, part in enumerate(parts):
        assert set(event_slots(part, 4).to_list()) <= {slot}
    assert archive.read_carry(HOUR, "g1", 1, slots=4).height == 0


@pytest.mark.parametrize(("written", "asked"), [(2, 8), (8, 2), (2, 3), (3, 2), (4, 4)])
def test_an_hour_that_has_grown_is_read_by_the_slots_of_the_next(
    tmp_path: Path, written: int, asked: int
) -> None:
    archive, visitors = Archive(str(tmp_path)), range(1, 60)
    slots = event_slots(cut_of(*visitors).events, written)
    cuts = [cut_of(*(v for v, s in zip(visitors, slots, strict=True) if s == n)) for n in range(written)]
    sealed(archive, "g1", *cuts)
    expected = event_slots(cut_of(*visitors).events, asked)
    for slot in range(asked):
        part = archive.read_events(HOUR, "g1", slot, slots=asked, columns=["visitor"])
        of_slot = [v for v, s in zip(visitors, expected, strict=True) if s == slot]
        assert sorted(part["visitor"].to_list()) == of_slot


def test_equal_carries_have_equal_digests_and_others_do_not(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    first = sealed(archive, "g1", cut_of(1, 2, open_visits=1))
    same = sealed(archive, "g2", cut_of(1, 9, open_visits=1))
    other = sealed(archive, "g3", cut_of(2, 9, open_visits=1))
    assert first.carry_digest == same.carry_digest != other.carry_digest
    assert carry_source(None) is None
    source = carry_source(first)
    assert source is not None
    assert (source.generation, source.digest) == ("g1", first.carry_digest)


def test_the_info_survives_its_file(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path))
    info = sealed(archive, "g1", cut_of(1, open_visits=1))
    assert Archive(str(tmp_path)).info(HOUR, "g1") == info
    archive.remove(HOUR, "g1")
    assert archive.newest(HOUR) is None
