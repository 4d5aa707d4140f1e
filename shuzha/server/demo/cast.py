"""Who takes part in the demonstration: invented organisations and people, one for each duty."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from desensitize.identifiers.check_digits import resident_id_check_digit
from shuzha.core.clock import city_date
from shuzha.core.errors import Conflict
from shuzha.core.keys import write_secret
from shuzha.people.service import People
from shuzha.server.demo.client import Portal, Refused

ADMINISTRATOR = "admin"


@dataclass(frozen=True, slots=True)
class Part:
    """One account of the demonstration."""

    login: str
    name: str
    organisation: str
    roles: tuple[str, ...]


ORGANISATIONS = {
    "hrss": ("department", "人力资源和社会保障局（演示）", "Human resources and social security (demo)", "周正"),
    "authority": ("authority", "大数据局（演示）", "Data authority (demo)", "吴启"),
    "operator": ("operator", "泉数公共数据运营公司（演示）", "Quanshu data operations (demo)", "郑航"),
    "reviewers": ("department", "出域审核中心（演示）", "Output review centre (demo)", "王衡"),
    "university": ("department", "泉城大学数据研究院（演示）", "City university, data institute (demo)", "秦师"),
    "laboratory": ("department", "信息安全测评中心（演示）", "Security assessment centre (demo)", "尤测"),
    "lawyers": ("department", "明正律师事务所（演示）", "Mingzheng law office (demo)", "许法"),
    "registry": ("registry", "数据登记中心（演示）", "Data registry (demo)", "冯录"),
    "bank": ("consumer", "城市商业银行（演示）", "City commercial bank (demo)", "陈信"),
    "audit": ("regulator", "审计局（演示）", "Audit bureau (demo)", "褚明"),
}
PARTS = (
    Part("provider", "周数", "hrss", ("provider",)),
    Part("authority", "吴审", "authority", ("authority",)),
    Part("operator", "郑签", "operator", ("operator",)),
    Part("analyst", "李析", "operator", ("analyst",)),
    Part("checker1", "王核", "reviewers", ("checker",)),
    Part("checker2", "孙验", "hrss", ("checker",)),
    Part("expert1", "秦评", "university", ("expert",)),
    Part("expert2", "尤审", "laboratory", ("expert",)),
    Part("expert3", "许议", "lawyers", ("expert",)),
    Part("registry", "冯登", "registry", ("registry",)),
    Part("consumer", "陈贷", "bank", ("consumer",)),
    Part("regulator", "褚监", "audit", ("regulator",)),
    Part("auditor", "卫录", "audit", ("auditor",)),
)


def password_of(file: Path) -> str:
    """Return the one password of all the demonstration's accounts, made at the first run and kept in a closed file."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_secret(file, f"Shuzha-{secrets.token_urlsafe(9)}-7".encode())
    return file.read_text().strip()


def enrol(people: People, portal: Portal, password: str) -> dict[str, str]:
    """Make the administrator, then organisations and accounts through the API; return organisation ids by key.

    A second run finds what is there.
    """
    with contextlib.suppress(Conflict):  # The installation may have its administrator already.
        people.bootstrap(login=ADMINISTRATOR, password=password, name="系统管理员")
    admin = portal.sign_in(ADMINISTRATOR, password)
    known = {each["code"]: each["id"] for each in admin.get("/organisations")}
    for code, (kind, name, name_en, person) in ORGANISATIONS.items():
        if code not in known:
            body = {"code": code, "name": name, "name_en": name_en, "kind": kind, "responsible_person": person}
            known[code] = admin.post("/organisations", body)["id"]
    there = {each["login"] for each in admin.get("/accounts")}
    for part in PARTS:
        if part.login not in there:
            account: dict[str, object] = {"login": part.login, "password": password, "name": part.name}
            admin.post("/accounts", account | {"roles": part.roles, "organisation": known[part.organisation]})
    _prepare_analysts(portal, password)
    return known


def _prepare_analysts(portal: Portal, password: str) -> None:
    """Have each analyst checked by name and trained before the job (J23 art. 12(4)), by those whose duty that is."""
    admin, authority = portal.sign_in(ADMINISTRATOR, password), portal.sign_in("authority", password)
    unit = portal.sign_in("operator", password)
    for number, part in enumerate((part for part in PARTS if "analyst" in part.roles), 1):
        analyst = portal.sign_in(part.login, password)
        if analyst.get("/me/readiness")["ready"]:
            continue
        account = analyst.get("/me")["account"]["id"]
        body = f"37010219900101{number:03d}"
        shown = {"name": part.name, "number": body + resident_id_check_digit(body)}
        with contextlib.suppress(Refused):  # He was checked before, and only his training is out of date.
            admin.post(f"/accounts/{account}/identity", shown)
        proof = hashlib.sha256(f"岗前培训证明 {part.name}".encode()).hexdigest()
        today = city_date(dt.datetime.now(dt.UTC)).isoformat()
        training = {"account": account, "course": "数据安全岗前培训", "proof_sha256": proof, "completed_on": today}
        made = unit.post("/trainings", training)
        authority.post(f"/trainings/{made['id']}/confirm", {"reason": "培训证明已核验"})


def write_accounts(file: Path, addresses: dict[str, str], password: str) -> None:
    """Write addresses and accounts beside the data, for whoever wants to look around."""
    accounts = {part.login: {"name": part.name, "roles": part.roles, "password": password} for part in PARTS}
    accounts[ADMINISTRATOR] = {"name": "系统管理员", "roles": ("administrator",), "password": password}
    file.touch(0o600)
    file.write_text(json.dumps({"addresses": addresses, "accounts": accounts}, ensure_ascii=False, indent=1), "utf-8")
