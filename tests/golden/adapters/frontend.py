"""Golden adapters of speakerkd.frontend, `{method: function(arrays: Case, case: str)}`; helpers in ../case.py."""

from __future__ import annotations

from speakerkd.frontend.alignment import TEMPLATE, similarity_transform
from speakerkd.frontend.noise import FLOORS, mix_noise


def face_align(arrays, case):
    landmarks, template = arrays["landmarks"], arrays["template"]
    arrays.check("template", TEMPLATE, rtol=1e-6)
    arrays.check("M_nonreflective", similarity_transform(landmarks, template))
    arrays.check("M_reference", similarity_transform(landmarks, template, reflect=True))
    # made from landmarks that were not rounded to float32
    arrays.check("M_nonreflective_f64", similarity_transform(landmarks, TEMPLATE), rtol=1e-4, atol=1e-4)


def noise_mix(arrays, case):
    mixed = mix_noise(arrays["audio"], arrays["noise"], arrays.scalar("hp.snr_db"), FLOORS["voxceleb_trainer"])
    arrays.check("mixed", mixed)


ADAPTERS = {"face_align": face_align, "noise_mix": noise_mix}
