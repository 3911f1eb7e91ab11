"""Errors, typed by what becomes of them.

DaxError
├── Malformed        these bytes are not the protocol: say so and close the connection
├── Refusal          an answer to the client, in the form of DynamoDB's errors
│   └── Denied       DynamoDB's own
├── Unreachable      DynamoDB gave no answer; whether a write was applied is unknown
└── SetupError       the operator must change something: print it, exit non-zero
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

VALIDATION: Final = "ValidationException"


class DaxError(Exception):
    """Base of every error that the node raises on purpose."""


class Malformed(DaxError):
    """Bytes that cannot be a message of the protocol."""


class SetupError(DaxError):
    """The node cannot start; the message says what to change."""


class Unreachable(DaxError):
    """DynamoDB did not answer, or not so that the outcome is known."""


@dataclass(frozen=True)
class Reason:
    """Why one item of a transaction stopped it; `item` holds attribute values in JSON form."""

    code: str
    message: str | None
    table: str
    item: dict[str, dict[str, object]] | None


class Refusal(DaxError):
    """`code` is DynamoDB's name of the error, `status` its HTTP status."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        request_id: str | None = None,
        reasons: Sequence[Reason] = (),
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status
        self.request_id, self.reasons = request_id, reasons

    @classmethod
    def invalid(cls, message: str) -> Refusal:
        return cls(VALIDATION, message)


class Denied(Refusal):
    """What DynamoDB itself answered. With a status under 500 a write was not applied."""
