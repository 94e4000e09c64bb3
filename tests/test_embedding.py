"""Models and adapters become embedders; what they are is on record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hf_crossspec import EdgeFaceModel, FaceEmbedder
from hf_crossspec.embedding import weights_fingerprint
from tests.conftest import simulated_pairs, tiny_config


def test_embeddings_have_length_one_and_do_not_depend_on_the_batch(tiny_base: Path) -> None:
    embedder = FaceEmbedder.from_pretrained(tiny_base)
    rows = simulated_pairs(range(5))
    whole = embedder.embed_dataset(rows.cast_column("image", rows.features["image"].__class__(decode=False)))
    np.testing.assert_allclose(np.linalg.norm(whole.values, axis=1), 1, atol=1e-6)
    single = np.concatenate([embedder.embed_images([row["image"]]) for row in rows])
    np.testing.assert_allclose(whole.values, single, atol=1e-5)
    assert whole.rows.tolist() == list(range(20))


def test_the_adapter_changes_embeddings_and_the_record(tiny_base: Path, adapter: Path) -> None:
    plain, adapted = FaceEmbedder.from_pretrained(tiny_base), FaceEmbedder.from_pretrained(tiny_base, adapter)
    picture = simulated_pairs(range(1))[0]["image"]
    assert not np.allclose(plain.embed_images([picture]), adapted.embed_images([picture]), atol=1e-3)
    assert plain.describe()["weights_sha256"] != adapted.describe()["weights_sha256"]
    assert adapted.describe()["adapter"] == str(adapter)


def test_fingerprints_tell_weights_apart_and_nothing_else() -> None:
    torch.manual_seed(0)
    one, other = EdgeFaceModel(tiny_config()), EdgeFaceModel(tiny_config())
    assert weights_fingerprint(one) != weights_fingerprint(other)
    other.load_state_dict(one.state_dict())
    assert weights_fingerprint(one) == weights_fingerprint(other.to(memory_format=torch.channels_last))
    with torch.no_grad():
        other.net.stem[0].bias[0] += 1e-6
    assert weights_fingerprint(one) != weights_fingerprint(other)
