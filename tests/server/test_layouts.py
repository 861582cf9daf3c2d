"""A person's layouts of the workbook on each engine: one row by name, however many save it at once; nobody else's."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from server.db import retrying
from server.policy import Actor
from server.reports import layouts
from shared import ids
from shared.contracts.reports import SaveLayout
from tests.world import world

AT_ONCE = 6


def test_a_layout_is_kept_once_by_its_name(engine, tmp_path):
    mine, other = (Actor.labelled(f"staff:{ids.new_id()}") for _ in range(2))
    with world(engine, tmp_path) as shop:

        def save(name, text, who=mine):
            retrying(shop.ctx.db, lambda tx: layouts.save(tx, SaveLayout(name=name, layout=text), actor=who))

        def kept(who):
            with shop.ctx.db.read() as tx:
                return {one.name: one.layout for one in layouts.kept(tx, who)}

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda n: save("月报", str(n)), range(AT_ONCE)))
        assert list(kept(mine)) == ["月报"]
        longest = "列😀" * 10_000
        for name in ("A", "a", "月报"):
            save(name, longest)
        save("a", "{}", who=other)
        assert (kept(mine), kept(other)) == (dict.fromkeys(("A", "a", "月报"), longest), {"a": "{}"})
        for _ in range(2):
            retrying(shop.ctx.db, lambda tx: layouts.remove(tx, "a", actor=mine))
        assert (list(kept(mine)), list(kept(other))) == (["A", "月报"], ["a"])
        for n in range(2, layouts.MOST):
            save(str(n), "{}")
        with pytest.raises(layouts.TooManyLayouts):
            save("又一版", "{}")
        save("A", "{}")
        assert (len(kept(mine)), kept(mine)["A"]) == (layouts.MOST, "{}")
        shop.check()
