"""The names of data sets as the field's tables have them."""

from __future__ import annotations

from pointlora_cli.specs.data import AnyData, FewShotData, ScanObjectNNData

PUBLISHED = ("scanobjectnn", "modelnet40", "modelnet40-fewshot", "shapenetpart")
"""The data sources with results to compare with."""


def data_key(data: AnyData) -> str:
    """A data set and its variant: "scanobjectnn/pb-t50-rs", "modelnet40-fewshot/5w10s", else its source."""
    if isinstance(data, ScanObjectNNData):
        return f"{data.source}/{data.variant}"
    if isinstance(data, FewShotData):
        return f"{data.source}/{data.way}w{data.shot}s"
    return data.source
