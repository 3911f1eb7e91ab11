"""Erasures through the command line on the real stack: gone everywhere, and nothing brings it back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import httpx
import orjson
import pytest

from cli.dagster_client import DagsterClient
from deploy.local.layout import ROOT
from deploy.local.supervise import python_path
from orchestration.jobs import HOUR_JOB
from orchestration.partitions import range_tags
from orchestration.resources import Workplace, open_workplace
from orchestration.steps.archive_range import archive_range
from orchestration.steps.erase import Eraser
from orchestration.steps.hours import made_by
from orchestration.steps.publish_range import publish_range
from orchestration.steps.rollup_range import rollup_range
from recount import kafka
from recount.erasing.tombstone import What
from recount.ids import new_id
from recount.keys import kafka_partition
from recount.periods import HOUR_MS, MINUTE_MS, hour_of
from recount.quarantine import DeadLetter, send
from recount.store.catalog import FIRST_PARTY_SECRET, Site
from recount.store.erasures import Erasure, tombstone_of
from recount.store.raw import RawStore
from recount.store.salts import visitor_hex
from tests import made
from tests.stack import TestStack
from tests.unit.streaming.stage import CHROME
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

SITE: Final = "erasures"
START: Final = 1_438_560_000_000  # 2015-08-03T00:00 UTC
HOURS: Final = [hour_of(START + n * HOUR_MS) for n in range(3)]
DAY: Final = "2015-08-03"
PEOPLE: Final = ("alice", "bob", "carol")
LETTER: Final = "imports/0/1000000000"
Views = Counter[str]  # pageviews by page

_DIES: Final = """
import os, signal, sys
from orchestration.resources import open_workplace
from orchestration.steps.erase import Eraser
from recount.settings import Settings

def progress(step):
    if step == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

place = open_workplace(Settings.from_env())
Eraser(place, place.erasures.get(sys.argv[1]), "dies", lambda _: 0, progress).rewrite()
Eraser(place, place.erasures.get(sys.argv[1]), "dies", lambda _: 0, progress).show()
"""


class Office:
    """A site that knows its visitors, three published hours of it, and a little live traffic."""

    def __init__(self, stack: TestStack) -> None:
        self.stack = stack
        self.place: Workplace = open_workplace(stack.settings)
        self.dagster = DagsterClient(stack.urls["dagster"])
        self.sent: list[dict[str, Any]] = []
        self._producer = kafka.producer(stack.settings)

    def visitor(self, name: str) -> str:
        return visitor_hex(self.place.catalog.secret(FIRST_PARTY_SECRET), SITE, name, "")

    def record(self, ts: int, person: str, page: str, **given: Any) -> bytes:
        number = len(self.sent) + 1
        fields: dict[str, Any] = {
            **{"id": f"erase-{number}", "spool": "erasures", "seq": number, "site": SITE, "ua": CHROME},
            **{"ts": ts, "received": ts + 50, "visitor": self.visitor(person), "network": "residential"},
            **{"url": f"https://erasures.example{page}", "source_kind": "import"},
        }
        self.sent.append(fields | {"person": person, "page": page})
        return made.value(**fields | given)

    def order(self, what: What, **given: Any) -> Erasure:
        """As the command records it, without its run."""
        site, now_ms = self.place.catalog.get(SITE), self.place.now_ms()
        assert site is not None
        erasure = Erasure(
            id=new_id(),
            site=site,
            what=what,
            subject=what,
            reason="test",
            requested_by="test",
            requested_ms=now_ms,
            before_ms=now_ms,
            expires_ms=now_ms + 24 * HOUR_MS,
        )
        self.place.erasures.add(erasure)
        self.place.tombstones.put(tombstone_of(erasure, **given))
        return erasure

    def send(self, topic: str, value: bytes, partition: int = 0) -> None:
        self._producer.produce(topic, value, partition=partition)
        assert self._producer.flush(30) == 0

    def publish(self) -> None:
        run_id = self.dagster.launch(HOUR_JOB, range_tags((HOURS[0], HOURS[-1])))
        eventually(lambda: self.dagster.state(run_id).is_over, "the hours")
        assert self.dagster.state(run_id).status == "SUCCESS", self.dagster.failures(run_id)

    def recount(self, *arguments: str) -> str:
        done = self.stack.recount(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return orjson.loads(self.recount(*arguments, "--json"))

    def shown(self) -> Views:
        """What readers of the API see of the three hours."""
        body = {"site": SITE, "metrics": ["pageviews"], "dimensions": ["page"], "date_range": [DAY, DAY]}
        url = f"{self.stack.urls['dashboard']}/api/v1/query"
        answer = httpx.post(url, json=body, timeout=30, trust_env=False)
        assert answer.status_code == 200, answer.text
        return Counter({row["page"]: row["pageviews"] for row in answer.json()["rows"]})

    def live(self) -> int:
        answer = httpx.get(f"{self.stack.urls['live']}/v1/live/{SITE}", timeout=30, trust_env=False)
        return int(answer.json()["totals"]["pageviews"]) if answer.status_code == 200 else -1

    def left(self, keep: Callable[[dict[str, Any]], bool]) -> Views:
        """The pageviews of the three hours that should be there, counted one by one."""
        past = (event for event in self.sent if event["ts"] < START + 3 * HOUR_MS)
        return Counter(event["page"] for event in past if keep(event))

    def bytes_of(self, text: str) -> int:
        """How often a text stands in raw items and archives, read by nothing that knows tombstones."""
        raw = RawStore(self.place.tables.raw, self.stack.settings)
        found = sum(str(raw.read(hour).to_dicts()).count(text) for hour in HOURS)
        archive = self.place.archive
        for (hour, generation), _ in archive.stored().items():
            info = archive.info(hour, generation)
            if info is not None and info.events and hour in HOURS:
                found += str(archive.read_events(hour, generation).to_dicts()).count(text)
        return found


@pytest.fixture(scope="module")
def office(stack_parts: TestStack) -> Office:
    stack_parts.need("dashboard", "live", "dagster-daemon", "dagster-webserver", "store_batches", "dax")
    office = Office(stack_parts)
    office.place.catalog.add(Site(id=SITE, domain="erasures.example", identity="first_party"))
    for n in range(3):
        for place, person in enumerate(PEOPLE):
            for page in ("/", f"/user/{person}"):
                ts = START + n * HOUR_MS + (40 + place) * MINUTE_MS
                office.send(kafka.IMPORTS, office.record(ts, person, page))
    now_ms = time.time_ns() // 1_000_000
    for person in PEOPLE:
        value = office.record(now_ms, person, "/now", source_kind="tracker")
        where = kafka_partition(SITE, 0, spread=1, partitions=stack_parts.settings.kafka_partitions)
        office.send(kafka.EVENTS, value, where)
    letter = office.record(START, "alice", "/dead")
    send(kafka.producer(stack_parts.settings), [DeadLetter("imports", 0, 10**9, "unknown_version", letter)])
    office.sent.pop()  # a letter is not counted
    office.publish()
    eventually(lambda: office.live() == 3, "live numbers")
    assert office.shown() == office.left(lambda _: True)
    return office


def not_alice(event: dict[str, Any]) -> bool:
    return bool(event["person"] != "alice")


def test_a_visitor_is_erased_and_the_report_is_right(office: Office) -> None:
    events = sum(office.left(lambda event: not not_alice(event)).values())
    root = office.place.manifests.current()
    assert root is not None
    would = office.json("erase", "visitor", SITE, "alice", "--dry-run")
    assert (would["archive_events"], would["raw_events"]) == (events, events + 1), "and the one of now"
    assert would["archive_hours"] >= len(HOURS)
    refused = office.stack.recount("erase", "visitor", SITE, "alice", "--reason", "x", input_text="no\n")
    assert (refused.returncode, "nothing was erased" in refused.stderr) == (1, True)
    assert office.bytes_of("/user/alice") > 0
    assert "/dead" in office.recount("dead", "show", LETTER)

    done = office.json("erase", "visitor", SITE, "alice", "--yes", "--reason", "she asked")
    report = {line["store"]: line for line in done["report"]}
    assert (done["state"], done["left"]) == ("done", 0)
    assert (report["raw items"]["before"], report["raw items"]["after"]) == (events + 1, 0)
    assert (report["archive"]["before"], report["archive"]["after"]) == (events, 0)
    assert report["dead letters"]["before"] == 1
    assert "forgotten" in report["dax"]["done"]
    assert office.bytes_of("/user/alice") == 0
    assert office.bytes_of("/user/bob") > 0
    eventually(lambda: office.shown() == office.left(not_alice), "readers to see the new root")
    eventually(lambda: office.live() == 2, "live to count without her")
    confirmed = office.place.manifests.entries(office.place.manifests.current(), [f"hour/{HOURS[0]}"])
    made_ = office.place.candidates.info("hour", HOURS[0], confirmed[f"hour/{HOURS[0]}"].confirmed)
    assert made_ is not None
    line = made_.ledger[SITE]
    assert (line["accepted"], line["counted"], line["erased"]) == (6, 4, 2)
    back = office.stack.recount("rollback", root.id)
    assert (back.returncode, f"erasure {done['id']}" in back.stderr) == (1, True), back.stderr


def test_nothing_brings_it_back(office: Office) -> None:
    """Not a retry of dead letters, nor archiving and publishing the hours again from raw events."""
    gone = office.stack.recount("dead", "show", LETTER)
    assert "there is no letter" in gone.stderr
    office.recount("dead", "retry", "--reason", "unknown_version")
    archive_range(office.place, HOURS, "again")
    rollup_range(office.place, made_by("again", HOURS, office.place.archive), "again", reason="again")
    assert publish_range(office.place, HOURS, "again", reason="again") is not None
    assert office.shown() == office.left(not_alice)
    assert office.bytes_of("/user/alice") == 0


def test_killed_in_the_middle_it_is_resumed(office: Office) -> None:
    """The process that works on it dies by SIGKILL with the archive rewritten and nothing published."""
    before = office.shown()
    erasure = office.order("page", page="/user/*")
    env = {**os.environ, **office.stack.manifest.env, "PYTHONPATH": os.pathsep.join(python_path())}
    died = subprocess.run(
        [sys.executable, "-c", _DIES, erasure.id, "publish"], cwd=ROOT, env=env, timeout=240, check=False
    )
    assert died.returncode == -signal.SIGKILL
    assert office.shown() == before, "nothing is half published"
    assert "open, at publish" in office.recount("erase", "show", erasure.id)

    done = office.json("erase", "resume", erasure.id)
    assert (done["state"], done["left"]) == ("done", 0)
    wanted = office.left(lambda e: not_alice(e) and not e["page"].startswith("/user/"))
    eventually(lambda: office.shown() == wanted, "readers to see the new root")
    assert office.bytes_of("/user/") == 0


def test_a_site_is_erased_whole(office: Office) -> None:
    erasure = office.order("site")
    for step in (Eraser.rewrite, Eraser.show):
        step(Eraser(office.place, office.place.erasures.get(erasure.id), "run", lambda _: 0))
    assert office.place.catalog.get(SITE) is None
    assert office.bytes_of(f"'site': '{SITE}'") == 0
