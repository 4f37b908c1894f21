"""Who serves the page: one process, this machine alone unless told otherwise, uploads in memory and soon dropped."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from speakerkd.demo.settings import LOOPBACK, DemoSettings
from speakerkd.errors import InputError

KEPT = 600.0  # seconds that an upload is kept, so that it can be compared again
EXTRA = "pip install 'speakerkd[demo]'"
MEMORY = Path("/dev/shm")  # where Linux keeps files in memory
HEADERS = {  # a browser asks nobody else, whatever the page's scripts say, and shows the page in no other
    "content-security-policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' blob: "
    "data:; form-action 'self'; frame-ancestors 'none'; base-uri 'self'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "x-dns-prefetch-control": "off",
}


def serve(settings: DemoSettings, ready: Callable[[str], None]) -> None:
    """Serve the page until the process is told to stop; ready: called with its address once it can be opened.

    Raises InputError where gradio is not installed, the address is taken, or there is no model.
    """
    with _uploads() as folder:
        _quiet_gradio(folder)
        try:
            import uvicorn
        except ImportError as error:
            raise InputError("gradio is not installed", "speakerkd demo", EXTRA) from error
        app = build_app(settings)
        with _bound(settings) as listener:
            port = listener.getsockname()[1]
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            threading.Thread(target=_sweep, args=(folder,), daemon=True).start()
            config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
            ready(f"http://{host}:{port}/")
            with contextlib.suppress(KeyboardInterrupt):  # the usual way to end it
                uvicorn.Server(config).run(sockets=[listener])


def build_app(settings: DemoSettings) -> Any:
    """The application that answers HTTP."""
    try:
        import gradio
        from fastapi import FastAPI
        from starlette.middleware.trustedhost import TrustedHostMiddleware
    except ImportError as error:
        raise InputError("gradio is not installed", "speakerkd demo", EXTRA) from error
    from speakerkd import api
    from speakerkd.demo.answers import Answers
    from speakerkd.demo.drawing import STYLE
    from speakerkd.demo.page import build_page, theme

    model = api.load(settings.model, settings.device, settings.teacher_weights)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    page = build_page(Answers(model, settings))
    app = gradio.mount_gradio_app(
        app,
        page,
        path="/",
        server_name=settings.host,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        show_error=False,
        max_file_size=settings.megabytes * 1_000_000,
        theme=theme(),
        css=STYLE,
    )
    app.add_middleware(Guarded)
    if settings.is_local:  # a foreign page that renames itself to this machine is not answered
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"])
    return app


class Guarded:
    """Adds headers that keep a browser from asking anybody else."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":
                kept = [(name, value) for name, value in message["headers"] if name.decode().lower() not in HEADERS]
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": kept + extra}
            await send(message)

        await self.app(scope, receive, answer)


def _quiet_gradio(folder: Path) -> None:
    """Before gradio is imported: no telemetry, no look for a newer version, uploads where we drop them."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = str(folder)


@contextlib.contextmanager
def _uploads() -> Iterator[Path]:
    """A folder of this process alone, in memory where that can be had, gone at the end."""
    parent = MEMORY if sys.platform == "linux" and os.access(MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="speakerkd-demo-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Drop uploads that are older than `KEPT`, for ever."""
    while folder.exists():
        sweep(folder, time.time() - KEPT)
        time.sleep(KEPT / 20)


def sweep(folder: Path, before: float) -> None:
    """Remove what was last written before a time (of `time.time`)."""
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and path.stat().st_mtime < before:
                path.unlink()


def _bound(settings: DemoSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        fix = "give another --port, or 0 for any that is free" if error.errno else "give an address of this machine"
        where = f"--host {settings.host} --port {settings.port}"
        raise InputError(f"cannot serve there ({error.strerror or error})", where, fix) from error
