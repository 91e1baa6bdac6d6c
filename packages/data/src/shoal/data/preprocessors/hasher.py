"""The feature hasher, where Ray has them too."""

from shoal.data.preprocessors.text import FeatureHasher

__all__ = ["FeatureHasher"]
