"""Tables: what a reader takes from a run."""

import json

from speakerkd.report.published import published_for, published_row
from speakerkd.report.results import Result
from speakerkd.report.results_file import Results
from speakerkd.report.summary import result_table, write_report
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


def test_published_ablations_are_found_by_the_config_s_name():
    # the first paper, Tables 2, 5 and 6
    assert published_for("alpha_0.4") == {"eer_vox1_o": 1.67, "mindcf_vox1_o": 0.195}
    assert published_for("margin_cos20") == {"eer_vox1_o": 1.71, "mindcf_vox1_o": 0.197}
    assert published_for("margin_0") == {"eer_vox1_o": 1.66, "mindcf_vox1_o": 0.188}
    assert published_for("quarter_margin") == {"eer_vox1_o": 3.22, "mindcf_vox1_o": 0.373, "eer_teacher": 0.64}
    assert published_for("quarter_baseline") == {"eer_vox1_o": 3.61, "mindcf_vox1_o": 0.409}


def test_pictures_stand_beside_tables_7_to_12_of_the_first_paper():
    assert published_for("cifar100-resnet18-baseline") == {"top1": 75.43}
    assert published_for("cifar100-resnet18-margin_quality") == {"top1": 76.57}
    assert published_for("cifar100-resnet34-margin") == {"top1": 78.33, "image_to_text_top1": 74.59}
    assert published_for("cifar100-resnet34-fitnet") == {"top1": 77.65, "image_to_text_top1": 3.86}
    assert published_for("cifar100-resnet34-margin_alpha0.2") == {"top1": 78.08}
    assert published_for("cifar100-resnet34-classifier_beta0") == {"top1": 78.33}
    assert published_for("cifar100-resnet18-margin_m0") == {"top1": 75.62}
    assert published_for("cifar100-resnet34-margin_m0.3") == {"top1": 77.77}
    assert published_for("tiny_imagenet-resnet34-baseline") == {"top1": 64.95}
    for none in ("cifar10-resnet18-margin", "cifar100-resnet18-margin_share0.25", "tiny_imagenet-resnet18-clip"):
        assert published_for(none) == {}


def test_a_voice_papers_row_does_not_stand_below_pictures(tmp_path):
    pictures = Result(tmp_path, "margin", {"top1": 50.0}, Results())
    voices = Result(tmp_path, "margin", {"eer_vox1_o": 2.0}, Results())
    assert [row[0] for row in result_table([pictures], with_published=True)] == ["system", "margin"]
    assert len(result_table([voices], with_published=True)) == 3


def test_table_2_stands_beside_its_systems():
    """Figures read off the paper's Table 2."""
    for system, eer in (
        ("quarter_baseline", 3.61),
        ("quarter_margin", 3.22),
        ("quarter_classifier", 3.15),
        ("quarter_weak_margin", 3.23),
        ("quarter_weak_classifier", 3.30),
        ("weak_margin", 1.57),
        ("weak_classifier", 1.66),
    ):
        label, figures = published_row(system)
        assert figures["eer_vox1_o"] == eer, label


def test_cleaned_and_extended_lists_have_columns_and_what_is_missing_is_told(tmp_path):
    scored = {
        f"trials_{name}.crops": {"eer_percent": eer, "min_dcf": {"0.01": 0.1}, "trials": 10}
        for name, eer in (
            ("cleaned", 1.25),
            ("hard_cleaned", 3.5),
            ("extended", 2.5),
            ("extended_cleaned", 2.25),
            ("eval", 14.5),
        )
    }
    scored["trials_eval.crops"]["groups"] = {"singing": {"trials": 4, "eer_percent": 28.125}, "drama": {"trials": 6}}
    scored["trials_cleaned.crops.all-5dB"] = {"eer_percent": 6.75, "trials": 10}
    matched = {"acc_match_audio_to_face_h": {"left_out": "no gender of anyone"}}
    (tmp_path / "one").mkdir()
    (tmp_path / "one/results.json").write_text(json.dumps({"scores": scored, "match": matched}))
    (tmp_path / "left_out.tsv").write_text("MUSAN\tno MUSAN, and so without noisy EERs\n")
    text, page = write_report([tmp_path / "one"], tmp_path / "page.html", left_out=tmp_path / "left_out.tsv")
    for shown in (
        "1.25",
        "3.50",
        "2.50",
        "2.25",
        "14.50",
        "6.75",
        "left out: no gender of anyone",
        "left out: no MUSAN",
    ):
        assert shown in text
    assert "Left out: no gender of anyone" in page.read_text()
    assert "28.12" in text and "singing" in page.read_text()
