"""If one of these fails, a published method here is no longer the published method.

$SPEAKERKD_GOLDEN names another folder of `<method>_<case>.npz`; every file found there is run.
"""

import harness
import pytest

FOLDER = harness.folder()
FILES = harness.files(FOLDER)


def test_there_are_golden_files():
    assert FILES, f"no .npz file in {FOLDER}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden(path):
    harness.run(path)
