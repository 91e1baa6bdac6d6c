"""The feature hasher, where Ray has it too."""

from shoal.data.preprocessors.text import FeatureHasher

__all__ = ["FeatureHasher"]
