"""Adapters on a base: one, or several of the same scope between which calls switch."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import PeftConfig, PeftModel
from transformers import PreTrainedModel

from hf_crossspec.errors import InputError, one_line
from hf_crossspec.hub.source import adapter_folder
from hf_crossspec.methods.selective_tuning.scopes import scope_of


def load_adapters(base: PreTrainedModel, adapters: Mapping[str, str | Path]) -> PeftModel:
    """Put adapters on a base; the first one is active.

    What follows is PEFT's: `set_adapter(name)` switches in about a millisecond, `with model.disable_adapter():` is the
    base to the bit, `merge_and_unload()` folds the active adapter in, `unload()` gives the base back.

    Args:
        base: The model that the adapters were trained on; it is wrapped, not copied.
        adapters: Name, for instance the modality, -> folder or Hub id (`owner/name@revision` for a revision).

    Raises:
        InputError: no adapter, one that does not fit the base, or adapters that tune different layers.

    Example:
        >>> model = load_adapters(base, {"nir": "edgeface-nir", "thermal": "edgeface-thermal"})  # doctest: +SKIP
        >>> model.set_adapter("thermal")  # doctest: +SKIP
    """
    if not adapters:
        raise InputError("give at least one adapter")
    folders = {name: adapter_folder(source) for name, source in adapters.items()}
    _refuse_mixed_layers({name: _read_config(folder, adapters[name]) for name, folder in folders.items()})
    model: Any = None
    for name, folder in folders.items():
        try:
            with quiet_peft():
                if model is None:
                    model = PeftModel.from_pretrained(base, str(folder), adapter_name=name)
                else:
                    model.load_adapter(str(folder), adapter_name=name)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise InputError(f"adapter {adapters[name]} does not fit the model: {one_line(error)}") from error
    return model


def _read_config(folder: Path, source: str | Path) -> PeftConfig:
    try:
        return PeftConfig.from_pretrained(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{source} has no readable adapter_config.json: {one_line(error)}") from error


def _refuse_mixed_layers(configs: Mapping[str, Any]) -> None:
    """PEFT fails at the first call after a switch between adapters of different layers: say so beforehand."""
    (first, reference), *others = configs.items()
    for name, config in others:
        if (config.peft_type, config.target_modules) != (reference.peft_type, reference.target_modules):
            raise InputError(
                f"adapters loaded together must tune the same layers, but {first} has scope {scope_of(reference)} and "
                f"{name} has scope {scope_of(config)}: load them into two models, or train both with one scope"
            )


class quiet_peft(warnings.catch_warnings):  # noqa: N801  (used like the context manager it extends)
    """Silence two notices of PEFT that ask for no action: layer types unknown to it, and a renamed attribute."""

    def __enter__(self) -> Any:
        entered = super().__enter__()
        warnings.filterwarnings("ignore", message="Unsupported layer type")
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
        return entered
