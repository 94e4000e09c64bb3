"""A gallery on a Milvus server, for many clients and more templates than one machine should hold."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from hf_crossspec.errors import InputError, one_line
from hf_crossspec.recognition.gallery.contract import LONGEST_NAME, Gallery, Images, NetworkStamp
from hf_crossspec.recognition.gallery.templates import make_templates, rank, subject_sums

STAMP = "crossspec.network"  # the collection's property that holds the stamp
MOST_RESULTS = 16_384  # the server's limit for one probe
_SCHEMES = {"milvus": "http", "milvus+tls": "https"}


class MilvusGallery(Gallery):
    """A collection on a Milvus server with one entity per subject, searched exactly (index FLAT, metric COSINE).

    An entity holds the sum of the subject's embeddings, whose direction is the template's, and how many images of each
    modality it stands for; single embeddings are not kept. Its key is the SHA-256 of the subject's name, as names must
    not enter Milvus's filter expressions. Reads are strongly consistent: they see every change that was acknowledged.
    When two clients enrol images of the same subject in the same moment, those of one may be lost; `enroll_many` is
    kept block by block, not as a whole.

    `remove` deletes, flushes and asks for compaction. From then on no search finds the subject, but Milvus deletes
    logically first: the bytes leave its storage when compaction has rewritten the segments and garbage collection has
    removed the old ones, at times that the server's settings give (`dataCoord.gc.dropTolerance`; see
    https://milvus.io/docs/configure_datacoord.md). Milvus Lite compacts by itself, not when asked.

    Args:
        location: `milvus://host:port/collection`, or `milvus+tls://`; `exists` and `create` tell and make one.

    Raises:
        InputError: no such server or collection, not a gallery, not allowed, or pymilvus is missing.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self._enrolling = threading.Lock()
        self._client, self._collection = _connect(location)
        with _asking(location):
            described = self._client.describe_collection(self._collection)
        self.stamp = NetworkStamp.read(_stamp_of(described), location)
        with _asking(location):
            self._client.load_collection(self._collection)  # a server that was started anew may not have it loaded

    @staticmethod
    def exists(location: str) -> bool:
        """Whether the server has the collection."""
        client, collection = _connect(location)
        with _asking(location):
            found: bool = client.has_collection(collection)
            client.close()
        return found

    @staticmethod
    def create(location: str, stamp: NetworkStamp) -> None:
        """Make the collection with its index, and load it."""
        from pymilvus import DataType, MilvusClient

        client, collection = _connect(location)
        document = json.dumps(asdict(stamp))
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False, description=document)
        schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("subject_id", DataType.VARCHAR, max_length=LONGEST_NAME)
        schema.add_field("images", DataType.JSON)
        schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=stamp.dimensions)
        index = MilvusClient.prepare_index_params()
        index.add_index("embedding", index_type="FLAT", metric_type="COSINE")
        with _asking(location):
            client.create_collection(
                collection,
                schema=schema,
                index_params=index,
                consistency_level="Strong",
                properties={STAMP: document},
            )
            client.close()

    def remove(self, subject_id: str) -> None:
        self._entity(subject_id)
        with _asking(self.location):
            self._client.delete(self._collection, ids=[_key(subject_id)])
            self._client.flush(self._collection)
            self._client.compact(self._collection)

    def images(self, subject_id: str) -> dict[str | None, int]:
        return {modality or None: count for modality, count in self._entity(subject_id)["images"].items()}

    def subjects(self) -> list[str]:
        names: list[str] = []
        with _asking(self.location):
            pages = self._client.query_iterator(self._collection, batch_size=4096, output_fields=["subject_id"])
            while page := pages.next():
                names += [entity["subject_id"] for entity in page]
            pages.close()
        return sorted(names)

    def __len__(self) -> int:
        with _asking(self.location):
            return int(self._client.query(self._collection, filter="", output_fields=["count(*)"])[0]["count(*)"])

    def __contains__(self, subject_id: object) -> bool:
        return isinstance(subject_id, str) and bool(self._entities([subject_id], "subject_id"))

    def close(self) -> None:
        self._client.close()

    def _add(self, images: Images) -> None:
        counts: dict[str, Counter[str]] = {}
        for name, modality in zip(images.subject_ids, images.modalities, strict=True):
            counts.setdefault(name, Counter())[modality or ""] += 1  # JSON has no key None
        with self._enrolling:
            for names, sums in subject_sums(images.subject_ids, images.embeddings):
                earlier = self._entities(names, "subject_id", "images", "embedding")
                for row, name in enumerate(names):
                    if name in earlier:
                        sums[row] += np.array(earlier[name]["embedding"])
                        counts[name].update(earlier[name]["images"])
                make_templates(names, sums)  # refuses what cancels out
                entities = [
                    {"key": _key(name), "subject_id": name, "images": dict(counts[name]), "embedding": vector}
                    for name, vector in zip(names, sums.astype(np.float32), strict=True)
                ]
                with _asking(self.location):
                    self._client.upsert(self._collection, entities)

    def _search(self, queries: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
        return rank(self._nearest, queries, top_k)

    def _nearest(self, queries: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
        limit = min(wanted, MOST_RESULTS)
        step = max(1, 100_000 // limit)  # keeps an answer far below the server's limit of 64 MB
        hits: list[Any] = []
        for start in range(0, len(queries), step):
            with _asking(self.location):
                hits += self._client.search(
                    self._collection,
                    data=list(queries[start : start + step]),
                    limit=limit,
                    output_fields=["subject_id"],
                    search_params={"metric_type": "COSINE"},
                )
        width = min((len(row) for row in hits), default=0)
        if wanted > limit == width:
            raise InputError(f"Milvus gives at most {MOST_RESULTS - 1:,} results for a probe: ask for fewer")
        names = [[hit["entity"]["subject_id"] for hit in row[:width]] for row in hits]
        scores = [[hit["distance"] for hit in row[:width]] for row in hits]
        shape = (len(queries), width)
        return np.array(names, dtype=object).reshape(shape), np.array(scores, np.float32).reshape(shape)

    def _entity(self, subject_id: str) -> dict[str, Any]:
        found = self._entities([subject_id], "subject_id", "images") if isinstance(subject_id, str) else {}
        if subject_id not in found:
            raise self._unknown(subject_id)
        return found[subject_id]

    def _entities(self, names: list[str], *fields: str) -> dict[str, dict[str, Any]]:
        with _asking(self.location):
            found = self._client.get(self._collection, ids=[_key(name) for name in names], output_fields=list(fields))
        return {entity["subject_id"]: entity for entity in found}


def _connect(location: str) -> tuple[Any, str]:
    """A client and the collection's name."""
    parts = urlsplit(location)
    collection = parts.path.removeprefix("/")
    try:
        port = parts.port or 19530
    except ValueError:
        port = 0
    if parts.scheme not in _SCHEMES or not parts.hostname or not port or not re.fullmatch(r"[A-Za-z_]\w*", collection):
        raise InputError(f"{location} is not a folder and not of the form milvus://host:port/collection_name")
    if parts.username is not None:
        raise InputError("a gallery's location must not hold a password: put it into the variable MILVUS_TOKEN")
    try:
        from pymilvus import MilvusClient
    except ImportError:
        raise InputError('a gallery on Milvus needs pymilvus: pip install "hf-crossspec[milvus]"') from None
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs every error that it also raises
    with _asking(location):
        address = f"{_SCHEMES[parts.scheme]}://{parts.hostname}:{port}"
        return MilvusClient(address, token=os.environ.get("MILVUS_TOKEN", "")), collection


@contextmanager
def _asking(location: str) -> Iterator[None]:
    from pymilvus import MilvusException

    try:
        yield
    except MilvusException as error:
        raise InputError(f"{location}: {error.message and one_line(Exception(error.message))}") from None


def _stamp_of(described: dict[str, Any]) -> Any:
    """The stamp from a collection's description; it stands there twice, as not every server keeps both."""
    for document in (described.get("properties", {}).get(STAMP), described.get("description")):
        try:
            return json.loads(document or "")
        except ValueError:
            continue
    return None


def _key(subject_id: str) -> str:
    return hashlib.sha256(subject_id.encode(errors="surrogatepass")).hexdigest()
