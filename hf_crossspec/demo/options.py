"""What the demo shows, and where it is served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.calibration_file import Calibration, find_calibration

EMBEDDED_MODEL = "edgeface-nano"
EMBEDDED_ADAPTER = "edgeface-nano-nir-sim"


@dataclass(frozen=True)
class DemoOptions:
    """Options of the demo.

    Args:
        model: Folder or Hub id; `None` for the embedded nano EdgeFace with its adapter, which know rendered faces only.
        adapter: Folder or Hub id; or modality -> adapter.
        low_rank: A low-rank embedding for the model with its adapter.
        hallucinator: A hallucination model (folder or Hub id), which gets a tab of its own.
        detector: Name of a registered face detector.
        detector_path: The detector's model file; else it is fetched from the Hub when it is first needed.
        host, port: `None` leaves them to Gradio and its environment variables, as a Space needs it.
        mcp_server: Offer the endpoints to language models, too.
        keep_uploads: Seconds after which an uploaded file is deleted.
    """

    model: str | None = None
    adapter: str | Mapping[str, str | Path] | None = None
    low_rank: str | None = None
    hallucinator: str | None = None
    detector: str = "yunet"
    detector_path: str | Path | None = None
    host: str | None = None
    port: int | None = None
    mcp_server: bool = False
    keep_uploads: int = 90

    @property
    def embedded(self) -> bool:
        """Whether the package's own network is shown."""
        return self.model is None

    @property
    def sources(self) -> tuple[str, str | Mapping[str, str | Path] | None]:
        """Model and adapter to load."""
        if self.model is not None:
            return self.model, self.adapter
        assets = files("hf_crossspec") / "assets"
        return str(assets / EMBEDDED_MODEL), self.adapter or str(assets / EMBEDDED_ADAPTER)

    @property
    def adapters(self) -> dict[str | None, str | Path]:
        """Modality -> adapter, `None` for all modalities."""
        adapter = self.sources[1]
        if isinstance(adapter, Mapping):
            return dict(adapter.items())
        return {} if adapter is None else {None: adapter}

    def calibrations(self) -> list[Calibration]:
        """The calibrations of the model and its adapters, as far as there are any; read without the networks."""
        model, found = self.sources[0], []
        for adapter in (None, *self.adapters.values()):
            try:
                found.append(Calibration.load(find_calibration(model, adapter)))
            except InputError:  # there is none
                continue
        return found

    def modalities(self) -> list[str]:
        """What a picture may be taken in: calibrated modalities and those with an adapter, `vis` first."""
        found = {name for each in self.calibrations() for pair in each.pairs for name in pair.modalities}
        found |= {name for name in self.adapters if name is not None}
        others = (*(() if self.embedded else ("nir", "thermal", "sketch")), "nir-sim", "thermal-sim", "sketch-sim")
        return list(dict.fromkeys(["vis", *sorted(found), *others]))

    def fmrs(self) -> list[float]:
        """False match rates that something is calibrated for, descending."""
        found = {entry.fmr for each in self.calibrations() for pair in each.pairs for entry in pair.thresholds}
        return sorted(found, reverse=True)
