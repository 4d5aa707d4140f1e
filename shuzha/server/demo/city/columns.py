"""What each column of a register is: for README.json, typed reading of CSV files, and the demo's entries."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

import polars as pl

_TYPES: Final[dict[str, pl.DataType]] = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "datetime": pl.Datetime("us"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, type (`string`, `integer`, `boolean`, `date`, `datetime`) and titles."""

    name: str
    type: str
    title_zh: str
    title_en: str

    def as_dict(self) -> dict[str, str]:
        """Return the column as plain JSON."""
        return asdict(self)


def _columns(*lines: tuple[str, str, str, str]) -> tuple[Column, ...]:
    return tuple(Column(*line) for line in lines)


COLUMNS: Final[dict[str, tuple[Column, ...]]] = {
    "residents": _columns(
        ("resident_id", "string", "公民身份号码", "resident ID"),
        ("name", "string", "姓名", "name"),
        ("sex", "string", "性别", "sex"),
        ("birth_date", "date", "出生日期", "date of birth"),
        ("district_code", "string", "行政区划代码", "district code"),
        ("address", "string", "住址", "address"),
        ("mobile", "string", "手机号码", "mobile number"),
        ("ethnicity", "string", "民族", "ethnic group"),
        ("education", "string", "文化程度", "education"),
    ),
    "enterprises": _columns(
        ("uscc", "string", "统一社会信用代码", "unified social credit code"),
        ("name", "string", "企业名称", "name of the enterprise"),
        ("licence_number", "string", "许可证编号", "licence number"),
        ("licence_kind", "string", "许可证类型", "kind of licence"),
        ("licence_valid_from", "date", "许可有效期起", "licence valid from"),
        ("licence_valid_to", "date", "许可有效期止", "licence valid to"),
        ("district_code", "string", "行政区划代码", "district code"),
        ("industry", "string", "行业", "industry"),
        ("legal_representative", "string", "法定代表人", "legal representative"),
        ("legal_representative_id", "string", "法定代表人身份号码", "resident ID of the legal representative"),
        ("status", "string", "经营状态", "status"),
        ("registered_capital", "integer", "注册资本（元）", "registered capital in yuan"),
    ),
    "social_insurance": _columns(
        ("resident_id", "string", "公民身份号码", "resident ID"),
        ("name", "string", "姓名", "name"),
        ("period", "string", "费款所属期", "month of the payment, YYYY-MM"),
        ("kind", "string", "险种", "kind of insurance: pension, medical, unemployment or injury"),
        ("employer", "string", "参保单位统一社会信用代码", "credit code of the employer, none for the others"),
        ("base", "integer", "缴费基数（元）", "contribution base in yuan, none outside work"),
        ("paid", "boolean", "是否到账", "whether the payment arrived"),
        ("district_code", "string", "参保区划代码", "district code"),
        ("note", "string", "备注", "free text of the clerk"),
    ),
    "transit_trips": _columns(
        ("card", "string", "卡号", "card number"),
        ("resident_id", "string", "公民身份号码", "resident ID where the card is registered"),
        ("time", "datetime", "进站时间", "time of entry"),
        ("line", "string", "线路", "line"),
        ("station", "string", "车站", "station"),
    ),
}

# Whose data a row is.
ENTITY_KEYS: Final[dict[str, str]] = {
    "residents": "resident_id",
    "enterprises": "uscc",
    "social_insurance": "resident_id",
    "transit_trips": "card",
}


def schema(register: str) -> dict[str, pl.DataType]:
    """Return the polars type of each column of `register`, in order."""
    return {column.name: _TYPES[column.type] for column in COLUMNS[register]}
