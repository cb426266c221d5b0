"""The catalogue: what ships, what a user adds, and what is said of mistakes in it."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest

from pointlora_cli.catalog.loading import SHIPPED, find_entry, load_catalog, read_catalog, resolve
from pointlora_cli.catalog.members import unsafe_reason, wanted, without_member
from pointlora_cli.catalog.settings import Settings
from pointlora_cli.errors import UsageError

SHIPPED_NAMES = {
    "point-mae", "recon", "point-bert", "act", "point-m2ae", "pointgpt-l", "dapt", "pointgst", "idpt",
    "point-peft", "modelnet40", "modelnet40-raw", "modelnet40-fewshot", "scanobjectnn", "shapenetpart",
    "shapenet55",
}  # fmt: skip

ENTRY = """
mine:
  kind: checkpoint
  title: Mine
  license: MIT
  homepage: https://example.org
  citation: none
  files:
    - name: weights.pth
      locations: [{url: "https://example.org/weights.pth"}]
"""


@pytest.fixture(scope="module")
def catalog():
    return read_catalog(SHIPPED)


@pytest.fixture
def given(tmp_path):
    """Loads the catalogue with a user's file of this text over it."""

    def load(text):
        path = tmp_path / "mine.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load_catalog(Settings(tmp_path / "home", catalog=path))

    return load


def test_all_that_is_published_is_there_and_can_be_had(catalog):
    assert set(catalog) == SHIPPED_NAMES
    for entry in catalog.values():
        assert entry.title and entry.license and entry.citation and entry.homepage.startswith("https://")
        for file in entry.files:
            assert file.locations or entry.pages or entry.terms, f"{entry.name}/{file.name}: no way to get it"
            assert entry.kind == "dataset" or file.layout or file.name.endswith(".pt")
            assert not file.locations or not entry.is_gated
    assert [file.name for file in catalog["point-mae"].default_files] == ["pretrain.pth"]
    assert len(catalog["point-mae"].files) == 7
    assert len(catalog["pointgst"].files) == 16
    assert catalog["scanobjectnn"].is_gated and "hkust-vgd" in str(catalog["scanobjectnn"].terms)


def test_locations_become_addresses(catalog):
    def address(name):
        return resolve(catalog, name)[1][0].locations[0].address

    base = "https://github.com/Pang-Yatian/Point-MAE/releases/download/main/"
    assert address("point-mae/scan_hardest") == f"{base}scan_hardest.pth"
    assert address("point-bert") == "https://cloud.tsinghua.edu.cn/f/202b29805eea45d7be92/?dl=1"
    assert address("modelnet40/modelnet40_test_8192pts_fps.dat") == (
        "https://cloud.tsinghua.edu.cn/d/4808a242b60c4c1f9bed/files/?p=/modelnet40_test_8192pts_fps.dat&dl=1"
    )
    assert "id=1L-TlZUi7umBCDpZW-1F0Gf4X-9Wvf_Zo" in address("recon")


def test_files_are_found_by_name_and_stem(catalog):
    assert resolve(catalog, "point-mae/scan_objbg")[1] == resolve(catalog, "point-mae/scan_objbg.pth")[1]
    assert resolve(catalog, "point-peft/m2ae/pretrain")[1][0].name == "m2ae/pretrain.pth"
    assert [file.name for file in resolve(catalog, "modelnet40")[1]] == [
        "modelnet40_train_8192pts_fps.dat",
        "modelnet40_test_8192pts_fps.dat",
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("pointmae", "did you mean 'point-mae'?"),
        ("Scan_Object_NN", "did you mean 'scanobjectnn'?"),
        ("point-mae/scan-hardest", "did you mean 'scan_hardest'?"),
        ("point-mae/", "has no file"),
        ("", "there is no entry"),
        ("../../etc/passwd", "there is no entry"),
        ("x" * 100_000 + "\x1b[2J\n", "there is no entry"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(catalog, name, meant):
    with pytest.raises(UsageError) as error:
        resolve(catalog, name)
    assert meant in error.value.message
    assert len(error.value.message) < 300 and error.value.message.isprintable()
    assert "point-mae" in str(error.value.remedy)
    with pytest.raises(UsageError):
        find_entry(catalog, f"no-{name}")


def test_reading_it_is_quick_and_loads_nothing_heavy(tmp_path):
    times = []
    for _ in range(5):
        start = time.perf_counter()
        load_catalog(Settings(tmp_path))
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05
    code = (
        "import sys, pathlib; from pointlora_cli.catalog.cache import cached_file; "
        "from pointlora_cli.catalog.settings import Settings; "
        "assert cached_file('point-mae', Settings(pathlib.Path('nowhere'))) is None; "
        "print(*sorted({'torch', 'requests', 'h5py', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == ""


def test_the_shipped_catalogue_stands_up_to_the_strict_reading_of_a_users(given, catalog):
    assert given(SHIPPED.read_text()) == catalog


def test_a_users_catalogue_adds_and_replaces(given):
    catalog = given(ENTRY + ENTRY.replace("mine:", "point-mae:"))
    assert set(catalog) == SHIPPED_NAMES | {"mine"}
    assert catalog["mine"].files[0].locations[0].address == "https://example.org/weights.pth"
    assert [file.name for file in catalog["point-mae"].files] == ["weights.pth"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("title: Mine", "titel: Mine"), ["mine.titel: there is no such key; did you mean 'title'?"]),
        (("kind: checkpoint", "kind: model"), ["mine.kind", "'checkpoint' or 'dataset'", "got model"]),
        (("license: MIT", ""), ["mine.license: is missing"]),
        (("weights.pth\n", "../weights.pth\n"), ["mine.files[0].name"]),
        (("weights.pth\n", "/weights.pth\n"), ["mine.files[0].name"]),
        (('{url: "https', '{url: "ftp'), ["mine.files[0].locations[0].url"]),
        (("{url:", "{drive: 1L-TlZUi7umBCDpZW-1F0Gf4X-9Wvf_Zo, url:"), ["exactly one of url, drive and tsinghua"]),
        (("      locations", "      size: -4\n      locations"), ["mine.files[0].size", "greater than", "got -4"]),
        (("      locations", "      sha256: abc\n      locations"), ["mine.files[0].sha256", "got abc"]),
        (("      locations", "      unpack: {members: [../x]}\n      locations"), ["leads outside"]),
        (("mine:", "Mine!:"), ["Mine!.name"]),
        (("mine:", "mine: {}\nmine:"), ["line 3", "the key mine is given twice"]),
        (("  files:", "  files: []\n  more:"), ["mine.more", "mine.files"]),
        (("  title: Mine", "  name: x\n  title: Mine"), ["mine.name: there is no such key"]),
        (("mine:", "mine: [\n"), ["line"]),
        (("mine:\n", "mine: &a {title: *a}\nother:\n"), ["mine"]),
        (("MIT", "!!python/object/apply:os.system [ls]"), ["could not determine a constructor"]),
        (("MIT", "2024-13-45"), ["not YAML", "month"]),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_place(given, tmp_path, change, says):
    with pytest.raises(UsageError) as error:
        given(ENTRY.replace(*change, 1))
    assert str(tmp_path / "mine.yaml") in error.value.message
    for words in says:
        assert words in error.value.message
    assert len(error.value.message.splitlines()) < 15


def test_all_mistakes_are_told_at_once(given):
    with pytest.raises(UsageError) as error:
        given(ENTRY.replace("title: Mine", "titel: Mine").replace("MIT", "[1]"))
    for words in ("mine.titel", "mine.title: is missing", "mine.license: must be a valid string, got a list"):
        assert words in error.value.message


@pytest.mark.parametrize(
    "content",
    [b"", b"- a\n- b\n", b"just text", b"1: {}\n", b"\xff\xfe\x00", b"a: {b: 1}\n", b"[" * 20_000, b"#" * 2**21,
     b"a: &a [x]\n" + b"".join(b"b%d: &b%d [*a, *a, *a, *a, *a, *a, *a, *a]\n" % (n, n) for n in range(20))],
)  # fmt: skip
def test_what_is_no_catalogue_is_refused(given, content):
    with pytest.raises(UsageError, match="catalogue"):
        given(content)


def test_a_catalogue_that_is_not_there_is_named(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(UsageError, match="cannot be read") as error:
            load_catalog(Settings(tmp_path, catalog=path))
        assert str(path) in error.value.message


def test_a_damaged_catalogue_never_ends_in_anything_but_a_usage_error(given):
    chance = random.Random(0)
    text = SHIPPED.read_text()
    blocks = text.split("\n\n")
    for _ in range(80):
        damaged = list("\n\n".join(chance.sample(blocks, 2)))
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(len(damaged))
            damaged[place : place + chance.randint(0, 3)] = chance.choice(
                ["", ":", "[", "{", "&a ", "*a", "\t", "!!int ", "\x00", "'", "- ", "\n", "é", "|", "<<: "]
            )
        try:
            given("".join(damaged))
        except UsageError as error:
            assert error.message.startswith("catalogue ")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/passwd", "absolute"), ("C:/x", "absolute"), ("a/../../b", "'..'"), ("..", "'..'"), ("a\\b", "backslash"),
        ("", "empty"), ("a\nb", "control"), ("a\x00b", "control"), ("x" * 300, "too long"), ("a/" * 800, "too long"),
        ("\udc80", "Unicode"),
    ],
)  # fmt: skip
def test_unsafe_names_are_told_apart(name, reason):
    assert reason in str(unsafe_reason(name))


def test_members_are_matched_at_the_end_of_their_path():
    patterns = ("main_split/*.h5", "5way*10shot/[0-9].pkl")
    assert wanted("h5_files/main_split/a.h5", patterns) == "main_split/a.h5"
    assert wanted("./main_split//a.h5", patterns) == "main_split/a.h5"
    assert wanted("x/5way_10shot/3.pkl", patterns) == "5way_10shot/3.pkl"
    assert wanted("5way10shot/3.pkl", patterns) == "5way10shot/3.pkl"
    for name in ("main_split/b/a.h5", "main_split_nobg/a.h5", "a.h5", "15way10shot/3.pkl", "5way10shot/10.pkl",
                 "__MACOSX/main_split/a.h5", "main_split/._a.h5", ".hidden/main_split/a.h5"):  # fmt: skip
        assert wanted(name, patterns) is None
    assert without_member(patterns, ["main_split/a.h5"]) == ["5way*10shot/[0-9].pkl"]
