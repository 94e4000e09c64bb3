"""insightface's pickles: read in every way they are written, and nothing in them is run."""

from __future__ import annotations

import pickle
import struct
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_crossspec import InputError
from hf_crossspec.data.protocols import read_protocol
from hf_crossspec.data.protocols.insightface_bin import read_insightface_bin
from tests.data.protocols.trees import insightface_bin

FOLDER = tempfile.TemporaryDirectory()  # one for all examples


def read(content: bytes) -> tuple[list[bytes], list[bool]]:
    file = Path(FOLDER.name) / "set.bin"
    file.write_bytes(content)
    return read_insightface_bin(file)


@given(
    st.lists(st.tuples(st.binary(), st.binary(), st.booleans()), min_size=1),
    st.integers(0, pickle.HIGHEST_PROTOCOL),
    st.sampled_from(["list", "tuple", "array", "scalars"]),
)
def test_every_way_of_writing_one_is_read(rows: list[tuple[bytes, bytes, bool]], protocol: int, form: str) -> None:
    pictures = [picture for left, right, _ in rows for picture in (left, right)]
    same = [flag for *_, flag in rows]
    flags: Any = {
        "list": same,
        "tuple": tuple(same),
        "array": np.array(same),
        "scalars": list(np.array(same)),
    }[form]
    if protocol < 3:  # there, empty bytes call a function
        pictures = [picture or b"x" for picture in pictures]
    assert read(pickle.dumps((pictures, flags), protocol=protocol)) == (pictures, same)


def test_python_2_strings_are_bytes() -> None:
    written_by_python_2 = b"\x80\x02]q\x00(U\x03\xff\xd8\x01U\x03\xff\xd8\x02e]q\x01\x88a\x86q\x02."
    assert read(written_by_python_2) == ([b"\xff\xd8\x01", b"\xff\xd8\x02"], [True])


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_run(protocol: int, tmp_path: Path) -> None:
    marker = tmp_path / "was here"
    for attack in (Calls(Path.touch, marker), Calls(exec, f"open({str(marker)!r}, 'w')"), Calls(np.zeros, 10)):
        for content in (attack, ([attack, b""], [True]), ([b"a", b"b"], attack), ([b"a", b"b"], [attack])):
            with pytest.raises(InputError, match=r"set\.bin is refused: it holds \w+"):
                read(pickle.dumps(content, protocol=protocol))
    assert not marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        ([b"a", b"b"], np.array([1.0])),
        ([b"a", b"b"], np.array([1])),
        ([b"a", b"b"], np.array([True], dtype=object)),
        ([b"a", b"b"], np.array([[True]])),
        ([b"a", b"b"], [np.float64(1)]),
        ([np.zeros(3, np.uint8)] * 2, [True]),
        OrderedDict(),
        ([b"a", b"b"], [np.dtype("bool")]),
    ],
)
def test_other_types_are_refused(content: Any) -> None:
    with pytest.raises(InputError, match=r"set\.bin"):
        read(pickle.dumps(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], r"\(pictures, flags\) expected"),
        ({"a": 1}, r"\(pictures, flags\) expected"),
        (("a", [True]), "list of encoded pictures"),
        ((["a", "b"], [True]), "list of encoded pictures"),
        (([b"a", b"b"], [1]), "list or array of true and false"),
        (([b"a", b"b"], None), "list or array of true and false"),
        (([b"a", b"b"], [True, False]), "2 pictures do not go with 2 flags"),
        (([], []), "0 pictures do not go"),
    ],
)
def test_other_contents_are_refused(content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(pickle.dumps(content))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = pickle.dumps(([b"abcdefgh"] * 2, [True]), protocol=4)
    for size in range(len(whole)):
        with pytest.raises(InputError, match="is not a verification set"):
            read(whole[:size])
    with pytest.raises(InputError, match="does not exist"):
        read_insightface_bin(tmp_path / "none.bin")


def test_a_pickle_cannot_claim_much_memory() -> None:
    with pytest.raises(InputError, match="a memo index beyond its size"):
        read(b"\x80\x02]r" + struct.pack("<I", 2**32 - 1) + b".")
    with pytest.raises(InputError, match="is not a verification set"):
        read(b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc.")


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(content: bytes) -> None:
    try:
        pictures, flags = read(b"\x80\x04" + content)
    except InputError:
        return
    assert len(pictures) == 2 * len(flags)


@pytest.mark.parametrize(
    ("name", "file", "pairs"),
    [
        ("calfw", "calfw.bin", 6000),
        ("cplfw", "cplfw.bin", 6000),
        ("cfp-fp", "cfp_fp.bin", 7000),
        ("agedb-30", "agedb_30.bin", 6000),
    ],
)
def test_pair_protocols_of_insightface(name: str, file: str, pairs: int, tmp_path: Path) -> None:
    contents, flags = insightface_bin(tmp_path / file, pairs)
    checked = read_protocol(name, tmp_path)
    assert checked.differences == []
    assert [picture.content for picture in checked.rows.pictures] == contents
    subject = {picture.key: picture.subject_id for picture in checked.rows.pictures}
    for number, (pair, same) in enumerate(zip(checked.rows.pairs, flags, strict=True)):
        assert (pair.key1, pair.key2) == (f"{2 * number:05d}", f"{2 * number + 1:05d}")
        assert pair.same == same == (subject[pair.key1] == subject[pair.key2])
        assert pair.fold == number * 10 // pairs
    insightface_bin(tmp_path / file, pairs - 10)
    with pytest.raises(InputError, match=f"pairs expected {pairs:,} found {pairs - 10:,}"):
        read_protocol(name, tmp_path)


def test_the_same_picture_is_the_same_person_unless_a_flag_says_otherwise(tmp_path: Path) -> None:
    contents, flags = [b"a", b"b", b"c", b"a", b"d", b"e"], [True, False, True]
    (tmp_path / "calfw.bin").write_bytes(pickle.dumps((contents, flags)))
    pictures = read_protocol("calfw", tmp_path, allow_count_mismatch=True).rows.pictures
    subjects = [picture.subject_id for picture in pictures]
    assert subjects[0] == subjects[1] == subjects[3] != subjects[2]
    assert subjects[4] == subjects[5] != subjects[0]
    contents = [b"a", b"b", b"a", b"b", b"a", b"c"]  # a and b are one person, and are not
    (tmp_path / "calfw.bin").write_bytes(pickle.dumps((contents, flags)))
    pictures = read_protocol("calfw", tmp_path, allow_count_mismatch=True).rows.pictures
    subjects = [picture.subject_id for picture in pictures]
    assert subjects[0] == subjects[1] != subjects[2] != subjects[3]
