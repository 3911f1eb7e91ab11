"""Sensors: one keeps what is published true to what is stored, one shows how the topics are."""

# Dagster reads the annotations of these functions, so they stay objects: no `annotations` from the future.

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final, Self

import dagster as dg
import msgspec

from orchestration import external
from orchestration.jobs import HOUR_JOB
from orchestration.partitions import PARTITION, RANGE_END, RANGE_START, range_tags
from orchestration.resources import Workplace
from orchestration.stage import CANDIDATE, STAGE_TAG
from orchestration.steps.cut import key, texts
from orchestration.steps.lag import LAG_MAX_RECORDS, Lag, lags
from orchestration.steps.reconcile import Patience, State, due, hour_end_ms, look
from recount.errors import Unavailable
from recount.periods import FIRST_HOUR, HourRange, hour_ranges, hours_in, next_hour
from recount.settings import Settings

TOPICS_EVERY_S: Final = 60
SCHEDULE_FIRST_MS: Final = (
    150_000  # the schedule has this long after the grace before an hour counts as missed
)
REQUESTS_MAX: Final = 3  # runs a tick
SPAN_MAX_HOURS: Final = 720  # of one run
GAP_MAX_HOURS: Final = 5  # hours without need between two are cheaper to take along than another run
RETRY_MS: Final = 10 * 60_000  # the same need starts a run again after this long
REPORT_EVERY_MS: Final = 300_000
NOT_FINISHED: Final = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def reconcile_sensor(settings: Settings) -> dg.SensorDefinition:
    """Made with the settings of the code server."""

    @dg.sensor(
        name="reconcile",
        job_name=HOUR_JOB,
        minimum_interval_seconds=settings.reconcile_every_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Hours missed, hours with late events, and hours behind a changed carry.",
    )
    def reconcile(
        context: dg.SensorEvaluationContext, workplace: dg.ResourceParam[Workplace]
    ) -> dg.SensorResult:
        return _reconcile(context, workplace)

    return reconcile


def _reconcile(context: dg.SensorEvaluationContext, workplace: Workplace) -> dg.SensorResult:
    """The cursor is the state of `steps.reconcile`."""
    try:
        sources = sorted(workplace.log.ranges())
        state = look(
            State.of(context.cursor),
            workplace.raw,
            workplace.manifests,
            sources,
            workplace.proven.spans(),
        )
    except Unavailable as error:
        return dg.SensorResult(skip_reason=f"{error}; looking again soon")
    now_ms = workplace.now_ms()
    schedule_ms = workplace.settings.grace_s * 1000 + SCHEDULE_FIRST_MS
    hours = due(
        state,
        Patience.of(workplace.settings),
        now_ms=now_ms,
        not_before=lambda hour: hour_end_ms(hour) + schedule_ms,
    )
    early = [hour for hour in hours if hour < FIRST_HOUR]
    if early:
        context.log.warning(f"{len(early)} hours before {FIRST_HOUR} have no partition and are not published")
    busy = in_progress(context.instance).union(early) if hours else set()
    spans = hour_ranges(
        [h for h in hours if h not in busy], gap_max_hours=GAP_MAX_HOURS, span_max_hours=SPAN_MAX_HOURS
    )
    requests = [run_request(span, state, now_ms) for span in spans[:REQUESTS_MAX]]
    if requests:
        return dg.SensorResult(run_requests=requests, cursor=state.cursor())
    why = (
        f"{len(state.waiting)} hours wait, {len(hours)} of them are due"
        if state.waiting
        else "all is published"
    )
    return dg.SensorResult(skip_reason=why, cursor=state.cursor())


def run_request(span: HourRange, state: State, now_ms: int) -> dg.RunRequest:
    """One run over a range. Its key is what the range lacks, so that the same need starts a second run only
    if it is still there after `RETRY_MS`."""
    lacking = {hour: state.waiting[hour].last for hour in hours_in(span) if hour in state.waiting}
    digest = hashlib.sha256(msgspec.json.encode(lacking, order="sorted")).hexdigest()[:12]
    return dg.RunRequest(run_key=f"{span[0]}..{span[1]}#{digest}#{now_ms // RETRY_MS}", tags=range_tags(span))


def in_progress(instance: dg.DagsterInstance) -> set[str]:
    """The hours that runs waiting or under way will publish, and the hour after each: it may follow."""
    hours: set[str] = set()
    for run in instance.get_runs(dg.RunsFilter(statuses=list(NOT_FINISHED))):
        if run.tags.get(STAGE_TAG) == CANDIDATE:
            continue
        one = run.tags.get(PARTITION, "")
        first, last = run.tags.get(RANGE_START, one), run.tags.get(RANGE_END, one)
        if "T" in first:  # an hour, not a day or a month
            hours.update(hours_in((first, next_hour(last))))
    return hours


@dg.sensor(
    minimum_interval_seconds=TOPICS_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Shows the topics' ends and how far store_batches is behind, without any run.",
)
def topic_lag(context: dg.SensorEvaluationContext, workplace: dg.ResourceParam[Workplace]) -> dg.SensorResult:
    """The cursor is what was told last."""
    try:
        found = lags(workplace.log, workplace.raw, workplace.proven)
    except Unavailable as error:
        context.log.warning(f"{error}: see its log")
        return dg.SensorResult(skip_reason=str(error))
    told, now = Told.of(context.cursor), Told.now(found, workplace.now_ms())
    if told.is_like(now):
        return dg.SensorResult(skip_reason="nothing new to tell")
    for topic in now.behind:
        context.log.warning(f"store_batches is behind on topic {topic}: see that it runs, and its log")
    events = [event for topic in external.TOPICS for event in _events(topic, found)]
    return dg.SensorResult(asset_events=events, cursor=msgspec.json.encode(now).decode())


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the sensor said: end offsets, the topics that `store_batches` is behind on, and when."""

    ends: dict[str, int] = {}
    behind: list[str] = []
    at_ms: int = 0

    @classmethod
    def of(cls, cursor: str | None) -> Self:
        return msgspec.json.decode(cursor, type=cls) if cursor else cls()

    @classmethod
    def now(cls, found: Sequence[Lag], now_ms: int) -> Self:
        behind = [topic for topic in external.TOPICS if _unstored(topic, found) > LAG_MAX_RECORDS]
        return cls(ends=texts({lag.source: lag.end for lag in found}), behind=behind, at_ms=now_ms)

    def is_like(self, now: Self) -> bool:
        """Whether there is nothing to tell: no change, or a change of numbers alone a short while ago."""
        if self.behind != now.behind:
            return False
        return self.ends == now.ends or now.at_ms - self.at_ms < REPORT_EVERY_MS


def _events(topic: str, found: Sequence[Lag]) -> Iterator[dg.AssetObservation | dg.AssetCheckEvaluation]:
    ends = {key(lag.source): lag.end for lag in found if lag.source[0] == topic}
    unstored = _unstored(topic, found)
    metadata: dict[str, int | dg.JsonMetadataValue] = {
        "records": sum(ends.values()),
        "not_yet_stored": unstored,
        "ends": dg.MetadataValue.json(ends),
    }
    yield dg.AssetObservation(external.TOPICS[topic], metadata=metadata)
    yield dg.AssetCheckEvaluation(
        asset_key=external.TOPICS[topic],
        check_name=external.LAG_CHECK,
        passed=unstored <= LAG_MAX_RECORDS,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"not_yet_stored": unstored, "limit": LAG_MAX_RECORDS},
    )


def _unstored(topic: str, found: Sequence[Lag]) -> int:
    return sum(lag.unstored for lag in found if lag.source[0] == topic)
