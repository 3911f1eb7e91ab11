"""Dagster's own storage in SQLite, which also writes what a run says of many partitions in one go.

A run over a range reports every hour of it. Dagster hands these events over in batches of
`DAGSTER_EVENT_BATCH_SIZE`, but its SQLite storage writes them one by one, each in several commits to two
files: over a month of hours that takes longer than computing them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from dagster._core.events import ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlalchemy_compat import db_result
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage, _event_logs_directory
from dagster._serdes import ConfigurableClassData


class BatchedEventLog(SqliteEventLogStorage):
    """The same files and rows as Dagster's own."""

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Events of assets in one transaction for each file; any other event as it is stored alone."""
        batch = [event for event in events if event.dagster_event_type in ASSET_EVENTS]
        for run_id in dict.fromkeys(event.run_id for event in batch):
            self._store(run_id, [event for event in batch if event.run_id == run_id])
        for event in events:
            if event.dagster_event_type not in ASSET_EVENTS:
                self.store_event(event)

    def _store(self, run_id: str, events: Sequence[EventLogEntry]) -> None:
        """As `store_event` does it: into the log of the run, and into the index over all runs."""
        inserts = [self.prepare_insert_event(event) for event in events]
        with self.run_connection(run_id) as run:
            for insert in inserts:
                run.execute(insert)
        with self.index_transaction() as index:
            ids = []
            for insert in inserts:
                with db_result(index, insert) as result:
                    ids.append(result.inserted_primary_key[0])
            self._store_asset_event_tags(index, events, ids)
            for event, event_id in zip(events, ids, strict=True):
                self._store_asset_event(index, event, event_id)


class Storage(DagsterSqliteStorage):
    """What `dagster.yaml` names."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = BatchedEventLog(_event_logs_directory(base_dir))

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        return cls.from_local(inst_data=inst_data, **config_value)
