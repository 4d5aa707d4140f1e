"""How fast a workspace's websockets may show: a bucket a workspace, filled evenly, from which every message is paid.

A message that must wait waits here, and meanwhile nothing more is read from its server: nothing is dropped. Without a
pace one kernel that prints without end takes the processors that its server, this gate and its neighbours share.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

DEFAULT_PACE = 4 * 1024**2
BURST_SECONDS = 2.0
"""What a workspace that was silent may show at once, in seconds of its pace: a large plot, a long notebook's output."""

LIGHT_BYTES = 64 * 1024
"""What each websocket may show in a second without waiting its turn: a status, a reply, a line of text."""

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class Bucket:
    """Bytes that may pass at once: at most `most`, `rate` more each second. It may be overdrawn, and then fills up."""

    def __init__(self, rate: float, most: float, clock: Clock = time.monotonic) -> None:
        self._rate = rate
        self._most = most
        self._clock = clock
        self._held = most
        self._at = clock()

    def held(self) -> float:
        """Return the bytes that may pass now, below zero while more has passed than there was."""
        now = self._clock()
        self._held = min(self._most, self._held + max(now - self._at, 0.0) * self._rate)
        self._at = now
        return self._held

    def take(self, size: int) -> None:
        """Pay for `size` bytes, whether they are there or not."""
        self._held = self.held() - size

    def wait(self) -> float:
        """Return the seconds until the bucket is not overdrawn."""
        return max(-self.held() / self._rate, 0.0)

    def is_full(self) -> bool:
        """Return whether nothing was taken that has not come back: a new bucket would be the same."""
        return self.held() >= self._most


@dataclass(slots=True)
class _Share:
    """What the websockets of one workspace have in common: its bucket, and whose turn it is to wait for it."""

    bucket: Bucket
    turn: asyncio.Lock
    lines: int = 0


class Line:
    """One websocket of a paced workspace."""

    def __init__(self, share: _Share, own: Bucket, sleep: Sleep) -> None:
        self._share = share
        self._own = own
        self._sleep = sleep

    async def wait(self, size: int) -> None:
        """Return when `size` bytes may go on; they are paid for then.

        A large message passes whole once the bucket is not overdrawn, and the next one waits for it. Websockets of a
        workspace take turns, so that a flood on one holds another back for one message at most; what is light waits
        for nobody.
        """
        if self._own.held() >= size:
            self._own.take(size)
            self._share.bucket.take(size)
            return
        async with self._share.turn:
            while (seconds := self._share.bucket.wait()) > 0:
                await self._sleep(seconds)
            self._share.bucket.take(size)


class Pace:
    """The buckets of all workspaces; `rate` is in bytes a second, and 0 holds nobody back."""

    def __init__(self, rate: int = 0, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._shares: dict[str, _Share] = {}

    def open(self, workspace: str) -> Line | None:
        """Return a new websocket's line, to be closed with `close`; None where there is no pace."""
        if not self._rate:
            return None
        share = self._shares.get(workspace)
        if share is None:
            self._forget_full()
            bucket = Bucket(self._rate, self._rate * BURST_SECONDS, self._clock)
            share = self._shares[workspace] = _Share(bucket, asyncio.Lock())
        share.lines += 1
        return Line(share, Bucket(LIGHT_BYTES, LIGHT_BYTES, self._clock), self._sleep)

    def close(self, workspace: str, line: Line | None) -> None:
        """Let go of a websocket's line. What it has taken stays taken: connecting anew fills no bucket."""
        if line is not None:
            self._shares[workspace].lines -= 1

    def _forget_full(self) -> None:
        """Forget workspaces that have no websocket and nothing to pay back."""
        for name in [one for one, share in self._shares.items() if not share.lines and share.bucket.is_full()]:
            del self._shares[name]
