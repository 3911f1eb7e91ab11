"""A stack of its own with the edge in front: what the tests of scaling and of dying edge parts work in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cached_property
from typing import Final

import httpx

from recount.discovery import Directory, Instance, open_directory
from recount.periods import day_of
from tests.faults.room import Room, now_ms
from tests.faults.steady import SteadyLoad
from tests.stack import TestStack
from tests.waiting import eventually

PARTS: Final = ("ingest", "shipper", "live", "store_batches", "dashboard", "autoscaler", "traefik", "haproxy")
CHANGES: Final = {"RECOUNT_AUTOSCALE": "off", "RECOUNT_RATE_LIMIT_PER_S": "0"}


class EdgeRoom(Room):
    """The parts that a request passes, and what follows it into the archive."""

    @classmethod
    def of(cls, stack: TestStack) -> EdgeRoom:
        stack.need("consul", *PARTS)
        return cls(stack)

    @property
    def front(self) -> str:
        return f"http://{self.settings.host}:{self.settings.front_port}"

    @cached_property
    def _directory(self) -> Directory:
        return open_directory(self.settings)

    def present(self, service: str) -> list[Instance]:
        return self._directory.instances(service)

    def scale(self, part: str, instances: int) -> None:
        """And wait until so many are in the directory."""
        self.stack.stack.scale(part, instances)
        eventually(lambda: len(self.present(part)) == instances, f"{instances} of {part} in the directory")

    def taken(self, instances: int) -> list[int]:
        """How many events each of the first ingest instances has taken since it was started."""
        ports = [self.settings.ingest_port + n for n in range(instances)]
        return [
            httpx.get(f"http://{self.settings.host}:{port}/v1/spool", trust_env=False).json()["last_seq"]
            for port in ports
        ]

    def in_consul(self, service: str) -> list[str]:
        """The ids of the instances of a service whose checks pass, as the agent says."""
        url = f"{self.settings.consul}/v1/health/service/{service}"
        try:
            answer = httpx.get(url, params={"passing": "true"}, trust_env=False)
        except httpx.TransportError:
            return []
        return [entry["Service"]["ID"] for entry in answer.json()] if answer.is_success else []

    def totals(self, dashboard: int, site: str) -> int:
        """Today's pageviews of a site, as one dashboard instance answers."""
        days = [day_of(now_ms() - 86_400_000, "UTC"), day_of(now_ms(), "UTC")]
        answer = httpx.post(
            f"http://{self.settings.host}:{self.settings.dashboard_port + dashboard}/api/v1/query",
            json={"site": site, "metrics": ["pageviews"], "date_range": days},
            timeout=60,
            trust_env=False,
        )
        assert answer.status_code == 200, answer.text
        return int(answer.json()["rows"][0]["pageviews"])

    def waiting(self, service: str) -> str:
        """What the autoscaler says that the scaling of a service waits for."""
        url = f"http://{self.settings.host}:{self.settings.autoscaler_port}/v1/decisions"
        try:
            return str(httpx.get(url, trust_env=False, timeout=30).json()["waiting"].get(service, ""))
        except httpx.TransportError:  # it was killed a moment ago
            return ""

    def tell(self, what: str, load: SteadyLoad) -> None:
        """What the clients saw, for whoever reads the figures (`pytest -s`)."""
        moments = [failure.at_s for failure in load.failures]
        lasted = max(moments) - min(moments) if moments else 0.0
        count = len(load.acknowledged)
        sys.stdout.write(f"{what}: {count} acknowledged; failed {dict(load.kinds)} in {lasted:.2f} s\n")

    def mend(self) -> None:
        running = self.control.running()
        for part in self.used():
            if not running[part].active or not running[part].pids:
                self.control.start(part)
        self.wait_until_healthy(self.used())
        for part in ("ingest", "live", "dashboard", "traefik"):
            self.scale(part, 1)

    def used(self) -> Sequence[str]:
        return ("kafka", "dynamodb", "consul", *PARTS)
