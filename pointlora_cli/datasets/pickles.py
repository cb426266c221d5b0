"""Pickles of arrays, lists, tuples, dictionaries and numbers, read so that nothing in them can run."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointlora_cli.clouds.files import checked_size, quoted, shown, system_errors
from pointlora_cli.datasets.bounded_reader import Damaged
from pointlora_cli.datasets.pickle_machine import Name, Part, Refused, Unfinished, run_pickle
from pointlora_cli.errors import DataError, IntegrityError

Array = NDArray[Any]

_ADMITTED = "only arrays, lists, tuples, dictionaries and numbers are admitted; nothing was run"
_REMEDY = (
    "Do not load it with other programs: a pickle can run any code. Fetch the file again from its publisher."
)
_NUMBERS = re.compile(r"[<>=|]?(?:[biufc]\d{1,2}|\?)", re.ASCII)
_MOST_AXES = 32


def load_plain_pickle(path: Path, *, what: str, keep: Callable[[Array], Array] | None = None) -> object:
    """Read a pickle that holds numpy arrays of numbers, and plain Python values around them.

    Files of every protocol are read, those that Python 2 wrote too; their strings become Latin-1 text.
    A file is never given to Python's unpickler, and takes memory only for what it holds.

    Args:
        path: the file.
        what: it should be, for messages, e.g. "a processed ModelNet40 file".
        keep: given each array, returns what is kept in its place; for files larger than what is wanted of them.

    Returns:
        the value; its arrays are read-only.

    Raises:
        IntegrityError: it asks for anything else, a function or a class for instance.
        DataError: it cannot be read, or is not a whole pickle.
    """
    with system_errors(path):
        size = checked_size(path)
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on odd escapes in text and the like
            try:
                return run_pickle(file, _ArrayVocabulary(size, keep))
            except Refused as refused:
                raise IntegrityError(
                    f"{shown(path)}: refused: it asks for {refused}, and {_ADMITTED}", remedy=_REMEDY
                ) from None
            except (MemoryError, OSError):
                raise
            except Damaged as damage:
                reason = str(damage)
            except Exception as error:  # contradictory content may raise anything
                reason = f"its content is contradictory ({type(error).__name__})"
        if _starts_as_a_page(path):
            reason = "it is a web page"
    raise DataError(f"{shown(path)}: not {what}: {reason}", remedy="Fetch a complete copy of the file.")


def _starts_as_a_page(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(64).lstrip().startswith(b"<")


@dataclass(frozen=True)
class _Numbers(Part):
    """A type of numbers."""

    dtype: np.dtype[Any]


class _ArrayVocabulary:
    """The names by which numpy 1 and 2 pickle arrays, and our own meaning of each."""

    def __init__(self, size: int, keep: Callable[[Array], Array] | None) -> None:
        self._keep = keep
        self._encodable = size  # bytes; each may be encoded once
        self._calls: dict[str, Callable[..., object]] = {
            "numpy.dtype": self._dtype,
            "_codecs.encode": self._encode,
            "__builtin__.bytes": lambda: b"",  # so old protocols write empty bytes; with arguments it fails
            **{
                f"numpy.{core}.{name}": call
                for core in ("core", "_core")
                for name, call in (
                    ("multiarray._reconstruct", self._reconstruct),
                    ("multiarray.scalar", self._scalar),
                    ("numeric._frombuffer", self._from_buffer),
                )
            },
        }

    def name(self, module: str, name: str) -> Name:
        full = f"{module}.{name}"
        if full not in self._calls and full != "numpy.ndarray":
            raise Refused(full if re.fullmatch(r"[\w.]{1,60}", full, re.ASCII) else quoted(full))
        return Name(full)

    def call(self, name: Name, arguments: tuple[object, ...]) -> object:
        call = self._calls.get(name.full)
        if call is None:
            raise Refused(f"a call of {name.full}")
        return call(*arguments)

    def finish(self, unfinished: Unfinished, state: object) -> None:
        if not isinstance(unfinished.value, _Numbers | None):
            raise Refused("to change a finished array")
        if not isinstance(state, tuple):
            raise Damaged("an array's content is no tuple")
        if isinstance(unfinished.value, _Numbers):
            unfinished.value = _in_byte_order(unfinished.value, state)
        else:
            shape, numbers, is_fortran, content = state[-4:]
            unfinished.value = self._array(shape, numbers, "F" if is_fortran else "C", content)

    def _reconstruct(self, subtype: object, shape: object, code: object) -> Unfinished:
        """An array whose shape and content come later; those claimed here are empty in every honest file."""
        if subtype != Name("numpy.ndarray"):
            raise Refused("an array of another class")
        return Unfinished()

    def _dtype(self, code: object, align: object = False, copy: object = True) -> Unfinished:
        if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
            raise Refused(f"an array of {quoted(code) if isinstance(code, str) else 'no numbers'}")
        return Unfinished(_Numbers(np.dtype(code)))

    def _scalar(self, numbers: object, content: object) -> object:
        return self._array((), numbers, "C", content)[()]

    def _from_buffer(self, content: object, numbers: object, shape: object, order: object) -> Array:
        return self._array(shape, numbers, "F" if order == "F" else "C", content)

    def _encode(self, text: str, encoding: str = "latin1") -> bytes:
        """Bytes, which old protocols write as text."""
        if encoding not in ("latin1", "latin-1"):
            raise Refused(f"text encoded as {quoted(str(encoding))}")
        self._encodable -= len(text)
        if self._encodable < 0:
            raise Refused("more text than the file holds")
        return text.encode("latin-1")

    def _array(self, shape: object, numbers: object, order: Any, content: object) -> Array:
        if isinstance(content, list):
            raise Refused("an array of Python objects")
        if isinstance(content, str):
            content = self._encode(content)  # Python 2 wrote bytes as such
        if not isinstance(numbers, _Numbers) or not isinstance(content, bytes):
            raise Damaged("an array has no type of numbers or no content")
        if (
            not isinstance(shape, tuple)
            or len(shape) > _MOST_AXES
            or not all(type(size) is int and size >= 0 for size in shape)
            or math.prod(shape) * numbers.dtype.itemsize != len(content)
        ):
            raise Damaged("an array's content does not fit its shape")
        array: Array = np.ndarray(shape, numbers.dtype, buffer=content, order=order)
        return self._keep(array) if self._keep and array.ndim else array


def _in_byte_order(numbers: _Numbers, state: tuple[object, ...]) -> _Numbers:
    order, *rest = state[1:5]
    if any(part is not None for part in rest):
        raise Refused("an array of records")
    if order not in ("<", ">", "=", "|"):
        raise Damaged("a type of numbers has no byte order")
    return _Numbers(numbers.dtype if order == "|" else numbers.dtype.newbyteorder(order))
