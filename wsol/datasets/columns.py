"""Text files of a name and numbers a line, read as columns: a million lines in half a second.

Arrow reads what is plainly so. Of anything else it has no opinion here: then the caller reads line
by line, which is what decides, and knows what is wrong in which line.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["number", "whole number"]

_FEW = 2000
"""Lines below which importing Arrow would cost more than it saves."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The rows of a file.

    Attributes:
        names: of each row; n of them, as a list or an Arrow array.
        values: (n, k) float64, or int64 for whole numbers.
        lines: (n,) int64, the row's line in the file, counted from 1.
    """

    names: Any
    values: NDArray[Any]
    lines: NDArray[np.int64]

    def named_as(self, names: Any) -> bool:
        """Whether the names are those of an Arrow array, in its order."""
        return not isinstance(self.names, list) and bool(self.names.equals(names))

    def name(self, row: int) -> str:
        """The name of one row."""
        found = self.names[row]
        return found if isinstance(found, str) else str(found.as_py())


def arrow_names(names: list[str]) -> Any:
    """Names as `Columns` of a large file have them."""
    import pyarrow as pa

    return pa.chunked_array([pa.array(names, pa.string())])


def fast_columns(data: bytes, count: int, kind: Kind, few: int = _FEW) -> Columns | None:
    """The rows of a file of comma-separated lines, a name and `count` numbers each.

    None where that is not plainly what it is: blank lines, numbers that Python writes otherwise,
    another count of fields, anything that is no UTF-8; and for less than `few` lines.
    """
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    # Arrow reads hexadecimal numbers, which are none here; they may as well be part of a name.
    if lines < few or b"0x" in data or b"0X" in data:
        return None
    import pyarrow as pa
    from pyarrow import csv

    numbers = [f"{place}" for place in range(count)]
    type_ = pa.float64() if kind == "number" else pa.int64()
    try:
        table = csv.read_csv(
            pa.BufferReader(data),
            csv.ReadOptions(column_names=["name", *numbers], use_threads=True),
            csv.ParseOptions(quote_char=False, escape_char=False, ignore_empty_lines=True),
            csv.ConvertOptions(
                column_types={"name": pa.string(), **dict.fromkeys(numbers, type_)},
                null_values=[],
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowException:
        return None
    if table.num_rows != lines:  # a blank line, or a carriage return that ends one
        return None
    columns = [table[name].to_numpy() for name in numbers]
    return Columns(
        table["name"],
        np.stack(columns, axis=1) if columns else np.empty((lines, 0)),
        np.arange(1, lines + 1),
    )
