"""A file of predictions, one JSON object in each line, that can be gone on with after anything."""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from pointlora_cli.errors import DataError, UsageError
from pointlora_cli.files import sync_folder, written_atomically
from pointlora_cli.services.new_files import make_folder
from pointlora_cli.services.predict_rows import Row
from pointlora_cli.services.predictor import Settings

_LONGEST = 1 << 26  # bytes of a line; a longer one is none of ours
_SYNC_EVERY = 1.0  # seconds of work that a power cut may cost; a killed process loses nothing
_START = b'{"path": "'  # of each line
_OTHER_FILE = "Give another file to --save."


class ResultsFile:
    """Open for one call at a time; what is in it is of one model and the same options.

    Each row is written at once and flushed to disk every second, so that only the last line can be half there:
    it is taken off when the file is opened. Paths in it are as they were named, from the row's `folder`, which
    is seen from the folder of the file itself: so they hold wherever the next call is made.
    """

    def __init__(self, path: Path) -> None:
        """Name the file; it is opened on entering.

        Args:
            path: where the rows are, or shall be.
        """
        self.path = path
        self.written: list[str] = []
        """The labelled clouds that are recorded, as absolute paths."""
        self._place = str(path.absolute().parent)
        self._folder = _seen_from(self._place, str(Path.cwd()))
        self._answers: dict[str, str | None] = {}  # class or category of each absolute path; None: unreadable
        self._settings: list[tuple[int, Settings]] = []  # each that differs from the last, and in which line
        self._synced = time.monotonic()

    def __enter__(self) -> Self:
        """Open the file, take what is recorded, and mend its end.

        Raises:
            UsageError: it cannot be written, or another call is writing it.
            DataError: it holds something else.
        """
        make_folder(self.path.parent)
        self._file = self._opened()
        try:
            self._lock()
            self._file.truncate(self._recorded())
        except BaseException as error:
            self._file.close()
            if isinstance(error, OSError):
                raise self._unwritable(error) from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flush to disk what is there, and close the file.

        Raises:
            UsageError: it cannot be flushed.
        """
        with self._file:
            try:
                os.fsync(self._file.fileno())
            except OSError as failure:
                if error is None:
                    raise self._unwritable(failure) from failure

    def missing(self, paths: Iterable[Path]) -> list[Path]:
        """Those that are not recorded, each once, in their order."""
        found: dict[str, Path] = {}
        for path in paths:
            found.setdefault(_absolute(path), path)
        return [path for name, path in found.items() if name not in self._answers]

    def answers(self, paths: Iterable[Path]) -> list[str | None]:
        """Class or category of those that are recorded, each once; None of one that could not be read."""
        names = dict.fromkeys(map(_absolute, paths))
        return [self._answers[name] for name in names if name in self._answers]

    def forget_unreadable(self) -> None:
        """Take out the rows of files that could not be read, so that they are asked for again.

        Raises:
            UsageError: it cannot be written.
        """
        if None not in self._answers.values():
            return
        try:
            with written_atomically(self.path.resolve()) as whole, self.path.open("rb") as file:
                whole.writelines(line for line in file if _answer(json.loads(line)) is not None)
        except OSError as error:
            raise self._unwritable(error) from error
        former, self._file = self._file, self._opened()
        former.close()
        self._lock()
        self._answers = {path: answer for path, answer in self._answers.items() if answer is not None}

    def rows(self) -> Iterator[Row]:
        """All that is recorded, one after the other."""
        with self.path.open("rb") as file:
            for line in file:
                yield json.loads(line)

    def require(self, settings: Settings) -> None:
        """Make sure that what is recorded was made so.

        Raises:
            UsageError: it was not; says what differs.
        """
        for line, found in self._settings:
            different = [
                f"{name} {found.get(name, 'unknown')} (here {value})"
                for name, value in settings.items()
                if found.get(name) != value
            ]
            if different:
                raise UsageError(
                    f"{self.path}: line {line} is of another {', '.join(different)}",
                    remedy="Go on with the same model and options, or give another file to --save.",
                )

    def append(self, path: Path, row: Row, settings: Settings) -> None:
        """Record the prediction of one file.

        Args:
            path: the file.
            row: what is recorded; its `path` is first.
            settings: what it was made with.

        Raises:
            UsageError: it cannot be written.
        """
        whole = row | {"folder": self._folder, "settings": settings}
        line = memoryview(json.dumps(whole, allow_nan=False).encode() + b"\n")
        try:
            while line:
                line = line[self._file.write(line) :]
            self._answers[_absolute(path)] = _answer(row)
            if time.monotonic() - self._synced >= _SYNC_EVERY:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()
        except OSError as error:
            raise self._unwritable(error) from error

    def _opened(self) -> FileIO:
        try:
            if self.path.exists() and not self.path.is_file():
                raise UsageError(f"{self.path}: is no regular file", remedy=_OTHER_FILE)
            file = self.path.open(
                "ab", buffering=0
            )  # what is written stays, whatever becomes of this process
        except (OSError, ValueError) as error:  # ValueError: a NUL character
            raise self._unwritable(error) from error
        sync_folder(self.path.parent)
        return file

    def _lock(self) -> None:
        """Keep other calls out, where the system can; the lock ends with the process."""
        if sys.platform == "win32":
            return
        import fcntl

        is_free = True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_free = False
        except OSError:  # a file system without locks
            return
        # Another call may have put a new file in the place of the one that is locked here.
        if not is_free or not os.path.samestat(os.fstat(self._file.fileno()), self.path.stat()):
            raise UsageError(f"{self.path}: another process is writing it", remedy="Wait for it.")

    def _recorded(self) -> int:
        """Take in what is recorded; the bytes of it that are whole."""
        whole = 0
        with self.path.open("rb") as file:
            for number in itertools.count(1):
                line = file.readline(_LONGEST)
                if not line:
                    break
                if not line.endswith(b"\n") or b"\0" in line:  # the last, or what a power cut left of it
                    is_begun = line[: len(_START)] == _START[: len(line)]
                    if not is_begun and (line.strip(b"\0") or number == 1):
                        raise self._no_prediction(number)
                    break
                self._take(line, number)
                whole += len(line)
        return whole

    def _take(self, line: bytes, number: int) -> None:
        try:
            row: Any = json.loads(line)
            path, folder, settings = row["path"], row["folder"], row["settings"]
            answer, written = _answer(row), row.get("written")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise self._no_prediction(number) from None
        texts = [path, folder, *[text for text in (answer, written) if text is not None]]
        if not isinstance(settings, dict) or not all(isinstance(text, str) for text in texts):
            raise self._no_prediction(number)
        if not self._settings or self._settings[-1][1] != settings:
            self._settings.append((number, settings))
        place = os.path.join(self._place, folder)  # noqa: PTH118 - text: there may be many
        self._answers[_absolute(path, place)] = None if answer is None else sys.intern(answer)
        if written is not None:
            self.written.append(_absolute(written, place))

    def _no_prediction(self, line: int) -> DataError:
        return DataError(
            f"{self.path}: line {line} is no prediction of `pointlora predict --save`", remedy=_OTHER_FILE
        )

    def _unwritable(self, error: Exception) -> UsageError:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return UsageError(
            f"{self.path}: cannot be written: {reason.lower()}",
            remedy="Make room, or give another file to --save.",
        )


def _answer(row: dict[str, Any]) -> Any:
    return None if "error" in row else row["class"] if "class" in row else row["category"]


def _absolute(path: Path | str, place: str = "") -> str:
    return os.path.abspath(os.path.join(place, path))  # noqa: PTH100, PTH118 - text: there may be many


def _seen_from(place: str, folder: str) -> str:
    try:
        return os.path.relpath(folder, place)
    except ValueError:  # on another drive
        return folder
