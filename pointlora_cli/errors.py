"""Every error a user can cause or meet, with the exit code of its kind.

One message says what is wrong and where; `remedy` says what to do. `app` turns these into one
readable line (or one JSON document) and the exit code; no other place does.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line."""

    DONE = 0
    BUG = 1
    USAGE = 2
    DATA = 3
    NETWORK = 4
    INTEGRITY = 5
    DIVERGED = 6
    INTERRUPTED = 130
    TERMINATED = 143


class PointLoRAError(Exception):
    """Base of all expected errors: `message` (what and where) and `remedy` (what to do)."""

    exit_code = ExitCode.BUG
    kind = "error"

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def details(self) -> dict[str, object]:
        """Extra fields for the JSON form of the error."""
        return {}


class UsageError(PointLoRAError):
    """The command line or a path in it is wrong."""

    exit_code = ExitCode.USAGE
    kind = "usage"


class DataError(PointLoRAError):
    """An input file, data set, checkpoint or adapter cannot be used."""

    exit_code = ExitCode.DATA
    kind = "data"


class CloudError(DataError):
    """A point-cloud or mesh file cannot be used; the message starts with its path."""

    kind = "cloud"


class NetworkError(PointLoRAError):
    """A file could not be fetched."""

    exit_code = ExitCode.NETWORK
    kind = "network"


class IntegrityError(PointLoRAError):
    """A file's content is not what its record says."""

    exit_code = ExitCode.INTEGRITY
    kind = "integrity"


class DivergedError(PointLoRAError):
    """Training produced a loss that is not finite."""

    exit_code = ExitCode.DIVERGED
    kind = "diverged"


class InterruptedRunError(PointLoRAError):
    """A person or the system stopped the run; what was kept stands."""

    kind = "interrupted"

    def __init__(self, message: str, remedy: str | None = None, *, terminated: bool = False) -> None:
        super().__init__(message, remedy)
        self.exit_code = ExitCode.TERMINATED if terminated else ExitCode.INTERRUPTED


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised where Ctrl-C would raise KeyboardInterrupt."""


class LostProcessError(UsageError):
    """One of the processes that train together ended without a word, most likely killed."""


class ToldError(PointLoRAError):
    """Another process of the run says what is wrong; this one ends with the same exit code, and says nothing."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("told by another process of the run")
        self.exit_code = ExitCode(exit_code)


class SeveralErrors(PointLoRAError):  # noqa: N818 - it holds them
    """Several errors at once, shown together; kind and exit code are the gravest's."""

    def __init__(self, errors: Sequence[PointLoRAError], summary: str) -> None:
        lines = [summary]
        for error in errors:
            lines.append(f"  - {error.message}")
            lines += [f"    {error.remedy}"] if error.remedy else []
        super().__init__("\n".join(lines))
        self.errors = tuple(errors)
        gravest = max(errors, key=lambda error: error.exit_code)
        self.exit_code, self.kind = gravest.exit_code, gravest.kind

    def details(self) -> dict[str, object]:
        """Each error by itself."""
        problems = [
            {"kind": error.kind, "message": error.message, "remedy": error.remedy} for error in self.errors
        ]
        return {"problems": problems}


def combined(errors: Sequence[PointLoRAError], summary: str) -> PointLoRAError:
    """Several errors as one; a single one as it is."""
    return errors[0] if len(errors) == 1 else SeveralErrors(errors, summary)
