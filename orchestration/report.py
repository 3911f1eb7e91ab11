"""What runs say about themselves: the metadata of materialisations, and the results of checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Final

import dagster as dg
import polars as pl

from orchestration.steps.archive_hour import OPEN_NOTE
from orchestration.steps.archive_range import ArchivedRange
from orchestration.steps.candidate_range import Folded, Share
from orchestration.steps.completeness import in_words
from orchestration.steps.cut import texts
from orchestration.steps.publish_range import PublishedRange
from orchestration.steps.rollup_range import Candidate
from recount import ledger
from recount.ledger import Line
from recount.publishing.comparison import Comparison
from recount.publishing.summary import appeared_and_vanished, largest, totals, unchanged_share
from recount.publishing.thresholds import Blocked
from recount.store.archive import ArchiveInfo
from recount.store.manifests import Publication
from recount.store.provenance import Provenance
from recount.store.reconciliations import HourSummary

Metadata = dict[str, dg.MetadataValue]

RECEIPTS_COMPLETE: Final = "receipts_complete"
ITEMS_READABLE: Final = "items_match_receipts"
LEDGER_BALANCES: Final = "ledger_balances"
AGREES_WITH_LIVE: Final = "agrees_with_live"
LEDGER_MAX_SITES: Final = 100
NAMED_MAX: Final = 20  # of anything listed in a message
DIFF_ROWS: Final = 50
DIFF_METRICS: Final = ("visitors", "visits", "pageviews", "events")


def archived_hour(info: ArchiveInfo) -> Metadata:
    """One hour's archive generation."""
    counts = ledger.total(info.ledger.values())
    return {
        "generation": dg.MetadataValue.text(info.generation),
        "events": dg.MetadataValue.int(info.events),
        "duplicates": dg.MetadataValue.int(counts[ledger.DUPLICATE]),
        "quarantined": dg.MetadataValue.int(counts[ledger.QUARANTINED]),
        "pending": dg.MetadataValue.int(counts[ledger.PENDING]),
        "sites": dg.MetadataValue.int(len(info.sites)),
        "visits_ended": dg.MetadataValue.int(sum(s.ends for s in info.slots.values())),
        "visits_open": dg.MetadataValue.int(sum(s.carry for s in info.slots.values())),
        "bytes": dg.MetadataValue.int(info.data_bytes),
        "cut": dg.MetadataValue.json(info.cut),
        "carry_from": dg.MetadataValue.text(info.previous.generation if info.previous else "none"),
        "still_open": dg.MetadataValue.bool(OPEN_NOTE in info.notes),
    }


def archived_range(found: ArchivedRange) -> Metadata:
    """What holds for the whole run."""
    infos = [archived.info for archived in found.hours.values()]
    return {
        "hours": dg.MetadataValue.int(len(infos)),
        "cut_taken": dg.MetadataValue.timestamp(found.cut.taken_ms / 1000),
        "cut_offsets": dg.MetadataValue.json(texts(found.cut.offsets)),
        "waited_for_spools_ms": dg.MetadataValue.int(found.cut.waited_ms),
        "pending_spools": dg.MetadataValue.text(", ".join(r.spool for r in found.cut.pending) or "none"),
        "pending_elsewhere": dg.MetadataValue.int(found.cut.unshipped.unnamed),
        "waited_for_receipts_ms": dg.MetadataValue.int(found.proof.waited_ms),
        "reread_events": dg.MetadataValue.int(found.proof.reread_events),
        "new_holes": dg.MetadataValue.text(in_words(found.proof.holes)),
        "total_events": dg.MetadataValue.int(sum(info.events for info in infos)),
        "total_bytes": dg.MetadataValue.int(sum(info.data_bytes for info in infos)),
    }


def per_hour(
    context: dg.AssetExecutionContext, rows: Mapping[str, Metadata], selected: Sequence[str]
) -> None:
    """Each hour's metadata on its own materialisation; hours beyond the run's partitions get one besides."""
    chosen = set(selected)
    for hour, metadata in rows.items():
        if hour in chosen:
            context.add_asset_metadata(metadata, partition_key=hour)
        else:
            context.log_event(
                dg.AssetMaterialization(context.asset_key, partition=hour, metadata=dict(metadata))
            )


def candidate(found: Candidate) -> Metadata:
    """One hour's candidate rollup."""
    return {
        "generation": dg.MetadataValue.text(found.provenance.generation),
        "logic_version": dg.MetadataValue.int(found.provenance.logic_version),
        "rows": dg.MetadataValue.int(found.rows),
        "sites": dg.MetadataValue.int(len(found.provenance.sites)),
        "ledger": _ledger_table(found.provenance.ledger),
        "duration_ms": dg.MetadataValue.int(found.duration_ms),
    }


def candidates(found: Sequence[Candidate]) -> Metadata:
    """What holds for the whole run."""
    lines = [line for c in found for line in c.provenance.ledger.values()]
    return {
        "hours": dg.MetadataValue.int(len(found)),
        "total_rows": dg.MetadataValue.int(sum(c.rows for c in found)),
        "total_duration_ms": dg.MetadataValue.int(sum(c.duration_ms for c in found)),
        "total_ledger": dg.MetadataValue.json(ledger.total(lines)),
    }


def _ledger_table(found: Mapping[str, Line]) -> dg.TableMetadataValue:
    """A line a site, the largest first, and one for all."""
    largest = sorted(found.items(), key=lambda entry: (-entry[1].get(ledger.ACCEPTED, 0), entry[0]))
    rows = [("all sites", ledger.total(found.values())), *largest[:LEDGER_MAX_SITES]]
    return dg.MetadataValue.table(
        [dg.TableRecord({"site": site, **{p: line.get(p, 0) for p in ledger.PARTS}}) for site, line in rows]
    )


def reprocessing(share: Share, folded: Folded) -> Metadata:
    """What a run did of a reprocessing."""
    return {
        "reprocessing": dg.MetadataValue.text(share.request.id),
        "source": dg.MetadataValue.text(share.request.source),
        "sites_only": dg.MetadataValue.text(_some(share.request.sites) if share.request.sites else "all"),
        "base_root": dg.MetadataValue.text("none" if share.base is None else share.base.id),
        "hours_kept": dg.MetadataValue.int(len(folded.kept)),
        "hours_not_published": dg.MetadataValue.text(_some(folded.unpublished)),
    }


def nothing_to_archive(share: Share) -> dg.MaterializeResult:  # type: ignore[type-arg] # Dagster knows it only without an argument
    """A run whose hours are all done: archived by an earlier run, or folded from what is published."""
    why = f"Nothing is archived here for reprocessing {share.request.id}."
    return dg.MaterializeResult(
        metadata={"reprocessing": share.request.id, "hours": 0},
        check_results=[
            dg.AssetCheckResult(check_name=name, passed=True, description=why)
            for name in (RECEIPTS_COMPLETE, ITEMS_READABLE)
        ],
    )


def published_hour(made: Provenance, changed: Set[str]) -> Metadata:
    """One hour as it is shown now; `changed`: hours whose numbers moved."""
    return {
        "generation": dg.MetadataValue.text(made.generation),
        "changed": dg.MetadataValue.bool(made.period in changed),
        "sites": dg.MetadataValue.int(len(made.sites)),
        "open_until": dg.MetadataValue.text("closed" if made.open_until is None else str(made.open_until)),
    }


def published_range(found: PublishedRange | None) -> Metadata:
    """What holds for the whole publication."""
    if found is None:
        return {"hours": dg.MetadataValue.int(0)}
    return {
        "root": dg.MetadataValue.text(found.publication.id),
        "parent": dg.MetadataValue.text(found.publication.parent or "none"),
        "hours": dg.MetadataValue.int(len(found.hours)),
        "hours_changed": dg.MetadataValue.int(len(found.moved("hour"))),
        "hours_superseded": dg.MetadataValue.int(len(found.superseded)),
        "days_changed": dg.MetadataValue.text(_some(found.moved("day"))),
        "months_changed": dg.MetadataValue.text(_some(found.moved("month"))),
        "publish_ms": dg.MetadataValue.int(found.duration_ms),
    }


def publication(found: Publication) -> Metadata:
    """What a correction moved."""
    kinds = {kind: [k for k in found.moved if k.startswith(f"{kind}/")] for kind in ("hour", "day", "month")}
    sites = {site for names in found.sites.values() for site in names}
    return {
        "publication": dg.MetadataValue.text(found.id),
        "parent": dg.MetadataValue.text(found.parent or "none"),
        "reason": dg.MetadataValue.text(found.reason),
        "cause": dg.MetadataValue.text(found.cause or "hours"),
        "sites_changed": dg.MetadataValue.int(len(sites)),
        "hours_unchanged": dg.MetadataValue.int(len(found.kept)),
        **{f"{kind}s_moved": dg.MetadataValue.int(len(keys)) for kind, keys in kinds.items()},
    }


def rebuilt(
    context: dg.AssetExecutionContext, assets: Mapping[str, dg.AssetKey], found: PublishedRange
) -> None:
    """A materialisation of each day (`day`) and month (`month`) that a publication changed."""
    for kind, asset_key in assets.items():
        for period in found.moved(kind):
            sites = found.publication.sites[f"{kind}/{period}"]
            metadata: dict[str, str | int] = {"root": found.publication.id, "sites_changed": len(sites)}
            context.log_event(dg.AssetMaterialization(asset_key, partition=period, metadata=metadata))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return (", ".join(names[:NAMED_MAX]) or "none") + more


def receipts_complete(found: ArchivedRange) -> dg.AssetCheckResult:
    """Fails on a gap that may still be filled; warns of a hole, which never can."""
    proof = found.proof
    what = "Everything below the cut is stored."
    if proof.holes:
        what = f"Lost before it was stored, and gone from the log: {in_words(proof.holes[:NAMED_MAX])}."
    if proof.missing:
        what = (
            f"Not stored, nor to be read again now: {in_words(proof.missing[:NAMED_MAX])}; {proof.detail}. "
            "See that Kafka and store_batches run, then start this run again."
        )
    return dg.AssetCheckResult(
        check_name=RECEIPTS_COMPLETE,
        passed=not proof.missing and not proof.holes,
        severity=dg.AssetCheckSeverity.ERROR if proof.missing else dg.AssetCheckSeverity.WARN,
        description=what,
        metadata={
            "missing": in_words(proof.missing[:NAMED_MAX]),
            "holes": in_words(proof.holes[:NAMED_MAX]),
            "reread_events": proof.reread_events,
        },
    )


def items_readable(found: ArchivedRange) -> dg.AssetCheckResult:
    """Fails where the raw table returns fewer events than its receipts promise."""
    lines = [f"{hour}: {got} of {promised} events" for hour, (promised, got) in found.lost.items()]
    return dg.AssetCheckResult(
        check_name=ITEMS_READABLE,
        passed=not lines,
        description="; ".join(lines[:NAMED_MAX]) or "Every event that receipts promise was read.",
        metadata={"hours_lacking": len(lines)},
    )


def ledger_balances(found: Sequence[Candidate]) -> dg.AssetCheckResult:
    """Fails where accepted events are not all accounted for."""
    wrong = [line for c in found for line in c.unbalanced]
    return dg.AssetCheckResult(
        check_name=LEDGER_BALANCES,
        passed=not wrong,
        description="; ".join(map(str, wrong[:NAMED_MAX])) or "Every accepted event is accounted for.",
        metadata={"lines": sum(len(c.provenance.ledger) for c in found), "unbalanced": len(wrong)},
    )


def agrees_with_live(found: Sequence[HourSummary]) -> dg.AssetCheckResult:
    """Warns of a difference that no reason explains; where live was away nothing could be compared."""
    wrong = [hour for hour in found if hour.unexplained_events]
    away = [hour.hour for hour in found if hour.state != "compared"]
    lines = [
        f"{hour.hour}: {hour.unexplained_events} events of {hour.unexplained_sites} sites "
        f"({', '.join(f'{site} {count}' for site, count in hour.unexplained.items())})"
        for hour in wrong[:NAMED_MAX]
    ]
    what = "Live and published agree, or the reasons on record explain why not."
    if away:
        what = f"Live was away or behind, so nothing is known of {_some(away)}."
    return dg.AssetCheckResult(
        check_name=AGREES_WITH_LIVE,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"No reason explains: {'; '.join(lines)}." if wrong else what,
        metadata={
            "hours_compared": len(found) - len(away),
            "hours_not_compared": len(away),
            "sites": sum(hour.sites for hour in found),
            "unexplained_events": sum(hour.unexplained_events for hour in found),
        },
    )


def comparison(found: Comparison, moves: Sequence[Blocked]) -> Metadata:
    """What a correction would change: shares, totals by site, and the values that move most."""
    appeared, vanished = appeared_and_vanished(found)
    return {
        "days": dg.MetadataValue.int(found.totals["day"].n_unique()),
        "rows_unchanged_share": dg.MetadataValue.float(unchanged_share(found)),
        "values_appeared": dg.MetadataValue.int(appeared),
        "values_vanished": dg.MetadataValue.int(vanished),
        "needs_approval": dg.MetadataValue.json([str(move) for move in moves]),
        "totals": _table(totals(found, DIFF_METRICS).head(DIFF_ROWS)),
        "values_that_move_most": _table(largest(found, "visitors", DIFF_ROWS)),
    }


def _table(rows: pl.DataFrame) -> dg.TableMetadataValue:
    records = [dg.TableRecord(row) for row in rows.iter_rows(named=True)]
    columns = [
        dg.TableColumn(name, "int" if kind.is_integer() else "string") for name, kind in rows.schema.items()
    ]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))
