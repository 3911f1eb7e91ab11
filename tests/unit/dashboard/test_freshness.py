"""What is said of where a number comes from."""

from __future__ import annotations

import pytest

from dashboard_svc.freshness import Freshness

HOUR = 3_600_000
NOW = 1_795_442_400_000 - 26 * 60_000  # 13:34 UTC
UNTIL = 1_795_438_800_000  # 13:00


@pytest.mark.parametrize(
    ("origin", "end", "live", "expected", "sentence"),
    [
        ("published", UNTIL, None, "published", "Published: exact, until corrected"),
        ("mixed", NOW + HOUR, NOW, "mixed", "Published until 13:00, then live as of 13:34"),
        ("live", NOW + HOUR, NOW, "live", "Live, as of 13:34. The exact number follows after the hour"),
        ("published", NOW + HOUR, NOW, "published", "Published until 13:00, nothing since then"),
        ("published", NOW + HOUR, None, "missing", "Published until 13:00. The live service is away"),
    ],
)
def test_origins(origin: str, end: int, live: int | None, expected: str, sentence: str) -> None:
    fresh = Freshness("UTC", NOW, UNTIL, live)
    assert fresh.origin(origin, end) == expected
    assert fresh.sentence(origin, end) == sentence


def test_nothing_published_and_nobody_live() -> None:
    fresh = Freshness("UTC", NOW, None, None)
    assert fresh.sentence("published", NOW + HOUR) == "Published until nothing yet. The live service is away"
