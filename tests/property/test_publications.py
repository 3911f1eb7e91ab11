"""Whatever is published and undone in whatever order: every root is valid and shows what it should."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from recount.counting.rollup import Rollup, empty, merge
from recount.errors import InvalidInput
from recount.periods import hour_start_ms
from recount.publishing import history
from recount.publishing.reprocessing import BaseChanged
from recount.store.manifests import Publication
from tests.publishing import SITES, Press, total
from tests.rollups import hour_rollup

DAY: Final = "2026-10-31"
HOURS: Final = tuple(f"{DAY}T{hour:02d}" for hour in (3, 7, 9))
MONTH_ENDED_MS: Final = hour_start_ms("2026-11-02T12")
NAMES: Final = tuple(SITES)
Views = dict[str, dict[str, int]]  # hour -> site -> pageviews

counts = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 5), min_size=1, max_size=len(NAMES))
hours = st.dictionaries(st.sampled_from(HOURS), counts, min_size=1, max_size=2)
steps = st.one_of(
    st.tuples(st.just("publish"), hours),
    st.tuples(st.just("compute"), hours),
    st.tuples(st.just("some sites"), hours, st.sampled_from(NAMES)),
    st.tuples(st.just("show"), st.integers(0, 1)),
    st.tuples(st.just("undo"), st.integers(0, 1)),
    st.tuples(st.just("undo"), st.integers(1, 3)),
    st.tuples(st.just("month ends")),
)


def rollup(hour: str, views: Mapping[str, int]) -> Rollup:
    parts = [
        hour_rollup(hour, [site], count, count, bucket_ms=900_000 if site == "kolkata" else 0)
        for site, count in sorted(views.items())
    ]
    return merge(parts) if parts else empty()


@dataclass
class Model:
    """What should be shown, and what each publication found and changed."""

    press: Press
    views: Views = field(default_factory=dict)
    before: dict[str, Views] = field(default_factory=dict)
    computed: dict[str, tuple[Views, tuple[str, ...]]] = field(default_factory=dict)

    def publish(self, made: Views) -> None:
        self._moved(self.press.publish({h: rollup(h, v) for h, v in made.items()}), made, ())

    def compute(self, made: Views, only: Sequence[str] = ()) -> None:
        name = f"fix-{len(self.computed)}"
        rows = {h: rollup(h, {s: n for s, n in v.items() if not only or s in only}) for h, v in made.items()}
        self.press.reprocess(name, rows, only)
        self.computed[name] = made, tuple(only)

    def show(self, number: int) -> None:
        """Publish one of the newest reprocessings, unless it is refused because something moved under it."""
        names = [name for name in self.computed if self.press.reprocessings.get(name).state == "open"]
        if number >= len(names):
            return
        name = names[-1 - number]
        current = self.press.manifests.current()
        done = self.press.reprocessings.hours(name)
        try:
            self.press.corrections.publish(name)
        except BaseChanged as error:
            refused = {change.hour for change in error.changes}
        else:
            refused = set()
        if refused:
            assert self.press.manifests.current() == current
            assert refused <= set(done)
            return
        publication = self.press.corrections.publish(name)
        self._moved(publication, *self.computed[name])

    def undo(self, number: int) -> None:
        past = list(history.past(self.press.manifests))
        if number >= len(past):
            return
        publication = past[number]
        try:
            undone = self.press.undo(publication)
        except InvalidInput:
            return
        later = {} if isinstance(undone, Publication) else self._later(past[:number])
        back = {
            key.removeprefix("hour/"): set(sites) - later.get(key, set())
            for key, sites in publication.sites.items()
            if key.startswith("hour/")
        }
        after = {hour: dict(views) for hour, views in self.views.items()}
        for hour, sites in back.items():
            for site in sites:
                after.setdefault(hour, {}).pop(site, None)
                if (views := self.before[publication.id].get(hour, {}).get(site)) is not None:
                    after[hour][site] = views
        if not isinstance(undone, Publication):
            undone = self.press.corrections.publish(undone.id)
        else:
            for key, moved in publication.moved.items():
                now = self.press.generations(key)[key]
                assert {slot: now.get(slot) for slot in moved.before} == moved.before
        self.before[undone.id] = self.views
        self.views = after

    def check(self) -> None:
        if self.press.manifests.current() is None:
            return
        assert self.press.faults() == []
        for site in NAMES:
            shown = {h: total(self.press.shown(site, f"hour/{h}")) for h in HOURS}
            assert shown == {h: self.views.get(h, {}).get(site, 0) for h in HOURS}
            days = (f"day/{day}" for day in ("2026-10-30", DAY, "2026-11-01"))
            assert sum(total(self.press.shown(site, day)) for day in days) == sum(shown.values())

    def _later(self, past: Sequence[Publication]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for publication in past:
            for key, sites in publication.sites.items():
                found.setdefault(key, set()).update(sites)
        return found

    def _moved(self, publication: Publication, made: Views, only: Sequence[str]) -> None:
        self.before.setdefault(publication.id, self.views)
        after = {hour: dict(views) for hour, views in self.views.items()}
        for hour, views in made.items():
            kept = {s: n for s, n in after.get(hour, {}).items() if only and s not in only}
            after[hour] = kept | {s: n for s, n in views.items() if not only or s in only}
        self.views = after


@settings(max_examples=30, deadline=None)
@given(sequence=st.lists(steps, min_size=5, max_size=10))
def test_any_sequence_of_publications_and_rollbacks_leaves_a_valid_root(sequence: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = Model(Press(Path(folder), clock_ms=hour_start_ms(f"{DAY}T12")))
        for name, *arguments in sequence:
            match name:
                case "publish":
                    model.publish(*arguments)
                case "compute":
                    model.compute(*arguments)
                case "some sites":
                    model.compute(arguments[0], [arguments[1]])
                case "show":
                    model.show(*arguments)
                case "month ends":
                    model.press.clock_ms = MONTH_ENDED_MS
                case _:
                    model.undo(*arguments)
            model.check()
