"""The demo's parts, without a server."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

pytest.importorskip("gradio", reason="the demo needs gradio")

import gradio as gr
from gradio.data_classes import ImageData

import hf_crossspec
from hf_crossspec.demo import DemoOptions, sessions
from hf_crossspec.demo.app import introduction, private_uploads
from hf_crossspec.demo.engine import Engine
from hf_crossspec.demo.gallery import MemoryGallery
from hf_crossspec.demo.hallucinate_tab import answer_for
from hf_crossspec.demo.inputs import MAX_PIXELS, read_payload
from hf_crossspec.demo.marks import note, score_bars, score_scale
from hf_crossspec.demo.model_tab import calibrations_of
from hf_crossspec.demo.sessions import Sessions
from hf_crossspec.demo.synthetic import Shot, render
from hf_crossspec.errors import InputError
from hf_crossspec.hub.card import read_card
from hf_crossspec.hub.stage_space import stage_space
from hf_crossspec.recognition.gallery import NetworkStamp
from hf_crossspec.recognition.results import Threshold
from tests.conftest import REPOSITORY

ASSET = Path(hf_crossspec.__file__).parent / "assets" / "edgeface-nano-nir-sim"


def test_a_gallery_in_memory_ranks_by_the_mean_of_each_subject() -> None:
    rng = np.random.default_rng(0)
    images = {name: rng.standard_normal((count, 8)) for name, count in (("b", 1), ("a", 3), ("c", 2))}
    gallery = MemoryGallery(NetworkStamp("model", None, "0" * 64, 8))
    for name, values in images.items():
        gallery.enroll(name, values, "vis")
    probes = rng.standard_normal((4, 8))
    found = gallery.search(probes, 2)
    for row, probe in enumerate(probes):
        scores = {}
        for name, values in images.items():
            mean = (values / np.linalg.norm(values, axis=1, keepdims=True)).sum(axis=0)
            scores[name] = float(mean @ probe / np.linalg.norm(mean) / np.linalg.norm(probe))
        best = sorted(scores, key=lambda name: -scores[name])[:2]
        assert found.subject_ids[row].tolist() == best
        np.testing.assert_allclose(found.scores[row], [scores[name] for name in best], atol=1e-6)
    assert (len(gallery), gallery.subjects(), gallery.images("a")) == (3, ["a", "b", "c"], {"vis": 3})
    gallery.remove("a")
    assert "a" not in gallery
    for refused in (lambda: gallery.remove("a"), lambda: gallery.images("a")):
        with pytest.raises(InputError, match="not enrolled"):
            refused()


def test_visitors_are_kept_apart_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    visits = Sessions()
    first = visits.of("one")
    assert visits.of("one") is first
    assert visits.of("two") is not first
    assert visits.of(None) is not visits.of(None)
    visits.end("one")
    assert visits.of("one") is not first
    monkeypatch.setattr(sessions, "CAPACITY", 2)
    visits.of("three")
    assert len(visits) == 2
    monkeypatch.setattr(sessions, "IDLE_SECONDS", 0)
    visits.of("four")
    assert len(visits) == 0


def test_names_and_messages_are_escaped() -> None:
    assert "<script>" not in note("<script>alert(1)</script>", "problem")
    row = ("<img src=x onerror=y>", None, 0.4, False)
    assert "<img" not in score_bars([row], None)


def test_scores_beyond_the_scale_stay_on_it() -> None:
    drawn = score_scale(-0.9, Threshold.chosen(2.0))
    assert 'style="left:0.0%"' in drawn
    assert 'style="left:100.0%"' in drawn


def test_deep_pictures_arrive_as_they_are(tmp_path: Path) -> None:
    pixels = np.linspace(0, 65535, 112 * 112).reshape(112, 112).astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    for payload in (ImageData(url=url), ImageData(path=str(tmp_path / "deep.png"), orig_name="deep.png")):
        (tmp_path / "deep.png").write_bytes(buffer.getvalue())
        picture = read_payload(payload)
        assert picture is not None
        np.testing.assert_array_equal(np.asarray(picture), pixels)
    assert read_payload(None) is None


def test_bad_uploads_say_why_and_name_no_path_of_the_server(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    Image.new("1", (MAX_PIXELS // 5000 + 1, 5000)).save(large)
    (tmp_path / "text.png").write_text("text")
    cases = {
        "too many": ImageData(path=str(large), orig_name="large.png"),
        "text.png: not readable": ImageData(path=str(tmp_path / "text.png"), orig_name="text.png"),
        "this one is gone": ImageData(path=str(tmp_path / "gone.png"), orig_name="gone.png"),
        "not in base64": ImageData(url="data:image/png;base64,%%%"),
    }
    for words, payload in cases.items():
        with pytest.raises(gr.Error, match=words) as caught:
            read_payload(payload)
        assert str(tmp_path) not in str(caught.value)


def test_uploads_have_a_folder_of_their_own_that_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    with private_uploads() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "face.png").write_text("x")
    assert not folder.exists()


def test_the_embedded_adapter_is_small_and_calibrated() -> None:
    assert sum(path.stat().st_size for path in ASSET.iterdir()) < 60_000
    options = DemoOptions()
    assert options.fmrs() == [0.01, 0.001]
    assert options.modalities()[:2] == ["vis", "nir-sim"]
    assert len(options.calibrations()) == 2
    assert "12 kilobytes" in introduction(options)
    assert "adapter" not in introduction(DemoOptions(model="some/model"))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The embedded network with a hallucinator of fresh weights."""
    import torch

    from hf_crossspec.methods.hallucination.configuration_hallucination import HallucinatorConfig
    from hf_crossspec.methods.hallucination.modeling_hallucination import CrossSpectralHallucinator

    folder = tmp_path_factory.mktemp("hallucinator")
    torch.manual_seed(0)
    CrossSpectralHallucinator(HallucinatorConfig.for_variant("small")).save_pretrained(folder)
    engine = Engine(DemoOptions(hallucinator=str(folder)))
    engine.start()
    return engine


def test_a_face_is_hallucinated_and_compared(engine: Engine) -> None:
    page = answer_for(engine, render(Shot(171, 1, "nir-sim")), render(Shot(171, 0, "vis")))
    assert page.count("<img") == 3
    assert "as taken" in page
    assert "invented by a network" in page
    assert answer_for(engine, render(Shot(171, 1, "nir-sim")), None).count("<img") == 2


def test_an_uncalibrated_pair_is_not_decided(engine: Engine) -> None:
    crops = (render(Shot(3, 0, "vis")), render(Shot(3, 0, "thermal-sim")))
    results = engine.verify(crops, ("vis", "thermal-sim"), 0.001)
    assert {name: result.decision.value for name, result in results.items()} == {
        "without": "uncertain",
        "with": "uncertain",
    }


def test_several_adapters_are_compared_with_the_network_without_any() -> None:
    model, adapter = DemoOptions().sources
    assert isinstance(adapter, str)
    engine = Engine(DemoOptions(model=model, adapter={"nir-sim": adapter}))
    engine.start()
    crops = (render(Shot(171, 0, "vis")), render(Shot(171, 1, "nir-sim")))
    decisions = {name: str(result.decision) for name, result in engine.verify(crops, ("vis", "nir-sim"), 0.001).items()}
    assert decisions == {"without": "no match", "with": "match"}
    assert [name for name, _ in calibrations_of(engine)] == ["without", "with"]


def test_the_space_can_be_pushed(tmp_path: Path) -> None:
    stage_space(REPOSITORY / "space", "org/demo", "apache-2.0", [], tmp_path)
    card = read_card(tmp_path)
    assert card is not None
    fields = card.data.to_dict()
    assert (fields["sdk"], fields["sdk_version"], fields["python_version"]) == ("gradio", gr.__version__, "3.11")
    assert len(fields["short_description"]) <= 60
    assert (tmp_path / fields["thumbnail"]).is_file()
    assert all(path.stat().st_size <= 150_000 for path in tmp_path.glob("assets/demo_*.jpg"))
    compile((tmp_path / "app.py").read_text(encoding="utf-8"), "app.py", "exec")


def test_what_cannot_be_loaded_is_told_to_whoever_asks() -> None:
    broken = Engine(DemoOptions(model="/no/such/model"))
    broken.start()
    with pytest.raises(InputError, match="/no/such/model"):
        broken.look(render(Shot(0, 0, "vis")))


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--adapter", "some/adapter"], "give --model, too"),
        (["--detector-path", "/no/such/file"], "does not exist"),
    ],
)
def test_the_command_refuses_what_it_cannot_use(arguments: list[str], words: str) -> None:
    import typer

    from hf_crossspec.cli.demo import demo

    app = typer.Typer()
    app.command()(demo)
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, InputError)
    assert words in str(result.exception)
