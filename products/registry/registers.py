"""Both registers behind one door: an id says whether it is a product's or a data resource's; the verb goes there."""

from __future__ import annotations

from typing import Any

from policies import Resource
from products.registry.cases import PREFIXES
from products.registry.registration import Agent, Application, Objection, Objector
from products.registry.resources import ResourceService
from products.registry.service import RegistryService
from shuzha.core.actor import Actor
from shuzha.core.errors import NotFound


class Registers:
    """The verbs that registrations of products and of data resources have alike."""

    def __init__(self, products: RegistryService, resources: ResourceService) -> None:
        self._products = products
        self._resources = resources

    def amend(self, actor: Actor, one: str, sheet: Any) -> Any:
        """Return the record with another sheet."""
        return (self._products.amend if is_product(one) else self._resources.amend)(actor, one, sheet)

    def apply(self, actor: Actor, one: str, application: Application) -> Any:
        """Return the record with its registration applied for."""
        return (self._products.apply if is_product(one) else self._resources.apply)(actor, one, application)

    def accept(self, actor: Actor, one: str) -> Any:
        """Return the record with its application accepted."""
        return (self._products.accept if is_product(one) else self._resources.accept)(actor, one)

    def pass_review(self, actor: Actor, one: str) -> Any:
        """Return the record with its formal review passed."""
        return (self._products.pass_review if is_product(one) else self._resources.pass_review)(actor, one)

    def announce(self, actor: Actor, one: str, remark: str) -> Any:
        """Return the record on public notice."""
        return (self._products.announce if is_product(one) else self._resources.announce)(actor, one, remark)

    def resume(self, actor: Actor, one: str) -> Any:
        """Return the record on notice again."""
        return (self._products.resume if is_product(one) else self._resources.resume)(actor, one)

    def object_to(self, actor: Actor, one: str, reason: str) -> Any:
        """Return the record held by an objection."""
        return (self._products.object_to if is_product(one) else self._resources.object_to)(actor, one, reason)

    def object_publicly(self, one: str, objector: Objector, reason: str) -> Objection:
        """Return the objection of somebody without an account."""
        verb = self._products.object_publicly if is_product(one) else self._resources.object_publicly
        return verb(one, objector, reason)

    def answer(self, actor: Actor, one: str, objection: str, answer: str, *, upheld: bool) -> Objection:
        """Return an objection to the record, answered."""
        verb = self._products.answer if is_product(one) else self._resources.answer
        return verb(actor, objection, answer, upheld=upheld)

    def code(self, actor: Actor, one: str) -> Any:
        """Return the record with its code."""
        return (self._products.code if is_product(one) else self._resources.code)(actor, one)

    def validate(self, actor: Actor, one: str) -> Any:
        """Return the record with its registration in force."""
        return (self._products.validate if is_product(one) else self._resources.validate)(actor, one)

    def supplement(self, actor: Actor, one: str, reason: str) -> Any:
        """Return the record sent back to be completed."""
        return (self._products.supplement if is_product(one) else self._resources.supplement)(actor, one, reason)

    def refuse(self, actor: Actor, one: str, reason: str) -> Any:
        """Return the record with its registration refused."""
        return (self._products.refuse if is_product(one) else self._resources.refuse)(actor, one, reason)

    def withdraw(self, actor: Actor, one: str, reason: str) -> Any:
        """Return the record with its application withdrawn."""
        return (self._products.withdraw if is_product(one) else self._resources.withdraw)(actor, one, reason)

    def get(self, actor: Actor, one: str) -> Any:
        """Return one record that the actor may see, or raise NotFound."""
        return (self._products.get if is_product(one) else self._resources.get)(actor, one)

    def find(self, one: str) -> Any:
        """Return one record, for pages of what is public; raises NotFound."""
        return (self._products.find if is_product(one) else self._resources.find)(one)

    def list_all(self, actor: Actor) -> list[Any]:
        """Return every record that the actor may see."""
        return [*self._products.list_all(actor), *self._resources.list_all(actor)]

    def read_receipt(self, actor: Actor, one: str) -> bytes:
        """Return the signed receipt of the record's evidence."""
        return (self._products.read_receipt if is_product(one) else self._resources.read_receipt)(actor, one)

    def preview_commitment(self, actor: Actor, one: str, agent: Agent | None = None) -> str:
        """Return the commitment letter that applying would give today."""
        verb = self._products.preview_commitment if is_product(one) else self._resources.preview_commitment
        return verb(actor, one, agent)

    def preview_notice(self, actor: Actor, one: str) -> str:
        """Return the public notice as it would be published now."""
        return (self._products.preview_notice if is_product(one) else self._resources.preview_notice)(actor, one)

    def list_objections(self, actor: Actor, one: str) -> tuple[Objection, ...]:
        """Return the objections to the record, as the actor may see them."""
        return (self._products.list_objections if is_product(one) else self._resources.list_objections)(actor, one)

    def list_public_objections(self, one: str) -> tuple[Objection, ...]:
        """Return the objections to the record as anybody may read them."""
        verb = self._products.list_public_objections if is_product(one) else self._resources.list_public_objections
        return verb(one)

    def seen_as(self, record: Any) -> Resource:
        """Return the record as the policy layer sees it."""
        return self._products.resource(record) if is_product(record.id) else self._resources.resource(record)


def is_product(record_id: str) -> bool:
    """Return whether an id is a product's; raises NotFound for one that is neither a product's nor a resource's."""
    return noun_of(record_id) == "product"


def noun_of(record_id: str) -> str:
    """Return `product` or `resource`; raises NotFound for another id."""
    noun = PREFIXES.get(record_id.partition("_")[0])
    if noun is None:
        raise NotFound("no registration has this id")
    return noun
