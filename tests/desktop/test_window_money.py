"""Exceptions, refunds and channels at the window: two people, two presses, and nothing sent twice."""

from datetime import timedelta

import pytest
from PySide6.QtCore import QBuffer, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QLabel, QPushButton
from sqlalchemy import func, select, update

from desktop.engine.transport import code_of
from desktop.operations import channels, exceptions, refunds
from desktop.operations.once import OutcomeUnknown
from desktop.presenters.orders import Orders
from desktop.views.refunds.pictures import PictureDialog
from server.audit import AuditEvent
from server.gateways.port import PaymentFact
from server.payments.actions import Outcome
from server.payments.attempts import NextAttempt
from server.payments.model import PaymentAttempt, PaymentChannel, PaymentException
from server.payments.refunds import asking, images
from server.payments.refunds.model import Refund
from shared import clock
from shared.errors import KamengError
from shared.ids import speak_order_code
from shared.states import ExceptionAction, ExceptionState, FoundBy, OrderState, RefundReason, RefundState
from tests.desktop.live import Line, at_once
from tests.desktop.window_program import sign_in, texts
from tests.server.channel import Channel
from tests.world import ANNA, BEN, CARA, MERCHANT

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # the offscreen platform says so

WAIT_MS = 30_000


@pytest.fixture
def colleague(console, live_shop):
    """`colleague("zhou")`: another console of the same shop."""

    def sign_in_as(login):
        other = console(login, follow=False)
        other.sign_in(live_shop.url, login)
        return other

    return sign_in_as


def orphan(world, number="S-orphan-1", amount=4_500):
    """Money with a number that is not ours; answers its exception's id."""
    fact = PaymentFact("sandbox", "NOT-OURS-1", number, MERCHANT, amount, "CNY", "paid", clock.now(), None)
    assert world.apply(fact) is Outcome.EXCEPTION
    with world.ctx.db.read() as tx:
        return tx.scalars(select(PaymentException.id).where(PaymentException.provider_no == number)).one()


def asked(world, bought, **wish):
    """The buyer says that a key is bad; answers the refund's id."""
    order = world.order(bought)
    with world.ctx.db.tx() as tx:
        made = asking.Wish(order_id=order.id, reason=RefundReason.DEFECTIVE, text="提示卡密不存在", **wish)
        return asking.ask(tx, world.ctx.keys, made, actor=f"buyer:{order.buyer_id}").id


def stored(world, model, row_id):
    with world.ctx.db.read() as tx:
        return tx.get(model, row_id)


def how_many(world, model):
    with world.ctx.db.read() as tx:
        return tx.scalar(select(func.count()).select_from(model))


def arrived(qtbot, window, place):
    """Go to a screen and wait for its list; the first row is looked into by itself."""
    window.go(place)
    page = window.page
    qtbot.waitUntil(lambda: bool(page.presenter.feed.rows), timeout=WAIT_MS)
    window.activateWindow()  # keys of commands are heard there
    qtbot.waitUntil(window.isActiveWindow, timeout=WAIT_MS)
    page.table.setFocus()
    return page


def done(qtbot, acting):
    """Wait until what was pressed is over, one way or the other."""
    qtbot.waitUntil(lambda: not acting.busy, timeout=WAIT_MS)


def test_money_of_nobody_goes_back_when_two_people_say_so(program, live_shop, world, colleague, qtbot):
    one = orphan(world)
    sign_in(qtbot, program, live_shop.url, "li")
    window, desk = program.window, program.console.desk
    qtbot.waitUntil(lambda: desk.exceptions.count == 1, timeout=WAIT_MS)
    assert window.navigation._buttons["exceptions"].accessibleName() == "异常款项 1"
    page = arrived(qtbot, window, "exceptions")
    words = texts(page.panel)
    assert "未知订单付款" in words
    assert "找到就归入，找不到就退款" in page.panel.runbook.text
    for told in ("渠道流水号", "S-orphan-1", "实收", "¥45.00", "渠道通知"):
        assert told in words
    assert list(page.bar.buttons) == ["refund", "attach", "record"], "what the server offers, the usual thing first"
    qtbot.keyClick(page.table, Qt.Key.Key_F)
    assert not page.bar.go.isEnabled(), "why is needed"
    page.bar.fields["note"].setText("已与渠道账单核对 ")
    qtbot.keyClicks(page.bar.fields["note"], "af")
    assert desk.exceptions.acting.chosen.key == "refund", "letters in a field are text"
    assert stored(world, PaymentException, one).state == ExceptionState.OPEN
    page.bar.go.click()
    done(qtbot, desk.exceptions.acting)
    assert stored(world, PaymentException, one).state == ExceptionState.PROPOSED
    assert "等另一位同事复核" in page.bar.hint.text()
    assert list(page.bar.buttons) == ["send_back"], "who proposes does not approve"
    assert "李航 提议退款\n已与渠道账单核对 af" in texts(page.panel)
    qtbot.waitUntil(lambda: desk.exceptions.count == 0, timeout=WAIT_MS)
    zhou = colleague("zhou")
    [theirs] = zhou.run(exceptions.list_exceptions(zhou.engine)).value.items
    zhou.run(exceptions.approve(zhou.engine, theirs, approved=True, note="同意"))
    desk.exceptions.refresh()
    qtbot.waitUntil(lambda: desk.exceptions.opened.state is ExceptionState.WORKING, timeout=WAIT_MS)
    assert "周洁 复核通过" in texts(page.panel)
    refund = stored(world, Refund, stored(world, PaymentException, one).refund_id)
    assert (refund.amount_fen, how_many(world, Refund)) == (4_500, 1)
    with world.ctx.db.read() as tx:
        acted = select(AuditEvent.actor, AuditEvent.action).where(AuditEvent.entity_id == str(one))
        actors = {action: actor for actor, action in tx.execute(acted)}
    assert actors["exception.propose"] != actors["exception.approve"]
    page.panel.refund_wanted.emit(refund.id)
    qtbot.waitUntil(lambda: desk.refunds.opened is not None, timeout=WAIT_MS)
    assert (window.page.place, desk.refunds.opened.id) == ("refunds", refund.id)


def test_what_changed_meanwhile_is_told_and_read_again(program, live_shop, world, colleague, qtbot):
    """Fault 52: two people at once, on what both saw before."""
    one = orphan(world)
    li = colleague("li")
    [seen] = li.run(exceptions.list_exceptions(li.engine)).value.items
    proposed = li.run(exceptions.propose(li.engine, seen, ExceptionAction.REFUND, note="退"))
    sign_in(qtbot, program, live_shop.url, "zhou")
    window, acting = program.window, program.console.desk.exceptions.acting
    page = arrived(qtbot, window, "exceptions")
    qtbot.keyClick(page.table, Qt.Key.Key_A)
    assert "¥45.00 原路退回买家，立即执行。" in page.bar.effect.text()
    li.run(exceptions.approve(li.engine, proposed, approved=False, note=""))
    page.bar.go.click()
    qtbot.waitUntil(lambda: acting.error is not None and acting.chosen is None, timeout=WAIT_MS)
    assert "已有变化" in page.bar.problem.text
    assert list(page.bar.buttons) == ["refund", "attach", "record"], "as it is now"
    assert (stored(world, PaymentException, one).state, how_many(world, Refund)) == (ExceptionState.OPEN, 0)


def test_money_is_attached_to_the_order_that_was_named(program, live_shop, world, colleague, qtbot):
    world.stock("STEAM-50", 1)
    unpaid = world.place(ANNA, "STEAM-50")
    one = orphan(world)
    sign_in(qtbot, program, live_shop.url, "zhou")
    desk = program.console.desk
    page = arrived(qtbot, program.window, "exceptions")
    page.bar.buttons["attach"].click()
    page.bar.fields["note"].setText("付款人核对一致")
    qtbot.keyClicks(page.bar.fields["order_code"], "1234")
    page.bar.go.click()
    done(qtbot, desk.exceptions.acting)
    assert "不是有效的订单号" in page.bar.problem.text
    assert page.bar.fields["note"].text() == "付款人核对一致", "what was typed stays"
    # The order it is meant for is found by amount and time, and taken over.
    spoken = speak_order_code(unpaid.order.code)
    qtbot.waitUntil(lambda: bool(desk.exceptions.candidates), timeout=WAIT_MS)
    for told in ("可能的订单", spoken, "待支付 · 到账前 1 分钟下单"):
        assert told in texts(page.panel)
    [take] = [press for press in page.panel.findChildren(QPushButton) if press.accessibleName() == f"归入订单 {spoken}"]
    take.click()
    assert (page.bar.fields["order_code"].text(), page.bar.fields["note"].text()) == (spoken, "付款人核对一致")
    page.bar.go.click()
    done(qtbot, desk.exceptions.acting)
    assert desk.exceptions.acting.error is None
    li = colleague("li")
    [theirs] = li.run(exceptions.list_exceptions(li.engine)).value.items
    li.run(exceptions.approve(li.engine, theirs, approved=True, note=""))
    assert world.order(unpaid).state == OrderState.DELIVERED
    assert stored(world, PaymentException, one).state == ExceptionState.CLOSED


def test_an_order_is_asked_about_and_confirmed_from_the_console(program, live_shop, world, colleague, qtbot):
    world.stock("STEAM-50", 1)
    unpaid = world.place(ANNA, "STEAM-50")
    world.ctx.batch.call(NextAttempt(unpaid.order.id, "wechat", "qr", closed=(unpaid.attempt.id,)))
    sign_in(qtbot, program, live_shop.url, "li")
    desk, window = program.console.desk, program.window
    page = arrived(qtbot, window, "orders")
    qtbot.keyClick(page.table, Qt.Key.Key_Down)
    qtbot.keyClick(page.table, Qt.Key.Key_Space)
    acting, bar = desk.orders.acting, page.peek.bar
    qtbot.waitUntil(lambda: list(bar.buttons) == ["ask", "confirm"], timeout=WAIT_MS)
    window.run("order.ask")
    bar.go.click()
    done(qtbot, acting)
    assert "没有给出结果" in bar.problem.text, "no channel answers here, and it is said so"
    acting.drop()
    window.run("order.confirm")
    box = bar.fields["channel"].parent()
    assert [box.itemText(n) for n in range(box.count())] == ["微信支付", "沙箱"], "all that were tried"
    bar.fields["channel"].setText("支付宝")
    bar.fields["provider_no"].setText("后台单号")
    bar.fields["amount"].setText("45")
    bar.fields["reason"].setText("后台可见")
    bar.go.click()
    done(qtbot, acting)
    assert "没有用过“支付宝”" in bar.problem.text
    bar.fields["channel"].setText("沙箱")
    bar.go.click()
    done(qtbot, acting)
    assert "没有空格" in bar.problem.text
    bar.fields["provider_no"].setText("4200002026")
    bar.go.click()
    done(qtbot, acting)
    assert any("请另一位同事" in text for text in window.toasts.texts())
    assert world.order(unpaid).state == OrderState.PENDING_PAYMENT
    zhou = colleague("zhou")
    [theirs] = zhou.run(exceptions.list_exceptions(zhou.engine)).value.items
    assert (theirs.kind, theirs.action_provider_no) == ("payment_unknown", "4200002026")
    assert (theirs.channel, theirs.out_trade_no) == ("sandbox", unpaid.attempt.out_trade_no)
    zhou.run(exceptions.approve(zhou.engine, theirs, approved=True, note=""))
    assert world.order(unpaid).state == OrderState.DELIVERED
    desk.orders.refresh()
    qtbot.waitUntil(lambda: list(bar.buttons) == ["refund", "hold"], timeout=WAIT_MS)
    assert "人工确认" in texts(page.peek)


def test_without_a_connection_nothing_is_sent_now_or_later(program, live_shop, world, qtbot):
    one = orphan(world)
    with Line(live_shop.port) as line:
        sign_in(qtbot, program, line.url, "li")
        acting = program.console.desk.exceptions.acting
        page = arrived(qtbot, program.window, "exceptions")
        page.bar.buttons["refund"].click()
        page.bar.fields["note"].setText("退")
        line.cut()
        page.bar.go.click()
        qtbot.waitUntil(lambda: acting.error is not None, timeout=WAIT_MS)
        assert page.bar.problem.text == "连不上服务器，这一步没有发出，也不会稍后自动补发。请在连上之后再做一次。"
        line.mend()
        program.engine.hint()
        qtbot.waitUntil(lambda: program.window.foot.connection.text() == "已连接", timeout=WAIT_MS)
        assert stored(world, PaymentException, one).version == 1
        page.bar.go.click()
        qtbot.waitUntil(lambda: acting.act("send_back") is not None, timeout=WAIT_MS)
    assert stored(world, PaymentException, one).version == 2, "done when the person did it again"


def test_a_lost_answer_is_not_taken_for_a_no(world, live_shop, console):
    one = orphan(world)
    with Line(live_shop.port) as line:
        here = console(follow=False)
        here.sign_in(line.url, "li")
        [seen] = here.run(exceptions.list_exceptions(here.engine)).value.items
        line.lose_answers = 1
        with pytest.raises(OutcomeUnknown) as unknown:
            here.run(exceptions.propose(here.engine, seen, ExceptionAction.REFUND, note="退"))
        assert "可能已经完成，也可能没有" in unknown.value.sentence("zh")
        assert stored(world, PaymentException, one).state == ExceptionState.PROPOSED
        with pytest.raises(KamengError) as refusal:
            here.run(exceptions.propose(here.engine, seen, ExceptionAction.REFUND, note="退"))
        assert code_of(refusal.value) == "exception_changed"


def test_a_refund_whose_answer_was_lost_is_tried_again_not_made_twice(world, live_shop, console):
    world.stock("MUSIC-30", 3)
    bought = world.buy(CARA, "MUSIC-30", 3)
    with Line(live_shop.port) as line:
        here = console(follow=False)
        here.sign_in(line.url, "li")
        screen = Orders(at_once(here), here.engine.session.require_account().person)
        screen.find(bought.order.code)
        typed = {"reason": "少发了一张", "quantity": "1", "amount": ""}
        screen.acting.choose("refund")
        line.lose_answers = 1
        screen.acting.carry_out(typed)
        assert isinstance(screen.acting.error, OutcomeUnknown)
        assert how_many(world, Refund) == 1
        assert screen.refunds.live
        assert [one.amount_fen for one in screen.refunds.value.items] == [1_250], "what to look at is there"
        screen.acting.carry_out(typed | {"quantity": "2"})
        assert code_of(screen.acting.error) == "idempotency_reused"
        screen.acting.carry_out(typed)
        assert (screen.acting.chosen, screen.acting.error, how_many(world, Refund)) == (None, None, 1)
        # Somebody else, who looked before.
        other = console("wang", follow=False)
        other.sign_in(live_shop.url, "wang")
        old = screen.opened.model_copy(update={"version": screen.opened.version - 1})
        with pytest.raises(KamengError) as refusal:
            other.run(refunds.start(other.engine, old, key="another-console", reason="x", amount_fen=1))
        assert code_of(refusal.value) == "order_changed"
        assert how_many(world, Refund) == 1


def photograph(kind, width=200, height=100):
    """An image that somebody could have taken."""
    image, held = QImage(width, height, QImage.Format.Format_RGB32), QBuffer()
    image.fill(Qt.GlobalColor.darkCyan)
    held.open(QBuffer.OpenModeFlag.WriteOnly)
    assert image.save(held, kind)
    return bytes(held.data())


@pytest.mark.qt_log_ignore("JPEG", "This plugin does not support", extend=True)  # the broken one
def test_a_supplier_looks_at_images_and_shows_its_own(program, live_shop, world, qtbot, tmp_path):
    world.stock("STEAM-50", 1)
    taken = images.judged([photograph("JPEG", 4000, 3000), photograph("WEBP"), b"\xff\xd8\xff\xe0 broken"])
    refund_id = asked(world, world.buy(ANNA, "STEAM-50", 1), pictures=taken)
    sign_in(qtbot, program, live_shop.url, "chen")
    desk = program.console.desk
    page = arrived(qtbot, program.window, "refunds")
    qtbot.waitUntil(lambda: len(desk.refunds.pictures) == 3, timeout=WAIT_MS)
    large, wide, broken = page.panel.pictures.small
    assert [one.isEnabled() for one in (large, wide, broken)] == [True, True, False]
    assert (large.accessibleName(), broken.toolTip()) == ("买家的第 1 张图片", "这张图片无法显示")
    large.click()
    dialog = program.window.findChild(PictureDialog)
    shown = dialog.findChild(QLabel).pixmap().size()
    assert (shown.width() / shown.height(), shown.width() < 4000) == (pytest.approx(4 / 3, rel=0.01), True)
    dialog.close()

    mine, wrong = tmp_path / "mine.png", tmp_path / "wrong.png"
    mine.write_bytes(photograph("PNG"))
    wrong.write_bytes(b"no image")
    page.panel.pictures.ask_files = lambda _parent: [mine, wrong]
    page.panel.pictures.add.click()
    qtbot.waitUntil(lambda: len(desk.refunds.pictures) == 4, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: "只收 JPEG、PNG 和 WebP 图片" in texts(page.panel), timeout=WAIT_MS)
    assert page.panel.pictures.small[3].accessibleName() == "供应商的第 1 张图片"
    with world.ctx.db.read() as tx:
        assert [one.party for one in images.of(tx, [refund_id])[refund_id]] == ["buyer"] * 3 + ["supplier"]
    assert list(page.bar.buttons) == ["agree", "replace", "refuse"], "and it can be answered as it is now"
    page.bar.buttons["agree"].click()
    page.bar.go.click()
    done(qtbot, desk.refunds.acting)
    assert stored(world, Refund, refund_id).state == RefundState.APPROVED
    assert "附上图片…" not in texts(page.panel)


def test_a_supplier_answers_with_two_presses(program, live_shop, world, qtbot):
    world.stock("STEAM-50", 3)
    bought = world.buy(ANNA, "STEAM-50", 1)
    first, other = asked(world, bought), asked(world, world.buy(BEN, "STEAM-50", 1), wants_replacement=True)
    sign_in(qtbot, program, live_shop.url, "chen")
    window, desk = program.window, program.console.desk
    qtbot.waitUntil(lambda: desk.refunds.count == 2, timeout=WAIT_MS)
    page = arrived(qtbot, window, "refunds")
    words = texts(page.panel)
    for told in ("轮到：供应商 · 剩", "卡密有问题可退", "没有看过", "提示卡密不存在"):
        assert told in words
    key = world.keys("STEAM-50", 2)[1]
    assert f"买家的第 1 件 · ••••••••{key[-4:]} · #1-2 · STEAM-50.txt" in words
    assert key not in words
    assert "补发比退款快" in "".join(notice.text for notice in page.panel.findChildren(type(page.notice)))
    assert list(page.bar.buttons) == ["replace", "agree", "refuse"], "what the buyer hopes for comes first"
    assert "01a" not in words, "nothing of the payment"
    page.table.go_to(1)
    assert desk.refunds.opened.id == first
    assert list(page.bar.buttons) == ["agree", "replace", "refuse"]
    page.bar.buttons["agree"].click()
    page.bar.go.click()
    done(qtbot, desk.refunds.acting)
    assert stored(world, Refund, first).state == RefundState.APPROVED
    assert any("已同意退款" in text for text in window.toasts.texts())
    page.table.go_to(0)
    qtbot.waitUntil(lambda: desk.refunds.opened.id == other, timeout=WAIT_MS)
    qtbot.keyClick(page.table, Qt.Key.Key_R)
    assert not page.bar.go.isEnabled(), "no refusal without evidence"
    page.bar.fields["said"].setText("12:31 已充值")
    qtbot.keyClick(page.bar.fields["said"], Qt.Key.Key_Return)
    done(qtbot, desk.refunds.acting)
    row = stored(world, Refund, other)
    assert (row.state, row.turn) == (RefundState.SUPPLIER_WAIT, "shop")
    qtbot.waitUntil(lambda: desk.refunds.count == 0, timeout=WAIT_MS)
    assert "供应商：12:31 已充值" in texts(page.panel)
    # Which key it was: in stock, among those of its lot that end so, with what happened to it.
    link = next(one for one in page.panel.findChildren(QPushButton) if one.text() == "在库存中查看")
    assert link.accessibleName() == "在库存中查看 #1-2"
    link.click()
    units = desk.stock.units
    qtbot.waitUntil(lambda: units.history is not None and bool(units.found.rows), timeout=WAIT_MS)
    assert (window.page.place, window.page.detail.shows_units) == ("stock", True)
    assert window.page.detail.units.lot.currentText() == "#1 · STEAM-50.txt"
    assert ([one.seq for one in units.found.rows], units.history.unit.seq) == ([2], 2)
    assert [event.what for event in units.history.events] == ["imported", "sold"]


def test_the_shop_decides_and_finance_checks(program, live_shop, world, colleague, qtbot):
    world.stock("STEAM-50", 13)
    waiting = asked(world, world.buy(ANNA, "STEAM-50", 12))
    chen = colleague("chen")
    [mine] = chen.run(refunds.list_refunds(chen.engine)).value.items
    chen.run(refunds.answer(chen.engine, mine, "refuse", evidence="发行方查到未使用"))
    sign_in(qtbot, program, live_shop.url, "li")
    desk = program.console.desk
    page = arrived(qtbot, program.window, "refunds")
    assert "供应商：发行方查到未使用" not in texts(page.panel), "here people have names"
    assert "陈星：发行方查到未使用" in texts(page.panel)
    qtbot.keyClick(page.table, Qt.Key.Key_A)
    page.bar.fields["said"].setText("证据不足")
    page.bar.go.click()
    done(qtbot, desk.refunds.acting)
    row = stored(world, Refund, waiting)
    assert (row.state, row.turn, row.amount_fen) == (RefundState.APPROVED, "finance", 54_000)
    assert page.bar.isHidden(), "who decided does not check"
    program.run("session.end")
    qtbot.waitUntil(lambda: program.window.page is None, timeout=WAIT_MS)
    sign_in(qtbot, program, live_shop.url, "zhou")
    desk = program.console.desk
    page = arrived(qtbot, program.window, "refunds")
    assert list(page.bar.buttons) == ["check", "stop"]
    qtbot.keyClick(page.table, Qt.Key.Key_A)
    page.bar.go.click()
    done(qtbot, desk.refunds.acting)
    assert stored(world, Refund, waiting).turn == "channel"


def test_an_order_tells_how_its_money_was_found_and_gives_a_part_back(program, live_shop, world, qtbot):
    world.stock("STEAM-50", 3)
    bought = world.buy(CARA, "STEAM-50", 3)
    with world.ctx.db.tx() as tx:
        mine = update(PaymentAttempt).where(PaymentAttempt.order_id == bought.order.id)
        tx.execute(mine.values(found_by=FoundBy.SWEEP.value, fee_fen=81))
    sign_in(qtbot, program, live_shop.url, "li")
    desk, window = program.console.desk, program.window
    page = arrived(qtbot, window, "orders")
    qtbot.keyClick(page.table, Qt.Key.Key_Down)
    qtbot.keyClick(page.table, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: desk.orders.acting.may("refund"), timeout=WAIT_MS)
    words = texts(page.peek)
    for told in ("得知方式", "定时查询", "¥0.81（预估，以账单为准）"):
        assert told in words
    window.run("order.refund")
    fields = page.peek.bar.fields
    assert list(fields) == ["quantity", "amount", "reason"]
    fields["reason"].setText("一张有问题")
    bar = page.peek.bar
    assert (bar.title.text(), "最多可退 ¥135.00。" in bar.effect.text()) == ("退款 ¥135.00", True)
    assert "看过的卡密不再出售、标为已退款，没看过的退回库存" in bar.effect.text()
    for wrong, told in (("一百", "12.50"), ("0.01", "只能填一项")):
        fields["amount"].setText(wrong)
        fields["quantity"].setText("3")
        bar.go.click()
        assert told in bar.problem.text
        fields["quantity"].clear()
    assert (bar.go.text(), how_many(world, Refund)) == ("确定退款 ¥0.01", 0)
    fields["amount"].clear()
    qtbot.keyClicks(fields["quantity"], "1")
    assert bar.go.text() == "确定退款 1 张"
    bar.go.click()
    qtbot.waitUntil(lambda: bool(desk.orders.refunds.value.items), timeout=WAIT_MS)
    [refund] = desk.orders.refunds.value.items
    assert (refund.amount_fen, refund.reason, [line.quantity for line in refund.lines]) == (4_500, "一张有问题", [1])
    assert "¥45.00" in texts(page.peek)


def test_a_channel_in_trouble_is_told_everywhere_and_switched_off(program, live_shop, world, colleague, qtbot):
    world.ctx.gateways["sandbox"] = Channel().gateway("http://127.0.0.1:9")
    world.stock("STEAM-50", 2)
    lost = world.place(ANNA, "STEAM-50")
    with world.ctx.db.tx() as tx:
        tx.execute(update(PaymentAttempt).where(PaymentAttempt.id == lost.attempt.id).values(state="unknown"))
        since = clock.now() - timedelta(minutes=5)
        tx.add(PaymentChannel(code="sandbox", enabled=True, version=3, away_since=since, away_why="time-out"))
    sign_in(qtbot, program, live_shop.url, "li")
    window, desk = program.window, program.console.desk
    qtbot.waitUntil(lambda: bool(desk.channels.feed.rows), timeout=WAIT_MS)
    assert window.page.place == "products", "wherever the person is"
    assert window.banner.isVisible()
    assert window.banner.text.startswith("沙箱查询异常（")
    assert window.banner.text.endswith("起），1 单待确认")
    program.choose_language("en")
    qtbot.waitUntil(lambda: window.banner.text.endswith(", unknown payments: 1"), timeout=WAIT_MS)
    program.choose_language("zh")
    page = arrived(qtbot, window, "channels")
    window.run("channel.switch")
    assert "已发起的付款、通知和退款照常处理" in page.bar.effect.text()
    page.bar.fields["reason"].setText("渠道故障")
    wang = colleague("wang")
    [theirs] = wang.run(channels.list_channels(wang.engine)).value.items
    wang.run(channels.switch(wang.engine, theirs, enabled=False, reason="维护"))
    page.bar.go.click()
    qtbot.waitUntil(lambda: desk.channels.acting.error is not None, timeout=WAIT_MS)
    assert "刚刚被其他人改过" in page.bar.problem.text
    qtbot.waitUntil(lambda: not desk.channels.channel.enabled, timeout=WAIT_MS)
    assert stored(world, PaymentChannel, "sandbox").reason == "维护"
    assert page.table.model().index(0, 1).data() == "已停用"
    qtbot.waitUntil(lambda: desk.channels.acting.chosen is None, timeout=WAIT_MS)
    assert list(page.bar.buttons) == ["on"], "the same press must not do the opposite"
