"""The text formats in which face protocols are published. Malformed input is named with its file and line."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from hf_crossspec.data.protocols.base import Landmarks, Pair
from hf_crossspec.errors import InputError, one_line

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".JPG", ".JPEG", ".PNG", ".BMP", ".TIF")
_PATH_COLUMNS = ("path", "spath", "key")
_SUBJECT_COLUMNS = ("subject_id", "reference_id")
_DRIVE = re.compile(r"[A-Za-z]:")


def read_path_labels(path: str | Path, label_of: Callable[[str], str] | None = None) -> list[tuple[str, str]]:
    """Read a list of `path label` (or `path,label`) lines; backslashes become slashes.

    Args:
        path: The list.
        label_of: Takes the subject from the picture's path instead; labels may then be absent and are not read.

    Returns:
        Pairs of picture path and subject, in the list's order.

    Raises:
        InputError: no file, not text, a path that leaves the root, or a line without its label.
    """
    rows = []
    for number, line in _lines(Path(path)):
        where = f"{path}, line {number}"
        name, label = _split_label(line)
        picture = picture_path(name, where)
        if label_of is not None:
            try:
                label = label_of(picture)
            except ValueError:
                raise InputError(f"{where}: {picture!r} does not name its subject as this database does") from None
        if not label:
            raise InputError(f"{where}: a picture and its subject are needed, not {line!r}")
        rows.append((picture, label))
    if not rows:
        raise InputError(f"{path} lists no picture")
    return rows


def _split_label(line: str) -> tuple[str, str]:
    if "," in line:
        name, label = line.rsplit(",", 1)
        return name.strip(), label.strip()
    parts = line.rsplit(None, 1)
    return parts[0], parts[1] if len(parts) == 2 else ""


def picture_path(text: str, where: str) -> str:
    """A listed path with forward slashes; it must stay below the root, as its file will be copied.

    Raises:
        InputError: empty, absolute, or with `..`.
    """
    name = text.strip().replace("\\", "/")
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or _DRIVE.match(name) or "\0" in name:
        raise InputError(f"{where}: {text!r} is not a path below the database's folder")
    return str(PurePosixPath(name))


def find_picture(root: Path, name: str, suffixes: tuple[str, ...] = SUFFIXES) -> str:
    """The listed path if that file exists, else the same with another picture suffix, else as listed."""
    if os.path.isfile(f"{root}/{name}"):  # noqa: PTH113  (tens of thousands of files; Path takes several times as long)
        return name
    stem, suffix = os.path.splitext(name)  # noqa: PTH122
    stem = stem if suffix in SUFFIXES else name
    candidates = (f"{stem}{other}" for other in suffixes)
    return next((path for path in candidates if os.path.isfile(f"{root}/{path}")), name)  # noqa: PTH113


def read_lfw_pairs(path: str | Path) -> list[Pair]:
    """Read LFW's `pairs.txt`: a header `folds pairs`, then per fold that many mated and as many non-mated pairs.

    Returns:
        The pairs with keys such as `George_W_Bush_0001`; folds count from 0.

    Raises:
        InputError: no file, or a line that is not as the header promises.
    """
    lines = _lines(Path(path))
    folds, size = _header(path, lines)
    pairs = []
    for position, (number, line) in enumerate(lines[1:]):
        where = f"{path}, line {number}"
        fold, place = divmod(position, 2 * size)
        pair = _pair(line.split(), fold, where)
        if fold >= folds or pair.same != (place < size):
            raise InputError(f"{where}: not where the header, {folds} folds of {size} + {size} pairs, has such a pair")
        pairs.append(pair)
    if len(pairs) != 2 * folds * size:
        raise InputError(f"{path}: the header promises {2 * folds * size:,} pairs, the file has {len(pairs):,}")
    return pairs


def _header(path: str | Path, lines: list[tuple[int, str]]) -> tuple[int, int]:
    fields = lines[0][1].split() if lines else []
    numbers = [int(text) for text in fields if text.isascii() and text.isdigit() and len(text) < 7]
    if len(fields) != 2 or len(numbers) != 2 or min(numbers) < 1:
        raise InputError(f"{path}, line 1: a header with the numbers of folds and of pairs is needed, such as 10 300")
    return numbers[0], numbers[1]


def _pair(fields: list[str], fold: int, where: str) -> Pair:
    if len(fields) == 3:
        name1, first, second = fields
        name2 = name1
    elif len(fields) == 4:
        name1, first, name2, second = fields
    else:
        raise InputError(f"{where}: a pair is `name i j` or `name1 i name2 j`, not {len(fields)} words")
    if not all(text.isascii() and text.isdigit() and 0 < int(text) < 10_000 for text in (first, second)):
        raise InputError(f"{where}: pictures are numbered from 1 to 9999, not {first!r} and {second!r}")
    for name in (name1, name2):
        if "/" in picture_path(name, where):
            raise InputError(f"{where}: {name!r} is not a name")
    same = len(fields) == 3
    if (same and int(first) == int(second)) or (not same and name1 == name2):
        raise InputError(f"{where}: a picture is compared with itself, or a person with themselves as another")
    return Pair(f"{name1}_{int(first):04d}", f"{name2}_{int(second):04d}", same, fold)


def read_bob_csv(path: str | Path) -> list[tuple[str, str, Landmarks | None]]:
    """Read a sample list as bob's databases have it: CSV with a header, path and subject columns, often the eyes.

    The path's column is `path`, `spath` or `key`, the subject's `subject_id` or `reference_id`; the eyes are
    `leye_x, leye_y, reye_x, reye_y` (bob.bio.base, `CSVDatabase`; bob.bio.face, `EyesAnnotations`).

    Returns:
        Picture path, subject, and the two eye centres (x, y) left to right as seen, or `None`.

    Raises:
        InputError: no file, no such columns, a row of another length, or eyes that are not numbers.
    """
    lines = _lines(Path(path))
    try:
        records = list(csv.reader([line for _, line in lines], strict=True))
    except csv.Error as error:
        raise InputError(f"{path} is not readable as CSV: {one_line(error)}") from None
    header = [name.strip().lower() for name in records[0]] if records else []
    place, subject = _column(header, _PATH_COLUMNS, path), _column(header, _SUBJECT_COLUMNS, path)
    if len(records) != len(lines):
        raise InputError(f"{path}: a quoted value runs over the end of its line")
    rows = []
    for (number, _), record in zip(lines[1:], records[1:], strict=True):
        where = f"{path}, line {number}"
        if len(record) != len(header):
            raise InputError(f"{where}: {len(record)} values, but the header has {len(header)} columns")
        if not record[subject].strip():
            raise InputError(f"{where}: the subject is empty")
        eyes = _eyes(dict(zip(header, record, strict=True)), where)
        rows.append((picture_path(record[place], where), record[subject].strip(), eyes))
    if not rows:
        raise InputError(f"{path} lists no picture")
    return rows


def _column(header: list[str], names: tuple[str, ...], path: str | Path) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    raise InputError(f"{path}, line 1: a column {' or '.join(names)} is needed; there are {', '.join(header)}")


def _eyes(record: dict[str, str], where: str) -> Landmarks | None:
    names = ("leye_x", "leye_y", "reye_x", "reye_y")
    if any(not record.get(name, "").strip() for name in names):
        return None
    try:
        return eyes_as_seen([float(record[name]) for name in names])
    except ValueError:
        raise InputError(f"{where}: the eye coordinates are not numbers") from None


def eyes_as_seen(numbers: list[float]) -> Landmarks:
    """Two eye centres x, y, x, y in either order -> left to right as seen (the owners' `left` is often the person's).

    Raises:
        ValueError: not four finite numbers.
    """
    x1, y1, x2, y2 = numbers
    if not all(abs(number) < 1e6 for number in numbers):
        raise ValueError("eye coordinates must be finite")
    first, second = sorted([(x1, y1), (x2, y2)])
    return first, second


def _lines(path: Path) -> list[tuple[int, str]]:
    """Numbered lines that are not blank."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; the protocol needs this list") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file in UTF-8") from None
    except OSError as error:
        raise InputError(f"{path} is not readable: {one_line(error)}") from None
    # Not splitlines(): names may hold characters that it takes for line ends.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
