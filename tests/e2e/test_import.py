"""An imported access log: its published hours equal a count made here, a second import adds nothing."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.layout import ROOT
from tests.stack import TestStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

SITE = "e2e-log"
FIRST = datetime(2024, 3, 4, 21, 0, tzinfo=UTC)
_KNOWN = json.loads((ROOT / "cli" / "demo_browsers.json").read_text())
AGENTS = [browser["ua"] for browser in _KNOWN["browsers"][:4]]
BOT = _KNOWN["bots"][0]["ua"]


class Expected:
    """Counted the long way round: line by line, in dictionaries."""

    def __init__(self) -> None:
        self.pageviews: Counter[str] = Counter()
        self.pages: Counter[str] = Counter()
        self.visitors: dict[str, set[tuple[str, str]]] = defaultdict(set)
        self.visits: Counter[str] = Counter()
        self.lines = 0
        self._last: dict[tuple[str, str], datetime] = {}

    def see(self, at: datetime, who: tuple[str, str], page: str) -> None:
        day = at.date().isoformat()
        self.pageviews[day] += 1
        self.pages[page] += 1
        self.visitors[day].add(who)
        # A visitor is hashed anew each day, so midnight begins a visit as 30 minutes of silence do.
        last = self._last.get(who)
        if last is None or at - last >= timedelta(minutes=30) or last.date() != at.date():
            self.visits[day] += 1
        self._last[who] = at


def write_log(path: Path) -> Expected:
    """600 requests over seven hours around midnight: pages, assets, errors, a bot, identical lines."""
    chosen, expected, lines = random.Random(11), Expected(), []
    moments = sorted(FIRST + timedelta(seconds=chosen.randrange(7 * 3600)) for _ in range(600))
    for at in moments:
        ip, agent = f"198.51.100.{chosen.randrange(40)}", chosen.choice(AGENTS)
        page = chosen.choice(["/", "/pricing", "/docs/", "/blog/hello"])
        kind = chosen.random()
        if kind < 0.6:
            repeats = 2 if chosen.random() < 0.05 else 1
            lines += [line(at, ip, "GET " + page, 200, agent)] * repeats
            for _ in range(repeats):
                expected.see(at, (ip, agent), page)
        elif kind < 0.8:
            lines.append(line(at, ip, "GET /style.css", 200, agent))
        elif kind < 0.9:
            lines.append(line(at, ip, "GET " + page, 404, agent))
        else:
            lines.append(line(at, ip, "GET " + page, 200, BOT))
    expected.lines = len(lines)
    path.write_text("\n".join(lines) + "\n")
    return expected


def line(at: datetime, ip: str, request: str, status: int, agent: str) -> str:
    return f'{ip} - - [{at:%d/%b/%Y:%H:%M:%S +0000}] "{request} HTTP/1.1" {status} 512 "-" "{agent}"'


def test_published_hours_equal_an_independent_count(stack: TestStack, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    expected = write_log(log)
    assert stack.recount("sites", "add", "log.example", "--id", SITE).returncode == 0

    report = _import(stack, log)
    assert report["lines"] == expected.lines
    assert report["unparsable"] == 0
    assert report["hours"] == 7
    _assert_equal(stack, expected)

    again = _import(stack, log)
    assert again["taken"] == report["taken"]
    _assert_equal(stack, expected)


def _import(stack: TestStack, log: Path) -> dict[str, Any]:
    done = stack.recount("import", "access-log", str(log), "--site", SITE, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _assert_equal(stack: TestStack, expected: Expected) -> None:
    days = _query(stack, metrics=["visitors", "visits", "pageviews"], interval="day")
    counted = {row["date"]: (row["visitors"], row["visits"], row["pageviews"]) for row in days}
    assert counted == {
        day: (len(expected.visitors[day]), expected.visits[day], expected.pageviews[day])
        for day in expected.pageviews
    }
    pages = _query(stack, metrics=["pageviews"], dimensions=["page"])
    assert {row["page"]: row["pageviews"] for row in pages} == dict(expected.pages)


def _query(stack: TestStack, **query: object) -> list[dict[str, Any]]:
    body = {"site": SITE, "date_range": ["2024-03-04", "2024-03-05"], **query}
    answer = httpx.post(stack.urls["dashboard"] + "/api/v1/query", json=body)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["rows"]
    return rows
