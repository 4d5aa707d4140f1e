"""Why a column was judged so, in English and Chinese, and where its grade comes from; never a value."""

from __future__ import annotations

from collections.abc import Mapping

_SENTENCES: Mapping[str, tuple[str, str]] = {
    "is": ("{rate:.1%} of the cells are {name} ({what})", "{rate:.1%}的单元格是{what}"),
    "mixed": ("mixed: {rate:.1%} of the cells are {name} ({what})", "混合列：{rate:.1%}的单元格是{what}"),
    "stray": ("stray: {rate:.3%} of the cells are {name} ({what})", "零星出现：{rate:.3%}的单元格是{what}"),
    "inside": ("{rate:.1%} of the cells hold {name} ({what}) inside text", "{rate:.1%}的单元格的文字中含有{what}"),
    "named": (
        "the name says {name} ({what}); {rate:.1%} of the cells pass its check",
        "列名表明是{what}；{rate:.1%}的单元格通过校验",
    ),
    "rule": (
        "name or values say {name} ({what}); {rate:.1%} of the cells fit",
        "列名或取值表明是{what}；{rate:.1%}的单元格相符",
    ),
    "unique": (
        "nearly every value is different: each may name someone",
        "几乎每个取值都不相同：每个取值都可能指向一个人",
    ),
    "running": (
        "numbers the rows: whoever keeps the original finds them again by it",
        "逐行不同的编号：持有原表的人可据此找回原行",
    ),
    "text": ("free text can name people", "自由文本可能提到个人"),
}  # fmt: skip

# The levels 1-4 of general data are those of GB/T 43697-2024; which column gets which is read off the law on
# personal information (articles 4 and 28) and GB/T 42460-2023, and is a proposal for whoever grades the data.
GRADE_SOURCES: Mapping[int, str] = {
    1: "GB/T 43697-2024: nothing personal found",
    2: "GB/T 42460-2023: quasi-identifier, or code of an organisation",
    3: "Personal Information Protection Law art. 4: names or singles out a person, or tells of a person's money",
    4: "Personal Information Protection Law art. 28: sensitive personal information",
}


class Evidence:
    """The sentences about one column, the same ones in both languages."""

    def __init__(self) -> None:
        self.english: list[str] = []
        self.chinese: list[str] = []

    def add(self, how: str, rate: float = 0.0, entity: str = "", chinese: str = "") -> None:
        """Add what was found (`how`: is, mixed, stray, inside, named, rule, unique, running, text) and its rate."""
        name = entity.removeprefix("CN_").replace("_", " ").lower()
        english, sentence = _SENTENCES[how]
        self.english.append(english.format(rate=rate, name=name, what=chinese))
        self.chinese.append(sentence.format(rate=rate, name=name, what=chinese))
