"""The rules both sides share, exactly: money that sums, codes that survive people, tables without a way out."""

import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import partial
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import clock, errors, ids, labels, states
from shared.contracts.catalog import NewCategory
from shared.contracts.orders import PlaceOrder
from shared.contracts.stock import FileFigures
from shared.errors import NotAllowed
from shared.money import (
    MAX_FEN,
    PPM,
    format_fen,
    format_unit_price,
    format_yuan,
    least_quantity,
    line_amount,
    parse_fen,
    parse_unit_price,
    split,
)
from shared.permissions import LABELS, ROLE_PERMISSIONS, Permission, Role, allows
from shared.pricing import MAX_QUANTITY, NOTHING, Deal, Share, quote_line
from shared.states import AttemptState, OrderState, ProductState, UnitState

FEN = st.integers(0, MAX_FEN)
WEIGHTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=6).filter(any)


# --- money ---


@given(st.integers(-MAX_FEN, MAX_FEN), WEIGHTS)
def test_parts_of_a_split_sum_to_the_whole_and_are_off_by_less_than_one_fen(total, weights):
    parts = split(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * sum(weights) - total * weight) < sum(weights)
        assert part * total >= 0
        assert weight > 0 or part == 0


@given(FEN, WEIGHTS)
def test_a_split_of_a_refund_mirrors_the_split_of_the_payment(total, weights):
    assert split(-total, weights) == [-part for part in split(total, weights)]


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (1, [1, 1], [1, 0]),  # a tie goes to the earlier part: the supplier
        (100, [1, 1, 1], [34, 33, 33]),
        (5, [PPM - 50_000, 50_000], [5, 0]),
        (10, [PPM - 50_000, 50_000], [10, 0]),
        (11, [PPM - 50_000, 50_000], [10, 1]),
        (0, [0, 0], [0, 0]),
        (7, [0, 1], [0, 7]),
        (-100, [1, 1, 1], [-34, -33, -33]),
    ],
)
def test_splits_that_were_worked_out_by_hand(total, weights, parts):
    assert split(total, weights) == parts


@pytest.mark.parametrize("weights", [[0], [], [-1, 2]])
def test_nothing_can_be_shared_among_nobody(weights):
    with pytest.raises(ValueError, match="weights"):
        split(1, weights)


@pytest.mark.parametrize(
    ("price", "quantity", "fen"),
    [(350, 1, 4), (350, 10, 35), (349, 1, 3), (50, 1, 1), (49, 1, 0), (49, 2, 1), (450_000, 3, 13_500), (1, 0, 0)],
)
def test_a_line_is_rounded_once_half_up(price, quantity, fen):
    assert line_amount(price, quantity) == fen


@given(st.integers(1, 10**6))
def test_the_least_quantity_is_the_first_that_costs_anything(price):
    least = least_quantity(price)
    assert line_amount(price, least) > 0 == line_amount(price, least - 1)


@given(st.integers(0, 10**9), st.integers(1, MAX_QUANTITY), st.integers(0, PPM))
def test_a_quote_is_its_line_and_its_parts_are_its_amount(price, quantity, fee_ppm):
    quote = quote_line(unit_price=price, quantity=quantity, fee=Share.percent(fee_ppm))
    assert quote.amount == line_amount(price, quantity) == quote.supplier + quote.fee
    assert min(quote.supplier, quote.fee) >= 0
    assert abs(quote.fee * PPM - quote.amount * fee_ppm) <= PPM // 2


SHARES = st.integers(0, PPM // 2).map(Share.percent) | st.integers(0, 10**10).map(Share.fixed)
DEALS = st.builds(Deal, discount=SHARES, commission=SHARES, distributor_id=st.uuids())


@given(price=st.integers(0, 10**9), quantity=st.integers(1, MAX_QUANTITY), fee=SHARES, deal=DEALS)
def test_what_the_buyer_pays_and_the_shop_adds_is_what_all_get(price, quantity, fee, deal):
    quote = quote_line(unit_price=price, quantity=quantity, fee=fee, deal=deal)
    parts = (quote.supplier, quote.commission, quote.fee)
    assert min(quote.amount, quote.discount, *parts) >= 0
    assert quote.amount + quote.discount == line_amount(price, quantity) == sum(parts)
    without = quote_line(unit_price=price, quantity=quantity, fee=fee, deal=replace(deal, discount=NOTHING))
    assert (without.supplier, without.commission, without.fee) == parts  # whom the discount does not concern


@pytest.mark.parametrize(
    ("fee", "deal", "parts"),
    [
        (Share.percent(50_000), Deal(), (9_000, 0, 8_550, 0, 450)),
        (Share.percent(50_000), Deal(Share.percent(100_000)), (8_100, 900, 8_550, 0, 450)),
        (Share.fixed(3_000), Deal(Share.fixed(10_000)), (8_800, 200, 8_940, 0, 60)),
        (Share.percent(50_000), Deal(NOTHING, Share.percent(100_000), UUID(int=1)), (9_000, 0, 7_650, 900, 450)),
        (Share.fixed(440_000), Deal(NOTHING, Share.fixed(20_000), UUID(int=1)), (9_000, 0, 0, 200, 8_800)),
        (Share.fixed(450_001), Deal(NOTHING, Share.fixed(20_000), UUID(int=1)), (9_000, 0, 0, 0, 9_000)),
    ],
    ids=["plain", "discount", "fixed", "commission", "fixed-ends-where-the-line-does", "the-platform-first"],
)
def test_who_gets_what_of_two_pieces_at_45_yuan(fee, deal, parts):
    quote = quote_line(unit_price=450_000, quantity=2, fee=fee, deal=deal)
    assert (quote.amount, quote.discount, quote.supplier, quote.commission, quote.fee) == parts


@pytest.mark.parametrize("quantity", [0, MAX_QUANTITY + 1])
def test_a_quote_outside_its_limits_is_refused(quantity):
    with pytest.raises(ValueError, match="must be"):
        quote_line(unit_price=100, quantity=quantity, fee=NOTHING)


def test_shares_outside_their_limits_are_refused():
    for wrong in (partial(Share.percent, -1), partial(Share.percent, PPM + 1), partial(Share.fixed, -1)):
        with pytest.raises(ValueError, match="must be"):
            wrong()
    with pytest.raises(ValueError, match="needs a distributor"):
        Deal(commission=Share.percent(1))
    deal = Deal(commission=Share.percent(500_001), distributor_id=UUID(int=1))
    with pytest.raises(ValueError, match="together"):
        quote_line(unit_price=100, quantity=1, fee=Share.percent(500_000), deal=deal)


@given(st.integers(0, 10**13 - 1))
def test_money_is_read_back_as_it_is_shown(amount):
    assert parse_fen(format_fen(amount)) == amount
    assert parse_unit_price(format_unit_price(amount)) == amount


@pytest.mark.parametrize(
    ("text", "fen"),
    [("9.90", 990), ("¥ 9.9".replace(" ", ""), 990), ("12,345.67", 1_234_567), ("0", 0), ("7", 700), ("1.500", 150)],
)
def test_amounts_as_people_type_them(text, fen):
    assert parse_fen(text) == fen


@pytest.mark.parametrize("text", ["", "9.", ".5", "-1", "1e3", "1.005", "9.9.9", "NaN", "1" * 12])
def test_what_is_no_amount_is_refused_with_a_reason(text):
    with pytest.raises(ValueError, match=r"金额|小数"):
        parse_fen(text)


@pytest.mark.parametrize(
    ("price", "text"), [(350, "0.035"), (99_000, "9.90"), (1, "0.0001"), (10_000, "1.00"), (12_345, "1.2345")]
)
def test_a_price_shows_two_digits_or_as_many_as_it_needs(price, text):
    assert format_unit_price(price) == text


def test_a_negative_amount_keeps_its_sign_and_its_fen():
    assert [format_fen(amount) for amount in (-1, -100, -123_456_789)] == ["-0.01", "-1.00", "-1,234,567.89"]
    assert [format_yuan(amount) for amount in (-7, 0, 123_456_789)] == ["-¥0.07", "¥0.00", "¥1,234,567.89"]


# --- ids ---


def test_every_single_error_and_every_swap_of_neighbours_in_a_code_is_found():
    for _ in range(3):
        code = ids.new_order_code()
        assert ids.parse_order_code(code) == code
        for at, right in enumerate(code):
            wrong = [code[:at] + other + code[at + 1 :] for other in ids.ALPHABET if other != right]
            assert {ids.parse_order_code(one) for one in wrong} == {None}
            assert ids.parse_order_code(code[:at] + code[at + 1 :]) is None
            assert ids.parse_order_code(code[:at] + right + code[at:]) is None
            if at and code[at - 1] != right:
                assert ids.parse_order_code(code[: at - 1] + right + code[at - 1] + code[at + 1 :]) is None


def test_a_code_is_understood_as_people_write_it():
    code = next(code for code in iter(ids.new_order_code, None) if "0" in code and "1" in code)
    spoken = ids.speak_order_code(code)
    assert [len(group) for group in spoken.split("-")] == [4, 4, 4]
    for typed in (spoken, code.lower(), spoken.replace("-", " "), f"\u3000{code}\t"):
        assert ids.parse_order_code(typed) == code
    for letter in "Oo":
        assert ids.parse_order_code(code.replace("0", letter)) == code
    for letter in "IiLl":
        assert ids.parse_order_code(code.replace("1", letter)) == code


@pytest.mark.parametrize("text", ["", "U" * 12, "７K3M9QX2H4TD", "7K3M9QX2H4T\u0000", "٠" * 12, "ß" * 6, "A" * 13])
def test_what_is_no_code_is_none(text):
    assert ids.parse_order_code(text) is None


def test_a_distributor_is_called_by_what_is_random_of_its_id():
    assert ids.speak_distributor(UUID("01a20842-e11d-735c-93ee-db4f09ab12cd")) == "D-4F09A-B12CD"


def test_codes_use_all_their_letters_and_do_not_repeat():
    codes = [ids.new_order_code() for _ in range(2_000)]
    assert len(set(codes)) == len(codes)
    assert {letter for code in codes for letter in code} == set(ids.ALPHABET)


def test_ids_rise_within_a_process_and_say_version_7():
    made: list[list[UUID]] = [[] for _ in range(4)]

    def make(mine):
        mine.extend(ids.new_id() for _ in range(5_000))  # more than a millisecond's counter has room for

    threads = [threading.Thread(target=make, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one < other for mine in made for one, other in pairwise(mine))
    everything = [one for mine in made for one in mine]
    assert len(set(everything)) == 20_000
    assert {(one.version, one.variant) for one in everything} == {(7, "specified in RFC 4122")}


def test_tokens_have_the_entropy_they_promise():
    assert len(ids.new_token()) == 22
    assert len(ids.new_session_token()) == 43
    assert len({ids.new_token() for _ in range(1_000)}) == 1_000


# --- clock ---


def test_a_business_day_is_a_day_in_the_shop():
    start, end = clock.day_bounds(date(2025, 3, 1))
    assert (start, end) == (datetime(2025, 2, 28, 16, tzinfo=UTC), datetime(2025, 3, 1, 16, tzinfo=UTC))
    assert clock.shop_day(start) == date(2025, 3, 1)
    assert clock.shop_day(end) == date(2025, 3, 2)


def test_a_held_clock_is_let_go_also_when_the_body_fails():
    instant = datetime(2025, 1, 1, tzinfo=UTC)

    def fail():
        with clock.fixed(instant):
            assert clock.now() == instant
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert clock.now() > instant


# --- states ---


@pytest.mark.parametrize("machine", states.MACHINES, ids=lambda machine: machine.__name__)
def test_a_machine_has_a_row_for_each_state_and_leads_only_to_its_own(machine):
    table = states.MACHINES[machine]
    assert list(table) == [*dict.fromkeys(table)]
    assert set(table) == set(machine)
    for state, targets in table.items():
        assert {type(target) for target in targets} <= {machine}
        assert state not in targets
        for to in machine:
            assert states.may_move(state, to) == (to in targets)
            if to in targets:
                states.require_move(state, to)
                assert state in states.sources_of(to)
            else:
                with pytest.raises(errors.IllegalMove) as refused:
                    states.require_move(state, to)
                assert refused.value.params["state"] == str(state.value)


def test_what_is_final_stays_and_money_that_came_is_never_unsaid():
    assert {state for state, targets in states.UNIT.items() if not targets} == {UnitState.VOID}
    assert {state for state, targets in states.ATTEMPT.items() if not targets} == {AttemptState.PAID}
    assert {state for state, targets in states.ORDER.items() if not targets} == {OrderState.REFUNDED}
    paid = {OrderState.PAID, OrderState.DELIVERED, OrderState.COMPLETED, OrderState.DELIVERY_FAILED}
    unpaid = {OrderState.PENDING_PAYMENT, OrderState.EXPIRED, OrderState.CANCELLED}
    assert not any(states.may_move(one, other) for one in paid for other in unpaid)
    # Late money: each unpaid end may still be paid for.
    assert all(states.may_move(ended, OrderState.DELIVERED) for ended in unpaid)


def test_every_state_that_people_see_has_two_words():
    shown = (UnitState, states.LotState, OrderState, AttemptState, ProductState, states.ImportState)
    refunds = (states.RefundState, states.RefundStep, states.RefundTrouble, states.RefundTurn, states.RefundReason)
    money = (*refunds, states.RefundCause, states.RefundPolicy, states.ExceptionState, states.ExceptionAction)
    for machine in (*shown, *money, states.ExceptionKind, states.FoundBy, states.BillTrouble):
        assert labels.LABELS[machine].keys() == set(machine)
        assert {type(state) for state in labels.LABELS[machine]} == {machine}
        for state in machine:
            assert labels.label(state) != labels.label(state, "en") != str(state)
    alike = (states.LotState.OPEN, states.ExceptionState.OPEN)
    assert alike[0] == alike[1], "members that are written alike are equal, and have each its own word"
    assert [labels.label(state) for state in alike] == ["在售", "待处理"]
    assert labels.label(states.RefundTrouble.REFUSED) == "支付渠道拒绝了退款。"


def test_states_fit_their_columns():
    lengths = [len(state) for machine in states.MACHINES if issubclass(machine, StrEnum) for state in machine]
    assert max(lengths) <= 24


# --- permissions ---


def test_roles_have_the_rights_that_were_decided():
    assert frozenset(Permission) - ROLE_PERMISSIONS[Role.ADMIN] == {Permission.PAYMENTS_REFUND_ANSWER}
    cards = {one for one in Permission if one.startswith("stock:")}
    assert ROLE_PERMISSIONS[Role.FINANCE] & cards == {Permission.STOCK_LOT_READ}
    assert [role for role in Role if allows(role, Permission.STOCK_IMPORT_CREATE)] == [Role.ADMIN, Role.SUPPLIER]
    assert [role for role in Role if allows(role, Permission.REPORTS_DAY_EXPORT)] == [Role.ADMIN, Role.FINANCE]
    assert [role for role in Role if allows(role, Permission.CATALOG_PRODUCT_PUBLISH)] == [Role.ADMIN, Role.OPERATOR]
    assert [role for role in Role if allows(role, Permission.IDENTITY_USER_EDIT)] == [Role.ADMIN]


def test_every_permission_has_words_and_a_refusal_says_them():
    assert list(LABELS) == list(Permission)
    refused = NotAllowed(permission=Permission.STOCK_IMPORT_CREATE.value)
    assert refused.sentence("zh") == "您没有权限执行此操作（需要“导入卡密”）。"
    assert refused.sentence("en") == "You are not allowed to do this (needs “import card keys”)."
    assert "“stock:new:thing”" in NotAllowed(permission="stock:new:thing").sentence("zh")
    assert refused.params == {"permission": "stock:import:create"}


def test_permissions_are_area_thing_verb_in_alphabetical_order():
    values = [one.value for one in Permission]
    assert values == sorted(values)
    assert {value.count(":") for value in values} == {2}
    assert [one.name for one in Permission] == [value.replace(":", "_").upper() for value in values]
    assert set(ROLE_PERMISSIONS) == set(Role)


# --- errors and contracts ---


def test_an_error_makes_its_sentence_also_when_a_value_is_missing():
    refused = errors.TooLarge(limit_bytes=7)
    assert refused.sentence() == "内容过大，最多 7 字节。"
    assert refused.sentence("en-GB") == "The content is too large; the limit is 7 bytes."
    assert errors.TooLarge().sentence("en") == "The content is too large; the limit is ? bytes."
    assert errors.error_for("too_large") is errors.TooLarge
    assert errors.error_for("no_such_code") is None


@pytest.mark.parametrize("wrong", [True, "1", 1.0, 1.5, None, 0, -1, MAX_QUANTITY + 1])
def test_a_quantity_is_a_number_and_nothing_that_looks_like_one(wrong):
    body = {"sku": "A", "quantity": 1, "amount_fen": 1, "channel": "sandbox"}
    assert PlaceOrder.model_validate(body).quantity == 1
    with pytest.raises(ValueError, match="quantity"):
        PlaceOrder.model_validate(body | {"quantity": wrong})
    if wrong != MAX_QUANTITY + 1:
        with pytest.raises(ValueError, match="amount_fen"):
            PlaceOrder.model_validate(body | {"amount_fen": wrong})


def test_a_request_has_no_character_that_a_database_cannot_store():
    assert NewCategory(code="a", name=" 游戏 ").name == "游戏"
    with pytest.raises(ValueError, match="name"):
        NewCategory(code="a", name="游\u0000戏")


def test_the_figures_of_a_file_add_up_and_fit_a_database():
    assert FileFigures(read=10, valid=1, duplicates=2, refused=3, skipped=4).read == 10
    with pytest.raises(ValueError, match="read must equal"):
        FileFigures(read=11, valid=1, duplicates=2, refused=3, skipped=4)
    with pytest.raises(ValueError, match="read"):
        FileFigures(read=10**20, valid=0, duplicates=0, refused=10**20, skipped=0)
