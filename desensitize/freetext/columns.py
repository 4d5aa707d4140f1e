"""Redaction of a column: each distinct text once, texts that cannot hold anything passed by, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import polars as pl

from desensitize.freetext.common import ordinary_words
from desensitize.freetext.redaction import CANDIDATE, check_caution, redact_texts

_BATCH_TEXTS = 1_000
_BATCH_CHARACTERS = 200_000
_REMEMBERED_CHARACTERS = 20_000_000

Progress = Callable[[int, int], None]


@cache
def plain_pattern() -> str:
    """Return the pattern of texts that name nobody: ordinary words, and characters that no name is written with."""
    label, amount = r"\[[^\[\]0-9A-Z]{1,8}[0-9]+\]", "[0-9][元万时年月日号次人户个件张]|第[0-9]"
    return rf"^(?:[^\p{{Han}}A-Z·•・‧]|{label}|{amount}|{ordinary_words().pattern})*$"


def redact_expression(
    source: pl.Expr,
    *,
    names: bool,
    caution: str = "high",
    progress: Progress | None = None,
    prefilter: bool = True,
) -> pl.Expr:
    """Return the expression that redacts a text column; null stays null.

    `progress` is called with how many distinct texts of the batch at hand are done, and how many there are.
    `prefilter=False` looks at every text, for measuring what the pre-filter saves.
    """
    check_caution(caution)
    column = _Column(names=names, caution=caution, progress=progress, prefilter=prefilter)
    return source.map_batches(column.redact, return_dtype=pl.String, is_elementwise=True)


class _Column:
    """The work on one column, and what it remembers between batches, up to a number of characters."""

    def __init__(self, *, names: bool, caution: str, progress: Progress | None, prefilter: bool) -> None:
        self._names = names
        self._caution = caution
        self._progress = progress
        self._prefilter = prefilter
        self._known: dict[str, str] = {}
        self._room = _REMEMBERED_CHARACTERS

    def redact(self, values: pl.Series) -> pl.Series:
        once = values.drop_nulls().unique()
        if self._prefilter:
            once = once.filter(_may_hold(once, names=self._names))
        if not len(once):
            return values
        new = [text for text in once if text not in self._known]
        made = dict(zip(new, self._redact_all(new), strict=True))
        replaced = pl.Series([made[text] if text in made else self._known[text] for text in once], dtype=pl.String)
        for text, done in made.items():
            self._room -= len(text) + len(done)
            if self._room < 0:
                break
            self._known[text] = done
        return values.replace(once, replaced)

    def _redact_all(self, texts: list[str]) -> Iterator[str]:
        done = 0
        for batch in _batches(texts):
            yield from self._redact_batch(batch)
            done += len(batch)
            if self._progress:
                self._progress(done, len(texts))

    def _redact_batch(self, texts: list[str]) -> list[str]:
        if not (self._names and self._prefilter):
            return redact_texts(texts, names=self._names, caution=self._caution)
        # A plain text is here for its digits: the tagger has nothing to find in it.
        plain = pl.Series(texts).str.contains(plain_pattern()).to_list()
        named = iter(redact_texts([one for one, by in zip(texts, plain, strict=True) if not by], caution=self._caution))
        return [
            redact_texts([one], names=False)[0] if by else next(named) for one, by in zip(texts, plain, strict=True)
        ]


def _may_hold(texts: pl.Series, *, names: bool) -> pl.Series:
    """Say for each text whether it can hold anything to take out."""
    hold = texts.str.contains(CANDIDATE)
    return hold | ~texts.str.contains(plain_pattern()) if names else hold


def _batches(texts: list[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text)
        if len(batch) == _BATCH_TEXTS or characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
