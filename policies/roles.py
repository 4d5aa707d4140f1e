"""The roles that an account can hold, and which of them exclude each other.

Z20 art. 33: different people administer, operate and audit. So a system administrator holds no business role, a
security auditor neither; and no person holds `platform`, the role of the platform's own processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from shuzha.core.errors import Invalid

Duty = Literal["administration", "audit", "business", "process"]


@dataclass(frozen=True, slots=True)
class Role:
    """A role by its stable name, its titles in both languages, and the duty that it belongs to."""

    name: str
    title_en: str
    title_zh: str
    description_en: str
    description_zh: str
    duty: Duty = "business"

    def title(self, language: str) -> str:
        """Return the title in a language; any tag that starts with `zh` is Chinese."""
        return self.title_zh if language.startswith("zh") else self.title_en

    def description(self, language: str) -> str:
        """Return one sentence of what the role is for."""
        return self.description_zh if language.startswith("zh") else self.description_en


_ALL = (
    Role(
        "provider", "data provider", "数据提供单位",
        "Lists its department's data, sends batches, and answers demands for it.",
        "登记本单位数据、报送数据，并审核针对本单位数据的场景需求。",
    ),
    Role(
        "authority", "data authority", "数据主管部门",
        "Reviews entries, authorizes operating units, supervises and suspends.",
        "审核目录、授权运营单位，监督管理并可暂停授权。",
    ),
    Role(
        "operator", "operating unit", "运营单位",
        "Applies for authorization, signs, demands data for a scenario and runs the products.",
        "申请授权、签订协议、提出场景需求，并经营产品。",
    ),
    Role(
        "analyst", "operating-unit analyst", "运营单位分析师",
        "Works in workspaces on the granted releases and submits export requests.",
        "在沙箱中使用获准数据开展分析，并提交出域申请。",
    ),
    Role(
        "checker", "output checker", "出域审核员",
        "Reviews export requests of others, blind to the other reviewer.",
        "独立审核他人提交的出域申请。",
    ),
    Role(
        "registry", "registration body", "登记机构",
        "Accepts, examines, announces and codes the registration of products.",
        "受理、审核、公示产品登记并赋码。",
    ),
    Role(
        "expert", "reviewing expert", "评审专家",
        "Assesses applications of others, blind, as a third party without a conflict of interest.",
        "以第三方身份、在无利益冲突前提下匿名评审授权申请。",
    ),
    Role(
        "consumer", "product consumer", "产品使用方",
        "Holds keys, calls products and sees its own usage and statements.",
        "持有密钥、调用产品，查看本单位用量与账单。",
    ),
    Role(
        "regulator", "regulator", "监管方",
        "Reads usage, money and logs, and proves them; changes nothing.",
        "查看并核验用量、资金与日志，不作任何更改。",
    ),
    Role(
        "administrator", "system administrator", "系统管理员",
        "Keeps organisations and accounts; sees no data and no business.",
        "管理机构与账号，不接触数据与业务。", "administration",
    ),
    Role(
        "auditor", "security auditor", "安全审计员",
        "Reads the audit log, and nothing else.",
        "仅查看安全审计日志。", "audit",
    ),
    Role(
        "platform", "platform process", "平台进程",
        "The platform's own jobs; held by no person.",
        "平台自身的后台任务，任何人员不得持有。", "process",
    ),
)  # fmt: skip

ROLES: Mapping[str, Role] = {role.name: role for role in _ALL}
PERSONAL_ROLES = tuple(role.name for role in _ALL if role.duty != "process")


def find_clash(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two of these roles that no one person may hold together, or None (Z20 art. 33)."""
    first: Role | None = None
    for role in (ROLES[name] for name in sorted(names) if name in ROLES):
        if first is not None and role.duty != first.duty:
            return first.name, role.name
        first = first or role
    return None


def check_exclusive(names: Iterable[str]) -> None:
    """Refuse roles that do not exist, that no person holds, or that exclude each other (Z20 art. 33)."""
    names = frozenset(names)
    for name in sorted(names):
        if name not in PERSONAL_ROLES:
            raise Invalid(f"no person can hold role `{name}`", rule="roles.known", accepted=", ".join(PERSONAL_ROLES))
    clash = find_clash(names)
    if clash:
        raise Invalid(
            f"one person cannot be `{clash[0]}` and `{clash[1]}`",
            rule="roles.separation (Z20 art. 33)",
            accepted="one account each, held by different people",
        )
