"""The tokenizer, where Ray has them too."""

from shoal.data.preprocessors.text import Tokenizer

__all__ = ["Tokenizer"]
