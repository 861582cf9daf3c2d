"""Both themes can be read: contrast is computed from the tokens, icons exist for every command and place."""

import re
import xml.etree.ElementTree as ET

import pytest

import resources
from desktop.commands import ALL, PLACES
from desktop.theme.apply import style_sheet
from desktop.theme.tokens import DARK, LIGHT, TONES, Tokens, tone_colours

THEMES = pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])

VOICES = ("accent", "danger", "warning", "success", "info")
READ = [
    *((text, ground) for text in ("text", "muted") for ground in ("canvas", "surface", "raised", "hover")),
    *(
        (voice, ground)
        for voice in ("accent", "danger", "warning", "success", "info")
        for ground in ("surface", "raised")
    ),
    ("on_accent", "accent"),
    ("on_accent", "accent_hover"),
    ("on_accent_soft", "accent_soft"),
    ("on_tooltip", "tooltip"),
]
SEEN = [(line, ground) for line in ("outline", "focus") for ground in ("surface", "raised", "canvas")]


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """From 1 (the same) to 21 (black on white)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_measure_is_the_known_one():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@THEMES
def test_words_can_be_read(tokens: Tokens):
    pairs = [(getattr(tokens, text), getattr(tokens, ground)) for text, ground in READ]
    pairs += [tone_colours(tokens, tone) for tone in TONES]
    assert [pair for pair in pairs if contrast(*pair) < 4.5] == []


@THEMES
def test_borders_and_focus_can_be_seen(tokens: Tokens):
    assert [pair for pair in SEEN if contrast(getattr(tokens, pair[0]), getattr(tokens, pair[1])) < 3] == []


@THEMES
def test_the_style_sheet_is_filled_and_names_files_that_exist(tokens: Tokens):
    sheet = style_sheet(tokens)
    assert "$" not in sheet
    files = re.findall(r"url\(([^)]+)\)", sheet)
    assert files
    assert [file for file in files if not resources.path(file).is_file()] == []


def test_every_command_and_place_has_an_icon_that_takes_its_colour():
    for name in {one.icon for one in (*ALL, *PLACES)}:
        text = resources.path("icons", f"{name}.svg").read_text("utf-8")
        assert ET.fromstring(text).get("stroke") == "currentColor", name
