"""Every choice that turns score maps and annotations into numbers."""

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from wsol.errors import InputError
from wsol.evaluation.conventions import (
    FORMER_NAMES,
    PRESETS,
    UNCHANGED,
    Convention,
    View,
    thresholds_told,
)
from wsol.maps.automatic import POLICIES
from wsol.options import Options, one_of
from wsol.reading import number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wsol.metrics.image_mean import ImageMetric

ContourChoice = Literal["largest", "all", "both"]
_USUAL = 0.2
IouLevel = Annotated[float, Field(gt=0, le=1)]


BEST = "best"
"""The threshold at which most images are right for GT-known Loc: of `also_at`."""


def parsed_threshold(value: Any) -> float | str:
    """A number within [0, 1], or a policy's name.

    Raises:
        ValueError: when it is neither.
    """
    if isinstance(value, str):
        try:
            value = number(value)
        except ValueError:
            return one_of(value, POLICIES)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"should be from 0 to 1, or one of {', '.join(POLICIES)}, not {value!r}")
    return float(value)


Threshold = Annotated[float | str, BeforeValidator(parsed_threshold)]
"""In units that the convention has, or one of `wsol.maps.automatic.POLICIES`, by which each map
chooses its own."""


def _listed(value: Any) -> Any:
    names = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        return names
    return [FORMER_NAMES.get(name, name) if isinstance(name, str) else name for name in names]


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        one_of(name, tuple(PRESETS))
        if names.count(name) > 1:
            raise ValueError(f"names {name} twice")
    return names


ConventionNames = Annotated[
    tuple[str, ...], BeforeValidator(_listed), AfterValidator(_known), Field(min_length=1)
]
"""Conventions, of which each makes a record of its own; a single one need not stand in a list."""


class Protocol(Options):
    """Every choice that turns score maps and annotations into numbers.

    Attributes:
        convention: names of `wsol.evaluation.conventions.PRESETS`, a record each. `choe2020`
            reproduces the released evaluation of Choe et al. (CVPR 2020) digit for digit; `exact`
            has tight boxes, `>=` thresholds on the unquantized map and ground truth that is scaled
            without truncation.
        threshold: of GT-known, Top-1 and Top-5 Loc: a number, or one of
            `wsol.maps.automatic.POLICIES`, by which each map chooses its own and no box has a part
            in it; None takes the convention's own.
        also_at: further thresholds to report accuracies at beside those: policies, and `best`, the
            threshold of MaxBoxAcc, for Top-1 and Top-5 Loc.
        threshold_step: thresholds are 0, step, 2*step, ... below 1, times the map's maximum.
        iou: an image counts at a level when its IoU reaches it.
        contours: which components the all-threshold metrics look at.
        metric: further metrics that are a number an image, see `wsol.metrics.catalog`.
        grid: (width, height) on which maps, boxes and masks are compared.
    """

    convention: ConventionNames = Field(
        default=("choe2020",),
        description="How a map becomes a box, and when it is right: choe2020, exact, zhou2016, "
        "ts-cam, psol, bas, sat or danet; `wsol conventions` prints the table. Several make a "
        "record each, of one pass through the network for every distinct view of an image.",
    )
    threshold: Threshold | None = Field(
        default=None,
        description="Of GT-known, Top-1 and Top-5 Loc: a number, or otsu, li, yen, triangle, "
        "isodata or mean, by which each map chooses its own without a box; default: the "
        "convention's own.",
    )
    also_at: tuple[str, ...] = Field(
        default=(),
        description="Also report accuracies at these thresholds, beside the oracle's: otsu, li, "
        "yen, triangle, isodata, mean, or best (of MaxBoxAcc); separated by commas.",
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
        return values

    @field_validator("iou")
    @classmethod
    def _differ(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(levels)) != len(levels):
            raise ValueError(f"IoU levels must differ from each other: {levels}")
        return levels

    @field_validator("also_at")
    @classmethod
    def _are_policies(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError(f"names a threshold twice: {', '.join(names)}")
        return tuple(one_of(name, (*POLICIES, BEST)) for name in names)

    @model_validator(mode="after")
    def _has_what_best_needs(self) -> "Protocol":
        without = [name for name in self.convention if not PRESETS[name].searches]
        if BEST in self.also_at and without:
            raise ValueError(
                f"also_at: best is of a search over all thresholds, which {without[0]} has not; "
                "use choe2020 or exact"
            )
        if BEST in self.also_at and self.contours == "all":
            raise ValueError("also_at: best is of the largest component; use contours both")
        return self

    @property
    def policies(self) -> tuple[str, ...]:
        """Those of `also_at` by which each map chooses its own threshold."""
        return tuple(name for name in self.also_at if name != BEST)

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

    def each(self) -> tuple["Protocol", ...]:
        """A protocol for each of the conventions."""
        if len(self.convention) == 1:
            return (self,)
        return tuple(self.replaced(convention=(name,)) for name in self.convention)

    @property
    def rules(self) -> Convention:
        """The choices of the convention.

        Raises:
            InputError: where there are several.
        """
        if len(self.convention) > 1:
            raise InputError(
                f"convention: {', '.join(self.convention)} are several; only one can be taken here."
            )
        return PRESETS[self.convention[0]]

    @property
    def frame_view(self) -> View:
        """What maps are made of."""
        return self.rules.as_view("frame")

    @property
    def engine(self) -> Literal["choe2020", "exact"]:
        """The convention, of those whose boxes at all thresholds come from one pass."""
        return "exact" if self.rules.name == "exact" else "choe2020"

    @property
    def asks_for_one_box(self) -> bool:
        """Whether the convention has no search over all thresholds, see `one_box`."""
        return self.rules.name not in UNCHANGED

    @property
    def fixed_threshold(self) -> float | str:
        """The threshold of GT-known, Top-1 and Top-5 Loc where all are searched; 0.2 as in Zhou
        et al. 2016. A text is a policy."""
        return _USUAL if self.threshold is None else self.threshold

    def asked_thresholds(self, dataset: str, network: str) -> tuple[float | str, ...]:
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
                f"The convention {self.rules.name} states no threshold for {network} on "
                f"{dataset} ({thresholds_told(self.rules)}); name one with --threshold."
            )
        return (stated,)

    def settings(self) -> dict[str, Any]:
        """The settings as a record states them."""
        policy: dict[str, Any] = {"max_box_acc": "best on the evaluated split (oracle)"}
        settings: dict[str, Any] = {"convention": self.rules.name, "threshold_policy": policy}
        if self.asks_for_one_box:
            policy.clear()
            also = {"also_at": list(self.also_at)} if self.also_at else {}
            return settings | {"convention_parts": self.rules.parts()} | also
        fixed = self.fixed_threshold
        policy["gt_known_loc"] = threshold_told(fixed)
        return settings | {
            **({"automatic_threshold": fixed} if isinstance(fixed, str) else {}),
            **({} if isinstance(fixed, str) else {"fixed_threshold": fixed}),
            "threshold_step": self.threshold_step,
            "iou_levels": list(self.iou),
            "contours": self.contours,
            "grid": list(self.grid),
            **({"metrics": list(self.metric)} if self.metric else {}),
            **({"also_at": list(self.also_at)} if self.also_at else {}),
        }


def threshold_told(threshold: float | str) -> str:
    """A threshold as a record states it."""
    if isinstance(threshold, str):
        return f"{threshold} of each map, without boxes (skimage.filters)"
    return f"fixed at {threshold:g}"


@cache
def _image_metrics(names: tuple[str, ...]) -> "tuple[ImageMetric, ...]":
    from wsol.metrics.catalog import image_metric

    return tuple(map(image_metric, names))


@cache
def _thresholds(step: float) -> "NDArray[np.float64]":
    from wsol.boxes.levels import threshold_grid

    return threshold_grid(step)
