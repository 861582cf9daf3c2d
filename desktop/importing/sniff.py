"""What a file is, by its content and never by its name. Everything that is not a card file gets its own sentence.

Guarantees: nothing is parsed here beyond magic numbers and the list of names of a zip file; a file that passes as
`XLSX` still has to pass `package.scan` before any reader sees it.
"""

from __future__ import annotations

import re
import zipfile
from enum import StrEnum
from pathlib import Path

from shared.errors import BadInput


class FileMissing(BadInput):
    """There is nothing at the path."""

    code = "import.file_missing"
    zh = "找不到文件“{name}”。"
    en = "The file “{name}” does not exist."


class FileNotReadable(BadInput):
    """The operating system refuses: another program holds it, or rights are missing."""

    code = "import.file_not_readable"
    zh = "无法打开“{name}”：它可能正被 Excel 打开，或者您没有读取权限。"
    en = "“{name}” cannot be opened: Excel may hold it open, or you may not read it."


class FileEmpty(BadInput):
    """No bytes, or no rows."""

    code = "import.file_empty"
    zh = "“{name}”是空的，没有可读取的行。"
    en = "“{name}” is empty; there are no lines to read."


class FileEncrypted(BadInput):
    """A workbook with a password."""

    code = "import.file_encrypted"
    zh = "“{name}”设有打开密码。请在 Excel 中打开，另存为不带密码的 .xlsx 后再导入。"
    en = "“{name}” is protected by a password. Open it in Excel and save it as .xlsx without one."


class FileLegacy(BadInput):
    """The binary .xls of Excel 97 to 2003."""

    code = "import.file_legacy"
    zh = "“{name}”是旧版 Excel 97-2003(.xls)文件。请在 Excel 或 WPS 中另存为 .xlsx 后再导入。"
    en = "“{name}” is an old Excel 97-2003 (.xls) file. Save it as .xlsx in Excel or WPS first."


class FileOfOtherKind(BadInput):
    """Something else altogether."""

    code = "import.file_of_other_kind"
    zh = "“{name}”的内容是{found}，不是卡密文件。请提供 .xlsx、.csv 或 .txt。"
    en = "“{name}” is {found_en}, not a file of card keys. Please give an .xlsx, .csv or .txt file."


class FileDamaged(BadInput):
    """It began like a workbook and is not whole."""

    code = "import.file_damaged"
    zh = "“{name}”已损坏或不完整（{detail}）。请重新下载，或在 Excel 中打开后另存。"
    en = "“{name}” is damaged or incomplete ({detail}). Download it again, or open it in Excel and save it."


class Kind(StrEnum):
    """The formats that can be read."""

    XLSX = "xlsx"
    TEXT = "text"


KIND_NAMES = {
    Kind.XLSX: ("Excel 工作簿", "an Excel workbook"),
    Kind.TEXT: ("文本", "plain text"),
}
SUFFIXES = {
    Kind.XLSX: (".xlsx", ".xlsm", ".xltx"),
    Kind.TEXT: (".csv", ".txt", ".tsv", ".text", ".log", ".dat", ""),
}

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HEAD_BYTES = 4096

# What else people drop on the window: first bytes, then how it is called.
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF-", "PDF 文档", "a PDF document"),
    (b"Rar!\x1a\x07", "RAR 压缩包", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "7z 压缩包", "a 7z archive"),
    (b"\x1f\x8b", "gzip 压缩包", "a gzip archive"),
    (b"\x89PNG\r\n\x1a\n", "图片", "a picture"),
    (b"\xff\xd8\xff", "图片", "a picture"),
    (b"GIF8", "图片", "a picture"),
    (b"SQLite format 3\x00", "数据库", "a database"),
    (b"{\\rtf", "RTF 文档", "an RTF document"),
)
# Systems that offer "export to Excel" often write a web page and call it .xls.
_MARKUP = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?xml|<!doctype|<html|<table|<meta|<head)", re.IGNORECASE)
_ZIP_KINDS: tuple[tuple[str, str, str], ...] = (
    ("xl/workbook.bin", "二进制工作簿（.xlsb），请另存为 .xlsx", "a binary workbook (.xlsb), save it as .xlsx"),
    ("word/document.xml", "Word 文档", "a Word document"),
    ("ppt/presentation.xml", "PowerPoint 文档", "a PowerPoint document"),
    ("content.xml", "OpenDocument 表格（.ods），请另存为 .xlsx", "an OpenDocument file (.ods), save it as .xlsx"),
)


def sniff(path: Path) -> Kind:
    """The kind of the file. Raises the `BadInput` that says what it is instead."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise FileMissing(name=path.name) from None
    except OSError:
        raise FileNotReadable(name=path.name) from None
    if not head:
        raise FileEmpty(name=path.name)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _sniff_zip(path)
    if head.startswith(_OLE):
        raise _ole_error(path)
    for magic, found, found_en in _MAGIC:
        if head.startswith(magic):
            raise FileOfOtherKind(name=path.name, found=found, found_en=found_en)
    if _MARKUP.match(head):
        raise FileOfOtherKind(
            name=path.name,
            found="网页或 XML（有些系统把网页导出成 .xls），请用 Excel 打开后另存为 .xlsx",
            found_en="a web page or XML (some systems export one as .xls; open it in Excel and save it as .xlsx)",
        )
    return Kind.TEXT


def _sniff_zip(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise FileDamaged(name=path.name, detail="zip") from error
    if any(entry.flag_bits & 0x1 for entry in entries):
        raise FileEncrypted(name=path.name)
    names = {entry.filename for entry in entries}
    if "xl/workbook.xml" in names:
        return Kind.XLSX
    for name, found, found_en in _ZIP_KINDS:
        if name in names:
            raise FileOfOtherKind(name=path.name, found=found, found_en=found_en)
    raise FileOfOtherKind(name=path.name, found="ZIP 压缩包", found_en="a ZIP archive")


def _ole_error(path: Path) -> BadInput:
    """An OLE container is an encrypted .xlsx, an old .xls, or something else; its directory names its streams."""
    wanted = {name: name.encode("utf-16-le") for name in ("EncryptedPackage", "Workbook", "Book")}
    found: set[str] = set()
    carry = b""
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            data = carry + block
            found |= {name for name, pattern in wanted.items() if pattern in data}
            carry = data[-64:]
    if "EncryptedPackage" in found:
        return FileEncrypted(name=path.name)
    if found:
        return FileLegacy(name=path.name)
    return FileOfOtherKind(name=path.name, found="旧版 Office 文档", found_en="an old Office document")
