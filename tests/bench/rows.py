"""One row of the bench: ours beside a peer, as a ratio."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Row:
    """`ours` and `peer_value` in `unit`. `target` is what is asked, `ok` whether it is met."""

    name: str
    ours: float | None
    unit: str
    peer: str = ""
    peer_value: float | None = None
    target: str = ""
    ok: bool | None = None
    conditions: str = ""

    @property
    def ratio(self) -> float | None:
        if self.ours is None or not self.peer_value:
            return None
        return self.ours / self.peer_value

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"ratio": self.ratio}


def save(rows: list[Row], path: Path) -> None:
    """Write build/bench.json."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps([row.as_dict() for row in rows], option=orjson.OPT_INDENT_2))


def show(rows: list[Row]) -> None:
    """Print the table."""
    table = Table(
        "what", "ours", "unit", "peer", "peer's", "ratio", "target", "met", box=None, pad_edge=False
    )
    for row in rows:
        met = {True: "yes", False: "NO", None: ""}[row.ok]
        table.add_row(
            row.name,
            _number(row.ours),
            row.unit,
            row.peer,
            _number(row.peer_value),
            _number(row.ratio),
            row.target,
            met,
        )
    console = Console(width=170)
    console.print(table)
    for conditions in dict.fromkeys(row.conditions for row in rows if row.conditions):
        console.print(f"[dim]{conditions}[/dim]")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"
