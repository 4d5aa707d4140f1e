"""A text as the tagger reads it: sentences, words by where they start and end, and the chances of each character."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from desensitize.freetext.tagger import Tagged, Word
from desensitize.freetext.words import HAN

_LONGEST = 160
_SENTENCE = re.compile(r"[^。！？；!?;\n\r]+[。！？；!?;]?|[\n\r]+")
_CLAUSE = re.compile(rf"[^，、,]{{1,{_LONGEST}}}[，、,]?|[，、,]")
_TWO_HAN = re.compile(HAN + "{2}")


@dataclass(frozen=True, slots=True)
class Reading:
    """One text with its words; `person`, `place` and `organisation` hold a chance in 255ths for each character.

    So does `score`, for the character to name anybody at all (see `scoring`).
    """

    text: str
    words: tuple[Word, ...]
    person: bytes
    place: bytes
    organisation: bytes
    score: bytes
    starts: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)

    def word_at(self, place: int) -> Word | None:
        """Return the word that holds the character at `place`, or None outside the tagged sentences."""
        low = bisect_right(self.words, place, key=lambda word: word.start) - 1
        return self.words[low] if low >= 0 and place < self.words[low].end else None

    def mean(self, chances: bytes, start: int, end: int) -> float:
        """Return the mean chance of a stretch, between 0 and 1."""
        return sum(chances[start:end]) / (255 * (end - start)) if end > start else 0.0

    def is_person(self, start: int, end: int) -> float:
        """Return the mean chance that a stretch names a person."""
        return self.mean(self.person, start, end)


def split_sentences(text: str) -> list[tuple[int, str]]:
    """Return the sentences that hold two Chinese characters in a row, and their places; long ones cut at commas."""
    found = []
    for sentence in _SENTENCE.finditer(text):
        for start, part in _cut(sentence.group(), sentence.start()):
            if _TWO_HAN.search(part):
                found.append((start, part))
    return found


def _cut(sentence: str, start: int) -> list[tuple[int, str]]:
    if len(sentence) <= _LONGEST:
        return [(start, sentence)]
    parts: list[tuple[int, str]] = []
    held, begin = "", 0
    for clause in _CLAUSE.finditer(sentence):
        if held and len(held) + len(clause.group()) > _LONGEST:
            parts.append((start + begin, held))
            held, begin = "", clause.start()
        held += clause.group()
    return [*parts, (start + begin, held)]


def read(text: str, sentences: Sequence[tuple[int, Tagged]]) -> Reading:
    """Return the text with the words of its tagged sentences at their places in the text."""
    person, place, organisation, score = (bytearray(len(text)) for _ in range(4))
    words: list[Word] = []
    for start, tagged in sentences:
        end = start + len(tagged.person)
        person[start:end], place[start:end], organisation[start:end] = tagged.person, tagged.place, tagged.organisation
        score[start:end] = tagged.score or bytes(end - start)
        words += [Word(start + word.start, start + word.end, word.kind) for word in tagged.words]
    starts = {word.start: index for index, word in enumerate(words)}
    ends = {word.end: index for index, word in enumerate(words)}
    return Reading(text, tuple(words), bytes(person), bytes(place), bytes(organisation), bytes(score), starts, ends)
