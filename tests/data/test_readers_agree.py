"""One file means one thing: random tables, lists and names go to every reader, and all must say the same.

A user loses trust, or a night, when one verb calls a file good that another refuses, or reads other records in it.
"""

import os
import re
import unicodedata

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speakerkd.corpora.lists import names_of_trials
from speakerkd.data.names import NameIndex, encode_key
from speakerkd.data.scp import read_scp
from speakerkd.data.sounds import read_sounds
from speakerkd.data.tables import read_table
from speakerkd.data.trials import read_models, read_trials
from speakerkd.data.validate import validate
from speakerkd.errors import InputError
from speakerkd.evaluation.embeddings import Embeddings
from speakerkd.evaluation.recordings import audio_in, audio_under
from speakerkd.evaluation.scorefile import read_scores, write_scores
from speakerkd.tasks.dev_eer import EarlyTrials

QUICK = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
BLANKS = st.sampled_from([" ", "\t", "  ", " \t", "\x0b"])
ENDS = st.sampled_from(["\n", "\r\n", " \n", "\n\n", "\n \t\n"])
KEYS = st.sampled_from(
    ["a", "b/1", "b/1.wav", "\u00e9", "e\u0301", "\u3000x", "x\u00a0y", "a%20b", "\x1c", "\u0130", "12", "\u00b2"]
)
ODD = st.sampled_from(["", "", "", "", "", "lonely\n", "\0", "\x85", "\r", "\u2028"])


def outcome(reader, *args):
    """What a reader says: its result, or that it refuses."""
    try:
        return reader(*args)
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) < 1300
        return InputError


def expected_table(content):
    """{key: value} by Kaldi's rule, written down once more; InputError for a line that breaks it."""
    table = {}
    for line in content.removeprefix(b"\xef\xbb\xbf").decode().split("\n"):
        fields = re.split("[ \t\r\x0b\x0c]+", line.strip(" \t\r\x0b\x0c"), maxsplit=1)
        if fields == [""]:
            continue
        key = unicodedata.normalize("NFC", fields[0])
        if len(fields) == 1 or key in table:
            return InputError
        table[key] = fields[1]
    return InputError if b"\0" in content else table


@st.composite
def tables(draw, values):
    parts = ["\ufeff"] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 5))):
        parts += [draw(KEYS), draw(BLANKS), draw(values), draw(ENDS), draw(ODD)]
    return "".join(parts).encode()


@QUICK
@given(content=tables(st.sampled_from(["/x/f.ark:1", "/x y/f.ark:12", "/x/g.ark:0"])))
def test_a_table_has_the_same_records_for_every_reader(tmp_path, content):
    for name in ("wav.scp", "feats.scp"):
        (tmp_path / name).write_bytes(content)
    wanted = expected_table(content)
    assert outcome(read_table, tmp_path / "wav.scp") == wanted
    sounds = outcome(read_sounds, tmp_path)
    scp = outcome(read_scp, tmp_path / "feats.scp")
    if wanted is InputError or not wanted:
        assert scp is InputError and sounds is InputError
    else:
        assert {key: sound.path for key, sound in sounds.items()} == wanted
        places = [f"{scp.arks[ark]}:{offset}" for ark, offset in zip(scp.ark, scp.offset, strict=True)]
        assert dict(zip((key.decode() for key in scp.keys.tolist()), places, strict=True)) == wanted


@QUICK
@given(content=tables(st.sampled_from(["s", "s", "t", "\u00e9", "e\u0301"])))
def test_what_validate_calls_good_every_verb_reads(tmp_path, content):
    (tmp_path / "utt2spk").write_bytes(content)
    (tmp_path / "spk2utt").write_text("s a\n")
    wanted = expected_table(content)
    form = ("key `value`", "stands once", "NUL", "UTF-8", "key value", "not empty")
    faults = [p for p in validate(tmp_path) if p.file.name == "utt2spk" and any(word in p.rule for word in form)]
    table = outcome(read_table, tmp_path / "utt2spk")
    assert bool(faults) == (wanted is InputError or not wanted)
    if wanted is not InputError:
        assert table == {key: unicodedata.normalize("NFC", value) for key, value in wanted.items()}


LABELS = {"1": 1, "0": 0, "target": 1, "nontarget": 0}


@st.composite
def lists(draw):
    form = draw(st.sampled_from(["label first", "label last", "none"]))
    names = ["a", "b/1.wav", "c", "\u00e9", "x\u3000y", "1", "a%20b"]
    lines = []
    for number in range(draw(st.integers(1, 6))):
        pair = [draw(st.sampled_from(names)), draw(st.sampled_from(names))]
        label = draw(st.sampled_from(sorted(LABELS)[2:] if number == 0 else sorted(LABELS)))
        fields = {"label first": [label, *pair], "label last": [*pair, label], "none": pair}[form]
        if draw(st.integers(0, 15)) == 0:
            fields = fields[:-1]
        lines.append(
            draw(st.sampled_from([" ", "\t", "  "])).join(fields) + draw(st.sampled_from(["\n", "\r\n", "\n\n"]))
        )
    return form, "".join(lines)


def expected_trials(form, text):
    result = []
    for line in text.split("\n"):
        fields = re.split("[ \t\r]+", line.strip(" \t\r"))
        if fields == [""]:
            continue
        if len(fields) != (2 if form == "none" else 3):
            return InputError
        label = None if form == "none" else LABELS.get(fields.pop(0 if form == "label first" else 2), InputError)
        if label is InputError:
            return InputError
        result.append((*fields, label))
    return result


@QUICK
@given(drawn=lists())
def test_a_trial_list_means_the_same_to_every_reader(tmp_path, drawn):
    form, text = drawn
    first = text.split("\n")[0].split()
    if form != "none" and (len(first) != 3 or (first[0] in LABELS) == (first[2] in LABELS)):
        return  # its first line does not tell the form
    path = tmp_path / "trials_x"
    path.write_text(text, newline="")
    wanted = expected_trials(form, text)
    trials = outcome(read_trials, path)
    if wanted is InputError:
        assert trials is InputError and outcome(names_of_trials, path) is InputError
    else:
        label = [None] * len(trials) if trials.label is None else trials.label.tolist()
        pairs = zip(trials.enrol.tolist(), trials.test.tolist(), label, strict=True)
        assert [(trials.enrol_names[e], trials.test_names[t], y) for e, t, y in pairs] == wanted
        assert set(names_of_trials(path)) == {name for a, b, _ in wanted for name in (a, b)}
        scores = np.random.default_rng(0).normal(size=len(trials))
        write_scores(tmp_path / "s.txt", trials, scores, {})
        if len({pair[:2] for pair in wanted}) == len(wanted):
            np.testing.assert_array_equal(read_scores(tmp_path / "s.txt", trials), scores)
    names = {name for line in text.split("\n") for name in line.split(" ") if name}
    (tmp_path / "utt2spk").write_text("".join(f"{key} s\n" for key in sorted(names)))
    rules = [p.rule for p in validate(tmp_path) if p.file == path and "with itself" not in p.rule]
    assert (wanted is InputError) == any("trial is" in rule or "broken" in rule or "empty" in rule for rule in rules)


SPEAKERS = st.sampled_from(["Ann", "Ann Lee", "Zo\u00eb", "100%", "a.b", "\u540d\u524d"])


@QUICK
@given(
    speaker=SPEAKERS,
    utterance=st.sampled_from(["1", "1 a", "v1.2", "\u00e9t\u00e9"]),
    encode=st.booleans(),
    form=st.sampled_from(["NFC", "NFD"]),
    extension=st.sampled_from(["", ".wav", ".WAV", ".m4a"]),
    stored=st.sampled_from(["NFC", "NFD"]),
    steps=st.sampled_from(["", "./", ".//"]),  # as `find .` writes
)
def test_a_recording_is_found_by_any_spelling_of_its_name(
    tmp_path_factory, *, speaker, utterance, encode, form, extension, stored, steps
):
    home = tmp_path_factory.mktemp("names")
    path = home / "root" / unicodedata.normalize(stored, f"{speaker}/{utterance}.wav")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    (home / "root/other.wav").write_bytes(b"x")
    key = encode_key(f"{speaker}/{utterance}")
    (home / "wav.scp").write_text(f"{key} {path}\nother {home}/root/other.wav\n")
    name = steps + unicodedata.normalize(form, f"{speaker}/{utterance}") + extension
    name = encode_key(name) if encode else name
    keys = [key, "other"]
    assert NameIndex(keys).locate([name, "other.wav", "nobody"]).tolist() == [0, 1, -1]
    assert Embeddings(keys, np.ones((2, 3))).locate([name]).tolist() == [0]
    for sounds, missing in (audio_in(home, [name]), audio_under(home / "root", [name])):
        assert os.path.samefile(sounds[name].path, path) and not missing
    if encode or " " not in name:
        (home / "trials_x").write_text(f"1 {name} {key}\n1 {name} other\n0 other {name}\n")
        (home / "enroll.map").write_text(f"model {name}\n")
        (home / "utt2spk").write_text(f"{key} s\nother s\n")
        assert read_models(home / "enroll.map")["model"] == [unicodedata.normalize("NFC", name)]
        assert EarlyTrials(home, {key: 7, "other": 9}).recordings.tolist() == [7, 9]
        rules = {p.rule for p in validate(home) if p.file.name in ("trials_x", "enroll.map") and "NFC" not in p.rule}
        assert rules == {
            f"a trial compares two recordings: '{name}' with itself",
            f"labels agree with utt2spk: a non-target of one speaker, 'other' and '{name}'",
        }


def test_two_recordings_that_share_a_name_are_told_apart_or_refused(tmp_path):
    for name in ("1.wav", "1.flac"):
        (tmp_path / name).write_bytes(b"x")
    index = NameIndex(["1.wav", "1.flac"])
    assert index.locate(["1.wav", "1.flac", "1", "1.mp3"]).tolist() == [0, 1, -1, -1]
    assert index.explain("1") == "2 recordings answer to it: '1.wav' and '1.flac'"
    sounds, missing = audio_under(tmp_path, ["1.wav", "1"])
    assert list(sounds) == ["1.wav"] and "2 recordings" in missing["1"]


@pytest.mark.parametrize("name", ["Ann Lee/1 a", "Ann Lee/1 a.wav"])
def test_blanks_in_names_pass_where_tabs_part_the_fields(tmp_path, name):
    (tmp_path / "l").write_text(f"1\t{name}\tBob/2\n0\t{name}\tBob/3 b\n")
    trials = read_trials(tmp_path / "l")
    assert trials.enrol_names == [name.replace(" ", "%20")] and trials.test_names == ["Bob/2", "Bob/3%20b"]
    (tmp_path / "l").write_text(f"1 {name} Bob/2\n")
    with pytest.raises(InputError, match="a blank in a name is written %20"):
        read_trials(tmp_path / "l")
