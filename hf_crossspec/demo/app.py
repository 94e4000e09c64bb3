"""The page put together, and its server: private by default, and without a word to other hosts."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported
import gradio as gr
from starlette.middleware import Middleware

from hf_crossspec.demo.api import add_endpoints
from hf_crossspec.demo.engine import Engine
from hf_crossspec.demo.hallucinate_tab import hallucinate_tab
from hf_crossspec.demo.identify_tab import identify_tab
from hf_crossspec.demo.inputs import MAX_FILE_SIZE
from hf_crossspec.demo.model_tab import model_tab
from hf_crossspec.demo.options import DemoOptions
from hf_crossspec.demo.policy import ContentPolicy
from hf_crossspec.demo.sessions import Sessions
from hf_crossspec.demo.spectra_tab import spectra_tab
from hf_crossspec.demo.theme import TITLE, css, theme
from hf_crossspec.demo.verify_tab import verify_tab
from hf_crossspec.errors import InputError, one_line

WAITING_CALLS = 200
KEPT_SESSIONS = 200
INTRO = """
# {title}

{lead}

{badges}
"""
WITH_ADAPTER = (
    "A face recogniser trained on visible light does badly in other spectra. **An adapter of {size} teaches it one "
    "more**, and it keeps what it knew. Compare any two pictures, without and with the adapter."
)
WITHOUT_ADAPTER = "A face recogniser of a few megabytes. Compare any two pictures."
NOTICE = (
    "Use pictures of people who agreed to it. Faces stay in this server's memory while the page is open, and nothing "
    "is logged; uploaded files are deleted within {seconds} seconds. A similarity is not a proof: do not decide about "
    "people by it."
)


def build(engine: Engine) -> gr.Blocks:
    """The page; networks may still be on their way."""
    options, sessions = engine.options, Sessions()
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.Markdown(introduction(options), elem_classes="intro")
        with gr.Tab("Verify"):
            function, inputs, outputs = verify_tab(engine, sessions)
            page.load(function, inputs, outputs, **quiet)
        with gr.Tab("Identify"):
            identify_tab(engine, sessions)
        with gr.Tab("Spectra") as tab:
            function, inputs, outputs = spectra_tab(engine)
            tab.select(function, inputs, outputs, **quiet)
        if options.hallucinator is not None:
            with gr.Tab("Hallucinate"):
                hallucinate_tab(engine)
        with gr.Tab("Model") as tab:
            function, inputs, outputs = model_tab(engine)
            tab.select(function, inputs, outputs, **quiet)
        gr.Markdown(NOTICE.format(seconds=options.keep_uploads), elem_classes="use-notice")
        add_endpoints(engine)

        def forget(request: gr.Request) -> None:
            sessions.end(request.session_hash)

        page.unload(forget)
    return page


def introduction(options: DemoOptions) -> str:
    """What this is, in three lines."""
    size, badges = "a few kilobytes", []
    sizes = [Path(source) / "adapter_model.safetensors" for source in options.adapters.values()]
    known = [path.stat().st_size for path in sizes if path.is_file()]
    if len(known) == 1:
        size = f"{known[0] / 1000:.0f} kilobytes"
    if options.embedded:
        badges.append('<span class="badge synthetic">Rendered people, simulated spectra</span>')
    badges.append('<span class="badge">Nothing is stored</span>')
    lead = WITH_ADAPTER.format(size=size) if options.adapters else WITHOUT_ADAPTER
    return INTRO.format(title=TITLE, lead=lead, badges=" ".join(badges))


@dataclass(frozen=True)
class Running:
    """A demo that is served: its address, its engine, and the folder of the uploads."""

    address: str
    engine: Engine
    uploads: Path


@contextmanager
def private_uploads() -> Iterator[Path]:
    """A folder for Gradio's files that nobody else may read, deleted at the end."""
    folder, before = tempfile.mkdtemp(prefix="crossspec-demo-"), os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = folder
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if before is None:
            del os.environ["GRADIO_TEMP_DIR"]
        else:
            os.environ["GRADIO_TEMP_DIR"] = before


@contextmanager
def running(options: DemoOptions) -> Iterator[Running]:
    """Serve the demo while the context lasts; the page is there at once, the networks follow.

    Raises:
        InputError: the port is taken, or the MCP server's package is missing.
    """
    if options.mcp_server:
        _require_mcp()
    engine = Engine(options)
    gc.disable()  # importing makes many objects and no garbage; looking for it takes a fifth of the time
    with private_uploads() as folder:
        page = build(engine)
        page.queue(default_concurrency_limit=2, max_size=WAITING_CALLS)
        try:
            _, address, _ = page.launch(
                server_name=options.host, server_port=options.port, prevent_thread_lock=True, quiet=True, share=False,
                show_error=False, ssr_mode=False, pwa=False, run_history=False, footer_links=["api"],
                max_file_size=MAX_FILE_SIZE, state_session_capacity=KEPT_SESSIONS, mcp_server=options.mcp_server,
                theme=theme(), css=css(), app_kwargs={"middleware": [Middleware(ContentPolicy)]},
                enable_monitoring=False,
            )  # fmt: skip
        except OSError as error:
            raise InputError(f"{one_line(error)}: choose another --port") from None
        engine.start()
        ended = Event()
        Thread(target=_forget, args=(page, folder, options.keep_uploads, ended), daemon=True).start()
        try:
            yield Running(address, engine, folder)
        finally:
            ended.set()
            gc.enable()
            page.close(verbose=False)


def _forget(page: gr.Blocks, folder: Path, seconds: float, ended: Event) -> None:
    """Delete uploads in time, and what Gradio remembers of every call for an hour; this page has no use for it.

    Gradio's own `delete_cache` leaves some files, such as those it makes of data URLs.
    """
    while not ended.wait(seconds / 3):
        for path in folder.rglob("*"):
            with suppress(OSError):  # a new upload, or a folder that is not empty
                if time.time() - path.stat().st_ctime > seconds / 2:
                    path.rmdir() if path.is_dir() else path.unlink()
        holder: Any = page.state_holder
        oldest = datetime.now() - timedelta(seconds=seconds / 2)
        for session, used in list(holder.time_last_used.items()):
            if used < oldest:
                with holder.lock:
                    holder.session_data.pop(session, None)
                    holder.time_last_used.pop(session, None)


def serve(options: DemoOptions, say: Callable[[str], None] = print) -> None:
    """Serve the demo until the process is asked to end.

    Raises:
        InputError: something cannot be loaded, or as `running`.
    """
    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with running(options) as demo:
        say(f"{TITLE}: {demo.address} (end with Ctrl+C)")
        if options.mcp_server:
            say(f"MCP server: {demo.address}gradio_api/mcp/")
        _ = demo.engine.networks  # what cannot be loaded is told now
        gc.enable()
        ended.wait()


def _require_mcp() -> None:
    try:
        import mcp  # noqa: F401
    except ImportError:
        raise InputError("--mcp-server needs the package mcp: pip install 'gradio[mcp]'") from None
