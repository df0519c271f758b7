"""Conventions: how a map becomes a box, and when a box is right, as data.

Two published localization accuracies compare only under one convention: the whole photograph as
the box is right for 41 % of ILSVRC's validation images under one and for 51 % under another. A
convention is a set of independent choices; the presets are what released code does, established by
running it on seeded inputs and restating it until every image agreed. Nothing here computes:
`wsol.evaluation.judging` and the rooms below it follow the choices.

Sources: `choe2020` Choe et al., CVPR 2020 (github.com/clovaai/wsolevaluation); `zhou2016` Zhou et
al., CVPR 2016, section 3.2; `ts-cam` Gao et al., ICCV 2021; `psol` Zhang et al., CVPR 2020; `bas`
Wu et al., CVPR 2022; `sat` Wu et al., ICCV 2023; `danet` Xue et al., ICCV 2019, whose evaluation
descends from ACoL (Zhang et al., CVPR 2018) and SPG (ECCV 2018).

A convention takes the map of the label. BAS's release does so on ILSVRC; on CUB it takes the mean
of those of the 200 classes with the highest logits (VGG: 80): `EvaluationOptions.mean_classes`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

FORMER_NAMES = {"wsolevaluation": "choe2020", "none": "exact"}
"""What conventions were called at first."""

Frame = Literal["squash", "crop"]
Upsampling = Literal["bicubic", "bilinear"]
Normalization = Literal["if-resized", "after", "before", "before-eps", "none"]
Foreground = Literal["levels", "above", "reaching", "above-share", "reaching-share"]
Component = Literal["contour", "pixels", "box", "union"]
Corners = Literal["inclusive", "exclusive", "clipped"]
Nowhere = Literal["nothing", "pixel", "two-pixels", "frame"]
Truth = Literal["truncated", "divided-first", "real", "edges", "original", "original-cub"]
Overlap = Literal["plus-one", "continuous"]
Hit = Literal["reaching", "above"]
View = Literal["frame", "squash", "center", "ten-crop"]

ORIGINAL: Literal["original"] = "original"


@dataclass(frozen=True, slots=True)
class StatedThreshold:
    """A threshold that a publication states.

    Attributes:
        dataset: `Dataset.name`; None for any.
        networks: parts of networks' names that it holds for; none for all.
    """

    value: float
    dataset: str | None = None
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Convention:
    """One set of choices.

    Attributes:
        name: of the preset, with what was replaced in it.
        frame: what maps lie on: the photograph squashed to the square, or the central crop (224 of
            256) of it.
        grid: (width, height) of the frame on which boxes are found and compared; `original`: the
            photograph's own pixels.
        upsampling: from a map's size to the grid's; pixel centres aligned, bicubic has a = -0.75.
        normalization: min-max `before` or `after` upsampling; `before-eps` divides by the spread
            plus 1e-5; `if-resized` is after it, and not for maps that have the grid's size;
            `none`: the map as it is.
        foreground: `levels`: trunc(255 m) > int(t * its maximum); `above`: m > t; `reaching`:
            m >= t; the same of t * max(m) with `-share`, where nothing is foreground unless the
            maximum is positive.
        component: `contour`: the outline that encloses the greatest polygon, 8-connected, the last
            in raster order at ties; `pixels`: most pixels, 8-connected, the first at ties; `box`:
            4-connected, the greatest bounding box; `union`: all foreground together.
        corners: the far corner is the last pixel, one beyond it, or one beyond it within the grid.
        nowhere: the box where there is no foreground: none, 0,0,0,0, 0,0,1,1 or the frame's.
        truth: a true box on the grid: scaled and `truncated`, with the division before or after
            the multiplication; `real`: scaled; `edges`: its outer edges scaled; `original` as
            annotated; `original-cub`: as annotated, but CUB's far corners one less.
        overlap: IoU of boxes whose far corner is a pixel of theirs, or an edge.
        hit: whether GT-known Loc asks for an IoU of 0.5 or of more; `hit_top_k` for Top-k Loc.
        views: of what the classification is made: the frame, the squashed photograph, the central
            crop, or the mean softmax over ten crops. The first is the preset's, and any of them
            keeps its name; `view_on` has that of a data set where it is another.
        thresholds: as the publication states them.
        candidates: thresholds of which the best on the evaluated split is taken.
        searches: whether MaxBoxAcc and MaxBoxAccV2 belong to it.
    """

    name: str
    frame: Frame
    grid: tuple[int, int] | Literal["original"]
    upsampling: Upsampling
    normalization: Normalization
    foreground: Foreground
    component: Component
    corners: Corners
    nowhere: Nowhere
    truth: Truth
    overlap: Overlap
    hit: Hit
    hit_top_k: Hit
    views: tuple[View, ...] = ("frame",)
    view_on: Mapping[str, View] = field(default_factory=dict)
    thresholds: tuple[StatedThreshold, ...] = ()
    candidates: tuple[float, ...] = ()
    searches: bool = False

    def threshold_for(self, dataset: str, network: str | None) -> float | None:
        """The threshold that is stated for a data set and a network, by their names.

        None also where it depends on a network that is not known.
        """
        told = (network or "").lower()
        for stated in self.thresholds:
            if stated.dataset not in (None, dataset):
                continue
            if stated.networks and network is None:
                return None
            if not stated.networks or any(part in told for part in stated.networks):
                return stated.value
        return None

    def view_for(self, dataset: str) -> View:
        """What the classification is made of, unless asked otherwise; never `frame`."""
        return self.as_view(self.view_on.get(dataset, self.views[0]))

    def seen_as(self, view: View, dataset: str) -> str:
        """Its name where that is classified: the view is told if it is none that it states."""
        own = (self.view_on[dataset],) if dataset in self.view_on else self.views
        if view in map(self.as_view, own):
            return self.name
        base, _, more = self.name.partition(" (")
        return f"{base} ({more[:-1]}, views {view})" if more else f"{base} (views {view})"

    @property
    def engine(self) -> Literal["choe2020", "exact"] | None:
        """Whose boxes at all thresholds come from one pass, see `wsol.boxes`; None: another way's.

        Grid and upsampling may differ from that preset's.
        """
        for name in _ENGINES:
            if all(getattr(self, part) == getattr(PRESETS[name], part) for part in _OF_ENGINES):
                return None if self.grid == ORIGINAL else name
        return None

    def as_view(self, view: View) -> View:
        """A view by what it is, where it is that of the frame."""
        if view != "frame":
            return view
        return "center" if self.frame == "crop" else "squash"

    def parts(self) -> dict[str, str]:
        """Every part that can be replaced, as text."""
        return {name: grid_text(self.grid) if name == "grid" else getattr(self, name)
                for name in PARTS}  # fmt: skip

    def with_parts(self, **given: str | None) -> "Convention":
        """With other parts, which the name then tells; None leaves a part as it is.

        Raises:
            ValueError: for a value that is none of the part's, or parts that do not agree.
        """
        own = self.parts()
        changed = {
            name: part_value(name, text)
            for name, text in given.items()
            if text is not None and text != own[name]
        }
        if not changed:
            return self
        told = ", ".join(f"{name.replace('_', '-')} {given[name]}" for name in PARTS
                         if name in changed)  # fmt: skip
        made = replace(self, name=f"{self.name} ({told})", **changed)  # type: ignore[arg-type]
        made._require_agreement()
        return replace(made, searches=made.engine is not None)

    def _require_agreement(self) -> None:
        if self.truth.startswith("original") and self.grid != ORIGINAL:
            raise ValueError(
                f"the truth {self.truth} needs the grid {ORIGINAL}; replace the truth as well, "
                "such as by truncated"
            )
        if self.grid == ORIGINAL and self.frame == "crop":
            raise ValueError(f"the grid {ORIGINAL} is of the whole photograph, not of a crop")


PARTS: dict[str, tuple[str, ...]] = {
    "frame": get_args(Frame),
    "grid": ("WIDTHxHEIGHT", ORIGINAL),
    "upsampling": get_args(Upsampling),
    "normalization": get_args(Normalization),
    "foreground": get_args(Foreground),
    "component": get_args(Component),
    "corners": get_args(Corners),
    "nowhere": get_args(Nowhere),
    "truth": get_args(Truth),
    "overlap": get_args(Overlap),
    "hit": get_args(Hit),
    "hit_top_k": get_args(Hit),
}
"""What can be replaced in a convention, with its values."""


def part_value(name: str, text: str) -> str | tuple[int, int]:
    """The value of a part.

    Raises:
        ValueError: when it has no such value.
    """
    if name != "grid":
        if text not in PARTS[name]:
            raise ValueError(f"the {name} {text!r} is none of {', '.join(PARTS[name])}")
        return text
    found = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text)
    if text != ORIGINAL and (found is None or min(int(found[1]), int(found[2])) < 1):
        raise ValueError(
            f"the grid {text!r} is neither WIDTHxHEIGHT, such as 448x448, nor {ORIGINAL}"
        )
    return text if found is None else (int(found[1]), int(found[2]))


def grid_text(grid: tuple[int, int] | str) -> str:
    """A grid as it is written."""
    return grid if isinstance(grid, str) else f"{grid[0]}x{grid[1]}"


_CHOE = Convention(
    name="choe2020",
    frame="squash",
    grid=(224, 224),
    upsampling="bicubic",
    normalization="if-resized",
    foreground="levels",
    component="contour",
    corners="clipped",
    nowhere="pixel",
    truth="truncated",
    overlap="plus-one",
    hit="reaching",
    hit_top_k="reaching",
    thresholds=(StatedThreshold(0.2),),
    searches=True,
)
_PSOL = Convention(
    name="psol",
    frame="crop",
    grid=(224, 224),
    upsampling="bilinear",
    normalization="before",
    foreground="above",
    component="pixels",
    corners="exclusive",
    nowhere="frame",
    truth="real",
    overlap="continuous",
    hit="above",
    hit_top_k="above",
    views=("center", "ten-crop"),
)
_ORIGINAL = Convention(
    name="danet",
    frame="squash",
    grid=ORIGINAL,
    upsampling="bilinear",
    normalization="before",
    foreground="reaching",
    component="union",
    corners="inclusive",
    nowhere="pixel",
    truth="original-cub",
    overlap="plus-one",
    hit="above",
    hit_top_k="above",
    views=("ten-crop",),
)

PRESETS: dict[str, Convention] = {
    convention.name: convention
    for convention in (
        _CHOE,
        replace(
            _CHOE,
            name="exact",
            foreground="reaching-share",
            component="pixels",
            corners="inclusive",
            nowhere="nothing",
            truth="edges",
        ),
        replace(
            _ORIGINAL,
            name="zhou2016",
            normalization="none",
            foreground="above-share",
            component="pixels",
            truth="original",
            hit="reaching",
            hit_top_k="reaching",
            views=("ten-crop", "frame"),
            thresholds=(StatedThreshold(0.2),),
        ),
        replace(
            _CHOE,
            name="ts-cam",
            upsampling="bilinear",
            normalization="after",
            corners="exclusive",
            nowhere="two-pixels",
            truth="divided-first",
            hit_top_k="above",
            thresholds=(StatedThreshold(0.1, "CUB"), StatedThreshold(0.12, "ILSVRC")),
            searches=False,
        ),
        _PSOL,
        replace(
            _PSOL,
            name="bas",
            overlap="plus-one",
            views=("ten-crop",),
            thresholds=(
                StatedThreshold(0.1, "CUB", ("inception",)),
                StatedThreshold(0.15, "CUB"),
                StatedThreshold(0.5, "ILSVRC", ("vgg", "mobilenet")),
                StatedThreshold(0.45, "ILSVRC", ("resnet",)),
                StatedThreshold(0.3, "ILSVRC", ("inception",)),
            ),
        ),
        replace(
            _PSOL,
            name="sat",
            normalization="before-eps",
            truth="truncated",
            overlap="plus-one",
            hit="reaching",
            hit_top_k="reaching",
            views=("center",),
            view_on={"CUB": "ten-crop"},
            candidates=(0.3, 0.35, 0.4, 0.45),
        ),
        _ORIGINAL,
    )
}
"""Every convention by name, the default first."""

_ENGINES: tuple[Literal["choe2020", "exact"], ...] = ("choe2020", "exact")
_OF_ENGINES = (
    "frame", "normalization", "foreground", "component", "corners", "nowhere", "truth", "overlap",
    "hit", "hit_top_k",
)  # fmt: skip

UNCHANGED = ("choe2020", "exact")
"""Conventions that records stated by name alone before there were others."""


def thresholds_told(convention: Convention) -> str:
    """The thresholds of a convention, for people."""
    if convention.candidates:
        told = ", ".join(f"{value:g}" for value in convention.candidates)
        return f"the best of {told} on the evaluated split"
    parts = []
    for stated in convention.thresholds:
        networks = " and ".join(stated.networks)
        where = " ".join(part for part in (stated.dataset, networks) if part)
        parts.append(f"{where} {stated.value:g}".strip())
    return "; ".join(parts) or "--threshold"


def row(convention: Convention) -> dict[str, str]:
    """One line of the table of conventions: every part, the views and the thresholds."""
    views = [*convention.views, *(f"{name} {view}" for name, view in convention.view_on.items())]
    return {
        "name": convention.name,
        **convention.parts(),
        "views": ", ".join(views),
        "searches": "yes" if convention.searches else "no",
        "thresholds": thresholds_told(convention),
    }
