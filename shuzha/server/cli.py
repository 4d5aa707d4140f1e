"""The command line: `shuzha …`. Every command has `--json`, shows progress on a terminal, ends with one of four codes.

0 done · 1 refused by a rule · 2 bad input · 3 failure. Rooms are imported inside the commands, so that `scan` on a file
starts without the server.
"""

from __future__ import annotations

import sys

import typer

from desensitize.errors import DesensitizeError
from shuzha import __version__
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound, ShuzhaError, TransitionNotAllowed
from shuzha.server.commands import (
    duties,
    environment,
    exits,
    files,
    indexes,
    leaks,
    operations,
    policy,
    registry,
    statements,
    tracing,
)
from shuzha.server.commands.session import OwnProcess

REFUSED, BAD_INPUT, FAILURE = 1, 2, 3
_INTERRUPTED = 130  # what Typer ends with after Ctrl-C

app = typer.Typer(
    name="shuzha",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Shuzha 数闸: a privacy-preserving sandbox and product service for a city's authorized public data.",
)
files.register(app)
operations.register(app)
duties.register(app)
environment.register(app)
exits.register(app)
indexes.register(app)
policy.register(app)
tracing.register(app)
leaks.register(app)
registry.register(app)
statements.register(app)


@app.callback(invoke_without_command=True)
def _root(*, version: bool = typer.Option(False, "--version", help="Print the version and end.")) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def exit_code(error: BaseException) -> int:
    """Return the exit code that an error ends a command with."""
    if isinstance(error, (NotAllowed, TransitionNotAllowed, Conflict)):
        return REFUSED
    if isinstance(error, (Invalid, NotFound, DesensitizeError, ValueError, FileNotFoundError)):
        return BAD_INPUT
    return FAILURE


def main(process: OwnProcess | None = None) -> None:
    """Run the command line; an error prints one sentence and never a data value.

    `process` says that this process is the command's alone: root's may then become the service user for good.
    """
    try:
        app(obj=process)
    except SystemExit as end:
        if end.code != _INTERRUPTED:
            raise
        typer.secho("shuzha: cancelled", fg="red", err=True)
        sys.exit(FAILURE)
    except (ShuzhaError, DesensitizeError, ValueError, OSError) as error:
        typer.secho(f"shuzha: {error}", fg="red", err=True)
        sys.exit(exit_code(error))
