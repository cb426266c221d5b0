"""The stack machine that a pickle is a program for, without the parts that can run code.

Python's own unpickler calls and mutates whatever it finds by name, and takes memory for what a file claims.
This one knows the operations that build plain values; the few names a file may use, and what calling and
completing them means, are given by a `Vocabulary`. Everything else is refused by name.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Protocol

from pointlora_cli.datasets.bounded_reader import BoundedReader, Damaged

_LONGEST_NUMBER = 1000  # characters or bytes; reading digits takes time that grows with their square
_LONGEST_KEY = 1000  # characters; comparing keys takes time
_LARGEST_DICTIONARY = 10_000  # items; keys can be made to collide
_LET_GO = object()


class Refused(Exception):  # noqa: N818 - a decision, not a mistake
    """The file asks for something that is not admitted."""


class Part:
    """What may stand in the arguments of a call and nowhere else: a name, a type of numbers."""

    __slots__ = ()


@dataclass(frozen=True)
class Name(Part):
    """A name that the vocabulary admits."""

    full: str


class Unfinished(Part):
    """An object that was begun by a call; `value` is None until its content came."""

    __slots__ = ("value",)

    def __init__(self, value: object = None) -> None:
        self.value = value


@dataclass(frozen=True)
class Arguments(Part):
    """A tuple that holds a part."""

    items: tuple[object, ...]


class Vocabulary(Protocol):
    """What names mean."""

    def name(self, module: str, name: str) -> Name:
        """The name, if it is admitted; raises `Refused`."""

    def call(self, name: Name, arguments: tuple[object, ...]) -> object:
        """What calling it gives; raises `Refused` or anything on bad arguments."""

    def finish(self, unfinished: Unfinished, state: object) -> None:
        """Give an object its content; raises `Refused` or anything on bad content."""


def run_pickle(file: IO[bytes], vocabulary: Vocabulary) -> object:
    """The value that a pickle describes.

    Args:
        file: at its start.
        vocabulary: the names it may use.

    Raises:
        Refused: it asks for something that is not admitted; nothing was run.
        Damaged: it is not a pickle, or not a whole one.
        Exception: any other kind, on contradictory content.
    """
    return _Machine(BoundedReader(file), vocabulary).run()


class _Machine:
    def __init__(self, reader: BoundedReader, vocabulary: Vocabulary) -> None:
        self._reader = reader
        self._vocabulary = vocabulary
        self._stack: list[object] = []
        self._below: list[list[object]] = []  # the stacks under each mark
        self._memo: dict[int, object] = {}

    def run(self) -> object:
        while (code := self._reader.take(1)) != pickle.STOP:
            operation = _OPERATIONS.get(code)
            if operation is None:
                reason = _REFUSED.get(code)
                if reason is not None:
                    raise Refused(reason)
                raise Damaged(f"byte {self._reader.position - 1:,} ({ascii(code)[1:]}) has no meaning there")
            operation(self)
        return _value(self.pop())

    def push(self, item: object) -> None:
        self._stack.append(item)

    def pop(self) -> object:
        """The last item; a finished object is its value."""
        item = self._stack.pop()
        return item.value if isinstance(item, Unfinished) and item.value is not None else item

    def pop_to_mark(self) -> list[object]:
        items: list[object] = []
        while self._stack:
            items.append(self.pop())
        self._stack = self._below.pop()
        return items[::-1]

    def mark(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def discard(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._stack = self._below.pop()

    def tuple_of(self, items: list[object]) -> None:
        gathered = tuple(items)
        self.push(Arguments(gathered) if any(isinstance(item, Part) for item in items) else gathered)

    def extend(self, items: list[object]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise Damaged("it appends to what is no list")
        target.extend([_value(item) for item in items])

    def set_items(self, items: list[object]) -> None:
        target = self._stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise Damaged("it sets items of what is no dictionary")
        if len(target) + len(items) // 2 > _LARGEST_DICTIONARY:
            raise Refused(f"a dictionary of more than {_LARGEST_DICTIONARY:,} items")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # The hash of deeply nested tuples overflows the stack.
            if not isinstance(key, str | bytes | int | float | None) or (
                isinstance(key, str | bytes) and len(key) > _LONGEST_KEY
            ):
                raise Refused("a dictionary with keys other than short text and numbers")
            target[key] = _value(value)

    def pairs(self) -> None:
        items = self.pop_to_mark()
        self.push({})
        self.set_items(items)

    def list_of(self) -> None:
        items = self.pop_to_mark()
        self.push([])
        self.extend(items)

    def get(self, place: int) -> None:
        item = self._memo[place]
        if item is _LET_GO:
            raise Damaged("it refers twice to the same long bytes")
        self.push(item)

    def put(self, place: int) -> None:
        # Pickles number the raw content of each array, though none refers to it again: half of the memory.
        item = self._stack[-1]
        parts = item.items if isinstance(item, Arguments) else (item,)
        is_content = any(isinstance(part, bytes) and len(part) > _LONGEST_KEY for part in parts)
        self._memo[place] = _LET_GO if is_content else item

    def memoize(self) -> None:
        self.put(len(self._memo))

    def name(self, module: object, name: object) -> None:
        self.push(self._vocabulary.name(str(module), str(name)))

    def stack_name(self) -> None:
        name, module = self.pop(), self.pop()
        self.name(module, name)

    def call(self) -> None:
        arguments, name = self.pop(), self.pop()
        items = arguments.items if isinstance(arguments, Arguments) else arguments
        if not isinstance(name, Name) or not isinstance(items, tuple):
            raise Refused("a call of what is no name")
        self.push(self._vocabulary.call(name, items))

    def finish(self) -> None:
        state = self.pop()
        target = self._stack[-1]
        if not isinstance(target, Unfinished):
            raise Refused("to change an object that it did not begin")
        self._vocabulary.finish(target, state.items if isinstance(state, Arguments) else state)

    def take(self, layout: str) -> bytes:
        """Bytes whose number stands before them."""
        return self._reader.take(self._reader.number(layout))

    def line(self, longest: int = -1) -> bytes:
        return self._reader.line(longest)

    def number(self, layout: str) -> int:
        return self._reader.number(layout)

    def decimal(self) -> int:
        return int(self.line(_LONGEST_NUMBER).rstrip(b"L"))

    def integer_line(self) -> None:
        text = self.line(_LONGEST_NUMBER)
        self.push({b"00": False, b"01": True}[text] if text in (b"00", b"01") else int(text))

    def long_number(self, layout: str) -> None:
        digits = self.take(layout)
        if len(digits) > _LONGEST_NUMBER:
            raise Damaged("it holds a number without measure")
        self.push(int.from_bytes(digits, "little", signed=True))

    def binary_float(self) -> None:
        self.push(struct.unpack(">d", self._reader.take(8))[0])

    def quoted(self) -> None:
        """Text as Python 2 wrote it: bytes, which are read as Latin-1."""
        text = self.line().strip()
        if len(text) < 2 or text[:1] not in (b"'", b'"') or text[-1:] != text[:1]:
            raise Damaged("a string is not quoted")
        self.push(text[1:-1].decode("unicode_escape"))

    def protocol(self) -> None:
        if self.number("B") > pickle.HIGHEST_PROTOCOL:
            raise Damaged("its protocol is of a later Python")


def _value(item: object) -> object:
    """The item, if it may be part of the result."""
    if isinstance(item, Part):
        raise Refused("a name, a type or an unfinished array where a value should be")
    return item


_Operation = Callable[[_Machine], object]


def _text(layout: str) -> _Operation:
    return lambda machine: machine.push(machine.take(layout).decode("utf-8", "surrogatepass"))


def _latin(layout: str) -> _Operation:
    return lambda machine: machine.push(machine.take(layout).decode("latin-1"))


def _bytes(layout: str) -> _Operation:
    return lambda machine: machine.push(machine.take(layout))


def _integer(layout: str) -> _Operation:
    return lambda machine: machine.push(machine.number(layout))


def _constant(make: Callable[[], object]) -> _Operation:
    return lambda machine: machine.push(make())


def _tuple(count: int) -> _Operation:
    return lambda machine: machine.tuple_of([machine.pop() for _ in range(count)][::-1])


_OPERATIONS: dict[bytes, _Operation] = {
    pickle.PROTO: _Machine.protocol,
    pickle.FRAME: lambda machine: machine.number("Q"),
    pickle.MARK: _Machine.mark,
    pickle.POP: _Machine.discard,
    pickle.POP_MARK: _Machine.pop_to_mark,
    pickle.DUP: lambda machine: machine.push(machine._stack[-1]),
    pickle.NONE: _constant(lambda: None),
    pickle.NEWTRUE: _constant(lambda: True),
    pickle.NEWFALSE: _constant(lambda: False),
    pickle.INT: _Machine.integer_line,
    pickle.BININT: _integer("i"),
    pickle.BININT1: _integer("B"),
    pickle.BININT2: _integer("H"),
    pickle.LONG: lambda machine: machine.push(machine.decimal()),
    pickle.LONG1: lambda machine: machine.long_number("B"),
    pickle.LONG4: lambda machine: machine.long_number("i"),
    pickle.FLOAT: lambda machine: machine.push(float(machine.line(_LONGEST_NUMBER))),
    pickle.BINFLOAT: _Machine.binary_float,
    pickle.STRING: _Machine.quoted,
    pickle.BINSTRING: _latin("i"),
    pickle.SHORT_BINSTRING: _latin("B"),
    pickle.BINBYTES: _bytes("I"),
    pickle.SHORT_BINBYTES: _bytes("B"),
    pickle.BINBYTES8: _bytes("Q"),
    pickle.BYTEARRAY8: _bytes("Q"),
    pickle.UNICODE: lambda machine: machine.push(machine.line().decode("raw-unicode-escape")),
    pickle.BINUNICODE: _text("I"),
    pickle.SHORT_BINUNICODE: _text("B"),
    pickle.BINUNICODE8: _text("Q"),
    pickle.EMPTY_LIST: _constant(list),
    pickle.LIST: _Machine.list_of,
    pickle.APPEND: lambda machine: machine.extend([machine.pop()]),
    pickle.APPENDS: lambda machine: machine.extend(machine.pop_to_mark()),
    pickle.EMPTY_TUPLE: _tuple(0),
    pickle.TUPLE1: _tuple(1),
    pickle.TUPLE2: _tuple(2),
    pickle.TUPLE3: _tuple(3),
    pickle.TUPLE: lambda machine: machine.tuple_of(machine.pop_to_mark()),
    pickle.EMPTY_DICT: _constant(dict),
    pickle.DICT: _Machine.pairs,
    pickle.SETITEM: lambda machine: machine.set_items([machine.pop(), machine.pop()][::-1]),
    pickle.SETITEMS: lambda machine: machine.set_items(machine.pop_to_mark()),
    pickle.GET: lambda machine: machine.get(machine.decimal()),
    pickle.BINGET: lambda machine: machine.get(machine.number("B")),
    pickle.LONG_BINGET: lambda machine: machine.get(machine.number("I")),
    pickle.PUT: lambda machine: machine.put(machine.decimal()),
    pickle.BINPUT: lambda machine: machine.put(machine.number("B")),
    pickle.LONG_BINPUT: lambda machine: machine.put(machine.number("I")),
    pickle.MEMOIZE: _Machine.memoize,
    pickle.GLOBAL: lambda machine: machine.name(machine.line().decode(), machine.line().decode()),
    pickle.STACK_GLOBAL: _Machine.stack_name,
    pickle.REDUCE: _Machine.call,
    pickle.BUILD: _Machine.finish,
}

_REFUSED: dict[bytes, str] = {
    **dict.fromkeys((pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET), "a set"),
    **dict.fromkeys((pickle.PERSID, pickle.BINPERSID), "an object kept outside the file"),
    **dict.fromkeys((pickle.NEXT_BUFFER, pickle.READONLY_BUFFER), "memory kept outside the file"),
    **dict.fromkeys((pickle.EXT1, pickle.EXT2, pickle.EXT4), "a registered extension"),
    **dict.fromkeys((pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX), "an object of a class"),
}
