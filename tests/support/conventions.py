"""The conventions written out again, each by itself, with OpenCV, SciPy and plain arithmetic."""

import cv2
import numpy as np
from skimage.measure import label


def bilinear(score_map, width, height):
    return cv2.resize(
        np.asarray(score_map, np.float64), (width, height), interpolation=cv2.INTER_LINEAR
    )


def minmax(score_map, eps=0.0):
    low, high = score_map.min(), score_map.max()
    return np.zeros_like(score_map) if high == low else (score_map - low) / (high - low + eps)


def iou(a, b, one):
    width = min(a[2], b[2]) - max(a[0], b[0]) + one
    height = min(a[3], b[3]) - max(a[1], b[1]) + one
    common = max(width, 0) * max(height, 0)

    def area(box):
        return (box[2] - box[0] + one) * (box[3] - box[1] + one)

    union = area(a) + area(b) - common
    return common / union if union > 0 else 0.0


def most_pixels(foreground):
    labels = label(foreground, connectivity=2)
    if labels.max() == 0:
        return None
    sizes = np.bincount(labels.ravel())[1:]
    ys, xs = np.nonzero(labels == 1 + int(sizes.argmax()))
    return [xs.min(), ys.min(), xs.max(), ys.max()]


def ts_cam(score_map, size, boxes, t):
    levels = np.trunc(255 * minmax(bilinear(score_map, 224, 224))).astype(np.uint8)
    found = cv2.findContours(
        (levels > int(t * levels.max())).astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE
    )[0]
    box = [0, 0, 1, 1]
    if found:
        x, y, w, h = cv2.boundingRect(max(found, key=cv2.contourArea))
        box = [x, y, x + w, y + h]
    best = 0.0
    for x0, y0, x1, y1 in boxes:
        truth = [
            max(int(x0 / size[0] * 224), 0), max(int(y0 / size[1] * 224), 0),
            min(int(x1 / size[0] * 224), 223), min(int(y1 / size[1] * 224), 223),
        ]  # fmt: skip
        best = max(best, iou(box, truth, 1))
    return box, best >= 0.5, best > 0.5


def cropped(score_map, size, boxes, t, *, one, strict, truncated, eps):
    values = bilinear(minmax(np.asarray(score_map, np.float64), eps), 224, 224)
    tight = most_pixels(values > t)
    box = [0, 0, 224, 224] if tight is None else [tight[0], tight[1], tight[2] + 1, tight[3] + 1]
    best = 0.0
    for corners in boxes:
        scaled = [value * 256 / size[i % 2] for i, value in enumerate(corners)]
        if truncated:
            moved = [int(value - 16) for value in scaled]
            truth = [max(moved[0], 0), max(moved[1], 0), min(moved[2], 223), min(moved[3], 223)]
        else:
            truth = [min(max(value, 16), 240) - 16 for value in scaled]
        best = max(best, iou(box, truth, one))
    right = best > 0.5 if strict else best >= 0.5
    return box, right, right


def danet(score_map, size, boxes, t):
    values = bilinear(minmax(np.asarray(score_map, np.float64)), *size)
    ys, xs = np.nonzero(values >= t)
    box = [xs.min(), ys.min(), xs.max(), ys.max()] if len(xs) else [0, 0, 0, 0]
    right = max((iou(box, truth, 1) for truth in boxes), default=0) > 0.5
    return box, right, right


def zhou(score_map, size, boxes, t):
    values = bilinear(score_map, *size)
    tight = most_pixels(values > t * values.max()) if values.max() > 0 else None
    box = [0, 0, 0, 0] if tight is None else tight
    right = max((iou(box, truth, 1) for truth in boxes), default=0) >= 0.5
    return box, right, right


def restated(convention, score_map, size, boxes, t):
    """The box of a map at a threshold, and whether it is right for GT-known and Top-k Loc."""
    if convention == "ts-cam":
        return ts_cam(score_map, size, boxes, t)
    if convention == "danet":
        return danet(score_map, size, boxes, t)
    if convention == "zhou2016":
        return zhou(score_map, size, boxes, t)
    return cropped(
        score_map, size, boxes, t,
        one=0 if convention == "psol" else 1,
        strict=convention != "sat",
        truncated=convention == "sat",
        eps=1e-5 if convention == "sat" else 0.0,
    )  # fmt: skip
