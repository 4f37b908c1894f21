"""Golden adapters of speakerkd.frontend, `{method: function(arrays: Case, case: str)}`; helpers in ../case.py."""

from __future__ import annotations

ADAPTERS = {}
