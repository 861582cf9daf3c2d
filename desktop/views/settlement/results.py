"""A result file in hand: what its rows say and what became of them, or each row that does not fit; sent at a press."""

from __future__ import annotations

from desktop.presenters import formats
from desktop.presenters.payouts import Results, awaited, results_words, shown_bad
from desktop.widgets.basics import Notice, button
from desktop.widgets.live import Live
from desktop.widgets.words import sentence

_MOST_SHOWN = 8


class ResultsCard(Live, Notice):
    """Hidden while there is no file."""

    def __init__(self, presenter: Results) -> None:
        super().__init__()
        self._presenter = presenter
        self.go = button(role="primary")
        self.go.clicked.connect(presenter.send)
        self.leave = button()
        self.leave.clicked.connect(presenter.leave)
        self.buttons.addWidget(self.go)
        self.buttons.addWidget(self.leave)
        presenter.watch(self.look)
        self.on_words(self.look)
        self.look()

    def look(self) -> None:
        """Show what has become of it."""
        presenter = self._presenter
        file = presenter.file
        self.go.setVisible(file is not None and presenter.taken is None)
        self.go.setEnabled(not presenter.busy)
        self.go.setText(self.tr("正在处理…") if presenter.busy else self.tr("确定导入结果"))
        self.leave.setText(self.tr("取消") if self.go.isVisibleTo(self) else self.tr("关闭"))
        taken = presenter.taken
        if taken is not None:
            words = self.tr("“{name}”已导入：{told}。").format(name=presenter.name, told=results_words(taken))
            self.tell(words, tone="warning" if taken.failed or taken.lacked or taken.not_done else "success")
        elif presenter.error is not None:
            self.tell("\n".join([sentence(presenter.error), *self._bad_rows()]), tone="danger")
        elif file is not None:
            words = self.tr("“{name}”：{told}。整份一起导入，有一行不符就都不导入。")
            self.tell(words.format(name=presenter.name, told=results_words(awaited(file.rows))), tone="info")
        else:
            self.tell(self.tr("正在读取“{name}”…").format(name=presenter.name) if presenter.busy else "")

    def _bad_rows(self) -> list[str]:
        bad = self._presenter.bad
        shown = [shown_bad(one) for one in bad[:_MOST_SHOWN]]
        if len(bad) > _MOST_SHOWN:
            shown.append(self.tr("还有 {n} 行").format(n=formats.count(len(bad) - _MOST_SHOWN)))
        return shown
