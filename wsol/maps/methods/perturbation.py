"""Score-CAM: features weighted by how the logit changes when only what they show is seen."""

import torch
import torch.nn.functional as F
from torch import Tensor

from wsol.maps.methods.gradient import weighted
from wsol.maps.methods.view import FeatureView

_BATCH = {"cpu": 64}
_LARGE_BATCH = 256  # of masked images, on an accelerator
_TIMES = 8  # the images' own batch, at most, so that a smaller one needs less memory


def scorecam(view: FeatureView, classes: Tensor) -> Tensor:
    """ReLU(sum_k softmax_k(f_c(X * M_k) - f_c(X)) A_k) (Wang et al., CVPR Workshops 2020).

    M_k is A_k scaled to [0, 1] and resized to the image X (bilinear), f_c the logit. One pass a
    channel: all classes of an image share them, and images share batches.
    """
    features, images = view.features, view.images
    count, channels = features.shape[:2]
    low = features.amin((2, 3), keepdim=True)
    masks = features - low
    masks = (masks / (masks.amax((2, 3), keepdim=True) + 1e-8)).flatten(0, 1)[:, None]
    whose = torch.arange(count, device=images.device).repeat_interleave(channels)
    size = max(count, min(_TIMES * count, _BATCH.get(images.device.type, _LARGE_BATCH)))
    scores = []
    for begin in range(0, count * channels, size):
        chosen = slice(begin, begin + size)
        shown = F.interpolate(masks[chosen], images.shape[2:], mode="bilinear").to(images)
        logits = view.score(images[whose[chosen]] * shown)
        scores.append(logits.gather(1, classes[whose[chosen]]))
    own = view.logits.float().gather(1, classes)
    gained = torch.cat(scores).view(count, channels, -1) - own[:, None]
    return weighted(features, gained.softmax(1).mT).relu()
