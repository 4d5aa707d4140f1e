"""The small city with an airlock: requests are driven to a state by the real verbs of real people.

The clean room here runs the notebook's code in a process of its own with a real outbox, without the jail, which has
tests of its own and needs root.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat

from sandbox.airlock.base import Parts
from sandbox.airlock.inputs import PlatformInputs
from sandbox.airlock.memory.identity import PlatformIdentities
from sandbox.airlock.memory.service import Memory
from sandbox.airlock.memory.zone import MemoryZone
from sandbox.airlock.model import Choice, ExportRequest, ExportState, Submission
from sandbox.airlock.processing import job_for
from sandbox.airlock.rules import Rules
from sandbox.airlock.screening import Screener
from sandbox.airlock.service import AirlockService
from sandbox.airlock.vault import Vault
from sandbox.workspaces.clean_room.outbox import collect
from sandbox.workspaces.clean_room.run import FailedCell, Run, RunState
from shuzha.authorization.agreement import OutputKind
from shuzha.authorization.model import Grant
from shuzha.releases.model import Release
from tests.authorization_kit import person
from tests.releases_kit import ReleaseCity, payments

ROOT = Path(__file__).parents[1]
IMPORT = "import workbench"
TABLE = (
    'workbench.export("by_district", workbench.table("social_insurance", rows=["district_code"], aggregate="entities"),'
    ' "how many")'
)
VERIFICATION = (
    'workbench.export("insured", workbench.verification("social_insurance", subject=["resident_id"], claims=['
    'workbench.claim("insured", "参保", [("kind", "==", "pension"), ("base", ">=", 12000)])]), "who is insured")'
)
COLUMNS = ("resident_id", "period", "kind", "base", "paid", "district_code")


def notebook(*cells: str) -> bytes:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    return nbformat.writes(made).encode()


HOST = """
import json, os, sys
import polars, workbench  # Once for all runs: each is a fork, before polars has started a thread.
code = None
for line in sys.stdin:
    asked = json.loads(line)
    if (child := os.fork()) == 0:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nowhere, number)
        os.environ.update(asked["environment"])
        exec(compile(asked["script"], "<notebook>", "exec"), {"__name__": "__main__"})
        break
    print(os.waitpid(child, 0)[1], flush=True)
"""


@functools.cache
def find_host() -> subprocess.Popen[str]:
    """Return the process of this test process that runs the code of notebooks."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "notebooks" / "workbench")}
    host = subprocess.Popen(
        [sys.executable, "-c", HOST], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(host.kill)
    return host


class UnjailedRoom:
    """Runs the code of a notebook as a script, in a process of its own and without a jail."""

    def __init__(self) -> None:
        self.runs = 0
        self.before_end = lambda: None
        self.executed: bytes | None = None

    def run(self, content: bytes, releases: Sequence[str]) -> Run:
        self.runs += 1
        cells = nbformat.reads(content.decode(), as_version=4).cells
        with tempfile.TemporaryDirectory() as folder:
            outbox = Path(folder) / "outbox"
            outbox.mkdir()
            done = self._execute("\n".join(cell.source for cell in cells), outbox)
            state = RunState.DONE if done else RunState.FAILED
            failed = None if done else FailedCell(1, "", "an error of the notebook's own")
            self.before_end()
            executed = self.executed or content
            return Run(f"room-{self.runs}", state, 1, "", "environment", (), failed, collect(outbox), (), executed)

    def _execute(self, script: str, outbox: Path) -> bool:
        host = find_host()
        assert host.stdin is not None
        assert host.stdout is not None
        told = {name: value for name, value in os.environ.items() if name.startswith("SHUZHA_")}
        told["SHUZHA_OUTBOX"] = str(outbox)
        host.stdin.write(json.dumps({"script": script, "environment": told}) + "\n")
        host.stdin.flush()
        return int(host.stdout.readline()) == 0


class BrokenRoom:
    """Never comes back with a run."""

    def run(self, content: bytes, releases: Sequence[str]) -> Run:
        raise OSError("the room is broken")


@dataclass
class AirlockCity(ReleaseCity):
    """A city whose operating unit may ask for exports."""

    made: tuple[Grant, Release] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.room = UnjailedRoom()
        self.vault = Vault(self.folder / "vault")
        self.rules = Rules()
        self.colleague = person("gu", "org_operator", "analyst")
        self.checker = person("he", "org_authority", "checker")
        self.second = person("lin", "org_provider", "checker")
        self.third = person("guo", "org_audit", "checker")
        self.insider = person("ma", "org_operator", "checker")
        self.airlock = self.make_service()

    def make_service(self, room: object = None) -> AirlockService:
        inputs = PlatformInputs(self.database, self.zone, self.releases.path)
        identities = PlatformIdentities(self.database, self.zone, self.keys)
        self.memory = Memory(self.database, MemoryZone(self.zone.folder / "memory"), identities)
        screener = Screener(inputs, self.vault, self.rules, memory=self.memory)
        parts = Parts(self.database, self.policies, self.law, self.keys, self.vault, room or self.room, screener)  # type: ignore[arg-type]
        return AirlockService(parts)

    def ready(self, people: int = 600, **changes: object) -> tuple[Grant, Release]:
        """Return a grant for statistics and verification with its release built; a city that has one gives that."""
        if self.made is not None and not changes:
            return self.made
        entry = self.filled(payments(people), "2020101" if self.made is None else "2020102")
        kinds = (OutputKind.VERIFICATION, OutputKind.REPORT)
        wanted = {"columns": COLUMNS, "row_filter": (), "output_kinds": kinds} | changes
        grant = self.grant(self.authorize(entry), entry, **wanted)
        return grant, self.built(grant)

    def submission(self, release: Release, *cells: str, **changes: object) -> Submission:
        made = Submission(
            workspace="ws-1", authorization=release.authorization, scenario=release.demand, purpose="loan-review",
            title="insured by district", context="a table for the bank's report", releases=(release.id,),
            notebook=notebook(IMPORT, *(cells or (TABLE, VERIFICATION))),
        )  # fmt: skip
        return replace(made, **changes)

    def run_jobs(self) -> None:
        """Do what the outbox asks for, as the worker process does, until nothing is left."""
        place = 0
        while events := self.database.events_after(place):
            place = events[-1].sequence
            for event in events:
                job = job_for(event)
                if job is not None:
                    {"airlock.process": self.airlock.process, "airlock.finish": self.airlock.finish}[job[0]](job[1])

    def request_at(self, state: ExportState, release: Release, *cells: str) -> ExportRequest:
        """Return a request that real people and jobs led to `state`."""
        request = self.airlock.submit(self.analyst, self.submission(release, *cells))
        if state is ExportState.SUBMITTED:
            return request
        request = self.airlock.process(request.id)
        if state is request.state:
            return request
        request = self.airlock.vote(self.checker, request.id, Choice.APPROVE, "counts are large")
        if state is ExportState.UNDER_REVIEW:
            return request
        choice = Choice.REJECT if state is ExportState.CONSOLIDATION else Choice.APPROVE
        request = self.airlock.vote(self.second, request.id, choice, "I looked at each cell")
        if state in (ExportState.CONSOLIDATION, ExportState.APPROVED):
            return request
        return self.airlock.finish(request.id)
