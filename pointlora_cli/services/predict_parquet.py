"""Recorded predictions as a Parquet file, for data frames and queries."""

from __future__ import annotations

import importlib.util
import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pointlora_cli import __version__
from pointlora_cli.errors import DataError, UsageError
from pointlora_cli.files import written_atomically
from pointlora_cli.services.predict_rows import Row
from pointlora_cli.services.predictor import Settings
from pointlora_cli.training.adapter_file import AdapterRecord

_SUFFIX = ".parquet"
_ROWS = 4096  # in memory at a time
_MARK = b"pointlora"


class ParquetTable:
    """A Parquet file of all recorded predictions. It cannot grow: it is made at the end, and replaced as a whole.

    Until then the rows are in `journal`, a file of JSON Lines beside it, which stays: a later call needs it.
    """

    def __init__(self, path: Path) -> None:
        """Name the file, and make sure that it can be made.

        Raises:
            UsageError: pyarrow is not installed, or what has this name would be lost.
        """
        self.path = path
        self.journal = path.with_suffix(".jsonl")
        if importlib.util.find_spec("pyarrow") is None:
            raise UsageError(
                f"{path}: Parquet needs pyarrow, which is not installed",
                remedy=f"pip install 'pointlora[parquet]', or --save {self.journal}.",
            )
        if path.exists() and not (self.journal.exists() and _is_written_here(path)):
            raise UsageError(
                f"{path}: is not replaced: it is no table of `pointlora predict --save`, or {self.journal} with its "
                "rows is gone",
                remedy="Give another file to --save.",
            )

    def write(self, rows: Iterable[Row], record: AdapterRecord, settings: Settings) -> None:
        """Make the file, with the columns of the rows.

        Args:
            rows: what is recorded, all by one model.
            record: of that model.
            settings: what the rows were made with.

        Raises:
            UsageError: it cannot be written.
            DataError: the rows were changed by another hand.
        """
        import pyarrow
        from pyarrow import parquet

        schema = pyarrow.schema(_columns(record, settings), metadata={_MARK: __version__})
        try:
            with (
                written_atomically(self.path) as file,
                parquet.ParquetWriter(file, schema, compression="zstd") as writer,
            ):
                for some in _in_pieces(rows):
                    writer.write_batch(_batch(some, schema))
        except (ValueError, TypeError, OverflowError) as error:  # of Arrow
            raise DataError(
                f"{self.journal}: its rows make no table: {str(error).splitlines()[0]}",
                remedy="Somebody changed the file: give another one to --save.",
            ) from error
        except OSError as error:
            raise UsageError(
                f"{self.path}: cannot be written: {(error.strerror or str(error)).lower()}",
                remedy=f"Make room, and start again: all rows are in {self.journal}.",
            ) from error


def is_parquet(path: Path) -> bool:
    """Whether the name of a file asks for Parquet."""
    return path.suffix.lower() == _SUFFIX


def _is_written_here(path: Path) -> bool:
    import pyarrow
    from pyarrow import parquet

    try:
        return _MARK in (parquet.read_schema(path).metadata or {})
    except (OSError, pyarrow.ArrowException):
        return False


def _columns(record: AdapterRecord, settings: Settings) -> list[tuple[str, Any]]:
    """Name and type of each: the keys of the rows, those of files that cannot be read too."""
    import pyarrow

    text, count, number = pyarrow.string(), pyarrow.int64(), pyarrow.float64()
    if record.task == "part-segmentation":
        part = [("name", text), ("label", count), ("color", text), ("points", count)]
        answer = [("category", text), ("parts", pyarrow.list_(pyarrow.struct(part))), ("written", text)]
    else:
        probabilities = pyarrow.struct([(name, number) for name in record.classes])
        answer = [("class", text), ("probability", number), ("probabilities", probabilities)]
    made_with = [
        (name, pyarrow.bool_() if isinstance(value, bool) else text) for name, value in settings.items()
    ]
    return [
        ("path", text),
        *answer,
        ("points", count),
        ("notices", pyarrow.list_(text)),
        ("error", text),
        ("remedy", text),
        ("folder", text),
        ("settings", pyarrow.struct(made_with)),
    ]


def _in_pieces(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rows = iter(rows)
    while some := list(itertools.islice(rows, _ROWS)):
        yield some


def _batch(rows: list[Row], schema: Any) -> Any:
    import pyarrow

    try:
        return pyarrow.RecordBatch.from_pylist(rows, schema=schema)
    except UnicodeEncodeError:  # the name of a file may be no Unicode; a column of text must be
        return pyarrow.RecordBatch.from_pylist([_in_unicode(row) for row in rows], schema=schema)


def _in_unicode(value: Any) -> Any:
    """The same, with a replacement character for what is none of Unicode."""
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "\ufffd", value)
    if isinstance(value, dict):
        return {name: _in_unicode(each) for name, each in value.items()}
    return [_in_unicode(each) for each in value] if isinstance(value, list) else value
