"""From a location to the gallery that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hf_crossspec.errors import InputError
from hf_crossspec.recognition.gallery.contract import Gallery, NetworkStamp


def open_gallery(location: str | Path, stamp: NetworkStamp | None = None, create: bool = False) -> Gallery:
    """Open a gallery: a folder, or `milvus://host:port/collection` (`milvus+tls://` for an encrypted connection).

    A folder is searched by FAISS in this process. A Milvus server takes its credentials from the environment variable
    MILVUS_TOKEN (`user:password` or an API key).

    Args:
        location: Where the gallery is.
        stamp: The network whose embeddings will be enrolled and searched. Without one any gallery opens, to list or
            to remove subjects.
        create: Make a new gallery when there is none.

    Raises:
        InputError: no gallery there and not to be made, a gallery of another network, or pymilvus is missing.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> stamp = NetworkStamp("edgeface-xxs", None, "1f" * 32, dimensions=3)
        >>> with tempfile.TemporaryDirectory() as folder, open_gallery(f"{folder}/g", stamp, create=True) as gallery:
        ...     gallery.enroll("ada", np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
        ...     gallery.enroll("bob", np.array([[0.0, 0.0, 1.0]]))
        ...     gallery.search(np.array([[1.0, 1.0, 0.0]]), top_k=1).subject_ids.tolist()
        [['ada']]
    """
    back_end: Any
    if "://" in str(location):
        from hf_crossspec.recognition.gallery.milvus_gallery import MilvusGallery

        back_end = MilvusGallery
    else:
        from hf_crossspec.recognition.gallery.faiss_gallery import FaissGallery

        back_end = FaissGallery
    if not back_end.exists(str(location)):
        if not create:
            raise InputError(f"there is no gallery at {location}: enrol somebody first")
        if stamp is None:
            raise InputError("a new gallery needs the stamp of the network whose embeddings it will hold")
        back_end.create(str(location), stamp)
    gallery: Gallery = back_end(str(location))
    if stamp is not None:
        try:
            gallery.stamp.refuse_other(stamp, gallery.location)
        except InputError:
            gallery.close()
            raise
    return gallery
