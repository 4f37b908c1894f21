"""Tables of figures: one row a system, mean and deviation over seeds, as text for a terminal, Markdown or HTML."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import commonprefix

from speakerkd.report.results import question_name


@dataclass(frozen=True, slots=True)
class Column:
    """One figure: its key in a row, its heading and decimals."""

    key: str
    heading: str
    decimals: int = 2


SPEAKER_COLUMNS = (
    Column("eer_vox1_o", "EER (O) %"),
    Column("mindcf_vox1_o", "minDCF (O)", 3),
    Column("eer_vox1_h", "EER (H) %"),
    Column("mindcf_vox1_h", "minDCF (H)", 3),
    Column("eer_vox1_e", "EER (E) %"),
    Column("mindcf_vox1_e", "minDCF (E)", 3),
    Column("eer_vox1_cleaned", "EER (O cleaned) %"),
    Column("mindcf_vox1_cleaned", "minDCF (O cleaned)", 3),
    Column("eer_vox1_h_cleaned", "EER (H cleaned) %"),
    Column("mindcf_vox1_h_cleaned", "minDCF (H cleaned)", 3),
    Column("eer_vox1_e_cleaned", "EER (E cleaned) %"),
    Column("mindcf_vox1_e_cleaned", "minDCF (E cleaned)", 3),
    Column("eer_identity", "EER (VoxCeleb2 test) %"),
    Column("eer_cnceleb", "EER (CN-Celeb) %"),
    Column("mindcf_cnceleb", "minDCF (CN-Celeb)", 3),
    Column("eer_cnceleb_joined", "EER (CN-Celeb, joined) %"),
    Column("mindcf_cnceleb_joined", "minDCF (CN-Celeb, joined)", 3),
    Column("eer_noise_15db", "EER 15 dB %"),
    Column("eer_noise_10db", "EER 10 dB %"),
    Column("eer_noise_5db", "EER 5 dB %"),
    Column("eer_cleaned_noise_15db", "EER 15 dB (O cleaned) %"),
    Column("eer_cleaned_noise_10db", "EER 10 dB (O cleaned) %"),
    Column("eer_cleaned_noise_5db", "EER 5 dB (O cleaned) %"),
    Column("acc_match_audio_to_face_o", "A-F (O) %", 1),
    Column("acc_match_face_to_audio_o", "F-A (O) %", 1),
    Column("acc_match_audio_to_face_h", "A-F (H) %", 1),
    Column("acc_match_face_to_audio_h", "F-A (H) %", 1),
    Column("acc_match_audio_to_face_o_fit", "A-F (O), linear map %", 1),
    Column("acc_match_face_to_audio_o_fit", "F-A (O), linear map %", 1),
    Column("acc_match_audio_to_face_h_fit", "A-F (H), linear map %", 1),
    Column("acc_match_face_to_audio_h_fit", "F-A (H), linear map %", 1),
)

IMAGE_COLUMNS = (
    Column("top1", "top-1 %", 2),
    Column("top5", "top-5 %", 2),
    Column("f1_weighted", "F1 %", 2),
    Column("ece", "ECE %"),
    Column("parameters", "weights, millions", 2),
    Column("image_to_text_top1", "image to text %", 2),
    Column("text_to_image_map", "retrieval mAP %", 2),
    Column("corrupted_top1", "corrupted top-1 %", 2),
)


def columns_for(figures: Sequence[Mapping[str, float]]) -> tuple[Column, ...]:
    """The columns that some of our figures have, among them every own list's: no scored list is left out."""
    known = (*SPEAKER_COLUMNS, *IMAGE_COLUMNS)
    keys = {column.key for column in known}
    others = dict.fromkeys(key for row in figures for key in row if key not in keys)
    own = [column for key in others if (column := _own_column(key)) is not None]
    there = {key for row in figures for key in row}
    return tuple(column for column in (*SPEAKER_COLUMNS, *own, *IMAGE_COLUMNS) if column.key in there)


def _own_column(key: str) -> Column | None:
    if key.startswith("eer_"):
        return Column(key, f"EER ({key[4:]}) %")
    if key.startswith("mindcf_"):
        return Column(key, f"minDCF ({key[7:]})", 3)
    if (question := question_name(key)) is not None:
        return Column(key, f"{question} %", 1)
    return None


def summarise(values: Sequence[float], decimals: int) -> str:
    """`mean ± sample deviation` over seeds, or the plain value of one; `-` for none."""
    if not values:
        return "-"
    mean = statistics.fmean(values)
    if len(values) == 1:
        return f"{mean:.{decimals}f}"
    return f"{mean:.{decimals}f} ± {statistics.stdev(values):.{decimals}f}"


def layout(
    rows: Mapping[str, Sequence[Mapping[str, float]]], columns: Sequence[Column], name: str = "system"
) -> list[list[str]]:
    """Cells of a table, heading first, without columns nobody has. rows: {row name: a mapping of figures a seed}."""
    used = [c for c in columns if any(c.key in run for runs in rows.values() for run in runs)]
    cells = [[name, *(c.heading for c in used)]]
    for row, runs in rows.items():
        figures = [summarise([run[c.key] for run in runs if c.key in run], c.decimals) for c in used]
        cells.append([row, *figures])
    return cells


def as_text(cells: Sequence[Sequence[str]]) -> str:
    """Aligned columns for a terminal or a log."""
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def as_markdown(cells: Sequence[Sequence[str]]) -> str:
    """A GitHub-flavoured Markdown table."""
    head, *body = [["" if cell is None else cell.replace("|", "\\|") for cell in row] for row in cells]
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *body))


def shared_prefix(systems: Sequence[str]) -> int:
    """Length of `mini-` in mini-baseline, mini-margin: what all names share, which no row needs to repeat."""
    if len(set(systems)) < 2:
        return 0
    return commonprefix(list(systems)).rfind("-") + 1
