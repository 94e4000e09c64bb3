"""EdgeFace for transformers: configuration and model, registered with the Auto classes on import.

The image processor registers itself when transformers' processors are imported, since a model alone needs none of them.
"""

from transformers import AutoConfig, AutoModel

from hf_crossspec.edgeface.configuration_edgeface import EdgeFaceConfig
from hf_crossspec.edgeface.modeling_edgeface import EdgeFaceModel, EdgeFaceOutput

AutoConfig.register("edgeface", EdgeFaceConfig)
AutoModel.register(EdgeFaceConfig, EdgeFaceModel)
EdgeFaceConfig.register_for_auto_class()
EdgeFaceModel.register_for_auto_class("AutoModel")

__all__ = ["EdgeFaceConfig", "EdgeFaceModel", "EdgeFaceOutput"]
