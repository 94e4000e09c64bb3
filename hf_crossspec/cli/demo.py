"""crossspec demo"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hf_crossspec.cli.shared import AdaptersOption, DetectorOption, DetectorPathOption, console, parse_adapters
from hf_crossspec.errors import InputError


def demo(
    model: Annotated[
        str | None, typer.Option("--model", help="Model folder or Hub id; default: the embedded nano, synthetic only.")
    ] = None,
    adapter: AdaptersOption = None,
    low_rank: Annotated[str | None, typer.Option("--low-rank", help="Low-rank embedding (folder or Hub id).")] = None,
    hallucinator: Annotated[
        str | None, typer.Option("--hallucinator", help="Hallucination model (folder or Hub id): a tab of its own.")
    ] = None,
    detector: DetectorOption = "yunet",
    detector_path: DetectorPathOption = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for other machines.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on.", min=1, max=65535)] = 7860,
    mcp_server: Annotated[
        bool, typer.Option("--mcp-server", help="Offer the endpoints to language models (needs gradio[mcp]).")
    ] = False,
    keep_uploads: Annotated[
        int, typer.Option("--keep-uploads", help="Seconds after which uploaded files are deleted.", min=2)
    ] = 90,
) -> None:
    """Serve a page to try a model and its adapter on; without options, rendered faces that need no network."""
    if adapter and model is None:
        raise InputError("an adapter belongs to a model: give --model, too")
    for path in (detector_path, None if model is None else Path(model)):
        if path is not None and path.is_absolute() and not path.exists():
            raise InputError(f"{path} does not exist")
    try:
        from hf_crossspec.demo.app import serve
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] in ("gradio", "starlette"):
            raise InputError("the demo needs gradio: pip install 'hf_crossspec[space]'") from None
        raise
    from hf_crossspec.demo import DemoOptions

    options = DemoOptions(
        model, parse_adapters(adapter), low_rank, hallucinator, detector, detector_path, host, port, mcp_server,
        keep_uploads,
    )  # fmt: skip
    serve(options, say=lambda text: console.print(text, soft_wrap=True))
