"""Ids: version 7 as RFC 9562 has it, in the order of their moments."""

from __future__ import annotations

import uuid

from recount.ids import new_id, short_id


def test_an_id_is_a_uuid_of_version_7_of_its_moment() -> None:
    moment = 1_764_000_000_123
    made = uuid.UUID(new_id(moment))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == moment
    assert str(made) != new_id(moment)


def test_later_ids_sort_after_earlier_ones() -> None:
    ids = [new_id(moment) for moment in (0, 1, 255, 65_536, 1_764_000_000_000, 2**48 - 1)]
    assert ids == sorted(ids)
    assert {len(each) for each in ids} == {36}
    assert new_id() > ids[-2]


def test_short_ids_are_in_the_order_of_time() -> None:
    assert short_id(0).startswith("19700101-0000-")
    assert short_id(60_000) > short_id(0)
