"""What a header promises beside what the file holds: where samples lie, how many bytes are missing, what was joined."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import BinaryIO, Literal

from speakerkd.media.files import MediaFile, Window
from speakerkd.media.formats import frame_length, frame_seconds, tag_length

# Sizes that programs write into a wav whose end they do not know: 0 (recorders that lost power), 0x7ffff000 (SoX),
# 0x80000000 (ALSA's arecord), and all ones (FFmpeg), some less the header. All mean "to the end of the file".
UNKNOWN = (range(0, 1), range(0x7FFFF000, 0x7FFFF001), range(0x7FFFFF00, 0x80000001), range(0xFFFFFF00, 1 << 32))
BLOCK = 1 << 22  # bytes searched at once
LONGEST_PAGE = 27 + 255 + 255 * 255  # bytes of a page of Ogg

Order = Literal["big", "little"]


def parts(file: MediaFile) -> list[tuple[int, int]]:
    """(start, stop) of the recordings that were joined end to end in one file; nearly always one, the file."""
    name = file.format.name if file.format else ""
    if name == "wav" and is_whole_wav(file):
        return [(0, file.size)]
    finder = {
        "wav": _wav_starts,
        "ogg": _ogg_links,
        "ogv": _ogg_links,
        "flac": _flac_starts,
        "mp3": _mp3_starts,
        "mp4": _mp4_starts,
    }
    starts = sorted({0, *finder[name](file)}) if name in finder else [0]
    return list(zip(starts, [*starts[1:], file.size], strict=True))


def is_whole_wav(file: MediaFile) -> bool:
    """Whether a wav is the plain one that most are: its samples end with the file, as its header says."""
    if "whole" not in file.known:
        span = data_span(file)
        file.known["whole"] = span is not None and span[1] is not None and span[0] + span[1] == file.size
    return file.known["whole"]


def missing_share(file: MediaFile) -> float:
    """Bytes of media that the file's structure promises and that are not there, over those that are; 0 for a whole one.

    Only what is truly missing counts: a header that says "unknown" promises nothing.
    """
    name = file.format.name if file.format else ""
    if name in ("mp4", "matroska", "avi"):
        promised = {"mp4": _mp4_end, "matroska": _matroska_end, "avi": _riff_end}[name](file)
        return max(0, promised - file.size) / file.size
    if name in ("ogg", "ogv"):
        return max(0, _last_page_end(file) - file.size) / file.size
    span = data_span(file)
    if span is None or span[1] is None:
        return 0.0
    there = max(0, file.size - span[0])
    return max(0, span[1] - there) / there if there else math.inf if span[1] else 0.0


def data_span(file: MediaFile) -> tuple[int, int | None] | None:
    """(where the samples begin, how many bytes of them the header states or None), None where it cannot be told."""
    name = file.format.name if file.format else ""
    reader = {
        "wav": _wav_span,
        "aiff": _aiff_span,
        "au": _au_span,
        "w64": _w64_span,
        "caf": _caf_span,
        "sph": _sph_span,
    }
    if "span" not in file.known:
        file.known["span"] = reader[name](file) if name in reader else None
    return file.known["span"]


def repaired(file: MediaFile) -> BinaryIO:
    """The stream, with the sizes of a wav whose writer did not know its end set to what is there."""
    if file.format is None or file.format.name != "wav" or file.head[:4] != b"RIFF":
        return file.stream
    span = data_span(file)
    if span is None or span[1] is not None:
        return file.stream
    there = min(file.size - span[0], 0xFFFFFFFF - span[0])
    sizes = {4: (span[0] + there - 8).to_bytes(4, "little"), span[0] - 4: there.to_bytes(4, "little")}
    return io.BufferedReader(Window(file.stream, 0, file.size, sizes))


def _chunks(file: MediaFile, offset: int, wide: int, order: Order) -> Iterator[tuple[bytes, int, int]]:
    """(name, where its content begins, its length) of the chunks of a RIFF, IFF or CAF file from a place on."""
    while offset + 4 + wide <= file.size:
        head = file.head[offset : offset + 4 + wide]
        if len(head) < 4 + wide:
            file.stream.seek(offset)
            head = file.stream.read(4 + wide)
        if len(head) < 4 + wide:
            return
        length = int.from_bytes(head[4:], order, signed=wide == 8)
        offset += 4 + wide
        yield head[:4], offset, length
        if length < 0:
            return
        offset += length + (length % 2 if wide == 4 else 0)


def _wav_span(file: MediaFile, begin: int = 0) -> tuple[int, int | None] | None:
    order: Order = "big" if file.head[:4] in (b"RIFX", b"FFIR") else "little"
    wide = None
    for name, offset, length in _chunks(file, begin + 12, 4, order):
        if name == b"ds64":  # RF64, EBU Tech 3306: the sizes that do not fit into four bytes
            file.stream.seek(offset + 8)
            wide = int.from_bytes(file.stream.read(8), "little")
        elif name == b"data":
            if wide is not None and length == 0xFFFFFFFF:
                return offset, wide
            there = file.size - offset
            unknown = any(length in sizes for sizes in UNKNOWN) and (there < length or length == 0)
            if length == 0 and (there == 0 or _whole_chunks(file, offset)):
                unknown = False
            return offset, None if unknown else length
    return None


def _wav_starts(file: MediaFile) -> Iterator[int]:
    """Where another wav was joined to the first, behind its samples and whatever chunks follow them."""
    span = data_span(file)
    while span is not None and span[1] is not None:
        behind = span[0] + span[1] + span[1] % 2
        span = None
        for name, offset, _ in _chunks(file, behind, 4, "little"):
            if name in (b"RIFF", b"RIFX", b"RF64"):
                file.stream.seek(offset)
                if file.stream.read(4) == b"WAVE":
                    yield offset - 8
                    span = _wav_span(file, offset - 8)
                break


def _whole_chunks(file: MediaFile, begin: int) -> bool:
    """Whether what follows is a row of chunks that ends with the file: then a length of 0 is meant."""
    end = begin
    for name, start, length in _chunks(file, begin, 4, "little"):
        if not (name.isascii() and name.strip().isalnum()):
            return False
        end = start + length + length % 2
    return file.size - 1 <= end <= file.size + 1


def _aiff_span(file: MediaFile) -> tuple[int, int | None] | None:
    for name, offset, length in _chunks(file, 12, 4, "big"):
        if name == b"SSND":
            return offset + 8, None if any(length in sizes for sizes in UNKNOWN) else length - 8
    return None


def _au_span(file: MediaFile) -> tuple[int, int | None] | None:
    order: Order = "big" if file.head[:4] == b".snd" else "little"
    start, length = (int.from_bytes(file.head[at : at + 4], order) for at in (4, 8))
    return start, None if any(length in sizes for sizes in UNKNOWN) else length


def _w64_span(file: MediaFile) -> tuple[int, int | None] | None:
    offset = 40  # after riff, its size, and wave; each chunk's size counts its head of 24 bytes and is rounded up to 8
    while offset + 24 <= file.size:
        file.stream.seek(offset)
        head = file.stream.read(24)
        length = int.from_bytes(head[16:24], "little")
        if head[:4] == b"data":
            return offset + 24, length - 24 if 24 <= length < 1 << 62 else None
        if length < 24:
            return None
        offset += -(-length // 8) * 8
    return None


def _caf_span(file: MediaFile) -> tuple[int, int | None] | None:
    for name, offset, length in _chunks(file, 8, 8, "big"):
        if name == b"data":
            return offset + 4, length - 4 if length >= 4 else None
    return None


def _sph_span(file: MediaFile) -> tuple[int, int | None] | None:
    fields = {}
    for line in file.head[:1024].decode("ascii", "replace").splitlines():
        words = line.split(maxsplit=2)
        if len(words) == 3 and words[1] == "-i" and words[2].strip().isdecimal():
            fields[words[0]] = int(words[2])
    length = fields.get("sample_count", 0) * fields.get("channel_count", 1) * fields.get("sample_n_bytes", 0)
    coded = b"shorten" in file.head[:1024]
    return 1024, None if coded or not length else length


def _boxes(file: MediaFile) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, stop) of the outermost boxes of an MP4 file, the last one perhaps behind its end.

    ISO/IEC 14496-12, 4.2. Bytes that are no box end the row.
    """
    offset = 0
    while offset + 8 <= file.size:
        file.stream.seek(offset)
        head = file.stream.read(16)
        length = int.from_bytes(head[:4])
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:])
        if length == 0:
            length = file.size - offset  # to the end of the file
        if length < 8 or not head[4:8].isascii():
            return
        yield head[4:8], offset, offset + length
        offset += length


def _mp4_end(file: MediaFile) -> int:
    return max((stop for _, _, stop in _boxes(file)), default=0)


def _mp4_starts(file: MediaFile) -> Iterator[int]:
    indexed = False
    for name, start, _ in _boxes(file):
        if name == b"ftyp" and indexed:
            yield start
            indexed = False
        indexed |= name == b"moov"


def _matroska_end(file: MediaFile) -> int:
    """Where the segment of a Matroska or WebM file ends; 0 where its size is not known (RFC 8794)."""

    def number(at: int) -> tuple[int, int]:
        file.stream.seek(at)
        data = file.stream.read(8)
        length = 9 - data[0].bit_length() if data and data[0] else 9
        if len(data) < length or length > 8:
            return 0, 0
        value = int.from_bytes(data[:length]) & ((1 << 7 * length) - 1)
        return (0 if value == (1 << 7 * length) - 1 else value), length

    size, width = number(4)
    offset = 4 + width + size
    file.stream.seek(offset)
    if file.stream.read(4) != b"\x18\x53\x80\x67":
        return 0
    size, width = number(offset + 4)
    return offset + 4 + width + size if size else 0


def _riff_end(file: MediaFile) -> int:
    length = int.from_bytes(file.head[4:8], "little")
    return 0 if any(length in sizes for sizes in UNKNOWN) else 8 + length


def _ogg_links(file: MediaFile) -> Iterator[int]:
    """Where a chained Ogg begins anew: a first page of a stream behind pages that are none (RFC 3533, 4)."""
    offset, body = 0, False
    while offset + 27 <= file.size:
        file.stream.seek(offset)
        head = file.stream.read(27 + 255)
        if head[:4] != b"OggS":
            offset = _next(file, offset + 1, b"OggS")
            continue
        first = bool(head[5] & 2)
        if first and body:
            yield offset
        body = not first
        offset += 27 + head[26] + sum(head[27 : 27 + head[26]])


def _last_page_end(file: MediaFile) -> int:
    """Where the last page of an Ogg ends, by its own head; 0 where none is found (RFC 3533, 6)."""
    begin = max(0, file.size - 2 * LONGEST_PAGE)
    file.stream.seek(begin)
    tail = file.stream.read(2 * LONGEST_PAGE)
    at = tail.rfind(b"OggS")
    sizes = tail[at + 27 : at + 27 + tail[at + 26]] if at >= 0 and at + 26 < len(tail) else b""
    return begin + at + 27 + len(sizes) + sum(sizes) if sizes else 0


def _flac_starts(file: MediaFile) -> Iterator[int]:
    offset = 0
    while (offset := _next(file, offset + 4, b'fLaC\0\0\0"')) < file.size:
        yield offset


def _mp3_starts(file: MediaFile) -> Iterator[int]:
    """Where another mp3, with its own tag, was joined to the first."""
    offset = tag_length(file.head)
    while (offset := _next(file, offset + 10, b"ID3")) < file.size:
        file.stream.seek(offset)
        if not (length := tag_length(file.stream.read(10))):
            continue
        file.stream.seek(offset + length)
        if frame_length(file.stream.read(4)):
            yield offset
            offset += length


def _next(file: MediaFile, offset: int, pattern: bytes) -> int:
    """Where a pattern occurs next, from a place on; the file's size where it does not."""
    while offset < file.size:
        file.stream.seek(offset)
        block = file.stream.read(min(BLOCK, file.size - offset))
        at = block.find(pattern)
        if at >= 0:
            return offset + at
        if len(block) < len(pattern):
            break
        offset += len(block) - len(pattern) + 1
    return file.size


def mp3_seconds(file: MediaFile) -> float:
    """Seconds that an mp3's first frame states (its Xing or Info header); 0 where it states none."""
    if file.format is None or file.format.name != "mp3":
        return 0.0
    file.stream.seek(tag_length(file.head))
    head = file.stream.read(512)
    for name in (b"Xing", b"Info"):
        if 0 <= (at := head.find(name)) <= len(head) - 12 and head[at + 7] & 1:
            return int.from_bytes(head[at + 8 : at + 12]) * frame_seconds(head)
    return 0.0


def flac_seconds(head: bytes) -> float:
    """Seconds that the header of a FLAC states; 0 where its writer did not know (RFC 9639, 8.2)."""
    if head[:4] != b"fLaC" or len(head) < 26:
        return 0.0
    packed = int.from_bytes(head[18:26])
    rate, count = packed >> 44, packed & ((1 << 36) - 1)
    return count / rate if rate else 0.0
