"""SpectralFaces: procedural faces in several spectra, with ground truth, from a seed.

identity.py   a person as numbers              nuisance.py    pose, expression, light, camera
canvas.py     the drawing plane and brushes    curves.py      lids, brows, lips and outline under an expression
geometry.py   height field and landmarks       layers.py      eyes, mouth, brows, glasses; hair.py hair and beard
materials.py  reflectance and temperature      shading.py     light on the relief
projection.py pose and alignment               render.py      the cameras; pencil.py the sketch
dataset.py    as a `datasets.Dataset`          contact_sheet.py
"""

from hf_crossspec.data.synthetic.dataset import load_spectralfaces, write_spectralfaces
from hf_crossspec.data.synthetic.identity import ATTRIBUTES, Identity, draw_identity
from hf_crossspec.data.synthetic.nuisance import Nuisance, draw_nuisance
from hf_crossspec.data.synthetic.render import MODALITIES, render_batch

__all__ = [
    "ATTRIBUTES",
    "MODALITIES",
    "Identity",
    "Nuisance",
    "draw_identity",
    "draw_nuisance",
    "load_spectralfaces",
    "render_batch",
    "write_spectralfaces",
]
