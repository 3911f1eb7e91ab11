"""Progress on long work: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)


@contextmanager
def counting(label: str, total: int | None, console: Console) -> Iterator[Callable[[int], None]]:
    """Yields a function that is told how much is done so far; the last state stays on the screen."""
    columns = [
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    ]
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(label, total=total)
        done = 0

        def advance(now: int) -> None:
            nonlocal done
            done = now
            progress.update(task, completed=now)

        yield advance
        progress.update(
            task, total=done if total is None else total, completed=done if total is None else total
        )
