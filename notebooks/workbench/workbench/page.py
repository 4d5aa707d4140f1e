"""Pieces of HTML for what notebooks show: every text is escaped, and all of it reads well without styles or colour."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

TONES = {"good": "#1b6e3c", "warn": "#8a4500", "bad": "#b00020", "": "inherit"}
_QUIET = "color:var(--jp-ui-font-color2,#555);font-size:92%"
_CELL = "text-align:left;vertical-align:top;max-width:34em;white-space:normal"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class Markup(str):
    """Text that is HTML already; anything else is escaped before it is shown."""

    __slots__ = ()


BREAK = Markup("<br>")


def text(value: Any) -> Markup:
    """Return `value` as HTML: markup as it is, everything else escaped; None is empty."""
    return value if isinstance(value, Markup) else Markup(html.escape("" if value is None else str(value)))


def join(parts: Iterable[Any]) -> Markup:
    """Return the parts one after the other."""
    return Markup("".join(text(part) for part in parts))


def tag(name: str, *children: Any, style: str = "", **attributes: Any) -> Markup:
    """Return an element with escaped attributes and children."""
    given = {**attributes, **({"style": style} if style else {})}
    said = "".join(f' {key.replace("_", "-")}="{html.escape(str(value))}"' for key, value in given.items())
    return Markup(f"<{name}{said}>{join(children)}</{name}>")


def heading(words: Any, *aside: Any, wrap: str = "p") -> Markup:
    """Return a title with quiet words behind it, as a paragraph or another element."""
    return tag(wrap, tag("strong", words), *(tag("span", " · ", one, style=_QUIET) for one in aside if one))


def quiet(*words: Any) -> Markup:
    """Return a remark."""
    return tag("p", *words, style=_QUIET)


def label(words: Any, tone: str = "") -> Markup:
    """Return a state as a word in a frame, so that it is not said by colour alone."""
    style = f"border:1px solid currentColor;border-radius:9px;padding:0 7px;white-space:nowrap;color:{TONES[tone]}"
    return tag("span", words, style=style)


def table(heads: Sequence[Any], rows: Iterable[Sequence[Any]], caption: Any = "") -> Markup:
    """Return a table; numbers stand to the right."""
    head = tag("tr", *(tag("th", one, scope="col", style=_CELL) for one in heads))
    body = [tag("tr", *(_cell(value) for value in row)) for row in rows]
    said = [tag("caption", caption, style="text-align:left;caption-side:top")] if caption else []
    return tag("table", *said, tag("thead", head), tag("tbody", *body))


def _cell(value: Any) -> Markup:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    shown = f"{value:,}" if number else value
    return tag("td", shown, style=_CELL.replace("left", "right", 1) if number else _CELL)


def facts(pairs: Iterable[tuple[Any, Any]]) -> Markup:
    """Return names with their values, two columns."""
    return tag("table", tag("tbody", *(tag("tr", tag("th", k, scope="row", style=_CELL), _cell(v)) for k, v in pairs)))


def bar(name: str, value: float, most: float, said: str, tone: str = "") -> Markup:
    """Return a bar of `value` in `most` with its words beside it."""
    share = 1.0 if most <= 0 else min(max(value / most, 0.0), 1.0)
    colour = TONES[tone] if tone else "var(--jp-brand-color1,#0b57d0)"
    filled = tag("span", style=f"display:block;height:8px;width:{share:.1%};background:{colour}")
    track = tag(
        "span", filled, role="meter", aria_label=name, aria_valuemin=0, aria_valuemax=most,
        aria_valuenow=min(value, most),
        style="display:inline-block;width:180px;height:8px;background:var(--jp-layout-color3,#ddd);vertical-align:middle",
    )  # fmt: skip
    return tag("span", track, " ", said)


def unfold(summary: Any, *children: Any, opened: bool = False) -> Markup:
    """Return what can be unfolded under its summary."""
    return tag("details", tag("summary", summary), *children, **({"open": "open"} if opened else {}))


def size(count: float) -> str:
    """Return a number of bytes as people write it."""
    for unit in _UNITS:
        if count < 1024 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("the last unit has no limit")
