"""One walked city, its portal and one Chromium, ended with their module: Playwright holds an event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

import pytest
from playwright.sync_api import Browser, sync_playwright

from shuzha.server.portal_app import make_app
from tests.browser.kit import Visit, launch, serving, visiting
from tests.portal_kit import PortalCity
from tests.ports_kit import free_port


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> PortalCity:
    return PortalCity(tmp_path_factory.mktemp("city"), free_port()).walk()


@pytest.fixture(scope="module")
def base(city: PortalCity) -> Iterator[str]:
    with serving(make_app(city.platform), city.port):
        yield city.platform.settings.portal_url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = launch(playwright)
        yield found
        found.close()


@pytest.fixture
def visit(browser: Browser, base: str) -> Callable[..., AbstractContextManager[Visit]]:
    return partial(visiting, browser, base)
