"""The key ring's file: replaced whole, read again when another process changed it, and never trusted blindly."""

import json
import os
import threading
from uuid import UUID

import pytest

from server.crypto import CardUnreadable, KeyRing, LotKey
from server.exclusive import sole_holder
from server.ringfile import KeyRingDamaged, RingFile, RingInUse, RingNotAFile

LOT, SKU = UUID(int=1), UUID(int=2)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keyring.json"


@pytest.fixture
def ring(path):
    return KeyRing.create(path)


def renewed(path):
    """Another process made a new master key the active one; answers its ring."""
    other = KeyRing.load(path)
    other.add_master(2)
    other.activate_master(2)
    return other


@pytest.fixture
def looks(monkeypatch):
    """Which rings were read from a file."""
    seen, real = [], RingFile.read

    def counted(self):
        seen.append(self)
        return real(self)

    monkeypatch.setattr(RingFile, "read", counted)
    return seen


def test_a_new_master_is_taken_over_when_it_is_met_and_when_a_lot_is_made(ring, path):
    other = renewed(path)
    key = other.new_lot_key(LOT)
    assert (key.master_version, ring.masters) == (2, [1])
    [sealed] = other.lot(LOT, key).seal_all(SKU, 1, [b"CARD"])
    assert ring.lot(LOT, key).unseal(SKU, 1, sealed).reveal() == "CARD"
    third = KeyRing.load(path)
    third.add_master(3)
    third.activate_master(3)
    assert ring.new_lot_key(LOT).master_version == 3
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(one.name for one in path.parent.iterdir()) == ["keyring.json", "keyring.json.lock"]


def test_rows_of_garbage_do_not_make_the_file_be_read_again_and_again(ring, path, looks):
    for version in (2, 3, -1, 10**9) * 5:
        with pytest.raises(CardUnreadable):
            ring.lot(LOT, LotKey(b"x" * 60, version))
    assert looks == []
    renewed(path)
    looks.clear()
    for version in (7, 7, 7):
        with pytest.raises(CardUnreadable):
            ring.lot(LOT, LotKey(b"x" * 60, version))
    assert len(looks) == 1  # the file had changed: one look
    assert ring.masters == [1, 2]


def test_many_threads_that_meet_a_new_master_read_the_file_once(ring, path, looks):
    other = renewed(path)
    key, start, opened = other.new_lot_key(LOT), threading.Barrier(8), []
    looks.clear()

    def meet():
        start.wait(30)
        opened.append(ring.lot(LOT, key))

    threads = [threading.Thread(target=meet) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(opened), len(looks)) == (8, 1)


def spoiled(path):
    path.write_text("{")


def exposed(path):
    path.chmod(0o644)


def another_shops(path):
    path.unlink()
    renewed_other = KeyRing.create(path)
    renewed_other.add_master(2)


def without_its_active(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"active_master": 9}))


def gone(path):
    path.unlink()


@pytest.mark.parametrize("spoil", [spoiled, exposed, another_shops, without_its_active, gone])
def test_a_ring_that_went_bad_is_not_taken_over_and_the_process_goes_on(ring, path, spoil):
    key = ring.new_lot_key(LOT)
    renewed(path)
    spoil(path)
    for _ in range(3):
        with pytest.raises(CardUnreadable):
            ring.lot(LOT, LotKey(b"x" * 60, 2))
    assert ring.masters == [1]
    assert ring.lot(LOT, key) is not None


def test_a_change_that_would_spoil_the_ring_is_not_written(ring, path):
    before = path.read_bytes()
    for change in (lambda: ring.activate_master(2), lambda: ring.forget_master(1), lambda: ring.add_master(1)):
        with pytest.raises((KeyRingDamaged, RingInUse)):
            change()
    assert path.read_bytes() == before
    assert (ring.masters, ring.active_master) == ([1], 1)


def test_two_that_change_it_lose_nothing_of_each_other(ring, path):
    other = KeyRing.load(path)
    ring.add_master(2)
    other.add_master(3)
    assert KeyRing.load(path).masters == [1, 2, 3]
    with pytest.raises(RingInUse):
        KeyRing.load(path).add_master(3)  # made a moment ago by somebody else: never a second key of that name


def test_while_another_changes_it_a_command_says_so(ring, path):
    before = path.read_bytes()
    with sole_holder(path, RingInUse(path="x")), pytest.raises(RingInUse):
        ring.add_master(2)
    assert path.read_bytes() == before


def test_what_a_crash_left_beside_the_ring_is_in_nobodys_way(ring, path):
    path.with_suffix(".new").write_text("half a ri")
    ring.add_master(2)
    assert KeyRing.load(path).masters == [1, 2]
    assert not path.with_suffix(".new").exists()


def test_its_owner_and_a_link_to_it_stay(ring, path, tmp_path):
    owner = 12_345 if os.geteuid() == 0 else os.geteuid()  # only root's commands could take it away
    os.chown(path, owner, -1)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    KeyRing.load(link).add_master(2)
    assert (path.stat().st_uid, path.stat().st_mode & 0o777, path.is_symlink()) == (owner, 0o600, False)
    assert (link.is_symlink(), KeyRing.load(path).masters) == (True, [1, 2])


def test_a_ring_without_a_file_is_not_changed(ring, path):
    given = KeyRing.parse(path.read_text())
    with pytest.raises(RingNotAFile):
        given.add_master(2)
    with pytest.raises(CardUnreadable):
        given.lot(LOT, LotKey(b"x" * 60, 2))
    assert (given.masters, given.is_file, ring.is_file) == ([1], False, True)


def test_a_lots_key_is_wrapped_anew_and_opens_the_same_cards(ring, path):
    key = ring.new_lot_key(LOT)
    [sealed] = ring.lot(LOT, key).seal_all(SKU, 1, [b"CARD"])
    ring.add_master(2)
    ring.activate_master(2)
    fresh = ring.rewrap(LOT, key)
    assert (fresh.master_version, fresh.wrapped == key.wrapped) == (2, False)
    ring.forget_master(1)
    assert ring.lot(LOT, fresh).unseal(SKU, 1, sealed).reveal() == "CARD"
    with pytest.raises(CardUnreadable):
        KeyRing.load(path).lot(LOT, key)  # the version it claims is gone
    with pytest.raises(CardUnreadable):
        ring.lot(LOT, LotKey(key.wrapped, 2))  # an old wrapping under a new name
    with pytest.raises(CardUnreadable):
        ring.rewrap(UUID(int=3), fresh)


def test_cards_move_to_a_new_key_in_their_place_and_no_others_do(ring):
    old, new = ring.lot(LOT, ring.new_lot_key(LOT)), ring.lot(LOT, ring.new_lot_key(LOT))
    sealed = old.seal_all(SKU, 1, [b"A", b"B", b"C"])
    cards = [(1, sealed[0]), (2, sealed[2]), (3, sealed[2]), (4, b"")]  # the second was moved, the fourth cut
    moved, damaged = new.reseal(old, SKU, cards)
    assert damaged == [2, 4]
    assert [(seq, new.unseal(SKU, seq, one).reveal()) for seq, one in moved] == [(1, "A"), (3, "C")]
    assert len({one[:12] for _, one in moved}) == 2
    again, _ = new.reseal(old, SKU, cards)
    assert {one[:8] for _, one in moved}.isdisjoint(one[:8] for _, one in again)
    with pytest.raises(CardUnreadable):
        old.unseal(SKU, 1, moved[0][1])
