"""Networks, thresholds and the face detector behind the page, loaded by a thread while the page is served."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from hf_crossspec.demo.options import DemoOptions
from hf_crossspec.demo.synthetic import Shot, render

if TYPE_CHECKING:
    from hf_crossspec.faces.acquisition import AcquiredFace, FailureToAcquire
    from hf_crossspec.recognition.networks import LoadedNetwork
    from hf_crossspec.recognition.recognizer import Recognizer
    from hf_crossspec.recognition.results import Verification

ALIGNED = (112, 112)  # a picture of this size is taken as an aligned face
SHOWN_SIDE = 360
Systems = dict[str, "Recognizer"]


@dataclass(frozen=True, eq=False)
class Look:
    """What was found in one picture.

    Args:
        picture: The picture, reduced, with a box around the face that is used.
        face: The aligned face, or the failure to acquire one.
    """

    picture: Image.Image
    face: AcquiredFace | FailureToAcquire

    @property
    def crop(self) -> Image.Image | None:
        """The aligned face, if there is one."""
        return getattr(self.face, "crop", None)


@dataclass(frozen=True)
class Networks:
    """What was loaded: modality -> network with the adapters, and the network without any."""

    adapted: Mapping[str | None, LoadedNetwork]
    plain: LoadedNetwork
    hallucinator: Any = None

    @property
    def has_adapter(self) -> bool:
        """Whether there is anything to compare the plain network with."""
        return any(network is not self.plain for network in self.adapted.values())

    @property
    def by_name(self) -> dict[str, Mapping[str | None, LoadedNetwork]]:
        """The systems that are compared, by the name that the page gives them."""
        plain: dict[str | None, LoadedNetwork] = {None: self.plain}
        return {"without": plain, "with": self.adapted} if self.has_adapter else {"without": plain}


class Engine:
    """All that the page asks for; every method waits until the networks are loaded, and any thread may call."""

    def __init__(self, options: DemoOptions) -> None:
        self.options = options
        self._networks: Future[Networks] = Future()
        self._lock = Lock()
        self._detector: Any = None
        self._recognizers: dict[tuple[str, float | None], Recognizer] = {}

    def start(self) -> None:
        """Begin to load."""
        Thread(target=self._load, name="load networks", daemon=True).start()

    @property
    def networks(self) -> Networks:
        """What was loaded.

        Raises:
            InputError: what could not be, and why.
        """
        return self._networks.result()

    def render(self, shot: Shot) -> Image.Image:
        """The picture of a rendered person."""
        _ = self.networks  # two threads that import the same libraries at a time may wait for each other forever
        return render(shot)

    def look(self, picture: Image.Image) -> Look:
        """Find the face of a picture.

        Raises:
            InputError: there is no face detector.
        """
        _ = self.networks
        from hf_crossspec.faces.acquisition import acquire_face
        from hf_crossspec.faces.scaling import to_eight_bit

        pixels = to_eight_bit(picture)
        aligned = pixels.shape[1::-1] == ALIGNED
        face = acquire_face(pixels, None if aligned else self._face_detector(), pre_aligned=aligned)
        return Look(_outlined(pixels, getattr(face, "box", None)), face)

    def systems(self, modalities: tuple[str, str], fmr: float | None) -> Systems:
        """Recognisers of aligned faces, by name; with thresholds for the FMR where the pair is calibrated for it."""
        by_name = self.networks.by_name
        from hf_crossspec.recognition.recognizer import Recognizer

        systems = {}
        for name, networks in by_name.items():
            supported = fmr if fmr in self._fmrs(networks, modalities) else None
            with self._lock:
                key = (name, supported)
                if key not in self._recognizers:
                    self._recognizers[key] = Recognizer(networks, aligned=True, fmr=supported)
                systems[name] = self._recognizers[key]
        return systems

    def is_stranger_to(self, look: Look) -> bool:
        """Whether a face is unlike all that the embedded network knows: it was found in a picture, not rendered."""
        return self.options.embedded and getattr(look.face, "score", None) is not None

    def verify(
        self, crops: tuple[Image.Image, Image.Image], modalities: tuple[str, str], fmr: float | None
    ) -> dict[str, Verification]:
        """Compare two aligned faces without and with the adapter."""
        systems = self.systems(modalities, fmr)
        return {name: recognizer.verify(*crops, modalities) for name, recognizer in systems.items()}

    def _fmrs(self, networks: Mapping[str | None, LoadedNetwork], modalities: tuple[str, str]) -> list[float]:
        own = [networks[modality] for modality in modalities if modality in networks]
        calibration = (own or [networks[None]])[0].calibration
        pair = None if calibration is None else calibration.pair(*modalities)
        return [] if pair is None else [entry.fmr for entry in pair.thresholds]

    def _load(self) -> None:
        try:
            self._networks.set_result(load(self.options))
        except BaseException as error:  # told to whoever waits
            self._networks.set_exception(error)

    def _face_detector(self) -> Any:
        from hf_crossspec.faces.detection import make_detector

        with self._lock:
            if self._detector is None:
                self._detector = make_detector(self.options.detector, self.options.detector_path)
            return self._detector


def load(options: DemoOptions) -> Networks:
    """Load what the options name.

    Raises:
        InputError: what cannot be loaded, and why.
    """
    from hf_crossspec.cli.shared import quiet_libraries

    quiet_libraries()
    from hf_crossspec.recognition.networks import load_networks

    model, adapter = options.sources
    adapted = load_networks(model, adapter, options.low_rank)
    one_adapted = isinstance(adapter, str) or options.low_rank is not None
    plain = load_networks(model)[None] if one_adapted else adapted[None]
    hallucinator = None
    if options.hallucinator is not None:
        from hf_crossspec.methods.hallucination.apply import load_hallucinator

        hallucinator = load_hallucinator(options.hallucinator)
    for network in (plain, *adapted.values()):
        network.run(np.zeros((1, *ALIGNED, 3), np.uint8))  # the first pass is the slowest: not while somebody waits
    return Networks(adapted, plain, hallucinator)


def _outlined(pixels: np.ndarray, box: tuple[float, float, float, float] | None) -> Image.Image:
    """A picture reduced to what the page shows, with a box drawn on it."""
    picture = Image.fromarray(pixels).convert("RGB")
    scale = min(1.0, SHOWN_SIDE / max(picture.size))
    picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    if box is not None:
        left, top, width, height = (scale * value for value in box)
        corners = (left, top, left + width, top + height)
        draw = ImageDraw.Draw(picture)
        draw.rectangle(corners, outline="black", width=5)
        draw.rectangle(corners, outline="#E69F00", width=3)
    return picture
