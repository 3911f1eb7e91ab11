"""The five tables, how they are made, and the clients that reach them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config

from recount.settings import Settings
from recount.store.dynamo_table import DynamoTable
from recount.store.memory_table import MemoryTable
from recount.store.table import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROLLUPS: Final = "rollups"
NAMES: Final = ("raw", ROLLUPS, "manifests", "catalog", "salts")
WITH_TTL: Final = ("raw",)
TTL_ATTRIBUTE: Final = "ttl"  # seconds UTC


@dataclass(frozen=True)
class Tables:
    """The tables by what they hold."""

    raw: Table
    rollups: Table
    manifests: Table
    catalog: Table
    salts: Table


def dynamodb_client(settings: Settings) -> DynamoDBClient:
    """A low-level client; an empty `dynamodb` setting means AWS itself with the machine's own credentials."""
    config = Config(
        connect_timeout=2,
        read_timeout=10,
        retries={"mode": "standard", "max_attempts": 4},
        max_pool_connections=32,
    )
    return boto3.client(
        "dynamodb",
        endpoint_url=settings.dynamodb or None,
        region_name=settings.aws_region,
        aws_access_key_id=access_key(settings),
        aws_secret_access_key=access_key(settings),
        config=config,
    )


def access_key(settings: Settings) -> str | None:
    """Key and secret for a client: anything for a stand-in; none, so the machine's own, for AWS."""
    return "local" if settings.dynamodb else None


def open_tables(settings: Settings) -> Tables:
    """The tables of a deployment."""
    client = dynamodb_client(settings)
    return Tables(**{name: DynamoTable(client, settings.table_prefix + name) for name in NAMES})


def memory_tables() -> Tables:
    """Empty tables for unit tests."""
    return Tables(**{name: MemoryTable() for name in NAMES})


def ensure_tables(settings: Settings) -> None:
    """Create what is missing, on demand (pay per request), with TTL where the table has one."""
    client = dynamodb_client(settings)
    existing = {
        name for page in client.get_paginator("list_tables").paginate() for name in page["TableNames"]
    }
    for name in NAMES:
        full = settings.table_prefix + name
        if full not in existing:
            _create(client, full, with_ttl=name in WITH_TTL)


def _create(client: DynamoDBClient, name: str, *, with_ttl: bool) -> None:
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    if with_ttl:
        client.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": TTL_ATTRIBUTE}
        )
