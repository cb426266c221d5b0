"""Recorded predictions as Parquet: the rows of the journal, whole or not at all, and nobody else's file."""

import json
import sys
from pathlib import Path

import pytest
from command_line import call

from pointlora_cli.errors import DataError, UsageError
from pointlora_cli.services import predict_parquet
from pointlora_cli.services.predict_parquet import ParquetTable
from pointlora_cli.training.adapter_file import read_adapter

SETTINGS = {"model": "a" * 16, "precision": "float32"}


def predict(trained_run, *arguments):
    return call("predict", *arguments, "-a", trained_run, "--save", "r.parquet", "--workers", "1")


@pytest.fixture
def clouds(elsewhere):
    """Three clouds, and one file that is none; the name of one is no Unicode."""
    folder = elsewhere / "clouds"
    folder.mkdir()
    for index in range(3):
        name = "2\udcff.xyz" if index == 2 else f"{index}.xyz"
        (folder / name).write_text("".join(f"{x} {x * x % 7} {index}\n" for x in range(20)))
    (folder / "1b.ply").write_text("ply\n")
    return folder


def journal_rows():
    return [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]


def test_the_table_has_the_rows_of_the_journal_and_is_made_anew_with_more(trained_run, clouds):
    parquet = pytest.importorskip("pyarrow.parquet")
    outcome = predict(trained_run, clouds, "--json")
    assert outcome.code == 3, outcome
    assert outcome.document["saved"] == "r.parquet"
    table = parquet.read_table("r.parquet")
    assert table.schema.metadata.keys() >= {b"pointlora"}
    found = table.to_pylist()
    rows = journal_rows()
    assert len(found) == len(rows) == 4
    assert [name.replace("\ufffd", "\udcff") for name in table["path"].to_pylist()] == [
        row["path"] for row in rows
    ]
    for each, row in zip(found[:3], rows[:3], strict=True):
        assert {name: value for name, value in each.items() if value is not None} == {
            name: value for name, value in row.items() if value is not None
        }
    assert table["error"].null_count == 3
    (clouds / "4.xyz").write_text("0 0 0\n1 2 3\n0 1 0\n")
    assert "r.jsonl holds 4 of 5 files already" in predict(trained_run, clouds).err
    assert parquet.read_table("r.parquet").num_rows == 5


def test_a_table_that_would_be_lost_is_refused_before_anything_is_done(trained_run, clouds):
    pytest.importorskip("pyarrow")
    Path("r.parquet").write_bytes(b"mine")
    for journal in ([], ["r.jsonl"]):
        for name in journal:
            Path(name).touch()
        outcome = predict(trained_run, clouds)
        assert outcome.code == 2
        assert "error: r.parquet: is not replaced" in outcome.err
        assert Path("r.parquet").read_bytes() == b"mine"
    Path("r.parquet").unlink()
    Path("r.jsonl").unlink()
    assert predict(trained_run, clouds / "0.xyz").code == 0
    Path("r.jsonl").unlink()  # the rows of the table would be lost
    kept = Path("r.parquet").read_bytes()
    assert predict(trained_run, clouds / "1.xyz").code == 2
    assert Path("r.parquet").read_bytes() == kept


def test_rows_of_all_pieces_are_there_and_strange_ones_leave_no_table(trained_run, elsewhere, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    record, _ = read_adapter(trained_run / "adapter")
    monkeypatch.setattr(predict_parquet, "_ROWS", 3)
    rows = [{"path": f"{index}.ply", "class": "x", "probability": 0.5} for index in range(7)]
    table = ParquetTable(Path("t.parquet"))
    table.write(rows, record, SETTINGS)
    assert parquet.read_table("t.parquet")["path"].to_pylist() == [row["path"] for row in rows]
    kept = Path("t.parquet").read_bytes()
    for strange in ({"probability": "much"}, {"settings": 3}, {"points": 2**70}):
        with pytest.raises(DataError, match=r"t\.jsonl: its rows make no table"):
            table.write([*rows, {**rows[0], **strange}], record, SETTINGS)
    assert [path.name for path in elsewhere.iterdir()] == ["t.parquet"]
    assert Path("t.parquet").read_bytes() == kept


def test_without_pyarrow_it_is_said_at_once(trained_run, clouds, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    outcome = predict(trained_run, clouds)
    assert outcome.code == 2
    assert outcome.err == (
        "error: r.parquet: Parquet needs pyarrow, which is not installed\n"
        "hint:  pip install 'pointlora[parquet]', or --save r.jsonl.\n"
    )
    assert not Path("r.jsonl").exists()


def test_a_table_that_cannot_be_written_leaves_the_rows(trained_run, elsewhere):
    pytest.importorskip("pyarrow")
    record, _ = read_adapter(trained_run / "adapter")
    with pytest.raises(UsageError, match=r"nosuch/t\.parquet: cannot be written: no such file"):
        ParquetTable(Path("nosuch/t.parquet")).write([], record, SETTINGS)
