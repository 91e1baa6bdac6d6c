"""torchvision's transforms, where Ray has them too."""

from shoal.data.preprocessors.torchvision import TorchVisionPreprocessor

__all__ = ["TorchVisionPreprocessor"]
