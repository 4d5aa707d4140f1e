"""`shuzha scan`: what it prints of combinations of columns, for people and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shuzha.server.commands.files import scan


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    rows = [f"19{n % 60 + 30}-01-01,{'男女'[n % 7 % 2]}" for n in range(70)]
    path.write_bytes("\n".join(["born,sex", *rows, ""]).encode("gb18030"))
    return path


def test_scan_says_which_columns_single_people_out(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan(people, as_json=True)
    found = json.loads(capsys.readouterr().out)["quasi_identifiers"]
    assert [(one["columns"], one["alone"]) for one in found["combinations"]] == [(["born"], 50 / 70)]
    scan(people)
    assert "71.4%" in capsys.readouterr().out.split("single people out")[1]


def test_scan_leaves_combinations_out_when_told_so(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan(people, as_json=True, combinations=False)
    assert "quasi_identifiers" not in json.loads(capsys.readouterr().out)
