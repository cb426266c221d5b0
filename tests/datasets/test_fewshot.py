"""Few-shot episodes of ModelNet40: the published files, and those that we draw."""

from __future__ import annotations

import hashlib
import shutil

import numpy as np
import pytest
from command_line import call
from modelnet_files import pickled, processed_file, shapes, write_processed

from pointlora_cli.datasets.build import check_data, class_count, class_names, load_data
from pointlora_cli.datasets.episodes import QUERIES, draw_episode
from pointlora_cli.datasets.modelnet40 import CLASSES
from pointlora_cli.errors import DataError, IntegrityError
from pointlora_cli.specs.data import FewShotData

ORIGINALS = (7, 0, 39, 12, 25)
"""ModelNet40's labels of the published episode that the tests write."""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("POINTLORA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def items(count, seed=0):
    """(points, new label, ModelNet40's label) of `count` clouds, whose labels go round."""
    clouds = shapes(count, seed=seed)
    return [(clouds[i], i % 5, ORIGINALS[i % 5]) for i in range(count)]


def write(root, content, folder="5way_10shot", fold=0):
    file = root / folder / f"{fold}.pkl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else pickled(content))
    return file


def episode(train=10, test_clouds=5, **changes):
    return {"train": items(train), "test": items(test_clouds, seed=1)} | changes


def load(root, **options):
    return load_data(FewShotData(root=str(root), points=32, **options))


def in_unit_sphere(cloud):
    points = cloud[:, :3].astype(np.float64)
    points = points - points.mean(axis=0)
    return points / np.linalg.norm(points, axis=1).max()


def test_published_episode_holds_its_clouds_and_the_names_of_its_classes(tmp_path):
    content = episode()
    write(tmp_path, content)
    data = load(tmp_path)
    assert data.classes == ("car", "airplane", "xbox", "desk", "piano")
    assert data.train.points.shape == (10, 8192, 3)
    assert data.train.labels.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]
    for points, item in zip(data.train.points, content["train"], strict=True):
        np.testing.assert_allclose(points, in_unit_sphere(item[0]), atol=1e-6)
    assert data.test.points.shape == (5, 32, 3)
    for points, item in zip(data.test.points, content["test"], strict=True):
        np.testing.assert_allclose(points[0], in_unit_sphere(item[0])[0], atol=1e-6)
        distances = np.linalg.norm(points[:, None] - in_unit_sphere(item[0])[None], axis=2).min(axis=1)
        assert distances.max() < 1e-6


def test_points_near_the_origin_are_left_out_of_test_clouds_where_that_is_asked(tmp_path):
    content = episode(5, 1)
    content["test"][0][0][5::11, :3] *= 1e-3
    write(tmp_path, content)
    near = [
        (np.square(load_data(spec).test.points[0, 1:]).sum(axis=1) <= 1e-3).sum()
        for skip in (False, True)
        for spec in (FewShotData(root=str(tmp_path), points=8000, skip_near_origin=skip),)
    ]
    assert near[0] > 100
    assert near[1] == 0


@pytest.mark.parametrize("folder", ["5way_10shot", "5way10shot"])
@pytest.mark.parametrize("above", ["", "ModelNetFewshot"])
def test_both_spellings_of_the_folder_are_found(tmp_path, folder, above):
    file = write(tmp_path / above, episode(5), folder, fold=3)
    write(tmp_path / above, episode(6), folder, fold=4)
    assert len(load(tmp_path, fold=3).train) == 5
    file.unlink()
    with pytest.raises(DataError, match=r"3\.pkl"):
        check_data(FewShotData(root=str(tmp_path), fold=3))


def test_imported_folder_is_found_without_a_path(tmp_path):
    write(tmp_path / "ModelNetFewshot", episode(5))
    outcome = call("download", "modelnet40-fewshot", "--from-dir", tmp_path)
    assert outcome.code == 0, outcome.err
    assert len(load_data(FewShotData(points=32)).train) == 5


@pytest.mark.parametrize("given", [True, False])
def test_missing_episode_is_named_with_both_ways_to_get_one(tmp_path, given):
    spec = FewShotData(root=str(tmp_path) if given else None, way=10, shot=20, fold=7)
    for use in (check_data, class_names, load_data):
        with pytest.raises(DataError, match=r"10way_20shot/7\.pkl") as caught:
            use(spec)
        assert "pointlora download modelnet40-fewshot --from-dir DIR" in str(caught.value.remedy)
        assert "--set data.episodes=generated" in str(caught.value.remedy)


def test_other_numbers_of_clouds_are_said_and_no_error(tmp_path):
    write(tmp_path, episode(10, 5))
    notices = load(tmp_path).notices
    assert any("10 training clouds; 5 classes of 10 make 50" in notice for notice in notices)
    assert any("5 test clouds; 5 classes of 20 make 100" in notice for notice in notices)


@pytest.mark.parametrize(
    "labels",
    [
        np.int64,
        lambda label: np.array([label], dtype=np.int32),
        np.array,
        float,
        lambda label: np.array([[label]], dtype=np.float32),
    ],
)
def test_labels_may_be_arrays_of_one_number(tmp_path, labels):
    content = {split: [(p, labels(a), labels(b)) for p, a, b in part] for split, part in episode(5).items()}
    write(tmp_path, content)
    data = load(tmp_path)
    assert data.train.labels.tolist() == [0, 1, 2, 3, 4]
    assert data.classes[2] == "xbox"


def test_spare_outputs_are_named_after_the_classes(tmp_path):
    write(tmp_path, episode(5))
    spec = FewShotData(root=str(tmp_path), outputs=40)
    names = class_names(spec)
    assert (len(names), names[4], names[5], names[-1]) == (40, "piano", "spare-6", "spare-40")
    assert class_count(spec) == 40
    assert load(tmp_path, outputs=40).classes == names
    assert len(class_names(FewShotData(root=str(tmp_path), outputs=5))) == 5


class Bomb:
    """Runs a command when it is unpickled by an ordinary unpickler."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.target),)


def test_a_pickle_that_would_run_code_is_refused_and_nothing_runs(tmp_path):
    write(tmp_path, episode(5, extra=Bomb(tmp_path / "ran")))
    for use in (load_data, class_names):
        with pytest.raises(IntegrityError, match=r"0\.pkl"):
            use(FewShotData(root=str(tmp_path)))
    assert not (tmp_path / "ran").exists()
    import pickle

    pickle.loads((tmp_path / "5way_10shot" / "0.pkl").read_bytes())
    assert (tmp_path / "ran").exists()  # so the file would have


CLOUD = shapes(1)[0]
HOLED = CLOUD.copy()
HOLED[5, 1] = np.nan
HUGE = CLOUD.astype(np.float64)
HUGE[5, 1] = 1e300


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ((CLOUD, 0), r"'test' item 5: not \(points, label"),
        (CLOUD, r"'test' item 5: not \(points, label"),
        ((CLOUD[:, :3], 0, 7), r"'test' item 5: float32 \(8192, 3\), expected floats \(8192, 6\)"),
        ((CLOUD[:1024], 0, 7), r"'test' item 5: float32 \(1024, 6\)"),
        ((CLOUD.astype(np.int32), 0, 7), r"'test' item 5: int32"),
        (("points", 0, 7), r"'test' item 5: str"),
        ((HOLED, 0, 7), r"'test' item 5: values that are NaN"),
        ((HUGE, 0, 7), r"'test' item 5: values that are NaN, infinite or too large"),
        ((CLOUD, 5, 7), r"'test' item 5: its label is not a whole number from 0 to 4"),
        ((CLOUD, -1, 7), r"'test' item 5: its label is not"),
        ((CLOUD, 0.5, 7), r"'test' item 5: its label is not"),
        ((CLOUD, float("nan"), 7), r"'test' item 5: its label is not"),
        ((CLOUD, 10**400, 7), r"'test' item 5: its label is not"),
        ((CLOUD, None, 7), r"'test' item 5: its label is not"),
        ((CLOUD, "0", 7), r"'test' item 5: its label is not"),
        ((CLOUD, np.arange(2), 7), r"'test' item 5: its label is not"),
        ((CLOUD, 0, 40), r"'test' item 5: its label in ModelNet40 is not a whole number from 0 to 39"),
        ((CLOUD, 0, 8), r"'test' item 5: label 0 is chair here and car before"),
    ],
)
def test_a_bad_item_is_refused_by_its_file_and_place(tmp_path, bad, message):
    file = write(tmp_path, episode(5, test=[*items(5), bad]))
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path)
    assert str(file) in caught.value.message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "not a dictionary"),
        ({"train": items(5)}, "not a dictionary with 'train' and 'test'"),
        ({"train": items(5), "test": []}, "'test' is no list of clouds"),
        ({"train": items(5), "test": {}}, "'test' is no list of clouds"),
        ({"train": items(5), "test": items(1) * 5000}, "far too many"),
        ({"train": items(4), "test": items(5)}, "no training cloud of label 4"),
        ({"train": [*items(4), (CLOUD, 4, 7)], "test": items(4)}, "two labels are the same class"),
        (b"", "0.pkl"),
        (b"<html>please log in</html>", "0.pkl"),
        (pickled(episode(5))[:-1000], "0.pkl"),
    ],
)
def test_a_file_of_another_content_is_refused(tmp_path, content, message):
    file = write(tmp_path, content)
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path)
    assert str(file) in caught.value.message


@pytest.fixture(scope="module")
def modelnet(tmp_path_factory):
    """Processed files: three training shapes of four classes, two of a fifth; two test shapes or one."""
    root = tmp_path_factory.mktemp("modelnet")
    train, test = [0] * 3 + [3] * 3 + [9] * 3 + [20] * 3 + [39] * 2, [39, 20, 9, 9, 3, 3, 0, 0]
    clouds = write_processed(root, train, test)
    return root, (np.array(train), np.array(test)), clouds


def generated(root, **options):
    options = {"way": 2, "shot": 2, "episodes": "generated"} | options
    return load(root, **options)


def test_generated_episode_is_made_of_modelnet40s_clouds(modelnet):
    root, labels, clouds = modelnet
    data = generated(root, way=4, shot=3)
    assert sorted(data.classes) == sorted(CLASSES[label] for label in (0, 3, 9, 20))
    assert class_names(FewShotData(root=str(root), episodes="generated", way=4, shot=3)) == data.classes
    assert np.bincount(data.train.labels).tolist() == [3, 3, 3, 3]
    spheres = [in_unit_sphere(cloud) for cloud in clouds[0]]
    for points, label in zip(data.train.points, data.train.labels, strict=True):
        (place,) = (i for i, sphere in enumerate(spheres) if np.allclose(points, sphere, atol=1e-6))
        assert CLASSES[labels[0][place]] == data.classes[label]
    assert data.test.points.shape == (7, 32, 3)
    firsts = np.stack([in_unit_sphere(cloud)[0] for cloud in clouds[1]])
    for points, label in zip(data.test.points, data.test.labels, strict=True):
        (place,) = np.flatnonzero(np.abs(firsts - points[0]).max(axis=1) < 1e-6)
        assert CLASSES[labels[1][place]] == data.classes[label]


def test_few_test_shapes_are_said(modelnet):
    notices = generated(modelnet[0], way=4, shot=3).notices
    assert any("fewer than 20 test shapes" in notice and "laptop (1)" in notice for notice in notices)


def test_classes_with_too_few_shapes_are_never_drawn(modelnet):
    root = modelnet[0]
    for fold in range(3):
        assert "xbox" not in generated(root, way=4, shot=3, fold=fold).classes
    assert len(generated(root, way=5).classes) == 5
    with pytest.raises(DataError, match="4 classes have 3 training shapes and a test shape"):
        generated(root, way=5, shot=3)


def test_missing_modelnet40_is_named_with_its_command(tmp_path):
    for spec in (FewShotData(episodes="generated"), FewShotData(episodes="generated", root=str(tmp_path))):
        with pytest.raises(DataError) as caught:
            check_data(spec)
        assert "pointlora download modelnet40" in str(caught.value.remedy)


def test_a_bomb_in_modelnet40_is_refused_too(modelnet, tmp_path):
    shutil.copytree(modelnet[0], tmp_path / "data")
    processed_file(tmp_path / "data", "test").write_bytes(pickled([Bomb(tmp_path / "ran"), []]))
    with pytest.raises(IntegrityError):
        generated(tmp_path / "data")
    assert not (tmp_path / "ran").exists()


TRAIN_LABELS = np.repeat(np.arange(40), 70)
TEST_LABELS = np.repeat(np.arange(40), 25)


def drawn(**changes):
    options = {"seed": 0, "way": 5, "shot": 10, "fold": 0} | changes
    return draw_episode(TRAIN_LABELS, TEST_LABELS, **options)


def test_a_drawn_episode_has_its_classes_shots_and_queries():
    episode = drawn(way=10, shot=20)
    assert len(set(episode.classes)) == 10
    assert episode.notices == ()
    for places, labels, all_labels, each in (
        (episode.train, episode.train_labels, TRAIN_LABELS, 20),
        (episode.test, episode.test_labels, TEST_LABELS, QUERIES),
    ):
        assert len(set(places.tolist())) == 10 * each
        assert np.bincount(labels).tolist() == [each] * 10
        assert all_labels[places].tolist() == [episode.classes[label] for label in labels]
        assert (np.diff(labels) != 0).sum() > 10  # shuffled, not class by class


def test_an_episode_depends_on_its_four_numbers_alone():
    first = drawn(fold=3)
    for fold in range(3):
        drawn(fold=fold)
    np.random.default_rng(0).random(10)
    again = drawn(fold=3)
    assert first.classes == again.classes
    assert first.train.tolist() == again.train.tolist()
    assert first.test.tolist() == again.test.tolist()


@pytest.mark.parametrize("change", [{"fold": 1}, {"seed": 1}, {"way": 6}, {"shot": 11}])
def test_another_number_gives_another_episode(change):
    first, other = drawn(), drawn(**change)
    assert first.classes != other.classes[: len(first.classes)]
    assert first.train.tolist() != other.train.tolist()[: len(first.train)]


def test_ten_folds_are_ten_different_episodes():
    assert len({drawn(fold=fold).classes for fold in range(10)}) == 10


def test_an_episode_is_the_same_everywhere():
    episode = drawn(fold=9)
    digest = hashlib.sha256(b"few-shot/0/5/10/9").digest()  # seed, way, shot, fold
    stream = np.random.RandomState(np.frombuffer(digest, dtype="<u4").astype(np.uint32))
    assert episode.classes == tuple(stream.permutation(40)[:5].tolist())
    assert episode.classes == (12, 11, 2, 31, 32)
    assert episode.train[:4].tolist() == [2214, 875, 2203, 868]
    assert episode.test[:4].tolist() == [305, 284, 58, 72]
