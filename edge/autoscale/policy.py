"""What an operator wants of the autoscaler, one policy a service."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from recount.errors import SetupError
from recount.settings import Settings

UP_ABOVE: Final = 1.1  # of the target: what a few more requests do not cross back and forth
DOWN_BELOW: Final = 0.8  # of the target, with the instances that would be left
INSTANCES_MAX: Final = 20


class Mode(Enum):
    """What becomes of a decision."""

    ON = "on"
    DRY_RUN = "dry-run"  # said, not done
    OFF = "off"  # nothing is decided


@dataclass(frozen=True, kw_only=True)
class Policy:
    """`target` is the load that one instance should have, in `unit` per second."""

    service: str
    unit: str
    minimum: int
    maximum: int
    target: float
    backlog_max_s: float = 0.0  # of work at the target's pace; 0: the service has no backlog
    up_cooldown_s: float
    down_cooldown_s: float
    stale_s: float  # a signal older than this is none


def mode_of(settings: Settings) -> Mode:
    """Raises SetupError for a word that is none."""
    try:
        return Mode(settings.autoscale)
    except ValueError:
        said = " or ".join(mode.value for mode in Mode)
        raise SetupError("autoscaler", f"RECOUNT_AUTOSCALE={settings.autoscale!r}", f"set {said}") from None


def ingest_policy(settings: Settings) -> Policy:
    """Raises SetupError for limits that contradict each other."""
    return _policy(
        settings,
        "ingest",
        "requests",
        settings.ingest_min,
        settings.ingest_max,
        settings.target_requests_per_s,
    )


def live_policy(settings: Settings) -> Policy:
    """Never more instances than partitions: the others would have nothing to read. Raises SetupError."""
    most = min(settings.live_max, settings.kafka_partitions)
    least = min(settings.live_min, settings.kafka_partitions)
    return _policy(
        settings, "live", "records", least, most, settings.target_records_per_s, settings.live_lag_max_s
    )


def _policy(
    settings: Settings, service: str, unit: str, least: int, most: int, target: int, backlog_max_s: int = 0
) -> Policy:
    if not 1 <= least <= most <= INSTANCES_MAX:
        name = f"RECOUNT_{service.upper()}"
        raise SetupError(
            "autoscaler",
            f"{name}_MIN is {least} and {name}_MAX is {most}",
            f"set both between 1 and {INSTANCES_MAX}, the first not above the second",
        )
    if target < 1 or settings.autoscale_interval_s < 1:
        raise SetupError(
            "autoscaler",
            f"a target of {target} {unit}/s every {settings.autoscale_interval_s} s",
            "set both to 1 or more",
        )
    return Policy(
        service=service,
        unit=unit,
        minimum=least,
        maximum=most,
        target=target,
        backlog_max_s=backlog_max_s,
        up_cooldown_s=settings.scale_up_cooldown_s,
        down_cooldown_s=settings.scale_down_cooldown_s,
        stale_s=3 * settings.autoscale_interval_s,
    )
