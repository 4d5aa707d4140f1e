"""Addresses in a text: from the first name of a place to the house number, the flat or the words that stand for them.

Words: an *anchor* is what makes a place somebody's address (`12号3单元501`, `东头第二家`, or a word such as `家住`
before it); from the anchor the address is followed back over the names of places, word by word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from desensitize.freetext.common import common_words
from desensitize.freetext.reading import Reading
from desensitize.freetext.spans import ADDRESS, Span
from desensitize.freetext.tagger import Word
from desensitize.freetext.words import any_of, place_names, words

_DIGIT = "[0-9一二三四五六七八九十百〇零]"
_NUMBER = (
    rf"(?:[A-Za-z]?{_DIGIT}{{1,6}}(?:[-—–_/之]{_DIGIT}{{1,5}}|[A-Za-z](?![A-Za-z]))?|[A-Za-z甲乙丙丁](?![A-Za-z]))"
)
_STRONG = "号楼(?![道下上里内梯顶外前后])|号院|号门(?![口前外])|号房|单元|室|栋|幢|弄|村民小组|座"
_WEAK = "号|楼(?![道下上里内梯顶外前后])|层|组|门(?![口前外锁卫面])|排|户|队|社|期|巷|院|区|铺|房|甲"
_PART = rf"(?:附|第|负|地下|甲|乙|[东西南北])?{_NUMBER}(?:{_STRONG}|{_WEAK})"
_HOUSE = re.compile(
    rf"(?<![0-9A-Za-z])(?:{_PART})(?:[,，、 ]?{_PART})*"
    rf"(?:[东西南北中]?[0-9]{{1,4}}(?:[-—–][0-9A-Za-z]{{1,4}})*(?:室|号|户|房)?(?![0-9])|[东西南北中]户|顶楼|底商|[一二三四五六七八九][〇零一二三四五六七八九]{{2,3}})?"
)
_DASHED = re.compile(r"(?<![0-9A-Za-z.:-])[0-9A-Za-z]{1,3}(?:[-—–][0-9]{1,4}){1,3}(?![0-9A-Za-z.:-])")
_PARTS = re.compile(rf"{_NUMBER}(?:{_STRONG}|{_WEAK})|[0-9]{{3,4}}$")
_DATE = re.compile(r"(?:[年月]\s*|第)$")
_NEAR = re.compile(
    "对过|对面|后身|后头|后面|旁边|隔壁|附近|[东西南北村桥街巷]头|顶头|尽头|里面|里头|楼上|楼下|路口|桥洞|桥下|[东西南北][侧边面]"
    "|底下|前头|前面|拐角|把角|靠边|巷口|街角|往[东西南北]|斜对|挨着|紧挨|背后|院内|院里|里屋|门口|跟前|往里"
)
_LAST = re.compile(
    rf"(?:那|这|最后|最里面?那?|第{_DIGIT}{{1,3}}个?|数第?{_DIGIT}{{1,2}}|{_DIGIT}{{1,2}})一?(?:家|户|间|排|栋|座|幢|院子|个院子?|个门|个胡同|条巷子|条胡同|条小?路|栋楼|排房|层楼?|楼|个小区|片平房|个[一-鿿]{{1,3}}(?:房|屋|棚|湾子|院))"
    r"|对门|顶楼|阁楼|地下室|地下一层|板房里?|平房|窑洞|家属院|家属楼|宿舍楼?|老楼|红楼|小楼|楼上|楼下|院里|小卖部|把[角头]|[东西]户|后院|铺面|门面房|[一-鿿]棚|大院|出租屋|彩钢房|铁皮房|车库|储藏室|传达室|安置点|小路上?|巷子里?|胡同里?|驿站|岗亭|最[东西南北里]头"
)
_LEAD = re.compile(
    r"(?:住在|住|家在|送到|送至|送|寄到|寄|放在|放到|放|搬到|搬去|搬至|租在|租|躲在|停在|停|藏在|来到|走访|到达|就在|就|是在|在|到|从|去|来|找|进)$"
)
_BEHIND = re.compile(r"(?<=[0-9号室栋幢座弄组楼])(门口|附近|旁边|楼下|楼道|后|前|内)$")
_OFFICE = re.compile(r"窗口|大厅|服务|会议室|办公室|办事|收费站|路口红|中心[^一-鿿]?$")
_HOUSEHOLD = re.compile(
    rf"(?:那|最后|最里面?那?|第{_DIGIT}{{1,3}}个?|数第?{_DIGIT}{{1,2}})一?(?:家|户|间|排|栋|座|幢|院子|个院子?|个门|栋楼|排房|层楼)"
)
_LEADING = re.compile(r"在|到|住|于|就|去|放|送|找|至|从|往(?![东西南北])|访|是|[，,：: ]")
_HARD = re.compile(r"[。！？；!?;\n]")
_TAIL = re.compile(
    rf"(?:对面|对门|隔壁|旁边|楼上|楼下|顶楼|底商|东头|西头|东侧|西侧|小卖部|(?:最后|第{_DIGIT})一?(?:家|户|排|间))+"
)


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    full = any_of(frozenset(name for name in place_names() if name[-1] in "省市区县旗州盟" and len(name) <= 9))
    return {
        "before": re.compile(rf"(?:{any_of(words('addresses', 'before'))})(?:变更)?(?:为|是|在)?[：:，, ]?\s*$"),
        "division": re.compile(rf"(?:{full})+"),
        "leading": re.compile(
            rf"(?:{any_of(frozenset(one for one in words('addresses', 'before') if len(one) > 1))})(?:为|是|在)?[：:]?"
        ),
        "fine": re.compile(rf"{any_of(words('addresses', 'fine'))}$"),
    }


def find_addresses(reading: Reading) -> list[Span]:
    """Return the addresses of a text; places that no house, flat or household is told of stay."""
    found = [*_by_house(reading), *_by_invitation(reading), *_by_description(reading), *_by_last_word(reading)]
    spans = [Span(*_inner(reading.text, start, end), ADDRESS) for start, end in found]
    return [span for span in spans if span.end - span.start > 2]


def _inner(text: str, start: int, end: int) -> tuple[int, int]:
    """Return an address without the word that says it is one before it, and without a 门口 behind its number."""
    if lead := _patterns()["leading"].match(text, start, end):
        start = lead.end()
    while start < end and text[start] in "的那这":
        start += 1
    behind = _BEHIND.search(text, start, end)
    return start, behind.start(1) if behind else end


def _by_house(reading: Reading) -> Iterator[tuple[int, int]]:
    text = reading.text
    for pattern in (_HOUSE, _DASHED):
        for match in pattern.finditer(text):
            start, end = match.span()
            first = _follow_back(reading, start)
            if first == start:
                # 3栋2单元501 says enough alone, 12号 does not.
                if (
                    pattern is _DASHED
                    or len(_PARTS.findall(match.group())) < 2
                    or _DATE.search(text[max(0, start - 4) : start])
                ):
                    continue
            elif not _names_place(reading, first, start) and len(_PARTS.findall(match.group())) < 2:
                continue
            tail = _TAIL.match(text, end)
            yield first, tail.end() if tail else end


def _names_place(reading: Reading, start: int, end: int) -> bool:
    """Say whether what was followed back names a place, and not a thing that also has numbers."""
    stretch = reading.text[start:end]
    if reading.mean(reading.place, start, end) > 0.3:
        return True
    return len(stretch) > 1 and stretch not in common_words() and bool(_patterns()["fine"].search(stretch))


def _follow_back(reading: Reading, place: int) -> int:
    """Return where the names of places that end at `place` begin."""
    text = reading.text
    first = place
    while first > 0:
        if text[first - 1] in " \u3000" and first > 1 and reading.place[first - 2] > 80:
            first -= 1
            continue
        word = reading.word_at(first - 1)
        if word is None or not _belongs(reading, word, text[word.start : first]):
            break
        first = word.start
    return first


def _belongs(reading: Reading, word: Word, part: str) -> bool:
    """Say whether a word, of which `part` is left, can stand inside an address."""
    if word.kind in ("LOC", "ORG", "s", "f") and "在" not in part:
        return True
    place = reading.mean(reading.place, word.start, word.start + len(part))
    if word.kind == "PER":
        return place > 0.2 or (len(part) > 2 and bool(_patterns()["fine"].search(part)))
    if part in "老旧新":
        return True
    if word.kind in ("p", "c", "r", "u", "d", "w", "xc", "TIME"):
        return False
    if (place > 0.12 and "在" not in part) or part in place_names() or _HOUSE.fullmatch(part):
        return True
    return word.kind in ("n", "nz", "nw", "m", "vn") and len(part) > 1 and bool(_patterns()["fine"].search(part))


def _by_invitation(reading: Reading) -> Iterator[tuple[int, int]]:
    """Yield places behind a word that says somebody lives there, and places told down to a village or a street."""
    text, fine = reading.text, _patterns()["fine"]
    index = 0
    while index < len(reading.words):
        start, end, kind = reading.words[index]
        index += 1
        if kind not in ("LOC", "ORG"):
            continue
        while index < len(reading.words) and reading.words[index].start == end:
            following = reading.words[index]
            word = text[following.start : following.end]
            if not (
                following.kind in ("LOC", "s", "f")
                or _HOUSE.fullmatch(word)
                or (following.kind in ("n", "m", "nz") and fine.search(word))
            ):
                break
            end = following.end
            index += 1
        stretch = text[start:end]
        levels = len(re.findall(r"[省市区县旗镇乡村路街道巷]", stretch))
        small = fine.search(stretch) and not (_patterns()["division"].fullmatch(stretch) or stretch in place_names())
        if small and (
            _patterns()["before"].search(text[max(0, start - 8) : start])
            or (levels >= 3 and stretch[-1] in "村路街巷弄组屯庄区园")
        ):
            yield start, end


def _by_description(reading: Reading) -> Iterator[tuple[int, int]]:
    """Yield addresses in plain words (老粮站对面第二个胡同最里面那家): stretches of nouns with words of nearness."""
    text, count = reading.text, len(reading.words)
    index = 0
    while index < count:
        first = index
        while index < count and _describes(text, reading.words[index]):
            index += 1
        if index == first:
            index += 1
            continue
        start, end = reading.words[first].start, reading.words[index - 1].end
        stretch = text[start:end].rstrip("的那个这 ")
        house = _HOUSE.match(text, end)
        near, last = len(_NEAR.findall(stretch)), bool(_LAST.search(stretch))
        led = _LEAD.search(text[max(0, start - 3) : start])
        # 住, 送到 and the like ask for one word of nearness, 在 and 到 for a household as well.
        strong = led is not None and led.group() not in ("在", "到", "从", "去", "来", "找", "进")
        opening = start == 0 or not text[start - 1].isalnum() or led is not None
        told = (
            (near and last and opening)
            or (near and strong)
            or (last and strong and len(stretch) > 3)
            or (near > 1 and led)
        )
        if told and len(stretch) > 3 and not _OFFICE.search(stretch):
            yield start, house.end() if house else start + len(stretch)


def _describes(text: str, word: Word) -> bool:
    """Say whether a word can stand inside a description of where somebody lives."""
    said = text[word.start : word.end]
    if word.kind in ("n", "nz", "nw", "LOC", "ORG", "s", "f", "m", "q", "vn", "an"):
        return True
    return (
        said in words("addresses", "inside")
        or said in words("addresses", "fine")
        or (word.kind == "a" and (len(said) < 3 or bool(_patterns()["fine"].search(said))))
    )


def _by_last_word(reading: Reading) -> Iterator[tuple[int, int]]:
    """Yield addresses that end in a household (那家, 第三户), back to where the clause or its leading word begins."""
    text = reading.text
    for match in _HOUSEHOLD.finditer(text):
        begin = max(0, match.start() - 28)
        for hard in _HARD.finditer(text, begin, match.start()):
            begin = hard.end()
        near = _NEAR.search(text, begin, match.end())
        if near is None:
            continue
        start = begin
        for lead in _LEADING.finditer(text, begin, near.start()):
            if lead.end() in reading.starts or lead.group() in "，,：: ":
                start = lead.end()
        while (
            (word := reading.word_at(start)) and word.kind in ("p", "r", "d", "c", "u", "w") and word.end < near.start()
        ):
            start = word.end
        if near.start() - start <= 14 and match.start() - start >= 3:
            yield start, match.end()
