"""Rights: nothing is allowed that does not say so, scopes are absolute, and every denial is logged."""

import json
import logging
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from server import app as wiring
from server.catalog.model import Category, Product
from server.policy import (
    ANYBODY,
    BUYER,
    PUBLIC,
    SYSTEM,
    Actor,
    DeviceCookie,
    GuardedRoute,
    Kind,
    Marker,
    Router,
    visible,
)
from server.stock.model import StockLot
from shared import clock
from shared.permissions import ROLE_PERMISSIONS, Permission, Role
from tests.world import ANNA


def test_a_route_that_does_not_say_who_is_allowed_fails_where_it_is_written():
    for make in (Router().get, Router().post, Router().put, Router().delete):
        with pytest.raises(TypeError, match="allow"):
            make("/x")
        for allow in (None, "public", True, Role.ADMIN):
            with pytest.raises(TypeError, match="must say who is allowed"):
                make("/x", allow=allow)
        assert make("/x", allow=PUBLIC)


def test_an_unguarded_route_cannot_be_added_to_the_app():
    router = Router("/x")
    router.routes.append(APIRoute("/open", lambda: None))
    with pytest.raises(TypeError, match="does not say who is allowed"):
        wiring.include(FastAPI(), [router])


def test_every_route_of_the_app_is_guarded_and_states_permission_or_marker(site):
    routes = site.app.routes
    assert len(routes) > 35
    assert {type(route) for route in routes} == {GuardedRoute}
    assert all(isinstance(route.allow, (Permission, Marker)) for route in routes)


def staff(role: Role, supplier_id: UUID | None = None) -> Actor:
    return Actor(Kind.STAFF, id=UUID(int=1), role=role, supplier_id=supplier_id)


def test_visible_narrows_suppliers_and_denies_whatever_is_not_declared(site):
    xinghe, beichen = site.world.suppliers["xinghe"], site.world.suppliers["beichen"]

    def codes(who: Actor) -> set[str]:
        with site.world.ctx.db.read() as tx:
            return {product.code for product in tx.scalars(visible(who, Product))}

    everything = {"steam", "music", "office"}
    assert codes(SYSTEM) == everything
    for role in (Role.ADMIN, Role.OPERATOR, Role.FINANCE):
        assert codes(staff(role)) == everything
    assert codes(staff(Role.SUPPLIER, xinghe)) == {"steam", "music"}
    assert codes(staff(Role.SUPPLIER, beichen)) == {"office"}
    for nobody in (staff(Role.SUPPLIER, None), ANYBODY, Actor(Kind.BUYER, id=xinghe), Actor(Kind.CHANNEL)):
        assert codes(nobody) == set()
    with site.world.ctx.db.read() as tx:
        # No scope is declared for categories: a supplier's select of the table itself finds nothing.
        assert tx.scalars(visible(staff(Role.SUPPLIER, xinghe), Category)).all() == []
        assert len(tx.scalars(visible(staff(Role.OPERATOR), Category)).all()) == 3


def test_an_actor_has_the_rights_of_its_role_only_as_staff():
    for role in Role:
        who = staff(role, UUID(int=2) if role is Role.SUPPLIER else None)
        assert set(who.permissions) == ROLE_PERMISSIONS[role]
        assert all(who.may(one) == (one in ROLE_PERMISSIONS[role]) for one in Permission)
    for other in (ANYBODY, SYSTEM, Actor(Kind.BUYER, id=ANNA, role=Role.ADMIN)):
        assert other.permissions == []
        assert not any(other.may(one) for one in Permission)


def test_the_guard_comes_before_the_body_and_before_the_parameters(site):
    bad = {"content": b"{not json", "headers": {"content-type": "application/json"}}
    assert site.post("/api/products", **bad).status_code == 401
    assert site.post("/api/products", by="zhou", **bad).status_code == 403
    assert site.post("/api/products", by="li", **bad).status_code == 400
    assert site.get("/api/products/not-an-id").status_code == 401
    assert site.get("/api/products/not-an-id", by="li").status_code == 422


def test_outside_the_scope_a_row_does_not_exist_and_inside_the_right_decides(site):
    product = site.world.skus["STEAM-50"].product_id
    body = {"to": "off_shelf", "version": 2}
    for path in (f"/api/products/{product}", "/api/stock/STEAM-50/lots", "/api/stock/STEAM-50/units/window"):
        assert site.get(path, by="chen").status_code == 200
        foreign, missing = site.get(path, by="zhao"), site.get(path.replace("STEAM-50", "NONE"), by="zhao")
        assert foreign.status_code == 404
        assert foreign.json()["code"] in {"not_found", "unknown_sku"}
        if "STEAM" in path:
            said = [answer.text.replace(answer.json()["request_id"], "") for answer in (foreign, missing)]
            assert said[0].replace("STEAM-50", "NONE") == said[1]
    assert site.post(f"/api/products/{product}/state", by="chen", json=body).status_code == 403
    with site.world.ctx.db.read() as tx:
        assert tx.get(Product, product).state == "published"


def test_a_denial_is_logged_with_who_and_where_and_without_what(site, caplog):
    caplog.set_level(logging.INFO, logger="kameng")
    site.post("/api/users", by="li", json={"login": "eve", "password": "very-secret-words"})
    [denied] = [record for record in caplog.records if record.getMessage() == "denied"]
    assert denied.levelname == "WARNING"
    assert denied.actor == f"staff:{site.world.users['li']}"
    assert (denied.route, denied.reason) == ("/api/users", "not_allowed")
    assert "very-secret-words" not in json.dumps([str(vars(record)) for record in caplog.records])
    figures = site.get("/metrics").text
    assert 'kameng_denied_total{reason="not_allowed"} 1.0' in figures


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic abc", "Bearer wrong", "Bearer " + "x" * 500, "bearer \x7f"]
)
def test_a_token_that_is_none_is_401_with_a_challenge(site, header):
    answer = site.get("/api/session", headers={"authorization": header})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


# --- the buyer's device cookie ---


def test_a_public_page_makes_no_cookie_and_a_buyers_page_makes_one_once(site):
    assert "set-cookie" not in site.get("/").headers
    first = site.get("/review?sku=STEAM-50")
    made = first.headers["set-cookie"]
    assert made.startswith("device=")
    assert all(part in made for part in ("; Path=/", "; HttpOnly", "; SameSite=Lax", f"; Max-Age={400 * 86_400}"))
    assert "Secure" not in made
    assert first.headers["cache-control"] == "no-store"
    again = site.get("/review?sku=STEAM-50", headers={"cookie": made.split(";")[0]})
    assert "set-cookie" not in again.headers


def test_on_https_the_cookie_is_bound_to_the_host(site):
    ctx = site.world.ctx
    https = replace(ctx.settings, base_url="https://shop.kami.cn")
    header = DeviceCookie(ANNA, clock.now()).header(ctx.keys, https)
    assert header.startswith("__Host-device=")
    assert "; Secure" in header
    assert "Domain" not in header


def test_only_our_own_unaltered_and_living_cookie_is_a_buyer(site):
    ctx, now = site.world.ctx, clock.now()
    value = DeviceCookie(ANNA, now).sealed(ctx.keys)
    device, issued, mac = value.split(".")
    assert DeviceCookie.opened(value, ctx.keys) == DeviceCookie(ANNA, now.replace(microsecond=0))
    forged = [
        f"{UUID(int=7).hex}.{issued}.{mac}",
        f"{device}.{int(issued) + 1}.{mac}",
        f"{device}.{issued}.{mac[:-1]}{'0' if mac[-1] != '0' else '1'}",
        f"{device}.{issued}.",
        f"{device}.{issued}",
        f"{device}.{issued}.卡",
        "",
        "....",
    ]
    assert [DeviceCookie.opened(one, ctx.keys) for one in forged] == [None] * len(forged)
    with clock.fixed(now + timedelta(days=401)):
        assert DeviceCookie.opened(value, ctx.keys) is None


def test_a_cookie_is_renewed_monthly_for_the_same_device(site):
    cookie = site.cookie(ANNA)
    with clock.fixed(clock.now() + timedelta(days=31)):
        renewed = site.get("/review?sku=STEAM-50", headers={"cookie": cookie}).headers["set-cookie"]
        opened = DeviceCookie.opened(renewed.split(";")[0].partition("=")[2], site.world.ctx.keys)
        assert opened is not None
        assert opened.buyer_id == ANNA
        assert "set-cookie" not in site.get("/", headers={"cookie": cookie}).headers


# --- operations ---


def test_figures_are_for_this_machine_or_for_who_knows_the_token(site):
    assert site.get("/metrics").status_code == 200
    assert site.get("/metrics", headers={"x-forwarded-for": "203.0.113.9"}).status_code == 401
    ctx = site.world.ctx
    guarded = replace(ctx, settings=replace(ctx.settings, metrics_token="metrics-token-0123456789"))
    site.app = wiring.build(guarded.settings, ctx=guarded)
    assert site.get("/metrics").status_code == 401
    for token, status in (("wrong", 401), ("metrics-token-0123456789", 200)):
        assert site.get("/metrics", headers={"authorization": f"Bearer {token}"}).status_code == status


def test_markers_and_lots_are_declared():
    assert BUYER is Marker.BUYER
    assert StockLot.__scope__ == {Role.SUPPLIER: "supplier_id"}
