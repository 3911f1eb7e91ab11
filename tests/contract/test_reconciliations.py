from __future__ import annotations

import pytest

from recount.periods import HOUR_MS, hour_of, hour_start_ms
from recount.reconciliation import Compared, HourCompared, Side
from recount.store.reconciliations import KEPT_HOURS, Reconciliations
from tests.contract import tables

HOUR = "2026-11-22T10"
START = hour_start_ms(HOUR)


@pytest.fixture(params=tables.KINDS)
def kept(request: pytest.FixtureRequest) -> Reconciliations:
    return Reconciliations(tables.make(request), site_slots=4)


def compared(hour: str = HOUR, sites: int = 9, live: int = 5) -> HourCompared:
    both = {f"s{n}": Compared(Side(counted=live), Side(counted=5), {"bot": n}) for n in range(sites)}
    return HourCompared(hour=hour, generation="g", at_ms=1, state="compared", sites=both)


def test_an_hour_is_found_by_site_and_as_a_whole(kept: Reconciliations) -> None:
    summary = kept.put(compared(live=7))
    assert (summary.sites, summary.unexplained_sites, summary.unexplained_events) == (9, 9, 18)
    kept.put(compared(hour_of(START + HOUR_MS)))
    found = kept.of_site("s3", HOUR, hour_of(START + HOUR_MS))
    assert [hour.hour for hour, _ in found] == [hour_of(START + HOUR_MS), HOUR]
    assert [one.ledger["bot"] for _, one in found if one is not None] == [3, 3]
    assert [hour.hour for hour, _ in kept.of_site("s3", HOUR, HOUR)] == [HOUR]
    assert kept.summaries(HOUR, HOUR) == [summary]
    assert len(kept.summaries(HOUR, hour_of(START + HOUR_MS))) == 2


def test_an_hour_compared_again_replaces_what_was_known(kept: Reconciliations) -> None:
    kept.put(compared(live=7))
    kept.put(compared())
    (summary,) = kept.summaries(HOUR, HOUR)
    assert summary.unexplained_events == 0
    ((_, one),) = kept.of_site("s1", HOUR, HOUR)
    assert one is not None
    assert one.live.counted == 5


def test_old_hours_are_let_go(kept: Reconciliations) -> None:
    kept.put(compared())
    kept.put(compared(hour_of(START + (KEPT_HOURS + 1) * HOUR_MS)))
    assert kept.summaries(HOUR, HOUR) == []
    assert kept.of_site("s3", HOUR, HOUR) == []
