"""Which published hours, sites and numbers rest on a version of the logic, on a run, or on a site's rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from recount.counting.rollup import SUMS, TOTAL
from recount.errors import InvalidInput
from recount.periods import HourRange, hour_ranges
from recount.publishing.rollback import CAUSE as UNDO
from recount.rules import EVERY_SITE
from recount.store.candidates import Candidates
from recount.store.manifests import Entry, Manifests
from recount.store.provenance import Kind, Provenance
from recount.store.segments import SegmentStore

HOURS_AT_ONCE: Final = 48
Touches = Callable[[Provenance, str], bool]  # (what wrote the rows, site)


@dataclass(frozen=True)
class Impact:
    """`sites`: hours that rest on what was asked for, by site. `totals`: for each site the sums of these
    hours, of the metrics that are not 0; `dimensions`: those with rows in them."""

    sites: Mapping[str, list[str]] = field(default_factory=dict)
    totals: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    dimensions: tuple[str, ...] = ()

    @property
    def hours(self) -> list[str]:
        return sorted({hour for hours in self.sites.values() for hour in hours})

    @property
    def spans(self) -> list[HourRange]:
        return hour_ranges(self.hours)


def of_logic(version: int) -> Touches:
    return lambda made, site: made.logic_version == version


def of_run(run_id: str) -> Touches:
    """A run by its id, or by the beginning of it."""
    if not run_id:
        raise InvalidInput("name a run", field="run")
    return lambda made, site: made.run_id.startswith(run_id)


def of_rules(text: str) -> Touches:
    """`demo` or `demo:3`: the rules of a site in the catalog, in any or one version; `*:3`: those for all."""
    name, _, version = text.partition(":")
    if not name or (version and not version.isdecimal()):
        raise InvalidInput(f"rules are named SITE or SITE:VERSION, not {text!r}", field="rule")
    if name == EVERY_SITE:
        return lambda made, site: not version or made.common_version(site) == int(version)

    def touches(made: Provenance, site: str) -> bool:
        used = made.rules.get(name)
        return site == name and used is not None and (not version or used == int(version))

    return touches


@dataclass(frozen=True)
class Impacts:
    """Looks through what is published now."""

    manifests: Manifests
    segments: SegmentStore
    candidates: Candidates

    def of(self, touches: Touches, span: HourRange | None = None) -> Impact:
        """What `touches` of everything published, or of a range of hours.

        Asked is what spoke last for a site and hour: what wrote its rows, or what was computed later and came
        out equal.
        """
        rows: dict[tuple[Kind, str, str], list[str]] = {}
        sites: dict[str, list[str]] = {}
        for hour, generation, confirmed, names in self._written(span):
            writer = self.candidates.info("hour", hour, generation)
            newest = self.candidates.info("hour", hour, confirmed) if confirmed != generation else writer
            speaks = {site: _speaker(site, writer, newest) for site in names}
            found = sorted(site for site, made in speaks.items() if made is not None and touches(made, site))
            if found:
                rows["hour", hour, generation] = found
            for site in found:
                sites.setdefault(site, []).append(hour)
        return Impact(dict(sorted(sites.items())), *self._numbers(rows))

    def _written(self, span: HourRange | None) -> Iterator[tuple[str, str, str, list[str]]]:
        """(hour, generation, the one confirmed, the sites whose rows it wrote) of all that is shown."""
        root = self.manifests.current()
        for month, manifest_id in sorted(({} if root is None else root.months).items()):
            if span is not None and not span[0][:7] <= month <= span[1][:7]:
                continue
            periods = self.manifests.manifest(month, manifest_id).periods
            hours = [key for key in sorted(periods) if key.startswith("hour/") and _inside(key[5:], span)]
            for at in range(0, len(hours), HOURS_AT_ONCE):
                yield from self._of_hours({key: periods[key] for key in hours[at : at + HOURS_AT_ONCE]})

    def _of_hours(self, entries: Mapping[str, Entry]) -> Iterator[tuple[str, str, str, list[str]]]:
        wanted = [(key, s, g) for key, entry in entries.items() for s, g in entry.generations().items()]
        found: dict[tuple[str, str], list[str]] = {}
        for (key, _, _), sites in self.segments.located(wanted).items():
            for site, place in sites.items():
                found.setdefault((key[5:], place.generation), []).append(site)
        for (hour, generation), names in sorted(found.items()):
            yield hour, generation, entries[f"hour/{hour}"].confirmed, names

    def _numbers(
        self, rows: Mapping[tuple[Kind, str, str], list[str]]
    ) -> tuple[dict[str, dict[str, int]], tuple[str, ...]]:
        totals: dict[str, dict[str, int]] = {}
        dimensions: set[str] = set()
        for key, sites in rows.items():
            frame = self.candidates.read_counted({key: sites}, sets=False).rows
            dimensions.update(frame["dimension"].unique().to_list())
            sums = frame.filter(pl.col("dimension") == TOTAL).group_by("site").agg(pl.col(*SUMS).sum())
            for row in sums.to_dicts():
                whole = totals.setdefault(row["site"], {})
                for metric in SUMS:
                    if row[metric]:
                        whole[metric] = whole.get(metric, 0) + row[metric]
        return dict(sorted(totals.items())), tuple(sorted(dimensions))


def _speaker(site: str, writer: Provenance | None, newest: Provenance | None) -> Provenance | None:
    """A rollback speaks for nobody: it shows again what others wrote."""
    if newest is None or newest.reprocessing.startswith(UNDO) or (newest.only and site not in newest.only):
        return writer
    return newest


def _inside(hour: str, span: HourRange | None) -> bool:
    return span is None or span[0] <= hour <= span[1]
