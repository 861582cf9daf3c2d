"""The small form of a new product: what it is called, where it stands, and its SKUs with their prices."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QDialog, QFormLayout, QGridLayout, QLabel, QLineEdit, QToolButton, QWidget

from desktop.presenters.key_rules import RulesDraft
from desktop.presenters.products import ProductDraft, Products, SkuDraft
from desktop.theme.tokens import SPACE
from desktop.views.products.rules import RulesFields
from desktop.widgets.basics import Notice, button, column, label, name_tool, restyle, row, tool
from desktop.widgets.live import Live
from desktop.widgets.words import sentence


class ProductForm(Live, QDialog):
    """The form over the window. Nothing typed is lost until the server took it."""

    def __init__(self, presenter: Products, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._presenter = presenter
        self._sent = False
        self.setWindowTitle(self.tr("新建商品"))
        outer = column(self, gap=SPACE, margins=(24, 20, 24, 18))
        outer.addWidget(label(self.tr("新建商品"), role="title"))
        outer.addWidget(label(self.tr("保存为草稿；运营上架后买家才看得到。"), role="muted"))
        self.problem = Notice()
        outer.addWidget(self.problem)
        outer.addLayout(self._facts())
        outer.addSpacing(6)
        outer.addWidget(label(self.tr("规格（每个规格有自己的编码、单价和库存）"), role="heading"))
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(SPACE)
        self._grid.setVerticalSpacing(4)
        self._grid.setColumnStretch(1, 1)
        for at, words in enumerate((self.tr("编码"), self.tr("名称"), self.tr("单价（元）"))):
            self._grid.addWidget(label(words, role="caption"), 0, at)
        outer.addLayout(self._grid)
        self._skus: list[tuple[QLineEdit, QLineEdit, QLineEdit, QToolButton]] = []
        more = button(self.tr("再加一个规格"), role="link", icon_name="plus")
        more.clicked.connect(self.add_sku)
        outer.addWidget(more, 0, Qt.AlignmentFlag.AlignLeft)
        outer.addSpacing(6)
        self._switch = button(self.tr("卡密规则与销售方式"), role="link", icon_name="lock")
        self._switch.setCheckable(True)
        self._switch.toggled.connect(self._show_rules)
        outer.addWidget(self._switch, 0, Qt.AlignmentFlag.AlignLeft)
        self.rules = RulesFields(RulesDraft(), is_new=True)
        self.rules.hide()
        outer.addWidget(self.rules)
        outer.addStretch(1)
        foot = row(gap=SPACE)
        foot.addStretch(1)
        leave = button(self.tr("取消"))
        leave.clicked.connect(self.reject)
        self.save = button(self.tr("保存草稿"), role="primary")
        self.save.clicked.connect(self._save)
        foot.addWidget(leave)
        foot.addWidget(self.save)
        outer.addLayout(foot)
        self.setMinimumWidth(600)
        self.add_sku()
        presenter.watch(self._look)
        self._look()
        self.name.setFocus()

    def _facts(self) -> QFormLayout:
        self.name, self.code, self.summary = QLineEdit(), QLineEdit(), QLineEdit()
        self.name.setMaxLength(120)
        self.summary.setMaxLength(200)
        self.code.setPlaceholderText("steam-wallet")
        self.category = QComboBox()
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(SPACE)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        for field, words in (
            (self.name, self.tr("名称")),
            (self.code, self.tr("编码")),
            (self.category, self.tr("分类")),
            (self.summary, self.tr("一句话介绍")),
        ):
            title = QLabel(words)
            title.setBuddy(field)
            field.setAccessibleName(words)
            form.addRow(title, field)
        return form

    def _show_rules(self, shown: bool) -> None:  # noqa: FBT001 - as the signal gives it
        self.rules.setVisible(shown)

    def add_sku(self) -> None:
        """One more line for a SKU."""
        at = len(self._skus) + 1
        code, name, price = QLineEdit(), QLineEdit(), QLineEdit()
        if at == 1:
            code.setPlaceholderText("STEAM-100")
            name.setPlaceholderText(self.tr("100 元面值"))
            price.setPlaceholderText("98.50")
        price.setAlignment(Qt.AlignmentFlag.AlignRight)
        code.setMaximumWidth(150)
        price.setMaximumWidth(110)
        drop = tool("close", size=12)
        name_tool(drop, self.tr("去掉第 {n} 个规格").format(n=at))
        for field, words in ((code, self.tr("编码")), (name, self.tr("名称")), (price, self.tr("单价（元）"))):
            field.setAccessibleName(self.tr("第 {n} 个规格：{field}").format(n=at, field=words))
        for column_at, widget in enumerate((code, name, price, drop)):
            self._grid.addWidget(widget, at, column_at)
        line = (code, name, price, drop)
        drop.clicked.connect(lambda: self._drop_sku(line))
        self._skus.append(line)
        drop.setVisible(at > 1)
        code.setFocus()

    def _drop_sku(self, line: tuple[QLineEdit, QLineEdit, QLineEdit, QToolButton]) -> None:
        self._skus.remove(line)
        for widget in line:
            self._grid.removeWidget(widget)
            widget.deleteLater()

    def draft(self) -> ProductDraft:
        """What is typed now."""
        return ProductDraft(
            category=self.category.currentData() or "",
            code=self.code.text(),
            name=self.name.text(),
            summary=self.summary.text(),
            skus=[SkuDraft(code.text(), name.text(), price.text()) for code, name, price, _ in self._skus],
            rules=self.rules.draft(),
        )

    def _save(self) -> None:
        draft = self.draft()
        self._sent = self._presenter.create(draft)
        self._mark(draft.wrong)

    def _mark(self, wrong: dict[str, str]) -> None:
        reasons = {
            "needed": self.tr("需要填写"),
            "code": self.tr("只能用字母、数字、点、横线和下划线"),
            "price": self.tr("请填写大于 0 的金额，最多四位小数"),
            "double": self.tr("与上面的规格编码相同"),
        }
        fields: dict[str, QWidget] = {"name": self.name, "code": self.code, "category": self.category}
        for at, (code, name, price, _) in enumerate(self._skus):
            fields |= {f"skus.{at}.code": code, f"skus.{at}.name": name, f"skus.{at}.price": price}
        of_rules = {key.removeprefix("rules."): why for key, why in wrong.items() if key.startswith("rules.")}
        said = self.rules.mark(of_rules)
        if of_rules:
            self._switch.setChecked(True)
            self.problem.tell(said, tone="warning")
            if len(of_rules) == len(wrong):
                return
        for key, field in fields.items():
            restyle(field, "wrong", "true" if key in wrong else "false")
            field.setToolTip(reasons[wrong[key]] if key in wrong else "")
        if wrong:
            first = next(iter(key for key in fields if key in wrong), None)
            needed = all(reason == "needed" for reason in wrong.values())
            named = fields[first].accessibleName() if first else ""
            reason = reasons[wrong[first]] if first else ""
            self.problem.tell(
                self.tr("还有没填的内容，已用红框标出。") if needed else f"{named}:{reason}", tone="warning"
            )
            if first:
                fields[first].setFocus()

    def _look(self) -> None:
        presenter = self._presenter
        if self.category.count() != len(presenter.categories):
            self.category.clear()
            for category in presenter.categories:
                self.category.addItem(category.name, category.code)
        self.save.setEnabled(not presenter.busy)
        if not self._sent:
            return
        if presenter.error is not None:
            self._sent = False
            self.problem.tell(sentence(presenter.error), tone="danger")
        elif not presenter.busy:
            self.accept()

    def done(self, result: int) -> None:
        """The presenter outlives the form."""
        self._presenter.unwatch(self._look)
        super().done(result)
