"""What the ingest's spools still hold, asked of every living instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import httpx
import msgspec

from recount.discovery import Directory, Instance

TIMEOUT_S: Final = 2.0
_Answer = TypeVar("_Answer")


class SpoolReport(msgspec.Struct, frozen=True):
    """A spool: the newest number shipped, and the moment its oldest unshipped event was received, if any.

    `silent` says that its instance is in the directory but did not answer.
    """

    spool: str
    shipped_seq: int | None = None
    oldest_unshipped_ms: int | None = None
    silent: bool = False


class Spools(Protocol):
    """Where the cut asks."""

    def reports(self) -> list[SpoolReport]:
        """One report a living spool, silent ones included."""
        ...


class _Spools(msgspec.Struct, frozen=True):
    spools: list[SpoolReport]


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


def _of_shipper(instance: Instance) -> list[SpoolReport]:
    answer = _get(instance.url + "/v1/spools", _Spools)
    return [SpoolReport(instance.id, silent=True)] if answer is None else answer.spools


def _of_ingest(instance: Instance) -> SpoolReport:
    silent = SpoolReport(instance.meta.get("spool", instance.id), silent=True)
    return _get(instance.url + "/v1/spool", SpoolReport) or silent


def _get(url: str, kind: type[_Answer]) -> _Answer | None:
    """None where there is no usable answer: the cut then waits, and calls the spool pending in the end."""
    try:
        answer = httpx.get(url, timeout=TIMEOUT_S, trust_env=False)
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
