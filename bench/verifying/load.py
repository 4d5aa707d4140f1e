"""The load: keep-alive connections over loopback, driven by one plain epoll loop that costs little beside the server.

python load.py JOB.json     answers with one JSON line

A job has `port`, `requests` (a file: four bytes of length and a whole HTTP request, again and again), `connections`,
`seconds` and `warm` (seconds that are not counted). Without `rate` each connection asks again as soon as it is
answered (closed loop). With `rate` requests are due at even moments whatever the server does, and a latency counts from
the moment at which the request was due: waiting in line belongs to it (no coordinated omission).
"""

from __future__ import annotations

import gc
import json
import select
import socket
import sys
import time
from array import array
from collections import deque
from pathlib import Path

_READ = 65_536


class Load:
    """One run."""

    def __init__(self, job: dict) -> None:
        self.requests = read_requests(Path(job["requests"]))
        self.seconds = float(job["seconds"])
        self.warm = float(job.get("warm", 0.5))
        self.rate = job.get("rate")
        self.sockets = {}
        self.epoll = select.epoll()
        for _ in range(job["connections"]):
            each = socket.create_connection(("127.0.0.1", job["port"]))
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets[each.fileno()] = each
            self.epoll.register(each.fileno(), select.EPOLLIN)
        self.partial: dict[int, bytes] = {}
        self.bad: dict[str, int] = {}
        self.place = -1
        self.calls = int(job.get("calls", 2**60))
        self.classes = int(job.get("classes", 1))
        self.moments, self.latencies = array("d"), array("d")

    def next_request(self) -> bytes:
        self.place += 1
        return self.requests[self.place % len(self.requests)]

    def run(self) -> dict:
        gc.disable()
        before = time.process_time()
        began = time.perf_counter()
        (self._closed if self.rate is None else self._open)(began)
        taken = time.perf_counter() - began
        busy = (time.process_time() - before) / taken
        for each in self.sockets.values():
            each.close()
        return self._summary(began, busy)

    def _closed(self, began: float) -> None:
        clock, end = time.perf_counter, began + self.warm + self.seconds
        asked: dict[int, float] = {}
        for number, each in self.sockets.items():
            asked[number] = clock()
            each.sendall(self.next_request())
        while clock() < end and len(self.latencies) < self.calls:
            for number, _ in self.epoll.poll(1.0):
                if not self._answered(number):
                    continue
                now = clock()
                self.moments.append(now)
                self.latencies.append(now - asked[number])
                asked[number] = now
                self.sockets[number].sendall(self.next_request())
        self._finish(asked)

    def _finish(self, asked: dict[int, float]) -> None:
        # The answers still on their way are read, so that whoever counts afterwards counts the same as the server.
        waiting, end = set(asked), time.perf_counter() + 3
        while waiting and time.perf_counter() < end:
            for number, _ in self.epoll.poll(0.2):
                if number in waiting and self._answered(number):
                    waiting.discard(number)
        self.late = len(waiting)

    def _open(self, began: float) -> None:
        clock, end, step = time.perf_counter, began + self.warm + self.seconds, 1.0 / self.rate
        free, due_of, due = deque(self.sockets), {}, began
        while True:
            now = clock()
            while due <= now and free and due < end:
                number = free.popleft()
                due_of[number] = due
                self.sockets[number].sendall(self.next_request())
                due += step
            if (due >= end and not due_of) or now > end + 3:
                break
            for number, _ in self.epoll.poll(0 if due - now < 0.0005 else min(due - now, 0.05)):
                if self._answered(number):
                    now = clock()
                    self.moments.append(now)
                    self.latencies.append(now - due_of.pop(number))
                    free.append(number)
        self.late = len(due_of)

    def _answered(self, number: int) -> bool:
        data = self.sockets[number].recv(_READ)
        if not data:
            raise SystemExit("the server hung up")
        if number in self.partial:
            data = self.partial.pop(number) + data
        if not is_whole(data):
            self.partial[number] = data
            return False
        if data[9:12] != b"200":
            status = data[9:12].decode() + " " + data[-200:].decode(errors="replace")
            self.bad[status] = self.bad.get(status, 0) + 1
        return True

    def _summary(self, began: float, busy: float) -> dict:
        start, end = began + self.warm, began + self.warm + self.seconds
        answered = zip(self.moments, self.latencies, strict=True)
        kept = [(moment, latency) for moment, latency in answered if start <= moment < end]
        ordered = sorted(latency for _, latency in kept)
        spans: dict[int, list[float]] = {}
        for moment, latency in kept:
            spans.setdefault(int((moment - start) * 10), []).append(latency)
        worst = [round(max(spans[place]) * 1e3, 1) for place in sorted(spans)]
        return {
            "answered": len(self.latencies), "per_second": round(len(kept) / self.seconds), "late": self.late,
            **{f"p{part}_ms": _part(ordered, part) for part in (50, 90, 99)}, "p999_ms": _part(ordered, 99.9),
            "max_ms": _part(ordered, 100), "bad": self.bad, "load_busy": round(busy, 2),
            "class_p50_us": self._by_class(), "worst_each_100_ms": worst,
        }  # fmt: skip

    def _by_class(self) -> list[float]:
        # On one connection answers come in the order of the requests, from the file's first one on.
        parts = [sorted(self.latencies[place :: self.classes]) for place in range(self.classes)]
        return [round(_part(part, 50) * 1e3, 2) for part in parts]


def _part(ordered: list[float], part: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * part / 100))] * 1e3, 3) if ordered else 0.0


def is_whole(data: bytes) -> bool:
    """Whether the bytes are one whole answer, by its content-length."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return False
    place = data.find(b"ontent-length: ", 0, head)
    if place < 0:
        place = data.lower().find(b"ontent-length: ", 0, head)
    return len(data) >= head + 4 + int(data[place + 15 : data.find(b"\r\n", place)])


def read_requests(path: Path) -> list[bytes]:
    """Return the requests of a file."""
    data, found, place = path.read_bytes(), [], 0
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        found.append(data[place + 4 : place + 4 + length])
        place += 4 + length
    return found


if __name__ == "__main__":
    print(json.dumps(Load(json.loads(Path(sys.argv[1]).read_text())).run()))
