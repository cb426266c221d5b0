"""Getting an answer that may hold the file: refusals, busy servers, Google Drive's confirmation pages."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from pointlora_cli.catalog.connections import Connection
from pointlora_cli.catalog.drive import confirmed_url
from pointlora_cli.catalog.failures import SourceError, TemporaryError
from pointlora_cli.catalog.pages import page_problem
from pointlora_cli.catalog.retrying import retry_after
from pointlora_cli.catalog.versions import content_length
from pointlora_cli.catalog.wanted import Source

if TYPE_CHECKING:
    from requests import Response

_MOST_CONFIRMATIONS = 3
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_USEFUL = {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}


def open_source(connection: Connection, source: Source, headers: dict[str, str]) -> Response:
    """A source's answer (200, 206 or 416), behind the pages on which Google Drive wants a confirmation.

    Raises:
        TemporaryError: no answer, or one that asks to come back later.
        SourceError: a refusal, an address that cannot be followed, a page that cannot be passed.
    """
    url = source.url
    for _ in range(_MOST_CONFIRMATIONS + 1):
        answer = connection.ask("GET", url, headers)
        try:
            _check_status(answer)
            if not (source.is_drive and _is_page(answer)):
                return answer
            url = _confirmed(connection, answer)
        except BaseException:
            answer.close()
            raise
        answer.close()
    raise SourceError("asks for a confirmation again and again", is_wrong=True)


def stated_size(answer: Response) -> int | None:
    """The size of the file that an answer holds or would hold; None where it does not say."""
    if answer.status_code != HTTPStatus.OK or _is_page(answer) or is_compressed(answer):
        return None
    return content_length(answer.headers)


def refuse_compression(answer: Response) -> None:
    """Check that the body is the file as it is.

    Raises:
        SourceError: the server compressed it, and so its size and its parts are not the file's.
    """
    if is_compressed(answer):
        encoding = answer.headers["Content-Encoding"][:20]
        raise SourceError(f"sends the file compressed ({encoding!a}), although asked not to")


def is_compressed(answer: Response) -> bool:
    """Whether the body is another than the file's bytes."""
    return answer.headers.get("Content-Encoding", "").strip().lower() not in {"", "identity"}


def described(answer: Response) -> str:
    """The status in figures and words."""
    try:
        return f"{answer.status_code} {HTTPStatus(answer.status_code).phrase}"
    except ValueError:
        return str(answer.status_code)


def _check_status(answer: Response) -> None:
    status = answer.status_code
    if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TemporaryError(f"busy ({described(answer)})", retry_after(answer.headers.get("Retry-After")))
    if status not in _USEFUL:
        raise SourceError(f"answers {described(answer)}")


def _confirmed(connection: Connection, answer: Response) -> str:
    page = connection.read_page(answer)
    url = confirmed_url(page.decode("utf-8", "replace"), answer.url, connection.cookies)
    if url is None:
        problem = page_problem("", page, "text/html") or "sends a web page, not the file"
        raise SourceError(problem, is_wrong=True)
    return url


def _is_page(answer: Response) -> bool:
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    is_attachment = "attachment" in answer.headers.get("Content-Disposition", "").lower()
    return kind == "text/html" and not is_attachment
