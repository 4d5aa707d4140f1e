"""Documents and cards of people: identity cards, permits, passports, bank and social-security cards.

Forms and certainty: the standards named in each line; for travel documents and the cards below them common
descriptions, which no primary text confirms, so they are weak.
"""

from __future__ import annotations

from desensitize.identifiers.kinds import DAY, GATE_DIGITS, GATE_LONG_DIGITS, Identifier, pseudonym

_YEAR = "(?:18[89]|19[0-9]|20[0-4])[0-9]"

CHECKED: tuple[Identifier, ...] = (
    Identifier(
        entity="CN_RESIDENT_ID",  # GB 11643-1999; permits (81, 82, 83) and foreigners' cards (9) share form and check
        chinese="公民身份号码",
        label="身份证号",
        pattern=rf"\b[1-9][0-9]{{5}}[ -]?{_YEAR}[ -]?{DAY}[ -]?[0-9]{{3}}[0-9Xx]\b",
        lengths=(18, 21),
        bare=(18, 18),
        proposal=pseudonym("resident_id"),
        check="resident_id",
        chance=0.09,
        words=(
            *("resident_id", "id_card", "idcard", "id_no", "idno", "id_number", "identity_no", "citizen_id"),
            *("身份证", "身份号码", "证件号", "公民身份", "居住证", "永久居留"),
        ),
        pinyin=("sfz", "sfzh", "sfzhm", "sfzjh", "sfzjhm", "gmsfhm", "gmsfzh", "zjhm", "zjh"),
        gates=(GATE_DIGITS, GATE_LONG_DIGITS, "[0-9]{6}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{3}[0-9Xx]"),
    ),
    Identifier(
        entity="CN_RESIDENT_ID_15",  # before 1999-10: no century, no check digit
        chinese="15位身份证号",
        label="身份证号",
        pattern=rf"\b[1-8][0-9]{{5}}[ -]?[0-9]{{2}}{DAY}[ -]?[0-9]{{3}}\b",
        lengths=(15, 17),
        bare=(15, 15),
        proposal=pseudonym("resident_id"),
        check="resident_id_15",
        chance=0.1,
        words=("resident_id", "id_card", "idcard", "id_no", "idno", "id_number", "身份证", "身份号码", "证件号"),
        pinyin=("sfz", "sfzh", "sfzhm", "sfzjh", "gmsfhm", "gmsfzh", "zjhm"),
        gates=(GATE_DIGITS, GATE_LONG_DIGITS, "[0-9]{6}[ -]?[0-9]{6}[ -]?[0-9]{3}"),
    ),
    Identifier(
        entity="CN_BANK_CARD",  # ISO/IEC 7812; 62 is UnionPay, and before the credit code, which rarely starts so
        chinese="银行卡号",
        label="银行卡号",
        pattern=r"\b(?:62[0-9]{14,17}|[3-6][0-9]{15}|[569][0-9]{18}|62[0-9]{4}[ -][0-9]{10,13}"
        r"|[3-69][0-9]{3}(?:[ -][0-9]{4}){3}(?:[ -][0-9]{1,3})?)\b",
        lengths=(16, 23),
        bare=(16, 19),
        proposal=pseudonym("bank_card"),
        check="luhn",
        chance=0.1,
        grade=4,
        words=("bank_card", "bankcard", "card_no", "card_number", "bank_account", "银行卡", "银行账", "卡号", "银行帐"),
        pinyin=("yhkh", "yhkhm", "yhzh", "yhzhm", "khzh"),
        gates=(GATE_DIGITS, GATE_LONG_DIGITS, "[0-9]{4}(?:[ -]?[0-9]{4}){3}|[0-9]{6}[ -][0-9]{10}"),
    ),
)

MILITARY = Identifier(
    entity="CN_MILITARY_ID",
    chinese="军人证件号",
    label="军人证号",
    pattern=r"[军士文]字第 ?[0-9]{6,8}\b",
    lengths=(15, 18),
    proposal=pseudonym("military_id"),
    grade=4,
    words=("military_id", "officer_id", "军官证", "士兵证", "军人证", "士官证"),
    pinyin=("jgzh", "sbzh", "jrzh"),
    gates=("字第",),
    marked=True,
)

WEAK: tuple[Identifier, ...] = (
    Identifier(
        entity="CN_PASSPORT",
        chinese="护照号码",
        label="护照号",
        pattern=r"\b(?:E[0-9]{8}|E[A-HJ-NP-Z][0-9]{7}|G[0-9]{8}|[DSP]E?[0-9]{7,8})\b",
        lengths=(8, 10),
        proposal=pseudonym("passport"),
        weak=True,
        words=("passport", "护照", "证件号"),
        pinyin=("hzh", "hzhm", "zjhm"),
    ),
    Identifier(
        entity="CN_TRAVEL_PERMIT",  # Hong Kong and Macau residents H and M, mainland residents C, W, T and L
        chinese="往来通行证号",
        label="通行证号",
        pattern=r"\b(?:[HM][0-9]{8}(?:[0-9]{2})?|[CW][A-Z]?[0-9]{7,8}|[TL][0-9]{8})\b",
        lengths=(8, 11),
        proposal=pseudonym("travel_permit"),
        weak=True,
        words=("permit", "travel_permit", "通行证", "回乡证", "证件号"),
        pinyin=("txzh", "txzhm", "gatxz", "zjhm"),
    ),
    Identifier(
        entity="CN_TAIWAN_PERMIT",  # 8 digits, older ones 10 digits and a letter
        chinese="台湾居民来往大陆通行证号",
        label="台胞证号",
        pattern=r"\b(?:[0-9]{10}[A-Z]|[0-9]{8})\b",
        lengths=(8, 11),
        proposal=pseudonym("taiwan_permit"),
        weak=True,
        words=("taiwan_permit", "台胞证", "台湾通行证", "台湾居民"),
        pinyin=("tbzh", "tbz"),
    ),
    Identifier(
        entity="CN_FOREIGNER_CARD",  # the card of 2017: country, place, birth date, two digits; since 2023 see above
        chinese="外国人永久居留证号",
        label="居留证号",
        pattern=rf"\b[A-Z]{{3}}[0-9]{{6}}{DAY}[0-9]{{2}}\b",
        lengths=(15, 15),
        proposal=pseudonym("foreigner_card"),
        weak=True,
        words=("foreigner_card", "residence_card", "居留", "外国人证", "证件号"),
        pinyin=("jlzh", "wgrjlz", "zjhm"),
    ),
    Identifier(
        entity="CN_SOCIAL_SECURITY_CARD",  # letter and 8 digits; the social-security number is the citizen number
        chinese="社会保障卡号",
        label="社保卡号",
        pattern=r"\b[A-Z][0-9]{8}\b",
        lengths=(9, 9),
        proposal=pseudonym("social_security_card"),
        grade=4,
        weak=True,
        words=("social_security_card", "ssc_no", "社保卡", "社会保障卡", "医保卡", "医疗保险卡"),
        pinyin=("sbkh", "sbkhm", "shbzkh", "ybkh", "ybkhm"),
    ),
)
