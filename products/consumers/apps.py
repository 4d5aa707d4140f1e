"""The verbs of apps."""

from __future__ import annotations

from dataclasses import replace

from policies import Context, Policies, Resource
from products.consumers.app_model import APP, FIRST_NAME, MAX_APPS, App, AppState, check_app
from products.consumers.store import APPS
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.ids import new_id
from shuzha.core.work import Database, Work


class AppService:
    """The apps of consumers."""

    def __init__(self, database: Database, policies: Policies) -> None:
        self._database = database
        self._policies = policies

    def create_app(self, actor: Actor, name: str, about: str = "", contact: str = "") -> App:
        """Return a new app of the actor's organisation; refuses words that are too long, and more than 200 apps."""
        check_app(name, about, contact)
        with self._database.work(actor) as work:
            own = Resource("app", "", actor.organisation, actor.id)
            self._policies.check(actor, "app:create", own, Context(at=work.now()))
            return add_app(work, actor, name.strip(), about.strip(), contact.strip())

    def suspend_app(self, actor: Actor, app_id: str, reason: str) -> App:
        """Return the app suspended: within a second none of its keys opens anything."""
        return self._move(actor, app_id, "suspend", reason)

    def restore_app(self, actor: Actor, app_id: str, reason: str) -> App:
        """Return the suspended app active again, with its keys as they were."""
        return self._move(actor, app_id, "restore", reason)

    def close_app(self, actor: Actor, app_id: str, reason: str) -> App:
        """Return the app closed, for good: within a second its keys are refused."""
        return self._move(actor, app_id, "close", reason)

    def get_app(self, actor: Actor, app_id: str) -> App:
        """Return an app that the actor may see, or raise NotFound."""
        with self._database.read() as work:
            app = work.get(APPS, app_id)
            if not self._may_see(work, actor, app):
                raise NotFound(f"no apps with id {app_id}")
            return app

    def list_apps(self, actor: Actor) -> tuple[App, ...]:
        """Return the apps that the actor may see, newest first."""
        with self._database.read() as work:
            return tuple(app for app in work.list(APPS, newest_first=True) if self._may_see(work, actor, app))

    def _may_see(self, work: Work, actor: Actor, app: App) -> bool:
        return self._policies.can(actor, "app:view", app_resource(app), Context(at=work.now()))

    def _move(self, actor: Actor, app_id: str, verb: str, reason: str) -> App:
        if not reason.strip() or len(reason) > 1000:
            raise Invalid("a decision without a reason", rule="decision.reason", accepted="a sentence that says why")
        with self._database.work(actor) as work:
            app = work.get(APPS, app_id)
            if not self._may_see(work, actor, app):
                raise NotFound(f"no apps with id {app_id}")
            self._policies.check(actor, f"app:{verb}", app_resource(app), Context(at=work.now()))
            move = APP.next(app.state, verb, app.id)
            saved = work.save(APPS, replace(app, state=move.target, reason=reason.strip()))
            work.emit(f"app:{verb}", app.id, f"app {app.id} {move.target.value}", data={"reason": saved.reason})
            return saved


def app_resource(app: App) -> Resource:
    """Return the app as the policy layer sees it."""
    return Resource("app", app.id, app.organisation, app.author)


def add_app(work: Work, actor: Actor, name: str, about: str = "", contact: str = "") -> App:
    """Store a new app of the actor's organisation; whoever calls this has asked the policy layer."""
    if len(work.list(APPS, organisation=actor.organisation)) >= MAX_APPS:
        raise Invalid("an organisation refuses one more app", rule="app.count", accepted=f"at most {MAX_APPS}")
    app = App(new_id("app"), actor.organisation, actor.id, name, about, contact, work.now())
    work.add(APPS, app)
    work.emit("app:create", app.id, f"app {app.id} created")
    return app


def choose_app(work: Work, actor: Actor, app_id: str) -> App:
    """Return the app that a new key is for: the named one, else the organisation's oldest that is active, else a new.

    Refuses another organisation's (NotFound), and one that is not active.
    """
    if not app_id:
        active = work.list(APPS, organisation=actor.organisation, state=AppState.ACTIVE.value)
        return active[0] if active else add_app(work, actor, FIRST_NAME)
    app = work.get(APPS, app_id)
    if app.organisation != actor.organisation:
        raise NotFound(f"no apps with id {app_id}")
    if app.state is not AppState.ACTIVE:
        raise Invalid(f"no key for app {app.id}: it is {app.state.value}", rule="key.app", accepted="an active app")
    return app
