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
_SAMPLE, _HOPELESS = 2000, 0.4
_LEAST_ENDING = 3


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of column: words in its name, a pattern of its values, and what is proposed.

    Under a `sure` name no look is needed; without any such name the rule works `alone` from `least_distinct` values.
    `pinyin` are initials that name a column or, from three letters on, end its name.
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
    pinyin: tuple[str, ...] = ()


_DATE = r"^(?:18|19|20)[0-9]{2}[-/.]?(?:0[1-9]|1[0-2])[-/.]?(?:0[1-9]|[12][0-9]|3[01])(?:[ T].*)?$"
_MONTH = {"technique": "generalize", "kind": "date", "level": "month"}
_DROP = {"technique": "drop"}
_FLAT = {"kind": "flat"}
_DEGREES = r"^-?[0-9]{1,3}\.[0-9]{3,}$"


def _rule(entity: str, chinese: str, role: str, grade: int, words: str, pinyin: str = "", **more: Any) -> Rule:
    """Return a rule; its words and its pinyin are each given in one line."""
    return Rule(entity, chinese, role, grade, tuple(words.split()), pinyin=tuple(pinyin.split()), **more)


def _quasi(entity: str, chinese: str, words: str, pinyin: str, **more: Any) -> Rule:
    """Return a rule of a quasi-identifier of grade 2, generalized to anything or nothing unless `more` says else."""
    return _rule(entity, chinese, QUASI, 2, words, pinyin, **{"hierarchy": _FLAT, **more})


_SEXES = r"^(?:男|女|男性|女性|[Mm](?:ale)?|[Ff](?:emale)?|MALE|FEMALE|0|1|2|9|未知|未说明)$"
_PEOPLES = r"^(?:\p{Han}{1,6}族?|[0-9]{1,2}|[A-Za-z][A-Za-z -]{1,40})$"
_AGES = {"kind": "number", "widths": [5, 10, 20]}

RULES: tuple[Rule, ...] = (
    _rule(
        "PERSON", "姓名", DIRECT, 3,
        "姓名 人名 联系人 法定代表人 户主 负责人 申请人 当事人 name contact representative",
        "xm frxm lxr lxrxm hzxm brxm yhxm ygxm sqrxm dsrxm fddbr hz",
        pattern=_NAME, alone=True, least_distinct=20, proposal=_DROP, sure=("姓名", "人名", "person_name", "full_name"),
    ),
    _rule(
        "CN_ADDRESS", "地址", DIRECT, 3,
        "地址 住址 住所 居住地 户籍地 address addr",
        "dz zz jtzz jtdz xzz hjdz txdz lxdz jzdz zzdz dwdz xxdz",
        pattern=_ADDRESS, alone=True, proposal=_DROP,
    ),
    _rule(
        "ACCOUNT", "账号或卡号", DIRECT, 3,
        "卡号 账号 帐号 病历号 病案号 学号 工号 社保号 户号 档案号 card card_no account user_id member_id patient_id"
        " customer_id client_id buyer_id openid"
        " 用户id 用户号 用户编号 客户id 客户号 客户编号 会员id 会员号 会员编号 买家id 人员编号 个人编号",
        "blh bah sbh zyh mzh grbh",
        proposal={"technique": "pseudonymize", "domain": "account"},
    ),
    _quasi(
        "BIRTH_DATE", "出生日期", "出生 生日 birth born dob", "csrq csny",
        pattern=_DATE, proposal=_MONTH, hierarchy={"kind": "date"},
    ),
    _quasi("SEX", "性别", "性别 sex gender", "xb xbdm", pattern=_SEXES),
    _quasi("AGE", "年龄", "年龄 age", "nl", pattern=r"^[0-9]{1,3}(?:\.0)?$", hierarchy=_AGES),
    _quasi(
        "CN_REGION", "行政区划代码", "区划 行政区 地区 区县 region area district city", "xzqh xzqhdm qhdm ssqx szqx",
        alone=True, hierarchy={"kind": "region"},
    ),
    _quasi(
        "CN_REGION_NAME", "行政区划名称", "区划 行政区 地区 区县 籍贯 region area district city province",
        "xzqhmc qxmc qx ssq jg", alone=True,
    ),
    _quasi("POSTCODE", "邮政编码", "邮编 邮政编码 postcode zip", "yzbm yb", pattern=r"^[0-9]{6}$"),
    _quasi("ETHNICITY", "民族", "民族 种族 ethnic ethnicity nation race", "mz mzdm", pattern=_PEOPLES),
    _quasi("NATIONALITY", "国籍", "国籍 出生国 nationality citizenship native_country birth_country", "gj gjdm"),
    _quasi("EDUCATION", "学历", "学历 学位 文化程度 education degree", "xl xw whcd xldm"),
    _quasi("MARITAL", "婚姻状况", "婚姻 marital marriage", "hyzk hyzt"),
    _quasi("OCCUPATION", "职业", "职业 岗位 职务 职称 occupation job profession", "zy zw gw zc zyfl"),
    _rule(
        "HEALTH", "健康信息", SENSITIVE, 4,
        "诊断 疾病 病种 病史 病症 残疾 症状 处方 手术 过敏 体检 血型 传染病 孕 diagnosis disease icd disability",
        "zd zdmc jbmc jbbm jbzd bs cjdj cjlb",
    ),
    _rule(
        "FINANCE", "财务信息", SENSITIVE, 3,
        "工资 收入 薪 缴费基数 余额 存款 资产 负债 贷款 征信 信用分 纳税 税额 低保"
        " wage salary income balance credit_score loan tax debt",
        "gz gzje srje jfjs dkje ysr nsr zhye",
    ),
    _rule(
        "POSITION", "行踪位置", SENSITIVE, 4, "经度 纬度 longitude latitude lng lon lat", "jd wd",
        pattern=_DEGREES, proposal={"technique": "round", "to": 0.01},
    ),
    _rule("BELIEF", "宗教信仰", SENSITIVE, 4, "宗教 信仰 政治面貌 religion belief", "zzmm zjxy"),
    _rule("BIOMETRIC", "生物识别", SENSITIVE, 4, "指纹 人脸 虹膜 声纹 掌纹 基因 fingerprint biometric dna iris"),
    _rule(
        "OFFENCE", "违法犯罪记录", SENSITIVE, 4,
        "犯罪 前科 刑罚 吸毒 社区矫正 违法记录 crime criminal offence", "fzjl wfjl",
    ),
    _quasi(
        "ORGANISATION", "机构名称", "单位 企业 公司 机构 employer company enterprise organisation organization",
        "dwmc qymc gsmc jgmc gzdw", pattern=_ORGANISATION, alone=True, proposal=_DROP,
    ),
)  # fmt: skip


_REGION_VALUES = {
    "CN_REGION": pl.Series([*REGIONS, *FORMER_REGIONS]).implode(),
    "CN_REGION_NAME": pl.Series(sorted({*REGIONS.values(), *FORMER_REGIONS.values()})).implode(),
}


def is_named(column: str, words: tuple[str, ...], pinyin: tuple[str, ...] = ()) -> bool:
    """Say whether the column's name holds one of the words.

    Chinese anywhere, Latin as whole parts between `_` or case changes; pinyin initials as a part, or at its end from
    three letters on (`frsfzh` is a legal representative's `sfzh`).
    """
    snake = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", column).lower()
    lowered = column.lower()
    parts = re.sub(r"[^0-9a-z]+", "_", snake).strip("_")
    if any(f"_{word}_" in f"_{parts}_" if word.isascii() else word in lowered for word in words):
        return True
    return any(
        part == initials or (len(initials) >= _LEAST_ENDING and part.endswith(initials))
        for part in parts.split("_")
        for initials in pinyin
    )


def match_share(rule: Rule, cells: pl.Series, weights: pl.Series) -> float:
    """Return the share of non-null cells that look like this kind of column.

    (1.0 for a rule without a look at values). Of many different cells a sample is looked at first: what few of its
    cells fit is not looked at further, and the sample's share is returned.
    """
    if not len(cells):
        return 0.0
    if not rule.pattern and rule.entity not in _REGION_VALUES:
        return 1.0
    if len(cells) > 10 * _SAMPLE and weights.max() == 1:
        some = cells.sample(_SAMPLE, seed=0)
        share = int(_fits(rule, some).sum()) / len(some)
        if share < _HOPELESS:
            return share
    return float(weights.filter(_fits(rule, cells)).sum()) / float(weights.sum())


def _fits(rule: Rule, cells: pl.Series) -> pl.Series:
    return (
        cells.is_in(_REGION_VALUES[rule.entity]) if rule.entity in _REGION_VALUES else cells.str.contains(rule.pattern)
    )


def is_free_text(cells: pl.Series) -> bool:
    """Say whether the cells read like sentences: long, with Chinese or blanks in them, and mostly different."""
    if not len(cells):
        return False
    long = cells.str.len_chars().mean()
    if not isinstance(long, float) or long < _FREE_TEXT_CHARACTERS:
        return False
    some = _some(cells)
    prose = some.str.contains(r"[\p{Han}，。；！？]{6,}| \w+ \w+ ").mean()
    return isinstance(prose, float) and prose >= 0.5


def reads_like_sentences(cells: pl.Series) -> bool:
    """Say whether most cells have the punctuation of sentences in them, which a list of addresses has not."""
    some = _some(cells)
    share = some.str.contains("[，。；！？]").mean()
    return isinstance(share, float) and share >= 0.5


_PLAIN = r"^-?[0-9]+(?:\.[0-9]+)?$|^[0-9]{4}-[0-9]{2}(?:-[0-9]{2})?(?:[ T].*)?$"
_MOMENT = r"^(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:[01][0-9]|2[0-3])(?:[0-5][0-9]){1,2}$"
_UNIQUE_SHARE, _UNIQUE_LEAST = 0.95, 100
_LONG_NUMBER, _SERIAL_LEAST = r"^[0-9]{10}", 200


def is_unique_code(cells: pl.Series, rows: int, different: int) -> bool:
    """Say whether nearly every one of many cells is different, and most are neither numbers nor dates."""
    if rows < _UNIQUE_LEAST or different < _UNIQUE_SHARE * rows:
        return False
    return int(_some(cells).str.contains(_PLAIN).sum()) < 0.5 * len(_some(cells))


def is_running_number(cells: pl.Series, rows: int, different: int) -> bool:
    """Say whether the cells number the rows: nearly all different, and whole numbers that are no measurements.

    They count on (1, 2, 3 …, from 200 rows on) or have one length of ten digits or more, as order numbers have.
    """
    if rows < _UNIQUE_LEAST or different < _UNIQUE_SHARE * rows or not _some(cells).str.contains("^[0-9]+$").all():
        return False
    if _some(cells).str.contains(_LONG_NUMBER).all():
        return _some(cells).str.len_chars().n_unique() == 1 and not _some(cells).str.contains(_MOMENT).all()
    numbers = cells.cast(pl.Int64, strict=False)
    if rows < _SERIAL_LEAST or numbers.null_count():
        return False
    return int(numbers.max()) - int(numbers.min()) < rows / _UNIQUE_SHARE  # type: ignore[arg-type]


def _some(cells: pl.Series) -> pl.Series:
    return cells.sample(_SAMPLE, seed=0) if len(cells) > _SAMPLE else cells
