"""A person's layouts of the workbook on each engine: one row by name, however many save it at once; nobody else's."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from server.db import retrying
from server.policy import Actor
from server.reports import layouts
from server.reports.layouts import LayoutSavedElsewhere
from shared import ids
from shared.contracts.reports import SaveLayout, layout_hash
from tests.world import world

AT_ONCE = 6


def test_a_layout_is_kept_once_by_its_name(engine, tmp_path):
    mine, other = (Actor.labelled(f"staff:{ids.new_id()}") for _ in range(2))
    with world(engine, tmp_path) as shop:

        def save(name, text, seen=None, who=mine):
            wanted = SaveLayout(name=name, layout=text, seen=seen and layout_hash(seen))
            retrying(shop.ctx.db, lambda tx: layouts.save(tx, wanted, actor=who))

        def remove(name, seen):
            retrying(shop.ctx.db, lambda tx: layouts.remove(tx, name, layout_hash(seen), actor=mine))

        def kept(who):
            with shop.ctx.db.read() as tx:
                return {one.name: one.layout for one in layouts.kept(tx, who)}

        def saved_at_once(n):
            try:
                save("月报", str(n))
            except LayoutSavedElsewhere:
                return None
            return str(n)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            [first] = filter(None, pool.map(saved_at_once, range(AT_ONCE)))
        assert kept(mine) == {"月报": first}
        longest = "列😀" * 10_000
        for name, seen in (("A", None), ("a", None), ("月报", first), ("月报", None)):
            save(name, longest, seen)
        save("a", "{}", who=other)
        assert (kept(mine), kept(other)) == (dict.fromkeys(("A", "a", "月报"), longest), {"a": "{}"})
        for refused in (lambda: save("a", "[]", "{}"), lambda: save("a", "[]"), lambda: remove("a", "{}")):
            with pytest.raises(LayoutSavedElsewhere):
                refused()
        assert kept(mine)["a"] == longest
        for _ in range(2):
            remove("a", longest)
        assert (list(kept(mine)), list(kept(other))) == (["A", "月报"], ["a"])
        save("a", "{}", longest)
        for n in range(3, layouts.MOST):
            save(str(n), "{}")
        with pytest.raises(layouts.TooManyLayouts):
            save("又一版", "{}")
        save("A", "{}", longest)
        assert (len(kept(mine)), kept(mine)["A"]) == (layouts.MOST, "{}")
        shop.check()
