"""A scope as an ODRL 2.2 Agreement (W3C Recommendation 2018-02-15, JSON-LD), and back.

One policy line is one permission. What ODRL's vocabulary has no word for (columns, forms of product, partners of a
join, hours) is of the profile `urn:shuzha:odrl:1`, where a constraint on a thing that a request does not name is met.
The way back reads this form only: an unknown key, operator or operand is refused, never read past, since ODRL that is
not understood would be a permission that is too wide.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

from policies.scopes import Citation, Deed, Line, Quota, Scope, seal_scope
from policies.windows import Hours
from shuzha.core.conditions import Condition, Op, read_conditions
from shuzha.core.errors import Invalid

CONTEXT: tuple[Any, ...] = ("http://www.w3.org/ns/odrl.jsonld", {"shuzha": "urn:shuzha:odrl:1:"})
PROFILE = "urn:shuzha:odrl:1"
RULE = "odrl.grammar (ODRL 2.2)"
MOST_LINES = 16
"""The most lines that a grant can have: use, five operations, five forms of product out and served."""
_URN = "urn:shuzha:"
# Of the profile where ODRL has no such action; each is `includedIn` odrl:use.
_ACTIONS = {
    "": "use", "view": "read", "aggregate": "aggregate", "join": "shuzha:join", "train": "shuzha:train",
    "verify": "shuzha:verify",
}  # fmt: skip
_WAYS = {Deed.EXPORT: "derive", Deed.SERVE: "distribute"}
_OPERANDS = {
    "columns": "shuzha:column", "partners": "shuzha:partner", "output_kinds": "shuzha:outputKind",
    "purposes": "purpose", "places": "virtualLocation",
}  # fmt: skip
_OPERATORS = {Op.EQ: "eq", Op.NE: "neq", Op.LT: "lt", Op.LE: "lteq", Op.GT: "gt", Op.GE: "gteq", Op.IN: "isAnyOf"}
_OF_OPERATOR = {name: op for op, name in _OPERATORS.items()}
_NULLS = {Op.IS_NULL: "shuzha:isNull", Op.NOT_NULL: "shuzha:isNotNull"}
_OF_NULL = {name: op for op, name in _NULLS.items()}


def write_odrl(scope: Scope, assigner: str) -> dict[str, Any]:
    """Return the scope as an ODRL Agreement of the organisation `assigner` with the scope's holder, as plain JSON."""
    return {
        "@context": list(CONTEXT),
        "@type": "Agreement",
        "uid": f"{_URN}grant:{scope.grant}",
        "profile": PROFILE,
        "assigner": f"{_URN}organisation:{assigner}",
        "assignee": f"{_URN}organisation:{scope.holder}",
        "shuzha:authorization": f"{_URN}authorization:{scope.authorization}",
        "shuzha:version": scope.version,
        "shuzha:clause": scope.clause,
        "shuzha:columns": sorted(scope.columns),
        "shuzha:citations": [[each.part, each.clause, each.article] for each in scope.citations],
        "target": {
            "@type": "AssetCollection", "source": f"{_URN}entry:{scope.entry}",
            "refinement": _refinement(scope.row_filter),
        },
        "permission": [_permission(scope, line) for line in scope.lines],
    }  # fmt: skip


def read_odrl(document: Mapping[str, Any]) -> Scope:
    """Return the scope that an Agreement of this form says, with its version computed.

    Refuses what this module does not write: other keys, prohibitions, duties, operators; a term that differs between
    permissions; and a document whose `shuzha:version` is not the hash of what it says (somebody changed it).
    """
    _expect_keys(document, _TOP, "the agreement")
    _expect(_list(document["@context"]) == list(CONTEXT), "another @context", json.dumps(CONTEXT))
    _expect(document["@type"] == "Agreement" and document["profile"] == PROFILE, "another type or profile", PROFILE)
    target = _expect_keys(document["target"], {"@type", "source", "refinement"}, "the target")
    permissions = _list(document["permission"])
    _expect(len(permissions) <= MOST_LINES, "more permissions than a grant can have", f"up to {MOST_LINES}")
    read = [_read_permission(each) for each in permissions]
    terms = {term for _, term in read}
    _expect(len(terms) == 1, "its permissions have no one term", "the same dateTime constraints in each permission")
    (start, end), lines = terms.pop(), tuple(line for line, _ in read)
    scope = Scope(
        grant=_urn(document["uid"], "grant"), authorization=_urn(document["shuzha:authorization"], "authorization"),
        version="", entry=_urn(target["source"], "entry"), columns=_texts(document["shuzha:columns"]),
        row_filter=_read_refinement(target["refinement"]), operations=_union(lines, "operations") - {""},
        output_kinds=_union(lines, "output_kinds"), purposes=_union(lines, "purposes"), places=_union(lines, "places"),
        valid_from=start, valid_until=end, clause=_text(document["shuzha:clause"]),
        holder=_urn(document["assignee"], "organisation"), lines=lines,
        citations=tuple(_read_citation(each) for each in _list(document["shuzha:citations"])),
    )  # fmt: skip
    _urn(document["assigner"], "organisation")
    try:
        sealed = seal_scope(scope)
    except UnicodeEncodeError:
        raise Invalid("the ODRL document has text that is no text", rule=RULE, accepted="Unicode") from None
    _expect(
        sealed.version == document["shuzha:version"],
        "what it says is not what its version is the hash of",
        "the original",
    )
    return sealed


_TOP = {
    "@context", "@type", "uid", "profile", "assigner", "assignee", "shuzha:authorization", "shuzha:version",
    "shuzha:clause", "shuzha:columns", "shuzha:citations", "target", "permission",
}  # fmt: skip


def _permission(scope: Scope, line: Line) -> dict[str, Any]:
    deed = next(iter(line.deeds))
    actions = [_ACTIONS[name] for name in sorted(line.operations)]
    constraints = [_constraint(operand, "isAnyOf", sorted(getattr(line, name))) for name, operand in _OPERANDS.items()]
    constraints += [
        _constraint("dateTime", "gteq", scope.valid_from.isoformat()),
        _constraint("dateTime", "lt", scope.valid_until.isoformat()),
    ]
    if deed != Deed.USE:
        constraints.append(_constraint("shuzha:operation", "isAnyOf", actions))
        actions = [_WAYS[Deed(deed)]]
    if line.hours is not None:
        hours = line.hours
        constraints.append(_constraint("shuzha:minuteOfDay", "gteq", hours.opens))
        constraints.append(_constraint("shuzha:minuteOfDay", "lt", hours.closes))
        constraints.append(_constraint("shuzha:workingDay", "eq", hours.working_days))
    if line.quota is not None:
        constraints.append({**_constraint("count", "lteq", line.quota.limit), "unit": f"shuzha:{line.quota.per}"})
    return {"action": actions, "constraint": constraints, "shuzha:part": line.part}


def _read_permission(value: object) -> tuple[Line, tuple[dt.datetime, dt.datetime]]:
    permission = _expect_keys(value, {"action", "constraint", "shuzha:part"}, "a permission")
    found: dict[tuple[str, str], Any] = {}
    for each in _list(permission["constraint"]):
        allowed = {"leftOperand", "operator", "rightOperand"} | ({"unit"} if "unit" in _mapping(each) else set())
        constraint = _expect_keys(each, allowed, "a constraint")
        key = (_text(constraint["leftOperand"]), _text(constraint["operator"]))
        _expect(
            key not in found and ("unit" in constraint) == (key[0] == "count"),
            f"a constraint on `{key[0]}` twice",
            "once",
        )
        found[key] = (
            (constraint["rightOperand"], constraint["unit"]) if "unit" in constraint else constraint["rightOperand"]
        )
    sets = {name: _texts(found.pop((operand, "isAnyOf"), None)) for name, operand in _OPERANDS.items()}
    deed, operations = _read_actions(_texts(permission["action"]), found)
    term = (_moment(found.pop(("dateTime", "gteq"), None)), _moment(found.pop(("dateTime", "lt"), None)))
    line = Line(
        deeds=frozenset({deed.value}), operations=operations, part=_text(permission["shuzha:part"]),
        hours=_read_hours(found), quota=_read_quota(found), **sets,
    )  # fmt: skip
    _expect(
        not found,
        f"a constraint that is not known: {', '.join(' '.join(key) for key in sorted(found))}",
        "those of the profile",
    )
    return line, term


def _read_actions(actions: frozenset[str], found: dict[tuple[str, str], Any]) -> tuple[Deed, frozenset[str]]:
    names = {action: name for name, action in _ACTIONS.items()}
    way = next((deed for deed, action in _WAYS.items() if actions == {action}), Deed.USE)
    if way is not Deed.USE:
        actions = _texts(found.pop(("shuzha:operation", "isAnyOf"), None))
    unknown = sorted(actions - set(names))
    _expect(not unknown, f"an action that is not known: {', '.join(unknown)}", ", ".join(sorted(names)))
    return way, frozenset(names[action] for action in actions)


def _read_hours(found: dict[tuple[str, str], Any]) -> Hours | None:
    keys = (("shuzha:minuteOfDay", "gteq"), ("shuzha:minuteOfDay", "lt"), ("shuzha:workingDay", "eq"))
    present = [key in found for key in keys]
    _expect(all(present) or not any(present), "hours that are not whole", "both minutes and the kind of day")
    return Hours(*(found.pop(key) for key in keys)) if all(present) else None


def _read_quota(found: dict[tuple[str, str], Any]) -> Quota | None:
    if ("count", "lteq") not in found:
        return None
    limit, unit = found.pop(("count", "lteq"))
    return Quota(limit, _text(unit).removeprefix("shuzha:"))  # type: ignore[arg-type]


def _refinement(row_filter: str) -> list[dict[str, Any]]:
    if not row_filter:
        return []
    return [_write_condition(each) for each in read_conditions(json.loads(row_filter))]


def _write_condition(condition: Condition) -> dict[str, Any]:
    operand = f"shuzha:row:{condition.column}"
    if condition.op in _NULLS:
        return _constraint(operand, _NULLS[condition.op], None)
    return _constraint(operand, _OPERATORS[condition.op], condition.as_dict()["value"])


def _read_refinement(value: object) -> str:
    conditions = []
    for each in _list(value):
        constraint = _expect_keys(each, {"leftOperand", "operator", "rightOperand"}, "a refinement")
        operand, operator = _text(constraint["leftOperand"]), _text(constraint["operator"])
        op = _OF_OPERATOR.get(operator) or _OF_NULL.get(operator)
        _expect(
            op is not None and operand.startswith("shuzha:row:"),
            "a refinement that is not known",
            ", ".join(_OF_OPERATOR),
        )
        conditions.append(
            {"column": operand.removeprefix("shuzha:row:"), "op": op, "value": constraint["rightOperand"]}
        )
    if not conditions:
        return ""
    plain = [condition.as_dict() for condition in read_conditions(conditions)]
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _read_citation(value: object) -> Citation:
    texts = [_text(each) for each in _list(value)]
    _expect(len(texts) == 3, "a citation of other parts", "part, clause, article")
    return Citation(*texts)


def _constraint(operand: str, operator: str, value: object) -> dict[str, Any]:
    return {"leftOperand": operand, "operator": operator, "rightOperand": value}


def _union(lines: Sequence[Line], name: str) -> frozenset[str]:
    return frozenset[str]().union(*(getattr(line, name) for line in lines))


def _expect(holds: bool, said: str, accepted: str) -> None:
    if not holds:
        raise Invalid(f"the ODRL document has {said}", rule=RULE, accepted=accepted)


def _expect_keys(value: object, keys: set[str], what: str) -> Mapping[str, Any]:
    found = _mapping(value)
    _expect(set(found) == keys, f"{what} with other keys", ", ".join(sorted(keys)))
    return found


def _mapping(value: object) -> Mapping[str, Any]:
    _expect(isinstance(value, Mapping), "something that is no object where one belongs", "an object")
    return value  # type: ignore[return-value]


def _list(value: object) -> list[Any]:
    _expect(isinstance(value, list), "something that is no list where one belongs", "a list")
    return value  # type: ignore[return-value]


def _text(value: object) -> str:
    _expect(isinstance(value, str), "something that is no text where one belongs", "a text")
    return str(value)


def _texts(value: object) -> frozenset[str]:
    return frozenset(_text(each) for each in _list(value))


def _urn(value: object, kind: str) -> str:
    text, start = _text(value), f"{_URN}{kind}:"
    _expect(text.startswith(start) and len(text) > len(start), f"no {kind} where one belongs", f"{start}...")
    return text.removeprefix(start)


def _moment(value: object) -> dt.datetime:
    found: dt.datetime | None
    try:
        said = dt.datetime.fromisoformat(_text(value))
        found = said.astimezone(dt.UTC) if said.tzinfo is not None else None
    except (ValueError, OverflowError):
        found = None
    _expect(found is not None, "a moment that is none", "ISO 8601 with its time zone")
    assert found is not None
    return found
