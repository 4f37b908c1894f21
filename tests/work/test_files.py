"""Files are whole or absent; outputs are remade when what they came from changed."""

import pytest

from speakerkd.work.files import Stamp, whole_dir, whole_file


def test_a_failed_write_leaves_the_old_file_and_no_debris(tmp_path):
    target = tmp_path / "scores.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), whole_file(target) as stream:
        stream.write("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["scores.txt"]


def test_a_folder_replaces_the_old_one_whole(tmp_path):
    target = tmp_path / "step-1"
    target.mkdir()
    (target / "stale").touch()
    with whole_dir(target) as part:
        (part / "fresh").touch()
    assert [p.name for p in target.iterdir()] == ["fresh"]
    with pytest.raises(RuntimeError), whole_dir(target) as part:
        (part / "half").touch()
        raise RuntimeError
    assert [p.name for p in target.iterdir()] == ["fresh"]
    assert [p.name for p in tmp_path.iterdir()] == ["step-1"]


def test_an_output_is_stale_when_input_or_setting_changed_or_it_is_gone(tmp_path):
    source, output = tmp_path / "wav.scp", tmp_path / "feats.scp"
    source.write_text("a")
    assert not Stamp(output, [source], mels=40).is_current()
    output.write_text("made")
    Stamp(output, [source], mels=40).write()
    assert Stamp(output, [source], mels=40).is_current()
    assert not Stamp(output, [source], mels=64).is_current()
    source.write_text("b")
    assert not Stamp(output, [source], mels=40).is_current()
    source.write_text("a")
    assert Stamp(output, [source], mels=40).is_current()
    output.unlink()
    assert not Stamp(output, [source], mels=40).is_current()
