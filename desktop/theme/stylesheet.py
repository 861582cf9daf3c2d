"""The one QSS template. `$name` is a token of desktop/theme/tokens.py; `role` properties name a widget's job.

A widget gets its look by `setProperty("role", ...)`, never by a style sheet of its own.
"""

TEMPLATE = """
* { outline: none; }
QWidget { color: $text; }
QMainWindow, QDialog { background: $canvas; }
QToolTip { background: $tooltip; color: $on_tooltip; border: none; padding: 5px 8px; }

/* Surfaces */
QWidget[role="page"] { background: $surface; }
QWidget[role="navigation"] { background: $canvas; border: none; border-right: 1px solid $line; }
QFrame[role="card"] { background: $raised; border: 1px solid $line; border-radius: 8px; }
QFrame[role="card"][current="true"] { border-color: $accent; }
QFrame[role="sheet"] { background: $raised; border: 1px solid $line; border-radius: 10px; }
QFrame[role="toast"] { background: $raised; border: 1px solid $outline; border-radius: 8px; }
QFrame[role="toast"][tone="danger"] { border-color: $danger; }
QFrame[role="toast"][tone="warning"] { border-color: $warning; }
QFrame[role="peek"] { background: $raised; border: none; border-left: 1px solid $line; }
QFrame[role="decision"] { background: $raised; border: none; border-top: 1px solid $line; }
QFrame[role="rule"] { background: $line; border: none; max-height: 1px; min-height: 1px; }
QFrame[role="bar"] { background: $canvas; border: none; border-top: 1px solid $line; }
QFrame[role="notice"] { border-radius: $radius; background: $neutral_soft; border: 1px solid $line; }
QFrame[role="notice"][tone="info"] { background: $info_soft; border-color: $info_soft; }
QFrame[role="notice"][tone="warning"] { background: $warning_soft; border-color: $warning_soft; }
QFrame[role="notice"][tone="danger"] { background: $danger_soft; border-color: $danger_soft; }
QFrame[role="notice"][tone="success"] { background: $success_soft; border-color: $success_soft; }
QFrame[role="notice"][tone="info"] QLabel { color: $info; }
QFrame[role="notice"][tone="warning"] QLabel { color: $warning; }
QFrame[role="notice"][tone="danger"] QLabel { color: $danger; }
QFrame[role="notice"][tone="success"] QLabel { color: $success; }

/* Words */
QLabel { background: transparent; }
QLabel[role="brand"] { font-size: 15pt; font-weight: 600; color: $accent; }
QLabel[role="title"] { font-size: 16pt; font-weight: 600; }
QLabel[role="heading"] { font-size: 11pt; font-weight: 600; }
QLabel[role="muted"] { color: $muted; }
QLabel[role="caption"] { color: $muted; font-size: 9pt; }
QLabel[role="figure"] { font-size: 18pt; font-weight: 600; }
QLabel[role="error"] { color: $danger; }
QLabel[role="success"] { color: $success; }
QLabel[role="warning"] { color: $warning; }
QLabel[role="keycap"] { background: $neutral_soft; color: $muted; border: 1px solid $line; border-radius: 4px;
    padding: 1px 6px; font-size: 9pt; }

/* Buttons */
QPushButton { background: $raised; border: 1px solid $outline; border-radius: $radius; padding: 6px 14px;
    min-height: 18px; }
QPushButton:hover { background: $hover; }
QPushButton:pressed { background: $pressed; }
QPushButton:focus { border: 2px solid $focus; padding: 5px 13px; }
QPushButton:disabled { color: $muted; background: $canvas; border-color: $line; }
QPushButton[role="primary"] { background: $accent; color: $on_accent; border: 1px solid $accent; font-weight: 600; }
QPushButton[role="primary"]:hover { background: $accent_hover; border-color: $accent_hover; }
QPushButton[role="primary"]:focus { border: 2px solid $text; }
QPushButton[role="primary"]:disabled { background: $neutral_soft; color: $muted; border-color: $line; }
QPushButton[role="danger"] { color: $danger; border-color: $danger; }
QPushButton[role="danger"]:disabled { color: $muted; border-color: $line; }
QPushButton[role="link"] { background: transparent; border: none; color: $accent; padding: 4px 6px; }
QPushButton[role="link"]:hover { text-decoration: underline; }
QPushButton[role="link"]:focus { border: 2px solid $focus; padding: 2px 4px; }
QPushButton[role="place"] { background: transparent; border: none; text-align: left; padding: 8px 12px;
    border-radius: $radius; color: $text; }
QPushButton[role="place"]:hover { background: $hover; }
QPushButton[role="place"]:checked { background: $accent_soft; color: $on_accent_soft; font-weight: 600; }
QPushButton[role="place"]:focus { border: 2px solid $focus; padding: 6px 10px; }
QPushButton[role="filter"] { border: 1px solid $line; border-radius: 13px; padding: 3px 12px; background: $raised;
    color: $muted; }
QPushButton[role="filter"]:hover { background: $hover; color: $text; }
QPushButton[role="filter"]:checked { background: $accent_soft; color: $on_accent_soft; border-color: $accent; }
QPushButton[role="filter"]:focus { border: 2px solid $focus; padding: 2px 11px; }
QPushButton[role="channel"] { background: $raised; border: 1px solid $line; border-radius: 8px; padding: 0;
    text-align: left; }
QPushButton[role="channel"]:hover { background: $hover; }
QPushButton[role="channel"]:checked { border: 2px solid $accent; }
QPushButton[role="channel"]:focus { border: 2px solid $focus; }
QPushButton[role="ledger"] { background: transparent; border: 1px solid transparent; border-radius: 8px; padding: 0;
    text-align: left; }
QPushButton[role="ledger"]:hover { background: $hover; }
QPushButton[role="ledger"]:checked { background: $raised; border-color: $accent; }
QPushButton[role="ledger"]:focus { border: 2px solid $focus; }
QLabel[tone="success"] { color: $success; }
QLabel[tone="warning"] { color: $warning; }
QLabel[tone="danger"] { color: $danger; }
QLabel[tone="info"] { color: $info; }
QToolButton { background: transparent; border: 1px solid transparent; border-radius: $radius; padding: 4px; }
QToolButton:hover { background: $hover; }
QToolButton:pressed, QToolButton:checked { background: $pressed; }
QToolButton:focus { border: 1px solid $focus; }
QToolButton[role="quiet"] { color: $muted; padding: 2px 8px; font-size: 9pt; }
QToolButton[role="quiet"]:hover { color: $text; }
QToolButton::menu-indicator { image: none; }

/* Fields */
QLineEdit, QPlainTextEdit, QTextEdit, QSpinBox, QDateEdit, QComboBox { background: $raised; border: 1px solid $outline;
    border-radius: $radius; padding: 5px 8px; min-height: 20px; selection-background-color: $accent;
    selection-color: $on_accent; }
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus, QSpinBox:focus, QDateEdit:focus, QComboBox:focus {
    border: 2px solid $focus; padding: 4px 7px; }
QLineEdit:disabled, QComboBox:disabled, QSpinBox:disabled, QDateEdit:disabled { background: $canvas; color: $muted;
    border-color: $line; }
QLineEdit[wrong="true"], QComboBox[wrong="true"] { border-color: $danger; }
QComboBox::drop-down, QDateEdit::drop-down { border: none; width: 22px; }
QComboBox::down-arrow, QDateEdit::down-arrow { image: url($chevron); width: 12px; height: 12px; }
QComboBox QAbstractItemView { background: $raised; border: 1px solid $line; outline: none; padding: 4px;
    selection-background-color: $accent_soft; selection-color: $on_accent_soft; }
QComboBox QLineEdit, QComboBox QLineEdit:focus, QSpinBox QLineEdit, QSpinBox QLineEdit:focus {
    border: none; padding: 0; margin: 0; min-height: 0;
    background: transparent; }
QSpinBox::up-button, QSpinBox::down-button { width: 0; border: none; }
QSpinBox QLineEdit, QSpinBox QLineEdit:focus { padding: 0 6px; }
QCheckBox { spacing: 8px; }
QCheckBox::indicator { width: 14px; height: 14px; border: 1px solid $outline; border-radius: 3px; background: $raised; }
QCheckBox::indicator:checked { background: $accent; border-color: $accent; image: url($tick); }
QCheckBox::indicator:disabled { background: $canvas; border-color: $line; }
QCheckBox::indicator:focus { border: 2px solid $focus; width: 12px; height: 12px; }
QCheckBox:focus { color: $accent; }

/* Tables and lists */
QTableView, QListView { background: $surface; border: none; gridline-color: transparent;
    selection-background-color: $accent_soft; selection-color: $on_accent_soft; }
QTableView::item { border: none; padding: 0 10px; }
QTableView:focus { border: none; }
QListView::item { padding: 7px 10px; border-radius: $radius; }
QListView::item:hover { background: $hover; }
QListView::item:selected { background: $accent_soft; color: $on_accent_soft; }
QTreeView { background: $surface; border: 1px solid $line; border-radius: $radius; }
QTreeView::item { padding: 3px 4px; }
QTreeView::item:selected { background: $accent_soft; color: $on_accent_soft; }
QTreeView::indicator { width: 14px; height: 14px; border: 1px solid $outline; border-radius: 3px; background: $raised; }
QTreeView::indicator:checked { background: $accent; border-color: $accent; image: url($tick); }
QTreeView::indicator:disabled { background: $muted; border-color: $muted; }
QHeaderView { background: $surface; border: none; }
QHeaderView::section { background: $surface; color: $muted; border: none; border-bottom: 1px solid $line;
    padding: 6px 13px; font-size: 9pt; }
QTableCornerButton::section { background: $surface; border: none; }
QFrame[role="sheet"] QListView { background: transparent; }
QTableView[role="raw"] { background: $raised; border: 1px solid $line; border-radius: $radius; }
QTableView[role="raw"] QHeaderView, QTableView[role="raw"] QHeaderView::section { background: $raised; }

/* Tabs */
QTabBar { background: transparent; }
QTabBar::tab { background: transparent; color: $muted; padding: 7px 4px; margin-right: 18px; border: none;
    border-bottom: 2px solid transparent; }
QTabBar::tab:selected { color: $text; border-bottom-color: $accent; font-weight: 600; }
QTabBar::tab:hover { color: $text; }
QTabBar::tab:focus { border-bottom-color: $focus; color: $focus; }

/* Menus */
QMenu { background: $raised; border: 1px solid $line; padding: 5px; }
QMenu::item { padding: 6px 26px 6px 14px; border-radius: 4px; }
QMenu::item:selected { background: $accent_soft; color: $on_accent_soft; }
QMenu::item:disabled { color: $muted; }
QMenu::separator { height: 1px; background: $line; margin: 5px 8px; }

/* Progress and bars */
QProgressBar { background: $neutral_soft; border: none; border-radius: 3px; max-height: 6px; min-height: 6px; }
QProgressBar::chunk { background: $accent; border-radius: 3px; }
QScrollBar:vertical { background: transparent; width: 12px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 12px; margin: 0; }
QScrollBar::handle { background: $outline; border-radius: 3px; margin: 3px; min-height: 28px; min-width: 28px; }
QScrollBar::handle:hover { background: $muted; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QSplitter::handle { background: $line; }
QSplitter::handle:horizontal { width: 1px; }
QSplitter::handle:vertical { height: 1px; }
QScrollArea { background: transparent; border: none; }
QScrollArea > QWidget > QWidget { background: transparent; }
QScrollArea > QWidget > QWidget[role="page"] { background: $surface; }
QCalendarWidget QWidget { background: $raised; }
QCalendarWidget QAbstractItemView { selection-background-color: $accent; selection-color: $on_accent; }
"""
