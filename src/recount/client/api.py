"""The client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self, overload
from urllib.parse import quote

import httpx
import pyarrow as pa

from recount.client import live, tables
from recount.client.http import Http

if TYPE_CHECKING:
    import pandas as pd

QUERY: Final = "/api/v1/query"
SITES: Final = "/api/v1/sites"
FUNNEL: Final = "/api/v1/funnel"
EVENTS: Final = "/api/v1/export/events"
LIVE: Final = "/api/v1/live/"
TIMEOUT_S: Final = 60.0
PAGE_ROWS: Final = 10_000  # of a query, at most

Range = str | tuple[date | str, date | str] | list[str]


class Client:
    """Asks one Recount. Answers 429 and 503 are waited out as they say; other errors are raised as ApiError.

    `url`: the front or a dashboard, such as http://127.0.0.1:8000; `token`: of `recount tokens add`. Safe to
    share between threads; close it, or use it with `with`, to give connections back.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = Http(url.rstrip("/"), token, timeout_s=timeout_s, transport=transport)
        self._zones: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    @overload
    def query(self, site: str, *, as_: Literal["pandas"] = ..., **fields: Any) -> pd.DataFrame: ...

    @overload
    def query(self, site: str, *, as_: Literal["arrow"], **fields: Any) -> pa.Table: ...

    def query(
        self,
        site: str,
        *,
        metrics: Sequence[str] | None = None,
        dimensions: Sequence[str] | None = None,
        date_range: Range | None = None,
        all_rows: bool = False,
        as_: Literal["pandas", "arrow"] = "pandas",
        **fields: Any,
    ) -> pd.DataFrame | pa.Table:
        """Numbers of a site (docs/query.md has what can be asked for; `fields` are its other fields).

        With `all_rows` every page is asked for, all of one published state, not only the first `limit` rows.
        `attrs` of the frame has `published_until`, `live_as_of`, `notes` and the `query`; of a table they are
        JSON in the schema's metadata under `recount`. Raises InvalidQuery naming the field at fault.
        """
        given = fields | {"metrics": metrics, "dimensions": dimensions, "date_range": _range(date_range)}
        body = {"site": site, **{name: value for name, value in given.items() if value is not None}}
        answer = self._all_pages(body) if all_rows else self._http.post(QUERY, body)
        about = _about(answer, body)
        zone = body.get("timezone") or self.zone(site)
        made = tables.table(answer["rows"], zone, about, (*(dimensions or ()), *(metrics or ())))
        return made if as_ == "arrow" else tables.frame(made, about)

    def funnel(
        self, site: str, steps: Sequence[Any], *, date_range: Range | None = None, **fields: Any
    ) -> pd.DataFrame:
        """How many take each step after the one before (docs/archive-queries.md): a row a step.

        `steps` as the API takes them: a page such as `/pricing`, `event:signup`, `goal:trial`; `fields` are
        `window`, `timezone`, `filters`. `attrs` has `visits`, `conversion_rate`, `published_until`, `notes`.
        """
        given = fields | {"steps": list(steps), "date_range": _range(date_range)}
        body = {"site": site, **{name: value for name, value in given.items() if value is not None}}
        answer = self._http.post(FUNNEL, body)
        about = _about({name: value for name, value in answer.items() if name != "steps"}, body)
        return tables.frame(
            tables.table(answer["steps"], "UTC", about, ("step", "visitors", "visits")), about
        )

    def export_events(
        self, site: str, file: Path | str, *, date_range: Range | None = None, timezone: str | None = None
    ) -> datetime | None:
        """Write a site's archived events into a file, `.csv` or `.parquet` (docs/exports.md has the columns).

        Returns up to when they are published. The file is there once all of it is: raises ApiError otherwise,
        ValueError for another ending. The token needs the scope `export`.
        """
        path = Path(file)
        if path.suffix not in (".csv", ".parquet"):
            raise ValueError(f"{path.name} ends with neither .csv nor .parquet")
        given = {"format": path.suffix[1:], "date_range": _range(date_range), "timezone": timezone}
        body = {"site": site, **{name: value for name, value in given.items() if value is not None}}
        partial = path.with_name(path.name + ".part")
        try:
            with partial.open("wb") as out:
                headers = self._http.fetch(EVENTS, body, out)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        until = headers.get("Recount-Published-Until")
        return datetime.fromisoformat(until) if until else None

    def live(self, site: str, minutes: int = 30) -> live.Live:
        """The last minutes of a site. Raises Unavailable while the live service is away."""
        answer = self._http.get(LIVE + quote(site, safe=""), minutes=minutes)
        return live.of(answer, self.zone(site))

    def sites(self) -> pd.DataFrame:
        """The sites that the token opens: id, domain, timezone, currency, goals."""
        return tables.frame(tables.table(self._sites(), "UTC", {}), {})

    def zone(self, site: str) -> str:
        """The time zone of a site, asked for once."""
        if site not in self._zones:
            self._zones |= {one["id"]: one["timezone"] for one in self._sites()}
        return self._zones.get(site, "UTC")

    def _all_pages(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer with the rows of all pages, and everything that any of them notes."""
        asked = {"limit": PAGE_ROWS} | body
        answer: dict[str, Any] = self._http.post(QUERY, asked)
        rows, notes = answer["rows"], dict.fromkeys(answer["notes"])
        while answer["next"] is not None:
            answer = self._http.post(QUERY, asked | {"cursor": answer["next"]})
            rows += answer["rows"]
            notes |= dict.fromkeys(answer["notes"])
        return answer | {"rows": rows, "notes": list(notes)}

    def _sites(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._http.get(SITES)["sites"]
        return found


def _range(given: Range | None) -> str | list[str] | None:
    if given is None or isinstance(given, str):
        return given
    return [one if isinstance(one, str) else one.isoformat() for one in given]


def _about(answer: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of the numbers; moments as datetimes in UTC."""
    kept = {name: value for name, value in answer.items() if name not in ("rows", "next")}
    for name in ("published_until", "live_as_of"):
        if kept.get(name) is not None:
            kept[name] = datetime.fromisoformat(kept[name])
    return kept | {"query": dict(body)}
