"""Rollups in the object store, whole: what a run computed, before and after it is published.

    <root>/rollups/<kind>=<period>/generation=<id>/{rows,revenue}.parquet, generation.json (written last)

Nothing here is cut to the top values, so days and months are always made from everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, cast

import msgspec
import polars as pl

from recount.counting import counted
from recount.counting.counted import COUNTED_SCHEMA, Counted
from recount.counting.rollup import KEYS, REVENUE_SCHEMA, ROLLUP_SCHEMA, Rollup
from recount.errors import Conflict
from recount.store.objects import FAST_ZSTD_LEVEL, ZSTD_LEVEL, Objects, SiteRange, Sites
from recount.store.provenance import Kind, Provenance

SEAL: Final = "generation.json"
SAID: Final = ("ledger", "rules", "common", "zones")  # what a seal says of sites besides their rows


class Candidates:
    """Generations of rollups by period. A generation without its seal does not exist."""

    def __init__(self, root: str) -> None:
        self._objects = Objects(root)

    def write(self, rollup: Rollup | Counted, provenance: Provenance) -> Provenance:
        """Write and seal a generation; returns its provenance with the rows of each site filled in.

        Raises Conflict where the generation exists already.
        """
        kind, period, generation = provenance.kind, provenance.period, provenance.generation
        if self.info(kind, period, generation) is not None:
            raise Conflict(f"candidate {generation} of {kind} {period} is sealed already")
        whole = rollup if isinstance(rollup, Counted) else counted.with_counts(rollup)
        rows = _sorted(whole.rows.select(list(COUNTED_SCHEMA)), KEYS)
        revenue = _sorted(whole.revenue.select(list(REVENUE_SCHEMA)), (*KEYS, "currency"))
        folder = _folder(kind, period, generation)
        self._objects.put_frame(f"{folder}/rows.parquet", rows, level=FAST_ZSTD_LEVEL)
        self._objects.put_frame(f"{folder}/revenue.parquet", revenue)
        counts = rows["site"].rle().struct.unnest()
        sites = dict(zip(counts["value"].to_list(), counts["len"].to_list(), strict=True))
        sealed = msgspec.structs.replace(provenance, sites=sites)
        self._objects.put(f"{folder}/{SEAL}", msgspec.json.encode(sealed))
        return sealed

    def info(self, kind: Kind, period: str, generation: str) -> Provenance | None:
        """The provenance of a sealed generation; None for one that does not exist."""
        data = self._objects.get(f"{_folder(kind, period, generation)}/{SEAL}")
        return None if data is None else msgspec.json.decode(data, type=Provenance)

    def generations(self, kind: Kind, period: str) -> list[str]:
        """Generation ids of a period, oldest first, sealed or not."""
        return [n.removeprefix("generation=") for n in self._objects.names(f"rollups/{kind}={period}")]

    def stored(self) -> dict[tuple[Kind, str, str], int]:
        """Every generation there is, sealed or not, and its bytes."""
        found: dict[tuple[Kind, str, str], int] = {}
        for folder, size in self._objects.folders("rollups", 2).items():
            place, _, generation = folder.partition("/generation=")
            kind, _, period = place.partition("=")
            found[cast("Kind", kind), period, generation] = size
        return found

    def read(self, kind: Kind, period: str, generation: str, sites: Sequence[str] | None = None) -> Rollup:
        """The rollup of some sites or all; rows whose sets were not kept have null visitors."""
        found = self.read_counted({(kind, period, generation): sites})
        return Rollup(found.rows.select(list(ROLLUP_SCHEMA)), found.revenue)

    def read_counted(
        self, wanted: Mapping[tuple[Kind, str, str], Sites | None], *, sets: bool = True
    ) -> Counted:
        """Several generations, each for some sites or all.

        Without `sets` the visitor sets are not read at all: `visitors` is null.
        """
        wanted = {key: sites for key, sites in wanted.items() if sites is None or sites}
        if not wanted:
            return counted.empty()
        columns = [name for name in COUNTED_SCHEMA if sets or name != "visitors"]
        whole = self._read("rows", wanted, columns)
        if not sets:
            missing = pl.lit(None, COUNTED_SCHEMA["visitors"]).alias("visitors")
            whole = whole.with_columns(missing).select(list(COUNTED_SCHEMA))
        return Counted(whole, self._read("revenue", wanted, list(REVENUE_SCHEMA)))

    def _read(
        self, name: str, wanted: Mapping[tuple[Kind, str, str], Sites | None], columns: Sequence[str]
    ) -> pl.DataFrame:
        """One file of each generation; those of which sites are named are read in one go."""
        paths = {f"{_folder(*key)}/{name}.parquet": sites for key, sites in wanted.items()}
        listed: dict[str, Sequence[str]] = {}
        parts: list[pl.DataFrame] = []
        for path, sites in paths.items():
            if sites is None or isinstance(sites, SiteRange):
                parts.append(self._objects.get_frame([path], columns, sites))
            else:
                listed[path] = sites
        parts += [self._objects.get_sites(listed, columns)] if listed else []
        return pl.concat(parts).rechunk()  # everything after is slower with columns in pieces

    def strip(self, kind: Kind, period: str, generation: str, site: str, *, nameless: bool = False) -> int:
        """Delete the rows of one site from a generation for good; returns how many there were.

        With `nameless` all that is said of the site goes too. A generation that does not exist has none.
        """
        info = self.info(kind, period, generation)
        if info is None:
            return 0
        said: dict[str, Mapping[str, object]] = {name: getattr(info, name) for name in SAID if nameless}
        if site not in info.sites and not any(site in of_sites for of_sites in said.values()):
            return 0
        folder = _folder(kind, period, generation)
        for name, level in (("rows", FAST_ZSTD_LEVEL), ("revenue", ZSTD_LEVEL)):
            rows = self._objects.get_frame([f"{folder}/{name}.parquet"])
            left = rows.filter(pl.col("site") != site)
            self._objects.replace_frame(f"{folder}/{name}.parquet", left, level=level)
        said["sites"] = info.sites
        left_said = {
            name: {one: what for one, what in of_sites.items() if one != site}
            for name, of_sites in said.items()
        }
        stripped = msgspec.structs.replace(info, **left_said)
        self._objects.put(f"{folder}/{SEAL}", msgspec.json.encode(stripped))
        return info.sites.get(site, 0)

    def remove(self, kind: Kind, period: str, generation: str) -> None:
        """Delete a generation for good (a discarded candidate, garbage collection)."""
        self._objects.remove(_folder(kind, period, generation))


def _sorted(frame: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """By its keys; most are already, and that is soon seen."""
    back = pl.lit(False)
    for key in reversed(keys):
        before = pl.col(key).shift()
        back = (pl.col(key) < before) | ((pl.col(key) == before) & back)
    return frame.sort(*keys) if frame.select(back.any()).item() else frame


def _folder(kind: Kind, period: str, generation: str) -> str:
    return f"rollups/{kind}={period}/generation={generation}"
