"""The geometry of the chart: values over time to paths in a 1000 x 100 box, which SVG stretches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 1000.0
HEIGHT: Final = 100.0
GRID_LINES: Final = 4
LABELS_MAX: Final = 8
TIME_STEPS_S: Final = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 36_000)

Value = float | None


@dataclass(frozen=True)
class Tick:
    """A label at a share (0 to 100 %) of the axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """Paths are SVG path data; `xs` are where the points lie, in percent of the width."""

    solid: str
    dashed: str
    area: str
    previous: str
    dots: tuple[tuple[float, float], ...]
    xs: tuple[float, ...]
    ys: tuple[float | None, ...]
    top: float


@dataclass(frozen=True)
class Stretch:
    """Neighbouring points with the same key: first and last index, where it begins and how wide it is, in
    percent of the width; half a step on both sides belongs to it."""

    key: str
    first: int
    last: int
    x: float
    width: float


def draw(values: Sequence[Value], previous: Sequence[Value], settled: int, top: float) -> Chart:
    """`settled` points are final, to the others the line is dashed. `top` is the end of the axis."""
    count = max(len(values), len(previous))
    points = [_point(i, value, count, top) for i, value in enumerate(values)]
    before = [_point(i, value, count, top) for i, value in enumerate(previous)]
    return Chart(
        solid=_line(points[:settled]),
        dashed=_line(points[max(settled - 1, 0) :]) if settled < len(points) else "",
        area=_area(points),
        previous=_line(before),
        dots=tuple((x / 10, y) for x, y in _lonely(points)),
        xs=tuple(_x(i, count) / 10 for i in range(len(values))),
        ys=tuple(None if p is None else p[1] for p in points),
        top=top,
    )


def axis_top(values: Sequence[Value], *, seconds: bool = False, at_most: float | None = None) -> float:
    """The end of an axis with GRID_LINES equal steps that are round numbers."""
    largest = max((v for v in values if v is not None), default=0.0)
    if at_most is not None and largest > at_most * 0.75:
        return at_most
    step = largest / GRID_LINES
    if seconds:
        return GRID_LINES * float(next((s for s in TIME_STEPS_S if s >= step), math.ceil(step)))
    if at_most is None and largest <= GRID_LINES:
        return float(GRID_LINES)
    power: float = 10.0 ** math.floor(math.log10(step)) if step > 0 else 0.25
    nice = (1, 2, 2.5, 5, 10) if power >= 10 else (1, 2, 5, 10)  # a label such as 2.5 visitors reads badly
    chosen = next(n for n in nice if n * power >= step * (1 - 1e-9))
    return GRID_LINES * chosen * power


def steps(top: float) -> list[tuple[float, float]]:
    """The grid lines: where each lies (0 to 100 %, from above) and its value."""
    return [(100 - 100 * i / GRID_LINES, top * i / GRID_LINES) for i in range(GRID_LINES + 1)]


def spaced(labels: Sequence[str], most: int = LABELS_MAX) -> list[Tick]:
    """At most `most` of the labels, evenly spaced, each where its point lies."""
    step = max(1, math.ceil(len(labels) / most))
    return [Tick(_x(i, len(labels)) / 10, labels[i]) for i in range(0, len(labels), step)]


def stretches(keys: Sequence[str]) -> list[Stretch]:
    """The runs of points with the same key; those without one ("") are left out."""
    found: list[Stretch] = []
    first = 0
    for index, key in enumerate(keys):
        if index + 1 < len(keys) and keys[index + 1] == key:
            continue
        if key:
            start, end = _edge(first, len(keys)), _edge(index + 1, len(keys))
            found.append(Stretch(key, first, index, round(start, 2), round(end - start, 2)))
        first = index + 1
    return found


def _edge(index: int, count: int) -> float:
    """The border between a point and the one before it, in percent of the width."""
    return min(100.0, max(0.0, (index - 0.5) * 100 / (count - 1))) if count > 1 else 100.0 * index


def _x(index: int, count: int) -> float:
    return WIDTH / 2 if count <= 1 else round(index * WIDTH / (count - 1), 1)


def _point(index: int, value: Value, count: int, top: float) -> tuple[float, float] | None:
    if value is None:
        return None
    return _x(index, count), round(HEIGHT - HEIGHT * min(value / top, 1.0), 2)


def _runs(points: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    """The stretches without a gap."""
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    return [run for run in runs if run]


def _lonely(points: Sequence[tuple[float, float] | None]) -> list[tuple[float, float]]:
    """Points with a gap on both sides, which no line shows."""
    return [run[0] for run in _runs(points) if len(run) == 1]


def _line(points: Sequence[tuple[float, float] | None]) -> str:
    return "".join(_path(run) for run in _runs(points) if len(run) > 1)


def _area(points: Sequence[tuple[float, float] | None]) -> str:
    return "".join(
        f"{_path(run)}L{run[-1][0]:g} {HEIGHT:g}L{run[0][0]:g} {HEIGHT:g}Z"
        for run in _runs(points)
        if len(run) > 1
    )


def _path(run: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in run)
