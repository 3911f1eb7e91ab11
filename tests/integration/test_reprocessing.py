"""The story of a correction, through the running Dagster: a wrong rule, found, corrected, seen, undone."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import httpx
import pytest

from cli.dagster_client import DagsterClient
from orchestration.jobs import HOUR_JOB, REFOLD_JOB
from orchestration.partitions import range_tags
from orchestration.resources import Workplace, open_workplace
from orchestration.stage import REASON_TAG, REPROCESSING_TAG, STAGE_TAG
from recount import kafka
from recount.periods import HOUR_MS, MINUTE_MS, hour_of, hours_in, next_hour
from recount.store.catalog import Site
from recount.store.provenance import period_key
from tests import made
from tests.stack import TestStack
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

SITE: Final = "story"
START: Final = 1_436_140_800_000  # 2015-07-06T00:00 UTC
HOURS: Final = [hour_of(START + n * HOUR_MS) for n in range(4)]
DAY: Final = "2015-07-06"
VISITORS: Final = 4  # the even ones come from a partner whose pages are in truth the site's own
VIEWS: Final = len(HOURS) * 6 * VISITORS
BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
Sources = dict[str, int]  # source -> pageviews
WRONG: Final[Sources] = {"Direct / None": VIEWS // 2, "partner.example": VIEWS // 2}
RIGHT: Final[Sources] = {"Direct / None": VIEWS}

_BACKFILL: Final = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on Error { message }
  }
}
"""


class Story:
    """A stack with four published hours of one site."""

    def __init__(self, stack: TestStack) -> None:
        self.stack = stack
        self.place: Workplace = open_workplace(stack.settings)
        self.dagster = DagsterClient(stack.urls["dagster"])
        self._producer = kafka.producer(stack.settings)
        self._sent = 0

    def send(self, ts: int, visitor: int) -> None:
        """A pageview, as an import brings it."""
        self._sent += 1
        referrer = "https://partner.example/links" if visitor % 2 == 0 else None
        value = made.value(
            **{"id": f"story-{self._sent}", "spool": "story", "seq": self._sent, "ts": ts, "site": SITE},
            **{"received": ts + 1000, "visitor": f"{visitor + 1:016x}", "source_kind": "import"},
            **{"url": "https://story.example/a", "ua": BROWSER, "referrer": referrer},
        )
        partition = visitor % self.stack.settings.kafka_partitions
        self._producer.produce(kafka.IMPORTS, value, partition=partition)

    def sent(self) -> None:
        """Everything is in the topic."""
        assert self._producer.flush(30) == 0

    def run(self, job: str, first: str, last: str, **tags: str) -> None:
        """A job over some hours, until it has succeeded."""
        run_id = self.dagster.launch(job, range_tags((first, last)) | {REASON_TAG: "test"} | tags)
        eventually(lambda: self.dagster.state(run_id).is_over, f"the run of {job}")
        assert self.dagster.state(run_id).status == "SUCCESS", self.dagster.failures(run_id)

    def rules(self, *hostnames: str) -> None:
        """Which hostnames are the site's own, from now on."""
        site = self.place.catalog.get(SITE)
        assert site is not None
        self.place.catalog.update(replace(site, hostnames=hostnames, rules_version=site.rules_version + 1))

    def recount(self, *arguments: str) -> str:
        answer = self.stack.recount(*arguments)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    def ask(self, **given: Any) -> Any:
        body = {"site": SITE, "metrics": ["pageviews"], "dimensions": ["source"], "date_range": [DAY, DAY]}
        url = f"{self.stack.urls['dashboard']}/api/v1/query"
        answer = httpx.post(url, json=body | given, timeout=30, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def sources(self) -> Sources:
        """What readers see."""
        return {row["source"]: row["pageviews"] for row in self.ask()["rows"]}

    def generations(self) -> dict[str, dict[int, str]]:
        """What is shown of the hours, the day and the month."""
        manifests = self.place.manifests
        keys = [*(period_key("hour", hour) for hour in HOURS), f"day/{DAY}", f"month/{DAY[:7]}"]
        return {key: e.generations() for key, e in manifests.entries(manifests.current(), keys).items()}

    @contextmanager
    def watched(self) -> Iterator[list[Sources]]:
        """The different answers that a reader gets meanwhile, asking as fast as they come."""
        seen: list[Sources] = []
        over = threading.Event()

        def read() -> None:
            while not over.wait(0.02):
                answer = self.sources()
                if not seen or answer != seen[-1]:
                    seen.append(answer)

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield seen
            eventually(lambda: bool(seen) and self.sources() == seen[-1], "the reader to see the newest root")
        finally:
            over.set()
            thread.join()


@pytest.fixture(scope="module")
def story(stack_parts: TestStack) -> Story:
    stack_parts.need("dashboard", "dagster-daemon", "dagster-webserver", "store_batches")
    story = Story(stack_parts)
    story.place.catalog.add(Site(id=SITE, domain="story.example"))
    for n in range(len(HOURS) * 6):
        for visitor in range(VISITORS):
            story.send(START + n * 10 * MINUTE_MS + visitor, visitor)
    story.sent()
    story.run(HOUR_JOB, HOURS[0], HOURS[-1])
    assert story.sources() == WRONG
    return story


def test_a_wrong_rule_is_found_corrected_in_one_step_and_undone(story: Story) -> None:
    wrong = story.generations()
    found = story.recount("impact", "--rule", f"{SITE}:1", "--from", HOURS[0], "--to", HOURS[-1])
    assert f"{len(HOURS)} hours of 1 site:" in found
    story.rules("partner.example")

    computed = story.recount("reprocess", "--from", DAY, "--to", DAY, "--reason", "partner is our own")
    (name,) = re.findall(r"Reprocessing (\S+):", computed)
    assert story.generations() == wrong, "nothing is published yet"
    assert f"recount publish {name}" in story.recount("reprocess", "show", name)

    with story.watched() as seen:
        published = story.recount("publish", name)
        eventually(lambda: story.sources() == RIGHT, "the correction")
    assert seen in ([WRONG, RIGHT], [RIGHT]), "all of a correction or none of it"
    (publication,) = re.findall(r"Published as (\S+):", published)

    explained = story.ask(explain=True)["explain"]
    assert {h["hour"]: h["reason"] for h in explained["hours"]} == dict.fromkeys(
        [*HOURS, next_hour(HOURS[-1])], "partner is our own"
    ), "and the hour in which the last visits ended"
    assert {h["publication"] for h in explained["hours"]} == {publication}
    assert {h["rules_version"] for h in explained["hours"]} == {2}
    assert publication in story.recount("history", "--limit", "3")

    with story.watched() as seen:
        story.recount("rollback", publication)
        eventually(lambda: story.sources() == WRONG, "the rollback")
    assert seen in ([RIGHT, WRONG], [WRONG])
    assert story.generations() == wrong, "the very bytes that were shown before"


def test_a_backfill_of_the_page_makes_candidates(story: Story) -> None:
    before = story.generations()
    params = {
        "assetSelection": [{"path": ["hourly_rollup"]}],
        "partitionNames": HOURS[1:3],
        "tags": [{"key": STAGE_TAG, "value": "candidate"}, {"key": REASON_TAG, "value": "from the page"}],
    }
    answer = httpx.post(
        f"{story.stack.urls['dagster']}/graphql",
        json={"query": _BACKFILL, "variables": {"params": params}},
        timeout=60,
        trust_env=False,
    ).json()
    name = answer["data"]["launchPartitionBackfill"]["backfillId"]
    eventually(lambda: len(story.place.reprocessings.hours(name)) == 2, "the candidates of the backfill")
    request = story.place.reprocessings.get(name)
    assert (request.hours, request.reason, request.source) == (HOURS[1:3], "from the page", "archive")
    assert story.generations() == before
    story.recount("reprocess", "discard", name)


def test_a_late_event_is_not_erased_and_what_is_done_is_kept(story: Story) -> None:
    """The first run does two hours; a late event then comes into one of them."""
    name = "resumed"
    story.run(REFOLD_JOB, HOURS[0], HOURS[1], **{REPROCESSING_TAG: name, STAGE_TAG: "candidate"})
    first = story.place.reprocessings.hours(name)
    story.send(START + HOUR_MS + 5 * MINUTE_MS, 0)
    story.sent()
    story.run(HOUR_JOB, HOURS[1], HOURS[1])
    refused = story.stack.recount("publish", name)
    assert refused.returncode == 1
    assert HOURS[1] in refused.stderr
    assert "beyond the candidate's base" in refused.stderr

    story.recount("reprocess", "resume", name)
    second = story.place.reprocessings.hours(name)
    assert second[HOURS[0]] == first[HOURS[0]], "an hour that is done is kept"
    assert second[HOURS[1]].base != first[HOURS[1]].base
    story.recount("publish", name)
    eventually(lambda: sum(story.sources().values()) == VIEWS + 1, "the late event")
    assert hours_in((HOURS[0], HOURS[1])) == sorted(second)


def test_nothing_that_is_needed_is_collected(story: Story) -> None:
    before = story.generations()
    assert "0 rollup generations" in story.recount("gc", "--dry-run")
    assert "Nothing to delete" in story.recount("gc")
    assert story.generations() == before
