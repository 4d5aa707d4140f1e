"""A statement as a PDF to print and file: the same figures as its page, in Chinese or English, its font embedded.

The font comes from a package of the system (`fonts-wqy-microhei`); only the glyphs that are used go into the file. A
statement that is not issued says so across every page. The same statement in the same language gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from shuzha.core.errors import Unavailable
from shuzha.core.money import Amount, Price
from shuzha.portal.capitals import in_capitals
from shuzha.portal.desk import word
from shuzha.portal.i18n import Speech
from shuzha.settlement.model import SEEN, Line, StatementKind
from shuzha.settlement.store import Statement

FONTS = (
    Path("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"),
    Path("/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc"),
    Path("/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf"),
)
PACKAGE = "fonts-wqy-microhei"
KINDS: Mapping[StatementKind, str] = {
    StatementKind.BILL: "Bill",
    StatementKind.AUTHORIZATION: "Shares of an authorization",
    StatementKind.PROVIDER: "Income of a provider",
}
_FONT = "Statement"
_INK, _QUIET, _RULE, _SHADE = "#1b2a38", "#5b6b7a", "#c9d2da", "#eef2f5"
_WIDTHS = (176, 92, 44, 88, 62, 62)


@dataclass(frozen=True, slots=True)
class Names:
    """How things are called in the reader's language."""

    organisation: Callable[[str], str]
    product: Callable[[str], str]


def render_pdf(statement: Statement, speech: Speech, names: Names) -> bytes:
    """Return a statement as a PDF; raises Unavailable where the system has no font for it."""
    return _Sheet(statement, speech, names).render()


@cache
def _register() -> None:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    path = next((path for path in FONTS if path.exists()), None)
    if path is None:
        raise Unavailable(
            "the font of the PDF is not installed", rule="statement.pdf", accepted=f"the system package {PACKAGE}"
        )
    pdfmetrics.registerFont(TTFont(_FONT, str(path), subfontIndex=0))


class _Sheet:
    """Lays one statement out."""

    def __init__(self, statement: Statement, speech: Speech, names: Names) -> None:
        _register()
        self._one = statement
        self._speech = speech
        self._t = speech.t
        self._names = names
        self._title = f"{self._t(KINDS[statement.kind])} {statement.period}"

    def render(self) -> bytes:
        from reportlab.lib.pagesizes import A4
        from reportlab.platypus import SimpleDocTemplate, Spacer

        made = io.BytesIO()
        sheet = SimpleDocTemplate(
            made, pagesize=A4, leftMargin=36, rightMargin=36, topMargin=48, bottomMargin=48, title=self._title,
            author="Shuzha 数闸", subject=self._one.number, invariant=1, lang=self._speech.html_lang,
        )  # fmt: skip
        parts: list[Any] = [
            self._text(self._title, 18, leading=24), self._text(self._t("Shuzha, the city's public data"), 9, _QUIET),
            Spacer(0, 10), self._head(), Spacer(0, 12), self._figures(), Spacer(0, 14),
            self._text(self._t("Lines"), 12), Spacer(0, 4), self._lines(), Spacer(0, 14),
            self._text(self._t("Who gets what"), 12), Spacer(0, 4), self._shares(), Spacer(0, 14), *self._proof(),
        ]  # fmt: skip
        sheet.build(parts, onFirstPage=self._frame, onLaterPages=self._frame)
        return made.getvalue()

    def _head(self) -> Any:
        one, t = self._one, self._t
        rows = [
            (t("Number"), one.number), (t("Of"), self._names.organisation(one.organisation)),
            (t("Month"), one.period), (t("State"), t(word(one.state))),
            (t("Settled"), self._speech.moment(one.settled_at)), (t("Issued"), self._speech.moment(one.approved_at)),
        ]  # fmt: skip
        if one.kind is StatementKind.BILL:
            rows.append((t("In capitals"), in_capitals(one.due_fen)))
        return self._table([[self._text(name, 9, _QUIET), self._text(value, 9)] for name, value in rows], (110, 413))

    def _figures(self) -> Any:
        one, t = self._one, self._t
        provides = one.kind is StatementKind.PROVIDER
        due = one.shares.get("provider", 0) if provides else one.due_fen
        found = [
            (t("Calls"), self._speech.number(sum(line.count for line in one.lines))),
            (t("At full price"), self._fen(one.amount_fen)), (t("Waived"), self._fen(one.waived_fen)),
            (t("Tax within"), self._fen(one.tax_fen)), (t("My share") if provides else t("Due"), self._fen(due)),
        ]  # fmt: skip
        rows = [[self._text(name, 8, _QUIET) for name, _ in found], [self._text(value, 13) for _, value in found]]
        return self._table(rows, (105,) * 5, shade_first=True)

    def _lines(self) -> Any:
        t = self._t
        heads = (t("Product"), t("Consumer"), t("Calls"), t("Price"), t("At full price"), t("Due"))
        rows = [[self._text(head, 8, _QUIET, right=place > 1 and place != 3) for place, head in enumerate(heads)]]
        rows += [self._line(line) for line in self._one.lines]
        return self._table(rows, _WIDTHS, shade_first=True)

    def _line(self, line: Line) -> list[Any]:
        t = self._t
        told = [self._names.product(line.product), line.code]
        if line.corrects:
            kind = t("credit note") if line.due_fen < 0 else t("later charge")
            told.append(f"{kind} · {t('corrects {month}', month=line.corrects)}")
        if line.first >= 0:
            told.append(f"{t('usage log')} {line.first} – {line.last}")
        due = t("waived") if line.waived else self._fen(line.due_fen)
        return [
            self._text("\n".join(told), 8), self._text(self._names.organisation(line.consumer), 8),
            self._text(self._speech.number(line.count), 8, right=True), self._text(self._price(line), 8),
            self._text(self._fen(line.amount_fen), 8, right=True), self._text(due, 8, right=True),
        ]  # fmt: skip

    def _price(self, line: Line) -> str:
        if line.plan_type == "per_call":
            return self._speech.money(Price(line.price_hao))
        steps = [
            f"{self._t(word(step.what))} {self._speech.number(step.quantity)} × {self._speech.hao(step.unit_hao)}"
            for step in line.steps
        ]
        return "\n".join([self._t(word(line.plan_type)), *steps])

    def _shares(self) -> Any:
        one = self._one
        rows = [[self._text(self._t("Party"), 8, _QUIET), self._text(self._t("Amount"), 8, _QUIET, right=True)]]
        rows += [
            [self._text(self._t(word(party)), 9), self._text(self._fen(fen), 9, right=True)]
            for party, fen in one.as_draft().ordered_shares.items()
        ]
        total = sum(one.shares.values())
        rows.append([self._text(self._t("Sum"), 9), self._text(self._fen(total), 9, right=True)])
        return self._table(rows, (300, 120), shade_first=True)

    def _proof(self) -> Iterable[Any]:
        one, t = self._one, self._t
        said = t(
            "Each call stands in the usage log at a place between the two figures of its line; the log can be verified "
            "without the platform."
        )
        return (
            self._text(t("Proof"), 12), self._text(said, 8, _QUIET, leading=12),
            self._text(f"{t('Digest')} (SHA-256): {one.digest}", 8, _QUIET, leading=12),
            self._text(f"{t('Entries of the usage log counted')}: {self._speech.number(one.log_size)}", 8, _QUIET),
        )  # fmt: skip

    def _fen(self, fen: int) -> str:
        return self._speech.money(Amount(fen))

    def _text(self, text: str, size: int, color: str = _INK, *, right: bool = False, leading: int = 0) -> Any:
        from reportlab.lib.colors import HexColor
        from reportlab.lib.enums import TA_LEFT, TA_RIGHT
        from reportlab.lib.styles import ParagraphStyle
        from reportlab.platypus import Paragraph

        style = ParagraphStyle(
            "text", fontName=_FONT, fontSize=size, leading=leading or size * 1.4, textColor=HexColor(color),
            alignment=TA_RIGHT if right else TA_LEFT, wordWrap="CJK",
        )  # fmt: skip
        return Paragraph("<br/>".join(escape(line) for line in text.split("\n")), style)

    @staticmethod
    def _table(rows: Sequence[Sequence[Any]], widths: Sequence[float], *, shade_first: bool = False) -> Any:
        from reportlab.lib.colors import HexColor
        from reportlab.platypus import Table, TableStyle

        style = [
            ("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, -1), 0.4, HexColor(_RULE)),
            ("TOPPADDING", (0, 0), (-1, -1), 4), ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
            ("LEFTPADDING", (0, 0), (-1, -1), 4), ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ]  # fmt: skip
        if shade_first:
            style.append(("BACKGROUND", (0, 0), (-1, 0), HexColor(_SHADE)))
        table = Table(rows, colWidths=widths, repeatRows=1 if shade_first else 0, hAlign="LEFT")
        table.setStyle(TableStyle(style))
        return table

    def _frame(self, canvas: Any, sheet: Any) -> None:
        from reportlab.lib.colors import HexColor

        canvas.saveState()
        width, height = sheet.pagesize
        if self._one.state not in SEEN:
            canvas.setFont(_FONT, 72)
            canvas.setFillColor(HexColor("#f0d9d9"))
            canvas.translate(width / 2, height / 2)
            canvas.rotate(35)
            canvas.drawCentredString(0, 0, self._t("Not issued"))
            canvas.restoreState()
            canvas.saveState()
        canvas.setFont(_FONT, 8)
        canvas.setFillColor(HexColor(_QUIET))
        canvas.drawString(36, 28, f"{self._one.number}  {self._one.digest[:16]}")
        canvas.drawRightString(width - 36, 28, str(canvas.getPageNumber()))
        canvas.restoreState()
