"""The base class of preprocessors, where Ray has it too."""

from shoal.data.preprocessors.preprocessor import Preprocessor, PreprocessorNotFittedException

__all__ = ["Preprocessor", "PreprocessorNotFittedException"]
