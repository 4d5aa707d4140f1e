"""Refusals in the reader's language: whatever procedure, people, exits and policies can raise has its sentence."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from policies.decisions import Resource
from policies.rolebook import RoleBook
from shuzha.core import errors
from shuzha.core.actor import Actor
from shuzha.portal.i18n import Speech
from shuzha.portal.refusals import forms_of, say_refusal

ROOT = Path(__file__).parents[3]
ROOMS = (
    "shuzha/authorization", "shuzha/settlement", "shuzha/exits", "shuzha/people", "shuzha/portal", "policies",
    "products/registry", "shuzha/core/lifecycle.py", "shuzha/core/work.py", "shuzha/core/conditions.py",
    "shuzha/core/records.py", "shuzha/oversight",
)  # fmt: skip
REFUSALS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
CHINESE = Speech("zh_Hans")


def form_of(node: ast.expr | None) -> str:
    """Return a text of the source with numbered places, empty where only a run could tell it."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.BinOp):
        left, right = form_of(node.left), form_of(node.right)
        return left + right if left and right else ""
    if not isinstance(node, ast.JoinedStr):
        return ""
    numbers = iter(range(len(node.values)))
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else f"{{{next(numbers)}}}" for part in node.values
    )


def raised() -> Iterator[tuple[str, str]]:
    """Every sentence of a refusal, and what it says is accepted, with where it stands."""
    for room in ROOMS:
        place = ROOT / room
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in REFUSALS:
                    said = [*node.args[:1], *(each.value for each in node.keywords if each.arg == "accepted")]
                    for text in filter(None, map(form_of, said)):
                        yield f"{file.relative_to(ROOT)}:{node.lineno}", text


def test_every_refusal_has_its_chinese_form() -> None:
    found = list(raised())
    assert len(found) > 250
    known = {form.message for form in forms_of("zh_Hans")}
    # A name alone has nothing to translate: `{0}` is what it names.
    assert [(place, text) for place, text in found if text not in known and re.search("[a-z]{2}", text)] == []


def test_every_form_keeps_its_places() -> None:
    for form in forms_of("zh_Hans"):
        places = set(re.findall(r"\{\d+\}", form.message))
        assert set(re.findall(r"\{\d+\}", form.translated)) == places, form.message


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("3 experts have not scored yet", "尚有 3 名专家未评分"),
        ("the public notice of aut_1 runs until 2027-01-04", "aut_1 的公示至 2027-01-04 止"),
        ("cannot publish announcement ann_1: it is published", "不能发布公告 ann_1：状态为已发布"),
        ("publish, cancel", "发布、注销"),
        ("district_code, kind", "district_code, kind"),
        ("a sentence of nobody's", "a sentence of nobody's"),
        ("expert acc_1 may see whose application it is by another role", "专家 acc_1 因另一角色可得知申请单位"),
        (
            "the demand asks for operations `view`, which the agreement does not hold",
            "需求所写的处理方式“查看”不在协议之内",
        ),
        (
            "`data:open` is refused: grant grt_1 is not in force: no reason given",
            "“data:open”被拒绝：授权范围 grt_1 未生效：未说明理由",
        ),
    ],
)
def test_places_are_filled_and_translated(english: str, chinese: str) -> None:
    assert say_refusal(english, CHINESE) == chinese
    assert say_refusal(english, Speech("en")) == english


def test_every_refusal_by_role_is_chinese() -> None:
    book, nobody = RoleBook.load(), Actor("acc_1", "Zhang", "org_1", frozenset({"consumer"}), via="portal")
    elsewhere = Resource("thing", "thg_1", organisation="org_2", author="acc_2")
    for permission in sorted({line.permission.value for line in book.lines}):
        decision = book.decide(nobody, permission, elsewhere)
        if not decision.allowed:
            said = say_refusal(decision.reason, CHINESE)
            assert not re.search("[a-z]{3}", said.replace(permission, "").replace("thing thg_1", "")), said


def test_a_long_sentence_stays_as_it_is() -> None:
    long = "cannot publish announcement " + "a " * 20_000 + ": it is published"
    assert say_refusal(long, CHINESE) == long
