"""Thousands of built-in objects: the same whether one process makes them or several."""

from __future__ import annotations

import numpy as np

from pointlora_cli.datasets.progress import DataProgress
from pointlora_cli.datasets.shapes import many
from pointlora_cli.datasets.shapes.generator import ShapeOptions, generate_shapes

OPTIONS = ShapeOptions(points=16, occlusion=0.2)
CLASSES = ("chair", "mug")


def test_several_processes_make_what_one_makes(monkeypatch):
    monkeypatch.setattr(many, "_MANY", 8)
    monkeypatch.setattr(many, "_FEW", 4)
    heard: list[DataProgress] = []
    found = many.generate_many(6, 3, "test", OPTIONS, CLASSES, heard.append)
    expected = generate_shapes(6, 3, "test", OPTIONS, CLASSES)
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))
    assert (heard[-1].done, heard[-1].total) == (12, 12)


def test_few_are_made_at_once_without_a_word():
    heard: list[DataProgress] = []
    many.generate_many(2, 3, "train", OPTIONS, CLASSES, heard.append)
    assert heard == []
