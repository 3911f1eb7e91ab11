"""`/api/v1/export/...`: a query's rows, or a site's events, as files."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final, cast

import polars as pl
from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict

from dashboard_svc.api.answers import moment
from dashboard_svc.api.bodies import filters_of, json_of
from dashboard_svc.bridge import IS_GONE, UNBUFFERED
from dashboard_svc.services import Services
from recount.errors import InvalidInput
from recount.metrics import SCAN_BYTES
from recount.querying.measures import Row
from recount.querying.parse import parse
from recount.querying.query import Query, Span
from recount.scanning.events import COLUMNS, FORMATS, MEDIA_TYPES, Format, frames, writer_of
from recount.scanning.gate import never
from recount.store.catalog import Site

QUERY_PATH: Final = "/api/v1/export/query"
EVENTS_PATH: Final = "/api/v1/export/events"
ROWS_MAX: Final = 1_000_000
UNTIL: Final = "Recount-Published-Until"
REVENUE: Final = "revenue"
_LISTS: Final = ("metrics", "dimensions")
_OF_EVENTS: Final = ("site", "date_range", "timezone")
_MONEY: Final = pl.Decimal(38, 6)


def blueprint(services: Services) -> Blueprint:
    api = Blueprint("export", __name__)

    @api.post(QUERY_PATH)
    @api.get(QUERY_PATH)
    def rows() -> Response:
        """All rows of a query, whatever its limit."""
        body = json_of(request) if request.method == "POST" else _parameters(request.args)
        wanted, asked = _format(body)
        site, query = parse(asked, services.sites.get, services.now_ms())
        whole = replace(query, limit=ROWS_MAX + 1, offset=0)
        answers = services.answerer.answer_many(site, [whole], request.environ.get(IS_GONE, never))
        found = answers.tables[0]
        if len(found) > ROWS_MAX:
            raise InvalidInput(
                f"there are more than {ROWS_MAX:,} rows; filter, or ask for less", field="filters"
            )
        answer = Response(_written(_frame(query, found), wanted))
        return _as_file(answer, f"{site.id}-{_named(query)}", query.span, wanted, answers.published_until_ms)

    @api.post(EVENTS_PATH)
    @api.get(EVENTS_PATH)
    def events() -> Response:
        """A site's archived events of a range, however many."""
        body = json_of(request) if request.method == "POST" else _parameters(request.args)
        wanted, asked = _format(body)
        unknown = sorted(asked.keys() - set(_OF_EVENTS))
        if unknown:
            raise InvalidInput(f"an export of events has no {unknown[0]!r}", field=unknown[0])
        site, query = parse(asked, services.sites.get, services.now_ms())
        parts = _Events(services, site, query.span, query.zone(site), wanted)
        answer = Response(parts)
        answer.headers[UNBUFFERED[0]] = UNBUFFERED[1]
        return _as_file(answer, f"{site.id}-events", query.span, wanted, parts.published_until_ms)

    return api


class _Events(Iterator[bytes]):
    """The bytes of an export. What cannot begin raises before the first of them, what fails later while they
    are taken: then the answer is cut short."""

    def __init__(self, services: Services, site: Site, span: Span, zone: str, wanted: Format) -> None:
        scanner = services.scanner
        with ExitStack() as held:
            stop = held.enter_context(scanner.exports.enter())
            found = scanner.look(site, span.bounds_ms(zone), COLUMNS, stop)
            self._held = held.pop_all()
        self.published_until_ms = found.published.until_ms
        self._parts = self._written(frames(scanner, site, span, zone, found, stop), wanted)
        services.metrics.counter(SCAN_BYTES).labels("export").inc(found.bytes)

    @staticmethod
    def _written(found: Iterator[pl.DataFrame], wanted: Format) -> Generator[bytes, None, None]:
        writer = writer_of(wanted)
        yield writer.begin()
        for frame in found:
            yield writer.rows(frame)
        yield writer.end()

    def __next__(self) -> bytes:
        return next(self._parts)

    def close(self) -> None:
        """Called once, whether or not all was taken."""
        self._parts.close()
        self._held.close()


def _format(body: Any) -> tuple[Format, dict[str, Any]]:
    """The format, and the rest of what is asked."""
    if not isinstance(body, dict):
        raise InvalidInput("an export is a JSON object")
    wanted = body.get("format", "csv")
    if wanted not in FORMATS:
        raise InvalidInput(f"a format is one of {', '.join(FORMATS)}", field="format")
    return cast("Format", wanted), {name: value for name, value in body.items() if name != "format"}


def _parameters(args: MultiDict[str, str]) -> dict[str, Any]:
    """The same with parameters: lists are comma-separated, `date_range` is a name or `from,to`, filters are
    JSON."""
    body: dict[str, Any] = {name: args[name] for name in args}
    body |= {name: args[name].split(",") for name in _LISTS if args.get(name)}
    given = args.get("date_range", "")
    return body | filters_of(args) | ({"date_range": given.split(",")} if "," in given else {})


def _frame(query: Query, rows: list[Row]) -> pl.DataFrame:
    """Rows as a table: revenue has a column for each currency."""
    if not rows:
        return pl.DataFrame(schema=dict.fromkeys((*query.dimensions, *query.metrics), pl.String()))
    if REVENUE in query.metrics:
        currencies = sorted({currency for row in rows for currency in row[REVENUE]})
        rows = [row | {f"revenue_{c}": row[REVENUE].get(c) for c in currencies} for row in rows]
        money = [pl.col(f"revenue_{c}").cast(_MONEY) for c in currencies]
        frame = pl.DataFrame(rows, infer_schema_length=None)
        return frame.with_columns(money).drop(REVENUE, strict=False)
    return pl.DataFrame(rows, infer_schema_length=None)


def _written(frame: pl.DataFrame, wanted: Format) -> bytes:
    if wanted == "csv":
        return frame.write_csv().encode()
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _named(query: Query) -> str:
    return "-".join(query.dimensions or ((query.interval,) if query.interval else ("totals",)))


def _as_file(
    answer: Response, name: str, span: Span, wanted: Format, published_until_ms: int | None
) -> Response:
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in f"{name}-{span.first}-{span.last}")
    answer.headers["Content-Type"] = MEDIA_TYPES[wanted]
    answer.headers["Content-Disposition"] = f'attachment; filename="{safe}.{wanted}"'
    answer.headers["Cache-Control"] = "no-store"
    answer.headers[UNTIL] = moment(published_until_ms) or ""
    return answer
