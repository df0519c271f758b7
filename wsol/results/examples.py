"""Example pictures: what a figure or a page shows of one image and one model."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True, slots=True)
class Example:
    """One image with one model's answer.

    Attributes:
        image: (H, W, 3) uint8.
        score_map: (h, w) float32 within [0, 1], covering the whole image at any resolution.
        true_boxes, predicted_boxes: (n, 4) inclusive corners in pixels of `image`.
        class_name: what it shows; `predicted_name`: what the model takes it for, None without one.
        iou: best IoU of any predicted with any true box; `correct`: whether that is at least 0.5.
    """

    model: str
    image_id: str
    image: NDArray[np.uint8]
    score_map: NDArray[np.float32]
    true_boxes: NDArray[np.float64]
    predicted_boxes: NDArray[np.float64]
    class_name: str
    predicted_name: str | None
    iou: float
    correct: bool


def overlay(example: Example, strength: float = 0.5) -> NDArray[np.uint8]:
    """The image with its score map laid over it in the colours of viridis' sibling `turbo`."""
    height, width = example.image.shape[:2]
    smooth = Image.fromarray(example.score_map).resize((width, height), Image.Resampling.BILINEAR)
    heat = colormaps["turbo"](np.asarray(smooth))[..., :3] * 255
    mixed = (1 - strength) * example.image + strength * heat
    return np.clip(mixed, 0, 255).astype(np.uint8)


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """Pixels as a JPEG inside a `data:` address, for a page that needs no other file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
