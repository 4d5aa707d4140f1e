"""`shuzha policy …`: why somebody may or may not, what a changed clause would do, a grant as ODRL and back."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shuzha.core.errors import Invalid
from shuzha.core.settings import load_settings
from shuzha.server.commands.duties import AsJson, Login, SettingsFile
from shuzha.server.commands.output import console, print_facts, print_json, print_table
from shuzha.server.commands.session import signed_in

if TYPE_CHECKING:
    from policies.explain import ExplainedLine, Explanation
    from policies.whatif import Difference
    from shuzha.authorization.explaining import Outcome

policy = typer.Typer(no_args_is_help=True, help="Ask why, ask what if, and carry a grant as ODRL.")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(policy, name="policy")


@policy.command("explain")
def explain_decision(
    context: typer.Context,
    permission: Annotated[str, typer.Argument(help="What is to be done, such as data:export.")],
    *,
    account: Annotated[str, typer.Option(help="Whose permission: an account's login or id; your own by default.")] = "",
    grant: Annotated[str, typer.Option(help="The grant, for data:*.")] = "",
    columns: Annotated[str, typer.Option(help="The columns that are asked for, joined by commas.")] = "",
    operation: Annotated[str, typer.Option(help="view, aggregate, join, train or verify.")] = "",
    output_kind: Annotated[str, typer.Option(help="component, model, verification, service or report.")] = "",
    purpose: Annotated[str, typer.Option(help="A purpose of the agreement.")] = "",
    place: Annotated[str, typer.Option(help="workspace or api.")] = "",
    partners: Annotated[str, typer.Option(help="What to join with: entries or own-file, joined by commas.")] = "",
    at: Annotated[str, typer.Option(help="When, ISO 8601 with its time zone; now by default.")] = "",
    kind: Annotated[str, typer.Option(help="The kind of thing, where no grant is asked.")] = "",
    organisation: Annotated[str, typer.Option(help="Whose thing it is, where no grant is asked.")] = "",
    author: Annotated[str, typer.Option(help="Who made the thing.")] = "",
    login: Login = None,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Say why somebody may or may not do something, with policy line, clause and article; ends with 1 where not."""
    from shuzha.authorization.explaining import Question

    question = Question(
        permission, account, grant, _names(columns), operation, output_kind, purpose, place, _names(partners),
        _moment(at), kind, organisation, author,
    )  # fmt: skip
    with signed_in(load_settings(settings), login, context.obj) as (platform, actor):
        found = platform.policy_verbs.explain(actor, question)
    if as_json:
        print_json(found)
    else:
        _tell(found)
    if not found.decision.allowed:
        raise typer.Exit(1)


@policy.command("what-if")
def what_if(
    context: typer.Context,
    authorization: Annotated[str, typer.Argument(help="The authorization whose agreement would change.")],
    *,
    valid_until: Annotated[str, typer.Option(help="Another last day of the term, YYYY-MM-DD.")] = "",
    entries: Annotated[
        str, typer.Option(help="All entries that the clause would then name, ids joined by commas.")
    ] = "",
    purposes: Annotated[str, typer.Option(help="All purposes then, joined by commas.")] = "",
    operations: Annotated[str, typer.Option(help="All operations then: view, aggregate, join, train, verify.")] = "",
    output_kinds: Annotated[
        str, typer.Option(help="All forms of product then: component, model, verification, service, report.")
    ] = "",
    login: Login = None,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Say what would change for each grant if clauses of the agreement held these values; changes nothing."""
    from shuzha.authorization.agreement import Operation, OutputKind, Term
    from shuzha.authorization.explaining import Change

    with signed_in(load_settings(settings), login, context.obj) as (platform, actor):
        term = None
        if valid_until:
            first = platform.authorization.get_authorization(actor, authorization).agreement.term.valid_from
            term = Term(first, _day(valid_until))
        change = Change(
            _listed(entries), _listed(purposes), _each(Operation, operations), _each(OutputKind, output_kinds), term
        )
        found = platform.policy_verbs.what_if(actor, authorization, change)
    if as_json:
        print_json(found)
    else:
        _tell_outcome(found)


@policy.command("export")
def export_odrl(
    context: typer.Context,
    grant: Annotated[str, typer.Argument(help="The grant.")],
    *,
    login: Login = None,
    settings: SettingsFile = None,
) -> None:
    """Print a grant as an ODRL 2.2 Agreement (JSON-LD)."""
    with signed_in(load_settings(settings), login, context.obj) as (platform, actor):
        print_json(platform.policy_verbs.export_odrl(actor, grant))


@policy.command("check")
def check_odrl(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="An ODRL document of this platform's form.")
    ],
    *,
    login: Login = None,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Say whether an ODRL document is exactly the grant that is in force; ends with 1 where it is not."""
    try:
        document = json.loads(file.read_text("utf-8"))
    except (ValueError, UnicodeDecodeError):
        raise Invalid(
            "the file is no JSON", rule="odrl.grammar", accepted="what `shuzha policy export` prints"
        ) from None
    with signed_in(load_settings(settings), login, context.obj, file) as (platform, actor):
        found = platform.policy_verbs.check_odrl(actor, document)
    if as_json:
        print_json(found)
    else:
        said = (
            "is the grant in force" if found.identical else "differs" if found.known else "is of no grant you can see"
        )
        print_facts(f"grant {found.grant}", {"document": said, "version": found.version})
        if found.difference is not None:
            _tell_difference(found.difference)
    if not found.identical:
        raise typer.Exit(1)


def _tell(found: Explanation) -> None:
    decision = found.decision
    facts = {
        "answer": "yes" if decision.allowed else "no", "why": decision.reason, "policy line": decision.rule,
        "clause": decision.clause or "—", "article": decision.article or "—", "asked at": found.at.isoformat(),
        "holds until": decision.valid_until.isoformat() if decision.valid_until else "—",
        "version": found.version or "—",
    }  # fmt: skip
    if found.missing:
        facts["not said"] = ", ".join(found.missing)
    if decision.quota is not None:
        facts["quota"] = f"{decision.quota.limit} per {decision.quota.per}"
    print_facts(f"{found.permission} by {found.actor}", facts)
    print_table("who may, by role", ("line",), [(line,) for line in found.role_lines])
    for line in found.lines:
        _tell_line(line)


def _tell_line(line: ExplainedLine) -> None:
    rows = [
        ("yes" if part.holds else "NO", part.name, ", ".join(part.asked) or "—", ", ".join(part.granted) or "nothing",
         f"{part.clause} ({part.article})")
        for part in line.parts
    ]  # fmt: skip
    print_table(f"policy line {line.number + 1}: {line.text}", ("holds", "part", "asked", "granted", "clause"), rows)


def _tell_outcome(found: Outcome) -> None:
    console.print("changed: " + ("; ".join(found.clauses) or "nothing"), highlight=False)
    if not found.differences:
        console.print("no grant is in force", highlight=False)
    for difference in found.differences:
        _tell_difference(difference)


def _tell_difference(found: Difference) -> None:
    count = f"{len(found.flips)}" if found.complete else f"at least {len(found.flips)}"
    facts = {"questions asked": found.asked, "answers that would change": count}
    print_facts(f"grant {found.grant}: {found.before[:12]} -> {found.after[:12] or 'ended'}", facts)
    rows = [(part.name, ", ".join(part.gained) or "—", ", ".join(part.lost) or "—") for part in found.parts]
    print_table("parts", ("part", "gained", "lost"), rows)


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def _listed(text: str) -> tuple[str, ...] | None:
    return tuple(sorted(_names(text))) or None


def _each(kind: type[Any], text: str) -> tuple[Any, ...] | None:
    names = _listed(text)
    if names is None:
        return None
    unknown = sorted(set(names) - {each.value for each in kind})
    if unknown:
        raise Invalid(
            f"`{unknown[0]}` is not known", rule="agreement.clause", accepted=", ".join(each.value for each in kind)
        )
    return tuple(kind(name) for name in names)


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise Invalid("that is no day", rule="agreement.term", accepted="YYYY-MM-DD") from None


def _moment(text: str) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(text) if text else None
    except ValueError:
        raise Invalid("that is no moment", rule="policies.moment", accepted="ISO 8601 with its time zone") from None
