"""Before a correction is published: what it would change, and whether somebody has to stand for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from recount.errors import Conflict, InvalidInput
from recount.publishing.comparison import Comparison
from recount.publishing.differ import Differ
from recount.publishing.thresholds import DEFAULTS, Blocked, Threshold, blocked
from recount.store.reprocessings import Approval, HourDone, Reprocessing, Reprocessings

NAMED_MAX: Final = 10


class NeedsApproval(Conflict):
    """Totals move further than the thresholds allow without a name under it."""

    def __init__(self, request_id: str, moves: Sequence[Blocked]) -> None:
        named = "\n".join(f"  {move}" for move in moves[:NAMED_MAX])
        more = f"\n  and {len(moves) - NAMED_MAX} more" if len(moves) > NAMED_MAX else ""
        super().__init__(
            f"Publishing {request_id} moves totals further than the thresholds allow:\n{named}{more}\n"
            f"Look: recount diff {request_id}\n"
            f'If that is right: recount publish {request_id} --approve "why it is right"'
        )
        self.moves = list(moves)


@dataclass(frozen=True)
class Review:
    """Compares the candidates of a reprocessing with what is published, and knows what may pass.

    `differ` gives one with the catalog of now.
    """

    differ: Callable[[], Differ]
    reprocessings: Reprocessings
    thresholds: Sequence[Threshold] = DEFAULTS

    def compare(
        self, request: Reprocessing, progress: Callable[[str], None] = lambda day: None
    ) -> Comparison:
        """What publishing the hours that are done would change. Raises InvalidInput where none is."""
        done = self.reprocessings.hours(request.id)
        if not done:
            detail = f"reprocessing {request.id} has no candidate yet: recount reprocess resume {request.id}"
            raise InvalidInput(detail, field="reprocessing")
        generations = {hour.hour: hour.generation for hour in done.values()}
        return self.differ().compare(generations, only=request.sites or None, progress=progress)

    def days(self, request: Reprocessing) -> list[str]:
        """The days that `compare` tells its progress of."""
        return self.differ().days(self.reprocessings.hours(request.id))

    def blocked(self, found: Comparison) -> list[Blocked]:
        return blocked(found, self.thresholds)

    def approve(self, request: Reprocessing, by: str, why: str, now_ms: int) -> Reprocessing:
        """Put a name under the candidates as they are now; computing any of them again takes it away."""
        if not why.strip():
            raise InvalidInput("say why the change is right", field="approve")
        of = digest(self.reprocessings.hours(request.id))
        approval = Approval(by=by, why=why.strip(), at_ms=now_ms, of=of)
        return self.reprocessings.change(request, approval=approval)

    def check(self, request: Reprocessing) -> None:
        """Raises NeedsApproval where totals move too far and nobody stands for these candidates."""
        approval = request.approval
        if approval is not None and approval.of == digest(self.reprocessings.hours(request.id)):
            return
        moves = self.blocked(self.compare(request))
        if moves:
            raise NeedsApproval(request.id, moves)


def digest(done: Mapping[str, HourDone]) -> str:
    """What an approval is given for: these candidates and no others."""
    pairs = sorted((hour.hour, hour.generation) for hour in done.values())
    return hashlib.sha256(msgspec.json.encode(pairs)).hexdigest()[:32]
