"""The exact class activation map (Zhou et al., CVPR 2016)."""

from torch import Tensor

from wsol.maps.exact import class_maps
from wsol.maps.methods.view import FeatureView


def cam(view: FeatureView, classes: Tensor) -> Tensor:
    """sum_k w[c, k] A_k, whose mean and the bias are the class's logit."""
    return class_maps(view.features, view.subject.weight(), classes)
