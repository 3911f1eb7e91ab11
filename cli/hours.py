"""Hours as people type them."""

from __future__ import annotations

import re
from typing import Final

from recount.errors import InvalidInput
from recount.periods import hour_of, hour_start_ms

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def hour_named(text: str, of_a_day: str) -> str:
    """An hour as it was given, or the one of a day; raises InvalidInput for anything else."""
    name = text + of_a_day if _DATE.fullmatch(text) else text
    try:
        if hour_of(hour_start_ms(name)) == name:
            return name
    except ValueError:
        pass
    detail = f"{text!r} is neither a day such as 2026-11-22 nor a UTC hour such as 2026-11-22T03"
    raise InvalidInput(detail, field="hours")
