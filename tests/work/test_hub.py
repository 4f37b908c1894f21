"""A model by its Hugging Face name: out of the local cache, without a connection; and one line where there is none."""

import shutil
import subprocess
import sys

import pytest

import speakerkd
from speakerkd.errors import InputError
from speakerkd.evaluation.model import find_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tiny, tmp_path, monkeypatch):
    """The hub's cache as its own tools lay it out: content under blobs, names as links below the commit."""
    kept = tmp_path / "hf/hub/models--somebody--faces.v1"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs/main").write_text(COMMIT)
    (kept / "blobs").mkdir()
    folder = kept / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    for number, name in enumerate(("model.json", "model.safetensors")):
        shutil.copy(tiny / name, kept / f"blobs/{number}")
        (folder / name).symlink_to(f"../../blobs/{number}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_model_in_the_cache_is_loaded_by_its_name(cache, tiny):
    model = speakerkd.load("somebody/faces.v1", "cpu")
    assert model.directory == cache and model.package.digest == speakerkd.load(tiny, "cpu").package.digest


def test_a_folder_of_that_name_comes_first(cache, tmp_path, tiny):
    here = shutil.copytree(tiny, tmp_path / "somebody/faces.v1")
    assert find_model("somebody/faces.v1").resolve() == here
    with pytest.raises(InputError, match="no such experiment directory 'somebody/other'"):
        find_model("somebody/other")  # a path below a folder that is here: nobody is asked


@pytest.mark.parametrize("commit", ["../../../../elsewhere", "0" * 40])
def test_a_cache_that_names_another_place_is_not_followed(cache, commit):
    (cache.parents[1] / "refs/main").write_text(commit)
    with pytest.raises(InputError, match="no model 'somebody/faces.v1'"):
        find_model("somebody/faces.v1")


def test_what_cannot_be_had_is_one_line_with_and_without_the_extra(cache):
    pytest.importorskip("huggingface_hub")
    with pytest.raises(InputError, match="Hugging Face did not give it"):
        find_model("nobody/nothing")
    code = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "from speakerkd.cli.main import run; run(['verify', 'a.wav', 'b.wav', '--model', 'nobody/nothing'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "speakerkd[hub]" in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_hubs_own_tools_find_the_same_folder(cache):
    hub = pytest.importorskip("huggingface_hub")
    assert hub.snapshot_download("somebody/faces.v1", local_files_only=True, cache_dir=cache.parents[2]) == str(cache)
