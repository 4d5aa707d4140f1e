"""The roles file: which role holds which permission in which relation, and on what basis (article or house rule)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

from policies.decisions import Decision, Resource
from policies.enforcers import TinyEnforcer
from policies.permissions import Permission
from policies.relations import MEANINGS, RELATIONS, find_relations
from policies.roles import ROLES, find_clash
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid

_HEADER = ["permission", "role", "relation", "basis"]


@dataclass(frozen=True, slots=True)
class RoleLine:
    """One line of the roles file."""

    permission: Permission
    role: str
    relation: str
    basis: str

    def text(self) -> str:
        """Return the line as a decision quotes it."""
        return f"roles.csv: {self.permission.value},{self.role},{self.relation} ({self.basis})"


class RoleBook:
    """The lines of one roles file, one tiny Casbin enforcer for each permission."""

    def __init__(self, lines: Iterable[RoleLine]) -> None:
        self.lines = tuple(lines)
        self._by_permission: dict[str, tuple[RoleLine, ...]] = {}
        for line in self.lines:
            self._by_permission[line.permission.value] = (*self._by_permission.get(line.permission.value, ()), line)
        self._enforcers = {
            name: TinyEnforcer("roles.conf", [(line.role, name, line.relation) for line in found])
            for name, found in self._by_permission.items()
        }

    @classmethod
    def load(cls) -> RoleBook:
        """Return the platform's own roles file."""
        return cls(read_roles((resources.files("policies") / "roles.csv").read_text("utf-8")))

    def decide(self, actor: Actor, permission: str, resource: Resource) -> Decision:
        """Return whether one of the actor's roles holds the permission on this thing."""
        lines = self._by_permission.get(permission)
        if lines is None:
            return _denied(f"there is no permission `{permission}`", "permissions", "permission.unknown")
        clash = find_clash(actor.roles)
        if clash:
            return _denied(
                f"{actor.name} holds `{clash[0]}` and `{clash[1]}`, which no one person may",
                "roles.separation (Z20 art. 33)", "roles.separation",
            )  # fmt: skip
        found = self._enforcers[permission].find_line(actor.roles, permission, find_relations(actor, resource))
        if found is None:
            return self._explain(actor, permission, resource, lines)
        line = next(line for line in lines if (line.role, line.relation) == (found[0], found[2]))
        return Decision(True, f"{_title(line.role)}: {MEANINGS[line.relation]}", line.text(), code="allowed")

    def _explain(self, actor: Actor, permission: str, resource: Resource, lines: tuple[RoleLine, ...]) -> Decision:
        held = [line for line in lines if line.role in actor.roles]
        thing = f"{resource.kind} {resource.id}".strip()
        if not held:
            who = ", ".join(dict.fromkeys(_title(line.role) for line in lines))
            return _denied(
                f"`{permission}` on {thing} is for: {who}", "; ".join(line.text() for line in lines), "role.missing"
            )
        line = held[0]
        return _denied(
            f"`{permission}` on {thing} is refused: {_title(line.role)} may do it for {MEANINGS[line.relation]}",
            line.text(), f"relation.{line.relation}",
        )  # fmt: skip


def read_roles(text: str) -> tuple[RoleLine, ...]:
    """Return the lines of a roles file; refuses an unknown name or a line that stands twice, naming its number."""
    rows = csv.reader(io.StringIO(text))
    if next(rows, None) != _HEADER:
        raise Invalid("the roles file has another heading", rule="roles.file", accepted=",".join(_HEADER))
    seen: dict[tuple[str, ...], RoleLine] = {}
    for number, row in enumerate(rows, start=2):
        line = _read_line(number, row)
        key = (line.permission, line.role, line.relation)
        if key in seen:
            raise Invalid(f"roles file line {number} stands twice", rule="roles.file")
        seen[key] = line
    return tuple(seen.values())


def _read_line(number: int, row: list[str]) -> RoleLine:
    if len(row) != len(_HEADER):
        raise Invalid(f"roles file line {number} has {len(row)} columns", rule="roles.file", accepted=",".join(_HEADER))
    permission, role, relation, basis = row
    for value, known in ((permission, set(Permission)), (role, set(ROLES)), (relation, set(RELATIONS))):
        if value not in known:
            raise Invalid(f"roles file line {number}: `{value}` is unknown", rule="roles.file")
    return RoleLine(Permission(permission), role, relation, basis)


def _title(role: str) -> str:
    return f"{ROLES[role].title_en} {ROLES[role].title_zh}"


def _denied(reason: str, rule: str, code: str) -> Decision:
    return Decision(False, reason, rule, code=code)
