"""Golden adapters of speakerkd.distill, `{method: function(arrays: Case, case: str)}`; helpers in ../case.py."""

from __future__ import annotations

from adapters import distill_embeddings, distill_first, distill_logits, distill_maps, distill_structure

ADAPTERS = {
    "projhead": distill_first.projhead,
    "margin_feature": distill_first.margin_feature,
    "classifier_level": distill_first.classifier_level,
    "quality": distill_first.quality,
    "sem": distill_structure.sem,
    "dcm": distill_structure.dcm,
    "discomkd": distill_structure.discomkd,
    "kd": distill_logits.kd,
    "lskd": distill_logits.lskd,
    "dkd": distill_logits.dkd,
    "ctkd": distill_logits.ctkd,
    "mlkd": distill_logits.mlkd,
    "fitnet": distill_maps.fitnet,
    "fitnet_vec": distill_embeddings.fitnet_vec,
    "at": distill_maps.at,
    "nst": distill_maps.nst,
    "fsp": distill_maps.fsp,
    "vid": distill_maps.vid,
    "semckd": distill_maps.semckd,
    "simkd": distill_maps.simkd,
    "ickd": distill_maps.ickd,
    "sp": distill_embeddings.sp,
    "cc": distill_embeddings.cc,
    "cc_paper": distill_embeddings.cc_paper,
    "rkd": distill_embeddings.rkd,
    "pkt": distill_embeddings.pkt,
    "crd": distill_embeddings.crd,
    "ccl": distill_embeddings.ccl,
    "clip": distill_embeddings.clip,
}
