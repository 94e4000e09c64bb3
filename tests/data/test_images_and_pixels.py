"""Decoding: complete pictures or a clear word; bad ones in a data set are named, and counted when skipped."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, Image, Value
from PIL import Image as PILImage

from hf_crossspec import EdgeFaceImageProcessor, InputError
from hf_crossspec.data.images import MAX_PIXELS, decode_image
from hf_crossspec.data.pixels import FaceSet, PixelBatches, to_input

PROCESSOR = EdgeFaceImageProcessor()


def encoded(picture: PILImage.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims a huge size."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


NOISE = PILImage.fromarray(np.random.default_rng(0).integers(0, 256, (90, 80, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not readable"),
        (b"this is text", "not readable"),
        (encoded(NOISE, "JPEG")[:900], "damaged"),
        (encoded(NOISE)[:900], "damaged"),
        (bomb(60_000, 60_000), "pixels; shrink it"),
        (bomb(10_000, MAX_PIXELS // 10_000 + 1), "pixels; shrink it"),
    ],
)
def test_bad_pictures_are_named(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"^thing: .*{message}"):
        decode_image({"bytes": content, "path": None}, "thing")


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png: the file does not exist"):
        decode_image(tmp_path / "gone.png")
    with pytest.raises(InputError, match="no picture"):
        decode_image({"bytes": None, "path": None}, "row 3")


def mixed_dataset() -> Dataset:
    """Three good pictures and two bad ones."""
    good = encoded(NOISE)
    contents = [good, good[:500], good, b"nonsense", good]
    rows = [
        {"image": {"bytes": content, "path": None}, "subject_id": f"s{i}", "modality": "vis", "key": f"picture {i}"}
        for i, content in enumerate(contents)
    ]
    text = Value("string")
    features = Features({"image": Image(decode=False), "subject_id": text, "modality": text, "key": text})
    return Dataset.from_list(rows, features=features)


def test_a_bad_picture_stops_the_work_and_says_how_to_go_on() -> None:
    with pytest.raises(InputError, match=r"picture 1: .*--skip-bad"):
        FaceSet.decode(mixed_dataset(), PROCESSOR)


def test_skipped_pictures_are_counted_and_the_others_keep_their_rows() -> None:
    batches = PixelBatches(mixed_dataset(), PROCESSOR, batch_size=2, skip_bad=True)
    rows = np.concatenate([rows for rows, _ in batches])
    assert rows.tolist() == [0, 2, 4]
    assert [line.split(":")[0] for line in batches.skipped] == ["picture 1", "picture 3"]
    faces = FaceSet.decode(mixed_dataset(), PROCESSOR, skip_bad=True)
    assert faces.subjects.tolist() == ["s0", "s2", "s4"]
    assert len(faces.skipped) == 2


def test_pictures_in_memory_are_the_processors_output() -> None:
    picture = NOISE.resize((112, 112))
    data = Dataset.from_dict({"image": [picture], "subject_id": ["a"], "modality": ["vis"]})
    faces = FaceSet.decode(data.cast_column("image", Image(decode=False)), PROCESSOR)
    expected = PROCESSOR(picture, return_tensors="pt").pixel_values
    torch.testing.assert_close(to_input(faces.pixels), expected, atol=1e-6, rtol=0)


def test_unknown_modality_lists_the_known() -> None:
    faces = FaceSet.decode(mixed_dataset(), PROCESSOR, skip_bad=True)
    with pytest.raises(InputError, match="'nir'; the data set has vis"):
        faces.of_modality("nir")
