"""Published figures beside ours: a researcher's check that a run stands where the paper says."""

import csv
import io
import json
import os

import pytest
from experiments import make_experiment

from speakerkd.cli.main import run
from speakerkd.errors import InputError
from speakerkd.report.answer import figure_key, heading
from speakerkd.report.papers import as_format, published_tables
from speakerkd.report.published import all_published, published_for, published_row
from speakerkd.report.results import read_result


def test_all_753_published_figures_are_there():
    assert len(all_published()) == 753


def test_names_lead_to_the_rows_of_all_three_papers():
    # second paper, Table 3; third paper, Table 1
    assert published_for("cifar10-resnet32x4-shufflenetv2-dimensional") == {"top1": 84.56}
    assert published_for("eurosat-ms_to_sar-dkd") == {"f1_weighted": 78.30}
    assert published_for("tristar-thermal_to_depth-disentangled") == {"f1_weighted": 92.86}
    assert published_row("mini-margin")[0] == "Ours (feature)"
    assert published_row("sur-split0") is None


def test_ours_stands_beside_the_paper_with_both_gains(tmp_path):
    make_experiment(tmp_path / "vox-baseline", 2.0)
    make_experiment(tmp_path / "vox-margin-seed1", 2.5, seed=1)
    make_experiment(tmp_path / "vox-margin-seed2", 2.5, seed=2)
    cells, notes = published_tables(tmp_path, tables=["1"], papers=["widely_differing_modalities"])
    rows = [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]
    margin = next(row for row in rows if row["method"] == "Ours (feature)" and row["figure"] == "eer_vox1_o")
    assert margin["published"] == "1.51" and margin["published - its baseline"] == "-0.200"
    assert (
        margin["seeds"] == "2"
        and margin["budget"] == "64 samples, 40 steps of 8, 2.0 min on ?, tested on data/<b>test</b>"
    )
    assert float(margin["ours - our baseline"]) < 0
    assert next(row for row in rows if row["method"] == "PKD")["ours"] == ""
    assert notes == []


def test_unfinished_and_stale_experiments_are_named(tmp_path):
    folder = make_experiment(tmp_path / "x-margin")
    (folder / "finished.json").unlink()
    damaged = tmp_path / "x-at" / "results.json"
    damaged.parent.mkdir()
    damaged.write_text("{")
    cells, notes = published_tables(tmp_path)
    assert f"{folder}: not trained to the end, left out" in notes and len(notes) == 2
    assert any(str(damaged) in note and note.endswith("left out") for note in notes)
    assert all(row[7] == "" for row in cells[1:])


def test_an_experiment_scored_before_its_model_is_named(tmp_path):
    folder = make_experiment(tmp_path / "x-margin")
    (folder / "model.safetensors").write_bytes(b"")
    os.utime(folder / "results.json", (0, 0))
    assert published_tables(tmp_path)[1] == [f"{folder}: scored before its model was written, score it again"]


def test_latex_says_what_its_own_signs_are():
    text = as_format([["a_b", "50 %"], [r"x\y", "a<b"]], "latex")
    assert r"a\_b & 50 \% \\" in text and r"x\textbackslash{}y & a\textless{}b \\" in text


def test_csv_and_latex_keep_every_row(tmp_path):
    cells, _ = published_tables(tmp_path, papers=["discom_kd"])
    assert list(csv.reader(io.StringIO(as_format(cells, "csv")))) == cells
    assert as_format(cells, "latex").count(r"\\") == len(cells)
    with pytest.raises(InputError, match="markdown, csv, latex"):
        as_format(cells, "word")
    with pytest.raises(InputError, match="no such folder"):
        published_tables(tmp_path / "none")


def test_the_verb_writes_the_chosen_tables(tmp_path, capsys):
    make_experiment(tmp_path / "exp/x-margin")
    out = tmp_path / "t.csv"
    arguments = ["--exp", str(tmp_path / "exp"), "--table", "1", "4", "--format", "csv", "--out", str(out)]
    with pytest.raises(SystemExit) as end:
        run(["tables", "--paper", "widely_differing_modalities", *arguments])
    assert end.value.code == 0 and capsys.readouterr().out == f"88 figures in {out}\n"
    rows = list(csv.DictReader(out.open()))
    assert {row["table"] for row in rows} == {"1", "4"} and sum(bool(row["ours"]) for row in rows) == 5


def test_paths_of_a_comparison_are_the_tables_figures():
    assert figure_key("scores/trials_original.crops/eer_percent") == "eer_vox1_o"
    assert figure_key("scores/trials_hard.mean/min_dcf/0.01") == "mindcf_vox1_h"
    assert figure_key("scores/trials_original.crops.all-10dB/eer_percent") == "eer_noise_10db"
    assert figure_key("match/acc_match_audio_to_face_o_fit/accuracy_percent") == "acc_match_audio_to_face_o_fit"
    assert heading("acc_match_audio_to_face_o_fit") == "A-F (O), linear map"


def test_a_network_that_learnt_with_others_stands_where_the_third_paper_has_it(tmp_path):
    """eurosat-disentangled/sar is Table 1's and Table 2's DisCoM-KD; a network of MS alone also Table 1's TEACHER."""
    run = make_experiment(tmp_path / "eurosat-disentangled-seed2")
    (run / "results.json").rename(tmp_path / "kept.json")
    figures = {"classify": {"test": {"figures": {"f1_weighted": 71.0}}}}
    for folder in (run / "sar", tmp_path / "eurosat-ms-baseline"):
        folder.mkdir()
        (folder / "results.json").write_text(json.dumps(figures))
    assert read_result(run / "sar").system == "eurosat-sar-disentangled"
    cells, _ = published_tables(tmp_path, papers=["discom_kd"], tables=["1", "2"])
    ours = {(row[1], row[2], row[3]) for row in cells[1:] if row[7] == "71.000"}
    assert ours == {
        ("1", "EuroSat MS -> SAR", "DisCoM-KD"),
        ("2", "EuroSat SAR", "DisCoM-KD"),
        ("1", "EuroSat MS -> SAR", "TEACHER"),
        ("2", "EuroSat MS", "STUDENT"),
    }
