"""The one process that writes usage: `python -m shuzha.metering.writer --dir DATA`.

Every API worker sends its events here by a Unix socket. What arrived while the last batch went to disk is the next
batch (group commit without a window), so the busier it is the larger the batches. It signs a checkpoint each second.
It may be killed at any moment: what it acknowledged is on disk, what it did not may be sent again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shuzha.core.clock import Clock, OffsetClock
from shuzha.core.errors import Invalid, ShuzhaError, Unavailable
from shuzha.core.keys import KeyRing, read_secret
from shuzha.ledger.checkpoint import Signer
from shuzha.ledger.log import Log
from shuzha.metering.events import Recorded, UsageEvent, check_event
from shuzha.metering.store import Outcome, UsageStore
from shuzha.metering.wire import Done, Frames, Publish, Record, Refused, Reply, Request, frame, refusal

MAX_BATCH = 4_096
CHECKPOINT_SECONDS = 1.0
KEY_NAME = "ledger:usage"
DEFAULT_ORIGIN = "shuzha/usage"

_REQUEST: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Record | Publish)
_ENCODE = msgspec.msgpack.Encoder().encode
log = logging.getLogger(__name__)


class _Connection(asyncio.Protocol):
    """One API worker."""

    def __init__(self, writer: Writer) -> None:
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
                [Refused(0, "Invalid", f"the writer refuses this message: {error}", "invalid", "metering.wire", None)]
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

    def reply(self, replies: list[Reply]) -> None:
        """Send answers; a worker that has gone will ask again."""
        if self._transport is not None:
            self._transport.write(b"".join(frame(_ENCODE(reply)) for reply in replies))

    def close(self) -> None:
        """Send what is left and hang up."""
        if self._transport is not None:
            self._transport.close()


class Writer:
    """Takes events from connections, stores them by batches, answers."""

    def __init__(self, store: UsageStore) -> None:
        self._store = store
        self._pending: list[tuple[_Connection, int, UsageEvent]] = []
        self._scheduled = False
        self.connections: set[_Connection] = set()
        self.stopped = asyncio.Event()
        self.failure: ShuzhaError | None = None

    def take(self, connection: _Connection, request: Request) -> None:
        """Put a request into the next batch, or refuse it at once."""
        if isinstance(request, Publish):
            self._flush()
            connection.reply([self._published(request)])
            return
        try:
            check_event(request.event)
            if time.monotonic() > request.deadline:
                raise Unavailable(
                    "the usage event came too late to be stored", rule="metering.deadline", accepted="send it again"
                )
        except (Invalid, Unavailable) as error:
            connection.reply([refusal(request.number, error)])
            return
        self._pending.append((connection, request.number, request.event))
        if not self._scheduled:
            # Behind every socket that is ready now: their events make one batch.
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    async def tick(self) -> None:
        """Sign a checkpoint when something is new; batches are stored meanwhile, for another thread signs."""
        seal = self._store.seal()
        try:
            await asyncio.to_thread(self._store.sign, seal)
        except (Unavailable, OSError) as error:
            self._fail(error)

    def drain(self) -> None:
        """Store what is still waiting and hang up on every worker."""
        self._flush()
        for connection in tuple(self.connections):
            connection.close()

    def _flush(self) -> None:
        self._scheduled = False
        while self._pending and self.failure is None:
            batch, self._pending = self._pending[:MAX_BATCH], self._pending[MAX_BATCH:]
            self._guard(partial(self._commit, batch))
        if self.failure is not None:
            for connection, number, _ in self._pending:
                connection.reply([refusal(number, self.failure)])
            self._pending.clear()

    def _commit(self, batch: list[tuple[_Connection, int, UsageEvent]]) -> None:
        try:
            outcomes = self._store.record([event for _, _, event in batch])
        except Unavailable:
            self._pending = batch + self._pending
            raise
        except ShuzhaError as error:
            outcomes = [error] * len(batch)
        answers: dict[_Connection, list[Reply]] = {}
        for (connection, number, _), outcome in zip(batch, outcomes, strict=True):
            answers.setdefault(connection, []).append(_reply(number, outcome))
        for connection, replies in answers.items():
            connection.reply(replies)

    def _published(self, request: Publish) -> Reply:
        if self.failure is not None:
            return refusal(request.number, self.failure)
        return Done(request.number, "", self._store.size, self._store.publish(), False)

    def _guard(self, act: Callable[[], object]) -> None:
        # After a failed write only a new start knows what is on disk: refuse everything and stop.
        try:
            act()
        except (Unavailable, OSError) as error:
            self._fail(error)

    def _fail(self, error: Unavailable | OSError) -> None:
        log.error("the usage writer stops: %s", error)
        self.failure = (
            error if isinstance(error, Unavailable) else Unavailable(f"the usage writer failed: {error.strerror}")
        )
        self.stopped.set()


def _reply(number: int, outcome: Outcome) -> Reply:
    if isinstance(outcome, Recorded):
        return Done(number, outcome.usage_id, outcome.log_index, outcome.answer, outcome.duplicate)
    return refusal(number, outcome)


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


async def serve(store: UsageStore, path: Path) -> int:
    """Serve at the socket `path` until SIGTERM or SIGINT and return the exit code: 0, or 3 when the disk failed."""
    loop = asyncio.get_running_loop()
    writer = Writer(store)
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, writer.stopped.set)
    # Last, so that whoever sees the socket may already ask the process to end.
    server = await loop.create_unix_server(lambda: _Connection(writer), sock=bind(path), backlog=512)
    log.info("usage writer ready, %d entries", store.size)
    due = loop.time() + CHECKPOINT_SECONDS
    while not writer.stopped.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(writer.stopped.wait(), max(0.0, due - loop.time()))
        # On a grid, so that signing takes nothing from the second.
        due = max(due + CHECKPOINT_SECONDS, loop.time())
        await writer.tick()
    server.close()
    writer.drain()
    return 0 if writer.failure is None else 3


def open_store(data: Path, signer: Signer, clock: Clock) -> UsageStore:
    """Return the store of a data folder: its log in `logs/usage`, its table in `usage`; refuses a second owner."""
    usage_log = Log(data / "logs" / "usage", signer, clock)
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
        store = open_store(options.dir, read_signer(options), OffsetClock(options.dir / "run" / "clock-offset"))
    except ShuzhaError as error:
        sys.stderr.write(f"usage writer refused to start: {error}\n")
        return 1
    path = options.socket or options.dir / "run" / "usage.sock"
    try:
        if options.rebuild:
            store.rebuild()
        return asyncio.run(serve(store, path))
    except Invalid as error:
        sys.stderr.write(f"usage writer refused to start: {error}\n")
        return 1
    finally:
        path.unlink(missing_ok=True)
        store.close()


if __name__ == "__main__":
    sys.exit(main())
