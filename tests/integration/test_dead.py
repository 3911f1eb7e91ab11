"""Quarantine on real Kafka and DynamoDB, through the command line: listed, shown, replayed, counted once."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import orjson
import pytest

from edge import pieces
from orchestration.resources import Workplace, open_workplace
from orchestration.steps.archive_range import archive_range
from orchestration.steps.hours import made_by
from orchestration.steps.publish_range import publish_range
from orchestration.steps.rollup_range import rollup_range
from recount.dead_letters import Fates, Kept, Retrier
from recount.ids import new_id
from recount.kafka import ensure_topics, producer
from recount.periods import hour_of, hour_start_ms
from recount.quarantine import DeadLetter, send, send_back
from recount.store.tables import ensure_tables
from tests import made
from tests.stack import TestStack

pytestmark = pytest.mark.stack

HOUR = "2017-03-04T05"
TS = hour_start_ms(HOUR)


@dataclass
class Letters:
    """`readable`: an earlier version did not know it; `broken`: nobody will; `spooled`: once too large."""

    stack: TestStack
    place: Workplace
    readable: DeadLetter
    broken: DeadLetter
    spooled: str

    def recount(self, *arguments: str) -> Any:
        done = self.stack.recount("dead", *arguments, "--json")
        assert done.returncode == 0, done.stderr
        return orjson.loads(done.stdout)

    def states(self) -> dict[str, tuple[str, str]]:
        """Reason and state of our letters, by id."""
        rows = self.recount("list", "--each", "--all")["letters"]
        ours = {self.readable.id, self.broken.id, self.spooled}
        return {row["id"]: (row["reason"], row["state"]) for row in rows if row["id"] in ours}


@pytest.fixture(scope="module")
def letters(stack_parts: TestStack) -> Letters:
    stack_parts.need("kafka", "dynamodb")
    settings = stack_parts.settings
    ensure_tables(settings)
    ensure_topics(settings)
    spool, offset = new_id(), uuid.uuid4().int % 10**9 + 10**9  # offsets that no record of this Kafka has

    def record(n: int, **given: Any) -> bytes:
        fields = {"id": f"{spool}-{n}", "spool": spool, "seq": n, "ts": TS + n, "received": TS + n}
        return made.value(**fields | {"site": "dead-letters", "country": "NZ"} | given)

    readable = DeadLetter("events", 1, offset, "unknown_version", record(1))
    broken = DeadLetter("events", 1, offset + 1, "unknown_version", record(2, visitor="nobody"))
    send(producer(settings), [readable, broken, readable])  # a redelivery is the same letter
    settings.spool_root.mkdir(parents=True, exist_ok=True)
    pieces.keep(settings.spool_root, "kafka-MSG_SIZE_TOO_LARGE", spool, 3, 3, record(3))
    return Letters(
        stack_parts, open_workplace(replace(settings, spool_wait_s=1)), readable, broken, f"spool/{spool}/3"
    )


def test_letters_are_listed_by_reason(letters: Letters) -> None:
    groups = {group["reason"]: group for group in letters.recount("list")["reasons"]}
    assert groups["unknown_version"]["sites"]["dead-letters"] == 2
    assert groups["spool_kafka-MSG_SIZE_TOO_LARGE"]["example"] == letters.spooled
    assert 0 < groups["unknown_version"]["first_ms"] <= groups["unknown_version"]["last_ms"]
    plain = letters.stack.recount("dead", "list")
    assert "unknown_version" in plain.stdout


def test_a_letter_is_shown_whole_with_how_it_fails(letters: Letters) -> None:
    shown = letters.recount("show", letters.broken.id)
    assert shown["value"].encode() == letters.broken.value
    assert shown["now"]["detail"] == "`visitor` is not 16 hex digits"
    plain = letters.stack.recount("dead", "show", letters.readable.id).stdout
    assert "can be read: retry it" in plain
    assert f"dead-letters, {HOUR}" in plain


def test_an_unknown_id_is_refused(letters: Letters) -> None:
    for command in (["show", "events/0/x"], ["retry", "--id", "events/0/x"]):
        done = letters.stack.recount("dead", *command)
        assert done.returncode == 1
        assert "there is no letter 'events/0/x'" in done.stderr


def test_letters_are_replayed_and_counted_once(letters: Letters) -> None:
    ours = [f"--id={name}" for name in (letters.readable.id, letters.broken.id, letters.spooled)]
    would = letters.recount("retry", "--dry-run", *ours)
    assert would == {"dry_run": True, "replayed": 2, "still_failing": {"wrong_type": 1}}
    assert letters.states()[letters.readable.id] == ("unknown_version", "waiting")

    done = letters.recount("retry", *ours)
    assert done == {"dry_run": False, "replayed": 2, "still_failing": {"wrong_type": 1}}
    assert letters.states() == {
        letters.readable.id: ("unknown_version", "replayed"),
        letters.broken.id: ("wrong_type", "failing"),
        letters.spooled: ("spool_kafka-MSG_SIZE_TOO_LARGE", "replayed"),
    }
    again = letters.stack.recount("dead", "retry", "--id", letters.readable.id)
    assert (again.returncode, "was replayed already" in again.stderr) == (0, True)

    twice_by_accident(letters)
    archive_range(letters.place, [HOUR], "dead letters")
    info = letters.place.archive.newest(HOUR)
    assert info is not None
    events = letters.place.archive.read_events(HOUR, info.generation)
    events = events.filter(site="dead-letters").sort("ts")
    assert events.select("ts", "country", "seq").rows() == [(TS + 1, "NZ", 1), (TS + 3, "NZ", 3)]


def twice_by_accident(letters: Letters) -> None:
    """As when the first retry was cut off after Kafka had the record."""
    place, letter = letters.place, letters.readable
    kept = Kept(letter.id, letter.reason, TS, letter.value, (letter.topic, letter.partition))
    back = partial(send_back, producer(place.settings))
    Retrier(place.raw, Fates(place.tables.catalog), back, place.now_ms).retry([kept])


def test_an_event_older_than_the_archive_is_a_letter(letters: Letters) -> None:
    ancient = made.value(ts=hour_start_ms("2015-04-30T23"), site="dead-letters", id=new_id())
    with_place = letters.place.log.ranges()[("events", 0)][1]
    client = producer(letters.place.settings)
    client.produce("events", ancient, partition=0)
    client.flush(30)
    archive_range(letters.place, [HOUR], "dead letters")
    shown = letters.recount("show", f"events/0/{with_place}")
    assert (shown["reason"], shown["hour"]) == ("too_old", "2015-04-30T23")
    assert hour_of(TS) == HOUR


def test_the_ledger_has_a_column_for_each(letters: Letters) -> None:
    place, run = letters.place, "ledger"
    archive_range(place, [HOUR], run)
    rollup_range(place, made_by(run, [HOUR], place.archive), run, reason="test")
    assert publish_range(place, [HOUR], run, reason="test") is not None
    done = letters.stack.recount("ledger", "--hour", HOUR, "--site", "dead-letters", "--json")
    assert done.returncode == 0, done.stderr
    found = orjson.loads(done.stdout)
    line = {part: count for part, count in found["sites"]["dead-letters"].items() if count}
    assert line == {"accepted": 2, "counted": 2}
    assert found["balances"]
    assert "dead-letters" in letters.stack.recount("ledger", "--hour", HOUR).stdout
    wrong = letters.stack.recount("ledger", "--hour", "yesterday")
    assert (wrong.returncode, "is no hour" in wrong.stderr) == (1, True)
