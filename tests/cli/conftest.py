"""What the commands' tests share."""

import textwrap

import pytest

from wsol.datasets.registry import open_dataset
from wsol.datasets.shapes import generate_shapes

TINY_NETWORK = textwrap.dedent(
    '''
    """A network small enough for tests."""
    import torch
    from torch import nn

    def tiny():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 7, 4, 3), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, CLASSES),
        )

    def two_layers():
        torch.manual_seed(0)  # with some weights all eight lie on one side of the ReLU
        return nn.Sequential(
            nn.Conv2d(3, 8, 7, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, CLASSES),
        )
    '''
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working folder with a generated data set and a module with networks."""
    folder = tmp_path_factory.mktemp("cli")
    generate_shapes(folder / "shapes", train=8, val=4, test=12, size=64, seed=0)
    classes = len(open_dataset("shapes", folder / "shapes").classes)
    (folder / "networks.py").write_text(TINY_NETWORK.replace("CLASSES", str(classes)))
    return folder
