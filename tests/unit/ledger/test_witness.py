"""Witnesses: what they cosign, what they refuse and keep as evidence, and that they need nothing of the project."""

from __future__ import annotations

import base64
import http.server
import json
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shuzha.core.errors import Conflict, Invalid
from shuzha.ledger import verify, witness
from shuzha.ledger.checkpoint import Signer
from shuzha.ledger.cosignature import WitnessKey, find_cosigned, keep_cosigned, newest_cosigned, verify_cosigned
from shuzha.ledger.layout import NewEntry
from shuzha.ledger.log import Log
from shuzha.ledger.verify import verify_folder
from shuzha.ledger.witness import Refusal, Witness

OpenLog = Callable[[], Log]
# C2SP tlog-cosignature's own example: its key ids are stated there, its public keys are not.
EXAMPLE = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeM"
    "cTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+"
    "mbIUBkBIfZ+qnA==\n"
)
# RFC 8032 section 7.1, tests 1 to 3: seed, public key, message, signature.
RFC_8032 = (
    ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     ("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
     "655141438e7a100b")),
    ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     ("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
     "b00d291612bb0c00")),
    ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     ("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
     "c027beceea1ec40a")),
)  # fmt: skip


def numbered(start: int, stop: int) -> list[NewEntry]:
    return [NewEntry(f"usg_{number}", "usage", b'{"call":%d}' % number) for number in range(start, stop)]


@pytest.fixture
def regulator(tmp_path: Path) -> Witness:
    return Witness.make(tmp_path / "regulator", "regulator.example/shuzha")


@pytest.fixture
def watched(regulator: Witness, signer: Signer) -> Witness:
    regulator.add_log("usage", "http://127.0.0.1:1/usage", signer.verifier_key.line() + "\n")
    return regulator


def proof(log: Log, first: int, second: int) -> list[bytes]:
    return list(log.reader.consistency(first, second)) if first else []


def test_plain_python_signs_as_rfc_8032_does() -> None:
    for seed, public, message, signature in RFC_8032:
        assert witness.public_in_python(bytes.fromhex(seed)).hex() == public
        assert witness.sign_in_python(bytes.fromhex(seed), bytes.fromhex(message)).hex() == signature
        assert verify.ed25519_valid_in_python(bytes.fromhex(public), bytes.fromhex(signature), bytes.fromhex(message))
    seed = bytes(range(32))
    assert witness.sign_in_python(seed, b"hello") == Ed25519PrivateKey.from_private_bytes(seed).sign(b"hello")


def test_the_specifications_example_is_read_and_its_time_is_the_one_stated() -> None:
    line = EXAMPLE.splitlines()[-1]
    raw = base64.b64decode(line.split(" ")[2])
    assert (raw[:4].hex(), int.from_bytes(raw[4:12], "big"), len(raw)) == ("8d66cf3f", 1_679_315_147, 76)
    text = EXAMPLE.rpartition("\n\n")[0]
    assert verify.cosigned_text(text, 1_679_315_147).decode() == (
        "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n"
        "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    )


def test_a_cosignature_is_what_the_specification_says(open_log: OpenLog, watched: Witness, signer: Signer) -> None:
    [log_seen] = watched.logs()
    with open_log() as log:
        log.append(numbered(0, 5))
        note = log.publish()
    line = watched.cosign(log_seen, 0, [], note)
    name, raw = line.split(" ")[1], base64.b64decode(line.split(" ")[2])
    at = int.from_bytes(raw[4:12], "big")
    said = f"cosignature/v1\ntime {at}\n{note.rpartition(chr(10) * 2)[0]}\n"
    Ed25519PublicKey.from_public_bytes(watched.key.public).verify(raw[12:], said.encode())
    assert name == "regulator.example/shuzha"
    key = WitnessKey.parse((watched.folder / "witness.pub").read_text())
    found = verify_cosigned(log_seen.note(), signer.verifier_key, key)
    assert (found.checkpoint.size, found.at) == (5, at)
    for place in range(4, 76):
        flipped = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        other = f"{note}— {name} {base64.b64encode(flipped).decode()}\n"
        assert verify.cosigned_at(other, watched.key) is None
        with pytest.raises(Invalid, match="no valid cosignature"):
            verify_cosigned(other, signer.verifier_key, key)


def test_a_growing_log_is_cosigned_step_by_step(open_log: OpenLog, watched: Witness) -> None:
    [log_seen] = watched.logs()
    with open_log() as log:
        size = 0
        for more in (3, 1, 9, 4):
            log.append(numbered(size, size + more))
            watched.cosign(log_seen, size, proof(log, size, size + more), log.publish())
            size += more
            newest = log_seen.newest()
            assert newest is not None
            assert newest.size == size
    assert len(list(verify.split_notes((log_seen.folder / "history").read_text()))) == 4


def test_a_log_with_two_histories_is_not_cosigned_twice(
    open_log: OpenLog, watched: Witness, signer: Signer, tmp_path: Path
) -> None:
    from shuzha.core.clock import SystemClock

    [log_seen] = watched.logs()
    with open_log() as log, Log(tmp_path / "other", signer, SystemClock()) as other:
        log.append(numbered(0, 4))
        other.append(numbered(0, 4))
        watched.cosign(log_seen, 0, [], log.publish())
        with pytest.raises(Refusal, match="another root for the same 4 entries") as same:
            watched.cosign(log_seen, 4, [], other.publish())
        other.append(numbered(4, 9))
        with pytest.raises(Refusal, match="do not continue the 4 cosigned last") as forked:
            watched.cosign(log_seen, 4, proof(other, 4, 9), other.publish())
        log.append(numbered(4, 9))
        assert watched.cosign(log_seen, 4, proof(log, 4, 9), log.publish()), "the control: the honest log goes on"
    assert (same.value.status, same.value.evidence) == (409, True)
    assert (forked.value.status, forked.value.evidence) == (422, True)


def test_requests_are_answered_as_tlog_witness_says(open_log: OpenLog, watched: Witness, signer: Signer) -> None:
    with open_log() as log:
        log.append(numbered(0, 4))
        first = log.publish()
        log.append(numbered(4, 6))
        second = log.publish()
        lines = "".join(f"{base64.b64encode(one).decode()}\n" for one in proof(log, 4, 6))
    with witness.make_server(watched, ("127.0.0.1", 0)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/add-checkpoint"

        def post(body: str) -> tuple[int, str, str]:
            request = urllib.request.Request(address, body.encode(), method="POST")
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return answer.status, answer.headers["Content-Type"], answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.headers["Content-Type"], error.read().decode()

        status, _, line = post(f"old 0\n\n{first}")
        assert status == 200
        assert verify.cosigned_at(first + line, watched.key)
        assert post(f"old 0\n\n{second}") == (409, "text/x.tlog.size", "4\n")
        assert post(f"old 5\n{lines}\n{second}")[0] == 409
        assert post(f"old 9\n\n{second}")[0] == 400
        assert post(f"old 04\n\n{second}")[0] == 400
        assert post(second)[0] == 400
        assert post(f"old 4\n\n{second}")[0] == 422
        assert post(f"old 4\n{lines}\n{second.replace('city.', 'town.')}")[0] == 404
        assert post(f"old 4\n{lines}\n{second[:-9]}AAAA{second[-5:]}")[0] == 403
        assert post(f"old 4\n{lines}\n{second}")[0] == 200
        server.shutdown()


def test_cosigned_notes_are_kept_beside_the_log_and_verified_with_it(
    open_log: OpenLog, folder: Path, watched: Witness, signer: Signer
) -> None:
    [log_seen] = watched.logs()
    key = WitnessKey.parse((watched.folder / "witness.pub").read_text())
    with open_log() as log:
        assert newest_cosigned(log.reader) is None
        for size in (2, 5):
            log.append(numbered(log.size, size))
            watched.cosign(
                log_seen,
                log_seen.newest().size if log_seen.newest() else 0,
                proof(log, 2 if size == 5 else 0, size),
                log.publish(),
            )
            found = verify_cosigned(log_seen.note(), signer.verifier_key, key)
            assert keep_cosigned(log.reader, found, key)
            assert not keep_cosigned(log.reader, found, key), "the same again adds nothing"
        log.append(numbered(5, 8))
        log.publish()
        kept = find_cosigned(log.reader, key)
        assert kept is not None
        assert kept.checkpoint.size == 5
    report = verify_folder(folder, witness=watched.key)
    assert (report.faults, report.size, report.cosigned_size) == ([], 8, 5)
    whole = (folder / "cosigned").read_bytes()
    for place in range(len(whole)):
        (folder / "cosigned").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert not verify_folder(folder, witness=watched.key).sound, place
    (folder / "cosigned").unlink()
    assert "no checkpoint is cosigned" in str(verify_folder(folder, witness=watched.key).faults[0])


def test_a_cosigned_note_that_the_log_contradicts_is_refused(
    open_log: OpenLog, watched: Witness, signer: Signer, tmp_path: Path
) -> None:
    from shuzha.core.clock import SystemClock

    [log_seen] = watched.logs()
    key = WitnessKey.parse((watched.folder / "witness.pub").read_text())
    with Log(tmp_path / "other", signer, SystemClock()) as other:
        other.append(numbered(0, 4))
        watched.cosign(log_seen, 0, [], other.publish())
    found = verify_cosigned(log_seen.note(), signer.verifier_key, key)
    with open_log() as log:
        for size in (2, 6):  # shorter than what was cosigned, then longer with another beginning
            log.append(numbered(log.size, size))
            log.publish()
            with pytest.raises(Conflict, match="does not have the root that its key signed for size 4"):
                keep_cosigned(log.reader, found, key)


class _Platform(http.server.BaseHTTPRequestHandler):
    """The four addresses of a log that a witness uses, over a real log folder."""

    log: Log
    brought: list[str]

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        if split.path.endswith("/checkpoint"):
            body = self.log.reader.note()
        else:
            asked = {name: int(values[0]) for name, values in parse_qs(split.query).items()}
            hashes = self.log.reader.consistency(asked["first"], asked["second"])
            body = json.dumps({"hashes": [base64.b64encode(one).decode() for one in hashes]})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())

    def do_POST(self) -> None:
        self.brought.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def platform(open_log: OpenLog) -> Iterator[tuple[str, type[_Platform]]]:
    class Handler(_Platform):
        log = open_log()
        brought: list[str] = []  # noqa: RUF012

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/ledger/usage", Handler
        server.shutdown()
    Handler.log.close()


def test_the_regulators_command_runs_alone_and_finds_a_log_that_was_cut(
    platform: tuple[str, type[_Platform]], signer: Signer, tmp_path: Path
) -> None:
    url, handler = platform
    alone = tmp_path / "alone"
    alone.mkdir()
    for module in (verify, witness):
        shutil.copy(str(module.__file__), alone)
    (alone / "usage.key").write_text(signer.verifier_key.line() + "\n")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-S", "-E", "witness.py", *words]
        return subprocess.run(command, cwd=alone, capture_output=True, text=True, check=False)

    assert run("init", "home", "--name", "regulator.example").returncode == 0
    assert run("init", "home", "--name", "regulator.example").returncode == 2
    assert run("add", "home", "usage", "--url", url, "--public-key", "usage.key").returncode == 0
    handler.log.append(numbered(0, 7))
    handler.log.publish()
    first = run("once", "home", "--json")
    assert (first.returncode, json.loads(first.stdout)["what"]) == (0, "cosigned"), first.stderr
    handler.log.append(numbered(7, 12))
    handler.log.publish()
    assert json.loads(run("once", "home", "--json").stdout) == {
        "log": "usage",
        "what": "cosigned",
        "size": 12,
        "said": "",
    }
    assert json.loads(run("once", "home", "--json").stdout)["what"] == "same"
    key = WitnessKey.parse((alone / "home" / "witness.pub").read_text())
    assert [verify_cosigned(note, signer.verifier_key, key).checkpoint.size for note in handler.brought] == [7, 12, 12]

    # Somebody who holds the log's key shows an older state again: the log was cut.
    handler.log.reader.note = lambda: signer.sign(7, handler.log.reader.root(7))  # type: ignore[method-assign]
    cut = run("once", "home")
    assert cut.returncode == 1
    assert "shows 7 entries after 12: it was cut" in cut.stdout
    [evidence] = (alone / "home" / "evidence").iterdir()
    assert verify.parse_note((evidence / "shown").read_text(), "", None).size == 7
    assert verify.parse_note((evidence / "held").read_text(), "", None).size == 12


def test_a_witness_out_of_reach_is_told_and_cosigns_nothing(
    watched: Witness, capsys: pytest.CaptureFixture[str]
) -> None:
    assert witness.main(["once", str(watched.folder)]) == 3
    assert "usage: unreachable" in capsys.readouterr().out
    assert watched.logs()[0].newest() is None


def test_a_checkpoint_that_the_regulator_kept_is_where_watching_begins(
    open_log: OpenLog, regulator: Witness, signer: Signer
) -> None:
    with open_log() as log:
        log.append(numbered(0, 6))
        held = log.publish()
        other = signer.sign(9, bytes(32))
        regulator.add_log("usage", "https://portal.example/ledger/usage", signer.verifier_key.line(), held)
        [log_seen] = regulator.logs()
        with pytest.raises(Refusal, match="do not continue"):
            regulator.cosign(log_seen, 6, [bytes(32)] * 3, other)
        log.append(numbered(6, 9))
        assert regulator.cosign(log_seen, 6, proof(log, 6, 9), log.publish())


@pytest.mark.parametrize("name", ["", "two words", "a+b", "é", "x" * 201])
def test_make_refuses_a_name_that_no_note_can_bear(tmp_path: Path, name: str) -> None:
    with pytest.raises(verify.BadInput, match="visible ASCII"):
        Witness.make(tmp_path / "w", name)


def test_a_witness_refuses_a_folder_whose_key_was_exchanged(regulator: Witness) -> None:
    (regulator.folder / "witness.key").write_text(bytes(32).hex())
    with pytest.raises(verify.BadInput, match="do not belong together"):
        Witness(regulator.folder)
    assert (regulator.folder / "witness.key").stat().st_mode & 0o077 == 0


def test_witness_keys_and_log_keys_are_not_taken_for_each_other(regulator: Witness, signer: Signer) -> None:
    with pytest.raises(Invalid, match="not a witness's key"):
        WitnessKey.parse(signer.verifier_key.line())
    with pytest.raises(verify.BadInput, match="public key of a log"):
        regulator.add_log("usage", "https://a.example", (regulator.folder / "witness.pub").read_text())
    assert (
        WitnessKey.parse((regulator.folder / "witness.pub").read_text()).line() + "\n"
        == (regulator.folder / "witness.pub").read_text()
    )
