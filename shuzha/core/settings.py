"""What an installation can set: one TOML file, each value also as `SHUZHA_<NAME>` in the environment."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from shuzha.core.clock import Clock, OffsetClock, SystemClock
from shuzha.core.errors import Invalid
from shuzha.core.service_user import choose_user


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one installation; addresses are what a browser uses, `data` holds everything it keeps."""

    data: Path
    database_url: str = ""
    jurisdiction: str = "jinan"
    city_code: str = "370100"
    bind: str = "127.0.0.1"
    portal_host: str = "portal.localhost"
    portal_port: int = 8000
    api_host: str = "api.localhost"
    api_port: int = 8001
    api_workers: int = 1
    api_proxies: str = ""
    webhook_networks: str = ""
    sandbox_host: str = "sandbox.localhost"
    sandbox_port: int = 8002
    sandbox_environment: Path = Path(".venv-sandbox")
    screen_budget: int = 64 * 1024**2
    screen_pace: int = 4 * 1024**2
    gate_connections: int = 1024
    workspace_memory: int = 2 * 1024**3
    workspace_processes: int = 256
    workspace_cpu: int = 200
    workspace_disk: int = 4 * 1024**3
    workspace_hours: int = 12
    workspace_idle_minutes: int = 120
    spawner: str = "bwrap"
    pod_image: str = ""
    pod_address: str = ""
    scheme: str = "http"
    service_user: str = ""
    runtime_folder: str = ""
    demo: bool = False

    @property
    def records_url(self) -> str:
        """The records database: the set URL, or SQLite in the data folder."""
        return self.database_url or f"sqlite:///{self.data}/records/records.db"

    @property
    def portal_url(self) -> str:
        """The portal's address as a browser sees it."""
        return f"{self.scheme}://{self.portal_host}:{self.portal_port}"

    @property
    def api_url(self) -> str:
        """The consumer API's address."""
        return f"{self.scheme}://{self.api_host}:{self.api_port}"

    @property
    def sandbox_url(self) -> str:
        """The sandbox's address: always another host name than the portal's."""
        return f"{self.scheme}://{self.sandbox_host}:{self.sandbox_port}"

    @property
    def runtime(self) -> Path:
        """The folder of the workspaces' sockets: a short path, since a unix socket's name ends at 107 bytes."""
        own = "/run/shuzha" if os.geteuid() == 0 else f"/tmp/shuzha-{os.geteuid()}"  # noqa: S108
        return Path(self.runtime_folder or own) / str(self.sandbox_port)

    def pinned(self) -> Settings:
        """Return the settings with what depends on who asks settled now: services run as another user than root."""
        user = choose_user(self.service_user, self.data)
        named = str(user.uid) if user is not None else ("root" if os.geteuid() == 0 else "")
        # Without links: root shows jails what lies there, and follows none on the way.
        return replace(self, data=self.data.resolve(), service_user=named, runtime_folder=str(self.runtime.parent))

    @property
    def service_uid(self) -> int | None:
        """The number of the service user, once the settings are `pinned`; None: services stay who starts them."""
        return int(self.service_user) if self.service_user.isdigit() else None

    @property
    def address_for_pods(self) -> str:
        """The address at which pods reach the platform: the set one, or the one that a cluster tells its own pods."""
        return self.pod_address or os.environ.get("SHUZHA_PODS_SERVICE_HOST", "")

    def folder(self, name: str) -> Path:
        """Return a folder of the data directory (raw, releases, homes, vault, products, logs, usage, keys, run)."""
        return self.data / name

    def as_dict(self) -> dict[str, object]:
        """Return the settings by name, as `load_settings` reads them back."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def clock(self) -> Clock:
        """Return the installation's clock; production refuses one with an offset."""
        clock = OffsetClock(self.data / "run" / "clock-offset")
        if self.demo:
            return clock
        if clock.offset():
            raise Invalid(
                "production refuses to start with a clock offset", rule="clock.demo_only", accepted="demo = true"
            )
        return SystemClock()


HELP: Mapping[str, str] = {
    "data": "the folder of everything that the installation keeps",
    "database_url": "the records' database, such as postgresql+psycopg://…; empty: SQLite in the data folder",
    "jurisdiction": "whose rules apply: a file of shuzha/core/law (jinan, wuhan, zhongshan)",
    "city_code": "the city's code in product codes (GB/T 2260)",
    "bind": "the address that the processes listen on; a TLS proxy stands in front",
    "portal_host": "the portal's host name in browsers",
    "portal_port": "the portal's port",
    "api_host": "the consumer API's host name",
    "api_port": "the consumer API's port",
    "api_workers": "processes of the consumer API",
    "api_proxies": "addresses of the TLS proxies in front of the API (10.0.0.5,10.0.1.0/24): from these alone it"
    " believes X-Forwarded-For, which keys that are bound to networks need",
    "webhook_networks": "private networks that webhooks may reach (10.1.0.0/16,127.0.0.0/8), then also by http; empty:"
    " public addresses by HTTPS only",
    "sandbox_host": "the sandbox's host name: never the portal's, since cookies ignore ports",
    "sandbox_port": "the sandbox's port",
    "screen_budget": "bytes that a workspace may show on screens a day, where the authority set no other number",
    "screen_pace": "bytes a second that a workspace's websockets show, after two seconds' worth at once; 0: no pace",
    "gate_connections": "connections that one address may have to the gate; 0: not counted, as behind a TLS proxy",
    "sandbox_environment": "the analysts' Python environment, which holds nothing of the server",
    "workspace_memory": "bytes of memory that a workspace's kernels have together",
    "workspace_processes": "processes that a workspace's kernels have together",
    "workspace_cpu": "processor time of a workspace's kernels, in percent of one processor",
    "workspace_disk": "bytes of a workspace's home; a raised number counts from its next start",
    "workspace_hours": "hours after which a running workspace is stopped; 0: never",
    "workspace_idle_minutes": "minutes without a request and without a kernel at work, after which it is; 0: never",
    "spawner": "how workspaces run: bwrap (jails of this host) or kubernetes (pods of a cluster)",
    "pod_image": "the image of a workspace's pod; empty: the one that deploy/kubernetes names",
    "pod_address": "the IP address at which pods reach the platform; empty: the service shuzha-pods's own",
    "scheme": "https where a TLS proxy stands in front: cookies are then marked secure",
    "service_user": "who services run as where root starts the platform, a name or a number; empty: the data's owner,"
    " else the account shuzha, else 61000",
    "runtime_folder": "the folder of sockets, a short path; empty: /run/shuzha as root, else one below /tmp",
    "demo": "true allows the forward-only clock offset; production refuses to start with one",
}
"""What each setting is, for the reference page."""


def load_settings(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of a file and the environment; refuses names it does not know and values of a wrong type."""
    environment = os.environ if environment is None else environment
    path = path or Path(environment.get("SHUZHA_SETTINGS", "shuzha.toml"))
    values: dict[str, object] = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    known = {field.name: field for field in fields(Settings)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise Invalid(f"{path.name}: unknown setting `{unknown[0]}`", rule="settings", accepted=", ".join(known))
    for name in known:
        if f"SHUZHA_{name.upper()}" in environment:
            values[name] = environment[f"SHUZHA_{name.upper()}"]
    values.setdefault("data", "var/data")
    values.setdefault("sandbox_environment", ".venv-sandbox")
    converted = {name: _convert(name, str(known[name].type), value) for name, value in values.items()}
    settings = Settings(**converted)  # type: ignore[arg-type]
    if settings.spawner not in ("bwrap", "kubernetes"):
        raise Invalid(
            f"setting `spawner` is {settings.spawner!r}", rule="settings.spawner", accepted="bwrap, kubernetes"
        )
    if settings.portal_host == settings.sandbox_host:
        raise Invalid(
            "portal_host and sandbox_host are the same", rule="settings.hosts",
            accepted="two host names: a notebook is other people's HTML, and cookies ignore ports",
        )  # fmt: skip
    return settings


def _convert(name: str, kind: str, value: object) -> object:
    try:
        match kind:
            case "Path":
                return Path(str(value)).absolute()
            case "int":
                return int(str(value))
            case "bool":
                return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]
            case _:
                return str(value)
    except (ValueError, KeyError):
        raise Invalid(f"setting `{name}` is not a {kind}", rule="settings") from None
