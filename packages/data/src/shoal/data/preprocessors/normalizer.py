"""The normalizer, where Ray has it too."""

from shoal.data.preprocessors.rows import Normalizer

__all__ = ["Normalizer"]
