"""People in lists, in numbered rows, in pairs of one family, and names joined without a mark."""

from __future__ import annotations

import re
from collections.abc import Iterator

from desensitize.freetext.common import common_words
from desensitize.freetext.reading import Reading
from desensitize.freetext.signs import ONLY_HAN, left_of, nobody, patterns, right_of, shape_of
from desensitize.freetext.words import HAN, all_surnames, place_names, surnames, words

_RUN = re.compile(rf"{HAN}+")
_ORDINAL = re.compile(
    r"(?:周|星期)[一二三四五六日天]|第?[一二三四五六七八九十]{1,2}[号组床]|语文|数学|英语|物理|化学|班主任"
)
_COUNTED = re.compile(r"[两二三四五六七八九十]+(?:位|人)(?!民)")
_NUMBERED = re.compile(
    rf"(?:{_ORDINAL.pattern}|[0-9]{{1,2}}[.、．)）]?) ?({HAN}{{2,3}}?)(?={_ORDINAL.pattern}|[^一-鿿]|$)"
)
_PAIR = re.compile(
    rf"(?<!{HAN}{HAN}{HAN}{HAN})((?P<family>{HAN}){HAN}{{1,2}}?)[和与跟、]((?P=family){HAN}{{1,2}}?)(?=[^一-鿿]|是|两|兄|姐|二|双|都|均|在|系|夫|父|母|堂|表|共|因|到|来)"
)


def find_listed(reading: Reading, found: set[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield stretches between marks that look like names where another person stands between marks nearby."""
    text = reading.text
    alone = _between_marks(reading, found)
    for index, (start, end, known) in enumerate(alone):
        near = any(one[2] and one[1] - one[0] <= 6 for one in alone[max(0, index - 2) : index + 3])
        counted = end - start <= 3 and _COUNTED.search(text, end, end + 20)
        if known or not (near or counted):
            continue
        for stop in (start + 3, start + 2):
            if stop <= end and _fits(reading, start, stop, end):
                alone[index] = (start, end, True)
                yield start, stop
                break


def _between_marks(reading: Reading, found: set[tuple[int, int]]) -> list[tuple[int, int, bool]]:
    """Return the runs of Chinese characters without a number or a role before them, and if a person begins them."""
    text = reading.text
    ends: dict[int, set[int]] = {}
    for start, end in found:
        ends.setdefault(start, set()).add(end)
    alone = []
    for run in _RUN.finditer(text):
        start, end = run.span()
        if ordinal := _ORDINAL.match(text, start, end):
            start = ordinal.end()
        if (role := patterns()["invitation_start"].match(text, start, end)) and role.end() < end - 1:
            start = role.end()
        known = any(one == end or (one < end and right_of(reading, one) < 1) for one in ends.get(start, ()))
        alone.append((start, end, known))
    return alone


def _fits(reading: Reading, start: int, stop: int, end: int) -> bool:
    """Say whether the start of a run can be a name of the list."""
    name = reading.text[start:stop]
    if shape_of(name) > 0.8 or name in place_names() or name in nobody():
        return False
    return stop == end or (name not in common_words() and right_of(reading, stop) <= 0.7 and end - start <= 8)


def find_numbered(reading: Reading) -> Iterator[tuple[int, int]]:
    """Yield what follows at least two numbers and looks like a name each time: 1方正 2容易, 一组张敏 二组李想."""
    found = [match.span(1) for match in _NUMBERED.finditer(reading.text)]
    names = [reading.text[start:end] for start, end in found]
    if len(found) > 1 and all(shape_of(one) <= 0.8 and one not in place_names() for one in names):
        yield from found


def find_paired(reading: Reading) -> Iterator[tuple[int, int]]:
    """Yield two names of one family: 任性与任意, 温暖、温柔."""
    for match in _PAIR.finditer(reading.text):
        if match[1] != match[3] and match[1][0] in all_surnames() and left_of(reading, match.start()) <= 1:
            yield match.span(1)
            yield match.span(3)


def part_joined(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return the names that are joined in one stretch: 张伟李娜 is two, 欧阳修文 one."""
    name = text[start:end]
    if not 4 <= len(name) <= 6 or not ONLY_HAN.fullmatch(name):
        return [(start, end)]
    if name[:2] in words("people", "compound_surnames") and len(name) == 4:
        return [(start, end)]
    for cut in (2,) if len(name) == 4 else (2, 3) if len(name) == 5 else (3,):
        if name[0] in all_surnames() and name[cut] in surnames():
            return [(start, start + cut), (start + cut, end)]
    return [(start, end)]
