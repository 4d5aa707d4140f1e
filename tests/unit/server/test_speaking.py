"""How commands speak and end: the locale's language, what a scan found in the certificate, and Ctrl-C at any moment."""

from __future__ import annotations

import json
import re
import sys

import pytest

from desensitize.identifiers.check_digits import resident_id_check_digit
from shuzha.server import entry


@pytest.fixture
def file(tmp_path):
    """A hundred and twenty invented residents of two districts."""
    path = tmp_path / "residents.csv"
    bodies = [f"37010219{60 + number % 40}0101{number:03d}" for number in range(120)]
    rows = [f"{body}{resident_id_check_digit(body)},{370102 + at % 2}" for at, body in enumerate(bodies)]
    path.write_text("\n".join(["resident_id,district", *rows]) + "\n")
    return path


def test_command_that_is_interrupted_while_it_is_imported_ends_with_one_line(monkeypatch, capsys):
    class Interrupted:
        def find_spec(self, name, *_):
            if name == "shuzha.server.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "shuzha.server.cli")
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    with pytest.raises(SystemExit) as stop:
        entry.main()
    assert (stop.value.code, capsys.readouterr().err) == (3, "shuzha: cancelled\n")


@pytest.mark.parametrize("name", ["desensitize", "synthesize"])
def test_command_that_is_cancelled_while_it_writes_leaves_nothing(shuzha, file, tmp_path, monkeypatch, name):
    plan, key, out = synthetic_plan(tmp_path), tmp_path / "key", tmp_path / "made" / "out"
    out.parent.mkdir()
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    if name == "desensitize":
        assert shuzha("scan", file, "--plan", tmp_path / "scanned.toml").code == 0
    arguments = {
        "desensitize": ("--plan", tmp_path / "scanned.toml", "--key-file", key),
        "synthesize": ("--plan", plan),
    }

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.rename", interrupt)
    found = shuzha(name, file, *arguments[name], "-o", out)
    assert (found.code, found.err.strip()) == (3, "shuzha: cancelled")
    assert list(out.parent.iterdir()) == []


def test_desensitize_says_what_a_scan_found_when_it_is_asked(shuzha, file, tmp_path):
    plan, key = tmp_path / "plan.toml", tmp_path / "key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    assert shuzha("scan", file, "--plan", plan).code == 0
    asked = ("desensitize", file, "--plan", plan, "--key-file", key, "--json", "-o")
    assert shuzha(*asked, tmp_path / "a").json["found"] is None
    found = shuzha(*asked, tmp_path / "b", "--scan").json["found"]
    assert {each["name"]: each["role"] for each in found["columns"]}["resident_id"] == "direct"
    shown = json.loads((tmp_path / "b" / "certificate.json").read_text("utf-8"))
    assert shown["found"] == found


def test_commands_speak_the_language_of_the_locale(shuzha, file, tmp_path, monkeypatch):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    plan, key = tmp_path / "plan.toml", tmp_path / "key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    assert shuzha("scan", file, "--plan", plan).code == 0
    made = shuzha("desensitize", file, "--plan", plan, "--key-file", key, "-o", tmp_path / "out", "--scan").out
    assert "已写入" in made
    assert "120（原 120）" in made
    measured = shuzha("risk", file, "--qi", "district").out
    assert "重标识风险" in measured
    assert "最小等价类" in measured
    synthetic = shuzha("synthesize", file, "--plan", synthetic_plan(tmp_path), "-o", tmp_path / "synthetic").out
    assert "合成数据" in synthetic
    for said in (made, measured):
        words = re.sub(r"\S*(tmp|pytest)\S*|k-anonym\S*|certificate\.json", "", said)
        assert re.findall(r"\b[a-z]{4,} [a-z]{4,}\b", words) == []


def synthetic_plan(folder):
    path = folder / "synthetic.toml"
    path.write_text(
        '[columns.resident_id]\ntechnique = "drop"\n[columns.district]\ntechnique = "keep"\n'
        '[synthetic]\nepsilon = 1.0\ndelta = 1e-9\n[synthetic.columns.district]\nvalues = ["370102", "370103"]\n'
    )
    return path
