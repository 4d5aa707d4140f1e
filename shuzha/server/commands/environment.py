"""The commands on the analysts' environment: what is in it and approved for it, and building a new one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shuzha.core.settings import load_settings
from shuzha.server.commands.output import print_facts, print_json, print_table, working

if TYPE_CHECKING:
    from sandbox.workspaces.environment.build import EnvironmentBuilder

_ROOT = Path(__file__).parents[3]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="The settings (SHUZHA_SETTINGS, else shuzha.toml).")
]
environment = typer.Typer(no_args_is_help=True, help="The analysts' packages: list them, build a new environment.")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(environment, name="environment")


@environment.command("list")
def list_packages(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Their dependencies too.")] = False,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the base and the approved packages: version, licence, hashes, and whether each is installed."""
    from sandbox.workspaces.environment.fingerprint import environment_hash
    from sandbox.workspaces.environment.packages import Lists, list_installed

    place = load_settings(settings).sandbox_environment
    found = Lists(_ROOT / "requirements").packages(list_installed(place))
    shown = [one for one in found if everything or one.set != "dependency"]
    current = _builder(place).is_current()
    if as_json:
        packages = [one.as_dict() for one in shown]
        print_json(
            {"environment": str(place), "hash": environment_hash(place), "current": current, "packages": packages}
        )
        return
    rows = [(one.set, one.name, one.version, one.installed or "no", one.licence, _short(one.hashes), one.purpose)
            for one in shown]  # fmt: skip
    print_table("packages", ("set", "name", "approved", "installed", "licence", "sha256", "what for"), rows)
    facts: dict[str, Any] = {"folder": place.resolve(), "hash": environment_hash(place)}
    if not current:
        facts["next"] = "shuzha environment build: installs what is approved; workspaces have it when they start again"
    print_facts("environment", facts)


@environment.command("build")
def build_environment(*, settings: SettingsFile = None, as_json: AsJson = False) -> None:
    """Build an environment of the approved lists beside the one in use, try it in a jail, and change to it."""
    place = load_settings(settings).sandbox_environment
    with working("building the analysts' environment"):
        built = _builder(place).build()
    facts = {
        "folder": str(built.folder), "hash": built.hash, "packages": built.packages, "built": built.fresh,
        "before": None if built.before is None else str(built.before),
    }  # fmt: skip
    if as_json:
        print_json(facts)
    else:
        print_facts("environment", {**facts, "next": "workspaces have it when they start again"})


def _builder(place: Path) -> EnvironmentBuilder:
    from sandbox.workspaces.environment.build import EnvironmentBuilder

    return EnvironmentBuilder(place, _ROOT)


def _short(hashes: tuple[str, ...]) -> str:
    return f"{hashes[0][:12]}… of {len(hashes)} files" if hashes else ""
