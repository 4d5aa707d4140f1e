"""How a log lies in its folder, byte for byte; `docs/reference/ledger.md` says the same to a regulator.

An *entry* is one line: a *header* (index, id, kind, time, commitment), a tab, a *body* (salt and payload). The
commitment is SHA-256 over the body as it stands; the header is the data of the tree's leaf. So the body can be erased
and every proof still holds, and no one can guess a payload from its commitment: 32 random bytes are in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from shuzha.core.errors import Invalid

ENTRIES_PER_FILE = 65_536
SALT_BYTES = 32
MAX_PAYLOAD = 65_536
ERASURE = "ledger:erase"
ERASED = b"-"
OFFSET_BYTES = 8

PUBLIC_KEY = "public-key"
CHECKPOINT = "checkpoint"
CHECKPOINTS = "checkpoints"
HASHES = "hashes.bin"
OFFSETS = "offsets.bin"
ENTRIES = "entries"
LOCK = "lock"

_SAFE = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
_LINES = re.compile(r"[A-Za-z0-9_.:-]{1,80}(?:\n[A-Za-z0-9_.:-]{1,80})*")


class NewEntry(NamedTuple):
    """What is to be logged: an id that the sender chose, a kind, and the payload as one JSON value without newlines."""

    id: str
    kind: str
    payload: bytes


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the tree commits to; it holds no personal data, for it can never be erased."""

    index: int
    id: str
    kind: str
    at: str
    commitment: str


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    salt: str
    payload: msgspec.Raw


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of a log: `leaf` is the header's bytes, `body` salt and payload as stored, None once erased."""

    header: Header
    leaf: bytes
    body: bytes | None

    @property
    def index(self) -> int:
        """The entry's place in the log."""
        return self.header.index

    @property
    def payload(self) -> bytes | None:
        """The payload's JSON, or None once it has been erased."""
        return None if self.body is None else bytes(_BODY.decode(self.body).payload)


_HEADER = msgspec.json.Decoder(Header)
_BODY = msgspec.json.Decoder(_Body)


def entries_file(folder: Path, index: int) -> Path:
    """Return the file in which the entry of this index stands."""
    return folder / ENTRIES / f"{index // ENTRIES_PER_FILE:06d}.jsonl"


def check_new_entries(entries: Sequence[NewEntry]) -> None:
    """Raise Invalid unless each entry can stand on one line of the log; names the first that cannot."""
    ids = "\n".join([entry.id for entry in entries])
    kinds = "\n".join({entry.kind for entry in entries})
    payloads = b"".join([entry.payload for entry in entries])
    lengths = [len(entry.payload) for entry in entries]
    lined = b"\n" not in payloads and b"\t" not in payloads and ids.count("\n") == len(entries) - 1
    sized = 0 < min(lengths) <= max(lengths) <= MAX_PAYLOAD
    if lined and sized and _LINES.fullmatch(ids) and _LINES.fullmatch(kinds):
        return
    for entry in entries:
        check_new_entry(entry)


def check_new_entry(entry: NewEntry) -> None:
    """Raise Invalid unless the entry can stand on one line of the log."""
    if not _SAFE.fullmatch(entry.id) or not _SAFE.fullmatch(entry.kind):
        raise Invalid("a log entry refuses this id or kind", rule="ledger.id", accepted="1-80 of A-Z a-z 0-9 _ . : -")
    if len(entry.payload) > MAX_PAYLOAD:
        raise Invalid(
            f"log entry {entry.id} is refused: its payload has {len(entry.payload)} bytes", rule="ledger.max_payload",
            accepted=f"at most {MAX_PAYLOAD}",
        )  # fmt: skip
    if not entry.payload or b"\n" in entry.payload or b"\t" in entry.payload:
        raise Invalid(f"log entry {entry.id} is refused: its payload is not JSON on one line", rule="ledger.payload")


def compose(entries: Sequence[NewEntry], first: int, at: str, salts: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return the entries' lines and leaf hashes; `salts` holds 64 hexadecimal letters for each.

    A list for each step: on the writer's path this is the fastest form of plain Python that was measured.
    """
    tail, width, sha = f'","at":"{at}","commitment":"', 2 * SALT_BYTES, sha256
    bodies = [
        b"".join((b'{"salt":"', salts[place : place + width], b'","payload":', entry.payload, b"}"))
        for place, entry in zip(range(0, width * len(entries), width), entries, strict=True)
    ]
    headers = [
        f'{{"index":{index},"id":"{entry.id}","kind":"{entry.kind}{tail}{sha(body).hexdigest()}"}}'.encode()
        for index, (entry, body) in enumerate(zip(entries, bodies, strict=True), first)
    ]
    leaves = [sha(b"\x00" + header).digest() for header in headers]
    lines = [b"".join((header, b"\t", body, b"\n")) for header, body in zip(headers, bodies, strict=True)]
    return lines, leaves


def parse_line(line: bytes, index: int) -> LogEntry:
    """Return the entry of a whole line; refuses one that isn't entry `index` or whose body breaks its commitment."""
    leaf, tab, body = line.removesuffix(b"\n").partition(b"\t")
    try:
        header = _HEADER.decode(leaf)
    except msgspec.MsgspecError:
        raise _damaged(index) from None
    if not tab or header.index != index or not line.endswith(b"\n"):
        raise _damaged(index)
    if body.rstrip(b" ") == ERASED:
        return LogEntry(header, leaf, None)
    if sha256(body).hexdigest() != header.commitment:
        raise _damaged(index)
    return LogEntry(header, leaf, body)


def blank_line(line: bytes) -> bytes:
    """Return the line with its body erased, of the same length, so that no other entry moves."""
    leaf = line.partition(b"\t")[0]
    return leaf + b"\t" + ERASED.ljust(len(line) - len(leaf) - 2) + b"\n"


def _damaged(index: int) -> Invalid:
    return Invalid(
        f"the log is damaged at entry {index}", rule="ledger.entry",
        accepted="`shuzha ledger verify` names what differs; restore the folder from a backup",
    )  # fmt: skip
