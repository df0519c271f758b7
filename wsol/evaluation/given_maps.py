"""Score maps as what `wsol score` is given."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from wsol.datasets.base import Dataset, Sample
from wsol.errors import InputError
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.given import missed
from wsol.evaluation.judging import (
    Classification,
    Outcome,
    judge,
    prepare_map,
    size_of,
)
from wsol.evaluation.options import ScoreOptions
from wsol.evaluation.predictions import read_map_classes
from wsol.evaluation.protocol import Protocol
from wsol.evaluation.provenance import mask_files, photograph_file
from wsol.evaluation.rows import judged_by, outcome_row
from wsol.maps.files import ScoreMaps
from wsol.records.record import Metrics, SkippedImage


class MapsGiven:
    """Score maps: one an image, of its label; or several, with their classes in a file."""

    what = "map"

    def __init__(self, path: Path, dataset: Dataset, options: ScoreOptions) -> None:
        """
        Raises:
            InputError: when the path is no layout of maps, or the file of classes is wrong.
        """
        for option, value, usual in (
            ("--box-corners", options.box_corners, "inclusive"),
            ("--box-pixels", options.box_pixels, "photograph"),
            ("--no-box-classes", options.box_classes, True),
        ):
            if value != usual:
                raise InputError(f"{option}: goes with a file of boxes; {path} has score maps.")
        self._maps = ScoreMaps(path, (sample.image_id for sample in dataset.samples))
        self._classes: Mapping[str, tuple[list[int], str]] | None = None
        self._class_file = options.map_classes
        self._per_image = options.per_image
        self._without_label: list[str] = []
        self.settings: dict[str, Any] = {"score_maps": path.resolve().name}
        if options.map_classes is not None:
            self._classes = read_map_classes(options.map_classes, dataset)
            self.settings["map_classes"] = options.map_classes.name

    def protocol(self, protocol: Protocol) -> Protocol:
        """As it is."""
        return protocol

    def told(self, settings: dict[str, Any]) -> dict[str, Any]:
        """As they are."""
        return settings

    def files(self, part: Dataset) -> Iterator[tuple[str, Path]]:
        """The maps, the masks that they are compared with, photographs that say which size boxes
        are in, and the file of the maps' classes."""
        yield from self._maps.files
        if self._class_file is not None:
            yield "map classes", self._class_file
        for sample in part.samples:
            yield from mask_files(sample)
            if sample.size is None:
                yield from photograph_file(sample)

    def account_for(self, part: Dataset, skip_bad: bool) -> list[SkippedImage]:
        """Refuse missing and extra maps and classes before any work is done, or list them."""
        maps = self._maps
        wanted = {sample.image_id for sample in part.samples}
        missing = [image_id for image_id in maps.missing if image_id in wanted]
        if missing and not skip_bad:
            raise InputError(
                f"{maps.where(missing[0])}: no score map for {missing[0]} "
                f"({len(missing)} of {len(wanted)} images have none); "
                "write them, or leave them out with --skip-bad."
            )
        if maps.extra and not skip_bad:
            raise InputError(
                f"{maps.path}: the score map {maps.extra[0]!r} belongs to no image of the data "
                f"set ({len(maps.extra)} such maps); "
                "remove them, choose the right split, or pass over them with --skip-bad."
            )
        listed = [SkippedImage(image_id=name, reason="no score map") for name in missing] + [
            SkippedImage(image_id=name, reason="a score map without annotation")
            for name in maps.extra
        ]
        return listed + self._account_for_classes(part, set(missing), skip_bad)

    def _account_for_classes(
        self, part: Dataset, left_out: set[str], skip_bad: bool
    ) -> list[SkippedImage]:
        if self._classes is None:
            return []
        there = [sample for sample in part.samples if sample.image_id not in left_out]
        unknown = [s.image_id for s in there if s.image_id not in self._classes]
        if unknown and not skip_bad:
            raise InputError(
                f"{self._class_file}: does not say of which classes the maps of {unknown[0]} are "
                f"({len(unknown):,} images have no line); add them, or leave the images out with "
                "--skip-bad."
            )
        known = [sample for sample in there if sample.image_id in self._classes]
        without = [s.image_id for s in known if s.label not in self._classes[s.image_id][0]]
        if without and self._per_image:
            raise InputError(
                f"--per-image: {without[0]} has no map of its label ({len(without):,} images), of "
                "which an image's outcome is made; write those maps, or leave the option out."
            )
        self._without_label = without
        return [SkippedImage(image_id=name, reason="no classes of its maps") for name in unknown]

    def read(self, sample: Sample) -> NDArray[Any] | None:
        """The map of the image's label.

        Raises:
            InputError: naming the file, when it is not one.
        """
        score_map = self._maps.read(sample.image_id)
        if self._classes is None:
            return score_map
        classes, where = self._classes[sample.image_id]
        if score_map.ndim != 3 or len(score_map) != len(classes):
            raise InputError(
                f"{self._maps.where(sample.image_id)}: has the shape {score_map.shape}; expected "
                f"({len(classes)}, height, width), because {where} names {len(classes)} classes."
            )
        if sample.label not in classes:
            return None
        own: NDArray[Any] = score_map[classes.index(sample.label)]
        return own

    def outcome(
        self,
        evaluator: Evaluator,
        read: NDArray[Any] | None,
        sample: Sample,
        said: Classification | None,
        per_image: bool,
    ) -> Outcome:
        """Find the map's boxes and compare them."""
        protocol, judging = evaluator.protocol, evaluator.box_judge
        if read is None:
            return missed(evaluator, sample, said)
        if judging is not None:
            size = size_of(sample)
            found, dim = judging.prepare_valid(
                read, sample.image_id, size, self._maps.where, with_row=per_image
            )
            rows_of = evaluator.dataset if per_image else None
            outcome = judged_by(judging, found, sample, size, said, rows_of)
            return replace(outcome, is_dim=dim)
        prepared = prepare_map(read, sample.image_id, protocol, self._maps.where)
        outcome = judge(prepared, sample, protocol, classification=said)
        if not per_image:
            return outcome
        row = outcome_row(prepared, outcome, sample, evaluator.dataset, protocol)
        return replace(outcome, row=row)

    def finished(self, metrics: Metrics) -> tuple[Metrics, list[str]]:
        """Without what needs every label's map, where some have none."""
        if not self._without_label:
            return metrics, []
        count = len(self._without_label)
        needs = [
            name
            for name in Metrics.model_fields
            if name.startswith(("gt_known", "max_box", "box_acc", "best_threshold"))
        ]
        cleared = metrics.model_copy(update=dict.fromkeys(needs))
        if cleared.loc_at is not None:
            cleared.loc_at = {
                at: {name: value for name, value in found.items() if name not in needs}
                for at, found in cleared.loc_at.items()
            }
        note = (
            f"{count:,} {'image has' if count == 1 else 'images have'} no map of their label: "
            "wrong for Top-k Loc; GT-known Loc and what else needs it are left out."
        )
        return cleared, [note]
