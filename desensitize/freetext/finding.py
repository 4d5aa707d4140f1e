"""Finding what must go in texts: sentences to the tagger once each, then the rules on every text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from desensitize.freetext import scoring
from desensitize.freetext.addresses import find_addresses
from desensitize.freetext.common import common_words
from desensitize.freetext.organisations import find_organisations
from desensitize.freetext.people import find_people
from desensitize.freetext.reading import Reading, read, split_sentences
from desensitize.freetext.signs import nobody
from desensitize.freetext.spans import ADDRESS, ORGANISATION, OTHER, PERSON, Span, outside_labels, settle
from desensitize.freetext.tagger import Tagged, simple_characters, tag
from desensitize.freetext.view import view
from desensitize.freetext.words import HAN, characters, place_names, surnames, words

# The chance that the rules ask of the tagger, and the score from which a character goes without a rule.
CAUTIONS = {"strict": 0.16, "high": 0.16, "balanced": 0.5}
SCORES = {"strict": 0.04, "high": 0.5}
# Beside what goes, this part of the score is enough; of an ordinary word so many times the score is asked.
GROWTH, ORDINARY = 0.4, 3

_STEPS = {"strict": ("high", "strict"), "high": ("high",), "balanced": ()}
_ZEROS, _ONES = re.compile(rb"\x00+"), re.compile(rb"\x01+")
_LETTERS = re.compile(rf"{HAN}+|[A-Z][A-Za-z]+")
_OURS = re.compile(rf"\[(?:{PERSON}|{ADDRESS}|{ORGANISATION}|{OTHER})[0-9]+\]")
_LONGEST_WORD = 4
_MARKS = "。！？；!?;\n，,：:"


def find_names(texts: Sequence[str], caution: str = "high", known: dict[str, Tagged] | None = None) -> list[list[Span]]:
    """Return for each text the people, addresses and organisations in it, in order and without overlaps.

    What only its score gives away (not with `balanced`) is labelled as another thing.
    """
    tagged = {} if known is None else known
    views = [view(text, simple_characters()) for text in texts]
    cut = [split_sentences(one.text) for one in views]
    new = list({sentence: None for sentences in cut for _, sentence in sentences if sentence not in tagged})
    tagged.update(zip(new, _tag(new, scored=caution in SCORES), strict=True))
    found = []
    for text, one, sentences in zip(texts, views, cut, strict=True):
        reading = read(one.text, [(start, tagged[sentence]) for start, sentence in sentences])
        spans = _repeated(one.text, settle(_find(reading, CAUTIONS[caution]), len(one.text)))
        for step in _STEPS[caution]:
            spans = _with_scored(reading, spans, step)
        found.append(settle(outside_labels(text, map(one.back, spans)), len(text)))
    return found


def _tag(sentences: list[str], *, scored: bool) -> list[Tagged]:
    """Return the tagged sentences, with scores where nothing of theirs was redacted before.

    A sentence that holds a label of ours was scored when it was whole; without its names it would lose more each time.
    """
    tagged = tag(sentences)
    if scored:
        whole = [index for index, sentence in enumerate(sentences) if not _OURS.search(sentence)]
        scores = scoring.score([sentences[index] for index in whole], [tagged[index] for index in whole])
        for index, how in zip(whole, scores, strict=True):
            tagged[index] = tagged[index]._replace(score=how)
    return tagged


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


def _with_scored(reading: Reading, spans: list[Span], caution: str) -> list[Span]:
    """Return the spans and, as other things, the words besides of which a character scores as what must go."""
    text, limit = reading.text, SCORES[caution] * 255
    before = {place for one in spans if one.label == OTHER for place in range(one.start, one.end)}
    spans = [one for one in spans if one.label != OTHER]
    score = _without_ordinary(reading, limit * ORDINARY)
    taken = bytearray(one >= limit or place in before for place, one in enumerate(score))
    _grow(taken, spans, text, bytes(one >= limit * GROWTH for one in score))
    for start, end, _ in reading.words:
        if end - start <= _LONGEST_WORD and any(taken[start:end]):
            taken[start:end] = b"\1" * (end - start)
    if caution == "strict":
        for match in _LETTERS.finditer(text):
            if reading.word_at(match.start()) is None and match.group() not in common_words():
                taken[match.start() : match.end()] = b"\1" * len(match.group())
    left = [Span(*stretch, OTHER) for match in _ONES.finditer(bytes(taken)) if (stretch := _bare(text, *match.span()))]
    apart = [one for one in _apart(left, spans, len(text)) if _bare(text, one.start, one.end)]
    return [
        *spans,
        *(
            one
            for one in apart
            if not before.isdisjoint(range(one.start, one.end)) or not _names_nobody(reading, one, caution)
        ),
    ]


def _names_nobody(reading: Reading, span: Span, caution: str) -> bool:
    """Say whether a stretch is a form of address, a role, a famous person; unless strict, a place or a public body."""
    name = reading.text[span.start : span.end]
    if name in nobody() or name in words("people", "kin_after") or name in words("organisations", "generic"):
        return True
    person, place = (reading.mean(one, span.start, span.end) for one in (reading.person, reading.place))
    if caution == "strict" or person > min(place, 0.2):
        return False
    return name in place_names() or any(name.endswith(one) for one in words("organisations", "public") if len(one) > 1)


def _without_ordinary(reading: Reading, asked: float) -> bytearray:
    """Return the scores without those of ordinary words of two characters or more that score less than is asked."""
    score = bytearray(reading.score)
    for start, end, _ in reading.words:
        if end - start > 1 and max(score[start:end]) < asked and reading.text[start:end] in common_words():
            score[start:end] = bytes(end - start)
    return score


def _grow(taken: bytearray, spans: list[Span], text: str, likely: bytes) -> None:
    """Take the likely characters beside what is taken, up to the next mark."""
    inside = bytearray(taken)
    for span in spans:
        inside[span.start : span.end] = b"\1" * (span.end - span.start)
    for places, beside in ((range(1, len(taken)), -1), (range(len(taken) - 2, -1, -1), 1)):
        for place in places:
            if inside[place + beside] and not inside[place] and likely[place] and text[place] not in _MARKS:
                inside[place] = taken[place] = 1


def _bare(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return a stretch without the marks and blanks at its ends, or None if nothing is left."""
    while start < end and not text[start].isalnum():
        start += 1
    while start < end and not text[end - 1].isalnum():
        end -= 1
    return (start, end) if start < end else None


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
