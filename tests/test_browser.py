"""The phone of the end-to-end tests: its size, its language, its walls."""

import http.server
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Error, Page

_PAGE = """<!doctype html><meta charset=utf-8><title>店</title><p id=a>静</p>
<script>document.getElementById('a').textContent =
  [navigator.language, innerWidth, matchMedia('(prefers-color-scheme: dark)').matches].join(' ')</script>"""

pytestmark = pytest.mark.browser


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        if self.path == "/strict":
            self.send_header("Content-Security-Policy", "default-src 'none'")
        self.end_headers()
        self.wfile.write(_PAGE.encode())

    def log_message(self, *arguments):
        """Stay silent: the test reads the page."""


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def _text(page: Page) -> str:
    return page.inner_text("#a")


def test_it_is_a_phone_in_china(phone_page, shop):
    light, dark = phone_page(), phone_page(dark=True)
    light.goto(shop)
    dark.goto(shop)
    assert _text(light).split()[::2] == ["zh-CN", "false"]
    assert _text(dark).split()[::2] == ["zh-CN", "true"]
    assert light.viewport_size == {"width": 390, "height": 844}


def test_javascript_can_be_off(phone_page, shop):
    page = phone_page(javascript=False)
    page.goto(shop)
    assert _text(page) == "静"


def test_nothing_outside_answers(phone_page):
    with pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
        phone_page().goto("http://shop.example/")


def test_a_page_that_breaks_its_policy_is_noticed(phone_page, shop):
    page = phone_page()
    page.goto(shop + "strict")
    assert _text(page) == "静"
    assert any("Content Security Policy" in trouble for trouble in phone_page.troubles)
    phone_page.troubles.clear()
