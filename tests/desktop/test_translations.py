"""The English catalogue has every sentence of the window, and no sentence is built where lupdate cannot see it.

After changing a sentence, from the root of the repository:

    pyside6-lupdate desktop/app.py $(find desktop/commands desktop/views desktop/widgets -name '*.py' | sort) \
        -source-language zh_CN -target-language en -no-obsolete -locations none -ts resources/translations/kameng_en.ts
    (translate what is unfinished)
    pyside6-lrelease resources/translations/kameng_en.ts
"""

import ast
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import resources
from tests.rules.source import sources

CATALOGUE = resources.path("translations", "kameng_en.ts")
WINDOW = ("desktop/app.py", "desktop/commands/", "desktop/views/", "desktop/widgets/")


def window_files() -> list[Path]:
    root = Path(resources.ROOT).parent
    return [root / one.path for one in sources("desktop") if one.path.startswith(WINDOW)]


def tool(name: str) -> str:
    beside = Path(sys.executable).with_name(f"pyside6-{name}")
    found = str(beside) if beside.exists() else shutil.which(f"pyside6-{name}")
    assert found, f"pyside6-{name} comes with PySide6-Essentials"
    return found


def sentences(catalogue: Path) -> list[tuple[str, str, list[str], bool]]:
    """(context, source, translations, finished) of every message."""
    found = []
    for context in ET.parse(catalogue).getroot().findall("context"):
        for message in context.findall("message"):
            translation = message.find("translation")
            forms = [form.text or "" for form in translation.findall("numerusform")] or [translation.text or ""]
            found.append(
                (context.findtext("name"), message.findtext("source"), forms, "type" not in translation.attrib)
            )
    return found


def test_lupdate_leaves_no_difference(tmp_path):
    copy = tmp_path / "kameng_en.ts"
    shutil.copy(CATALOGUE, copy)
    options = ["-source-language", "zh_CN", "-target-language", "en", "-no-obsolete", "-locations", "none", "-silent"]
    subprocess.run([tool("lupdate"), *map(str, window_files()), *options, "-ts", str(copy)], check=True)
    assert copy.read_text("utf-8") == CATALOGUE.read_text("utf-8"), "the head of this file says what to run"


def test_everything_is_translated_and_keeps_its_values():
    messages = sentences(CATALOGUE)
    assert len(messages) > 300
    assert [one[:2] for one in messages if not one[3] or not all(one[2])] == []
    named = re.compile(r"\{\w+\}")
    pairs = [(source, form) for _, source, forms, _ in messages for form in forms]
    assert [pair for pair in pairs if set(named.findall(pair[0])) != set(named.findall(pair[1]))] == []
    han = [pair for pair in pairs if re.search("[\u4e00-\u9fff]", pair[1]) and "简体中文" not in pair[0]]
    assert han == []


def test_the_compiled_catalogue_is_of_this_text(tmp_path):
    made = tmp_path / "kameng_en.qm"
    subprocess.run([tool("lrelease"), "-silent", str(CATALOGUE), "-qm", str(made)], check=True)
    assert made.read_bytes() == CATALOGUE.with_suffix(".qm").read_bytes(), "the head of this file says what to run"


def test_the_numbers_of_a_payment_have_one_name_each():
    """商户订单号 and 渠道流水号 at every screen, in every file and in every refusal: a clerk compares them."""
    another = re.compile("渠道单号|渠道交易单号|商户单号")
    told = [
        one.path for package in ("desktop", "server", "shared") for one in sources(package) if another.search(one.text)
    ]
    assert told == []


def unseen(tree: ast.Module) -> list[int]:
    """Lines where tr() or translate() gets something else than plain text: lupdate would not find it."""
    lines = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        position = {"tr": 0, "translate": 1}.get(name)
        if position is None or len(node.args) <= position:
            continue
        text = node.args[position]
        if not (isinstance(text, ast.Constant) and isinstance(text.value, str)):
            lines.append(node.lineno)
    return lines


def test_no_sentence_is_built_inside_tr():
    broken = {one.path: unseen(one.parsed()) for one in sources("desktop") if one.path.startswith(WINDOW)}
    assert {path: lines for path, lines in broken.items() if lines} == {}


@pytest.mark.parametrize(
    ("code", "lines"),
    [("self.tr(f'{n} rows')", [1]), ("translate('C', text)", [1]), ("self.tr('rows').format(n=n)", [])],
)
def test_the_rule_bites(code, lines):
    assert unseen(ast.parse(code)) == lines
