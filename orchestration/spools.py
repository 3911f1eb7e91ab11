"""What the ingest's spools still hold, asked of every living instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import httpx
import msgspec

from recount.discovery import Directory, Instance

TIMEOUT_S: Final = 2.0
UNSHIPPED_TIMEOUT_S: Final = 60.0  # a spool is read for it, which may hold gigabytes
_Answer = TypeVar("_Answer")


class SpoolReport(msgspec.Struct, frozen=True):
    """A spool: the newest number shipped, and the moment its oldest unshipped event was received, if any.

    `silent` says that its instance is in the directory but did not answer.
    """

    spool: str
    shipped_seq: int | None = None
    oldest_unshipped_ms: int | None = None
    silent: bool = False


class Lost(msgspec.Struct, frozen=True):
    """Numbers of a spool that lie in a shipper's quarantine (a last one below the first: no end is known)."""

    spool: str
    first: int
    last: int
    cause: str


class Place(msgspec.Struct, frozen=True):
    """Numbers of one spool's events in one hour of one site."""

    spool: str
    hour: str
    site: str
    seqs: list[int]


class Unshipped(msgspec.Struct, frozen=True):
    """`waiting`: still in a spool, with `unnamed` more of which only the number is told; `set_aside`: in a
    shipper's quarantine."""

    waiting: list[Place] = []
    unnamed: int = 0
    set_aside: list[Place] = []


class Spools(Protocol):
    """Where the cut asks."""

    def reports(self) -> list[SpoolReport]:
        """One report a living spool, silent ones included."""
        ...

    def lost(self) -> list[Lost]:
        """What shippers set aside."""
        ...

    def unshipped(self, before_ms: int) -> Unshipped:
        """What was received before a moment and is not in Kafka, as far as shippers answer."""
        ...


class _Spools(msgspec.Struct, frozen=True):
    spools: list[SpoolReport]
    quarantined: list[Lost] = []


@dataclass(frozen=True)
class DirectorySpools:
    """The spools that the shippers and the ingest instances in the directory know of."""

    directory: Directory

    def reports(self) -> list[SpoolReport]:
        reports = [r for i in self.directory.instances("shipper") for r in _of_shipper(i)]
        reports += [_of_ingest(i) for i in self.directory.instances("ingest")]
        found: dict[str, SpoolReport] = {}
        for report in reports:
            found[report.spool] = _worse(found.get(report.spool), report)
        return [found[spool] for spool in sorted(found)]

    def lost(self) -> list[Lost]:
        answers = [_get(i.url + "/v1/spools", _Spools) for i in self.directory.instances("shipper")]
        return [lost for answer in answers if answer is not None for lost in answer.quarantined]

    def unshipped(self, before_ms: int) -> Unshipped:
        path = f"/v1/spools/unshipped?before_ms={before_ms}"
        shippers = self.directory.instances("shipper")
        answers = [_get(shipper.url + path, Unshipped, UNSHIPPED_TIMEOUT_S) for shipper in shippers]
        known = [answer for answer in answers if answer is not None]
        return Unshipped(
            waiting=[place for answer in known for place in answer.waiting],
            unnamed=sum(answer.unnamed for answer in known),
            set_aside=[place for answer in known for place in answer.set_aside],
        )


def _of_shipper(instance: Instance) -> list[SpoolReport]:
    answer = _get(instance.url + "/v1/spools", _Spools)
    return [SpoolReport(instance.id, silent=True)] if answer is None else answer.spools


def _of_ingest(instance: Instance) -> SpoolReport:
    silent = SpoolReport(instance.meta.get("spool", instance.id), silent=True)
    return _get(instance.url + "/v1/spool", SpoolReport) or silent


def _get(url: str, kind: type[_Answer], timeout_s: float = TIMEOUT_S) -> _Answer | None:
    """None where there is no usable answer: the cut then waits, and calls the spool pending in the end."""
    try:
        answer = httpx.get(url, timeout=timeout_s, trust_env=False)
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=kind)
    except (httpx.HTTPError, msgspec.MsgspecError):
        return None


def _worse(one: SpoolReport | None, other: SpoolReport) -> SpoolReport:
    """Of two reports about one spool the one that promises less."""
    if one is None or other.silent:
        return other
    if one.silent:
        return one
    moments = [r.oldest_unshipped_ms for r in (one, other) if r.oldest_unshipped_ms is not None]
    shipped = [r.shipped_seq for r in (one, other) if r.shipped_seq is not None]
    return SpoolReport(one.spool, min(shipped, default=None), min(moments, default=None))
