"""People by the form of address behind the name or before it, and names that are hidden in part."""

from __future__ import annotations

from collections.abc import Iterator

from desensitize.freetext.common import common_words
from desensitize.freetext.reading import Reading
from desensitize.freetext.signs import (
    FUNCTION_CHARACTERS,
    ONLY_HAN,
    is_han,
    is_surname,
    left_of,
    nobody,
    patterns,
    right_of,
    shape_of,
)
from desensitize.freetext.words import place_names, surnames, words


def find_addressed(reading: Reading) -> Iterator[tuple[int, int]]:
    """Yield names before a form of address (刘师傅, 志远他妈, 张总); a surname alone goes with its form."""
    text = reading.text
    for match in patterns()["form"].finditer(text):
        yield from _before_form(reading, match.start(), match.end())
    for match in patterns()["kin_after"].finditer(text):
        start, end = match.start() - 2, match.start()
        if start >= 0 and ONLY_HAN.fullmatch(text, start, end) and _is_kin(reading, start, end):
            yield start, end
    for match in patterns()["short"].finditer(text):
        start, end = match.span()
        ordinary = match.group() in nobody() or match.group() in common_words()
        likely = not ordinary and reading.is_person(start, end) > 0.06
        if likely and is_surname(reading, start) and right_of(reading, end) <= 0.7:
            yield start, end


def _before_form(reading: Reading, place: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the name that ends at `place`, where a form of address begins that ends at `end`."""
    text = reading.text
    for length in (4, 3, 2):
        start = place - length
        if start >= 0 and ONLY_HAN.fullmatch(text, start, place) and _is_full(reading, start, place):
            yield start, place
            return
    start = place - 1
    if start < 0 or left_of(reading, start) > 1 or not is_surname(reading, start):
        return
    if start and text[start - 1] == text[start]:
        return
    if text[start:end] not in words("people", "not_people"):
        yield start, end


def _is_full(reading: Reading, start: int, end: int) -> bool:
    """Say whether a stretch before a form of address is a full or a given name."""
    name, left = reading.text[start:end], left_of(reading, start)
    if left > 1 or shape_of(name) > 0.6:
        return False
    if name in common_words() or name in place_names() or name in words("people", "kin"):
        return False
    return reading.is_person(start, end) > 0.05 or (left < 1 and end in reading.ends)


def _is_kin(reading: Reading, start: int, end: int) -> bool:
    """Say whether two characters before a word of kinship are a given name."""
    name, chance = reading.text[start:end], reading.is_person(start, end)
    if left_of(reading, start) > 1 or name in common_words():
        return False
    return chance > 0.08 or (shape_of(name) <= 0.6 and chance > 0.02)


def find_familiar(reading: Reading, least: float) -> Iterator[tuple[int, int]]:
    """Yield 老王, 小李, 阿强 and 大刘."""
    text = reading.text
    for match in patterns()["familiar"].finditer(text):
        start, end = match.span()
        whole = match.group()
        if whole.endswith("头") and len(whole) == 3 and whole[0] != "老":
            end -= 1
        if (
            whole in nobody()
            or text[start:end] in common_words()
            or text[start : start + 3] in words("people", "not_people")
        ):
            continue
        if reading.is_person(start, end) > least * left_of(reading, start) * (
            0.5 if match.group(1) in surnames() else 1.2
        ):
            yield start, end


def find_hidden(reading: Reading) -> Iterator[tuple[int, int]]:
    """Yield names that are hidden in part (张某, 李*) or written with a blank (王　明)."""
    text = reading.text
    for match in patterns()["hidden"].finditer(text):
        start, end = match.span()
        if is_han(text, end - 1) and text[end - 1] not in "某〇" and right_of(reading, end) > 0.7:
            end -= 1
        if left_of(reading, start) <= 1 and not (text[start] in FUNCTION_CHARACTERS and reading.person[start] < 80):
            yield start, end
    for match in patterns()["spaced"].finditer(text):
        yield match.span()
