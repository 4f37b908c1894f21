"""Several processes that put figures into one results.json lose none of them."""

import json
import subprocess
import sys


def test_figures_of_processes_that_write_at_once_are_all_kept(tmp_path):
    script = (
        "import sys; from speakerkd.evaluation.results import update_results\n"
        "for i in range(8): update_results(sys.argv[1], 'scores', {f'{sys.argv[2]}.{i}': {'trials': i}})"
    )
    path = tmp_path / "results.json"
    writers = [subprocess.Popen([sys.executable, "-c", script, path, name]) for name in ("a", "b", "c")]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert set(json.loads(path.read_text())["scores"]) == {f"{name}.{i}" for name in "abc" for i in range(8)}
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]
