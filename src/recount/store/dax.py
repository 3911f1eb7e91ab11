"""Reading through DAX: items that never change, from the memory of its nodes.

DAX decides nothing. While it is away DynamoDB is read instead, and what it denies although an index names it
is read again from DynamoDB (`blobs.fetch_existing`).
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog
from botocore.config import Config

from recount.errors import Unavailable
from recount.metrics import DAX_READS, Metrics
from recount.settings import Settings
from recount.store.dynamo_table import DynamoTable
from recount.store.table import Item, Key, Reads, Table
from recount.store.tables import ROLLUPS, access_key

PAUSE_MIN_S: Final = 1.0
PAUSE_MAX_S: Final = 30.0
CONNECT_TIMEOUT_S: Final = 1.0
READ_TIMEOUT_S: Final = 2.0  # longest that a read waits for a node that says nothing
FROM_DAX, FROM_DYNAMODB, DENIED = OUTCOMES = ("dax", "dynamodb", "denied")

_log = structlog.get_logger()


@dataclass(frozen=True, eq=False)
class Connection:
    """A table as DAX shows it, and what ends the client behind it."""

    table: Reads
    close: Callable[[], object]


def _in_background(work: Callable[[], object]) -> None:
    threading.Thread(target=work, name="dax", daemon=True).start()


class Connector:
    """Keeps a connection to DAX, made and made again beside the reads, after growing pauses.

    No read waits for it. `background` runs what takes time; `clock` gives seconds.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        clock: Callable[[], float] = time.monotonic,
        background: Callable[[Callable[[], object]], object] = _in_background,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._background = background
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._trying = False
        self._due_s = clock()
        self._pause_s = PAUSE_MIN_S
        self._away = False  # as logged

    def current(self) -> Connection | None:
        """The connection; None while there is none, and then the next try is begun once it is due."""
        with self._lock:
            if self._connection is not None or self._trying or self._clock() < self._due_s:
                return self._connection
            self._trying = True
        self._background(self._try)
        return self._connection

    def worked(self) -> None:
        """A read through the connection succeeded: the next pause is a short one again."""
        if self._away:
            with self._lock:
                self._pause_s, self._away = PAUSE_MIN_S, False
            _log.info("dax_reached")

    def failed(self, connection: Connection, error: Exception) -> None:
        """A read through the connection failed: it is given up, unless that has happened already."""
        with self._lock:
            if self._connection is not connection:
                return
            self._connection = None
            self._put_off(error)
        self._background(connection.close)

    def close(self) -> None:
        """For good: there will be no connection any more."""
        with self._lock:
            connection, self._connection, self._due_s = self._connection, None, math.inf
        if connection is not None:
            connection.close()

    def _try(self) -> None:
        made: Connection | None = None
        failure: Exception | None = None
        try:
            made = self._connect()
        except Exception as error:  # noqa: BLE001 - its client raises of every kind, and nothing depends on it
            failure = error
        with self._lock:
            self._trying = False
            if failure is not None:
                self._put_off(failure)
            elif self._due_s < math.inf:
                self._connection, made = made, None
        if made is not None:  # closed meanwhile
            made.close()

    def _put_off(self, error: Exception) -> None:
        self._due_s = max(self._due_s, self._clock() + self._pause_s)
        self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)
        if not self._away:
            self._away = True
            _log.warning("dax_away", error=f"{type(error).__name__}: {error}")


class DaxReads:
    """Reads of immutable items: from DAX, and from the table itself while DAX is away."""

    def __init__(self, table: Reads, connector: Connector, metrics: Metrics) -> None:
        self._table = table
        self._connector = connector
        counter = metrics.counter(DAX_READS)
        self._counts = {outcome: counter.labels(outcome) for outcome in OUTCOMES}

    def get_many(self, keys: Sequence[Key]) -> dict[Key, Item]:
        """The items that DAX or, without it, the table has. What is missing is for the caller to read again.

        Raises Unavailable where DAX is away and DynamoDB too.
        """
        found = self._through_dax(keys)
        if found is None:
            self._counts[FROM_DYNAMODB].inc(len(keys))
            return self._table.get_many(keys)
        self._counts[FROM_DAX].inc(len(found))
        denied = [key for key in keys if key not in found]
        if denied:
            self._counts[DENIED].inc(len(denied))
            _log.error("dax_denies", items=len(denied), first=denied[0])
        return found

    def _through_dax(self, keys: Sequence[Key]) -> dict[Key, Item] | None:
        connection = self._connector.current()
        if connection is None:
            return None
        try:
            found = connection.table.get_many(keys)
        except Exception as error:  # noqa: BLE001 - whatever its client runs into, DynamoDB has the items
            self._connector.failed(connection, error)
            return None
        self._connector.worked()
        return found


def connect(settings: Settings) -> Connection:
    """A connection to the DAX of the settings, for rollups; raises whatever its client raises."""
    client = _client(settings)
    return Connection(_rollups(settings, client), client.close)


def forget(settings: Settings, keys: Sequence[Key]) -> None:
    """Delete items of rollups through DAX, so that its nodes keep none of them.

    Raises Unavailable where DAX cannot be reached: then they are there until their time in it is over.
    """
    try:
        client = _client(settings)
        try:
            _rollups(settings, client).delete_many(keys)
        finally:
            client.close()
    except Exception as error:  # its client raises of every kind
        raise Unavailable("dax", f"{type(error).__name__}: {error}") from error


def _rollups(settings: Settings, client: Any) -> DynamoTable:
    return DynamoTable(client, settings.table_prefix + ROLLUPS, part="dax")


def _client(settings: Settings) -> Any:
    from amazondax import AmazonDaxClient  # slow to import: here it costs no start of a service

    logging.getLogger("amazondax").setLevel(logging.ERROR)  # its health checks would fill the log
    return AmazonDaxClient(
        endpoint_url=settings.dax if "://" in settings.dax else f"dax://{settings.dax}",
        region_name=settings.aws_region,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S, read_timeout=READ_TIMEOUT_S, retries={"max_attempts": 0}
        ),
        aws_access_key_id=access_key(settings),
        aws_secret_access_key=access_key(settings),
    )


@contextmanager
def reads_of(settings: Settings, rollups: Table, metrics: Metrics) -> Iterator[Reads]:
    """How segments are read in a deployment: through DAX where the settings name one."""
    if not settings.dax:
        yield rollups
        return
    connector = Connector(partial(connect, settings))
    try:
        yield DaxReads(rollups, connector, metrics)
    finally:
        connector.close()
