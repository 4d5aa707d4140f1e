"""The regulator's own computation: a second implementation, from the log and the inputs alone, byte for byte."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys

import pytest

from shuzha.core.money import Price
from shuzha.metering.events import microseconds
from shuzha.settlement import recompute
from shuzha.settlement.plans import read_plan
from shuzha.settlement.pricing import NewCap, NewPrice, PricingService
from tests.integration.products.test_settlement import Books, books  # noqa: F401

GRADUATED = {"type": "graduated", "tiers": [{"up_to": 100, "price": 333, "flat_fen": 7}, {"up_to": None, "price": 121}]}
PLANS = (
    ("org_bank", GRADUATED),
    ("org_shop", {"type": "minimum", "minimum_fen": 5000, "then": {"type": "volume", "tiers": GRADUATED["tiers"]}}),
    ("org_club", {"type": "subscription", "fee_fen": 990, "included": 10, "price": 150}),
    ("org_firm", {"type": "package", "size": 30, "price_fen": 410, "free": 5}),
    ("org_days", {"type": "by_time", "price_fen": 125}),
    ("org_poor", {"type": "minimum", "minimum_fen": 300, "then": {"type": "per_call", "price": 210}}),
)


@pytest.fixture
def priced(books: Books) -> Books:  # noqa: F811
    """Every kind of plan, a cap, three months of uses, late ones and reversed ones; March and April settled."""
    city = books.city
    pricing = PricingService(city.database, city.policies)
    for consumer, plan in PLANS:
        waived = ("loan-review",) if consumer == "org_poor" else ()
        new = NewPrice(read_plan(plan), dt.date(2026, 4, 1), consumer, waived_purposes=waived)
        pricing.publish(city.operator, books.product.id, new)
    trial = {"type": "trial", "until": "2026-04-15", "price": 55, "then": {"type": "per_call", "price": 155}}
    pricing.publish(city.operator, books.product.id, NewPrice(read_plan(trial), dt.date(2026, 4, 1), "org_new"))
    cap = NewCap("2026-03", "2026-04", 1500, 200, 300, 50, "decision 7")
    pricing.set_cap(city.authority, books.product.authorization, cap)
    for consumer in ("org_bank", "org_shop"):
        books.use(70, consumer=consumer)
    books.month_over()
    books.service.settle(city.authority, "2026-03")
    for day in (1, 14, 16):
        at = dt.datetime(2026, 4, day, 3, tzinfo=dt.UTC)
        for consumer in ("org_bank", "org_shop", "org_firm", "org_days", "org_new", "org_list", "org_poor"):
            books.use(61, consumer=consumer, occurred_at=at)
            books.use(3, consumer=consumer, occurred_at=at, purpose="statistics")
    books.use(9, consumer="org_bank")
    books.store.reverse(books.used[0], "asked twice", microseconds(city.clock.now()))
    city.clock.advance(dt.timedelta(days=31))
    books.service.settle(city.authority, "2026-04")
    books.store.publish()
    return books


def bundle_of(books: Books, period: str) -> dict[str, object]:  # noqa: F811
    return json.loads(books.service.bundle(books.city.regulator, period))


@pytest.mark.parametrize("period", ["2026-03", "2026-04"])
def test_a_month_of_every_plan_is_computed_again_byte_for_byte(priced: Books, period: str) -> None:
    found = bundle_of(priced, period)
    assert recompute.verify(found, priced.city.folder / "logs" / "usage") == []
    assert len(found["statements"]) >= 4
    if period == "2026-04":
        shared = next(one for one in found["statements"] if one["kind"] == "authorization")
        assert {line["plan_type"] for line in shared["lines"]} >= {"graduated", "minimum", "subscription", "trial"}
        assert sum(shared["shares"].values()) == shared["due_fen"]
        assert shared["shares"]["carried"] > 0 == sum(shared["cap"]["held"].values()) - shared["shares"]["carried"]
        assert {line["corrects"] for line in shared["lines"]} == {"", "2026-03"}


def change_price(found: dict) -> None:
    found["closings"][-1]["versions"][0]["plan"]["tiers"][0]["price"] = 332


def change_agreement(found: dict) -> None:
    agreed = next(iter(found["closings"][-1]["agreements"].values()))
    agreed["document"]["agreement"]["income"]["infrastructure_rate"] += 1


def change_statement(found: dict) -> None:
    found["statements"][0]["lines"][0]["due_fen"] += 1


def drop_statement(found: dict) -> None:
    del found["statements"][0]


def skip_entries(found: dict) -> None:
    found["closings"][-1]["log_from"] += 1


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (change_price, "is not what the log"), (change_agreement, "is not the one that was signed"),
        (change_statement, "is not what the log"), (drop_statement, "is missing"), (skip_entries, "leaves entries"),
    ],
)  # fmt: skip
def test_whatever_is_edited_is_found(priced: Books, edit, said: str) -> None:
    found = bundle_of(priced, "2026-04")
    edit(found)
    wrong = recompute.verify(found, priced.city.folder / "logs" / "usage")
    assert wrong
    assert said in wrong[0]


def test_the_file_runs_alone_without_the_project(priced: Books, tmp_path) -> None:
    bundle = tmp_path / "month.json"
    bundle.write_bytes(priced.service.bundle(priced.city.regulator, "2026-04"))
    file = recompute.__file__
    run = [sys.executable, "-I", "-S", file, str(bundle), "--usage", str(priced.city.folder / "logs" / "usage")]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.startswith("equal: ")) == (0, True), done.stdout + done.stderr


def test_a_ceiling_refuses_a_dearer_plan(books: Books) -> None:  # noqa: F811
    city = books.city
    pricing = PricingService(city.database, city.policies)
    pricing.set_ceiling(city.authority, books.product.id, Price(300), dt.date(2026, 3, 1), "发改价格〔2026〕1号")
    with pytest.raises(Exception, match="more than the ceiling allows"):
        pricing.publish(city.operator, books.product.id, NewPrice(read_plan(GRADUATED), dt.date(2026, 4, 1)))
