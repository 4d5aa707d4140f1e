"""Whole columns are hashed as single questions are, whatever is written in them."""

from __future__ import annotations

import re

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from products.serving import rows as rows_of
from products.serving.rows import Recipe, read_keyed, written_subjects
from products.serving.subjects import message, normal, subject_hash
from sandbox.airlock.grammar import Claim
from sandbox.airlock.specification import VerificationSpecification
from shuzha.core.conditions import Condition, Op
from shuzha.core.errors import Invalid

KEY = bytes(range(32))


def recipe(*subject, row_filter=()):
    specification = VerificationSpecification("ent_1", list(subject), [claim("paid", True), claim("unpaid", False)])
    return Recipe(specification, row_filter, KEY)


def claim(name, value):
    return Claim(name, name, [Condition("paid", Op.EQ, value)])


def keyed(frame, made, only=None):
    found = []
    read_keyed(frame.lazy(), made, found.append, only)
    return sorted(
        (int(high).to_bytes(8) + int(low).to_bytes(8), int(bits))
        for batch in found
        for high, low, bits in zip(*batch.columns, strict=True)
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=6), st.booleans()), min_size=1, max_size=30))
@example([("11010519491231002x", " 张三 ", True), ("１１０１", "İǅß", False), ("\x1c1", "阿依古丽·买买提", True)])
def test_columns_are_hashed_as_questions_are(people):
    frame = pl.DataFrame(people, ["resident_id", "name", "paid"], orient="row")
    wanted = sorted((subject_hash(KEY, (number, name)), 1 if paid else 2) for number, name, paid in people)
    assert keyed(frame, recipe("resident_id", "name")) == wanted


def test_letters_that_columns_hash_by_themselves_have_a_plain_normal_form():
    plain = re.compile(re.sub(r"\\x\{([0-9a-f]+)\}", lambda one: chr(int(one[1], 16)), rows_of._PLAIN))
    letters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000 and plain.match(chr(code))]
    assert len(letters) > 60_000
    for letter in letters:
        assert normal(f"a{letter}a") == f"A{letter.upper() if letter.isascii() else letter}A"


def test_rows_without_a_whole_subject_and_outside_the_row_filter_are_left_out():
    frame = pl.DataFrame({"who": ["a", None, "b", "c"], "paid": [True, True, None, True], "kind": ["x", "x", "x", "y"]})
    made = recipe("who", row_filter=[Condition("kind", Op.EQ, "x")])
    assert keyed(frame, made) == sorted([(subject_hash(KEY, ["a"]), 1), (subject_hash(KEY, ["b"]), 0)])


def test_numbers_and_dates_are_subjects_by_their_text():
    frame = pl.DataFrame({"number": [7], "paid": [True]}).with_columns(day=pl.date(2026, 2, 3))
    assert keyed(frame, recipe("number", "day")) == [(subject_hash(KEY, ["7", "2026-02-03"]), 1)]


def test_a_column_that_is_not_there_is_refused():
    with pytest.raises(Invalid, match="no column `who`"):
        keyed(pl.DataFrame({"paid": [True]}), recipe("who"))


def test_a_failure_on_the_way_is_heard():
    frame = pl.DataFrame({"who": ["1", "x"], "paid": [True, True]}).lazy()
    broken = frame.with_columns(pl.col("who").str.to_integer(strict=True).cast(pl.String))
    with pytest.raises(pl.exceptions.ComputeError):
        read_keyed(broken, recipe("who"), lambda batch: None)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "A ", "ａ", "b", "Ｂ", "c", "ç", "Ç", "张"]), min_size=1, max_size=20),
    st.lists(st.sampled_from(["a", "ａ", "b", "ç", "张", "none"]), max_size=4),
)
def test_the_rows_of_some_subjects_are_found_in_every_spelling(there, asked):
    frame = pl.DataFrame({"who": there, "paid": True})
    made = recipe("who")
    some = written_subjects(
        pl.DataFrame({"who": asked, "paid": True}, {"who": pl.String, "paid": pl.Boolean}).lazy(), made
    )
    assert some.height == len({message([one]) for one in asked})
    wanted = {subject_hash(KEY, [one]) for one in asked}
    found = keyed(frame, made, some)
    assert [one for one in found if one[0] in wanted] == [one for one in keyed(frame, made) if one[0] in wanted]
