"""Every choice that turns score maps and annotations into numbers."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from wsol.errors import InputError
from wsol.evaluation.conventions import (
    FORMER_NAMES,
    PARTS,
    PRESETS,
    UNCHANGED,
    Convention,
    View,
    grid_text,
    thresholds_told,
)
from wsol.maps.policies import POLICIES
from wsol.options import Options, listed, one_of
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
            try:
                return one_of(value, POLICIES)
            except ValueError as error:
                raise ValueError(str(error).replace("be ", "be a number or ", 1)) from error
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"should be from 0 to 1, or one of {', '.join(POLICIES)}, not {value!r}")
    return float(value)


def _thresholds_given(value: Any) -> Any:
    """One threshold, or one for each of some conventions: a mapping, or `psol=0.3,bas=otsu`."""
    if isinstance(value, str) and "=" in value:
        pairs = [part.partition("=") for part in value.replace(",", " ").split()]
        value = {name: threshold for name, _, threshold in pairs}
        if len(value) < len(pairs):
            raise ValueError("names a convention twice")
    if isinstance(value, Mapping):
        return {FORMER_NAMES.get(k, k): parsed_threshold(v) for k, v in value.items()}
    return parsed_threshold(value)


Threshold = Annotated[float | str | Mapping[str, float | str], BeforeValidator(_thresholds_given)]
"""In units that the convention has, or one of `wsol.maps.policies.POLICIES`, by which each map
chooses its own; or one for each of some conventions, by their names."""


def _listed(value: Any) -> Any:
    names = listed(value)
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


def _as_text(value: Any) -> Any:
    """A grid as it is written, also where Python gives (width, height)."""
    if isinstance(value, tuple | list) and len(value) == 2:
        return grid_text((value[0], value[1]))
    return value


Part = Annotated[str | None, BeforeValidator(_as_text)]


def _part(name: str, told: str) -> Any:
    values = ", ".join(PARTS[name])
    return Field(default=None, description=f"Replaces a part of the convention: {told} ({values}).")


class Protocol(Options):
    """Every choice that turns score maps and annotations into numbers.

    Attributes:
        convention: names of `wsol.evaluation.conventions.PRESETS`, a record each. `choe2020`
            reproduces the released evaluation of Choe et al. (CVPR 2020) digit for digit; `exact`
            has tight boxes, `>=` thresholds on the unquantized map and ground truth that is scaled
            without truncation.
        threshold: of GT-known, Top-1 and Top-5 Loc: a number, or one of
            `wsol.maps.policies.POLICIES`, by which each map chooses its own and no box has a part
            in it; None takes the convention's own. A mapping has one for each of some of the
            conventions, by name, of which the others take their own.
        search: also search all thresholds under conventions that do not themselves.
        also_at: further thresholds to report accuracies at beside those: policies, and `best`, the
            threshold of MaxBoxAcc, for Top-1 and Top-5 Loc.
        threshold_step: thresholds are 0, step, 2*step, ... below 1, times the map's maximum.
        iou: an image counts at a level when its IoU reaches it.
        contours: which components the all-threshold metrics look at.
        metric: further metrics that are a number an image, see `wsol.metrics.catalog`.
        views: of what the classification is made; None takes the convention's.
        frame, grid, upsampling, normalization, foreground, component, corners, nowhere, truth,
            overlap, hit, hit_top_k: replace parts of the convention, see
            `wsol.evaluation.conventions.Convention`.
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
        "convention's own. Of several conventions, psol=0.3,bas=otsu names those of some.",
    )
    search: bool = Field(
        default=False,
        description="Also search all thresholds where a convention does not itself: MaxBoxAcc, "
        "MaxBoxAccV2, curves and PxAP by its rules.",
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
    metric: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(
        default=(),
        description="Further metrics: pointing_game, energy_pointing_game, rank_accuracy, or "
        "package.module:callable; separated by commas.",
    )
    views: Literal["squash", "center", "ten-crop"] | None = Field(
        default=None,
        description="What is classified: the squashed photograph, the central crop (224 of 256) "
        "of it, or ten crops (mean softmax); default: the convention's own.",
    )
    frame: Part = _part("frame", "what maps lie on")
    grid: Part = _part("grid", "where boxes are compared")
    upsampling: Part = _part("upsampling", "from the map to the grid")
    normalization: Part = _part("normalization", "min-max, in relation to upsampling")
    foreground: Part = _part("foreground", "what lies above a threshold")
    component: Part = _part("component", "which foreground has the box")
    corners: Part = _part("corners", "the far corner of a box")
    nowhere: Part = _part("nowhere", "the box where there is no foreground")
    truth: Part = _part("truth", "a true box on the grid")
    overlap: Part = _part("overlap", "the width of a box in the IoU")
    hit: Part = _part("hit", "GT-known Loc at an IoU of 0.5")
    hit_top_k: Part = _part("hit_top_k", "Top-k Loc at an IoU of 0.5")

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
        without = [
            name for name in self.convention if not _rules(name, self._replaced_parts).searches
        ]
        if BEST in self.also_at and without and not self.search:
            raise ValueError(
                f"also_at: best is of a search over all thresholds, which {without[0]} has not; "
                "add search (--search)"
            )
        if BEST in self.also_at and self.contours == "all":
            raise ValueError("also_at: best is of the largest component; use contours both")
        return self

    @model_validator(mode="after")
    def _thresholds_are_of_conventions(self) -> "Protocol":
        if not isinstance(self.threshold, Mapping):
            return self
        for name in self.threshold:
            if name not in self.convention:
                raise ValueError(
                    f"threshold: names {name}, which is none of the conventions "
                    f"{', '.join(self.convention)}"
                )
        if len(self.convention) == 1:
            own = self.threshold.get(self.convention[0])
            object.__setattr__(self, "threshold", own)
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

    @model_validator(mode="after")
    def _parts_are_known(self) -> Self:
        for name in self.convention:
            _rules(name, self._replaced_parts)
        return self

    @property
    def _replaced_parts(self) -> tuple[tuple[str, str | None], ...]:
        return tuple((name, getattr(self, name)) for name in PARTS)

    def each(self) -> tuple["Protocol", ...]:
        """A protocol for each of the conventions."""
        if len(self.convention) == 1:
            return (self,)
        given = self.threshold

        def own(name: str) -> dict[str, Any]:
            return {"threshold": given.get(name)} if isinstance(given, Mapping) else {}

        return tuple(self.replaced(convention=(name,), **own(name)) for name in self.convention)

    @property
    def rules(self) -> Convention:
        """The choices of the convention, with what is replaced.

        Raises:
            InputError: where there are several.
        """
        if len(self.convention) > 1:
            raise InputError(
                f"convention: {', '.join(self.convention)} are several; only one can be taken here."
            )
        return _rules(self.convention[0], self._replaced_parts)

    @property
    def frame_view(self) -> View:
        """What maps are made of."""
        return self.rules.as_view("frame")

    def view_for(self, dataset: str) -> View:
        """What the classification is made of; never `frame`."""
        return self.views or self.rules.view_for(dataset)

    @property
    def engine(self) -> Literal["choe2020", "exact"]:
        """Which of the two finds the boxes at all thresholds, where one box is not all.

        Raises:
            InputError: under a convention that asks for one box.
        """
        engine = self.rules.engine
        if engine is None:
            raise InputError(f"{self.rules.name}: asks for one box and has no engine.")
        return engine

    @property
    def asks_for_one_box(self) -> bool:
        """Whether the convention has no search over all thresholds, see `one_box`."""
        return self.rules.engine is None

    @property
    def searches(self) -> bool:
        """Whether all thresholds are searched: the convention does, or it is asked for."""
        return self.search or not self.asks_for_one_box

    @property
    def searched_kinds(self) -> tuple[Literal["largest", "all"], ...]:
        """The component choices whose boxes at all thresholds make metrics."""
        return self.contour_kinds if self.searches else ()

    @property
    def map_grid(self) -> tuple[int, int]:
        """(width, height) of a grid that is the same for all images.

        Raises:
            InputError: under a convention whose grid is each photograph's own.
        """
        grid = self.rules.grid
        if isinstance(grid, str):
            raise InputError(f"{self.rules.name}: has no grid that is the same for all images.")
        return grid

    @property
    def fixed_threshold(self) -> float | str:
        """The threshold of GT-known, Top-1 and Top-5 Loc where all are searched; 0.2 as in Zhou
        et al. 2016. A text is a policy.

        Raises:
            InputError: where there is one for each of several conventions.
        """
        return _USUAL if self._threshold is None else self._threshold

    @property
    def _threshold(self) -> float | str | None:
        if isinstance(self.threshold, Mapping):
            raise InputError("threshold: is one for each of several conventions; take one of them.")
        return self.threshold

    def asked_thresholds(self, dataset: str, network: str | None) -> tuple[float | str, ...]:
        """The thresholds of a convention that asks for one box; of several the best is taken.

        Args:
            network: its name; None where it is not known.

        Raises:
            InputError: when the convention states none for the data set and network, and nobody
                named one.
        """
        if self._threshold is not None:
            return (self._threshold,)
        if network == "full":  # whose box is the frame's, at any threshold
            return (0.0,)
        if self.rules.candidates:
            return self.rules.candidates
        stated = self.rules.threshold_for(dataset, network)
        if stated is None:
            by_network = network is None and any(
                stated.networks and stated.dataset in (None, dataset)
                for stated in self.rules.thresholds
            )
            raise InputError(
                f"The convention {self.rules.name} states no threshold for "
                f"{network or 'a network that is not named'} on {dataset} "
                f"({thresholds_told(self.rules)}); name one with --threshold"
                + (", or the network with --network." if by_network else ".")
            )
        return (stated,)

    def settings(self) -> dict[str, Any]:
        """The settings as a record states them."""
        policy: dict[str, Any] = {"max_box_acc": "best on the evaluated split (oracle)"}
        settings: dict[str, Any] = {"convention": self.rules.name, "threshold_policy": policy}
        views = {} if self.views is None else {"views": self.views}
        if self.asks_for_one_box:
            if not self.search:
                policy.clear()
            searched = {
                "search": True,
                "threshold_step": self.threshold_step,
                "iou_levels": list(self.iou),
                "contours": self.contours,
            }
            return settings | {
                "convention_parts": self.rules.parts(),
                **views,
                **(searched if self.search else {}),
                **({"metrics": list(self.metric)} if self.metric else {}),
                **({"also_at": list(self.also_at)} if self.also_at else {}),
            }
        fixed = self.fixed_threshold
        policy["gt_known_loc"] = threshold_told(fixed)
        return settings | {
            **({"automatic_threshold": fixed} if isinstance(fixed, str) else {}),
            **({} if isinstance(fixed, str) else {"fixed_threshold": fixed}),
            "threshold_step": self.threshold_step,
            "iou_levels": list(self.iou),
            "contours": self.contours,
            "grid": list(self.map_grid),
            **({"metrics": list(self.metric)} if self.metric else {}),
            **({"also_at": list(self.also_at)} if self.also_at else {}),
            **({} if self.rules.name in UNCHANGED else {"convention_parts": self.rules.parts()}),
            **views,
        }


def threshold_told(threshold: float | str) -> str:
    """A threshold as a record states it."""
    if isinstance(threshold, str):
        return f"{threshold} of each map, without boxes (skimage.filters)"
    return f"fixed at {threshold:g}"


@cache
def _rules(name: str, parts: tuple[tuple[str, str | None], ...]) -> Convention:
    return PRESETS[name].with_parts(**dict(parts))


@cache
def _image_metrics(names: tuple[str, ...]) -> "tuple[ImageMetric, ...]":
    from wsol.metrics.catalog import image_metric

    return tuple(map(image_metric, names))


@cache
def _thresholds(step: float) -> "NDArray[np.float64]":
    from wsol.boxes.levels import threshold_grid

    return threshold_grid(step)
