"""A component from its terms to a leaked copy that names who fetched it."""

from __future__ import annotations

import hashlib
import io
import json

import polars as pl
import pytest

from products.registry.codes import ProductKind
from shuzha.core.errors import Invalid, NotAllowed
from tests.authorization_kit import person
from tests.forms_kit import MARKS, FormCity, caller, spending

FOR = {"purpose": "loan-review"}
SPEND = {"spend": {"step": 0.01}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    city = FormCity(tmp_path_factory.mktemp("forms"))
    city.product = city.component()
    city.secrets = {
        who.organisation: city.secret(city.product, who) for who in (city.city.consumer, city.city.other_consumer)
    }
    return city


async def fetched(made, organisation, **headers):
    parts = made.parts()
    async with caller(parts, made.secrets[organisation]) as client:
        path = f"/v1/products/{made.product.code}/files/spending.csv"
        return parts, await client.get(path, params=FOR, headers=headers)


async def test_each_buyer_gets_its_own_copy_and_the_same_one_again(made):
    _, one = await fetched(made, "org_bank")
    _, two = await fetched(made, "org_shop")
    _, again = await fetched(made, "org_bank")
    assert one.content == again.content != two.content != spending()
    assert one.headers["etag"] == f'"{hashlib.sha256(one.content).hexdigest()}"'
    assert one.headers["shuzha-marked"] == "?1"
    assert one.headers["repr-digest"].startswith("sha-256=:")


async def test_a_leaked_half_names_its_buyer_with_the_evidence(made):
    _, answer = await fetched(made, "org_shop")
    leaked = (
        pl.read_csv(io.BytesIO(answer.content))
        .sample(fraction=0.5, shuffle=True, seed=2)
        .select("spend", "visits", "block")
    )
    out = io.BytesIO()
    leaked.write_csv(out)
    authority = person("lin", "org_authority", "authority")
    trace = made.forms.trace_copy(authority, made.product.id, out.getvalue(), "found on a forum")
    assert [one.buyer for one in trace.named] == ["org_shop"]
    assert trace.named[0].log10_chance < -6
    assert (trace.rows, trace.matched) == (600, 600)
    assert made.forms.list_traces(authority, made.product.id)[0] == trace
    assert made.forms.list_traces(made.city.consumer, made.product.id) == ()
    events = (
        [event for event in made.city.events() if event.tag == "product:trace"] if hasattr(made.city, "events") else []
    )
    assert all("org_shop" in str(event.data) for event in events)


async def test_a_download_is_resumed_under_its_key_and_metered_once(made):
    parts = made.parts()
    path = f"/v1/products/{made.product.code}/files/spending.csv"
    async with caller(parts, made.secrets["org_bank"]) as client:
        whole = await client.get(path, params=FOR, headers={"Idempotency-Key": "d-1"})
        rest = await client.get(
            path,
            params=FOR,
            headers={"Idempotency-Key": "d-1", "Range": "bytes=1000-", "If-Range": whole.headers["etag"]},
        )
        other = await client.get(
            path, params=FOR, headers={"Idempotency-Key": "d-1", "Range": "bytes=1000-", "If-Range": '"x"'}
        )
        bare = await client.get(path, params=FOR, headers={"Range": "bytes=1000-"})
        beyond = await client.get(path, params=FOR, headers={"Idempotency-Key": "d-1", "Range": "bytes=99999999-"})
    assert (rest.status_code, rest.content) == (206, whole.content[1000:])
    assert rest.headers["content-range"] == f"bytes 1000-{len(whole.content) - 1}/{len(whole.content)}"
    assert (other.status_code, other.content) == (200, whole.content)
    assert (bare.status_code, bare.json()["code"]) == (400, "idempotency_key")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(whole.content)}")
    assert len(parts.meter.events) == 1


def test_terms_are_fixed_once_registration_was_applied_for(made):
    with pytest.raises(Invalid, match="its registration is valid"):
        made.forms.set_terms(made.city.operator, made.product.id, json.dumps(MARKS))


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"form": "file", "marks": {"spend": {"step": -1}}}, "do not fit their form"),
        ({"form": "x"}, "do not fit"),
        ({"form": "file", "marks": {}}, "do not fit"),
        ({"form": "file", "marks": {"gone": {"step": 1}}}, "no column `gone`"),
        ({"form": "file", "marks": {name: {"step": 1} for name in ("district", "block", "visits")} | SPEND}, "every"),
    ],
)  # fmt: skip
def test_terms_that_do_not_fit_are_refused_and_nothing_is_kept(made, terms, said):
    _, grant = made.granted()
    product = made.city.deposited(grant, spending(), ProductKind.COMPONENT, form="table", file="spending.csv")
    with pytest.raises(Invalid, match=said):
        made.forms.set_terms(made.city.operator, product.id, json.dumps(terms))
    assert made.forms.get_terms(made.city.operator, product.id) is None
    with pytest.raises(NotAllowed):
        made.forms.set_terms(made.city.consumer, product.id, json.dumps(MARKS))


def test_a_table_too_small_to_trace_takes_no_marks(made):
    _, grant = made.granted()
    product = made.city.deposited(grant, spending(40), ProductKind.COMPONENT, form="table", file="spending.csv")
    with pytest.raises(Invalid, match="80 cells"):
        made.forms.set_terms(made.city.operator, product.id, json.dumps(MARKS))
