"""A person with a key calls the real API from the portal's page; the key is nowhere afterwards. And the status page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from products.registry.codes import ProductKind
from shuzha.server.portal_app import make_app
from tests.integration.products.conftest import wait_until
from tests.portal_kit import PASSWORD, PortalCity
from tests.ports_kit import free_port

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """A city with a product in service, its writer and its API, and its portal in this process."""
    town = PortalCity(tmp_path_factory.mktemp("town"))
    entry = town.entry()
    town.fill(entry, 300)
    demand = town.demand(town.authorize(entry), entry, "贷前核验申请人是否连续参保")
    town.release(demand)
    export = town.export(town.workspace(demand))
    town.product = town.product(export, "insured", ProductKind.VERIFICATION, "社保参保核验", "Insurance check")
    settings = town.platform.settings
    port = free_port()
    object.__setattr__(settings, "api_port", port)
    file = town.folder / "shuzha.toml"
    file.write_text(f'data = "{settings.data}"\napi_port = {port}\ndemo = true\n')
    root = Path(__file__).parents[3]
    commands = (
        ["-m", "shuzha.metering.writer", "--dir", str(settings.data)],
        ["-m", "products.serving", "--settings", str(file)],
    )
    processes = [subprocess.Popen([sys.executable, *each], cwd=root) for each in commands]
    try:
        wait_until(lambda: _ready(port), 60)
        yield town
    finally:
        for each in reversed(processes):
            each.terminate()
            each.wait(15)


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=1).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def consumer(town):
    client = TestClient(make_app(town.platform), base_url="http://portal.localhost", headers={"Accept": "text/html"})
    client.cookies.set("shuzha_language", "en")
    client.post("/sign-in", data={"login": "consumer", "password": PASSWORD, "next": "/"})
    with client:
        yield client


def call(consumer, town, key: str, **changes: str):
    path = f"/try/{town.product.id}"
    csrf = re.search(r'name="csrf" value="([^"]+)"', consumer.get(path).text)[1]
    form = {"csrf": csrf, "api_key": key, "subject.resident_id": "370102198001010014", "claim": "insured",
            "purpose": "loan-review", "consent": "form-1"}  # fmt: skip
    return consumer.post(path, data=form | changes)


def test_a_call_from_the_page_is_answered_metered_and_its_key_not_kept(town, consumer, caplog) -> None:
    made = town.key(town.product)
    wait_until(lambda: call(consumer, town, made.secret).text.count("HTTP 200"), 10)
    answer = call(consumer, town, made.secret, signed="yes")
    assert answer.headers["cache-control"] == "no-store"
    assert re.search(r"&#34;result&#34;: &#34;(no_)?match&#34;", answer.text)
    for shown in ("shuzha-log-index", "ratelimit", "signature-input", "content-digest"):
        assert f">{shown}</dt>" in answer.text, shown
    assert "curl -X POST" in answer.text
    assert "api.verify(" in answer.text
    assert made.secret not in answer.text
    assert made.secret not in caplog.text
    kept = [path for path in town.folder.rglob("*") if path.is_file() and made.secret.encode() in path.read_bytes()]
    assert kept == []
    used = town.platform.usage_now
    wait_until(lambda: sum(one.today for one in used.of_app(town.people["consumer"], made.key.app)) >= 2, 10)


def test_a_refusal_is_shown_as_the_api_says_it(town, consumer) -> None:
    made = town.key(town.product)
    wait_until(lambda: "HTTP 200" in call(consumer, town, made.secret).text, 10)
    answer = call(consumer, town, made.secret, claim="rich")
    assert "HTTP 422" in answer.text
    assert "claim_unknown" in answer.text
    wrong = made.secret[:-1] + ("A" if made.secret[-1] != "A" else "B")
    assert "key_unknown" in call(consumer, town, wrong).text
    refused = call(consumer, town, "szk_half")
    assert refused.status_code == 422
    assert "szk_half" not in refused.text


def test_the_status_page_says_what_is_served_and_what_failed(town, consumer) -> None:
    visitor = TestClient(make_app(town.platform), base_url="http://portal.localhost", headers={"Accept": "text/html"})
    page = visitor.get("/status", headers={"Accept-Language": "en"}).text
    assert ">in service<" in page
    assert "1 / 1" in page
    assert town.product.code in page
    town.platform.registry.suspend(town.people["operator"], town.product.id, "objection under review")
    page = visitor.get("/status", headers={"Accept-Language": "en"}).text
    assert "0 / 1" in page
    assert "objection under review" in page
    assert "– now" in page
    town.platform.registry.restore(town.people["operator"], town.product.id, "answered")
    assert "– now" not in visitor.get("/status", headers={"Accept-Language": "en"}).text
    assert "objection under review" in visitor.get("/status", headers={"Accept-Language": "en"}).text


def test_every_problems_type_leads_to_a_page_of_the_portal(town) -> None:
    from products.serving.problems import PROBLEMS
    from shuzha.server.documents import PROBLEMS as PLATFORM

    visitor = TestClient(make_app(town.platform), base_url="http://portal.localhost", headers={"Accept": "text/html"})
    codes = [one.code.replace("*", "suspended") for one in PROBLEMS] + [code for code, _, _ in PLATFORM.values()]
    assert [code for code in codes if visitor.get(f"/problems/{code}").status_code != 200] == []
    assert visitor.get("/problems/no_such_thing").status_code == 404
    page = visitor.get("/problems").text
    assert all(f'id="{one.code}"' in page for one in PROBLEMS)
