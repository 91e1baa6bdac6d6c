"""The power transformer, where Ray has them too."""

from shoal.data.preprocessors.rows import PowerTransformer

__all__ = ["PowerTransformer"]
