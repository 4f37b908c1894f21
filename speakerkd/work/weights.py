"""Tensors written as safetensors: equal tensors give equal bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from speakerkd.work.files import whole_file

if TYPE_CHECKING:
    from torch import Tensor

ALIGNMENT = 8  # bytes; the format pads its header with blanks


def write_tensors(path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and text about them, whole or not at all.

    The library writes its metadata in an order that changes from run to run, so that a model which was trained again
    would be taken for another by its digest; here it is sorted. Raises InputError where the file cannot be written.
    """
    from safetensors.torch import save

    content = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, dict(metadata))
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    text = json.dumps(dict(sorted(header.items())), separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with whole_file(path, "wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.write(memoryview(content)[start:])
