"""The power transformer, where Ray has it too."""

from shoal.data.preprocessors.rows import PowerTransformer

__all__ = ["PowerTransformer"]
