"""What a product's keys look like and how they sell: the fields, and the sheet that changes them later."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QComboBox, QDialog, QGridLayout, QHBoxLayout, QLineEdit, QWidget

from desktop.presenters.key_rules import CHECK_DIGITS, ORDERS, OWN, POLICIES, PRESETS, RulesDraft
from desktop.presenters.products import Products
from desktop.theme.apply import key_font
from desktop.theme.tokens import SPACE
from desktop.widgets.basics import Notice, button, column, label, number_box, restyle, row
from desktop.widgets.live import Live
from desktop.widgets.words import sentence, state_word
from shared.cardkey import MAX_LENGTH, CheckDigit
from shared.contracts.catalog import Product

_MOST_STOP_DAYS = 3650


class RulesFields(Live, QWidget):
    """The fields. Whether case counts is decided once: stored keys were compared by it."""

    def __init__(self, draft: RulesDraft, *, is_new: bool) -> None:
        super().__init__()
        self._is_new = is_new
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(SPACE)
        grid.setColumnStretch(1, 1)
        self._build_key_rule()
        self._build_selling()
        lines = (
            (self.tr("卡密长度"), self._line(self.shortest, label("–"), self.longest, label(self.tr("个字符")))),
            (self.tr("允许的字符"), self._line(self.alphabet, self.own)),
            (self.tr("校验位"), self._line(self.check)),
            ("", self._line(self.ignore_case)),
            (self.tr("销售顺序"), self._line(self.order)),
            (self.tr("到期前停售"), self._line(self.stop_days, label(self.tr("天，临期卡密不再卖出")))),
            ("", self._line(self.off_shelf)),
            (self.tr("退款规则"), self._line(self.policy)),
        )
        for at, (words, line) in enumerate(lines):
            grid.addWidget(label(words), at, 0)
            grid.addLayout(line, at, 1)
        self.fill(draft)

    def _build_key_rule(self) -> None:
        self.shortest = number_box(1, MAX_LENGTH, name=self.tr("最短"))
        self.longest = number_box(1, MAX_LENGTH, name=self.tr("最长"))
        self.alphabet = QComboBox()
        names = {
            "any": self.tr("不限"),
            "digits": self.tr("数字"),
            "upper_digits": self.tr("大写字母 + 数字"),
            "upper_digits_dash": self.tr("大写字母 + 数字 + 横线"),
            "clear": self.tr("大写字母 + 数字，不含 0 O 1 I"),
            "letters_digits": self.tr("大小写字母 + 数字"),
            "hex": self.tr("十六进制"),
            OWN: self.tr("自己填写"),
        }
        for preset in (*PRESETS, OWN):
            self.alphabet.addItem(names[preset], preset)
        self.alphabet.setAccessibleName(self.tr("允许的字符"))
        self.alphabet.currentIndexChanged.connect(self._look)
        self.own = QLineEdit()
        self.own.setFont(key_font())
        self.own.setMaxLength(128)
        self.own.setPlaceholderText("ABCDEFGHJKLMNPQRSTUVWXYZ23456789-")
        self.own.setAccessibleName(self.tr("自己填写允许的字符"))
        self.check = QComboBox()
        checks = {
            CheckDigit.NONE: self.tr("没有"),
            CheckDigit.LUHN: self.tr("Luhn（模 10）"),
            CheckDigit.MOD_97: self.tr("模 97（末两位）"),
        }
        for check in CHECK_DIGITS:
            self.check.addItem(checks[check], check)
        self.check.setAccessibleName(self.tr("校验位"))
        self.ignore_case = QCheckBox(self.tr("大小写不同算同一张卡密"))
        self.ignore_case.setEnabled(self._is_new)
        self.ignore_case.setToolTip(
            self.tr("创建后不能修改") if self._is_new else self.tr("已入库的卡密按它比较过，不能再改")
        )

    def _build_selling(self) -> None:
        self.order = QComboBox()
        for order in ORDERS:
            self.order.addItem(state_word(order), order)
        self.order.setAccessibleName(self.tr("销售顺序"))
        self.order.setToolTip(self.tr("快到期的总是先卖"))
        self.stop_days = number_box(0, _MOST_STOP_DAYS, name=self.tr("到期前停售的天数"))
        self.off_shelf = QCheckBox(self.tr("卖完自动下架，补货后自动上架"))
        self.policy = QComboBox()
        for policy in POLICIES:
            self.policy.addItem(state_word(policy), policy)
        self.policy.setAccessibleName(self.tr("退款规则"))
        self.policy.setToolTip(self.tr("按下单时的规则执行，修改只对新订单生效"))

    def _line(self, *widgets: QWidget) -> QHBoxLayout:
        line = row(gap=SPACE)
        for widget in widgets:
            line.addWidget(widget)
        line.addStretch(1)
        return line

    def fill(self, draft: RulesDraft) -> None:
        """Put rules into the fields."""
        self.shortest.setValue(draft.min_length)
        self.longest.setValue(draft.max_length)
        self.alphabet.setCurrentIndex(self.alphabet.findData(draft.preset))
        self.own.setText(draft.alphabet)
        self.check.setCurrentIndex(CHECK_DIGITS.index(draft.check_digit))
        self.ignore_case.setChecked(draft.ignore_case)
        self.order.setCurrentIndex(ORDERS.index(draft.sale_order))
        self.stop_days.setValue(draft.stop_days)
        self.off_shelf.setChecked(draft.off_shelf_when_empty)
        self.policy.setCurrentIndex(POLICIES.index(draft.refund_policy))
        self._look()

    def draft(self) -> RulesDraft:
        """What is typed now."""
        return RulesDraft(
            min_length=self.shortest.value(),
            max_length=self.longest.value(),
            preset=str(self.alphabet.currentData()),
            alphabet=self.own.text(),
            check_digit=CHECK_DIGITS[self.check.currentIndex()],
            ignore_case=self.ignore_case.isChecked(),
            sale_order=ORDERS[self.order.currentIndex()],
            stop_days=self.stop_days.value(),
            off_shelf_when_empty=self.off_shelf.isChecked(),
            refund_policy=POLICIES[self.policy.currentIndex()],
        )

    def mark(self, wrong: dict[str, str]) -> str:
        """Show what is wrong, and say the first of it."""
        for field, key in ((self.shortest, "length"), (self.longest, "length"), (self.own, "alphabet")):
            restyle(field, "wrong", "true" if key in wrong else "false")
        words = {
            "length": self.tr("最短长度不能大于最长长度"),
            "needed": self.tr("请填写允许的字符，或选“不限”"),
            "check": self.tr("用这些字符写不出带这种校验位的卡密"),
        }
        return next((words.get(reason, reason) for reason in wrong.values()), "")

    def _look(self) -> None:
        self.own.setVisible(self.alphabet.currentData() == OWN)


class RulesSheet(Live, QDialog):
    """The sheet over the window that changes the rules of a product. Nothing typed is lost until the server took it."""

    def __init__(self, presenter: Products, product: Product, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._presenter, self._product = presenter, product
        self._sent = False
        self.setWindowTitle(self.tr("卡密规则"))
        outer = column(self, gap=SPACE, margins=(24, 20, 24, 18))
        outer.addWidget(label(self.tr("卡密规则"), role="title"))
        outer.addWidget(label(f"{product.name} · {product.code}", role="muted"))
        self.problem = Notice()
        self.newest = button(self.tr("载入最新的规则"), role="link")
        self.newest.clicked.connect(self._load_newest)
        self.newest.hide()
        self.problem.buttons.addWidget(self.newest)
        outer.addWidget(self.problem)
        self.fields = RulesFields(RulesDraft.of(product), is_new=False)
        outer.addWidget(self.fields)
        hint = self.tr("长度、字符和校验位只用来检查以后导入的卡密；销售顺序和停售天数对现有库存也生效。")
        outer.addWidget(label(hint, role="muted", wrap=True))
        outer.addStretch(1)
        foot = row(gap=SPACE)
        foot.addStretch(1)
        leave = button(self.tr("取消"))
        leave.clicked.connect(self.reject)
        self.save = button(self.tr("保存规则"), role="primary")
        self.save.clicked.connect(self._save)
        foot.addWidget(leave)
        foot.addWidget(self.save)
        outer.addLayout(foot)
        self.setMinimumWidth(560)
        presenter.watch(self._look)
        self._look()

    def _save(self) -> None:
        draft = self.fields.draft()
        self._sent = self._presenter.change_rules(self._product, draft)
        words = self.fields.mark(draft.wrong)
        if words:
            self.problem.tell(words, tone="warning")

    def _look(self) -> None:
        presenter = self._presenter
        self.save.setEnabled(not presenter.busy)
        if not self._sent:
            return
        if presenter.error is not None:
            self._sent = False
            self.problem.tell(sentence(presenter.error), tone="danger")
            self.newest.setVisible(presenter.is_outdated)
        elif not presenter.busy:
            self.accept()
        else:
            self.problem.tell("")

    def _load_newest(self) -> None:
        self.newest.hide()
        self._presenter.read_again(self._product, self._take_newest)

    def _take_newest(self, product: Product) -> None:
        """Somebody else's rules are in the fields now; what was typed here was never sent."""
        self._product = product
        self.fields.fill(RulesDraft.of(product))
        self.problem.tell(self.tr("这是最新的规则，请核对后再保存。"), tone="info")

    def done(self, result: int) -> None:
        """The presenter outlives the sheet."""
        self._presenter.unwatch(self._look)
        super().done(result)
