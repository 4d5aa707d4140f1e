"""`shuzha risk`: measures, writes its page, and checks a certificate; 0 done, 1 refused by a rule, 2 bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import desensitize
from desensitize import Plan
from shuzha.releases.certificate import describe_files, sign_certificate, write_certificate

PLAN = """
[columns.who]
technique = "pseudonymize"

[columns.town]
technique = "keep"

[anonymity]
k = 5
entity = "who"

[anonymity.quasi_identifiers.town]
kind = "region"
"""


@pytest.fixture
def safe(tmp_path: Path) -> Path:
    path = tmp_path / "safe.csv"
    towns = ["370102"] * 100 + ["370103"] * 100
    pl.DataFrame({"who": [f"p{number}" for number in range(200)], "town": towns}).write_csv(path)
    return path


@pytest.fixture
def release(tmp_path: Path, safe: Path) -> Path:
    """A release of the platform's kind: the engine's certificate inside a signed one."""
    made = desensitize.protect(safe, Plan.from_toml(PLAN), b"k" * 32).write(tmp_path / "release")
    engine = json.loads((made / "certificate.json").read_text("utf-8"))
    key = Ed25519PrivateKey.generate()
    written = write_certificate({
        "kind": "shuzha release certificate", "version": 2, "made_at": "2026-03-01T00:00:00+00:00",
        "desensitization": engine, "files": describe_files(made, ("data.parquet",)),
    })  # fmt: skip
    (made / "certificate.json").write_bytes(written)
    (made / "certificate.sig").write_text(sign_certificate(written, key) + "\n", "ascii")
    (made / "key.hex").write_text(key.public_key().public_bytes_raw().hex() + "\n", "ascii")
    return made


def test_measures_and_names_the_population(shuzha, safe: Path) -> None:
    found = shuzha("risk", safe, "--qi", "town", "--entity", "who", "--population", "40000", "--json")
    assert (found.code, found.json["smallest_class"]) == (0, 100)
    assert found.json["population"]["size"] == 40_000
    everyone = shuzha("risk", safe, "--qi", "town", "--population", safe, "--json")
    assert everyone.json["population"]["model"] == "counted"


def test_writes_one_page_that_asks_for_nothing(shuzha, safe: Path, tmp_path: Path) -> None:
    for language, word in (("zh", "风险报告"), ("en", "Risk report")):
        page = tmp_path / f"{language}.html"
        made = shuzha("risk", safe, "--qi", "town", "--html", page, "--language", language, "--original", safe)
        assert made.code == 0
        html = page.read_text("utf-8")
        assert word in html
        assert html.count('class="chart"') == 2
        assert re.findall(r'(?:src|href)="|@import|https?://', html) == []
        assert "<script" not in html


def test_the_page_is_written_also_where_the_limits_are_not_met(shuzha, tmp_path: Path) -> None:
    path, page = tmp_path / "unique.csv", tmp_path / "out.html"
    path.write_text("town\n" + "".join(f"t{number}\n" for number in range(30)))
    assert shuzha("risk", path, "--qi", "town", "--html", page).code == 1
    assert "✕" in page.read_text("utf-8")


def test_bad_input_ends_with_two(shuzha, safe: Path) -> None:
    assert shuzha("risk", safe).code == 2
    assert shuzha("risk", safe, "--qi", "shoe").code == 2
    assert shuzha("risk", safe, "--qi", "town", "--mode", "secret").code == 2
    assert shuzha("risk", safe, "--qi", "town", "--population", "3").code == 2
    assert shuzha("risk", safe, "--qi", "town", "--language", "fr").code == 2
    assert shuzha("risk", safe, "--verify", safe).code == 2


def test_checks_a_signed_certificate_against_its_data(shuzha, release: Path, tmp_path: Path) -> None:
    data, certificate, key = (release / name for name in ("data.parquet", "certificate.json", "key.hex"))
    page = tmp_path / "paper.html"
    found = shuzha("risk", data, "--verify", certificate, "--public-key", key, "--html", page, "--json")
    assert found.code == 0
    assert {each["what"]: each["holds"] for each in found.json} == {
        "signature": True, "file": True, "rows": True, "columns": True, "content": True, "classes": True,
    }  # fmt: skip
    assert "风险证书" in page.read_text("utf-8")
    unsigned = shuzha("risk", data, "--verify", certificate, "--json")
    assert unsigned.code == 0
    assert unsigned.json[0]["holds"] is None


def test_a_changed_file_key_or_certificate_ends_with_one(shuzha, release: Path, tmp_path: Path) -> None:
    data, certificate, key = (release / name for name in ("data.parquet", "certificate.json", "key.hex"))
    other = tmp_path / "other.parquet"
    pl.read_parquet(data)[1:].write_parquet(other)
    assert shuzha("risk", other, "--verify", certificate, "--public-key", key).code == 1
    assert shuzha("risk", data, "--verify", certificate, "--public-key", "00" * 32).code == 1
    assert shuzha("risk", data, "--verify", certificate, "--public-key", "zz").code == 2
    forged = tmp_path / "forged.json"
    forged.write_text(certificate.read_text("utf-8").replace('"level": 3', '"level": 4'), "utf-8")
    signature = (release / "certificate.sig").read_text("ascii").strip()
    checked = shuzha("risk", data, "--verify", forged, "--public-key", key, "--signature", signature, "--json")
    assert checked.code == 1
    assert {each["what"]: each["holds"] for each in checked.json}["signature"] is False
