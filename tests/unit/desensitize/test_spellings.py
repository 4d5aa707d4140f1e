"""Attacks by spelling: what reads as one must count as one, be found and be taken out, however it is written."""

from __future__ import annotations

import polars as pl
import pytest

import desensitize
from desensitize import dp
from desensitize.freetext.redaction import redact_text
from desensitize.identifiers.reading import READ_AS
from desensitize.transform.plan import Plan

PERSON = "330106199003071236"
# A joiner, a mark of byte order, a soft hyphen, a mark of direction, a variation selector, a tag.
UNSEEN = ["\u200b", "\ufeff", "\u00ad", "\u200f", "\ufe0f", "\U000e0041"]
SPELLINGS = [
    *(PERSON[:6] + one + PERSON[6:] for one in UNSEEN),
    *(one + PERSON + one for one in UNSEEN),
    "330106 19900307 1236", "330106-1990-0307-1236", " 330106 199003071236\u200b",
]  # fmt: skip


def test_one_person_in_any_spelling_is_one_entity_and_one_pseudonym() -> None:
    table = pl.DataFrame({"id": [PERSON, *SPELLINGS], "area": "A"})
    assert desensitize.measure_risk(table, ["area"], entity="id").smallest_class == 1
    plan = Plan.from_dict({"columns": {"id": {"technique": "pseudonymize", "normalize": True}, "area": "drop"}})
    assert desensitize.apply(table, plan, bytes(range(32))).frame.collect()["id"].n_unique() == 1


def test_one_person_in_any_spelling_is_one_privacy_unit() -> None:
    table = pl.DataFrame({"id": [PERSON, *SPELLINGS]})
    query = dp.Count(unit=dp.Unit("id"), noise=dp.Noise(epsilon=50.0))
    assert dp.answer(table, query, dp.Accountant(dp.Cap(50.0))).estimate == 1


def test_numbers_of_other_forms_stay_different_people() -> None:
    table = pl.DataFrame({"id": ["12-3", "1-23", "20240101-0012", "2024010-10012", "330106 19900307 123", "张 三"]})
    assert desensitize.measure_risk(table, [], entity="id").smallest_class == table.height


@pytest.mark.parametrize("unseen", UNSEEN)
def test_scan_finds_identifiers_that_hold_unseen_characters(unseen: str) -> None:
    cells = [f"138{unseen}{number:04}{unseen}{number:04}" for number in range(200)]
    column = desensitize.scan(pl.DataFrame({"value": cells}))["value"]
    assert [found.entity for found in column.entities] == ["CN_MOBILE"]
    assert column.role == "direct"


@pytest.mark.parametrize("unseen", UNSEEN)
def test_redaction_takes_out_what_holds_unseen_characters(unseen: str) -> None:
    text = f"请联系138{unseen}1234{unseen}5678，邮箱zhang{unseen}@163.com，证件{PERSON[:14]}{unseen}{PERSON[14:]}"
    plan = Plan.from_dict({"columns": {"note": {"technique": "redact", "names": False}}})
    made = desensitize.apply(pl.DataFrame({"note": [text]}), plan).frame.collect()["note"][0]
    assert made == "请联系[手机号1]，邮箱[邮箱1]，证件[身份证号1]"


@pytest.mark.parametrize("written", [wide for wide, plain in READ_AS.items() if plain in " .-"] + [*" .-—"])
def test_redaction_reads_separators_as_the_scan_does(written: str) -> None:
    assert redact_text(f"电话138{written}1234{written}5678。", names=False) == "电话[手机号1]。"
