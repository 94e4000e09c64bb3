"""Pictures: deterministic, aligned across modalities, landmarks in place, physics with the right sign."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hf_crossspec.data.synthetic import MODALITIES, draw_identity, draw_nuisance, render, render_batch
from hf_crossspec.data.synthetic.canvas import U, V
from hf_crossspec.data.synthetic.geometry import face_surface
from hf_crossspec.data.synthetic.materials import skin_reflectance
from hf_crossspec.data.synthetic.projection import TEMPLATE
from hf_crossspec.data.synthetic.render import make_scene, render_scene
from hf_crossspec.errors import InputError

BATCH = [(0, 0), (0, 1), (3, 0), (7, 2)]
SIGNATURE = "e8dfedc47597c512"


def batch(modality: str, keys: list[tuple[int, int]] = BATCH) -> np.ndarray:
    people = [draw_identity("test", subject) for subject, _ in keys]
    return render_batch(people, [draw_nuisance("test", *key) for key in keys], modality)


def signature() -> str:
    """Hash of coarse means of all modalities' pictures.

    A last-bit difference of floats between machines can flip single grey values by one. It moves the mean of an 8 x 8
    block by 1/64, and the mean rounded to steps of 4 in fewer than one of a hundred such flips; a raw hash would not
    survive the first.
    """
    pictures = np.concatenate([batch(modality) for modality in MODALITIES]).astype(np.float64)
    blocks = pictures.reshape(len(pictures), 14, 8, 14, 8, 3).mean(axis=(2, 4))
    return hashlib.sha256(np.floor(blocks / 4).astype(np.uint8).tobytes()).hexdigest()[:16]


def scene(subject: int, image: int = 0, **changes: object):
    return make_scene(draw_identity("test", subject), replace(draw_nuisance("test", subject, image), **changes))


def test_pictures_are_those_of_every_machine():
    assert signature() == SIGNATURE


def test_pictures_are_the_same_in_a_fresh_process():
    code = (
        f"import sys, hashlib; sys.path.insert(0, {str(Path(__file__).parent)!r});"
        "from test_rendering import batch, MODALITIES;"
        "print(hashlib.sha256(b''.join(batch(m).tobytes() for m in MODALITIES)).hexdigest())"
    )
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert fresh == hashlib.sha256(b"".join(batch(m).tobytes() for m in MODALITIES)).hexdigest()


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_picture_does_not_depend_on_its_batch(modality):
    pictures = batch(modality)
    assert pictures.dtype == np.uint8 and pictures.shape == (4, 112, 112, 3)
    np.testing.assert_array_equal(batch(modality, BATCH[::-1])[::-1], pictures)
    np.testing.assert_array_equal(batch(modality, BATCH[2:3])[0], pictures[2])


def test_subjects_images_views_and_splits_differ():
    who, other, elsewhere = draw_identity("test", 0), draw_identity("test", 1), draw_identity("train", 0)
    assert len({p.nose_width for p in (who, other, elsewhere, draw_identity("test", 0, seed=1))}) == 4
    hows = [draw_nuisance("test", 0, 0), draw_nuisance("test", 0, 1), draw_nuisance("test", 0, 0, 1)]
    hows += [draw_nuisance("train", 0, 0), draw_nuisance("test", 1, 0), draw_nuisance("test", 0, 0, 0, 1)]
    assert len({how.yaw for how in hows}) == 6


@pytest.mark.parametrize("modality", ["nir-sim", "thermal-sim", "sketch-sim"])
def test_one_channel_modalities_are_grey_and_use_their_range(modality):
    pictures = batch(modality)
    assert (pictures == pictures[..., :1]).all()
    face = pictures[:, 40:100, 30:82]
    assert np.ptp(face) > 90
    assert 40 < face.mean() < 235


def test_visible_pictures_are_coloured_and_rarely_clipped():
    face = batch("vis")[:, 40:100, 30:82]
    assert np.abs(face[..., 0].astype(int) - face[..., 2]).mean() > 10
    assert (face == 255).mean() < 0.02 and (face == 0).mean() < 0.02


@pytest.mark.parametrize("subject", [0, 5, 11])
def test_every_modality_has_the_same_silhouette(subject, monkeypatch):
    """Found from the pictures alone: what does not change with the background is head, hair and neck."""
    bare = replace(draw_identity("test", subject), glasses=())
    how = replace(draw_nuisance("test", subject, 0), noise=0.0)
    it = make_scene(bare, how)
    heads = {"thermal-sim": render_scene(it, "thermal-sim")[..., 0] > 8}  # the room is below the sensor's range
    for modality in ("vis", "nir-sim"):
        pictures = []
        for level in (0.0, 1.0):
            monkeypatch.setattr(render, "_backdrop", lambda how, level=level: np.full((112, 112, 3), level, np.float32))
            pictures.append(render_scene(make_scene(bare, how), modality)[..., 0].astype(float))
        change = pictures[1] - pictures[0]
        heads[modality] = change < 0.5 * change.max()
    cover = cv2.blur(it.warp(it.silhouette), (5, 5))
    assert (cover < 0.01).sum() > 300 and (cover > 0.99).sum() > 3000
    for head in heads.values():
        assert head[cover > 0.99].mean() > 0.999 and head[cover < 0.01].mean() < 0.001


def peak(field: np.ndarray) -> np.ndarray:
    """x and y of the highest point, between pixels by parabolas through the logarithms."""
    row, column = np.unravel_index(field.argmax(), field.shape)
    log = np.log(field[row - 1 : row + 2, column - 1 : column + 2].astype(float) + 1e-9)
    across, down = log[1], log[:, 1]
    return np.array([column, row]) + [0.5 * (a - c) / (a - 2 * b + c) for a, b, c in (across, down)]


@pytest.mark.parametrize("subject", range(16))
def test_landmarks_are_exact(subject):
    it = scene(subject, 1)
    for number, ((u, v, _), (x, y)) in enumerate(zip(it.surface.landmarks, it.landmarks, strict=True)):
        if not (4 < x < 107 and 4 < y < 107):
            continue
        spot = np.exp(-(np.square(U[None, :] - u) + np.square(V[:, None] - v)) / 1.4**2).astype(np.float32)
        found = peak(it.warp(spot))
        assert np.hypot(*(found - [x, y])) < 0.5, f"landmark {number}"


def test_crops_are_aligned_to_the_template():
    points = np.stack([scene(s % 40, s // 40).landmarks for s in range(80)])
    assert points.shape == (80, 68, 2) and points.dtype == np.float32
    eyes = np.stack([points[:, 36:42].mean(1), points[:, 42:48].mean(1)], axis=1)
    np.testing.assert_allclose(eyes.mean(0), TEMPLATE[:2], atol=1.0)
    np.testing.assert_allclose(points[:, [48, 54]].mean(0), TEMPLATE[3:], atol=1.5)
    assert 103 < np.median(points[:, 8, 1]) < 116  # the chin is at the lower edge


def test_landmarks_are_in_the_order_of_ibug():
    x, y = scene(2, yaw=0.0, pitch=0.0, roll=0.0).landmarks.T
    for run in (range(17), range(17, 27), range(31, 36), (36, 37, 38, 39, 42, 43, 44, 45), range(48, 55)):
        assert (np.diff(x[list(run)]) > 0).all()
    assert (np.diff(x[54:60]) < 0).all() and (np.diff(x[60:65]) > 0).all() and (np.diff(y[27:31]) > 0).all()
    assert y[37] < y[41] and y[44] < y[46] and y[19] < y[37] and y[30] < y[33] < y[51] < y[57] < y[8]


def test_melanin_darkens_the_visible_more_than_the_near_infrared():
    blood = np.full(11, 0.4, np.float32)
    melanin = np.linspace(0, 1, 11, dtype=np.float32)
    vis, nir = skin_reflectance(melanin, blood, "vis"), skin_reflectance(melanin, blood, "nir-sim")
    assert vis.shape == (3, 11) and nir.shape == (1, 11)
    assert (np.diff(vis) < 0).all() and (np.diff(nir) < 0).all()
    assert ((vis > 0) & (vis < 1)).all() and (nir[:, 2:] > vis[:, 2:]).all()
    loss = np.log(vis[:, 0] / vis[:, -1])
    assert loss[2] > loss[1] > loss[0] > 4 * np.log(nir[0, 0] / nir[0, -1])


def test_blood_absorbs_green_and_blue_but_little_red_and_infrared():
    none, much = np.zeros(1, np.float32), np.ones(1, np.float32)
    red, green, blue = np.log(skin_reflectance(none, none, "vis") / skin_reflectance(none, much, "vis"))[:, 0]
    infrared = np.log(skin_reflectance(none, none, "nir-sim") / skin_reflectance(none, much, "nir-sim"))[0, 0]
    assert min(green, blue) > 3 * max(red, infrared) > 0


@pytest.mark.parametrize(
    ("pigment", "box", "margin"),
    [("melanin", np.s_[60:66, 28:36], 0.3), ("iris", np.s_[49:54, 35:41], 0.05)],
)
def test_rendered_skin_and_iris_follow_the_pigments(pigment, box, margin):
    how = replace(draw_nuisance("test", 0, 0), lids=1.2, gaze=(0.0, 0.0), shift=(0.0, 0.0), yaw=0.0)
    fair = replace(draw_identity("test", 0), melanin=0.1, iris=0.0, glasses=())
    ratio = {}
    for modality in ("vis", "nir-sim"):
        a, b = (
            render_batch([who], [how], modality)[0][box].astype(float).mean()
            for who in (fair, replace(fair, **{pigment: 0.9}))
        )
        ratio[modality] = a / b
    assert ratio["vis"] > ratio["nir-sim"] + margin
    assert ratio["nir-sim"] > 0.99


@pytest.mark.parametrize(("modality", "depends"), [("vis", True), ("nir-sim", False), ("thermal-sim", False)])
def test_only_visible_pictures_depend_on_the_light_of_the_scene(modality, depends):
    left, right = scene(4, light=(-0.6, -0.2, 0.77)), scene(4, light=(0.6, -0.2, 0.77))
    same = np.array_equal(render_scene(left, modality), render_scene(right, modality))
    assert same != depends


def test_light_from_the_left_brightens_the_left():
    pictures = [
        render_scene(scene(4, light=(side, -0.2, 0.77), yaw=0.0), "vis")[60:80].astype(float) for side in (-0.6, 0.6)
    ]
    left, right = ((p[:, 22:40].mean() - p[:, 72:90].mean()) for p in pictures)
    assert left > 10 and right < -10


def test_heat_is_where_it_should_be():
    for subject in range(8):
        it = scene(subject)
        bare = make_scene(replace(it.who, glasses=()), it.how)
        heat = render_scene(bare, "thermal-sim")[..., 0].astype(float)
        at = lambda number, of=heat, it=bare: of[tuple(it.landmarks[number].round().astype(int)[::-1])]  # noqa: E731
        assert min(at(39), at(42)) > at(30) + 15  # inner corners of the eyes against the tip of the nose
        framed = make_scene(replace(it.who, glasses=(12.0, 9.0, 3.0, 0.8, 0.2, 0.5)), it.how)
        lens = render_scene(framed, "thermal-sim")[..., 0].astype(float)
        pupil = bare.landmarks[36:42].mean(0).round().astype(int)[::-1]
        assert lens[tuple(pupil)] < heat[tuple(pupil)] - 60


def test_attributes_are_visible_in_the_landmarks():
    people = [draw_identity("train", number) for number in range(120)]
    neutral = replace(draw_nuisance("train", 0, 0), smile=0.0, mouth_open=0.0, lids=1.0, brow_raise=0.0)
    points = np.stack([face_surface(who, neutral).points for who in people])
    nose = points[:, 35, 0] - points[:, 31, 0]
    opening = (points[:, 41, 1] - points[:, 37, 1]) / (points[:, 39, 0] - points[:, 36, 0])
    jaw = points[:, 12, 0] - points[:, 4, 0]
    for measure, name, sign in ((nose, "big_nose", 1), (opening, "narrow_eyes", -1), (jaw, "chubby", 1)):
        has = np.array([who.attributes[name] for who in people])
        assert 10 < has.sum() < 110
        assert sign * (measure[has].mean() - measure[~has].mean()) > 0.6 * measure.std()


def test_bad_batches_are_refused():
    who, how = draw_identity("test", 0), draw_nuisance("test", 0, 0)
    with pytest.raises(InputError, match="no modality 'nir'"):
        render_batch([who], [how], "nir")
    with pytest.raises(InputError, match="one nuisance per identity"):
        render_batch([who], [how, how], "vis")


def test_an_unknown_split_is_refused():
    with pytest.raises(InputError, match="no split 'dev'"):
        draw_identity("dev", 0)
    with pytest.raises(InputError, match="no split 'dev'"):
        draw_nuisance("dev", 0, 0)
