"""The key ring: who may read it, what it refuses, and that nothing sealed opens anywhere but in its place."""

import base64
import json
import logging
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from server.crypto import (
    CardUnreadable,
    ChannelKeyMissing,
    ChunkUnreadable,
    KeyRing,
    LotKey,
    Secret,
    SecretUnreadable,
)
from server.ringfile import KeyRingDamaged, KeyRingExposed, KeyRingMissing
from shared.contracts.stock import chunk_info
from shared.errors import BadInput

LOT, OTHER_LOT, SKU, OTHER_SKU = (UUID(int=n) for n in range(1, 5))
KEY = b"STEAM-50-000001-\xe6\x97\xa5"
HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new folder" / "keyring.json"


@pytest.fixture
def ring(path):
    return KeyRing.create(path)


# --- the ring itself ---


def test_a_ring_is_private_is_never_replaced_and_is_read_back(ring, path):
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        KeyRing.create(path)
    assert path.read_bytes() == before
    again = KeyRing.load(path)
    assert again.mac("a", b"x") == ring.mac("a", b"x")
    assert (again.import_key_id, again.import_public_key) == (ring.import_key_id, ring.import_public_key)
    assert KeyRing.parse(path.read_text()).mac("a", b"x") == ring.mac("a", b"x")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602])
def test_a_ring_that_others_can_read_or_write_is_refused(ring, path, mode):
    path.chmod(mode)
    with pytest.raises(KeyRingExposed) as refused:
        KeyRing.load(path)
    assert f"chmod 600 {path}" in refused.value.sentence()


def test_a_missing_ring_says_how_to_make_one(path):
    with pytest.raises(KeyRingMissing) as refused:
        KeyRing.load(path)
    assert "keys init" in refused.value.sentence("en")


def damaged(**changes):
    def damage(ring):
        for name, value in changes.items():
            *parents, last = name.split("__")
            place = ring
            for parent in parents:
                place = place[parent]
            if value is None:
                del place[last]
            else:
                place[last] = value
        return json.dumps(ring)

    return damage


SHORT = base64.b64encode(b"short").decode()


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: "",
        lambda _: "{",
        lambda _: "[]",
        lambda _: "7",
        lambda _: "\ud800".encode("utf-8", "surrogatepass"),
        damaged(format=2),
        damaged(masters=None),
        damaged(masters=[]),
        damaged(masters={}),
        damaged(masters__1=SHORT),
        damaged(masters__1="?"),
        damaged(masters={"one": SHORT}),
        damaged(active_master=2),
        damaged(active_master="1"),
        damaged(mac=None),
        damaged(mac=SHORT),
        damaged(fingerprint=SHORT),
        damaged(**{"import": {}}),
        damaged(import__private=SHORT),
        damaged(channels=None),
        damaged(channels=[]),
    ],
)
def test_a_damaged_ring_is_a_sentence_at_the_start_and_not_a_fault_at_the_first_sale(ring, path, damage):
    text = damage(json.loads(path.read_text()))
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(KeyRingDamaged) as refused:
        KeyRing.load(path)
    assert SHORT not in str(refused.value)


def test_neither_ring_nor_secret_prints_what_it_holds(ring, path, caplog):
    held = json.loads(path.read_text())
    assert repr(ring) == "KeyRing(masters=[1], channels=[])"
    assert not any(value in repr(ring) for value in (held["mac"], held["fingerprint"], held["masters"]["1"]))
    assert repr(base64.b64decode(held["masters"]["1"])) not in repr(ring._masters)
    secret = Secret("ABCD-1234")
    logging.getLogger("test").warning("%s %r", secret, [secret])
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>40}", str({"key": secret}), caplog.text]
    assert not any("ABCD" in text or "1234" in text for text in shown)
    assert not hasattr(secret, "__dict__")
    assert secret.reveal() == "ABCD-1234"


# --- cards ---


@pytest.fixture
def lot_key(ring):
    return ring.new_lot_key(LOT)


@pytest.fixture
def lot(ring, lot_key):
    return ring.lot(LOT, lot_key)


def test_a_card_opens_in_its_place_and_nowhere_else(ring, lot, lot_key):
    [first, second] = lot.seal_all(SKU, 7, [KEY, KEY])
    assert lot.unseal(SKU, 7, first).reveal().encode() == lot.unseal(SKU, 8, second).reveal().encode() == KEY
    assert first != second
    for sku, seq, sealed in (
        (SKU, 8, first),  # another unit's row
        (SKU, 7, second),
        (OTHER_SKU, 7, first),  # another SKU
        (SKU, 7, first[:-1]),
        (SKU, 7, first + b"\0"),
        (SKU, 7, bytes([first[0] ^ 1]) + first[1:]),
        (SKU, 7, first[:20] + bytes([first[20] ^ 1]) + first[21:]),
        (SKU, 7, b""),
        (SKU, 7, first[:4]),
        (SKU, 7, first[:12]),
    ):
        with pytest.raises(CardUnreadable):
            lot.unseal(sku, seq, sealed)
    other = ring.lot(OTHER_LOT, ring.new_lot_key(OTHER_LOT))
    with pytest.raises(CardUnreadable):
        other.unseal(SKU, 7, first)  # another lot


def test_a_lot_key_opens_only_for_its_lot_its_version_and_its_ring(ring, lot_key, tmp_path):
    stranger = KeyRing.create(tmp_path / "other.json")
    wrapped = lot_key.wrapped
    for keys, lot_id, key in (
        (ring, OTHER_LOT, lot_key),
        (stranger, LOT, lot_key),
        (ring, LOT, LotKey(wrapped, 2)),
        (ring, LOT, LotKey(wrapped[:-1], 1)),
        (ring, LOT, LotKey(b"", 1)),
        (ring, LOT, LotKey(wrapped[:6], 1)),
    ):
        with pytest.raises(CardUnreadable):
            keys.lot(lot_id, key)


def test_nonces_are_a_prefix_of_their_own_for_each_call_and_a_counter(lot):
    one, other = lot.seal_all(SKU, 1, [KEY] * 3), lot.seal_all(SKU, 1, [KEY] * 3)
    prefixes = {sealed[:8] for sealed in one + other}
    assert len(prefixes) == 2
    assert [int.from_bytes(sealed[8:12], "big") for sealed in one] == [0, 1, 2]
    assert len({sealed[:12] for sealed in one + other}) == 6
    assert {len(sealed) for sealed in one} == {12 + len(KEY) + 16}


def test_the_master_key_can_be_replaced_while_older_lots_still_open(ring, path, lot, lot_key):
    [sealed] = lot.seal_all(SKU, 1, [KEY])
    held = json.loads(path.read_text())
    held["masters"]["2"] = base64.b64encode(b"\x07" * 32).decode()
    held["active_master"] = 2
    rotated = KeyRing.parse(json.dumps(held))
    assert rotated.lot(LOT, lot_key).unseal(SKU, 1, sealed).reveal().encode() == KEY
    assert rotated.new_lot_key(LOT).master_version == 2
    with pytest.raises(CardUnreadable):
        ring.lot(LOT, rotated.new_lot_key(LOT))


# --- chunks ---


def test_a_chunk_opens_only_for_its_import_its_number_and_this_server(ring, tmp_path):
    public = X25519PublicKey.from_public_bytes(ring.import_public_key)
    sealed = HPKE.encrypt(b"rows", public, chunk_info(LOT, 3))
    assert ring.open_chunk(sealed, import_id=LOT, n=3) == b"rows"
    stranger = KeyRing.create(tmp_path / "other.json")
    for keys, import_id, n, chunk in (
        (ring, LOT, 4, sealed),
        (ring, OTHER_LOT, 3, sealed),
        (stranger, LOT, 3, sealed),
        (ring, LOT, 3, sealed[:-1]),
        (ring, LOT, 3, sealed[:31]),
        (ring, LOT, 3, b""),
        (ring, LOT, 3, bytes(32) + sealed[32:]),
    ):
        with pytest.raises(ChunkUnreadable) as refused:
            keys.open_chunk(chunk, import_id=import_id, n=n)
        assert refused.value.params == {"n": n}


# --- codes, small secrets, channels ---


def test_codes_and_fingerprints_differ_by_purpose_and_by_ring(ring, tmp_path):
    stranger = KeyRing.create(tmp_path / "other.json")
    codes = {
        ring.mac("a", b"x"),
        ring.mac("b", b"x"),
        ring.mac("a", b"y"),
        stranger.mac("a", b"x"),
        ring.mac("ax", b""),
    }
    assert len(codes) == 5
    assert {len(code) for code in codes} == {32}
    assert ring.fingerprinter.of("KEY") == ring.fingerprinter.of("KEY")
    assert ring.fingerprinter.of("KEY") != stranger.fingerprinter.of("KEY")


def test_a_small_secret_opens_for_its_row_and_purpose_only(ring, tmp_path):
    sealed = ring.seal_small("totp", LOT.bytes, b"seed")
    assert ring.open_small("totp", LOT.bytes, sealed) == b"seed"
    stranger = KeyRing.create(tmp_path / "other.json")
    for keys, purpose, place, box in (
        (ring, "other", LOT.bytes, sealed),
        (ring, "totp", OTHER_LOT.bytes, sealed),
        (stranger, "totp", LOT.bytes, sealed),
        (ring, "totp", LOT.bytes, sealed[:-1]),
        (ring, "totp", LOT.bytes, sealed[:5]),
        (ring, "totp", LOT.bytes, b""),
    ):
        with pytest.raises(SecretUnreadable):
            keys.open_small(purpose, place, box)


def test_a_channels_record_is_kept_changed_and_dropped_whole(ring, path):
    with pytest.raises(ChannelKeyMissing, match="keys add wechat"):
        ring.channel("wechat")
    ring.change_channel("wechat", lambda held: held | {"merchant_id": "m1", "private": "SECRET"})
    other = KeyRing.load(path)
    other.change_channel("wechat", lambda held: held | {"app_id": "a1"})
    ring.change_channel("wechat", lambda held: held | {"merchant_id": "m2"})  # loses nothing of the other's
    again = KeyRing.load(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert again.channels() == ["wechat"]
    assert again.channel("wechat") == {"merchant_id": "m2", "private": "SECRET", "app_id": "a1"}
    assert f"{again.channel('wechat')!r} {again!r}".count("SECRET") == 0
    assert sorted(one.name for one in path.parent.iterdir()) == ["keyring.json", "keyring.json.lock"]
    with pytest.raises(ChannelKeyMissing):
        ring.drop_channel("alipay")
    ring.drop_channel("wechat")
    assert (ring.channels(), KeyRing.load(path).channels()) == ([], [])


def test_a_record_that_holds_other_things_than_texts_is_never_written(ring, path):
    before = path.read_bytes()
    with pytest.raises(KeyRingDamaged):
        ring.change_channel("wechat", lambda _held: {"merchant_id": 7})
    assert (path.read_bytes(), ring.channels()) == (before, [])


def test_a_ring_from_the_environment_says_that_it_cannot_be_written(path, ring):
    given = KeyRing.parse(path.read_text())
    with pytest.raises(BadInput, match="environment"):
        given.change_channel("wechat", lambda held: held | {"merchant_id": "m1"})
    assert given.channels() == []
