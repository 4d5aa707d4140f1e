"""Commands that act as a person: the installation opened, the account signed in for as long as the command runs.

A command that root runs becomes the service user first, so that nothing that it makes locks the services out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, Unavailable
from shuzha.core.service_user import acting_as, become, choose_user
from shuzha.core.settings import Settings

if TYPE_CHECKING:
    from shuzha.server.platform import Platform

LOGIN, PASSWORD = "SHUZHA_LOGIN", "SHUZHA_PASSWORD"


@dataclass(frozen=True, slots=True)
class OwnProcess:
    """Says to commands, as the context's object, that the process is theirs alone and may become another user."""


@contextmanager
def signed_in(
    settings: Settings, login: str | None, process: OwnProcess | None, *files: Path
) -> Iterator[tuple[Platform, Actor]]:
    """Give the installation and the account's actor; the session ends with the block. `files` are what it will read.

    The password comes from the environment or a prompt, never from an argument, where other users would see it.
    """
    platform = open_installation(settings, process, *files)
    name = _answer("login", login or os.environ.get(LOGIN), hidden=False)
    session = platform.people.sign_in(name, _answer("password", os.environ.get(PASSWORD), hidden=True), "cli")
    try:
        yield platform, session.account.actor("cli")
    finally:
        platform.people.sign_out(session.token)


def open_installation(settings: Settings, process: OwnProcess | None, *files: Path) -> Platform:
    """Return the rooms of an installation that exists; refuses to make one, and records of another revision.

    As root a `process` of its own becomes the service user for good; one of `files` that he cannot read is refused.
    """
    from shuzha.server import schema
    from shuzha.server.platform import Platform

    if process is not None:
        settings = settings.pinned()
        user = choose_user(settings.service_user, settings.data)
        if user is not None:
            with acting_as(user, *files):
                pass
            become(user)
    if not (settings.folder("keys") / "master.key").exists():
        raise Unavailable(
            f"there is no installation in {settings.data}", rule="settings.data",
            accepted="`shuzha serve` makes one; --settings names another's file",
        )  # fmt: skip
    platform = Platform(settings)
    schema.check_current(platform.database)
    return platform


def _answer(what: str, known: str | None, *, hidden: bool) -> str:
    if known:
        return known
    if not sys.stdin.isatty():
        raise Invalid(f"no {what} was given", rule="cli.sign_in", accepted=f"{LOGIN} and {PASSWORD} in the environment")
    return str(typer.prompt(what, hide_input=hidden, err=True))
