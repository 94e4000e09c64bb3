"""What every gallery promises, kept by the folder and by a Milvus server alike."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf_crossspec.errors import InputError
from hf_crossspec.recognition.gallery import Gallery, NetworkStamp, open_gallery

COLLECTIONS = itertools.count()
Open = Callable[..., Gallery]


def stamp(dimensions: int = 8, weights: str = "a" * 64, adapter: str | None = None) -> NetworkStamp:
    return NetworkStamp("tiny", adapter, weights, dimensions)


STAMP = stamp()


@pytest.fixture(scope="module")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Milvus Lite server on a free port, reached as any other server is."""
    pytest.importorskip("pymilvus", reason="pymilvus is not installed")
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
    from milvus_lite.adapter.grpc.server import start_server_in_thread

    server, database, port = start_server_in_thread(str(tmp_path_factory.mktemp("milvus") / "data"))
    yield f"milvus://127.0.0.1:{port}"
    server.stop(grace=0)
    database.close()


@pytest.fixture(params=["folder", "milvus"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "gallery")
    return f"{request.getfixturevalue('milvus')}/gallery_{next(COLLECTIONS)}"


@pytest.fixture
def reopen(location: str) -> Iterator[Open]:
    """Opens the test's gallery, again and again, and closes all in the end."""
    opened: list[Gallery] = []

    def make(network: NetworkStamp | None = STAMP, create: bool = True) -> Gallery:
        opened.append(open_gallery(location, network, create=create))
        return opened[-1]

    yield make
    for gallery in opened:
        gallery.close()


@pytest.fixture
def gallery(reopen: Open) -> Gallery:
    return reopen()


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def oracle(images: dict[str, np.ndarray], probes: np.ndarray, top_k: int) -> tuple[list[list[str]], np.ndarray]:
    """Names and scores from nothing but the definition of a template, in double precision."""
    names = sorted(images)
    templates = [unit(unit(images[name]).mean(axis=0, keepdims=True))[0] for name in names]
    best = []
    for probe in unit(probes):
        scored = [(float(probe @ template), name) for template, name in zip(templates, names, strict=True)]
        best.append(sorted(scored, key=lambda pair: (-pair[0], pair[1]))[:top_k])
    return [[name for _, name in row] for row in best], np.array([[score for score, _ in row] for row in best])


BAD_INPUT: list[tuple[Any, Any, str]] = [
    ([""], np.ones((1, 8)), "subject_id must be text"),
    (["  "], np.ones((1, 8)), "subject_id must be text"),
    (["a" * 257], np.ones((1, 8)), "1 to 256 bytes"),
    (["\ud800"], np.ones((1, 8)), "subject_id must be text"),
    ([7], np.ones((1, 8)), "must be a string, not int"),
    (["a", "b"], np.ones((1, 8)), "list of 1, one for each embedding"),
    ("a", np.ones((1, 8)), "must be a list"),
    ([], np.ones((0, 8)), "no embedding"),
    (["a"], np.ones((1, 7)), r"of shape \(n, 8\), not float64 of shape \(1, 7\)"),
    (["a"], np.ones(8), "of shape"),
    (["a"], [["x"] * 8], "must be numbers"),
    (["a", "b"], np.eye(2, 8) * [[1], [0]], "embedding 1 is zero"),
    (["a"], np.full((1, 8), np.nan), "embedding 0 is zero or has NaN"),
    (["a"], np.full((1, 8), np.inf), "NaN or infinity"),
    (["a", "a"], np.eye(8)[[0, 0]] * [[1], [-2]], "'a' cancel out"),
    (["old"], -np.eye(8)[:1], "'old' cancel out"),
]


class TestContract:
    def test_a_search_is_the_definition_of_it(self, gallery: Gallery) -> None:
        rng = np.random.default_rng(0)
        images = {f"person {n}": 7 * rng.normal(size=(1 + n % 3, 8)) for n in range(40)}
        for name, embeddings in images.items():
            gallery.enroll(name, embeddings, "nir")
        probes = rng.normal(size=(6, 8))
        for top_k in (1, 5, 100):
            found = gallery.search(probes, top_k)
            names, scores = oracle(images, probes, top_k)
            assert found.subject_ids.tolist() == names
            assert found.scores.dtype == np.float32 and found.scores.shape == (6, min(top_k, 40))
            np.testing.assert_allclose(found.scores, scores, atol=1e-6)

    def test_equal_scores_are_in_the_order_of_names(self, gallery: Gallery) -> None:
        # Coordinates of 0, 1/2 and 1 make every product exact, so that equal scores are equal to the last bit.
        names = [f"{letter}{number}" for number in range(3) for letter in "dbca"]
        axes = np.eye(8)[[3, 1, 2, 0] * 3]
        gallery.enroll_many(names, axes)
        probes = np.array([[0.5, 0.5, 0.5, 0.5, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 0, 0]])
        for top_k in (1, 2, 3, 4, 7, 12):
            expected, scores = oracle(dict(zip(names, axes[:, None], strict=True)), probes, top_k)
            found = gallery.search(probes, top_k)
            assert found.subject_ids.tolist() == expected
            assert found.scores.tolist() == scores.tolist()

    def test_images_may_come_at_once_or_one_by_one(self, gallery: Gallery) -> None:
        rng = np.random.default_rng(1)
        embeddings = rng.normal(size=(6, 8))
        gallery.enroll_many(["ada", "bob", "ada", "cy"], embeddings[:4], ["vis", None, "nir", "vis"])
        gallery.enroll("ada", embeddings[4:5], "vis")
        gallery.enroll_many(["dan", "bob"], embeddings[[0, 5]])
        images = {"ada": embeddings[[0, 2, 4]], "bob": embeddings[[1, 5]], "cy": embeddings[3:4], "dan": embeddings[:1]}
        names, scores = oracle(images, embeddings, 4)
        found = gallery.search(embeddings, 4)
        assert found.subject_ids.tolist() == names
        np.testing.assert_allclose(found.scores, scores, atol=1e-6)
        assert gallery.subjects() == ["ada", "bob", "cy", "dan"]
        assert gallery.images("ada") == {"vis": 2, "nir": 1}
        assert gallery.images("bob") == {None: 2}

    def test_a_removed_subject_is_gone(self, gallery: Gallery, reopen: Open) -> None:
        gallery.enroll_many(list("abcd"), np.eye(8)[:4])
        gallery.remove("b")
        for view in (gallery, reopen(create=False)):
            assert len(view) == 3 and "b" not in view and view.subjects() == ["a", "c", "d"]
            assert view.search(np.eye(8)[:4], 1).subject_ids.ravel().tolist() == ["a", "a", "c", "d"]
            for ask in (view.remove, view.images):
                with pytest.raises(InputError, match="'b' is not enrolled"):
                    ask("b")
        gallery.enroll("b", np.eye(8)[7:])
        np.testing.assert_allclose(gallery.search(np.eye(8)[[1, 7]], 1).scores.ravel(), [0, 1])

    def test_another_opener_sees_every_change(self, gallery: Gallery, reopen: Open) -> None:
        other = reopen()
        for number in range(3):
            (gallery, other)[number % 2].enroll(f"s{number}", np.eye(8)[number : number + 1])
            assert len(gallery) == len(other) == number + 1
        for view in (gallery, other, reopen(None, create=False)):
            assert view.stamp == STAMP
            assert view.search(np.eye(8)[:3], 1).subject_ids.ravel().tolist() == ["s0", "s1", "s2"]

    def test_names_are_only_names(self, gallery: Gallery) -> None:
        names = ["o'neil", '"', "\\", "x'] or subject_id like '%", "{a}", "Åsa 李", "new\nline", "a" * 256, "7", "*"]
        gallery.enroll_many(names, np.random.default_rng(2).normal(size=(len(names), 8)))
        assert gallery.subjects() == sorted(names) and all(name in gallery for name in names)
        gallery.remove(names[3])
        assert gallery.subjects() == sorted(set(names) - {names[3]})
        assert "nobody" not in gallery and 7 not in gallery

    def test_an_empty_gallery_and_no_probe(self, gallery: Gallery) -> None:
        assert len(gallery) == 0 and gallery.subjects() == []
        assert gallery.search(np.eye(8)[:2], 3).subject_ids.shape == (2, 0)
        assert gallery.search(np.empty((0, 8)), 3).scores.shape[0] == 0

    def test_bad_input_changes_nothing(self, gallery: Gallery) -> None:
        gallery.enroll("old", np.eye(8)[:1])
        for names, embeddings, message in BAD_INPUT:
            with pytest.raises(InputError, match=message) as caught:
                gallery.enroll_many(names, embeddings)
            assert "\n" not in str(caught.value)
        assert gallery.subjects() == ["old"] and gallery.images("old") == {None: 1}

    def test_bad_probes_and_modalities(self, gallery: Gallery) -> None:
        with pytest.raises(InputError, match="top_k must be 1 or more"):
            gallery.search(np.eye(8), 0)
        for probes, message in ((np.zeros((1, 8)), "zero"), (np.eye(7), "shape")):
            with pytest.raises(InputError, match=message):
                gallery.search(probes, 1)
        with pytest.raises(InputError, match="modality must be text"):
            gallery.enroll("a", np.eye(8)[:1], "")
        with pytest.raises(InputError, match="embeddings must be numbers"):
            gallery.enroll("a", np.eye(8)[0])

    def test_another_network_is_refused(self, gallery: Gallery, reopen: Open) -> None:
        for other in (stamp(weights="b" * 64, adapter="nir"), stamp(dimensions=16)):
            with pytest.raises(InputError) as caught:
                reopen(other)
            assert gallery.stamp.title in str(caught.value) and other.title in str(caught.value)
        assert reopen(NetworkStamp("renamed", "moved", "a" * 64, 8)).stamp == STAMP

    def test_no_gallery(self, reopen: Open) -> None:
        with pytest.raises(InputError, match="there is no gallery at"):
            reopen(create=False)
        with pytest.raises(InputError, match="needs the stamp"):
            reopen(None)


def test_a_stamp_is_made_of_a_description() -> None:
    described = {"name": "xxs", "adapter": "nir", "weights_sha256": "c" * 64}
    assert NetworkStamp.of(described, 512) == NetworkStamp("xxs", "nir", "c" * 64, 512)
    assert NetworkStamp.of(described, 512).title == "xxs with nir (512 dimensions, weights cccccccc)"


class TestMilvus:
    @pytest.mark.parametrize(
        "bad",
        ["milvus://host", "milvus://host:x/c", "milvus://host/a-b", "milvus:///c", "ftp://host/c", "milvus://h/a/b"],
    )
    def test_a_location_of_another_form(self, bad: str) -> None:
        with pytest.raises(InputError, match="milvus://host:port/collection_name"):
            open_gallery(bad, STAMP)

    def test_no_password_in_a_location(self) -> None:
        with pytest.raises(InputError, match="MILVUS_TOKEN") as caught:
            open_gallery("milvus://me:secret@host/c", STAMP)
        assert "secret" not in str(caught.value)

    def test_no_server_and_not_a_gallery(self, milvus: str) -> None:
        from pymilvus import MilvusClient

        with pytest.raises(InputError, match=r"^milvus://127.0.0.1:1/c: [^\n]+$"):
            open_gallery("milvus://127.0.0.1:1/c", STAMP)
        client = MilvusClient(milvus.replace("milvus:", "http:"))
        client.create_collection("foreign", dimension=8)
        client.close()
        with pytest.raises(InputError, match="does not say which network"):
            open_gallery(f"{milvus}/foreign", STAMP)

    def test_a_server_that_has_let_go_of_the_collection(self, milvus: str) -> None:
        from pymilvus import MilvusClient

        with open_gallery(f"{milvus}/released", STAMP, create=True) as gallery:
            gallery.enroll("ada", np.eye(8)[:1])
        client = MilvusClient(milvus.replace("milvus:", "http:"))
        client.release_collection("released")
        client.close()
        with open_gallery(f"{milvus}/released", STAMP) as gallery:
            assert gallery.search(np.eye(8)[:1]).subject_ids.tolist() == [["ada"]]

    def test_without_pymilvus(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pymilvus", None)
        with pytest.raises(InputError, match=r'pip install "hf-crossspec\[milvus\]"'):
            open_gallery("milvus://host/c", STAMP)

    def test_more_results_than_the_server_gives(self, milvus: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("hf_crossspec.recognition.gallery.milvus_gallery.MOST_RESULTS", 4)
        with open_gallery(f"{milvus}/limited", STAMP, create=True) as gallery:
            gallery.enroll_many(list("abc"), np.eye(8)[:3])
            assert gallery.search(np.ones((1, 8)), 10).subject_ids.tolist() == [["a", "b", "c"]]
            gallery.enroll("d", np.eye(8)[3:4])
            assert gallery.search(np.arange(8)[None], 3).subject_ids.tolist() == [["d", "c", "b"]]
            with pytest.raises(InputError, match="at most 3 results"):
                gallery.search(np.ones((1, 8)), 4)
