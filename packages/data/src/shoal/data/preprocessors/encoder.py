"""Encoders, where Ray has them too."""

from shoal.data.preprocessors.encoders import Categorizer, LabelEncoder, MultiHotEncoder, OneHotEncoder, OrdinalEncoder

__all__ = ["Categorizer", "LabelEncoder", "MultiHotEncoder", "OneHotEncoder", "OrdinalEncoder"]
