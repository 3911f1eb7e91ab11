"""The same operations on two sides, and what came of them in a form that can be compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from amazondax.DaxError import DaxClientError
from botocore.exceptions import ClientError

IGNORED: Final = frozenset({"ResponseMetadata"})


@dataclass(frozen=True)
class Failure:
    """`message` is None where the client itself refused: it has its own words."""

    code: str
    message: str | None
    reasons: tuple[Any, ...] = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Failure) or self.code != other.code:
            return False
        if None in (self.message, other.message):
            return True
        return (self.message, self.reasons) == (other.message, other.reasons)

    __hash__ = None  # type: ignore[assignment] # equality is not transitive


@dataclass
class Side:
    """Runs operations on the tables of one side and notes their outcomes."""

    client: Any
    tables: Mapping[str, str]
    outcomes: list[Any] = field(default_factory=list)

    def __getitem__(self, kind: str) -> str:
        """The name of the table with this kind of key."""
        return self.tables[kind]

    def __call__(self, operation: str, **parameters: Any) -> Any:
        """The result, or None after an error; both are noted."""
        result = None
        try:
            result = getattr(self.client, operation)(**parameters)
            outcome: Any = comparable(result)
            if parameters.get("ReturnConsumedCapacity", "NONE") == "NONE":
                outcome.pop("ConsumedCapacity", None)  # DynamoDB Local reports some that nobody asked for
        except ClientError as error:
            outcome = self._failure(error)
        self.outcomes.append((operation, self._anonymous(outcome)))
        return result

    def _failure(self, error: ClientError) -> Failure:
        found = error.response["Error"]
        message = None if isinstance(error, DaxClientError) else plain(found.get("Message", ""))
        reasons = error.response.get("CancellationReasons")
        if reasons is not None:
            flat = [[r.get("Code"), r.get("Message"), bool(r.get("Item"))] for r in reasons]
        else:
            raw = getattr(error, "cancellation_reasons", None) or []
            flat = [[raw[n], raw[n + 1], bool(raw[n + 2])] for n in range(0, len(raw), 3)]
        return Failure(found["Code"], message, tuple(map(tuple, flat)))

    def _anonymous(self, outcome: Any) -> Any:
        """With names of tables replaced by kinds: the sides have different ones."""
        if isinstance(outcome, dict):
            return {self._anonymous(k): self._anonymous(v) for k, v in outcome.items()}
        if isinstance(outcome, list):
            return [self._anonymous(value) for value in outcome]
        for kind, name in self.tables.items():
            if outcome == name:
                return kind
        return outcome


def plain(message: str) -> str:
    """A message without the placeholders in expressions, which the node chooses anew."""
    return re.sub(r"[#:][A-Za-z0-9_]+", "?", message)


def comparable(value: Any, kind: str = "") -> Any:
    """Numbers by value, sets without order, rows of a batch without order."""
    if kind == "N":
        return Decimal(value)
    if kind in ("SS", "BS"):
        return sorted(value)
    if kind == "NS":
        return sorted(map(Decimal, value))
    if isinstance(value, Mapping):
        return {k: comparable(v, str(k)) for k, v in value.items() if k not in IGNORED}
    if isinstance(value, list):
        return [comparable(element) for element in value]
    return value
