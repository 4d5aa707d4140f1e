"""Which language commands speak, and their words in it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from shuzha.core.errors import Invalid

LANGUAGES = ("en", "zh")
Words = Mapping[str, tuple[str, str]]
"""A word by its name, in English and in Chinese; `{names}` in it are filled in."""


def find_language(given: str | None = None) -> str:
    """Return the language that was given, or the locale's: the first of LC_ALL, LC_MESSAGES and LANG that is set.

    Refuses a language that is not spoken.
    """
    if given is not None and given not in LANGUAGES:
        raise Invalid("that language is not spoken", rule="cli.language", accepted="zh, en")
    if given is not None:
        return given
    locale = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    return "zh" if locale.lower().startswith("zh") else "en"


class Speaker:
    """Says words of a table in one language."""

    def __init__(self, words: Words, language: str | None = None) -> None:
        self.language = find_language(language)
        self._words = words
        self._place = LANGUAGES.index(self.language)

    def say(self, word: str, **values: object) -> str:
        """Return the word in the language; a word that the table does not have is itself, its `_` as blanks."""
        known = self._words.get(word)
        return word.replace("_", " ") if known is None else known[self._place].format(**values)
