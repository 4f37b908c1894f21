"""Questions are fair: drawn alike, the same for everyone, and a tie is no answer."""

import numpy as np
import pytest

from speakerkd.errors import InputError
from speakerkd.evaluation import match
from speakerkd.evaluation.match import Draws, Items, answered_right, draw, evaluate, read_match_list, read_pairs


@pytest.fixture
def people():
    """20 people; person 3 has no face, person 4 no voice; numbers of items differ."""
    generator = np.random.default_rng(0)
    voices = np.repeat(np.arange(20), generator.integers(1, 6, 20))
    faces = np.repeat(np.arange(20), generator.integers(1, 4, 20))
    return Items(voices[voices != 4]), Items(faces[faces != 3])


@pytest.mark.parametrize("choices", [2, 3, 10])
@pytest.mark.parametrize("hard", [False, True])
def test_questions_are_what_they_should_be(people, choices, hard):
    group = np.arange(20) % 2 if hard and choices < 10 else None
    voices, faces = people
    drawn = draw(voices, faces, count=5000, choices=choices, group=group)
    np.testing.assert_array_equal(voices.identity[drawn.probe], drawn.identity[:, 0])
    np.testing.assert_array_equal(faces.identity[drawn.options], drawn.identity)
    assert all(len(set(row)) == choices for row in drawn.identity.tolist())
    assert 3 not in drawn.identity and 4 not in drawn.identity[:, 0]
    if group is not None:
        assert (group[drawn.identity] == group[drawn.identity[:, :1]]).all()


def test_people_and_their_items_are_drawn_alike(people):
    voices, faces = people
    drawn = draw(voices, faces, count=90_000, choices=3)
    asked = np.bincount(drawn.identity[:, 0], minlength=20)
    assert asked[[3, 4]].tolist() == [0, 0]
    np.testing.assert_allclose(np.delete(asked, [3, 4]), 5000, rtol=0.06)
    for column in (1, 2):
        wrong = np.bincount(drawn.identity[:, column], minlength=20)
        np.testing.assert_allclose(np.delete(wrong, [3, 4]) / 90_000, 1 / 19, rtol=0.1)
    mine = drawn.probe[drawn.identity[:, 0] == 7]
    counts = np.bincount(mine)[voices.identity.searchsorted(7) : voices.identity.searchsorted(8)]
    np.testing.assert_allclose(counts, counts.mean(), rtol=0.15)


def test_the_seed_decides(people):
    one, same, other = (draw(*people, count=100, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.options, same.options)
    assert (one.options != other.options).any()


def test_unknown_people_are_not_drawn():
    drawn = draw(Items(np.array([-1, 0, 1, -1])), Items(np.array([1, -1, 0])), count=200)
    assert set(drawn.probe) == {1, 2} and set(drawn.options.ravel()) == {0, 2}


def test_probe_and_right_option_are_never_of_one_session():
    """Else the voice and the picture of one video are compared: room and compression give the answer away."""
    # person 0: voices of sessions 0, 0, 1, faces of 0 and 1; person 1: both of session 2 alone; person 2: of 3 and 4
    voices = Items(np.array([0, 0, 0, 1, 2, 2]), np.array([0, 0, 1, 2, 3, 4]))
    faces = Items(np.array([0, 0, 1, 2]), np.array([0, 1, 2, 3]))
    drawn = draw(voices, faces, count=6000)
    assert set(drawn.identity[:, 0]) == {0, 2} and 1 in drawn.identity[:, 1]
    pairs = set(zip(drawn.probe.tolist(), drawn.options[:, 0].tolist(), strict=True))
    assert pairs == {(0, 1), (1, 1), (2, 0), (5, 3)}
    counts = [(drawn.probe == probe).sum() for probe in (0, 1, 2)]
    np.testing.assert_allclose(counts, 1000, rtol=0.15)  # each allowed pair of person 0 alike
    with pytest.raises(InputError, match="same-session"):
        draw(Items(np.arange(3), np.arange(3)), Items(np.arange(3), np.arange(3)))
    assert len(draw(Items(np.arange(3)), Items(np.arange(3)), count=5).probe) == 5


def test_too_few_people():
    with pytest.raises(InputError, match="2 others to be told from"):
        draw(Items(np.array([0, 1])), Items(np.array([0, 1])), choices=3)


def test_a_tie_is_wrong():
    assert answered_right(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])).tolist() == [True, False, False]
    equal = np.ones((4, 3), np.float32) / 3**0.5
    drawn = draw(Items(np.arange(4)), Items(np.arange(4)), count=50)
    result = evaluate(drawn, equal, equal, replicates=0)
    assert result.accuracy == 0 and result.auc == 0.5 and result.chance == 0.5


def test_accuracy_and_area_by_hand():
    probes = np.array([[1.0, 0.0]])
    options = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    # cosines 1 > 0 right; .6 < 1 wrong; pairs of one person 1 and .6, of two 0 and 1: 1>0, 1=1, .6>0, .6<1 -> 2.5 / 4
    drawn = Draws(np.array([0, 0]), np.array([[0, 1], [2, 0]]), np.array([[0, 1], [0, 2]]))
    result = evaluate(drawn, probes, options, replicates=0)
    assert result.accuracy == 0.5 and result.auc == pytest.approx(0.625)


def test_chance_lies_within_the_interval_of_noise(people):
    generator = np.random.default_rng(3)
    vectors = [generator.normal(size=(len(side.identity), 32)) for side in people]
    result = evaluate(draw(*people, count=4000), *vectors, replicates=300)
    assert result.interval.low < 0.5 < result.interval.high
    # 18 people are few: the interval is much wider than that of 4000 independent questions (+-1.5 %)
    assert result.interval.high - result.interval.low > 0.05


def test_parts_do_not_change_scores(people, monkeypatch):
    generator = np.random.default_rng(3)
    vectors = [generator.normal(size=(len(side.identity), 8)) for side in people]
    drawn = draw(*people, count=300, choices=3)
    whole = match.draw_scores(drawn, *vectors)
    monkeypatch.setattr(match, "STEP", 10)
    np.testing.assert_array_equal(match.draw_scores(drawn, *vectors), whole)


class TestLists:
    def test_positive_first(self, tmp_path):
        (tmp_path / "l").write_text("\ufeffv1 f1 f2\r\n\nv2 f3 f4\r\n")
        assert read_match_list(tmp_path / "l") == (["v1", "v2"], [["f1", "f2"], ["f3", "f4"]])

    def test_broken_line(self, tmp_path):
        (tmp_path / "l").write_text("v1 f1 f2\nv2 f3\n")
        with pytest.raises(InputError) as error:
            read_match_list(tmp_path / "l")
        assert error.value.where == f"{tmp_path / 'l'}:2"

    def test_pairs_with_a_header(self, tmp_path):
        (tmp_path / "l").write_text(
            "id,voice-speaker-id,face-speaker-id,label,voice-path,face-path\n0,a,a,1,a/1.wav,a/1.jpg\n1,a,b,0,a/1.wav,b/2.jpg\n"
        )
        voices, faces, labels = read_pairs(tmp_path / "l")
        assert voices == ["a/1.wav"] * 2 and faces == ["a/1.jpg", "b/2.jpg"] and labels.tolist() == [1, 0]
        (tmp_path / "l").write_text("label,voice-path,face-path\n1,a,b\nmaybe,a,b\n")
        with pytest.raises(InputError) as error:
            read_pairs(tmp_path / "l")
        assert error.value.where == f"{tmp_path / 'l'}:3"

    def test_pairs_as_trials(self, tmp_path):
        (tmp_path / "l").write_text("1 v f\n0 v g\n")
        assert read_pairs(tmp_path / "l")[1] == ["f", "g"]
