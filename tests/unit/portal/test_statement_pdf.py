"""A statement as a PDF: the page's figures, in both languages, its font within; and sums in Chinese capitals."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from shuzha.portal.capitals import in_capitals
from tests.portal_kit import PortalCity


@pytest.mark.parametrize(
    ("fen", "words"),
    [
        (0, "人民币零元整"), (1, "人民币壹分"), (30, "人民币叁角整"), (35, "人民币叁角伍分"), (100, "人民币壹元整"),
        (105, "人民币壹元零伍分"), (465, "人民币肆元陆角伍分"), (1_000, "人民币壹拾元整"),
        (100_530, "人民币壹仟零伍元叁角整"),
        (10_000_000, "人民币壹拾万元整"), (1_000_100, "人民币壹万零壹元整"), (1_050_000_00, "人民币壹佰零伍万元整"),
        (1_680_032_00, "人民币壹佰陆拾捌万零叁拾贰元整"), (107_000_53, "人民币壹拾万柒仟元伍角叁分"),
        (100_000_000_001_00, "人民币壹仟亿零壹元整"), (-465, "人民币负肆元陆角伍分"),
        (20_030_405_06, "人民币贰仟零叁万零肆佰零伍元零陆分"),
    ],
)  # fmt: skip
def test_a_sum_is_written_in_capitals_as_bills_carry_it(fen: int, words: str) -> None:
    assert in_capitals(fen) == words


@pytest.mark.parametrize(("language", "words"), [("zh_Hans", "人民币肆元陆角伍分"), ("en", "Infrastructure")])
def test_a_bill_is_a_pdf_with_its_own_font_and_the_pages_figures(
    sign_in, city: PortalCity, tmp_path: Path, language: str, words: str
) -> None:
    client = sign_in("consumer", language)
    answer = client.get(f"/statements/{city.made['statement.bill']}/statement.pdf")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.content.startswith(b"%PDF-")
    assert answer.content.count(b"/FontFile2") == 1
    assert re.search(rb"/BaseFont /[A-Z]{6}\+", answer.content)
    assert len(answer.content) < 200_000
    assert client.get(f"/statements/{city.made['statement.bill']}/statement.pdf").content == answer.content
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed")
    (tmp_path / "bill.pdf").write_bytes(answer.content)
    text = subprocess.run(["pdftotext", tmp_path / "bill.pdf", "-"], capture_output=True, text=True, check=True).stdout
    assert "¥4.65" in text
    assert words.lower() in text.lower()


def test_a_stranger_gets_no_pdf(sign_in, city: PortalCity) -> None:
    assert sign_in("provider").get(f"/statements/{city.made['statement.bill']}/statement.pdf").status_code == 404
