"""Eigen-CAM: what the features have most in common, whatever the class."""

import torch
from torch import Tensor

from wsol.maps.methods.view import FeatureView


def eigencam(view: FeatureView, classes: Tensor) -> Tensor:
    """The features' projection on their first principal component (Muhammad and Yeasin, 2020).

    With the features as a matrix of positions by channels, A = U S V^T, it is A v_1; nothing is
    centred. A singular vector has no sign of its own: the map's sum is taken to be positive.
    """
    features = view.features
    batch, channels, height, width = features.shape
    matrix = features.flatten(2).mT.double()
    if channels < height * width:
        # Of A^T A, which is the smaller one; A v_1 = s_1 u_1 either way.
        component = torch.linalg.eigh(matrix.mT @ matrix).eigenvectors[..., -1:]
        projected = matrix @ component
    else:
        values, vectors = torch.linalg.eigh(matrix @ matrix.mT)
        projected = vectors[..., -1:] * values[:, -1, None, None].clamp(min=0).sqrt()
    projected = projected * torch.where(projected.sum(1, keepdim=True) < 0, -1.0, 1.0)
    maps = projected.reshape(batch, 1, height, width).float()
    return maps.expand(-1, classes.shape[1], -1, -1)
