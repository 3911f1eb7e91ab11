"""Where the autoscaler sees the load: Traefik's counters for requests, Kafka's offsets for records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import httpx
from confluent_kafka import Consumer, KafkaException

from edge.autoscale.decide import Observation
from edge.autoscale.rates import CounterRates, requests_of
from edge.front import LOOPBACK
from recount import kafka
from recount.discovery import Directory, Instance
from recount.errors import Unavailable
from recount.kafka import EVENTS
from recount.settings import Settings

TIMEOUT_S: Final = 2.0
TRAEFIK: Final = "traefik"
LIVE: Final = "live"


class Signal(Protocol):
    """One service's load."""

    def look(self, instances: int, now: float) -> Observation:
        """What is seen now, with `instances` wanted at present. Raises nothing: what is missing is said."""
        ...


def loopback_client() -> httpx.Client:
    return httpx.Client(timeout=TIMEOUT_S, trust_env=False)


class TraefikRequests:
    """Requests per second that the Traefik instances of this host hand to a service."""

    def __init__(
        self, service: str, directory: Directory, settings: Settings, client: httpx.Client | None = None
    ) -> None:
        self._service = service
        self._directory = directory
        self._settings = settings
        self._client = client or loopback_client()
        self._rates = CounterRates()

    def look(self, instances: int, now: float) -> Observation:
        try:
            traefiks = [i for i in self._directory.instances(TRAEFIK) if i.host == self._settings.host]
        except Unavailable as error:
            return Observation(instances, now, missing=str(error))
        if not traefiks:
            return Observation(instances, now, missing="no Traefik is in the directory")
        self._rates.forget_all_but({i.id for i in traefiks})
        seen = {i.id: self._rate(i, now) for i in traefiks}
        rates = [rate for rate in seen.values() if isinstance(rate, float)]
        unknown = ", ".join(f"{name} {rate}" for name, rate in seen.items() if isinstance(rate, str))
        if not rates:
            return Observation(instances, now, missing=unknown)
        return Observation(instances, now, sum(rates), partial=unknown)

    def _rate(self, traefik: Instance, now: float) -> float | str:
        """Requests per second, or why they are not known."""
        port = self._settings.traefik_admin_port + traefik.port - self._settings.traefik_port
        try:
            answer = self._client.get(f"http://{LOOPBACK}:{port}/metrics").raise_for_status()
            counts = requests_of(answer.text, self._service)
        except (httpx.HTTPError, ValueError) as error:
            return f"does not say its metrics ({type(error).__name__})"
        rate = self._rates.rate(traefik.id, counts, now)
        return "was seen for the first time" if rate is None else rate


class LiveLag:
    """Records per second that arrive in the topic, and how many of them the live service has not read.

    Unknown while an instance reads its last hours again: that looks like lag, and another instance would only
    start one more such reading.
    """

    def __init__(
        self,
        directory: Directory,
        settings: Settings,
        *,
        make_client: Callable[[], Consumer] | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._make_client = make_client or (
            lambda: kafka.consumer(settings, kafka.live_group(settings), options={"log_level": 0})
        )
        self._consumer: Consumer | None = None
        self._http = http or loopback_client()
        self._rates = CounterRates()

    def look(self, instances: int, now: float) -> Observation:
        try:
            unsettled = self._unsettled(instances)
            ends, lag = self._offsets()
        except (Unavailable, KafkaException) as error:
            return Observation(instances, now, missing=f"no offsets of Kafka: {_said(error)}")
        rate = self._rates.rate(EVENTS, {(("topic", EVENTS),): float(ends)}, now)
        if unsettled:
            return Observation(instances, now, backlog=lag, missing=unsettled)
        if rate is None:
            return Observation(instances, now, backlog=lag, missing="offsets were seen for the first time")
        return Observation(instances, now, rate, backlog=lag)

    def _unsettled(self, instances: int) -> str:
        """Why the lag says nothing yet; empty where it does."""
        present = self._directory.instances(LIVE)
        if len(present) < instances:
            return f"{len(present)} of {instances} live instances are in the directory"
        reading = [i.id for i in present if not self._is_ready(i)]
        return f"the last hours are read again by {', '.join(reading)}" if reading else ""

    def _is_ready(self, instance: Instance) -> bool:
        try:
            return self._http.get(f"{instance.url}/readyz").is_success
        except httpx.HTTPError:
            return False

    def _offsets(self) -> tuple[int, int]:
        """The sum of the topic's end offsets, and of what lies between them and the group's commits."""
        self._consumer = self._consumer or self._make_client()
        partitions: Sequence[kafka.SourcePartition] = [
            (EVENTS, n) for n in range(self._settings.kafka_partitions)
        ]
        ranges = kafka.ranges_by(self._consumer, partitions, TIMEOUT_S)
        lag = kafka.lag_by(self._consumer, ranges, TIMEOUT_S) or 0
        return sum(end for _, end in ranges.values()), lag


def _said(error: Exception) -> str:
    return error.args[0].str() if isinstance(error, KafkaException) else str(error)
