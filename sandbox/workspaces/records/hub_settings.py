"""The settings of the hub: one JSON file that the platform writes, named by SHUZHA_HUB_CONFIG.

Secrets are not in it: it names files of mode 0600 that hold them.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any

VARIABLE = "SHUZHA_HUB_CONFIG"
SPAWNERS = ("bwrap", "kubernetes")


class HubSettingsInvalid(ValueError):
    """The settings file or a secret's file cannot be used; the message names it and what would be accepted."""


@dataclass(frozen=True, slots=True)
class OpenIdProvider:
    """Where people sign in: the platform's own provider. Token and userinfo URLs are asked by the hub itself."""

    authorize_url: str
    token_url: str
    userdata_url: str
    client_id: str
    client_secret_file: Path
    username_claim: str = "sub"
    login_service: str = "Shuzha 数闸"


@dataclass(frozen=True, slots=True)
class HubSettings:
    """All that the hub needs to know; every path is absolute.

    `state` holds the hub's database, cookie secret and logs; `runtime` the sockets (short, lower case); `specs` the
    workspaces' specifications; `own` what units brought into their workspaces (None: no workspace has own files);
    `controls` and `usage` are the gate's files; `environment` is the sandbox environment.
    `spawner` is bwrap (jails of this host) or kubernetes: pods of `pod_image` that reach the platform at `pod_address`.
    `service_uid` is the user that hub, gate and the platform's services run as; None: the one who started them.
    `sign_in` is None only in tests, where `test_password` (of everybody) stands instead.
    """

    bind_ip: str
    bind_port: int
    public_url: str
    state: Path
    runtime: Path
    specs: Path
    releases: Path
    homes: Path
    controls: Path
    usage: Path
    environment: Path
    service_token_file: Path
    starter: Path | None = None
    own: Path | None = None
    screen_budget: int = 64 * 1024**2
    screen_pace: int = 4 * 1024**2
    gate_connections: int = 1024
    sign_in: OpenIdProvider | None = None
    test_password: str | None = None
    idle_seconds: int = 0
    service_uid: int | None = None
    spawner: str = "bwrap"
    pod_image: str = ""
    pod_address: str = ""

    @property
    def hub_socket(self) -> Path:
        """The socket of the hub's own server."""
        return self.runtime / "hub.sock"

    @property
    def gate_socket(self) -> Path:
        """The socket of the gate's REST API."""
        return self.runtime / "gate.sock"

    @property
    def jailer_socket(self) -> Path:
        """The socket on which the jailer answers the platform."""
        return self.runtime / "jailer.sock"

    @property
    def server_logs(self) -> Path:
        """The folder in which the jailer keeps what workspaces' servers say."""
        return self.state.with_name("servers")

    @property
    def accounts(self) -> Path:
        """The folder in which the jailer keeps what workspaces have used."""
        return self.state.with_name("accounts")

    def to_json(self) -> str:
        """Return the settings as the text of the file."""
        body = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "sign_in"}
        provider = self.sign_in
        body["sign_in"] = None if provider is None else {f.name: getattr(provider, f.name) for f in fields(provider)}
        return json.dumps(body, default=str, indent=2, ensure_ascii=False)


_PATHS = frozenset({
    "state", "runtime", "specs", "releases", "homes", "controls", "usage", "environment", "service_token_file",
    "starter", "own",
})  # fmt: skip


def parse_settings(text: str) -> HubSettings:
    """Return the settings of a file's text; unknown, missing and relative entries are refused by name."""
    try:
        body = json.loads(text)
        provider = body.pop("sign_in", None)
        if provider is not None:
            provider["client_secret_file"] = Path(provider["client_secret_file"])
            provider = OpenIdProvider(**provider)
        values: dict[str, Any] = {n: Path(v) if n in _PATHS and v is not None else v for n, v in body.items()}
        settings = HubSettings(**values, sign_in=provider)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise HubSettingsInvalid(f"cannot read the hub's settings: {error}") from error
    for name in sorted(_PATHS):
        path = getattr(settings, name)
        if path is not None and not path.is_absolute():
            raise HubSettingsInvalid(f"cannot use the hub's setting `{name}`: an absolute path is accepted")
    if (settings.sign_in is None) == (settings.test_password is None):
        raise HubSettingsInvalid("cannot use the hub's settings: exactly one of sign_in and test_password is accepted")
    check_spawner(settings)
    return settings


def check_spawner(settings: HubSettings) -> None:
    """Refuse a spawner that there is not, and pods that would not know where the platform is."""
    if settings.spawner not in SPAWNERS:
        raise HubSettingsInvalid(f"cannot use the hub's setting `spawner`: {' or '.join(SPAWNERS)} is accepted")
    if settings.spawner == "kubernetes":
        try:
            ip_address(settings.pod_address)
        except ValueError:
            raise HubSettingsInvalid(
                "cannot use the hub's setting `pod_address`: an IP address is accepted, as a pod has no DNS"
            ) from None


def load_settings() -> HubSettings:
    """Return the settings of the file that the environment names."""
    path = os.environ.get(VARIABLE)
    if not path:
        raise HubSettingsInvalid(f"cannot start the hub: {VARIABLE} names no settings file")
    return parse_settings(Path(path).read_text("utf-8"))


def read_secret(path: Path) -> str:
    """Return the secret in `path`; refuse a file that others than its owner can read, and an empty one."""
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise HubSettingsInvalid(f"cannot use the secret in {path.name}: its mode must be 0600")
    secret = path.read_text("utf-8").strip()
    if not secret:
        raise HubSettingsInvalid(f"cannot use the secret in {path.name}: it is empty")
    return secret
