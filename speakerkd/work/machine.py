"""Who computed a result: the processor, the version and commit of this package, the command line."""

from __future__ import annotations

import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from speakerkd.version import __version__


def processor() -> str:
    """The processor's name as the system tells it, such as `AMD EPYC 9B14`; its architecture where it tells none."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def code_version() -> str:
    """`0.1.0`, in a git checkout `0.1.0 at 1f57682`, and `0.1.0 at 1f57682, changed` where files differ from it."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists() or shutil.which("git") is None:
        return __version__
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (subprocess.SubprocessError, OSError):  # a checkout of somebody else's, or a broken one
        return __version__
    commit, _, changed = answer.partition("-")
    return f"{__version__} at {commit}{', changed' if changed else ''}"


def command_line() -> str:
    """The command that runs, as one would type it again."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
