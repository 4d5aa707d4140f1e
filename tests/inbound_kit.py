"""The small city with a workspace into which its operating unit brings files: real records, releases, files, people."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from sandbox.airlock.vault import Vault
from sandbox.inbound.base import Parts, Reader
from sandbox.inbound.model import ImportRequest, ImportState, Origin, Rules, Wanted
from sandbox.inbound.reading import Reading, read_file
from sandbox.inbound.service import InboundService
from sandbox.workspaces.model import Workspace
from sandbox.workspaces.own_files import OwnZone
from sandbox.workspaces.records.specs import GrantedRelease
from sandbox.workspaces.service import WorkspaceService
from sandbox.workspaces.store import WORKSPACES
from shuzha.authorization.agreement import Operation
from shuzha.authorization.model import Grant
from shuzha.authorization.service import GrantScopes
from shuzha.authorization.store import GRANTS
from shuzha.core.actor import Actor
from shuzha.core.clock import FixedClock
from shuzha.people.model import Account, AccountState
from shuzha.people.staff_service import Staff
from shuzha.people.store import ACCOUNTS
from shuzha.releases.model import Release
from shuzha.releases.store import RELEASES
from tests.authorization_kit import person
from tests.releases_kit import ReleaseCity
from tests.staff_kit import make_ready

MADE = "made.json"
JOINING = (Operation.AGGREGATE, Operation.JOIN)
BRANCHES = b"district_code,branches,opened\n370102,3,2020-01-02\n370103,4,2020-01-03\n"
KEPT = ("branches", "opened")


def resident(number: int) -> str:
    """Return an invented person of `releases_kit.payments`; from 200 on nobody of that table."""
    return f"37010219800101{number:04d}"


def people(numbers: range, classes: int = 2) -> bytes:
    """Return a list of people as CSV, each in one of a few segments, with what names them."""
    given = "伟芳娜敏静强磊洋艳勇"
    rows = [f"{resident(n)},{'张王李赵'[n % 4]}{given[n // 4 % 10]},{'abcdefgh'[n % classes]},{n}" for n in numbers]
    return "\n".join(["resident_id,name,segment,spend", *rows, ""]).encode()


def wanted(*keep: str, **changes: object) -> Wanted:
    made = Wanted("branches", "how far branches are from people", Origin.OWN, "our own register of branches", keep)
    return replace(made, **changes)


def listed(**changes: object) -> Wanted:
    """Return a wish to join a list of people on the resident id."""
    return wanted("segment", name="customers", key="resident_id", joins="resident_id", **changes)


def read_here(path: Path, file_name: str, rules: Rules) -> tuple[bytes, Reading]:
    """Read a file in this process: as the child does, without its caps and its start."""
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        frame, reading = read_file(path, file_name, Path(scratch), rules)
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue(), reading


class IdleHost:
    """A host that does nothing and keeps what it was told to mount."""

    def __init__(self) -> None:
        self.mounts: tuple[GrantedRelease, ...] = ()

    def prepare(self, workspace: Workspace, releases: tuple[GrantedRelease, ...]) -> None:
        self.mounts = releases

    def start(self, workspace: Workspace) -> None:
        """It runs at once."""

    def stop(self, workspace: Workspace) -> None:
        """It ends at once."""

    def has_ended(self, workspace: Workspace) -> bool:
        return False

    def why_ended(self, workspace: Workspace) -> str:
        return ""

    def hold(self, workspace: Workspace, reason: str) -> None:
        """Nothing passes anyway."""

    def release(self, workspace: Workspace) -> None:
        """Nothing was held."""

    def destroy(self, workspace: Workspace) -> dict[str, object]:
        """There is no home."""
        return {}

    def read_notebook(self, workspace: Workspace, name: str) -> bytes:
        return b"{}"

    def screen_bytes(self, workspace: Workspace) -> dict[str, int]:
        return {}

    def screen_budget(self, workspace: Workspace) -> int:
        return 1000


@dataclass
class InboundCity(ReleaseCity):
    """A city with one open workspace, on a grant that allows `operations`."""

    operations: tuple[Operation, ...] = JOINING
    rules: Rules = field(default_factory=lambda: Rules(least_keys=50))
    reader: Reader = read_here

    def __post_init__(self) -> None:
        super().__post_init__()
        self.colleague = person("gu", "org_operator", "analyst")
        self.checker = person("he", "org_authority", "checker")
        self.insider = person("ma", "org_operator", "checker")
        self.outsider = person("sun2", "org_rival", "analyst")
        self.host = IdleHost()
        self.zone_own = OwnZone(self.folder / "own")
        self.vault = Vault(self.folder / "inbound")
        self.workspaces = WorkspaceService(
            self.database, self.policies, GrantScopes(self.database), self.host, self.releases.path, self.zone_own
        )
        self.inbound = InboundService(
            Parts(
                self.database, self.policies, self.law, self.keys, self.vault, self.zone_own, self.releases.path,
                self.folder / "scratch", self.rules, self.reader,
            )
        )  # fmt: skip
        if not (self.folder / MADE).exists():
            self._make()
        made = json.loads((self.folder / MADE).read_text())
        with self.database.read() as work:
            self.grant_: Grant = work.get(GRANTS, made["grant"])
            self.release: Release = work.get(RELEASES, made["release"])
            self.workspace: Workspace = work.get(WORKSPACES, made["workspace"])
        self.host.mounts = (GrantedRelease("own", self.zone_own.folder(self.workspace.name)),)

    def _make(self) -> None:
        for actor in (self.analyst, self.operator, self.colleague, self.outsider):
            self.add_account(actor)
        entry = self.filled()
        self.grant_ = self.grant(self.authorize(entry), entry, operations=self.operations)
        made = {"grant": self.grant_.id, "release": self.built(self.grant_).id}
        made["workspace"] = self.open(self.analyst).id
        (self.folder / MADE).write_text(json.dumps(made))

    def copied(self, folder: Path, **changes: object) -> InboundCity:
        """Return a city of its own in `folder` that begins where this one stands: much quicker than to build one."""
        self.database.engine.dispose()
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return replace(self, folder=folder, clock=FixedClock(self.clock.now()), **changes)  # type: ignore[arg-type]

    def add_account(self, actor: Actor) -> None:
        account = Account(
            actor.id, actor.name, f"u-{actor.name}", actor.name, actor.organisation, actor.roles, "",
            AccountState.ACTIVE, self.clock.now(),
        )  # fmt: skip
        with self.database.work(self.platform) as work:
            work.add(ACCOUNTS, account)
        make_ready(Staff(self.database, self.policies, self.law, b"identities"), self.database, actor.id)

    def open(self, actor: Actor) -> Workspace:
        return self.workspaces.run_start(self.workspaces.open_workspace(actor, self.grant_.demand).id)

    def bring(self, content: bytes = BRANCHES, wish: Wanted | None = None, *, upto: ImportState) -> ImportRequest:
        """Lead a file up to a state by the real verbs of real people."""
        inbound, wish = self.inbound, wish or wanted(*KEPT)
        made = inbound.receive(self.analyst, self.workspace.id, "file.csv", content)
        steps = (
            (ImportState.DRAFT, lambda: inbound.read(made.id)),
            (ImportState.SUBMITTED, lambda: inbound.submit(self.analyst, made.id, wish)),
            (ImportState.SCREENED, lambda: inbound.screen(made.id)),
            (ImportState.APPROVED, lambda: inbound.approve(self.checker, made.id, "serves the purpose")),
            (ImportState.IMPORTED, lambda: inbound.admit(made.id)),
        )
        for state, step in steps:
            if made.state is upto:
                break
            made = step()
            if made.state is not state:
                break
        return made

    def inside(self, name: str) -> pl.DataFrame | None:
        """Return what the workspace would read under this name, None where there is nothing."""
        found = self.zone_own.find(self.workspace.name, name)
        return None if found is None else pl.read_parquet(io.BytesIO((found / "data.parquet").read_bytes()))
