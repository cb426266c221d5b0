"""What an evaluation found, of any task, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from pointlora_cli.console.tables import class_table, confusion_table, percent, plain_table
from pointlora_cli.console.wording import literal
from pointlora_cli.training.adapter_file import CategoryRecord
from pointlora_cli.training.metrics import AnyMetrics
from pointlora_cli.training.part_metrics import PartMetrics
from pointlora_cli.training.reconstruction_metrics import ReconstructionMetrics


def metrics_tables(
    classes: Sequence[str], categories: Sequence[CategoryRecord], metrics: AnyMetrics, console: Console
) -> list[Table]:
    """The tables by class, as wide as `console` lets them be, or by category; of reconstructions there are none."""
    if isinstance(metrics, PartMetrics):
        return [category_table(categories, metrics)]
    if isinstance(metrics, ReconstructionMetrics):
        return []
    return [class_table(classes, metrics), confusion_table(classes, metrics, console)]


def category_table(categories: Sequence[CategoryRecord], metrics: PartMetrics) -> Table:
    """Mean IoU of each category's shapes."""
    right = ("parts", "clouds", "mIoU %")
    table = plain_table("category", *right, right=right, title="By category")
    for category, count, iou in zip(categories, metrics.category_counts, metrics.category_iou, strict=True):
        table.add_row(literal(category.name), str(category.parts), f"{count:,}", percent(iou))
    return table


def score_rows(metrics: AnyMetrics) -> list[tuple[str, str]]:
    """Names and values of an evaluation's figures; the first is what the kept epoch is chosen by."""
    if isinstance(metrics, ReconstructionMetrics):
        distance = f"[bold]{1000 * metrics.loss:.3f}[/] of {metrics.count:,} clouds"
        probe = [] if metrics.probe is None else [("linear probe", f"{percent(metrics.probe)} %")]
        return [(f"{metrics.distance} × 1000", distance), *probe]
    if isinstance(metrics, PartMetrics):
        others = [("class mIoU", metrics.class_miou), ("point accuracy", metrics.point_accuracy)]
    else:
        others = [("mean class accuracy", metrics.mean_class_accuracy)]
    score = f"[bold]{percent(metrics.score)} %[/] of {metrics.count:,} clouds"
    return [(metrics.score_name, score), *((name, f"{percent(share)} %") for name, share in others)]
