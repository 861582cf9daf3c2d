"""The distribution's own Chromium, held like a phone, for the end-to-end tests.

Fixtures: ``browser`` (one per test module) and ``phone_page(javascript=..., dark=...)``. The browser reaches this
machine only. A page that raises a script error or breaks its own content security policy fails its test.

The browser belongs to a module, not to the run: Playwright's loop counts as running in its thread for as long as it
is open, and ``asyncio.run`` in a later test would be refused.
"""

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.absence import absent

if TYPE_CHECKING:  # imported when a browser is really wanted
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

SIZE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
PHONE = (
    "Mozilla/5.0 (Linux; Android 14; V2301A) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 "
    "Mobile Safari/537.36"
)
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# The last list of them counts: Playwright's own, which keep a browser quiet; and the address bar's pages, which no test
# looks at, and which cost a third of all that Chromium does.
_WITHOUT = (
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxPopup",
)
ARGUMENTS = (
    "--disable-gpu",
    f"--disable-features={','.join(_WITHOUT)}",
    "--disable-dev-shm-usage",  # containers give /dev/shm 64 MB
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--no-first-run",
    "--no-default-browser-check",
    # Nothing outside answers: a page that needs a third party is broken here, as it should be.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Start Chromium without a screen. Skips without one, fails in CI."""
    path = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if path is None:
        absent("Chromium is not installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    # Chromium's sandbox cannot be made by root; as anyone else it stays on.
    sandbox = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, *sandbox])
        yield chromium
        chromium.close()


class Phones:
    """Opens pages as a phone of 390 x 844 shows them, in Chinese, in Shanghai's time.

    ``troubles`` collects script errors and broken policies of all its pages; refused requests are the test's own
    business. A test that provokes a trouble on purpose takes it out of the list.
    """

    def __init__(self, browser: "Browser") -> None:
        self.troubles: list[str] = []
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    def __call__(
        self, *, javascript: bool = True, dark: bool = False, computer: bool = False, agent: str | None = None
    ) -> "Page":
        """Return the empty page of a new visitor, who has no cookies: on a phone, whose browser may be an app's."""
        context = self._browser.new_context(
            viewport=DESK if computer else SIZE,
            device_scale_factor=1 if computer else 2,
            is_mobile=not computer,
            has_touch=not computer,
            user_agent=None if computer else agent or PHONE,
            java_script_enabled=javascript,
            color_scheme="dark" if dark else "light",
            locale="zh-CN",
            timezone_id="Asia/Shanghai",
        )
        self._contexts.append(context)
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.on("pageerror", lambda error: self.troubles.append(f"script error on {page.url}: {error}"))
        page.on("console", self._hear)
        return page

    def _hear(self, message: "ConsoleMessage") -> None:
        if "Content Security Policy" in message.text:
            self.troubles.append(message.text)

    def close(self) -> None:
        """Let all visitors leave."""
        for context in self._contexts:
            context.close()


@pytest.fixture
def phone_page(browser: "Browser") -> Iterator[Phones]:
    """Return ``phone_page(javascript=True, dark=False) -> Page``; after the test no page may be in trouble."""
    phones = Phones(browser)
    yield phones
    phones.close()
    assert phones.troubles == []
