"""Chinese and English: English message ids, one `zh_Hans` catalogue, negotiated by cookie and then by the browser.

The catalogue is kept as text (.po) and compiled in memory at start, so no compiled file is committed or forgotten.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from babel.dates import format_date, format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.support import NullTranslations, Translations

from shuzha.core.clock import CITY_ZONE
from shuzha.core.money import Amount, Price

LANGUAGES: Mapping[str, str] = {"zh_Hans": "中文", "en": "English"}
COOKIE = "shuzha_language"
_FOLDER = Path(__file__).parent / "locale"


@cache
def catalogue(language: str) -> NullTranslations:
    """Return the compiled messages of a language; English is the message ids themselves."""
    file = _FOLDER / language / "LC_MESSAGES" / "messages.po"
    if not file.exists():
        return NullTranslations()
    compiled = io.BytesIO()
    with file.open("rb") as source:
        write_mo(compiled, read_po(source, locale=language))
    compiled.seek(0)
    return Translations(compiled)


@cache
def words_of(language: str) -> Mapping[str, str]:
    """Return the messages that a language's catalogue has, by their English ids."""
    known: dict[object, str] = getattr(catalogue(language), "_catalog", {})
    return {message: text for message, text in known.items() if isinstance(message, str) and message and text}


def negotiate(cookie: str | None, accept: str | None) -> str:
    """Return the language of a request: the chosen one, else the browser's first that we speak, else Chinese."""
    if cookie in LANGUAGES:
        return str(cookie)
    for part in (accept or "").split(","):
        tag = part.split(";")[0].strip().lower()
        if tag.startswith("zh"):
            return "zh_Hans"
        if tag.startswith("en"):
            return "en"
    return "zh_Hans"


@dataclass(frozen=True, slots=True)
class Speech:
    """One language's words and forms: `t` translates, the rest write dates, numbers and money."""

    language: str

    @property
    def html_lang(self) -> str:
        """The language as HTML names it."""
        return "zh-Hans" if self.language == "zh_Hans" else "en"

    def t(self, message: str, **values: object) -> str:
        """Return the message in this language with its `{named}` places filled."""
        text = str(catalogue(self.language).ugettext(message))
        return text.format(**values) if values else text

    def date(self, day: dt.date | dt.datetime | None) -> str:
        """Return a day as people write it; a moment is shown as the city's day."""
        if day is None:
            return "—"
        if isinstance(day, dt.datetime):
            day = day.astimezone(CITY_ZONE).date()
        return format_date(day, "medium", locale=self.language)

    def day_text(self, text: str) -> str:
        """Return a stored day (ISO 8601) as people write it."""
        return self.date(dt.date.fromisoformat(text))

    def last_day(self, end: dt.datetime | None) -> str:
        """Return the last day of a term that ends at this moment: at midnight it is the day before."""
        return self.date(end and end - dt.timedelta(microseconds=1))

    def moment(self, moment: dt.datetime | None) -> str:
        """Return a moment in the city's time."""
        if moment is None:
            return "—"
        return format_datetime(moment, "yyyy-MM-dd HH:mm", tzinfo=CITY_ZONE, locale=self.language)

    def number(self, value: float) -> str:
        """Return a number with its thousands told apart."""
        return str(format_decimal(value, locale=self.language))

    def money(self, amount: Amount | Price) -> str:
        """Return a sum with two places, or a price with as many as it needs, in yuan."""
        if isinstance(amount, Amount):
            whole, cents = divmod(abs(amount.fen), 100)
            return f"{'-' if amount.fen < 0 else ''}¥{self.number(whole)}.{cents:02d}"
        return "¥" + (amount.yuan().rstrip("0").rstrip(".") or "0")

    def hao(self, hao: int) -> str:
        """Return a sum of 毫 in yuan, with as many places as it needs and at least two."""
        whole, rest = divmod(hao, 10_000)
        return f"¥{self.number(whole)}.{f'{rest:04d}'[:2]}{f'{rest:04d}'[2:].rstrip('0')}"

    def fen(self, fen: int) -> str:
        """Return a sum of fen in yuan."""
        return self.money(Amount(fen))

    def percent(self, share: float | None) -> str:
        """Return a share of one as a percentage."""
        return "—" if share is None else str(format_percent(share, "#,##0.##%", locale=self.language))

    def figure(self, value: object) -> str:
        """Return a measured figure: whole numbers whole, others with four places at most, words as they are."""
        if isinstance(value, bool) or value is None or not isinstance(value, int | float):
            return "—" if value is None else str(value)
        return str(format_decimal(value, "#,##0.####", locale=self.language))

    def size(self, count: int) -> str:
        """Return a number of bytes as people say it, in units of 1024, as the workspace's panel writes them."""
        value, unit = float(count), "B"
        for unit in ("B", "KiB", "MiB", "GiB"):
            if value < 1024 or unit == "GiB":
                break
            value /= 1024
        return f"{self.figure(round(value, 1))} {unit}"

    def moment_text(self, text: str) -> str:
        """Return a stored moment (ISO 8601) in the city's time, with seconds."""
        moment = dt.datetime.fromisoformat(text)
        return format_datetime(moment, "yyyy-MM-dd HH:mm:ss", tzinfo=CITY_ZONE, locale=self.language)
