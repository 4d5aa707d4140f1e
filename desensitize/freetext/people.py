"""People in a text: what the tagger says, and what stands where a name is expected (see `signs`, `titles`, `lists`)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from desensitize.freetext.common import common_words
from desensitize.freetext.lists import find_listed, find_numbered, find_paired, part_joined
from desensitize.freetext.reading import Reading
from desensitize.freetext.signs import (
    ONLY_HAN,
    PEELED,
    TRAILING,
    is_han,
    left_of,
    nobody,
    ordinariness,
    patterns,
    right_of,
    shape_of,
)
from desensitize.freetext.spans import PERSON, Span
from desensitize.freetext.titles import find_addressed, find_familiar, find_hidden
from desensitize.freetext.words import HAN, place_names

_DOTTED = re.compile(rf"{HAN}{{1,8}}(?:[·•・‧．]{HAN}{{1,10}}){{1,3}}")
_LATIN = re.compile(r"(?<![A-Za-z0-9@._/-])[A-Z][a-z]{1,14}(?: [A-Z][a-z]{1,14}){0,2}(?![A-Za-z0-9@._/-])")


def find_people(reading: Reading, least: float) -> list[Span]:
    """Return the people of a text; `least` is the chance, between 0 and 1, from which the tagger alone is believed."""
    found = {*_tagged(reading), *_likely(reading, least), *_dotted(reading), *_latin(reading, least)}
    found |= {
        *_invited(reading, least),
        *find_addressed(reading),
        *find_familiar(reading, least),
        *find_hidden(reading),
    }
    found |= set(find_listed(reading, found))
    found = {one for one in found if not _overruns(reading, *one)}
    known = [match.span() for match in patterns()["famous"].finditer(reading.text)]
    found = {one for one in found if not _is_nobody(reading, one, known)}
    found |= {*find_numbered(reading), *find_paired(reading)}
    return [Span(start, end, PERSON) for one in found for start, end in part_joined(reading.text, *one)]


def _overruns(reading: Reading, start: int, end: int) -> bool:
    """Say whether a stretch is a person of the tagger's and a character or two of other words."""
    asked = 0.1 if shape_of(reading.text[start:end]) <= 0.5 else 0.5
    first = reading.starts.get(start)
    if first is not None and reading.words[first].kind == "PER":
        stop = reading.words[first].end
        if 2 <= stop - start < end - start <= stop - start + 2 and shape_of(reading.text[start:stop]) < 1:
            titled = patterns()["form"].fullmatch(reading.text, stop, end)
            return not titled and reading.is_person(stop, end) < max(asked, 0.25)
    last = reading.ends.get(end)
    if last is not None and reading.words[last].kind == "PER":
        begin = reading.words[last].start
        if 2 <= end - begin < end - start <= end - begin + 2:
            return reading.is_person(start, begin) < asked
    return False


def _is_nobody(reading: Reading, one: tuple[int, int], famous: list[tuple[int, int]]) -> bool:
    """Say whether a stretch is an ordinary word, part of a famous name, or a village called like a person."""
    start, end = one
    name = reading.text[start:end]
    if name in nobody() or any(low <= start and end <= high for low, high in famous):
        return True
    return name[-1] in "庄村镇乡屯街路寨" and reading.is_person(start, end) < 0.9


def _tagged(reading: Reading) -> Iterator[tuple[int, int]]:
    """Yield the tagger's people of two characters or more, without what does not belong to the name."""
    text = reading.text
    for word in reading.words:
        if word.kind != "PER" or word.end - word.start < 2 or not ONLY_HAN.search(text, word.start, word.end):
            continue
        if text[word.start : word.end] in place_names() and reading.is_person(word.start, word.end) < 0.5:
            continue
        yield _trimmed(reading, word.start, word.end)


def _trimmed(reading: Reading, start: int, end: int) -> tuple[int, int]:
    """Return the stretch of a name without an emoji, a word of kinship, a verb or a form of address glued to it."""
    text = reading.text
    while start < end and not (is_han(text, start) or text[start].isascii()):
        start += 1
    if text[start] in PEELED and end - start > 2 and shape_of(text[start + 1 : end]) <= 0.4 < shape_of(text[start:end]):
        start += 1
    if text[end - 1] in TRAILING and end - start > 2 and reading.person[end - 1] < 200:
        end -= 1
    form = patterns()["form"].search(text, start + 2, end)
    if form and form.end() == end and shape_of(text[start : form.start()]) <= 0.8:
        end = form.start()
    return start, end


def _likely(reading: Reading, least: float) -> Iterator[tuple[int, int]]:
    """Yield what is a person by the tagger's chance and by the signs around it, if not by the tagger's own words."""
    text, person = reading.text, reading.person
    floor = max(2, round(least * 255 * 0.06))
    for start in range(len(text) - 1):
        if person[start] < floor or not is_han(text, start):
            continue
        left = left_of(reading, start)
        best: tuple[float, int] | None = None
        for end in range(start + 2, min(start + 5, len(text) + 1)):
            if not is_han(text, end - 1):
                break
            name = text[start:end]
            asked = least * left * shape_of(name) * right_of(reading, end)
            asked *= ordinariness(reading, start, name)
            chance = min(reading.is_person(start, end), 2.5 * min(person[start:end]) / 255)
            weight = chance / asked * 1.4 ** (end - start)
            if chance >= asked and not _cuts_person(reading, start, end) and (best is None or weight > best[0]):
                best = weight, end
        if best:
            yield start, best[1]


def _cuts_person(reading: Reading, start: int, end: int) -> bool:
    """Say whether a stretch ends inside a person of the tagger's, or begins inside one and goes on behind it."""
    for place in (start, end - 1):
        word = reading.word_at(place)
        if word and word.kind == "PER" and word.end - word.start > 1 and not (start <= word.start and word.end <= end):
            return True
    return False


def _dotted(reading: Reading) -> Iterator[tuple[int, int]]:
    """Yield names with a dot inside (阿依努尔·艾合买提), from where the tagger begins a word to where it ends one."""
    for match in _DOTTED.finditer(reading.text):
        start, end = match.span()
        dots = [place for place in range(start, end) if not is_han(reading.text, place)]
        if reading.is_person(dots[0] - 1, dots[-1] + 2) < 0.2:
            continue
        if dots[0] - start > 5:
            begins = (one for one in range(start, dots[0]) if one in reading.starts and reading.person[one] > 25)
            start = max(begins, default=start)
        while start < dots[0] - 1 and reading.person[start] < 25 and start not in reading.starts:
            start += 1
        last = dots[-1] + 2
        while last < end and (reading.person[last] > 100 and last not in reading.starts):
            last += 1
        yield start, last


def _latin(reading: Reading, least: float) -> Iterator[tuple[int, int]]:
    for pattern in ("english", "pinyin"):
        for match in patterns()[pattern].finditer(reading.text):
            yield match.span()
    for match in _LATIN.finditer(reading.text):
        if reading.is_person(*match.span()) > least / 1.5:
            yield match.span()


def _invited(reading: Reading, least: float) -> Iterator[tuple[int, int]]:
    """Yield names behind an invitation."""
    text = reading.text
    for match in patterns()["invited"].finditer(text):
        start, mark = match.end(), match["mark"] or ""
        if mark[-1:] in ("“", '"', "‘", "'", "「") and match["naming"]:
            if quoted := re.compile(rf"{HAN}{{2,6}}(?=[”\"’'」])").match(text, start):
                yield quoted.span()
            continue
        for length in (4, 3, 2):
            name, end = text[start : start + length], start + length
            if len(name) < length or not ONLY_HAN.fullmatch(name):
                continue
            if _accepts(reading, match, start, end, least):
                yield start, end
                break


def _accepts(reading: Reading, match: re.Match[str], start: int, end: int, least: float) -> bool:
    """Say whether what stands behind an invitation is a name."""
    name = reading.text[start:end]
    shape, ordinary = shape_of(name), name in common_words()
    if name[-1] in TRAILING or shape > 0.8 or (len(name) == 4 and shape >= 0.5):
        return False
    likely = reading.is_person(start, end) > least / 8
    if is_han(reading.text, end):
        return likely and not ordinary and right_of(reading, end) < 1
    if (match["mark"] or "")[:1] in ("：", ":"):
        return match["role"] is not None or shape <= 0.6
    return not ordinary and (likely or match["role"] is not None or shape <= 0.6)
