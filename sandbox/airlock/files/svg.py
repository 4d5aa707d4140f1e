"""SVG images read element by element and written anew from a list of shapes, attributes and values.

What is not on the list is left out: scripts, links, styles with addresses, pictures, animation, foreign content,
metadata, comments, what is not shown. Documents with a DOCTYPE that declares anything are refused, so no entity is ever
expanded. Numbers have two decimals, names of parts are numbered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from sandbox.airlock.files.kinds import FileType, Limits, Read, Unreadable, too_large
from sandbox.airlock.files.letters import plain_text
from sandbox.airlock.files.opaque import check_opaque_texts

_SHAPES: Final = frozenset({
    "svg", "g", "defs", "symbol", "use", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text",
    "tspan", "clipPath", "linearGradient", "radialGradient", "stop", "pattern", "marker", "title", "desc",
})  # fmt: skip
_NUMBERS: Final = frozenset({
    "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry", "dx", "dy", "fx", "fy", "width", "height",
    "viewBox", "points", "offset", "refX", "refY", "markerWidth", "markerHeight", "stroke-width", "stroke-opacity",
    "stroke-miterlimit", "stroke-dasharray", "stroke-dashoffset", "fill-opacity", "opacity", "font-size",
    "stop-opacity", "rotate", "textLength",
})  # fmt: skip
_PATHS: Final = frozenset({"d", "transform", "gradientTransform", "patternTransform"})
_COLOURS: Final = frozenset({"fill", "stroke", "stop-color", "color"})
_WORDS: Final = frozenset({
    "stroke-linecap", "stroke-linejoin", "fill-rule", "clip-rule", "text-anchor", "dominant-baseline", "font-family",
    "font-weight", "font-style", "font-variant", "clipPathUnits", "gradientUnits", "patternUnits", "markerUnits",
    "orient", "spreadMethod", "preserveAspectRatio", "text-decoration", "vector-effect",
})  # fmt: skip
_REFERENCES: Final = frozenset({"clip-path", "fill", "stroke", "marker-start", "marker-mid", "marker-end"})
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_NUMERIC: Final = re.compile(r"[\s,0-9.eE+\-%a-z]*")
_PATH: Final = re.compile(r"[\s,0-9.eE+\-A-Za-z()]*")
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{3,8}|[a-zA-Z]{3,24}|rgba?\([0-9.,%\s]+\)|none|currentColor")
_WORD: Final = re.compile(r"[\w ,'\-一-鿿]{0,120}")
_INSIDE: Final = re.compile(r"url\(\s*['\"]?#([\w.:\-]+)['\"]?\s*\)|#([\w.:\-]+)")
_TEXTUAL: Final = frozenset({"text", "tspan", "title", "desc"})
_HIDDEN: Final = (("display", "none"), ("visibility", "hidden"), ("opacity", "0"))


@dataclass(slots=True)
class _Writer:
    """What was read so far: the pieces written, names given, texts seen, and how deep in a part left out we are."""

    limits: Limits
    pieces: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    skipping: int = 0
    elements: int = 0
    dropped: int = 0
    text: list[str] = field(default_factory=list)


def read_svg(data: bytes, limits: Limits) -> Read:
    """Return an SVG read: shapes and text on the list, written anew."""
    writer = _Writer(limits)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = lambda name, attributes: _start(writer, name, attributes)
    parser.EndElementHandler = lambda _: _end(writer)
    parser.CharacterDataHandler = lambda text: _text(writer, text)
    # A document type of the standard names only an address, which is never fetched; whatever declares is refused.
    parser.EntityDeclHandler = parser.UnparsedEntityDeclHandler = parser.NotationDeclHandler = _refuse
    parser.AttlistDeclHandler = parser.ElementDeclHandler = parser.ExternalEntityRefHandler = _refuse
    try:
        parser.Parse(data.removeprefix(b"\xef\xbb\xbf"), True)
    except expat.ExpatError:
        raise Unreadable("no sound XML") from None
    if writer.elements > limits.elements:
        return Read(FileType.SVG, (too_large(f"at most {limits.elements} shapes", writer.elements, limits.elements),))
    written = "".join(writer.pieces).encode() + b"\n"
    texts = tuple(dict.fromkeys(writer.texts))
    findings = tuple(check_opaque_texts(texts, "text"))
    changed = writer.dropped + int(written != data)
    return Read(FileType.SVG, findings, written, writer.elements, (("text", texts),), changed=changed)


def _refuse(*_: object) -> int:
    raise Unreadable("a document that declares entities or elements")


def _start(writer: _Writer, name: str, attributes: dict[str, str]) -> None:
    _flush(writer)
    space, _, local = name.rpartition(" ")
    writer.elements += 1
    if writer.elements > 4 * writer.limits.elements or len(writer.open) + writer.skipping > writer.limits.depth * 2:
        raise Unreadable("too many shapes, or shapes nested too deep")
    hidden = any(attributes.get(key, "").strip() == value for key, value in _HIDDEN)
    style = _style(attributes.get("style", ""))
    hidden = hidden or any(style.get(key) == value for key, value in _HIDDEN)
    if writer.skipping or local not in _SHAPES or space not in ("", "http://www.w3.org/2000/svg") or hidden:
        writer.skipping += 1
        writer.dropped += 1
        return
    if not writer.open and local != "svg":
        raise Unreadable("a root that is no image")
    kept = _attributes(writer, local, {**style, **attributes})
    head = ' xmlns="http://www.w3.org/2000/svg"' if not writer.open else ""
    writer.pieces.append(
        f"<{local}{head}{''.join(f' {key}={quoteattr(value)}' for key, value in sorted(kept.items()))}>"
    )
    writer.open.append(local)


def _end(writer: _Writer) -> None:
    if writer.skipping:
        writer.skipping -= 1
        return
    _flush(writer)
    writer.pieces.append(f"</{writer.open.pop()}>")


def _text(writer: _Writer, text: str) -> None:
    if not writer.skipping and writer.open and writer.open[-1] in _TEXTUAL:
        writer.text.append(text)


def _flush(writer: _Writer) -> None:
    text = plain_text("".join(writer.text))
    writer.text.clear()
    if text and not writer.skipping:
        if len(text) > writer.limits.cell:
            raise Unreadable("a text of too many letters")
        writer.texts.append(text)
        writer.pieces.append(escape(text))


def _style(text: str) -> dict[str, str]:
    """Return the declarations of a style attribute; each is then judged like an attribute of its name."""
    pairs = (one.partition(":") for one in text.split(";") if ":" in one)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _attributes(writer: _Writer, element: str, given: dict[str, str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in given.items():
        local = name.rpartition(" ")[2]
        made = _value(writer, element, local, value.strip())
        if made is None:
            writer.dropped += 1
        elif made:
            kept[local] = made
    return kept


def _value(writer: _Writer, element: str, name: str, value: str) -> str | None:
    """Return a value in its written form, None for one that is not on the list."""
    inside = _INSIDE.fullmatch(value)
    if name == "id":
        return _named(writer, value)
    if name == "href":
        return f"#{_named(writer, inside.group(2))}" if inside and inside.group(2) and element == "use" else None
    if name in _REFERENCES and inside and inside.group(1):
        return f"url(#{_named(writer, inside.group(1))})"
    if name in _NUMBERS and _NUMERIC.fullmatch(value):
        return _shortened(value)
    if name in _PATHS and _PATH.fullmatch(value):
        return _shortened(value)
    if name in _COLOURS and _COLOUR.fullmatch(value):
        return value.lower()
    if name in _WORDS and _WORD.fullmatch(value):
        return value
    return None


def _named(writer: _Writer, name: str) -> str:
    return writer.names.setdefault(name, f"p{len(writer.names) + 1}")


def _shortened(value: str) -> str:
    return " ".join(_NUMBER.sub(lambda found: _two_decimals(found[0]), value).split())


def _two_decimals(number: str) -> str:
    size = float(number)
    if abs(size) > 1e7:
        raise Unreadable("a coordinate beyond the picture")
    short = f"{size:.2f}".rstrip("0").rstrip(".")
    sign = "+" if number[0] == "+" else ""
    return sign + ("0" if short == "-0" else short)
