"""`shuzha scan`: what it prints for people in two languages and as JSON, and the plan it proposes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from desensitize import Plan
from shuzha.server.commands.scanning import scan


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    rows = [f"19{n % 60 + 30}-01-01,{'男女'[n % 7 % 2]}" for n in range(70)]
    path.write_bytes("\n".join(["born,sex", *rows, ""]).encode("gb18030"))
    return path


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    lines = [f"{n + 1},2026030{10_000_000_000 + n * 7919},{n * 13 % 9973}.{n % 100:02d},微信" for n in range(1200)]
    path.write_text("\n".join(["序号,订单号,金额,支付方式", *lines, ""]), "utf-8")
    return path


def test_scan_says_which_columns_single_people_out(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan(people, as_json=True)
    found = json.loads(capsys.readouterr().out)["quasi_identifiers"]
    assert [(one["columns"], one["alone"]) for one in found["combinations"]] == [(["born"], 50 / 70)]
    scan(people, language="en")
    assert "71.4%" in capsys.readouterr().out.split("single people out")[1]


def test_scan_leaves_combinations_out_when_told_so(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan(people, as_json=True, combinations=False)
    assert "quasi_identifiers" not in json.loads(capsys.readouterr().out)


def test_scan_says_so_when_nothing_singles_people_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "same.csv"
    path.write_text("sex\n" + "男\n女\n" * 50, "utf-8")
    scan(path, language="en")
    assert "no set of up to 3 columns singles out 1% of the people" in capsys.readouterr().out


def test_scan_speaks_the_language_of_the_locale(
    people: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LC_MESSAGES", raising=False)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    scan(people)
    printed = capsys.readouterr().out
    assert "准标识" in printed
    assert "technique" not in printed
    scan(people, language="en")
    assert "technique" in capsys.readouterr().out
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    scan(people)
    assert "technique" in capsys.readouterr().out


def test_scan_refuses_a_language_it_does_not_speak(shuzha, people: Path) -> None:
    found = shuzha("scan", people, "--language", "fr")
    assert (found.code, "accepted: zh, en" in found.err) == (2, True)


@pytest.mark.parametrize("columns", ["80", "200"])
def test_scan_cuts_nothing_off_at_any_width(
    orders: Path, columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shuzha.server.commands.output.console.width", int(columns))
    scan(orders, language="zh")
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert "金额" in printed.split("请人工确认")[1]
    assert ("逐行不同的编号" in printed) == (columns == "200")


def test_proposed_plan_treats_running_numbers_and_remarks_on_what_it_leaves_open(orders: Path, tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    scan(orders, plan=path)
    text = path.read_text("utf-8")
    plan = Plan.from_toml(path)
    assert {name: spec["technique"] for name, spec in plan.to_dict()["columns"].items()} == {
        "序号": "pseudonymize", "订单号": "pseudonymize", "金额": "keep", "支付方式": "keep",
    }  # fmt: skip
    above = {name: text.split(f'[columns."{name}"]')[0].rsplit("\n\n", 1)[-1] for name in plan.columns}
    assert [name for name, comments in above.items() if "请注意：仅凭此列即可唯一确定" in comments] == ["金额"]


def test_scan_overwrites_no_plan_that_may_have_been_edited(shuzha, people: Path, tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    assert shuzha("scan", people, "--plan", path).code == 0
    path.write_text("edited")
    again = shuzha("scan", people, "--plan", path)
    assert (again.code, path.read_text()) == (2, "edited")
    assert "plan.toml is already there" in again.err
