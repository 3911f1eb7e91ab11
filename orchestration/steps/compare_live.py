"""After an hour is published: what live had counted of it, beside what is published, kept for the record.

Nothing waits for it for long and nothing is held up by it: where live is away, or has not seen the hour from
its start, the record says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl
import structlog

from orchestration.live_totals import Heard
from orchestration.resources import Workplace
from orchestration.steps.completeness import receipted
from orchestration.steps.cut import source_of
from recount.counting.counted import VISITOR_COUNT
from recount.counting.rollup import TOTAL
from recount.errors import Unavailable
from recount.kafka import EVENTS, IMPORTS, Offsets, SourcePartition
from recount.ledger import BOT, COUNTED, EXCLUDED, Line
from recount.periods import HOUR_MS, hour_start_ms
from recount.publishing.portions import portions
from recount.reconciliation import Compared, HourCompared, Side, State, explain
from recount.store.objects import SiteRange
from recount.store.provenance import Provenance
from recount.store.reconciliations import HourSummary

WAIT_S: Final = 10.0  # for live to reach the cut
ASK_EVERY_S: Final = 0.5
log = structlog.get_logger(__name__)


def compare_live(place: Workplace, published: Sequence[Provenance]) -> list[HourSummary]:
    """Compare the closed hours that live can still know; returns what was found, hour by hour."""
    oldest_ms = place.now_ms() - place.settings.live_hours * HOUR_MS
    made = [p for p in published if p.open_until is None and hour_start_ms(p.period) >= oldest_ms]
    if not made:
        return []
    heard = _heard(place, [p.period for p in made], _cut(made))
    try:
        return [place.reconciliations.put(_compared(place, one, heard)) for one in made]
    except Unavailable as error:  # the hours are published, and that is what counts
        log.warning("not_compared_with_live", error=str(error))
        return []


def _compared(place: Workplace, made: Provenance, heard: Heard) -> HourCompared:
    cut = _cut([made])
    state = _state(made.period, heard, cut)
    late_max = 0 if state != "compared" else _late_max(place, made.period, heard, cut)
    sites = {
        site: Compared(heard.sites.get((made.period, site), Side()), side, dict(made.ledger.get(site, {})))
        for site, side in _published(place, made).items()
    }
    if state == "compared":
        for hour, site in heard.sites:
            if hour == made.period and site not in sites:
                sites[site] = Compared(heard.sites[hour, site], Side(), dict(made.ledger.get(site, {})))
        sites = _with_imports(place, made, sites, late_max)
    return HourCompared(
        hour=made.period,
        generation=made.generation,
        at_ms=place.now_ms(),
        state=state,
        late_max=late_max,
        sites=sites,
    )


def _heard(place: Workplace, hours: Sequence[str], cut: Offsets) -> Heard:
    """What live says once it has read up to the cut, or the last it said when the wait is over."""
    waited_s = 0.0
    while True:
        heard = place.live.hours(hours)
        if not heard.positions or waited_s >= WAIT_S or _reaches(heard, cut):
            return heard
        place.sleep(ASK_EVERY_S)
        waited_s += ASK_EVERY_S


def _state(hour: str, heard: Heard, cut: Offsets) -> State:
    if not heard.positions or hour not in heard.hours:
        return "live_away"
    return "compared" if _reaches(heard, cut) else "live_behind"


def _reaches(heard: Heard, cut: Offsets) -> bool:
    """Whether live has counted everything below the cut."""
    return all(heard.positions.get(n, -1) >= end for (topic, n), end in cut.items() if topic == EVENTS)


def _cut(made: Sequence[Provenance]) -> Offsets:
    """The furthest cut of some hours."""
    found: dict[SourcePartition, int] = {}
    for one in made:
        for text, offset in () if one.archive is None else one.archive.cut.items():
            source = source_of(text)
            found[source] = max(offset, found.get(source, 0))
    return found


def _late_max(place: Workplace, hour: str, heard: Heard, cut: Offsets) -> int:
    """At most so many events of the hour did live count beyond the cut: those of receipts, and whatever lies
    at offsets that have no receipt yet."""
    until = {(EVENTS, n): offset for n, offset in heard.positions.items()}
    told = receipted(place.raw, cut, until).get(hour, 0)
    return told + sum(
        stop - start
        for source, end in until.items()
        for start, stop in place.raw.missing(source, min(cut.get(source, 0), end), end)
    )


def _published(place: Workplace, made: Provenance) -> dict[str, Side]:
    """The published side of each site, read in portions."""
    found: dict[str, Side] = {}
    for sites in portions(made.sites):
        for site, visitors, visits, pageviews, events in _totals(place, made, sites).iter_rows():
            found[site] = Side(visitors, visits, pageviews, events, *_judged(made.ledger.get(site, {})))
    for site, line in made.ledger.items():
        counted, aside = _judged(line)
        found.setdefault(site, Side(counted=counted, set_aside=aside))
    return found


def _judged(line: Line) -> tuple[int, int]:
    """Events counted, and those set aside."""
    return line.get(COUNTED, 0), line.get(BOT, 0) + line.get(EXCLUDED, 0)


def _totals(place: Workplace, made: Provenance, sites: SiteRange) -> pl.DataFrame:
    rows = place.candidates.read_counted({("hour", made.period, made.generation): sites}, sets=False).rows
    return (
        rows.filter(pl.col("dimension") == TOTAL)
        .group_by("site")
        .agg(pl.col(VISITOR_COUNT, "visits", "pageviews", "events").sum())
    )


def _with_imports(
    place: Workplace, made: Provenance, sites: Mapping[str, Compared], late_max: int
) -> dict[str, Compared]:
    """Where live has less, the events that came by imports are counted: live does not follow these."""
    lacking = [s for s, c in sites.items() if explain(c, late_max).unexplained and _has_less(c)]
    if not lacking or made.archive is None:
        return dict(sites)
    source = made.archive
    events = place.archive.read_events(
        source.hour, source.generation, columns=["site", "topic"], sites=sorted(lacking)
    )
    imported = events.filter(pl.col("topic") == IMPORTS).group_by("site").len()
    found = dict(imported.iter_rows())
    return {s: Compared(c.live, c.published, c.ledger, found.get(s, 0)) for s, c in sites.items()}


def _has_less(found: Compared) -> bool:
    live, published = found.live, found.published
    return live.counted + live.set_aside < published.counted + published.set_aside
