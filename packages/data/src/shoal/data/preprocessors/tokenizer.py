"""The tokenizer, where Ray has it too."""

from shoal.data.preprocessors.text import Tokenizer

__all__ = ["Tokenizer"]
