"""Pieces of spools in quarantine: their names say what is lost, and what is whole in them can be replayed."""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from edge import pieces
from edge.pieces import DAMAGED, Lost
from edge.spool_format import frame
from recount.ids import new_id
from recount.keys import kafka_partition
from recount.store.catalog import Site
from tests.made import value

SITES = {"busy": Site(id="busy", domain="busy.example", spread=4)}


def payload(**given: object) -> bytes:
    """An event as it lies in a spool."""
    fields = orjson.loads(value(**given))
    del fields["spool"], fields["seq"]
    return orjson.dumps(fields)


def test_a_name_tells_what_is_lost(tmp_path: Path) -> None:
    spool = new_id()
    name = pieces.keep(tmp_path, DAMAGED, spool, 4, 6, b"???")
    assert pieces.keep(tmp_path, DAMAGED, spool, 4, 6, b"???") == name, "the same piece is the same file"
    (piece,) = pieces.kept(tmp_path)
    assert (piece.lost, piece.read()) == (Lost(spool, 4, 6, DAMAGED), b"???")


def test_what_kafka_refused_is_a_letter_for_its_partition(tmp_path: Path) -> None:
    spool = new_id()
    record = value(spool=spool, seq=9, site="busy", visitor="00000000000000a3")
    pieces.keep(tmp_path, "kafka-INVALID_RECORD", spool, 9, 9, record)
    (letter,) = pieces.letters(tmp_path, SITES, 6)
    assert (letter.id, letter.reason, letter.value) == (
        f"spool/{spool}/9",
        "spool_kafka-INVALID_RECORD",
        record,
    )
    assert letter.source == ("events", kafka_partition("busy", 0xA3, spread=4, partitions=6))


def test_whole_events_are_found_in_damaged_bytes(tmp_path: Path) -> None:
    spool = new_id()
    first, second = (frame(2, 1, payload(id=f"e{n}"), n) for n in (5, 6))
    pieces.keep(tmp_path, DAMAGED, spool, 4, 7, b"torn" + first + second[:-3] + first[:10] + second + b"!")
    letters = list(pieces.letters(tmp_path, {}, 6))
    assert [letter.id for letter in letters] == [f"spool/{spool}/5", f"spool/{spool}/6"]
    assert orjson.loads(letters[1].value)["id"] == "e6"
    assert all(letter.source is not None for letter in letters)


def test_a_piece_without_a_whole_event_is_one_letter_that_goes_nowhere(tmp_path: Path) -> None:
    name = pieces.keep(tmp_path, DAMAGED, new_id(), 4, 3, os.urandom(200))
    (letter,) = pieces.letters(tmp_path, {}, 6)
    assert (letter.id, letter.source) == (f"spool/{name}", None)


def test_files_of_another_name_are_shown_too(tmp_path: Path) -> None:
    folder = tmp_path / "quarantine"
    folder.mkdir()
    (folder / "1789-kafka-MSG_SIZE_TOO_LARGE.bin").write_bytes(value())
    (folder / "notes.txt").write_text("no piece")
    (letter,) = pieces.letters(tmp_path, {}, 6)
    assert (letter.id, letter.reason) == ("spool/s/7", "spool_unknown")


def test_nothing_is_kept_where_there_is_no_folder(tmp_path: Path) -> None:
    assert list(pieces.letters(tmp_path, {}, 6)) == []
