"""The HTTP face of a registration's verbs, the same for products and data resources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Body, Depends

from products.registry.objecting import Objecting
from products.registry.registration import Application, Objection
from shuzha.core.actor import Actor

ActorDependency = Callable[..., Actor]


@dataclass(frozen=True, slots=True)
class Reason:
    """The body of a verb that asks for a reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Notice:
    """The body of an announcement: what the registry adds to the text that is written from the records."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer to an objection; `upheld` says whether it was right."""

    answer: str
    upheld: bool


@dataclass(frozen=True, slots=True)
class Text:
    """A letter as it would be given or published now."""

    text: str


def add_registration(
    router: APIRouter, base: str, service: Objecting[Any], record: type[Any], actor: ActorDependency
) -> None:
    """Add the verbs of the registration of things at `base`, such as `/products`."""
    _add_application(router, base, service, record, actor)
    _add_review(router, base, service, record, actor)
    _add_objections(router, base, service, record, actor)


def _add_application(
    router: APIRouter, base: str, service: Objecting[Any], record: type[Any], actor: ActorDependency
) -> None:
    @router.post(f"{base}/{{record_id}}/apply", response_model=record)
    def apply(record_id: str, body: Application | None = Body(default=None), who: Actor = Depends(actor)) -> object:
        return service.apply(who, record_id, body)

    @router.post(f"{base}/{{record_id}}/withdraw", response_model=record)
    def withdraw(record_id: str, body: Reason, who: Actor = Depends(actor)) -> object:
        return service.withdraw(who, record_id, body.reason)

    @router.get(f"{base}/{{record_id}}/commitment")
    def preview_commitment(record_id: str, who: Actor = Depends(actor)) -> Text:
        return Text(service.preview_commitment(who, record_id))


def _add_review(
    router: APIRouter, base: str, service: Objecting[Any], record: type[Any], actor: ActorDependency
) -> None:
    @router.post(f"{base}/{{record_id}}/accept", response_model=record)
    def accept(record_id: str, who: Actor = Depends(actor)) -> object:
        return service.accept(who, record_id)

    @router.post(f"{base}/{{record_id}}/supplement", response_model=record)
    def supplement(record_id: str, body: Reason, who: Actor = Depends(actor)) -> object:
        return service.supplement(who, record_id, body.reason)

    @router.post(f"{base}/{{record_id}}/refuse", response_model=record)
    def refuse(record_id: str, body: Reason, who: Actor = Depends(actor)) -> object:
        return service.refuse(who, record_id, body.reason)

    @router.post(f"{base}/{{record_id}}/pass", response_model=record)
    def pass_review(record_id: str, who: Actor = Depends(actor)) -> object:
        return service.pass_review(who, record_id)

    @router.get(f"{base}/{{record_id}}/notice")
    def preview_notice(record_id: str, text: str = "", who: Actor = Depends(actor)) -> Text:
        return Text(service.preview_notice(who, record_id, text))

    @router.post(f"{base}/{{record_id}}/announce", response_model=record)
    def announce(record_id: str, body: Notice | None = Body(default=None), who: Actor = Depends(actor)) -> object:
        return service.announce(who, record_id, body.text if body else "")

    @router.post(f"{base}/{{record_id}}/code", response_model=record)
    def code(record_id: str, who: Actor = Depends(actor)) -> object:
        return service.code(who, record_id)

    @router.post(f"{base}/{{record_id}}/validate", response_model=record)
    def validate(record_id: str, who: Actor = Depends(actor)) -> object:
        return service.validate(who, record_id)


def _add_objections(
    router: APIRouter, base: str, service: Objecting[Any], record: type[Any], actor: ActorDependency
) -> None:
    @router.post(f"{base}/{{record_id}}/object", response_model=record)
    def object_to(record_id: str, body: Reason, who: Actor = Depends(actor)) -> object:
        return service.object_to(who, record_id, body.reason)

    @router.get(f"{base}/{{record_id}}/objections")
    def list_objections(record_id: str, who: Actor = Depends(actor)) -> tuple[Objection, ...]:
        return service.list_objections(who, record_id)

    @router.post(f"{base}/objections/{{objection_id}}/answer")
    def answer(objection_id: str, body: Answer, who: Actor = Depends(actor)) -> Objection:
        return service.answer(who, objection_id, body.answer, upheld=body.upheld)

    @router.post(f"{base}/{{record_id}}/resume", response_model=record)
    def resume(record_id: str, who: Actor = Depends(actor)) -> object:
        return service.resume(who, record_id)
