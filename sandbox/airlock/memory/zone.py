"""Where populations lie: one folder per catalogue entry inside the raw zone, since they are about raw entities.

Whoever may read the raw zone may read it: processes of the platform, nobody else (mode 0700, files 0600). A file says
which numbers of the entry's roll stand in which cells; the roll says which keyed hash each number is. No value, no
pseudonym and no name is in either.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import polars as pl

from sandbox.airlock.memory.layers import Array, Layers
from shuzha.core.errors import Invalid, NotFound

ROLL = "roll"
RULE = "airlock.memory"
_META = "shuzha.population"


class MemoryZone:
    """The populations and rolls of one installation, below one folder of mode 0700."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def lock(self, entries: Sequence[str]) -> Iterator[None]:
        """Hold the memories of these entries alone, among all threads and processes of this host."""
        with ExitStack() as stack:
            for entry in sorted(set(entries)):
                handle = os.open(self._of(entry) / "lock", os.O_RDWR | os.O_CREAT, 0o600)
                stack.callback(os.close, handle)
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def read_roll(self, entry: str) -> Array:
        """Return the keyed hashes of the entities that are known so far, by number."""
        path = self._of(entry) / ROLL
        data = path.read_bytes() if path.exists() else b""
        if len(data) % 8:
            raise Invalid(f"the roll of entry {entry} is not whole", rule=RULE, accepted="the roll of a backup")
        return np.frombuffer(data, dtype="<u8")

    def write_roll(self, entry: str, roll: Array) -> None:
        """Keep a roll that begins with the one that is there; refuses one that does not."""
        known = self.read_roll(entry)
        if len(roll) < len(known) or not np.array_equal(roll[: len(known)], known):
            raise Invalid(f"the roll of entry {entry} can only grow", rule=RULE)
        if len(roll) > len(known):
            _write(self._of(entry) / ROLL, roll.astype("<u8").tobytes())

    def write(self, entry: str, kept: str, layers: Layers) -> str:
        """Keep a population and return its file's SHA-256."""
        columns: dict[str, Array] = {}
        for place, parts in enumerate(zip(layers.cells, layers.marks, layers.rows, strict=True)):
            columns |= {f"{name}{place}": part for name, part in zip(_COLUMNS, parts, strict=True)}
        said = {
            "count": layers.count, "family": layers.family, "hidden": sorted(layers.hidden), "exact": layers.exact,
        }  # fmt: skip
        buffer = io.BytesIO()
        pl.DataFrame(columns).write_parquet(buffer, compression="zstd", metadata={_META: json.dumps(said)})
        content = buffer.getvalue()
        _write(self._of(entry) / f"{kept}.parquet", content)
        return hashlib.sha256(content).hexdigest()

    def read(self, entry: str, kept: str, sha256: str) -> Layers:
        """Return a population; raises NotFound for none, Invalid for a file that was changed."""
        try:
            content = (self._of(entry) / f"{kept}.parquet").read_bytes()
        except FileNotFoundError:
            raise NotFound(f"the memory lacks the population of {kept}", rule=RULE) from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise Invalid(f"the population of {kept} was changed", rule=RULE)
        said = json.loads(pl.read_parquet_metadata(io.BytesIO(content))[_META])
        frame = pl.read_parquet(io.BytesIO(content))
        cells, marks, rows = (
            tuple(frame[f"{name}{place}"].to_numpy() for place in range(frame.width // len(_COLUMNS)))
            for name in _COLUMNS
        )
        return Layers(cells, marks, rows, said["count"], said["family"], frozenset(said["hidden"]), said["exact"])

    def _of(self, entry: str) -> Path:
        if not entry.replace("_", "").isalnum():
            raise Invalid("the memory refuses this id", rule=RULE, accepted="an id such as ent_01k…")
        folder = self._folder / entry
        for one in (self._folder, folder):
            one.mkdir(parents=True, exist_ok=True, mode=0o700)
            one.chmod(0o700)
        return folder


_COLUMNS = ("cells", "marks", "rows")


def _write(path: Path, content: bytes) -> None:
    """Put a file in its place whole or not at all, durably."""
    half = path.with_name(f".{secrets.token_hex(8)}")
    handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
