"""The pointing game (Zhang et al., Top-down Neural Attention by Excitation Backprop, ECCV 2016).

Without the tolerance of 15 pixels of the original, as it is used on score maps of any size.
"""

import numpy as np

from wsol.metrics.image_mean import AnnotatedMap, ImageMetric


def pointing_game(image: AnnotatedMap) -> float | None:
    """Whether the map's maximum lies on the object; of several maxima the first in raster order.

    Ignored pixels are left out; None where nothing is annotated.
    """
    inside, counted = image.inside(), image.counted()
    if not inside.any():
        return None
    values = np.where(counted, image.score_map.astype(np.float64), -np.inf)
    return float(inside.ravel()[values.argmax()])


METRIC = ImageMetric("pointing_game", "Pointing", pointing_game)
