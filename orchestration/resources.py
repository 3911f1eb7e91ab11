"""Everything that the steps may touch, in one resource: stores, topics, spools, clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import dagster as dg

from orchestration.groups import Groups, KafkaGroups
from orchestration.live_totals import LiveHttp, LiveTotals, NoLive
from orchestration.log import KafkaLog, Log
from orchestration.readers import DirectoryReaders, Readers
from orchestration.spools import DirectorySpools, Spools
from orchestration.steps.completeness import Proven
from recount.discovery import open_directory
from recount.kafka import producer
from recount.publishing import thresholds
from recount.publishing.collect import Collector
from recount.publishing.differ import Differ
from recount.publishing.logbook import Logbook
from recount.publishing.publisher import Publisher
from recount.publishing.reprocessing import Corrections
from recount.publishing.review import Review
from recount.publishing.rollback import Rollbacks
from recount.quarantine import DeadLetter, send
from recount.settings import Settings
from recount.store.archive import Archive
from recount.store.archive_sites import ArchiveSites
from recount.store.candidates import Candidates
from recount.store.catalog import Catalog
from recount.store.correction_log import CorrectionLog
from recount.store.erasures import Erasures
from recount.store.in_force import SitesInForce
from recount.store.manifests import Manifests
from recount.store.raw import RawStore
from recount.store.reconciliations import Reconciliations
from recount.store.reprocessings import Reprocessings
from recount.store.rulebook import Rulebook
from recount.store.salts import Salts
from recount.store.segments import SegmentStore
from recount.store.tables import Tables, open_tables
from recount.store.tombstones import Tombstones


@dataclass(frozen=True)
class Workplace:
    """The stores of one deployment; each opens when it is first used.

    `draft`: the reprocessing that this is the workplace of; what it archives nobody else goes on from.
    """

    settings: Settings
    tables: Tables
    log: Log
    spools: Spools
    quarantine: Callable[[Sequence[DeadLetter]], None]
    now_ms: Callable[[], int]
    sleep: Callable[[float], None]
    draft: str = ""
    live: LiveTotals = field(default_factory=NoLive)

    @cached_property
    def raw(self) -> RawStore:
        return RawStore(self.tables.raw, self.settings, self.tombstones.active)

    @cached_property
    def erasures(self) -> Erasures:
        return Erasures(self.tables.catalog)

    @cached_property
    def salts(self) -> Salts:
        return Salts(self.tables.salts)

    @cached_property
    def tombstones(self) -> Tombstones:
        return Tombstones(self.tables.catalog, self.now_ms)

    @cached_property
    def archive(self) -> Archive:
        return Archive(self.settings.archive_root, self.draft)

    @cached_property
    def archive_sites(self) -> ArchiveSites:
        return ArchiveSites(self.settings.archive_root, self.archive)

    @cached_property
    def candidates(self) -> Candidates:
        return Candidates(self.settings.archive_root)

    @cached_property
    def manifests(self) -> Manifests:
        return Manifests(self.tables.manifests)

    @cached_property
    def segments(self) -> SegmentStore:
        return SegmentStore(self.tables.rollups, self.settings.site_slots)

    @cached_property
    def publisher(self) -> Publisher:
        return Publisher(
            self.candidates,
            self.segments,
            self.manifests,
            self.catalog.sites,
            site_slots=self.settings.site_slots,
            top_values=self.settings.top_values,
            now_ms=self.now_ms,
            after=self.logbook.catch_up,
        )

    @cached_property
    def logbook(self) -> Logbook:
        return Logbook(
            self.manifests,
            self.segments,
            self.candidates,
            CorrectionLog(self.tables.catalog),
            self.catalog.sites,
            self.settings.site_slots,
            self.now_ms,
        )

    @cached_property
    def corrections(self) -> Corrections:
        return Corrections(
            self.publisher,
            self.manifests,
            self.candidates,
            self.archive,
            self.reprocessings,
            self.review,
            self.rulebook,
            self.now_ms,
        )

    @cached_property
    def review(self) -> Review:
        def differ() -> Differ:
            return Differ(self.manifests, self.segments, self.candidates, self.catalog.sites())

        return Review(differ, self.reprocessings, thresholds.parse(self.settings.diff_thresholds))

    @cached_property
    def collector(self) -> Collector:
        return Collector(self.manifests, self.segments, self.candidates, self.archive, self.reprocessings)

    @cached_property
    def rollbacks(self) -> Rollbacks:
        return Rollbacks(
            self.publisher,
            self.manifests,
            self.candidates,
            self.segments,
            self.reprocessings,
            self.rulebook,
            self.settings.site_slots,
        )

    @cached_property
    def catalog(self) -> Catalog:
        return Catalog(self.tables.catalog)

    @cached_property
    def rulebook(self) -> Rulebook:
        return Rulebook(self.tables.catalog)

    def sites_in_force(self, instead: Mapping[str, int] | None = None) -> SitesInForce:
        """The sites of now; `instead`: versions of rules that count every hour, by site or EVERY_SITE."""
        return SitesInForce(self.catalog.ruled(), self.rulebook, instead)

    @cached_property
    def reprocessings(self) -> Reprocessings:
        return Reprocessings(self.tables.catalog)

    @cached_property
    def reconciliations(self) -> Reconciliations:
        return Reconciliations(self.tables.manifests, self.settings.site_slots)

    @cached_property
    def groups(self) -> Groups:
        return KafkaGroups(self.settings)

    @cached_property
    def readers(self) -> Readers:
        return DirectoryReaders(open_directory(self.settings))

    @cached_property
    def proven(self) -> Proven:
        return Proven(self.tables.manifests)


def open_workplace(settings: Settings) -> Workplace:
    """The real one."""

    def quarantine(letters: Sequence[DeadLetter]) -> None:
        send(producer(settings), letters)

    directory = open_directory(settings)
    return Workplace(
        settings=settings,
        tables=open_tables(settings),
        log=KafkaLog(settings),
        spools=DirectorySpools(directory),
        live=LiveHttp(directory),
        quarantine=quarantine,
        now_ms=lambda: time.time_ns() // 1_000_000,
        sleep=time.sleep,
    )


def workplace_resource() -> dg.ResourceDefinition:
    """Opened when a run or a tick needs it, with the settings of the environment."""

    def opened(_: dg.InitResourceContext) -> Workplace:
        return open_workplace(Settings.from_env())

    return dg.ResourceDefinition(resource_fn=opened)
