"""Why an event was refused at the door: one enumeration for answers, headers and metric labels."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

DROP_HEADER: Final = "Recount-Drop"  # names the reason in an answer


class Reason(StrEnum):
    """The value is the code that a client sees in `Recount-Drop` and in `rejected[].reason`."""

    UNKNOWN_SITE = "unknown_site"
    BAD_JSON = "bad_json"
    BAD_EVENT = "bad_event"
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    TOO_OLD = "too_old"
    IN_THE_FUTURE = "in_the_future"
    NOT_ALLOWED = "not_allowed"
    OPTED_OUT = "opted_out"
    HOSTNAME_NOT_ALLOWED = "hostname_not_allowed"
    RATE_LIMITED = "rate_limited"
    SPOOL_FULL = "spool_full"
    UNAVAILABLE = "unavailable"
