"""A page in the browser: compare two recordings, find a voice's face, find a face's voice.

It is served to this machine alone unless --host says otherwise. Nothing is sent anywhere, and nothing is stored:
uploads stay in memory and are dropped after ten minutes, and when the page ends (Ctrl-C). Needs gradio, the extra
`demo`.

Example: speakerkd demo --model exp/margin
"""

from __future__ import annotations

import sys

from speakerkd.cli.options import verb
from speakerkd.demo.settings import DemoSettings


@verb()
def demo(settings: DemoSettings) -> None:
    """Serve the page until it is stopped."""
    from speakerkd.demo.server import serve

    if not settings.is_local:
        note = "speakerkd: note: everybody who reaches this machine can use the page, and what is sent is not encrypted"
        print(note, file=sys.stderr)

    def ready(address: str) -> None:
        print(f"{address} (Ctrl-C ends it)", flush=True)

    serve(settings, ready)
