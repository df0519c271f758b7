"""Relevance rank accuracy (Arras, Osman and Samek, CLEVR-XAI, Information Fusion 2022)."""

import numpy as np

from wsol.metrics.image_mean import AnnotatedMap, ImageMetric


def rank_accuracy(image: AnnotatedMap) -> float | None:
    """The share of the n highest pixels that lie on the object, n being the object's area.

    Of equal pixels the first in raster order are higher. Ignored pixels are left out; None where
    nothing is annotated.
    """
    counted = image.counted()
    inside = image.inside()[counted]
    values = image.score_map.astype(np.float64)[counted]
    area = int(inside.sum())
    if area == 0:
        return None
    # The n-th highest value: all above it belong to the n, and as many of its equals as are left.
    least = np.partition(values, len(values) - area)[len(values) - area]
    above = values > least
    equal = np.flatnonzero(values == least)[: area - int(above.sum())]
    return float(inside[above].sum() + inside[equal].sum()) / area


METRIC = ImageMetric("rank_accuracy", "Rank acc.", rank_accuracy)
