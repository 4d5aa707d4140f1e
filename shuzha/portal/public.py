"""The public page: what is held, authorized, sold and on notice, for anybody and without signing in."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from shuzha.authorization.service import AuthorizationService
from shuzha.oversight.disclosure import Disclosure
from shuzha.portal.desk import Desk
from shuzha.portal.holds import standing
from shuzha.portal.render import speech_of


class PublicPages:
    """The pages for everybody."""

    def __init__(self, desk: Desk, disclosure: Disclosure, service: AuthorizationService) -> None:
        self._desk = desk
        self._disclosure = disclosure
        self._service = service

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/public", self.show, methods=["GET"])
        router.add_api_route("/public/authorizations", self.show_authorizations, methods=["GET"])
        router.add_api_route("/public/authorizations/{authorization_id}", self.show_authorization, methods=["GET"])
        return router

    def show(self, request: Request) -> Response:
        """Show entries, authorizations, products and notices; plain links, nothing loaded later."""
        found = self._disclosure.read()
        titles = {entry.id: entry.title for entry in found.entries}
        return self._desk.page(request, "public.html", public=found, titles=titles)

    def show_authorizations(self, request: Request) -> Response:
        """Show whom the city authorizes to do what with which data for how long, and what is announced."""
        found = self._disclosure.read_authorizations()
        return self._desk.page(
            request, "public_authorizations.html", announcements=found.announcements, noticed=found.noticed,
            in_force=found.in_force, ended=found.ended, titles=found.titles, now=self._desk.clock.now(),
            key=self._service.agreement_key(), held=found.held,
        )  # fmt: skip

    def show_authorization(self, request: Request, authorization_id: str) -> Response:
        """Show object, content, scope and term of one authorization, and what it rests on."""
        public = self._disclosure.read_authorizations()
        found = public.find(authorization_id)
        language = speech_of(request).language
        providers = [self._desk.renderer.name_of(each, language) for each in found.providers]
        return self._desk.page(
            request, "public_authorization.html", found=found, titles=public.titles, providers=providers,
            state=standing(found, public.held),
        )  # fmt: skip
