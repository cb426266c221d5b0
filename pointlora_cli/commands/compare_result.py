"""What `pointlora compare` shows: its table, and the same as a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from pointlora_cli.console.compare_tables import ComparedMethod, ComparedTable
from pointlora_cli.console.documents import parameters_document
from pointlora_cli.console.tables import SELECTION_WORDS, plain_table
from pointlora_cli.services.compare import Comparison, Standing
from pointlora_cli.services.grid_records import run_directory
from pointlora_cli.services.inspect import Inspection


def compared_table(comparison: Comparison, found: Sequence[Standing]) -> ComparedTable:
    """The table of what is recorded so far."""
    sources = _sources(found)
    return ComparedTable(
        title=_title(comparison),
        score_name=_score_name(found),
        rows=tuple(_row(standing, sources) for standing in found),
        notes=(*_notes(comparison, found), *(f"[{mark}] {text}" for text, mark in sources.items())),
    )


def comparison_document(comparison: Comparison, found: Sequence[Standing]) -> dict[str, object]:
    """All that the table says, with the figures of each run."""
    rows = []
    for standing in found:
        score, spec = standing.score, standing.contender.spec
        rows.append(
            {
                "method": standing.contender.name,
                "trained": _trained(standing),
                "total": _total(standing),
                "mean": score.mean if score else None,
                "std_sample": score.sample if score else None,
                "std_population": score.population if score else None,
                "peak_memory_bytes": standing.peak_memory,
                "mean_seconds": standing.seconds,
                "settings": spec.method.model_dump(mode="json"),
                "published": [result.model_dump(mode="json") for result in standing.published],
                "cells": _cells(comparison, standing),
            }
        )
    complete = all(record is not None for standing in found for record in standing.records)
    return {**_head(comparison), "score": _score_name(found), "complete": complete, "methods": rows}


def rehearsal_table(comparison: Comparison, found: Sequence[Standing], models: Sequence[Inspection]) -> Table:
    """The runs of a comparison before they are run, with what trains in each."""
    right = ("trained", "%", "runs", "finished")
    table = plain_table("method", *right, right=right, title=_title(comparison))
    for standing, model in zip(found, models, strict=True):
        count, runs = model.counts, (str(len(standing.records)), str(len(standing.finished)))
        trained = (f"{count.trained:,}", f"{count.trained_percent:.2f}")
        table.add_row(standing.contender.name, *trained, *runs)
    return table


def rehearsal_document(
    comparison: Comparison, found: Sequence[Standing], models: Sequence[Inspection]
) -> dict[str, object]:
    """The same as a document, with the whole spec of each method."""
    rows = [
        {
            "method": standing.contender.name,
            "parameters": parameters_document(model.counts),
            "spec": standing.contender.spec.model_dump(mode="json"),
            "cells": _cells(comparison, standing),
        }
        for standing, model in zip(found, models, strict=True)
    ]
    return {"dry_run": True, **_head(comparison), "methods": rows}


def _title(comparison: Comparison) -> str:
    return f"{comparison.spec.name} on {comparison.spec.backbone.name}"


def _head(comparison: Comparison) -> dict[str, object]:
    spec = comparison.spec
    return {
        "name": spec.name,
        "task": spec.task,
        "backbone": spec.backbone.name,
        "init": spec.backbone.init,
        "data": spec.data.source,
        "selection": spec.train.selection,
        "seeds": list(comparison.seeds),
        "records": str(comparison.folder),
    }


def _cells(comparison: Comparison, standing: Standing) -> list[dict[str, object]]:
    """Each run of a method by its seed; one that is not finished has no figures."""
    cells: list[dict[str, object]] = []
    for seed, record in zip(comparison.seeds, standing.records, strict=True):
        cell: dict[str, object] = {"seed": seed, "finished": record is not None}
        if record is not None:
            cell |= record.model_dump(mode="json", exclude={"score_name"})
            run = run_directory(comparison.folder.parent, record)
            cell["run"] = None if run is None else str(run)
        cells.append(cell)
    return cells


def _row(standing: Standing, sources: Mapping[str, int]) -> ComparedMethod:
    score, published = standing.score, standing.published[:1]
    return ComparedMethod(
        name=standing.contender.name,
        trained=_trained(standing),
        total=_total(standing),
        mean=score.mean if score else None,
        deviation=score.sample if score else None,
        finished=len(standing.finished),
        seeds=len(standing.records),
        peak_memory=standing.peak_memory,
        seconds=standing.seconds,
        published="".join(
            f"{result.value:g}{'' if result.verified else '?'} [{sources[result.origin]}]"
            for result in published
        ),
    )


def _sources(found: Sequence[Standing]) -> dict[str, int]:
    """The note of each published figure shown, and its number."""
    texts = dict.fromkeys(result.origin for standing in found for result in standing.published[:1])
    return {text: number for number, text in enumerate(texts, start=1)}


def _trained(standing: Standing) -> int | None:
    return standing.finished[0].trained if standing.finished else None


def _total(standing: Standing) -> int | None:
    return standing.finished[0].total if standing.finished else None


def _score_name(found: Sequence[Standing]) -> str:
    return next((record.score_name for one in found for record in one.finished), "score")


def _notes(comparison: Comparison, found: Sequence[Standing]) -> tuple[str, ...]:
    """What a reader must know to use the figures."""
    spec, records = comparison.spec, [record for one in found for record in one.finished]
    seeds = ", ".join(map(str, comparison.seeds))
    spread = (
        f"mean ± std of a sample over the seeds {seeds}" if len(comparison.seeds) > 1 else f"seed {seeds}"
    )
    devices = sorted({record.device for record in records})
    held = (
        "on the GPU"
        if any(device.startswith("cuda") for device in devices)
        else "by the process, with PyTorch, data and what earlier runs in it left"
    )
    together = max((record.together for record in records), default=1)
    shared = f", up to {together} runs at once" if together > 1 else ""
    notes = [
        f"{_score_name(found)} on the test clouds: {spread}",
        f"epoch kept: {SELECTION_WORDS[spec.train.selection]}",
        f"memory: the most held {held}; time: one run's training and evaluation, on {' and '.join(devices)}{shared}",
    ]
    if spec.backbone.init == "random":
        notes.append("the backbone starts from random weights: this does not show what pre-training gives")
    return (*notes, f"records, table.md and results.json: {comparison.folder}")
