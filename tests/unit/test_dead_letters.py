"""Letters on their way back: what can be read now is replayed as it was, the rest stays with its reason."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from recount.dead_letters import NOTHING_WHOLE, REFUSED, Fate, Fates, Kept, Outcome, Retrier
from recount.errors import Unavailable
from recount.quarantine import DeadLetter, Replay
from recount.settings import Settings
from recount.store.memory_table import MemoryTable
from recount.store.raw import RawStore
from tests.made import TS, value


class Desk:
    """A retrier whose topic is a list."""

    def __init__(self, **settings: int) -> None:
        self.fates = Fates(MemoryTable())
        self.back: list[Replay] = []
        self.refused: dict[str, str] = {}
        self.away = False
        self.now_ms = TS + 60_000
        raw = RawStore(MemoryTable(), Settings(**settings))  # type: ignore[arg-type]
        self.retrier = Retrier(raw, self.fates, self.send_back, lambda: self.now_ms)

    def send_back(self, replays: Sequence[Replay]) -> dict[str, str]:
        if self.away:
            raise Unavailable("kafka", "gone")
        self.back += [replay for replay in replays if replay.letter not in self.refused]
        return self.refused


def letter(n: int, record: bytes, reason: str = "unknown_version") -> Kept:
    return Kept(f"events/2/{n}", reason, TS, record, ("events", 2))


def test_headers_name_the_place_and_are_read_back() -> None:
    sent = DeadLetter("imports", 3, 17, "bad_json", b"{")
    headers = {name: bytes(text) for name, text in sent.headers() if isinstance(text, bytes)}
    assert DeadLetter.of(headers, b"{") == sent
    assert sent.id == "imports/3/17"
    assert DeadLetter.of(headers | {"offset": b"x"}, b"{") is None
    assert DeadLetter.of({}, b"{") is None


def test_what_can_be_read_now_goes_back_as_it_was() -> None:
    desk, record = Desk(), value(country="DE", visitor="0123456789abcdef")
    assert desk.retrier.retry([letter(1, record)]) == [Outcome("events/2/1")]
    assert desk.back == [Replay(("events", 2), record, "events/2/1")]
    assert desk.fates.of(["events/2/1"]) == {"events/2/1": Fate("replayed", desk.now_ms, 1)}


def test_what_still_fails_stays_with_its_present_reason() -> None:
    desk = Desk()
    bad = letter(1, value(visitor="nobody"), reason="unknown_version")
    (outcome,) = desk.retrier.retry([bad])
    assert (outcome.reason, outcome.detail) == ("wrong_type", "`visitor` is not 16 hex digits")
    assert desk.back == []
    desk.retrier.retry([bad])
    fate = desk.fates.of([bad.id])[bad.id]
    assert (fate.state, fate.tries, fate.reason) == ("failing", 2, "wrong_type")


@pytest.mark.parametrize("days", [1, 30])
def test_what_was_too_old_passes_when_the_archive_takes_it(days: int) -> None:
    desk = Desk(archive_retention_days=days)
    (outcome,) = desk.retrier.retry([letter(1, value(ts=TS - 7 * 86_400_000), "too_old")])
    assert outcome.reason == ("too_old" if days == 1 else "")
    assert bool(outcome.detail) == bool(outcome.reason)


def test_a_dry_run_changes_nothing() -> None:
    desk = Desk()
    assert desk.retrier.retry([letter(1, value())], dry_run=True) == [Outcome("events/2/1")]
    assert (desk.back, desk.fates.of(["events/2/1"])) == ([], {})


def test_nothing_is_remembered_before_kafka_has_it() -> None:
    desk = Desk()
    desk.away = True
    with pytest.raises(Unavailable):
        desk.retrier.retry([letter(1, value())])
    assert desk.fates.of(["events/2/1"]) == {}


def test_what_kafka_refuses_for_ever_does_not_hold_up_the_rest() -> None:
    desk = Desk()
    desk.refused = {"events/2/1": "too large"}
    outcomes = desk.retrier.retry([letter(1, value()), letter(2, value())])
    assert outcomes == [Outcome("events/2/1", REFUSED, "too large"), Outcome("events/2/2")]
    assert {name: fate.state for name, fate in desk.fates.of(o.id for o in outcomes).items()} == {
        "events/2/1": "failing",
        "events/2/2": "replayed",
    }


def test_a_piece_without_a_whole_event_goes_nowhere() -> None:
    desk = Desk()
    piece = Kept("spool/x.bin", "spool_damaged", TS, b"garbage", None)
    assert desk.retrier.retry([piece]) == [Outcome("spool/x.bin", "spool_damaged", NOTHING_WHOLE)]
