"""Organisations in a text: what the tagger says, and names that end like a company or another body's.

Public bodies stay: `市人社局` acts in public, and official prose without it could not be read. A word that names
nobody on its own (`物业公司`, `医院`) stays too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from desensitize.freetext.common import common_words
from desensitize.freetext.reading import Reading
from desensitize.freetext.spans import ORGANISATION, Span
from desensitize.freetext.tagger import Word
from desensitize.freetext.words import HAN, any_of, place_names, words

_LONGEST = 26
_ONE = "[一二三四五六七八九十]"
_REGION = "[省市县区州]"
_END = "(?=$|[^一-鿿]"
# Short names that everybody in town knows, by form: 一中, 市三院, 七〇八厂, 二建, 工行城北支行, 师大附小, 妇幼.
_SHORT_FORMS = (
    f"[工农中建交招]行{_END}|的|办|贷|存|取|卡|柜|给|说)",
    "协和|同济|华西|湘雅",
    "[省市县区镇乡][一-鿿]{1,3}厂",
    f"{_REGION}{_ONE}(?:职高?|医院|幼)",
    f"{_REGION}{_ONE}?(?:院|中|小)(?![学时区国央心间组型])",
    f"{_ONE}中(?![全央国心午间])|{_ONE}小(?![时区学组型])",
    f"{_REGION}?第{_ONE}{{1,2}}(?:中学|小学|高中|人民医院|医院|幼儿园)",
    f"{_ONE}{{1,2}}(?:建|冶|化建|安){_END}|的|拖欠|公司|集团|工地|承|在)|中?[铁建交水电]{_ONE}{{1,3}}局",
    "[〇零一二三四五六七八九0-9]{3,4}(?:厂|所|队|医院|库)",
    f"{_REGION}?妇幼(?:院|保健院|医院)?",
    f"{_REGION}(?:儿童|肿瘤|人民|立|中医|胸科|口腔|传染病|精神病|妇产)(?:医院)?(?![一-鿿]{{0,2}}(?:政府|法院|检察))",
    "[一-鿿]{0,3}附[一二三]?属?(?:院|小|中|幼)",
    (
        "(?:师|交|理工|医|财|农|工|科|林|民|海|矿|地|石|政法|外语|外贸|传媒|体|音|美|广|电)(?:大|职院|学院)"
        f"{_END}|的|毕业|读|上学|教|附)"
    ),
    f"[职技卫体电](?:院|校){_END}|的|毕业|读|上学)",
    (
        "(?:工|农|中|建|交|招|农商|城商|邮储|光大|民生|浦发|兴业|华夏|平安)行?(?:银行)?[一-鿿]{2,6}?"
        "(?:支行|分行|分理处|网点|营业部|营业厅|储蓄所)"
    ),
    f"[一-鿿]{{2}}{_ONE}(?:队|处|公司|厂|矿){_END}|的|转|出|退|工作|上班|职工)",
)
_SHORT = re.compile("|".join(f"(?:{form})" for form in _SHORT_FORMS))
# Those of them that no ordinary word looks like.
_SURE = re.compile(
    f"{_REGION}?妇幼(?:院|保健院)?|[工农中建交招]行|协和|同济|华西|湘雅|[职技卫]校|职院|师大|交大|理工大|[医财农工]大"
    f"|[省市](?:儿童|肿瘤|胸科|口腔)|[省市县区镇乡][一-鿿]{{1,3}}厂|{_REGION}{_ONE}职高?"
)
_BRACKET = re.compile(r"[（(][一-鿿]{2,6}[）)]$")
_PART = re.compile(rf"[{HAN[1:-1]}A-Za-z0-9]+")
_NOT_BEFORE = frozenset("其之当")
_STOPS = frozenset(("p", "c", "u", "r", "d", "w", "TIME", "xc", "q", "f", "s"))
_NAMING = frozenset(("nz", "PER", "LOC", "ORG"))


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    before = frozenset(one for one in words("organisations", "before") if len(one) > 1)
    told = any_of(words("people", "roles"), words("organisations", "told"))
    return {
        "ends": re.compile(any_of(words("organisations", "ends"))),
        "public": re.compile(rf"{any_of(words('organisations', 'public'))}$"),
        "trades": re.compile(any_of(words("organisations", "trades"))),
        "leading": re.compile(rf"(?:{told}(?:系|是|为|：)?|{any_of(before)}|[系原即为是])(?=[一-鿿]{{3}})"),
    }


def find_organisations(reading: Reading) -> list[Span]:
    """Return the organisations of a text, public bodies and words that name nobody left out."""
    found = {*_tagged(reading), *_ended(reading), *_short(reading), *_traded(reading)}
    trimmed = {(_trim(reading.text, start, end), end) for start, end in found}
    return [Span(start, end, ORGANISATION) for start, end in trimmed if _names_one(reading.text[start:end])]


def _trim(text: str, start: int, end: int) -> int:
    """Return where a name begins behind the words that lead to it."""
    while leading := _patterns()["leading"].match(text, start, end):
        start = leading.end()
    return start


def _names_one(name: str) -> bool:
    """Say whether a stretch names an organisation that is not a public body."""
    if len(name) < 2 or name in words("organisations", "generic") or name in common_words() or name in place_names():
        return False
    if name[0] in "该本这那某我" or name.startswith(("各", "有关", "相关")):
        return False
    return not _patterns()["public"].search(name) or name.endswith(("公司", "中心小学", "服务站"))


def _tagged(reading: Reading) -> Iterator[tuple[int, int]]:
    """Yield the tagger's organisations, with the places and organisations right before and after them."""
    spans: list[list[int]] = []
    for start, end, kind in reading.words:
        if kind == "ORG" or (kind == "LOC" and _patterns()["ends"].search(reading.text, start, end)):
            if spans and spans[-1][1] == start:
                spans[-1][1] = end
            else:
                spans.append([start, end])
    for low, high in spans:
        first, last = low, high
        while (index := reading.ends.get(first)) is not None and reading.words[index].kind == "LOC":
            first = reading.words[index].start
        while (index := reading.starts.get(last)) is not None:
            word = reading.words[index]
            if reading.mean(reading.organisation, word.start, word.end) <= 0.2:
                break
            last = word.end
        yield first, last


def _ended(reading: Reading) -> Iterator[tuple[int, int]]:
    """Yield what ends like an organisation, followed back to where its name begins."""
    for match in _patterns()["ends"].finditer(reading.text):
        start, end = match.span()
        first = _follow_back(reading, start, end)
        own = reading.text[first:start]
        # An ordinary word before an ordinary ending (附近超市, 私立医院) names nobody.
        if not own or own in common_words():
            continue
        organisation = reading.mean(reading.organisation, first, end)
        if len(own) == 1:
            likely = organisation > 0.2
        else:
            likely = len(own) < 9 or organisation + reading.mean(reading.place, first, end) > 0.1
        if likely:
            yield first, end


def _follow_back(reading: Reading, start: int, end: int) -> int:
    """Return where the name begins whose ending stands from `start` to `end`."""
    first = start
    while first > 0 and end - first < _LONGEST:
        index = reading.ends.get(first)
        if first < start and index is not None and reading.words[index].kind == "PER":
            break
        if bracket := _BRACKET.search(reading.text[max(0, first - 8) : first]):
            first -= len(bracket.group())
            continue
        word = reading.word_at(first - 1)
        if word is None or not _belongs(reading, word, reading.text[word.start : first]):
            break
        first = word.start
    return first


def _belongs(reading: Reading, word: Word, part: str) -> bool:
    """Say whether a word, of which `part` is left, can stand inside the name of an organisation."""
    if word.kind in _STOPS or part in words("organisations", "before") or not _PART.fullmatch(part):
        return False
    if word.kind != "v":
        return True
    before = reading.word_at(word.start - 1) if word.start else None
    named = before is not None and before.kind in ("PER", "nz")
    return (len(part) > 1 or named) and part not in common_words()


def _short(reading: Reading) -> Iterator[tuple[int, int]]:
    """Yield short names whose form tells them."""
    text = reading.text
    for match in _SHORT.finditer(text):
        start, end = match.span()
        if start and text[start - 1] in _NOT_BEFORE:
            continue
        while (word := reading.word_at(start)) and word.kind in "pvcudrw" and word.end < end - 1:
            start = word.end
        aligned = (start in reading.starts) + (end in reading.ends)
        chance = reading.mean(reading.organisation, start, end)
        sure = aligned and _SURE.fullmatch(text, start, end)
        if sure or chance > (0.3, 0.1, 0.02)[aligned] or (aligned == 2 and end - start > 2):
            yield start, end


def _traded(reading: Reading) -> Iterator[tuple[int, int]]:
    """Yield a name and its line of business: 鑫达人力, 永固轴承."""
    text = reading.text
    for match in _patterns()["trades"].finditer(text):
        word = reading.word_at(match.start() - 1) if match.start() else None
        if word is None or word.end != match.start() or match.end() not in reading.ends:
            continue
        own = text[word.start : word.end]
        if not 2 <= len(own) <= 4 or own in common_words() or own in place_names() or word.kind in _STOPS:
            continue
        if word.kind in _NAMING or reading.mean(reading.organisation, word.start, match.end()) > 0.06:
            yield word.start, match.end()
