"""The stand: a city with a product in service, the servers pinned to one core, the load to another."""

from __future__ import annotations

import datetime as dt
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]
# Some distributions install a package `tests` of their own, which a plain import would find first.
sys.modules["tests"] = tests = types.ModuleType("tests")
tests.__path__ = [str(ROOT / "tests")]

from products.registry.model import Product  # noqa: E402
from products.serving import snapshot  # noqa: E402
from products.serving.building import Unwatched, adopt, build_all  # noqa: E402
from products.serving.places import KEY_PURPOSE, index_folder  # noqa: E402
from products.serving.rows import KeyedRows  # noqa: E402
from products.serving.subjects import subject_hash  # noqa: E402
from shuzha.core.clock import FixedClock  # noqa: E402
from tests.ports_kit import free_port  # noqa: E402
from tests.products_kit import ProductCity, who  # noqa: E402

HERE = Path(__file__).parent
KEYS = 8
SUBJECTS = 4_096
PEOPLE = 10_000
_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = (("taskset", "-c", str(core)) for core in (_CORES[0], _CORES[-1]))
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Stand:
    """One installation, and the processes over it that the bench started."""

    folder: Path
    city: ProductCity
    product: Product
    secrets: list[str]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def settings(self) -> Path:
        return self.folder / "shuzha.toml"

    def start(
        self, *command: str | Path | int, wait: Path | int, python: str | Path = sys.executable
    ) -> subprocess.Popen[bytes]:
        """Start a server on the server's core and wait for its socket or port."""
        log = (self.folder / "servers.log").open("ab")
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [*SERVER_CORE, python, *map(str, command)], stdout=log, stderr=log, env=environment,
        )  # fmt: skip
        self.running.append(process)
        end = time.monotonic() + 120
        while not (wait.exists() if isinstance(wait, Path) else is_open(wait)):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit((self.folder / "servers.log").read_text()[-4_000:])
            time.sleep(0.02)
        return process

    def start_api(self, port: int, *, metered: bool = True) -> None:
        """Start the consumer API at a port, with the real writer or with a meter that keeps nothing."""
        self.settings.write_text(
            f'data = "{self.folder}"\ndatabase_url = "sqlite:///{self.folder}/records.db"\napi_port = {port}\n'
        )
        if metered:
            self.start("-m", "shuzha.metering.writer", "--dir", self.folder, wait=self.folder / "run" / "usage.sock")
        program = ["-m", "products.serving"] if metered else [HERE / "unmetered.py"]
        self.start(*program, "--settings", self.settings, wait=port)

    def stop(self) -> None:
        """End what was started, the last one first."""
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        self.running.clear()

    def cpu_seconds(self) -> float:
        """Return the processor time of the servers and all their children."""
        return sum(tree_seconds(process.pid) for process in self.running)

    def ask(self, requests: list[bytes], port: int, **job: Any) -> dict[str, Any]:
        """Run one load on the load's core and return what it saw, with the servers' processor time for one answer."""
        before, noise = self.cpu_seconds(), steal_ticks()
        found = run_load(self.folder, requests, port, **job)
        used = self.cpu_seconds() - before
        if found["bad"]:
            raise SystemExit(f"refused: {found['bad']}")
        found["cpu_us"] = round(used / max(1, found["answered"]) * 1e6, 1)
        found["steal"] = round((steal_ticks() - noise) / _TICK, 2)
        return found

    def requests(self, count: int = SUBJECTS) -> list[bytes]:
        """Return questions about people of the register, every second one of whom does match, and unknown ones."""
        return [
            self.request(number % KEYS, who(number % PEOPLE) if number % 4 else f"9{number:017d}")
            for number in range(count)
        ]

    def request(self, key: int, subject: str) -> bytes:
        """Return one question as HTTP."""
        body = {
            "subject": {"resident_id": subject}, "claim": "insured", "purpose": "loan-review",
            "consent": "consent-2026-0001",
        }  # fmt: skip
        return self.post("verify", key, json.dumps(body).encode())

    def three_kinds(self, count: int) -> list[bytes]:
        """Return a match, a mismatch and an unknown subject, again and again, under one key."""
        return [
            self.request(0, subject)
            for number in range(min(count, PEOPLE // 2))
            for subject in (who(2 * number), who(2 * number + 1), f"9{number:017d}")
        ]

    def batch(self, key: int, first: int, size: int = 100) -> bytes:
        """Return one batch as HTTP."""
        items = [
            {"subject": {"resident_id": who((first + place) % PEOPLE)}, "claim": "insured", "consent": f"c-{place}"}
            for place in range(size)
        ]
        return self.post("verify:batch", key, json.dumps({"purpose": "loan-review", "items": items}).encode())

    def post(self, verb: str, key: int, body: bytes) -> bytes:
        """Return a POST to the product as a client of the bench sends it."""
        head = (
            f"POST /v1/products/{self.product.code}/{verb} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {self.secrets[key]}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def publish_index(self, subjects: int) -> None:
        """Put an index of so many subjects in place: the people of the register and others at random."""
        folder = index_folder(self.folder / "products", self.product.id)
        manifest = snapshot.read_manifest(folder)
        assert manifest is not None
        key = self.city.keys.derive(KEY_PURPOSE, self.product.id)
        known = b"".join(subject_hash(key, [who(number)]) for number in range(PEOPLE))
        own = np.frombuffer(known, ">u8").reshape(-1, 2).astype(np.uint64)
        chance = np.random.default_rng(1)
        high = np.concatenate([own[:, 0], chance.integers(0, 2**64, subjects - PEOPLE, np.uint64, endpoint=False)])
        low = np.concatenate([own[:, 1], chance.integers(0, 2**64, subjects - PEOPLE, np.uint64)])
        values = np.concatenate(
            [np.arange(1, PEOPLE + 1, dtype=np.uint8) % 2, chance.integers(0, 2, subjects - PEOPLE, np.uint8)]
        )
        built = build_all(lambda take: take(KeyedRows(high, low, values)), subjects, 1, folder, Unwatched())
        adopt(folder, built.segments)
        made = replace(
            manifest, subjects=built.subjects, segments=built.segments, prefix_bits=built.shape.prefix,
            segment_bits=built.shape.segment,
        )  # fmt: skip
        snapshot.publish(folder, made)


def make_stand(folder: Path) -> Stand:
    """Return a city with a verification product in service and some keys."""
    city = ProductCity(folder, FixedClock(dt.datetime.now(dt.UTC) - dt.timedelta(days=40)))
    product = city.verification()
    secrets = [
        city.api_keys.create_key(
            city.consumer, product.id, f"bench {number}", ("loan-review",), rate=10_000, daily_quota=100_000_000
        ).secret
        for number in range(KEYS)
    ]
    return Stand(folder, city, product, secrets)


def run_load(folder: Path, requests: list[bytes], port: int, **job: Any) -> dict[str, Any]:
    """Run the load generator in a process of its own and return what it saw."""
    stored, told = folder / "requests.bin", folder / "job.json"
    stored.write_bytes(b"".join(len(each).to_bytes(4, "big") + each for each in requests))
    told.write_text(json.dumps({"port": port, "requests": str(stored), "connections": 64, **job}))
    done = subprocess.run(
        [*LOAD_CORE, sys.executable, HERE / "load.py", told], check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@contextmanager
def postgres(subjects: int = 100_000, *, preload: str = "") -> Iterator[str]:
    """Run a real PostgreSQL, durable as it comes, on the server's core, and yield its address."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not binaries:
        raise SystemExit("PostgreSQL is not installed: apt-get install -y postgresql")
    folder = Path(tempfile.mkdtemp(prefix="szpg-", dir="/var/tmp"))
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, pwd.getpwnam("postgres").pw_gid)

    environment = {**os.environ, "LD_PRELOAD": preload} if preload else None

    def run(*command: str | Path) -> None:
        user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        subprocess.run(
            [*SERVER_CORE, *map(str, command)], env=environment, check=True, capture_output=True, cwd="/tmp",
            **user,
        )  # fmt: skip

    table = (
        "CREATE TABLE usage (usage_id uuid PRIMARY KEY, key text NOT NULL, product text NOT NULL,"
        " claim text NOT NULL, purpose text NOT NULL, result text NOT NULL, occurred_at timestamptz NOT NULL)"
    )
    options = f"-c listen_addresses= -c unix_socket_directories={folder}"
    people = (
        f"SELECT CASE WHEN n < {PEOPLE} THEN '37010219800101' || lpad(n::text, 4, '0')"
        f" ELSE '8' || lpad(n::text, 17, '0') END, (n + 1) % 2 FROM generate_series(0, {subjects - 1}) n"
    )
    try:
        run(binaries[-1] / "initdb", "-D", folder / "data", "-U", "bench", "--auth=trust", "-E", "UTF8")
        run(binaries[-1] / "pg_ctl", "-D", folder / "data", "-o", options, "-l", folder / "log", "-w", "start")
        for statement in (
            "CREATE TABLE subjects (subject text PRIMARY KEY, claims integer NOT NULL)",
            f"INSERT INTO subjects {people}",
            table,
            "VACUUM ANALYZE subjects",
        ):
            run(binaries[-1] / "psql", "-h", folder, "-U", "bench", "-d", "postgres", "-c", statement)
        yield f"postgresql://bench@/postgres?host={folder}"
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            run(binaries[-1] / "pg_ctl", "-D", folder / "data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def pick_port() -> int:
    """Return a port that is free now."""
    return free_port()


def is_open(port: int) -> bool:
    """Whether somebody listens at a port."""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def tree_seconds(pid: int) -> float:
    """Return the processor time of a process and its children, those that ended too."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICK + sum(tree_seconds(int(child)) for child in children)


def steal_ticks() -> int:
    """Return how long the host kept this machine's cores for others, in ticks."""
    return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8])
