"""The consumer API as one ASGI app: the raw verification path in front of the documented one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from policies import Policies, ScopeSource
from products.forms.delivery import Copies
from products.forms.line import FormsClient
from products.forms.sheets import FormSheets
from products.registry.model import Product
from products.serving.contract import make_documented_app
from products.serving.fast import Fast
from products.serving.files import Files
from products.serving.forms import Forms
from products.serving.gate import Gate
from products.serving.http import App, Receive, Scope, Send, capped, run, signed
from products.serving.lists import Lists, UsageFolder
from products.serving.meter import Digests, PointMeter
from products.serving.metrics import Metrics
from products.serving.signing import KEY_NAME, Signer
from products.serving.state import ServingState
from products.serving.verify import Recorder, Verification
from shuzha.core.clock import Clock
from shuzha.core.keys import KeyRing

_PREFIX = "/v1/products/"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the app is made of; the composition root fills it."""

    state: ServingState
    policies: Policies
    scopes: ScopeSource
    clock: Clock
    meter: PointMeter
    keys: KeyRing
    find_file: Callable[[Product], Path]
    usage_folder: Path
    log_folder: Path
    socket: Path
    forms_socket: Path = Path("forms.sock")


def make_app(parts: Parts, *, raw: bool = True) -> App:
    """Return the app; without `raw` every call goes through the documented route, which tests hold equal to it."""
    return make_serving(parts, raw=raw)[0]


def make_serving(parts: Parts, *, raw: bool = True) -> tuple[App, Fast]:
    """Return the app and the short way of its verifications, for a protocol that knows it."""
    metrics = Metrics()
    usage = UsageFolder(parts.usage_folder)
    gate = Gate(parts.state, parts.policies, parts.scopes, parts.clock, usage)
    recorder = Recorder(gate, parts.meter)
    digests = Digests(parts.keys.derive("usage-digests"))
    verification = Verification(gate, recorder, digests)
    files = Files(gate, recorder, digests, parts.find_file, Copies(parts.state.database, parts.keys))
    lists = Lists(gate, usage, parts.log_folder, parts.socket, FormSheets(parts.state.database))
    signer = Signer(parts.keys.signing_key(KEY_NAME), parts.clock)
    forms = Forms(gate, recorder, digests, FormsClient(parts.forms_socket))
    documented = signed(capped(make_documented_app(verification, files, lists, metrics, signer, forms)), signer)

    raw_ways = {"verify": ("verify", verification.verify), "verify:batch": ("verify_batch", verification.verify_batch)}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if raw and scope["type"] == "http" and scope["method"] == "POST":
            path: str = scope["path"]
            code, _, verb = path[len(_PREFIX) :].partition("/")
            if path.startswith(_PREFIX) and code and verb in raw_ways:
                name, endpoint = raw_ways[verb]
                await run(endpoint, metrics, name, code, (scope, receive, send), signer)
                return
        await documented(scope, receive, send)

    return app, Fast(gate, parts.meter, digests, metrics)
