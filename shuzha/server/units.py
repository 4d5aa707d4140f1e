"""The platform's processes: what each is started with, and how one sees that it answers."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

from sandbox.workspaces.hub.client import HubClient
from sandbox.workspaces.records.hub_settings import VARIABLE as HUB_VARIABLE
from shuzha.core.errors import Conflict, Invalid
from shuzha.core.service_user import ServiceUser
from shuzha.core.settings import Settings
from shuzha.server.platform import Platform
from shuzha.server.supervisor import Unit

_ROOT = Path(__file__).parents[2]
_FIRST_FREE_PORT = 1024
"""Ports below are for processes with CAP_NET_BIND_SERVICE, which no service has."""

_HUB_CONFIG = _ROOT / "sandbox" / "workspaces" / "hub" / "config.py"


def make_units(platform: Platform, settings_file: Path) -> tuple[Unit, ...]:
    """Return the processes in the order of their start: writer, jailer, portal, worker, forms, API, hub and gate."""
    settings = platform.settings
    environment = _environment(settings, settings_file)
    python = sys.executable
    socket_path = settings.folder("run") / "usage.sock"
    forms_path = settings.folder("run") / "forms.sock"
    writer = [python, "-m", "shuzha.metering.writer", "--dir", str(settings.data), "--socket", str(socket_path)]
    hub_file = write_hub_settings(platform)
    return (
        Unit("writer", [*writer, "--keys", str(settings.folder("keys"))], lambda: _connects(socket_path), environment),
        Unit(
            "jailer",
            [python, "-m", "sandbox.workspaces.jailer"],
            lambda: _connects(platform.hub_settings.jailer_socket),
            {**environment, HUB_VARIABLE: str(jailer_settings(settings))},
            needs_root=True,
        ),
        Unit(
            "portal", [python, "-m", "shuzha.server.portal_app"], _answers(settings, settings.portal_port), environment
        ),
        Unit("worker", [python, "-m", "shuzha.server.worker"], lambda: _is_marked(settings, "worker"), environment),
        Unit("forms", [python, "-m", "products.forms"], lambda: _connects(forms_path), environment),
        Unit("api", [python, "-m", "products.serving"], _answers(settings, settings.api_port), environment),
        Unit(
            "hub",
            [python, "-m", "jupyterhub", "-f", str(_HUB_CONFIG)],
            lambda: HubClient(platform.hub_token, socket=platform.hub_settings.hub_socket).is_up(),
            {**environment, HUB_VARIABLE: str(hub_file)},
        ),
    )


def write_hub_settings(platform: Platform) -> Path:
    """Write the hub's settings file and its two secrets (mode 0600), and return the file."""
    hub = platform.hub_settings
    _keep_secret(hub.service_token_file, platform.hub_token)
    if hub.sign_in is not None:
        _keep_secret(hub.sign_in.client_secret_file, platform.hub_secret)
    path = platform.settings.folder("run") / "hub.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(hub.to_json(), "utf-8")
    return path


def jailer_settings(settings: Settings) -> Path:
    """Return where the jailer's settings lie: beside the sockets, where only who starts the platform writes."""
    return settings.runtime / "jailer.json"


def write_jailer_settings(platform: Platform) -> Path:
    """Write what the jailer is told, and return the file: the hub's settings, which the service user cannot change."""
    path = jailer_settings(platform.settings)
    beside = path.with_name(f".jailer.{secrets.token_hex(8)}")
    number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(platform.hub_settings.to_json())
    beside.replace(path)
    return path


def check_ports(settings: Settings, user: ServiceUser | None = None) -> None:
    """Refuse, naming the setting, a port on which another program listens or that `user` may not listen on."""
    for name in ("portal_port", "api_port", "sandbox_port"):
        if user is not None and 0 < getattr(settings, name) < _FIRST_FREE_PORT:
            raise Invalid(
                f"port {getattr(settings, name)} is root's, and services run as {user.describe()}",
                rule=f"settings.{name}", accepted=f"{_FIRST_FREE_PORT} or above, and a proxy in front on the low port",
            )  # fmt: skip
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.bind, getattr(settings, name)))
            except OSError:
                raise Conflict(
                    f"port {getattr(settings, name)} is in use", rule=f"settings.{name}",
                    accepted=f"another {name} (SHUZHA_{name.upper()}), or stop what listens there",
                ) from None  # fmt: skip


def _environment(settings: Settings, file: Path) -> dict[str, str]:
    """Return what every unit is told: the settings' file, where the code lies, and no relative path."""
    code = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    told = {f"SHUZHA_{name.upper()}": str(value) for name, value in settings.as_dict().items()}
    set_here = {name: value for name, value in told.items() if name in os.environ}
    environment = {
        "SHUZHA_SETTINGS": str(file),
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, code)),
    }
    return {**set_here, **environment}


def _keep_secret(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text(text)


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _answers(settings: Settings, port: int) -> Callable[[], bool]:
    def probe() -> bool:
        try:
            with urlopen(f"http://{settings.bind}:{port}/healthz", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    return probe


def _is_marked(settings: Settings, name: str) -> bool:
    return (settings.folder("run") / f"{name}.ready").exists()
