"""The catalogue's types: what is published, where, under which terms."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from typing_extensions import Self

from pointlora_cli.catalog.members import unsafe_reason

DRIVE = "https://drive.usercontent.google.com/download?id={}&export=download"
TSINGHUA = "https://cloud.tsinghua.edu.cn"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Location(_Part):
    """One place a file can be fetched from; exactly one of the fields is given."""

    url: str | None = Field(default=None, pattern=r"^https?://")
    drive: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_-]{20,60}$", description="Google Drive file id"
    )
    tsinghua: str | None = Field(
        default=None,
        pattern=r"^(f/[0-9a-f]+|d/[0-9a-f]+/.+)$",
        description="Tsinghua cloud share: f/<token> of a file, or d/<token>/<path> in a shared folder",
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(value is not None for value in (self.url, self.drive, self.tsinghua)) != 1:
            raise ValueError("give exactly one of url, drive and tsinghua")
        return self

    @property
    def address(self) -> str:
        """The URL to ask."""
        if self.url is not None:
            return self.url
        if self.drive is not None:
            return DRIVE.format(self.drive)
        kind, _, rest = str(self.tsinghua).partition("/")
        if kind == "f":
            return f"{TSINGHUA}/f/{rest}/?dl=1"
        token, _, path = rest.partition("/")
        return f"{TSINGHUA}/d/{token}/files/?p={quote('/' + path)}&dl=1"


class Unpack(_Part):
    """What is taken out of an archive; see `members` for how a name is matched."""

    members: tuple[str, ...] = Field(
        min_length=1,
        description="Paths below the entry's folder; `*`, `?` and `[...]` stand for characters of one name, never "
        "for a '/'. A member is taken if its path, or the end of it after some leading folders, fits one of them.",
    )

    @field_validator("members")
    @classmethod
    def _are_inside(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        for member in members:
            if reason := unsafe_reason(member):
                raise ValueError(f"member {member[:80]!r} {reason}")
        return members


class File(_Part):
    """One published file."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$",
        max_length=200,
        description="Path below the entry's folder.",
    )
    about: str = ""
    default: bool = Field(default=True, description="Fetched when the entry alone is named.")
    locations: tuple[Location, ...] = Field(default=(), description="Tried in order; none: by hand only.")
    size: int | None = Field(default=None, ge=1, description="Bytes, where published or known.")
    approximate_size: int | None = Field(default=None, ge=1, description="Bytes, roughly, for --dry-run.")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", description="Where published.")
    reported_sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="What others found, where nothing is published: a difference is remarked on, no error.",
    )
    unpack: Unpack | None = Field(default=None, description="The file is an archive.")
    layout: str | None = Field(default=None, description="Checkpoints: the layout that its names must have.")
    keys: tuple[str, ...] = Field(
        default=(),
        description="Checkpoints: how names of weights begin, every 'module.' taken out; each must occur.",
    )

    @property
    def stem(self) -> str:
        """What `download entry/stem` calls it."""
        return str(PurePosixPath(self.name).with_suffix(""))


class Entry(_Part):
    """A checkpoint family or a data set."""

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)
    kind: Literal["checkpoint", "dataset"]
    title: str = Field(max_length=40, description="What it is, for one column of a table.")
    license: str = Field(max_length=16, description="Licence or terms of use, for one column of a table.")
    conditions: str | None = Field(default=None, description="What else there is to say on the licence.")
    homepage: str
    citation: str
    used_by: tuple[str, ...] = Field(default=(), description="Presets or options that need it.")
    terms: str | None = Field(default=None, description="Why it cannot simply be fetched, and what to do.")
    pages: tuple[str, ...] = Field(default=(), description="Where a person can fetch it by hand.")
    files: tuple[File, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [name for file in self.files for name in {file.name, file.stem}]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"files: two of them are called {twice[0]}")
        within = [
            file.name for file in self.files if any(f.name.startswith(f"{file.name}/") for f in self.files)
        ]
        if within:
            raise ValueError(f"files: {within[0]} cannot be both a file and a folder")
        return self

    @property
    def is_gated(self) -> bool:
        """A person must accept terms before there is a location."""
        return self.terms is not None

    @property
    def default_files(self) -> tuple[File, ...]:
        """What is fetched when the entry alone is named; all files where none is marked."""
        return tuple(file for file in self.files if file.default) or self.files

    def file(self, name: str) -> File | None:
        """The file of this name or stem."""
        return next((file for file in self.files if name in {file.name, file.stem}), None)
