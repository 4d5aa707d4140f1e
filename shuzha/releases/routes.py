"""The HTTP face of releases; every rule is the service's. The data itself is served by no route."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import APIRouter, Depends, Response

from shuzha.catalog.value_domain import ValueDomain
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid
from shuzha.releases.model import SYNTHETIC_RULE, Release, ReleaseKind, SyntheticOptions
from shuzha.releases.service import ReleaseService

ActorDependency = Callable[..., Actor]


_STRICT = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class SyntheticRequest:
    """What a synthetic release is to cost and hold; `epsilon` is debited from the entry's privacy budget."""

    __pydantic_config__ = _STRICT
    epsilon: float
    rows_per_entity: int = 1
    method: str = "aim"
    without: tuple[str, ...] = ()
    domains: dict[str, ValueDomain] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """Which grant's data is to be released, and as what: its own rows, or synthetic ones."""

    __pydantic_config__ = _STRICT
    grant: str
    kind: ReleaseKind = ReleaseKind.ROWS
    synthetic: SyntheticRequest | None = None

    def options(self) -> SyntheticOptions | None:
        """Return what a synthetic release is to be, None for rows; refuses a kind whose options are not its own."""
        if (self.kind is ReleaseKind.SYNTHETIC) != (self.synthetic is not None):
            raise Invalid(
                "the kind of the release and its options do not go together", rule=SYNTHETIC_RULE,
                accepted="kind synthetic with `synthetic`, or kind rows without it",
            )  # fmt: skip
        asked = self.synthetic
        if asked is None:
            return None
        return SyntheticOptions(
            asked.epsilon, rows_per_entity=asked.rows_per_entity, method=asked.method, without=asked.without,
            domains=asked.domains,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Destruction:
    """Why a release is destroyed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether a release's signature and files hold, and what is wrong where they do not."""

    holds: bool
    wrong: tuple[str, ...]


def make_router(service: ReleaseService, actor: ActorDependency) -> APIRouter:
    """Return the routes below `/releases`."""
    router = APIRouter(prefix="/releases", tags=["releases"])

    @router.get("")
    def list_releases(
        grant: str | None = None, demand: str | None = None, who: Actor = Depends(actor)
    ) -> tuple[Release, ...]:
        return service.list_releases(who, grant=grant, demand=demand)

    @router.post("", status_code=202)
    def request_release(body: ReleaseRequest, who: Actor = Depends(actor)) -> Release:
        return service.request_release(who, body.grant, body.options())

    @router.get("/{release_id}")
    def get_release(release_id: str, who: Actor = Depends(actor)) -> Release:
        return service.get_release(who, release_id)

    @router.get("/{release_id}/certificate")
    def get_certificate(release_id: str, who: Actor = Depends(actor)) -> Response:
        release = service.get_release(who, release_id)
        headers = {"Shuzha-Signature": release.signature}
        return Response(release.certificate, media_type="application/json", headers=headers)

    @router.post("/{release_id}/verify")
    def verify(release_id: str, who: Actor = Depends(actor)) -> Verification:
        wrong = service.verify(who, release_id)
        return Verification(not wrong, wrong)

    @router.post("/{release_id}/destroy")
    def destroy(release_id: str, body: Destruction, who: Actor = Depends(actor)) -> Release:
        return service.destroy(who, release_id, body.reason)

    return router
