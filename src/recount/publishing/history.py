"""What was published, move by move."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from recount.errors import InvalidInput
from recount.store.manifests import Manifests, Publication

SEARCHED_MAX: Final = 20_000
READ_AT_ONCE: Final = 50


def past(manifests: Manifests, limit: int = SEARCHED_MAX) -> Iterator[Publication]:
    """Moves of the pointer, newest first."""
    roots = manifests.history(limit)
    while ids := [root.id for root in islice(roots, READ_AT_ONCE)]:
        yield from manifests.publications(ids)


def find(manifests: Manifests, name: str) -> Publication:
    """By its id, or by the beginning of one. Raises InvalidInput where that fits none, or several."""
    found = []
    for publication in past(manifests):
        if publication.id == name:
            return publication
        if name and publication.id.startswith(name):
            found.append(publication)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(publication.id for publication in found[:5])
        raise InvalidInput(f"{name!r} may be one of {names}", field="publication")
    detail = f"there is no publication {name!r}; `recount history` shows them"
    raise InvalidInput(detail, field="publication")


def later_than(manifests: Manifests, publication_id: str) -> list[Publication]:
    """What was published after a publication, newest first. Raises InvalidInput where it was never shown."""
    found: list[Publication] = []
    for publication in past(manifests):
        if publication.id == publication_id:
            return found
        found.append(publication)
    detail = f"there is no publication {publication_id!r}; `recount history` shows them"
    raise InvalidInput(detail, field="publication")
