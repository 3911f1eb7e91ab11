"""Where a generation comes from: what it was computed from, by which logic, when and why."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Kind = Literal["hour", "day", "month"]
NO_RULES: Final = 1
"""The first version of the rules for all sites, before there were any."""


def period_key(kind: Kind, period: str) -> str:
    """The name of a period in manifests and segments: `hour/2026-11-22T23`, `day/2026-11-22`."""
    return f"{kind}/{period}"


def month_of_key(key: str) -> str:
    """The manifest that holds a period: the month in its name, whatever its zone."""
    return key.partition("/")[2][:7]


class ArchiveSource(msgspec.Struct, frozen=True, kw_only=True):
    """The archive generation an hour was folded from; `cut`: first offset not looked at, by partition."""

    hour: str
    generation: str
    cut: dict[str, int]


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of one period.

    `rules`: the version of each site's own rules; `common`: by site the version of the rules for all, where
    that is not the first (NO_RULES). `sites`: rows per site; `ledger`: per site what became of the accepted
    events; `children`: per site slot the generation of each hour (of a day) or day (of a month) it was made
    from; `zones`: the time zone that each site's day or month was made in. `carry_in`, `carry_out`:
    `ArchiveInfo.carry_digest` of the hour before and of this one ("": no open visit). `open_until` (ms UTC)
    is set for an hour published before its end. `only`: the sites that the generation speaks for; empty: all.
    `reprocessing` is set for a candidate that waits for its reprocessing to be published. `publication` and
    `published_ms`: the move that showed it first, known to `Manifests` alone.
    """

    kind: Kind
    period: str
    generation: str
    made_ms: int
    logic_version: int
    reason: str = ""
    run_id: str = ""
    rules: dict[str, int] = {}
    common: dict[str, int] = {}
    archive: ArchiveSource | None = None
    carry_in: str = ""
    carry_out: str = ""
    children: dict[int, dict[str, str]] = {}
    zones: dict[str, str] = {}
    sites: dict[str, int] = {}
    ledger: dict[str, dict[str, int]] = {}
    open_until: int | None = None
    only: list[str] = []
    reprocessing: str = ""
    publication: str = ""
    published_ms: int = 0

    @property
    def key(self) -> str:
        return period_key(self.kind, self.period)

    @property
    def head(self) -> Provenance:
        """Without what it says of each site: that part grows with the sites and stays in the object store."""
        return msgspec.structs.replace(self, rules={}, common={}, zones={}, sites={}, ledger={})

    def common_version(self, site: str) -> int:
        """The version of the rules for all sites that an hour of a site was counted by."""
        return self.common.get(site, NO_RULES)
