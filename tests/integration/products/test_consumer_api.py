"""The consumer API over a real socket, with the real writer behind it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.integration.products.conftest import question, wait_until
from tests.products_kit import who

PROBLEM = {"type", "title", "status", "detail", "code", "trace"}


def problem(response: httpx.Response, status: int, code: str) -> dict:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body.keys() >= PROBLEM
    assert body["status"] == status
    assert body["code"] == code
    assert who(0) not in response.text
    return body


def test_match_mismatch_and_unknown_have_one_shape(platform):
    key = platform.key()
    answers = [platform.verify(key, number) for number in (0, 1, 9999)]
    assert [answer.json()["result"] for answer in answers] == ["match", "no_match", "no_match"]
    shapes = {(answer.status_code, tuple(answer.headers), tuple(answer.json())) for answer in answers}
    assert len(shapes) == 1
    assert {len(answer.content) for answer in answers[1:]} == {len(answers[1].content)}
    places = [int(answer.headers["Shuzha-Log-Index"]) for answer in answers]
    assert places == list(range(places[0], places[0] + 3))
    assert "r=" in answers[0].headers["RateLimit"]
    assert answers[0].headers["RateLimit-Policy"].startswith('"second";q=5000;w=1')
    assert platform.metered(key) >= 3


def test_a_spelling_of_the_same_number_matches(platform):
    key = platform.key()
    assert platform.verify(key, subject={"resident_id": f" {who(2)} "}).json()["result"] == "match"


def test_a_repeat_gets_the_first_answer_and_is_charged_once(platform):
    key = platform.key()
    before = platform.metered(key)
    first, second = (platform.verify(key, idempotency="call-1") for _ in range(2))
    assert first.json() == second.json()
    assert first.headers["Shuzha-Log-Index"] == second.headers["Shuzha-Log-Index"]
    assert platform.metered(key) == before + 1
    problem(platform.verify(key, 1, idempotency="call-1"), 409, "idempotency_conflict")
    problem(platform.verify(key, 0, idempotency="call-1", consent="c-2"), 409, "idempotency_conflict")
    assert platform.verify(platform.key(), 1, idempotency="call-1").status_code == 200
    problem(platform.verify(key, idempotency="k" * 201), 400, "idempotency_key")


def test_calls_without_a_known_key_are_refused(platform):
    key = platform.key()
    problem(platform.verify("szk_nonsense"), 401, "key_unknown")
    response = platform.verify("")
    assert problem(response, 401, "key_missing")
    assert response.headers["www-authenticate"] == "Bearer"
    wrong = key.secret[:-1] + ("A" if key.secret[-1] != "A" else "B")
    problem(platform.verify(wrong), 401, "key_unknown")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "not_json"),
        (b"\xff\xfe", 400, "not_json"),
        (b"[" * 10_000, 422, "invalid"),
        (b"[]", 422, "invalid"),
        (question(claim=7), 422, "invalid"),
        (question(extra=1), 422, "invalid"),
        ({"subject": {"resident_id": who(0)}}, 422, "invalid"),
        (question(consent=""), 422, "invalid"),
        (question(subject={"resident_id": "x" * 201}), 422, "invalid"),
        (question(subject={"name": "x"}), 422, "subject_fields"),
        (question(subject={}), 422, "subject_fields"),
        (question(claim="rich"), 422, "claim_unknown"),
        (question(purpose="marketing"), 403, "purpose_not_allowed"),
    ],
)
def test_a_question_that_does_not_fit_is_refused_and_costs_nothing(platform, body, status, code):
    key = platform.key()
    before = platform.metered(key)
    problem(platform.post(f"/v1/products/{platform.product.code}/verify", key, body), status, code)
    assert platform.metered(key) == before


def test_an_unknown_product_is_not_found(platform):
    key = platform.key()
    problem(platform.post("/v1/products/37I2300000023/verify", key, question()), 404, "product_unknown")
    problem(platform.get("/v1/products/37I2300000023"), 404, "product_unknown")


def test_a_large_body_is_refused_without_being_read(platform):
    key = platform.key()
    path = f"/v1/products/{platform.product.code}/verify"
    problem(platform.post(path, key, b"x" * 10_000_000), 413, "body_too_large")
    problem(platform.post(path, key, b"x" * (64 * 1024 + 1)), 413, "body_too_large")
    problem(platform.post(path + ":batch", key, b"x" * 10_000_000), 413, "body_too_large")

    def pieces():
        for _ in range(200):
            yield b"x" * 65_536

    with platform.client(key) as client:
        problem(client.post(path, content=pieces()), 413, "body_too_large")
    assert platform.verify(key).status_code == 200


def test_the_rate_of_a_key_is_kept(platform):
    key = platform.key(rate=5)
    with platform.client(key) as client:
        path = f"/v1/products/{platform.product.code}/verify"
        answers = [client.post(path, json=question()) for _ in range(40)]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused
    assert problem(refused[0], 429, "rate_exceeded")
    assert refused[0].headers["retry-after"] == "1"
    assert '"second";r=0' in refused[0].headers["ratelimit"]


def test_the_quota_of_a_day_is_kept_and_refused_calls_do_not_use_it(platform):
    key = platform.key(daily_quota=3)
    problem(platform.verify(key, claim="rich"), 422, "claim_unknown")
    assert [platform.verify(key).status_code for _ in range(4)] == [200, 200, 200, 429]
    problem(platform.verify(key), 429, "quota_exceeded")


def test_a_batch_is_answered_and_metered_one_by_one(platform):
    key = platform.key()
    before = platform.metered(key)
    items = [{"subject": {"resident_id": who(number)}, "claim": "insured", "consent": "c"} for number in range(100)]
    path = f"/v1/products/{platform.product.code}/verify:batch"
    body = {"purpose": "loan-review", "items": items}
    first = platform.post(path, key, body, **{"Idempotency-Key": "batch-1"})
    assert [answer["result"] for answer in first.json()["answers"]] == ["match", "no_match"] * 50
    assert len(set(first.json()["log_indexes"])) == 100
    assert platform.metered(key) == before + 100
    assert platform.post(path, key, body, **{"Idempotency-Key": "batch-1"}).json() == first.json()
    other = {"purpose": "loan-review", "items": items[:50]}
    problem(platform.post(path, key, other, **{"Idempotency-Key": "batch-1"}), 409, "idempotency_conflict")
    problem(platform.post(path, key, {"purpose": "loan-review", "items": items + items[:1]}), 422, "invalid")
    problem(platform.post(path, key, {"purpose": "loan-review", "items": []}), 422, "invalid")
    spoiled = {"purpose": "loan-review", "items": [*items[:5], {**items[5], "claim": "rich"}]}
    problem(platform.post(path, key, spoiled), 422, "claim_unknown")
    assert platform.metered(key) == before + 100


def test_a_suspended_key_and_product_are_refused_within_a_second(platform):
    key = platform.key()
    platform.city.api_keys.suspend_key(platform.city.authority, key.key.id, "odd pattern")
    deadline = time.monotonic() + 1
    wait_until(lambda: platform.verify(key).status_code == 403, 1)
    assert time.monotonic() < deadline
    assert "odd pattern" in problem(platform.verify(key), 403, "key_suspended")["detail"]
    platform.city.api_keys.revoke_key(platform.city.consumer, key.key.id, "lost")
    wait_until(lambda: platform.verify(key).status_code == 401, 1)
    other = platform.key()
    platform.city.registry.suspend(platform.city.authority, platform.product.id, "complaints")
    wait_until(lambda: platform.verify(other).status_code == 403, 1)
    assert "complaints" in problem(platform.verify(other), 403, "product_suspended")["detail"]
    platform.city.registry.restore(platform.city.authority, platform.product.id, "mended")
    wait_until(lambda: platform.verify(other).status_code == 200, 1)


def test_a_suspended_authorization_is_refused_within_a_second_and_says_why(platform):
    key = platform.key()
    with platform.client(key) as client:
        path = f"/v1/products/{platform.product.code}/verify"
        assert client.post(path, json=question()).status_code == 200
        platform.city.service.suspend(platform.city.authority, platform.product.authorization, "audit finding 7")
        started = time.monotonic()
        while (answer := client.post(path, json=question())).status_code == 200:
            assert time.monotonic() - started < 1
        assert time.monotonic() - started < 1
    body = problem(answer, 403, "authorization_suspended")
    assert "audit finding 7" in body["detail"]
    assert body["rule"].startswith("scope grt_")
    platform.city.service.restore(platform.city.authority, platform.product.authorization, "mended")
    wait_until(lambda: platform.verify(key).status_code == 200, 1)


def test_nothing_is_answered_while_the_writer_is_down(platform):
    key = platform.key()
    before = platform.metered(key)
    platform.stop("writer", signal.SIGKILL)
    answer = platform.verify(key, idempotency="through-the-gap")
    problem(answer, 503, "meter_unavailable")
    assert answer.headers["retry-after"] == "1"
    assert platform.metered(key) == before
    platform.start_writer()
    wait_until(lambda: platform.verify(key, idempotency="through-the-gap").status_code == 200)
    assert platform.metered(key) == before + 1
    assert platform.get("/readyz").status_code == 200


def test_a_use_is_proved_to_stand_in_the_signed_log(platform, tmp_path):
    key = platform.key()
    usage_id = platform.verify(key).json()["usage_id"]
    wait_until(lambda: platform.get(f"/v1/ledger/proof/{usage_id}", key).status_code == 200, 5)
    document = platform.get(f"/v1/ledger/proof/{usage_id}", key).json()
    (tmp_path / "proof.json").write_text(json.dumps(document))
    assert platform.get("/v1/ledger/checkpoint").text.startswith("shuzha/usage\n")
    log = platform.city.folder / "logs" / "usage"
    script = Path(__file__).parents[3] / "shuzha" / "ledger" / "verify.py"
    arguments = ["--proof", str(tmp_path / "proof.json"), "--public-key", str(log / "public-key")]
    done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert who(0) not in json.dumps(document)


def test_one_consumer_gets_no_proof_and_no_usage_of_another(platform):
    usage_id = platform.verify(platform.key()).json()["usage_id"]
    made = platform.city.api_keys.create_key(
        platform.city.other_consumer, platform.product.id, "shop", ("loan-review",)
    )
    wait_until(lambda: platform.get("/v1/usage", made).status_code == 200)
    problem(platform.get(f"/v1/ledger/proof/{usage_id}", made), 404, "not_found")
    assert platform.metered(made) == 0


def test_the_catalogue_and_health_are_open(platform):
    sheet = platform.get(f"/v1/products/{platform.product.code}").json()
    assert sheet["claims"] == ["insured"]
    assert sheet["subject"] == ["resident_id"]
    assert sheet["price_yuan"] == "0.0120"
    assert sheet["index"]["subjects"] == 200
    assert platform.get("/v1/products").json()["products"] == [sheet]
    text = platform.get("/metrics").text
    assert re.search(r'shuzha_calls_total\{endpoint="verify",status="200"\} [1-9]', text)
    problem(platform.get("/v1/nothing"), 404, "not_found")
    problem(platform.get(f"/v1/products/{platform.product.code}/verify"), 405, "method_not_allowed")
    problem(platform.get("/v1/usage"), 401, "key_missing")
    problem(platform.get("/v1/usage?period=2026-13", platform.key()), 422, "invalid")


async def test_many_calls_at_once_are_each_metered_once(platform):
    key = platform.key()
    before = platform.metered(key)
    path = f"/v1/products/{platform.product.code}/verify"
    headers = {"Authorization": f"Bearer {key.secret}"}
    async with httpx.AsyncClient(base_url=platform.url, headers=headers, timeout=30) as client:
        calls = [client.post(path, json=question(number % 200)) for number in range(100)]
        answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["usage_id"] for answer in answers}) == 100
    assert platform.metered(key) == before + 100


def test_a_batch_that_is_refused_is_not_metered_whatever_keys_were_used(platform):
    key = platform.key()
    items = [{"subject": {"resident_id": who(number)}, "claim": "insured", "consent": "c"} for number in range(3)]
    path = f"/v1/products/{platform.product.code}/verify:batch"
    body = {"purpose": "loan-review", "items": items}
    for mark in "#", "-", ".":
        assert platform.verify(key, 9, idempotency=f"b{mark}1").status_code == 200
    before = platform.metered(key)
    answer = platform.post(path, key, body, **{"Idempotency-Key": "b"})
    assert (answer.status_code, platform.metered(key)) == (200, before + 3)
    problem(platform.verify(key, 9, idempotency="b\n1".replace("\n", "\t")), 400, "idempotency_key")


SLOW_SENDERS = {
    b"": b"",
    b"POST /v1/products/x/verify HTTP/1.1\r\nHost: a\r\nX-Slow: ": b"",
    b"POST /v1/products/x/verify HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{": b"HTTP/1.1 408 ",
    b"POST /v1/products/x/files/y HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{": b"HTTP/1.1 408 ",
}


def test_who_sends_too_slowly_is_hung_up_on(platform):
    def wait_for_the_end(sent):
        with socket.create_connection(("127.0.0.1", platform.port), timeout=20) as line:
            line.sendall(sent)
            began = time.monotonic()
            return b"".join(iter(lambda: line.recv(65_536), b"")), time.monotonic() - began

    with ThreadPoolExecutor(len(SLOW_SENDERS)) as pool:
        found = dict(zip(SLOW_SENDERS, pool.map(wait_for_the_end, SLOW_SENDERS), strict=True))
    for sent, answered in SLOW_SENDERS.items():
        received, seconds = found[sent]
        assert received.startswith(answered), sent
        assert bool(received) is bool(answered), sent
        assert seconds < 15, sent


def test_blank_lines_keep_no_connection_open(platform):
    with socket.create_connection(("127.0.0.1", platform.port), timeout=20) as line:
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 15:
                line.sendall(b"\r\n")
                time.sleep(0.5)
        assert time.monotonic() - began < 15
