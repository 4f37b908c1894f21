"""Every verb over every file that it reads: (name, command, files that are damaged one by one, where it may write)."""

from __future__ import annotations

from hostile_world import PATTERN

DATA = ("wav.scp", "utt2spk", "spk2utt", "utt2dur", "utt2session", "face.scp")
RECORDINGS = tuple(f"rec/p0/s0/{name}" for name in ("0.wav", "1.flac")) + ("rec/p0/s1/0.mp3", "rec/p0/s1/1.ogg")
MODEL = ("exp/voice/model.json", "exp/voice/model.safetensors")
TRAIN = "data/train/"


def _in(folder: str, *names: str) -> list[str]:
    return [f"{folder}/{name}" for name in names]


REFUSED = {"import", "doctor", "compare"}  # as they are: no config, no corpus, too few people
FOLDER = f"prepare folder out --audio-root rec --image-root pics --pattern {PATTERN} --test-list people"
FOLDER += " --jobs 1 --max-rejected 0.5"
CASES = [
    (
        "validate",
        "validate data/train",
        _in(
            "data/train",
            *DATA,
            "feats.scp",
            "fbank/000000.ark",
            "teacher.scp",
            "teacher.ark",
            "utt2num_frames",
            "trials_original",
            "face_quality",
            "feats.scp.index.npz",
        ),
        ["data/train/feats.scp.index"],
    ),
    (
        "fbank",
        "fbank data/train --mels 8 --jobs 1 --max-rejected 0.5",
        [
            *_in(
                "data/train",
                "wav.scp",
                "utt2spk",
                "fbank/000000.json",
                "fbank/000000.ark",
                "feats.scp",
                "feats.json",
                "feats.scp.made.json",
                "utt2num_frames",
            ),
            *RECORDINGS,
        ],
        [TRAIN + x for x in ("fbank", "feats", "utt2", ".lock", "fbank.rejected")],
    ),
    (
        "faces",
        "faces data/train --no-detect --jobs 1 --max-rejected 0.5",
        [
            *_in(
                "data/train",
                "face.scp",
                "utt2session",
                "faces/000000.json",
                "aligned.scp",
                "aligned.scp.made.json",
                "aligned/p0/s0.png",
                "face_quality",
            ),
            "pics/p0/s0/f.png",
            "pics/p1/s0/f.jpg",
            "pics/p2/s0/f.webp",
        ],
        [TRAIN + x for x in ("faces", "face_quality", "aligned", "utt2face")],
    ),
    (
        "embed-teacher",
        "embed-teacher data/train --teacher exp/face --max-rejected 0.5",
        [
            *_in(
                "data/train",
                "aligned.scp",
                "face.scp",
                "teacher/000000.json",
                "teacher/000000.npy",
                "teacher.scp",
                "teacher.ark",
                "teacher.json",
                "aligned/p0/s0.png",
                "teacher.scp.made.json",
                "utt2spk",
            ),
            "exp/face/model.json",
            "exp/face/model.safetensors",
        ],
        [TRAIN + "teacher"],
    ),
    (
        "embed-teacher-onnx",
        "embed-teacher data/train --teacher onnx --weights recogniser.onnx --name o --max-rejected 0.5",
        ["recogniser.onnx"],
        [TRAIN + "teacher"],
    ),
    (
        "train-check",
        "train speech.yaml --exp exp/new --check",
        [
            *_in(
                "data/train",
                "feats.scp",
                "feats.json",
                "feats.scp.index.npz",
                "fbank/000000.ark",
                "utt2spk",
                "teacher.scp",
                "teacher.ark",
                "teacher.json",
            ),
            "speech.yaml",
        ],
        ["exp/new", "data/train/feats.scp.index"],
    ),
    (
        "resume",
        "train speech.yaml --exp exp/half --resume",
        _in(
            "exp/half",
            "config.yaml",
            "log.jsonl",
            "checkpoints/step-1/state.json",
            "checkpoints/step-1/weights.safetensors",
            "checkpoints/step-1/optimizer.safetensors",
            "checkpoints/step-1/random.safetensors",
        ),
        ["exp/half", "exp/latest"],
    ),
    (
        "finished",
        "train speech.yaml --exp exp/voice --resume",
        ["exp/voice/finished.json", "exp/voice/config.yaml", *MODEL],
        ["exp/voice", "exp/latest"],
    ),
    (
        "embed",
        "embed data/train --model exp/voice --out v.npz --max-rejected 0.5",
        [
            *MODEL,
            "v.npz",
            "v.npz.made.json",
            "data/train/feats.scp",
            "data/train/feats.json",
            "data/train/feats.scp.made.json",
            "data/train/fbank/000000.ark",
        ],
        ["v.npz", "data/train/feats.scp.index"],
    ),
    (
        "score",
        "score --trials data/train/trials_original --embeddings v.npz --out exp/voice --bootstrap 20",
        [
            "v.npz",
            "data/train/trials_original",
            "exp/voice/results.json",
            "exp/voice/scores/trials_original.crops.txt",
            "exp/voice/scores/trials_original.crops.det",
        ],
        ["exp/voice/"],
    ),
    (
        "score-scp",
        "score --trials data/train/trials_original --embeddings v.scp --out exp/s --bootstrap 0",
        ["v.scp", "v.ark", "v.json", "v.utt2dur"],
        ["exp/s"],
    ),
    (
        "score-model",
        "score --trials data/train/trials_original --model exp/voice --data data/train --out exp/s --bootstrap 0",
        [*MODEL, "data/train/feats.scp", "data/train/fbank/000000.ark", "data/train/wav.scp"],
        ["exp/s", "data/train/feats.scp.index"],
    ),
    (
        "match-test",
        "match-test data/train --model exp/voice --triples 20 --bootstrap 0",
        [
            *_in("data/train", "utt2spk", "utt2session", "teacher.scp", "teacher.ark", "teacher.json", "feats.scp"),
            "exp/voice/results.json",
            "exp/voice/model.json",
            "exp/voice/spaces.npz",
            "exp/voice/outcomes/acc_match_audio_to_face_o.npz",
        ],
        ["exp/voice/", "data/train/feats.scp.index"],
    ),
    (
        "verify",
        "verify rec/p0/s0/0.wav rec/p1/s0/0.wav --model exp/voice",
        [*MODEL, "exp/voice/results.json", "rec/p0/s0/0.wav"],
        ["-"],
    ),
    ("verify-formats", "verify rec/p0/s0/1.flac rec/p0/s1/0.mp3 --model exp/voice", RECORDINGS[1:3], ["-"]),
    (
        "verify-calibrated",
        "verify rec/p0/s0/0.wav rec/p1/s0/0.wav --model exp/cal",
        ["exp/cal/calibration.json"],
        ["-"],
    ),
    (
        "enroll",
        "enroll team.db --model exp/voice --name Bob --audios rec/p1/s0/0.wav",
        ["team.db", "exp/voice/model.json", "rec/p1/s0/0.wav"],
        ["team.db"],
    ),
    ("enroll-list", "enroll team.db --list", ["team.db"], ["team.db"]),
    ("enroll-export", "enroll team.db --export team.npz", ["team.db"], ["team.db", "team.npz"]),
    ("enroll-remove", "enroll team.db --remove Ann", ["team.db"], ["team.db"]),
    ("identify", "identify team.db --model exp/voice --audio rec/p0/s0/1.flac", ["team.db", *MODEL], ["team.db"]),
    (
        "classify",
        "classify exp/image",
        [
            *_in("exp/image", "model.json", "model.safetensors", "results.json", "config.yaml"),
            *_in("data/img", "classes.txt", "images.json", "test/images.npy", "test/labels.npy", "test/keys.txt"),
        ],
        ["exp/image", "data/img"],
    ),
    (
        "embed-text",
        "embed-text data/img --teacher ngrams",
        _in("data/img", "classes.txt", "teacher.npz", "teacher.npz.made.json"),
        ["data/img"],
    ),
    ("embed-text-table", "embed-text data/img --teacher table.npz", ["table.npz"], ["data/img"]),
    (
        "train-image",
        "train image.yaml --exp exp/new --check",
        [
            "image.yaml",
            *_in("data/img", "classes.txt", "images.json", "train/images.npy", "train/labels.npy", "train/keys.txt"),
        ],
        ["exp/new"],
    ),
    ("tables", "tables", ["exp/voice/results.json", "exp/voice/config.yaml"], ["tables", "-"]),
    ("prepare-folder", FOLDER.split(" "), ["people", *RECORDINGS, "pics/p0/s0/f.png"], ["out"]),
    (
        "prepare-voxceleb",
        "prepare voxceleb out --vox1 vox1 --jobs 1 --max-rejected 0.5",
        _in("vox1", "veri_test.txt", "vox1_meta.csv", "wav/id10000/video/00000.wav"),
        ["out"],
    ),
    (
        "prepare-cnceleb",
        "prepare cnceleb out --cn1 cn1 --jobs 1 --max-rejected 0.5",
        _in(
            "cn1",
            "dev/dev.lst",
            "eval/lists/trials.lst",
            "eval/lists/enroll.lst",
            "eval/lists/enroll.map",
            "eval/enroll/id00000-enroll.flac",
        ),
        ["out"],
    ),
    (
        "prepare-mavceleb",
        "prepare mavceleb out --root mav --version v3 --jobs 1 --max-rejected 0.5",
        _in("mav", "English_train.txt", "English_test.txt", "voices/English_train/id0/0.wav"),
        ["out"],
    ),
    (
        "prepare-musan",
        "prepare musan out --root musan --jobs 1 --max-rejected 0.5",
        ["musan/music/fma/a-1.wav"],
        ["out"],
    ),
    (
        "prepare-images",
        "prepare images data/img --root img --size 16 --max-rejected 0.5",
        [
            "img/a/0.png",
            *_in("data/img", "classes.txt", "images.json", "train/images.npy", "train/keys.txt"),
            "data/img.made.json",
        ],
        ["data/img"],
    ),
    (
        "prepare-trials",
        "prepare trials data/train --count all",
        ["data/train/utt2spk", "data/train/utt2session", "data/train/spk2gender"],
        ["data/train/trials_"],
    ),
    (
        "report",
        "report exp/voice exp/base --out page.html",
        _in(
            "exp/voice",
            "results.json",
            "log.jsonl",
            "config.yaml",
            "model.json",
            "spaces.npz",
            "scores/trials_original.crops.det",
        ),
        ["page"],
    ),
    (
        "compare",
        "compare exp/voice --baseline exp/base --replicates 100 --out differences.json",
        _in("exp/base", "results.json", "scores/trials_original.crops.txt", "outcomes/acc_match_audio_to_face_o.npz"),
        ["differences.json"],
    ),
    (
        "augment",
        "augment data/train --musan musan --speeds 0.9 --jobs 1 --max-rejected 0.5",
        ["data/train/wav.scp", "data/train/feats.json", "rec/p0/s0/0.wav", "musan/music/fma/a-1.wav"],
        ["data/train_", "data/.train_"],
    ),
    (
        "match",
        "match --audio rec/p0/s0/0.wav --faces face.png --model exp/voice",
        ["face.png", "rec/p0/s0/0.wav", "exp/voice/model.json", "exp/face/model.safetensors"],
        ["-"],
    ),
    (
        "score-cohort",
        "score --trials data/train/trials_original --embeddings mean.npz --protocol mean "
        "--cohort cohort.npz --norm s-norm --out exp/s --bootstrap 0",
        ["cohort.npz"],
        ["exp/s"],
    ),
    ("import", "import wespeaker foreign.pth --to exp/foreign", ["foreign.pth"], ["exp/foreign"]),
    (
        "doctor",
        "doctor --corpus voxceleb --vox1 vox1 --measure 0",
        _in("vox1", "veri_test.txt", "vox1_meta.csv"),
        ["-"],
    ),
    (
        "export",
        "export exp/base --card --to card",
        _in("exp/base", "model.json", "model.safetensors", "results.json"),
        ["card"],
    ),
]
