"""No link of a page leads a person to nothing."""

from __future__ import annotations

import re

import pytest

from tests.portal_kit import PortalCity
from tests.portal_pages import pages_of
from tests.unit.portal.test_pages import LOGINS


@pytest.mark.parametrize("login", LOGINS)
def test_every_link_of_a_persons_pages_opens(sign_in, city: PortalCity, login: str) -> None:
    client = sign_in(login)
    known: dict[str, int] = {}
    dead = []
    for path in pages_of(city)[login]:
        for href in set(re.findall(r'href="(/[^"#]*)"', client.get(path).text)) - {"/static/icon.svg"}:
            href = href.replace("&amp;", "&")
            if href not in known and not href.startswith("/static"):
                known[href] = client.get(href).status_code
            if known.get(href, 200) >= 400:
                dead.append((path, href, known[href]))
    assert dead == []
