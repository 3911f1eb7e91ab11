"""Segments in memory go when something was erased."""

from __future__ import annotations

import threading

import msgspec

from dashboard_svc.forgetting import Forgetting
from recount.erasing.tombstone import Tombstone
from recount.errors import Unavailable

ONE = Tombstone(id="one", site="demo", what="site", before_ms=1, expires_ms=2)


def test_everything_is_forgotten_when_an_erasure_is_new_or_done() -> None:
    forgotten: list[int] = []
    found: list[Tombstone] = [ONE]
    forgetting = Forgetting(lambda: found, lambda: forgotten.append(len(found)))
    forgetting.look()
    assert forgotten == [], "what was erased before this process began it never had"
    found.append(msgspec.structs.replace(ONE, id="two"))
    forgetting.look()
    forgetting.look()
    assert forgotten == [2]
    found[0] = msgspec.structs.replace(ONE, done=True)
    forgetting.look()
    found.pop()
    forgetting.look()
    assert forgotten == [2, 2], "a tombstone that expires changes nothing"


def test_an_outage_is_not_taken_for_anything() -> None:
    forgotten: list[str] = []

    def away() -> list[Tombstone]:
        raise Unavailable("dynamodb", "away")

    forgetting = Forgetting(away, lambda: forgotten.append("all"))
    forgetting.look()
    assert forgotten == []


def test_it_looks_by_itself() -> None:
    gone = threading.Event()
    found: list[Tombstone] = []
    looked = threading.Event()

    def buried() -> list[Tombstone]:
        looked.set()
        return list(found)

    with Forgetting(buried, gone.set, every_s=0.01):
        assert looked.wait(30)
        found.append(ONE)
        assert gone.wait(30)
