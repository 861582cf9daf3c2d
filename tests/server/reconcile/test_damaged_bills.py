"""Whatever becomes of a bill's bytes, it is read with its money whole, or refused in words; nothing else can happen."""

import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.gateways.bill_rows import UnreadableBill
from tests.server.reconcile.test_refused_bills import ALIPAY, ALIPAY_FUNDS, ALL, FUNDS, alipay, rows_of, wechat

SAMPLES = Path(__file__).parents[2] / "data" / "bills"


def detail(name):
    """The file with the rows of a zip, alone."""
    with zipfile.ZipFile(SAMPLES / name) as archive:
        return archive.read(archive.namelist()[0])


def total(rows):
    return sum(row.amount_fen * (-1 if row.kind == "refund" and row.amount_fen > 0 else 1) for row in rows)


PLAIN = {name: wechat(name) for name in (ALL, FUNDS)} | {
    f"{name}, alone": detail(name) for name in (ALIPAY, ALIPAY_FUNDS)
}
PACKED = {f"{ALL}.gz": (SAMPLES / f"{ALL}.gz").read_bytes(), ALIPAY: alipay(ALIPAY), ALIPAY_FUNDS: alipay(ALIPAY_FUNDS)}
WHOLE = {name: rows_of(content) for name, content in (PLAIN | PACKED).items()}

EDITS = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.integers(0, 40),
        st.one_of(st.binary(max_size=12), st.sampled_from([b",`", b"\r\n", b"`", b","])),
    ),
    min_size=1,
    max_size=3,
)


def edited(content, edits):
    for place, gone, new in edits:
        at = int(place * len(content))
        content = content[:at] + new + content[at + gone :]
    return content


@pytest.mark.parametrize("name", [*PLAIN, *PACKED])
@settings(max_examples=40, deadline=None)
@given(edits=EDITS)
def test_damaged_bytes_are_read_with_their_money_whole_or_refused(name, edits):
    content = edited((PLAIN | PACKED)[name], edits)
    try:
        rows = rows_of(content)
    except UnreadableBill as refused:
        told = refused.sentence("zh"), refused.sentence("en")
        rows = WHOLE[name] if all(told) else []
    assert (len(rows), total(rows)) == (len(WHOLE[name]), total(WHOLE[name]))
