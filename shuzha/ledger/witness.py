#!/usr/bin/env python3
"""Witness a Shuzha log: keep its newest consistent checkpoint, cosign it, publish that. Needs verify.py beside it.

    python witness.py init DIR --name regulator.example/shuzha     # makes the key; give DIR/witness.pub to the platform
    python witness.py add DIR usage --url https://portal.example/ledger/usage --public-key usage.key
    python witness.py once DIR                                     # fetch, check, cosign, publish; then end
    python witness.py run DIR --every 60                           # the same again and again, until stopped
    python witness.py serve DIR --port 8095                        # or let logs come: C2SP tlog-witness

A checkpoint is cosigned when it is signed by the log's key and continues, by a consistency proof that is checked here,
the one that was cosigned last. What does not is kept in DIR/evidence, and never cosigned: two notes signed by one key
that contradict each other are the proof. Exit codes: 0 done, 1 a log contradicts itself, 2 bad input, 3 out of reach.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import hashlib
import http.server
import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

try:
    from shuzha.ledger import verify
except ImportError:  # Alone, with verify.py in the same folder.
    import verify  # type: ignore[import-not-found, no-redef]

MAX_ANSWER = 1 << 20
SECONDS = 20
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class Unreachable(Exception):
    """The log's server did not answer as it should: exit code 3."""


class Refusal(Exception):
    """A checkpoint that is not cosigned; `status` is the answer of C2SP tlog-witness, `size` the one cosigned last."""

    def __init__(self, status: int, said: str, *, size: int | None = None, evidence: bool = False) -> None:
        super().__init__(said)
        self.status, self.size, self.evidence = status, size, evidence


@dataclass(frozen=True)
class Outcome:
    """What became of one log: `cosigned`, `same`, `refused` (evidence is kept) or `unreachable`."""

    log: str
    what: str
    size: int = 0
    said: str = ""


# --- The key (RFC 8032 section 5.1.6, for machines without the `cryptography` package) ---


def public_of(seed: bytes) -> bytes:
    """Return the public key of a 32-byte seed."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        return public_in_python(seed)
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def sign(seed: bytes, message: bytes) -> bytes:
    """Return the Ed25519 signature of a message."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        return sign_in_python(seed, message)
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def public_in_python(seed: bytes) -> bytes:
    """Return the public key by plain arithmetic."""
    return verify.compress(verify.multiply_base(_scalar(hashlib.sha512(seed).digest())))


def sign_in_python(seed: bytes, message: bytes) -> bytes:
    """Return the signature by plain arithmetic; its time depends on the key, so sign on a machine of your own."""
    digest = hashlib.sha512(seed).digest()
    public = public_in_python(seed)
    nonce = int.from_bytes(hashlib.sha512(digest[32:] + message).digest(), "little") % verify.L
    r = verify.compress(verify.multiply_base(nonce))
    challenge = int.from_bytes(hashlib.sha512(r + public + message).digest(), "little") % verify.L
    s = (nonce + challenge * _scalar(digest)) % verify.L
    return r + s.to_bytes(32, "little")


def _scalar(digest: bytes) -> int:
    raw = int.from_bytes(digest[:32], "little")
    return (raw & ((1 << 254) - 8)) | (1 << 254)


# --- The witness's folder ---


class Witness:
    """A witness's key and, for each log that it watches, the checkpoint that it cosigned last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            seed = bytes.fromhex((folder / "witness.key").read_text().strip())
            self.key = verify.parse_key((folder / "witness.pub").read_text())
        except (OSError, ValueError):
            raise verify.BadInput(f"{folder}: not a witness's folder; make one with `init`") from None
        if len(seed) != 32 or self.key.kind != verify.WITNESS_KEY or public_of(seed) != self.key.public:
            raise verify.BadInput(f"{folder}: witness.key and witness.pub do not belong together")
        self._seed = seed

    @classmethod
    def make(cls, folder: Path, name: str) -> Witness:
        """Return a new witness with a new key; refuses a folder that has one."""
        if (folder / "witness.key").exists():
            raise verify.BadInput(f"{folder}: there is a witness here already")
        if not re.fullmatch(r"[!-*,-~]{1,200}", name):
            raise verify.BadInput("a witness's name is visible ASCII without blanks and `+`, such as regulator.example")
        seed = os.urandom(32)
        key = verify.Key(name, public_of(seed), verify.WITNESS_KEY)
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        line = f"{name}+{key.id.hex()}+{base64.b64encode(bytes([key.kind]) + key.public).decode()}\n"
        _store(folder / "witness.pub", line)
        _store(folder / "witness.key", seed.hex() + "\n", mode=0o600)
        return cls(folder)

    def add_log(self, name: str, url: str, key_line: str, checkpoint: str | None = None) -> None:
        """Watch a log from now on; `checkpoint` is one that you kept: nothing that contradicts it is cosigned."""
        key = verify.parse_key(key_line)
        if not _NAME.fullmatch(name) or key.kind != verify.LOG_KEY:
            raise verify.BadInput("a log needs a short name of a-z 0-9 _ - and the public key of a log")
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise verify.BadInput("a log's address begins with https:// or http://")
        place = self.folder / "logs" / name
        if place.exists():
            raise verify.BadInput(f"log {name} is watched already")
        if checkpoint is not None:
            verify.parse_note(checkpoint, "the checkpoint you hold", key)
        place.mkdir(parents=True)
        if checkpoint is not None:
            _store(place / "checkpoint", checkpoint)
        _store(place / "log.json", json.dumps({"url": url.rstrip("/"), "key": key_line.strip()}, indent=1) + "\n")

    def logs(self) -> list[WatchedLog]:
        """Return the logs that are watched, by name."""
        return [WatchedLog(one.parent) for one in sorted(self.folder.glob("logs/*/log.json"))]

    def cosign(self, log: WatchedLog, old_size: int, proof: list[bytes], note: str) -> str:
        """Return the cosignature line of a checkpoint, kept before it is given; raises Refusal for any that is refused.

        Refused are a note that the log's key did not sign, another `old_size` than that of the checkpoint cosigned
        last, a proof that does not hold, and another root for a size that was cosigned: the last two are evidence.
        """
        with log.locked():
            try:
                signed = verify.parse_note(note, "the checkpoint", log.key)
            except verify.BadInput as refusal:
                raise Refusal(403, str(refusal)) from None
            before = log.newest()
            last = 0 if before is None else before.size
            if old_size > signed.size:
                raise Refusal(400, f"the old size {old_size} is larger than the checkpoint's {signed.size}")
            if old_size != last:
                raise Refusal(409, f"the checkpoint cosigned last has {last} entries, not {old_size}", size=last)
            if before is None or last == 0:
                if proof:
                    raise Refusal(422, "a first checkpoint comes without a proof")
            elif signed.size == last and signed.root != before.root:
                raise Refusal(409, f"another root for the same {last} entries", size=last, evidence=True)
            elif not verify.consistent(last, signed.size, before.root, signed.root, proof):
                raise Refusal(422, f"the {signed.size} entries do not continue the {last} cosigned last", evidence=True)
            at = int(time.time())
            text = note.rpartition("\n\n")[0]
            stamped = at.to_bytes(8, "big") + sign(self._seed, verify.cosigned_text(text, at))
            line = f"— {self.key.name} {base64.b64encode(self.key.id + stamped).decode()}\n"
            log.keep(f"{text}\n\n{_own_signature(note, log.key)}{line}")
        return line

    def refuse(self, log: WatchedLog, note: str, said: str) -> Path:
        """Keep two notes that contradict each other, and return where."""
        place = (
            self.folder
            / "evidence"
            / f"{log.name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(3).hex()}"
        )
        place.mkdir(parents=True)
        held = log.folder / "checkpoint"
        _store(place / "held", held.read_text() if held.exists() else "")
        _store(place / "shown", note)
        _store(place / "why", said + "\n")
        return place


class WatchedLog:
    """One log as its witness sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, folder.name
        try:
            told = json.loads((folder / "log.json").read_text())
            self.url, self.key = str(told["url"]), verify.parse_key(str(told["key"]))
        except (OSError, ValueError, KeyError, TypeError):
            raise verify.BadInput(f"{folder / 'log.json'}: damaged") from None

    def locked(self) -> _Lock:
        """Return the lock under which a checkpoint is compared and kept."""
        return _Lock(self.folder / "lock")

    def note(self) -> str:
        """Return the checkpoint cosigned last, empty before the first."""
        path = self.folder / "checkpoint"
        return path.read_bytes().decode() if path.exists() else ""

    def newest(self) -> verify.Checkpoint | None:
        """Return the checkpoint cosigned last, None before the first."""
        note = self.note()
        return verify.parse_note(note, "the checkpoint cosigned last", self.key) if note else None

    def keep(self, note: str) -> None:
        """Store a cosigned checkpoint durably: as the newest, and at the end of the history."""
        with (self.folder / "history").open("ab") as history:
            history.write(note.encode())
            history.flush()
            os.fsync(history.fileno())
        _store(self.folder / "checkpoint", note)


class _Lock:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)


# --- Going to the logs ---


def visit(witness: Witness, log: WatchedLog) -> Outcome:
    """Fetch a log's newest checkpoint, check that it continues the last one, cosign it and publish that."""
    note, said = "", ""
    try:
        note = _fetch(f"{log.url}/checkpoint")
        signed, before = verify.parse_note(note, f"{log.name}'s checkpoint", log.key), log.newest()
        last = 0 if before is None else before.size
        if before is not None and signed.size < last:
            said = f"the log shows {signed.size} entries after {last}: it was cut"
        elif before is not None and signed.size == last and signed.root == before.root:
            # Published again, for the platform may have missed it.
            return Outcome(log.name, "same", last, _publish(log, log.note()) if witness.key.name in log.note() else "")
        else:
            proof = _proof(log, last, signed.size) if last else []
            witness.cosign(log, last, proof, note)
            return Outcome(log.name, "cosigned", signed.size, _publish(log, log.note()))
    except Refusal as refusal:
        if not refusal.evidence:
            return Outcome(log.name, "unreachable", 0, str(refusal))
        said = str(refusal)
    except verify.BadInput as refusal:
        said = str(refusal)
    except Unreachable as error:
        return Outcome(log.name, "unreachable", 0, str(error))
    kept = witness.refuse(log, note, said)
    return Outcome(log.name, "refused", 0, f"{said}; kept in {kept.relative_to(witness.folder)}")


def _proof(log: WatchedLog, first: int, second: int) -> list[bytes]:
    answer = _fetch(f"{log.url}/consistency?first={first}&second={second}")
    try:
        return [base64.b64decode(one, validate=True) for one in json.loads(answer)["hashes"]]
    except (ValueError, KeyError, TypeError):
        raise Unreachable(f"{log.url}/consistency did not give a proof") from None


def _publish(log: WatchedLog, note: str) -> str:
    """Send a cosigned note to the log; a log that does not take it is told of, and nothing else changes."""
    request = urllib.request.Request(  # noqa: S310 -- the scheme was checked when the log was added.
        f"{log.url}/cosignatures", note.encode(), {"Content-Type": "text/plain; charset=utf-8"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):  # noqa: S310
            return ""
    except (OSError, ValueError) as error:
        return f"not published: {error}"


def _fetch(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 -- likewise.
            return bytes(answer.read(MAX_ANSWER)).decode()
    except (OSError, ValueError) as error:
        raise Unreachable(f"{url}: {error}") from None


def _own_signature(note: str, key: verify.Key) -> str:
    lines = note.rpartition("\n\n")[2].splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith(f"— {key.name} "))


def _store(path: Path, text: str, mode: int = 0o644) -> None:
    half = path.with_name(path.name + ".new")
    handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)


# --- Letting logs come (C2SP tlog-witness) ---


def make_server(witness: Witness, address: tuple[str, int]) -> http.server.ThreadingHTTPServer:
    """Return a server of `POST /add-checkpoint` for the logs that are watched."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if self.path != "/add-checkpoint" or not length.isdigit() or int(length) > MAX_ANSWER:
                self._answer(404 if self.path != "/add-checkpoint" else 400, "")
                return
            try:
                self._answer(200, take(witness, self.rfile.read(int(length)).decode()))
            except Refusal as refusal:
                size = refusal.size if refusal.status == 409 else None
                self._answer(refusal.status, f"{refusal}\n" if size is None else f"{size}\n", size is not None)
            except ValueError:
                self._answer(400, "not UTF-8\n")

        def _answer(self, status: int, text: str, size: bool = False) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/x.tlog.size" if size else "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing: what was cosigned stands in the history."""

    return http.server.ThreadingHTTPServer(address, Handler)


def take(witness: Witness, body: str) -> str:
    """Return the cosignature line for a request of C2SP tlog-witness; raises Refusal with the answer's status."""
    head, blank, note = body.partition("\n\n")
    first, *lines = head.split("\n")
    size = re.fullmatch(r"old (0|[1-9][0-9]{0,18})", first)
    if not blank or not size or len(lines) > 63:
        raise Refusal(400, "not a request: `old <size>`, proof lines, an empty line and a checkpoint were expected")
    try:
        proof = [base64.b64decode(line, validate=True) for line in lines]
    except ValueError:
        raise Refusal(400, "a proof line is not base64") from None
    for log in witness.logs():
        if log.key.name == note.partition("\n")[0]:
            try:
                return witness.cosign(log, int(size[1]), proof, note)
            except Refusal as refusal:
                if refusal.evidence:
                    witness.refuse(log, note, str(refusal))
                raise
    raise Refusal(404, "no log of this origin is watched")


# --- The command line ---


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except verify.BadInput as error:
        sys.stderr.write(f"bad input: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 0


def _run(options: argparse.Namespace) -> int:
    if options.verb == "init":
        key = Witness.make(options.folder, options.name).key
        sys.stdout.write(f"witness {key.name} {key.id.hex()}: give {options.folder}/witness.pub to the platform\n")
        return 0
    witness = Witness(options.folder)
    if options.verb == "add":
        held = options.checkpoint.read_bytes().decode() if options.checkpoint else None
        witness.add_log(options.log, options.url, options.public_key.read_text(), held)
        return 0
    if options.verb == "serve":
        with make_server(witness, (options.host, options.port)) as server:
            sys.stdout.write(f"witness {witness.key.name} at http://{options.host}:{server.server_address[1]}\n")
            sys.stdout.flush()
            server.serve_forever()
    while True:
        code = _visit_all(witness, as_json=options.json)
        if options.verb == "once":
            return code
        time.sleep(options.every)


def _visit_all(witness: Witness, *, as_json: bool) -> int:
    outcomes = [visit(witness, log) for log in witness.logs()]
    if not outcomes:
        raise verify.BadInput("no log is watched: add one with `add`")
    for one in outcomes:
        said = f" ({one.said})" if one.said else ""
        sys.stdout.write((json.dumps(asdict(one)) if as_json else f"{one.log}: {one.what} {one.size}{said}") + "\n")
    sys.stdout.flush()
    found = {one.what for one in outcomes}
    return 1 if "refused" in found else 3 if "unreachable" in found else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="witness.py", description="Witness a Shuzha log.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, said in (
        ("init", "make a witness with a new key"), ("add", "watch a log"), ("once", "visit every log now"),
        ("run", "visit every log again and again"), ("serve", "let logs come (C2SP tlog-witness)"),
    ):  # fmt: skip
        one = verbs.add_parser(verb, help=said)
        one.add_argument("folder", type=Path, metavar="DIR", help="the witness's folder; its key is in it")
        if verb == "init":
            one.add_argument("--name", required=True, help="the witness's name, such as regulator.example/shuzha")
        if verb == "add":
            one.add_argument("log", metavar="LOG", help="a short name, such as usage")
            one.add_argument(
                "--url", required=True, help="where the log is, such as https://portal.example/ledger/usage"
            )
            one.add_argument(
                "--public-key", type=Path, required=True, help="the log's public key, from a place you trust"
            )
            one.add_argument("--checkpoint", type=Path, help="a checkpoint that you kept: watching begins at it")
        if verb in ("once", "run"):
            one.add_argument("--json", action="store_true", help="print one JSON line for each log")
        if verb == "run":
            one.add_argument("--every", type=float, default=60.0, help="seconds between two visits (60)")
        if verb == "serve":
            one.add_argument("--host", default="127.0.0.1")
            one.add_argument("--port", type=int, default=8095)
    return parser


if __name__ == "__main__":
    sys.exit(main())
