"""One try to get a file, or the rest of it, from one source into a partial file."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING

from pointlora_cli.catalog.answers import described, is_compressed, open_source, refuse_compression
from pointlora_cli.catalog.connections import Connection
from pointlora_cli.catalog.failures import SourceError, TemporaryError, check_space, without_login, writing
from pointlora_cli.catalog.pages import page_problem
from pointlora_cli.catalog.partials import Partial, Partials
from pointlora_cli.catalog.reporting import Reporter
from pointlora_cli.catalog.versions import Origin, content_range, is_chunked, origin_of
from pointlora_cli.catalog.wanted import Source, Wanted

if TYPE_CHECKING:
    from requests import Response


class Transfer:
    """A file on its way: the partial file, and the tries that make it grow."""

    def __init__(
        self, wanted: Wanted, partials: Partials, connection: Connection, reporter: Reporter
    ) -> None:
        self._wanted = wanted
        self._partials = partials
        self._connection = connection
        self._reporter = reporter
        self.partial = partials.adopt(self._is_usable, is_hash_known=wanted.sha256 is not None)

    @property
    def done(self) -> int:
        """Bytes that are here."""
        return self.partial.size if self.partial else 0

    def discard(self) -> None:
        """Forget all that is here."""
        if self.partial is not None:
            self.partial.discard()
            self.partial = None

    def release(self) -> None:
        """Leave what is here to the next run."""
        if self.partial is not None:
            self.partial.release()
            self.partial = None

    def run(self, source: Source) -> Partial:
        """Ask once, and take in what comes; the whole file is in the result.

        Raises:
            TemporaryError: the source is busy, or the connection was cut; what came is kept.
            SourceError: the source does not have the file, or something else in its place.
            UsageError: there is no space, or no right to write.
        """
        partial = self.partial if self._can_resume(source) else None
        with contextlib.closing(
            open_source(self._connection, source, self._resume(source, partial))
        ) as answer:
            status = answer.status_code
            if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and partial is not None:
                if self._is_complete(answer, source, partial):
                    return partial
            elif status == HTTPStatus.PARTIAL_CONTENT and partial is not None:
                if self._continues(answer, source, partial):
                    return self._take_rest(answer, source, partial)
            elif status == HTTPStatus.OK:
                return self._take_whole(answer, source)
            else:
                raise SourceError(f"answers {described(answer)}")
        self._reporter.remark("the file has changed on the server; starting over")
        self.discard()
        return self.run(source)  # nothing is left to resume, so this happens once

    def _is_usable(self, origin: Origin) -> bool:
        return any(self._is_resumable(origin, source) for source in self._wanted.sources)

    def _can_resume(self, source: Source) -> bool:
        return self.partial is not None and self.done > 0 and self._is_resumable(self.partial.origin, source)

    def _is_resumable(self, origin: Origin, source: Source) -> bool:
        """The server can tell whether its file is still the same; or a hash will, and the sizes must agree."""
        if self._wanted.size is not None and origin.total not in {None, self._wanted.size}:
            return False
        if self._wanted.sha256 is not None and origin.total is not None:
            return True
        return origin.url == without_login(source.url) and origin.validator is not None

    def _resume(self, source: Source, partial: Partial | None) -> dict[str, str]:
        if partial is None:
            return {}
        headers = {"Range": f"bytes={partial.size}-"}
        if partial.origin.url == without_login(source.url) and partial.origin.validator is not None:
            headers["If-Range"] = partial.origin.validator
        return headers

    def _is_complete(self, answer: Response, source: Source, partial: Partial) -> bool:
        """Whether there is nothing more to ask for."""
        stated = content_range(answer.headers) or (None, None)
        totals = {
            total for total in (stated[1], partial.origin.total, self._wanted.size) if total is not None
        }
        return totals == {partial.size} and self._is_same_version(answer, source, partial)

    def _continues(self, answer: Response, source: Source, partial: Partial) -> bool:
        """Whether a part that the server sends belongs behind what is here."""
        start, total = content_range(answer.headers) or (None, None)
        if start != partial.size or not self._is_same_version(answer, source, partial):
            return False
        if total is None and "If-Range" in answer.request.headers:
            return True
        return total == partial.origin.total or partial.origin.total is None

    def _is_same_version(self, answer: Response, source: Source, partial: Partial) -> bool:
        is_same_source = partial.origin.url == without_login(source.url)
        return not is_same_source or partial.origin.is_same_version(answer.headers)

    def _take_rest(self, answer: Response, source: Source, partial: Partial) -> Partial:
        refuse_compression(answer)
        total = partial.origin.total or (content_range(answer.headers) or (None, None))[1]
        share = f" at {100 * partial.size / total:.0f} %" if total else f" behind {partial.size:,} bytes"
        self._reporter.remark(f"resuming{share}")
        if partial.origin.url != without_login(source.url):
            partial.forget_version()
        partial.is_pieced = True
        check = total if total is not None else self._wanted.size
        if check is not None:
            self._check_space(check - partial.size)
        return self._take_body(answer, partial, total, b"")

    def _take_whole(self, answer: Response, source: Source) -> Partial:
        origin = origin_of(without_login(source.url), answer.headers)
        read = self._connection.read_page if is_compressed(answer) else self._connection.read
        head = read(answer)
        problem = page_problem(self._wanted.name, head, answer.headers.get("Content-Type", ""))
        if problem is not None:
            raise SourceError(problem, is_wrong=True)
        refuse_compression(answer)
        expected = self._wanted.size
        if expected is not None and origin.total not in {None, expected}:
            raise SourceError(f"sends {origin.total:,} bytes, not {expected:,}", is_wrong=True)
        if not head and not expected:
            raise SourceError("sends an empty file", is_wrong=True)
        if self.partial is not None:
            self._reporter.remark("cannot go on with what is here; starting over")
            self.discard()
        if origin.total is not None or expected is not None:
            self._check_space(origin.total or expected or 0)
        elif not is_chunked(answer.headers) and self._wanted.sha256 is None:
            self._reporter.remark("the server does not state the size; a cut file would go unnoticed here")
        self.partial = self._partials.begin(origin)
        return self._take_body(answer, self.partial, origin.total, head)

    def _take_body(self, answer: Response, partial: Partial, total: int | None, head: bytes) -> Partial:
        limit = total if total is not None else self._wanted.size
        self._reporter.progress(partial.size, limit, always=True)
        block = head or self._connection.read(answer)
        while block:
            if limit is not None and partial.size + len(block) > limit:
                self.discard()
                raise SourceError(f"sends more than {limit:,} bytes", is_wrong=True)
            partial.append(block)
            self._reporter.progress(partial.size, limit)
            block = self._connection.read(answer)
        self._reporter.progress(partial.size, limit, always=True)
        if limit is not None and partial.size < limit:
            reason = f"ended after {partial.size:,} of {limit:,} bytes"
            if total is None and is_chunked(answer.headers):  # the server says that this was all
                self.discard()
                raise SourceError(reason, is_wrong=True)
            raise TemporaryError(reason)
        return partial

    def _check_space(self, needed: int) -> None:
        with writing(self._partials.folder):
            check_space(self._partials.folder, needed)
