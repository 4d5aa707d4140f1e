"""Try a product from its page: the call goes to the real API, is metered like any other, and the key is not kept."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from products.consumers.model import is_secret
from products.registry.codes import ProductKind
from products.registry.model import Product, ProductState
from products.registry.service import read_verification
from shuzha.core.errors import Invalid, NotFound
from shuzha.portal.desk import Desk, actor_of
from shuzha.portal.services import Services

SECONDS = 10.0
MOST_SHOWN = 4_000
MAX_FIELD = 200
FIELDS = (
    "content-type", "shuzha-log-index", "shuzha-usage-id", "ratelimit", "ratelimit-policy", "retry-after",
    "content-digest", "signature-input", "signature",
)  # fmt: skip
_SIGNED = 'sig1=("@status" "content-digest" "@method";req "@path";req);nonce="{nonce}"'


@dataclass(frozen=True, slots=True)
class Tried:
    """One call as it was made, without its key, and what came back."""

    method: str
    path: str
    body: str
    status: int
    fields: tuple[tuple[str, str], ...]
    answer: str
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form says: the call without its key."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)


class TryPages:
    """The pages on which products are tried."""

    def __init__(self, desk: Desk, services: Services, transport: httpx.BaseTransport | None = None) -> None:
        self._desk = desk
        self._registry = services.registry
        settings = services.settings
        self._base = f"http://{settings.bind}:{settings.api_port}"
        self._api_url = settings.api_url
        self._transport = transport

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/try/{product_id}", self.show, methods=["GET"])
        router.add_api_route("/try/{product_id}", self.call, methods=["POST"])
        return router

    def show(self, request: Request, product_id: str) -> Response:
        """Show the form of a call."""
        return self._page(request, self._product(request, product_id), None)

    async def call(self, request: Request, product_id: str, api_key: Annotated[str, Form()] = "") -> Response:
        """Make the call and show what came back; a refused call costs nothing, an answered one is a metered use."""
        product = self._product(request, product_id)
        form = {name: str(value) for name, value in (await request.form()).items() if name != "api_key"}
        if not is_secret(api_key.strip()):
            raise Invalid(
                "this is no key", rule="key.form", field="api_key", accepted="the whole key, as it was shown: szk_…"
            )
        asked = read_form(product, form)
        return self._page(request, product, await self._send(asked, api_key.strip(), signed="signed" in form), form)

    def _product(self, request: Request, product_id: str) -> Product:
        found = self._registry.get_product(actor_of(request), product_id)
        if not found.code or found.state not in (ProductState.IN_SERVICE, ProductState.SUSPENDED):
            raise NotFound(f"product {product_id} cannot be tried: it is not in service")
        return found

    async def _send(self, asked: Asked, key: str, *, signed: bool) -> Tried:
        headers = {"authorization": f"Bearer {key}", "idempotency-key": str(uuid.uuid4())}
        if signed:
            headers["accept-signature"] = _SIGNED.format(nonce=uuid.uuid4().hex)
        try:
            async with httpx.AsyncClient(
                base_url=self._base, timeout=SECONDS, trust_env=False, transport=self._transport  # type: ignore[arg-type]
            ) as client:  # fmt: skip
                answer = await client.request(
                    asked.method, asked.path, json=asked.body, params=dict(asked.query), headers=headers
                )
        except httpx.HTTPError:
            return Tried(asked.method, asked.path, "", 0, (), "", 0)
        fields = tuple((name, answer.headers[name]) for name in FIELDS if name in answer.headers)
        body = "" if asked.body is None else json.dumps(asked.body, ensure_ascii=False, indent=1)
        took = int(answer.elapsed.total_seconds() * 1000)
        return Tried(asked.method, asked.path, body, answer.status_code, fields, _shown(answer), took)

    def _page(
        self, request: Request, product: Product, tried: Tried | None, form: Mapping[str, str] | None = None
    ) -> Response:
        specification = read_verification(product.specification) if _is_verification(product) else None
        asked = read_form(product, form or {})
        return self._desk.page(
            request, "try.html", product=product, tried=tried, form=form or {}, file=_file(product),
            subject=specification.subject if specification else (),
            claims=[(one.name, one.title) for one in specification.claims] if specification else [],
            curl=_curl(self._api_url, asked), python=_python(self._api_url, product, asked),
        )  # fmt: skip


def read_form(product: Product, form: Mapping[str, str]) -> Asked:
    """Return the call that a form asks for; what it leaves out stands as an example."""
    purpose = form.get("purpose", product.purposes[0] if product.purposes else "")[:MAX_FIELD]
    path = f"/v1/products/{product.code}"
    if not _is_verification(product):
        return Asked("GET", f"{path}/files/{_file(product)}", query={"purpose": purpose})
    specification = read_verification(product.specification)
    subject = {name: form.get(f"subject.{name}", "…").strip()[:MAX_FIELD] for name in specification.subject}
    claim = form.get("claim", specification.claims[0].name)[:MAX_FIELD]
    consent = form.get("consent", "form-4711")[:MAX_FIELD]
    body = {"subject": subject, "claim": claim, "purpose": purpose, "consent": consent}
    return Asked("POST", f"{path}/verify", body)


def _is_verification(product: Product) -> bool:
    return product.kind is ProductKind.VERIFICATION and bool(product.specification)


def _file(product: Product) -> str:
    return product.evidence.lineage.file.rpartition("/")[2]


def _shown(answer: httpx.Response) -> str:
    kind = answer.headers.get("content-type", "")
    if "json" in kind:
        return json.dumps(answer.json(), ensure_ascii=False, indent=1)[:MOST_SHOWN]
    return answer.text[:MOST_SHOWN] if kind.startswith("text/") else f"{len(answer.content)} bytes, {kind}"


def _curl(url: str, asked: Asked) -> str:
    query = "?" + "&".join(f"{name}={value}" for name, value in asked.query.items()) if asked.query else ""
    lines = [f"curl -X {asked.method} '{url}{asked.path}{query}'", '  -H "Authorization: Bearer $KEY"']
    lines.append('  -H "Idempotency-Key: $(uuidgen)"')
    if asked.body is not None:
        text = json.dumps(asked.body, ensure_ascii=False).replace("'", "'\\''")
        lines += ['  -H "Content-Type: application/json"', f"  -d '{text}'"]
    return " \\\n".join(lines)


def _python(url: str, product: Product, asked: Asked) -> str:
    lines = ["import os", "from shuzha_client import Client", "", f'with Client("{url}", os.environ["KEY"]) as api:']
    if asked.body is None:
        purpose = asked.query["purpose"]
        lines.append(f'    file = api.file("{product.code}", "{_file(product)}", purpose={json.dumps(purpose)})')
        return "\n".join([*lines, "    print(file.sha256, file.usage_id)"])
    body = asked.body
    told = ", ".join(f"{name}={json.dumps(body[name], ensure_ascii=False)}" for name in ("claim", "purpose", "consent"))
    subject = json.dumps(body["subject"], ensure_ascii=False)
    lines.append(f'    answer = api.verify("{product.code}", {subject}, {told})')
    return "\n".join([*lines, "    print(answer.matched, answer.usage_id)"])
