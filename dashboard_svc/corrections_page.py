"""The correction log of a site, as a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flask import Response, render_template

from dashboard_svc import asking, words
from dashboard_svc.services import Services
from recount.corrections import Correction, label, number, range_words, why

LISTED_MAX: Final = 200
KINDS: Final = {
    "late": "Late events",
    "added": "Added",
    "reprocessing": "Computed again",
    "rollback": "Undone",
    "erasure": "Erased",
}


@dataclass(frozen=True)
class Change:
    """A total over the range: as it was, as it is, and the difference."""

    label: str
    old: str
    new: str
    by: str


@dataclass(frozen=True)
class Entry:
    """One correction as the page shows it. `link` leads to the numbers of its days."""

    id: str
    kind: str
    at: str
    range: str
    why: str
    changes: list[Change]
    dimensions: str
    is_complete: bool
    link: str


def render(services: Services, name: str) -> Response:
    """Raises UnknownSite."""
    site = asking.known(services, name)
    found = services.corrections.of_site(site.id, LISTED_MAX)
    entries = [entry(correction, services.now_ms()) for correction in found]
    body = render_template("corrections.html", site=site, entries=entries, most=LISTED_MAX)
    return Response(body, headers={"Cache-Control": "no-store"})


def entry(correction: Correction, now_ms: int) -> Entry:
    days = {"from": correction.first_day, "to": correction.last_day}
    return Entry(
        id=correction.publication,
        kind=KINDS[correction.kind],
        at=words.moment(correction.at_ms, correction.zone, now_ms),
        range=range_words(correction),
        why=f"{_begun(why(correction))}.",
        changes=[
            Change(_begun(label(metric)), number(metric, old), number(metric, new), _by(metric, new - old))
            for metric, (old, new) in correction.moved.items()
        ],
        dimensions=", ".join(name.replace("_", " ") for name in correction.dimensions),
        is_complete=correction.whole,
        link=asking.linker(days)(),
    )


def _begun(text: str) -> str:
    return text[:1].upper() + text[1:]


def _by(metric: str, by: int) -> str:
    return f"{'+' if by > 0 else '−'}{number(metric, abs(by))}"
