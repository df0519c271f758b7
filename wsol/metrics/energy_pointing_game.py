"""The energy-based pointing game (Wang et al., Score-CAM, CVPR Workshops 2020).

It is the same as relevance mass accuracy (Arras, Osman and Samek, Information Fusion 2022).
"""

import numpy as np

from wsol.metrics.image_mean import AnnotatedMap, ImageMetric


def energy_pointing_game(image: AnnotatedMap) -> float | None:
    """The share of the map's sum that lies on the object; 0 for a map of zeros.

    Ignored pixels are left out; None where nothing is annotated.
    """
    inside, counted = image.inside(), image.counted()
    if not inside.any():
        return None
    values = image.score_map.astype(np.float64)
    within = float(values[inside].sum())
    without = float(values[counted & ~inside].sum())
    whole = within + without
    return 0.0 if whole == 0 else within / whole


METRIC = ImageMetric("energy_pointing_game", "Energy pointing", energy_pointing_game)
