"""Training steps on a device that is not there, to see what would wait for a GPU; prints JSON: case -> complaints.

Tensors have shapes and a device, and no values, so whatever asks for one fails. The device goes by another name
than a GPU's, since PyTorch for the processor knows nothing of GPUs; the code takes the same way for both. It cannot
be taken back once it is registered, so this is a program of its own.
"""

import json
import sys
from functools import partial

import numpy as np
import torch
from model_specs import CATEGORIES, PARTS, compatibility, tiny_part_spec, tiny_spec
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

from pointlora_cli.adaptation.point_peft import PointPEFT
from pointlora_cli.datasets.base import LabelledClouds
from pointlora_cli.datasets.part_segmentation import PartClouds
from pointlora_cli.models.build import Outputs, build_initialized_model
from pointlora_cli.ops import neighbors, sampling
from pointlora_cli.training.classification import ClassificationTask
from pointlora_cli.training.loop import update
from pointlora_cli.training.optimizer import build_optimizer
from pointlora_cli.training.part_segmentation import PartSegmentationTask
from pointlora_cli.training.task import Splits

NAME = "elsewhere"
SOLVERS = ("_linalg_eigh", "linalg_svd", "linalg_inv", "linalg_cholesky", "linalg_solve")
"""They look whether they succeeded, so on a GPU the host waits; PyTorch offers no other way."""


class Module(_DummyBackendModule):
    """What PyTorch asks of a kind of device."""

    def get_amp_supported_dtype(self):
        return [torch.bfloat16]


class Watch(TorchDispatchMode):
    """Takes down what would wait for the device."""

    def __init__(self):
        super().__init__()
        self.complaints = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.name().removeprefix("aten::").split(".")[0]
        result = func(*args, **kwargs)
        if name in SOLVERS:
            self.complaints.append(name)
        tensors = list(_tensors((args, list(kwargs.values()), result)))
        kinds = {tensor.device.type for tensor in tensors if tensor.dim()}
        if name in ("_to_copy", "copy_") and NAME in {one.device.type for one in tensors}:
            is_late = args[2:] == (True,) or kwargs.get("non_blocking", False)
            if len({tensor.device.type for tensor in tensors}) > 1 and not is_late:
                self.complaints.append(f"{name} between host and device")
        elif len(kinds) > 1:
            self.complaints.append(f"{name} of tensors on host and device")
        return result


class Generator(torch.Generator):
    """Of the processor, whatever device it says."""

    def __new__(cls, device="cpu"):
        return super().__new__(cls)

    def __init__(self, device="cpu"):
        self._there = torch.device(device)

    @property
    def device(self):
        return self._there


def _tensors(values):
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _tensors(value)


def there(value):
    """A tensor like it on the device."""
    return torch.empty(value.shape, dtype=value.dtype, device=NAME)


def moved(model):
    """The model on the device; `Module.to` insists on memory that can be exchanged."""
    prior = getattr(model.adaptation, "prior", None)
    for network in (model, *([prior.backbone] if prior else [])):
        for module in network.modules():
            for name, value in module._parameters.items():
                if value is not None:
                    module._parameters[name] = nn.Parameter(there(value), value.requires_grad)
            module._buffers.update({name: there(value) for name, value in module._buffers.items()})
    return model


def classification(spec):
    """The task of a spec, and what it takes besides the model and the spec."""
    random = np.random.default_rng(0)
    stored = 100 if spec.data.source == "modelnet40" else 64
    clouds = LabelledClouds(random.random((8, stored, 3), dtype=np.float32), random.integers(5, size=8))
    return ClassificationTask, (Splits(clouds, clouds, clouds),)


def segmentation(spec):
    """The same."""
    random = np.random.default_rng(0)
    offsets = np.arange(9) * 70
    clouds = PartClouds(
        random.random((560, 3), dtype=np.float32),
        random.integers(PARTS, size=560, dtype=np.uint8),
        offsets,
        random.integers(CATEGORIES, size=8),
    )
    ranges = [range(0, 2), range(2, 3), range(3, 5), range(5, PARTS)]
    return PartSegmentationTask, (
        spec.data,
        Splits(clouds, clouds.between(0, 1), clouds.between(0, 1)),
        ranges,
    )


def complaints(model, spec, prepare):
    """What is taken down while a step of a model on the device is computed."""
    kind, arguments = prepare(spec)
    device = torch.device(NAME, 0)
    task = kind(moved(model), spec, *arguments, device=device, dtype=torch.float32)
    optimizer = build_optimizer(model.train(), spec.optimizer)
    chosen = torch.arange(4, device=device)
    loss = torch.zeros((), device=device)
    with Watch() as watch:
        optimizer.zero_grad(set_to_none=True)
        loss += task.step(chosen, slice(0, 3), 0.5).loss
        update(optimizer, spec.optimizer)
    return watch.complaints


_ALIKE = ("linear", "mlp3", "bitfit", "lora", "adapter", "ssf", "vpt")
METHODS = [name for name in compatibility.METHODS if name not in _ALIKE]
"""All but those that do nothing which full fine-tuning, PointLoRA or DAPT does not."""

BACKBONES = ("point-bert", "recon", "point-m2ae", "point-gpt")
"""All but those whose network is that of Point-MAE."""


def cases():
    """Name, spec, and what prepares its task: every kind of pass that there is, for both tasks."""
    for method in METHODS:
        yield f"point-mae {method}", tiny_spec(method, backbone={"depth": 1}), classification
    for backbone in BACKBONES:
        yield (
            f"{backbone} full",
            tiny_spec(
                "full", backbone={"name": backbone, **({} if backbone == "point-m2ae" else {"depth": 1})}
            ),
            classification,
        )
    changes = {"scale_axes": "all", "rotate": "y", "shuffle": True}
    drawn = tiny_spec("linear", data={"source": "modelnet40", "points": 64}, augmentation=changes)
    yield "drawing and augmentation", drawn, classification
    yield "segmentation", tiny_part_spec("pointlora", "recon"), segmentation


def of_geometry():
    """Name -> what PyTorch does where no kernel serves."""
    points = torch.rand(3, 50, 3, device=NAME)
    first = torch.zeros(3, dtype=torch.int64, device=NAME)
    yield "sampling by passes", partial(sampling._by_full_passes, points, 7, first, True)
    yield "neighbours by sorting", partial(neighbors._by_sorting, points[:, :9], points, 5)
    # What must be found:
    yield "item", lambda: points.sum().item()
    yield "truth", lambda: bool((points > 0).all())
    yield "mask", lambda: points[points > 0]
    yield "list", points.tolist
    yield "copy", points.cpu
    yield "upload", lambda: first + torch.ones(3, dtype=torch.int64).to(NAME)
    yield "index on the host", lambda: points[torch.arange(3)]


def main():
    """Take every step and print."""
    _setup_privateuseone_for_python_backend(NAME, backend_module=Module())
    mode, found = FakeTensorMode(allow_non_fake_inputs=True), {}
    torch.Generator = Generator
    for name, spec, prepare in cases():
        model = built(spec, prepare)
        try:
            with mode:
                found[name] = complaints(model, spec, prepare)
        except Exception as error:
            found[name] = [f"{type(error).__name__}: {error}"[:300]]
    with mode:
        for name, work in of_geometry():
            watch = Watch()
            try:
                with watch:
                    work()
                found[name] = watch.complaints
            except Exception as error:
                found[name] = [f"{type(error).__name__}: {error}"[:300]]
    sys.stdout.write(json.dumps(found, indent=1))


def built(spec, prepare):
    """The model of a spec, on the processor."""
    outputs = Outputs(PARTS, CATEGORIES) if prepare is segmentation else Outputs(5)
    model = build_initialized_model(spec, outputs)
    if isinstance(model.adaptation, PointPEFT):
        model.adaptation.start_from(model.backbone)
        model.adaptation.fill_bank(torch.rand(6, model.adaptation.width))
    return model


if __name__ == "__main__":
    main()
