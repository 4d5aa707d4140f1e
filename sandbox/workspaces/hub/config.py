"""JupyterHub's configuration, made from the platform's settings; JupyterHub is started with `-f` and this file.

`configure` is a function of the settings, so that a test can read what a hub would be told.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from sandbox.workspaces.hub.spawner import BwrapSpawner
from sandbox.workspaces.records.controls import FileControls
from sandbox.workspaces.records.hub_settings import HubSettings, load_settings, read_secret
from sandbox.workspaces.records.runtime import make_runtime, unix_url
from sandbox.workspaces.records.specs import FileSpecs

PLATFORM_SERVICE = "platform"


def configure(c: Any, settings: HubSettings) -> None:
    """Put the whole configuration of a hub with `settings` into `c`."""
    settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    make_runtime(settings.runtime, settings.service_uid)
    _configure_hub(c, settings)
    _configure_gate(c, settings)
    _configure_spawner(c, settings)
    _configure_sign_in(c, settings)
    _configure_service(c, settings)


def _configure_hub(c: Any, settings: HubSettings) -> None:
    hub = c.JupyterHub
    hub.bind_url = f"http://{settings.bind_ip}:{settings.bind_port}/"
    hub.public_url = settings.public_url
    hub.hub_bind_url = unix_url(settings.hub_socket)
    hub.hub_connect_url = unix_url(settings.hub_socket)
    hub.db_url = f"sqlite:///{settings.state / 'hub.db'}"
    hub.cookie_secret_file = str(settings.state / "cookie_secret")
    hub.pid_file = str(settings.state / "hub.pid")
    hub.data_files_path = str(Path(sys.prefix) / "share" / "jupyterhub")
    # Workspaces outlive the hub: a restarted hub finds them again and gives the gate their routes.
    hub.cleanup_servers = False
    hub.cleanup_proxy = True
    hub.allow_named_servers = True
    hub.named_server_limit_per_user = 0
    hub.redirect_to_server = False
    hub.concurrent_spawn_limit = 30
    hub.tornado_settings = {"headers": {"Content-Security-Policy": "frame-ancestors 'none'"}}
    # A user's page shares his outputs with another's eyes: sharing stays off, as no role grants it.


def forget_foreign_gate(settings: HubSettings) -> None:
    """Take away the note of a gate's process id unless the process is a gate of this installation.

    The hub ends whatever process the note names: after a restart of the host that may be anybody's.
    """
    note = settings.state / "gate.pid"
    try:
        command = Path(f"/proc/{int(note.read_text())}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        command = []
    if os.fsencode(settings.controls) not in command:
        note.unlink(missing_ok=True)


def _configure_gate(c: Any, settings: HubSettings) -> None:
    forget_foreign_gate(settings)
    proxy = c.ConfigurableHTTPProxy
    proxy.command = [
        sys.executable, "-m", "sandbox.workspaces.gate",
        "--controls", str(settings.controls), "--usage", str(settings.usage),
        "--runtime", str(settings.runtime),
        "--static", str(settings.environment), "--screen-budget", str(settings.screen_budget),
        "--screen-pace", str(settings.screen_pace), "--connections-per-address", str(settings.gate_connections),
    ]  # fmt: skip
    proxy.api_url = unix_url(settings.gate_socket)
    proxy.pid_file = str(settings.state / "gate.pid")
    proxy.check_running_interval = 1


def _configure_spawner(c: Any, settings: HubSettings) -> None:
    specs = FileSpecs(
        settings.specs, release_root=settings.releases, home_root=settings.homes,
        controls=FileControls(settings.controls), own_root=settings.own,
    )  # fmt: skip
    if settings.spawner == "kubernetes":
        spawner = _configure_pods(c, settings, specs)
    else:
        c.JupyterHub.spawner_class = BwrapSpawner
        spawner = c.BwrapSpawner
        spawner.specs = specs
        spawner.runtime = str(settings.runtime)
        spawner.hub_connect_url = "http+unix://%2Fgate%2Fout%2Fout.sock"
    spawner.jailer_socket = str(settings.jailer_socket)
    spawner.disable_user_config = True
    spawner.default_url = "/lab"
    spawner.start_timeout = 60
    spawner.http_timeout = 60
    spawner.poll_interval = 5
    spawner.consecutive_failure_limit = 0
    spawner.oauth_client_allowed_scopes = []


def _configure_pods(c: Any, settings: HubSettings, specs: FileSpecs) -> Any:
    """Choose the spawner of pods, with what the platform's folders are called in the cluster; return its section."""
    # Its package is an extra: a host that builds jails has none of it.
    from sandbox.workspaces.hub.kubernetes import configure_pods
    from sandbox.workspaces.hub.pods import IMAGE, PodSettings

    zones = ((settings.releases, "shuzha-releases"), (settings.own, "shuzha-own"), (settings.homes, "shuzha-homes"))
    held = tuple((folder, claim) for folder, claim in zones if folder is not None)
    pod = PodSettings(settings.pod_address, held, image=settings.pod_image or IMAGE)
    return configure_pods(c, specs, pod, lambda: read_secret(settings.service_token_file))


def _configure_sign_in(c: Any, settings: HubSettings) -> None:
    c.Authenticator.allow_all = True  # who may sign in is decided by the platform's own provider
    c.Authenticator.admin_users = set()
    c.Authenticator.auto_login = settings.sign_in is not None
    provider = settings.sign_in
    if provider is None:
        c.JupyterHub.authenticator_class = "shared-password"
        c.SharedPasswordAuthenticator.user_password = settings.test_password
        return
    c.JupyterHub.authenticator_class = "generic-oauth"
    generic = c.GenericOAuthenticator
    generic.authorize_url = provider.authorize_url
    generic.token_url = provider.token_url
    generic.userdata_url = provider.userdata_url
    generic.client_id = provider.client_id
    generic.client_secret = read_secret(provider.client_secret_file)
    generic.username_claim = provider.username_claim
    generic.login_service = provider.login_service
    generic.scope = ["openid"]
    generic.enable_pkce = True
    generic.oauth_callback_url = f"{settings.public_url.rstrip('/')}/hub/oauth_callback"


def _configure_service(c: Any, settings: HubSettings) -> None:
    c.JupyterHub.services = [{"name": PLATFORM_SERVICE, "api_token": read_secret(settings.service_token_file)}]
    if settings.spawner == "kubernetes":
        c.JupyterHub.services.append({"name": "pod-gate", "command": pod_gate_command(settings)})
    c.JupyterHub.load_roles = [
        {
            "name": "platform",
            "description": "The platform makes users, starts and stops their workspaces and sees their state",
            "scopes": ["admin:users", "admin:servers", "servers", "list:users", "read:servers", "access:servers"],
            "services": [PLATFORM_SERVICE],
        },
        {
            "name": "user",
            "description": "People use the workspaces that the platform opens; they hand nothing on",
            # Not `self`: whoever may make tokens keeps a way in that no sign-out and no suspension of him ends.
            "scopes": ["read:users!user", "users:activity!user", "servers!user", "access:servers!user"],
        },
    ]


def pod_gate_command(settings: HubSettings) -> list[str]:
    """Return the command of the gate that pods reach; the hub starts it and keeps it running."""
    return [
        sys.executable, "-m", "sandbox.workspaces.hub.pod_gate", "--hub", unix_url(settings.hub_socket),
        "--runtime", str(settings.runtime), "--secret", str(settings.service_token_file),
    ]  # fmt: skip


_get_config = globals().get("get_config")
if _get_config is not None:
    # The gate is started by the hub from the same place: it must find this package too.
    root = str(Path(__file__).resolve().parents[3])
    os.environ["PYTHONPATH"] = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
    configure(_get_config(), load_settings())
