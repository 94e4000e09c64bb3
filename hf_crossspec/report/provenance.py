"""What a report stands on: networks, pictures, versions, as tables."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hf_crossspec.report.tables import Table


def provenance_tables(report: dict[str, Any]) -> list[Table]:
    """Systems, training, data and versions."""
    trained = [system for system in report["systems"] if system.get("training")]
    return [
        Table("Systems", ["system", "what", ""], [row for system in report["systems"] for row in _system(system)]),
        *(
            Table(f"Training of {system['label']}", ["argument", "value"], _named(system["training"]))
            for system in trained
        ),
        Table("Data", ["what", ""], _data(report["data"])),
        Table("Versions and seeds", ["what", ""], _versions(report)),
    ]


def _system(system: dict[str, Any]) -> Iterable[list[str]]:
    facts = [("model", system["name"]), ("weights, SHA-256", system["weights_sha256"])]
    if system["adapter"] is None:
        facts += [("parameters", f"{system['parameters']:,}")]
        facts += [("source of the weights", system["weights_source"] or "not recorded")]
    else:
        facts += [("adapter", system["adapter"]), ("adapter file, bytes", f"{system['adapter_bytes']:,}")]
        facts += [
            ("adapter file, SHA-256", system["adapter_sha256"]),
            ("trained on the evaluated subjects", _overlap(system)),
        ]
    facts += [("licence of the weights", system["weights_license"] or "not recorded")]
    return [[system["label"] if not row else "", what, value] for row, (what, value) in enumerate(facts)]


def _overlap(system: dict[str, Any]) -> str:
    if not system["trained_subjects_known"]:
        return "not known: the adapter has no record of its training subjects"
    shared = system["subject_ids_shared_with_training"]
    return (
        f"{shared:,} identifiers shared, said to be other people"
        if shared
        else "no: checked against its training record"
    )


def _data(data: dict[str, Any]) -> list[list[str]]:
    rows = [
        ["source", data["source"]],
        ["split", data["split"] or "the only one"],
        ["subjects and pictures, SHA-256", data["sha256"]],
        ["subjects", f"{data['subjects']:,}"],
        ["pictures", f"{data['pictures']:,}"],
        ["failures to acquire (unreadable pictures)", f"{data['failures_to_acquire']:,}"],
        ["not of the model's size, resized whole", f"{data['resized']:,}"],
    ]
    for name, counts in data["modalities"].items():
        failures = f", {counts['failures_to_acquire']:,} failures to acquire"
        rows.append([f"modality {name}", f"{counts['pictures']:,} pictures{failures}"])
    return rows


def _versions(report: dict[str, Any]) -> list[list[str]]:
    return [
        *_named(report["versions"]),
        ["bootstrap replicates", f"{report['replicates']:,}"],
        ["seed", str(report["seed"])],
    ]


def _named(values: dict[str, Any]) -> list[list[str]]:
    return [[name, value if isinstance(value, str) else json.dumps(value)] for name, value in values.items()]
