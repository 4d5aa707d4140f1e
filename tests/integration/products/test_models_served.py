"""A model asked through the API: the real jailed worker answers, held to the library's own answer."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from products.forms.line import serve
from products.forms.predicting.pool import Pool, PoolLimits
from products.forms.predicting.probing import Probing
from products.registry.codes import ProductKind
from sandbox.airlock.files.apart import can_jail
from shuzha.core.errors import Invalid
from tests.forms_kit import MODEL_TERMS, FormCity, caller
from tests.models_kit import as_skops, mixed, people

pytestmark = pytest.mark.skipif(not can_jail(), reason="needs bubblewrap and a host that lets it make jails")
PEOPLE = people(800)
MODEL, TABLE = mixed(PEOPLE)
BODY = {"inputs": {"age": 41, "income": 3000.5, "place": "south"}, "purpose": "loan-review"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    city = FormCity(tmp_path_factory.mktemp("models"))
    city.declare = {"columns": ["kind", "paid", "district_code"], "target": "period"}
    city.product = city.model(as_skops(MODEL), city.declare, terms_of())
    city.secret_ = city.secret(city.product)
    return city


def terms_of(**changes):
    """The terms over columns that the grant holds: what they are called is not what the model knows them by."""
    names = ["kind", "paid", "district_code"]
    inputs = [one | {"name": name} for one, name in zip(MODEL_TERMS["inputs"], names, strict=True)]
    return MODEL_TERMS | {"inputs": inputs} | changes


def asked(age=41, income=3000.5, place="south", **changes):
    inputs = {"kind": age, "paid": income, "district_code": place}
    return {
        "inputs": {name: value for name, value in inputs.items() if value != "gone"} | changes,
        "purpose": "loan-review",
    }


def descendants(pid):
    """Return the processes below one: bubblewrap's own, and the worker."""
    found = []
    for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(each), *descendants(int(each))]
    return found


@pytest.fixture
async def answering(made):
    pool = Pool(PoolLimits(seconds=5))
    probing = Probing(made.folder / "products" / "probing.db", b"k" * 32)
    server = await serve(made.folder / "run" / "forms.sock", made.answering(pool, probing).answer)
    yield pool
    server.close()
    await pool.close()
    probing.close()


async def post(made, body, path="predict", parts=None, **headers):
    parts = parts or made.parts()
    async with caller(parts, made.secret_) as client:
        answer = await client.post(f"/v1/products/{made.product.code}/{path}", json=body, headers=headers)
    return answer, parts.meter.events


async def test_a_model_answers_what_its_library_answers_rounded_and_metered(made, answering):
    answer, events = await post(made, asked())
    assert answer.status_code == 200, answer.text
    row = np.array([[41.0, 3000.5, "south"]], dtype=object)
    chances = MODEL.predict_proba(row)[0]
    best = int(chances.argmax())
    edges = [0, 0.6, 0.8, 1]
    place = sum(chances[best] >= edge for edge in edges[1:3])
    assert answer.json()["output"] == {"class": str(best), "chance": f"{edges[place]:g}-{edges[place + 1]:g}"}
    assert answer.json()["usage_id"] == events[0].usage_id
    assert events[0].kind == ProductKind.MODEL
    assert "3000" not in str(events[0])


async def test_a_batch_answers_each_in_order_and_meters_each(made, answering):
    rows = PEOPLE.head(40).rows(named=True)
    items = [asked(int(one["age"]), one["income"], one["place"])["inputs"] for one in rows]
    answer, events = await post(made, {"items": items, "purpose": "loan-review"}, "predict:batch")
    table = np.array([[one["age"], one["income"], one["place"]] for one in rows], dtype=object)
    expected = [str(int(one)) for one in MODEL.predict(table)]
    assert [one["output"]["class"] for one in answer.json()["answers"]] == expected
    assert len(events) == 40
    assert len({one.usage_id for one in events}) == 40


async def test_a_missing_input_that_may_be_missing_is_what_the_model_makes_of_it(made, answering):
    answer, _ = await post(made, asked(income=None))
    row = np.array([[41.0, np.nan, "south"]], dtype=object)
    assert answer.json()["output"]["class"] == str(int(MODEL.predict(row)[0]))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (asked(age=17), "input_invalid"), (asked(age=41.5), "input_invalid"), (asked(age="41"), "input_invalid"),
        (asked(age=True), "input_invalid"), (asked(place="east"), "input_invalid"),
        (asked(place=None), "input_missing"),
        (asked(age="gone"), "input_missing"), (asked(extra=1), "input_unknown"),
        ({"inputs": {}, "purpose": "loan-review"}, "invalid"), ({"inputs": {"kind": [1]}, "purpose": "x"}, "invalid"),
        ([], "invalid"),
    ],
)  # fmt: skip
async def test_an_input_that_does_not_fit_is_refused_by_name_and_costs_nothing(made, answering, body, code):
    answer, events = await post(made, body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert events == []
    assert "east" not in answer.text
    assert not code.startswith("input_") or answer.json()["accepted"]


async def test_a_repeat_under_its_key_is_charged_once_and_another_body_refused(made, answering):
    parts = made.parts()
    one, _ = await post(made, asked(), parts=parts, **{"Idempotency-Key": "p-1"})
    two, events = await post(made, asked(), parts=parts, **{"Idempotency-Key": "p-1"})
    other, _ = await post(made, asked(age=42), parts=parts, **{"Idempotency-Key": "p-1"})
    assert one.json() == two.json()
    assert len(events) == 1
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


async def test_a_killed_worker_is_started_again_and_one_that_hangs_is_ended(made, answering):
    assert (await post(made, asked()))[0].status_code == 200
    (lane,) = answering._lanes.values()
    os.kill(lane.process.pid, signal.SIGKILL)
    answers = [(await post(made, asked()))[0].status_code for _ in range(2)]
    assert answers[-1] == 200
    assert set(answers) <= {200, 503}
    assert lane.starts == 2
    for each in descendants(lane.process.pid):
        os.kill(each, signal.SIGSTOP)
    slow, events = await post(made, asked())
    assert (slow.status_code, slow.json()["code"], events) == (503, "model_unavailable", [])
    assert (await post(made, asked()))[0].status_code == 200


async def test_many_at_once_share_frames_and_too_many_are_told_so(made, answering):
    parts = made.parts()
    async with caller(parts, made.secret_) as client:
        path = f"/v1/products/{made.product.code}/predict"
        await client.post(path, json=asked())
        answers = await asyncio.gather(*(client.post(path, json=asked(age=18 + number % 60)) for number in range(150)))
    assert {one.status_code for one in answers} == {200}
    (lane,) = answering._lanes.values()
    lane.limits = PoolLimits(waiting=0)
    busy, _ = await post(made, asked())
    assert (busy.status_code, busy.json()["code"], busy.headers["retry-after"]) == (503, "busy", "1")


async def test_without_the_process_of_the_forms_nothing_is_answered_or_charged(made):
    answer, events = await post(made, asked())
    assert (answer.status_code, answer.json()["code"], events) == (503, "form_unavailable", [])


async def test_who_maps_the_model_out_is_held_back_and_others_are_not(made, answering, tmp_path):
    product = made.model(as_skops(MODEL), made.declare, terms_of(distinct_inputs=60, near_inputs=12))
    secrets = [made.secret(product, who) for who in (made.city.consumer, made.city.other_consumer, made.city.consumer)]
    parts = made.parts()
    path = f"/v1/products/{product.code}/predict"

    async def send(secret, body):
        parts.state.step()
        async with caller(parts, secret) as client:
            return await client.post(path, json=body)

    line = [await send(secrets[0], asked(age=20 + number)) for number in range(30)]
    assert [one.status_code for one in line] == [200] * 13 + [429] * 17
    assert line[-1].json()["code"] == "probing_exceeded"
    assert int(line[-1].headers["retry-after"]) > 0
    # Another key of the same organisation does not help; what was asked before goes on; another organisation asks.
    assert (await send(secrets[2], asked(age=60))).json()["code"] == "probing_exceeded"
    assert (await send(secrets[0], asked(age=21))).status_code == 200
    assert (await send(secrets[1], asked(age=60))).status_code == 200
    random = np.random.default_rng(5)
    spread = []
    for _ in range(62):
        age, income = int(random.integers(18, 90)), float(random.uniform(0, 1e7))
        spread.append(await send(secrets[1], asked(age, income, str(random.choice(["north", "south", "west"])))))
    said = [one.json().get("code", "") for one in spread]
    refused = [code for code in said if code]
    assert refused, said
    assert set(refused) <= {"inputs_exceeded", "probing_exceeded"}


def test_a_model_without_terms_does_not_start(made):
    _, grant = made.granted()
    told = {"kind": "model", "release": "people", "columns": ["kind"], "target": "paid", "task": "classification"}
    declared = json.dumps(told | {"holdout": {"share": 0.3}})
    product = made.city.deposited(grant, b"{}", ProductKind.MODEL, form="model", file="m", specification=declared)
    with pytest.raises(Invalid, match="it has no terms"):
        made.city.in_service(product)


def test_terms_of_a_model_name_its_columns_and_bound_them(made):
    _, grant = made.granted()
    declared = json.dumps(
        {
            "kind": "model",
            "release": "people",
            "columns": ["kind"],
            "target": "paid",
            "task": "classification",
            "holdout": {"share": 0.3},
        }
    )
    product = made.city.deposited(grant, b"{}", ProductKind.MODEL, form="model", file="m", specification=declared)
    for inputs, said in (
        ([{"name": "paid", "type": "flag"}], "not the columns"), ([{"name": "kind", "type": "number"}], "not bounded"),
        ([{"name": "kind", "type": "category"}], "not bounded"),
        ([{"name": "kind", "type": "flag", "minimum": 0}], "not bounded"),
    ):  # fmt: skip
        with pytest.raises(Invalid, match=said):
            made.forms.set_terms(made.city.operator, product.id, json.dumps({"form": "model", "inputs": inputs}))
    assert made.forms.get_terms(made.city.operator, product.id) is None
