"""What the live service counted of whole hours, asked of every instance."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import httpx
import msgspec
import structlog

from recount.discovery import Directory, Instance
from recount.errors import Unavailable
from recount.reconciliation import Side

SERVICE: Final = "live"
TIMEOUT_S: Final = 10.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Heard:
    """`sites`: by hour and site; `positions`: up to which offset each partition of the topic of events is
    counted; `hours`: those that every instance has seen from the start."""

    sites: Mapping[tuple[str, str], Side] = field(default_factory=dict)
    positions: Mapping[int, int] = field(default_factory=dict)
    hours: Collection[str] = ()


class LiveTotals(Protocol):
    """The live service, or nothing."""

    def hours(self, hours: Collection[str]) -> Heard:
        """What is known of hours. Never raises for an outage: who does not answer is left out."""
        ...


class NoLive:
    """Where there is none."""

    def hours(self, hours: Collection[str]) -> Heard:
        return Heard()


class _Answer(msgspec.Struct):
    """See `streaming.hour_totals`."""

    hours: list[str]
    positions: dict[str, int]
    rows: list[tuple[str, str, int, int, int, int, int, int, int]]


class LiveHttp:
    """Every instance of the directory is asked. A partition that two claim, as while it changes hands, is
    taken from the first."""

    def __init__(self, directory: Directory, *, transport: httpx.BaseTransport | None = None) -> None:
        self._directory = directory
        self._client = httpx.Client(timeout=TIMEOUT_S, transport=transport, trust_env=False)

    def hours(self, hours: Collection[str]) -> Heard:
        sites: dict[tuple[str, str], Side] = {}
        positions: dict[int, int] = {}
        covered: set[str] | None = None
        for answer in self._answers(hours):
            fresh = {int(n): offset for n, offset in answer.positions.items() if int(n) not in positions}
            positions |= fresh
            covered = set(answer.hours) if covered is None else covered & set(answer.hours)
            for hour, site, partition, *numbers in answer.rows:
                if partition in fresh:
                    sites[hour, site] = sites.get((hour, site), Side()).plus(Side(*numbers))
        return Heard(sites, positions, frozenset(covered or ()))

    def _answers(self, hours: Collection[str]) -> list[_Answer]:
        try:
            instances = self._directory.instances(SERVICE)
        except Unavailable as error:
            log.warning("directory_unavailable", error=str(error))
            return []
        found = [self._ask(instance, hours) for instance in instances]
        return [answer for answer in found if answer is not None]

    def _ask(self, instance: Instance, hours: Collection[str]) -> _Answer | None:
        try:
            answer = self._client.get(f"{instance.url}/v1/totals", params={"hours": ",".join(sorted(hours))})
            answer.raise_for_status()
            return msgspec.json.decode(answer.content, type=_Answer)
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            log.warning("live_away", instance=instance.id, error=str(error))
            return None
