"""A stack of its own with the edge in front: what the tests of scaling and of dying edge parts work in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import httpx

from recount.discovery import Directory, FileDirectory, Instance
from tests.faults.room import Room, eventually
from tests.faults.steady import SteadyLoad
from tests.stack import TestStack

PARTS: Final = ("ingest", "shipper", "live", "store_batches", "dashboard", "autoscaler")
CHANGES: Final = {"RECOUNT_AUTOSCALE": "off", "RECOUNT_RATE_LIMIT_PER_S": "0"}


class EdgeRoom(Room):
    """The parts that a request passes, and what follows it into the archive."""

    @classmethod
    def of(cls, stack: TestStack) -> EdgeRoom:
        stack.need(*PARTS)
        return cls(stack)

    @property
    def front(self) -> str:
        return f"http://{self.settings.host}:{self.settings.front_port}"

    @property
    def directory(self) -> Directory:
        return FileDirectory(self.settings.directory_root)

    def present(self, service: str) -> list[Instance]:
        return self.directory.instances(service)

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
        for part in ("ingest", "live"):
            self.scale(part, 1)

    def used(self) -> Sequence[str]:
        return ("kafka", "dynamodb", *PARTS)
