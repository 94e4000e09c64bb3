"""A hallucinator goes to the Hub and comes back, in a process that does not have the package."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hf_crossspec import CrossSpectralHallucinator, HallucinatorConfig
from tests.local_hub.fixture import LocalHub


@pytest.mark.slow
def test_pushed_and_pulled_without_the_package(local_hub: LocalHub, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = CrossSpectralHallucinator(HallucinatorConfig.for_variant("small")).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    model.save_pretrained(tmp_path / "model")
    picture = torch.rand(1, 1, 21, 34) * 2 - 1
    torch.save(picture, tmp_path / "picture.pt")
    push = f"""
    from hf_crossspec import CrossSpectralHallucinator
    CrossSpectralHallucinator.from_pretrained({str(tmp_path / "model")!r}).push_to_hub("org/small-hallucinator")
    """
    done = local_hub.run(push, tmp_path)
    assert done.returncode == 0, done.stderr
    assert {"config.json", "model.safetensors", "modeling_hallucination.py", "configuration_hallucination.py"} <= set(
        local_hub.repo_files("model", "org/small-hallucinator")
    )
    pull = """
    import torch
    from transformers import AutoModel
    model = AutoModel.from_pretrained("org/small-hallucinator", trust_remote_code=True).eval()
    with torch.no_grad():
        torch.save(model(pixel_values=torch.load("picture.pt")).pixel_values, "made.pt")
    """
    done = local_hub.run(pull, tmp_path, blocked=("hf_crossspec",))
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        expected = model(pixel_values=picture).pixel_values
    torch.testing.assert_close(torch.load(tmp_path / "made.pt"), expected)
