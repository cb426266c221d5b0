"""`pointlora predict --save` with a model of part segmentation: each cloud is labelled and written once."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import TINY_BACKBONE, TINY_TRAINING, call, only_run, sets
from labelled_folder import fill, layered

from pointlora_cli.clouds.labelled import read_labelled
from pointlora_cli.services.predict_places import PartPlaces


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny model of two categories."""
    folder = tmp_path_factory.mktemp("parts")
    for category, labels in (("Chair", [7, 40]), ("Bed", [1, 2])):
        fill(folder / "clouds" / category, 3, labels)
    data = json.dumps({"source": "segmentation-folder", "root": str(folder / "clouds"), "points": 64})
    options = ("task=part-segmentation", f"data={data}", *TINY_BACKBONE, *TINY_TRAINING, "method.name=full")
    outcome = call("finetune", "--preset", "quickstart", *sets(*options), "-o", folder / "runs")
    assert outcome.code == 0, outcome.err
    return only_run(folder / "runs")


@pytest.fixture
def clouds(elsewhere):
    """Four clouds of one name, and one that is broken."""
    for seed in range(4):
        (elsewhere / "scans" / str(seed)).mkdir(parents=True)
        np.savetxt(elsewhere / "scans" / str(seed) / "model.xyz", layered(80 + seed, [7, 40], seed)[0])
    (elsewhere / "scans" / "4.ply").write_text("ply\n")
    return elsewhere / "scans"


def predict(run, *arguments, category="Chair", workers=1):
    return call(
        "predict", *arguments, "-a", run, "-c", category, "--save", "r.jsonl", "--workers", str(workers)
    )


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def test_two_processes_write_and_one_gives_the_names(run, clouds):
    outcome = predict(run, clouds, workers=2)
    assert outcome.code == 3
    assert "left out" in outcome.err
    rows = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    written = ["parts/model.ply", "parts/model-2.ply", "parts/model-3.ply", "parts/model-4.ply"]
    assert [row.get("written") for row in rows] == [*written, None]
    assert names("parts") == sorted(Path(path).name for path in written)
    assert [len(read_labelled(path)[1]) for path in written] == [80, 81, 82, 83]


def test_after_a_kill_nothing_is_written_twice_and_nothing_is_left_over(run, clouds):
    predict(run, clouds)
    whole = Path("r.jsonl").read_bytes()
    contents = {name: (Path("parts") / name).read_bytes() for name in names("parts")}
    Path("r.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    (Path("parts") / "model-4.ply").unlink()  # killed after the third was named and before it was recorded
    predict(run, clouds)
    assert Path("r.jsonl").read_bytes() == whole
    assert {name: (Path("parts") / name).read_bytes() for name in names("parts")} == contents


def test_what_a_killed_call_had_no_name_for_is_removed_and_other_files_stay(run, clouds):
    left = PartPlaces(Path("parts"), saved=Path("r.jsonl")).pending_file()
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a file")
    for name in ("model.ply", "model-3.ply"):
        (Path("parts") / name).write_bytes(b"mine")
    assert predict(run, clouds / "0", clouds / "1").code == 0
    assert names("parts") == ["model-2.ply", "model-3.ply", "model-4.ply", "model.ply"]
    assert Path("parts/model.ply").read_bytes() == Path("parts/model-3.ply").read_bytes() == b"mine"


def test_another_category_and_another_folder_are_refused_by_name(run, clouds):
    assert predict(run, clouds / "0").code == 0
    for arguments, words in (
        ({"category": "Bed"}, "another category Chair (here Bed)"),
        ({"more": ("--exact",)}, "another exact False (here True)"),
        ({"more": ("-o", "other")}, "another output parts (here other)"),
    ):
        more = arguments.pop("more", ())
        outcome = predict(run, clouds, *more, **arguments)
        assert outcome.code == 2
        assert words in outcome.err
    assert len(Path("r.jsonl").read_text().splitlines()) == 1


def test_what_it_wrote_itself_is_no_cloud_to_label(run, clouds):
    shutil.rmtree(clouds / "2")
    (clouds / "4.ply").unlink()
    for output in ("parts", "."):
        for _ in range(2):
            outcome = predict(run, ".", "-o", output)
            assert outcome.code == 0, outcome.err
            assert "3 files" in outcome.out
        Path("r.jsonl").unlink()
        shutil.rmtree("parts", ignore_errors=True)
