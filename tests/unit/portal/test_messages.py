"""Nothing a person can read is left in English on a Chinese page, and no page asks another host for anything."""

from __future__ import annotations

import re
from gettext import NullTranslations
from pathlib import Path

import pytest

from shuzha.portal.i18n import catalogue
from shuzha.portal.messages import message_ids, untranslated
from tests.portal_kit import PortalCity
from tests.portal_pages import PUBLIC, pages_of

PORTAL = Path(__file__).parents[3] / "shuzha" / "portal"


class Missed(NullTranslations):
    """Stands behind a catalogue and remembers what the catalogue did not have."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: set[str] = set()

    def gettext(self, message: str) -> str:
        self.messages.add(message)
        return message

    ugettext = gettext


@pytest.fixture
def missed():  # type: ignore[no-untyped-def]
    known, found = catalogue("zh_Hans"), Missed()
    known.add_fallback(found)
    yield found
    known._fallback = None


def test_the_chinese_catalogue_has_every_message_of_the_portal() -> None:
    assert len(message_ids()) > 500
    assert untranslated("zh_Hans") == ()


def test_no_page_asks_for_a_message_that_the_catalogue_lacks(
    sign_in, visitor, city: PortalCity, missed: Missed
) -> None:
    visitor.cookies.set("shuzha_language", "zh_Hans")
    for path in PUBLIC:
        visitor.get(path)
    for login, paths in pages_of(city).items():
        client = sign_in(login, "zh_Hans")
        for path in paths:
            client.get(path)
    # Messages of the audit log are the events' own words; organisations' and products' names are not messages.
    assert missed.messages == set()


@pytest.mark.parametrize("kind", ["templates/*.html", "static/*.css", "static/*.svg"])
def test_no_file_of_the_portal_names_another_host(kind: str) -> None:
    named = {
        file.name: found
        for file in sorted(PORTAL.glob(kind))
        if (
            found := re.findall(
                r"(?:src|href|action|url)\s*[=(]\s*[\"']?(?:https?:)?//[^\"')\s]+", file.read_text("utf-8")
            )
        )
    }
    assert named == {}


def test_the_policy_of_a_page_lets_it_load_from_its_own_host_only(visitor) -> None:
    policy = visitor.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
