"""Scalers, where Ray has them too."""

from shoal.data.preprocessors.scalers import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

__all__ = ["MaxAbsScaler", "MinMaxScaler", "RobustScaler", "StandardScaler"]
