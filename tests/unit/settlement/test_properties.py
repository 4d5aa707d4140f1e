"""Properties of money: sums exact to the fen, order irrelevant, corrections telescope, a second computation agrees."""

from __future__ import annotations

import datetime as dt
import json
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shuzha.core.errors import Invalid
from shuzha.core.money import Amount, apportion, round_hao, tax_within
from shuzha.settlement import recompute
from shuzha.settlement.capping import Caps
from shuzha.settlement.computing import compute_lines, correct, settle
from shuzha.settlement.model import Cap, StatementKind, UsageFact
from shuzha.settlement.plans import (
    ByTime,
    Graduated,
    Minimum,
    Package,
    PerCall,
    Subscription,
    Tier,
    Trial,
    Version,
    Volume,
    charge,
    check_plan,
    dearest_use,
    read_plan,
)
from shuzha.settlement.terms import Band, EntryShare, FixedShare, Terms, entitled, split_added, split_entries

MONTH, PRODUCT, AUTHORIZATION = "2026-04", "prd_1", "aut_1"
PARTIES = ("provider", "platform", "operator")
prices, fees, numbers = st.integers(0, 5_000), st.integers(0, 20_000), st.integers(0, 300)


@st.composite
def tiers(draw) -> tuple[Tier, ...]:
    ends = sorted(draw(st.sets(st.integers(1, 400), max_size=3)))
    return tuple(Tier(end, draw(prices), draw(fees)) for end in [*ends, None])


basic = st.one_of(
    st.builds(PerCall, prices), st.builds(Graduated, tiers()), st.builds(Volume, tiers()),
    st.builds(Package, st.integers(1, 50), fees, numbers), st.builds(Subscription, fees, numbers, prices),
    st.builds(ByTime, fees),
)  # fmt: skip
days = st.dates(dt.date(2026, 4, 1), dt.date(2026, 4, 30))
plans = st.one_of(basic, st.builds(Trial, days, prices, basic), st.builds(Minimum, fees, basic))


@st.composite
def allocations(draw) -> dict[str, int]:
    first = draw(st.integers(0, 10_000))
    second = draw(st.integers(0, 10_000 - first))
    return dict(zip(PARTIES, (first, second, 10_000 - first - second), strict=True))


@st.composite
def terms(draw) -> Terms:
    ends = sorted(draw(st.sets(st.integers(1, 50_000), max_size=2)))
    versions = [
        Version(f"prc_{place}", PRODUCT, consumer, dt.date(2026, 4, 1), draw(plans), draw(st.booleans()))
        for place, consumer in enumerate(draw(st.sets(st.sampled_from(["", "org_a", "org_b"]))))
    ]
    entries = draw(st.dictionaries(st.sampled_from(["ent_1", "ent_2", "ent_3"]), st.integers(0, 9), min_size=1))
    claims = {"insured": dict.fromkeys(entries, 2), "paid": {next(iter(entries)): 1}}
    return Terms(
        AUTHORIZATION, draw(st.integers(0, 9_999)), draw(allocations()),
        {"provider": "org_p", "platform": "org_c", "operator": "org_o"},
        fixed=tuple(draw(st.lists(st.builds(FixedShare, st.sampled_from(PARTIES), fees), max_size=2))),
        bands=tuple(Band(end, draw(allocations())) for end in ends), versions=tuple(versions),
        vat=draw(st.sampled_from([0, 300, 600, 1300])),
        entries={name: EntryShare(f"org_{name}", weight) for name, weight in entries.items()},
        claims=claims, departments=frozenset({"org_d"}), code="37I2300000014",
    )  # fmt: skip


facts = st.lists(
    st.builds(
        UsageFact, consumer=st.sampled_from(["org_a", "org_b", "org_c", "org_d"]), product=st.just(PRODUCT),
        code=st.just("37I2300000014"), authorization=st.just(AUTHORIZATION), price_hao=st.sampled_from([0, 119, 120]),
        waived=st.booleans(), count=st.integers(-3, 400), first=st.integers(0, 9), last=st.integers(10, 99), day=days,
        purpose=st.sampled_from(["loan", "audit"]), claim=st.sampled_from(["insured", "paid", "other"]),
        kind=st.sampled_from(["verification", "service"]),
    ),
    max_size=10,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(facts=facts, agreed=terms())
def test_every_sum_is_exact_and_the_second_computation_agrees(facts: list[UsageFact], agreed: Terms) -> None:
    found = settle(MONTH, facts, {PRODUCT: agreed})
    for line in (line for one in found.of(StatementKind.BILL) for line in one.lines):
        assert sum(line.parts.values()) == line.due_fen
        assert sum(line.entries.values()) == line.parts["provider"]
    bills, shared = found.of(StatementKind.BILL), found.of(StatementKind.AUTHORIZATION)
    assert sum(one.due_fen for one in bills) == sum(sum(one.shares.values()) for one in shared)
    earned = sum(one.shares.get("provider", 0) for one in found.of(StatementKind.PROVIDER))
    assert earned == sum(one.shares["provider"] for one in shared)
    assert settle(MONTH, facts[::-1], {PRODUCT: agreed}) == found
    again = again_of(facts, agreed)
    assert again == [json.loads(msgspec.json.encode(line)) for line in compute_lines(MONTH, facts, {PRODUCT: agreed})]


def again_of(facts: list[UsageFact], agreed: Terms) -> list[dict]:
    """Return the lines as the stand-alone computation makes them of the same uses and agreement."""
    income = {
        "infrastructure_rate": agreed.infrastructure, "allocation": agreed.shares,
        "fixed": [{"party": one.party, "amount_fen": one.amount_fen} for one in agreed.fixed],
        "bands": [{"up_to_fen": one.up_to_fen, "allocation": one.shares} for one in agreed.bands],
    }  # fmt: skip
    made = {
        "code": agreed.code, "authorization": AUTHORIZATION, "provider": "org_p",
        "kind": "service", "claims": agreed.claims,
        "entries": {name: {"provider": one.provider, "weight": one.weight} for name, one in agreed.entries.items()},
        "agreement": {"agreement": {"income": income}}, "departments": list(agreed.departments),
        "versions": [msgspec.to_builtins(one) for one in agreed.versions],
    }  # fmt: skip
    uses = []
    for one in facts:
        event = {
            "product": PRODUCT, "consumer": one.consumer, "price": one.price_hao, "waived": one.waived,
            "purpose": one.purpose, "claim": one.claim, "kind": one.kind, "authorization": AUTHORIZATION,
        }  # fmt: skip
        # A fact has a first and a last place: as uses, the first has the count and the last nothing more.
        uses += [(one.first, {**event, "quantity": one.count}, one.day), (one.last, {**event, "quantity": 0}, one.day)]
    return recompute.Month(MONTH, {PRODUCT: made}, {}, agreed.vat).lines(sorted(uses, key=lambda use: use[0]))


@settings(max_examples=40, deadline=None)
@given(before=facts, late=facts, agreed=terms())
def test_corrections_and_the_month_sum_to_one_settlement_of_everything(before, late, agreed: Terms) -> None:
    by_product = {PRODUCT: agreed}
    settled = compute_lines(MONTH, before, by_product)
    corrections = correct(MONTH, before, [*before, *late], by_product)
    whole = compute_lines(MONTH, [*before, *late], by_product)
    for field in ("count", "amount_fen", "due_fen", "tax_fen"):
        assert sum(getattr(line, field) for line in (*settled, *corrections)) == sum(
            getattr(line, field) for line in whole
        )
    for party in ("tax", "infrastructure", *PARTIES):
        assert sum(line.parts.get(party, 0) for line in (*settled, *corrections)) == sum(
            line.parts[party] for line in whole
        )
    assert all(line.corrects == MONTH and sum(line.parts.values()) == line.due_fen for line in corrections)
    # Undone again, the month is what it was: a reversal undoes.
    undone = correct(MONTH, [*before, *late], before, by_product)
    assert sum(line.due_fen for line in (*corrections, *undone)) == 0


@settings(max_examples=40, deadline=None)
@given(
    months=st.lists(st.integers(0, 3_000), min_size=1, max_size=8), permitted=st.integers(0, 4_000),
    later=st.integers(0, 6_000), agreed=terms(), split=st.integers(1, 7),
)  # fmt: skip
def test_what_is_held_and_what_is_given_out_is_all_that_was_earned(months, permitted, later, agreed, split) -> None:
    caps = (
        Cap("cap_1", AUTHORIZATION, "2026-01", f"2026-{split:02d}", permitted, 0, 0, 0),
        Cap("cap_2", AUTHORIZATION, f"2026-{split + 1:02d}", "2026-12", later, 0, 0, 0),
    )
    agreed = Terms(AUTHORIZATION, agreed.infrastructure, agreed.shares, agreed.organisations, entries=agreed.entries)
    states, given_out, held_by = {}, {"cap_1": 0, "cap_2": 0}, 0
    for number, count in enumerate(months, 1):
        period = f"2026-{number:02d}"
        fact = UsageFact("org_a", PRODUCT, "c", AUTHORIZATION, 100, False, count, 0, 0)
        found = settle(period, [fact], {PRODUCT: agreed}, caps=Caps(caps, states))
        (shared,) = found.of(StatementKind.AUTHORIZATION)
        assert sum(shared.shares.values()) == shared.due_fen == count
        states = {AUTHORIZATION: shared.cap}
        held_by += shared.shares.get("carried", 0)
        given_out[shared.cap.cap] += count - shared.shares.get("carried", 0)
        assert sum(shared.cap.held.values()) == held_by >= 0
        assert all(fen >= 0 for fen in (*shared.cap.held.values(), *shared.cap.held_entries.values()))
        assert sum(shared.cap.held_entries.values()) == shared.cap.held.get("provider", 0)
        earned = sum(one.shares.get("provider", 0) for one in found.of(StatementKind.PROVIDER))
        assert earned == shared.shares["provider"]
    assert given_out["cap_1"] <= permitted
    assert given_out["cap_2"] <= later


@given(net=st.integers(-(10**6), 10**6), added=st.integers(-(10**6), 10**6), agreed=terms())
def test_the_waterfall_is_exact_and_never_takes_back_what_a_party_has(net: int, added: int, agreed: Terms) -> None:
    assert sum(entitled(agreed, net).values()) == net
    assert sum(split_added(agreed, net, added).values()) == added
    if net >= 0 and added >= 0:
        assert all(fen >= 0 for fen in split_added(agreed, net, added).values())


@given(part=st.integers(-(10**6), 10**6), agreed=terms(), uses=st.dictionaries(st.sampled_from("abc"), numbers))
def test_entries_split_the_providers_part_exactly(part: int, agreed: Terms, uses: dict[str, int]) -> None:
    assert sum(split_entries(agreed, part, uses).values()) == part


@given(gross=st.integers(-(10**9), 10**9), rate=st.integers(0, 2_000))
def test_tax_and_net_sum_to_the_gross_and_mirror(gross: int, rate: int) -> None:
    tax = tax_within(Amount(gross), rate).fen
    assert tax_within(Amount(-gross), rate).fen == -tax
    assert abs(Fraction(gross - tax) - Fraction(gross * 10_000, 10_000 + rate)) <= Fraction(1, 2)


def test_apportion_refuses_entitlements_that_are_not_the_whole() -> None:
    with pytest.raises(Invalid, match="do not sum"):
        apportion(3, {"a": Fraction(1), "b": Fraction(1)})


# Worked by hand: (plan, uses on days of April, 毫).
CASES = [
    ({"type": "per_call", "price": 120}, {1: 3, 9: 4}, 840),
    ({"type": "graduated", "tiers": [[10, 300, 5], [20, 200, 0], [None, 100, 7]]}, {1: 25}, 3000 + 500 + 2000 + 1200),
    ({"type": "volume", "tiers": [[10, 300, 5], [20, 200, 0], [None, 100, 7]]}, {1: 25}, 2500 + 700),
    ({"type": "volume", "tiers": [[10, 300, 5], [None, 100, 0]]}, {1: 10}, 3000 + 500),
    ({"type": "package", "size": 10, "price_fen": 30, "free": 5}, {1: 26}, 9000),
    ({"type": "package", "size": 10, "price_fen": 30, "free": 5}, {1: 5}, 0),
    ({"type": "subscription", "fee_fen": 990, "included": 20, "price": 50}, {1: 23}, 99_000 + 150),
    ({"type": "subscription", "fee_fen": 990, "included": 20, "price": 50}, {}, 99_000),
    ({"type": "by_time", "price_fen": 80}, {1: 500, 2: 1, 30: 7}, 24_000),
    ({"type": "trial", "until": "2026-04-15", "price": 10, "then": {"type": "per_call", "price": 120}}, {15: 2, 16: 3},
     380),
    ({"type": "minimum", "minimum_fen": 10, "then": {"type": "per_call", "price": 120}}, {1: 3}, 1000),
    ({"type": "minimum", "minimum_fen": 10, "then": {"type": "per_call", "price": 120}}, {1: 10}, 1200),
]  # fmt: skip


def listed(plan: dict) -> dict:
    names = ("up_to", "price", "flat_fen")
    return plan | (
        {"tiers": [dict(zip(names, tier, strict=True)) for tier in plan["tiers"]]} if "tiers" in plan else {}
    )


@pytest.mark.parametrize(("plan", "uses", "hao"), CASES)
def test_a_plan_costs_what_one_works_out_by_hand(plan: dict, uses: dict[int, int], hao: int) -> None:
    read = read_plan(listed(plan))
    check_plan(read)
    by_day = {dt.date(2026, 4, day): count for day, count in uses.items()}
    assert sum(step.hao for step in charge(read, by_day)) == hao
    assert sum(step["hao"] for step in recompute.steps_of(listed(plan), by_day)) == hao
    assert round_hao(-hao).fen == -round_hao(hao).fen


@pytest.mark.parametrize(
    "plan",
    [
        {"type": "per_call", "price": -1}, {"type": "per_call"}, {"type": "per_use", "price": 1},
        {"type": "package", "size": 0, "price_fen": 3}, {"type": "graduated", "tiers": []},
        {"type": "graduated", "tiers": [[10, 1, 0]]}, {"type": "volume", "tiers": [[None, 1, 0], [None, 2, 0]]},
        {"type": "volume", "tiers": [[20, 1, 0], [10, 2, 0], [None, 2, 0]]},
        {"type": "minimum", "minimum_fen": 1, "then": {"type": "minimum", "minimum_fen": 1}},
        {"type": "per_call", "price": 1, "prise": 2},
    ],
)  # fmt: skip
def test_a_plan_that_makes_no_sense_is_refused(plan: dict) -> None:
    with pytest.raises(Invalid, match="price plan is refused"):
        check_plan(read_plan(listed(plan)))


def test_a_package_counts_as_its_price_over_its_size_against_a_ceiling() -> None:
    assert dearest_use(Package(3, 100, 0)) == 3334
    assert dearest_use(Minimum(10**6, Graduated((Tier(5, 30), Tier(None, 20))))) == 30
