"""`pointlora download`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pointlora_cli.commands.options import AsJson

if TYPE_CHECKING:
    from rich.console import Console

    from pointlora_cli.catalog.settings import Settings
    from pointlora_cli.console.screen import Screen
    from pointlora_cli.services.catalog_overview import EntryState
    from pointlora_cli.services.download import Origin


def download(
    names: Annotated[
        list[str] | None, typer.Argument(help="What to fetch: an entry of the catalogue, or entry/file.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", "-l", help="Show what exists and what is here.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be fetched, and its size.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read what is here again, and compare it with its hashes.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove from the cache.")] = False,
    every: Annotated[
        bool, typer.Option("--all", help="All files of an entry, not its main ones alone.")
    ] = False,
    url: Annotated[str | None, typer.Option("--url", help="Fetch it from here instead.")] = None,
    sha256: Annotated[
        str | None,
        typer.Option("--sha256", help="The hash that the file must have; replaces a recorded one."),
    ] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from-file", help="Import this file, fetched by hand.")
    ] = None,
    from_dir: Annotated[
        Path | None, typer.Option("--from-dir", help="Import from this folder, e.g. on a shared disk.")
    ] = None,
    link: Annotated[
        bool, typer.Option("--link", help="With --from-…: link to it instead of copying.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=32, help="Files at once.")] = 4,
    offline: Annotated[bool, typer.Option("--offline", help="Open no connection.")] = False,
    as_json: AsJson = False,
) -> None:
    """Download checkpoints and data sets.

    What was received is kept and gone on with; a file counts only when its hash is right.

    \b
    Examples:
      pointlora download --list
      pointlora download point-mae
      pointlora download point-mae/scan_hardest --dry-run
      pointlora download scanobjectnn --from-dir /data/ScanObjectNN --link
    """
    from dataclasses import replace

    from pointlora_cli.catalog.settings import current_settings
    from pointlora_cli.console.screen import Screen
    from pointlora_cli.errors import UsageError

    screen = Screen(as_json=as_json)
    settings = current_settings()
    settings = replace(settings, offline=True) if offline else settings
    given = {"--list": list_, "--dry-run": dry_run, "--verify": verify, "--remove": remove}
    actions = [name for name, wanted in given.items() if wanted]
    if len(actions) > 1:
        raise UsageError(f"{' and '.join(actions)} cannot be given together")
    places = {
        "--url": url,
        "--sha256": sha256,
        "--from-file": from_file,
        "--from-dir": from_dir,
        "--link": link,
    }
    spare = [name for name, value in places.items() if value and not (dry_run and name == "--url")]
    if actions and spare:
        raise UsageError(f"{spare[0]} does not go with {actions[0]}")
    if not names and actions in ([], ["--dry-run"]):
        raise UsageError(
            "nothing says what to download",
            remedy="Name it, e.g. pointlora download point-mae; `pointlora download --list` shows what exists.",
        )
    if list_:
        _list(screen, settings, names or [])
    elif verify:
        _verify(screen, settings, names or [])
    elif remove:
        _remove(screen, settings, names or [])
    elif dry_run:
        _plan(screen, settings, names or [], url=url, every=every)
    else:
        from pointlora_cli.services.download import Origin

        origin = Origin(url=url, file=from_file, folder=from_dir, link=link, sha256=sha256)
        _download(screen, settings, names or [], origin, every=every, jobs=jobs)


def _download(
    screen: Screen, settings: Settings, names: list[str], origin: Origin, *, every: bool, jobs: int
) -> None:
    from pointlora_cli.console.catalog_tables import draw_downloaded
    from pointlora_cli.console.transfers import TransferBars
    from pointlora_cli.services import download as service

    items = service.find_items(names, settings, every=every)
    with TransferBars(screen) as bars:
        here = service.download(items, origin, settings, bars, jobs=jobs)
    files = [
        {
            "name": found.item.name,
            "how": found.how,
            "path": str(found.path),
            "bytes": found.record.bytes,
            "sha256": found.record.sha256,
        }
        for found in here
    ]
    screen.result(
        "download",
        {"home": str(settings.home), "files": files},
        lambda console: draw_downloaded(console, files),
    )


def _list(screen: Screen, settings: Settings, names: list[str]) -> None:
    from pointlora_cli.console.catalog_tables import draw_entries, draw_entry
    from pointlora_cli.services.catalog_overview import overview
    from pointlora_cli.services.download import find_items

    wanted = {item.entry.name for item in find_items(names, settings)}
    entries = [
        _entry_document(state) for state in overview(settings) if not names or state.entry.name in wanted
    ]

    def draw(console: Console) -> None:
        if not names:
            draw_entries(console, entries, str(settings.home))
        for entry in entries if names else []:
            draw_entry(console, entry)

    screen.result("download --list", {"home": str(settings.home), "entries": entries}, draw)


def _entry_document(state: EntryState) -> dict[str, Any]:
    entry = state.entry
    return {
        "name": entry.name,
        "kind": entry.kind,
        "title": entry.title,
        "license": entry.license,
        "conditions": entry.conditions,
        "terms": entry.terms,
        "homepage": entry.homepage,
        "citation": entry.citation,
        "used_by": list(entry.used_by),
        "pages": list(entry.pages),
        "files_cached": state.cached,
        "bytes": state.bytes,
        "files": [
            {
                "name": found.file.name,
                "about": found.file.about,
                "default": found.file.default,
                "cached": found.is_cached,
                "bytes": found.bytes,
                "path": str(found.path) if found.path else None,
                "published_bytes": found.file.size,
                "approximate_bytes": found.file.approximate_size,
                "published_sha256": found.file.sha256,
                "recorded_sha256": found.pinned,
                "locations": [location.address for location in found.file.locations],
            }
            for found in state.files
        ],
    }


def _plan(screen: Screen, settings: Settings, names: list[str], *, url: str | None, every: bool) -> None:
    from pointlora_cli.console.catalog_tables import draw_plan
    from pointlora_cli.services.catalog_overview import plan
    from pointlora_cli.services.download import find_items

    found = plan(find_items(names, settings, every=every), url, settings)
    document = {
        "dry_run": True,
        "home": str(settings.home),
        "bytes_to_come": found.needed,
        "bytes_free": found.free,
        "files": [
            {
                "name": file.item.name,
                "cached": file.is_cached,
                "bytes": file.bytes,
                "exact": file.is_exact,
                "path": str(file.path),
                "sources": list(file.sources),
                "by_hand": not file.is_cached and not file.sources,
            }
            for file in found.files
        ],
    }
    screen.result("download", document, lambda console: draw_plan(console, document))


def _verify(screen: Screen, settings: Settings, names: list[str]) -> None:
    from pointlora_cli.console.catalog_tables import draw_checked
    from pointlora_cli.console.transfers import TransferBars
    from pointlora_cli.errors import IntegrityError, combined
    from pointlora_cli.services.catalog_overview import recorded_items, verify

    items = recorded_items(names, settings)
    with TransferBars(screen) as bars:
        checked = verify(items, settings, bars)
    damaged = [
        IntegrityError(f"{file.item.name}: {'; '.join(file.problems)}", remedy=file.remedy)
        for file in checked
        if file.problems
    ]
    if damaged:
        raise combined(damaged, f"{len(damaged)} of {len(checked)} files are not as they were recorded:")
    files = [{"name": file.item.name, "intact": True} for file in checked]
    screen.result(
        "download --verify",
        {"home": str(settings.home), "files": files},
        lambda console: draw_checked(console, files),
    )


def _remove(screen: Screen, settings: Settings, names: list[str]) -> None:
    from pointlora_cli.console.catalog_tables import draw_removed
    from pointlora_cli.errors import UsageError
    from pointlora_cli.services.catalog_overview import remove
    from pointlora_cli.services.download import find_items

    if not names:
        raise UsageError("--remove needs names", remedy="`pointlora download --list` shows what is here.")
    removed = [
        {"name": item.name, "bytes": size}
        for item, size in remove(find_items(names, settings, every=True), settings)
    ]
    screen.result(
        "download --remove",
        {"home": str(settings.home), "files": removed},
        lambda console: draw_removed(console, removed),
    )
