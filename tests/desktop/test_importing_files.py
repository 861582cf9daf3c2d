"""Guarantees of desktop.importing about whole files: each unusable one gets its own sentence, nothing is guessed."""

import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import pytest

from desktop.importing import Columns, Options, plan, run
from desktop.importing.decode import EncodingUncertain, EncodingUnknown, FileUndecodable, LineTooLong
from desktop.importing.package import FileExplodes, FileWithDoctype, SheetTooWide
from desktop.importing.read import SheetMissing
from desktop.importing.session import ColumnMissing
from desktop.importing.sniff import (
    FileDamaged,
    FileEmpty,
    FileEncrypted,
    FileLegacy,
    FileMissing,
    FileOfOtherKind,
)
from shared.errors import KamengError
from tests.desktop.files import Imported, ole, repacked, workbook, zipped

ROWS = [("卡号", "卡密"), ("0001", "AAAA1111"), ("0002", "BBBB2222")]
CARDS = [(2, "0001", "AAAA1111"), (3, "0002", "BBBB2222")]
TEXT = "卡号,卡密\n0001,AAAA1111\n0002,BBBB2222\n"


def refusal(path: Path, options: Options | None = None) -> KamengError:
    """The error of a run, the same as that of a preview, and without a single chunk."""
    chunks: list[object] = []
    with pytest.raises(KamengError) as of_run:
        run(path, options, chunks.append)
    with pytest.raises(type(of_run.value)) as of_plan:
        plan(path, options)
    assert of_plan.value.sentence() == of_run.value.sentence()
    assert chunks == []
    return of_run.value


@pytest.mark.parametrize(
    ("name", "content", "kind", "sentence"),
    [
        ("empty.xlsx", b"", FileEmpty, "“empty.xlsx”是空的，没有可读取的行。"),
        ("blank.txt", b"\n \n\t\n", FileEmpty, "“blank.txt”是空的，没有可读取的行。"),
        ("bom.csv", b"\xef\xbb\xbf", FileEmpty, "“bom.csv”是空的，没有可读取的行。"),
        (
            "secret.xlsx",
            ole("EncryptionInfo", "EncryptedPackage"),
            FileEncrypted,
            "“secret.xlsx”设有打开密码。请在 Excel 中打开，另存为不带密码的 .xlsx 后再导入。",
        ),
        (
            "old.xls",
            ole("Workbook"),
            FileLegacy,
            "“old.xls”是旧版 Excel 97-2003(.xls)文件。请在 Excel 或 WPS 中另存为 .xlsx 后再导入。",
        ),
        (
            "renamed.xlsx",
            ole("Workbook"),
            FileLegacy,
            "“renamed.xlsx”是旧版 Excel 97-2003(.xls)文件。请在 Excel 或 WPS 中另存为 .xlsx 后再导入。",
        ),
        (
            "keys.doc",
            ole("WordDocument"),
            FileOfOtherKind,
            "“keys.doc”的内容是旧版 Office 文档，不是卡密文件。请提供 .xlsx、.csv 或 .txt。",
        ),
        (
            "keys.csv",
            b"%PDF-1.7\n",
            FileOfOtherKind,
            "“keys.csv”的内容是PDF 文档，不是卡密文件。请提供 .xlsx、.csv 或 .txt。",
        ),
        (
            "page.xls",
            b"<html><table><tr><td>1</td></tr></table>",
            FileOfOtherKind,
            (
                "“page.xls”的内容是网页或 XML（有些系统把网页导出成 .xls），请用 Excel 打开后另存为 .xlsx，"
                "不是卡密文件。请提供 .xlsx、.csv 或 .txt。"
            ),
        ),
        (
            "keys.zip",
            zipped(keys_dot_txt=b"A"),
            FileOfOtherKind,
            "“keys.zip”的内容是ZIP 压缩包，不是卡密文件。请提供 .xlsx、.csv 或 .txt。",
        ),
        (
            "keys.xlsx",
            zipped(word__document_dot_xml=b"<a/>"),
            FileOfOtherKind,
            "“keys.xlsx”的内容是Word 文档，不是卡密文件。请提供 .xlsx、.csv 或 .txt。",
        ),
        ("cut.xlsx", b"PK\x03\x04" + bytes(100), FileDamaged, None),
        ("picture.txt", b"\x89PNG\r\n\x1a\n" + bytes(50), FileOfOtherKind, None),
        ("binary.txt", bytes(range(256)) * 20, FileOfOtherKind, None),
        (
            "long.txt",
            b"A" * 3_000_000,
            LineTooLong,
            "“long.txt”超过 1 MB 没有换行，不像卡密列表。",
        ),
    ],
)
def test_a_file_that_is_no_card_file_says_what_it_is(
    tmp_path: Path, name: str, content: bytes, kind: type[KamengError], sentence: str | None
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    error = refusal(path)
    assert type(error) is kind
    assert sentence is None or error.sentence("zh") == sentence
    assert name in error.sentence("en")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert type(refusal(tmp_path / "none.xlsx")) is FileMissing
    assert refusal(tmp_path).sentence("en").startswith(f"“{tmp_path.name}” cannot be opened")


@pytest.mark.parametrize("name", ["keys.txt", "keys.xls", "keys.csv"])
def test_a_workbook_with_a_wrong_extension_is_read_by_its_content(tmp_path: Path, name: str) -> None:
    imported = Imported(workbook(tmp_path / "a.xlsx", ROWS).rename(tmp_path / name))
    assert imported.figures == (3, 2, 0, 0, 1)
    assert imported.rows == CARDS
    suffix = Path(name).suffix
    assert imported.notices == [f"文件名以“{suffix}”结尾，内容是Excel 工作簿，已按内容读取。"]


def test_a_text_file_called_xlsx_is_read_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "keys.xlsx"
    path.write_text(TEXT, encoding="utf-8")
    imported = Imported(path)
    assert imported.rows == CARDS
    assert imported.notices == ["文件名以“.xlsx”结尾，内容是文本，已按内容读取。"]


@pytest.mark.parametrize(
    ("label", "content", "encoding"),
    [
        ("UTF-8", TEXT.encode(), "utf-8"),
        ("UTF-8 with BOM", TEXT.encode("utf-8-sig"), "utf-8-sig"),
        ("GBK", TEXT.encode("gbk"), "gb18030"),
        ("GB18030, four bytes", (TEXT + "0003,㐀㐁\U00020000\n").encode("gb18030"), "gb18030"),
        ("UTF-16 LE with BOM", b"\xff\xfe" + TEXT.encode("utf-16-le"), "utf-16"),
        ("UTF-16 BE with BOM", b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf-16"),
        ("UTF-32 with BOM", TEXT.encode("utf-32"), "utf-32"),
        ("carriage returns only", TEXT.replace("\n", "\r").encode(), "utf-8"),
        ("CR LF and no last line end", TEXT.strip().replace("\n", "\r\n").encode(), "utf-8"),
    ],
)
def test_every_encoding_gives_the_same_cards(tmp_path: Path, label: str, content: bytes, encoding: str) -> None:
    path = tmp_path / "keys.csv"
    path.write_bytes(content)
    preview = plan(path)
    assert (preview.encoding, preview.encoding_certain) == (encoding, True), label
    imported = Imported(path)
    assert imported.rows[:2] == CARDS
    assert imported.ledger.refused == 0
    assert imported.notices == []


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_asks_and_then_reads(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "keys.csv"
    path.write_bytes(("card,key\n" + TEXT.partition("\n")[2]).encode(encoding))
    error = refusal(path)
    assert type(error) is EncodingUncertain
    assert error.sentence() == f"“keys.csv”像是没有标记的 {encoding} 编码，请确认：选择编码 {encoding} 后重试。"
    assert Imported(path, Options(encoding=encoding)).rows == CARDS


def test_a_chosen_encoding_also_drops_its_mark(tmp_path: Path) -> None:
    path = tmp_path / "keys.csv"
    path.write_bytes(b"\xff\xfe" + TEXT.encode("utf-16-le"))
    assert Imported(path, Options(encoding="UTF-16LE")).rows == CARDS
    path.write_bytes(TEXT.encode("utf-8-sig"))
    assert Imported(path, Options(encoding="utf8")).rows == CARDS


def test_short_chinese_that_is_valid_utf8_by_chance_is_read_as_gb18030_and_said_so(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_bytes("目录,A-1\n目录,B-2\n".encode("gbk"))
    preview = plan(path)
    assert (preview.encoding, preview.encoding_certain) == ("gb18030", False)
    assert preview.lines[0].raw == "目录,A-1"
    assert preview.notices[0].zh == "中文很少，编码按 gb18030 猜测，请核对前几行。"
    assert plan(path, Options(encoding="utf-8")).lines[0].raw == "Ŀ¼,A-1"


def test_broken_bytes_are_shown_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_bytes(b"AAAA-1\nBBBB-\xff\xff2\n")
    error = refusal(path)
    assert type(error) is FileUndecodable
    assert error.sentence() == (
        "“keys.txt”第 2 行不是有效的 gb18030 文字（字节 ff ff 32 0a）。请选择正确的编码，或另存为 UTF-8。"
    )
    path.write_text(TEXT, encoding="gbk")
    assert refusal(path, Options(encoding="utf-8")).params["line"] == 1
    assert type(refusal(path, Options(encoding="utf-9"))) is EncodingUnknown
    assert type(refusal(path, Options(encoding="base64"))) is EncodingUnknown


def test_an_unknown_sheet_or_column_is_named(tmp_path: Path) -> None:
    path = workbook(tmp_path / "keys.xlsx", ROWS)
    error = refusal(path, Options(sheet="Sheet9"))
    assert type(error) is SheetMissing
    assert error.sentence() == "“keys.xlsx”里没有工作表“Sheet9”。现有：卡密。"
    error = refusal(path, Options(columns=Columns(secret=7)))
    assert type(error) is ColumnMissing
    assert error.sentence() == "“keys.xlsx”没有第 8 列。"


def test_a_workbook_without_cells_is_empty(tmp_path: Path) -> None:
    assert type(refusal(workbook(tmp_path / "keys.xlsx", []))) is FileEmpty


def sheet_xml(rows: bytes) -> bytes:
    return (
        b'<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        b"<sheetData>" + rows + b"</sheetData></worksheet>"
    )


def with_sheet(tmp_path: Path, xml: bytes) -> Path:
    """The workbook of ROWS with its sheet's XML replaced."""
    plain = workbook(tmp_path / "plain.xlsx", ROWS)
    return repacked(plain, tmp_path / "keys.xlsx", lambda name, old: xml if "sheet1.xml" in name else old)


def test_a_zip_bomb_is_refused_before_a_reader_opens_it(tmp_path: Path) -> None:
    error = refusal(with_sheet(tmp_path, sheet_xml(b'<row r="1"/>' + b" " * 40_000_000)))
    assert type(error) is FileExplodes
    assert error.sentence() == (
        "“keys.xlsx”解压后过大（xl/worksheets/sheet1.xml），已拒绝。请删除多余的工作表和列，或拆成几个文件。"
    )


def test_a_zip_bomb_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = with_sheet(tmp_path, sheet_xml(b'<row r="1"/>' + b" " * 40_000_000))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("xl/worksheets/sheet1.xml").file_size
    lie = (1000).to_bytes(4, "little")
    assert content.count(size.to_bytes(4, "little")) == 2  # local header and central directory
    path.write_bytes(content.replace(size.to_bytes(4, "little"), lie))
    assert type(refusal(path)) is FileExplodes
    small = with_sheet(tmp_path, sheet_xml(b'<row r="1"/>' + b" " * 100_000))
    with zipfile.ZipFile(small) as archive:
        size = archive.getinfo("xl/worksheets/sheet1.xml").file_size
    small.write_bytes(small.read_bytes().replace(size.to_bytes(4, "little"), lie))
    assert type(refusal(small)) is FileDamaged


def test_a_doctype_is_refused_wherever_it_hides(tmp_path: Path) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    for prolog in (b"", b'<?xml version="1.0"?>', b"<!-- " + b"-" * 30_000 + b" <a> -->\n"):
        error = refusal(with_sheet(tmp_path, prolog + bomb + sheet_xml(b"").partition(b"?>")[2]))
        assert type(error) is FileWithDoctype
    plain = workbook(tmp_path / "plain.xlsx", ROWS)
    path = repacked(plain, tmp_path / "b.xlsx", lambda name, old: bomb + b"<a/>" if "styles" in name else old)
    assert type(refusal(path)) is FileWithDoctype


def test_two_cells_in_far_corners_are_refused_in_either_order(tmp_path: Path) -> None:
    first = b'<row r="1"><c r="A1"><v>1</v></c></row>'
    last = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    for rows in (first + last, last + first):
        error = refusal(with_sheet(tmp_path, sheet_xml(rows)))
        assert type(error) is SheetTooWide
        assert error.sentence() == (
            "工作表“卡密”的数据范围达到 1048576 行 16384 列，无法读取。请删除远处多余的单元格后另存。"
        )


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_workbook_gives_a_sentence_or_the_same_cards(tmp_path: Path, seed: int) -> None:
    path = workbook(tmp_path / "keys.xlsx", ROWS)
    content = bytearray(path.read_bytes())
    at = zlib.crc32(bytes([seed])) % len(content)
    path.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :] if seed % 2 else content[:at])
    with suppress(KamengError):  # and nothing else: no other error may come out
        assert set(Imported(path).rows) <= set(CARDS)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.csv"
    path.write_text(TEXT, encoding="utf-8")

    def scribble(_: object) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write("0003,CCCC3333\n")

    with pytest.raises(KamengError) as error:
        run(path, None, scribble)
    assert error.value.sentence() == "“keys.csv”在读取时被修改了，没有导入。请保存并关闭后重试。"
