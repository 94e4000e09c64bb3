"""One shard: a fixed range of a source's rows -> one Parquet file, the same file whichever process makes it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from hf_crossspec.faces.acquisition import AcquiredFace, FailureReason, FailureToAcquire, acquire_face
from hf_crossspec.faces.detection import Detector
from hf_crossspec.files import replacing_file
from hf_crossspec.recognition.backends import Runner
from hf_crossspec.recognition.bulk.folder import BulkOptions, ShardPlan
from hf_crossspec.recognition.bulk.source import PictureSource, SourceRow

OK = "ok"


class ShardEmbedder:
    """Embeds shard after shard.

    Args:
        source, plan, options: As the whole run has them.
        runner: Network; it is given `options.batch_size` faces at a time, and what is left over at a shard's end.
        detector: `None` where no picture needs one.
    """

    def __init__(
        self, source: PictureSource, plan: ShardPlan, options: BulkOptions, runner: Runner, detector: Detector | None
    ) -> None:
        self.source, self.plan, self.options, self.runner, self.detector = source, plan, options, runner, detector

    def embed(self, number: int, advance: Callable[[bool], None], stopping: Callable[[], bool]) -> bool:
        """Make a shard and write its file.

        Args:
            number: Of the shard.
            advance: Told for every picture whether it became a face.
            stopping: Asked after every picture; the shard is given up when it says yes.

        Returns:
            Whether the shard was written.
        """
        records: list[dict[str, Any]] = []
        waiting: list[tuple[dict[str, Any], np.ndarray]] = []
        rows = self.plan.range(number)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")  # remarks on damaged files, whose status says it
            for row in self.source.rows(rows.start, rows.stop):
                face = self._acquire(row)
                records.append(_record(row, face))
                if isinstance(face, AcquiredFace):
                    waiting.append((records[-1], np.asarray(face.crop.convert("RGB"))))
                if len(waiting) == self.options.batch_size:
                    self._run(waiting)
                advance(isinstance(face, AcquiredFace))
                if stopping():
                    return False
        self._run(waiting)
        self._write(number, records)
        return True

    def _acquire(self, row: SourceRow) -> AcquiredFace | FailureToAcquire:
        if row.problem is not None:
            return FailureToAcquire(FailureReason.UNREADABLE, f"{row.key}: {row.problem}")
        landmarks = None if self.options.aligned else row.landmarks
        return acquire_face(
            row.picture, self.detector, landmarks=landmarks, pre_aligned=self.options.aligned, name=row.key
        )

    def _run(self, waiting: list[tuple[dict[str, Any], np.ndarray]]) -> None:
        if waiting:
            embeddings = self.runner(np.stack([pixels for _, pixels in waiting]))
            for (record, _), embedding in zip(waiting, embeddings, strict=True):
                record["embedding"] = embedding
            waiting.clear()

    def _write(self, number: int, records: list[dict[str, Any]]) -> None:
        columns = shard_schema(self.source)
        with replacing_file(self.plan.path(number)) as temporary:
            table = pa.Table.from_pylist(records, schema=columns)
            texts = [field.name for field in columns if pa.types.is_string(field.type)]
            pq.write_table(table, temporary, use_dictionary=texts)


def shard_schema(source: PictureSource) -> pa.Schema:
    """Columns of a shard; subject and modality only where the source has them."""
    fields = [pa.field("key", pa.string())]
    if source.has_subjects:
        fields.append(pa.field("subject_id", pa.string()))
    if source.has_modalities:
        fields.append(pa.field("modality", pa.string()))
    return pa.schema(
        [
            *fields,
            pa.field("embedding", pa.list_(pa.float32())),
            pa.field("status", pa.string()),
            pa.field("message", pa.string()),
            pa.field("detector_score", pa.float32()),
            pa.field("faces", pa.int32()),
        ]
    )


def _record(row: SourceRow, face: AcquiredFace | FailureToAcquire) -> dict[str, Any]:
    status, message = OK, None
    if isinstance(face, FailureToAcquire):
        path = row.picture.get("path")
        status, message = face.reason.value, face.message.replace(str(path), row.key) if path else face.message
    return {
        "key": row.key,
        "subject_id": row.subject_id,
        "modality": row.modality,
        "embedding": None,
        "status": status,
        "message": message,
        "detector_score": face.score,
        "faces": face.faces,
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for PyTorch and OpenCV: values then do not depend on the cores, and processes share them in peace."""
    torch_threads, opencv_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(torch_threads)
        cv2.setNumThreads(opencv_threads)
