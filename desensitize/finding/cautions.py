"""What a proposed plan leaves as it is although it singles people out: for a person to decide.

Words: a column is *left open* when the plan keeps it and its anonymity part does not take it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from desensitize.errors import InvalidPlan
from desensitize.finding.combinations import QuasiIdentifiers
from desensitize.identifiers.definitions import SENSITIVE
from desensitize.transform.plan import Plan
from desensitize.transform.sentences import LANGUAGES
from desensitize.transform.techniques import Keep

if TYPE_CHECKING:
    from desensitize.finding.scanning import ColumnFinding

_MOSTLY_DIFFERENT, _MANY = 0.5, 100
_ADVICE = (
    "generalize, round or drop it unless the receiver needs it exact",
    "接收方不需要精确值的，请泛化、取整或删除",
)
_ALONE = ("by this column {share:.1%} of the people are alone", "仅凭此列即可唯一确定{share:.1%}的人")
_TOGETHER = (
    "by it and {others} together {share:.1%} of the people are alone",
    "与{others}合看可唯一确定{share:.1%}的人",
)
_EXACT = (
    "sensitive, and most values are different: who knows one finds the row",
    "敏感数据，且多数取值各不相同：知道取值的人可据此找到本人",
)


def find_cautions(
    columns: Sequence[ColumnFinding], found: QuasiIdentifiers | None, plan: Plan, language: str
) -> Mapping[str, str]:
    """Return one sentence, in `en` or `zh`, for each column that the plan leaves open although it singles people out.

    Those are the columns of a combination in which every column is left open, and sensitive columns of 100 cells and
    more in which more than half of the values are different. Refuses other languages.
    """
    if language not in LANGUAGES:
        raise InvalidPlan(f"cautions are given in: {', '.join(LANGUAGES)}")
    say = LANGUAGES.index(language)
    anonymized = plan.anonymity.quasi_identifiers if plan.anonymity else {}
    left_open = {name for name, technique in plan.columns.items() if isinstance(technique, Keep)} - set(anonymized)
    whys: dict[str, str] = {}
    for one in found.combinations if found else ():
        if not left_open.issuperset(one.columns):
            continue
        for name in one.columns:
            others = (" and ", "和")[say].join(other for other in one.columns if other != name)
            sentence = (_TOGETHER if others else _ALONE)[say].format(others=others, share=one.alone)
            whys.setdefault(name, sentence)
    for column in columns:
        mostly_different = column.non_null >= _MANY and column.distinct > _MOSTLY_DIFFERENT * column.non_null
        if column.role == SENSITIVE and column.name in left_open and mostly_different:
            whys.setdefault(column.name, _EXACT[say])
    mark, stop = (("; ", "."), ("；", "。"))[say]
    return {name: f"{why}{mark}{_ADVICE[say]}{stop}" for name, why in whys.items()}
