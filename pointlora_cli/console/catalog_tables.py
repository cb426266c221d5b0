"""What exists to download, what is here, and what was done, for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from pointlora_cli.console.tables import plain_table
from pointlora_cli.console.wording import file_size, literal

Document = Mapping[str, Any]
_TITLES = {"checkpoint": "Checkpoints", "dataset": "Data sets"}


def draw_entries(console: Console, entries: Sequence[Document], home: str) -> None:
    """Every entry in one line."""
    for kind, title in _TITLES.items():
        table = plain_table("name", "what it is", "here", "size", "licence", right=("size",), title=title)
        for column in table.columns:
            column.no_wrap = True
        for entry in entries:
            if entry["kind"] == kind:
                table.add_row(
                    literal(entry["name"]),
                    literal(entry["title"]),
                    _share(entry),
                    _entry_size(entry),
                    literal(entry["license"]),
                )
        console.print(table)
    console.print(f"Cache: {literal(home)}", soft_wrap=True)
    console.print("One of them: pointlora download --list NAME. Fetch it: pointlora download NAME.")


def _share(entry: Document) -> str:
    cached, count = entry["files_cached"], len(entry["files"])
    if not cached:
        return "–"
    return "yes" if cached == count else f"{cached} of {count}"


def _entry_size(entry: Document) -> str:
    """What is here; else the size of the main files, where anyone says it."""
    if entry["files_cached"]:
        return file_size(entry["bytes"])
    sizes = [
        file["published_bytes"] or file["approximate_bytes"] for file in entry["files"] if file["default"]
    ]
    is_exact = all(file["published_bytes"] for file in entry["files"] if file["default"])
    if not sizes or None in sizes:
        return "–"
    return f"{'' if is_exact else '~'}{file_size(sum(sizes))}"


def draw_entry(console: Console, entry: Document) -> None:
    """All of one entry."""
    table = plain_table(literal(entry["name"]), literal(entry["title"]))
    table.add_row("licence", literal("; ".join(filter(None, (entry["license"], entry["conditions"])))))
    if entry["terms"]:
        table.add_row("terms", literal(entry["terms"]))
    table.add_row("homepage", literal(entry["homepage"]))
    table.add_row("cite", literal(entry["citation"]))
    if entry["used_by"]:
        table.add_row("used by", literal(", ".join(entry["used_by"])))
    if entry["pages"]:
        table.add_row("by hand", literal("\n".join(entry["pages"])))
    console.print(table)
    files = plain_table("file", "what it is", "size", "here", right=("size",))
    for file in entry["files"]:
        size = file["bytes"] or file["published_bytes"]
        rough = file["approximate_bytes"]
        shown = file_size(size) if size else (f"~{file_size(rough)}" if rough else "–")
        files.add_row(literal(file["name"]), literal(file["about"]), shown, "yes" if file["cached"] else "–")
    console.print(files)


def draw_plan(console: Console, plan: Document) -> None:
    """What a download would transfer."""
    table = plain_table("file", "size", "from", right=("size",), title="Dry run: nothing was fetched")
    for file in plan["files"]:
        size = "unknown" if file["bytes"] is None else file_size(file["bytes"])
        source = "here already" if file["cached"] else (file["sources"] or ["by hand only"])[0]
        table.add_row(
            literal(file["name"]),
            size if file["exact"] or file["bytes"] is None else f"~{size}",
            literal(source),
        )
    console.print(table)
    unknown = any(file["bytes"] is None for file in plan["files"])
    to_come = f"{'at least ' if unknown else ''}{file_size(plan['bytes_to_come'])}"
    console.print(
        f"To come: {to_come}. Free: {file_size(plan['bytes_free'])} at {literal(plan['home'])}",
        soft_wrap=True,
    )


def draw_downloaded(console: Console, files: Sequence[Document]) -> None:
    """What is here now."""
    words = {"cached": "here already", "downloaded": "downloaded", "imported": "imported"}
    for file in files:
        sha256 = f", SHA-256 {file['sha256'][:12]}…" if file["sha256"] else ""
        console.print(
            f"{literal(file['name'])}: {words[file['how']]}, {file_size(file['bytes'])}{sha256}",
            soft_wrap=True,
        )
        console.print(f"  {literal(file['path'])}", soft_wrap=True)


def draw_checked(console: Console, files: Sequence[Document]) -> None:
    """Files that are intact."""
    for file in files:
        console.print(f"{literal(file['name'])}: intact", soft_wrap=True)
    if not files:
        console.print("The cache is empty: nothing to verify.")


def draw_removed(console: Console, files: Sequence[Document]) -> None:
    """Files that are gone."""
    for file in files:
        console.print(f"{literal(file['name'])}: removed, {file_size(file['bytes'])} freed", soft_wrap=True)
    if not files:
        console.print("Nothing of it is in the cache.")
