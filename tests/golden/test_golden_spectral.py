"""PointGST's adapter and graph against the official ones."""

import pytest
import torch
from golden_cases import EVAL_CASES

from pointlora_cli.ops.curves import z_order
from pointlora_cli.ops.gathering import gather
from pointlora_cli.ops.spectral import graph_laplacian

CASES = [case for case in EVAL_CASES if "basis_U" in case.arrays]
THEIR_UNIT = 8.63167443e-05  # rounding on the diagonals of the distance matrices, on the machine of the case


@pytest.mark.parametrize("case", CASES, ids=str)
def test_adapter(case):
    model, outputs = case.model().eval(), []
    model.adaptation.adapters[0].register_forward_hook(lambda module, inputs, output: outputs.append(output))
    with torch.no_grad():
        model(case.points)
    case.close(outputs[0][0, :8], "adapter_out_block0_cloud0", scale_tolerance=1e-3)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("name", ["basis_U", "basis_subU"])
def test_released_graph(case, name):
    points = gather(case.points, torch.from_numpy(case.arrays["fps_idx"]).long())
    theirs = torch.from_numpy(case.arrays[name]).double()
    if name == "basis_subU":
        points = gather(points, z_order(points)).unflatten(1, (-1, theirs.shape[-1])).flatten(0, 1)
    distances = torch.cdist(points, points)
    unit = distances[distances > 0].min()
    if unit.item() != pytest.approx(THEIR_UNIT, rel=1e-6):
        pytest.skip("the matrix product of this machine rounds otherwise")
    laplacian = graph_laplacian(distances, unit).double()
    scaled = laplacian @ theirs
    eigenvalues = (theirs * scaled).sum(dim=-2, keepdim=True)
    torch.testing.assert_close(scaled, theirs * eigenvalues, atol=1e-6, rtol=0)
    assert (eigenvalues.diff(dim=-1) > -1e-6).all()  # ascending
