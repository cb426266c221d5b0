"""Where labelled clouds go: written by any process, named by one, replacing nothing."""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from pointlora_cli.clouds.files import cloud_error
from pointlora_cli.files import sync_folder
from pointlora_cli.services.new_files import make_folder

_SUFFIX = ".ply"


class PartPlaces:
    """A folder, and in it a hidden one for files that have no name yet."""

    def __init__(self, folder: Path, *, saved: Path | None = None) -> None:
        """Choose the folders; nothing is made.

        Args:
            folder: where the files go.
            saved: the file in which results are recorded; a call that goes on with it takes the place of
                one that was killed.
        """
        self.folder = folder
        owner = secrets.token_hex(8)
        if saved is not None:
            owner = hashlib.sha256(os.fsencode(saved.absolute())).hexdigest()[:16]
        self._pending = folder / f".unfinished-{owner}"
        self._is_saved = saved is not None
        self._recorded: set[str] = set()
        self._numbers: dict[str, int] = {}  # of each stem, the first that was not tried

    def recall(self, recorded: Iterable[str]) -> None:
        """Say which files are recorded already."""
        self._recorded.update(os.path.abspath(path) for path in recorded)  # noqa: PTH100 - text: there may be many

    def holds(self, path: Path) -> bool:
        """Whether a file is one of those recorded."""
        return os.path.abspath(path) in self._recorded  # noqa: PTH100

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Make the folders; on leaving, remove the hidden one with what has no name.

        Raises:
            UsageError: they cannot be made.
        """
        make_folder(self.folder)
        shutil.rmtree(self._pending, ignore_errors=True)  # of a call that was killed
        make_folder(self._pending)
        try:
            yield
        finally:
            shutil.rmtree(self._pending, ignore_errors=True)

    def for_another_process(self) -> PartPlaces:
        """The same folders, without what is recorded: only one process gives names."""
        other = PartPlaces(self.folder)
        other._pending = self._pending
        return other

    def pending_file(self) -> Path:
        """A name for a file that has none yet."""
        return self._pending / f"{secrets.token_hex(8)}{_SUFFIX}"

    def place(self, pending: Path, stem: str) -> Path:
        """Give a file its name: the stem, with a number where something of that name is there.

        A call that was killed may have left one file that it did not record: it is known by its content.

        Raises:
            CloudError: it cannot be renamed.
        """
        number = self._numbers.get(stem, 1)
        while True:
            path = self.folder / (f"{stem}{_SUFFIX}" if number == 1 else f"{stem}-{number}{_SUFFIX}")
            number += 1
            try:
                if not os.path.lexists(path):
                    pending.rename(path)
                    sync_folder(self.folder)
                    break
                if self._is_left_over(path, pending):
                    break
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise cloud_error(path, f"cannot be written: {reason}", "choose another place") from None
        self._numbers[stem] = number
        if self._is_saved:
            self._recorded.add(os.path.abspath(path))  # noqa: PTH100
        return path

    def _is_left_over(self, path: Path, pending: Path) -> bool:
        if not self._is_saved or self.holds(path):
            return False
        if not path.is_file() or path.stat().st_size != pending.stat().st_size:
            return False
        return filecmp.cmp(path, pending, shallow=False)
