"""The steps of an import over HTTP, as a console takes them, for tests that take them wrongly too."""

import base64
import hashlib
from collections import Counter

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from sqlalchemy import text

from server import migrations
from server.stock import queries
from shared import ids
from shared.contracts.stock import chunk_info

HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def state(site):
    """How many rows every table has: what must not change when something is refused."""
    with site.world.ctx.db.read() as tx:
        return Counter(
            {name: tx.scalar(text(f"SELECT COUNT(*) FROM {name}")) for name in sorted(migrations.METADATA.tables)}
        )


ONE_LOT = ((None, None, 1),)


def seal(site, rows, import_id, n, *, lots=ONE_LOT, key=None):
    """A chunk as a console seals it; rows without a lot are of the first."""
    public = key or X25519PublicKey.from_public_bytes(site.world.ctx.keys.import_public_key)
    rows = [(*row, 0) if isinstance(row, tuple) and len(row) == 3 else row for row in rows]
    return HPKE.encrypt(msgspec.msgpack.encode([lots, rows]), public, chunk_info(import_id, n))


def announcement(site, import_id, *, sku="STEAM-50", **changes):
    body = {"id": str(import_id), "sku": sku, "file_name": "keys.xlsx", "key_id": site.world.ctx.keys.import_key_id}
    return body | changes


def announced(site, *, by="chen", **changes):
    """The id of an import that may receive chunks."""
    import_id = ids.new_id()
    answer = site.post("/sync/v1/imports", by=by, json=announcement(site, import_id, **changes))
    assert answer.status_code == 201, answer.text
    return import_id


def commitment(chunks, *, valid, **changes):
    return {
        "figures": {"read": valid, "valid": valid, "duplicates": 0, "refused": 0, "skipped": 0},
        "file_sha256": "0" * 64,
        "chunks": len(chunks),
        "root_sha256": hashlib.sha256(b"".join(hashlib.sha256(one).digest() for one in chunks)).hexdigest(),
    } | changes


def digest(content):
    return {"content-digest": f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"}


def put(site, import_id, n, content, *, by="chen", headers=None):
    path = f"/sync/v1/imports/{import_id}/chunks/{n}"
    return site.request("PUT", path, by=by, content=content, headers=digest(content) if headers is None else headers)


def cut(keys, per_chunk):
    rows = [(line, "", key) for line, key in enumerate(keys, start=1)]
    return [rows[at : at + per_chunk] for at in range(0, len(rows), per_chunk)]


def begun(site, keys, *, per_chunk=4, by="chen", lots=ONE_LOT, **changes):
    """An import of these keys that was announced; answers its id, its sealed chunks and what commits it."""
    import_id = announced(site, by=by, **changes)
    chunks = [seal(site, part, import_id, n, lots=lots) for n, part in enumerate(cut(keys, per_chunk))]
    return import_id, chunks, commitment(chunks, valid=len(keys))


def commit(site, import_id, body, *, by="chen"):
    answer = site.post(f"/sync/v1/imports/{import_id}/commit", by=by, json=body)
    site.world.work()
    return answer


def send(site, import_id, chunks, *, by="chen"):
    for n, chunk in enumerate(chunks):
        assert put(site, import_id, n, chunk, by=by).status_code == 204


def done(site, keys, *, by="chen", **options):
    """An import from its announcement to its end; answers how it ended."""
    import_id, chunks, body = begun(site, keys, by=by, **options)
    send(site, import_id, chunks, by=by)
    answer = commit(site, import_id, body, by=by)
    assert answer.status_code == 200, answer.text
    return progress(site, import_id, by=by).json()


def figures(ended):
    return ended["state"], ended["stored"], ended["duplicates"], ended["refused"]


def refused(site, import_id, *, by="chen"):
    page = site.get(f"/sync/v1/imports/{import_id}/refused", by=by, params={"limit": 10_000}).json()
    return {one["line"]: one["result"] for one in page["items"]}


def progress(site, import_id, *, by="chen"):
    return site.get(f"/sync/v1/imports/{import_id}", by=by)


def problem(answer):
    """Status and code of a refusal, which must be a problem document."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]


def free_for_sale(site, sku="STEAM-50"):
    sku_id = site.world.skus[sku].sku_id
    with site.world.ctx.db.read() as tx:
        return queries.free_counts(tx, [sku_id]).get(sku_id, 0)
