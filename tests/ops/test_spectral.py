"""Graph Fourier bases against their definition."""

import pytest
import torch

from pointlora_cli.ops.spectral import exact_basis, graph_laplacian, released_basis

BASES = pytest.mark.parametrize("basis", [exact_basis, released_basis])


def random_points(*shape):
    return torch.rand(*shape, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def laplacian(points, unit):
    """By loops, of (n, 3)."""
    n = len(points)
    weights = torch.eye(n, dtype=torch.float64)
    for i in range(n):
        for j in range(n):
            if i != j:
                weights[i, j] = unit / (points[i] - points[j]).norm()
    degrees = weights.sum(dim=1)
    return torch.eye(n, dtype=torch.float64) - weights / (
        (degrees[:, None] + 1e-6).sqrt() * (degrees[None] + 1e-6).sqrt()
    )


def smallest(groups):
    return min(torch.pdist(group).min() for group in groups)


def assert_eigenvectors(matrix, vectors):
    identity = torch.eye(len(matrix), dtype=torch.float64)
    torch.testing.assert_close(vectors.T @ vectors, identity)
    values = torch.linalg.eigvalsh(matrix)
    torch.testing.assert_close(matrix @ vectors, vectors * values)


def test_columns_are_eigenvectors_in_units_of_the_clouds_smallest_distance():
    points = random_points(2, 3, 7)
    found = exact_basis(points)
    for cloud, bases in zip(points, found, strict=True):
        for group, vectors in zip(cloud, bases, strict=True):
            assert_eigenvectors(laplacian(group, smallest(cloud)), vectors)


def test_released_unit_is_the_smallest_of_the_batch():
    points = random_points(2, 3, 7)  # 7: so few that distances are not taken by a product
    unit = smallest(points.flatten(0, 1))
    for group, vectors in zip(points.flatten(0, 1), released_basis(points).flatten(0, 1), strict=True):
        assert_eigenvectors(laplacian(group, unit), vectors)


def test_exact_bases_depend_on_nothing_but_the_cloud():
    points = random_points(3, 2, 40)
    together = exact_basis(points)
    for cloud, bases in zip(points, together, strict=True):
        torch.testing.assert_close(exact_basis(cloud[None])[0], bases)
    torch.testing.assert_close(exact_basis(5 * points), together)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(exact_basis(points[:, :, order]), together[:, :, order])


def test_exact_bases_of_float32_points_are_computed_in_float64():
    points = random_points(2, 1, 64).float()
    assert torch.equal(exact_basis(points), exact_basis(points.double()))


def test_the_largest_component_of_an_eigenvector_is_positive():
    vectors = exact_basis(random_points(2, 2, 30)).flatten(0, 1)
    largest = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True))
    assert (largest > 0).all()


def test_of_components_as_large_the_first_is_positive():
    square = torch.tensor([[0.0, 0, 0], [3, 0, 0]])  # eigenvectors (1, 1) and (1, -1)
    half = 0.5**0.5
    expected = torch.tensor([[half, half], [half, -half]], dtype=torch.float64)
    torch.testing.assert_close(exact_basis(square[None, None])[0, 0], expected)


@BASES
def test_copies_of_a_point_count_as_one_unit_apart(basis):
    points = random_points(2, 2, 8)
    points[0, 0, 3] = points[0, 0, 4]
    points[1] = 0.25  # all of one cloud
    bases = basis(points)
    identity = torch.eye(8, dtype=torch.float64).expand(2, 2, -1, -1)
    torch.testing.assert_close(bases.transpose(-2, -1) @ bases, identity)


def test_self_weight_is_one():
    distances = torch.tensor([[0.0, 2], [2, 0]], dtype=torch.float64)
    found = graph_laplacian(distances, torch.tensor(1.0))  # weights 1 and 1/2
    expected = torch.tensor([[1 / 3, -1 / 3], [-1 / 3, 1 / 3]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
