"""The worst errors as pairs of pictures, for a look at home: pictures of people never leave the HTML file."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from hf_crossspec.data.images import decode_image
from hf_crossspec.evaluation.scores import ScoreMatrix
from hf_crossspec.report.build import Measured, Sides

WORST = 6  # pairs of each kind


@dataclass(frozen=True)
class WrongPair:
    """An error as two pictures in PNG data URIs, with the subjects and the score.

    Args:
        probe, enrolled: The probe, and the first enrolled picture of the template's subject.
        probe_subject, enrolled_subject: Who is shown.
        score: Of the probe against the subject's template.
    """

    probe: str
    enrolled: str
    probe_subject: str
    enrolled_subject: str
    score: float


def worst_errors(measured: Measured) -> list[dict[str, dict[str, list[WrongPair]]]]:
    """For each comparison of the report and each system, its worst false matches and false non-matches.

    Args:
        measured: Report and pictures; these are shown as the model sees them.

    Returns:
        Per comparison: system -> `false_matches` (highest scores first) and `false_non_matches` (lowest first), at most
        6 each, and only comparisons that the system decides wrongly at its threshold.
    """
    found = []
    for comparison in measured.report["comparisons"]:
        sides = Sides.of(
            measured.faces, measured.embedded, comparison["gallery_modality"], comparison["probe_modality"]
        )
        show = _Pictures(measured, sides)
        found.append(
            {
                label: {
                    kind: [show.pair(row, column, score) for row, column, score in cells]
                    for kind, cells in worst_cells(
                        sides.score(values), comparison["systems"][label]["operating_point"]["threshold"]
                    ).items()
                }
                for label, values in measured.embedded.values.items()
            }
        )
    return found


def worst_cells(matrix: ScoreMatrix, threshold: float, count: int = WORST) -> dict[str, list[tuple[int, int, float]]]:
    """Row, column and score of the `count` worst `false_matches` and `false_non_matches` at `threshold`."""
    same = matrix.probe_subject[:, None] == matrix.gallery_subject[None, :]
    accepted = matrix.scores.astype(np.float64) >= threshold

    def worst(wrong: np.ndarray, sign: float) -> list[tuple[int, int, float]]:
        rows, columns = np.nonzero(wrong)
        order = np.argsort(sign * matrix.scores[rows, columns], kind="stable")[:count]
        return [(int(rows[i]), int(columns[i]), float(matrix.scores[rows[i], columns[i]])) for i in order]

    return {"false_matches": worst(accepted & ~same, -1.0), "false_non_matches": worst(~accepted & same, 1.0)}


class _Pictures:
    """Rows and columns of a score matrix -> pictures."""

    def __init__(self, measured: Measured, sides: Sides) -> None:
        self.measured, self.sides = measured, sides
        gallery, self.probes = sides.gallery_and_probes
        # Templates are in the order of the sorted names of all probes and enrolled subjects.
        self.enrolled, first = np.unique(sides.subjects[gallery], return_index=True)
        self.first_enrolled = gallery[first]

    def pair(self, row: int, column: int, score: float) -> WrongPair:
        """The two pictures behind one cell."""
        probe, enrolled = int(self.probes[row]), int(self.first_enrolled[column])
        names = str(self.sides.subjects[probe]), str(self.enrolled[column])
        return WrongPair(self._data_uri(probe), self._data_uri(enrolled), *names, score)

    def _data_uri(self, position: int) -> str:
        row = int(self.measured.embedded.rows[position])
        image = decode_image(self.measured.faces[row]["image"], f"row {row}")
        pixels = self.measured.processor(image, return_tensors="pt").pixel_values[0]  # (3, H, W) in [-1, 1]
        bytes_ = (pixels * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
        buffer = io.BytesIO()
        Image.fromarray(bytes_).save(buffer, "PNG")
        return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
