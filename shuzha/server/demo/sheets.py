"""What the demonstration's provider and operating unit write into their forms."""

from __future__ import annotations

import datetime as dt
from typing import Any

from shuzha.server.demo.city.columns import COLUMNS, ENTITY_KEYS

REGISTER = "social_insurance"
PURPOSE = "loan-review"
CODE = "370100-HRSS-0001"
GRANTED_COLUMNS = ("resident_id", "name", "period", "kind", "paid", "district_code")
PRICE_HAO = 375
NOTEBOOK = "insurance-coverage.ipynb"
CONTEXT = "贷前核验场景 · loan review"

# What the provider allows all noisy answers and synthetic tables over the entry to cost together.
PRIVACY_BUDGET = {
    "epsilon": 4.0,
    "delta": 1e-6,
    "reason": "演示：加噪查询与合成数据 noisy questions and synthetic tables (demo)",
}
# Which values columns may hold, as their definitions say; synthetic tables need it, and no data are asked.
_DOMAINS: dict[str, dict[str, Any]] = {
    "period": {"values": [f"{year}-{month:02d}" for year in range(2024, 2029) for month in range(1, 13)]},
    "kind": {"values": ["pension", "medical", "unemployment", "injury"]},
    "base": {"edges": [0, 5000, 7500, 10000, 15000, 20000, 30000]},
    "district_code": {"regions": "370100"},
}
_TYPES = {"string": "text", "integer": "integer", "boolean": "boolean", "date": "date", "datetime": "datetime"}


def entry_sheet(register: str = REGISTER, code: str = CODE) -> dict[str, Any]:
    """Return the sheet of an entry for a register of the city."""
    return {
        "code": code,
        "name": register,
        "title": {"zh": "社会保险缴费记录（演示）", "en": "Social insurance payments (demo)"},
        "abstract": "按月逐险种的社会保险缴费记录，合成数据。 Monthly payments by kind; synthetic data.",
        "elements": [
            {"name": each.name, "title": {"zh": each.title_zh, "en": each.title_en}, "type": _TYPES[each.type],
             "domain": _DOMAINS.get(each.name) if register == REGISTER else None}
            for each in COLUMNS[register]
        ],
        "classification": "306010001",
        "format": "database table",
        "subject_kind": "person",
        "entity_key": ENTITY_KEYS[register],
        "key_columns": [],
        "update_cycle": "monthly",
        "sharing": {"kind": "conditional", "condition": "依职责申请 on application, for one's own duty", "basis": "",
                    "method": "interface"},
        "opening": {"kind": "none", "condition": "", "basis": "含个人信息 personal information"},
        "authorizing": {"allowed": True, "basis": "授权运营实施方案（演示） implementation plan (demo)"},
    }  # fmt: skip


def announcement(today: dt.date) -> dict[str, Any]:
    """Return what the authority announces for the year: its window is open for thirty days."""
    return {
        "title": f"{today.year} 年度公共数据授权运营公告（演示）",
        "year": today.year,
        "mode": "comprehensive",
        "plan": "公共数据授权运营实施方案（演示） implementation plan (demo)",
        "conditions": [
            "运营状况良好，具备数据安全与产品开发能力 sound operation, able in security and products",
            "设立数据安全负责人 a named data security officer",
        ],
        "opens": today.isoformat(),
        "closes": (today + dt.timedelta(days=30)).isoformat(),
        "evidence": ["operation", "competence", "plan"],
        "notice_days": 0,
    }


EVIDENCE = {
    "operation": "审计报告（演示）：上一年度经营正常，无重大违法。 Audit report (demo): sound operation last year.",
    "competence": "人员与资质清单（演示）：数据安全工程师三名。 Staff and certificates (demo).",
    "plan": "运营方案（演示，匿名）：仅在沙箱内开发核验类产品。 Operation plan (demo, nameless): verification only.",
}


def application(entry: str, today: dt.date) -> dict[str, Any]:
    """Return an operating unit's application with its proposed agreement, without the announcement's id."""
    return {
        "title": "金融信用领域公共数据授权运营（演示）",
        "legal_representative": "郑泉",
        "responsible_person": "郑航",
        "training_proof": "岗前培训证书（演示）2026-017：李析、郑签",
        "agreement": {
            "entries": [entry],
            "term": {"valid_from": today.isoformat(), "valid_until": _a_year_on(today).isoformat()},
            "purposes": [PURPOSE, "public-service"],
            "operations": ["view", "aggregate", "verify"],
            "output_kinds": ["verification", "report"],
            "income": {
                "calculation": "调用次数×单价，按账单行一次取整 calls times price, rounded once per statement line",
                "infrastructure_rate": 1000,
                "allocation": {"provider": 3000, "platform": 2000, "operator": 5000},
            },
            "rights_and_duties": "仅在沙箱内使用，产品须登记 inside the sandbox only; products are registered",
            "security": "原始数据不出域；岗前培训；实名 raw data never leaves; training; real names",
            "exit": "冻结、结算、销毁密钥与脱敏数据并出具证明 freeze, settle, destroy keys and releases, certify",
            "asset_disposal": "期满后产品下架，索引销毁 products are delisted and indexes destroyed",
        },
    }


def demand(authorization: str, entry: str, term: dict[str, str]) -> dict[str, Any]:
    """Return the demand of one scenario: loan review."""
    return {
        "authorization": authorization,
        "entry": entry,
        "scenario": "贷前核验申请人是否连续参保 verify before a loan whether an applicant is insured",
        "value": "减少纸质证明，降低小额信贷风险 fewer paper proofs, less risk in small loans",
        "columns": list(GRANTED_COLUMNS),
        "operations": ["view", "aggregate", "verify"],
        "output_kinds": ["verification", "report"],
        "purposes": [PURPOSE],
        "term": term,
    }


def deposit(export: str, file: str) -> dict[str, Any]:
    """Return what an operating unit deposits for a verification product."""
    return {
        "export": export,
        "file": file,
        "kind": "verification",
        "sheet": {
            "title_zh": "社会保险参保核验（演示）",
            "title_en": "Insured or not (demo)",
            "answers": "某人最近一期养老保险是否已缴 whether a person's latest pension payment arrived",
            "refresh": "每月 monthly",
            "limits": "不含工伤、失业保险；不返回任何字段 pension only; no field is returned",
            "contact": "data-ops@operator.example",
        },
    }


def _a_year_on(day: dt.date) -> dt.date:
    return day + dt.timedelta(days=364)
