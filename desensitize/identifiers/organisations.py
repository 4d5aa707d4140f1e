"""Codes of organisations and of what they register: credit code, organisation code, tax and registration numbers."""

from __future__ import annotations

from desensitize.identifiers.kinds import GATE_LONG_CODE, Identifier, pseudonym

_USCC = "0-9A-HJ-NPQRTUWXYa-hj-npqrtuwxy"

CREDIT_CODE = Identifier(
    entity="CN_USCC",  # GB 32100-2015
    chinese="统一社会信用代码",
    label="信用代码",
    pattern=rf"\b[1-9ANYany][{_USCC}][0-9]{{6}}[{_USCC}]{{10}}\b",
    lengths=(18, 18),
    proposal=pseudonym("uscc"),
    check="uscc",
    chance=0.033,
    grade=2,
    words=("uscc", "credit_code", "social_credit", "信用代码", "信用编码"),
    pinyin=("tyshxydm", "shxydm", "xydm", "tyxydm"),
    gates=(GATE_LONG_CODE,),
)

REAL_ESTATE = Identifier(
    entity="CN_REAL_ESTATE_UNIT",  # GB/T 37346: division, cadastral area, kind of land, parcel, building and unit
    chinese="不动产单元号",
    label="不动产单元号",
    pattern=r"\b[1-9][0-9]{5} ?[0-9]{6} ?[GJZ][A-Z][0-9]{5} ?[FW][0-9]{8}\b",
    lengths=(28, 31),
    bare=(28, 28),
    proposal=pseudonym("real_estate_unit"),
    words=("real_estate_unit", "estate_unit", "不动产单元", "单元号"),
    pinyin=("bdcdyh",),
    gates=("[0-9]{6} ?[GJZ][A-Z][0-9]{5}",),
)

WEAK: tuple[Identifier, ...] = (
    Identifier(
        entity="CN_ORG_CODE",  # GB 11714
        chinese="组织机构代码",
        label="机构代码",
        pattern=r"\b[0-9A-Z]{8}-?[0-9X]\b",
        lengths=(9, 10),
        proposal=pseudonym("org_code"),
        check="org_code",
        chance=0.09,
        grade=2,
        weak=True,
        words=("org_code", "organisation_code", "organization_code", "组织机构代码", "机构代码"),
        pinyin=("zzjgdm", "jgdm"),
    ),
    Identifier(
        entity="CN_TAX_NUMBER",  # before 2015: division and organisation code; since then the credit code
        chinese="纳税人识别号",
        label="税号",
        pattern=r"\b[1-9][0-9]{5}[0-9A-Z]{8}[0-9X]\b",
        lengths=(15, 15),
        proposal=pseudonym("tax_number"),
        check="tax_number",
        chance=0.09,
        grade=2,
        weak=True,
        words=("tax_no", "tax_number", "taxpayer", "纳税人识别号", "税号", "税务登记"),
        pinyin=("nsrsbh", "swdjh", "swdjzh"),
    ),
    Identifier(
        entity="CN_BUSINESS_REGISTRATION",  # 15 digits, ISO 7064 MOD 11,10
        chinese="工商注册号",
        label="注册号",
        pattern=r"\b[1-8][0-9]{14}\b",
        lengths=(15, 15),
        proposal=pseudonym("business_registration"),
        check="business_registration",
        chance=0.1,
        grade=2,
        weak=True,
        words=("registration_no", "reg_no", "注册号", "营业执照"),
        pinyin=("zch", "gszch", "yyzzh"),
    ),
)
