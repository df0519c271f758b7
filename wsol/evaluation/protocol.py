"""Every choice that turns score maps and annotations into numbers."""

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from wsol.options import Options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsol.metrics.image_mean import ImageMetric

ContourChoice = Literal["largest", "all", "both"]
IouLevel = Annotated[float, Field(gt=0, le=1)]


class Protocol(Options):
    """Every choice that turns score maps and annotations into numbers.

    Attributes:
        convention: `wsolevaluation` reproduces the released evaluation of Choe et al. (CVPR 2020)
            digit for digit; `exact` has tight boxes, `>=` thresholds on the unquantized map and
            ground truth that is scaled without truncation.
        threshold_step: thresholds are 0, step, 2*step, ... below 1, times the map's maximum.
        iou: an image counts at a level when its IoU reaches it.
        contours: which components the all-threshold metrics look at.
        metric: further metrics that are a number an image, see `wsol.metrics.catalog`.
        fixed_threshold: the threshold of GT-known, Top-1 and Top-5 Loc (0.2 in Zhou et al. 2016).
        grid: (width, height) on which maps, boxes and masks are compared.
    """

    convention: Literal["wsolevaluation", "exact"] = Field(
        default="wsolevaluation",
        description="`wsolevaluation`: the published protocol, digit for digit. "
        "`exact`: tight boxes, unquantized maps, untruncated ground truth.",
    )
    threshold_step: float = Field(
        default=0.001,
        ge=1e-4,
        le=0.5,
        description="Thresholds at 0, step, 2*step, ... below 1.",
    )
    iou: tuple[IouLevel, ...] = Field(
        default=(0.3, 0.5, 0.7),
        min_length=1,
        description="IoU levels of the MaxBoxAcc family, separated by commas.",
    )
    contours: ContourChoice = Field(
        default="both", description="Components that the MaxBoxAcc family looks at."
    )
    metric: tuple[str, ...] = Field(
        default=(),
        description="Further metrics: pointing_game, energy_pointing_game, rank_accuracy, or "
        "package.module:callable; separated by commas.",
    )
    fixed_threshold: float = Field(default=0.2, ge=0, le=1, exclude=True)
    grid: tuple[int, int] = Field(default=(224, 224), exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _known_by_its_old_name(cls, values: Any) -> Any:
        """`compat: none` is what `convention: exact` was called."""
        if isinstance(values, dict) and "compat" in values:
            values = dict(values)
            compat = values.pop("compat")
            values["convention"] = "exact" if compat == "none" else compat
        return values

    @field_validator("iou")
    @classmethod
    def _differ(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(levels)) != len(levels):
            raise ValueError(f"IoU levels must differ from each other: {levels}")
        return levels

    @property
    def thresholds(self) -> "NDArray[np.float64]":
        """(T,) ascending, in units of the map's maximum."""
        return _thresholds(self.threshold_step)

    @property
    def image_metrics(self) -> "tuple[ImageMetric, ...]":
        """The further metrics.

        Raises:
            InputError: for one that is unknown or cannot be imported.
        """
        return _image_metrics(self.metric)

    @property
    def contour_kinds(self) -> tuple[Literal["largest", "all"], ...]:
        """The component choices to evaluate, in a fixed order."""
        return ("largest", "all") if self.contours == "both" else (self.contours,)

    def settings(self) -> dict[str, Any]:
        """The settings as a record states them."""
        return {
            "convention": self.convention,
            "threshold_policy": {
                "gt_known_loc": f"fixed at {self.fixed_threshold:g}",
                "max_box_acc": "best on the evaluated split (oracle)",
            },
            "fixed_threshold": self.fixed_threshold,
            "threshold_step": self.threshold_step,
            "iou_levels": list(self.iou),
            "contours": self.contours,
            "grid": list(self.grid),
            **({"metrics": list(self.metric)} if self.metric else {}),
        }


@cache
def _image_metrics(names: tuple[str, ...]) -> "tuple[ImageMetric, ...]":
    from wsol.metrics.catalog import image_metric

    return tuple(map(image_metric, names))


@cache
def _thresholds(step: float) -> "NDArray[np.float64]":
    from wsol.boxes.levels import threshold_grid

    return threshold_grid(step)
