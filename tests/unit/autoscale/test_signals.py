"""The load as it is read from Traefik's counters and Kafka's offsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import httpx
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from edge.autoscale.rates import CounterRates, requests_of
from edge.autoscale.signals import LiveLag, TraefikRequests
from recount.discovery import FileDirectory, Instance
from recount.errors import Unavailable
from recount.settings import Settings

PAGE = """\
# HELP traefik_service_requests_total How many HTTP requests processed on a service.
# TYPE traefik_service_requests_total counter
traefik_service_requests_total{{code="202",method="POST",service="ingest@consulcatalog"}} {posts}
traefik_service_requests_total{{code="200",method="GET",service="ingest@consulcatalog"}} {pixels}
traefik_service_requests_total{{code="200",method="GET",service="dashboard@consulcatalog"}} 900
# TYPE traefik_config_reloads_total counter
traefik_config_reloads_total 3
"""
SETTINGS = Settings(kafka_partitions=2)
LABELS = (("code", "202"),)


def test_the_requests_of_one_service_are_picked_out() -> None:
    counts = requests_of(PAGE.format(posts=1.5e3, pixels=40), "ingest")
    assert sorted(counts.values()) == [40, 1500]
    assert requests_of(PAGE.format(posts=1, pixels=1), "live") == {}


def test_a_page_that_is_no_exposition_is_an_error() -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the parser says of it
        requests_of("<html>not found</html>", "ingest")


def test_a_rate_needs_two_looks() -> None:
    rates = CounterRates()
    assert rates.rate("one", {LABELS: 100.0}, 10) is None
    assert rates.rate("one", {LABELS: 160.0}, 15) == 12
    assert rates.rate("one", {LABELS: 160.0}, 15) is None, "no time has passed"
    assert rates.rate("one", {LABELS: 160.0}, 20) == 0


def test_a_counter_that_went_back_began_at_zero_and_a_new_one_too() -> None:
    rates = CounterRates()
    rates.rate("one", {LABELS: 1_000_000.0}, 0)
    assert rates.rate("one", {LABELS: 50.0}, 10) == 5
    assert rates.rate("one", {LABELS: 50.0, (("code", "503"),): 20.0}, 20) == 2


def test_who_went_and_came_back_begins_anew() -> None:
    rates = CounterRates()
    rates.rate("one", {LABELS: 10.0}, 0)
    rates.forget_all_but(["two"])
    assert rates.rate("one", {LABELS: 500.0}, 10) is None


@dataclass
class Traefiks:
    """Pages by port; None: it does not answer."""

    folder: Path
    pages: dict[int, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directory = FileDirectory(self.folder)
        client = httpx.Client(transport=httpx.MockTransport(self._answer))
        self.signal = TraefikRequests("ingest", self.directory, SETTINGS, client)

    def shows(self, number: int, posts: float | None) -> None:
        port = SETTINGS.traefik_port + number
        self.directory.register(Instance("traefik", f"traefik-{port}", SETTINGS.host, port))
        page = None if posts is None else PAGE.format(posts=posts, pixels=0)
        self.pages[SETTINGS.traefik_admin_port + number] = page

    def _answer(self, request: httpx.Request) -> httpx.Response:
        page = self.pages[request.url.port or 0]
        return httpx.Response(404) if page is None else httpx.Response(200, text=page)


def test_the_load_is_that_of_all_traefiks_together(tmp_path: Path) -> None:
    traefiks = Traefiks(tmp_path)
    assert traefiks.signal.look(2, 0).missing == "no Traefik is in the directory"
    traefiks.shows(0, 1000)
    assert "traefik-8090 was seen for the first time" in traefiks.signal.look(2, 5).missing
    traefiks.shows(0, 2000)
    traefiks.shows(1, 77)
    second = traefiks.signal.look(2, 10)
    assert (second.load_per_s, second.partial) == (200, "traefik-8091 was seen for the first time")
    traefiks.shows(0, 2500)
    traefiks.shows(1, 577)
    third = traefiks.signal.look(2, 15)
    assert (third.load_per_s, third.partial, third.at_s) == (200, "", 15)


def test_a_traefik_that_does_not_answer_is_named(tmp_path: Path) -> None:
    traefiks = Traefiks(tmp_path)
    for posts in (0, 500):
        traefiks.shows(0, posts)
        traefiks.shows(1, None)
        seen = traefiks.signal.look(1, posts / 100)
    assert (seen.load_per_s, seen.partial) == (100, "traefik-8091 does not say its metrics (HTTPStatusError)")
    traefiks.shows(0, None)
    assert traefiks.signal.look(1, 10).load_per_s is None


class NoDirectory(FileDirectory):
    def instances(self, service: str) -> list[Instance]:
        raise Unavailable("consul", "no answer")


def test_a_directory_that_is_away_is_said(tmp_path: Path) -> None:
    seen = TraefikRequests("ingest", NoDirectory(tmp_path), SETTINGS).look(1, 0)
    assert (seen.load_per_s, seen.missing) == (None, "consul is unavailable: no answer")
    live = LiveLag(NoDirectory(tmp_path), SETTINGS, make_client=lambda: cast(Consumer, Offsets()))
    assert live.look(1, 0).load_per_s is None


@dataclass
class Offsets:
    """A consumer that knows ends and commits by partition; a commit of -1001 is none."""

    ends: list[int] = field(default_factory=lambda: [100, 50])
    commits: list[int] = field(default_factory=lambda: [100, 50])
    away: bool = False

    def get_watermark_offsets(self, place: TopicPartition, timeout: float, cached: bool) -> tuple[int, int]:
        if self.away:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT, "all brokers are down"))
        return 0, self.ends[place.partition]

    def committed(self, places: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [TopicPartition(p.topic, p.partition, self.commits[p.partition]) for p in places]


@dataclass
class Readers:
    """Live instances in a directory, ready or not."""

    folder: Path
    ready: dict[int, bool]
    offsets: Offsets = field(default_factory=Offsets)

    def __post_init__(self) -> None:
        self.directory = FileDirectory(self.folder)
        for port in self.ready:
            self.directory.register(Instance("live", f"live-{port}", "127.0.0.1", port))
        self.signal = LiveLag(
            self.directory,
            SETTINGS,
            make_client=lambda: cast(Consumer, self.offsets),
            http=httpx.Client(transport=httpx.MockTransport(self._answer)),
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200 if self.ready[request.url.port or 0] else 503)


def test_the_lag_is_what_lies_behind_the_ends(tmp_path: Path) -> None:
    readers = Readers(tmp_path, {8180: True})
    assert "first time" in readers.signal.look(1, 0).missing
    readers.offsets.ends, readers.offsets.commits = [600, 50], [400, 50]
    seen = readers.signal.look(1, 10)
    assert (seen.load_per_s, seen.backlog, seen.missing) == (50, 200, "")


def test_a_group_that_has_committed_nothing_has_no_lag_yet(tmp_path: Path) -> None:
    readers = Readers(tmp_path, {8180: True})
    readers.offsets.commits = [-1001, -1001]
    assert readers.signal.look(1, 0).backlog == 0


def test_while_an_instance_reads_again_the_lag_says_nothing(tmp_path: Path) -> None:
    readers = Readers(tmp_path, {8180: True, 8181: False})
    readers.signal.look(2, 0)
    seen = readers.signal.look(2, 5)
    assert (seen.load_per_s, seen.missing) == (None, "the last hours are read again by live-8181")
    assert readers.signal.look(3, 10).missing == "2 of 3 live instances are in the directory"


def test_kafka_away_is_said(tmp_path: Path) -> None:
    readers = Readers(tmp_path, {8180: True})
    readers.offsets.away = True
    seen = readers.signal.look(1, 0)
    assert seen.load_per_s is None
    assert "all brokers are down" in seen.missing
