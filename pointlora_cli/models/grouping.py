"""Cutting a cloud into patches, at several scales at once."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pointlora_cli.models.tokens import Grouping, Scale
from pointlora_cli.ops.gathering import gather
from pointlora_cli.ops.neighbors import nearest_neighbors
from pointlora_cli.ops.sampling import farthest_point_sampling


def group(points: Tensor, scales: Sequence[Scale], *, skip_near_origin: bool = False) -> list[Grouping]:
    """Group clouds (B, N, 3) at every scale with one sampling and one neighbour search.

    Exact: farthest-point order is greedy, so fewer centers are a prefix of more, and neighbours are
    sorted, so fewer neighbours are a prefix of more.

    Raises:
        ValueError: a scale asks for more centers or neighbors than there are points.
    """
    most_centers = max(scale.centers for scale in scales)
    most_neighbors = max(scale.neighbors for scale in scales)
    center_indices = farthest_point_sampling(points, most_centers, skip_near_origin=skip_near_origin)
    centers = gather(points, center_indices)  # (B, G, 3)
    neighbor_indices, _ = nearest_neighbors(centers, points, most_neighbors)
    groupings = []
    for scale in scales:
        some = centers[:, : scale.centers]
        neighbors = neighbor_indices[:, : scale.centers, : scale.neighbors]
        neighborhoods = gather(points, neighbors) - some[:, :, None]
        groupings.append(Grouping(some, neighborhoods, center_indices[:, : scale.centers], neighbors))
    return groupings
