"""What a file is, told by its first bytes: the one table of the formats that are read. An ending is only a hint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HEAD = 4096  # bytes of a file that are looked at
TS_PACKET, M2TS_PACKET = 188, 192


@dataclass(frozen=True, slots=True)
class Format:
    """A format that is read.

    kind: a video is a container that may hold sound, pictures or both. endings: what its files are usually called; a
    walk through folders goes by them. decoder: what the library calls it, FFmpeg its demuxer, Pillow its plug-in; for
    libsndfile the FFmpeg demuxer that is tried where a codec inside is not libsndfile's.
    """

    name: str
    kind: Literal["audio", "video", "picture"]
    library: Literal["libsndfile", "ffmpeg", "pillow"]
    decoder: str
    endings: tuple[str, ...] = ()


FORMATS = {
    form.name: form
    for form in (
        Format("wav", "audio", "libsndfile", "wav", (".wav", ".wave", ".rf64", ".bwf")),
        Format("w64", "audio", "libsndfile", "w64", (".w64",)),
        Format("flac", "audio", "libsndfile", "flac", (".flac",)),
        Format("ogg", "audio", "libsndfile", "ogg", (".ogg", ".oga", ".opus", ".spx")),
        Format("aiff", "audio", "libsndfile", "aiff", (".aif", ".aiff", ".aifc")),
        Format("au", "audio", "libsndfile", "au", (".au", ".snd")),
        Format("caf", "audio", "libsndfile", "caf", (".caf",)),
        Format("sph", "audio", "libsndfile", "nistsphere", (".sph",)),
        Format("voc", "audio", "libsndfile", "voc", (".voc",)),
        Format("avr", "audio", "libsndfile", "avr", (".avr",)),
        Format("paf", "audio", "libsndfile", "epaf", (".paf",)),
        Format("pvf", "audio", "libsndfile", "pvf", (".pvf",)),
        Format("ircam", "audio", "libsndfile", "ircam", (".sf",)),
        Format("svx", "audio", "libsndfile", "iff", (".8svx", ".16sv", ".svx")),
        Format("sds", "audio", "libsndfile", "", (".sds",)),
        Format("wve", "audio", "libsndfile", "", (".wve",)),
        Format("xi", "audio", "libsndfile", "", (".xi",)),
        # these share their endings with what is no sound: read where one is named, not looked for
        Format("mpc2k", "audio", "libsndfile", ""),
        Format("htk", "audio", "libsndfile", ""),
        Format("matlab", "audio", "libsndfile", ""),
        # libsndfile believes the header of an mp3 about its length; FFmpeg reads to the end
        Format("mp3", "audio", "ffmpeg", "mp3", (".mp3", ".mp2", ".mpga")),
        Format("aac", "audio", "ffmpeg", "aac", (".aac",)),
        Format("ac3", "audio", "ffmpeg", "ac3", (".ac3",)),
        Format("mp3 in wav", "audio", "ffmpeg", "wav"),
        Format("amr", "audio", "ffmpeg", "amr", (".amr", ".awb")),
        Format("wavpack", "audio", "ffmpeg", "wv", (".wv",)),
        Format("ape", "audio", "ffmpeg", "ape", (".ape",)),
        Format("tta", "audio", "ffmpeg", "tta", (".tta",)),
        Format("mp4", "video", "ffmpeg", "mov", (".m4a", ".m4b", ".mp4", ".m4v", ".mov", ".3gp", ".3g2")),
        Format("matroska", "video", "ffmpeg", "matroska", (".webm", ".mkv", ".mka")),
        Format("asf", "video", "ffmpeg", "asf", (".wma", ".wmv", ".asf")),
        Format("avi", "video", "ffmpeg", "avi", (".avi",)),
        Format("flv", "video", "ffmpeg", "flv", (".flv",)),
        Format("ogv", "video", "ffmpeg", "ogg", (".ogv",)),
        Format("mpeg", "video", "ffmpeg", "mpeg", (".mpg", ".mpeg", ".vob")),
        Format("mpegts", "video", "ffmpeg", "mpegts", (".ts", ".mts", ".m2ts")),
        Format("jpeg", "picture", "pillow", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")),
        Format("png", "picture", "pillow", "PNG", (".png",)),
        Format("gif", "picture", "pillow", "GIF", (".gif",)),
        Format("bmp", "picture", "pillow", "BMP", (".bmp",)),
        Format("webp", "picture", "pillow", "WEBP", (".webp",)),
        Format("tiff", "picture", "pillow", "TIFF", (".tif", ".tiff")),
        Format("pnm", "picture", "pillow", "PPM", (".ppm", ".pgm", ".pbm", ".pnm")),
        Format("jpeg2000", "picture", "pillow", "JPEG2000", (".jp2", ".j2k")),
        Format("avif", "picture", "pillow", "AVIF", (".avif",)),
        Format("heif", "picture", "pillow", "HEIF", (".heic", ".heif")),
    )
}
SOUND_ALONE = (".m4a", ".m4b", ".mka", ".wma")  # endings of containers that say that no pictures are inside

# (where, what, format): the first that fits
MAGIC = (
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b".snd", "au"),
    (0, b"dns.", "au"),
    (0, b"caff", "caf"),
    (0, b"NIST_1A", "sph"),
    (0, b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00", "w64"),
    (0, b"Creative Voice File\x1a", "voc"),
    (0, b"2BIT", "avr"),
    (0, b" paf", "paf"),
    (0, b"fap ", "paf"),
    (0, b"PVF1", "pvf"),
    (0, b"\xf0\x7e", "sds"),
    (0, b"ALawSoundFile**", "wve"),
    (0, b"Extended Instrument: ", "xi"),
    (0, b"MATLAB 5.0 MAT-file", "matlab"),
    (0, b"\x01\x04", "mpc2k"),
    (0, b"#!AMR", "amr"),
    (0, b"wvpk", "wavpack"),
    (0, b"MAC ", "ape"),
    (0, b"TTA1", "tta"),
    (0, b"\x0b\x77", "ac3"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (0, b"FLV\x01", "flv"),
    (0, b"\x00\x00\x01\xba", "mpeg"),
    (0, b"\x00\x00\x01\xb3", "mpeg"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"GIF8", "gif"),
    (0, b"BM", "bmp"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (0, b"II+\0", "tiff"),
    (0, b"MM\0+", "tiff"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "jpeg2000"),
    (0, b"\xff\x4f\xff\x51", "jpeg2000"),
)
BOXES = (b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"moof", b"styp", b"sidx")
AVIF_BRANDS = {b"avif", b"avis"}
HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"mif2"}


def format_of(head: bytes, size: int) -> Format | None:
    """The format of a file by its first `HEAD` bytes and its size; None where it is none that is read."""
    name = _name(head, size)
    return FORMATS[name] if name else None


def tag_length(head: bytes) -> int:
    """Bytes of an ID3v2 tag, which taggers put before an mp3, aac or flac; 0 where there is none."""
    if head[:3] != b"ID3" or len(head) < 10 or head[3] == 255 or any(value > 127 for value in head[6:10]):
        return 0
    return 10 + sum(value << 7 * (3 - digit) for digit, value in enumerate(head[6:10])) + 10 * (head[5] >> 4 & 1)


def endings(*kinds: str) -> frozenset[str]:
    """The usual endings, in small letters and with their dot, of the formats of some kinds."""
    return frozenset(ending for form in FORMATS.values() if form.kind in kinds for ending in form.endings)


AUDIO = endings("audio", "video")  # what may hold a recording
IMAGE = endings("picture")
VIDEO = endings("video") - set(SOUND_ALONE)
PICTURE = IMAGE | VIDEO  # what may show a face


def _name(head: bytes, size: int) -> str | None:
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"FFIR"):
        codec = head[head.find(b"fmt ") + 8 :][:2]
        if head[8:12] == b"WAVE" and codec in (b"\x50\0", b"\x55\0"):
            return "mp3 in wav"
        return {b"WAVE": "wav", b"AVI ": "avi", b"WEBP": "webp"}.get(head[8:12])
    if head[:4] == b"FORM":
        return {b"AIFF": "aiff", b"AIFC": "aiff", b"8SVX": "svx", b"16SV": "svx"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(int.from_bytes(head[:4]), 256), 4))}
        return "avif" if brands & AVIF_BRANDS else "heif" if head[8:12] in HEIF_BRANDS else "mp4"
    if head[4:8] in BOXES:
        return "mp4"
    for offset, magic, name in MAGIC:
        if head.startswith(magic, offset):
            return "ogv" if name == "ogg" and b"theora" in head[:512] else name
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "pnm"
    if head[:1] == b"d" and head[1:2] == b"\xa3" or head[1:4] == b"\0\xa3d" or head[:3] == b"\0\0\xa3":
        return "ircam"
    return _by_structure(head, size) or _frames(head)


def _by_structure(head: bytes, size: int) -> str | None:
    """Formats without a magic number: their header must agree with the file's size."""
    if len(head) < 20:
        return None
    if head[8:12] == b"\0\x02\0\0" and 12 + 2 * int.from_bytes(head[:4]) == size:
        return "htk"
    if head[:4] in (b"\0\0\0\0", b"\0\0\x03\xe8") and b"samplerate\0" in head[20:32]:
        return "matlab"  # MATLAB 4's first matrix, as libsndfile and Octave write it
    if head[:1] == head[TS_PACKET : TS_PACKET + 1] == head[2 * TS_PACKET : 2 * TS_PACKET + 1] == b"G":
        return "mpegts"
    if head[4:5] == head[4 + M2TS_PACKET : 5 + M2TS_PACKET] == b"G":
        return "mpegts"
    return None


def _frames(head: bytes) -> str | None:
    """mp3 and ADTS are bare rows of frames: a first one, perhaps after a few bytes of junk, and another behind it."""
    for at in range(len(head) - 8):
        if head[at] != 0xFF or head[at + 1] & 0xE0 != 0xE0:
            continue
        second = head[at + 1]
        if second & 0xF6 == 0xF0:  # ADTS, any MPEG version
            length = (head[at + 3] & 3) << 11 | head[at + 4] << 3 | head[at + 5] >> 5
            if length > 7 and _repeated(head, at, length):
                return "aac"
        elif (length := frame_length(head[at : at + 4])) and _repeated(head, at, length):
            return "mp3"
    return None


def _repeated(head: bytes, at: int, length: int) -> bool:
    """Whether a frame is followed by another; one at the very beginning is believed if the other is out of sight."""
    following = head[at + length : at + length + 2]
    return following == head[at : at + 2] or (at == 0 and len(following) < 2)


BIT_RATES = {  # kbit/s, by (MPEG 1?, layer), ISO/IEC 11172-3 2.4.2.3 and 13818-3 2.4.2.3
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def frame_length(header: bytes) -> int:
    """Bytes of an MPEG audio frame by its header of four bytes; 0 where it is none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bits, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer == 4 or not 0 < bits < 15 or rate == 3:
        return 0
    speed = 1000 * BIT_RATES[version == 3, layer][bits - 1]
    hertz = (44100, 48000, 32000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    padding = header[2] >> 1 & 1
    if layer == 1:
        return (12 * speed // hertz + padding) * 4
    return (72 if layer == 3 and version != 3 else 144) * speed // hertz + padding


def frame_seconds(header: bytes) -> float:
    """Seconds of an MPEG audio frame by its header of four bytes; 0 where it is none."""
    if not frame_length(header):
        return 0.0
    version, layer, rate = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3), header[2] >> 2 & 3
    samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152
    return samples / ((44100, 48000, 32000)[rate] >> {3: 0, 2: 1, 0: 2}[version])
