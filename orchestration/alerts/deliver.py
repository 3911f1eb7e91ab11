"""Every receiver is told what is due to it; one that fails is tried again and holds up no other."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from orchestration.alerts.book import Book
from orchestration.alerts.receivers import Receiver
from recount.errors import SetupError, Unavailable

MESSAGES_MAX: Final = 20  # to one receiver in one go


@dataclass(frozen=True)
class Delivery:
    """What one receiver took: keys of incidents; and why it took no more."""

    receiver: str
    keys: tuple[str, ...]
    error: str = ""


def deliver(book: Book, receivers: Mapping[str, Receiver]) -> tuple[Book, list[Delivery]]:
    """The book with what was told; all receivers at once, each in the order in which things went wrong."""
    if not receivers:
        return book.without_finished([]), []
    with ThreadPoolExecutor(len(receivers)) as pool:
        deliveries = list(pool.map(lambda entry: _tell(book, *entry), receivers.items()))
    for delivery in deliveries:
        book = book.told(delivery.receiver, delivery.keys)
    return book.without_finished(receivers), deliveries


def _tell(book: Book, name: str, receiver: Receiver) -> Delivery:
    told: list[str] = []
    for key, incident in sorted(book.incidents.items(), key=lambda entry: entry[1].problem.since_ms):
        event = incident.due(name)
        if event is None:
            continue
        if len(told) == MESSAGES_MAX:
            break
        try:
            receiver.send(incident.problem, event, incident.over_ms)
        except (Unavailable, SetupError) as error:
            return Delivery(name, tuple(told), str(error))
        told.append(key)
    return Delivery(name, tuple(told))
