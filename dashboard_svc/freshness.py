"""Where a number comes from: published (exact), live (still running), or both."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard_svc import words

PUBLISHED = "published"
LIVE = "live"
MIXED = "mixed"
MISSING = "missing"


@dataclass(frozen=True)
class Freshness:
    """What an answer is made of. `published_until_ms`: the end of the newest published hour; `live_as_of_ms`:
    None where no live number went in. Origins are those of the rows of an answer."""

    zone: str
    now_ms: int
    published_until_ms: int | None
    live_as_of_ms: int | None

    def origin(self, of_rows: str, end_ms: int) -> str:
        """The origin of numbers up to a moment; `missing` where nobody knows the running hour."""
        if of_rows == PUBLISHED and end_ms > self.now_ms and self.live_as_of_ms is None:
            is_known = self.published_until_ms is not None and self.published_until_ms >= self.now_ms
            return PUBLISHED if is_known else MISSING
        return of_rows

    def sentence(self, of_rows: str, end_ms: int) -> str:
        """What stands on every number."""
        match self.origin(of_rows, end_ms):
            case "live":
                return f"Live, as of {self._live()}. The exact number follows after the hour"
            case "mixed":
                return f"Published until {self._published()}, then live as of {self._live()}"
            case "missing":
                return f"Published until {self._published()}. The live service is away"
            case _ if end_ms > self.now_ms:
                return f"Published until {self._published()}, nothing since then"
            case _:
                return "Published: exact, until corrected"

    def _published(self) -> str:
        return self._words(self.published_until_ms)

    def _live(self) -> str:
        return self._words(self.live_as_of_ms)

    def _words(self, ms: int | None) -> str:
        return "nothing yet" if ms is None else words.moment(ms, self.zone, self.now_ms)
