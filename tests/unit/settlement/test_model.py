import datetime as dt
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shuzha.core.errors import Invalid
from shuzha.settlement.computing import compute_lines, settle
from shuzha.settlement.model import (
    GRACE,
    StatementKind,
    UsageFact,
    check_month_over,
    merge_facts,
    parse_period,
)
from shuzha.settlement.terms import Terms

ORGANISATIONS = {"provider": "org_p", "platform": "org_c", "operator": "org_o"}


def terms(infrastructure=500, shares=(4000, 1000, 5000), authorization="aut_1"):
    parties = dict(zip(("provider", "platform", "operator"), shares, strict=True))
    return Terms(authorization, infrastructure, parties, ORGANISATIONS)


def fact(count=1, price=120, *, waived=False, consumer="org_b", product="prd_1", first=0, last=0):
    return UsageFact(consumer, product, "37I2300000014", "aut_1", price, waived, count, first, last)


@pytest.mark.parametrize(
    ("price", "count", "fen"),
    [(1, 49, 0), (1, 50, 1), (120, 1, 1), (120, 2, 2), (120, 100_000, 120_000), (375, 3, 11), (149, 1, 1), (150, 1, 2)],
)
def test_a_line_is_rounded_once_at_prices_below_a_fen(price, count, fen):
    (line,) = compute_lines("2026-03", [fact(count, price)], {"prd_1": terms()})
    assert line.amount_fen == fen


facts = st.lists(
    st.builds(
        UsageFact,
        consumer=st.sampled_from(["org_a", "org_b"]),
        product=st.sampled_from(["prd_1", "prd_2"]),
        code=st.just("code"),
        authorization=st.just("aut_1"),
        price_hao=st.integers(0, 100_000),
        waived=st.booleans(),
        count=st.integers(1, 10_000_000),
        first=st.integers(0, 10**6),
        last=st.integers(10**6, 10**7),
    ),
    max_size=12,
)


@given(facts=facts, infrastructure=st.integers(0, 9_999), provider=st.integers(0, 10_000), seed=st.integers())
def test_every_sum_is_exact_and_order_does_not_matter(facts, infrastructure, provider, seed):
    rest = 10_000 - provider
    agreed = terms(infrastructure, (provider, rest // 3, rest - rest // 3))
    by_product = {"prd_1": agreed, "prd_2": agreed}
    found = settle("2026-03", facts, by_product)
    for one in (*found.of(StatementKind.BILL), *found.of(StatementKind.AUTHORIZATION)):
        assert sum(one.shares.values()) == one.due_fen == sum(line.due_fen for line in one.lines)
        assert one.amount_fen == one.due_fen + one.waived_fen
    totals = {kind: sum(one.due_fen for one in found.of(kind)) for kind in StatementKind}
    assert len(set(totals.values())) == 1
    earned = sum(one.shares["provider"] for one in found.of(StatementKind.PROVIDER))
    assert earned == sum(one.shares["provider"] for one in found.of(StatementKind.AUTHORIZATION))
    assert found.billed_uses() == sum(one.count for one in facts)
    shuffled = random.Random(seed).sample(facts, len(facts))
    assert settle("2026-03", shuffled, by_product) == found


def test_a_waived_line_is_priced_and_owed_by_nobody():
    bill = settle("2026-03", [fact(1000), fact(500, waived=True)], {"prd_1": terms()}).of(StatementKind.BILL)[0]
    assert (bill.amount_fen, bill.due_fen, bill.waived_fen) == (1800, 1200, 600)
    assert {line.waived: line.count for line in bill.lines} == {False: 1000, True: 500}


def test_a_price_change_makes_a_second_line_with_its_own_places():
    lines = settle("2026-03", [fact(10, first=3, last=40), fact(10, 200, first=41, last=60)], {"prd_1": terms()})
    assert [(line.price_hao, line.first, line.last) for line in lines.statements[0].lines] == [
        (120, 3, 40),
        (200, 41, 60),
    ]


def test_facts_of_one_grain_are_joined_before_the_rounding():
    assert merge_facts([fact(1, 1, first=4, last=4), fact(49, 1, first=9, last=80)]) == (fact(50, 1, first=4, last=80),)


def test_settle_refuses_usage_without_an_agreement():
    with pytest.raises(Invalid, match="has no agreement"):
        settle("2026-03", [fact(product="prd_9")], {"prd_1": terms()})


@pytest.mark.parametrize("shares", [(4000, 1000, 4999), (-1, 5001, 5000)])
def test_settle_refuses_shares_that_are_not_the_whole(shares):
    with pytest.raises(Invalid, match="do not sum"):
        settle("2026-03", [fact()], {"prd_1": terms(shares=shares)})


def test_a_period_is_a_month_of_the_city():
    start, end = parse_period("2026-02")
    assert start == dt.datetime(2026, 1, 31, 16, tzinfo=dt.UTC)
    assert end == dt.datetime(2026, 2, 28, 16, tzinfo=dt.UTC)


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "26-01", "2026-03-01", "", "0000-01"])
def test_a_period_refuses_another_form(text):
    with pytest.raises(Invalid, match="refuses this period"):
        parse_period(text)


def test_an_unfinished_month_is_refused_with_its_end():
    end = parse_period("2026-03")[1] + GRACE
    with pytest.raises(Invalid, match="not over"):
        check_month_over("2026-03", end - dt.timedelta(microseconds=1))
    check_month_over("2026-03", end)
