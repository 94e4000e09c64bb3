"""Each protocol on a copy with the owner's names and the true counts: its rows, its counts, its refusals."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from hf_crossspec import InputError
from hf_crossspec.data.protocols import PROTOCOLS, get_protocol, read_protocol
from hf_crossspec.data.protocols.casia_nir_vis import VIEW2_PROBES
from tests.data.protocols import trees
from tests.data.protocols.trees import Row


class Case(NamedTuple):
    protocol: str
    build: Callable[[Path], list[Row]]
    fold: int | None = None
    variant: str | None = None
    people: str | None = None


CASES = [
    Case("casia-nir-vis-2", lambda root: trees.casia(root, 6208, 358), fold=1),
    Case("lamp-hq", lambda root: trees.lamp(root, 273, fold=6), fold=6),
    Case("oulu-casia", trees.oulu),
    Case("buaa-visnir", trees.buaa),
    Case("polathermal", trees.polathermal, 2, "thermal-overall"),
    Case("polathermal", lambda root: trees.polathermal(root, "polarimetric-R2", True), 2, "polarimetric-R2"),
    Case("mcxface", trees.mcxface, variant="vis-thermal"),
    Case("tufts", lambda root: trees.labelled(root, "thermal", [3] * 22, trees.spread(557, 22), 20)),
    Case("scface", trees.scface, variant="far"),
    Case("scface", lambda root: trees.scface(root, "combined"), variant="combined"),
    Case("cufs", lambda root: trees.labelled(root, "sketch", [1] * 338, [1] * 338, 268)),
    Case(
        "cufsf",
        lambda root: trees.labelled(root, "sketch", [1] * 944, [1] * 944, 250, "{:05d}".format),
        variant="250-944",
        people="feret",
    ),
    Case(
        "cufsf",
        lambda root: trees.labelled(root, "sketch", [1] * 494, [1] * 494, 700, "{:05d}".format),
        variant="700-494",
        people="feret",
    ),
    Case("lfw", trees.lfw, people=""),
]


class Files:
    """Files that exist by name only: tens of thousands of real ones take a disk too long."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: set[str] = set()
        real = os.path.isfile
        monkeypatch.setattr("os.path.isfile", lambda path: str(path) in self.paths or real(path))

    def add(self, root: Path, rows: list[Row]) -> list[Row]:
        self.paths |= {f"{root}/{row.path}" for row in rows}
        return rows


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Files:
    return Files(monkeypatch)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.protocol}-{case.fold}-{case.variant}")
def test_a_complete_copy_gives_the_listed_rows_and_the_asserted_counts(
    case: Case, files: Files, tmp_path: Path
) -> None:
    rows = files.add(tmp_path, case.build(tmp_path))
    checked = read_protocol(case.protocol, tmp_path, case.fold, variant=case.variant)
    people = case.protocol if case.people is None else case.people
    expected = {row._replace(subject=f"{people}-{row.subject}" if people else row.subject) for row in rows}
    found = [Row(p.path, p.subject_id, p.modality, p.split, p.role) for p in checked.rows.pictures]
    assert len(found) == len(rows)
    assert set(found) == expected
    assert checked.differences == []
    assert checked.expected

    victim = next(row.path for row in reversed(rows) if row.split != "train")
    files.paths.remove(f"{tmp_path}/{victim}")
    missing = f"1 listed files missing, the first is {victim[:-4]}"
    with pytest.raises(InputError, match=rf"is not as the protocol says: .*{re.escape(missing)}.*--allow-other-counts"):
        read_protocol(case.protocol, tmp_path, case.fold, variant=case.variant)
    partial = read_protocol(case.protocol, tmp_path, case.fold, variant=case.variant, allow_count_mismatch=True)
    assert len(partial.rows.pictures) == len(rows) - 1
    assert "Counts differ from the protocol" in partial.description


def test_cufs_students(tmp_path: Path) -> None:
    rows = trees.cufs_students(tmp_path)
    trees.put_all(tmp_path, rows)
    checked = read_protocol("cufs-students", tmp_path)
    found = {Row(p.path, p.subject_id, p.modality, p.split, p.role) for p in checked.rows.pictures}
    assert found == {row._replace(subject=f"cufs-{row.subject}") for row in rows}
    assert checked.differences == []
    (tmp_path / rows[-1].path).unlink()
    with pytest.raises(InputError, match="test probe pictures expected 100 found 99"):
        read_protocol("cufs-students", tmp_path)
    trees.put(tmp_path, "CUHK_testing_cropped_photos/photos/somebody.jpg")
    with pytest.raises(InputError, match=r"somebody\.jpg is not named like"):
        read_protocol("cufs-students", tmp_path, allow_count_mismatch=True)


def test_every_protocol_is_tested_and_says_what_it_needs() -> None:
    pairs = {"calfw", "cplfw", "cfp-fp", "agedb-30"}  # in test_pair_lists.py
    elsewhere = pairs | {"casia-nir-vis-2-view1", "cufs-students"}
    assert {case.protocol for case in CASES} | elsewhere == set(PROTOCOLS)
    for name, protocol in PROTOCOLS.items():
        assert name == protocol.name
        assert all((protocol.title, protocol.owner, protocol.terms, protocol.version, protocol.layout, protocol.lists))


@pytest.mark.parametrize(
    ("name", "variant", "expected"),
    [
        ("scface", "medium", {"dev probe pictures": 220, "test probe pictures": 215}),
        ("scface", "close", {"dev probe pictures": 220, "test probe pictures": 215}),
        ("polathermal", "thermal-expression", {"test probe pictures": 1260, "train thermal pictures": 1200}),
        ("polathermal", "thermal-R1", {"test probe pictures": 560, "train vis pictures": 400}),
    ],
)
def test_counts_of_other_variants(name: str, variant: str, expected: dict[str, int]) -> None:
    counts = PROTOCOLS[name].counts(1 if PROTOCOLS[name].folds else None, variant)
    assert expected.items() <= counts.items()


def test_casia_view_1_is_a_development_set(files: Files, tmp_path: Path) -> None:
    rows = files.add(tmp_path, trees.casia(tmp_path, view="dev"))
    with pytest.raises(InputError) as caught:
        read_protocol("casia-nir-vis-2-view1", tmp_path)
    for words in (
        "train subjects expected 357 found 3", "train vis pictures expected 2,480 found 6",
        "train nir pictures expected 6,270 found 9", "dev gallery subjects expected 358 found 4",
        "dev gallery pictures expected 358 found 4", "dev probe pictures expected 6,123 found 8",
    ):  # fmt: skip
        assert words in str(caught.value)
    checked = read_protocol("casia-nir-vis-2-view1", tmp_path, allow_count_mismatch=True)
    assert {(p.path, p.split, p.role) for p in checked.rows.pictures} == {(r.path, r.split, r.role) for r in rows}
    assert checked.splits == ("train", "dev")
    assert "--split dev --gallery-modality vis --probe-modality nir" in checked.evaluate_options("out")


def test_casia_probes_per_fold() -> None:
    counts = [get_protocol("casia-nir-vis-2").counts(fold, None)["test probe pictures"] for fold in range(1, 11)]
    assert counts == [6208, 6232, 6210, 6055, 6204, 6191, 6247, 6222, 6162, 6245] == list(VIEW2_PROBES)


def test_lamp_hq_counts_of_fold_1(files: Files, tmp_path: Path) -> None:
    files.add(tmp_path, trees.lamp(tmp_path, train=3, test=2, probes=5))
    with pytest.raises(
        InputError, match=r"train subjects expected 300 found 3.* test probe pictures expected 27,263 found 5"
    ):
        read_protocol("lamp-hq", tmp_path, 1)


def test_casia_trained_on_tested_subjects_is_refused(tmp_path: Path) -> None:
    trees.casia(tmp_path)
    lists = tmp_path / "protocols"
    shared = (lists / "nir_probe_1.txt").read_text().splitlines()[0]
    with (lists / "nir_train_1.txt").open("a") as file:
        file.write(shared + "\n")
    with pytest.raises(InputError, match=r"subject casia-nir-vis-2-10000 is in .* must not share"):
        read_protocol("casia-nir-vis-2", tmp_path, 1, allow_count_mismatch=True)


def test_casia_pictures_in_the_wrong_list_are_refused(tmp_path: Path) -> None:
    trees.casia(tmp_path)
    lists = tmp_path / "protocols"
    (lists / "vis_gallery_1.txt").write_text((lists / "nir_probe_1.txt").read_text())
    with pytest.raises(InputError, match="listed as a vis picture"):
        read_protocol("casia-nir-vis-2", tmp_path, 1, allow_count_mismatch=True)
    (lists / "vis_gallery_1.txt").write_text("somewhere/else.jpg\n")
    with pytest.raises(InputError, match=r"vis_gallery_1\.txt, line 1: .* does not name its subject"):
        read_protocol("casia-nir-vis-2", tmp_path, 1, allow_count_mismatch=True)


def test_repeated_lines_count_once(files: Files, tmp_path: Path) -> None:
    files.add(tmp_path, trees.casia(tmp_path))
    file = tmp_path / "protocols/nir_probe_1.txt"
    file.write_text(file.read_text() * 2)
    checked = read_protocol("casia-nir-vis-2", tmp_path, 1, allow_count_mismatch=True)
    assert checked.found["test probe pictures"] == 8


def test_lists_may_be_elsewhere(files: Files, tmp_path: Path) -> None:
    rows = files.add(tmp_path / "data", trees.labelled(tmp_path / "data", "thermal", [1] * 3, [2] * 3, 0))
    (tmp_path / "data/protocols").rename(tmp_path / "mine")
    with pytest.raises(InputError, match=r"gallery_vis\.txt does not exist"):
        read_protocol("tufts", tmp_path / "data", allow_count_mismatch=True)
    checked = read_protocol("tufts", tmp_path / "data", lists=tmp_path / "mine", allow_count_mismatch=True)
    assert len(checked.rows.pictures) == len(rows)
    assert checked.splits == ("test",)


def test_what_must_be_chosen(tmp_path: Path) -> None:
    for name, fold, variant, message in (
        ("lamp-hq", None, None, "give --fold, one of 1 to 10"),
        ("lamp-hq", 11, None, "no fold 11"),
        ("tufts", 1, None, "has no folds"),
        ("scface", None, "near", "variants are far, medium, close, combined"),
        ("tufts", None, "x", "has no variants"),
        ("nothing", None, None, "no protocol 'nothing'"),
    ):
        with pytest.raises(InputError, match=message):
            read_protocol(name, tmp_path, fold, variant=variant)
    with pytest.raises(InputError, match="scface reads no lists"):
        read_protocol("scface", tmp_path, lists=tmp_path)
    with pytest.raises(InputError, match="is not a folder; oulu-casia needs ROOT/VL"):
        read_protocol("oulu-casia", tmp_path / "nowhere")


def test_nothing_to_compare_is_refused_even_when_counts_may_differ(files: Files, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no gallery or no probes are below .*001_frontal\.jpg is looked for"):
        read_protocol("scface", tmp_path, allow_count_mismatch=True)
    files.add(tmp_path, [row for row in trees.scface(tmp_path) if (row.split, row.role) != ("test", "probe")])
    with pytest.raises(InputError, match=r"no gallery or no probes are below .*088_cam1_1\.jpg is looked for"):
        read_protocol("scface", tmp_path, allow_count_mismatch=True)


def test_scface_in_the_flat_folder(files: Files, tmp_path: Path) -> None:
    rows = [
        row._replace(path=re.sub(r"surv.*/cam_\d/", "surveillance_cameras_all/", row.path))
        for row in trees.scface(tmp_path)
    ]
    files.add(tmp_path, rows)
    checked = read_protocol("scface", tmp_path)
    assert {picture.path for picture in checked.rows.pictures} == {row.path for row in rows}
    assert checked.differences == []
    probe = next(picture for picture in checked.rows.pictures if picture.role == "probe")
    assert (probe.session, probe.camera) == ("distance_1", "cam1")


def test_eyes_are_ordered_as_seen(files: Files, tmp_path: Path) -> None:
    files.add(tmp_path, trees.polathermal(tmp_path))
    checked = read_protocol("polathermal", tmp_path, 2)
    assert {picture.landmarks for picture in checked.rows.pictures} == {((2.0, 3.0), (6.0, 3.0))}
    files.add(tmp_path / "casia", trees.casia(tmp_path / "casia"))
    trees.write_list(tmp_path / "casia/annotations/s2/VIS/10000/003.pos", ["5 2 1 2"])
    checked = read_protocol("casia-nir-vis-2", tmp_path / "casia", 1, allow_count_mismatch=True)
    known = {picture.path: picture.landmarks for picture in checked.rows.pictures if picture.landmarks}
    assert known == {"s2/VIS/10000/003.jpg": ((1.0, 2.0), (5.0, 2.0))}
    (tmp_path / "casia/annotations/s2/VIS/10000/003.pos").write_text("5 2 here")
    with pytest.raises(InputError, match=r"003\.pos, line 1: four numbers"):
        read_protocol("casia-nir-vis-2", tmp_path / "casia", 1, allow_count_mismatch=True)
