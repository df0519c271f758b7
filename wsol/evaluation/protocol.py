"""Every choice that turns score maps and annotations into numbers."""

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from wsol.errors import InputError
from wsol.evaluation.conventions import (
    FORMER_NAMES,
    PRESETS,
    UNCHANGED,
    Convention,
    thresholds_told,
)
from wsol.options import Options, one_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsol.metrics.image_mean import ImageMetric

ContourChoice = Literal["largest", "all", "both"]
_USUAL = 0.2
IouLevel = Annotated[float, Field(gt=0, le=1)]


class Protocol(Options):
    """Every choice that turns score maps and annotations into numbers.

    Attributes:
        convention: a name of `wsol.evaluation.conventions.PRESETS`. `choe2020` reproduces the
            released evaluation of Choe et al. (CVPR 2020) digit for digit; `exact` has tight
            boxes, `>=` thresholds on the unquantized map and ground truth that is scaled without
            truncation.
        threshold: of GT-known, Top-1 and Top-5 Loc; None takes the convention's own.
        threshold_step: thresholds are 0, step, 2*step, ... below 1, times the map's maximum.
        iou: an image counts at a level when its IoU reaches it.
        contours: which components the all-threshold metrics look at.
        metric: further metrics that are a number an image, see `wsol.metrics.catalog`.
        grid: (width, height) on which maps, boxes and masks are compared.
    """

    convention: str = Field(
        default="choe2020",
        description="How a map becomes a box, and when it is right: choe2020, exact, zhou2016, "
        "ts-cam, psol, bas, sat or danet; `wsol conventions` prints the table.",
    )
    threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Of GT-known, Top-1 and Top-5 Loc; default: the convention's own.",
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
    grid: tuple[int, int] = Field(default=(224, 224), exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _known_by_its_old_name(cls, values: Any) -> Any:
        """`compat: none` is what `convention: exact` was called, and so on."""
        if not isinstance(values, dict):
            return values
        values = dict(values)
        if "compat" in values:
            values["convention"] = values.pop("compat")
        if "convention" in values:
            values["convention"] = FORMER_NAMES.get(values["convention"], values["convention"])
        return values

    @field_validator("convention")
    @classmethod
    def _is_known(cls, convention: str) -> str:
        return one_of(convention, tuple(PRESETS))

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

    @property
    def rules(self) -> Convention:
        """The choices of the convention."""
        return PRESETS[self.convention]

    @property
    def engine(self) -> Literal["choe2020", "exact"]:
        """The convention, of those whose boxes at all thresholds come from one pass."""
        return "exact" if self.convention == "exact" else "choe2020"

    @property
    def asks_for_one_box(self) -> bool:
        """Whether the convention has no search over all thresholds, see `one_box`."""
        return self.convention not in UNCHANGED

    @property
    def fixed_threshold(self) -> float:
        """The threshold of GT-known, Top-1 and Top-5 Loc where all are searched; 0.2 as in Zhou
        et al. 2016."""
        return _USUAL if self.threshold is None else self.threshold

    def asked_thresholds(self, dataset: str, network: str) -> tuple[float, ...]:
        """The thresholds of a convention that asks for one box; of several the best is taken.

        Raises:
            InputError: when the convention states none for the data set and network, and nobody
                named one.
        """
        if self.threshold is not None:
            return (self.threshold,)
        if network == "full":  # whose box is the frame's, at any threshold
            return (0.0,)
        if self.rules.candidates:
            return self.rules.candidates
        stated = self.rules.threshold_for(dataset, network)
        if stated is None:
            raise InputError(
                f"The convention {self.convention} states no threshold for {network} on "
                f"{dataset} ({thresholds_told(self.rules)}); name one with --threshold."
            )
        return (stated,)

    def settings(self) -> dict[str, Any]:
        """The settings as a record states them."""
        policy: dict[str, Any] = {"max_box_acc": "best on the evaluated split (oracle)"}
        settings: dict[str, Any] = {"convention": self.convention, "threshold_policy": policy}
        if self.asks_for_one_box:
            policy.clear()
            return settings | {"convention_parts": self.rules.parts()}
        policy["gt_known_loc"] = f"fixed at {self.fixed_threshold:g}"
        return settings | {
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
