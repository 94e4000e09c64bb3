"""The text formats: what is written comes back, and whatever else is given is refused in one line or read."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_crossspec import InputError
from hf_crossspec.data.protocols.base import Pair
from hf_crossspec.data.protocols.formats import find_picture, read_bob_csv, read_lfw_pairs, read_path_labels

WORD = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters='/\\,":'), min_size=1, max_size=8)
NAME = WORD.filter(lambda text: text not in (".", ".."))
PATH = st.lists(NAME, min_size=1, max_size=4).map("/".join)
FOLDER = tempfile.TemporaryDirectory()  # one for all examples
ANY_TEXT = st.text(max_size=200) | st.text(st.sampled_from("ab./\\, 01\t\n\"'"), max_size=60)


def read(reader: Callable[..., Any], content: str | bytes, **options: Any) -> Any:
    file = Path(FOLDER.name) / "list.txt"
    file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return reader(file, **options)


@settings(max_examples=30)
@given(
    st.lists(st.tuples(PATH, NAME), min_size=1),
    st.sampled_from([" ", "\t", ",", ", "]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_path_labels_come_back(rows: list[tuple[str, str]], separator: str, end: str) -> None:
    lines = [f"{path}{separator}{label}" for path, label in rows]
    assert read(read_path_labels, end.join(lines)) == rows
    windows = [line.replace("/", "\\") for line in lines]
    assert read(read_path_labels, end.join(["", *windows, "  "])) == rows


@given(st.lists(PATH, min_size=1))
def test_subjects_may_come_from_the_path(paths: list[str]) -> None:
    expected = [(path, path.split("/")[0]) for path in paths]
    assert read(read_path_labels, "\n".join(paths), label_of=lambda path: path.split("/")[0]) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a.jpg 1\n../b.jpg 2\n", "line 2: .* not a path below"),
        ("/etc/passwd 1\n", "line 1: .* not a path below"),
        ("C:\\pictures\\a.jpg 1\n", "line 1: .* not a path below"),
        ("a/../../b.jpg,3\n", "line 1: .* not a path below"),
        ("a.jpg 1\n\nb.jpg\n", "line 3: a picture and its subject are needed"),
        ("a.jpg,\n", "line 1: a picture and its subject are needed"),
        ("\n\n", "lists no picture"),
        (b"\xff\xfe\x00", "not a text file"),
    ],
)
def test_malformed_path_labels(content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=r"list\.txt.*" + message):
        read(read_path_labels, content)


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    for reader in (read_path_labels, read_lfw_pairs, read_bob_csv):
        with pytest.raises(InputError, match=r"none\.txt does not exist"):
            reader(tmp_path / "none.txt")
        with pytest.raises(InputError, match="not readable"):
            reader(tmp_path)


@st.composite
def lfw_pairs(draw: st.DrawFn) -> tuple[int, int, list[Pair], str]:
    folds, size = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    number = st.integers(1, 9999)
    pairs, lines = [], [f"{folds}\t{size}"]
    for fold in range(folds):
        for place in range(2 * size):
            name1, i, j = draw(NAME), draw(number), draw(number)
            if place < size:
                j = j if j != i else i % 9999 + 1
                pairs.append(Pair(f"{name1}_{i:04d}", f"{name1}_{j:04d}", True, fold))
                lines.append(f"{name1}\t{i}\t{j}")
            else:
                name2 = draw(NAME.filter(lambda name, other=name1: name != other))
                pairs.append(Pair(f"{name1}_{i:04d}", f"{name2}_{j:04d}", False, fold))
                lines.append(f"{name1}\t{i}\t{name2}\t{j}")
    return folds, size, pairs, "\n".join(lines) + "\n"


@settings(max_examples=30)
@given(lfw_pairs())
def test_lfw_pairs_come_back(written: tuple[int, int, list[Pair], str]) -> None:
    _, _, pairs, text = written
    assert read(read_lfw_pairs, text) == pairs


@settings(max_examples=30)
@given(lfw_pairs(), st.data())
def test_lfw_pairs_with_a_line_too_few_or_too_many_are_refused(
    written: tuple[int, int, list[Pair], str], data: st.DataObject
) -> None:
    lines = written[3].splitlines()
    place = data.draw(st.integers(1, len(lines) - 1))
    changed = data.draw(st.sampled_from([lines[:place] + lines[place + 1 :], lines[: place + 1] + lines[place:]]))
    with pytest.raises(InputError, match=r"list\.txt"):
        read(read_lfw_pairs, "\n".join(changed))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: a header"),
        ("300\n", "line 1: a header"),
        ("0 3\n", "line 1: a header"),
        ("1 1\nA 1 2\nB 1 C\n", "line 3: .* not where the header|line 3: pictures are numbered"),
        ("1 1\nA 1 2\nB 1 C 0\n", "line 3: pictures are numbered"),
        ("1 1\nA 1 2\nB 1 C 10000\n", "line 3: pictures are numbered"),
        ("1 1\nA 1 2\nB 1 C ²\n", "line 3: pictures are numbered"),
        ("1 1\nA 1 1\nB 1 C 1\n", "line 2: a picture is compared with itself"),
        ("1 1\nA 1 2\nB 1 B 2\n", "line 3: .*themselves as another"),
        ("1 1\nA 1 2\nB 1\n", "line 3: a pair is"),
        ("1 1\nA/x 1 2\nB 1 C 1\n", "line 2: 'A/x' is not a name"),
        ("1 1\n.. 1 2\nB 1 C 1\n", "line 2: .* not a path"),
        ("1 1\nB 1 C 1\nA 1 2\n", "line 2: not where the header, 1 folds of 1"),
        ("1 1\nA 1 2\n", "promises 2 pairs, the file has 1"),
    ],
)
def test_malformed_lfw_pairs(content: str, message: str) -> None:
    with pytest.raises(InputError, match=r"list\.txt.*(" + message + ")"):
        read(read_lfw_pairs, content)


EYE = st.floats(-1000, 1000, allow_nan=False).map(lambda number: round(number, 2))


@settings(max_examples=30)
@given(
    st.lists(st.tuples(PATH, NAME, st.none() | st.tuples(EYE, EYE, EYE, EYE)), min_size=1),
    st.sampled_from(["path", "PATH", "SPATH", "key"]),
    st.sampled_from(["subject_id", "reference_id", "REFERENCE_ID"]),
    st.booleans(),
)
def test_bob_csv_comes_back(
    rows: list[tuple[str, str, tuple[float, ...] | None]], place: str, subject: str, subject_first: bool
) -> None:
    header = [subject, place] if subject_first else [place, subject]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*header, "leye_x", "leye_y", "reye_x", "reye_y", "gender"])
    expected = []
    for path, name, eyes in rows:
        first = [name, path] if subject_first else [path, name]
        writer.writerow([*first, *(eyes or ("", "", "", "")), "x,y"])
        points = None if eyes is None else tuple(sorted([eyes[:2], eyes[2:]]))
        expected.append((path, name, points))
    assert read(read_bob_csv, text.getvalue()) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: a column path or spath or key is needed"),
        ("path,who\na,1\n", "line 1: a column subject_id or reference_id is needed; there are path, who"),
        ("path,subject_id\na,1\nb\n", "line 3: 1 values, but the header has 2"),
        ("path,subject_id\na, \n", "line 2: the subject is empty"),
        ("path,subject_id\n../a,1\n", "line 2: .* not a path below"),
        ('path,subject_id\n"a,1\nb,2"\n', "runs over the end|not readable as CSV"),
        ("path,subject_id,leye_x,leye_y,reye_x,reye_y\na,1,1,2,3,x\n", "line 2: the eye coordinates are not numbers"),
        ("path,subject_id,leye_x,leye_y,reye_x,reye_y\na,1,1,2,3,nan\n", "line 2: the eye coordinates are not numbers"),
        ("path,subject_id\n", "lists no picture"),
    ],
)
def test_malformed_bob_csv(content: str, message: str) -> None:
    with pytest.raises(InputError, match=r"list\.txt.*(" + message + ")"):
        read(read_bob_csv, content)


@given(ANY_TEXT | st.binary(max_size=100))
def test_anything_is_read_or_refused_in_one_line(content: str | bytes) -> None:
    for reader in (read_path_labels, read_lfw_pairs, read_bob_csv):
        try:
            rows = read(reader, content)
        except InputError as error:
            assert "list.txt" in str(error)
        else:
            assert rows


@given(ANY_TEXT)
def test_no_list_leads_out_of_the_root(content: str) -> None:
    try:
        rows = read(read_path_labels, content, label_of=lambda path: "somebody")
    except InputError:
        return
    root = Path("/somewhere/root")
    for path, _ in rows:
        assert ".." not in Path(path).parts
        assert (root / path).is_relative_to(root)


def test_find_picture(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.bmp", "c.x.png"):
        (tmp_path / name).touch()
    found = {name: find_picture(tmp_path, name) for name in ("a.jpg", "b.jpg", "b", "c.x", "d.jpg")}
    assert found == {"a.jpg": "a.jpg", "b.jpg": "b.bmp", "b": "b.bmp", "c.x": "c.x.png", "d.jpg": "d.jpg"}
    assert find_picture(tmp_path, "b.jpg", (".png",)) == "b.jpg"
