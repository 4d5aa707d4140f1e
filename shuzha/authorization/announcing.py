"""The verbs on announcements (J23 art. 10(1)): draft, agree, publish, close, cancel."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from policies import Resource
from shuzha.authorization.announcement import (
    ANNOUNCEMENT,
    Announcement,
    AnnouncementDraft,
    AnnouncementState,
    Mode,
    make_announcement,
)  # fmt: skip
from shuzha.authorization.base import Room
from shuzha.authorization.model import check_reason
from shuzha.authorization.store import ANNOUNCEMENTS
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.ids import new_id
from shuzha.core.work import Work, no_record
from shuzha.people.store import ORGANISATIONS

_SHOWN = (AnnouncementState.PUBLISHED, AnnouncementState.CLOSED)


def announcement_resource(found: Announcement) -> Resource:
    """Return the announcement as decisions see it: the named provider's, where one is named."""
    return Resource("announcement", found.id, found.content.provider, found.author)


class AnnouncementVerbs(Room):
    """Draft to end of window; each verb is one unit of work."""

    def draft_announcement(self, actor: Actor, content: AnnouncementDraft) -> Announcement:
        """Return the new draft of the actor's authority; refuses what `check_announcement` refuses."""
        with self._database.work(actor) as work:
            now = work.now()
            self._check(actor, "announcement:draft", Resource("announcement", author=actor.id), now)
            if content.provider and work.find(ORGANISATIONS, content.provider) is None:
                raise NotFound("no organisation with the id that the announcement names as provider")
            found = make_announcement(new_id("ann"), actor.organisation, actor.id, content, city_date(now))
            work.add(ANNOUNCEMENTS, found)
            work.emit("announcement:draft", found.id, f"announcement {content.title} drafted", data=_data(found))
        return found

    def agree_announcement(self, actor: Actor, announcement_id: str, reason: str) -> Announcement:
        """Return the draft as agreed by the provider that it names: its plan is the provider's too (W25 art. 19)."""
        return self._move_announcement(actor, announcement_id, "agree", reason)

    def publish_announcement(self, actor: Actor, announcement_id: str, reason: str) -> Announcement:
        """Return the announcement published; refuses one whose provider has not agreed or whose window is over."""
        return self._move_announcement(actor, announcement_id, "publish", reason)

    def close_announcement(self, actor: Actor, announcement_id: str, reason: str) -> Announcement:
        """Return the announcement closed before the end of its window: nobody may apply under it any more."""
        return self._move_announcement(actor, announcement_id, "close", reason)

    def cancel_announcement(self, actor: Actor, announcement_id: str, reason: str) -> Announcement:
        """Return the announcement cancelled; what was applied for stays to be decided."""
        return self._move_announcement(actor, announcement_id, "cancel", reason)

    def get_announcement(self, actor: Actor, announcement_id: str) -> Announcement:
        """Return one announcement; raises NotFound for a draft that the actor may not see."""
        with self._database.read() as work:
            return self._announcement_seen(work, actor, announcement_id)

    def list_announcements(self, actor: Actor) -> tuple[Announcement, ...]:
        """Return the announcements that the actor may see, newest first."""
        with self._database.read() as work:
            now = work.now()
            found = work.list(ANNOUNCEMENTS, newest_first=True)
        return tuple(one for one in found if self._may_see(actor, one, now))

    def _announcement_seen(self, work: Work, actor: Actor, announcement_id: str) -> Announcement:
        found = work.get(ANNOUNCEMENTS, announcement_id)
        if not self._may_see(actor, found, work.now()):
            raise NotFound(no_record(ANNOUNCEMENTS, announcement_id))
        return found

    def _may_see(self, actor: Actor, found: Announcement, at: dt.datetime) -> bool:
        resource = [announcement_resource(found)]
        if found.state in _SHOWN and self._can_see(actor, "announcement:browse", resource, at):
            return True
        return self._can_see(actor, "announcement:view", resource, at)

    def _move_announcement(self, actor: Actor, announcement_id: str, verb: str, reason: str) -> Announcement:
        with self._database.work(actor) as work:
            found = self._announcement_seen(work, actor, announcement_id)
            self._check(actor, ANNOUNCEMENT.permission(verb), announcement_resource(found), work.now())
            move = ANNOUNCEMENT.next(found.state, verb, found.id)
            check_reason(reason)
            if verb == "publish":
                found = _published(work, found)
            fresh = work.save(ANNOUNCEMENTS, replace(found, state=move.target, reason=reason))
            content = f"announcement {found.content.title}: {verb}"
            work.emit(ANNOUNCEMENT.permission(verb), found.id, content, data=_data(fresh), approver=actor.id)
        return fresh


def _published(work: Work, found: Announcement) -> Announcement:
    if found.content.mode is not Mode.COMPREHENSIVE and found.state is AnnouncementState.DRAFT:
        raise Invalid(
            f"the provider of announcement {found.id} has not agreed to it", rule="W25 art. 19",
            accepted="the provider's agreement first",
        )  # fmt: skip
    if found.closes_at <= work.now():
        raise Invalid(
            f"the window of announcement {found.id} is over", rule="J23 art. 10(1)", accepted="a window to come"
        )
    return replace(found, published_at=work.now())


def _data(found: Announcement) -> dict[str, object]:
    return {
        "announcement": found.id, "state": found.state.value, "mode": found.content.mode.value,
        "opens": found.content.opens.isoformat(), "closes": found.content.closes.isoformat(),
    }  # fmt: skip
