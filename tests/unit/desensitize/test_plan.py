"""Plans: tables beside them, and what they say to people."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import desensitize
from desensitize import InvalidPlan, Plan
from desensitize.transform.sentences import _SENTENCES, LANGUAGES
from desensitize.transform.techniques import _ALL

TABLE = """[columns.job]
technique = "generalize"
kind = "table"
file = "jobs.csv"
level = 1
"""


def test_plan_takes_its_table_from_a_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("\ufeff医生;卫生\n教师;教育\n", encoding="utf-8")
    (tmp_path / "plan.toml").write_text(TABLE, encoding="utf-8")
    plan = Plan.from_toml(tmp_path / "plan.toml")
    made = desensitize.apply(pl.DataFrame({"job": ["医生", "木匠", None]}), plan).frame.collect()
    assert made["job"].to_list() == ["卫生", "*", None]
    assert Plan.from_toml(plan.to_toml()) == plan


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("none.csv", "column `job`: file `none.csv` does not exist"),
        ("../jobs.csv", "in the plan's folder"),
        ("/etc/jobs.csv", "in the plan's folder"),
        ("jobs.txt", "in the plan's folder"),
        ("latin.csv", "not UTF-8"),
        ("uneven.csv", "same number of values"),
        ("empty.csv", "at least one row"),
    ],
)
def test_plan_refuses_a_table_it_cannot_read(tmp_path: Path, file: str, words: str) -> None:
    (tmp_path / "latin.csv").write_bytes("医生;卫生".encode("gb18030"))
    (tmp_path / "uneven.csv").write_text("a,b\nc\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "plan.toml").write_text(TABLE.replace("jobs.csv", file), encoding="utf-8")
    with pytest.raises(InvalidPlan, match=words):
        Plan.from_toml(tmp_path / "plan.toml")


def test_plan_without_a_folder_refuses_files_and_other_things_than_techniques() -> None:
    with pytest.raises(InvalidPlan, match="the plan must be a file too"):
        Plan.from_toml(TABLE)
    with pytest.raises(InvalidPlan, match="either rows or file"):
        Plan.from_toml(TABLE + "rows = [['a', 'b']]\n")
    with pytest.raises(InvalidPlan, match="column `a`: give a technique: one of keep"):
        Plan.from_dict({"columns": {"a": 5}})


def test_plan_says_in_both_languages_what_happens_to_each_column() -> None:
    plan = Plan.from_toml(
        """[columns]
a = "keep"
b = "drop"
c = {technique = "mask", keep_first = 3, keep_last = 4}
d = "pseudonymize"
e = {technique = "encrypt", keep_first = 6, check = "luhn"}
f = {technique = "generalize", kind = "address", level = "city"}
g = {technique = "generalize", kind = "number", width = 1000}
h = {technique = "generalize", kind = "age", edges = [18, 60], on = "2026-01-01"}
i = {technique = "clip", top = 100}
j = {technique = "noise", epsilon = 1, bottom = 0, top = 10}
"""
    )
    english, chinese = plan.describe("en"), plan.describe("zh")
    assert list(english) == list(chinese) == list("abcdefghij")
    assert english["c"] == "Keeps the first 3 and the last 4 characters; the rest becomes ****."
    assert english["e"] == (
        "Is encrypted with its format kept (FF1); the key's holder can restore it. "
        "The first 6 characters stay. The check digit is made anew."
    )
    assert english["h"] == "The age on 2026-01-01: becomes one of the bands between 18, 60."
    assert english["i"] == "Numbers above 100 become that limit."
    assert chinese["b"] == "删除，不提供。"
    assert chinese["f"] == "泛化到地市。"
    assert chinese["j"] == "截断到 0 至 10 后加本地差分隐私噪声，每个单元格 ε=1。"
    with pytest.raises(InvalidPlan, match="en, zh"):
        plan.describe("fr")


def test_every_technique_has_its_sentences() -> None:
    assert set(_SENTENCES) == set(_ALL)
    assert LANGUAGES == ("en", "zh")


@pytest.mark.parametrize("language", LANGUAGES)
def test_plan_comes_back_from_toml_with_comments(language: str) -> None:
    plan = Plan.from_dict({"title": "月表", "columns": {"姓名": "drop", "工资": {"technique": "round", "to": 100}}})
    text = plan.to_toml(language)
    assert {"en": "# Is left out.\n", "zh": "# 删除，不提供。\n"}[language] + '[columns."姓名"]' in text
    assert Plan.from_toml(text) == plan


def test_plan_of_a_synthetic_release_is_sent_to_its_command() -> None:
    values = {"columns": {"job": "keep"}, "synthetic": {"epsilon": 1.0, "delta": 1e-9}}
    with pytest.raises(InvalidPlan, match="shuzha synthesize"):
        Plan.from_dict(values)
