"""Functions of columns of text, Arrow's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.data.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from shoal.data._internal.expressions.accessors import Accessors
    from shoal.data._internal.expressions.nodes import Expr


class TextMethods:
    """See https://arrow.apache.org/docs/cpp/compute.html, string functions. Null stays null."""

    def __init__(self, expr: Accessors) -> None:
        self._expr = expr

    # --- lengths and cases ----------------------------------------------------------------------------------------------------

    def len(self) -> Expr:
        """Characters."""
        return self._expr._call("utf8_length")

    def byte_len(self) -> Expr:
        """Bytes in UTF-8."""
        return self._expr._call("binary_length")

    def lower(self) -> Expr:
        return self._expr._call("utf8_lower")

    def upper(self) -> Expr:
        return self._expr._call("utf8_upper")

    def title(self) -> Expr:
        return self._expr._call("utf8_title")

    def capitalize(self) -> Expr:
        return self._expr._call("utf8_capitalize")

    def swapcase(self) -> Expr:
        return self._expr._call("utf8_swapcase")

    def reverse(self) -> Expr:
        return self._expr._call("utf8_reverse")

    # --- ends -------------------------------------------------------------------------------------------------------------------

    def strip(self, characters: str | None = None) -> Expr:
        """Without whitespace, or these characters, at both ends."""
        return self._trimmed("utf8_trim", characters)

    def lstrip(self, characters: str | None = None) -> Expr:
        return self._trimmed("utf8_ltrim", characters)

    def rstrip(self, characters: str | None = None) -> Expr:
        return self._trimmed("utf8_rtrim", characters)

    def _trimmed(self, function: str, characters: str | None) -> Expr:
        if characters is None:
            return self._expr._call(f"{function}_whitespace")
        return self._expr._call(function, characters=characters)

    def pad(self, width: int, fillchar: str = " ", side: str = "right") -> Expr:
        """At least `width` characters, filled up at the 'left', the 'right' or 'both' sides."""
        functions = {"left": "utf8_lpad", "right": "utf8_rpad", "both": "utf8_center"}
        if side not in functions:
            raise InvalidArgumentError(f"pad: side={side!r}; use 'left', 'right' or 'both'")
        return self._expr._call(functions[side], width=width, padding=fillchar)

    def lpad(self, width: int, padding: str = " ") -> Expr:
        return self._expr._call("utf8_lpad", width=width, padding=padding)

    def rpad(self, width: int, padding: str = " ") -> Expr:
        return self._expr._call("utf8_rpad", width=width, padding=padding)

    def center(self, width: int, padding: str = " ") -> Expr:
        return self._expr._call("utf8_center", width=width, padding=padding)

    # --- parts ------------------------------------------------------------------------------------------------------------------

    def slice(self, start: int, stop: int | None = None, step: int = 1) -> Expr:
        """Characters, as Python's slices count them."""
        return self._expr._call("utf8_slice_codeunits", start=start, stop=stop, step=step)

    def repeat(self, n: int) -> Expr:
        from shoal.data._internal.expressions.nodes import CallExpr, as_expr

        return CallExpr("binary_repeat", (as_expr(self._expr), as_expr(n)))

    def replace(self, pattern: str, replacement: str, max_replacements: int | None = None) -> Expr:
        return self._expr._call(
            "replace_substring", pattern=pattern, replacement=replacement, max_replacements=max_replacements
        )

    def replace_regex(self, pattern: str, replacement: str, max_replacements: int | None = None) -> Expr:
        r"""`replacement` may name groups: `\1`."""
        return self._expr._call(
            "replace_substring_regex", pattern=pattern, replacement=replacement, max_replacements=max_replacements
        )

    def replace_slice(self, start: int, stop: int, replacement: str) -> Expr:
        return self._expr._call("utf8_replace_slice", start=start, stop=stop, replacement=replacement)

    def split(self, pattern: str, max_splits: int | None = None, reverse: bool = False) -> Expr:
        """Lists of the parts between."""
        return self._expr._call("split_pattern", pattern=pattern, max_splits=max_splits, reverse=reverse)

    def split_regex(self, pattern: str, max_splits: int | None = None, reverse: bool = False) -> Expr:
        return self._expr._call("split_pattern_regex", pattern=pattern, max_splits=max_splits, reverse=reverse)

    def split_whitespace(self, max_splits: int | None = None, reverse: bool = False) -> Expr:
        return self._expr._call("utf8_split_whitespace", max_splits=max_splits, reverse=reverse)

    def extract(self, pattern: str) -> Expr:
        """Structs of the named groups of a regular expression; null where it does not match."""
        return self._expr._call("extract_regex", pattern=pattern)

    # --- looking for something ------------------------------------------------------------------------------------------------

    def contains(self, pattern: str, ignore_case: bool = False) -> Expr:
        return self._expr._call("match_substring", pattern=pattern, ignore_case=ignore_case)

    def match(self, pattern: str, ignore_case: bool = False) -> Expr:
        """Whether it is like a pattern of SQL: `%` any characters, `_` one."""
        return self._expr._call("match_like", pattern=pattern, ignore_case=ignore_case)

    def match_regex(self, pattern: str, ignore_case: bool = False) -> Expr:
        return self._expr._call("match_substring_regex", pattern=pattern, ignore_case=ignore_case)

    def starts_with(self, pattern: str, ignore_case: bool = False) -> Expr:
        return self._expr._call("starts_with", pattern=pattern, ignore_case=ignore_case)

    def ends_with(self, pattern: str, ignore_case: bool = False) -> Expr:
        return self._expr._call("ends_with", pattern=pattern, ignore_case=ignore_case)

    def find(self, pattern: str, ignore_case: bool = False) -> Expr:
        """The first place, in bytes; -1 where there is none."""
        return self._expr._call("find_substring", pattern=pattern, ignore_case=ignore_case)

    def find_regex(self, pattern: str, ignore_case: bool = False) -> Expr:
        return self._expr._call("find_substring_regex", pattern=pattern, ignore_case=ignore_case)

    def count(self, pattern: str, ignore_case: bool = False) -> Expr:
        return self._expr._call("count_substring", pattern=pattern, ignore_case=ignore_case)

    def count_regex(self, pattern: str, ignore_case: bool = False) -> Expr:
        return self._expr._call("count_substring_regex", pattern=pattern, ignore_case=ignore_case)

    # --- of what kind ---------------------------------------------------------------------------------------------------------

    def is_alnum(self) -> Expr:
        return self._expr._call("utf8_is_alnum")

    def is_alpha(self) -> Expr:
        return self._expr._call("utf8_is_alpha")

    def is_ascii(self) -> Expr:
        return self._expr._call("string_is_ascii")

    def is_decimal(self) -> Expr:
        return self._expr._call("utf8_is_decimal")

    def is_digit(self) -> Expr:
        return self._expr._call("utf8_is_digit")

    def is_lower(self) -> Expr:
        return self._expr._call("utf8_is_lower")

    def is_numeric(self) -> Expr:
        return self._expr._call("utf8_is_numeric")

    def is_printable(self) -> Expr:
        return self._expr._call("utf8_is_printable")

    def is_space(self) -> Expr:
        return self._expr._call("utf8_is_space")

    def is_title(self) -> Expr:
        return self._expr._call("utf8_is_title")

    def is_upper(self) -> Expr:
        return self._expr._call("utf8_is_upper")
