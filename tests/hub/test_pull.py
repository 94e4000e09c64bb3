"""What was published loads over HTTP where the package is not installed, and where it is; offline; to the bit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from tests.hub.conftest import succeed
from tests.local_hub.fixture import LocalHub

pytestmark = pytest.mark.slow

PICTURES = "import torch; pictures = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 2 - 1"


def test_without_the_package_then_offline(published: LocalHub, expected: torch.Tensor, tmp_path: Path) -> None:
    code = f"""
    {PICTURES}
    from transformers import AutoConfig, AutoImageProcessor, AutoModel, pipeline
    model = AutoModel.from_pretrained("org/edgeface-hfr", trust_remote_code=True)
    adapted = AutoModel.from_pretrained("org/tiny-nir", trust_remote_code=True)
    config = AutoConfig.from_pretrained("org/edgeface-hfr", trust_remote_code=True)
    processor = AutoImageProcessor.from_pretrained("org/edgeface-hfr", trust_remote_code=True)
    assert config.weights_license == "apache-2.0"
    assert type(model).__module__.startswith("transformers_modules.org.edgeface_hyphen_hfr.")
    with torch.no_grad():
        both = {{"merged": model, "adapted": adapted}}
        values = {{name: each(pixel_values=pictures).embeddings for name, each in both.items()}}
    raw = [torch.randint(0, 256, (3, 112, 112), generator=torch.Generator().manual_seed(i), dtype=torch.uint8).numpy()
           for i in range(5)]
    features = pipeline("image-feature-extraction", model="org/edgeface-hfr", trust_remote_code=True)
    embed = pipeline(model="org/edgeface-hfr", trust_remote_code=True)
    assert embed.task == "face-embedding"
    together, alone = embed(raw, batch_size=2), embed(raw[0])
    direct = model(**processor(raw, return_tensors="pt")).embeddings
    values["pipeline"] = torch.stack([torch.from_numpy(each) for each in together])
    values["direct"] = torch.nn.functional.normalize(direct).detach()
    assert abs(alone - together[0]).max() < 1e-6
    from PIL import Image
    assert len(features(Image.new("L", (112, 112)))[0]) == config.embedding_size
    torch.save(values, "values.pt")
    """
    succeed(published.run(code, tmp_path, blocked=("hf_crossspec",)))
    online = torch.load(tmp_path / "values.pt")
    assert torch.equal(online["merged"], expected)
    assert torch.equal(online["adapted"], expected)
    torch.testing.assert_close(online["pipeline"], online["direct"], atol=1e-6, rtol=0)
    torch.testing.assert_close(online["pipeline"].norm(dim=1), torch.ones(5))
    (tmp_path / "values.pt").unlink()
    asked = len(published.requests)
    succeed(published.run(code, tmp_path, blocked=("hf_crossspec",), offline=True))
    assert len(published.requests) == asked
    offline = torch.load(tmp_path / "values.pt")
    assert all(torch.equal(online[name], offline[name]) for name in online)


def test_with_the_package_no_trust_is_needed(published: LocalHub, expected: torch.Tensor, tmp_path: Path) -> None:
    commit = published.revisions("model", "org/edgeface-hfr")[-1]
    code = f"""
    {PICTURES}
    import hf_crossspec
    from hf_crossspec import Calibration, FaceEmbedder, load_adapters
    from hf_crossspec.evaluation.calibration_file import find_calibration
    from peft import PeftModel
    from transformers import AutoModel, AutoImageProcessor, pipeline
    model = AutoModel.from_pretrained("org/edgeface-hfr", revision="{commit}")
    AutoImageProcessor.from_pretrained("org/edgeface-hfr")
    assert type(model).__module__ == "hf_crossspec.edgeface.modeling_edgeface"
    assert type(pipeline("face-embedding", model="org/edgeface-hfr")).__module__.startswith("hf_crossspec.")
    plain = PeftModel.from_pretrained(AutoModel.from_pretrained("org/tiny"), "org/tiny-nir")
    ours = load_adapters(AutoModel.from_pretrained("org/tiny"), {{"nir": "org/tiny-nir@main"}})
    with torch.no_grad():
        torch.save([each(pixel_values=pictures).embeddings for each in (model, plain, ours)], "values.pt")
    embedder = FaceEmbedder.from_pretrained("org/tiny@main", "org/tiny-nir")
    assert embedder.embed_batch(pictures).shape == (2, 32)
    thresholds = set()
    for names in (("org/tiny", "org/tiny-nir"), ("org/edgeface-hfr", None)):
        weights = FaceEmbedder.from_pretrained(*names).describe()["weights_sha256"]
        thresholds.add(Calibration.load(find_calibration(*names), weights).threshold("nir", "vis", 0.1).threshold)
    assert len(thresholds) == 1
    try:
        FaceEmbedder.from_pretrained("org/tiny", "org/edgeface-hfr")
    except hf_crossspec.InputError as error:
        print(error)
    """
    told = succeed(published.run(code, tmp_path))
    assert "org/edgeface-hfr has no adapter_config.json" in told
    for values in torch.load(tmp_path / "values.pt"):
        assert torch.equal(values, expected)


def test_the_cards_own_snippets_run(published: LocalHub, tmp_path: Path) -> None:
    from tests.conftest import simulated_pairs

    for name, row in zip(("one_face.png", "other_face.png"), simulated_pairs(range(9, 10)), strict=False):
        row["image"].save(tmp_path / name)
    code = []
    for repo_id in ("org/tiny", "org/tiny-nir", "org/edgeface-hfr"):
        card = published.repo_files("model", repo_id)["README.md"].decode()
        snippets = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
        assert len(snippets) == 1
        code += [*snippets, "assert embeddings.shape == (2, 32); del embeddings\n"]
    succeed(published.run("".join(code), tmp_path, blocked=("hf_crossspec",)))


def test_without_trust_nothing_runs(published: LocalHub, tmp_path: Path) -> None:
    """A repository whose code leaves a mark, loaded without the package and without trust, and with the package."""
    code = """
    from pathlib import Path
    from huggingface_hub import HfApi, snapshot_download
    folder = Path(snapshot_download("org/tiny", local_dir="copy"))
    for name in ("modeling_edgeface.py", "configuration_edgeface.py", "pipeline_edgeface.py"):
        (folder / name).write_text(f"open({str(Path.cwd() / 'ran')!r}, 'w')\\n" + (folder / name).read_text())
    HfApi().create_repo("org/marked")
    HfApi().upload_folder(repo_id="org/marked", folder_path=folder)
    """
    succeed(published.run(code, tmp_path))
    code = """
    from transformers import AutoModel, AutoConfig
    for auto in (AutoConfig, AutoModel):
        try:
            auto.from_pretrained("org/marked")
        except ValueError as error:
            assert "trust_remote_code" in str(error), error
        else:
            raise SystemExit("loaded without trust")
    """
    succeed(published.run(code, tmp_path, blocked=("hf_crossspec",)))
    code = """
    from hf_crossspec import FaceEmbedder
    from transformers import AutoModel, pipeline
    FaceEmbedder.from_pretrained("org/marked")
    AutoModel.from_pretrained("org/marked", trust_remote_code=True)
    pipeline("face-embedding", model="org/marked")
    """
    succeed(published.run(code, tmp_path))
    assert not (tmp_path / "ran").exists()


def test_pickles_and_foreign_files_are_never_fetched(published: LocalHub, tmp_path: Path) -> None:
    """A base with a pickle only, and an adapter repository with a pickle, code and a name that climbs out."""
    code = """
    import torch
    from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download
    api = HfApi()
    contents = {
        "org/pickled": ("config.json", "preprocessor_config.json"), "org/pickled-nir": ("adapter_config.json",)
    }
    for name, kept in contents.items():
        source = "org/tiny" if name == "org/pickled" else "org/tiny-nir"
        api.create_repo(name)
        files = {each: open(hf_hub_download(source, each), "rb").read() for each in kept}
        torch.save({"weight": torch.zeros(1)}, "evil.bin")
        files["pytorch_model.bin" if name == "org/pickled" else "adapter_model.bin"] = open("evil.bin", "rb").read()
        files["evil.py"] = b"raise SystemExit"
        api.create_commit(name, [CommitOperationAdd(path, data) for path, data in files.items()], commit_message="x")
    """
    succeed(published.run(code, tmp_path))
    code = """
    from hf_crossspec import FaceEmbedder, InputError
    for base, adapter in (("org/pickled", None), ("org/tiny", "org/pickled-nir")):
        try:
            FaceEmbedder.from_pretrained(base, adapter)
        except InputError as error:
            print(error)
    """
    told = succeed(published.run(code, tmp_path / "reader")).splitlines()
    assert "org/pickled is not loadable as a model" in told[0]
    assert "org/pickled-nir has no adapter_model.safetensors" in told[1]
    fetched = {path.name for path in (tmp_path / "reader" / "hub").rglob("*") if path.is_file()}
    assert not {"evil.py", "adapter_model.bin", "pytorch_model.bin"} & fetched


def test_a_truncated_download_is_completed_or_refused(published: LocalHub, tmp_path: Path) -> None:
    published.truncate(r"resolve/.*/model\.safetensors", after_bytes=5000, times=1)
    code = f"""
    {PICTURES}
    from hf_crossspec import FaceEmbedder
    FaceEmbedder.from_pretrained("org/edgeface-hfr")
    """
    try:
        done = published.run(code, tmp_path)
    finally:
        published.reset_faults()
    if done.returncode != 0:
        assert "InputError" in done.stderr
        succeed(published.run(code, tmp_path))
    cut = [path for path in (tmp_path / "hub").rglob("model.safetensors") if path.stat().st_size < 10_000]
    assert not cut
