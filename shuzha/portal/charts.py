"""Charts of a risk certificate as SVG made on the server: no script, no outside host, readable in print.

A chart is a figure with a title and a description for those who do not see it; colour never says anything alone. It
holds no style attribute, which the portal's policy forbids; colours are classes of `certificate.css`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from shuzha.portal.i18n import Speech

_WIDTH = 480
_LINE = 14


@dataclass(frozen=True, slots=True)
class Band:
    """Classes of one range of sizes: its label, where it begins, how many classes and which share of rows."""

    label: str
    low: int
    classes: int
    share: float


@dataclass(frozen=True, slots=True)
class Change:
    """A measure before and after, and the limit that it is judged by; None where there is none."""

    label: str
    before: float | None
    after: float
    limit: float | None


def bands_of(profile: Sequence[Sequence[Any]]) -> tuple[Band, ...]:
    """Return the bands of a certificate's profile of class sizes."""
    rows = sum(int(row[2]) for row in profile) or 1
    return tuple(
        Band(row[0], int(str(row[0]).split("-")[0].rstrip("+")), int(row[1]), row[2] / rows) for row in profile
    )


def draw_sizes(speech: Speech, after: Sequence[Band], before: Sequence[Band], smallest: int) -> Markup:
    """Return columns: which share of rows lies in classes of which size; what lies below `smallest` is hatched."""
    after, before = _trim(after, before)
    top, bottom, left = 52, 220, 42
    step = (_WIDTH - left - 8) / max(1, len(after))
    height = bottom - top
    parts = [_grid(left, top, bottom)]
    below = sum(band.low < smallest for band in after)
    if below:
        edge = left + below * step
        parts.append(
            f'<rect x="{left}" y="{top - 18}" width="{below * step:.1f}" height="{height + 18}" class="zone"/>'
        )
        parts.append(f'<line x1="{edge:.1f}" y1="{top - 18}" x2="{edge:.1f}" y2="{bottom}" class="limit"/>')
        warning = escape(speech.t("not accepted: fewer than {k}", k=smallest))
        parts.append(f'<text x="{left}" y="{top - 27}" class="warn">{warning}</text>')
    for number, band in enumerate(after):
        x = left + number * step
        old = before[number].share if number < len(before) else 0.0
        wide = step * (0.36 if before else 0.6)
        if before:
            parts.append(_column(x + step * 0.12, wide, bottom, height * old, "before"))
            near = abs(old - band.share) * height < _LINE and band.share
            raised = _LINE if near else 0
            parts.append(_figure(speech, x + step * 0.12 + wide / 2, bottom - height * old - raised, old))
        shift = x + (step * 0.52 if before else step * 0.2)
        kind = "risky" if band.low < smallest else "after"
        parts.append(_column(shift, wide, bottom, height * band.share, kind))
        parts.append(_figure(speech, shift + wide / 2, bottom - height * band.share, band.share))
        parts.append(f'<text x="{x + step / 2:.1f}" y="{bottom + 18}" class="mid small">{escape(band.label)}</text>')
    words = escape(speech.t("people (or rows) in a class"))
    parts.append(f'<text x="{left + (_WIDTH - left) / 2:.0f}" y="{bottom + 40}" class="mid soft">{words}</text>')
    said = "; ".join(f"{band.label}: {speech.percent(round(band.share, 4))}" for band in after if band.share)
    title = speech.t("Share of rows by size of their class")
    return _svg(title, speech.t("After: {figures}", figures=said or "—"), bottom + 50, parts)


def draw_changes(speech: Speech, changes: Sequence[Change]) -> Markup:
    """Return one line a measure from before to after, on a scale of 0 to 100 %, with a mark at its limit."""
    left, right, row, top = 160, 76, 44, 12
    width = _WIDTH - left - right
    bottom = top + row * len(changes)
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = left + width * share
        parts.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" class="grid"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" class="mid soft">{speech.percent(share)}</text>')
    for number, change in enumerate(changes):
        y = top + row * number + row / 2
        after = left + width * min(1.0, change.after)
        parts.append(f'<text x="{left - 18}" y="{y + 5:.1f}" class="end">{escape(change.label)}</text>')
        if change.limit is not None:
            mark = left + width * change.limit
            parts.append(f'<line x1="{mark:.1f}" y1="{y - 15:.1f}" x2="{mark:.1f}" y2="{y + 15:.1f}" class="limit"/>')
        if change.before is not None:
            start = left + width * min(1.0, change.before)
            parts.append(f'<line x1="{start:.1f}" y1="{y:.1f}" x2="{after:.1f}" y2="{y:.1f}" class="way"/>')
            parts.append(f'<circle cx="{start:.1f}" cy="{y:.1f}" r="10" class="ring"/>')
        bad = change.limit is not None and change.after > change.limit + 1e-9
        parts.append(f'<circle cx="{after:.1f}" cy="{y:.1f}" r="8" class="{"risky" if bad else "after"}"/>')
        said = speech.percent(round(change.after, 4))
        parts.append(f'<text x="{_WIDTH - right + 14}" y="{y + 5:.1f}" class="strong">{said}</text>')
    said = "; ".join(_say(speech, change) for change in changes)
    return _svg(speech.t("Risk before and after"), said, bottom + 26, parts)


def draw_share(value: float) -> Markup:
    """Return a small bar for a table's cell; the figure stands beside it as text."""
    length = 120 * min(1.0, max(0.0, value))
    return Markup(  # noqa: S704 - a number and nothing else
        '<svg viewBox="0 0 120 10" class="mini" aria-hidden="true" focusable="false">'
        '<rect width="120" height="10" rx="5" class="track"/>'
        f'<rect width="{length:.1f}" height="10" rx="5" class="after"/></svg>'
    )


def _trim(after: Sequence[Band], before: Sequence[Band]) -> tuple[Sequence[Band], Sequence[Band]]:
    """Return the bands up to the last that anyone is in, six at least."""
    used = [number for bands in (after, before) for number, band in enumerate(bands, 1) if band.classes]
    last = max(6, *used, 0) if used else 6
    return after[:last], before[:last]


def _say(speech: Speech, change: Change) -> str:
    after = speech.percent(round(change.after, 4))
    if change.before is None:
        return f"{change.label}: {after}"
    return f"{change.label}: {speech.percent(round(change.before, 4))} → {after}"


def _grid(left: float, top: float, bottom: float) -> str:
    lines = []
    for share in (0, 0.5, 1):
        y = bottom - (bottom - top) * share
        lines.append(f'<line x1="{left}" y1="{y:.1f}" x2="{_WIDTH}" y2="{y:.1f}" class="grid"/>')
        lines.append(f'<text x="{left - 8}" y="{y + 4:.1f}" class="end soft">{share:.0%}</text>')
    return "".join(lines)


def _column(x: float, width: float, bottom: float, height: float, kind: str) -> str:
    if height <= 0:
        return ""
    tall = max(1.5, height)
    return f'<rect x="{x:.1f}" y="{bottom - tall:.1f}" width="{width:.1f}" height="{tall:.1f}" rx="2" class="{kind}"/>'


def _figure(speech: Speech, x: float, y: float, share: float) -> str:
    if not share:
        return ""
    said = speech.percent(round(share, 2)) if share >= 0.01 else "<1%"
    return f'<text x="{x:.1f}" y="{y - 5:.1f}" class="mid small">{escape(said)}</text>'


def _svg(title: str, description: str, height: float, parts: Sequence[str]) -> Markup:
    hatch = (
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect width="6" height="6" class="hatch-ground"/><line x1="0" y1="0" x2="0" y2="6" class="hatch-line"/>'
        "</pattern></defs>"
    )
    said = escape(f"{title}. {description}")
    return Markup(  # noqa: S704 - every text in it was escaped
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" class="chart" role="img" aria-label="{said}">'
        f"<title>{escape(title)}</title>{hatch}{''.join(parts)}</svg>"
    )
