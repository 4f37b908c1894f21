"""Tables: what a reader takes from a run."""

from speakerkd.report.published import published_for
from speakerkd.report.tables import Column, as_markdown, as_text, layout, summarise


def test_seeds_become_mean_and_sample_deviation():
    assert summarise([1.0, 2.0, 3.0], 2) == "2.00 ± 1.00"
    assert summarise([1.0], 1) == "1.0"
    assert summarise([], 1) == "-"


def test_columns_that_nobody_has_are_left_out_and_gaps_are_dashes():
    columns = (Column("eer", "EER %"), Column("dcf", "minDCF", 3), Column("none", "x"))
    cells = layout({"a": [{"eer": 1.5}], "b": [{"eer": 2.0, "dcf": 0.25}]}, columns)
    assert cells == [["system", "EER %", "minDCF"], ["a", "1.50", "-"], ["b", "2.00", "0.250"]]
    assert as_markdown(cells).splitlines()[1] == "| --- | ---: | ---: |"
    assert as_text(cells).splitlines()[2].split() == ["a", "1.50", "-"]


def test_published_figures_stand_beside_the_config_of_the_same_method():
    # the first paper, Tables 1 and 4
    assert published_for("margin")["eer_vox1_o"] == 1.51
    assert published_for("margin")["acc_match_audio_to_face_o"] == 84.30
    assert published_for("pkt")["eer_vox1_h"] == 3.21
    assert published_for("no-such-method") == {}
