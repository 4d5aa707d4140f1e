"""Finding what must go in texts: sentences to the tagger once each, then the rules on every text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from desensitize.freetext.addresses import find_addresses
from desensitize.freetext.common import common_words, ordinary_words
from desensitize.freetext.organisations import find_organisations
from desensitize.freetext.people import find_people
from desensitize.freetext.reading import Reading, read, split_sentences
from desensitize.freetext.spans import ADDRESS, OTHER, PERSON, Span, outside_labels, settle
from desensitize.freetext.tagger import Tagged, simple_characters, tag
from desensitize.freetext.view import view
from desensitize.freetext.words import HAN, characters, place_names, surnames, words

# The chance that is asked of the tagger; `strict` takes every word besides that is not known to be ordinary.
CAUTIONS = {"strict": 0.16, "high": 0.16, "balanced": 0.5}

_LETTERS = re.compile(rf"(?:{HAN}|[A-Z][A-Za-z]+)+")
_ZEROS, _ONES = re.compile(rb"\x00+"), re.compile(rb"\x01+")
_BRIDGE = re.compile(rf"(?:{HAN}|[0-9A-Za-z]){{1,2}}|[0-9A-Za-z-]+")
_DIGITS, _DIGITS_END = re.compile("[0-9A-Za-z-]+"), re.compile("[0-9A-Za-z-]+$")


def find_names(texts: Sequence[str], caution: str = "high", known: dict[str, Tagged] | None = None) -> list[list[Span]]:
    """Return for each text the people, addresses and organisations in it, in order and without overlaps."""
    tagged = {} if known is None else known
    views = [view(text, simple_characters()) for text in texts]
    cut = [split_sentences(one.text) for one in views]
    new = list({sentence: None for sentences in cut for _, sentence in sentences if sentence not in tagged})
    tagged.update(zip(new, tag(new), strict=True))
    found = []
    for text, one, sentences in zip(texts, views, cut, strict=True):
        reading = read(one.text, [(start, tagged[sentence]) for start, sentence in sentences])
        spans = _repeated(one.text, settle(_find(reading, CAUTIONS[caution]), len(one.text)))
        settled = settle(outside_labels(text, map(one.back, spans)), len(text))
        found.append(_with_unknown(text, settled) if caution == "strict" else settled)
    return found


def _find(reading: Reading, least: float) -> list[Span]:
    people = find_people(reading, least)
    ends: dict[int, list[int]] = {}
    for person in people:
        ends.setdefault(person.start, []).append(person.end)
    organisations = [_without_people(reading.text, one, ends.get(one.start, ())) for one in find_organisations(reading)]
    return [*people, *find_addresses(reading), *organisations]


def _without_people(text: str, organisation: Span, ends: Iterable[int]) -> Span:
    """Return an organisation without a person, who ends at one of `ends`, and the verb behind (李娜投诉华联公司)."""
    for end in ends:
        for length in (3, 2, 1):
            verb = text[end : end + length]
            if verb in words("organisations", "before") and end + length + 2 < organisation.end:
                return organisation._replace(start=end + length)
    return organisation


def _repeated(text: str, spans: list[Span]) -> list[Span]:
    """Return the spans and every other place where the same person or organisation is named.

    A given name of two characters counts too; a name that is also a place or an ordinary word is not looked for again.
    """
    names: dict[str, str] = {}
    for span in spans:
        name = text[span.start : span.end]
        if span.label == ADDRESS or len(name) < 2 or name in common_words() or name in place_names():
            continue
        names[name] = span.label
        if span.label == PERSON and len(name) == 3 and _is_given(name[1:]) and name[0] in surnames():
            names[name[1:]] = PERSON
    by_start: dict[str, list[str]] = {}
    for name in names:
        by_start.setdefault(name[:2], []).append(name)
    again = [
        Span(place, place + len(name), names[name])
        for place in range(len(text) - 1 if names else 0)
        for name in by_start.get(text[place : place + 2], ())
        if text.startswith(name, place)
    ]
    return [*spans, *again]


def _is_given(name: str) -> bool:
    """Say whether two characters are a given name that can be looked for alone."""
    ordinary = name in common_words() or name in place_names()
    return not ordinary and all(one in characters("given") for one in name)


def _with_unknown(text: str, spans: list[Span]) -> list[Span]:
    """Return the spans and every stretch of Chinese characters or letters besides that is no ordinary word."""
    taken = bytearray(len(text))
    known = [match.span() for match in ordinary_words().finditer(text)]
    for start, end in [*known, *((span.start, span.end) for span in spans)]:
        taken[start:end] = b"\1" * (end - start)
    named = bytes(taken)
    unknown = bytearray(len(text))
    for match in _LETTERS.finditer(text):
        for part in _ZEROS.finditer(named[match.start() : match.end()]):
            start, end = match.start() + part.start(), match.start() + part.end()
            unknown[start:end] = b"\1" * (end - start)
    left = [Span(start, end, OTHER) for start, end in _bridged(text, unknown, spans)]
    return settle([*spans, *outside_labels(text, _apart(left, spans, len(text)))], len(text))


def _bridged(text: str, unknown: bytearray, spans: list[Span]) -> list[tuple[int, int]]:
    """Return the unknown stretches with the digits beside them and the one or two characters between two of them."""
    whole = bytearray(unknown)
    for span in spans:
        whole[span.start : span.end] = b"\1" * (span.end - span.start)
    for gap in _ZEROS.finditer(bytes(whole)):
        said = text[gap.start() : gap.end()]
        inner = gap.start() > 0 and gap.end() < len(text)
        if inner and _BRIDGE.fullmatch(said):
            unknown[gap.start() : gap.end()] = b"\1" * len(said)
            continue
        if gap.start() and (behind := _DIGITS.match(said)):
            unknown[gap.start() : gap.start() + behind.end()] = b"\1" * behind.end()
        if gap.end() < len(text) and (before := _DIGITS_END.search(said)):
            unknown[gap.start() + before.start() : gap.end()] = b"\1" * (len(said) - before.start())
    return [match.span() for match in _ONES.finditer(bytes(unknown))]


def _apart(left: list[Span], spans: list[Span], length: int) -> list[Span]:
    """Return the parts of `left` that stand outside `spans`."""
    taken = bytearray(length)
    for span in spans:
        taken[span.start : span.end] = b"\1" * (span.end - span.start)
    return [
        Span(one.start + part.start(), one.start + part.end(), OTHER)
        for one in left
        for part in _ZEROS.finditer(bytes(taken[one.start : one.end]))
    ]
