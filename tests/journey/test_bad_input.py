"""What is wrong with an input is said clearly, by code, rule and what would be accepted; and nothing changes."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from journey_kit import Walked, problem_of, refused, wait_until

from shuzha.core.ids import new_id
from shuzha.metering.reports import UsageQuery, UsageReader
from shuzha.server.demo import sheets
from shuzha.server.demo.city import CLAIM_NAME

MEGABYTES_10 = 10 * 1024 * 1024
RECEIVED_TAGS = {"batch:receive", "batch:refuse"}


def events_after(walked: Walked, sequence: int) -> set[str]:
    return {event.tag for event in walked.platform.database.events_after(sequence)}


@contextmanager
def nothing_changes(walked: Walked, allowed: frozenset[str] | set[str] = frozenset()) -> Iterator[None]:
    """Hold the block to its promise: no event but `allowed`, no use metered, the raw table and its entry as before."""
    database, used = walked.platform.database, UsageReader(walked.settings.folder("usage"))
    entry = walked.person("provider").get(f"/entries/{walked.made['entry']}")
    rows = walked.platform.raw_zone.scan(walked.made["entry"]).select(pl.len()).collect().item()
    served = UsageQuery(product=walked.made["product"])
    sequence, uses = database.last_sequence(), used.totals(served).uses
    entries = len(walked.person("provider").get("/entries")["items"])
    yield
    # What happens to the workspace meanwhile is the platform's own doing, on its clock.
    assert {tag for tag in events_after(walked, sequence) if not tag.startswith("workspace:")} <= set(allowed)
    assert used.totals(served).uses == uses
    used.close()
    assert walked.person("provider").get(f"/entries/{walked.made['entry']}") == entry
    assert walked.platform.raw_zone.scan(walked.made["entry"]).select(pl.len()).collect().item() == rows
    assert len(walked.person("provider").get("/entries")["items"]) == entries
    assert list((walked.settings.folder("raw") / "inbox").iterdir()) == []


@pytest.fixture(scope="module")
def register(walked: Walked) -> pl.DataFrame:
    """The first rows of the city's register, as text."""
    found = walked.city.register(sheets.REGISTER).scan().head(200).collect()
    return found.with_columns(pl.all().cast(pl.String))


def broken(register: pl.DataFrame, kind: str) -> bytes:
    text = register.write_csv()
    match kind:
        case "UTF-16":
            return text.encode("utf-16")
        case "bytes":
            return secrets.token_bytes(4000)
        case "missing column":
            return register.drop("paid").write_csv().encode()
        case "unknown column":
            return register.with_columns(extra=pl.lit("x")).write_csv().encode()
        case "column twice":
            header, _, rest = text.partition("\n")
            return f"{header.replace('name,', 'period,', 1)}\n{rest}".encode()
        case "no header":
            return text.partition("\n")[2].encode()
        case "cut off":
            return text[: len(text) // 2].encode() + b'"'
        case "wrong type":
            return register.with_columns(paid=pl.lit("perhaps")).write_csv().encode()
    raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "rule", "named"),
    [
        ("UTF-16", "batch.encoding", "UTF-8"),
        ("bytes", "batch.encoding", "UTF-8"),
        ("missing column", "batch.columns", "`paid`"),
        ("unknown column", "batch.columns", "`extra`"),
        ("column twice", "batch.columns", "twice"),
        ("no header", "batch.columns", "header"),
        ("cut off", "batch.file", "shape"),
        ("wrong type", "batch.types.boolean", "`paid`"),
    ],
)
def test_batch_is_refused_whole(
    walked: Walked, register: pl.DataFrame, tmp_path: Path, kind: str, rule: str, named: str
) -> None:
    file = tmp_path / "delivery.csv"
    file.write_bytes(broken(register, kind))
    provider = walked.person("provider")
    with nothing_changes(walked, RECEIVED_TAGS):
        batch = provider.upload(f"/entries/{walked.made['entry']}/batches", file, mode="full")
        batch = provider.wait(f"/batches/{batch['id']}", lambda one: one["state"] in {"refused", "ingested"}, "it", 30)
        wait_until(lambda: not list((walked.settings.folder("raw") / "inbox").iterdir()), 5, "an empty inbox")
    assert batch["state"] == "refused"
    refusal = batch["refusal"]
    assert refusal["rule"] == rule, refusal
    assert refusal["code"]
    assert refusal["accepted"]
    assert "delivery.csv" in refusal["message"]
    assert named in refusal["message"] + refusal["accepted"]
    values = {*register["resident_id"], *register["name"], "perhaps"}
    assert not [value for value in values if value in json.dumps(refusal, ensure_ascii=False)]


def test_batch_larger_than_the_cap_is_refused_before_it_is_read(walked: Walked) -> None:
    token = walked.person("provider")._client.headers["Authorization"]
    with nothing_changes(walked):
        status, body = ask_without_a_body(
            walked.settings.bind, walked.settings.portal_port,
            f"/api/v1/entries/{walked.made['entry']}/batches?file=huge.csv", 40 * 10**9, token,
        )  # fmt: skip
    assert (status, body["code"], body["rule"]) == (422, "invalid", "batch.size")
    assert "bytes" in body["accepted"]


def test_entry_with_a_taken_code_is_refused(walked: Walked) -> None:
    with nothing_changes(walked):
        refusal = refused(lambda: walked.person("provider").post("/entries", sheets.entry_sheet()))
    assert (refusal.status, refusal.code) == (409, "conflict")
    assert refusal.rule
    assert refusal.accepted
    assert sheets.CODE in refusal.message


def question(walked: Walked) -> dict[str, Any]:
    subject = {"resident_id": "11010519491231002X", "name": "某人"}
    return {"subject": subject, "claim": CLAIM_NAME, "purpose": sheets.PURPOSE, "consent": "c"}


def call(walked: Walked, body: bytes | dict[str, Any], key: str = "") -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    address = (
        f"http://{walked.settings.bind}:{walked.settings.api_port}/v1/products/{walked.made['product_code']}/verify"
    )
    return httpx.post(address, content=content, headers=headers | {"Idempotency-Key": new_id("idk")}, timeout=10)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("", "key_missing"), ("not-a-key", "key_unknown"),
        (f"szk_abcdefgh_{secrets.token_urlsafe(32)}", "key_unknown"),
    ],
)  # fmt: skip
def test_call_without_a_known_key_is_refused(walked: Walked, key: str, code: str) -> None:
    with nothing_changes(walked):
        answer = call(walked, question(walked), key)
    body = problem_of(answer)
    assert (body["status"], body["code"]) == (401, code)
    assert body["accepted"]
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert not key or key not in answer.text


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"claim": "rich"}, 422, "claim_unknown"),
        ({"purpose": "marketing"}, 403, "purpose_not_allowed"),
        ({"subject": {"phone": "13900000000"}}, 422, "subject_fields"),
        ({"consent": ""}, 422, "invalid"),
        ({"more": 1}, 422, "invalid"),
    ],
)
def test_call_that_does_not_fit_is_refused_and_costs_nothing(
    walked: Walked, change: dict[str, Any], status: int, code: str
) -> None:
    with nothing_changes(walked):
        answer = call(walked, question(walked) | change, walked.journey.secret)
    body = problem_of(answer)
    assert (body["status"], body["code"]) == (status, code)
    assert body["rule"]
    assert body["accepted"]
    assert not [value for value in ("11010519491231002X", "13900000000", "某人") if value in answer.text]


def test_call_that_is_no_json_is_refused(walked: Walked) -> None:
    with nothing_changes(walked):
        body = problem_of(call(walked, b"\xff\xfe not json", walked.journey.secret))
    assert (body["status"], body["code"]) == (400, "not_json")


def ask_without_a_body(
    host: str, port: int, path: str, announced: int, token: str = "", kind: str = "application/json"
) -> tuple[int, dict[str, Any]]:
    """Announce a body, send none of it, and return the answer: it can only have come before a byte was read."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {announced}", f"Content-Type: {kind}"]
    lines += [f"Authorization: {token}"] if token else []
    with socket.create_connection((host, port), timeout=10) as line:
        line.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = line.makefile("rb")
        status = int(answer.readline().split()[1])
        headers = dict(iter(lambda: answer.readline().decode().strip().lower().partition(": ")[::2], ("", "")))
        assert headers["content-type"] == "application/problem+json"
        return status, json.loads(answer.read(int(headers["content-length"])))


def test_call_of_ten_megabytes_is_refused_before_it_is_read(walked: Walked) -> None:
    path = f"/v1/products/{walked.made['product_code']}/verify"
    token = f"Bearer {walked.journey.secret}"
    with nothing_changes(walked):
        status, body = ask_without_a_body(walked.settings.bind, walked.settings.api_port, path, MEGABYTES_10, token)
    assert (status, body["code"], body["rule"]) == (413, "body_too_large", "http.body_cap")
    assert body["accepted"] == "at most 65536 bytes"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api/v1/session", "application/json"), ("/api/v1/entries", "application/json"),
        ("/sign-in", "application/x-www-form-urlencoded"), ("/oidc/token", "application/x-www-form-urlencoded"),
    ],
)  # fmt: skip
def test_form_of_ten_megabytes_is_refused_before_it_is_read(walked: Walked, path: str, kind: str) -> None:
    token = walked.person("provider")._client.headers["Authorization"]
    with nothing_changes(walked):
        settings = walked.settings
        status, body = ask_without_a_body(settings.bind, settings.portal_port, path, MEGABYTES_10, token, kind)
    assert (status, body["code"], body["rule"]) == (413, "body_too_large", "http.body_cap")
    assert body["accepted"] == "at most 1048576 bytes"


def test_form_that_does_not_say_its_length_is_refused_where_it_grows_too_large(walked: Walked) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(160):
            yield b" " * 65_536

    address = f"http://{walked.settings.bind}:{walked.settings.portal_port}/api/v1/session"
    headers = {"Content-Type": "application/json"}
    with nothing_changes(walked):
        answer = httpx.post(address, content=pieces(), headers=headers, timeout=20)
    assert problem_of(answer)["code"] == "body_too_large"


def test_form_that_does_not_fit_names_the_place_and_no_value(walked: Walked) -> None:
    sheet = sheets.entry_sheet(code="370100-HRSS-0002") | {"update_cycle": "13900000000"}
    with nothing_changes(walked):
        refusal = refused(lambda: walked.person("provider").post("/entries", sheet))
    assert (refusal.status, refusal.code, refusal.rule) == (422, "invalid", "http.form")
    assert "update_cycle" in refusal.message
    assert "13900000000" not in refusal.message
