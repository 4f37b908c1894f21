"""Golden adapters of speakerkd.evaluation, `{method: function(arrays: Case, case: str)}`; helpers in ../case.py."""

from __future__ import annotations

ADAPTERS = {}
