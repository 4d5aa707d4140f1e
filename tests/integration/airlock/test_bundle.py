"""A release bundle, checked by whoever received an output: by the function, and by the command without a server."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.airlock.bundle import BundleReport, verify_bundle
from sandbox.airlock.model import ExportState
from sandbox.airlock.record import SIGNING_KEY, sign_record
from sandbox.airlock.service import AirlockService
from shuzha.core.errors import Invalid
from shuzha.ledger.audit import open_audit_log, prove_event
from shuzha.ledger.layout import PUBLIC_KEY
from tests.airlock_kit import TABLE, AirlockCity


@dataclass
class Received:
    """What a receiver holds, and the keys that he got by another way."""

    bundle: bytes
    output: bytes
    airlock_key: bytes
    log_key: str

    def check(self, **changes: Any) -> BundleReport:
        one = replace(self, **changes)
        return verify_bundle(one.bundle, {"by_district": one.output}, one.airlock_key, one.log_key)


@pytest.fixture
def proven(city: AirlockCity) -> Iterator[Callable[[], AirlockService]]:
    """The city's airlock beside an audit log; calling it brings the log up to date and signs a checkpoint."""
    log = open_audit_log(city.folder, city.keys, city.clock)
    audit = city.folder / "logs" / "audit"

    def service() -> AirlockService:
        log.catch_up(city.database)
        log.publish()
        parts = replace(city.airlock._parts, prove=lambda event: prove_event(audit, event))
        return AirlockService(parts)

    yield service
    log.close()


@pytest.fixture
def received(city: AirlockCity, proven: Callable[[], AirlockService]) -> Received:
    _, release = city.ready()
    request = city.request_at(ExportState.RELEASED, release, TABLE)
    airlock = proven()
    record = airlock.read_record(city.analyst, request.id)
    output = airlock.read_released(city.analyst, request.id, "by_district").content
    log_key = (city.folder / "logs" / "audit" / PUBLIC_KEY).read_text()
    return Received(record.bundle(), output, record.public_key, log_key)


def held(report: BundleReport) -> dict[str, bool]:
    return {one.what: one.holds for one in report.checks}


def changed(bundle: bytes, **parts: Any) -> bytes:
    return json.dumps(json.loads(bundle) | parts).encode()


def test_a_bundle_holds_for_exactly_what_left(received: Received) -> None:
    report = received.check()
    assert held(report) == {"signature": True, "audit log": True, "output by_district": True}
    assert report.sound
    assert held(received.check(output=received.output + b"\n"))["output by_district"] is False
    other = verify_bundle(received.bundle, {"insured": received.output}, received.airlock_key, received.log_key)
    assert not other.sound
    assert not verify_bundle(received.bundle, {}, received.airlock_key, received.log_key).sound


def test_a_record_that_was_changed_does_not_hold(city: AirlockCity, received: Received) -> None:
    document = json.loads(received.bundle)
    facts = json.loads(base64.b64decode(document["record"]))
    facts["reviewers"] = facts["reviewers"][:1]
    record = json.dumps(facts).encode()
    forged = changed(received.bundle, record=base64.b64encode(record).decode())
    assert held(received.check(bundle=forged)) == {
        "signature": False, "audit log": False, "output by_district": True,
    }  # fmt: skip
    # Whoever stole the airlock's key can sign it, but it is not what the log has.
    signature = sign_record(record, city.keys.signing_key(SIGNING_KEY))
    assert held(received.check(bundle=changed(forged, signature=signature))) == {
        "signature": True, "audit log": False, "output by_district": True,
    }  # fmt: skip


def test_a_proof_of_something_else_does_not_hold(
    city: AirlockCity, received: Received, proven: Callable[[], AirlockService]
) -> None:
    _, release = city.ready()
    other = city.request_at(ExportState.RELEASED, release, TABLE)
    foreign = json.loads(proven().read_record(city.analyst, other.id).bundle())["proof"]
    for proof in (foreign, None, {}, foreign | {"hashes": []}):
        assert held(received.check(bundle=changed(received.bundle, proof=proof)))["audit log"] is False
    own = json.loads(received.bundle)["proof"]
    for wrong in ({"index": own["index"] + 1}, {"size": own["size"] + 1}, {"hashes": ["AAAA"]}, {"body": None}):
        assert held(received.check(bundle=changed(received.bundle, proof=own | wrong)))["audit log"] is False


def test_keys_of_somebody_else_do_not_hold(received: Received) -> None:
    assert held(received.check(airlock_key=bytes(32)))["signature"] is False
    name, _, key = received.log_key.strip().split("+", 2)
    other = base64.b64encode(bytes([1]) + bytes(32)).decode()
    assert held(received.check(log_key=f"{name}+00000000+{other}"))["audit log"] is False
    assert key


@pytest.mark.parametrize("bundle", [b"", b"[]", b"{}", b'{"format": "shuzha-release-bundle/1"}', b"[" * 100_000])
def test_what_is_no_bundle_is_refused(bundle: bytes) -> None:
    with pytest.raises(Invalid, match="not a release bundle"):
        verify_bundle(bundle, {}, bytes(32), "")


def test_a_record_has_no_proof_before_the_log_has_signed(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.RELEASED, release, TABLE)
    record = city.airlock.read_record(city.analyst, request.id)
    assert record.proof is None
    assert prove_event(city.folder / "logs" / "audit", "evt_none") is None


def test_the_command_needs_no_server(received: Received, tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_bytes(received.bundle)
    (tmp_path / "table.csv").write_bytes(received.output)
    (tmp_path / "log.key").write_text(received.log_key)
    command = [
        sys.executable, "-c", "from shuzha.server.entry import main; main()", "bundle", "verify", "bundle.json",
        "--airlock-key", received.airlock_key.hex(), "--log-key", "log.key", "--json", "--output",
    ]  # fmt: skip
    good = subprocess.run([*command, "by_district=table.csv"], cwd=tmp_path, capture_output=True, check=False)
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["sound"] is True
    (tmp_path / "table.csv").write_bytes(received.output + b"1")
    bad = subprocess.run([*command, "by_district=table.csv"], cwd=tmp_path, capture_output=True, check=False)
    assert bad.returncode == 1
    assert json.loads(bad.stdout)["checks"][-1]["holds"] is False
    assert subprocess.run([*command, "by_district"], cwd=tmp_path, capture_output=True, check=False).returncode == 2
