"""crossspec enroll"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_crossspec.cli.shared import (
    AdaptersOption,
    AlignedOption,
    DetectorOption,
    DetectorPathOption,
    JsonOption,
    LowRankOption,
    console,
    name_skipped,
    parse_adapters,
    quiet_libraries,
    write_result,
)
from hf_crossspec.errors import InputError


def enroll(
    gallery: Annotated[str, typer.Argument(help="Gallery folder, or milvus://host:port/collection; made if missing.")],
    pictures: Annotated[
        list[Path] | None, typer.Argument(help="Pictures of --subject; or folders with a subfolder for each subject.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Model folder, Hub id or .onnx file.")] = None,
    adapter: AdaptersOption = None,
    low_rank: LowRankOption = None,
    subject: Annotated[str | None, typer.Option(help="Whom all the pictures show.")] = None,
    modality: Annotated[str, typer.Option(help="Modality of the pictures.")] = "vis",
    probe_modality: Annotated[
        str | None, typer.Option(help="With several adapters: the modality of the probes that will be identified.")
    ] = None,
    remove: Annotated[str | None, typer.Option(help="Remove this subject; needs neither pictures nor a model.")] = None,
    aligned: AlignedOption = False,
    detector: DetectorOption = "yunet",
    detector_path: DetectorPathOption = None,
    json: JsonOption = None,
) -> None:
    """Enrol people in a gallery: embeddings are stored, never pictures. --remove deletes a subject for good."""
    if remove is not None:
        if pictures or subject is not None:
            raise InputError("--remove takes away the subject it names: give it alone")
        _remove(gallery, remove, json)
        return
    if model is None or not pictures:
        raise InputError("enrolling needs --model and pictures")
    subjects = {subject: list(pictures)} if subject is not None else dict(_subjects_in(pictures))
    quiet_libraries()
    from hf_crossspec.recognition.recognizer import Recognizer

    options: dict[str, Any] = {"aligned": aligned, "detector": detector, "detector_path": detector_path}
    with (
        Recognizer.from_pretrained(model, parse_adapters(adapter), low_rank=low_rank, **options) as recognizer,
        recognizer.open_gallery(gallery, probe_modality, create=True) as opened,
    ):
        done = recognizer.enroll_many(opened, subjects, modality)
        total = len(opened)
    enrolled = {one.subject_id: one.enrolled for one in done if one.enrolled}
    skipped = [failure.message for one in done for failure in one.failures]
    name_skipped(skipped)
    console.print(
        f"{len(enrolled):,} subjects enrolled with {sum(enrolled.values()):,} pictures; {total:,} in {gallery}"
    )
    write_result(json, {"enrolled": enrolled, "subjects_in_gallery": total, "skipped": skipped})
    if not enrolled:
        raise InputError("nobody was enrolled: no picture has a usable face")


def _subjects_in(folders: list[Path]) -> Iterator[tuple[str, list[Path]]]:
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder of subjects: say whom a picture shows with --subject")
        for person in sorted(path for path in folder.iterdir() if path.is_dir()):
            files = sorted(path for path in person.iterdir() if path.is_file() and not path.name.startswith("."))
            if files:
                yield person.name, files


def _remove(location: str, subject: str, json: Path | None) -> None:
    from hf_crossspec.recognition.gallery import open_gallery

    with open_gallery(location) as gallery:
        gallery.remove(subject)
        total = len(gallery)
    console.print(f"{subject} removed; {total:,} subjects left in {location}", markup=False)
    write_result(json, {"removed": subject, "subjects_in_gallery": total})
