"""What the dashboards say of their reads, asked of every living instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import httpx
from prometheus_client.parser import text_string_to_metric_families

from recount.discovery import Directory
from recount.metrics import DAX_READS
from recount.store.dax import DENIED

SERVICE: Final = "dashboard"
TIMEOUT_S: Final = 2.0


class Readers(Protocol):
    """Whom the alerts ask about reads through DAX."""

    def denied(self) -> dict[str, int]:
        """Items that an index names and DAX said do not exist, by instance, since each began; those that do
        not answer are left out."""
        ...


@dataclass(frozen=True)
class DirectoryReaders:
    """The dashboards in the directory."""

    directory: Directory

    def denied(self) -> dict[str, int]:
        answers = {one.id: _metrics(one.url + "/metrics") for one in self.directory.instances(SERVICE)}
        return {name: _denied(text) for name, text in answers.items() if text is not None}


def _metrics(url: str) -> str | None:
    try:
        return httpx.get(url, timeout=TIMEOUT_S, trust_env=False).raise_for_status().text
    except httpx.HTTPError:
        return None


def _denied(exposition: str) -> int:
    """0 for a dashboard that reads without DAX."""
    samples = (s for family in text_string_to_metric_families(exposition) for s in family.samples)
    wanted = {"outcome": DENIED}
    return sum(int(s.value) for s in samples if s.name == DAX_READS.name and s.labels == wanted)
