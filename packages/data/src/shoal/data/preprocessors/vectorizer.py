"""Vectorizers, where Ray has them too."""

from shoal.data.preprocessors.text import CountVectorizer, HashingVectorizer

__all__ = ["CountVectorizer", "HashingVectorizer"]
