"""What lies before the first asset, so that the lineage starts at the edge: services, topics, Lambdas.

Dagster runs none of these; the sensor `topic_lag` reports how they are.
"""

# Dagster reads the annotations of these functions, so they stay objects: no `annotations` from the future.

from typing import Final

import dagster as dg

from orchestration.resources import Workplace
from orchestration.steps.lag import LAG_MAX_RECORDS, lags

INGEST: Final = dg.AssetKey(["edge", "ingest"])
EVENTS: Final = dg.AssetKey(["topics", "events"])
IMPORTS: Final = dg.AssetKey(["topics", "imports"])
DEAD: Final = dg.AssetKey(["topics", "events_dead"])
STORE_BATCHES: Final = dg.AssetKey(["lambdas", "store_batches"])
PUBLISH_METRICS: Final = dg.AssetKey(["lambdas", "publish_metrics"])
LIVE: Final = dg.AssetKey(["streaming", "live"])
RAW: Final = dg.AssetKey(["tables", "raw"])

TOPICS: Final = {"events": EVENTS, "imports": IMPORTS}
LAG_CHECK: Final = "keeps_up"


def external_assets() -> list[dg.AssetSpec]:
    """The assets that other rooms make."""

    def spec(key: dg.AssetKey, kind: str, what: str, *deps: dg.AssetKey) -> dg.AssetSpec:
        return dg.AssetSpec(key, deps=deps, description=what, group_name="edge", kinds={kind})

    return [
        spec(INGEST, "python", "The door: an event answered with 202 is in a durable spool."),
        spec(EVENTS, "kafka", "Live events, shipped from the spools.", INGEST),
        spec(IMPORTS, "kafka", "Bulk history, so that an import never slows the live path.", INGEST),
        spec(STORE_BATCHES, "lambda", "Kafka to columnar items, receipts last.", EVENTS, IMPORTS),
        spec(PUBLISH_METRICS, "lambda", "Operational metrics by the second.", EVENTS),
        spec(LIVE, "python", "Minute rollups of the last hours, in memory.", EVENTS),
        spec(RAW, "dynamodb", "Every event as it was taken, and the receipts.", STORE_BATCHES),
        spec(DEAD, "kafka", "Records that can never be read, with their reason.", STORE_BATCHES),
    ]


def topic_checks() -> list[dg.AssetChecksDefinition]:
    """`keeps_up` of each topic: the sensor reports it, and it can be run by hand."""
    return [_keeps_up(topic, key) for topic, key in TOPICS.items()]


def _keeps_up(topic: str, key: dg.AssetKey) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=key, name=LAG_CHECK, description="store_batches is not far behind the topic's end.")
    def keeps_up(workplace: dg.ResourceParam[Workplace]) -> dg.AssetCheckResult:
        found = lags(workplace.log, workplace.raw, workplace.proven)
        unstored = sum(lag.unstored for lag in found if lag.source[0] == topic)
        return dg.AssetCheckResult(
            passed=unstored <= LAG_MAX_RECORDS,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"not_yet_stored": unstored, "limit": LAG_MAX_RECORDS},
        )

    return keeps_up
