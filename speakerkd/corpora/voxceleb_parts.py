"""The parts of VoxCeleb, MUSAN and the face teacher: where each is looked for, and which figures need it."""

from __future__ import annotations

from pathlib import Path

from speakerkd.corpora.parts import Part, first_file, folders_below, packed_below

SITE = "robots.ox.ac.uk/~vgg/data/voxceleb"
MIRROR = "huggingface.co/datasets/ProgramComputer/voxceleb"
# below the root of VoxCeleb2, in the order in which they are read; a wav decodes faster than its m4a
SOUND2 = {
    "dev": ("dev/wav", "dev/aac", "vox2_dev_wav/wav", "vox2_dev_aac/dev/aac", "vox2_dev_aac/aac"),
    "test": ("test/wav", "test/aac", "vox2_test_wav/wav", "vox2_test_aac/test/aac", "vox2_test_aac/aac"),
}
FACES2 = {
    "dev": ("dev/mp4", "vox2_dev_mp4/dev/mp4", "vox2_dev_mp4/mp4"),
    "test": ("test/mp4", "vox2_test_mp4/test/mp4", "vox2_test_mp4/mp4"),
}
SOUND1 = ("wav", "dev/wav", "test/wav", "vox1_dev_wav/wav", "vox1_test_wav/wav")
LISTS = {
    "veri_test.txt": "original",
    "veri_test2.txt": "cleaned",
    "list_test_all.txt": "extended",
    "list_test_all2.txt": "extended_cleaned",
    "list_test_hard.txt": "hard",
    "list_test_hard2.txt": "hard_cleaned",
}
PAPERS_LISTS = {
    "veri_test.txt": "EER (O) and minDCF (O) and the noisy EERs: Tables 1, 2, 5, 6, Fig. 6",
    "list_test_hard.txt": "EER (H): Table 1",
}
OTHER_LISTS = {
    "veri_test2.txt": "VoxCeleb1-O cleaned",
    "list_test_all.txt": "VoxCeleb1-E",
    "list_test_all2.txt": "VoxCeleb1-E cleaned",
    "list_test_hard2.txt": "VoxCeleb1-H cleaned",
}
META1, META2 = "vox1_meta.csv", "vox2_meta.csv"
IR50 = "backbone_ir50_ms1m_epoch120.pth"


def vox2_parts(root: Path | None, lists: Path | None = None) -> list[Part]:
    """VoxCeleb2's parts below `root`; lists: another folder in which vox2_meta.csv may lie."""
    return [
        Part(
            "VoxCeleb2 dev, sound",
            "dev/aac/<id>/<video>/00001.m4a, or .wav below dev/wav",
            "72 GB (m4a), 270 GB (wav)",
            f"{MIRROR}: vox2_dev_aac_part*, joined and unzipped",
            "any training",
            True,
            folders_below(root, SOUND2["dev"]),
            packed_below(root, ("dev", "aac")),
        ),
        Part(
            "VoxCeleb2 dev, faces",
            "dev/mp4/<id>/<video>/00001.mp4",
            "267 GB",
            f"{MIRROR}: vox2_dev_mp4_part*, joined and unzipped",
            "teaching, that is every system but `baseline`",
            False,
            folders_below(root, FACES2["dev"]),
            packed_below(root, ("dev", "mp4")),
        ),
        Part(
            "VoxCeleb2 test, sound",
            "test/aac/<id>/<video>/00001.m4a, or .wav below test/wav",
            "2.5 GB",
            f"{MIRROR}: vox2_test_aac.zip",
            "matching and the map of the two spaces: Table 4, Fig. 1, 7, 8",
            False,
            folders_below(root, SOUND2["test"]),
            packed_below(root, ("test", "aac")),
        ),
        Part(
            "VoxCeleb2 test, faces",
            "test/mp4/<id>/<video>/00001.mp4",
            "9 GB",
            f"{MIRROR}: vox2_test_mp4.zip",
            "matching and the map of the two spaces: Table 4, Fig. 1, 7, 8",
            False,
            folders_below(root, FACES2["test"]),
            packed_below(root, ("test", "mp4")),
        ),
        Part(
            META2,
            f"{META2} in the root, or in --lists DIR",
            "0.2 MB",
            f"{SITE}/meta/{META2}",
            "same-gender matching, A-F (H) and F-A (H): Table 4; dark and light in Fig. 8",
            False,
            first_file((lists, root), META2),
        ),
    ]


def vox1_parts(root: Path | None, lists: Path | None = None) -> list[Part]:
    """VoxCeleb1's parts below `root`; lists: another folder in which the trial lists and vox1_meta.csv may lie."""
    sound = folders_below(root, SOUND1)
    # a folder's name says which part it is; `wav` alone may hold both, and its speakers say
    test = tuple(f for f in sound if _named(root, f, "test") or (f.parent == root and _some(f, 10270, 10310)))
    dev = tuple(
        f
        for f in sound
        if _named(root, f, "dev") or (f.parent == root and (_some(f, 10001, 10270) or _some(f, 10310, 11252)))
    )
    parts = [
        Part(
            "VoxCeleb1 test, sound",
            "wav/<id>/<video>/00001.wav, or below test/wav or vox1_test_wav/wav",
            "1.1 GB",
            f"{MIRROR}: vox1_test_wav.zip",
            "EER (O), noisy EERs: Tables 1, 2, 5, 6",
            True,
            test or (sound if not dev else ()),
            packed_below(root, ("test",)),
        ),
        Part(
            "VoxCeleb1 dev, sound",
            "wav/<id>/<video>/00001.wav, or below dev/wav or vox1_dev_wav/wav",
            "34 GB",
            f"{MIRROR}: vox1_dev_wav_part*, joined and unzipped",
            "the hard and the extended lists, EER (H): Table 1",
            False,
            dev,
            packed_below(root, ("dev",)),
        ),
    ]
    for name, needed in PAPERS_LISTS.items():
        parts.append(
            Part(
                name,
                f"{name} in the root, or in --lists DIR",
                "2 to 40 MB",
                f"{SITE}/meta/{name}",
                needed,
                False,
                first_file((lists, root), name),
            )
        )
    missing = [name for name in OTHER_LISTS if not first_file((lists, root), name)]
    parts.append(
        Part(
            "other trial lists",
            f"{', '.join(missing or OTHER_LISTS)} in the root, or in --lists DIR",
            "80 MB",
            f"{SITE}/meta",
            f"{', '.join(OTHER_LISTS[name] for name in missing or OTHER_LISTS)}, which the paper does not print",
            False,
            () if missing else tuple(path for name in OTHER_LISTS for path in first_file((lists, root), name)),
        )
    )
    parts.append(
        Part(
            META1,
            f"{META1} in the root, or in --lists DIR",
            "0.1 MB",
            f"{SITE}/meta/{META1}",
            "genders in data/vox1, which no figure needs",
            False,
            first_file((lists, root), META1),
        )
    )
    return parts


def other_parts(musan: Path | None, weights: Path | None) -> list[Part]:
    """MUSAN and the weights of the face teacher."""
    return [
        Part(
            "MUSAN",
            "--musan DIR with noise/, music/ and speech/",
            "11 GB",
            "openslr.org/17: musan.tar.gz",
            "noisy EERs at 15, 10 and 5 dB: Table 1",
            False,
            folders_below(musan, ("noise", "music", "speech")),
            packed_below(musan, ("musan",)),
        ),
        Part(
            "weights of IR-50",
            f"--weights FILE, {IR50} of face.evoLVe (MS-Celeb-1M, 112 x 112, 512-d)",
            "175 MB",
            "github.com/ZhaoJ9014/face.evoLVe, Model Zoo, 'IR-50 | MS-Celeb-1M_Align_112x112'",
            "teaching by IR-50, the paper's teacher; a ResNet34 of the corpus's own faces can take its place (Table 2)",
            False,
            (weights,) if weights is not None and weights.is_file() else (),
        ),
    ]


def _named(root: Path | None, folder: Path, part: str) -> bool:
    """Whether the way from the root to a folder names a part, as `test/wav` and `vox1_test_wav/wav` do."""
    return root is not None and part in str(folder.relative_to(root))


def _some(folder: Path, first: int, last: int) -> bool:
    """Whether a folder holds one of the speakers id<first> to id<last - 1>."""
    return any((folder / f"id{number}").is_dir() for number in range(first, last))
