"""The two texts of a registration that are written from its records: the commitment letter and the public notice.

Both are in Chinese, the language of the register. What they say of names, data and days comes from the live records, so
neither can say something else than what is registered.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from products.registry.registration import Agent, Commitment
from shuzha.core.actor import Actor
from shuzha.core.keys import KeyRing


@dataclass(frozen=True, slots=True)
class Facts:
    """What both letters say of a thing: `form` and `sources` are words of people, not ids."""

    id: str
    title: str
    form: str
    holder: str
    sources: tuple[str, ...]
    summary: str
    evidence: str


def write_commitment(facts: Facts, agent: Agent | None, day: dt.date) -> str:
    """Return the commitment letter (承诺书) that the holder gives by applying (W25 art. 25: truthful)."""
    lines = [
        "登记申请承诺书",
        "",
        f"登记主体：{facts.holder}",
        f"登记对象：{facts.title}（{facts.form}，编号 {facts.id}）",
        f"数据来源：{'、'.join(facts.sources)}",
        f"存证凭证（SHA-256）：{facts.evidence}",
    ]
    if agent is not None:
        lines.append(f"代理机构：{agent.name}（{agent.code}），委托日期 {agent.mandate}")
    lines += [
        "",
        "本单位承诺：",
        "一、所提交的登记材料真实、准确、完整，存证先于本次申请；",
        "二、登记对象的来源合法，使用范围不超出授权，权属无争议；",
        "三、登记内容发生变化时，及时申请变更登记；",
        "四、如有不实，承担相应责任，并接受撤销登记。",
        "",
        f"{day.year}年{day.month}月{day.day}日",
    ]
    return "\n".join(lines) + "\n"


def write_notice(facts: Facts, first: dt.date, last: dt.date, days: int, remark: str = "") -> str:
    """Return the text of the public notice (公示) from its first to its last day, with a remark of the registry."""
    parts = [
        f"{facts.holder}申请登记“{facts.title}”（{facts.form}），数据来源为{'、'.join(facts.sources)}。",
        f"内容：{facts.summary}",
        f"公示期自{first.isoformat()}至{last.isoformat()}，共{days}个工作日。",
        "任何单位或者个人有异议的，可在公示期内在本页提出，登记机构予以答复；异议答复之前不予赋码。",
    ]
    if remark.strip():
        parts.append(remark.strip())
    return "\n".join(parts)


def commit(keys: KeyRing, actor: Actor, organisation: str, text: str, at: dt.datetime) -> Commitment:
    """Return the letter with the signature of the organisation, by the key that the platform keeps for it."""
    key = keys.signing_key(f"organisation:{organisation}")
    content = text.encode()
    return Commitment(
        text, hashlib.sha256(content).hexdigest(), organisation, actor.id, at,
        key.public_key().public_bytes_raw().hex(), key.sign(content).hex(),
    )  # fmt: skip


def is_committed(keys: KeyRing, given: Commitment) -> bool:
    """Return whether a letter is signed, as it stands, by the key of its organisation."""
    own = keys.signing_key(f"organisation:{given.organisation}").public_key().public_bytes_raw().hex()
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(given.key))
        key.verify(bytes.fromhex(given.signature), given.text.encode())
    except (InvalidSignature, ValueError):
        return False
    return given.key == own and hashlib.sha256(given.text.encode()).hexdigest() == given.sha256
