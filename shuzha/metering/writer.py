"""The one process that writes usage: `python -m shuzha.metering.writer --dir DATA`.

Every API worker sends its events here by a Unix socket. What arrived while the last batch went to disk is the next
batch (group commit without a window), so the busier it is the larger the batches. It signs a checkpoint each second.
It may be killed at any moment: what it acknowledged is on disk, what it did not may be sent again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shuzha.core.clock import Clock, OffsetClock
from shuzha.core.errors import Invalid, ShuzhaError, Unavailable
from shuzha.core.keys import KeyRing, read_secret
from shuzha.ledger.checkpoint import Signer
from shuzha.ledger.log import Log
from shuzha.metering.compute import check_compute
from shuzha.metering.events import Point, Recorded, all_usual, check_point, check_series, microseconds
from shuzha.metering.store import Label, Outcome, UsageStore
from shuzha.metering.wire import (
    Compute,
    Declare,
    Done,
    Frames,
    Group,
    Publish,
    Refused,
    Reply,
    Request,
    Reverse,
    Stored,
    frame,
    refusal,
)

MAX_BATCH = 4_096
CHECKPOINT_SECONDS = 1.0
FLUSH_SECONDS = 0.01
MANY_WAITING = 1_024
KEY_NAME = "ledger:usage"
DEFAULT_ORIGIN = "shuzha/usage"

_REQUEST: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Declare | Group | Publish | Reverse | Compute)
_ENCODE = msgspec.msgpack.Encoder().encode
log = logging.getLogger(__name__)


class _Connection(asyncio.Protocol):
    """One API worker."""

    def __init__(self, writer: Writer) -> None:
        self.series: dict[int, Label] = {}
        self._writer = writer
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._writer.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._writer.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._frames.feed(data):
                self._writer.take(self, _REQUEST.decode(message))
        except (msgspec.MsgspecError, Invalid) as error:
            # Behind a message that cannot be read nothing is known of the stream: say so, and close it.
            self.reply(
                Refused(0, "Invalid", f"the writer refuses this message: {error}", "invalid", "metering.wire", None)
            )
            self.close()

    def pause_writing(self) -> None:
        """Stop listening to a worker that does not take its answers."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Listen again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def reply(self, reply: Reply) -> None:
        """Send an answer; a worker that has gone will ask again."""
        if self._transport is not None:
            self._transport.write(frame(_ENCODE(reply)))

    def close(self) -> None:
        """Send what is left and hang up."""
        if self._transport is not None:
            self._transport.close()


@dataclass(slots=True)
class _Waiting:
    """A group that waits for the disk; what is refused before is in `others`, by its place in the group."""

    connection: _Connection
    number: int
    points: list[tuple[Label, Point]]
    places: Sequence[int]
    others: dict[int, Done | Refused]


class Writer:
    """Takes groups of uses from connections, stores what has come as one batch, answers each group."""

    def __init__(self, store: UsageStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._pending: list[_Waiting] = []
        self._scheduled = False
        self._flushing = False
        self._flushed_at = 0.0
        self._forcing: asyncio.Task[None] | None = None
        self.connections: set[_Connection] = set()
        self.stopped = asyncio.Event()
        self.failure: ShuzhaError | None = None

    def take(self, connection: _Connection, request: Request) -> None:
        """Put a group into the next batch; or declare a series, reverse a use, sign a checkpoint."""
        if isinstance(request, Group):
            self._pending.append(self._checked(connection, request))
            if not self._scheduled:
                # Behind every socket that is ready now: their groups make one batch.
                self._scheduled = True
                asyncio.get_running_loop().call_soon(self._commit_all)
        elif isinstance(request, Declare):
            check_series(request.series)
            connection.series[request.number] = self._store.label(request.series)
        else:
            self._commit_all()
            connection.reply(self._acted(request))

    def checkpoint(self) -> None:
        """Sign a checkpoint when something is new, and tidy the table; called in a thread beside the loop."""
        self._store.publish()
        try:
            self._store.tidy()
        except sqlite3.Error as error:
            log.warning("the usage table cannot be tidied now (%s): tried again", error)

    def drain(self) -> None:
        """Store what is still waiting and hang up on every worker."""
        self._commit_all()
        for connection in tuple(self.connections):
            connection.close()

    def fail(self, error: ShuzhaError) -> None:
        """Refuse everything from now on and stop: after a failed write only a new start knows what is on disk."""
        log.error("the usage writer stops: %s", error)
        self.failure = error
        self.stopped.set()

    def _checked(self, connection: _Connection, group: Group) -> _Waiting:
        try:
            labels = [connection.series[number] for number in group.series]
        except KeyError:
            raise Invalid("a use is of a series that was not declared", rule="metering.series") from None
        points = list(zip(labels, group.points, strict=True))
        late = time.monotonic() > group.deadline
        # What is nearly always so is found out by one expression and a few comparisons.
        if not late and all_usual(group.points):
            return _Waiting(connection, group.number, points, range(len(points)), {})
        waiting = _Waiting(connection, group.number, [], [], {})
        places = list[int]()
        for place, labelled in enumerate(points):
            try:
                if late:
                    raise _too_late()
                check_point(labelled[1])
                if labelled[1].reverses:
                    raise Invalid("a use is reversed by its id", rule="metering.reverses", accepted="a Reverse request")
                waiting.points.append(labelled)
                places.append(place)
            except (Invalid, Unavailable) as error:
                waiting.others[place] = refusal(place, error)
        waiting.places = places
        return waiting

    def _commit_all(self) -> None:
        self._scheduled = False
        while self._pending and self.failure is None:
            batch, count = list[_Waiting](), 0
            while self._pending and count < MAX_BATCH:
                batch.append(self._pending.pop(0))
                count += len(batch[-1].points)
            try:
                self._commit(batch)
            except (Unavailable, OSError) as error:
                self._pending = batch + self._pending
                self.fail(_unavailable(error))
        if self.failure is not None:
            for waiting in self._pending:
                refused = [refusal(place, self.failure) for place in range(len(waiting.points) + len(waiting.others))]
                waiting.connection.reply(Stored(waiting.number, 0, list(refused)))
            self._pending.clear()
        else:
            if self._store.waiting:
                self._bring_up()
            if self._store.wants_force and self._forcing is None:
                self._forcing = asyncio.create_task(self._force())

    def _commit(self, batch: list[_Waiting]) -> None:
        points = batch[0].points if len(batch) == 1 else [each for waiting in batch for each in waiting.points]
        outcomes = self._store.record_points(points)
        start = 0
        for waiting in batch:
            mine = outcomes[start : start + len(waiting.points)]
            start += len(waiting.points)
            first = 0
            others = waiting.others
            for place, outcome in zip(waiting.places, mine, strict=True):
                if not isinstance(outcome, int):
                    others[place] = _other(place, outcome)
                elif not first:
                    first = outcome + 1
            in_order = [others[place] for place in sorted(others)] if others else []
            waiting.connection.reply(Stored(waiting.number, first - 1, in_order))

    async def _force(self) -> None:
        try:
            await asyncio.to_thread(self._store.force)
        except OSError as error:
            self.fail(_unavailable(error))
        finally:
            self._forcing = None

    def _bring_up(self) -> None:
        # At once after a pause, else at most so often: a commit costs as much as thirty uses.
        if self._store.waiting >= MANY_WAITING:
            self._store.flush()
        elif not self._flushing:
            self._flushing = True
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time(), self._flushed_at + FLUSH_SECONDS), self._flush)

    def _flush(self) -> None:
        self._flushing = False
        self._flushed_at = asyncio.get_running_loop().time()
        self._store.flush()
        if self._store.waiting:
            self._bring_up()

    def _published(self, request: Publish) -> Reply:
        if self.failure is None:
            try:
                return Done(request.number, "", self._store.size, self._store.publish(), False)
            except (Unavailable, OSError) as error:
                self.fail(_unavailable(error))
        assert self.failure is not None
        return refusal(request.number, self.failure)

    def _acted(self, request: Publish | Reverse | Compute) -> Reply:
        if isinstance(request, Publish):
            return self._published(request)
        if self.failure is not None:
            return refusal(request.number, self.failure)
        return self._computed(request) if isinstance(request, Compute) else self._reversed(request)

    def _computed(self, request: Compute) -> Reply:
        try:
            for use in request.uses:
                check_compute(use)
            new = self._store.record_compute(request.uses)
        except Unavailable as error:
            self.fail(error)
            return refusal(request.number, error)
        except Invalid as error:
            return refusal(request.number, error)
        return Done(request.number, "", new, "", False)

    def _reversed(self, request: Reverse) -> Reply:
        try:
            done = self._store.reverse(request.usage_id, request.reason, microseconds(self._clock.now()))
        except Unavailable as error:
            self.fail(error)
            return refusal(request.number, error)
        except ShuzhaError as error:
            return refusal(request.number, error)
        return Done(request.number, done.usage_id, done.log_index, done.answer, done.duplicate)


def _other(place: int, outcome: Outcome) -> Done | Refused:
    if isinstance(outcome, Recorded):
        return Done(place, outcome.usage_id, outcome.log_index, outcome.answer, outcome.duplicate)
    return refusal(place, outcome)


def _too_late() -> Unavailable:
    return Unavailable("the usage event came too late to be stored", rule="metering.deadline", accepted="send it again")


def _unavailable(error: Unavailable | OSError) -> Unavailable:
    return error if isinstance(error, Unavailable) else Unavailable(f"the usage writer failed: {error.strerror}")


def bind(path: Path) -> socket.socket:
    """Return the listening socket at `path`, which appears once it listens.

    Whoever left one there is dead, for this process owns the log.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".new")
    half.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(str(half))
    except OSError as error:
        listening.close()
        raise Invalid(
            f"the socket {path.name} cannot be made: {error}", rule="metering.socket",
            accepted="a path of at most 103 bytes in a folder that this user may write to",
        ) from None  # fmt: skip
    half.chmod(0o660)
    listening.listen(512)
    half.rename(path)
    return listening


async def serve(store: UsageStore, path: Path, clock: Clock) -> int:
    """Serve at the socket `path` until SIGTERM or SIGINT and return the exit code: 0, or 3 when the disk failed."""
    loop = asyncio.get_running_loop()
    writer = Writer(store, clock)
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, writer.stopped.set)
    # Last, so that whoever sees the socket may already ask the process to end.
    server = await loop.create_unix_server(lambda: _Connection(writer), sock=bind(path), backlog=512)
    log.info("usage writer ready, %d entries", store.size)
    while not writer.stopped.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(writer.stopped.wait(), CHECKPOINT_SECONDS)
        try:
            await asyncio.to_thread(writer.checkpoint)
        except (Unavailable, OSError) as error:
            writer.fail(_unavailable(error))
    server.close()
    writer.drain()
    return 0 if writer.failure is None else 3


def open_store(data: Path, signer: Signer, clock: Clock) -> UsageStore:
    """Return the store of a data folder: its log in `logs/usage`, its table in `usage`; refuses a second owner."""
    usage_log = Log(data / "logs" / "usage", signer, clock, journal=data / "usage" / "journal.bin")
    try:
        return UsageStore(usage_log, data / "usage")
    except BaseException:
        usage_log.close()
        raise


def read_signer(options: argparse.Namespace) -> Signer:
    """Return the signer of the command line: the ring's key of this log, or a 32-byte seed in a file of its own."""
    if options.key_file is None:
        return Signer(options.origin, KeyRing(options.keys or options.dir / "keys").signing_key(KEY_NAME))
    seed = read_secret(options.key_file)
    if len(seed) != 32:
        raise Invalid(f"the key file {options.key_file.name} is refused", rule="keys.length", accepted="32 bytes")
    return Signer(options.origin, Ed25519PrivateKey.from_private_bytes(seed))


def main(arguments: list[str] | None = None) -> int:
    """Run the writer; return the exit code: 0 stopped, 1 refused (another owner, another key), 3 failed."""
    parser = argparse.ArgumentParser(prog="python -m shuzha.metering.writer", description="Write usage.")
    parser.add_argument("--dir", type=Path, required=True, help="the data folder: logs/usage and usage are in it")
    parser.add_argument("--socket", type=Path, help="the Unix socket (DIR/run/usage.sock)")
    parser.add_argument("--keys", type=Path, help="the folder of the master key (DIR/keys)")
    parser.add_argument("--key-file", type=Path, help="32 bytes of an Ed25519 key, instead of the master key")
    parser.add_argument("--origin", default=DEFAULT_ORIGIN, help=f"the log's name in checkpoints ({DEFAULT_ORIGIN})")
    parser.add_argument("--rebuild", action="store_true", help="build usage.db again from the log first")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        clock = OffsetClock(options.dir / "run" / "clock-offset")
        store = open_store(options.dir, read_signer(options), clock)
    except ShuzhaError as error:
        sys.stderr.write(f"usage writer refused to start: {error}\n")
        return 1
    path = options.socket or options.dir / "run" / "usage.sock"
    try:
        if options.rebuild:
            store.rebuild()
        # What is there now stays: the collector need not look at it again.
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        return uvloop.run(serve(store, path, clock))
    except Invalid as error:
        sys.stderr.write(f"usage writer refused to start: {error}\n")
        return 1
    finally:
        path.unlink(missing_ok=True)
        store.close()


if __name__ == "__main__":
    sys.exit(main())
