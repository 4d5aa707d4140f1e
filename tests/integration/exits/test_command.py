"""`shuzha exit verify`: whoever holds a certificate and two keys checks it, without server, database or settings."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shuzha.authorization.agreement import sha256
from shuzha.core.actor import platform_actor
from shuzha.core.clock import FixedClock
from shuzha.core.keys import KeyRing
from shuzha.core.work import Database
from shuzha.exits.certificate import bundle_of, certificate_of
from shuzha.exits.model import Cause, Destroyed, Exit, ExitState, Frozen, HandOver, Settled, Signature
from shuzha.ledger.audit import open_audit_log, prove_event
from shuzha.ledger.checkpoint import Signer
from shuzha.ledger.layout import PUBLIC_KEY
from shuzha.server.cli import main

AT = dt.datetime(2026, 11, 20, 2, tzinfo=dt.UTC)
Change = Callable[[dict[str, Any]], object]


@dataclass(frozen=True)
class Ended:
    """What a command ended with."""

    returncode: object
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Held:
    """What somebody holds who was handed a certificate, in a folder with nothing else in it."""

    folder: Path
    bundle: bytes
    platform_key: str

    def verify(self, bundle: bytes, *options: str, **keys: str) -> Ended:
        """Run the command here, as it is typed, on a changed bundle or with another key."""
        out, err, typed = io.StringIO(), io.StringIO(), self.command(bundle, *options, **keys)
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["shuzha", *typed])
            try:
                main()
                code: object = 0
            except SystemExit as end:
                code = end.code or 0
        return Ended(code, out.getvalue(), err.getvalue())

    def command(self, bundle: bytes, *options: str, **keys: str) -> list[str]:
        (self.folder / "exit.json").write_bytes(bundle)
        named = {"log_key": "log.key", "platform_key": self.platform_key} | keys
        given = ["--log-key", named["log_key"], "--platform-key", named["platform_key"]]
        return ["exit", "verify", "exit.json", *given, *options]

    def changed(self, change: Change) -> bytes:
        found = json.loads(self.bundle)
        change(found)
        return json.dumps(found).encode()


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Held:
    """Sign the end of an authorization whose two releases were destroyed, over acts in a real audit log."""
    data, folder = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("held")
    clock, keys = FixedClock(AT), KeyRing.create(data / "keys")
    database = Database(f"sqlite:///{data}/records.db", clock)
    database.create_tables()
    log = open_audit_log(data, keys, clock)
    gone = {}
    with database.work(platform_actor("exits")) as work:
        for release in ("rel_1", "rel_2"):
            gone[release] = work.emit("release:destroy", release, "files removed")
    hour = dt.timedelta(hours=1)
    found = Exit(
        "ext_1", "aut_1", "org_operator", "org_authority", Cause.TERMINATED, "not corrected (J23 art. 14)",
        ExitState.SETTLED, AT, Frozen(AT + hour, grants=("grt_1",)),
        HandOver(AT + 2 * hour, "acc_1", "none", "none", "none"),
        tuple(Destroyed("release", release, "removed", event) for release, event in gone.items()), AT + 3 * hour,
        (Settled("2026-11", "stm_1", "0" * 64, 70, 0, {"operator": 50, "provider": 20}),), AT + 4 * hour,
    )  # fmt: skip
    names = {"platform": keys.signing_key("exit-certificates"), "org_authority": keys.signing_key("organisation:one")}
    public = {party: key.public_key().public_bytes_raw().hex() for party, key in names.items()}
    text = certificate_of(found, "a" * 64, public["org_authority"], AT + 5 * hour)
    signatures = tuple(
        Signature(party, "acc_1", AT, public[party], key.sign(text).hex()) for party, key in names.items()
    )
    with database.work(platform_actor("exits")) as work:
        closing = work.emit("exit:close", found.id, f"exit certificate signed: sha256 {sha256(text)}")
    log.catch_up(database)
    log.publish()
    log.close()
    audit = data / "logs" / "audit"
    proofs = {event: prove_event(audit, event) for event in (*gone.values(), closing)}
    closed = replace(found, certificate=text.decode(), signatures=signatures)
    bundle = bundle_of(closed, {event: proof.document() for event, proof in proofs.items() if proof})
    (folder / "log.key").write_text((audit / PUBLIC_KEY).read_text("utf-8"))
    return Held(folder, bundle, public["platform"])


def flip(text: str, place: int) -> str:
    return text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]


def test_the_command_needs_no_server(held: Held) -> None:
    program = [sys.executable, "-c", "from shuzha.server.entry import main; main()"]
    command = [*program, *held.command(held.bundle, "--json")]
    ended = subprocess.run(command, cwd=held.folder, capture_output=True, check=False, timeout=60)
    assert (ended.returncode, json.loads(ended.stdout)["holds"]) == (0, True), ended.stderr


def test_a_true_certificate_is_told_in_words_and_as_json(held: Held) -> None:
    told = held.verify(held.bundle)
    assert (told.returncode, told.stderr) == (0, "")
    assert "aut_1" in told.stdout
    assert "terminated" in told.stdout
    as_json = held.verify(held.bundle, "--json")
    said = json.loads(as_json.stdout)
    assert (as_json.returncode, said["holds"], said["wrong"]) == (0, True, [])
    assert (said["exit"], said["destroyed"], said["due_fen"]) == ("ext_1", {"release": 2}, 70)


def drop_item(bundle: dict[str, Any]) -> None:
    certificate = json.loads(bundle["certificate"])
    certificate["destroyed"].pop()
    bundle["certificate"] = json.dumps(certificate, separators=(",", ":"), sort_keys=True)


def flip_text(bundle: dict[str, Any]) -> None:
    place = bundle["certificate"].index("not corrected")
    bundle["certificate"] = flip(bundle["certificate"], place)


def flip_proof(bundle: dict[str, Any]) -> None:
    event = min(bundle["proofs"])
    body = bundle["proofs"][event]["body"]
    bundle["proofs"][event]["body"] = body.replace("files removed", "files renewed")


def drop_proof(bundle: dict[str, Any]) -> None:
    bundle["proofs"].pop(next(event for event, one in bundle["proofs"].items() if "rel_2" in one["body"]))


def flip_signature(bundle: dict[str, Any]) -> None:
    bundle["signatures"][1]["value"] = flip(bundle["signatures"][1]["value"], 7)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (flip_text, "the signature of platform does not hold"),
        (flip_signature, "the signature of org_authority does not hold"),
        (flip_proof, "the proof of act"),
        (drop_item, "the signature of platform does not hold"),
        (drop_proof, "no proven act destroyed the release rel_2"),
    ],
    ids=["a byte of the text", "a byte of a signature", "a word of an act", "a thing left out", "an act left out"],
)
def test_a_changed_certificate_ends_with_1_and_says_what_is_wrong(held: Held, change: Change, why: str) -> None:
    found = held.verify(held.changed(change), "--json")
    said = json.loads(found.stdout)
    assert (found.returncode, said["holds"]) == (1, False)
    assert any(why in one for one in said["wrong"]), said["wrong"]
    assert found.stderr == "shuzha: the certificate does not hold; rule: exit.certificate\n"


def test_another_key_of_platform_or_log_is_not_the_one_that_signed(held: Held) -> None:
    stranger = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    found = held.verify(held.bundle, platform_key=stranger)
    assert found.returncode == 1
    assert "the platform's signature is missing or of another key" in " ".join(found.stdout.split())
    line = (held.folder / "log.key").read_text("utf-8")
    (held.folder / "other.key").write_text(other_log(line))
    found = held.verify(held.bundle, "--json", log_key="other.key")
    assert found.returncode == 1
    assert any("the proof of act" in one for one in json.loads(found.stdout)["wrong"])


def other_log(line: str) -> str:
    """Return the verifier line of a log of the same name with another key."""
    return Signer(line.split("+")[0], Ed25519PrivateKey.generate()).verifier_key.line()


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[]", b'{"certificate": "{}", "signatures": [], "proofs": {}}'])
def test_what_is_no_certificate_ends_with_2_and_says_what_would_be_one(held: Held, content: bytes) -> None:
    found = held.verify(content)
    assert (found.returncode, found.stdout) == (2, "")
    assert "not the bundle of an exit" in found.stderr
    assert "GET /api/v1/exits/ID/certificate" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_file_that_is_not_there_ends_with_2(held: Held) -> None:
    found = held.verify(held.bundle, log_key="nowhere.key")
    assert found.returncode == 2
    assert "nowhere.key" in found.stderr
