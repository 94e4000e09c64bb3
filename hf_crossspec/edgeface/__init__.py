"""EdgeFace for transformers: configuration, model and image processor, registered with the Auto classes on import."""

from transformers import AutoConfig, AutoImageProcessor, AutoModel

from hf_crossspec.edgeface.configuration_edgeface import EdgeFaceConfig
from hf_crossspec.edgeface.image_processing_edgeface import EdgeFaceImageProcessor
from hf_crossspec.edgeface.modeling_edgeface import EdgeFaceModel, EdgeFaceOutput

AutoConfig.register("edgeface", EdgeFaceConfig)
AutoModel.register(EdgeFaceConfig, EdgeFaceModel)
AutoImageProcessor.register(EdgeFaceConfig, image_processor_classes={"torchvision": EdgeFaceImageProcessor})
EdgeFaceConfig.register_for_auto_class()
EdgeFaceModel.register_for_auto_class("AutoModel")
EdgeFaceImageProcessor.register_for_auto_class("AutoImageProcessor")

__all__ = ["EdgeFaceConfig", "EdgeFaceImageProcessor", "EdgeFaceModel", "EdgeFaceOutput"]
