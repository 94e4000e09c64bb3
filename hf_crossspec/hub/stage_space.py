"""What would be published, as a folder with its card: a Space."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from huggingface_hub import SpaceCardData

from hf_crossspec import __version__
from hf_crossspec.errors import InputError
from hf_crossspec.hub.card import Verbatim, read_card, render, template

SDKS = ("gradio", "static")
SPACE_FILES = ("*.py", "*.md", "*.txt", "*.css", "*.html", "*.png", "*.jpg", "*.json")


def stage_space(source: str | Path, repo_id: str, licence: str, models: Sequence[str], folder: Path) -> None:
    """The files of a Space: programs, texts and small pictures; its own card, or one that is made for an app.py.

    Args:
        source: Folder with app.py, or with a card that names another app file (an `evaluate` module's, for instance).
        licence, models: For a card that is made: licence of the Space, and Hub ids of the models it shows.

    Raises:
        InputError: neither app.py nor a card, or a card that does not name an existing app file or the SDK.
    """
    source = Path(source)
    if not any((source / name).is_file() for name in ("app.py", "README.md")):
        raise InputError(f"{source} is not a Space: it has no app.py")
    for pattern in SPACE_FILES:
        for file in sorted(source.rglob(pattern)):
            target = folder / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    if not (folder / "README.md").exists():
        text = _space_card(repo_id, licence, models)
        (folder / "README.md").write_text(text, encoding="utf-8")
    card = read_card(folder)
    fields = {} if card is None else card.data.to_dict()
    if fields.get("sdk") not in SDKS or not (folder / str(fields.get("app_file"))).is_file():
        raise InputError(f"{source}/README.md must say sdk: {' or '.join(SDKS)}, and app_file: an existing file")


def _space_card(repo_id: str, licence: str, models: Sequence[str]) -> str:
    title = repo_id.split("/")[1]
    try:
        gradio = version("gradio")
    except PackageNotFoundError:
        raise InputError("a Space's card names the version of gradio: pip install 'hf_crossspec[space]'") from None
    data = SpaceCardData(
        title=title, sdk="gradio", sdk_version=gradio, app_file="app.py", license=licence,
        models=list(models) or None, tags=["face-recognition", "cross-spectral"],
    )  # fmt: skip
    facts = {
        "card_data": Verbatim(data.to_yaml()),
        "title": title,
        "summary": "A demo of cross-spectral face recognition.",
        "version": __version__,
        "licence": licence,
    }
    return render(template("space_card.md"), facts)
