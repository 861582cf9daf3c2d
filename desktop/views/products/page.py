"""The Products screen: a list, a small form for a new product, and publishing."""

from __future__ import annotations

from PySide6.QtCore import QItemSelectionModel

from desktop.presenters.products import Products
from desktop.theme.tokens import SPACE
from desktop.views.listing import FeedView
from desktop.views.page import Page
from desktop.views.products.form import ProductForm
from desktop.views.products.rules import RulesSheet
from desktop.widgets.basics import button, only_if, row
from desktop.widgets.search import SearchField
from desktop.widgets.words import sentence
from shared.contracts.catalog import Product
from shared.states import ProductState


class ProductsPage(Page):
    """See the file's head."""

    def __init__(self, presenter: Products) -> None:
        super().__init__("products")
        self.presenter = presenter
        self.say(self.title.setText, lambda: self.tr("商品"))
        self.say(
            self.subtitle.setText,
            lambda: (
                self.tr("新建草稿，由运营上架") if presenter.may_create else self.tr("供应商的商品，上架后立即可买")
            ),
        )
        self._publish = button()
        self._take_down = button()
        self._rules = button(icon_name="lock")
        self.say(self._rules.setText, lambda: self.tr("卡密规则"))
        self._rules.clicked.connect(self.change_rules)
        self._create = button(role="primary", icon_name="plus")
        self.say(self._publish.setText, lambda: self.tr("上架"))
        self.say(self._take_down.setText, lambda: self.tr("下架"))
        self.say(self._create.setText, lambda: self.tr("新建商品"))
        self._publish.clicked.connect(lambda: self._move(ProductState.PUBLISHED))
        self._take_down.clicked.connect(lambda: self._move(ProductState.OFF_SHELF))
        self._create.clicked.connect(self.begin_product)
        self.add_refresh()
        for press, shown in (
            (self._publish, presenter.may_publish),
            (self._take_down, presenter.may_publish),
            (self._rules, presenter.may_edit),
            (self._create, presenter.may_create),
        ):
            only_if(shown, press)
            self.tools.addWidget(press)
        tools = row(gap=SPACE, margins=(24, 0, 20, 10))
        self.search = SearchField()
        self.say(self.search.name, lambda: self.tr("按名称或编码筛选 ( / )"))
        self.search.asked.connect(presenter.search)
        tools.addWidget(self.search)
        tools.addStretch(1)
        self.body.addLayout(tools)
        self.list = FeedView(
            presenter.feed,
            name=lambda: self.tr("商品列表"),
            titles=self._titles,
            empty_icon="product",
            remembered_as="products",
            empty=self._empty_words,
            key=lambda product: product.id,
        )
        self.list.empty.action.clicked.connect(self.begin_product)
        self.table = self.list.table
        self.body.addWidget(self.list, 1)
        self.table.row_changed.connect(lambda _row: self._look())
        may = presenter.may_move
        self.handle("list.find", self.search.setFocus)
        self.handle("product.create", self.begin_product, when=lambda: presenter.may_create)
        self.handle(
            "product.publish",
            lambda: self._move(ProductState.PUBLISHED),
            when=lambda: may(self.picked(), ProductState.PUBLISHED),
        )
        self.handle(
            "product.take_down",
            lambda: self._move(ProductState.OFF_SHELF),
            when=lambda: may(self.picked(), ProductState.OFF_SHELF),
        )
        self.handle("product.change_rules", self.change_rules, when=lambda: presenter.may_change_rules(self.picked()))
        self._sheet: RulesSheet | None = None
        presenter.watch(self._changed)
        presenter.feed.watch(self._look)
        self._form: ProductForm | None = None
        self._look()

    def enter(self) -> None:
        if self.presenter.feed.as_of is None:
            self.presenter.open()

    def refresh(self) -> None:
        self.presenter.feed.reload()

    def picked(self) -> Product | None:
        """The product the person is on."""
        at = self.table.current_row()
        rows = self.presenter.feed.rows
        return rows[at] if 0 <= at < len(rows) else None

    def pick(self, at: int) -> None:
        """Go to a row."""
        self.table.go_to(at)
        self.table.selectionModel().select(
            self.table.currentIndex(),
            QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows,
        )

    def begin_product(self) -> None:
        """Open the form."""
        self._form = ProductForm(self.presenter, self.window())
        self._form.finished.connect(self._form_closed)
        self._form.open()

    def change_rules(self) -> None:
        """Open the rules of the picked product."""
        product = self.picked()
        if product is not None and self.presenter.may_change_rules(product):
            self._sheet = RulesSheet(self.presenter, product, self.window())
            self._sheet.finished.connect(self._sheet_closed)
            self._sheet.open()

    def _sheet_closed(self) -> None:
        self._sheet = None

    def _form_closed(self) -> None:
        self._form = None

    def _move(self, to: ProductState) -> None:
        product = self.picked()
        if product is not None and self.presenter.may_move(product, to):
            self.presenter.move(product, to)

    def _changed(self) -> None:
        if self.presenter.said is not None:
            what, product = self.presenter.said
            words = {
                "added": self.tr("“{name}”已存为草稿，等待运营上架"),
                "rules": self.tr("“{name}”的规则已保存"),
                ProductState.PUBLISHED.value: self.tr("“{name}”已上架"),
                ProductState.OFF_SHELF.value: self.tr("“{name}”已下架"),
            }
            self.told.emit(words[what].format(name=product.name), "success")
        error = self.presenter.error
        is_in_form = self._form is not None or self._sheet is not None  # then the form says it
        self.notice.tell(sentence(error) if error is not None and not is_in_form else "", tone="danger")
        self._look()

    def _look(self) -> None:
        product = self.picked()
        self._publish.setEnabled(self.presenter.may_move(product, ProductState.PUBLISHED))
        self._rules.setEnabled(self.presenter.may_change_rules(product))
        self._take_down.setEnabled(self.presenter.may_move(product, ProductState.OFF_SHELF))
        self.show_age(self.presenter.feed.as_of)

    def _titles(self) -> list[str]:
        return [
            self.tr("名称"),
            self.tr("编码"),
            self.tr("分类"),
            self.tr("供应商"),
            self.tr("单价"),
            self.tr("规格数"),
            self.tr("未售"),
            self.tr("状态"),
        ]

    def _empty_words(self) -> tuple[str, ...]:
        if self.presenter.query:
            return self.tr("没有符合“{query}”的商品").format(query=self.presenter.query), self.tr(
                "换个词，或清空筛选。"
            )
        if self.presenter.may_create:
            hint = self.tr("先建一个商品和它的规格，就可以导入卡密了。")
            return self.tr("还没有商品"), hint, self.tr("新建商品")
        return self.tr("还没有商品"), self.tr("供应商新建的商品会出现在这里，等您上架。")
