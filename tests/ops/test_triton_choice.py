"""Where the kernels serve and where PyTorch does, and what the compiler makes of them."""

import re
import runpy
import warnings
from pathlib import Path

import pytest
import torch
from interpreted_kernels import faults

from pointlora_cli.ops import kernels, neighbors, sampling
from pointlora_cli.ops.neighbors import nearest_neighbors
from pointlora_cli.ops.sampling import farthest_point_sampling
from pointlora_cli.services import doctor

triton = pytest.importorskip("triton", reason="Triton is for Linux")

POINTS = torch.rand(2, 300, 3, generator=torch.Generator().manual_seed(0))
FIRST = torch.tensor([0, 7])
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU")


def ptx(kernel, warps, constants, **options):
    """What a kernel becomes on an H100 or H200; no GPU is needed for that."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = kernel.arg_names
    types = {"first": "*i64", "chosen": "*i64", "indices": "*i64", "limit": "fp32"}
    types |= dict.fromkeys(("points", "planes", "nearest", "queries", "distances"), "*fp32")
    types |= dict.fromkeys(constants, "constexpr")
    source = ASTSource(
        fn=kernel,
        signature={name: types.get(name, "i32") for name in names},
        constexprs={(names.index(name),): value for name, value in constants.items()},
    )
    target = GPUTarget("cuda", 90, 32)
    return triton.compile(source, target=target, options={"num_warps": warps, **options}).asm["ptx"]


@pytest.mark.parametrize(
    ("module", "name", "warps", "constants"),
    [
        ("triton_sampling", "_sample_in_registers", 4, {"BLOCK": 2048}),
        ("triton_sampling", "_sample_in_memory", 16, {"BLOCK": 4096}),
        ("triton_neighbors", "_take_nearest", 1, {"ROWS": 2, "BLOCK": 128}),
    ],
)
def test_no_product_is_fused_into_a_sum(module, name, warps, constants, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = getattr(pytest.importorskip(f"pointlora_cli.ops.{module}"), name)
    code = ptx(kernel, warps, constants, **kernels.UNFUSED)
    used = set(re.findall(r"\b((?:mul|add|sub|fma)\.[\w.]*f32)\b", code))
    assert used == {"mul.rn.f32", "add.rn.f32", "sub.rn.f32"}  # .rn: the assembler may not fuse them either


def test_a_kernel_that_fails_gives_one_warning_and_pytorchs_answer():
    for remembered in (kernels._fault_in_sampling, kernels._fault_in_neighbors, kernels._announce):
        remembered.cache_clear()
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        for points in (POINTS, POINTS[:, :50], POINTS):  # Triton has no driver for the processor
            chosen = sampling._on_gpu(points, 20, FIRST, True)
            assert torch.equal(chosen, sampling._by_full_passes(points, 20, FIRST, True))
            indices, _ = neighbors._on_gpu(points[:, :9], points, 4)
            assert torch.equal(indices, nearest_neighbors(points[:, :9], points, 4)[0])
    assert [str(warning.message)[:35] for warning in given] == ["A Triton kernel does not serve here"]


def test_a_kernel_that_errs_does_not_serve():
    with pytest.warns(RuntimeWarning, match="answers are not the reference's"):
        assert kernels._fault(lambda: False) == "its answers are not the reference's"
    assert kernels._fault(lambda: True) is None


def test_memory_that_is_full_is_not_held_against_a_kernel():
    def fails():
        raise torch.cuda.OutOfMemoryError("full")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        kernels._fault(fails)
    assert "memory is full" in doctor._tried(fails)


def test_the_kernels_pass_their_trials(process):
    for size in (8, 200):
        assert process.submit(faults, size).result() == (None, None)


def test_what_does_not_fit_is_left_to_pytorch():
    device = torch.device("cpu")
    assert "sampled by the whole device" in kernels.sampling_fault(kernels.MOST_SAMPLED + 1, device)
    for size, k in ((kernels.MOST_SEARCHED + 1, 1), (200, kernels.MOST_NEIGHBORS + 1)):
        assert "do not fit" in kernels.neighbors_fault(size, k, device)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        (sampling._on_gpu, (POINTS, 20, FIRST, True)),
        (neighbors._on_gpu, (POINTS[:, :9], POINTS, 4)),
    ],
    ids=["sampling", "neighbors"],
)
@pytest.mark.filterwarnings("ignore:A Triton kernel")
def test_a_compiler_knows_the_shapes_of_the_answers(operation, arguments):
    torch.library.opcheck(operation, arguments, test_utils=("test_schema", "test_faketensor"))


def test_doctor_says_what_samples_and_what_searches():
    for check in doctor._geometry([]):
        assert check.status == "ok"
        assert "PyTorch on the CPU; the Triton kernel is for GPUs" in check.found


def test_doctor_names_the_gpu_that_a_kernel_does_not_serve():
    check = doctor._implementation("point sampling", "NumPy", [None, "RuntimeError: no compiler"])
    assert (check.status, check.required) == ("broken", False)
    assert "cuda:1: RuntimeError: no compiler" in check.found
    assert "C compiler" in check.remedy
    assert doctor._implementation("point sampling", "NumPy", [None, None]).status == "ok"


def test_the_benchmark_times_equal_answers(monkeypatch, capsys):
    path = Path(__file__).parents[2] / "benchmarks" / "sampling.py"
    if not path.is_file():
        pytest.skip("the benchmarks are in the repository, not in the source distribution")
    benchmark = runpy.run_path(str(path))
    device = torch.device("cpu")
    for measure in ("compare_sampling", "compare_search"):
        monkeypatch.setitem(benchmark[measure].__globals__, "CLOUDS", ((1, 256, 16),))
        monkeypatch.setitem(benchmark[measure].__globals__, "SEARCHES", ((2, 8, 64, 4),))
        assert benchmark[measure](device, 1)
    shown = capsys.readouterr().out
    assert re.search(r"1 x 256 -> 16 +[\d.]+ ms +[\d.]+ ms +0% +[\d.]+x", shown)
    assert "2 x 8 of 64, 4 nearest" in shown


@needs_gpu
@pytest.mark.parametrize("size", [50, 1024, 2048, 5000, 9000])
@pytest.mark.parametrize("skip", [False, True])
def test_a_gpu_samples_as_the_processor_does(size, skip):
    points = torch.randn(3, size, 3).mul(20).round().div(40)
    assert kernels.sampling_fault(size, torch.device("cuda", 0)) is None
    ours = farthest_point_sampling(points.cuda(), 48, skip_near_origin=skip)
    assert torch.equal(ours.cpu(), farthest_point_sampling(points, 48, skip_near_origin=skip))


@needs_gpu
@pytest.mark.parametrize(("size", "k"), [(50, 50), (128, 3), (1024, 32), (2048, 32), (8192, 16)])
def test_a_gpu_finds_the_neighbors_that_the_processor_finds(size, k):
    points = torch.randn(3, size, 3).mul(20).round().div(40)
    queries = points[:, : min(size, 100)]
    assert kernels.neighbors_fault(size, k, torch.device("cuda", 0)) is None
    ours, theirs = nearest_neighbors(queries.cuda(), points.cuda(), k), nearest_neighbors(queries, points, k)
    assert all(torch.equal(a.cpu(), b) for a, b in zip(ours, theirs, strict=True))
