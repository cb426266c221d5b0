"""Views of what the token selection keeps."""

from pathlib import Path

import numpy as np
from command_line import call, only_run, tiny

from pointlora_cli.clouds.reading import read
from pointlora_cli.clouds.writing import write_ply
from pointlora_cli.datasets.resampling import resample
from pointlora_cli.services.selection import kept_scales
from pointlora_cli.services.trained_model import load_trained_model


def a_cloud(path, seed=0):
    write_ply(path, np.random.RandomState(seed).rand(200, 3).astype(np.float32))
    return path


def test_a_view_holds_the_model_s_points_and_marks_the_kept_ones(trained_run, tmp_path):
    cloud = a_cloud(tmp_path / "cloud.ply")
    outcome = call("predict", cloud, "--adapter", trained_run, "--selection", tmp_path / "views", "--json")
    assert outcome.code == 0, outcome.err
    trained = load_trained_model(trained_run / "adapter")
    points = resample(read(cloud), trained.record.resampling.points, trained.record.resampling.normalize)
    np.testing.assert_array_equal(read(tmp_path / "views" / "cloud.ply").points, points)
    labels = kept_scales(trained, points)
    (scale,) = trained.record.spec.method.scales
    assert set(labels) == {0, 1}
    assert scale.neighbors <= (labels == 1).sum() <= scale.keep * scale.neighbors
    assert b"property uchar red" in (tmp_path / "views" / "cloud.ply").read_bytes()[:400]


def test_two_clouds_of_one_name_get_two_views(trained_run, tmp_path):
    for seed, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        a_cloud(tmp_path / folder / "cloud.ply", seed)
    clouds = (tmp_path / "a", tmp_path / "b")
    assert call("predict", *clouds, "--adapter", trained_run, "--selection", tmp_path / "views").code == 0
    assert sorted(path.name for path in (tmp_path / "views").iterdir()) == ["cloud-2.ply", "cloud.ply"]


def test_a_view_never_replaces_a_file_not_even_the_cloud_itself(trained_run, tmp_path):
    cloud = a_cloud(tmp_path / "cloud.ply")
    before = cloud.read_bytes()
    for _ in range(2):
        assert call("predict", cloud, "--adapter", trained_run, "--selection", tmp_path).code == 0
    assert cloud.read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob("*.ply")) == ["cloud-2.ply", "cloud-3.ply", "cloud.ply"]


def test_a_method_that_selects_nothing_says_so(tmp_path):
    assert call("finetune", *tiny("method.name=mlp3", scales=False), "-o", tmp_path / "runs").code == 0
    run, cloud = only_run(tmp_path / "runs"), a_cloud(tmp_path / "cloud.ply")
    outcome = call("predict", cloud, "--adapter", run, "--selection", tmp_path / "views")
    assert outcome.code == 2
    assert "mlp3, which selects no tokens" in outcome.err
    assert not Path(tmp_path / "views").exists()
