"""The Chamfer distance and its gradient."""

import pytest
import torch

from pointlora_cli.ops import chamfer
from pointlora_cli.ops.chamfer import chamfer_l1, chamfer_l2, nearest_squared_distances

SIZES = [(1, 1), (5, 9), (32, 32), (64, 64), (65, 3), (3, 65), (90, 130)]


def by_definition(points, others):
    """All distances at once, squared, and the least of each row and column."""
    squared = ((points[:, :, None] - others[:, None]) ** 2).sum(-1)
    return squared.min(dim=2).values, squared.min(dim=1).values


def l2(points, others):
    rows, columns = by_definition(points, others)
    return rows.mean(dim=1) + columns.mean(dim=1)


def l1(points, others):
    rows, columns = by_definition(points, others)
    return (rows.sqrt().mean(dim=1) + columns.sqrt().mean(dim=1)) / 2


def sets(n, m, dtype=torch.float64, batch=3):
    generator = torch.Generator().manual_seed(n * 1000 + m)
    return tuple(
        torch.randn(batch, size, 3, dtype=dtype, generator=generator).requires_grad_() for size in (n, m)
    )


@pytest.mark.parametrize(("n", "m"), SIZES)
@pytest.mark.parametrize(("ours", "definition"), [(chamfer_l2, l2), (chamfer_l1, l1)])
def test_value_and_gradient_are_those_of_the_definition(n, m, ours, definition):
    values, gradients = [], []
    for distance in (ours, definition):
        both = sets(n, m)
        found = distance(*both)
        values.append(found)
        gradients.append(torch.autograd.grad((found * torch.tensor([1.0, -2.0, 3.0])).sum(), both))
    torch.testing.assert_close(*values)
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize(("n", "m"), [(4, 6), (3, 66)])
@pytest.mark.parametrize("distance", [chamfer_l2, chamfer_l1])
def test_gradient_is_the_slope(n, m, distance):
    assert torch.autograd.gradcheck(distance, sets(n, m, batch=2))


@pytest.mark.parametrize("size", [16, 80])
def test_blocks_of_one_row_find_the_same(size, monkeypatch):
    both = sets(size, 100, torch.float32)
    whole = nearest_squared_distances(*both)
    monkeypatch.setattr(chamfer, "_CPU_BYTES", 1)
    for mine, theirs in zip(nearest_squared_distances(*both), whole, strict=True):
        assert torch.equal(mine, theirs)


def test_of_large_sets_no_matrix_is_made(monkeypatch):
    """Of 8,000 points each way it would be 256 MB; no block of it is more than was allowed."""
    sizes = []

    def watched(some, others):
        distances = squared_distances(some, others)
        sizes.append(distances.numel() * distances.element_size())
        return distances

    squared_distances = chamfer.squared_distances
    monkeypatch.setattr(chamfer, "squared_distances", watched)
    along = torch.tensor([1.0, 0.0, 0.0])
    line = torch.arange(8_000.0)[None, :, None] * along
    assert chamfer_l2(line, line.flip(1) + along / 4).item() == 1 / 16 + 1 / 16
    assert max(sizes) <= chamfer._CPU_BYTES
    assert sum(sizes) == 4 * 8_000**2


@pytest.mark.parametrize("distance", [chamfer_l2, chamfer_l1])
@pytest.mark.parametrize("size", [10, 70])
def test_equal_sets_are_at_distance_zero_with_a_finite_gradient(distance, size):
    points, _ = sets(size, 1)
    found = distance(points, points.detach().flip(1))
    assert found.tolist() == [0.0] * 3
    (gradient,) = torch.autograd.grad(found.sum(), points)
    assert not gradient.any()


def test_no_other_set_of_the_batch_counts():
    points, others = sets(20, 70)
    together = chamfer_l2(points, others)
    alone = torch.cat([chamfer_l2(points[i : i + 1], others[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("size", [32, 80])
def test_distances_are_float32_whatever_the_arithmetic(size):
    points, others = sets(size, size, torch.float32)
    exact = chamfer_l2(points, others)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(chamfer_l2(points, others), exact)
        half = chamfer_l2(points.bfloat16(), others)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, exact, rtol=0.02, atol=0)


@pytest.mark.parametrize("size", [8, 80])
def test_what_is_not_finite_is_not_hidden(size):
    points, others = sets(size, size)
    with torch.no_grad():
        points[1, 3, 2] = torch.nan
    assert chamfer_l2(points, others).isnan().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("points", "others", "error"),
    [
        (torch.rand(2, 4, 3), torch.rand(3, 4, 3), ValueError),
        (torch.rand(2, 4, 3), torch.rand(2, 4, 2), ValueError),
        (torch.rand(2, 0, 3), torch.rand(2, 4, 3), ValueError),
        (torch.zeros(2, 4, 3, dtype=torch.int64), torch.rand(2, 4, 3), TypeError),
    ],
)
def test_bad_input_is_refused(points, others, error):
    with pytest.raises(error, match=r"must|hold|empty"):
        chamfer_l2(points, others)
