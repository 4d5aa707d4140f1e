"""What the provider and the operating unit write into their forms for a report on any dataset."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from shuzha.server.demo import sheets

CODE = "370100-STAT-0001"
PURPOSE = "statistics"
NOTEBOOK = "counts-report.ipynb"
CONTEXT = "统计报告场景 · a statistical report"
PRICE_HAO = 200_000


def application(entry: str, today: dt.date) -> dict[str, Any]:
    """Return an application to make reports of an entry, and nothing else."""
    made = sheets.application(entry, today)
    agreement = made["agreement"] | {
        "purposes": [PURPOSE],
        "operations": ["view", "aggregate"],
        "output_kinds": ["report"],
    }
    title = "统计领域公共数据授权运营（演示）"
    return made | {"title": title, "agreement": agreement}


def demand(authorization: str, entry: str, columns: Sequence[str], term: dict[str, str]) -> dict[str, Any]:
    """Return the demand of one scenario: a table of counts over two columns."""
    return {
        "authorization": authorization,
        "entry": entry,
        "scenario": "按两个字段计数，形成统计报告 a report of counts over two columns",
        "value": "公开可核对的统计数字 figures that anybody can check",
        "columns": list(columns),
        "operations": ["view", "aggregate"],
        "output_kinds": ["report"],
        "purposes": [PURPOSE],
        "term": term,
    }


def deposit(export: str, file: str, columns: Sequence[str], rows: int) -> dict[str, Any]:
    """Return what an operating unit deposits for a report product."""
    said = " × ".join(columns)
    return {
        "export": export,
        "file": file,
        "kind": "report",
        "sheet": {
            "title_zh": f"计数报告：{said}（演示）",
            "title_en": f"Counts by {said} (demo)",
            "answers": f"按 {said} 计数的统计表，基于 {rows:,} 行 counts by {said}, of {rows:,} rows",
            "refresh": "一次性 once",
            "limits": "小于门槛的格子已隐去 small cells are suppressed",
            "contact": "data-ops@operator.example",
        },
    }
