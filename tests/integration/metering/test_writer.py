"""The writer as a process: what it acknowledged is stored, whatever becomes of it."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from shuzha.core.errors import Conflict, Invalid, Unavailable
from shuzha.ledger.checkpoint import parse_checkpoint
from shuzha.ledger.reader import LogReader
from shuzha.ledger.verify import main as verify
from shuzha.ledger.verify import verify_folder
from shuzha.metering.client import UsageClient
from shuzha.metering.events import Recorded, UsageEvent
from shuzha.metering.reports import UsageQuery, UsageReader

MakeEvent = Callable[..., UsageEvent]
DEADLINE = 30.0
KILLS = 10


async def until(met: Callable[[], bool]) -> None:
    """Wait until something is so; fail after the deadline."""
    async with asyncio.timeout(DEADLINE):
        while not met():  # noqa: ASYNC110  (another process is waited for)
            await asyncio.sleep(0.01)


async def test_record_is_in_the_log_and_under_a_checkpoint_within_a_second(writer, make_event: MakeEvent) -> None:
    writer.start()
    client = UsageClient(writer.socket)
    event = make_event()
    assert await client.record(event) == Recorded(event.usage_id, 0, event.answer, False)
    log = LogReader(writer.data / "logs" / "usage")
    assert log.entry(0).header.id == event.usage_id
    await until(lambda: log.checkpoint().size == 1)
    proof = writer.data / "proof.json"
    proof.write_text(json.dumps(log.proof(0).document()))
    assert verify(["--proof", str(proof), "--public-key", str(log.folder / "public-key")]) == 0
    client.close()
    assert writer.stop() == 0
    assert verify([str(log.folder)]) == 0


async def test_many_workers_share_one_order(writer, make_event: MakeEvent) -> None:
    writer.start()
    clients = [UsageClient(writer.socket) for _ in range(4)]
    batches = await asyncio.gather(*(client.record_all([make_event() for _ in range(500)]) for client in clients))
    assert sorted(done.log_index for batch in batches for done in batch) == list(range(2_000))
    assert all(batch == sorted(batch, key=lambda done: done.log_index) for batch in batches)
    assert parse_checkpoint(await clients[0].publish()).size == 2_000
    for client in clients:
        client.close()


async def test_refusals_reach_the_one_who_sent_them(writer, make_event: MakeEvent) -> None:
    writer.start()
    client = UsageClient(writer.socket)
    good = make_event(idempotency_key="k")
    bad = make_event(product="")
    outcomes = await asyncio.gather(client.record(good), client.record(bad), return_exceptions=True)
    assert isinstance(outcomes[0], Recorded)
    assert isinstance(outcomes[1], Invalid)
    assert outcomes[1].rule == "metering.product"
    with pytest.raises(Conflict) as conflict:
        await client.record(make_event(idempotency_key="k", request_digest="another"))
    assert conflict.value.code == "idempotency_conflict"
    again = await client.record(make_event(idempotency_key="k", answer="another"))
    assert again == Recorded(good.usage_id, 0, good.answer, True)
    client.close()


async def test_garbage_closes_only_the_connection_it_came_by(writer, make_event: MakeEvent) -> None:
    writer.start()
    client = UsageClient(writer.socket)
    await client.record(make_event())
    for garbage in (b"\x00\x00\x00\x03abc", b"\xff\xff\xff\xffabc", b"GET / HTTP/1.1\r\n\r\n"):
        reader, stream = await asyncio.open_unix_connection(str(writer.socket))
        stream.write(garbage)
        async with asyncio.timeout(DEADLINE):
            assert b"refuses this message" in await reader.read()
        stream.close()
    assert (await client.record(make_event())).log_index == 1
    client.close()


async def test_client_says_that_the_writer_is_down_and_comes_back(writer, make_event: MakeEvent) -> None:
    client, event = UsageClient(writer.socket), make_event()
    with pytest.raises(Unavailable, match="not running"):
        await client.record(event)
    writer.start()
    first = await client.record(event)
    writer.kill()
    with pytest.raises(Unavailable):
        await client.record(make_event())
    writer.start()
    assert await client.record(event) == Recorded(event.usage_id, first.log_index, event.answer, True)
    client.close()


def test_second_writer_on_the_same_folder_is_refused(writer) -> None:
    writer.start()
    second = subprocess.run(writer.command("--socket", str(writer.data / "other.sock")), capture_output=True, text=True)
    assert second.returncode == 1
    assert "open in another process" in second.stderr
    assert writer.socket.exists()


def test_writer_refuses_a_log_that_another_key_began(writer) -> None:
    writer.start()
    assert writer.stop() == 0
    (writer.data / "keys" / "master.key").write_bytes(bytes(32))
    refused = subprocess.run(writer.command(), capture_output=True, text=True)
    assert refused.returncode == 1
    assert "another key" in refused.stderr


class Consumer:
    """An API worker under load: each call is retried with its idempotency key until it is acknowledged."""

    def __init__(self, socket: Path, make_event: MakeEvent, name: str) -> None:
        self._client = UsageClient(socket)
        self._make_event = make_event
        self._name = name
        self.acknowledged: dict[str, Recorded] = {}
        self.stop = False

    async def run(self) -> None:
        number = 0
        while not self.stop:
            await self._call(f"{self._name}-{number}")
            number += 1
        self._client.close()

    async def _call(self, key: str) -> None:
        async with asyncio.timeout(DEADLINE):
            while True:
                # Each try has an id and an answer of its own, as after a restart of the worker.
                event = self._make_event(idempotency_key=key)
                try:
                    self.acknowledged[key] = await self._client.record(event)
                    return
                except Unavailable:
                    await asyncio.sleep(0.01)


async def test_killed_ten_times_under_load_every_acknowledged_event_is_there_once(
    writer, make_event: MakeEvent
) -> None:
    dice = random.Random(20261122)
    writer.start()
    consumers = [Consumer(writer.socket, make_event, f"c{number}") for number in range(24)]
    tasks = [asyncio.create_task(consumer.run()) for consumer in consumers]

    def count() -> int:
        return sum(len(consumer.acknowledged) for consumer in consumers)

    for _ in range(KILLS):
        wanted = count() + dice.randrange(20, 400)
        await until(lambda wanted=wanted: count() >= wanted)
        held = {key: done for consumer in consumers for key, done in consumer.acknowledged.items()}
        writer.kill()
        log = LogReader(writer.data / "logs" / "usage")
        for done in held.values():
            assert log.entry(done.log_index).header.id == done.usage_id
        log.close()
        assert verify_folder(writer.data / "logs" / "usage").faults == []
        await asyncio.to_thread(writer.start)
    for consumer in consumers:
        consumer.stop = True
    await asyncio.gather(*tasks)
    assert writer.stop() == 0

    acknowledged = {key: done for consumer in consumers for key, done in consumer.acknowledged.items()}
    usage = UsageReader(writer.data / "usage")
    stored = {use.usage_id: use.log_index for use in usage.list_uses(UsageQuery(), limit=1_000_000)}
    log = LogReader(writer.data / "logs" / "usage")
    keys = Counter(json.loads(entry.payload or b"")["idempotency_key"] for entry in log.entries())
    assert set(keys.values()) == {1}
    assert set(keys) == set(acknowledged)
    assert stored == {done.usage_id: done.log_index for done in acknowledged.values()}
    assert len(stored) == len(acknowledged) == log.checkpoint().size
    report = verify_folder(writer.data / "logs" / "usage")
    assert (report.faults, report.size, report.signed_size) == ([], len(stored), len(stored))


async def test_what_the_caller_gave_up_is_not_stored_when_the_writer_wakes(
    writer, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.start()
    client = UsageClient(writer.socket)
    await client.record(make_event())
    writer.pause()
    monkeypatch.setattr("shuzha.metering.client.ANSWER_SECONDS", 1.5)
    with pytest.raises(Unavailable):
        await client.record(make_event())
    monkeypatch.undo()
    writer.pause(signal.SIGCONT)
    assert (await client.record(make_event())).log_index == 1
    client.close()
    assert writer.stop() == 0
    assert LogReader(writer.data / "logs" / "usage").checkpoint().size == 2
