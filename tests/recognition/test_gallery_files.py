"""The folder of a gallery: what is on the disk, and what happens to it when processes are killed or meet."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import filelock
import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hf_crossspec.errors import InputError
from hf_crossspec.recognition.gallery import Gallery, NetworkStamp, faiss_gallery, open_gallery
from hf_crossspec.recognition.gallery import files as gallery_files
from tests.recognition.test_gallery import oracle, unit

STAMP = NetworkStamp("tiny", None, "a" * 64, 4)

ENROL_ONE_BY_ONE = """
import sys
import numpy as np
from hf_crossspec.recognition.gallery import NetworkStamp, open_gallery

folder, prefix, count = sys.argv[1:]
gallery = open_gallery(folder, NetworkStamp("tiny", None, "a" * 64, 4), create=True)
for number in range(int(count)):
    gallery.enroll(f"{prefix}{number}", np.random.default_rng(number).normal(size=(2, 4)))
    print(number, flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gallery"


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of four images, so that a few subjects make several."""
    for module in (faiss_gallery, gallery_files):
        monkeypatch.setattr(module, "SEGMENT_IMAGES", 4)


def embeddings_of(number: int, count: int = 1) -> np.ndarray:
    return np.random.default_rng(number).normal(size=(count, 4))


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("images-*.parquet"))


def enrolling(folder: Path, prefix: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ENROL_ONE_BY_ONE, str(folder), prefix, str(count)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_only_the_owner_may_read(folder: Path) -> None:
    open_gallery(folder, STAMP, create=True)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    document = json.loads((folder / "gallery.json").read_text())
    assert document["stamp"] == {"model": "tiny", "adapter": None, "weights_sha256": "a" * 64, "dimensions": 4}


def test_segments_are_plain_parquet(folder: Path) -> None:
    with open_gallery(folder, STAMP, create=True) as gallery:
        gallery.enroll_many(["ada", "bob"], embeddings_of(0, 2), ["nir", "vis"])
    table = pd.read_parquet(segments(folder)[0])
    assert table["subject_id"].tolist() == ["ada", "bob"] and table["modality"].tolist() == ["nir", "vis"]
    np.testing.assert_allclose(np.stack(list(table["embedding"])), unit(embeddings_of(0, 2)), atol=1e-6)


@pytest.mark.usefixtures("small_segments")
def test_a_change_rewrites_few_segments(folder: Path) -> None:
    with open_gallery(folder, STAMP, create=True) as gallery:
        gallery.enroll_many([f"s{number}" for number in range(10)], embeddings_of(0, 10))
        before = segments(folder)
        gallery.enroll("late", embeddings_of(1))
        assert len(before) == 3 and segments(folder)[:2] == before[:2] and len(segments(folder)) == 3
        gallery.remove("s5")
        assert segments(folder)[0] == before[0] and before[1] not in segments(folder)
        gallery.enroll("later", embeddings_of(2))  # fills the room that s5 left
        assert len(segments(folder)) == 3 and len(gallery) == 11


@pytest.mark.usefixtures("small_segments")
def test_no_byte_of_a_removed_subject_is_left(folder: Path) -> None:
    rng = np.random.default_rng(0)
    gone, others = rng.normal(size=(3, 4)), rng.normal(size=(9, 4))
    with open_gallery(folder, STAMP, create=True) as gallery:
        for number, embedding in enumerate(gone):  # three images, in three segments
            gallery.enroll("forget-me", embedding[None], "rare modality")
            gallery.enroll_many([f"s{number}{n}" for n in range(3)], others[3 * number : 3 * number + 3])
        traces = [b"forget-me", b"rare modality", *(row.astype(np.float32).tobytes()[:8] for row in unit(gone))]

        def left() -> list[int]:
            content = b"".join(file.read_bytes() for file in folder.iterdir())
            return [content.count(trace) for trace in traces]

        assert min(left()) > 0  # segments are not compressed, so that raw bytes show
        gallery.remove("forget-me")
        assert left() == [0] * 5
    assert len(segments(folder)) == 3
    for file in segments(folder):
        assert "forget-me" not in pd.read_parquet(file)["subject_id"].tolist()


def test_an_unfinished_change_leaves_the_state_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = open_gallery(folder, STAMP, create=True)
    gallery.enroll("ada", embeddings_of(0))

    def stop(*anything: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(gallery_files.GalleryFolder, "_write_manifest", stop)  # after the new segment
        gallery.enroll("bob", embeddings_of(1))
    (folder / ".images-00000009.parquet.x.parquet").write_bytes(b"left by a killed process")
    (folder / "images-of-mine.zip").write_bytes(b"")
    assert len(segments(folder)) == 2
    for view in (gallery, open_gallery(folder, STAMP)):
        assert view.subjects() == ["ada"]
    with pytest.raises(InputError, match="'bob' is not enrolled"):
        gallery.remove("bob")  # and what was left of it is gone
    assert len(segments(folder)) == 1 and not list(folder.glob(".images*")) and list(folder.glob("*.zip"))
    gallery.enroll("bob", embeddings_of(1))
    assert open_gallery(folder, STAMP).subjects() == ["ada", "bob"]


@pytest.mark.slow
def test_a_killed_process_loses_nothing_it_has_acknowledged(folder: Path) -> None:
    acknowledged = {}
    for prefix, kill_after in (("a", 3), ("b", 20)):
        process = enrolling(folder, prefix, 100_000)
        assert process.stdout is not None
        while (number := int(process.stdout.readline())) < kill_after:
            pass
        process.send_signal(signal.SIGKILL)
        rest = [int(line) for line in process.communicate()[0].splitlines() if line]
        acknowledged[prefix] = max([number, *rest])
    with open_gallery(folder, STAMP) as gallery:
        for prefix, last in acknowledged.items():
            enrolled = [name for name in gallery.subjects() if name.startswith(prefix)]
            assert set(enrolled) >= {f"{prefix}{number}" for number in range(last + 1)}
            assert len(enrolled) <= last + 2  # at most one that was written and not yet acknowledged
            for number in (0, last):
                assert gallery.images(f"{prefix}{number}") == {None: 2}
                probe = unit(embeddings_of(number, 2)).sum(axis=0, keepdims=True)
                np.testing.assert_allclose(gallery.search(probe, 1).scores, [[1]], atol=1e-6)


@pytest.mark.slow
def test_processes_may_enrol_at_once(folder: Path) -> None:
    with open_gallery(folder, STAMP, create=True) as gallery:
        processes = [enrolling(folder, prefix, 15) for prefix in "ab"]
        for process in processes:
            process.communicate()
        assert [process.returncode for process in processes] == [0, 0]
        assert gallery.subjects() == sorted(f"{prefix}{number}" for prefix in "ab" for number in range(15))


def test_waiting_for_another_process_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = open_gallery(folder, STAMP, create=True)
    monkeypatch.setattr(gallery_files, "LOCK_SECONDS", 0.05)
    with filelock.FileLock(folder / gallery_files.LOCK), pytest.raises(InputError, match="by another process"):
        gallery.enroll("ada", embeddings_of(0))
    gallery.enroll("ada", embeddings_of(0))
    assert len(gallery) == 1


def test_threads_see_the_state_before_or_after_a_change(folder: Path) -> None:
    """Of two people who come together and go one after the other, only these pairs are ever seen."""
    names, states = ["one", "two"], [[], ["one", "two"], ["two"]]
    gallery = open_gallery(folder, STAMP, create=True)
    wrong: list[object] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            seen = sorted(gallery.search(np.eye(4)[:1], 5).subject_ids[0].tolist())
            if seen not in states:
                wrong.append(seen)

    def enrol(thread: int) -> None:
        for number in range(5):
            bystanders.enroll(f"{thread}-{number}", embeddings_of(number))

    bystanders = open_gallery(folder.with_name("bystanders"), STAMP, create=True)
    searchers = [threading.Thread(target=search) for _ in range(2)]
    writers = [threading.Thread(target=enrol, args=(thread,)) for thread in range(2)]
    for thread in (*searchers, *writers):
        thread.start()
    try:
        for _ in range(8):
            gallery.enroll_many(names, np.eye(4)[:2])
            for name in names:
                gallery.remove(name)
    finally:
        done.set()
        for thread in (*searchers, *writers):
            thread.join()
    assert not wrong and len(gallery) == 0
    assert len(bystanders) == 10


def test_a_file_removed_while_reading_is_read_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process replaces a segment after this one has read the manifest that names it."""
    gallery = open_gallery(folder, STAMP, create=True)
    gallery.enroll_many(["ada", "bob"], embeddings_of(0, 2))
    read = gallery_files.GalleryFolder.manifest

    def read_late(self: gallery_files.GalleryFolder, version: bytes) -> gallery_files.Manifest:
        manifest = read(self, version)
        monkeypatch.setattr(gallery_files.GalleryFolder, "manifest", read)
        gallery.remove("ada")
        return manifest

    monkeypatch.setattr(gallery_files.GalleryFolder, "manifest", read_late)
    assert open_gallery(folder, STAMP).subjects() == ["bob"]


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: segments(folder)[0].unlink(), "is missing: the gallery is damaged"),
        (lambda folder: segments(folder)[0].write_bytes(b"PAR1"), "is damaged"),
        (lambda folder: (folder / "gallery.json").write_text("{"), "not the manifest of a gallery"),
        (lambda folder: (folder / "gallery.json").write_text("{}"), "not the manifest of a gallery"),
        (
            lambda folder: (folder / "gallery.json").write_text(
                '{"stamp": {"a": 1}, "segments": [], "next_number": 1}'
            ),
            "not say which network",
        ),
        (lambda folder: (folder / "gallery.json").unlink(), "there is no gallery at"),
    ],
)
def test_damage_is_named(folder: Path, harm: Callable[[Path], object], message: str) -> None:
    with open_gallery(folder, STAMP, create=True) as gallery:
        gallery.enroll("ada", embeddings_of(0))
    harm(folder)
    with pytest.raises(InputError, match=message) as caught:
        open_gallery(folder, STAMP)
    assert "\n" not in str(caught.value)


def test_a_folder_that_goes_away_is_named(folder: Path) -> None:
    gallery = open_gallery(folder, STAMP, create=True)
    shutil.rmtree(folder)
    with pytest.raises(InputError, match=r"there is no gallery at .* any more"):
        gallery.subjects()


def test_a_folder_with_other_things_is_refused(folder: Path) -> None:
    folder.mkdir()
    (folder / "holiday.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="not a gallery and not empty"):
        open_gallery(folder, STAMP, create=True)
    with pytest.raises(InputError, match="is a file"):
        open_gallery(folder / "holiday.jpg", STAMP, create=True)
    assert [file.name for file in folder.iterdir()] == ["holiday.jpg"]


NAMES = st.sampled_from(["ada", "bob", "cy", "dan", "eve"])
VECTORS = st.lists(st.integers(-2, 2), min_size=3, max_size=3).filter(any).map(lambda values: [*values, 3])


class GalleryAgainstDict(RuleBasedStateMachine):
    """Any sequence of changes and searches through two openers, against a dictionary of all images."""

    @initialize()
    def start(self) -> None:
        self.patch = pytest.MonkeyPatch()
        for module in (faiss_gallery, gallery_files):
            self.patch.setattr(module, "SEGMENT_IMAGES", 3)
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name) / "gallery"
        self.galleries = [open_gallery(self.folder, STAMP, create=True), open_gallery(self.folder, STAMP)]
        self.model: dict[str, list[list[int]]] = {}

    @rule(which=st.integers(0, 1), people=st.lists(st.tuples(NAMES, VECTORS), min_size=1, max_size=5))
    def enrol(self, which: int, people: list[tuple[str, list[int]]]) -> None:
        names, vectors = zip(*people, strict=True)
        self.galleries[which].enroll_many(names, np.array(vectors))
        for name, vector in people:
            self.model.setdefault(name, []).append(vector)

    @rule(which=st.integers(0, 1), name=NAMES)
    def remove(self, which: int, name: str) -> None:
        if name in self.model:
            self.galleries[which].remove(name)
            del self.model[name]
        else:
            with pytest.raises(InputError, match="is not enrolled"):
                self.galleries[which].remove(name)

    @rule(which=st.integers(0, 1))
    def reopen(self, which: int) -> None:
        self.galleries[which] = open_gallery(self.folder, STAMP)

    @rule(which=st.integers(0, 1), probes=st.lists(VECTORS, min_size=1, max_size=3), top_k=st.integers(1, 6))
    def search(self, which: int, probes: list[list[int]], top_k: int) -> None:
        images = {name: np.array(vectors) for name, vectors in self.model.items()}
        found = self.galleries[which].search(np.array(probes), top_k)
        for probe, names, scores in zip(probes, found.subject_ids, found.scores, strict=True):
            every, expected = oracle(images, np.array([probe]), len(images)) if images else ([[]], np.empty((1, 0)))
            np.testing.assert_allclose(scores, expected[0][:top_k], atol=1e-6)
            exact = dict(
                zip(every[0], expected[0], strict=True)
            )  # in another order only where scores differ by rounding
            np.testing.assert_allclose([exact[name] for name in names], scores, atol=1e-6)
            assert len(set(names)) == len(names) == min(top_k, len(images))

    @invariant()
    def holds_what_the_dictionary_holds(self) -> None:
        gallery: Gallery
        for gallery in getattr(self, "galleries", []):
            assert gallery.subjects() == sorted(self.model) and len(gallery) == len(self.model)
            assert all(gallery.images(name) == {None: len(images)} for name, images in self.model.items())

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            stored = Counter(name for file in segments(self.folder) for name in pd.read_parquet(file)["subject_id"])
            assert stored == Counter({name: len(images) for name, images in self.model.items()})
            self.temporary.cleanup()
            self.patch.undo()


GalleryAgainstDict.TestCase.settings = settings(max_examples=12, stateful_step_count=10)
TestGalleryAgainstDict = GalleryAgainstDict.TestCase
