"""From metered calls to statements: the month, the money and the counts, on the writer's own store."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import sqlite3
from dataclasses import replace

import pytest

from shuzha.core.clock import FixedClock
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound
from shuzha.core.ids import new_id
from shuzha.ledger.checkpoint import Signer
from shuzha.metering.events import UsageEvent, microseconds
from shuzha.metering.writer import open_store
from shuzha.settlement import recompute
from shuzha.settlement.approving import StatementDesk
from shuzha.settlement.model import StatementKind
from shuzha.settlement.service import SettlementService
from shuzha.settlement.sources import UsageSource
from shuzha.settlement.store import STATEMENTS
from tests.products_kit import ProductCity


class Books:
    """A city with a product, the usage store, and its settlement."""

    def __init__(self, folder):
        self.city = ProductCity(folder, FixedClock(dt.datetime(2026, 2, 2, 4, tzinfo=dt.UTC)))
        self.product = self.city.verification()
        self.used = []
        self.store = open_store(
            folder, Signer("shuzha/usage", self.city.keys.signing_key("ledger:usage")), self.city.clock
        )
        source = UsageSource(folder / "usage", folder / "logs" / "usage")
        self.service = SettlementService(self.city.database, self.city.policies, source)

    def use(self, count, **changes):
        values = {
            "kind": "verification", "key_id": "key_1", "consumer": "org_bank", "product": self.product.id,
            "authorization": self.product.authorization, "policy_version": "v", "claim": "insured",
            "purpose": "loan-review", "answer": "{}", "price": 120, "waived": False, "request_digest": "d",
            "occurred_at": dt.datetime(2026, 3, 10, tzinfo=dt.UTC),
        } | changes  # fmt: skip
        events = []
        for _ in range(count):
            usage_id = new_id("usg")
            events.append(UsageEvent(**{"usage_id": usage_id, "idempotency_key": usage_id, **values}))
            self.used.append(usage_id)
        self.store.record(events)

    def month_over(self):
        self.city.clock.advance(dt.datetime(2026, 4, 2, tzinfo=dt.UTC) - self.city.clock.now())
        self.store.publish()


@pytest.fixture
def books(tmp_path):
    made = Books(tmp_path)
    yield made
    made.store.close()


def test_a_month_is_settled_once_and_every_count_agrees(books):
    books.use(701)
    books.use(50, waived=True)
    books.use(33, consumer="org_shop")
    books.use(5, price=333)
    books.use(9, occurred_at=dt.datetime(2026, 3, 31, 16, tzinfo=dt.UTC))  # already April in the city
    books.month_over()
    city = books.city
    statements = books.service.settle(city.authority, "2026-03")
    bills = [one for one in statements if one.kind is StatementKind.BILL]
    assert {one.subject: one.due_fen for one in bills} == {"org_bank": 841 + 17, "org_shop": 40}
    (shared,) = [one for one in statements if one.kind is StatementKind.AUTHORIZATION]
    assert shared.organisation == "org_operator"
    assert sum(shared.shares.values()) == sum(one.due_fen for one in bills)
    assert (shared.shares["tax"], shared.tax_fen) == (48 + 1 + 2, 48 + 1 + 2)  # 6 % within the price
    assert shared.shares["infrastructure"] == 79 + 2 + 4
    (provider,) = [one for one in statements if one.kind is StatementKind.PROVIDER]
    assert provider.organisation == "org_provider"
    assert books.service.settle(city.authority, "2026-03") == statements
    found = books.service.reconcile(city.regulator, "2026-03", acknowledged=789)
    assert found.equal, found
    assert not books.service.reconcile(city.regulator, "2026-03", acknowledged=790).equal
    again = books.service.recount(city.regulator, "2026-03")
    assert again.equal
    assert {one.digest for one in again.settlement.statements} == {one.digest for one in statements}


def test_lines_say_where_in_the_log_their_uses_stand(books):
    books.use(3)
    books.use(2, waived=True)
    books.month_over()
    (bill, *_) = books.service.settle(books.city.authority, "2026-03")
    assert [(line.waived, line.first, line.last, line.count) for line in bill.lines] == [
        (False, 0, 2, 3),
        (True, 3, 4, 2),
    ]


def test_an_unfinished_month_is_shown_so_far_and_not_settled(books):
    books.use(10)
    with pytest.raises(Invalid, match="not over"):
        books.service.settle(books.city.authority, "2026-03")
    so_far = books.service.so_far(books.city.authority, "2026-03")
    assert so_far.billed_uses() == 10
    assert books.service.list_statements(books.city.authority) == ()


def test_usage_that_comes_after_the_settlement_changes_nothing_and_is_a_correction_of_the_next(books):
    books.use(10)
    books.month_over()
    before = books.service.settle(books.city.authority, "2026-03")
    books.use(99)
    books.use(4, waived=True)
    books.use(5, occurred_at=dt.datetime(2026, 4, 1, 9, tzinfo=dt.UTC))
    assert books.service.settle(books.city.authority, "2026-03") == before
    assert books.service.recount(books.city.regulator, "2026-03").equal
    books.city.clock.advance(dt.timedelta(days=30))
    after = books.service.settle(books.city.authority, "2026-04")
    (bill,) = [one for one in after if one.kind is StatementKind.BILL]
    # 10 calls were 12 fen, 109 are 131 fen: the late 99 cost 119, though alone they would be 118.8 fen.
    assert [(line.corrects, line.waived, line.count, line.amount_fen, line.due_fen) for line in bill.lines] == [
        ("", False, 5, 6, 6),
        ("2026-03", False, 99, 119, 119),
        ("2026-03", True, 4, 5, 0),
    ]
    assert sum(sum(line.parts.values()) for line in bill.lines) == bill.due_fen == 125
    assert books.service.recount(books.city.regulator, "2026-04").equal
    for month in ("2026-03", "2026-04"):
        assert books.service.reconcile(books.city.regulator, month).equal


def test_a_settlement_that_was_killed_goes_on_to_the_same_bytes(books, monkeypatch):
    books.use(10)
    books.month_over()
    city = books.city
    whole = SettlementService._finish
    monkeypatch.setattr(SettlementService, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        books.service.settle(city.authority, "2026-03")
    monkeypatch.setattr(SettlementService, "_finish", whole)
    assert books.service.list_statements(city.authority) == ()
    books.use(7)
    found = books.service.settle(city.authority, "2026-03")
    assert {one.log_size for one in found} == {10}
    assert sum(line.count for one in found if one.kind is StatementKind.BILL for line in one.lines) == 10


def test_months_are_settled_in_their_order_and_none_is_left_out(books):
    books.use(10)
    books.use(5, occurred_at=dt.datetime(2026, 4, 3, tzinfo=dt.UTC))
    books.city.clock.advance(dt.datetime(2026, 5, 2, tzinfo=dt.UTC) - books.city.clock.now())
    books.service.settle(books.city.authority, "2026-04")
    assert {one.period for one in books.service.list_statements(books.city.authority)} == {"2026-03", "2026-04"}
    with pytest.raises(Conflict, match="is settled already"):
        books.service.settle(books.city.authority, "2026-02")


def test_each_sees_its_own_statements_only(books):
    books.use(10)
    books.use(10, consumer="org_shop")
    books.month_over()
    books.service.settle(books.city.authority, "2026-03")
    city, list_for = books.city, books.service.list_statements
    assert list_for(city.consumer) == list_for(city.provider) == list_for(city.operator) == ()
    assert len(list_for(city.regulator)) == 4
    StatementDesk(city.database, city.policies).approve_month(city.authority, "2026-03")
    assert {one.subject for one in list_for(city.consumer)} == {"org_bank"}
    assert {one.kind for one in list_for(city.provider)} == {StatementKind.PROVIDER}
    assert {one.kind for one in list_for(city.operator)} == {StatementKind.AUTHORIZATION}
    assert list_for(city.rival) == ()
    assert len(list_for(city.regulator)) == 4
    (bill,) = list_for(city.consumer)
    with pytest.raises(NotFound):
        books.service.get_statement(city.other_provider, bill.id)
    with pytest.raises(NotAllowed):
        books.service.settle(city.operator, "2026-03")


def test_a_month_without_usage_has_no_statement(books):
    books.month_over()
    assert books.service.settle(books.city.authority, "2026-03") == ()
    assert books.service.reconcile(books.city.regulator, "2026-03", 0).equal


def test_statements_are_stored_as_they_were_computed(books):
    books.use(10)
    books.month_over()
    for statement in books.service.settle(books.city.authority, "2026-03"):
        stored = books.service.get_statement(books.city.regulator, statement.id)
        assert stored == statement
        assert replace(stored.as_draft(), digest="").computed_digest() == statement.digest


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (StatementKind.BILL, {"due_fen": 1}),
        (StatementKind.BILL, {"waived_fen": 100}),
        (StatementKind.BILL, {"lines": ()}),
        (StatementKind.AUTHORIZATION, {"shares": {"operator": 12}}),
        (StatementKind.PROVIDER, {"amount_fen": 10**6}),
    ],
)
def test_a_stored_statement_that_somebody_edits_is_found_though_its_digest_stands(books, kind, changes):
    books.use(100)
    books.month_over()
    statements = books.service.settle(books.city.authority, "2026-03")
    (one,) = [one for one in statements if one.kind is kind]
    assert books.service.recount(books.city.regulator, "2026-03").equal
    with books.city.database.work(books.city.authority) as work:
        work.save(STATEMENTS, replace(one, **changes))
    assert books.service.recount(books.city.regulator, "2026-03").differing == (one.id,)


@pytest.mark.parametrize(
    "edit", ["UPDATE uses SET quantity = 2 WHERE log_index < 50", "DELETE FROM uses WHERE log_index = 7"]
)
def test_a_meter_that_somebody_edits_is_not_billed(books, edit):
    books.use(100)
    books.month_over()
    with contextlib.closing(sqlite3.connect(books.city.folder / "usage" / "usage.db")) as meter, meter:
        meter.execute(edit)
    with pytest.raises(Conflict, match="usage log"):
        books.service.settle(books.city.authority, "2026-03")
    assert books.service.list_statements(books.city.authority) == ()


def test_compute_of_a_workspace_is_the_operating_units_to_pay_and_all_infrastructure(books):
    books.use(100)
    books.use(1, kind="compute", consumer="org_operator", product="wsp_1", price=50, quantity=3600, claim="core-second")
    books.month_over()
    statements = books.service.settle(books.city.authority, "2026-03")
    bills = {one.subject: one for one in statements if one.kind is StatementKind.BILL}
    assert bills["org_operator"].due_fen == 1800
    assert bills["org_operator"].shares == {
        "tax": 102, "infrastructure": 1698, "provider": 0, "platform": 0, "operator": 0,
    }  # fmt: skip
    assert {one.subject for one in statements if one.kind is StatementKind.PROVIDER} == {"org_provider"}
    books.store.publish()
    bundle = json.loads(books.service.bundle(books.city.regulator, "2026-03"))
    assert recompute.verify(bundle, books.city.folder / "logs" / "usage") == []


def test_a_reversal_after_the_settlement_is_a_credit_note_that_mirrors_the_charge(books):
    books.use(701)
    books.month_over()
    city = books.city
    before = books.service.settle(city.authority, "2026-03")
    (bill,) = [one for one in before if one.kind is StatementKind.BILL]
    for usage_id in books.used[:2]:
        books.store.reverse(usage_id, "asked twice by mistake", microseconds(city.clock.now()))
    city.clock.advance(dt.timedelta(days=31))
    after = books.service.settle(city.authority, "2026-04")
    (credit,) = [one for one in after if one.kind is StatementKind.BILL]
    (line,) = credit.lines
    assert (line.corrects, line.count, line.due_fen) == ("2026-03", -2, 839 - 841)
    assert sum(line.parts.values()) == credit.due_fen == -2
    assert bill.due_fen == 841
    assert books.service.recount(city.regulator, "2026-04").equal
    assert books.service.reconcile(city.regulator, "2026-03", acknowledged=699).equal
