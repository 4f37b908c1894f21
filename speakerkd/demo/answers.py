"""What the page answers: uploads in, HTML out. Nothing here knows who serves it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from speakerkd.answers import Verdict
from speakerkd.api import Model
from speakerkd.demo import drawing
from speakerkd.demo.drawing import text
from speakerkd.demo.settings import DemoSettings
from speakerkd.demo.uploads import hear, see
from speakerkd.errors import InputError
from speakerkd.evaluation.model import fbank_settings


def _error_as_answer(answer: Callable[..., str]) -> Callable[..., str]:
    """A fault in an upload becomes its message on the page."""

    @functools.wraps(answer)
    def asked(*inputs: Any) -> str:
        try:
            return answer(*inputs)
        except InputError as error:
            what = f"{error.where}: {error.what}" if error.where else error.what
            return drawing.fault(what, error.fix)

    return asked


class Answers:
    """One model's answers about uploaded files, which are named by their paths; None or an empty list: none given."""

    def __init__(self, model: Model, settings: DemoSettings) -> None:
        self.model, self.settings = model, settings
        self.rate = fbank_settings(model.package).rate
        self.crops = model.package.protocol == "crops"

    @functools.cached_property
    def no_faces(self) -> str:
        """Why the model cannot be matched with faces; empty where it can."""
        try:
            self.model.check_faces()
        except InputError as error:
            return str(error)
        return ""

    @_error_as_answer
    def verify(self, first: str | None, second: str | None) -> str:
        """Whether two recordings are of one speaker."""
        paths = [path for path in (first, second) if path]
        if len(paths) < 2:
            raise InputError("a recording is missing", "", "record or choose both of them")
        heard = [hear(path, self.rate, self.settings) for path in paths]
        pair = [(one.samples, one.rate) for one in heard]
        verdict = self.model.verify(pair[0], pair[1], self.settings.threshold)
        waves = "".join(f"<td>{drawing.waveform(one)}</td>" for one in heard)
        return (
            f'<div class="skd"><div class="verdict">{_verdict(verdict)}</div>{self._scale(verdict)}'
            f"<table><tr>{waves}</tr></table>{self._meaning(verdict)}</div>"
        )

    def _scale(self, verdict: Verdict) -> str:
        low, high = (-2.0, 0.0) if self.crops else (-1.0, 1.0)
        return drawing.scale(verdict.score, verdict.threshold, low, high)

    def _meaning(self, verdict: Verdict) -> str:
        if self.crops:
            score = (
                "The score is minus the mean distance between ten pieces of the one recording and ten of the other, "
                "0 for the same sound, about -1.4 for what has nothing in common."
            )
        else:
            score = "The score is the cosine of the two recordings' embeddings, 1 for the same sound, about 0 for none."
        if verdict.threshold is None:
            cut = f"{verdict.source[:1].upper()}{verdict.source[1:]}."
        else:
            source = re.sub(r" \([^()]*\.json\)$", "", verdict.source)  # where it lies here is no reader's business
            cut = (
                f"At or above the threshold the speakers are taken for one ({source}). It holds for recordings like "
                "those it was set on."
            )
        odds = (
            ""
            if verdict.probability is None
            else "The probability holds if, before hearing them, one speaker is as likely as two."
        )
        return f'<p class="note">{text(score)} {text(cut)} {text(odds)}</p>'

    @_error_as_answer
    def faces_of_voice(self, audio: str | None, pictures: Sequence[str] | None) -> str:
        """Which of several faces belongs to a voice."""
        if not audio or not pictures:
            raise InputError("a recording or the pictures are missing", "", "give one recording and several pictures")
        self._few(pictures, "pictures")
        heard = hear(audio, self.rate, self.settings)
        seen = [see(path, self.settings) for path in pictures]
        voice = self.model.embed([(heard.samples, heard.rate)], "mean")[0]
        faces = self.model.aligned_faces(np.stack([one.face.crop for one in seen]))
        shown = [drawing.detected_face(one) for one in seen]
        table = _ranking((faces @ voice).tolist(), [one.name for one in seen], shown)
        return f'<div class="skd">{table[0]}{drawing.waveform(heard)}{table[1]}{MATCHING}</div>'

    @_error_as_answer
    def voices_of_face(self, picture: str | None, audios: Sequence[str] | None) -> str:
        """Which of several voices belongs to a face."""
        if not picture or not audios:
            raise InputError("a picture or the recordings are missing", "", "give one picture and several recordings")
        self._few(audios, "recordings")
        seen = see(picture, self.settings)
        heard = [hear(path, self.rate, self.settings) for path in audios]
        voices = self.model.embed([(one.samples, one.rate) for one in heard], "mean")
        face = self.model.aligned_faces(seen.face.crop[None])[0]
        shown = [drawing.waveform(one) for one in heard]
        table = _ranking((voices @ face).tolist(), [one.name for one in heard], shown)
        return f'<div class="skd">{table[0]}{drawing.detected_face(seen)}{table[1]}{MATCHING}</div>'

    def _few(self, paths: Sequence[str], what: str) -> None:
        if len(paths) > self.settings.files:
            fix = "give fewer, or start the page with --files"
            raise InputError(f"{len(paths)} {what}, at most {self.settings.files} are taken", "", fix)


MATCHING = """<p class="note">The number is the cosine between the voice's embedding and the face's, as the face network
that taught this model sees it: 1 is the same direction, 0 no tie, -1 the opposite. The highest of those given comes
first, whether or not the right one is among them; a small lead means little. With two options, chance alone is right
half of the time.</p>"""


def _verdict(verdict: Verdict) -> str:
    if verdict.same is None:
        return "No verdict: no threshold is known"
    colour = drawing.GOOD if verdict.same else drawing.BAD
    sure = "" if verdict.probability is None else f", probability of one speaker {100 * verdict.probability:.1f} %"
    return f'<span style="color:{colour}">{"Same speaker" if verdict.same else "Different speakers"}</span>{sure}'


def _ranking(cosines: list[float], names: list[str], shown: list[str]) -> tuple[str, str]:
    """A headline, and the options by falling cosine."""
    order = sorted(range(len(names)), key=lambda row: -cosines[row])
    tie = len(order) > 1 and cosines[order[0]] == cosines[order[1]]
    lead = "" if len(order) < 2 else f", {cosines[order[0]] - cosines[order[1]]:.3f} before the next"
    head = "Undecided: the first two are equal" if tie else f"Nearest: {text(names[order[0]])}{lead}"
    rows = "".join(
        f'<tr class="{"first" if rank == 1 else ""}"><td>{rank}</td><td>{shown[row]}</td>'
        f'<td><div class="cosine">{cosines[row]:+.3f}{drawing.bar(cosines[row])}</div></td></tr>'
        for rank, row in enumerate(order, 1)
    )
    table = f"<table><tr><th>rank</th><th>option</th><th>cosine</th></tr>{rows}</table>"
    return f'<div class="verdict name">{head}</div>', table
