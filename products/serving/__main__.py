"""The consumer API's process: `python -m products.serving --settings FILE`; the supervisor starts `api_workers`."""

from __future__ import annotations

import argparse
import gc
import socket
import sys
from functools import partial
from pathlib import Path

import uvicorn

from policies import Policies
from products.registry.service import product_file
from products.serving.app import Parts, make_serving
from products.serving.fast import Fast
from products.serving.http import App
from products.serving.protocol import protocol_with
from products.serving.state import ServingState
from shuzha.authorization.service import GrantScopes, forget_ids
from shuzha.core.errors import ShuzhaError
from shuzha.core.keys import KeyRing
from shuzha.core.logs import start_logging
from shuzha.core.settings import Settings, load_settings
from shuzha.core.work import Database
from shuzha.metering.client import UsageClient

_BACKLOG = 2048


def build(settings: Settings) -> tuple[App, Fast, ServingState]:
    """Return the app of an installation, its short way, and the state that both follow; the caller starts the state."""
    clock = settings.clock()
    database = Database(settings.records_url, clock)
    scopes = GrantScopes(database)
    policies = Policies(scopes)
    keys = KeyRing(settings.folder("keys"))
    folder = settings.folder("products")
    state = ServingState(database, policies, keys, folder, forget_ids)
    usage_socket = settings.folder("run") / "usage.sock"
    parts = Parts(
        state, policies, scopes, clock, UsageClient(usage_socket), keys, partial(product_file, folder),
        settings.folder("usage"), settings.folder("logs") / "usage", usage_socket,
        settings.folder("run") / "forms.sock",
    )  # fmt: skip
    return *make_serving(parts), state


def bind(host: str, port: int, *, shared: bool) -> socket.socket:
    """Return the listening socket; where several processes share the port, the kernel shares the calls out.

    A lone process refuses a port that another one has: two installations must not answer by turns.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host, port))
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def main(arguments: list[str] | None = None) -> int:
    """Serve until stopped; return the exit code: 0 stopped, 1 refused to start."""
    parser = argparse.ArgumentParser(prog="python -m products.serving", description="Serve the consumer API.")
    parser.add_argument("--settings", type=Path, help="the installation's settings (SHUZHA_SETTINGS, else shuzha.toml)")
    options = parser.parse_args(arguments)
    start_logging()
    try:
        settings = load_settings(options.settings)
        app, fast, state = build(settings)
        listener = bind(settings.bind, settings.api_port, shared=settings.api_workers > 1)
    except (ShuzhaError, OSError) as error:
        sys.stderr.write(f"consumer API refused to start: {error}\n")
        return 1
    config = uvicorn.Config(
        app, loop="uvloop", http=protocol_with(fast), ws="none", log_level="warning", access_log=False,
        server_header=False, proxy_headers=bool(settings.api_proxies), forwarded_allow_ips=settings.api_proxies or None,
        timeout_graceful_shutdown=5,
    )  # fmt: skip
    # What is there now stays, so that the collector does not look at it again under each few calls.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    state.start()
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        state.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
