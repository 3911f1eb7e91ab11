from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from recount.metrics import Metrics
from recount.rules import BotRule, Exclusion, Goal, SourceRule
from recount.scanning.gate import Gate
from recount.scanning.reading import Reader
from recount.scanning.scanner import Scanner
from recount.scanning.sources import Sources
from recount.store.catalog import Site
from recount.store.memory_table import MemoryTable
from recount.store.rulebook import Rulebook
from tests.archived import publish
from tests.publishing import Press
from tests.sequences import Row
from tests.unit.scanning.rows import visits

GOALS = (Goal(name="signed up", event="signup"), Goal(name="read", page="/docs/*"))
SITES = {
    "demo": Site(id="demo", domain="demo.example", goals=GOALS, timezone="Europe/Berlin"),
    "known": Site(id="known", domain="demo.example", goals=GOALS, identity="first_party"),
    "ruled": Site(
        id="ruled",
        domain="demo.example",
        goals=GOALS,
        exclusions=(
            Exclusion(kind="page", pattern="/docs/b"),
            Exclusion(kind="country", pattern="FR"),
        ),
        bots=(BotRule(counts_as="bot", by="user_agent", pattern="*iPhone*"),),
        sources=(SourceRule(by="referrer", pattern="news.example", source="The News", channel="Press"),),
    ),
    "kolkata": Site(id="kolkata", domain="demo.example", goals=GOALS, timezone="Asia/Kolkata"),
}
ROWS: list[Row] = sorted((row for site in SITES for row in visits(site=site)), key=lambda row: row["ts"])


@pytest.fixture(scope="session")
def press(tmp_path_factory: pytest.TempPathFactory) -> Press:
    """Three days of three sites, archived and published."""
    made = Press(tmp_path_factory.mktemp("scanned"), sites=SITES)
    publish(made, ROWS)
    return made


def scanner_of(press: Press, **given: int) -> Scanner:
    limits = {"running": 2, "waiting": 2, "deadline_s": 60, "exports": 1, "max_bytes": 10**9} | given
    metrics = Metrics()
    gate = Gate(limits["running"], limits["waiting"], limits["deadline_s"], metrics)
    sources = Sources(press.manifests, press.segments, press.archive, press.slots)
    exports = Gate(limits["exports"], 0, float("inf"), metrics)
    return Scanner(
        sources,
        Reader(press.archive),
        gate,
        exports,
        Rulebook(MemoryTable()),
        metrics,
        max_bytes=limits["max_bytes"],
    )


@pytest.fixture
def make_press(tmp_path: Path) -> Callable[[], Press]:
    return lambda: Press(tmp_path, sites=SITES)


@pytest.fixture
def scanner(press: Press) -> Scanner:
    return scanner_of(press)
