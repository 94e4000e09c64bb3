"""The README's pictures of SpectralFaces, from fixed seeds: python scripts/readme_pictures.py"""

from __future__ import annotations

from pathlib import Path

from hf_crossspec.data.synthetic.contact_sheet import landmark_sheet, modality_sheet, nuisance_sheet, save_sheet

ASSETS = Path(__file__).resolve().parents[1] / "space" / "assets"

if __name__ == "__main__":
    save_sheet(ASSETS / "spectralfaces_modalities.jpg", modality_sheet(10))
    save_sheet(ASSETS / "spectralfaces_nuisance.jpg", nuisance_sheet(2))
    save_sheet(ASSETS / "spectralfaces_landmarks.jpg", landmark_sheet(5, zoom=2))
