"""Errors, typed by what the caller should do with them.

RecountError
├── InvalidInput            tell the sender; never retry
│   └── Refused             an event refused at the door, with an enumerated reason
├── Unavailable             a dependency is away: retry later, lose nothing
├── Conflict                somebody else moved first: read again, then decide
├── Poison                  one record can never be processed: quarantine it, go on with the rest
├── Incomplete              proof of completeness is missing: do not publish, say what is missing
└── SetupError              the operator must change something: print the remedy, exit non-zero
"""

from __future__ import annotations

from recount.reasons import Reason

__all__ = [
    "Conflict",
    "Incomplete",
    "InvalidInput",
    "Poison",
    "RecountError",
    "Refused",
    "SetupError",
    "Unavailable",
]


class RecountError(Exception):
    """Base of every error that Recount raises on purpose."""


class InvalidInput(RecountError):
    """The input cannot be used as it is; `field` names the part at fault, `detail` says what to do."""

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


class Refused(InvalidInput):
    """An event that the door does not take, with the reason that metrics and answers name."""

    def __init__(self, reason: Reason, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail, field=field)
        self.reason = reason


class Unavailable(RecountError):
    """A dependency did not answer; the same call may succeed later."""

    def __init__(self, part: str, detail: str) -> None:
        super().__init__(f"{part} is unavailable: {detail}")
        self.part, self.detail = part, detail


class Conflict(RecountError):
    """A conditional write found another state than expected."""


class Poison(RecountError):
    """One record that no retry can make processable; `reason` goes to the dead-letter topic with it, `detail`
    says what exactly is wrong."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Incomplete(RecountError):
    """Events are known to exist that are not stored yet; the message names the missing offsets."""


class SetupError(RecountError):
    """Something on this machine stops the stack; `remedy` is what the operator should do."""

    def __init__(self, part: str, cause: str, remedy: str) -> None:
        super().__init__(f"{part}: {cause}\n  remedy: {remedy}")
        self.part, self.cause, self.remedy = part, cause, remedy
