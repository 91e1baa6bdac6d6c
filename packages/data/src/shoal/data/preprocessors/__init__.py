"""Preprocessors: fitted on a dataset, applied to datasets and to single batches."""

from shoal.data.preprocessors.chain import Chain as Chain
from shoal.data.preprocessors.concatenator import Concatenator as Concatenator
from shoal.data.preprocessors.discretizers import CustomKBinsDiscretizer as CustomKBinsDiscretizer
from shoal.data.preprocessors.discretizers import UniformKBinsDiscretizer as UniformKBinsDiscretizer
from shoal.data.preprocessors.encoders import Categorizer as Categorizer
from shoal.data.preprocessors.encoders import LabelEncoder as LabelEncoder
from shoal.data.preprocessors.encoders import MultiHotEncoder as MultiHotEncoder
from shoal.data.preprocessors.encoders import OneHotEncoder as OneHotEncoder
from shoal.data.preprocessors.encoders import OrdinalEncoder as OrdinalEncoder
from shoal.data.preprocessors.imputer import SimpleImputer as SimpleImputer
from shoal.data.preprocessors.preprocessor import FitStatus as FitStatus
from shoal.data.preprocessors.preprocessor import Preprocessor as Preprocessor
from shoal.data.preprocessors.preprocessor import PreprocessorNotFittedException as PreprocessorNotFittedException
from shoal.data.preprocessors.rows import Normalizer as Normalizer
from shoal.data.preprocessors.rows import PowerTransformer as PowerTransformer
from shoal.data.preprocessors.scalers import MaxAbsScaler as MaxAbsScaler
from shoal.data.preprocessors.scalers import MinMaxScaler as MinMaxScaler
from shoal.data.preprocessors.scalers import RobustScaler as RobustScaler
from shoal.data.preprocessors.scalers import StandardScaler as StandardScaler
from shoal.data.preprocessors.text import CountVectorizer as CountVectorizer
from shoal.data.preprocessors.text import FeatureHasher as FeatureHasher
from shoal.data.preprocessors.text import HashingVectorizer as HashingVectorizer
from shoal.data.preprocessors.text import Tokenizer as Tokenizer
from shoal.data.preprocessors.torchvision import TorchVisionPreprocessor as TorchVisionPreprocessor
