"""The file of instructions for the bank: the server notes no file that does not stand, and none stands unnoted."""

from datetime import timedelta
from pathlib import Path

import openpyxl
import pytest

from desktop.engine.transport import Unreachable
from desktop.exporting.target import TargetBusy, TargetProtected, TargetUnwritable
from desktop.locks import FileLock
from desktop.operations import payout_files, settlement
from shared import clock, ids
from shared.contracts.settlement import EditTerms
from shared.errors import Conflict
from shared.finance import Cycle, ReleaseFrom
from tests.desktop.live import Line
from tests.world import ANNA


@pytest.fixture
def approved(world, colleague):
    """A payout of 星河 that two people want sent, made by 周洁."""
    agreed = {"mode": "purchase", "cycle": Cycle.D0, "n": 0, "release_from": ReleaseFrom.DELIVERED}
    zhou, wang = colleague("zhou"), colleague("wang")
    with clock.fixed(clock.day_bounds(clock.shop_day(clock.now()))[0] - timedelta(hours=12)):
        terms = EditTerms(**agreed, account="6222-01", reason="合同 2026-1", version=0)
        zhou.run(settlement.edit_terms(zhou.engine, world.suppliers["xinghe"], terms))
        world.stock("STEAM-50", 1)
        world.buy(ANNA, "STEAM-50")
    [made] = zhou.run(settlement.make_statements(zhou.engine, run_id=ids.new_id(), day=clock.shop_day(clock.now())))
    one = zhou.run(settlement.move_statement(zhou.engine, made, "confirm"))
    payout = zhou.run(settlement.make_payout(zhou.engine, payout_id=ids.new_id(), statements=[one.id]))
    return wang.run(settlement.check_payout(wang.engine, payout, approve=True))


def test_a_file_that_was_not_written_is_not_noted_and_none_stands_that_was_not(
    console, live_shop, approved, tmp_path, monkeypatch
):
    here, zhou = tmp_path / "bank", console("clerk", follow=False)
    here.mkdir()
    target = here / "打款.xlsx"
    target.write_bytes(b"of yesterday")

    during = []

    def busy(*_paths):
        raise PermissionError

    def export(name=target.name):
        return zhou.run(payout_files.export(zhou.engine, [approved.id], target=here / name, language="zh"))

    def stands():
        return {file.name: file.read_bytes() for file in here.iterdir()}

    left, being_written = (here / f".{target.name}.{n}.part" for n in (1, 2))
    left.write_bytes(b"of a program that was killed")
    elsewhere = FileLock(being_written)
    assert elsewhere.try_acquire()

    with Line(live_shop.port) as line:
        zhou.sign_in(line.url, "zhou")
        with pytest.raises(Conflict, match="payout_not_sent"):
            export()
        zhou.run(settlement.move_payout(zhou.engine, approved, "send"))
        for longest in (84, 83):  # too long for the disk; too long for what stands beside it while it is written
            with pytest.raises(TargetUnwritable):
                export("打" * longest + ".csv")
        read, instruction = settlement.take_instructions, settlement.instruction

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", busy)
            with pytest.raises(TargetBusy):
                export()
        target.chmod(0o400)
        with pytest.raises(TargetProtected):
            export()
        target.chmod(0o600)

        async def cut(engine, payouts):
            during.append(stands())
            line.cut()
            return await read(engine, payouts)

        monkeypatch.setattr(settlement, "take_instructions", cut)
        with pytest.raises(Unreachable):
            export()
        line.mend()
        monkeypatch.setattr(settlement, "take_instructions", read)
        assert during[0][target.name] == b"of yesterday", "whoever is killed now leaves it there"
        assert stands() == {target.name: b"of yesterday", being_written.name: b""}
        elsewhere.release()
        assert zhou.run(settlement.payout(zhou.engine, approved.id)).value.taken_by is None

        async def before_the_bank_told(engine, payout_id):
            whole = await instruction(engine, payout_id)
            return whole.model_copy(update={"rows": whole.rows * 2})

        monkeypatch.setattr(settlement, "instruction", before_the_bank_told)
        assert (export().rows, export().again[0].taken_by) == (1, "周洁")
        assert list(stands()) == [target.name]
        assert [row[6] for row in openpyxl.load_workbook(target).active.values][1:] == [42.75], "as it is by now"
        assert zhou.run(settlement.payout(zhou.engine, approved.id)).value.taken_by == "周洁"
