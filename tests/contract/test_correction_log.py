from __future__ import annotations

import pytest

from recount.corrections import Correction
from recount.ids import new_id
from recount.store.correction_log import CorrectionLog
from tests.contract import tables


@pytest.fixture(params=tables.KINDS)
def log(request: pytest.FixtureRequest) -> CorrectionLog:
    return CorrectionLog(tables.make(request))


def correction(site: str, *hours: str, at_ms: int) -> Correction:
    name = new_id(at_ms)
    return Correction.of_hours([*hours], "UTC", site=site, publication=name, at_ms=at_ms, kind="late")


def test_entries_are_found_by_site_and_by_the_days_they_changed(log: CorrectionLog) -> None:
    long = correction("a", "2026-09-30T10", "2026-10-01T10", at_ms=3)
    short = correction("a", "2026-10-20T10", at_ms=2)
    log.put([short, long, correction("b", "2026-10-20T10", at_ms=1)])
    log.put([long])
    assert log.of_site("a") == [long, short]
    assert log.of_site("a", limit=1) == [long]
    assert log.touching("a", "2026-10-01", "2026-10-31") == [long, short]
    assert log.touching("a", "2026-10-02", "2026-10-31") == [short]
    assert log.touching("a", "2026-09-01", "2026-09-30") == [long]
    assert log.touching("a", "2019-01-01", "2026-12-31") == [long, short]
    assert log.touching("a", "2026-11-01", "2026-11-30") == []


def test_it_knows_how_far_it_is_written(log: CorrectionLog) -> None:
    assert log.reached() is None
    log.advance("p1")
    log.advance("p2")
    assert log.reached() == "p2"


def test_a_site_can_be_forgotten(log: CorrectionLog) -> None:
    log.put(
        [
            correction("a", "2026-09-30T10", "2026-10-01T10", at_ms=3),
            correction("b", "2026-10-01T10", at_ms=1),
        ]
    )
    assert log.forget("a") == 3
    assert log.of_site("a") == log.touching("a", "2026-10-01", "2026-10-31") == []
    assert len(log.of_site("b")) == 1
