"""Discretizers, where Ray has them too."""

from shoal.data.preprocessors.discretizers import CustomKBinsDiscretizer, UniformKBinsDiscretizer

__all__ = ["CustomKBinsDiscretizer", "UniformKBinsDiscretizer"]
