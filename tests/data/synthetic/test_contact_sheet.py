"""Contact sheets show what they say, where they say it."""

from __future__ import annotations

import cv2
import numpy as np

from hf_crossspec.data.synthetic import MODALITIES, draw_identity, draw_nuisance, render_batch
from hf_crossspec.data.synthetic.contact_sheet import landmark_sheet, modality_sheet, nuisance_sheet, save_sheet
from hf_crossspec.data.synthetic.render import make_scene


def test_a_sheet_of_modalities_has_people_in_columns(tmp_path):
    sheet = modality_sheet(people=2, first=3)
    assert sheet.shape == (4 * 112, 2 * 112, 3)
    for row, modality in enumerate(MODALITIES):
        picture = render_batch([draw_identity("test", 4)], [draw_nuisance("test", 4, 0)], modality)[0]
        np.testing.assert_array_equal(sheet[row * 112 : (row + 1) * 112, 112:], picture)
    save_sheet(tmp_path / "sheet.png", sheet)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "sheet.png"))[..., ::-1], sheet)


def test_a_sheet_of_conditions_has_one_person_per_row():
    sheet = nuisance_sheet(people=2, images=3, modality="nir-sim")
    assert sheet.shape == (2 * 112, 3 * 112, 3)
    picture = render_batch([draw_identity("test", 1)], [draw_nuisance("test", 1, 2)], "nir-sim")[0]
    np.testing.assert_array_equal(sheet[112:, 224:], picture)


def test_landmarks_are_drawn_where_they_are():
    sheet = landmark_sheet(people=1, zoom=4)
    assert sheet.shape == (448, 448, 3)
    points = make_scene(draw_identity("test", 0), draw_nuisance("test", 0, 1)).landmarks
    inside = points[((points > 3) & (points < 109)).all(axis=1)]
    assert len(inside) > 50
    for x, y in ((inside + 0.5) * 4 - 0.5).round().astype(int):
        assert sheet[y, x, 1] > 200 and sheet[y, x, 0] < 90
