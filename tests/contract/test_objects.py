from __future__ import annotations

import uuid
from pathlib import Path

import boto3
import polars as pl
import pytest

from recount.counting.rollup import KEYS
from recount.counting.visits import ARCHIVE_SCHEMA, VISIT_END_SCHEMA, Cut, empty_carry
from recount.store.archive import Archive, ArchiveInfo, SlotInfo, by_slot
from recount.store.archive_sites import ArchiveSites, Found
from recount.store.candidates import Candidates
from recount.store.objects import Objects
from recount.store.provenance import Provenance
from tests.rollups import hour_rollup

FRAME = pl.DataFrame({"site": ["a", "a", "b"], "n": [1, 2, 3], "sets": [[1, 2], [], [3]]})


@pytest.fixture(params=["folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "folder":
        return str(tmp_path / "objects")
    address: str = request.getfixturevalue("cloudwatch")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    bucket = f"archive-{uuid.uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=address, region_name="us-east-1").create_bucket(Bucket=bucket)
    return f"s3://{bucket}/prefix?endpoint_override={address}&region=us-east-1"


def test_files_whole(root: str) -> None:
    objects = Objects(root)
    assert objects.get("a/b.json") is None
    objects.put("a/b.json", b"1")
    objects.put("a/b.json", b"2")
    assert Objects(root).get("a/b.json") == b"2"
    assert objects.names("a") == ["b.json"]
    assert objects.names("nowhere") == []


def test_frames_by_column_and_site(root: str) -> None:
    objects = Objects(root)
    size, digest = objects.put_frame("f/one.parquet", FRAME)
    assert size > 0
    assert objects.put_frame("f/two.parquet", FRAME) == (size, digest)
    assert objects.put_frame("f/three.parquet", FRAME.reverse())[1] != digest
    assert objects.get_frame(["f/one.parquet"]).equals(FRAME)
    assert objects.get_frame(["f/one.parquet", "f/two.parquet"], ["n"])["n"].to_list() == [1, 2, 3, 1, 2, 3]
    assert objects.get_frame(["f/one.parquet"], ["n"], ["b"])["n"].to_list() == [3]


def test_some_sites_from_each_of_several_files(root: str) -> None:
    objects = Objects(root)
    for name in ("one", "two"):
        objects.put_frame(f"f/{name}.parquet", FRAME)
    found = objects.get_sites({"f/one.parquet": ["a"], "f/two.parquet": ["b", "c"]}, ["n"])
    assert sorted(found["n"]) == [1, 2, 3]


def test_what_is_missing_is_an_error(root: str) -> None:
    with pytest.raises(FileNotFoundError):
        Objects(root).get_frame(["f/none.parquet"])
    with pytest.raises(ValueError, match="no file"):
        Objects(root).get_frame([])


def test_folders_are_removed(root: str) -> None:
    objects = Objects(root)
    objects.put_frame("f/g/one.parquet", FRAME)
    objects.remove("f/g")
    objects.remove("f/g")
    assert objects.names("f/g") == []


def test_the_archive_and_candidates(root: str) -> None:
    archive, hour = Archive(root), "2026-11-22T23"
    assert archive.newest(hour) is None
    nothing = Cut(pl.DataFrame(schema=ARCHIVE_SCHEMA), pl.DataFrame(schema=VISIT_END_SCHEMA), empty_carry())
    slots = by_slot([archive.write_slot(hour, "g1", 0, nothing)])
    assert archive.newest(hour) is None
    archive.seal(hour, "g1", ArchiveInfo(hour=hour, generation="g1", made_ms=1, cut={}, slots=slots))
    assert archive.hours() == [hour]
    assert archive.read_events(hour, "g1").schema == pl.Schema(ARCHIVE_SCHEMA)
    candidates, made = Candidates(root), hour_rollup(hour, ["a", "b"])
    info = Provenance(kind="hour", period=hour, generation="g1", made_ms=1, logic_version=1)
    sealed = candidates.write(made, info)
    assert sealed.sites == dict(made.rows.group_by("site").len().iter_rows())
    assert candidates.info("hour", hour, "g1") == sealed
    assert candidates.generations("hour", hour) == ["g1"]
    one = candidates.read("hour", hour, "g1", ["b"])
    assert one.rows.sort(KEYS).equals(made.of_site("b").rows.sort(KEYS))
    assert one.revenue.height == made.of_site("b").revenue.height
    numbers = candidates.read_counted({("hour", hour, "g1"): None}, sets=False)
    assert numbers.rows["visitors"].null_count() == numbers.rows.height
    assert numbers.rows["visitor_count"].sum() == made.rows["visitors"].list.len().sum()
    candidates.remove("hour", hour, "g1")
    assert candidates.info("hour", hour, "g1") is None


def test_the_hours_of_a_site_are_known_without_their_seals(root: str) -> None:
    archive = Archive(root)
    sites = ArchiveSites(root, archive)
    assert sites.of("a") == Found([], [])
    for day, hour in ((n, f"2026-11-2{n}T23") for n in (1, 2)):
        done = SlotInfo(
            slot=0, events=1, ends=0, carry=0, data_bytes=1, carry_digest="", sites={f"s{day}": 1}
        )
        info = ArchiveInfo(hour=hour, generation="g1", made_ms=1, cut={}, slots=by_slot([done]))
        archive.seal(hour, "g1", info)
    assert sites.of("s2") == Found(["2026-11-22T23"], []), "by their seals"
    assert (sites.extend(), sites.extend()) == (2, 0)
    assert sites.of("s2") == Found(["2026-11-22T23"], [])
    archive.empty("2026-11-22T23", "g1", "e1")
    sites.forget("s2")
    assert sites.of("s2") == Found([], [])
    assert (sites.extend(), sites.of("s1").hours) == (0, ["2026-11-21T23"])
    archive.remove("2026-11-21T23", "g1")
    assert sites.of("s1") == Found([], [])
