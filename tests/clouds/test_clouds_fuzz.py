"""Damaged files of every format: a valid cloud or a CloudError, nothing else, and quickly."""

from __future__ import annotations

import time

import numpy as np
import pytest
from cloud_files import VALID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointlora_cli.clouds.reading import read
from pointlora_cli.errors import CloudError

changes = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(["byte", "cut", "insert", "repeat"]),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=4,
)  # fmt: skip


def damage(content, steps):
    for place, kind, new in steps:
        at = int(place * len(content))
        if kind == "byte":
            content = content[:at] + new + content[at + len(new) :]
        elif kind == "cut":
            content = content[:at]
        elif kind == "insert":
            content = content[:at] + new + content[at:]
        else:
            content = content[:at] + content[max(at - 40, 0) :]
    return content


def check(path):
    started = time.monotonic()
    try:
        cloud = read(path, mesh_points=100)
    except CloudError as error:
        assert error.message.startswith(str(path))
        assert "\n" not in error.message
    else:
        assert cloud.points.shape == (len(cloud.points), 3)
        assert cloud.points.dtype == np.float32
        assert cloud.offset.shape == (3,)
        assert np.isfinite(cloud.points).all()
        assert (cloud.points != cloud.points[0]).any()
    assert time.monotonic() - started < 5


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", VALID)
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=changes)
def test_damaged_file_reads_or_gives_the_reason(name, steps, tmp_path):
    path = tmp_path / name
    path.write_bytes(damage(VALID[name], steps))
    check(path)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", VALID)
def test_file_cut_anywhere_reads_or_gives_the_reason(name, tmp_path):
    path = tmp_path / name
    content = VALID[name]
    for end in range(0, len(content), max(len(content) // 60, 1)):
        path.write_bytes(content[:end])
        check(path)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    suffix=st.sampled_from([".xyz", ".csv", ".obj", ".stl", ".off", ".ply"]), content=st.text(max_size=200)
)
def test_any_text_reads_or_gives_the_reason(suffix, content, tmp_path):
    path = tmp_path / f"any{suffix}"
    path.write_text(content, encoding="utf-8", errors="replace")
    check(path)
