"""Fetching in tests: quickly, into a folder of the test, with all events kept."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

from pointlora_cli.catalog.events import CatalogEvent, Remark, TransferProgress
from pointlora_cli.catalog.fetching import Fetched, Patience, Source, Wanted, fetch
from pointlora_cli.catalog.settings import Settings

QUICK = Patience(connect=2, read=0.5, tries=4, first_pause=0.01, limit=5, others=0.6)
NAME = "point-mae/pretrain.pth"
BY_HAND = "pointlora download point-mae --from-file pretrain.pth"

CHILD = """
import json, sys
from pathlib import Path
{before}
from pointlora_cli.catalog.events import Remark
from pointlora_cli.catalog.fetching import Patience, Source, Wanted, fetch
from pointlora_cli.catalog.settings import Settings
from pointlora_cli.errors import PointLoRAError

def run(folder, urls, size, sha256, patience):
    folder, remarks = Path(folder), []
    wanted = Wanted({name!r}, tuple(Source(url) for url in urls), size, sha256, {by_hand!r})
    try:
        fetched = fetch(
            wanted, folder / "file.pth", work=folder / "work", settings=Settings(folder),
            listen=lambda event: remarks.append(event.message) if isinstance(event, Remark) else None,
            patience=Patience(**patience),
        )
        told = {{"sha256": fetched.sha256, "remarks": remarks}}
    except PointLoRAError as error:
        told = {{"error": error.message, "remedy": error.remedy, "code": int(error.exit_code)}}
    print(json.dumps(told) + "\\n", end="", flush=True)  # in one piece, since several processes may speak

def run_many(count, *arguments):
    import os, filelock, requests
    children = []
    for _ in range(count):
        children.append(os.fork())
        if children[-1] == 0:
            run(*arguments)
            os._exit(0)
    for child in children:
        os.waitpid(child, 0)
"""


def random_bytes(size: int, seed: int = 0) -> bytes:
    """A file's content that no other file has."""
    return random.Random(seed).randbytes(size)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Fetching:
    """A folder to fetch into, and what was told meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.destination = folder / "file.pth"
        self.work = folder / "work"
        self.events: list[CatalogEvent] = []

    def fetch(
        self, *urls: str | Source, size=None, sha256=None, offline=False, patience=QUICK, name=NAME, **options
    ) -> Fetched:
        sources = tuple(Source(url) if isinstance(url, str) else url for url in urls)
        wanted = Wanted(name, sources, size, sha256, BY_HAND)
        settings = Settings(self.folder, offline=offline)
        options = {"listen": self.events.append} | options
        return fetch(
            wanted, self.destination, work=self.work, settings=settings, patience=patience, **options
        )

    @property
    def remarks(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Remark)]

    @property
    def progress(self) -> list[TransferProgress]:
        return [event for event in self.events if isinstance(event, TransferProgress)]

    @property
    def left_over(self) -> list[Path]:
        """All in the work folder but the lock."""
        return sorted(path for path in self.work.iterdir() if path.suffix != ".lock")

    @property
    def partial(self) -> Path:
        (found,) = self.work.glob("*.part")
        return found

    def start_child(
        self, *urls: str, size=None, sha256=None, before="", prefix=(), count=1, **patience
    ) -> subprocess.Popen[str]:
        """Fetch in `count` processes at once, none of them this one; each prints its outcome as JSON."""
        code = CHILD.format(before=before, name=NAME, by_hand=BY_HAND)
        arguments = f"{str(self.folder)!r}, {list(urls)!r}, {size!r}, {sha256!r}, {patience!r}"
        code += f"run({arguments})\n" if count == 1 else f"run_many({count}, {arguments})\n"
        return subprocess.Popen(
            [*prefix, sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        )


def outcomes(child: subprocess.Popen[str]) -> list[dict]:
    """What each process printed."""
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def outcome(child: subprocess.Popen[str]) -> dict:
    """What the one process printed."""
    (told,) = outcomes(child)
    return told
