"""The design tokens: every colour and size of the console, light and dark. No other file names a colour.

Colours are `#rrggbb`. Text tokens reach a contrast of 4.5:1 on the surfaces they are used on, and lines that
carry meaning 3:1; tests/desktop/test_theme.py computes both.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tokens:
    """One theme. Names say the job, never the hue."""

    name: str
    canvas: str  # behind everything: window, navigation
    surface: str  # pages and tables
    raised: str  # cards, fields, menus, sheets
    hover: str
    pressed: str
    line: str  # quiet dividers
    outline: str  # borders of controls, 3:1 against the surface
    text: str
    muted: str  # second voice: captions, units, ages
    accent: str  # the one action of a page, links, the selected place
    accent_hover: str
    on_accent: str
    accent_soft: str  # behind selected rows and the selected place
    on_accent_soft: str
    focus: str
    success: str
    success_soft: str
    warning: str
    warning_soft: str
    danger: str
    danger_soft: str
    info: str
    info_soft: str
    neutral_soft: str
    tooltip: str
    on_tooltip: str


LIGHT = Tokens(
    name="light",
    canvas="#f1f3f4",
    surface="#fafbfb",
    raised="#ffffff",
    hover="#e8ecee",
    pressed="#dde3e6",
    line="#e2e6e9",
    outline="#7e8b93",
    text="#172026",
    muted="#55636c",
    accent="#0b6e63",
    accent_hover="#095b52",
    on_accent="#ffffff",
    accent_soft="#d9efeb",
    on_accent_soft="#0a4f47",
    focus="#1a8f82",
    success="#1b6e3a",
    success_soft="#def2e4",
    warning="#875300",
    warning_soft="#fbeccb",
    danger="#ab2a20",
    danger_soft="#fbe3df",
    info="#1f5c99",
    info_soft="#deebf8",
    neutral_soft="#e9edef",
    tooltip="#20292f",
    on_tooltip="#f3f6f7",
)

DARK = Tokens(
    name="dark",
    canvas="#12171a",
    surface="#171d21",
    raised="#1e262b",
    hover="#263036",
    pressed="#303c43",
    line="#2a343a",
    outline="#6b7982",
    text="#e5ebee",
    muted="#9dabb3",
    accent="#43bfae",
    accent_hover="#5fd0c0",
    on_accent="#05231f",
    accent_soft="#173d39",
    on_accent_soft="#a9e8de",
    focus="#43bfae",
    success="#6fcf91",
    success_soft="#17382a",
    warning="#e8b65a",
    warning_soft="#3d3018",
    danger="#f28b80",
    danger_soft="#45231f",
    info="#84b9ee",
    info_soft="#1b3347",
    neutral_soft="#2b353b",
    tooltip="#e5ebee",
    on_tooltip="#172026",
)

TONES = ("success", "warning", "danger", "info", "neutral", "accent")
"""The voices of a badge: each is a pair of text and background below."""


def tone_colours(tokens: Tokens, tone: str) -> tuple[str, str]:
    """Text and background of a badge of `tone`, which is one of TONES."""
    if tone == "neutral":
        return tokens.muted, tokens.neutral_soft
    if tone == "accent":
        return tokens.on_accent_soft, tokens.accent_soft
    return str(getattr(tokens, tone)), str(getattr(tokens, f"{tone}_soft"))


SPACE = 8
"""The unit of distance in device independent pixels; gaps are multiples of it or its half."""

RADIUS = 6

UI_FAMILIES = ["Microsoft YaHei UI", "PingFang SC", "Noto Sans CJK SC", "WenQuanYi Micro Hei", "sans-serif"]

# Faces whose zero is slashed or dotted and whose 1, l and I differ: card keys are read from them.
KEY_FAMILIES = ["Cascadia Mono", "Consolas", "SF Mono", "Menlo", "DejaVu Sans Mono", "monospace"]
