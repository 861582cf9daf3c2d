"""Images beside a refund: who may show them and see them, what is taken, and what they are called when given out."""

import base64

import pytest
from sqlalchemy import func, select

from server.payments.refunds.model import Refund, RefundImage
from tests.server.refunding import ask, post, read, shop_with_refunds
from tests.server.shopping import Document
from tests.world import ANNA, BEN

JPEG, PNG = b"\xff\xd8\xff\xe0 a photograph", b"\x89PNG\r\n\x1a\n a screenshot"
WEBP = b"RIFF\x10\x00\x00\x00WEBPVP8 a picture"
LIMIT = 2 * 1024 * 1024


@pytest.fixture
def site(tmp_path):
    with shop_with_refunds(tmp_path) as built:
        built.world.stock("STEAM-50", 4)
        yield built


def photos(*contents):
    """The files of a form, by names and types that say nothing true."""
    return [("photo", (f"../{n}.html", content, "text/html")) for n, content in enumerate(contents)]


def send(site, bought, *contents, buyer=ANNA):
    """The buyer asks for money back for the first key, with photographs."""
    form = {"key": "1", "reason": "defective", "wish": "money", "text": ""}
    about = {"buyer": buyer, "headers": {"accept": "text/html"}}
    checked = site.post(f"/o/{bought.order.code}/refund/check", data=form, **about)
    sent = Document(checked.text).form(f"/o/{bought.order.code}/refund")
    sent.pop("photo")
    return site.post(f"/o/{bought.order.code}/refund", data=sent, files=photos(*contents), **about)


def count(site, table):
    with site.world.ctx.db.read() as tx:
        return tx.scalar(select(func.count()).select_from(table))


def show(site, refund_id, content, by="chen"):
    return site.post(f"/api/refunds/{refund_id}/images", by=by, content=content)


def test_what_a_buyer_photographed_is_seen_by_buyer_supplier_and_staff_alone(site):
    bought = site.world.buy(ANNA, "STEAM-50")
    address = f"/o/{bought.order.code}/refunds"
    assert send(site, bought, JPEG, b"", PNG, WEBP).headers["location"] == address
    page = Document(site.get(address, buyer=ANNA, headers={"accept": "text/html"}).text)
    shown = [one["src"] for one in page.all("img") if "/refunds/" in one["src"]]
    assert len(shown) == 3
    for src, (content, kind) in zip(shown, ((JPEG, "jpeg"), (PNG, "png"), (WEBP, "webp")), strict=True):
        given = site.get(src, buyer=ANNA)
        assert (given.status_code, given.content) == (200, content)
        assert given.headers["content-type"] == f"image/{kind}"
        assert given.headers["content-disposition"] == f'inline; filename="{src.rpartition("/")[2]}.{kind}"'
        assert (given.headers["x-content-type-options"], "no-store" in given.headers["cache-control"]) == (
            "nosniff",
            True,
        )
        for other in ({"buyer": BEN}, {}, {"by": "chen"}):
            assert site.get(src, **other).status_code == 404
    with site.world.ctx.db.read() as tx:
        refund_id = tx.scalars(select(Refund.id)).one()
    [first, *_] = told = read(site, refund_id, by="chen")["images"]
    assert [(one["party"], one["n"]) for one in told] == [("buyer", 1), ("buyer", 2), ("buyer", 3)]
    where = f"/api/refunds/{refund_id}/images/{first['id']}"
    for who in ("chen", "li", "zhou", "wang"):
        got = site.get(where, by=who).json()
        assert (got["media_type"], base64.urlsafe_b64decode(got["content"])) == ("image/jpeg", JPEG)
    assert [site.get(where, by="zhao").status_code, site.get(where).status_code] == [404, 401]
    # An image is asked for beside its own refund and order only.
    beside = site.world.buy(ANNA, "STEAM-50")
    other = ask(site, beside)
    assert site.get(f"/api/refunds/{other}/images/{first['id']}", by="li").status_code == 404
    assert site.get(f"/o/{beside.order.code}/refunds/{first['id']}", buyer=ANNA).status_code == 404


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        ([b"<svg onload=alert(1)>"], "只收 JPEG、PNG 和 WebP 图片"),
        ([JPEG, b"GIF89a"], "只收 JPEG、PNG 和 WebP 图片"),
        ([PNG + bytes(LIMIT)], "每张不能超过 2 MB"),
        ([JPEG] * 4, "最多 3 张"),
    ],
)
def test_what_is_no_image_of_ours_asks_for_nothing_and_is_said_beside_the_field(site, contents, says):
    bought = site.world.buy(ANNA, "STEAM-50")
    answer = send(site, bought, *contents)
    told = Document(answer.text)
    assert (answer.status_code, says in told.text, "#photo" in told.links) == (422, True, True)
    assert told.form(f"/o/{bought.order.code}/refund")["reason"] == "defective", "what was chosen is kept"
    assert (count(site, Refund), count(site, RefundImage)) == (0, 0)
    huge = site.post(
        f"/o/{bought.order.code}/refund", buyer=ANNA, files=photos(*[PNG + bytes(LIMIT)] * 4), data={"key": "1"}
    )
    assert (huge.status_code, count(site, RefundImage)) == (413, 0)


def test_a_supplier_shows_something_before_it_answers_and_the_buyer_sees_it(site):
    bought = site.world.buy(ANNA, "STEAM-50")
    refund_id = ask(site, bought)
    assert [show(site, refund_id, PNG, by=who).status_code for who in ("zhao", "li")] == [404, 403]
    assert show(site, refund_id, PNG + bytes(LIMIT)).json()["code"] == "unusable_image"
    assert show(site, refund_id, bytes(LIMIT + 2**17)).status_code == 413
    assert show(site, refund_id, b"%PDF-1.7").status_code == 422
    before = read(site, refund_id)["version"]
    for n in (1, 2, 3):
        told = show(site, refund_id, PNG).json()
        assert (told["version"], [one["n"] for one in told["images"]]) == (before + n, list(range(1, n + 1)))
    assert (show(site, refund_id, PNG).status_code, count(site, RefundImage)) == (422, 3)
    post(site, refund_id, "answer", "chen", answer="refuse", evidence="后台截图见附图")
    assert show(site, refund_id, PNG).json()["code"] == "not_their_turn"
    page = Document(site.get(f"/o/{bought.order.code}/refunds", buyer=ANNA, headers={"accept": "text/html"}).text)
    seen = [one["alt"] for one in page.all("img") if "/refunds/" in one["src"]]
    assert seen == [f"供应商的第 {n} 张图片" for n in (1, 2, 3)]
