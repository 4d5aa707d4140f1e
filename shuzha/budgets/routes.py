"""The HTTP face of privacy budgets; every rule is the service's. Answers are given over a workspace's socket alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Depends

from shuzha.budgets.model import Budget, Spend
from shuzha.budgets.service import BudgetService
from shuzha.core.actor import Actor

_STRICT = {"extra": "forbid"}
ActorDependency = Callable[..., Actor]


@dataclass(frozen=True, slots=True)
class BudgetRequest:
    """The cap to set: over the whole entry, or over one authorization within it."""

    __pydantic_config__ = _STRICT
    entry: str
    epsilon: float
    reason: str
    delta: float = 0.0
    authorization: str = ""


def make_router(service: BudgetService, actor: ActorDependency) -> APIRouter:
    """Return the routes below `/budgets`."""
    router = APIRouter(prefix="/budgets", tags=["budgets"])

    @router.get("")
    def list_budgets(entry: str, who: Actor = Depends(actor)) -> tuple[Budget, ...]:
        return service.list_budgets(who, entry)

    @router.get("/spends")
    def list_spends(entry: str, who: Actor = Depends(actor)) -> tuple[Spend, ...]:
        return service.list_spends(who, entry)

    @router.put("")
    def set_budget(body: BudgetRequest, who: Actor = Depends(actor)) -> Budget:
        return service.set_budget(
            who, body.entry, body.epsilon, body.delta, body.reason, authorization=body.authorization
        )

    return router
