"""What would be published, as a folder with its card: data sets of faces."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Image
from huggingface_hub import DatasetCardData, RepoCard

from hf_crossspec import __version__
from hf_crossspec.data.images import decode_image
from hf_crossspec.data.prepare import as_png
from hf_crossspec.data.schema import load_faces, split_names
from hf_crossspec.errors import InputError
from hf_crossspec.hub.card import Verbatim, read_card, render, template
from hf_crossspec.hub.licences import KNOWN

SYNTHETIC = "synthetic"  # tag in the card of a data set that shows nobody
ROWS_PER_FILE = 20_000


@dataclass(frozen=True)
class DataStatement:
    """What the publisher says of a data set.

    Args:
        licence: Licence of the pictures.
        origin: Where they come from and on what terms; `None` where the folder's own card says it.
        consent: Whether the publisher states that the people shown agreed to the publication.
    """

    licence: str | None = None
    origin: str | None = None
    consent: bool = False


def stage_dataset(source: str | Path, repo_id: str, statement: DataStatement, folder: Path) -> bool:
    """Every split as Parquet with a card; pictures are stored anew as PNG, without camera data or file paths.

    Returns:
        Whether the pictures show people, as far as is known: all do but those of a folder whose card is tagged
        `synthetic`, as `crossspec prepare spectralfaces` writes it.

    Raises:
        InputError: not a data set of faces, unreadable pictures, no licence, or an origin that is not stated.
    """
    own_card = read_card(Path(source))
    synthetic = own_card is not None and SYNTHETIC in (own_card.data.get("tags") or [])
    licence = statement.licence or (own_card.data.get("license") if own_card else None)
    if licence is None:
        raise InputError("say under which licence the pictures are published: --license")
    origin = statement.origin or (_first_paragraph(own_card) if own_card else None)
    if origin is None:
        raise InputError("say where the pictures come from and on what terms: --origin")
    subjects: dict[str, set[str]] = {}
    splits = []
    for name in split_names(source):
        faces = load_faces(source, name)
        _write_split(faces, name, folder)
        subjects[name] = set(faces["subject_id"])
        modalities = sorted(set(faces["modality"]))
        splits.append({"name": name, "pictures": len(faces), "subjects": len(subjects[name]), "modalities": modalities})
    text = _dataset_card(repo_id, licence, origin, statement.consent, synthetic, splits, subjects, faces.column_names)
    (folder / "README.md").write_text(text, encoding="utf-8")
    return not synthetic


def _write_split(faces: Dataset, name: str, folder: Path) -> None:
    """One split as Parquet files of bounded size, each made of one part of the rows at a time."""
    features = Features({**faces.features, "image": Image()})
    starts = range(0, len(faces), ROWS_PER_FILE)
    for number, start in enumerate(starts):
        part = faces.select(range(start, min(start + ROWS_PER_FILE, len(faces))))
        rows = [_public_row(row, start + offset) for offset, row in enumerate(part)]
        path = folder / "data" / f"{name}-{number:05d}-of-{len(starts):05d}.parquet"
        path.parent.mkdir(exist_ok=True)
        Dataset.from_list(rows, features=features).to_parquet(str(path))


def _public_row(row: dict[str, Any], number: int) -> dict[str, Any]:
    picture = decode_image(row["image"], str(row.get("key") or f"row {number}"))
    return {**row, "image": {"bytes": as_png(picture), "path": None}}


def _dataset_card(
    repo_id: str,
    licence: str,
    origin: str,
    consent: bool,
    synthetic: bool,
    splits: list[dict[str, Any]],
    subjects: dict[str, set[str]],
    columns: list[str],
) -> str:
    known = licence in KNOWN
    tags = ["face-recognition", "cross-spectral", *([SYNTHETIC] if synthetic else [])]
    data = DatasetCardData(
        license=licence if known else "other",
        license_name=None if known else licence,
        task_categories=["image-feature-extraction"],
        tags=tags,
        pretty_name=repo_id.split("/")[1],
    )
    modalities = splits[-1]["modalities"]
    gallery = "vis" if "vis" in modalities else modalities[0]
    shared = any(one & other for one, other in combinations(subjects.values(), 2))
    facts = {
        "card_data": Verbatim(data.to_yaml()),
        "repo_id": Verbatim(repo_id),
        "title": repo_id.split("/")[1],
        "summary": _dataset_summary(splits, synthetic),
        "splits": [
            {**split, "pictures": f"{split['pictures']:,}", "modalities": ", ".join(split["modalities"])}
            for split in splits
        ],
        "columns": ", ".join(columns),
        "overlap": "overlap" if shared else "are different people",
        "origin": origin,
        "consent": _consent_text(consent, synthetic),
        "licence": licence,
        "gallery": gallery,
        "probe": next((name for name in modalities if name != gallery), gallery),
        "version": __version__,
    }
    return render(template("dataset_card.md"), facts)


def _dataset_summary(splits: list[dict[str, Any]], synthetic: bool) -> str:
    pictures = sum(split["pictures"] for split in splits)
    what = "Synthetic faces of nobody" if synthetic else "Faces"
    return f"{what} for cross-spectral recognition: {pictures:,} aligned pictures."


def _consent_text(consent: bool, synthetic: bool) -> str:
    if synthetic:
        return "The faces are rendered; nobody is depicted."
    if consent:
        return "The publisher states that the people shown agreed to the publication of their pictures."
    return "The pictures show people. The repository is private: the publisher has not stated that they agreed to more."


def _first_paragraph(card: RepoCard) -> str | None:
    """The first paragraph below the title of a card."""
    paragraphs = [part.strip() for part in card.text.split("\n\n")]
    return next((part for part in paragraphs if part and not part.startswith("#")), None)
