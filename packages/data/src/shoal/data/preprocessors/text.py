"""Text as tokens, and tokens as vectors of counts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.data.aggregate import AggregateFnV2
from shoal.data.exceptions import InvalidArgumentError
from shoal.data.preprocessors.preprocessor import Preprocessor, checked_columns, checked_outputs, learned

if TYPE_CHECKING:
    from shoal.data.dataset import Dataset

Tokenization = Callable[[str], Iterable[str]]


def simple_split(text: str) -> list[str]:
    """Returns the words between single spaces."""
    return text.split(" ")


def simple_hash(value: object, num_features: int) -> int:
    """Returns a number from 0 to `num_features` - 1, the same in every process."""
    digest = hashlib.sha1(str(value).encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "little") % num_features


def _checked_features(num_features: Any) -> int:
    if not isinstance(num_features, int) or isinstance(num_features, bool) or num_features < 1:
        raise InvalidArgumentError(f"num_features={num_features!r}: give how many, 1 or more")
    return num_features


class Tokenizer(Preprocessor):
    """Texts as lists of tokens; null stays null.

    Args:
        columns: of texts.
        tokenization_fn: from a text to its tokens; None to split at spaces.
        output_columns: names of the results, one a column; None to replace the columns.
    """

    _is_fittable = False

    def __init__(
        self,
        columns: Sequence[str],
        tokenization_fn: Tokenization | None = None,
        output_columns: Sequence[str] | None = None,
    ) -> None:
        self.columns = checked_columns(columns)
        self.tokenization_fn = tokenization_fn or simple_split
        self.output_columns = checked_outputs(self.columns, output_columns)

    def _transform_pandas(self, df: Any) -> Any:
        for column, output in zip(self.columns, self.output_columns, strict=True):
            df[output] = [_tokens(text, self.tokenization_fn) for text in df[column]]
        return df


def _tokens(text: Any, tokenize: Tokenization) -> list[str] | None:
    return list(tokenize(text)) if isinstance(text, str) else None


class FeatureHasher(Preprocessor):
    """Columns of counts of tokens as one column of vectors, in which each column has a place by its hash; the columns go.

    Source: Weinberger et al., *Feature hashing for large scale multitask learning* (2009).

    Args:
        columns: of counts; their names are the tokens.
        num_features: length of the vectors.
        output_column: name of the result.
    """

    _is_fittable = False

    def __init__(self, columns: Sequence[str], num_features: int, output_column: str) -> None:
        self.columns = checked_columns(columns)
        self.num_features = _checked_features(num_features)
        if not isinstance(output_column, str) or not output_column:
            raise InvalidArgumentError(f"output_column={output_column!r}: give the name of a column")
        self.output_column = output_column

    def _transform_numpy(self, np_data: dict[str, Any]) -> dict[str, Any]:
        rows = len(np_data[self.columns[0]])
        vectors = np.zeros((rows, self.num_features), dtype=np.float64)
        for column in self.columns:
            vectors[:, simple_hash(column, self.num_features)] += np.asarray(np_data[column], dtype=np.float64)
        made = {name: values for name, values in np_data.items() if name not in self.columns}
        return {**made, self.output_column: vectors}

    def get_output_columns(self) -> list[str]:
        return [self.output_column]


class HashingVectorizer(Preprocessor):
    """Texts as vectors of counts of their tokens, each in a place by its hash.

    Args:
        columns: of texts.
        num_features: length of the vectors.
        tokenization_fn: from a text to its tokens; None to split at spaces.
        output_columns: names of the results, one a column; None to replace the columns.
    """

    _is_fittable = False

    def __init__(
        self,
        columns: Sequence[str],
        num_features: int,
        tokenization_fn: Tokenization | None = None,
        *,
        output_columns: Sequence[str] | None = None,
    ) -> None:
        self.columns = checked_columns(columns)
        self.num_features = _checked_features(num_features)
        self.tokenization_fn = tokenization_fn or simple_split
        self.output_columns = checked_outputs(self.columns, output_columns)

    def _transform_pandas(self, df: Any) -> Any:
        for column, output in zip(self.columns, self.output_columns, strict=True):
            vectors = np.zeros((len(df), self.num_features), dtype=np.int64)
            for row, text in enumerate(df[column]):
                for token in _tokens(text, self.tokenization_fn) or ():
                    vectors[row, simple_hash(token, self.num_features)] += 1
            df[output] = list(vectors)
        return df


class CountVectorizer(Preprocessor):
    """Texts as vectors of counts of those tokens that were seen in fitting, the most frequent first.

    Args:
        columns: of texts.
        tokenization_fn: from a text to its tokens; None to split at spaces.
        max_features: how many of the most frequent tokens get a place; None for all.
        output_columns: names of the results, one a column; None to replace the columns.
    """

    def __init__(
        self,
        columns: Sequence[str],
        tokenization_fn: Tokenization | None = None,
        max_features: int | None = None,
        *,
        output_columns: Sequence[str] | None = None,
    ) -> None:
        self.columns = checked_columns(columns)
        self.tokenization_fn = tokenization_fn or simple_split
        self.max_features = None if max_features is None else _checked_features(max_features)
        self.output_columns = checked_outputs(self.columns, output_columns)

    def _fit(self, ds: Dataset) -> None:
        found = learned(ds, [_TokenCounter(column, self.tokenization_fn) for column in self.columns])
        self.stats_ = {}
        for column in self.columns:
            counts = found[f"token_counts({column})"] or {}
            frequent = sorted(counts, key=lambda token, counts=counts: (-counts[token], token))[: self.max_features]
            self.stats_[f"token_counts({column})"] = {token: counts[token] for token in frequent}

    def _transform_pandas(self, df: Any) -> Any:
        for column, output in zip(self.columns, self.output_columns, strict=True):
            places = {token: place for place, token in enumerate(self.stats_[f"token_counts({column})"])}
            vectors = np.zeros((len(df), len(places)), dtype=np.int64)
            for row, text in enumerate(df[column]):
                for token in _tokens(text, self.tokenization_fn) or ():
                    if token in places:
                        vectors[row, places[token]] += 1
            df[output] = list(vectors)
        return df


class _TokenCounter(AggregateFnV2):
    """How often each token comes."""

    def __init__(self, on: str, tokenize: Tokenization) -> None:
        super().__init__(f"token_counts({on})", dict, on=on, ignore_nulls=True)
        self._column = on
        self._tokenize = tokenize

    def aggregate_block(self, block: Any) -> Any:
        counts: Counter[str] = Counter()
        for text in block.column(self._column).to_pylist():
            counts.update(_tokens(text, self._tokenize) or ())
        return dict(counts)

    def combine(self, current_accumulator: Any, new: Any) -> Any:
        return dict(Counter(current_accumulator) + Counter(new))
