"""A data service asked through the API, and attacked by subtraction, small groups, ranges, versions, errors, time."""

from __future__ import annotations

import itertools
import time

import polars as pl
import pytest

from products.forms.line import serve
from products.forms.predicting.pool import Pool
from products.forms.predicting.probing import Probing
from products.forms.querying.answers import SERVICE_ANSWERS
from products.forms.querying.desk import QUANTUM
from tests.forms_kit import FormCity, caller

COLUMNS = ("resident_id", "period", "kind", "paid", "district_code", "base")
SIZES = {"370102": 90, "370103": 70, "370104": 60, "370105": 40, "370112": 6}
BASES = [4000, 4003, 4020, 4025, 4040, 4100, 4262]


def register(extra: int = 0) -> pl.DataFrame:
    """Return one pension a person: whoever has number n has a base of 4000 + n, so that each range is known."""
    districts = [code for code, count in SIZES.items() for _ in range(count)]
    # Districts are spread over the numbers, so that a range of bases is no district.
    order = sorted(range(len(districts)), key=lambda number: (number * 7919) % 997)
    rows = [
        {"resident_id": f"37010219800101{number:04d}", "period": "2026-02", "kind": "pension",
         "paid": number % 2 == 0, "district_code": districts[place], "base": 4000 + number}
        for number, place in enumerate(order)
    ]  # fmt: skip
    more = [
        {"resident_id": f"37010219900101{number:04d}", "period": "2026-02", "kind": "pension",
         "paid": number % 2 == 0, "district_code": "370102", "base": 4050}
        for number in range(extra)
    ]  # fmt: skip
    return pl.DataFrame(rows + more)


FRAME = register()


def asked(entry, **changes):
    told = {
        "entry": entry.id, "aggregate": "entities", "rows": [], "where": [],
        "parameters": [
            {"name": "district", "column": "district_code", "domain": list(SIZES), "optional": True},
            {"name": "base_from", "column": "base", "op": "ge", "domain": BASES, "optional": True},
            {"name": "paid", "column": "paid", "domain": [True, False], "optional": True},
        ],
    }  # fmt: skip
    return told | changes


class World:
    """A city with a data service, asked over its real line."""

    def __init__(self, folder, **limits):
        self.made = FormCity(folder)
        self.entry, self.grant = self.made.granted(FRAME, columns=COLUMNS)
        self.product = self.made.service(asked(self.entry), self.grant)
        self.limits = limits
        self.parts = self.made.parts()
        self.secrets = {}

    async def start(self):
        self.probing = Probing(self.made.folder / "products" / "probing.db", b"k" * 32)
        answering = self.made.answering(Pool(), self.probing, **self.limits)
        self.server = await serve(self.made.folder / "run" / "forms.sock", answering.answer)
        return self

    def stop(self):
        self.server.close()
        self.probing.close()

    async def ask(self, product=None, who=None, idempotency="", **parameters):
        product = product or self.product
        actor = who or self.made.city.consumer
        secret = self.secrets.setdefault((product.id, actor.id), self.made.secret(product, actor))
        self.parts.state.step()
        headers = {"Idempotency-Key": idempotency} if idempotency else {}
        async with caller(self.parts, secret) as client:
            sent = {"purpose": "loan-review"} | parameters
            return await client.get(f"/v1/products/{product.code}/query", params=sent, headers=headers)

    async def figure(self, **parameters):
        answer = await self.ask(**parameters)
        assert answer.status_code == 200, answer.text
        found = answer.json()["result"]
        return None if found["withheld"] else found["cells"][0][0]


@pytest.fixture
async def world(tmp_path):
    made = await World(tmp_path).start()
    yield made
    made.stop()


async def test_an_answer_is_what_the_raw_rows_say_and_is_metered(world):
    answer = await world.ask(district="370102")
    assert answer.json()["result"] == {
        "withheld": False, "data_version": world.entry.raw_version, "columns": ["entities"], "cells": [[90]],
    }  # fmt: skip
    (event,) = world.parts.meter.events
    assert (event.usage_id, event.kind, event.price, event.waived) == (answer.json()["usage_id"], "service", 120, False)
    assert "370102" not in event.request_digest


async def test_groups_are_answered_with_small_cells_held_back(tmp_path):
    world = await World(tmp_path).start()
    try:
        product = world.made.service(asked(world.entry, rows=["district_code"]), world.grant)
        found = (await world.ask(product, paid="true")).json()["result"]
        cells = dict(found["cells"])
        truth = dict(FRAME.filter("paid").group_by("district_code").len().iter_rows())
        assert found["columns"] == ["district_code", "entities"]
        assert cells["370112"] is None
        assert sum(value is None for value in cells.values()) >= 2
        assert all(value == truth[code] for code, value in cells.items() if value is not None)
    finally:
        world.stop()


async def test_a_small_group_is_withheld_and_costs_nothing(world):
    answer = await world.ask(district="370112")
    assert answer.json()["result"] == {
        "withheld": True, "data_version": world.entry.raw_version, "columns": [], "cells": [],
    }  # fmt: skip
    assert world.parts.meter.events[0].waived


async def test_two_parameter_sets_cannot_be_subtracted_whoever_asks_the_second(world):
    assert await world.figure(base_from=4000) == 266
    assert await world.figure(base_from=4003) is None
    assert await world.figure(base_from=4003, who=world.made.city.other_consumer) is None
    other = world.made.service(asked(world.entry, where=[{"column": "base", "op": "ge", "value": 4003}]), world.grant)
    assert await world.figure(product=other) is None
    assert await world.figure(base_from=4020) == 246
    assert await world.figure() == 266


async def test_a_small_part_cannot_be_found_from_the_whole_and_the_other_parts(world):
    parts = [await world.figure(district=code) for code in list(SIZES)[:4]]
    assert parts == [90, 70, 60, 40]
    assert await world.figure() is None


async def test_many_overlapping_ranges_leave_no_two_answers_that_differ_by_few(world):
    populations = {}
    for start, paid in itertools.product([None, *BASES], [None, True, False]):
        sent = ({} if start is None else {"base_from": str(start)}) | (
            {} if paid is None else {"paid": str(paid).lower()}
        )
        found = await world.figure(**sent)
        who = FRAME.filter(
            (pl.lit(value=True) if start is None else pl.col("base") >= start)
            & (pl.lit(value=True) if paid is None else pl.col("paid") == paid)
        )["resident_id"].to_list()  # fmt: skip
        if found is not None:
            assert found == len(who)
            populations[tuple(sorted(sent.items()))] = frozenset(who)
    assert len(populations) >= 5
    for one, two in itertools.combinations(populations.values(), 2):
        assert not 0 < len(one - two) < 10
        assert not 0 < len(two - one) < 10


async def test_the_same_question_has_one_answer_and_is_computed_once(world):
    one = await world.ask(district="370103", paid="true", idempotency="q-1")
    two = await world.ask(paid="true", district="370103", who=world.made.city.other_consumer)
    again = await world.ask(district="370103", paid="true", idempotency="q-1")
    assert one.json()["result"] == two.json()["result"]
    assert again.json() == one.json()
    assert len(world.parts.meter.events) == 2
    with world.made.city.database.read() as work:
        assert len(work.list(SERVICE_ANSWERS)) == 1


async def test_newer_data_that_differ_by_few_give_the_earlier_answer(world):
    assert await world.figure(district="370102") == 90
    first = world.entry.raw_version
    world.made.city.ingest(world.entry, register(3), "bat_few")
    found = (await world.ask(district="370102")).json()["result"]
    assert (found["cells"], found["data_version"]) == ([[90]], first)
    world.made.city.ingest(world.entry, register(60), "bat_many")
    found = (await world.ask(district="370102")).json()["result"]
    assert (found["cells"], found["data_version"]) == ([[150]], first + 2)


async def test_a_table_that_left_the_airlock_is_no_help_either(world):
    await world.figure(base_from=4000)
    with world.made.city.database.read() as work:
        from sandbox.airlock.memory.records import KEPT

        (kept,) = work.list(KEPT)
    assert kept.entry == world.entry.id
    assert kept.entities == 266


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"district": "999999"}, "parameter_invalid"), ({"age": "3"}, "parameter_unknown"),
        ({"base_from": "4001"}, "parameter_invalid"), ({"base_from": "4000.0"}, "parameter_invalid"),
        ({"paid": ["true", "false"]}, "parameter_twice"), ({"district": "370102' or 1=1"}, "parameter_invalid"),
    ],
)  # fmt: skip
async def test_a_question_outside_its_domain_is_refused_the_same_whatever_is_in_the_data(world, sent, code):
    answer = await world.ask(**sent)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert world.parts.meter.events == []
    assert "999999" not in answer.text


async def test_withheld_and_answered_questions_take_whole_quanta(world):
    spent = []
    for sent in ({"district": "370112"}, {"district": "370103"}):
        started = time.monotonic()
        await world.ask(**sent)
        spent.append(time.monotonic() - started)
    assert min(spent) >= QUANTUM


async def test_new_questions_of_a_day_are_few_and_known_ones_go_on(tmp_path):
    world = await World(tmp_path, new_a_day=2).start()
    try:
        assert [(await world.ask(district=code)).status_code for code in list(SIZES)[:3]] == [200, 200, 429]
        assert (await world.ask(district="370102")).status_code == 200
        assert (await world.ask(district="370104", who=world.made.city.other_consumer)).status_code == 200
        refused = await world.ask(district="370105")
        assert refused.json()["code"] == "questions_exceeded"
        assert int(refused.headers["retry-after"]) > 0
    finally:
        world.stop()
