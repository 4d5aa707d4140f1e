"""What a column is besides its identifiers.

Quasi-identifier, sensitive or neither, from its name and a look at its values.

A rule fires on the column's name, on the values alone where they are unmistakable (region codes, birth dates), or
on both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from desensitize.identifiers.definitions import DIRECT, QUASI, SENSITIVE
from desensitize.identifiers.surnames import SURNAMES
from desensitize.regions import FORMER_REGIONS, REGIONS

_NAME = rf"^[{SURNAMES}]\p{{Han}}{{1,3}}$"
_ADDRESS = (
    r"(?:\p{Han}{1,9}(?:省|市|区|县|州|旗|镇|乡|街道).*(?:路|街|巷|道|村|里|弄|号|室|栋|幢|单元))"
    r"|(?:\p{Han}{1,12}(?:路|街|巷|大道|村|弄)[0-9]{1,5}号)|(?:[0-9]{1,5}号.*[0-9]{1,5}室)"
)
_ORGANISATION = (
    r"(?:公司|集团|厂|合作社|事务所|医院|卫生院|学校|大学|学院|中学|小学|银行|商行|工作室|研究院|委员会|管理局|中心)$"
)
_FREE_TEXT_CHARACTERS = 20


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of column: words in its name, a pattern of its values, and what is proposed.

    Under a `sure` name no look is needed; without any such name the rule works `alone` from `least_distinct` values.
    """

    entity: str
    chinese: str
    role: str
    grade: int
    words: tuple[str, ...]
    pattern: str = ""
    alone: bool = False
    proposal: dict[str, Any] = field(default_factory=lambda: {"technique": "keep"})
    hierarchy: dict[str, Any] = field(default_factory=dict)
    sure: tuple[str, ...] = ()
    least_distinct: int = 1


_DATE = r"^(?:18|19|20)[0-9]{2}[-/.]?(?:0[1-9]|1[0-2])[-/.]?(?:0[1-9]|[12][0-9]|3[01])(?:[ T].*)?$"
_MONTH = {"technique": "generalize", "kind": "date", "level": "month"}

RULES: tuple[Rule, ...] = (
    Rule(
        "PERSON",
        "姓名",
        DIRECT,
        3,
        ("姓名", "人名", "联系人", "法定代表人", "户主", "name", "contact", "representative", "xm"),
        _NAME,
        alone=True,
        least_distinct=20,
        proposal={"technique": "drop"},
        sure=("姓名", "人名", "person_name", "full_name", "xm"),
    ),
    Rule(
        "CN_ADDRESS",
        "地址",
        DIRECT,
        3,
        ("地址", "住址", "住所", "address", "addr", "dz"),
        _ADDRESS,
        alone=True,
        proposal={"technique": "drop"},
    ),
    Rule(
        "ACCOUNT",
        "账号或卡号",
        DIRECT,
        3,
        (
            "卡号",
            "账号",
            "病历号",
            "学号",
            "社保号",
            "card",
            "card_no",
            "account",
            "user_id",
            "member_id",
            "patient_id",
        ),
        proposal={"technique": "pseudonymize", "domain": "account"},
    ),
    Rule(
        "BIRTH_DATE",
        "出生日期",
        QUASI,
        2,
        ("出生", "生日", "birth", "born", "dob", "csrq"),
        _DATE,
        proposal=_MONTH,
        hierarchy={"kind": "date"},
    ),
    Rule(
        "SEX",
        "性别",
        QUASI,
        2,
        ("性别", "sex", "gender", "xb"),
        r"^(?:男|女|男性|女性|M|F|m|f|0|1|2|9|未知|未说明)$",
        hierarchy={"kind": "flat"},
    ),
    Rule(
        "AGE",
        "年龄",
        QUASI,
        2,
        ("年龄", "age", "nl"),
        r"^[0-9]{1,3}(?:\.0)?$",
        hierarchy={"kind": "number", "widths": [5, 10, 20]},
    ),
    Rule(
        "CN_REGION",
        "行政区划代码",
        QUASI,
        2,
        ("区划", "行政区", "地区", "区县", "region", "area", "district", "city"),
        "",
        alone=True,
        hierarchy={"kind": "region"},
    ),
    Rule(
        "CN_REGION_NAME",
        "行政区划名称",
        QUASI,
        2,
        ("区划", "行政区", "地区", "区县", "region", "area", "district", "city", "province"),
        alone=True,
        hierarchy={"kind": "flat"},
    ),
    Rule(
        "POSTCODE",
        "邮政编码",
        QUASI,
        2,
        ("邮编", "邮政编码", "postcode", "zip", "yzbm"),
        r"^[0-9]{6}$",
        hierarchy={"kind": "flat"},
    ),
    Rule(
        "ETHNICITY",
        "民族",
        QUASI,
        2,
        ("民族", "ethnic", "ethnicity", "nation", "mz"),
        r"^(?:\p{Han}{1,6}族?|[0-9]{1,2})$",
        hierarchy={"kind": "flat"},
    ),
    Rule("EDUCATION", "学历", QUASI, 2, ("学历", "文化程度", "education", "degree"), hierarchy={"kind": "flat"}),
    Rule("MARITAL", "婚姻状况", QUASI, 2, ("婚姻", "marital", "marriage"), hierarchy={"kind": "flat"}),
    Rule(
        "OCCUPATION",
        "职业",
        QUASI,
        2,
        ("职业", "岗位", "职务", "occupation", "job", "profession"),
        hierarchy={"kind": "flat"},
    ),
    Rule("HEALTH", "健康信息", SENSITIVE, 4, ("诊断", "疾病", "病种", "病史", "残疾", "diagnosis", "disease", "icd")),
    Rule(
        "FINANCE",
        "财务信息",
        SENSITIVE,
        3,
        (
            "工资",
            "收入",
            "薪",
            "缴费基数",
            "余额",
            "贷款",
            "征信",
            "信用分",
            "纳税",
            "wage",
            "salary",
            "income",
            "balance",
            "credit_score",
            "loan",
            "tax",
        ),
    ),
    Rule("BELIEF", "宗教信仰", SENSITIVE, 4, ("宗教", "信仰", "政治面貌", "religion", "belief")),
    Rule("BIOMETRIC", "生物识别", SENSITIVE, 4, ("指纹", "人脸", "虹膜", "fingerprint", "biometric")),
    Rule(
        "ORGANISATION",
        "机构名称",
        QUASI,
        2,
        ("单位", "企业", "公司", "机构", "employer", "company", "enterprise", "organisation", "organization"),
        _ORGANISATION,
        alone=True,
        proposal={"technique": "drop"},
        hierarchy={"kind": "flat"},
    ),
)


_REGION_VALUES = {
    "CN_REGION": [*REGIONS, *FORMER_REGIONS],
    "CN_REGION_NAME": sorted({*REGIONS.values(), *FORMER_REGIONS.values()}),
}


def is_named(column: str, words: tuple[str, ...]) -> bool:
    """Say whether the column's name holds one of the words.

    Chinese anywhere, Latin as whole parts between `_` or case changes.
    """
    snake = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", column).lower()
    parts = "_" + re.sub(r"[^0-9a-z]+", "_", snake) + "_"
    return any(f"_{word}_" in parts if word.isascii() else word in column for word in words)


def match_share(rule: Rule, cells: pl.Series, weights: pl.Series) -> float:
    """Return the share of non-null cells that look like this kind of column.

    (1.0 for a rule without a look at values).
    """
    if not len(cells):
        return 0.0
    if rule.entity in _REGION_VALUES:
        known = cells.is_in(_REGION_VALUES[rule.entity])
    elif rule.pattern:
        known = cells.str.contains(rule.pattern)
    else:
        return 1.0
    return float(weights.filter(known).sum()) / float(weights.sum())


def is_free_text(cells: pl.Series) -> bool:
    """Say whether the cells read like sentences: long, with Chinese or blanks in them, and mostly different."""
    if not len(cells):
        return False
    long = cells.str.len_chars().mean()
    prose = cells.str.contains(r"[\p{Han}，。；！？]{6,}| \w+ \w+ ").mean()
    return isinstance(long, float) and long >= _FREE_TEXT_CHARACTERS and isinstance(prose, float) and prose >= 0.5


_PLAIN = r"^-?[0-9]+(?:\.[0-9]+)?$|^[0-9]{4}-[0-9]{2}(?:-[0-9]{2})?(?:[ T].*)?$"
_UNIQUE_SHARE, _UNIQUE_LEAST = 0.95, 100


def is_unique_code(cells: pl.Series, rows: int) -> bool:
    """Say whether nearly every one of many cells is different, and most are neither numbers nor dates."""
    different = cells.n_unique()
    if rows < _UNIQUE_LEAST or different < _UNIQUE_SHARE * rows:
        return False
    return int(cells.str.contains(_PLAIN).sum()) < 0.5 * len(cells)
