"""The normalizer, where Ray has them too."""

from shoal.data.preprocessors.rows import Normalizer

__all__ = ["Normalizer"]
