"""What a consumer group has not read."""

from __future__ import annotations

from recount.kafka import Ranges, records_in, unread

RANGES: Ranges = {("events", 0): (10, 50), ("events", 1): (0, 7), ("imports", 0): (0, 3)}


def test_from_the_commit_to_the_end_as_far_as_kafka_still_has_it() -> None:
    known = {("events", 0): 4, ("events", 1): 5}
    found = unread(known, RANGES)
    assert found == {("events", 0): (10, 50), ("events", 1): (5, 7)}
    assert records_in(found) == 42


def test_what_is_read_to_the_end_or_committed_beyond_it_is_nothing() -> None:
    assert unread({("events", 1): 7, ("imports", 0): 9}, RANGES) == {}
    assert records_in({}) == 0
