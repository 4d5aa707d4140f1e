"""Figures: a declared table drawn as bars, lines, bins or boxes, here in the notebook as a preview.

What leaves is drawn by the platform, from the table that it computed and judged itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import polars as pl

from workbench import page
from workbench.errors import WorkbenchError
from workbench.page import Markup
from workbench.specifications import Condition, Table, table

KINDS = ("bar", "line", "histogram", "box")
_BOX = ("p05", "p25", "median", "p75", "p95")
_MOST_PLACES = 60
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b", "#666666")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 720, 320, 70, 70, 12


@dataclass(frozen=True)
class Figure:
    """A table and how it is drawn: `kind` is bar, line, histogram or box; its first grouping runs along the bottom.

    A histogram counts the table's value between `edges`; what lies beyond is in the end bins.
    """

    table: Table
    kind: str
    entity: str | None = None
    edges: tuple[float, ...] = ()

    @property
    def specification(self) -> dict[str, Any]:
        """The JSON from which the platform computes, judges and draws it."""
        return {"kind": "figure", "draw": self.kind, "table": self.table.specification, "edges": list(self.edges)}

    def preview(self) -> pl.DataFrame:
        """Return the figures that are drawn, as this kernel computes them."""
        if self.kind == "histogram":
            return self._bins()
        if self.kind == "box":
            parts = [replace(self.table, aggregate=one).preview() for one in _BOX]
            boxes = parts[0].rename({parts[0].columns[-1]: _BOX[0]})
            return boxes.with_columns(part.to_series(-1).alias(name) for name, part in zip(_BOX, parts, strict=True))
        return self.table.preview(self.entity)

    def _bins(self) -> pl.DataFrame:
        value = pl.col(str(self.table.value))
        ends = [*self.edges[1:-1]]
        names = [f"{low:g} – {high:g}" for low, high in pairwise(self.edges)]
        place = pl.sum_horizontal([pl.lit(0), *((value >= end).cast(pl.Int32) for end in ends)])
        by = [*self.table.rows, *self.table.columns]
        counted = pl.len() if self.entity is None else pl.col(self.entity).n_unique()
        rows = self.table.scan().filter(value.is_not_null()).with_columns(place.alias("bin"))
        found = rows.group_by("bin", *by).agg(counted.alias(self.table.aggregate)).sort("bin", *by).collect()
        return found.with_columns(pl.col("bin").replace_strict(dict(enumerate(names)), return_dtype=pl.String))

    def __repr__(self) -> str:
        return f"<{self.kind} of {self.table.aggregate} of {self.table.release}>"

    def _repr_html_(self) -> str:
        said = "预览；出域的图由平台重算重绘 · a preview: what leaves is computed and drawn anew by the platform"
        frame = self.preview()
        groupings = len(frame.columns) - (len(_BOX) if self.kind == "box" else 1)
        if self.kind == "box":
            heads = [*frame.columns[:groupings], "5 %", "25 %", "50 %", "75 %", "95 %"]
            picture = page.table(heads, [[_name(one) for one in row] for row in frame.head(_MOST_PLACES).iter_rows()])
        else:
            picture = draw(frame, self.kind, self._title())
        return page.join([picture, page.quiet(said)])

    def _title(self) -> str:
        by = " × ".join([*self.table.rows, *self.table.columns])
        figure = self.table.aggregate + (f" of {self.table.value}" if self.table.value else "")
        return f"{figure} · {self.table.release} · {by}"


def plot(
    what: Table | str, *, kind: str = "bar", rows: Sequence[str] = (), columns: Sequence[str] = (),
    where: Iterable[Condition] = (), value: str | None = None, aggregate: str = "", edges: Sequence[float] = (),
    entity: str | None = None,
) -> Figure:  # fmt: skip
    """Return a figure over a declared table, or over one of release `what` that is described like `workbench.table`.

    Example: `workbench.plot("social_insurance", kind="histogram", value="base", edges=[0, 5000, 10000, 20000])`

    A histogram needs a `value` and rising `edges`, a box a `value`. Refuses another kind than bar, line, histogram and
    box, and groupings that cannot be drawn: one or two, for a histogram at most one.
    """
    if kind not in KINDS:
        raise WorkbenchError(f"cannot draw a {kind!r}", rule="workbench.figure", accepted=", ".join(KINDS))
    if not isinstance(what, Table):
        usual = "median" if kind == "box" else "count"
        what = table(what, rows=rows, columns=columns, where=where, value=value, aggregate=aggregate or usual)
    groupings = len(what.rows) + len(what.columns)
    least, most = {"histogram": (0, 1), "box": (0, 2)}.get(kind, (1, 2))
    if not least <= groupings <= most:
        raise WorkbenchError(
            f"cannot draw a table of {groupings} groupings", rule="workbench.figure",
            accepted=f"{least} to {most} columns",
        )  # fmt: skip
    bins = len(edges) > 1 and what.value is not None and all(low < high for low, high in pairwise(edges))
    if not bins if kind == "histogram" else edges:
        raise WorkbenchError(
            f"cannot draw a {kind!r} so", rule="workbench.figure",
            accepted="for a histogram, and for nothing else, a value and rising edges",
        )  # fmt: skip
    if kind == "box" and (what.aggregate != "median" or what.value is None):
        raise WorkbenchError(
            "cannot draw a box so", rule="workbench.figure", accepted="a value, and the aggregate median"
        )  # fmt: skip
    return Figure(what, kind, entity, tuple(float(one) for one in edges))


def draw(frame: pl.DataFrame, kind: str, title: str) -> Markup:
    """Return the frame as an SVG picture; its last column is the figure, those before it are the groupings."""
    *groupings, figure = frame.columns
    places = list(dict.fromkeys(_name(value) for value in frame[groupings[0]]))
    series = list(dict.fromkeys(_name(value) for value in frame[groupings[1]])) if len(groupings) > 1 else [""]
    if len(places) > _MOST_PLACES or len(series) > len(_COLOURS):
        raise WorkbenchError(
            f"cannot draw {len(places)} places of {len(series)} series", rule="workbench.figure",
            accepted=f"at most {_MOST_PLACES} places and {len(_COLOURS)} series",
        )  # fmt: skip
    values: dict[tuple[str, str], float] = {}
    for row in frame.iter_rows():
        key = (_name(row[0]), _name(row[1]) if len(groupings) > 1 else "")
        values[key] = float(row[-1] or 0)
    most, least = max([*values.values(), 0.0]) or 1.0, min([*values.values(), 0.0])
    scale = _Scale(places, most, least)
    body = _lines(scale, places, series, values) if kind == "line" else _bars(scale, places, series, values, kind)
    marks = [_axis(scale, figure), *body, *_labels(scale, places, groupings[0])]
    legend = page.tag("p", *(_key(one, at) for at, one in enumerate(series))) if len(groupings) > 1 else Markup()
    picture = page.tag(
        "svg", page.tag("title", title), *marks, role="img", viewBox=f"0 0 {_WIDTH} {_HEIGHT}", width=_WIDTH,
        style="max-width:100%;height:auto;font:11px system-ui,sans-serif",
    )  # fmt: skip
    return page.join([page.tag("p", page.tag("strong", title)), picture, legend])


@dataclass(frozen=True)
class _Scale:
    places: list[str]
    most: float
    least: float

    @property
    def step(self) -> float:
        return (_WIDTH - _LEFT) / max(len(self.places), 1)

    def across(self, place: str) -> float:
        return _LEFT + self.places.index(place) * self.step

    def down(self, value: float) -> float:
        high = _HEIGHT - _BOTTOM - _TOP
        return _TOP + high * (self.most - value) / ((self.most - self.least) or 1)


def _bars(
    scale: _Scale, places: list[str], series: list[str], values: dict[tuple[str, str], float], kind: str
) -> list[Markup]:
    room = scale.step * (1.0 if kind == "histogram" else 0.8)
    width = room / len(series)
    marks = []
    for place in places:
        for at, one in enumerate(series):
            if (place, one) not in values:
                continue
            value = values[(place, one)]
            ends = sorted((scale.down(value), scale.down(0)))
            said = f"{place}{f' · {one}' if one else ''}: {value:,g}"
            marks.append(page.tag(
                "rect", page.tag("title", said), x=f"{scale.across(place) + at * width:.1f}", y=f"{ends[0]:.1f}",
                width=f"{max(width - 0.5, 1):.1f}", height=f"{ends[1] - ends[0]:.1f}", fill=_COLOURS[at],
            ))  # fmt: skip
    return marks


def _lines(scale: _Scale, places: list[str], series: list[str], values: dict[tuple[str, str], float]) -> list[Markup]:
    marks = []
    for at, one in enumerate(series):
        there = [place for place in places if (place, one) in values]
        middle = [(scale.across(place) + scale.step / 2, scale.down(values[(place, one)])) for place in there]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in middle)
        marks.append(page.tag("polyline", points=points, fill="none", stroke=_COLOURS[at], stroke_width=2))
        for (x, y), place in zip(middle, there, strict=True):
            said = page.tag("title", f"{place}{f' · {one}' if one else ''}: {values[(place, one)]:,g}")
            marks.append(page.tag("circle", said, cx=f"{x:.1f}", cy=f"{y:.1f}", r=3, fill=_COLOURS[at]))
    return marks


def _axis(scale: _Scale, figure: str) -> Markup:
    marks = []
    for part in range(5):
        value = scale.least + (scale.most - scale.least) * part / 4
        y = scale.down(value)
        line: dict[str, Any] = {"x1": _LEFT, "x2": _WIDTH, "y1": f"{y:.1f}", "y2": f"{y:.1f}"}
        marks.append(page.tag("line", stroke="#999", stroke_opacity="0.4", **line))
        marks.append(
            page.tag("text", f"{value:,.4g}", x=_LEFT - 6, y=f"{y + 4:.1f}", text_anchor="end", fill="currentColor")
        )
    return page.tag("g", *marks, aria_label=figure)


def _labels(scale: _Scale, places: list[str], name: str) -> list[Markup]:
    every = max(1, len(places) // 20 + 1)
    low = _HEIGHT - _BOTTOM + 14
    marks = [page.tag("text", name, x=_WIDTH - 4, y=_HEIGHT - 4, text_anchor="end", fill="currentColor")]
    for place in places[::every]:
        x = scale.across(place) + scale.step / 2
        turned = f"rotate(-35 {x:.1f} {low})" if len(places) > 8 else ""
        anchor = "end" if turned else "middle"
        given: dict[str, Any] = {"x": f"{x:.1f}", "y": low, "text_anchor": anchor, "fill": "currentColor"}
        marks.append(page.tag("text", place[:14], **given, **({"transform": turned} if turned else {})))
    return marks


def _key(name: str, at: int) -> Markup:
    square = page.tag("span", "■ ", style=f"color:{_COLOURS[at]}")
    return page.tag("span", square, name, " ")


def _name(value: Any) -> str:
    return "—" if value is None else str(value)
