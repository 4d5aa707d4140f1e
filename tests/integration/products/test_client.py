"""The Python client against the real API: the same answers from both kinds, once under retries, signed and proved."""

from __future__ import annotations

import ast
import asyncio
import base64
import contextlib
import datetime as dt
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

FOLDER = Path(__file__).parents[3] / "products" / "client"
sys.path.insert(0, str(FOLDER))

import shuzha_client as api  # noqa: E402
from shuzha_client import calls, ed25519, proofs  # noqa: E402
from shuzha_client.answers import BatchItem  # noqa: E402

from products.consumers.model import Scope  # noqa: E402
from products.consumers.webhook_model import Notice, NoticeType, body_of, secret_text, signature_of  # noqa: E402
from products.serving.app import make_app  # noqa: E402
from tests.products_kit import who  # noqa: E402
from tests.serving_kit import ServingCity  # noqa: E402

ASK = {"claim": "insured", "purpose": "loan-review", "consent": "form-1"}


@pytest.fixture(scope="module")
def key(platform):
    return platform.key()


@pytest.fixture
def client(platform, key):
    with api.Client(platform.url, key.secret, signed=True) as found:
        yield found


def test_one_question_is_answered_signed_and_its_use_proved(platform, client) -> None:
    answer = client.verify(platform.product.code, {"resident_id": who(0)}, **ASK)
    assert (answer.matched, len(answer.signed_by)) == (True, 43)
    log_key = client.log_key()
    proof = proved(client, answer.usage_id, log_key)
    assert (proof.usage_id, proof.index) == (answer.usage_id, answer.log_index)
    other = client.verify(platform.product.code, {"resident_id": who(1)}, **ASK)
    assert not other.matched
    with pytest.raises(api.NotGenuine, match="another use"):
        proofs.check_proof(
            {**_document(proof, platform, client), "index": proof.index}, other.usage_id, log_key
        )  # fmt: skip


def proved(client, usage_id, log_key):
    """Prove a use, which can be done once a checkpoint covers it: within a second or so."""
    for _ in range(100):
        with contextlib.suppress(api.Problem):
            return client.prove(usage_id, log_key)
        time.sleep(0.1)
    return client.prove(usage_id, log_key)


def _document(proof, platform, client):
    return client._read(f"/v1/ledger/proof/{proof.usage_id}").json()


def test_a_proof_that_was_touched_does_not_hold(platform, client) -> None:
    answer = client.verify(platform.product.code, {"resident_id": who(2)}, **ASK)
    log_key = client.log_key()
    until = time.monotonic() + 10
    while (got := client._read(f"/v1/ledger/proof/{answer.usage_id}")).status != 200:
        assert time.monotonic() < until
        time.sleep(0.1)
    document = got.json()
    assert proofs.check_proof(document, answer.usage_id, log_key).index == answer.log_index
    touched = [
        {"leaf": document["leaf"].replace('"usage"', '"usagf"')},
        {"body": document["body"].replace("match", "mutch", 1)},
        {"index": document["index"] + 1}, {"size": document["size"] + 1},
        {"hashes": [*document["hashes"], base64.b64encode(b"x" * 32).decode()]},
        {"checkpoint": document["checkpoint"].replace("\n", "\n1", 1)},
    ]  # fmt: skip
    for change in touched:
        with pytest.raises(api.NotGenuine):
            proofs.check_proof(document | change, answer.usage_id, log_key)
    with pytest.raises(api.NotGenuine):
        proofs.check_proof(document, answer.usage_id, log_key[:-8] + "AAAAAAA=")


async def test_the_awaiting_client_answers_alike(platform, key) -> None:
    items = [BatchItem({"resident_id": who(number)}, "insured", "form-1") for number in (0, 1, 9999)]
    async with api.AsyncClient(platform.url, key.secret, signed=True) as client:
        answers = await client.verify_batch(platform.product.code, items, purpose="loan-review")
        assert [one.result for one in answers] == ["match", "no_match", "no_match"]
        assert len({one.signed_by for one in answers}) == 1
        assert platform.product.code in {one["code"] for one in await client.products()}
        assert (await client.product(platform.product.code))["claims"] == ["insured"]
        await asyncio.sleep(0.5)
        used = [one async for one in client.uses()]
        assert {one.usage_id for one in answers} <= {one.usage_id for one in used}
        assert (await client.usage(limit=1)).uses == len(used)


def test_a_refusal_is_a_problem_that_says_what_helps(platform, client) -> None:
    with pytest.raises(api.Problem) as refused:
        client.verify(platform.product.code, {"resident_id": who(0)}, **ASK | {"claim": "rich"})
    problem = refused.value
    assert (problem.status, problem.code, problem.accepted) == (422, "claim_unknown", "insured")
    assert problem.type == "/problems/claim_unknown"
    assert httpx.get(platform.url + problem.type).json()["code"] == "claim_unknown"


class Between(httpx.BaseTransport):
    """Stands between client and API and does to answers what it is told, one thing an attempt."""

    def __init__(self, *deeds) -> None:
        self.deeds = list(deeds)
        self.sent = []
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request):
        self.sent.append(request.headers.get("idempotency-key"))
        answer = self._inner.handle_request(request)
        answer.read()
        deed = self.deeds.pop(0) if self.deeds else None
        if deed == "lost":
            raise httpx.ReadTimeout("the answer was lost", request=request)
        if deed == "busy":
            return httpx.Response(503, json={"code": "meter_unavailable"}, request=request)
        return deed(answer, request) if deed else answer


def through(platform, key, *deeds, **options):
    between = Between(*deeds)
    return api.Client(platform.url, key.secret, transport=between, **options), between


def test_a_lost_answer_is_asked_for_again_and_charged_once(platform, key, monkeypatch) -> None:
    monkeypatch.setattr(calls, "pause", lambda _: 0.0)
    client, between = through(platform, key, "lost", "busy", "lost")
    answer = client.verify(platform.product.code, {"resident_id": who(4)}, **ASK)
    assert len(set(between.sent)) == 1
    assert len(between.sent) == 4
    time.sleep(0.5)
    assert [one.usage_id for one in client.uses()].count(answer.usage_id) == 1
    client, between = through(platform, key, *["lost"] * 9, attempts=3)
    with pytest.raises(api.Unreachable) as gone:
        client.verify(platform.product.code, {"resident_id": who(4)}, **ASK)
    assert (len(between.sent), gone.value.idempotency_key) == (3, between.sent[0])


def test_what_is_used_up_is_not_asked_for_again(platform) -> None:
    key = platform.key(daily_quota=1)
    client, between = through(platform, key)
    client.verify(platform.product.code, {"resident_id": who(4)}, **ASK)
    with pytest.raises(api.Problem) as refused:
        client.verify(platform.product.code, {"resident_id": who(6)}, **ASK)
    assert (refused.value.code, len(between.sent)) == ("quota_exceeded", 2)


def changed(body=None, **fields):
    def change(answer, request):
        headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
        headers |= {name.replace("_", "-"): value(headers[name.replace("_", "-")]) for name, value in fields.items()}
        content = body(answer.content) if body else answer.content
        return httpx.Response(answer.status_code, headers=headers, content=content, request=request)

    return change


FORGED = {
    "another answer": changed(lambda body: body.replace(b'"match"', b'"no_match"')),
    "another answer with its digest": changed(
        lambda _: b'{"result":"no_match","usage_id":"usg_x"}',
        content_digest=lambda _: "sha-256=:Zm9yZ2Vk:",
    ),
    "another nonce": changed(signature_input=lambda text: re.sub('nonce="[^"]+"', 'nonce="replayed"', text)),
    "less is covered": changed(signature_input=lambda text: text.replace(' "@path";req', "")),
    "another moment": changed(signature_input=lambda text: re.sub(r"(created=\d+)\d", r"\g<1>0", text + " ")),
    "long ago": changed(signature_input=lambda text: re.sub(r"created=\d+", "created=1", text)),
    "an unknown key": changed(signature_input=lambda text: re.sub('keyid="[^"]+"', 'keyid="mine"', text)),
    "no signature": changed(signature_input=lambda _: ""),
    "a damaged signature": changed(signature=lambda text: text[:-6] + "AAAA:"),
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGED)
def test_a_forged_answer_is_found(platform, key, forgery) -> None:
    with api.Client(platform.url) as plain:
        keys = calls.read_keys(plain._read(calls.DIRECTORY))
    client, _ = through(platform, key, FORGED[forgery], signed=True, keys=keys)
    with pytest.raises(api.NotGenuine):
        client.verify(platform.product.code, {"resident_id": who(0)}, **ASK)
    assert client.verify(platform.product.code, {"resident_id": who(0)}, **ASK).matched
    stranger = api.Client(platform.url, key.secret, signed=True, keys={"other": b"x" * 32})
    with pytest.raises(api.NotGenuine, match="not known"):
        stranger.verify(platform.product.code, {"resident_id": who(0)}, **ASK)


def test_a_notice_is_verified_as_the_platform_signs_it() -> None:
    secret, now = b"s" * 32, dt.datetime.now(dt.UTC)
    body = body_of(Notice(NoticeType.KEY_EXPIRING, "org_1", "k", {"key": "key_1"}), now).encode()
    headers = {
        "Webhook-Id": "msg_1", "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": signature_of([b"newer" * 6, secret], "msg_1", now, body),
    }  # fmt: skip
    told = api.verify_webhook(secret_text(secret), headers, body)
    assert (told.id, told.type, told.data) == ("msg_1", "key.expiring", {"key": "key_1"})
    bad = [
        (secret_text(b"x" * 32), headers, body), (secret_text(secret), headers, body + b" "),
        (secret_text(secret), headers | {"Webhook-Id": "msg_2"}, body), (secret_text(secret), {}, body),
        (secret_text(secret), headers | {"Webhook-Timestamp": "1"}, body),
    ]  # fmt: skip
    for each in bad:
        with pytest.raises(api.NotGenuine):
            api.verify_webhook(*each)


# RFC 8032 section 7.1, tests 1 to 3: public key, message, signature.
VECTORS = [
    ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
]  # fmt: skip


@pytest.mark.parametrize("valid", [ed25519.is_valid, ed25519.is_valid_by_arithmetic])
@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_the_rfcs_signatures_hold_and_touched_ones_do_not(valid, public, message, signature) -> None:
    key, text, made = (bytes.fromhex(each) for each in (public, message, signature))
    assert valid(key, made, text)
    assert not valid(key, made, text + b"x")
    assert not valid(key, made[:-1] + bytes([made[-1] ^ 1]), text)
    assert not valid(key[:-1] + bytes([key[-1] ^ 1]), made, text)
    assert not valid(key, made[:63], text)


def test_the_client_needs_httpx_and_nothing_of_the_platform() -> None:
    named = {"cryptography"}
    for path in (FOLDER / "shuzha_client").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                named |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                named.add((node.module or "").partition(".")[0])
    assert named - set(sys.stdlib_module_names) == {"cryptography", "httpx"}
    code = (
        "import shuzha_client, sys, json\n"
        "print(json.dumps([name for name in sys.modules if name.startswith(('shuzha.', 'products'))]))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=FOLDER, capture_output=True, check=True, text=True)
    assert json.loads(found.stdout) == []


@pytest.fixture
def forms(tmp_path):
    # The process of the forms has the host's clock, so the city's past begins months before it.
    city = ServingCity(tmp_path, dt.datetime.now(dt.UTC) - dt.timedelta(days=75))
    city.start_forms()
    yield city
    city.stop_forms()


async def test_models_and_data_services_are_asked_alike(forms) -> None:
    parts, ask = forms.parts(), {"purpose": "loan-review"}
    secret = forms.key(forms.model, scope=Scope(also=(forms.service.id,))).secret
    parts.state.step()
    transport = httpx.ASGITransport(make_app(parts))
    async with api.AsyncClient(
        "http://api.localhost", secret, signed=True, transport=transport, max_age=None
    ) as client:
        predicted = await client.predict(forms.model.code, {"paid": True}, **ask)
        queried = await client.query(forms.service.code, {"paid": "true"}, **ask)
        with pytest.raises(api.Problem) as refused:
            await client.predict(forms.model.code, {"paid": "perhaps"}, **ask)
    assert predicted.value
    assert "withheld" in queried.value
    assert predicted.signed_by == queried.signed_by != ""
    assert refused.value.status == 422
    assert [event.usage_id for event in parts.meter.events] == [predicted.usage_id, queried.usage_id]
