"""Memory that is exhausted in a batch is told in one line, with the option to lower."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from wsol.datasets.base import limited
from wsol.datasets.registry import open_dataset
from wsol.datasets.shapes import generate_shapes
from wsol.errors import InputError
from wsol.evaluation.loop import evaluate
from wsol.evaluation.options import EvaluationOptions
from wsol.maps.methods.localizer import Localizer
from wsol.models.classifier import Classifier, Preprocessing
from wsol.show import look

CPU = (
    "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 822083584000 bytes. Error code 12 (Cannot allocate memory)\nframe #0"
)
EXHAUSTED = {
    "cpu": lambda: RuntimeError(CPU),
    "windows": lambda: RuntimeError("DefaultCPUAllocator: not enough memory: you tried to ..."),
    "cuda": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
    "cublas": lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling ..."),
    "python": lambda: MemoryError(),
    "c++": lambda: RuntimeError("std::bad_alloc"),
}


class Greedy(nn.Module):
    """Raises what `error` makes as soon as there are more than `most` images at once."""

    def __init__(self, error, most):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU())
        self.fc = nn.Linear(8, 8)
        self.error, self.most = error, most

    def forward(self, x):
        if len(x) > self.most:
            raise self.error()
        return self.fc(self.trunk(x).mean((2, 3)))


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    generate_shapes(folder, train=1, val=0, test=4, size=32, seed=0)
    return limited(open_dataset("shapes", folder, split="test"), 4)


def greedy(kind, most):
    return Classifier("greedy", Greedy(EXHAUSTED[kind], most).eval(), None, Preprocessing(size=32))


@pytest.mark.parametrize("kind", EXHAUSTED)
def test_a_batch_that_does_not_fit(kind, shapes):
    options = EvaluationOptions(batch_size=4, workers=0, device="cpu")
    with pytest.raises(InputError) as told:
        evaluate(greedy(kind, 2), shapes, options)
    assert str(told.value) == (
        "greedy: memory on cpu is exhausted by the maps of 4 images of 32 pixels at once; lower "
        "--batch-size."
    )
    assert evaluate(greedy(kind, 2), shapes, options.replaced(batch_size=2)).num_images == 4


def test_other_errors_are_not_taken_for_memory(shapes):
    EXHAUSTED["another"] = lambda: RuntimeError("size mismatch")
    try:
        with pytest.raises(InputError, match=r"fails on 4 images at once .*size mismatch"):
            evaluate(greedy("another", 2), shapes, EvaluationOptions(batch_size=4, workers=0))
    finally:
        del EXHAUSTED["another"]


@pytest.mark.parametrize("method", ["scorecam", "torchcam:ScoreCAM", "smoothgradcam++"])
def test_lower_batches_of_images_make_lower_batches_of_masked_ones(method, shapes):
    """What a method gives the network at once follows --batch-size, so that lowering it helps."""
    sizes = []
    network = greedy("cpu", 10**6).network
    network.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    classifier = Classifier("counted", network, None, Preprocessing(size=32))
    localizer = classifier.localizer(method, None if method != "torchcam:ScoreCAM" else "trunk")
    for count in (1, 2):
        sizes.clear()
        localizer.maps(localizer.see(torch.rand(count, 3, 32, 32)), torch.zeros(count, 1).long())
        assert max(sizes) <= 8 * count


def test_one_image_that_does_not_fit_names_the_size(monkeypatch, shapes):
    def exhausted(self, images):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    classifier = greedy("cpu", 10)
    monkeypatch.setattr(Localizer, "see", exhausted)
    with pytest.raises(InputError, match=r"1 image of 32 pixels at once; lower --size\.$"):
        evaluate(classifier, shapes, EvaluationOptions(batch_size=1, workers=0))
    with pytest.raises(InputError, match=r"exhausted by one image's map; take another method"):
        look(classifier, Image.new("RGB", (40, 30)))


@pytest.mark.parametrize("kind", EXHAUSTED)
def test_looking_at_a_network_that_does_not_fit(kind):
    with pytest.raises(InputError, match=r"^greedy: memory is exhausted by two images of 32x32"):
        greedy(kind, 1).examine()


LIMITED = """
import resource
import torch
from torch import nn


class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU())
        self.fc = nn.Linear(64, 8)

    def forward(self, x):
        if len(x) > 2:
            with open("/proc/self/statm") as file:
                used = int(file.read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, resource.RLIM_INFINITY))
        return self.fc(self.trunk(x).mean((2, 3)))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("method", ["cam", "scorecam"])
def test_a_process_that_may_have_no_more_memory(tmp_path, method):
    (tmp_path / "wide.py").write_text(LIMITED)
    generate_shapes(tmp_path / "shapes", train=1, val=0, test=16, size=64, seed=0)
    done = subprocess.run(
        [
            sys.executable, "-m", "wsol", "evaluate", "wide:Wide", "--data", "shapes", "--root",
            "shapes", "--batch-size", "16", "--workers", "0", "--size", "224", "--method", method,
            "--device", "cpu", "--json", "r.json",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "200"},
        check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and "lower --batch-size" in done.stderr, done.stderr
