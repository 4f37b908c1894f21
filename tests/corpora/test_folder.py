"""Anyone's own files: a wrong picture beside a voice, or a speaker on both sides of a split, ruins a study."""

import os
import unicodedata
from dataclasses import replace

import pytest

from speakerkd.config import parse
from speakerkd.corpora.build import Work, build
from speakerkd.corpora.folder import FolderSettings, prepare_folder
from speakerkd.data.datadir import DataDir
from speakerkd.data.validate import validate
from speakerkd.errors import InputError
from speakerkd.frontend.extract import extract_fbank
from speakerkd.work import reading
from speakerkd.work.lock import locked

DEEP = r"^(?P<speaker>[^/]+)/(?P<session>[^/]+)/(?P<utterance>[^/]+)$"
FLAT = r"(?P<speaker>(?P<gender>[fm])\d+)_(?P<session>\d+)_(?P<utterance>\w+)$"


def settings(pattern=DEEP, **values):
    return parse(FolderSettings, {"pattern": pattern, **values}, "prepare folder")


@pytest.fixture
def flat(media):
    """Eight people, four of either sex, two sessions of two shots, a picture a shot, folders that say nothing."""
    for number in range(8):
        name = f"{'fm'[number % 2]}{number}"
        for session in ("01", "02"):
            for shot in ("a", "b"):
                media.sound(f"flat/set{session}/{name}_{session}_{shot}.wav", 0.2)
                media.image(f"flat/set{session}/{name}_{session}_{shot}.png")
    return media.root / "flat"


def test_pairing_by_session(media, tmp_path, work):
    for name in ("Zo\u00eb K/day 1/a", "Zo\u00eb K/day 1/b", "Zo\u00eb K/day 2/a", "Li/day 1/a"):
        media.sound(f"rec/{name}.flac", 0.2)
    for name in ("Zo\u00eb K/day 1/2", "Zo\u00eb K/day 1/1", "Zo\u00eb K/day 2/x", "Nobody/day 1/1"):
        media.image(f"pic/{name}.jpg")
    (built,) = prepare_folder(tmp_path / "data", media.root / "rec", media.root / "pic", settings(), work)
    data = DataDir(built.path)
    assert data.keys == ["Li/day%201/a", "Zo\u00eb%20K/day%201/a", "Zo\u00eb%20K/day%201/b", "Zo\u00eb%20K/day%202/a"]
    assert data.table("utt2spk")["Zo\u00eb%20K/day%202/a"] == "Zo\u00eb%20K"
    assert data.table("utt2session")["Zo\u00eb%20K/day%202/a"] == "Zo\u00eb%20K/day%202"
    assert {k: v.split("pic/")[1] for k, v in data.table("face.scp").items()} == {
        "Zo\u00eb%20K/day%201/a": "Zo\u00eb K/day 1/1.jpg",  # one face a session: the first by name
        "Zo\u00eb%20K/day%201/b": "Zo\u00eb K/day 1/1.jpg",
        "Zo\u00eb%20K/day%202/a": "Zo\u00eb K/day 2/x.jpg",
    }
    assert (built.utterances, built.faces) == (4, 3)
    assert validate(built.path) == []


def test_pairing_by_utterance_splitting_and_trials(flat, tmp_path, work):
    options = settings(FLAT, pair="utterance", test_speakers=4, trials="all")
    train, test = prepare_folder(tmp_path / "data", flat, flat, options, work)
    left, right = DataDir(train.path), DataDir(test.path)
    assert (len(left.speakers), len(right.speakers)) == (4, 4)
    assert set(left.speakers).isdisjoint(right.speakers)
    assert sorted(right.table("spk2gender").values()) == ["f", "f", "m", "m"]  # in proportion
    for key, picture in left.table("face.scp").items():
        assert picture == str(flat / f"{key}.png")
        speaker, session, shot = key.split("/")[1].split("_")
        assert left.table("utt2session")[key] == f"{speaker}/{session}/{shot}"
    # 4 people x 4 recordings: 120 pairs, of which 4 x 6 are targets; 2 x 16 non-targets within a gender
    lines = {name: path.read_text().splitlines() for name, path in right.trial_lists.items()}
    assert (len(lines["original"]), sum(line.startswith("1") for line in lines["original"])) == (120, 24)
    assert (len(lines["hard"]), sum(line.startswith("1") for line in lines["hard"])) == (24 + 32, 24)
    assert validate(left.path) == validate(right.path) == []


def test_the_split_follows_the_seed(flat, tmp_path, work):
    def held_out(seed):
        options = settings(FLAT, pair="utterance", test_fraction=0.5, seed=seed)
        built = prepare_folder(tmp_path / f"{seed}", flat, flat, options, work)
        return set(DataDir(built[1].path).speakers)

    first = held_out(0)
    assert len(first) == 4
    assert held_out(0) == first
    assert any(held_out(seed) != first for seed in (1, 2, 3))


def test_folds_test_everyone_once_and_train_on_the_others(flat, tmp_path, work):
    tested = []
    for fold in range(4):
        options = settings(FLAT, pair="utterance", folds=4, fold=fold)
        train, test = (DataDir(built.path) for built in prepare_folder(tmp_path / f"{fold}", flat, flat, options, work))
        assert not set(train.speakers) & set(test.speakers)
        assert sorted(test.table("spk2gender").values()) == ["f", "m"]  # of 4 women and 4 men
        tested += test.speakers
    assert sorted(tested) == ["f0", "f2", "f4", "f6", "m1", "m3", "m5", "m7"]
    with pytest.raises(InputError, match="5 folds of 8 speakers"):
        prepare_folder(tmp_path / "data", flat, flat, settings(FLAT, pair="utterance", folds=5), work)


def test_speakers_held_out_by_name(flat, media, tmp_path, work):
    listed = media.text("test.lst", "f0\nm3\n")
    built = prepare_folder(tmp_path / "data", flat, None, settings(FLAT, test_list=listed), work)
    assert set(DataDir(built[1].path).speakers) == {"f0", "m3"}
    # one of either sex: no hard non-target can be drawn, so there is no hard list
    assert list(DataDir(built[1].path).trial_lists) == ["original"]
    media.text("test.lst", "f0\nx9\n")
    with pytest.raises(InputError, match=r"speaker 'x9' is not there, .*test\.lst:2"):
        prepare_folder(tmp_path / "data", flat, None, settings(FLAT, test_list=listed), work)


def test_sound_alone(flat, tmp_path, work):
    (built,) = prepare_folder(tmp_path / "data", flat, None, settings(FLAT), work)
    assert (built.utterances, built.faces) == (32, 0)
    assert validate(built.path) == []


def test_videos_that_hold_both_are_not_taken_twice(media, tmp_path, work):
    media.sound("x/a/1/1.mp4", 0.3)
    media.sound("x/b/1/1.mp4", 0.3)
    media.sound("x/b/1/1.wav", 0.3)
    (built,) = prepare_folder(tmp_path / "data", media.root / "x", media.root / "x", settings(), work)
    data = DataDir(built.path)
    assert data.table("wav.scp")["b/1/1"].endswith("1.wav")
    assert data.table("face.scp")["b/1/1"].endswith("1.mp4")
    assert data.table("face.scp")["a/1/1"] == data.table("wav.scp")["a/1/1"]


def test_what_does_not_fit_is_listed(flat, media, truncate, tmp_path):
    media.sound("flat/stray.wav", 0.2)
    truncate(flat / "set01/f0_01_a.wav")
    media.text("flat/set01/f0_01_b.png", "no picture")
    media.sound("flat/set01/f2_01_a.flac", 0.2)
    with pytest.raises(InputError, match="4 of 35 refused"):
        prepare_folder(tmp_path / "data", flat, flat, settings(FLAT, pair="utterance"), Work(jobs=1))
    work = Work(jobs=1, max_rejected=0.2)
    (built,) = prepare_folder(tmp_path / "data", flat, flat, settings(FLAT, pair="utterance"), work)
    assert (built.utterances, built.faces) == (31, 30)
    reasons = dict(line.split("\t") for line in (tmp_path / "data/train.rejected").read_text().splitlines())
    assert "does not match" in reasons["stray.wav"]
    assert "truncated" in reasons["set01/f0_01_a"]
    assert "not a readable picture" in reasons["set01/f0_01_b"]
    assert "duplicate key" in reasons["set01/f2_01_a.wav"]
    assert validate(built.path) == []


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"pattern": "("}, "not a regular expression"),
        ({"pattern": r"(?P<session>\d)"}, r"no group \(\?P<speaker>"),
        ({"pattern": r"(?P<speaker>\d)(?P<take>\d)"}, "unknown group 'take'"),
        ({"pair": "person"}, "pair"),
        ({"test_fraction": 1.5}, "test_fraction"),
        ({"test_fraction": 0.5, "test_speakers": 3}, "give one of"),
        ({"trials": "many"}, "trials"),
    ],
)
def test_bad_settings(values, match):
    with pytest.raises(InputError, match=match):
        settings(**values)


def test_nothing_fits(flat, media, tmp_path, work):
    with pytest.raises(InputError, match=r"no recording matches .*32 do not"):
        prepare_folder(tmp_path / "data", flat, None, settings(r"(?P<speaker>zz)"), work)
    media.image("pic/f0_09_a.png")
    with pytest.raises(InputError, match=r"no picture belongs.*--pair"):
        prepare_folder(tmp_path / "data", flat, media.root / "pic", settings(FLAT), work)
    with pytest.raises(InputError, match="9 of 8 speakers"):
        prepare_folder(tmp_path / "data", flat, None, settings(FLAT, test_speakers=9), work)
    with pytest.raises(InputError, match="no folder of recordings"):
        prepare_folder(tmp_path / "data", flat / "none", None, settings(FLAT), work)


def test_a_speaker_of_two_genders(flat, tmp_path, work):
    pattern = r"(?P<gender>[fm])(?P<speaker>\d)_(?P<session>\d+)_"
    (flat / "set01/f0_01_a.wav").rename(flat / "set01/m0_01_z.wav")
    with pytest.raises(InputError, match="speaker '0' is of two genders"):
        prepare_folder(tmp_path / "data", flat, None, settings(pattern), work)


def test_one_person_in_two_unicode_forms_stays_one_and_finds_its_pictures(media, tmp_path, work):
    """macOS writes accents as letter and mark (NFD), other systems as one letter (NFC)."""
    for form, session in (("NFC", "1"), ("NFD", "2")):
        media.sound(f"rec/{unicodedata.normalize(form, 'Zoë')}/{session}/a.wav", 0.2)
        media.image(f"pic/{unicodedata.normalize('NFD', 'Zoë')}/{session}/f.png")
        media.sound(f"rec/Li/{session}/a.wav", 0.2)
    listed = media.text("test.lst", unicodedata.normalize("NFD", "Zoë") + "\nLi\n")
    roots = media.root / "rec", media.root / "pic"
    (built,) = prepare_folder(tmp_path / "data", *roots, settings(test_list=listed, trials="all"), work)
    assert set(DataDir(built.path).speakers) == {"Zoë", "Li"} and built.faces == 2


def test_a_second_name_of_a_folder_makes_no_second_recording(media, tmp_path, work):
    for name in ("p/1/a.wav", "p/2/a.wav", "q/1/a.wav", "q/2/a.wav"):
        media.sound(f"rec/{name}", 0.2)
    (media.root / "rec/p/latest").symlink_to("2")
    (media.root / "rec/p/1/up").symlink_to("../..")
    options = settings(test_speakers=2, trials="all")
    (built,) = prepare_folder(tmp_path / "data", media.root / "rec", None, options, work)
    assert DataDir(built.path).keys == ["p/1/a", "p/2/a", "q/1/a", "q/2/a"]
    assert "2 links to what is counted already" in str(built)


def test_a_hard_link_never_stands_on_both_sides_of_a_split(media, tmp_path, work):
    """Programs that look for doubles put hard links in their place, within a person and between two."""
    for name in ("o/1/a.wav", "p/1/a.wav", "p/2/a.wav", "q/1/a.wav", "q/2/a.wav"):
        media.sound(f"rec/{name}", 0.2)
    os.link(media.root / "rec/p/1/a.wav", media.root / "rec/o/1/b.wav")
    os.link(media.root / "rec/q/1/a.wav", media.root / "rec/q/2/b.wav")
    listed = media.text("test.lst", "p\nq\n")
    built = prepare_folder(tmp_path / "data", media.root / "rec", None, settings(test_list=listed, trials="all"), work)
    assert [DataDir(one.path).keys for one in built] == [["o/1/a", "o/1/b"], ["p/2/a", "q/1/a", "q/2/a"]]
    assert "2 links to what is counted already" in str(built[0])
    assert all(validate(one.path) == [] for one in built)


@pytest.mark.parametrize(("sounds", "pictures"), [("a", "a"), ("a", "a/pic"), ("a/rec", "a")])
def test_folders_that_overlap_count_nothing_twice(media, tmp_path, sounds, pictures):
    for name in ("p/1", "q/1"):
        media.sound(f"{sounds}/{name}/a.wav", 0.2)
        media.image(f"{pictures}/{name}/f.png")
    media.image(f"{pictures}/q/1/g.png")
    media.image(f"{pictures}/stray.png")
    media.text("a/notes.txt", "notes")
    work = Work(jobs=1, max_rejected=0.5)
    (built,) = prepare_folder(tmp_path / "data", media.root / sounds, media.root / pictures, settings(), work)
    assert built.faces == 2
    accounts = [line.partition(": ")[2] for line in str(built).splitlines()[1:]]
    assert sorted("; ".join(accounts).split("; ")) == [
        "1 pictures beside the first of their session",
        "1 whose ending is not read (.txt 1)",
        "1 whose names do not match --pattern (listed)",
    ]


def test_what_is_not_used_is_counted_by_reason(media, tmp_path):
    for name in ("p/1/a.wav", "p/1/b.wav", "q/1/a.wav", "stray.wav", "@eaDir/1/a.wav"):
        media.sound(f"rec/{name}", 0.2)
    media.text("rec/p/notes.txt", "notes")
    for name in ("p/1/1.png", "p/1/2.png", "r/1/1.png"):
        media.image(f"pic/{name}")
    work = Work(jobs=1, max_rejected=0.5)
    (built,) = prepare_folder(tmp_path / "data", media.root / "rec", media.root / "pic", settings(), work)
    for reason in (
        "1 whose ending is not read (.txt 1)", "1 hidden or a system's own", "1 whose names do not match",
        "1 pictures without a recording", "1 pictures beside the first of their session",
        "1 recordings have no picture",
    ):  # fmt: skip
        assert reason in str(built)


def test_truncated_recordings_are_kept_where_asked(media, truncate, tmp_path):
    truncate(media.sound("rec/p/1/a.wav", 1.0))
    media.sound("rec/p/2/a.wav", 1.0)
    work = Work(jobs=1, truncated="keep")
    (built,) = prepare_folder(tmp_path / "data", media.root / "rec", None, settings(), work)
    assert built.utterances == 2 and "1 truncated and kept" in str(built)


def test_two_that_prepare_one_directory_do_not_mix_it(tmp_path):
    with locked(tmp_path / ".train.lock", "speakerkd prepare"), pytest.raises(InputError, match="another process is"):
        build(tmp_path / "train", [], Work(jobs=1))
    assert list(tmp_path.iterdir()) == []


def test_what_was_refused_is_tried_again_once_it_may_be_read(media, tmp_path, work, monkeypatch):
    """Owner and mode leave size and time of change alone: only the right to read tells."""
    work = replace(work, max_rejected=0.9)
    for name in ("p0/s0/a", "p0/s0/b", "p1/s0/a"):
        media.sound(f"rec/{name}.wav", 0.6)
    access, locked = os.access, {str(tmp_path / "rec/p0/s0/b.wav")}

    def refusing(path, *words):
        if str(path) in locked:
            raise PermissionError(13, "Permission denied", str(path))
        return open(path, *words)

    monkeypatch.setattr(os, "access", lambda path, mode: str(path) not in locked and access(path, mode))
    monkeypatch.setattr(reading, "open", refusing, raising=False)
    assert prepare_folder(tmp_path / "data", tmp_path / "rec", None, settings(), work)[0].utterances == 2
    assert "Permission denied" in (tmp_path / "data/train.rejected").read_text()
    locked.clear()
    assert prepare_folder(tmp_path / "data", tmp_path / "rec", None, settings(), work)[0].utterances == 3
    assert not (tmp_path / "data/train.rejected").exists()
    locked.add(str(tmp_path / "rec/p0/s0/b.wav"))
    assert len(extract_fbank(tmp_path / "data/train", jobs=1, max_rejected=0.9)) == 1
    locked.clear()
    assert len(extract_fbank(tmp_path / "data/train", jobs=1, max_rejected=0.9)) == 0


def test_speakers_without_any_picture_train_and_are_never_tested(flat, media, tmp_path, work):
    """Speech without faces beside pairs: the folds are those of the pairs alone."""
    pairs = [one.path for one in prepare_folder(tmp_path / "a", flat, flat, settings(FLAT, folds=4, fold=1), work)]
    for name in ("f8_0_a", "f8_1_a", "m9_0_a"):
        media.sound(f"flat/set01/{name}.wav", 0.2)
    both = [one.path for one in prepare_folder(tmp_path / "b", flat, flat, settings(FLAT, folds=4, fold=1), work)]
    assert set(DataDir(both[1]).speakers) == set(DataDir(pairs[1]).speakers)
    assert set(DataDir(both[0]).speakers) == {*DataDir(pairs[0]).speakers, "f8", "m9"}


def test_settings_are_chosen_on_people_of_neither_training_nor_test(flat, tmp_path, work):
    def parts(name, **changes):
        built = prepare_folder(tmp_path / name, flat, flat, settings(FLAT, folds=4, **changes), work)
        return [set(DataDir(one.path).speakers) for one in built]

    everyone = set.union(*parts("whole", fold=0))
    for fold in range(4):
        train, chosen_on = parts(f"dev{fold}", fold=fold, development=True)
        tested, next_tested = parts(f"{fold}", fold=fold)[1], parts(f"next{fold}", fold=(fold + 1) % 4)[1]
        assert chosen_on == next_tested
        assert train == everyone - tested - chosen_on
    with pytest.raises(InputError, match="development needs three folds"):
        settings(FLAT, folds=2, development=True)
