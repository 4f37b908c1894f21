"""A recording's samples as they are in the file: every channel, at every rate that occurs, to its end."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from speakerkd.errors import InputError
from speakerkd.media.declared import Window, flac_seconds, is_whole_wav, missing_share, mp3_seconds, parts, repaired
from speakerkd.media.files import MediaFile
from speakerkd.media.formats import HEAD, Format
from speakerkd.media.library import Account, DecodingError

LOWEST_RATE, HIGHEST_RATE = 1000, 768_000
LONGEST = 4 * 3600  # seconds of one recording
MOST_SAMPLES = 1 << 30  # of one recording, over all channels
MOST_CHANNELS = 256
BARE = {"mp3", "aac", "ac3", "amr", "ogg", "ogv", "mpeg", "mpegts"}  # rows of frames, junk between them passed over
JUNK = 0.01  # the share of their packets that may be such
NOTHING = 0.005  # seconds, half a frame's step, that nobody misses
PADDING = 0.1  # seconds by which encoders and headers differ without anything being missing
COPY = "copy or convert it again"


@dataclass(slots=True)
class Sound:
    """Decoded sound: runs of (samples (N, C) float32, rate in Hz), and the seconds that were promised and are missing.

    There is more than one run only where channels or rate change within the file.
    """

    runs: list[tuple[np.ndarray, int]] = field(default_factory=list)
    missing: float = 0.0

    @property
    def seconds(self) -> float:
        return sum(len(samples) / rate for samples, rate in self.runs)


def decode_sound(file: MediaFile) -> Sound:
    """Decode an open file to its end.

    Raises InputError, naming the file and the fault, for one that is not audio, holds no sound, cannot be decoded, is
    longer than `LONGEST`, or whose rate cannot be one of sound.
    """
    decoding = Decoding(file)
    blocks: list[tuple[int, int, list[np.ndarray]]] = []
    for samples, rate in decoding:
        if not blocks or blocks[-1][:2] != (samples.shape[1], rate):
            blocks.append((samples.shape[1], rate, []))
        blocks[-1][2].append(samples)
    runs = [(some[0] if len(some) == 1 else np.concatenate(some), rate) for _, rate, some in blocks]
    return Sound(runs, decoding.missing)


def sound_seconds(file: MediaFile) -> tuple[float, float]:
    """(seconds of sound that are there, seconds that are missing), decoded where nothing else tells them for certain.

    Uncompressed files and whole FLACs are counted by their bytes, MP4 by its packets. Raises what decode_sound does.
    """
    counted = _counted(file, sound_format(file))
    if counted is not None:
        return counted
    decoding = Decoding(file)
    seconds = sum(len(samples) / rate for samples, rate in decoding)
    return seconds, decoding.missing


def sound_format(file: MediaFile) -> Format:
    """The format of an open file; raises InputError where it is none that may hold sound."""
    if file.format is None:
        fix = "give wav, flac, mp3, m4a, ogg or another usual format"
        raise InputError("not a readable recording (its content is of no format that is read)", file.name, fix)
    if file.format.kind == "picture":
        raise InputError(f"a picture ({file.format.name}), not a recording", file.name, "give a recording")
    return file.format


class Decoding:
    """The blocks (samples (n, C), rate) of a file; once all are taken, `missing` holds the seconds not there."""

    def __init__(self, file: MediaFile) -> None:
        self.file = file
        self.format = sound_format(file)
        self.missing = 0.0
        self._account = Account()

    def __iter__(self) -> Iterator[tuple[np.ndarray, int]]:
        seconds, samples, name = 0.0, 0, self.file.name
        for piece in self._pieces():
            begun = seconds
            for block, rate in self._decoded(piece):
                if not LOWEST_RATE <= rate <= HIGHEST_RATE or block.shape[1] > MOST_CHANNELS:
                    what = f"a sample rate of {rate} Hz in {block.shape[1]} channels"
                    raise InputError(what, name, "the file is damaged: copy it again")
                seconds += len(block) / rate
                samples += block.size
                if seconds > LONGEST or samples > MOST_SAMPLES:
                    what = f"longer than {LONGEST // 3600} hours" if seconds > LONGEST else "more than 2^30 samples"
                    raise InputError(what, name, "cut the recording into shorter ones")
                yield block, rate
            self.missing += _missing(piece, seconds - begun, self._account)

    def _pieces(self) -> Iterator[MediaFile]:
        """The recordings that were joined end to end in the file; nearly always one, the file."""
        pieces = parts(self.file)
        if len(pieces) == 1:
            file = self.file
            yield MediaFile(repaired(file), file.name, file.head, file.size, file.format, file.known)
            return
        for start, stop in pieces:
            stream = io.BufferedReader(Window(self.file.stream, start, stop))
            yield MediaFile(stream, self.file.name, stream.read(HEAD), stop - start, self.file.format)

    def _decoded(self, file: MediaFile) -> Iterator[tuple[np.ndarray, int]]:
        """By libsndfile where the format is its, by FFmpeg where it is not or a codec inside is not."""
        self._account = Account()
        fault = ""
        if self.format.library == "libsndfile":
            from speakerkd.media.libsndfile import libsndfile_blocks

            samples = 0
            try:
                for block in libsndfile_blocks(file.stream):
                    samples += len(block[0])
                    yield block
                return
            except DecodingError as error:
                fault = str(error)
            if samples or not self.format.decoder:
                raise InputError(f"damaged or not a readable recording ({fault})", file.name, COPY)
        yield from self._by_ffmpeg(file, fault)

    def _by_ffmpeg(self, file: MediaFile, fault: str) -> Iterator[tuple[np.ndarray, int]]:
        from speakerkd.media.ffmpeg import NoTrackError, ffmpeg_blocks

        samples = 0
        try:
            for block in ffmpeg_blocks(file.stream, self.format.decoder, self._account):
                samples += len(block[0])
                yield block
        except NoTrackError:
            raise InputError("no sound in the file", file.name, "give one with an audio track") from None
        except DecodingError as error:
            fault = fault or str(error)
        fault = fault or self._account.reason
        if not samples and fault:
            broken = "truncated or not" if self.format.kind == "video" else "not"
            raise InputError(f"{broken} a readable recording ({fault})", file.name, COPY)


def _counted(file: MediaFile, form: Format) -> tuple[float, float] | None:
    """What sound_seconds gives, without decoding; None where only decoding tells."""
    from speakerkd.media.ffmpeg import NoTrackError, ffmpeg_seconds
    from speakerkd.media.libsndfile import has_frame, libsndfile_length

    if form.name not in ("wav", "aiff", "au", "w64", "caf", "sph", "flac", "mp4") or len(parts(file)) > 1:
        return None
    try:
        if form.name == "mp4":
            account = Account()
            seconds = ffmpeg_seconds(file.stream, form.decoder, account)
            return (seconds, _missing(file, seconds, account)) if seconds else None
        stream = repaired(file)
        frames, rate = libsndfile_length(stream)
        if not frames or not rate or (form.name == "flac" and not has_frame(stream, frames - 1)):
            return None
    except (NoTrackError, DecodingError):
        return None  # decoding says what is wrong
    if not LOWEST_RATE <= rate <= HIGHEST_RATE or frames / rate > LONGEST:
        return None
    return frames / rate, _missing(file, frames / rate, account=Account())


def _missing(file: MediaFile, seconds: float, account: Account) -> float:
    """Seconds that are truly missing of those that a piece promises, and that its packets lost."""
    assert file.format is not None
    if file.format.name == "wav" and not account.failed and is_whole_wav(file):
        return 0.0
    lost = 0.0
    if account.failed > (2 + JUNK * account.packets if file.format.name in BARE else 0):
        lost = max(account.lost, account.failed / max(1, account.packets) * seconds, 0.001)
    if file.format.name == "flac":
        return max(lost, _beyond(flac_seconds(file.head) - seconds, NOTHING))
    if stated := mp3_seconds(file):
        return max(lost, _beyond(min(stated, account.declared) - seconds, PADDING))  # FFmpeg leaves out the padding
    share = missing_share(file)
    if share and file.format.kind == "video" and seconds < account.declared < LONGEST:
        return max(lost, _beyond(account.declared - seconds, PADDING))
    gap = share * seconds if seconds else share
    return max(lost, gap if gap > NOTHING else 0.0)


def _beyond(gap: float, tolerance: float) -> float:
    return gap if gap > tolerance and math.isfinite(gap) else 0.0
