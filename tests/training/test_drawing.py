"""Drawing a step's points from clouds stored with more."""

import pytest
import torch

from pointlora_cli.ops.gathering import gather
from pointlora_cli.ops.sampling import farthest_point_sampling
from pointlora_cli.specs.data import ModelNet40Data, ScanObjectNNData, ShapesData
from pointlora_cli.training.drawing import PointDrawing


def drawing(seed=0, **options):
    return PointDrawing(ModelNet40Data(**options), torch.Generator().manual_seed(seed))


@pytest.fixture
def clouds():
    return torch.randn(3, 300, 3, generator=torch.Generator().manual_seed(1))


def rows(cloud):
    return {tuple(point) for point in cloud.tolist()}


@pytest.mark.parametrize(("points", "candidates"), [(1024, 1200), (2048, 2400), (4096, 4800), (8192, 8192)])
def test_candidates_are_the_published_numbers(points, candidates):
    assert ModelNet40Data(points=points).drawn_from == candidates
    if points <= 2048:
        assert ScanObjectNNData(points=points).drawn_from == min(candidates, 2048)  # as many as are stored


def test_the_points_are_some_of_the_farthest_from_a_random_first_one(clouds):
    draw = drawing(points=40, candidates=60)
    seen = set()
    for _ in range(5):
        drawn = draw(clouds)
        assert drawn.shape == (3, 40, 3)
        for stored, kept in zip(clouds, drawn, strict=True):
            starts = [
                first
                for first in range(300)
                if rows(kept)
                <= rows(stored[farthest_point_sampling(stored[None], 60, first=torch.tensor([first]))[0]])
            ]
            assert starts
        seen.add(tuple(map(tuple, drawn[0].tolist())))
    assert len(seen) == 5


def test_one_choice_of_ranks_serves_the_whole_batch(clouds):
    same = clouds[:1].expand(3, -1, -1).contiguous()
    draw = PointDrawing(ModelNet40Data(points=40, candidates=8192), torch.Generator().manual_seed(0))
    first, *others = draw(same)  # fewer are stored than the candidates: no sampling, one choice
    assert len(rows(first)) == 40
    assert all(torch.equal(first, other) for other in others)


def test_the_same_generator_draws_the_same(clouds):
    options = {"points": 40, "candidates": 60}
    assert torch.equal(drawing(3, **options)(clouds), drawing(3, **options)(clouds))
    assert not torch.equal(drawing(3, **options)(clouds), drawing(4, **options)(clouds))


def test_points_near_the_origin_are_never_drawn(clouds):
    clouds = clouds.clone()
    clouds[:, 1::2] *= 1e-3
    for options in ({"points": 40, "candidates": 60}, {"points": 300, "candidates": 300}):
        drawn = drawing(skip_near_origin=True, **options)(clouds)
        near = (drawn.square().sum(dim=2) <= 1e-3).sum(dim=1)
        assert (near <= 1).all()  # the random first point alone may be


def test_all_stored_points_without_those_are_what_the_sampler_gives(clouds):
    clouds = clouds.clone()
    clouds[:, 1::2] *= 1e-3
    ours = drawing(points=300, candidates=300, skip_near_origin=True)(clouds)
    theirs = gather(clouds, farthest_point_sampling(clouds, 300, skip_near_origin=True))
    for mine, official in zip(ours.tolist(), theirs.tolist(), strict=True):
        assert sorted(mine) == sorted(official)


@pytest.mark.parametrize("spec", [ModelNet40Data(points=8192), ScanObjectNNData(), ShapesData(points=300)])
def test_clouds_stored_as_wanted_pass_untouched(spec):
    clouds = torch.randn(2, spec.points, 3)
    assert PointDrawing(spec, torch.Generator())(clouds) is clouds
