"""Smooth Grad-CAM++: Grad-CAM++ with the mean gradients of noisy copies of an image."""

import torch
from torch import Tensor

from wsol.maps.methods.catalog import SMOOTH
from wsol.maps.methods.gradient import plus_plus_weights, weighted
from wsol.maps.methods.view import FeatureView


def smooth_gradcam_plus_plus(view: FeatureView, classes: Tensor) -> Tensor:
    """Omeiza et al. (2019), with g, g^2 and g^3 each the mean over noisy copies.

    The paper prints the mean of g where Grad-CAM++ has g^2 above the fraction of alpha, which
    without noise is no longer Grad-CAM++; the mean of g^2 stands there here.
    """
    features = view.features
    gradients = squares = cubes = torch.zeros((), device=features.device)
    # No noise changes the gradient before a linear head.
    samples = 1 if view.subject.head is not None else int(SMOOTH["samples"])
    for noise in _noise(view.images, samples):
        found = (
            view.again(view.images + noise).gradients(classes)
            if samples > 1
            else (view.gradients(classes))
        )
        gradients = gradients + found / samples
        squares = squares + found.square() / samples
        cubes = cubes + found.pow(3) / samples
    return weighted(features, plus_plus_weights(features, gradients, squares, cubes)).relu()


def _noise(images: Tensor, samples: int) -> list[Tensor]:
    """The noise (1, 3, H, W) of each copy: the same for every image, whatever its batch."""
    generator = torch.Generator().manual_seed(int(SMOOTH["seed"]))
    shape = (1, *images.shape[1:])
    return [
        torch.normal(torch.zeros(shape), SMOOTH["deviation"], generator=generator).to(images)
        for _ in range(samples)
    ]
