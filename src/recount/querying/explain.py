"""Where the numbers of an answer come from: generations, logic, rules, runs, archives, offsets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from recount.counting.rebuild import hours_of_day
from recount.keys import site_slot
from recount.periods import month_days
from recount.rules import EVERY_SITE
from recount.store.candidates import Candidates
from recount.store.catalog import Site
from recount.store.manifests import Manifests, Root
from recount.store.provenance import NO_RULES, Provenance, period_key
from recount.store.rulebook import Rulebook
from recount.store.segments import SegmentStore

HOURS_MAX: Final = 750  # a month
READERS: Final = 16
OWN: Final = "rules_version"
COMMON: Final = "common_rules_version"
Used = tuple[str, str]  # (period key, generation)


@dataclass(frozen=True)
class Explainer:
    """Safe to share between threads. `run_url` gives the page of a Dagster run, `rulebook` the rules in
    words."""

    manifests: Manifests
    segments: SegmentStore
    candidates: Candidates
    site_slots: int
    run_url: Callable[[str], str]
    rulebook: Rulebook

    def explain(self, site: Site, used: Collection[Used]) -> dict[str, Any]:
        """As JSON: `periods`, the generations that an answer read; `hours`, what these were made of, the
        newest HOURS_MAX of them, with `hours_left_out`; `rules`, what the versions that these name say."""
        periods = self.manifests.provenance(used)
        hours = self._hours(site, [key for key, _ in used])
        kept = dict(sorted(hours.items())[-HOURS_MAX:])
        known = self.manifests.provenance((period_key("hour", h), g) for h, g in kept.items())
        made = [known[period_key("hour", hour), generation] for hour, generation in kept.items()]
        versions = self._versions(site, made)
        return {
            "periods": [self._generation(p) for _, p in sorted(periods.items())],
            "hours": [
                self._generation(p) | rules | _archive(p) for p, rules in zip(made, versions, strict=True)
            ],
            "hours_left_out": len(hours) - len(kept),
            "rules": [*self._said(site.id, versions, OWN), *self._said(EVERY_SITE, versions, COMMON)],
        }

    def _hours(self, site: Site, keys: Iterable[str]) -> dict[str, str]:
        """The hours that periods are made of, and the generation that wrote the site's rows in each."""
        hours: set[str] = set()
        for key in keys:
            kind, _, period = key.partition("/")
            days = month_days(period) if kind == "month" else [period]
            inside = (hour for day in days for hour in hours_of_day(day, site.timezone))
            hours.update([period] if kind == "hour" else inside)
        return writers(
            self.manifests, self.segments, self.manifests.current(), site.id, hours, self.site_slots
        )

    def _generation(self, made: Provenance) -> dict[str, Any]:
        return {
            made.kind: made.period,
            "generation": made.generation,
            "logic_version": made.logic_version,
            "reason": made.reason,
            "made": _moment(made.made_ms),
            "run": self.run_url(made.run_id) if made.run_id else None,
            "publication": made.publication or None,
            "published": _moment(made.published_ms) if made.published_ms else None,
        }

    def _versions(self, site: Site, made: Iterable[Provenance]) -> list[dict[str, int | None]]:
        """The versions of the site's own rules and of those for all sites that each hour was folded by."""

        def rules(hour: Provenance) -> dict[str, int | None]:
            info = self.candidates.info("hour", hour.period, hour.generation)
            own = None if info is None else info.rules.get(site.id)
            common = None if info is None else info.common_version(site.id)
            return {OWN: own, COMMON: common}

        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(rules, made))

    def _said(
        self, owner: str, hours: Iterable[Mapping[str, int | None]], name: str
    ) -> Iterator[dict[str, Any]]:
        """What each version says, in words (None: that is not known any more) `of` a site, or EVERY_SITE."""
        for number in sorted({version for hour in hours if (version := hour[name]) is not None}):
            if (owner, number) == (EVERY_SITE, NO_RULES):
                continue
            found = self.rulebook.find(owner, number)
            says = None if found is None else found.rules.lines
            yield {"of": owner, "version": number, "says": says}


def writers(
    manifests: Manifests,
    segments: SegmentStore,
    root: Root | None,
    site: str,
    hours: Iterable[str],
    site_slots: int,
) -> dict[str, str]:
    """The generation that wrote a site's rows in each hour that shows any."""
    slot = site_slot(site, site_slots)
    entries = manifests.entries(root, [period_key("hour", hour) for hour in hours])
    shown = {key: entry.generation(slot) for key, entry in sorted(entries.items())}
    wanted = [(site, key, generation) for key, generation in shown.items() if generation is not None]
    places = segments.places(wanted)
    return {
        key.removeprefix("hour/"): place.generation
        for (_, key, _), place in zip(wanted, places, strict=True)
        if place is not None
    }


def _archive(made: Provenance) -> dict[str, Any]:
    """`offsets`: the first one of each source partition that was not looked at, the cut."""
    if made.archive is None:
        return {"archive": None}
    return {"archive": {"generation": made.archive.generation, "offsets": made.archive.cut}}


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
