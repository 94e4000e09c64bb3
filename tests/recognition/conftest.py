"""Two random adapters on the tiny EdgeFace, simulated faces, and the real detector and photographs where present."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import crossspec  # noqa: F401  (a fixture)
from tests.conftest import simulated_pairs
from tests.faces.conftest import sample, yunet_file  # noqa: F401  (fixtures)
from tests.test_adapters import save_adapter


@pytest.fixture(scope="session")
def adapters(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Modality -> adapter, moved at random from the tiny base."""
    folder = tmp_path_factory.mktemp("adapters")
    for seed, name in enumerate(("nir", "thermal")):
        save_adapter(tiny_base, folder / name, "ln+stem", seed)
    return {name: folder / name for name in ("nir", "thermal")}


@pytest.fixture(scope="session")
def crops(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Modality -> aligned pictures of six simulated people, two each: 0_a, 0_b, 1_a and so on."""
    folder = tmp_path_factory.mktemp("crops")
    paths: dict[str, list[Path]] = {"vis": [], "nir": []}
    for row in simulated_pairs(range(6)):
        subject, image, modality = row["key"].split("_")
        image_: Image.Image = row["image"]
        path = folder / f"{subject}_{'ab'[int(image)]}_{modality}.png"
        image_.save(path)
        paths[modality].append(path)
    return paths
