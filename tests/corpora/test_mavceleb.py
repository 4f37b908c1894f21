"""MAV-Celeb of the FAME challenge: its lists become data directories, and its score files come back in their order."""

import numpy as np
import pytest
import soundfile
from PIL import Image

from speakerkd.config import parse
from speakerkd.corpora.build import Work
from speakerkd.corpora.mavceleb import MavCelebSettings, prepare_mavceleb
from speakerkd.data.archive import write_features
from speakerkd.data.datadir import read_table
from speakerkd.data.vectors import write_vectors
from speakerkd.errors import InputError
from speakerkd.evaluation.fame import write_fame_scores

TEST = ["ysuvkz41", "tog3zj45", "ky5xfj1d", "yx4nfa35"]


@pytest.fixture
def tree(tmp_path):
    """Two people in training, four lines in each test list, in the challenge's layout."""
    root, lists = tmp_path / "v3", tmp_path / "v3_lists"
    lists.mkdir()
    rng = np.random.default_rng(0)

    def media(voice, face):
        for name in (voice, face):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / voice, 0.1 * rng.normal(size=16000).astype(np.float32), 16000)
        Image.fromarray(rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)).save(root / face)

    lines = []
    for person in ("id0001", "id0002"):
        for number in range(2):
            pair = f"voices/{person}/English/vid/{number:05d}.wav", f"faces/{person}/English/vid/{number:05d}.jpg"
            media(*pair)
            lines.append(f"key{person}{number} {pair[0]} {pair[1]}\n")
    (lists / "English_train.txt").write_text("".join(lines))
    for language in ("English", "German"):
        rows = [(k, f"voices/{language}/{n:05d}.wav", f"faces/{language}/{n:05d}.jpg") for n, k in enumerate(TEST)]
        for _, voice, face in rows:
            media(voice, face)
        (lists / f"{language}_test.txt").write_text("".join(" ".join(row) + "\n" for row in rows))
    return root, lists


def settings(tree, **values):
    return parse(MavCelebSettings, {"root": tree[0], "lists": tree[1], **values}, "test")


def test_the_lists_become_data_directories(tree, tmp_path):
    built = prepare_mavceleb(tmp_path / "data", settings(tree), Work(1))
    assert [b.path.name for b in built] == ["train", "test_heard", "test_unheard"]
    speakers = read_table(tmp_path / "data/train/utt2spk")
    assert set(speakers.values()) == {"id0001", "id0002"} and len(speakers) == 4
    assert (tmp_path / "data/test_heard/fame_pairs").read_text().split() == TEST
    assert set(read_table(tmp_path / "data/test_unheard/utt2spk")) == set(TEST)
    assert read_table(tmp_path / "data/test_unheard/utt2lang") == dict.fromkeys(TEST, "German")
    faces = read_table(tmp_path / "data/train/face.scp")
    assert all(path.endswith(".jpg") for path in faces.values()) and len(faces) == 4


@pytest.mark.parametrize(
    ("values", "words"),
    [({"heard": "Urdu"}, "v3 has English and German"), ({"version": "v1"}, "no such list|Urdu_test|English")],
)
def test_a_language_of_another_version_is_refused(tree, tmp_path, values, words):
    if "version" in values:
        (tree[1] / "English_test.txt").unlink()
    with pytest.raises(InputError, match=words):
        prepare_mavceleb(tmp_path / "data", settings(tree, **values), Work(1))


def test_a_broken_line_is_named(tree, tmp_path):
    with open(tree[1] / "English_train.txt", "a") as stream:
        stream.write("key voices/x.wav\n")
    with pytest.raises(InputError, match=r"2 fields.*English_train.txt:5"):
        prepare_mavceleb(tmp_path / "data", settings(tree), Work(1))


def test_a_score_file_has_every_line_in_the_lists_order(package, tmp_path):
    """Distances by hand: of unit vectors, sqrt(2 - 2 cosine); a line without a face has the median."""
    rng = np.random.default_rng(1)
    features = {key: rng.normal(size=(120, 8)).astype(np.float32) for key in TEST}
    write_features(tmp_path, "feats", features.items())
    write_vectors(tmp_path, "teacher", TEST[:3], rng.normal(size=(3, 12)).astype(np.float32), {})
    (tmp_path / "fame_pairs").write_text("".join(f"{key}\n" for key in TEST))
    (tmp_path / "labels").write_text("".join(f"{key} {n % 2}\n" for n, key in enumerate(TEST)))
    scored = write_fame_scores(tmp_path, package, tmp_path / "sub_score.txt", tmp_path / "labels")
    rows = [line.split() for line in (tmp_path / "sub_score.txt").read_text().splitlines()]
    assert [row[0] for row in rows] == TEST and scored.filled == [TEST[3]]
    values = [float(row[1]) for row in rows]
    assert values[3] == pytest.approx(np.median(values[:3]), abs=1e-5) and all(0 <= v <= 2 for v in values)
    assert 0 <= scored.eer <= 100
    (tmp_path / "labels").write_text("other 1\n")
    with pytest.raises(InputError, match="have no label"):
        write_fame_scores(tmp_path, package, tmp_path / "sub_score.txt", tmp_path / "labels")
