"""`store_batches` for the records of a partition from an offset on, killed after the first of its items.

python -m tests.faults.dies_between_items PARTITION FIRST
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable

import orjson
from confluent_kafka import Message, TopicPartition

from deploy.local.kafka_payload import payload
from lambdas.store_batches import App, store
from recount import kafka
from recount.settings import Settings
from recount.store.dynamo_table import DynamoTable
from recount.store.raw import RawStore
from recount.store.table import Item
from recount.store.tables import dynamodb_client
from tests.faults.room import now_ms


class DiesAfterOne(DynamoTable):
    """Writes one item, and is gone."""

    def put_many(self, items: Iterable[Item]) -> None:
        given = list(items)
        assert len(given) > 1, "there is nothing between its items"
        super().put_many(given[:1])
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    settings, place = Settings.from_env(), (kafka.EVENTS, int(sys.argv[1]))
    event = orjson.loads(payload(_records(settings, place, int(sys.argv[2])), settings.kafka))
    table = DiesAfterOne(dynamodb_client(settings), settings.table_prefix + "raw")
    store(App(RawStore(table, settings), lambda letters: None, now_ms), event)


def _records(settings: Settings, place: kafka.SourcePartition, first: int) -> list[Message]:
    end = kafka.offset_ranges(settings, [place])[place][1]
    client = kafka.consumer(settings, "dies-between-items")
    client.assign([TopicPartition(*place, first)])
    found: list[Message] = []
    while len(found) < end - first:
        found += client.consume(end - first - len(found), timeout=1.0)
    client.close()
    return found


if __name__ == "__main__":
    main()
