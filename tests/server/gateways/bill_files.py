"""Archives as channels make them and as nobody should, for tests of what is done with bills."""

import io
import zipfile


def zipped(*files, method=zipfile.ZIP_DEFLATED):
    """An archive of these names and contents."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return packed.getvalue()


def unzipped(packed):
    """The names and contents of an archive; names without a flag are GBK."""
    with zipfile.ZipFile(io.BytesIO(packed), metadata_encoding="gb18030") as archive:
        return [(one.filename, archive.read(one)) for one in archive.infolist()]


def repacked(packed, edit):
    """The archive with each of its files as `edit` leaves it."""
    return zipped(*((name, edit(content)) for name, content in unzipped(packed)))


def as_alipay_packs(*files):
    """A zip whose names are GBK bytes without a word of it, as Alipay writes them."""
    ascii_names = [chr(ord("a") + n) * len(name.encode("gbk")) for n, (name, _) in enumerate(files)]
    packed = zipped(*((ascii_name, content) for ascii_name, (_, content) in zip(ascii_names, files, strict=True)))
    for ascii_name, (name, _) in zip(ascii_names, files, strict=True):
        packed = packed.replace(ascii_name.encode(), name.encode("gbk"))
    return packed


def encrypted(packed):
    """The same archive with its flags saying that a password is needed."""
    local, central = packed.index(b"PK\x03\x04") + 6, packed.index(b"PK\x01\x02") + 8
    marked = bytearray(packed)
    marked[local] |= 1
    marked[central] |= 1
    return bytes(marked)
