"""Raw pictures of any sensor in, answers out: embed, verify, enrol, identify."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hf_crossspec.errors import InputError
from hf_crossspec.faces.acquisition import AcquiredFace, FailureToAcquire
from hf_crossspec.faces.detection import Detector
from hf_crossspec.recognition.backends import BackendName
from hf_crossspec.recognition.finder import FaceFinder, Picture, name_of
from hf_crossspec.recognition.gallery import Gallery, open_gallery
from hf_crossspec.recognition.networks import LoadedNetwork, load_networks
from hf_crossspec.recognition.results import (
    Candidate,
    Decision,
    EmbeddedFace,
    Enrollment,
    Identification,
    Threshold,
    Verification,
)


class Recognizer:
    """Face recognition with one network, or with an adapter for each of several modalities.

    Pictures may have any size, depth and number of channels (see `faces.acquisition.acquire_face`). A comparison takes
    place in one network: that of the adapter which one of the two modalities has; modalities without an adapter of
    their own, such as visible light, go through whichever network the other picture needs. May be used by several
    threads at once, and as a context manager.

    Args:
        networks: Modality -> network; the key `None` is for all modalities without their own.
        detector: Name of a registered detector, or a detector; loaded at the first picture that needs it.
        detector_path: Model file for a detector given by name.
        aligned: The pictures are aligned 112 x 112 faces; no detector is asked.
        fmr: False match rate whose calibrated thresholds are used; `None` for the lowest that was calibrated.
        threshold: A threshold of your own for all comparisons, instead of calibrated ones.
        batch_size: Pictures that go through the network at a time.

    Example:
        >>> recognizer = Recognizer.from_pretrained("edgeface-xxs", adapter="edgeface-xxs-nir")  # doctest: +SKIP
        >>> recognizer.verify("passport.jpg", "night.png", modalities=("vis", "nir")).decision  # doctest: +SKIP
        <Decision.MATCH: 'match'>
    """

    def __init__(
        self,
        networks: Mapping[str | None, LoadedNetwork],
        *,
        detector: str | Detector = "yunet",
        detector_path: str | Path | None = None,
        aligned: bool = False,
        fmr: float | None = None,
        threshold: float | None = None,
        batch_size: int = 32,
    ) -> None:
        if fmr is not None and threshold is not None:
            raise InputError("give an FMR or a threshold, not both")
        self.networks = dict(networks)
        self.fmr = fmr
        self.threshold = threshold
        self.batch_size = batch_size
        self._finder = FaceFinder(detector, detector_path, aligned)

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        adapter: str | Path | Mapping[str, str | Path] | None = None,
        *,
        low_rank: str | Path | None = None,
        backend: BackendName = "torch",
        **options: Any,
    ) -> Recognizer:
        """Load a model from a folder, the Hub, or a file made by `crossspec export`.

        Args:
            model: Model folder, Hub id (`owner/name@revision` for a revision), or `.onnx` file.
            adapter: One for all pictures, or modality -> adapter.
            low_rank: A low-rank embedding fitted for this model and adapter.
            backend: `torch`; `compile`, whose first call takes about a minute; or `onnx`, the fastest on CPUs.
            options: Those of the class.

        Raises:
            InputError: what cannot be loaded, and why.
        """
        return cls(load_networks(model, adapter, low_rank, backend), **options)

    def __enter__(self) -> Recognizer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads that find faces; the recogniser is of no use afterwards."""
        self._finder.close()

    def embed(
        self, pictures: Iterable[Picture], modality: str | Sequence[str | None] | None = None
    ) -> list[EmbeddedFace]:
        """Embed pictures, each through its modality's network.

        Args:
            pictures: Paths, PIL pictures or arrays.
            modality: Of all pictures, or one for each.

        Returns:
            One result a picture, in order; for a picture without a usable face, the failure.
        """
        pictures = list(pictures)
        modalities = [modality] * len(pictures) if modality is None or isinstance(modality, str) else list(modality)
        if len(modalities) != len(pictures):
            raise InputError(
                f"{len(pictures)} pictures, but {len(modalities)} modalities: give one for all or for each"
            )
        chosen = [self.network_for(one) for one in modalities]
        faces = self._finder.find(pictures)
        results: list[EmbeddedFace | None] = [None] * len(pictures)
        for network in {id(network): network for network in chosen}.values():
            members = [row for row, one in enumerate(chosen) if one is network]
            subset = ([pictures[row] for row in members], [faces[row] for row in members])
            embedded = self._embed_faces(*subset, [modalities[row] for row in members], network)
            for row, result in zip(members, embedded, strict=True):
                results[row] = result
        return [result for result in results if result is not None]

    def embed_folder(
        self, folder: str | Path, modality: str | None = None, progress: bool = True
    ) -> Iterator[EmbeddedFace]:
        """Embed the pictures of a folder and its subfolders, or the frames of a video, one batch in memory at a time.

        Yields in the order of the file names; hidden files are left out. With `progress`, a bar on standard error.
        """
        from rich.console import Console
        from rich.progress import track

        if not Path(folder).is_dir():
            raise InputError(f"{folder} is not a folder")
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file() and not path.name.startswith("."))
        starts = range(0, len(files), self.batch_size)
        for start in track(starts, "embedding", console=Console(stderr=True), disable=not progress):
            yield from self.embed(files[start : start + self.batch_size], modality)

    def verify(
        self, first: Picture, second: Picture, modalities: tuple[str | None, str | None] = (None, None)
    ) -> Verification:
        """Compare two pictures; give their modalities for a calibrated decision."""
        network = self.network_for(*modalities)
        pictures = [first, second]
        left, right = self._embed_faces(pictures, self._finder.find(pictures), list(modalities), network)
        failures = tuple(face.failure for face in (left, right) if face.failure is not None)
        threshold = self._threshold_for(network, *modalities)
        if left.embedding is None or right.embedding is None:
            reason = "; ".join(failure.message for failure in failures)
            return Verification(Decision.UNCERTAIN, reason, None, threshold, None, modalities, failures)
        score = float(left.embedding @ right.embedding)
        decision, reason = _decide(threshold, score, modalities)
        entry = threshold.entry if threshold is not None else None
        llr = None if entry is None else float(entry.llr(score))
        return Verification(decision, reason, score, threshold, llr, modalities)

    def open_gallery(self, location: str | Path, probe_modality: str | None = None, *, create: bool = False) -> Gallery:
        """Open or create a gallery for probes of a modality: its templates are made by that modality's network.

        Raises:
            InputError: there is none, or it was made by other weights.
        """
        return open_gallery(location, self.network_for(probe_modality).stamp, create=create)

    def enroll(
        self, gallery: Gallery, subject_id: str, pictures: Iterable[Picture], modality: str | None = "vis"
    ) -> Enrollment:
        """Add a subject's pictures to a gallery; those without a usable face are left out and named.

        Raises:
            InputError: the gallery is of other weights.
        """
        return self.enroll_many(gallery, {subject_id: pictures}, modality)[0]

    def enroll_many(
        self, gallery: Gallery, people: Mapping[str, Iterable[Picture]], modality: str | None = "vis"
    ) -> list[Enrollment]:
        """As `enroll`, for subject -> pictures; written in one go, all or nobody."""
        network = self._network_of(gallery)
        done, names, embeddings = [], [], []
        for subject_id, pictures in people.items():
            faces = self._embed_in(network, list(pictures), modality)
            usable = [face.embedding for face in faces if face.embedding is not None]
            failures = tuple(face.failure for face in faces if face.failure is not None)
            done.append(Enrollment(subject_id, len(usable), failures))
            names += [subject_id] * len(usable)
            embeddings += usable
        if names:
            gallery.enroll_many(names, np.stack(embeddings), [modality] * len(names))
        return done

    def identify(
        self,
        probe: Picture,
        gallery: Gallery,
        top_k: int = 5,
        modality: str | None = None,
        gallery_modality: str | None = "vis",
    ) -> Identification:
        """Rank the subjects of a gallery by their similarity to a probe; decide on the first.

        Args:
            probe: A picture.
            gallery: One that was made by this network.
            top_k: How many candidates.
            modality: The probe's.
            gallery_modality: That of the enrolled pictures; threshold and FMR are of this pair.

        Raises:
            InputError: the gallery is of other weights, or of another modality's network.
        """
        network = self._network_of(gallery)
        own = self.networks.get(modality)
        if own is not None and modality is not None and own is not network:
            raise InputError(f"{modality} probes have an adapter of their own, and this gallery was not made by it")
        (face,) = self._embed_in(network, [probe], modality)
        threshold = self._threshold_for(network, gallery_modality, modality)
        enrolled = len(gallery)
        fmr = None if threshold is None else threshold.fmr
        bound = None if fmr is None else min(1.0, fmr * enrolled)
        if face.embedding is None:
            assert face.failure is not None
            message = face.failure.message
            return Identification(Decision.UNCERTAIN, message, (), threshold, enrolled, bound, (face.failure,))
        if not enrolled:
            return Identification(Decision.NO_MATCH, "the gallery is empty", (), threshold, 0, bound)
        found = gallery.search(face.embedding[None], top_k)
        ranked = zip(found.subject_ids[0], found.scores[0], strict=True)
        candidates = tuple(Candidate(str(subject), float(score)) for subject, score in ranked)
        decision, reason = _decide(threshold, candidates[0].score, (gallery_modality, modality))
        return Identification(decision, reason, candidates, threshold, enrolled, bound)

    def network_for(self, *modalities: str | None) -> LoadedNetwork:
        """The network in which pictures of these modalities are compared.

        Raises:
            InputError: two of them have adapters of their own.
        """
        own = [modality for modality in dict.fromkeys(modalities) if modality is not None and modality in self.networks]
        if len(own) > 1:
            raise InputError(
                f"{own[0]} and {own[1]} have an adapter each, and embeddings of two networks are not comparable"
            )
        return self.networks[own[0] if own else None]

    def _network_of(self, gallery: Gallery) -> LoadedNetwork:
        for network in self.networks.values():
            if network.stamp.weights_sha256 == gallery.stamp.weights_sha256:
                return network
        names = ", ".join(network.stamp.title for network in self.networks.values())
        raise InputError(f"the gallery was made by {gallery.stamp.title}, not by {names}: enrol its pictures again")

    def _embed_in(
        self, network: LoadedNetwork, pictures: Sequence[Picture], modality: str | None
    ) -> list[EmbeddedFace]:
        return self._embed_faces(pictures, self._finder.find(pictures), [modality] * len(pictures), network)

    def _embed_faces(
        self,
        pictures: Sequence[Picture],
        faces: Sequence[AcquiredFace | FailureToAcquire],
        modalities: Sequence[str | None],
        network: LoadedNetwork,
    ) -> list[EmbeddedFace]:
        """Faces through one network, in batches; failures pass by."""
        acquired = [row for row, face in enumerate(faces) if isinstance(face, AcquiredFace)]
        embeddings: dict[int, np.ndarray] = {}
        for start in range(0, len(acquired), self.batch_size):
            rows = acquired[start : start + self.batch_size]
            crops = [faces[row].crop.convert("RGB") for row in rows]  # type: ignore[union-attr]
            values = network.run(np.stack([np.asarray(crop) for crop in crops]))
            embeddings.update(zip(rows, values, strict=True))
        return [
            EmbeddedFace(name_of(picture, row), faces[row], embeddings.get(row), modalities[row])
            for row, picture in enumerate(pictures)
        ]

    def _threshold_for(self, network: LoadedNetwork, *modalities: str | None) -> Threshold | None:
        if self.threshold is not None:
            return Threshold.chosen(self.threshold)
        first, second = modalities
        if self.fmr is not None and network.calibration is None:
            raise InputError(
                f"{network.stamp.title} has no calibration.json, so no threshold: run `crossspec calibrate`"
            )
        if self.fmr is not None and None in modalities:
            raise InputError("a threshold belongs to a pair of modalities: give those of both pictures")
        if network.calibration is None or first is None or second is None:
            return None
        if self.fmr is None and network.calibration.pair(first, second) is None:
            return None
        return Threshold.calibrated(network.calibration.threshold(first, second, self.fmr))


def _decide(threshold: Threshold | None, score: float, modalities: tuple[str | None, ...]) -> tuple[Decision, str]:
    if threshold is not None:
        return threshold.decide(score)
    pair = "pictures of unknown modality" if None in modalities else " and ".join(map(str, modalities))
    return Decision.UNCERTAIN, f"no calibrated threshold for {pair} (crossspec calibrate), and none was given"
