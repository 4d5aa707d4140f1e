"""Signs of a name: its own look, what stands before it and behind it.

Words: an *invitation* is a word that a name follows (`联系人`, `儿子`, `名叫`); a *form of address* follows a name
(`先生`, `家长`); a name is *shaped* when it is a surname and one or two characters, *given* when it is made of the
characters of given names alone. A sign is a factor on the chance that the tagger must give: below 1 for a name.
"""

from __future__ import annotations

import re
from functools import cache

from desensitize.freetext.common import common_words
from desensitize.freetext.reading import Reading
from desensitize.freetext.words import HAN, all_surnames, any_of, characters, place_names, surnames, words

ONLY_HAN = re.compile(HAN + "+")
_IS_HAN = re.compile(HAN)
# Also conjunctions, prepositions and the like: a surname only where nothing but a name can begin.
TRAILING = frozenset(
    "在系均还及与和同跟等把被给的了着说称是也已未不没都就又再来去到从对向将因由为之并且于值三四五六七八九十两"
)
PEELED = frozenset("子女夫妻侄弟妹哥姐父母婆媳孙舅姨姑叔名叫听让其天下里请家帮对给和与跟同及替找")
FUNCTION_CHARACTERS = frozenset("区元和于与向从由时有为单是后应任万成全明安包方常高能都过达要")


@cache
def patterns() -> dict[str, re.Pattern[str]]:
    """Return the patterns that the words of `words.toml` make, by what they match."""
    people = {
        one: any_of(words("people", one)) for one in ("roles", "naming", "kin", "kin_after", "forms", "predicates")
    }
    first = f"[{''.join(sorted(all_surnames()))}]"
    usual = f"[{''.join(sorted(surnames()))}]"
    compound = any_of(words("people", "compound_surnames"))
    after = any_of(words("people", "after"))
    pinyin = any_of(words("people", "pinyin"))
    return {
        "invited": re.compile(
            rf"(?:(?P<role>{people['roles']})|(?P<kin>{people['kin']})|(?P<naming>{people['naming']}))"
            rf"(?:(?:姓名|名字)?(?:分别)?(?:为|是|叫|名叫)|[（(])?(?P<mark>[：:]? ?[“\"‘'「]|[：:]\s*| )?(?={HAN})"
        ),
        "form": re.compile(people["forms"]),
        "famous": re.compile(any_of(words("people", "famous"))),
        "kin_after": re.compile(people["kin_after"]),
        "short": re.compile(rf"{first}{any_of(words('people', 'short_forms'))}"),
        "familiar": re.compile(rf"[老小阿大]({HAN})头?"),
        "hidden": re.compile(rf"(?:{compound}|{first})(?:某某|某{HAN}?|[*＊]{{1,3}}|[×xXＸ○〇]{{1,3}}(?![A-Za-z]))"),
        "spaced": re.compile(rf"(?<!{HAN})(?:{usual}[ 　]{{1,4}}{HAN}|{compound}[ 　]{{1,4}}{HAN}{{1,2}})(?!{HAN})"),
        "after": re.compile(after),
        "personal": re.compile(rf"{HAN}{{0,5}}?{any_of(words('people', 'personal'))}"),
        "predicate": re.compile(people["predicates"]),
        "before": re.compile(rf"(?:{any_of(words('people', 'before'))})$"),
        "invitation_start": re.compile(any_of(_long("roles"), _long("kin"), _long("forms"))),
        "invitation": re.compile(rf"(?:{people['roles']}|{people['kin']}|{people['naming']})$"),
        "english": re.compile(rf"(?<![A-Za-z0-9@._-])(?:{any_of(words('people', 'english'))})(?![A-Za-z0-9@._-])"),
        "pinyin": re.compile(
            rf"(?<![A-Za-z])(?:{pinyin} [A-Z][a-z]{{1,5}}(?:[ '-]?[a-z]{{1,5}})?"
            rf"|{pinyin.upper()} [A-Z]{{2,12}}(?: [A-Z]{{2,6}})?"
            rf"|[A-Z][a-z]{{1,9}} {pinyin})(?![A-Za-z])"
        ),
    }  # fmt: skip


def _long(name: str) -> frozenset[str]:
    return frozenset(one for one in words("people", name) if len(one) > 1)


@cache
def nobody() -> frozenset[str]:
    """Return the words that are never a name: ordinary ones, and people of history and of books."""
    lists = ("famous", "not_people", "roles", "kin", "forms")
    return frozenset().union(*(words("people", one) for one in lists))


def is_han(text: str, place: int) -> bool:
    """Say whether a Chinese character stands at `place`."""
    return 0 <= place < len(text) and _IS_HAN.match(text[place]) is not None


def shape_of(name: str) -> float:
    """Return by how much the look of a stretch lowers the chance that is asked for; 1 for no look of a name."""
    if name[:2] in words("people", "compound_surnames") and len(name) in (3, 4):
        return 0.4
    given = all(one in characters("given") for one in name[1:])
    if len(name) in (2, 3) and name[0] in surnames():
        return 0.4 if given else 0.6
    if len(name) in (2, 3) and name[0] in all_surnames():
        return 0.5 if given else 0.8
    if len(name) == 2 and (name[0] in characters("given") and (given or name[1] in "子儿")):
        return 0.6
    if len(name) in (2, 3) and name[0] in "老小阿大":
        return 0.7
    return 1.0 if len(name) < 4 else 2.0


def _is_named(reading: Reading, index: int | None) -> bool:
    """Say whether a word is a person of two characters or more."""
    return (
        index is not None
        and reading.words[index].kind == "PER"
        and reading.words[index].end - reading.words[index].start > 1
    )


def left_of(reading: Reading, place: int) -> float:
    """Return by how much what stands before a name changes the chance that is asked for."""
    text = reading.text
    if not is_han(text, place - 1):
        return 0.6
    if _is_named(reading, reading.ends.get(place)):
        return 0.6
    before = text[max(0, place - 4) : place]
    if patterns()["invitation"].search(before):
        return 0.35
    if patterns()["before"].search(before):
        return 0.6
    return 1.0 if place in reading.starts else 3.0


def right_of(reading: Reading, place: int) -> float:
    """Return by how much what stands behind a name changes the chance that is asked for."""
    text = reading.text
    if not is_han(text, place):
        return 0.7
    if _is_named(reading, reading.starts.get(place)):
        return 0.5
    if patterns()["predicate"].match(text, place) or patterns()["form"].match(text, place):
        return 0.5
    if patterns()["personal"].match(text, place) and place in reading.starts:
        return 0.4
    if patterns()["after"].match(text, place):
        return 0.7
    return 1.0 if place in reading.ends else 3.0


def ordinariness(reading: Reading, start: int, name: str) -> float:
    """Return by how much a stretch must be likelier to be a name because of what else it could be."""
    factor = 3.0 if name in common_words() or name in nobody() else 1.2 if name in place_names() else 1.0
    if name[-1] in TRAILING or patterns()["invitation_start"].match(name):
        factor *= 4
    if (name[0] in PEELED or name[0] in TRAILING) and shape_of(name) > 0.4:
        factor *= 3
    if len(name) == 3 and (name[:2] in common_words() or name[1:] in common_words()):
        factor *= 2.5
    word = reading.word_at(start)
    if word and word.kind in ("TIME", "m"):
        factor *= 3
    return factor


def is_surname(reading: Reading, place: int) -> bool:
    """Say whether a single character before a form of address is a surname there."""
    text = reading.text
    if text[place] not in all_surnames():
        return False
    if text[place] in FUNCTION_CHARACTERS and is_han(text, place - 1):
        led = text[place] not in "和与及同跟" and left_of(reading, place) < 0.4
        return led or text[place - 1] in "的位" or reading.person[place] > 40
    return left_of(reading, place) <= 1
