"""Warm workers, one for each model that is asked: many requests become one frame, and none waits without end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from products.forms import jail
from products.forms.line import Refused
from products.forms.predicting.inside.worker import MODEL, Cell, Ready, Rows, Scores, Start
from sandbox.airlock.models.specification import ModelSpecification

log = logging.getLogger(__name__)

_MODULE: Final = "products.forms.predicting.inside.worker"
MOST_FRAME: Final = 16 * 1024**2
START_SECONDS: Final = 60.0
FAILURES: Final = 3
PAUSE_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How much is run at once: warm models, rows waiting for one, rows in a frame; seconds a frame, bytes a worker."""

    models: int = 8
    waiting: int = 2_000
    frame: int = 500
    seconds: float = 10.0
    addresses: int = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Model:
    """A model to run: the product's id, the hash of its file, where that lies, and its declaration."""

    product: str
    sha256: str
    path: Path
    specification: ModelSpecification


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model says of some rows: its classes (none for a regression) and a row of scores for each."""

    classes: tuple[str, ...]
    scores: tuple[tuple[float, ...], ...]


_Said = TypeVar("_Said", Ready, Scores)


class WorkerGone(RuntimeError):
    """A worker ended, took too long or answered otherwise than agreed."""


@dataclass(slots=True)
class _Asked:
    rows: Sequence[Sequence[Cell]]
    future: asyncio.Future[Scored]


@dataclass(slots=True)
class Lane:
    """One model's worker, what waits for it, and how it fared."""

    model: Model
    limits: PoolLimits
    waiting: list[_Asked] = field(default_factory=list)
    process: asyncio.subprocess.Process | None = None
    ready: Ready = field(default_factory=Ready)
    running: asyncio.Task[None] | None = None
    failures: int = 0
    failed_at: float = 0.0
    starts: int = 0

    def ask(self, rows: Sequence[Sequence[Cell]]) -> asyncio.Future[Scored]:
        """Return the answer to come; refuses (503) where too many rows wait, and a model that keeps failing."""
        if self.failures >= FAILURES and time.monotonic() - self.failed_at < PAUSE_SECONDS:
            raise Refused(
                503, "model_unavailable", "the model does not run", "forms.worker", retry_after=int(PAUSE_SECONDS)
            )
        if sum(len(one.rows) for one in self.waiting) + len(rows) > self.limits.waiting:
            raise Refused(503, "busy", "too many inputs wait for the model", "forms.queue", retry_after=1)
        future = asyncio.get_running_loop().create_future()
        self.waiting.append(_Asked(rows, future))
        if self.running is None or self.running.done():
            self.running = asyncio.create_task(self._run())
        return future

    @property
    def idle(self) -> bool:
        """Whether nobody waits for it."""
        return not self.waiting and (self.running is None or self.running.done())

    async def close(self) -> None:
        """End the worker; whoever waits is told that the product cannot be answered."""
        if self.running is not None:
            self.running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.running
        await self._end()

    async def _run(self) -> None:
        while self.waiting:
            taken = self._take()
            rows = [row for one in taken for row in one.rows]
            try:
                scored = await self._score(rows)
            except (WorkerGone, OSError) as error:
                log.error("the worker of %s failed: %s", self.model.product, error)
                self.failures, self.failed_at = self.failures + 1, time.monotonic()
                await self._end()
                self._fail(taken)
                if self.failures >= FAILURES:
                    self._fail(self.waiting)
                    self.waiting = []
                continue
            except asyncio.CancelledError:
                self._fail(taken)
                raise
            self.failures = 0
            start = 0
            for one in taken:
                part = scored.scores[start : start + len(one.rows)]
                start += len(one.rows)
                if not one.future.done():
                    one.future.set_result(Scored(scored.classes, part))

    def _take(self) -> list[_Asked]:
        """Return what waits now, as much as a frame holds: whoever came during the last frame goes together."""
        taken, count = [self.waiting.pop(0)], 0
        count = len(taken[0].rows)
        while self.waiting and count + len(self.waiting[0].rows) <= self.limits.frame:
            taken.append(self.waiting.pop(0))
            count += len(taken[-1].rows)
        return taken

    @staticmethod
    def _fail(asked: Sequence[_Asked]) -> None:
        for one in asked:
            if not one.future.done():
                detail = "the model gave no answer; trying again is safe"
                one.future.set_exception(Refused(503, "model_unavailable", detail, "forms.worker", retry_after=1))

    async def _score(self, rows: Sequence[Sequence[Cell]]) -> Scored:
        if self.process is None or self.process.returncode is not None:
            await self._start()
        said = await self._exchange(Rows([list(row) for row in rows]), Scores, self.limits.seconds)
        if said.failed:
            raise WorkerGone(said.failed)
        whole = len(said.scores) == len(rows) and all(
            len(row) == self.ready.width and all(math.isfinite(one) for one in row) for row in said.scores
        )
        if not whole:
            raise WorkerGone("it answered otherwise than agreed")
        return Scored(self.ready.classes, tuple(tuple(row) for row in said.scores))

    async def _start(self) -> None:
        self.starts += 1
        with jail.call_filter() as seccomp:
            command = jail.command(_MODULE, {MODEL: self.model.path}, seccomp.fileno())
            self.process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL, env=jail.variables(), cwd="/", start_new_session=True,
                pass_fds=(seccomp.fileno(),), limit=MOST_FRAME,
            )  # fmt: skip
        start = Start(self.model.specification, self.limits.addresses)
        self.ready = await self._exchange(start, Ready, START_SECONDS)
        if self.ready.failed or self.ready.width < 1:
            raise WorkerGone(self.ready.failed or "it is not ready")

    async def _exchange(self, message: object, kind: type[_Said], seconds: float) -> _Said:
        process = self.process
        if process is None or process.stdin is None or process.stdout is None:
            raise WorkerGone("it is not there")
        data = msgspec.msgpack.encode(message)
        try:
            async with asyncio.timeout(seconds):
                process.stdin.write(len(data).to_bytes(8, "big") + data)
                await process.stdin.drain()
                length = int.from_bytes(await process.stdout.readexactly(8), "big")
                if length > MOST_FRAME:
                    raise WorkerGone("it answered too much")
                return msgspec.msgpack.decode(await process.stdout.readexactly(length), type=kind)
        except TimeoutError:
            raise WorkerGone("it took too long") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise WorkerGone("it ended") from None
        except msgspec.MsgspecError:
            raise WorkerGone("it answered otherwise than agreed") from None

    async def _end(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


class Pool:
    """The lanes of the models that were asked last."""

    def __init__(self, limits: PoolLimits | None = None) -> None:
        self._limits = limits or PoolLimits()
        self._lanes: OrderedDict[str, Lane] = OrderedDict()

    async def score(self, model: Model, rows: Sequence[Sequence[Cell]]) -> Scored:
        """Return what the model says of these rows; raises Refused (503) where it cannot, or too many wait."""
        return await (await self.lane(model)).ask(rows)

    async def lane(self, model: Model) -> Lane:
        """Return a model's lane; one of another file of the product is ended, and the one that was idle longest."""
        found = self._lanes.get(model.product)
        if found is not None and found.model.sha256 != model.sha256:
            del self._lanes[model.product]
            await found.close()
            found = None
        if found is None:
            await self._make_room()
            found = self._lanes[model.product] = Lane(model, self._limits)
        self._lanes.move_to_end(model.product)
        return found

    async def close(self) -> None:
        """End every worker."""
        while self._lanes:
            _, lane = self._lanes.popitem()
            await lane.close()

    async def _make_room(self) -> None:
        while len(self._lanes) >= self._limits.models:
            oldest = next((one for one in self._lanes.values() if one.idle), None)
            if oldest is None:
                raise Refused(503, "busy", "too many models are at work", "forms.queue", retry_after=1)
            del self._lanes[oldest.model.product]
            await oldest.close()
