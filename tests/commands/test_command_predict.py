"""`pointlora predict`: any cloud or mesh, one or many, and an answer that depends on the shape alone."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from command_line import call

from pointlora_cli.commands.predict_result import show_classes, show_parts
from pointlora_cli.console.predict_progress import PredictProgress
from pointlora_cli.console.screen import Screen
from pointlora_cli.services.predict import Classified
from pointlora_cli.services.predict_parts import Labelled, Part
from pointlora_cli.services.trained_model import load_trained_model

ODD_FILES = Path(__file__).parents[1] / "data" / "odd_files"
CUBE_OFF = """OFF
8 6 0
0 0 0
1 0 0
1 1 0
0 1 0
0 0 1
1 0 1
1 1 1
0 1 1
4 0 1 2 3
4 4 5 6 7
4 0 1 5 4
4 1 2 6 5
4 2 3 7 6
4 3 0 4 7
"""


@pytest.fixture
def predict(trained_run):
    """Predictions of files, which must all succeed."""

    def run(*paths):
        outcome = call("predict", *paths, "--adapter", trained_run, "--json")
        assert outcome.code == 0, outcome
        return outcome.document["predictions"]

    return run


def cloud(count, seed=0):
    """An uneven cloud whose coordinates float32 holds exactly, also after a shift; (count, 3) float64."""
    random = np.random.RandomState(seed)
    points = np.round(random.standard_normal((count, 3)) * [1, 2, 0.5] * 1024) / 1024
    corner = np.array([8.0, 4.0, 2.0])
    return np.concatenate(
        [points.clip(-corner, corner), [corner, -corner]]
    )  # its box is centred on the origin


def saved(path, points):
    np.save(path, points)
    return path


def probabilities(prediction):
    return np.array(list(prediction["probabilities"].values()))


@pytest.mark.parametrize("count", [20, 64, 500, 3000])
def test_order_and_duplicates_do_not_matter(predict, tmp_path, count):
    points = cloud(count)
    random = np.random.RandomState(1)
    shuffled = points[random.permutation(len(points))]
    doubled = np.concatenate([shuffled, points[random.randint(len(points), size=3 * count)]])
    files = [
        saved(tmp_path / f"{index}.npy", variant) for index, variant in enumerate([points, shuffled, doubled])
    ]
    alone = [probabilities(predict(file)[0]) for file in files]
    assert (alone[0] == alone[1]).all()
    assert (alone[0] == alone[2]).all()
    together = [probabilities(prediction) for prediction in predict(*files)]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-6)


@pytest.mark.parametrize("offset", [1e6, 1e9, -1e9])
def test_place_does_not_matter(predict, tmp_path, offset):
    points = cloud(300)
    here, far = predict(saved(tmp_path / "here.npy", points), saved(tmp_path / "far.npy", points + offset))
    np.testing.assert_allclose(probabilities(far), probabilities(here), atol=1e-6)


def test_size_and_unit_do_not_matter(predict, tmp_path):
    points = cloud(300)
    small, large = predict(saved(tmp_path / "s.npy", points / 1024), saved(tmp_path / "l.npy", points * 1024))
    assert probabilities(small).shape == (10,)
    assert np.isfinite(probabilities(small)).all()
    assert np.isfinite(probabilities(large)).all()


def test_shape_does_matter(predict, tmp_path):
    files = [saved(tmp_path / f"{seed}.npy", cloud(100, seed) * [1, 1, seed]) for seed in (1, 50)]
    first, second = map(probabilities, predict(*files))
    assert np.abs(first - second).max() > 1e-4


def test_same_cloud_in_several_formats(predict, tmp_path):
    points = cloud(40)
    np.save(tmp_path / "c.npy", points)
    np.savetxt(tmp_path / "c.xyz", points, fmt="%.17g")
    np.savetxt(tmp_path / "c.csv", points, delimiter=",", header="x,y,z", comments="", fmt="%.17g")
    header = f"ply\nformat ascii 1.0\nelement vertex {len(points)}\n"
    header += "".join(f"property double {axis}\n" for axis in "xyz") + "end_header\n"
    rows = "\n".join(" ".join(map(str, row)) for row in points.tolist())
    (tmp_path / "c.ply").write_text(f"{header}{rows}\n")
    found = [probabilities(prediction) for prediction in predict(tmp_path)]
    assert len(found) == 4
    np.testing.assert_allclose(found, np.broadcast_to(found[0], (4, 10)), atol=1e-6)


def test_fewer_and_more_points_than_the_model_takes(predict, tmp_path):
    few, exact, many = predict(
        saved(tmp_path / "a.npy", cloud(3)),
        saved(tmp_path / "b.npy", cloud(62)),
        saved(tmp_path / "c.npy", cloud(5000)),
    )
    assert few["notices"] == ["repeated from 5 to the model's 64 points"]
    assert exact["notices"] == []
    assert many["notices"] == ["thinned from 5,002 to the model's 64 points"]


def test_mesh(predict, tmp_path):
    (tmp_path / "cube.off").write_text(CUBE_OFF)
    (prediction,) = predict(tmp_path / "cube.off")
    assert prediction["points"] > 1000


def test_folder_is_searched_in_order_without_hidden_files(predict, tmp_path):
    for name in ("b/2.npy", "b/10.npy", "a.npy", ".hidden.npy", ".cache/c.npy", "b/._2.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        saved(tmp_path / name, cloud(30))
    (tmp_path / "notes.md").write_text("no cloud")
    found = [prediction["path"] for prediction in predict(tmp_path)]
    assert found == [str(tmp_path / name) for name in ("a.npy", "b/10.npy", "b/2.npy")]


def test_table(trained_run, tmp_path):
    saved(tmp_path / "a.npy", cloud(64))
    two = call("predict", tmp_path, "--adapter", trained_run, "--top", "2")
    assert str(tmp_path / "a.npy") in two.out
    assert two.out.count("%") == 2
    assert call("predict", tmp_path, "--adapter", trained_run, "--top", "99").out.count("%") == 10


def test_many_notices_are_summed_up(trained_run, tmp_path):
    for index in range(40):
        saved(tmp_path / f"{index:02}.npy", cloud(20, index))
    outcome = call("predict", tmp_path, "--adapter", trained_run)
    assert outcome.code == 0
    assert outcome.err.count("repeated from") == 5
    assert "35 more" in outcome.err
    assert outcome.out.count(".npy") == 40


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self):
        return True


def on_a_terminal(show):
    with contextlib.redirect_stdout(Terminal()) as out, contextlib.redirect_stderr(Terminal()) as err:
        show(Screen(as_json=False))
    return out.getvalue(), err.getvalue()


def test_thousands_of_clouds_on_a_terminal_are_some_rows_and_a_sum(trained_run, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    trained = load_trained_model(trained_run / "adapter")
    chances = np.eye(10)[[3] * 800 + [5] * 1200]
    found = [Classified(Path(f"{index:04}.npy"), 64, chance, ()) for index, chance in enumerate(chances)]
    out, _ = on_a_terminal(lambda screen: show_classes(screen, trained, found, 1))
    assert out.count(".npy") == 20
    assert "1,980 more; --json shows all, and --save FILE records them" in out
    assert [line.split() for line in out.splitlines()[-3:-1]] == [
        [trained.record.classes[5], "1,200"],
        [trained.record.classes[3], "800"],
    ]
    out, _ = on_a_terminal(lambda screen: show_classes(screen, trained, found[:50], 1))
    assert out.count(".npy") == 50
    assert "more;" not in out
    part = Part("leg", 1, (1, 2, 3))
    labelled = [Labelled(path, "Chair", (part,), (9,), path, ()) for path in (Path("a.ply"),) * 60]
    out, _ = on_a_terminal(lambda screen: show_parts(screen, trained, labelled, [part]))
    assert out.count("a.ply") == 40  # two in each row
    assert "40 more;" in out


def test_progress_on_a_terminal_is_a_bar_that_goes_away():
    def count(screen):
        with PredictProgress(screen, 2000) as progress:
            for index in range(2000):
                progress.count(unreadable=index % 100 == 0)

    _, err = on_a_terminal(count)
    assert "2,000 of 2,000 files" in err
    assert "20 unreadable" in err
    assert "note:" not in err
    assert err.endswith("\x1b[2K")


def test_broken_file_among_good_ones(trained_run, tmp_path):
    saved(tmp_path / "a.npy", cloud(30))
    (tmp_path / "b.ply").write_text("ply\nformat ascii 1.0\n")
    saved(tmp_path / "c.npy", cloud(30))
    outcome = call("predict", tmp_path, "--adapter", trained_run)
    assert outcome.code == 3
    assert "a.npy" in outcome.out
    assert "c.npy" in outcome.out
    assert "b.ply" not in outcome.out
    assert len([line for line in outcome.err.splitlines() if "b.ply" in line]) == 1
    assert outcome.err.endswith("error: 1 of 3 files could not be read\n")
    document = call("predict", tmp_path, "--adapter", trained_run, "--json").document
    assert ["error" in row for row in document["predictions"]] == [False, True, False]


def test_all_broken_gives_one_clear_line_each(trained_run, tmp_path):
    (tmp_path / "a.ply").write_text("ply\n")
    (tmp_path / "b.npy").write_bytes(b"nothing")
    (tmp_path / "c.xyz").write_text("1 2 3\n")
    outcome = call("predict", tmp_path / "nosuch.ply", tmp_path, "--adapter", trained_run)
    assert (outcome.code, outcome.out) == (3, "")
    for name in ("nosuch.ply", "a.ply", "b.npy", "c.xyz"):
        assert len([line for line in outcome.err.splitlines() if f"{name}: " in line]) == 1


def test_a_folder_of_broken_files_does_not_flood_the_screen(trained_run, tmp_path):
    for index in range(50):
        (tmp_path / f"{index:02}.ply").touch()
    outcome = call("predict", tmp_path, "--adapter", trained_run)
    assert outcome.code == 3
    assert "none of 50 files could be read; the first 20:" in outcome.err
    assert outcome.err.count(".ply") == 20
    saved(tmp_path / "good.npy", cloud(62))
    outcome = call("predict", tmp_path, "--adapter", trained_run)
    assert outcome.err.count(".ply") == 20
    assert "30 more" in outcome.err
    assert "50 of 51 files could not be read" in outcome.err


def test_one_broken_file_is_one_error_and_a_hint(trained_run, tmp_path):
    outcome = call("predict", tmp_path / "nosuch.ply", "--adapter", trained_run)
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err == f"error: {tmp_path}/nosuch.ply: there is no such file\nhint:  check the path\n"


def test_folder_without_clouds(trained_run, tmp_path):
    outcome = call("predict", tmp_path, "--adapter", trained_run)
    assert (outcome.code, outcome.out) == (3, "")
    assert "no point-cloud or mesh file" in outcome.err


@pytest.mark.parametrize("path", sorted(ODD_FILES.iterdir()), ids=lambda path: path.name)
def test_odd_file_is_predicted_or_gives_one_clear_line(trained_run, path):
    outcome = call("predict", path, "--adapter", trained_run)
    assert outcome.code in (0, 3)
    assert "Traceback" not in outcome.err
    if outcome.code == 0:
        assert path.name in outcome.out
    else:
        assert outcome.out == ""
        errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert errors[0].startswith(f"error: {path}: ")
