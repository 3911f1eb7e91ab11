"""The sensor `alerts`: looks around, keeps the book of incidents in its cursor, tells the receivers."""

# Dagster reads the annotations of these functions, so they stay objects: no `annotations` from the future.

from collections.abc import Sequence
from typing import Self

import dagster as dg
import msgspec

from orchestration.alerts.book import Book
from orchestration.alerts.deliver import Delivery, deliver
from orchestration.alerts.look import Watch, look_around
from orchestration.alerts.problems import RUN, Links, moment
from orchestration.alerts.receivers import receivers
from orchestration.alerts.runs import Runs, look_at_runs
from orchestration.resources import Workplace
from recount.settings import Settings


class Memory(msgspec.Struct, kw_only=True):
    """The cursor: it outlives the daemon, and what it tells of does not hold it."""

    watch: Watch = msgspec.field(default_factory=Watch)
    runs: Runs = msgspec.field(default_factory=Runs)
    book: Book = msgspec.field(default_factory=Book)

    @classmethod
    def of(cls, cursor: str | None) -> Self:
        return msgspec.json.decode(cursor, type=cls) if cursor else cls()

    def cursor(self) -> str:
        return msgspec.json.encode(self).decode()


def alerts_sensor(settings: Settings) -> dg.SensorDefinition:
    """Made with the settings of the code server."""

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=settings.alert_every_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Lag of every group, failed runs, late and stale hours, gaps, quarantine: told once, and "
        "once when it is over.",
    )
    def alerts(
        context: dg.SensorEvaluationContext, workplace: dg.ResourceParam[Workplace]
    ) -> dg.SensorResult:
        memory = Memory.of(context.cursor)
        links, now_ms = Links(workplace.settings.dagster_page), workplace.now_ms()
        found = look_around(workplace, memory.watch, links)
        failed = look_at_runs(context.instance, memory.runs, links, now_ms)
        book = memory.book.noted(
            [*found.problems, *failed],
            checked={*found.checked, RUN},
            now_ms=now_ms,
            settle_ms=workplace.settings.alert_settle_s * 1000,
        )
        memory.book, deliveries = deliver(book, receivers(workplace.settings))
        _say(context, memory.book, deliveries)
        return dg.SensorResult(skip_reason=_summary(memory.book), cursor=memory.cursor())

    return alerts


def _say(context: dg.SensorEvaluationContext, book: Book, deliveries: Sequence[Delivery]) -> None:
    for incident in book.incidents.values():
        if not incident.over_ms:
            problem = incident.problem
            context.log.warning(f"{problem.title}, since {moment(problem.since_ms)}: {problem.what}")
    for delivery in deliveries:
        if delivery.error:
            context.log.error(f"{delivery.receiver} could not be told, trying again: {delivery.error}")


def _summary(book: Book) -> str:
    titles = [incident.problem.title for incident in book.incidents.values() if not incident.over_ms]
    return "; ".join(titles[:10]) or "nothing is wrong"
