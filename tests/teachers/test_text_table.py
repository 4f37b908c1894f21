"""Whose text teaches which class: a silent wrong guess would teach `car` with the text of `cat`."""

import numpy as np
import pytest

from speakerkd.errors import InputError
from speakerkd.teachers.text_table import TextTable, read_text_table, write_text_table


def table(*classes, prompts=1, dim=4):
    values = np.arange(1, len(classes) * prompts * dim + 1, dtype=np.float32).reshape(len(classes), prompts, dim)
    return TextTable(list(classes), [f"a {i} {{}}" for i in range(prompts)], values)


def test_rows_come_in_the_order_of_the_classes():
    rows = table("Maple_Tree", "ship", "cat").for_classes(["cat", "maple tree"])
    assert rows.classes == ["cat", "maple tree"]
    assert rows.embeddings[:, 0, 0].tolist() == [9, 1]


def test_a_class_that_is_not_there_lists_near_names_and_is_never_guessed():
    with pytest.raises(InputError, match=r"no 'automobile' \(near: 'car_\(automobile\)'") as error:
        table("car_(automobile)", "cat").for_classes(["cat", "automobile"], where="rows.npz")
    assert "rows.npz" in str(error.value)
    assert "--alias" in str(error.value)


def test_an_alias_says_which_row_is_meant():
    rows = table("car_(automobile)", "cat").for_classes(["automobile"], {"automobile": "car (automobile)"})
    assert rows.embeddings[0, 0, 0] == 1


def test_a_doubtful_name_is_an_error():
    with pytest.raises(InputError, match="'crane' 2 times"):
        table("crane", "Crane").for_classes(["crane"])


def test_two_classes_on_one_row_is_an_error():
    with pytest.raises(InputError, match="'car' and 'van' would both be taught by 'car'"):
        table("car").for_classes(["car", "van"], {"van": "car"})


def test_an_alias_of_no_class_is_an_error():
    with pytest.raises(InputError, match="'autombile'"):
        table("car").for_classes(["automobile"], {"autombile": "car"})


def test_a_choice_of_prompts():
    one = table("cat", "dog", prompts=3).for_templates(["a 2 {}"])
    assert one.embeddings[:, :, 0].tolist() == [[9], [21]]
    with pytest.raises(InputError, match="'an {}'"):
        one.for_templates(["an {}"])


def test_written_and_read_again(tmp_path):
    written = table("café", "two words", prompts=2)
    written.source = {"name": "clip"}
    write_text_table(tmp_path / "teacher.npz", written)
    read = read_text_table(tmp_path / "teacher.npz")
    assert (read.classes, read.templates, read.source) == (written.classes, written.templates, written.source)
    np.testing.assert_array_equal(read.embeddings, written.embeddings)


def test_a_ready_npy_takes_its_names_from_a_text_file(tmp_path):
    np.save(tmp_path / "rows.npy", np.ones((2, 3), np.float16))
    with pytest.raises(InputError, match=r"rows\.txt"):
        read_text_table(tmp_path / "rows.npy")
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    read = read_text_table(tmp_path / "rows.npy", tmp_path / "names.txt")
    assert (read.classes, read.embeddings.shape, read.templates) == (["cat", "dog"], (2, 1, 3), ["{}"])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"embeddings": np.ones((2, 3))}, "a table with embeddings"),
        ({"embeddings": np.ones((2, 3)), "classes": ["cat"]}, r"float64 \(2, 3\) for 1 names"),
        ({"embeddings": np.ones((1, 3), int), "classes": ["cat"]}, "int64"),
        ({"embeddings": np.array([[1.0], [np.nan]]), "classes": ["cat", "dog"]}, "'dog' is not finite"),
        ({"embeddings": np.array([[1.0], [0.0]]), "classes": ["cat", "dog"]}, "'dog' is zero"),
        ({"embeddings": np.ones((1, 2, 3)), "classes": ["cat"], "templates": ["{}"]}, "1 templates for 2"),
    ],
)
def test_what_is_not_a_table(tmp_path, arrays, message):
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(InputError, match=message):
        read_text_table(tmp_path / "t.npz")


def test_names_stored_as_pickles_are_not_opened(tmp_path):
    np.savez(tmp_path / "t.npz", embeddings=np.ones((1, 2)), classes=np.array([{"cat"}], object))
    with pytest.raises(InputError, match="not a readable .npz file"):
        read_text_table(tmp_path / "t.npz")


def test_a_cut_table(tmp_path):
    write_text_table(tmp_path / "t.npz", table("cat"))
    (tmp_path / "t.npz").write_bytes((tmp_path / "t.npz").read_bytes()[:100])
    with pytest.raises(InputError, match="not a readable .npz file"):
        read_text_table(tmp_path / "t.npz")
