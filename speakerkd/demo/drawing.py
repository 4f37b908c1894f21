"""What the page shows, as HTML with pictures inside: waveforms, faces, scores on a scale, faults. All text is text."""

from __future__ import annotations

import base64
import html
import io

import numpy as np
from numpy.typing import NDArray

from speakerkd.demo.uploads import Heard, Seen

BINS = 240  # bars of a waveform
SHOWN = 240  # pixels, the longer side of a picture
GOOD, BAD, PLAIN = "var(--skd-good)", "var(--skd-bad)", "var(--skd-plain)"  # light and dark, see STYLE

STYLE = """
.skd { font-size: 15px; line-height: 1.45; --skd-good: #15803d; --skd-bad: #b91c1c; --skd-plain: #4f46e5;
  --skd-fault: #7f1d1d; --skd-ground: #fef2f2 }
.dark .skd { --skd-good: #4ade80; --skd-bad: #f87171; --skd-plain: #818cf8; --skd-fault: #fecaca;
  --skd-ground: #450a0a }
.skd table { border-collapse: collapse; width: auto; max-width: 100%; margin: 8px 0; border: 0 !important }
.skd tr { border: 0 !important }
.skd td, .skd th { padding: 6px 10px !important; text-align: left; vertical-align: middle; border: 0 !important;
  border-bottom: 1px solid var(--border-color-primary, #ddd) !important }
.skd .verdict { font-size: 21px; font-weight: 650; margin: 2px 0 8px }
.skd .note { color: var(--body-text-color); opacity: .78; font-size: 13.5px }
.skd .fault { border-left: 5px solid var(--skd-bad); background: var(--skd-ground); padding: 10px 14px;
  border-radius: 4px; overflow-wrap: anywhere }
.skd .fault, .skd .fault * { color: var(--skd-fault) !important }
.skd .name { overflow-wrap: anywhere }
.skd svg { display: block; max-width: 100% }
.skd .first { font-weight: 650 }
.skd figure { margin: 0 }
.skd .cosine { display: flex; flex-wrap: wrap; align-items: center; gap: 2px 12px }
.skd .bar { min-width: 84px }
@media (max-width: 640px) {
  .tab-container button { padding-left: 7px !important; padding-right: 7px !important }
  .skd .face svg, .skd .face img { width: 84px; height: auto }
  .skd td, .skd th { padding: 6px 4px !important }
}
"""


def text(value: object) -> str:
    """A value as text that no browser takes for anything else."""
    return html.escape(str(value), quote=True)


def fault(what: str, fix: str) -> str:
    """What is wrong, and what to do about it."""
    return f'<div class="skd"><div class="fault" role="alert"><b>{text(what)}</b><br>{text(fix)}</div></div>'


def waveform(heard: Heard) -> str:
    """Loudest and softest sample of each of 240 parts, scaled to the loudest of all, with name and seconds."""
    parts = np.array_split(heard.samples, min(BINS, len(heard.samples)))
    high = np.array([part.max() for part in parts])
    low = np.array([part.min() for part in parts])
    loudest = max(float(np.abs(heard.samples).max()), 1e-9)
    bars = "".join(
        f"M{column} {30 - 28 * top / loudest:.1f}V{31 - 28 * bottom / loudest:.1f}"
        for column, (top, bottom) in enumerate(zip(high.tolist(), low.tolist(), strict=True))
    )
    return (
        f'<figure><svg viewBox="0 0 {BINS} 60" width="{2 * BINS}" height="60" preserveAspectRatio="none" role="img" '
        f'aria-label="waveform of {text(heard.name)}"><path d="{bars}" stroke="{PLAIN}" fill="none"/></svg>'
        f'<figcaption class="note name">{text(heard.name)}, {heard.seconds:.1f} s</figcaption></figure>'
    )


def detected_face(seen: Seen) -> str:
    """The picture with a frame around the face that counts (solid) and around the others (dashed), and that face."""
    height, width = seen.picture.shape[:2]
    factor = min(1.0, SHOWN / max(height, width))
    boxes = _box(seen.face.box, factor, "") + "".join(_box(box, factor, "6 5") for box in seen.face.others)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    others = f", {seen.face.count} faces: the framed one counts" if seen.face.count > 1 else ""
    turned = f", turned by {seen.face.turned} degrees" if seen.face.turned else ""
    return (
        f'<figure class="face" style="display:flex;gap:10px;align-items:end;flex-wrap:wrap">'
        f'<svg viewBox="0 0 {size[0]} {size[1]}" width="{size[0]}" height="{size[1]}" role="img" '
        f'aria-label="{text(seen.name)}"><image href="{_jpeg(seen.picture, size)}" width="{size[0]}" '
        f'height="{size[1]}"/>{boxes}</svg>'
        f'<img src="{_jpeg(seen.face.crop, (112, 112))}" width="112" height="112" alt="the face, aligned">'
        f'<figcaption class="note name" style="flex-basis:100%">{text(seen.name)}{others}{turned}; '
        f"sure of the face: {100 * seen.face.probability:.0f} %</figcaption></figure>"
    )


def _box(box: NDArray[np.float64], factor: float, dashes: str) -> str:
    left, top, right, bottom = (float(edge) * factor for edge in box)
    colour = "#94a3b8" if dashes else "#22c55e"
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}" fill="none" '
        f'stroke="{colour}" stroke-width="3" stroke-dasharray="{dashes}"/>'
    )


def _jpeg(picture: NDArray[np.uint8], size: tuple[int, int]) -> str:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR).save(stream, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def scale(score: float, threshold: float | None, low: float, high: float) -> str:
    """A score on its scale from `low` to `high`, and where the threshold lies, if one is known."""
    x = 20 + 440 * float(np.clip((score - low) / (high - low), 0, 1))
    ground = f'<rect x="20" y="34" width="440" height="10" rx="5" fill="{PLAIN}" opacity=".25"/>'
    mark = ""
    if threshold is not None:
        cut = 20 + 440 * float(np.clip((threshold - low) / (high - low), 0, 1))
        ground = (
            f'<rect x="20" y="34" width="{cut - 20:.1f}" height="10" fill="{BAD}" opacity=".3"/>'
            f'<rect x="{cut:.1f}" y="34" width="{460 - cut:.1f}" height="10" fill="{GOOD}" opacity=".3"/>'
        )
        mark = (
            f'<path d="M{cut:.1f} 28V50" stroke="currentColor" stroke-width="2"/>'
            f'<text x="{_within(cut):.1f}" y="66" font-size="14" text-anchor="middle" fill="currentColor">'
            f"threshold {threshold:.3f}</text>"
        )
    return (
        f'<svg viewBox="0 0 480 72" width="480" height="72" role="img" aria-label="score {score:.3f}">{ground}{mark}'
        f'<path d="M{x:.1f} 33l-7 -11h14z" fill="currentColor"/>'
        f'<text x="{_within(x):.1f}" y="16" font-size="16" font-weight="650" text-anchor="middle" '
        f'fill="currentColor">score {score:.3f}</text>'
        f'<text x="20" y="66" font-size="14" fill="currentColor">{low:g}</text>'
        f'<text x="460" y="66" font-size="14" text-anchor="end" fill="currentColor">{high:g}</text></svg>'
    )


def _within(x: float) -> float:
    """Where a label's middle may stand so that all of it is seen."""
    return min(max(x, 60), 420)


def bar(similarity: float) -> str:
    """A cosine in [-1, 1] as a bar from the middle."""
    start, width = 100 + 100 * min(0.0, similarity), 100 * min(1.0, abs(similarity))
    return (
        f'<svg class="bar" viewBox="0 0 200 16" width="200" height="16" role="img" aria-label="{similarity:+.3f}">'
        f'<rect x="{start:.1f}" y="2" width="{width:.1f}" height="12" fill="{PLAIN}"/>'
        '<path d="M100 0V16" stroke="currentColor"/></svg>'
    )
