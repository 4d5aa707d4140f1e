"""One list of definitions, two readers: a real Presidio engine and the table detectors never disagree on a text."""

from __future__ import annotations

import random
import re
from functools import cache
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desensitize.identifiers.check_digits import SCALAR_CHECKS
from desensitize.identifiers.checksums import run_check
from desensitize.identifiers.definitions import BY_ENTITY, IDENTIFIERS, ascii_boundary, polars_pattern, python_pattern
from desensitize.identifiers.detectors import _ANY, count_hits, find_holders
from desensitize.identifiers.examples import EXAMPLES, make_examples
from desensitize.identifiers.reading import READ_AS, read_column, read_text
from desensitize.identifiers.recognizers import build_recognizers

STRONG = [one.entity for one in IDENTIFIERS if not one.weak]
WIDE = {ascii_one: wide for wide, ascii_one in READ_AS.items() if ord(wide) > 0xFF00}
AROUND = [
    "{}",
    " {} ",
    "请核实{}谢谢",
    "号码：{}，尽快",
    "（{}）",
    "a{}",
    "{}9",
    "-{}-",
    "编号{}号",
    "{}、{}",
    "x {} y",
    "1-{}",
]
PIECES = ["1", "62", "110105", "1949", "12", "31", "002X", "13800138000", " ", "-", "：", "@", "qq.com", "京A", "12345"]
PIECES += [
    "0571",
    "8",
    "::",
    ":",
    ".",
    "fe80",
    "字第",
    "军",
    "E",
    "H",
    "中",
    "a",
    "F",
    "９",
    "＠",
    "(",
    ")",
    "+86",
    "\n",
]


@cache
def engine() -> Any:
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NoOpNlpEngine

    nlp = NoOpNlpEngine(models=[{"lang_code": "zh", "model_name": "none"}])
    registry = RecognizerRegistry(build_recognizers(), supported_languages=["zh"])
    return AnalyzerEngine(registry, nlp, supported_languages=["zh"])


def found_by_presidio(text: str) -> set[str]:
    return {one.entity_type for one in engine().analyze(text, "zh")}


def found_by_table(text: str) -> set[str]:
    cells = read_column(pl.Series([text]))
    return {one.entity for one in IDENTIFIERS if find_holders(cells, one)[0]}


def whole_by_table(text: str, entity: str) -> tuple[int, int]:
    hits = count_hits(pl.Series([text]), pl.Series([1]), [BY_ENTITY[entity]])
    return (hits[0].valid, hits[0].holds) if hits else (0, 0)


def damage(rng: random.Random, text: str) -> str:
    place = rng.randrange(len(text))
    kind = rng.random()
    if kind < 0.3:
        return text[:place] + rng.choice("0123456789X -.中") + text[place + 1 :]
    if kind < 0.5:
        return text[:place] + rng.choice(" -　－") + text[place:]
    if kind < 0.7:
        return "".join(WIDE.get(one, one) for one in text)
    return text


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(list(EXAMPLES)), st.sampled_from(AROUND), st.integers(0, 10**6))
def test_presidio_and_table_decide_the_same_on_identifiers_whole_and_damaged(
    entity: str, around: str, seed: int
) -> None:
    rng = random.Random(seed)
    text = around.replace("{}", damage(rng, EXAMPLES[entity](rng)))
    assert found_by_presidio(text) == found_by_table(text)


@settings(max_examples=250, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_presidio_and_table_decide_the_same_on_pieces(text: str) -> None:
    assert found_by_presidio(text) == found_by_table(text)


@pytest.mark.parametrize("text", ["130.0000.0000", "138.1234.5678 or so"])
def test_numbers_with_dots_pass_the_gates(text: str) -> None:
    assert "CN_MOBILE" in found_by_table(text)
    check_gates("CN_MOBILE", text)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(STRONG), st.data())
def test_presidio_and_table_decide_the_same_on_every_text_of_a_pattern(entity: str, data: st.DataObject) -> None:
    pattern = BY_ENTITY[entity].pattern.replace(r"\b", "")
    text = data.draw(st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True))
    assert found_by_presidio(text) == found_by_table(text)
    check_gates(entity, text)


def check_gates(entity: str, text: str) -> None:
    """The cheap gates let everything through that the pattern would find."""
    if re.search(python_pattern(BY_ENTITY[entity]), text):
        gates = pl.Series([text]).str
        assert gates.contains(_ANY).item()
        assert all(gates.contains(ascii_boundary(gate)).item() for gate in BY_ENTITY[entity].gates)
        assert not (BY_ENTITY[entity].marked and gates.contains("^[0-9A-Za-z_]*$").item())
        bare = BY_ENTITY[entity].bare if gates.contains("^[0-9A-Za-z_]*$").item() else None
        low, high = bare or BY_ENTITY[entity].lengths
        assert low <= len(text.encode()) <= high


@pytest.mark.parametrize("entity", EXAMPLES)
def test_every_example_is_found_by_both_whole_and_glued_to_chinese(entity: str) -> None:
    whole = make_examples(entity, 20)
    glued = [f"请核实{value}谢谢" for value in whole]
    recognizer = next(one for one in build_recognizers() if one.supported_entities == [entity])
    assert all(recognizer.analyze(text, [entity]) for text in whole + glued)
    assert find_holders(read_column(pl.Series(whole + glued)), BY_ENTITY[entity]).all()
    counted = count_hits(pl.Series(whole + glued), pl.Series([1] * 40), [BY_ENTITY[entity]])[0]
    assert (counted.valid, counted.holds) == (20, 20 if entity in STRONG else 0)


@pytest.mark.parametrize(
    ("text", "entity"),
    [
        ("110105 1949 1231 002X", "CN_RESIDENT_ID"),
        ("110105-19491231-002X", "CN_RESIDENT_ID"),
        ("１１０１０５１９４９１２３１００２Ｘ", "CN_RESIDENT_ID"),
        ("6222-0212-3456-7894", "CN_BANK_CARD"),
        ("138 0013 8000", "CN_MOBILE"),
        ("+86 138-0013-8000", "CN_MOBILE"),
        ("（+86）13800138000", "CN_MOBILE"),
        ("０５７１－８７６５４３２１", "CN_LANDLINE"),
        ("（0571）8765 4321", "CN_LANDLINE"),
        ("zhang＠163.com", "EMAIL_ADDRESS"),
        ("240e:0:0:0:0:0:0:1", "IP_ADDRESS"),
        ("fe80::1", "IP_ADDRESS"),
        ("粤BD12345", "CN_PLATE"),
        ("粤B12345D", "CN_PLATE"),
        ("粤Z1234港", "CN_PLATE"),
        ("911124198108030024", "CN_RESIDENT_ID"),
        ("1HGCM82633A004352", "CN_VIN"),
    ],
)
def test_both_read_separators_and_full_width_characters(text: str, entity: str) -> None:
    assert whole_by_table(text, entity) == (1, 0)
    found = engine().analyze(text, "zh", entities=[entity])
    assert [(one.start, one.end) for one in found] == [(0, len(text))]


@pytest.mark.parametrize(
    "text",
    ["6222021234567890 100元", "12:30:45", "a::b", "版本1.2.3", "110105194912310029", "4111111111111112", "2024-01-02"],
)
def test_both_leave_other_numbers_alone(text: str) -> None:
    strong = found_by_table(text) & set(STRONG)
    assert strong == found_by_presidio(text) & set(STRONG) == set()


@given(st.text(st.sampled_from([*READ_AS, *"ab1 。，："]), max_size=12))
def test_cells_and_texts_are_read_the_same(text: str) -> None:
    cells = read_column(pl.Series([text, "x"]))
    assert cells[0] == read_text(text).strip()
    assert len(read_text(text)) == len(text)


@pytest.mark.parametrize("identifier", [one for one in IDENTIFIERS if one.check], ids=lambda one: one.entity)
def test_table_checks_equal_scalar_checks(identifier: Any) -> None:
    rng = random.Random(7)
    texts = [damage(rng, text) for text in make_examples(identifier.entity, 1500)]
    cells = read_column(pl.Series(texts))
    cells = cells.filter(cells.str.contains("^(?:" + polars_pattern(identifier) + ")$"))
    expected = [SCALAR_CHECKS[identifier.check](text) for text in cells]
    assert run_check(identifier.check, cells).tolist() == expected
    assert identifier.check == "resident_id_15" or 0.05 < sum(expected) / len(expected) < 1
