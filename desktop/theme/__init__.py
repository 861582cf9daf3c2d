"""Colours, sizes, fonts and icons of the console: tokens in, one palette and one style sheet out.

Widgets ask `theme.current()` for a token when they paint; nobody else writes a colour.
"""

from desktop.theme.apply import Mode, Theme, current, install

__all__ = ["Mode", "Theme", "current", "install"]
