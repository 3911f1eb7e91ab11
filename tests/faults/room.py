"""One running stack with handles to hurt it: stop, kill, bring back, and count what came through."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import httpx
import psutil

from deploy.local import health
from deploy.local.control import Control
from orchestration.resources import Workplace, open_workplace
from orchestration.steps.archive_range import archive_range
from recount.periods import day_of, hour_of, next_hour
from recount.settings import Settings
from recount.store.catalog import Catalog, Site
from recount.store.tables import open_tables
from tests.faults.load import Load
from tests.stack import TestStack
from tests.waiting import eventually

PATIENCE_S: Final = 180.0
HEALTH_S: Final = 0.5


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Sent(Protocol):
    """A load that is over."""

    @property
    def site(self) -> str: ...

    @property
    def sent(self) -> set[str]: ...

    @property
    def acknowledged(self) -> set[str]: ...


@dataclass
class Room:
    """`published`: how many pageviews each site should show in the end. `archived`: generations by hour."""

    stack: TestStack
    began: str = field(default_factory=lambda: hour_of(now_ms()))
    published: dict[str, int] = field(default_factory=dict)
    archived: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return self.stack.settings

    @property
    def control(self) -> Control:
        return self.stack.stack.control

    @property
    def place(self) -> Workplace:
        return open_workplace(self.settings)

    def add_site(self, name: str, *, spread: int = 1) -> str:
        site = f"faults-{name}"
        catalog = Catalog(open_tables(self.settings).catalog)
        if catalog.get(site) is None:
            catalog.add(Site(id=site, domain="faults.example", spread=spread, created_ms=now_ms()))
        return site

    def load(self, name: str, url: str = "") -> Load:
        return Load(url or self.stack.urls["ingest"], self.add_site(name))

    def pids(self, part: str) -> tuple[int, ...]:
        return self.control.running()[part].pids

    def children(self, part: str, word: str) -> list[int]:
        """Processes below a part whose command line has a word."""
        return [
            child.pid
            for pid in self.pids(part)
            for child in psutil.Process(pid).children(recursive=True)
            if word in " ".join(child.cmdline())
        ]

    def kill(self, part: str, *, and_children: bool = False) -> None:
        """SIGKILL to every process of a part; the supervisor starts it again."""
        before = self.pids(part)
        for pid in [*before, *(self.children(part, "") if and_children else ())]:
            with suppress(ProcessLookupError):  # it went with its parent
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not set(before) & set(self.pids(part)) and self.pids(part), f"{part} respawned")

    def stop(self, *parts: str) -> None:
        self.control.stop(parts)

    def start(self, *parts: str) -> None:
        for part in parts:
            self.control.start(part)
        self.wait_until_healthy(parts)

    def wait_until_healthy(self, parts: Iterable[str] = ()) -> None:
        names = set(parts) or {part.name for part in self.stack.stack.parts}
        wanted = [part for part in self.stack.stack.parts if part.name in names]

        end = time.monotonic() + PATIENCE_S
        while True:
            running = self.control.running()
            states = [health.check(self.settings, part, running.get(part.name)) for part in wanted]
            wanted = [p for p, state in zip(wanted, states, strict=True) if not state.healthy]
            if not wanted:
                return
            unwell = [s for s in states if not s.healthy]
            logs = "\n".join(
                self.stack.log(name)[-1000:] for name in ["supervisor", *(s.name for s in unwell)]
            )
            assert time.monotonic() < end, f"not healthy after {PATIENCE_S:g} s: {unwell}\n{logs}"
            time.sleep(HEALTH_S)

    def mend(self) -> None:
        """Whatever a test has stopped runs again."""
        for name, part in self.control.running().items():
            if not part.active or not part.pids:
                self.control.start(name)
        self.wait_until_healthy()

    def hours(self) -> list[str]:
        """From the first one of these tests to the running one."""
        hours, last = [self.began], hour_of(now_ms())
        while hours[-1] < last:
            hours.append(next_hour(hours[-1]))
        return hours

    def archive(self) -> None:
        """Take the cut as `publish-open` does, and archive; nothing may be pending, missing or lost."""
        found = archive_range(self.place, self.hours(), "faults", open_hour=True)
        assert not found.cut.pending
        assert found.proof.complete
        assert not found.proof.holes
        assert not found.lost
        self.archived |= {hour: archived.info.generation for hour, archived in found.hours.items()}

    def counted(self, site: str) -> Counter[str]:
        """How often each event id of a site is in what was archived last of these hours."""
        archive = self.place.archive
        ids: Counter[str] = Counter()
        for hour, generation in self.archived.items():
            rows = archive.read_events(hour, generation, columns=["site", "id"], sites=[site])
            ids.update(rows["id"].to_list())
        return ids

    def check(self, load: Sent) -> None:
        """Every acknowledged event is counted exactly once, and nothing that was never sent."""
        self.archive()
        ids = self.counted(load.site)
        lost = load.acknowledged - ids.keys()
        assert not lost, (
            f"{len(lost)} of {len(load.acknowledged)} acknowledged events lost: {sorted(lost)[:5]}"
        )
        assert ids.keys() <= load.sent
        twice = [i for i, times in ids.items() if times > 1]
        assert not twice, f"counted more than once: {twice[:5]}"
        self.published[load.site] = len(ids)

    def query(self, site: str, *metrics: str, first_day: str = "", last_day: str = "") -> dict[str, Any]:
        """The one row of totals that the Stats API answers."""
        days = [first_day or day_of(now_ms() - 86_400_000, "UTC"), last_day or day_of(now_ms(), "UTC")]
        body = {"site": site, "metrics": list(metrics), "date_range": days}
        answer = httpx.post(
            self.stack.urls["dashboard"] + "/api/v1/query", json=body, timeout=60, trust_env=False
        )
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()["rows"]
        return rows[0]
