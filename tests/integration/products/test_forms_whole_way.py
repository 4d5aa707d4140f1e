"""Each form the whole way: from a notebook through the airlock's people to a registered product, a call and a bill."""

from __future__ import annotations

import datetime as dt
import io
import json
import random
from dataclasses import dataclass

import polars as pl
import pytest

from products.forms.line import serve
from products.forms.predicting.pool import Pool
from products.forms.predicting.probing import Probing
from products.registry.codes import ProductKind
from products.registry.exports import AirlockFiles
from products.registry.service import RegistryService, RegistrySettings
from sandbox.airlock.files.apart import can_jail
from sandbox.airlock.model import Choice, ExportState
from shuzha.authorization.agreement import Operation, OutputKind
from shuzha.authorization.service import GrantScopes
from shuzha.core.clock import city_date
from shuzha.ledger.checkpoint import Signer
from shuzha.metering.events import join
from shuzha.metering.writer import open_store
from shuzha.settlement.model import StatementKind
from shuzha.settlement.service import SettlementService
from shuzha.settlement.sources import UsageSource
from tests.airlock_kit import COLUMNS, AirlockCity
from tests.authorization_kit import person
from tests.forms_kit import FormCity, caller
from tests.products_kit import SHEET, ProductCity

pytestmark = [
    pytest.mark.slow, pytest.mark.skipif(not can_jail(), reason="needs bubblewrap and a host that lets it make jails"),
]  # fmt: skip
PERIODS = [f"{2020 + month // 12}-{month % 12 + 1:02d}" for month in range(50)]

SUMS = (
    'workbench.export("sums", workbench.table("social_insurance", rows=["period", "district_code"], columns=["kind"],'
    ' value="base", aggregate="sum"), "sums of bases by month")'
)
"""Sums of each month, district and kind: rows enough to carry marks."""

COUNTS = (
    'workbench.export("by_district",'
    ' workbench.table("social_insurance", rows=["district_code"], aggregate="entities"), "people by district")'
)
ASKED = (
    'workbench.export("asked", workbench.service("social_insurance", parameters=[workbench.parameter('
    '"district", "district_code", ["370102", "370103", "370104"], optional=True)], aggregate="entities"), "who asks")'
)
CELLS = (
    SUMS,
    COUNTS,
    ASKED,
    """
train, held = workbench.split("social_insurance", by="resident_id", share=0.3, word="1")
layers = {"layers": [{"weights": [[1e-9]], "bias": [0.0], "activation": "sigmoid"}],
          "classes": sorted(train["kind"].unique().to_list())}
workbench.export("of_kind", layers, "which kind of payment", kind="model", release="social_insurance",
                 columns=["base"], target="kind", task="classification", word="1", sensitive=[])
""",
)


def payments() -> pl.DataFrame:
    """Return each person's payments of two kinds in fifty months, the same people in three districts throughout."""
    rng = random.Random(3)
    rows = []
    for number in range(240):
        who = {
            "resident_id": f"37010219800101{number:04d}", "name": f"张{number:04d}", "employer": "913701000000001X",
            "district_code": ("370102", "370103", "370104")[number % 3], "note": "",
        }  # fmt: skip
        rows += [
            who | {"period": period, "kind": kind, "base": rng.randint(4_494, 22_470), "paid": rng.random() > 0.03}
            for period in PERIODS
            for kind in ("pension", "medical")
        ]
    return pl.DataFrame(rows)


@dataclass
class WholeCity(ProductCity, AirlockCity):
    """A city with everything between a notebook and a bill, the airlock itself included."""

    def __post_init__(self) -> None:
        super().__post_init__()
        settings = RegistrySettings(self.folder / "products", "370100")
        released, scopes = AirlockFiles(self.airlock), GrantScopes(self.database)
        self.registry = RegistryService(self.database, self.policies, self.law, released, scopes, settings, self.keys)


class StoreMeter:
    """The usage store itself, without a process around it."""

    def __init__(self, store) -> None:
        self.store = store

    async def record(self, event):
        (done,) = self.store.record([event])
        if isinstance(done, Exception):
            raise done
        return done

    async def record_all(self, events):
        return [await self.record(event) for event in events]

    async def record_points(self, points):
        return [await self.record(join(*each)) for each in points]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A city in which four outputs of one notebook were judged by two people and left, and became products."""
    folder = tmp_path_factory.mktemp("whole")
    city = WholeCity(folder)
    made = FormCity.of(city)
    entry = city.filled(payments())
    kinds, operations = tuple(OutputKind), tuple(Operation)
    grant = city.grant(
        city.authorize(entry, output_kinds=kinds), entry, columns=COLUMNS, row_filter=(), output_kinds=kinds,
        operations=operations,
    )  # fmt: skip
    release = city.built(grant)
    data = folder / "data"
    data.mkdir()
    (data / release.name).symlink_to(city.releases.path(release))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHUZHA_DATA", str(data))
        request = city.request_at(ExportState.SCREENED, release, *CELLS)
    assert request.state is ExportState.SCREENED, (request.reason, request.findings)
    for checker in (city.checker, city.second):
        request = city.airlock.vote(checker, request.id, Choice.APPROVE, "it tells of no one")
    request = city.airlock.finish(request.id)
    assert request.state is ExportState.RELEASED, request.reason
    made.products = {}
    for file, kind, terms in (
        ("sums", ProductKind.COMPONENT, {"form": "file", "marks": {"sum_base": {"step": 1}}}),
        ("by_district", ProductKind.REPORT, None),
        ("of_kind", ProductKind.MODEL, {
            "form": "model", "inputs": [{"name": "base", "type": "number", "minimum": 0, "maximum": 50000}],
        }),
        ("asked", ProductKind.SERVICE, None),
    ):  # fmt: skip
        product = city.registry.deposit(city.operator, request.id, file, kind, SHEET)
        if terms is not None:
            made.forms.set_terms(city.operator, product.id, json.dumps(terms))
        made.products[kind] = city.in_service(product, price=10_000)
    made.export = request
    return made


async def test_each_form_from_a_sealed_output_to_a_bill(whole):
    city = whole.city
    signer = Signer("shuzha/usage", city.keys.signing_key("ledger:usage"))
    store = open_store(whole.folder, signer, city.clock)
    probing, pool = Probing(whole.folder / "products" / "probing.db", b"k" * 32), Pool()
    server = await serve(whole.folder / "run" / "forms.sock", whole.answering(pool, probing).answer)
    parts = whole.parts(meter=StoreMeter(store))
    day = city_date(city.clock.now())
    try:

        async def ask(kind, method, path, **sent):
            product = whole.products[kind]
            async with caller(parts, whole.secret(product)) as client:
                parts.state.step()
                answer = await client.request(method, f"/v1/products/{product.code}/{path}", **sent)
                sheet = (await client.get(f"/v1/products/{product.code}")).json()
            assert answer.status_code == 200, answer.text
            return answer, sheet

        purpose = {"purpose": "loan-review"}
        table, sheet = await ask(ProductKind.COMPONENT, "GET", "files/sums", params=purpose)
        assert sheet["marks"] == {"sum_base": 1.0}
        report, _ = await ask(ProductKind.REPORT, "GET", "files/by_district", params=purpose)
        body = {"inputs": {"base": 5000}, **purpose}
        model, sheet = await ask(ProductKind.MODEL, "POST", "predict", json=body)
        assert sheet["inputs"]["properties"]["base"]["maximum"] == 50000
        service, sheet = await ask(ProductKind.SERVICE, "GET", "query", params=purpose)
        assert sheet["parameters"][0]["one_of"] == ["370102", "370103", "370104"]
    finally:
        server.close()
        await pool.close()
        probing.close()
    assert report.headers["shuzha-marked"] == "?0"
    assert sum(pl.read_csv(io.BytesIO(report.content))["entities"]) == 240
    assert model.json()["output"]["class"] in ("medical", "pension")
    assert service.json()["result"]["cells"] == [[240]]
    trace = whole.forms.trace_copy(
        person("lin", "org_authority", "authority"), whole.products[ProductKind.COMPONENT].id, table.content, "found"
    )
    assert [one.buyer for one in trace.named] == ["org_bank"]
    assert [each.usage_id for each in trace.named[0].deliveries] == [table.headers["shuzha-usage-id"]]
    assert_billed(city, store, day)
    store.close()


def assert_billed(city, store, day: dt.date) -> None:
    """Four calls at one yuan each: the month's bill says so."""
    after = (day.replace(day=1) + dt.timedelta(days=32)).replace(day=2)
    city.clock.advance(dt.datetime(after.year, after.month, 2, 4, tzinfo=dt.UTC) - city.clock.now())
    store.publish()
    source = UsageSource(city.folder / "usage", city.folder / "logs" / "usage")
    service = SettlementService(city.database, city.policies, source)
    statements = service.settle(city.authority, day.isoformat()[:7])
    (bill,) = [one for one in statements if one.kind is StatementKind.BILL]
    assert (bill.subject, bill.due_fen) == ("org_bank", 400)
    assert sorted({line.product for line in bill.lines}).__len__() == 4
