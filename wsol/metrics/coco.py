"""COCO AP and AR of the boxes, by pycocotools (Lin et al., ECCV 2014)."""

import contextlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from wsol.boxes.geometry import to_xywh

_IMAGE, _CLASS, _SCORE, _BOX = 0, 1, 2, slice(3, 7)


class CocoAveragePrecision:
    """Detections and true boxes of all images.

    A detection is the box of one of an image's five best classes, scored by that class's softmax
    probability. Where it lies matters for the image's own class alone: of any other class there is
    no true box, so that it is a false positive wherever it lies. State is a set of rows that
    `compute` sorts by image, so shards can be merged in any order.
    """

    def __init__(self) -> None:
        self._detections: list[NDArray[np.float64]] = []
        self._truths: list[NDArray[np.float64]] = []
        self.num_images = 0

    def update(
        self,
        image: int,
        *,
        classes: NDArray[np.integer],
        scores: NDArray[np.floating],
        boxes: NDArray[np.floating],
        true_class: int,
        true_boxes: NDArray[np.floating],
    ) -> None:
        """Add one image.

        Args:
            image: a number of its own.
            classes, scores, boxes: (k,), (k,) and (k, 4) inclusive corners of its detections.
            true_class, true_boxes: its label and (n, 4) inclusive corners.
        """
        detections = np.empty((len(classes), 7))
        detections[:, _IMAGE], detections[:, _CLASS], detections[:, _SCORE] = image, classes, scores
        detections[:, _BOX] = boxes
        truths = np.empty((len(true_boxes), 7))
        truths[:, _IMAGE], truths[:, _CLASS], truths[:, _SCORE] = image, true_class, 1
        truths[:, _BOX] = true_boxes
        self._detections.append(detections)
        self._truths.append(truths)
        self.num_images += 1

    def merge(self, other: "CocoAveragePrecision") -> None:
        """Add the images of another accumulator."""
        self._detections += other._detections
        self._truths += other._truths
        self.num_images += other.num_images

    def compute(self) -> tuple[float, float, float]:
        """AP over IoU 0.5 to 0.95, AP at 0.5, and AR with 100 detections an image, in percent.

        pycocotools looks at every image for every class, which takes hours for 50,000 images and
        1,000 classes. A class's precision depends only on the images that have a true box or a
        detection of it, so each class is evaluated on those alone; the mean over classes is the
        same (classes without a true box count in neither).
        """
        detections, truths = _sorted(self._detections), _sorted(self._truths)
        precisions, recalls = [], []
        by_class = _rows_by_class(detections)
        for label, rows in _rows_by_class(truths).items():
            precision, recall = _evaluate_class(truths[rows], detections[by_class.get(label, [])])
            precisions.append(precision)
            recalls.append(recall)
        precision = np.stack(precisions)
        return (
            float(100 * precision.mean()),
            float(100 * precision[:, 0].mean()),
            float(100 * np.stack(recalls).mean()),
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """The rows as named arrays."""
        return {
            "detections": _sorted(self._detections),
            "truths": _sorted(self._truths),
            "num_images": np.array(self.num_images),
        }

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Replace the rows by what `state` returned."""
        self._detections = [state["detections"]]
        self._truths = [state["truths"]]
        self.num_images = int(state["num_images"])


def _sorted(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """All rows, ordered by image; the order within an image is kept."""
    rows = np.concatenate(parts) if parts else np.empty((0, 7))
    return rows[np.argsort(rows[:, _IMAGE], kind="stable")]


def _rows_by_class(rows: NDArray[np.float64]) -> dict[int, NDArray[np.int64]]:
    """Positions of the rows of each class, ascending."""
    order = np.argsort(rows[:, _CLASS], kind="stable")
    labels, starts = np.unique(rows[order, _CLASS], return_index=True)
    parts = np.split(order, starts[1:])
    return {int(label): part for label, part in zip(labels, parts, strict=False)}


def _evaluate_class(
    truths: NDArray[np.float64], detections: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(10, 101) precision by IoU level and recall, and (10,) recall, of one class."""

    def annotations(rows: NDArray[np.float64]) -> list[dict[str, Any]]:
        return [
            {
                "id": number,
                "image_id": int(row[_IMAGE]),
                "category_id": 1,
                "bbox": box.tolist(),
                "area": float(box[2] * box[3]),
                "iscrowd": 0,
                "score": float(row[_SCORE]),
            }
            for number, (row, box) in enumerate(zip(rows, to_xywh(rows[:, _BOX]), strict=True), 1)
        ]

    images = np.unique(np.concatenate([truths[:, _IMAGE], detections[:, _IMAGE]])).astype(int)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        true, found = COCO(), COCO()
        for coco, rows in ((true, truths), (found, detections)):
            coco.dataset = {
                "images": [{"id": int(image)} for image in images],
                "categories": [{"id": 1}],
                "annotations": annotations(rows),
            }
            coco.createIndex()
        evaluation = COCOeval(true, found, "bbox")
        evaluation.params.areaRng = [evaluation.params.areaRng[0]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, 0, 0, 0], evaluation.eval["recall"][:, 0, 0, 0]
