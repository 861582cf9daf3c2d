"""How a bill travels: a large one is packed first, and says the same to the server."""

import gzip

import pytest

from desktop.operations import bill_files
from desktop.operations.bill_files import BillTooLarge, packed


def test_a_large_bill_that_is_not_packed_is_packed_to_be_sent(tmp_path, monkeypatch):
    file, rows = tmp_path / "All.csv", b"".join(b"`%032d,`9.90\r\n" % n for n in range(30_000))
    file.write_bytes(rows)
    content = packed(file)
    assert (gzip.decompress(content), len(content) < len(rows) / 5) == (rows, True)
    file.write_bytes(content)
    assert packed(file) == content
    file.write_bytes(rows[:1_000])
    assert packed(file) == rows[:1_000]
    file.write_bytes(rows)
    for name, most in (("MOST_SENT", 10_000), ("MOST_UNPACKED", len(rows) - 1)):
        with monkeypatch.context() as patched:
            patched.setattr(bill_files, name, most)
            with pytest.raises(BillTooLarge):
                packed(file)
