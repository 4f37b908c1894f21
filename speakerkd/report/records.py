"""What a report says of how its figures came about: what was run, how it was scored, what each stage cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from speakerkd.report.page import Section, Table
from speakerkd.report.results import Result, Training, read_training
from speakerkd.work.costs import read_costs

Groups = Mapping[str, Sequence[Result]]


def records(groups: Groups) -> list[Section]:
    """What was run, how each score came about, and what each stage cost."""
    return [_runs(groups), _scores(groups), _costs(groups)]


def _runs(groups: Groups) -> Section:
    cells = [
        [
            "experiment",
            "state",
            "seed",
            "network",
            "loss",
            "teaching",
            "samples",
            "steps",
            "machine",
            "minutes",
            "peak GB",
        ]
    ]
    systems: list[int | None] = []
    commands = [["experiment", "speakerkd", "command"]]
    notes = []
    for position, (_, runs) in enumerate(groups.items()):
        for run in runs:
            training = read_training(run.path)
            cells.append(_run_row(run, training))
            systems.append(position)
            about = training.summary or training.about
            if "command" in about:
                commands.append([run.path.name, str(about.get("speakerkd", "-")), str(about["command"])])
            notes += [f"{run.path.name}: {line}" for line in refusals(training.config)]
    tables = [Table(cells, systems, caption="Trainings")]
    if len(commands) > 1:  # older trainings do not say it
        tables.append(Table(commands, caption="Code and command of each training"))
    return Section("What was run", list(dict.fromkeys(notes)), tables)


def _run_row(run: Result, training: Training) -> list[str]:
    config, about = training.config, training.summary or training.about

    def named(key: str) -> str:
        value = config.get(key)
        return str(value.get("name", "-")) if isinstance(value, dict) else "-"

    objectives = config.get("distill") or []
    machine = ", ".join(str(about[key]) for key in ("device", "precision", "gpu", "processor") if about.get(key))
    seconds = training.summary.get("seconds")
    return [
        run.path.name,
        training.state,
        str(config.get("seed", "-")),
        named("student"),
        named("loss"),
        " + ".join(str(o.get("name")) for o in objectives if isinstance(o, dict)) or "none",
        f"{about['samples']:,}" if "samples" in about else "-",
        f"{about['steps']:,}" if "steps" in about else "-",
        machine or "-",
        f"{seconds / 60:.1f}" if seconds is not None else "-",
        f"{training.summary['peak_gigabytes']:.1f}" if "peak_gigabytes" in training.summary else "-",
    ]


def refusals(config: Mapping[str, Any]) -> Iterator[str]:
    """What the data directories of a config had refused, one sentence a list of refusals."""
    data = config.get("data")
    if not isinstance(data, dict):
        return
    named = data.get("train")
    directories = [*(named if isinstance(named, list) else [named]), data.get("dev")]
    for directory in dict.fromkeys(d for d in directories if isinstance(d, str)):
        for path in sorted(Path(directory).glob("*.rejected")):
            with open(path, encoding="utf-8", errors="replace") as stream:
                count = sum(1 for line in stream if line.strip())
            if count:
                yield f"{count:,} refused by {path.stem}, listed in {path}."


def _costs(groups: Groups) -> Section:
    """Seconds that each verb took, by the records in the experiments' folders and in those of their data."""
    cells = [["stage", "folder", "minutes", "runs"]]
    for folder in dict.fromkeys([*_data_folders(groups), *(run.path for runs in groups.values() for run in runs)]):
        for name, cost in read_costs(folder).items():
            cells.append([name, str(folder), f"{cost.seconds / 60:.1f}", str(cost.runs)])
        seconds = read_training(folder).summary.get("seconds")
        if isinstance(seconds, (int, float)):
            cells.append(["train", str(folder), f"{seconds / 60:.1f}", "1"])
    if len(cells) == 1:
        return Section("What it cost")
    note = "Time by the clock, summed over the runs of a stage that ended well, on the machine that ran it."
    return Section("What it cost", [note], [Table(cells, caption="Time of each stage")])


def _data_folders(groups: Groups) -> Iterator[Path]:
    """The data directories that experiments were trained and tested on, and those above, where `prepare` wrote."""
    named: list[object] = []
    for runs in groups.values():
        for run in runs:
            data = read_training(run.path).config.get("data")
            data = data if isinstance(data, dict) else {}
            train = data.get("train")
            named += [*(train if isinstance(train, list) else [train]), data.get("dev")]
            named += [scored.made.get("data") for scored in run.raw.scores.values()]
            named += [matched.made.get("data") for matched in run.raw.match.values()]
    folders = [Path(name) for name in dict.fromkeys(named) if isinstance(name, str) and name]
    yield from dict.fromkeys([*(folder.parent for folder in folders), *folders])


def _scores(groups: Groups) -> Section:
    """How each figure came about: the header that every score file carries."""
    cells = [["experiment", "list", "protocol", "trials", "EER %", "95 % interval", "minDCF (p=0.01)", "data"]]
    systems: list[int | None] = []
    protocols: dict[str, None] = {}  # what each one does is said once, above the table
    for position, runs in enumerate(groups.values()):
        for run in runs:
            for name, entry in run.raw.scores.items():
                if entry.eer_percent is None:
                    continue
                ends = entry.interval.eer_percent
                cost = (entry.min_dcf or {}).get("0.01")
                made = entry.made
                protocol = str(made.get("protocol", ""))
                protocols |= {protocol: None} if "(" in protocol else {}
                cells.append(
                    [
                        run.path.name,
                        name,
                        protocol.partition(" (")[0],
                        f"{entry.trials:,}",
                        f"{entry.eer_percent:.2f}",
                        f"{ends[0]:.2f} to {ends[1]:.2f}" if ends else "-",
                        "-" if cost is None else f"{cost:.3f}",
                        str(made.get("data", "")),
                    ]
                )
                systems.append(position)
    tables = [Table(cells, systems, caption="Scored lists")] if systems else []
    return Section("How the scores were made", [f"Protocol {words}." for words in protocols], tables)
