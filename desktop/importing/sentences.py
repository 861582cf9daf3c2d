"""Everything an import says to a person, as literal tables of stable codes.

`REASONS` and `REPAIRS` extend the tables of `shared.cardkey` with what only a file can do wrong. `NOTICES` are
about the whole file. Read by `judge`, `ledger`, the console's import screen and the exporter of refused rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared import cardkey
from shared.contracts.stock import LineResult
from shared.sentence import Sentence

REASONS: dict[str, Sentence] = cardkey.REASONS | {
    "over_15_digits": Sentence(
        "是超过 15 位的数字，Excel 已改掉末尾数字，请把列设为文本后重新导出",
        "Is a number of more than 15 digits: Excel has changed the last ones; set the column to text and export again",
    ),
    "fraction": Sentence("是小数，不是卡密", "Is a number with a fraction, not a key"),
    "negative_number": Sentence("是负数，不是卡密", "Is a negative number, not a key"),
    "number_format": Sentence(
        "是带显示格式的数字，看到的和存的不一样，请把列设为文本",
        "Is a formatted number: what is shown is not what is stored; set the column to text",
    ),
    "date_cell": Sentence("是日期或时间单元格，不是文本", "Is a date or time cell, not text"),
    "bool_cell": Sentence("是逻辑值（TRUE/FALSE）单元格，不是文本", "Is a TRUE/FALSE cell, not text"),
    "error_cell": Sentence("是错误值单元格", "Is an error cell"),
    "formula_cell": Sentence("是公式，请复制后选择性粘贴为数值", "Is a formula; paste it as values first"),
    "merged_cell": Sentence("属于合并单元格，请先取消合并", "Is part of a merged cell; unmerge it first"),
    "zeros_lost": Sentence(
        "是数字，位数比同批少，开头的 0 可能已被 Excel 去掉",
        "Is a number shorter than the others: Excel may have dropped leading zeros",
    ),
    "wrong_columns": Sentence("列数与其他行不同", "Has another number of columns than the other lines"),
    "broken_quotes": Sentence("引号没有配对", "Has a quote that is not closed"),
    "repair_refused": Sentence("需要修整，而您选择了不修整", "Would need a repair, and repairs were refused"),
    "expired": Sentence("已过有效期", "Has expired"),
    "expiry_unreadable": Sentence(
        "有效期无法识别，请核对日期写法", "Has an expiry date that cannot be read; check how days are written"
    ),
    "cost_unreadable": Sentence("成本不是金额，例如 8.70", "Has a cost that is not an amount such as 8.70"),
    "uses_unreadable": Sentence(
        "可用次数不是 1 到 10000 的整数", "Has a number of uses that is not a whole number from 1 to 10,000"
    ),
    "duplicate": Sentence("与第 {first_line} 行重复", "Is the same as line {first_line}"),
    "empty_row": Sentence("空行", "Empty line"),
    "header": Sentence("标题行", "Heading"),
    "hidden_row": Sentence("隐藏行", "Hidden row"),
}
"""Why a row is refused, a duplicate, or skipped."""

REPAIRS: dict[str, Sentence] = cardkey.REPAIRS | {
    "zeros_rebuilt": Sentence("按数字格式补回了开头的 0", "Leading zeros rebuilt from the cell's number format"),
    "number_cell": Sentence("数字单元格按整数读取", "Number cell read as a whole number"),
    "zeros_accepted": Sentence(
        "位数较少的数字，按您的选择原样导入", "Shorter number, imported as it is because you chose so"
    ),
}
"""What was changed in a row that is imported."""

OF_SERVER: dict[LineResult, Sentence] = {
    LineResult.DUPLICATE_IN_STOCK: Sentence("库存中已有这张卡密", "Is in stock already"),
    LineResult.DUPLICATE_SOLD: Sentence("这张卡密以前已经售出过", "Was sold before"),
    LineResult.DUPLICATE_ELSEWHERE: Sentence(
        "另一家供应商提供过这张卡密，已通知运营人员", "Another supplier brought this key; the operator was told"
    ),
    LineResult.WRONG_PATTERN: Sentence("不符合该商品的卡密格式", "Does not look like this product's keys"),
    LineResult.EXPIRED: Sentence("已过有效期", "Has expired"),
    LineResult.REFUSED: Sentence("服务器不接受这一行", "Is not accepted by the server"),
}
"""Why the server did not take a row."""

OF_STOCK = frozenset({LineResult.DUPLICATE_IN_STOCK, LineResult.DUPLICATE_SOLD, LineResult.DUPLICATE_ELSEWHERE})
"""The reasons that the server counts as duplicates; the others are refusals."""

_NOTICES: dict[str, Sentence] = {
    "other_extension": Sentence(
        "文件名以“{suffix}”结尾，内容是{found}，已按内容读取。",
        "The name ends in “{suffix}” but the content is {found_en}; it was read by its content.",
    ),
    "encoding_guessed": Sentence(
        "中文很少，编码按 {encoding} 猜测，请核对前几行。",
        "There is little Chinese text; the encoding {encoding} is a guess, please check the first lines.",
    ),
    "columns_guessed": Sentence(
        "没有标题行，列是按内容猜的，请核对。",
        "There is no heading; the columns were guessed from the content, please check.",
    ),
    "columns_unused": Sentence("没有使用的列：{columns}。", "Columns not used: {columns}."),
    "separator_not_unanimous": Sentence(
        "前 {sample} 行中有 {odd} 行的列数不同，其中不能对应到卡密列的会被拒绝。",
        "{odd} of the first {sample} lines have another number of columns; those that do not fit are refused.",
    ),
    "sheet_hidden": Sentence("隐藏的工作表“{sheet}”没有读取。", "The hidden sheet “{sheet}” was not read."),
    "sheet_not_read": Sentence(
        "工作表“{sheet}”没有读取；需要时请选择它再导入一次。",
        "The sheet “{sheet}” was not read; choose it and import again if you need it.",
    ),
    "sheet_empty": Sentence("工作表“{sheet}”是空的。", "The sheet “{sheet}” is empty."),
    "rows_hidden": Sentence(
        "有 {count} 个隐藏行，默认跳过：{addresses}。",
        "{count} hidden rows are skipped unless asked for: {addresses}.",
    ),
    "cells_merged": Sentence(
        "有 {count} 处合并单元格：{addresses}。卡密列里被合并的行会被拒绝。",
        "{count} merged ranges: {addresses}. Merged rows of a key column are refused.",
    ),
    "formulas": Sentence(
        "卡密列有 {count} 个公式单元格，会被拒绝：{addresses}。",
        "{count} formula cells in key columns are refused: {addresses}.",
    ),
    "zeros_lost": Sentence(
        "“{column}”列是数字而不是文本，{count} 个位数不足，开头的 0 可能已丢失：{addresses}。请选择拒绝或原样导入。",
        "Column “{column}” holds numbers, not text; {count} are short and may have lost leading zeros: {addresses}. "
        "Choose to refuse them or to import them as they are.",
    ),
    "digits_short": Sentence(
        "有 {count} 行的纯数字卡密比其他行短，开头的 0 可能在导出 CSV 时丢失：第 {addresses} 行。",
        "{count} all-digit keys are shorter than the others; leading zeros may have been lost when the CSV was "
        "written: lines {addresses}.",
    ),
    "nothing_valid": Sentence(
        "没有可导入的卡密：读取 {read} 行，重复 {duplicates}，拒绝 {refused}，跳过 {skipped}。",
        "There is nothing to import: {read} lines read, {duplicates} duplicates, {refused} refused, {skipped} skipped.",
    ),
}


@dataclass(frozen=True, slots=True)
class Notice:
    """One remark about the whole file. `code` is stable; the sentences are ready to show."""

    code: str
    zh: str
    en: str

    def sentence(self, language: str = "zh") -> str:
        """The sentence; `language` starts with `en` for English, anything else is 简体中文."""
        return self.en if language.startswith("en") else self.zh


def notice(code: str, **values: object) -> Notice:
    """The notice `code` with its values filled in."""
    template = _NOTICES[code]
    return Notice(code, template.zh.format(**values), template.en.format(**values))
