"""Refusals in the reader's language: the sentences that services raise, found again in a catalogue of their forms.

Services say why in English, with the things that they name in it (`errors.py`). A form is such a sentence with numbered
places, `{0} experts have not scored yet`, and stands in `refusals.po`. A sentence of no form is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

from shuzha.portal.i18n import Speech, words_of

_FOLDER = Path(__file__).parent / "locale"
_PLACE = re.compile(r"\{(\d+)\}")
_DEEPEST = 2
_TELLING = 6
_LONGEST = 1_000


@dataclass(frozen=True, slots=True)
class Form:
    """A sentence with numbered places, as a pattern, and the same in another language."""

    message: str
    pattern: re.Pattern[str]
    translated: str


@cache
def forms_of(language: str) -> tuple[Form, ...]:
    """Return the forms that a language's catalogue has, those with the most letters of their own first."""
    file = _FOLDER / language / "LC_MESSAGES" / "refusals.po"
    if not file.exists():
        return ()
    with file.open("rb") as source:
        found = [
            Form(str(each.id), _pattern(str(each.id)), str(each.string))
            for each in read_po(source, locale=language)
            if each.id and each.string
        ]
    return tuple(sorted(found, key=lambda form: -len(_PLACE.sub("", form.message))))


def say_refusal(text: str, speech: Speech) -> str:
    """Return a refusal's sentence, or what it says would be accepted, in the reader's language.

    What stands in a place is translated too where it is a word of the portal, a list of such, or a refusal itself. A
    text that is longer than any that we write stays as it is.
    """
    return _say(text, speech, 0) if len(text) <= _LONGEST else text


def _say(text: str, speech: Speech, deep: int) -> str:
    for form, found in _matches(text, speech.language):
        return form.translated.format(*(_say_place(part, speech, deep + 1) for part in found))
    return _say_list(text, speech)


def _say_place(part: str, speech: Speech, deep: int) -> str:
    return _say(part.strip("`"), speech, deep) if deep <= _DEEPEST else part


def _say_list(text: str, speech: Speech) -> str:
    """Return a list of words that the portal knows, translated; any other text as it is."""
    items = text.split(", ")
    plain, words = _plain_forms(speech.language), words_of(speech.language)
    said = [plain.get(item) or words.get(item) for item in items]
    return speech.t(", ").join(map(str, said)) if all(said) else text


def _matches(text: str, language: str) -> Iterator[tuple[Form, list[str]]]:
    for form in forms_of(language):
        if found := form.pattern.fullmatch(text):
            places = sorted(found.groupdict().items(), key=lambda each: int(each[0][1:]))
            yield form, [value for _, value in places]


@cache
def _plain_forms(language: str) -> dict[str, str]:
    return {form.message: form.translated for form in forms_of(language) if not _PLACE.search(form.message)}


def _pattern(message: str) -> re.Pattern[str]:
    """Return a form as a pattern: a place that stands twice must hold the same both times.

    A form with few letters of its own says little, so its places hold no spaces: or it would fit other sentences.
    """
    inside = r"\S+" if len(_PLACE.sub("", message).strip()) < _TELLING else ".*?"
    parts, seen, last = [], set[str](), 0
    for place in _PLACE.finditer(message):
        name = f"p{place[1]}"
        parts += [re.escape(message[last : place.start()]), f"(?P={name})" if name in seen else f"(?P<{name}>{inside})"]
        seen.add(name)
        last = place.end()
    return re.compile("".join((*parts, re.escape(message[last:]))), re.DOTALL)
