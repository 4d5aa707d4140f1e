"""A real writer process, started and ended by the test."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shuzha.core.ids import new_id
from shuzha.core.keys import KeyRing
from shuzha.metering.events import UsageEvent

START_SECONDS = 15.0


class WriterProcess:
    """The writer of one data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.socket = data / "run" / "usage.sock"
        self._process: subprocess.Popen[bytes] | None = None
        KeyRing.create(data / "keys")

    def command(self, *more: str) -> list[str]:
        return [sys.executable, "-m", "shuzha.metering.writer", "--dir", str(self.data), *more]

    def start(self) -> float:
        """Start it and return the seconds until its socket answered."""
        self.socket.unlink(missing_ok=True)
        began = time.monotonic()
        with (self.data / "writer.log").open("ab") as output:
            self._process = subprocess.Popen(self.command(), stderr=output)
        while not self.socket.exists():
            assert self._process.poll() is None, (self.data / "writer.log").read_text()
            assert time.monotonic() - began < START_SECONDS, "the writer did not start"
            time.sleep(0.005)
        return time.monotonic() - began

    def pause(self, number: signal.Signals = signal.SIGSTOP) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        """Ask it to end and return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(START_SECONDS)

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


@pytest.fixture
def writer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WriterProcess]:
    process = WriterProcess(tmp_path_factory.mktemp("w"))
    yield process
    process.end()


@pytest.fixture
def make_event() -> Callable[..., UsageEvent]:
    def make(**changes: Any) -> UsageEvent:
        usage_id = new_id("usg")
        values: dict[str, Any] = {
            "usage_id": usage_id, "kind": "verify", "key_id": "key_1", "idempotency_key": usage_id,
            "consumer": "org_bank", "product": "370100-DV-0001", "authorization": "aut_1", "policy_version": "abc",
            "claim": "insured", "purpose": "loan-review", "answer": '{"result":"match"}', "price": 120, "waived": False,
            "request_digest": "d1", "occurred_at": dt.datetime.now(dt.UTC),
        }  # fmt: skip
        return UsageEvent(**{**values, **changes})

    return make
