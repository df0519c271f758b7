"""Methods that weigh features by the gradient of a class's logit.

Each takes features A (B, K, h, w) and gradients g (B, n, K, h, w), or (B, n, K, 1, 1) where the
gradient is the same at every position, as it is before a global average and one linear layer:
there all of these are closed forms of a forward pass.
"""

import torch
from torch import Tensor

from wsol.maps.methods.view import FeatureView


def gradcam(view: FeatureView, classes: Tensor) -> Tensor:
    """ReLU(sum_k mean(g_k) A_k) (Selvaraju et al., ICCV 2017)."""
    means = view.gradients(classes).mean((-2, -1))
    return weighted(view.features, means).relu()


def gradcam_plus_plus(view: FeatureView, classes: Tensor) -> Tensor:
    """ReLU(sum_k sum(alpha_k ReLU(g_k)) A_k) (Chattopadhay et al., WACV 2018).

    alpha = g^2 / (2 g^2 + sum(A_k) g^3), and 0 where g is 0; see `plus_plus_weights`.
    """
    gradients = view.gradients(classes)
    weights = plus_plus_weights(view.features, gradients, gradients.square(), gradients.pow(3))
    return weighted(view.features, weights).relu()


def xgradcam(view: FeatureView, classes: Tensor) -> Tensor:
    """ReLU(sum_k (sum(g_k A_k) / sum(A_k)) A_k) (Fu et al., BMVC 2020)."""
    features, gradients = view.features, view.gradients(classes)
    if gradients.shape[-1] == 1:
        weights = gradients[..., 0, 0]
    else:
        sums = features.sum((2, 3))[:, None]
        weights = torch.einsum("bnkhw,bkhw->bnk", gradients, features) / sums
        weights = weights.masked_fill(sums == 0, 0)
    return weighted(features, weights).relu()


def layercam(view: FeatureView, classes: Tensor) -> Tensor:
    """ReLU(sum_k ReLU(g_k) A_k), position by position (Jiang et al., TIP 2021)."""
    return weighted(view.features, view.gradients(classes).relu()).relu()


def hirescam(view: FeatureView, classes: Tensor) -> Tensor:
    """sum_k g_k A_k, position by position and not rectified (Draelos and Carin, 2020)."""
    return weighted(view.features, view.gradients(classes))


def weighted(features: Tensor, weights: Tensor) -> Tensor:
    """sum_k of weights (B, n, K) or (B, n, K, h, w) times features (B, K, h, w): (B, n, h, w)."""
    if weights.ndim == 5 and weights.shape[3:] == (1, 1):
        weights = weights[..., 0, 0]
    if weights.ndim == 3:
        return torch.einsum("bnk,bkhw->bnhw", weights, features)
    return torch.einsum("bnkhw,bkhw->bnhw", weights, features)


def plus_plus_weights(
    features: Tensor, gradients: Tensor, squares: Tensor, cubes: Tensor
) -> Tensor:
    """sum over positions of alpha ReLU(g), alpha = g^2 / (2 g^2 + sum(A_k) g^3).

    Args:
        features: A (B, K, h, w).
        gradients, squares, cubes: g, g^2 and g^3 (B, n, K, h, w) or (B, n, K, 1, 1).

    Returns:
        (B, n, K).
    """
    sums = features.sum((2, 3))[:, None, :, None, None]
    below = 2 * squares + sums * cubes
    alpha = (squares / below).masked_fill((squares == 0) | (below == 0), 0)
    weights = (alpha * gradients.relu()).sum((-2, -1))
    positions = features.shape[2] * features.shape[3]
    return weights * (positions if gradients.shape[-1] == 1 else 1)
