"""What the ingest's spools still hold, asked of every living instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import httpx
import msgspec

from recount.discovery import Directory, Instance

TIMEOUT_S: Final = 2.0
SERVICES: Final = {"shipper": "/v1/spools", "ingest": "/v1/spool"}


class SpoolReport(msgspec.Struct, frozen=True):
    """A spool: the newest number shipped, and the moment its oldest unshipped event was received, if any.

    `silent` says that its instance is in the directory but did not answer.
    """

    spool: str
    shipped_seq: int = 0
    oldest_unshipped_ms: int | None = None
    silent: bool = False


class Spools(Protocol):
    """Where the cut asks."""

    def reports(self) -> list[SpoolReport]:
        """One report a living spool, silent ones included."""
        ...


@dataclass(frozen=True)
class DirectorySpools:
    """The spools of the instances in the directory."""

    directory: Directory

    def reports(self) -> list[SpoolReport]:
        found: dict[str, SpoolReport] = {}
        for service, path in SERVICES.items():
            for instance in self.directory.instances(service):
                for report in _ask(instance, path):
                    found[report.spool] = _worse(found.get(report.spool), report)
        return [found[spool] for spool in sorted(found)]


def _ask(instance: Instance, path: str) -> list[SpoolReport]:
    silent = [SpoolReport(instance.meta.get("spool", instance.id), silent=True)]
    try:
        answer = httpx.get(instance.url + path, timeout=TIMEOUT_S, trust_env=False)
        if answer.status_code != httpx.codes.OK:
            return silent
        body = msgspec.json.decode(answer.content, type=list[SpoolReport] | SpoolReport)
    except (httpx.HTTPError, msgspec.MsgspecError):
        return silent
    return body if isinstance(body, list) else [body]


def _worse(one: SpoolReport | None, other: SpoolReport) -> SpoolReport:
    """Of two reports about one spool the one that promises less."""
    if one is None or other.silent:
        return other
    if one.silent:
        return one
    moments = [r.oldest_unshipped_ms for r in (one, other) if r.oldest_unshipped_ms is not None]
    return SpoolReport(one.spool, min(one.shipped_seq, other.shipped_seq), min(moments, default=None))
