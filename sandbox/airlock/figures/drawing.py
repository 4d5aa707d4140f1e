"""A judged table drawn as SVG: nothing is in the picture that is not in the table.

Marks carry their figure as a title, so that the picture can be read aloud; series differ in shape and dash as well as
in colour. Positions are whole tenths of a pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

import polars as pl

from sandbox.airlock.specification import Draw

WIDTH: Final = 760
HEIGHT: Final = 420
TOP: Final = 46
BOTTOM: Final = 96
RIGHT: Final = 16
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d00", "#56b4e9", "#7b3f00", "#555555")
_DASHES: Final = ("none", "7 3", "2 3", "9 3 2 3", "4 4", "12 4", "1 4", "6 2 1 2")
_LETTERS: Final = 'font-family="sans-serif" font-size="12"'
_LONGEST: Final = 18
_LINES: Final = 5


@dataclass(frozen=True, slots=True)
class _Plot:
    """Where things stand: places along the bottom, series in each, figures up the side."""

    places: tuple[str, ...]
    series: tuple[str, ...]
    least: float
    most: float
    left: int

    @property
    def step(self) -> float:
        """How wide one place is."""
        return (WIDTH - RIGHT - self.left) / max(len(self.places), 1)

    def across(self, place: int, share: float) -> float:
        """Return how far to the right a share of a place lies."""
        return self.left + (place + share) * self.step

    def down(self, figure: float) -> float:
        """Return how far down a figure lies."""
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.most - figure) / ((self.most - self.least) or 1)


def draw(frame: pl.DataFrame, groupings: int, kind: Draw, title: str) -> bytes:
    """Return the picture of a table whose first `groupings` columns are labels and the rest its figures."""
    cells = {
        tuple(_text(label) for label in row[:groupings]) or ("",): row[groupings:] for row in frame.iter_rows()
    }  # fmt: skip
    places = tuple(dict.fromkeys(cell[0] for cell in cells))
    series = tuple(dict.fromkeys(cell[1] for cell in cells)) if groupings > 1 else ("",)
    plot = _plot(places, series, [float(one) for row in cells.values() for one in row if one is not None], kind)
    if kind is Draw.BOX:
        marks = _boxes(plot, cells)
    else:
        marks = _lines(plot, cells) if kind is Draw.LINE else _bars(plot, cells, kind)
    names = frame.columns[:groupings]
    said = f"{title}. {len(places)} × {len(series)}" if groupings > 1 else f"{title}. {len(places)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" {_LETTERS}>',
        f"<title>{escape(title)}</title>", f"<desc>{escape(said)}</desc>",
        f'<rect x="0" y="0" width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _word(title, plot.left, 20, size=15), *_axis(plot), *marks, *_labels(plot, names[0] if names else ""),
        *_legend(plot, names[1] if groupings > 1 else ""), "</svg>",
    ]  # fmt: skip
    return ("\n".join(parts) + "\n").encode()


def _plot(places: tuple[str, ...], series: tuple[str, ...], figures: Sequence[float], kind: Draw) -> _Plot:
    least, most = min(figures, default=0.0), max(figures, default=1.0)
    if kind is not Draw.BOX:
        least, most = min(least, 0.0), max(most, 0.0)
    if least == most:
        least, most = least - 0.5 * (kind is Draw.BOX), most + 1.0
    widest = max(len(_number(least + (most - least) * part / (_LINES - 1))) for part in range(_LINES))
    return _Plot(places, series, least, most, 16 + 8 * widest)


def _bars(plot: _Plot, cells: dict[tuple[str, ...], tuple[Any, ...]], kind: Draw) -> Iterator[str]:
    room = 1.0 if kind is Draw.HISTOGRAM else 0.8
    width = room / len(plot.series)
    for (place, at), name, figure in _each(plot, cells):
        start = (1 - room) / 2 + at * width
        if figure[0] is None:
            yield _left_out(plot, place, start + width / 2, name)
            continue
        ends = sorted((plot.down(float(figure[0])), plot.down(0.0)))
        yield (
            f'<rect x="{plot.across(place, start):.1f}" y="{ends[0]:.1f}" width="{max(width * plot.step - 1, 1):.1f}" '
            f'height="{ends[1] - ends[0]:.1f}" fill="{_COLOURS[at]}" stroke="#222222" stroke-width="0.5">'
            f"<title>{escape(name)}: {_number(figure[0])}</title></rect>"
        )


def _lines(plot: _Plot, cells: dict[tuple[str, ...], tuple[Any, ...]]) -> Iterator[str]:
    points: dict[int, list[list[str]]] = {}
    dots = []
    for (place, at), name, figure in _each(plot, cells):
        pieces = points.setdefault(at, [[]])
        if figure[0] is None:
            pieces.append([])  # A line does not bridge what was left out.
            dots.append(_left_out(plot, place, 0.5, name))
            continue
        x, y = plot.across(place, 0.5), plot.down(float(figure[0]))
        pieces[-1].append(f"{x:.1f},{y:.1f}")
        dots.append(_dot(x, y, at, f"{name}: {_number(figure[0])}"))
    for at, pieces in points.items():
        for piece in pieces:
            if len(piece) > 1:
                yield (
                    f'<polyline points="{" ".join(piece)}" fill="none" stroke="{_COLOURS[at]}" stroke-width="2" '
                    f'stroke-dasharray="{_DASHES[at]}"/>'
                )
    yield from dots


def _boxes(plot: _Plot, cells: dict[tuple[str, ...], tuple[Any, ...]]) -> Iterator[str]:
    width = 0.7 / len(plot.series)
    for (place, at), name, figure in _each(plot, cells):
        start = 0.15 + at * width
        middle = plot.across(place, start + width / 2)
        if any(one is None for one in figure):
            yield _left_out(plot, place, start + width / 2, name)
            continue
        low, first, half, third, high = (plot.down(float(one)) for one in figure)
        x, wide = plot.across(place, start), width * plot.step - 2
        said = ", ".join(_number(one) for one in figure)
        yield (
            f'<g stroke="#222222" fill="none"><title>{escape(name)}: {said}</title>'
            f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="{low:.1f}" y2="{first:.1f}"/>'
            f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="{third:.1f}" y2="{high:.1f}"/>'
            f'<rect x="{x:.1f}" y="{third:.1f}" width="{wide:.1f}" height="{first - third:.1f}" '
            f'fill="{_COLOURS[at]}" fill-opacity="0.55"/>'
            f'<line x1="{x:.1f}" x2="{x + wide:.1f}" y1="{half:.1f}" y2="{half:.1f}" stroke-width="2"/></g>'
        )


def _each(
    plot: _Plot, cells: dict[tuple[str, ...], tuple[Any, ...]]
) -> Iterator[tuple[tuple[int, int], str, tuple[Any, ...]]]:
    """Yield each cell's place and series, its name, and its figures."""
    for at, series in enumerate(plot.series):
        for place, label in enumerate(plot.places):
            figure = cells.get((label, series) if (label, series) in cells else (label,))
            if figure is not None:
                yield (place, at), " · ".join(part for part in (label, series) if part), figure


def _left_out(plot: _Plot, place: int, share: float, name: str) -> str:
    x, y = plot.across(place, share), plot.down(max(plot.least, 0.0)) - 4
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="#555555">×'
        f"<title>{escape(name)}: left out</title></text>"
    )


def _dot(x: float, y: float, at: int, said: str) -> str:
    shapes = (
        f"M{x - 3:.1f} {y:.1f}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z", f"M{x - 3:.1f} {y - 3:.1f}h6v6h-6z",
        f"M{x:.1f} {y - 4:.1f}l4 7h-8z", f"M{x:.1f} {y - 4:.1f}l4 4l-4 4l-4 -4z",
    )  # fmt: skip
    return f'<path d="{shapes[at % len(shapes)]}" fill="{_COLOURS[at]}"><title>{escape(said)}</title></path>'


def _axis(plot: _Plot) -> Iterator[str]:
    for part in range(_LINES):
        figure = plot.least + (plot.most - plot.least) * part / (_LINES - 1)
        y = plot.down(figure)
        yield f'<line x1="{plot.left}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#cccccc"/>'
        yield _word(_number(figure), plot.left - 6, y + 4, anchor="end")


def _labels(plot: _Plot, name: str) -> Iterator[str]:
    turned = len(plot.places) > 6 or max((len(one) for one in plot.places), default=0) > 10
    every = max(1, -(-len(plot.places) // 30))
    for place, label in list(enumerate(plot.places))[::every]:
        x, y = plot.across(place, 0.5), HEIGHT - BOTTOM + 16
        short = label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"
        turn = f' transform="rotate(-35 {x:.1f} {y})"' if turned else ""
        yield _word(short, x, y, anchor="end" if turned else "middle", more=turn)
    yield _word(name, WIDTH - RIGHT, HEIGHT - 8, anchor="end")


def _legend(plot: _Plot, name: str) -> Iterator[str]:
    if len(plot.series) == 1 and not name:
        return
    x = float(plot.left)
    for at, label in enumerate(plot.series):
        short = label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"
        yield _dot(x + 4, 34, at, label)
        yield _word(short, x + 12, 38)
        x += 26 + 12 * len(short)


def _word(text: str, x: float, y: float, *, anchor: str = "start", size: int = 0, more: str = "") -> str:
    sized = f' font-size="{size}"' if size else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor={quoteattr(anchor)}{sized}{more}>{escape(text)}</text>'


def _number(figure: Any) -> str:
    return f"{float(figure):,.6g}"


def _text(label: Any) -> str:
    return "—" if label is None else str(label)
