"""The Hub's checks of a repository card: the YAML between the first two `---` lines of README.md.

Rules and identifiers follow https://huggingface.co/docs/hub/model-cards, .../repositories-licenses and
.../spaces-config-reference.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

LICENSES = """apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0
cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0
cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl
lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0 odc-by odbl openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl
lgpl-lr deepfloyd-if-license llama2 gemma unknown other"""
COLOURS = ["red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"]
CHOICES = {"sdk": ["gradio", "docker", "static"], "colorFrom": COLOURS, "colorTo": COLOURS}
LONGEST_SHORT_DESCRIPTION = 60
REPO_ID = re.compile(r"(?=.{1,96}$)\w[\w-]*(?:\.[\w-]+)*(?:/\w[\w-]*(?:\.[\w-]+)*)?")


def card_data(readme: str) -> dict[str, Any] | None:
    """Metadata of a card, None where it has none. Raises `yaml.YAMLError`, or ValueError where it is no mapping."""
    front = re.match(r"---[ \t]*\r?\n(.*?)^---[ \t]*$", readme, re.DOTALL | re.MULTILINE)
    data = yaml.safe_load(front.group(1)) if front else None
    if data is not None and not isinstance(data, dict):
        raise ValueError("the metadata must be a mapping of names to values")
    return data or None


def check_card(readme: str, kind: str) -> tuple[list[str], list[str]]:
    """Errors and warnings about a card of a repository of this kind (model, dataset or space)."""
    try:
        data = card_data(readme)
    except (yaml.YAMLError, ValueError) as error:
        return [f"Invalid YAML: {' '.join(str(error).split())}"], []
    if data is None:
        return [], ["empty or missing yaml metadata in repo card"]
    errors = [
        f'"license" must be one of [{", ".join(LICENSES.split())}]'
        for value in as_list(data.get("license"))
        if value not in LICENSES.split()
    ]
    for key, noun in (("datasets", "dataset"), ("base_model", "model"), ("models", "model")):
        errors += [
            f'"{key}[{index}]" with value "{value}" is not valid. Use a {noun} id from https://hf.co/{noun}s.'
            for index, value in enumerate(as_list(data.get(key)))
            if not (isinstance(value, str) and REPO_ID.fullmatch(value))
        ]
    for key in ("tags", "metrics"):
        value = data.get(key)
        if value is not None and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            errors.append(f'"{key}" must be an array of strings')
    for key in ("library_name", "pipeline_tag", "license_name"):
        if not isinstance(data.get(key, ""), str):
            errors.append(f'"{key}" must be a string')
    if kind == "model":
        errors += model_index_errors(data.get("model-index"))
    if kind == "space":
        errors += [
            f'"{key}" must be one of {names}' for key, names in CHOICES.items() if data.get(key, names[0]) not in names
        ]
        if len(str(data.get("short_description", ""))) > LONGEST_SHORT_DESCRIPTION:
            errors.append(f'"short_description" must be at most {LONGEST_SHORT_DESCRIPTION} characters long')
    return errors, []


def model_index_errors(index: Any) -> list[str]:
    """What is wrong with `model-index`: models with a name and results, each with a task, a dataset and metrics."""
    errors: list[str] = []

    def items(value: Any, where: str) -> list[tuple[Any, str]]:
        if isinstance(value, list):
            return [(item, f"{where}[{number}]") for number, item in enumerate(value)]
        errors.append(f'"{where}" must be an array')
        return []

    def get(value: Any, where: str, name: str, kind: type = object) -> Any:
        found = value.get(name) if isinstance(value, dict) else None
        if found is None or not isinstance(found, kind):
            errors.append(f'"{where}.{name}" is required' + (" as a string" if kind is str else ""))
        return found

    for model, at in items(index, "model-index") if index is not None else []:
        get(model, at, "name", str)
        for result, where in items(get(model, at, "results"), f"{at}.results"):
            get(get(result, where, "task"), f"{where}.task", "type", str)
            dataset = get(result, where, "dataset")
            for name in ("type", "name"):
                get(dataset, f"{where}.dataset", name, str)
            for metric, place in items(get(result, where, "metrics"), f"{where}.metrics"):
                get(metric, place, "type", str)
                get(metric, place, "value")
    return errors


def as_list(value: Any) -> list[Any]:
    """A value that a card may give alone or in a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
