r"""The one list of identifiers that all else is made from: recognizers, table detectors, redaction, proposals.

Words: a *pattern* is written once, with `\b` where an ASCII word boundary belongs (so that an identifier glued to
Chinese characters is found); a *check* names a validity test in `checksums` (scalar twin in `identifiers`); its
*chance* is how often random text of the pattern passes it; a *weak* identifier has a form that many codes share, so
it counts only under a column name that says it. Forms and certainty: the standards named in each line, and for
travel documents common descriptions, which no primary text confirms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DIRECT, QUASI, SENSITIVE, OTHER = "direct", "quasi", "sensitive", "other"

_DAY = "(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_USCC = "0-9A-HJ-NPQRTUWXY"
_PLATE = "A-HJ-NP-Z0-9"
_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"


@dataclass(frozen=True, slots=True)
class Identifier:
    """One kind of identifier.

    How it looks, how it is checked, what it is called, and what is proposed for a column of it.
    """

    entity: str
    chinese: str
    label: str
    pattern: str
    lengths: tuple[int, int]
    proposal: dict[str, Any] = field(default_factory=dict)
    check: str | None = None
    chance: float = 0.0
    role: str = DIRECT
    grade: int = 3
    weak: bool = False
    words: tuple[str, ...] = ()


def _pseudonym(domain: str) -> dict[str, Any]:
    return {"technique": "pseudonymize", "domain": domain, "normalize": True}


# In order of priority: a cell that is one of them is not counted as a later one.
IDENTIFIERS: tuple[Identifier, ...] = (
    Identifier(
        entity="CN_RESIDENT_ID",  # GB 11643-1999; permits (81, 82, 83) and foreigners' cards (9) share form and check
        chinese="公民身份号码",
        label="身份证号",
        pattern=rf"\b[1-9][0-9]{{5}}(?:18|19|20)[0-9]{{2}}{_DAY}[0-9]{{3}}[0-9Xx]\b",
        lengths=(18, 18),
        proposal=_pseudonym("resident_id"),
        check="resident_id",
        chance=0.09,
        words=(
            "resident_id",
            "id_card",
            "idcard",
            "id_no",
            "idno",
            "citizen_id",
            "身份证",
            "身份号码",
            "证件号",
            "sfz",
            "zjhm",
            "公民身份",
        ),
    ),
    Identifier(
        entity="CN_RESIDENT_ID_15",
        chinese="15位身份证号",
        label="身份证号",
        pattern=rf"\b[1-8][0-9]{{5}}[0-9]{{2}}{_DAY}[0-9]{{3}}\b",
        lengths=(15, 15),
        proposal=_pseudonym("resident_id"),
        check="resident_id_15",
        chance=0.35,
        words=("resident_id", "id_card", "idcard", "身份证", "sfz"),
    ),
    Identifier(
        entity="CN_BANK_CARD",  # ISO/IEC 7812; 62 is UnionPay, and before the credit code, which rarely starts so
        chinese="银行卡号",
        label="银行卡号",
        pattern=r"\b(?:62[0-9]{14,17}|[3-6][0-9]{15}|[569][0-9]{18})\b",
        lengths=(16, 19),
        proposal=_pseudonym("bank_card"),
        check="luhn",
        chance=0.1,
        grade=4,
        words=("bank_card", "bankcard", "card_no", "银行卡", "银行账", "卡号", "yhkh"),
    ),
    Identifier(
        entity="CN_USCC",  # GB 32100-2015
        chinese="统一社会信用代码",
        label="信用代码",
        pattern=rf"\b[1-9ANY][{_USCC}][0-9]{{6}}[{_USCC}]{{10}}\b",
        lengths=(18, 18),
        proposal=_pseudonym("uscc"),
        check="uscc",
        chance=0.033,
        grade=2,
        words=("uscc", "credit_code", "social_credit", "信用代码", "tyshxydm"),
    ),
    Identifier(
        entity="CN_MOBILE",
        chinese="手机号码",
        label="手机号",
        pattern=r"\b(?:(?:00)?86[- ]?)?1(?:3[0-9]|4[014-9]|5[0-35-9]|6[0235-9]|7[0-9]|8[0-9]|9[0-35-9])"
        r"(?:[0-9]{8}|[- ][0-9]{4}[- ][0-9]{4})\b",
        lengths=(11, 18),
        proposal=_pseudonym("mobile"),
        words=("mobile", "phone", "cell", "tel", "手机", "电话", "联系方式", "sjhm", "lxdh"),
    ),
    Identifier(
        entity="EMAIL_ADDRESS",
        chinese="电子邮箱",
        label="邮箱",
        pattern=r"\b[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}\b",
        lengths=(6, 254),
        proposal={"technique": "drop"},
        words=("email", "e_mail", "mail", "邮箱", "电子邮件"),
    ),
    Identifier(
        entity="CN_PLATE",  # GA 36
        chinese="机动车号牌",
        label="车牌号",
        pattern=rf"[{_PROVINCES}][A-HJ-NP-Z][·•]?"
        rf"(?:(?:[DF][{_PLATE}][0-9]{{4}}|[0-9]{{5}}[DF]|[{_PLATE}]{{5}})\b|[{_PLATE}]{{4}}[学警挂港澳领])",
        lengths=(9, 16),
        proposal=_pseudonym("plate"),
        words=("plate", "license_plate", "车牌", "号牌", "cphm"),
    ),
    Identifier(
        entity="CN_LANDLINE",
        chinese="固定电话",
        label="电话",
        pattern=r"\b0(?:10|2[0-9]|[3-9][0-9]{2})[- ]?[2-8][0-9]{6,7}\b",
        lengths=(10, 13),
        proposal=_pseudonym("landline"),
        words=("landline", "tel", "phone", "电话", "座机", "lxdh"),
    ),
    Identifier(
        entity="IP_ADDRESS",
        chinese="IP地址",
        label="IP地址",
        pattern=rf"\b(?:{_BYTE}\.){{3}}{_BYTE}\b",
        lengths=(7, 15),
        proposal=_pseudonym("ip"),
        role=QUASI,
        grade=2,
        words=("ip",),
    ),
    Identifier(
        entity="MAC_ADDRESS",
        chinese="MAC地址",
        label="MAC地址",
        pattern=r"\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b",
        lengths=(17, 17),
        proposal=_pseudonym("mac"),
        words=("mac",),
    ),
    Identifier(
        entity="CN_PASSPORT",
        chinese="护照号码",
        label="护照号",
        pattern=r"\b(?:E[0-9]{8}|E[A-HJ-NP-Z][0-9]{7}|G[0-9]{8}|[DSP]E?[0-9]{7,8})\b",
        lengths=(8, 10),
        proposal=_pseudonym("passport"),
        weak=True,
        words=("passport", "护照", "证件号", "zjhm"),
    ),
    Identifier(
        entity="CN_TRAVEL_PERMIT",  # Hong Kong and Macau residents H and M, mainland residents C, W, T and L
        chinese="往来通行证号",
        label="通行证号",
        pattern=r"\b(?:[HM][0-9]{8}(?:[0-9]{2})?|[CW][A-Z]?[0-9]{7,8}|[TL][0-9]{8})\b",
        lengths=(8, 11),
        proposal=_pseudonym("travel_permit"),
        weak=True,
        words=("permit", "通行证", "台胞证", "回乡证", "证件号", "zjhm"),
    ),
    Identifier(
        entity="CN_ORG_CODE",  # GB 11714
        chinese="组织机构代码",
        label="机构代码",
        pattern=r"\b[0-9A-Z]{8}-?[0-9X]\b",
        lengths=(9, 10),
        proposal=_pseudonym("org_code"),
        check="org_code",
        chance=0.09,
        grade=2,
        weak=True,
        words=("org_code", "组织机构代码", "机构代码", "zzjgdm"),
    ),
    Identifier(
        entity="CN_BUSINESS_REGISTRATION",  # 15 digits, ISO 7064 MOD 11,10
        chinese="工商注册号",
        label="注册号",
        pattern=r"\b[1-8][0-9]{14}\b",
        lengths=(15, 15),
        proposal=_pseudonym("business_registration"),
        check="business_registration",
        chance=0.1,
        grade=2,
        weak=True,
        words=("registration_no", "reg_no", "注册号", "zch"),
    ),
)

BY_ENTITY: dict[str, Identifier] = {identifier.entity: identifier for identifier in IDENTIFIERS}


def polars_pattern(identifier: Identifier) -> str:
    """Return the pattern for polars: the boundary is the ASCII one of the Rust engine."""
    return identifier.pattern.replace(r"\b", r"(?-u:\b)")


def python_pattern(identifier: Identifier) -> str:
    """Return the pattern for Python's `re` and `regex` (Presidio): the boundary is ASCII and case is as written."""
    return "(?-i:" + identifier.pattern.replace(r"\b", r"(?a:\b)") + ")"
