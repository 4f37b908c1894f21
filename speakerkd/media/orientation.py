"""How a picture must be turned to stand upright; a broken EXIF tag is no broken picture."""

from __future__ import annotations

import re

ORIENTATION = 0x0112
SIZES = {1: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4}  # bytes of the integer types (TIFF 6.0, section 2)
TEXT = re.compile(rb"""tiff:Orientation(?:="|>)\s*([1-8])""")


def orientation(exif: object, xmp: object = b"") -> int:
    """The orientation (1 to 8; 1 where none can be read) of EXIF bytes, as in JPEG or PNG, or of an XMP packet."""
    value = _from_exif(exif) if isinstance(exif, bytes | bytearray) else 0
    if not value:
        packet = xmp.encode("utf-8", "replace") if isinstance(xmp, str) else xmp
        entry = TEXT.search(packet) if isinstance(packet, bytes | bytearray) else None
        value = int(entry[1]) if entry else 0
    return value or 1


def _from_exif(exif: bytes | bytearray) -> int:
    """The first readable orientation of the first directory; 0 without one."""
    data = bytes(exif)
    while data.startswith(b"Exif\0\0"):
        data = data[6:]
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return 0
    order = "little" if data[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]  # a str of two

    start = number(4, 4)
    for entry in range(start + 2, min(start + 2 + 12 * number(start, 2), len(data) - 11), 12):
        if number(entry, 2) != ORIENTATION:
            continue
        kind, count = number(entry + 2, 2), number(entry + 4, 4)
        if kind == 2 and chr(data[entry + 8]).isdecimal():  # written as text
            value = int(chr(data[entry + 8]))
        elif kind in SIZES and 1 <= count <= 4 // SIZES[kind]:
            value = number(entry + 8, SIZES[kind])
        else:
            continue
        if 1 <= value <= 8:
            return value
    return 0
