"""Low-rank embeddings from a folder or the Hub, known to transformers' Auto classes."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel

from hf_crossspec.errors import InputError, one_line
from hf_crossspec.hub.source import fetch_files, is_repo_id
from hf_crossspec.methods.low_rank.configuration_low_rank import LowRankConfig
from hf_crossspec.methods.low_rank.modeling_low_rank import LowRankEmbedding

FILES = ("config.json", "model.safetensors")

AutoConfig.register(LowRankConfig.model_type, LowRankConfig)
AutoModel.register(LowRankConfig, LowRankEmbedding)
LowRankConfig.register_for_auto_class()
LowRankEmbedding.register_for_auto_class("AutoModel")


def load_low_rank(source: str | Path, network_sha256: str) -> LowRankEmbedding:
    """The low-rank embedding in a folder or Hub repository (`owner/name@revision` for a revision).

    Args:
        network_sha256: Fingerprint of the network (model and adapter) that it is to follow.

    Raises:
        InputError: nothing to load there, or a low-rank embedding of another network.
    """
    if is_repo_id(source):
        folder = fetch_files(source, FILES)
    else:
        folder = Path(source)
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise InputError(f"{source} is not a low-rank embedding: it has no {missing[0]}")
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if not isinstance(config, LowRankConfig):
            raise InputError(f"{source} is a {config.model_type} model, not a low-rank embedding")
        low_rank = LowRankEmbedding.from_pretrained(folder, config=config, dtype="float32", use_safetensors=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{source} is not loadable as a low-rank embedding: {one_line(error)}") from error
    if config.network_sha256 != network_sha256:
        raise InputError(f"{source} was fitted for a network with other weights: fit one for this model and adapter")
    low_rank.name_or_path = str(source)
    return low_rank.eval()
