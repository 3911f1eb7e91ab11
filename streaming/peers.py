"""Other instances of the live service: what they know of a site whose partitions they own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import httpx
import structlog

from recount.counting.rollup import Rollup
from recount.discovery import Directory, Instance
from recount.errors import Unavailable
from recount.store.segment_wire import Segment
from recount.store.segments import decode

SERVICE: Final = "live"
TIMEOUT_S: Final = 2.0
AS_OF: Final = "Recount-As-Of"
SERVED: Final = "Recount-Partitions"

log = structlog.get_logger("live")


@dataclass(frozen=True)
class Heard:
    """What the others said: rollups, the partitions whole in them, and the oldest of their moments."""

    rollups: list[Rollup]
    partitions: frozenset[int]
    as_of_ms: int | None


class Peers:
    """Asks the owners of partitions, as the directory names them. Who does not answer is left out.

    Each partition is asked of one owner only: while partitions change hands two may claim one, and both
    counted would be too much.
    """

    def __init__(self, directory: Directory, own_id: str, client: httpx.Client) -> None:
        self._directory = directory
        self._own_id = own_id
        self._client = client

    def ask(self, site: str, partitions: Collection[int], query: dict[str, str]) -> Heard:
        """The rollups of a site from the owners of these partitions; `query` as for `/rollup`."""
        answers = [
            answer
            for instance, owned in self._owners(partitions)
            if (answer := self._fetch(instance, site, query | {"partitions": join(owned)})) is not None
        ]
        moments = [int(answer.headers[AS_OF]) for answer in answers]
        return Heard(
            [decode(Segment.from_bytes(answer.content), site) for answer in answers],
            frozenset(n for answer in answers for n in numbers(answer.headers[SERVED])),
            min(moments, default=None),
        )

    def _owners(self, partitions: Collection[int]) -> list[tuple[Instance, set[int]]]:
        left, owners = set(partitions), list[tuple[Instance, set[int]]]()
        try:
            instances = self._directory.instances(SERVICE)
        except Unavailable as error:
            log.warning("directory_unavailable", error=str(error))
            return []
        for instance in instances:
            owned = owned_by(instance) & left
            if owned and instance.id != self._own_id:
                owners.append((instance, owned))
                left -= owned
        return owners

    def _fetch(self, instance: Instance, site: str, query: dict[str, str]) -> httpx.Response | None:
        url = f"{instance.url}/v1/live/{site}/rollup"
        try:
            answer = self._client.get(url, params={**query, "local": "1"}, timeout=TIMEOUT_S)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            log.warning("peer_unavailable", peer=instance.id, error=str(error))
            return None
        return answer


def owned_by(instance: Instance) -> set[int]:
    return set(numbers(instance.meta.get("partitions", "")))


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def join(partitions: Collection[int]) -> str:
    return ",".join(map(str, sorted(partitions)))
