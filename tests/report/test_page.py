"""The page of a set of experiments: what a reader decides by."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from experiments import make_experiment
from PIL import Image

from speakerkd.errors import InputError
from speakerkd.report.pictures.det import Curve, det_curves
from speakerkd.report.summary import write_report


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    base = tmp_path_factory.mktemp("exp")
    folders = [make_experiment(base / "x-baseline"), make_experiment(base / "x-margin", 2.5, taught=True, seed=1)]
    text, path = write_report(folders, base / "page.html")
    return text, path.read_text("utf-8"), path


def test_the_answer_stands_first_with_its_interval(page):
    html = page[1]
    answer = (
        "margin against baseline: A-F (O) +24.1 points [+18.0, +30.2], better; no difference in EER (O) [-0.90, +1.20]."
    )
    assert answer in html
    assert html.index(answer) < html.index("<table")


def test_only_significant_figures_are_marked(page):
    marked = re.findall(r'<td class="(\w+)"[^>]*>([\d.]+)', page[1])
    assert marked == [("better", "78.0")]


def test_every_scored_list_has_its_columns(page):
    text, html, _ = page
    for heading in ("EER (O) %", "EER (own) %", "minDCF (own)", "EER 10 dB %"):
        assert heading in text and f'<th scope="col">{heading}</th>' in html


def test_the_page_loads_nothing_from_elsewhere(page):
    html = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page[1])
    assert not re.search(r'(src|href)="(?!#|data:image/png)', html) and "http" not in html and "@import" not in html


def test_pictures_have_words_and_files_beside_the_page(page):
    _, html, path = page
    shown = re.findall(r'<div class="picture" role="img" aria-label="([^"]+)"><svg', html)
    pictures = list((path.parent / "page_pictures").glob("*.png"))
    assert len(shown) == len(pictures) >= 8
    assert all(len(words) > 40 for words in shown)
    assert len(set(re.findall(r' id="([^"]+)"', html))) == len(re.findall(r' id="([^"]+)"', html))


def test_text_of_records_is_text(page):
    assert "data/&lt;b&gt;test&lt;/b&gt;" in page[1] and "<b>test</b>" not in page[1]


def test_the_same_experiments_give_the_same_page(page, tmp_path):
    folders = [page[2].parent / name for name in ("x-baseline", "x-margin")]
    assert write_report(folders, tmp_path / "page.html")[1].read_text("utf-8") == page[1]


def test_a_training_s_command_and_code_are_shown(tmp_path):
    folder = without_pictures(make_experiment(tmp_path / "x"))
    done = {"seconds": 60.0, "command": "speakerkd train a.yaml", "speakerkd": "0.1.0 at 1f57682", "processor": "EPYC"}
    (folder / "finished.json").write_text(json.dumps(done))
    html = write_report([folder])[1].read_text("utf-8")
    assert all(f">{words}</td>" in html for words in ("speakerkd train a.yaml", "0.1.0 at 1f57682", "EPYC"))


def test_what_was_not_compared_is_named(tmp_path):
    folders = [make_experiment(tmp_path / "x-baseline"), make_experiment(tmp_path / "x-margin", taught=True)]
    folders.append(make_experiment(tmp_path / "x-classifier"))
    html = write_report([without_pictures(folder) for folder in folders])[1].read_text("utf-8")
    assert "Not compared yet: classifier" in html


def test_an_experiment_named_twice_counts_once(tmp_path):
    folder = without_pictures(make_experiment(tmp_path / "x"))
    (tmp_path / "latest").symlink_to("x")
    assert "±" not in write_report([folder, tmp_path / "latest"])[0]


def test_empty_score_files_and_lists_without_targets_are_named(tmp_path):
    folder = make_experiment(tmp_path / "x")
    (folder / "spaces.npz").unlink()
    (folder / "scores" / "trials_own.crops.det").write_text("")
    results = json.loads((folder / "results.json").read_text())
    results["scores"]["trials_none.crops"] = {"trials": 3, "undefined": "the list has no target trials"}
    (folder / "results.json").write_text(json.dumps(results))
    text, page = write_report([folder])
    assert "left out: figures of trials_none.crops: the list has no target trials" in text
    assert "No DET curve on the list trials_own of x" in page.read_text("utf-8")


def test_names_that_look_alike_in_a_file_s_name_keep_their_own_pictures(tmp_path):
    folders = [make_experiment(tmp_path / name) for name in ("a b", "a_b")]
    for folder in folders:
        (folder / "spaces.npz").unlink()
    page = write_report(folders)[1]
    assert len(list((page.parent / "report_pictures").glob("scores_a_b*.png"))) == 2


def test_a_missing_stage_leaves_its_section_out(tmp_path):
    folder = make_experiment(tmp_path / "alone")
    for name in ("log.jsonl", "finished.json", "config.yaml", "spaces.npz"):
        (folder / name).unlink()
    shutil.rmtree(folder / "scores")
    html = write_report([folder])[1].read_text("utf-8")
    assert "no training log" in html and "Where voices and faces lie" not in html


def without_pictures(folder):
    """An experiment that is drawn fast: its scores and embedding spaces are gone."""
    shutil.rmtree(folder / "scores")
    (folder / "spaces.npz").unlink()
    return folder


def test_an_experiment_still_running_is_named_with_its_step(tmp_path):
    folders = [without_pictures(make_experiment(tmp_path / name)) for name in ("x-baseline", "x-margin")]
    for name in ("results.json", "finished.json"):
        (folders[1] / name).unlink()
    text, page = write_report(folders)
    sentence = "all figures of x-margin, which was not scored yet (running, or stopped, at step 40)"
    assert f"left out: {sentence}" in text and sentence in page.read_text("utf-8")
    (folders[1] / "log.jsonl").unlink()
    with pytest.raises(InputError, match="no results here"):
        write_report(folders)


def test_the_page_says_what_each_stage_cost(tmp_path):
    folder = without_pictures(make_experiment(tmp_path / "x-margin"))
    data = tmp_path / "data" / "train"
    data.mkdir(parents=True)
    (folder / "config.yaml").write_text(f"data: {{train: {data}}}\n")
    (data.parent / "costs.json").write_text('{"mini": {"seconds": 90, "runs": 1}}')
    (data / "costs.json").write_text('{"fbank": {"seconds": 30.4, "runs": 2}}')
    html = write_report([folder])[1].read_text("utf-8")
    rows = [re.sub(r"<[^>]+>|\s+", " ", row).split() for row in re.findall(r"<tr>(.*?)</tr>", html, re.S)]
    for row in (
        ["mini", str(data.parent), "1.5", "1"],
        ["fbank", str(data), "0.5", "2"],
        ["train", str(folder), "2.0", "1"],
    ):
        assert row in rows


def test_quality_weights_and_examples_are_shown_where_they_are_there(page, tmp_path):
    assert "weights that teaching gives" not in page[1] and "data:image/png" not in page[1]
    folder = without_pictures(make_experiment(tmp_path / "x"))
    with open(folder / "log.jsonl", "w") as log:
        for step in (1, 2):
            weights = {"low": 0.7, "median": 1.0, "high": 1.3}
            log.write(json.dumps({"step": step, "epoch": step / 10, "quality_weight": weights}) + "\n")
    Image.new("RGB", (8, 8)).save(folder / "examples.png")
    html = write_report([folder])[1].read_text("utf-8")
    assert "weights that teaching gives" in html and '<img alt="" src="data:image/png;base64,iVBOR' in html


def test_a_thousand_experiments_make_one_table_and_few_pictures(tmp_path):
    first = without_pictures(make_experiment(tmp_path / "x-0000"))
    for number in range(1, 1000):
        folder = tmp_path / f"x-{number:04d}"
        folder.mkdir()
        (folder / "results.json").write_text(
            json.dumps({"scores": {"trials_original.crops": {"eer_percent": number + 0.5}}})
        )
    text, page = write_report([first, *sorted(tmp_path.glob("x-0*"))[1:]])
    assert text.splitlines()[-1].split()[:2] == ["0999", "999.50"]
    assert page.stat().st_size < 3e6 and "Pictures show the first 24 of 1000 systems" in page.read_text("utf-8")


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"scores": []}', '{"scores": {"a": 1}}', "[" * 10_000, '{"match": {"a": {"accuracy_percent": "x"}}}'],
)
def test_damaged_results_are_refused_in_a_line(tmp_path, content):
    folder = make_experiment(tmp_path / "x")
    (folder / "results.json").write_text(content)
    with pytest.raises(InputError, match=r"results\.json.*move it away"):
        write_report([folder])


def test_a_det_curve_of_millions_of_trials_is_small(tmp_path):
    rates = np.geomspace(1e-6, 1, 400)
    curves = [Curve(f"system {n}", rates, np.clip(0.001 * (n + 1) / rates, 0, 1), 0.02) for n in range(4)]
    assert len(det_curves(curves, tmp_path / "det.png", "c").svg) < 200_000


CLICKS = """
<script>
const states = [];
const shown = () => document.querySelectorAll('[data-system="1"]:not(.hidden)').length;
states.push(shown());
document.querySelector('input[data-toggle="1"]').click();
states.push(shown());
document.querySelector('input[data-toggle="1"]').click();
states.push(shown());
const paper = () => getComputedStyle(document.documentElement).getPropertyValue("--paper").trim();
document.querySelector('input[value="dark"]').click();
states.push(paper());
document.querySelector('input[value="light"]').click();
states.push(paper());
document.querySelector("thead th").style.minWidth = "1500px";
states.push(document.documentElement.scrollWidth - innerWidth);
document.title = "states " + states.join(" ");
</script>
"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium to click with")
def test_the_switches_show_hide_and_recolour(page, tmp_path):
    (tmp_path / "page.html").write_text(page[1].replace("</body>", CLICKS + "</body>"), encoding="utf-8")
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=700,800",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    shown = subprocess.run(
        [*command, "--dump-dom", f"file://{tmp_path / 'page.html'}"], capture_output=True, text=True, timeout=120
    )
    before, hidden, after, dark, light, beyond = re.search(r"<title>states (.*)</title>", shown.stdout)[1].split()
    assert int(before) > 10 and int(hidden) == 0 and before == after
    assert dark == "#14171b" and light == "#ffffff"
    assert int(beyond) <= 0  # tables scroll, the page does not
