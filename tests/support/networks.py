"""Small networks with random numbers, and gradients by a whole backward pass in float64."""

import torch
import torch.nn.functional as F
import torchvision
from torch import nn


class Trunk(nn.Module):
    """Two convolutions of 32 pixels to (B, 16, 7, 7) features, then `tail(network, features)`.

    The last activation is a function's result, or with `as_module` what `second` returns.
    """

    def __init__(self, tail, channels=3, as_module=False):
        super().__init__()
        self.first = nn.Conv2d(channels, 8, 3, stride=2)
        self.second = nn.Conv2d(8, 16, 3, stride=2)
        if as_module:
            self.second = nn.Sequential(self.second, nn.ReLU())
        self.as_module = as_module
        self.fc = nn.Linear(16, 7)
        self.other = nn.Linear(16, 3)
        self.tail = tail
        nn.init.normal_(self.fc.bias)

    def forward(self, x):
        x = self.second(F.relu(self.first(x)))
        return self.tail(self, x if self.as_module else F.relu(x))


def vit(layers=4, size=64):
    """torchvision's vision transformer, small, with a head that is not zero."""
    network = torchvision.models.VisionTransformer(
        image_size=size, patch_size=16, num_layers=layers, num_heads=4, hidden_dim=64, mlp_dim=128,
        num_classes=9,
    )  # fmt: skip
    nn.init.normal_(network.heads.head.weight)
    return network.eval()


def with_statistics(network):
    """Give batch normalization statistics and weights that are none of the neutral ones."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


def normalized(maps):
    """Each map (..., h, w) scaled to [0, 1]; a constant one is zeros."""
    low = maps.amin((-2, -1), keepdim=True)
    spread = maps.amax((-2, -1), keepdim=True) - low
    return (maps - low) / spread.masked_fill(spread == 0, 1)


def exact_gradients(network, layer, images, classes, features_of=lambda tensor: tensor):
    """Features (B, K, h, w) and gradients (B, n, K, h, w) in float64, by a whole backward pass."""
    kept = []
    network = network.double()
    handle = network.get_submodule(layer).register_forward_hook(
        lambda module, args, output: kept.append(output)
    )
    logits = network(images.double())
    handle.remove()
    gradients = [
        features_of(torch.autograd.grad(logits.gather(1, own[:, None]).sum(), kept[0],
                                        retain_graph=True)[0])
        for own in classes.unbind(1)
    ]  # fmt: skip
    network.float()
    return features_of(kept[0].detach()), torch.stack(gradients, 1)


def zero_maps(network, images, classes):
    """A map method of one's own: nothing is seen anywhere."""
    return torch.zeros(*classes.shape, 4, 4)
