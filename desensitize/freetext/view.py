"""A text as it is read: simplified characters, half-width letters and digits, no blanks between single characters.

`姓名　張 小 明` is read as `姓名　张小明`; places found in the view lead back to the places of the text itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from desensitize.freetext.spans import Span

_ONE = r"[一-鿿㐀-䶿0-9]"
_COMPOUND = "欧阳|司马|上官|诸葛|司徒|皇甫|尉迟|慕容|令狐|夏侯"
# The same blank between characters that stand alone (or a surname of two characters and one).
_SPACED = re.compile(
    rf"(?<![一-鿿㐀-䶿0-9A-Za-z])(?:{_ONE}|{_COMPOUND})([ \u3000\u00a0]{{1,4}}){_ONE}(?:\1{_ONE})*"
    r"(?=女士|先生|小姐|同志|老师|[^一-鿿㐀-䶿A-Za-z]|$)"
)
_WIDE_BLANK = re.compile(r"(?<=[一-鿿])\u3000{1,2}(?=[一-鿿](?![一-鿿男女汉父母子女：:\u3000 ]))")
_BLANKS = re.compile(r"[ \u3000\u00a0]+")


@dataclass(frozen=True, slots=True)
class View:
    """What is read of a text; `places[i]` is where character i of the view stands in the text, None if they agree."""

    text: str
    places: tuple[int, ...] | None

    def back(self, span: Span) -> Span:
        """Return a span of the view as a span of the text."""
        if self.places is None:
            return span
        return Span(self.places[span.start], self.places[span.end - 1] + 1, span.label)


def view(text: str, simple: Mapping[int, str]) -> View:
    """Return the view of a text; `simple` maps characters to the ones they are read as."""
    read = text.translate(simple)
    gone = {place for match in _SPACED.finditer(read) for place in _blanks(match)}
    gone.update(place for match in _WIDE_BLANK.finditer(read) for place in range(*match.span()))
    if not gone:
        return View(read, None)
    places = tuple(place for place in range(len(read)) if place not in gone)
    return View("".join(read[place] for place in places), places)


def _blanks(match: re.Match[str]) -> list[int]:
    offset = match.start()
    return [offset + place for blank in _BLANKS.finditer(match.group()) for place in range(*blank.span())]
