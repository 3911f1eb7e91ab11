"""A rule from its draft to everybody's numbers and back, through the running Dagster and the live service."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import httpx
import orjson
import polars as pl
import pytest

from cli.dagster_client import DagsterClient
from orchestration.jobs import HOUR_JOB
from orchestration.partitions import range_tags
from orchestration.resources import open_workplace
from orchestration.stage import REASON_TAG
from recount import kafka
from recount.keys import kafka_partition
from recount.periods import HOUR_MS, MINUTE_MS, hour_of, hour_start_ms
from recount.store.catalog import Site
from recount.store.provenance import Kind
from tests import made
from tests.stack import TestStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

SITE: Final = "ruled"
DEADLINE_S: Final = 240.0
BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
COUNTRIES: Final = ("DE", "DE", "FR")


class Story:
    """A site with two published hours, two visitors in three from Germany."""

    def __init__(self, stack: TestStack, site: str = SITE) -> None:
        self.stack = stack
        self.site = site
        self.place = open_workplace(stack.settings)
        self.start = hour_start_ms(hour_of(time.time_ns() // 1_000_000)) - 3 * HOUR_MS
        self._producer = kafka.producer(stack.settings)
        self._sent: list[dict[str, Any]] = []

    def send(self, ts: int, visitor: int, **given: Any) -> None:
        number = len(self._sent) + 1
        fields = {
            **{"id": f"{self.site}-{number}", "spool": self.site, "seq": number, "site": self.site},
            "ts": ts,
            **{"received": ts + 1, "visitor": f"{visitor + 1:016x}", "ua": BROWSER},
            **{"url": "https://ruled.example/a", "country": COUNTRIES[visitor % 3]},
        } | given
        self._sent.append(fields)
        partitions = self.stack.settings.kafka_partitions
        partition = kafka_partition(self.site, visitor + 1, spread=1, partitions=partitions)
        self._producer.produce(kafka.EVENTS, made.value(**fields), partition=partition)

    def sent(self) -> None:
        assert self._producer.flush(30) == 0

    def publish_hours(self) -> None:
        dagster = DagsterClient(self.stack.urls["dagster"])
        hours = (hour_of(self.start), hour_of(self.start + HOUR_MS))
        run = dagster.launch(HOUR_JOB, range_tags(hours) | {REASON_TAG: "test"})
        until(lambda: dagster.state(run).is_over)
        assert dagster.state(run).status == "SUCCESS", dagster.failures(run)

    def recount(self, *arguments: str) -> str:
        answer = self.stack.recount(*arguments)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    def shown(self, *dimensions: str) -> dict[str, int]:
        """Pageviews by a dimension, as published."""
        hours = [hour_of(self.start + n * HOUR_MS) for n in (0, 1)]
        place = self.place
        entries = place.manifests.entries(place.manifests.current(), [f"hour/{hour}" for hour in hours])
        places = [(key, s, g) for key, entry in entries.items() for s, g in entry.generations().items()]
        wanted: dict[tuple[Kind, str, str], list[str]] = {
            ("hour", key[5:], sites[self.site].generation): [self.site]
            for (key, _, _), sites in place.segments.located(places).items()
            if self.site in sites
        }
        rows = place.candidates.read_counted(wanted, sets=False).rows
        whole = rows.filter(pl.col("dimension").is_in(dimensions or ("total",)))
        return dict(whole.group_by("value").agg(pl.col("pageviews").sum()).sort("value").rows())

    def is_live(self, page: str) -> bool:
        """Whether live shows a page."""
        answer = httpx.get(f"{self.stack.urls['live']}/v1/live/{self.site}", timeout=30, trust_env=False)
        return page in {row["value"] for row in answer.json()["top"].get("page", [])}


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_a_rule_is_seen_published_followed_and_taken_back(stack_parts: TestStack) -> None:
    stack_parts.need("dagster-daemon", "dagster-webserver", "store_batches", "live")
    story = Story(stack_parts)
    story.place.catalog.add(Site(id=SITE, domain="ruled.example"))
    for hour in range(2):
        for visitor in range(9):
            story.send(story.start + hour * HOUR_MS + visitor * MINUTE_MS, visitor)
    story.sent()
    story.publish_hours()
    assert story.shown() == {"": 18}
    excluded = sum(fields["country"] == "DE" for fields in story._sent)

    story.recount("rules", "add", SITE, "exclude", "--country", "DE", "--why", "our own market")
    story.recount("rules", "add", SITE, "exclude", "--page", "/nothing/*")
    said = story.recount("rules", "preview", SITE)
    assert f"exclude country DE: matched {excluded} events" in said
    assert "! exclude page /nothing/*: matched 0 events in the range" in said
    assert re.search(rf"ruled\s+pageviews\s+18\s+{18 - excluded}\s", said)
    assert story.shown() == {"": 18}, "nobody sees it yet"
    (name,) = set(re.findall(r"recount publish (\S+)", said))

    published = story.recount("publish", name, "--approve", "our own market")
    assert f"Rules 2 of {SITE} are in force" in published
    assert story.shown() == {"": 18 - excluded}
    assert story.shown("verdict") == {"excluded_country": excluded, "human": 18 - excluded}
    (publication,) = re.findall(r"Published as (\S+):", published)

    live_follows(story)

    undone = story.recount("rollback", publication)
    assert f"Rules 2 of {SITE} are withdrawn; in force are rules 1." in undone
    assert story.shown() == {"": 18}
    assert "Rules 1 of ruled are in force" in story.recount("rules", "show", SITE)
    assert "Rules 2 of ruled say (our own market):" in story.recount("impact", "--rule", f"{SITE}:2")


def test_a_rule_for_all_sites_corrects_each_of_them(stack_parts: TestStack) -> None:
    """Two sites that a robot of its own kind visits; other sites of this stack know it not."""
    stack_parts.need("dagster-daemon", "dagster-webserver", "store_batches", "dashboard")
    stories = [Story(stack_parts, site) for site in ("all-one", "all-two")]
    robot = "Mozilla/5.0 (EverySiteProbe/1.0)"
    for story in stories:
        story.place.catalog.add(Site(id=story.site, domain=f"{story.site}.example"))
        for visitor in range(6):
            agent = robot if visitor % 3 == 0 else BROWSER
            story.send(story.start + visitor * MINUTE_MS, visitor, ua=agent)
        story.sent()
    first = stories[0]
    first.publish_hours()
    hours = (hour_of(first.start), hour_of(first.start + HOUR_MS))
    assert [story.shown() for story in stories] == [{"": 6}, {"": 6}]

    first.recount("rules", "add", "*", "bot", "--user-agent", "*EverySiteProbe*", "--why", "a new robot")
    said = first.recount("rules", "preview", "*", "--from", hours[0], "--to", hours[1])
    assert "bot user_agent *EverySiteProbe*: matched 4 events" in said
    for story in stories:
        assert re.search(rf"{story.site}\s+pageviews\s+6\s+4\s", said)
    (name,) = set(re.findall(r"recount publish (\S+)", said))
    published = first.recount("publish", name, "--approve", "they are a robot's")
    assert "Rules 2 for all sites are in force" in published
    for story in stories:
        assert story.shown() == {"": 4}
        assert story.shown("verdict") == {"human": 4, "operator_list": 2}
        assert "because a new robot" in first.recount("corrections", story.site).replace("\n", " ")
    said = first.recount("impact", "--rule", "*:2", "--json")
    assert {"all-one", "all-two"} <= orjson.loads(said)["sites"].keys()

    (publication,) = re.findall(r"Published as (\S+):", published)
    assert "Rules 2 for all sites are withdrawn" in first.recount("rollback", publication)
    assert [story.shown() for story in stories] == [{"": 6}, {"": 6}]


def live_follows(story: Story) -> None:
    """Of two visitors, one from Germany, live shows one as soon as it has read the catalog again."""
    deadline = time.monotonic() + DEADLINE_S
    for number in range(1_000):
        now_ms = time.time_ns() // 1_000_000
        for visitor, country in ((2 * number + 100, "DE"), (2 * number + 101, "FR")):
            url = f"https://ruled.example/{country}{number}"
            story.send(now_ms, visitor, url=url, country=country)
        story.sent()
        until(partial(story.is_live, f"/FR{number}"))
        if not story.is_live(f"/DE{number}"):
            return
        assert time.monotonic() < deadline, "live goes on by the old rules"
        time.sleep(5)
