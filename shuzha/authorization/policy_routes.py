"""The HTTP face of questions about policies; every rule is the service's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends

from policies.explain import Explanation
from shuzha.authorization.explaining import Change, Checked, Outcome, PolicyVerbs, Question
from shuzha.core.actor import Actor


def make_router(service: PolicyVerbs, actor: Callable[..., Actor]) -> APIRouter:
    """Return the routes `/policies/explain`, `/policies/odrl`, `/grants/{id}/odrl`, `/authorizations/{id}/what-if`."""
    router = APIRouter(tags=["policies"])

    @router.post("/policies/explain")
    def explain_decision(body: Question, who: Actor = Depends(actor)) -> Explanation:
        return service.explain(who, body)

    @router.post("/policies/odrl")
    def check_odrl(body: dict[str, Any], who: Actor = Depends(actor)) -> Checked:
        return service.check_odrl(who, body)

    @router.get("/grants/{grant_id}/odrl")
    def export_odrl(grant_id: str, who: Actor = Depends(actor)) -> dict[str, Any]:
        return service.export_odrl(who, grant_id)

    @router.post("/authorizations/{authorization_id}/what-if")
    def what_if(authorization_id: str, body: Change, who: Actor = Depends(actor)) -> Outcome:
        return service.what_if(who, authorization_id, body)

    return router
