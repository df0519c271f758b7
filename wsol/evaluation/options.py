"""How to evaluate: the options of `wsol evaluate`, `wsol score`, `wsol show` and `wsol boxes`."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from wsol.errors import InputError
from wsol.evaluation.box_corners import BoxCorners, BoxPixels
from wsol.evaluation.protocol import Protocol, parsed_threshold
from wsol.maps.methods.catalog import check_name
from wsol.options import Options, Place, Precision, ResizeMode, listed


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        check_name(name)
        if names.count(name) > 1:
            raise ValueError(f"names {name} twice")
    return names


MethodNames = Annotated[
    tuple[str, ...], BeforeValidator(listed), AfterValidator(_known), Field(min_length=1)
]
"""Map methods, of which each makes a run of its own; a single one need not stand in a list."""


class EvaluationOptions(Options):
    """How to evaluate networks and baselines; what is not about speed can change a number."""

    protocol: Protocol = Protocol()
    method: MethodNames = Field(
        default=("cam",),
        description="What makes the maps: cam, gradcam, layercam, ... (`wsol methods` lists "
        "them), torchcam:NAME or package.module:callable; several make a run each.",
    )
    layer: str | None = Field(
        default=None,
        min_length=1,
        description="Layer whose output the maps are made of; default: the last spatial "
        "activation, of a ViT what its last attention is given.",
    )
    mean_classes: int | None = Field(
        default=None,
        ge=1,
        description="An image's map is the mean of those of its N best classes instead of its "
        "label's: as BAS's release has it on CUB (200, VGG 80).",
    )
    size: int | None = Field(
        default=None,
        ge=16,
        description="Side of the network's input in pixels; default: as it was trained or "
        "published.",
    )
    resize_mode: ResizeMode = Field(
        default="squash", description="How a photograph becomes the network's square input."
    )
    precision: Precision = Field(
        default="fp32",
        description="Arithmetic of the forward pass; maps are always made in float32.",
    )
    coco: bool = Field(
        default=True, description="Also COCO AP/AR, of the top-5 classes scored by softmax."
    )
    batch_size: int = Field(default=32, ge=1, description="Images a forward pass.")
    workers: int | None = Field(
        default=None,
        ge=0,
        description="Processes that decode images; default: some of the cores. 0: none.",
    )
    threads: int | None = Field(
        default=None, ge=1, description="Threads that turn maps into boxes; default: all cores."
    )
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, ...")
    skip_bad_images: bool = Field(
        default=False, description="Leave unreadable images out and list them."
    )
    save_scoremaps: Place | None = Field(
        default=None,
        description="Folder for every image's map of its label, for `wsol score` by the same "
        "convention (one model).",
    )
    curves: bool = Field(
        default=False, description="Keep the correct count at every threshold in the record."
    )
    per_image: bool = Field(
        default=False,
        description="Write every image's outcome beside the record, as .outcomes.parquet.",
    )
    latency: bool = Field(
        default=False, description="Also time the forward pass of a single image."
    )
    threshold_from: Place | None = Field(
        default=None,
        description="Also report at the thresholds that a record of another split, or the "
        "train.json of these weights, found best.",
    )
    save_every: float = Field(
        default=30.0, ge=0, description="Seconds between saves of progress (--json, --out)."
    )

    @field_validator("coco", mode="before")
    @classmethod
    def _unsaid_is_default(cls, given: Any) -> Any:
        """None, which was the default once, stands in older experiment files."""
        return True if given is None else given

    @property
    def map_method(self) -> str:
        """The one method.

        Raises:
            InputError: when there are several.
        """
        if len(self.method) > 1:
            raise InputError(f"method: {', '.join(self.method)} are several; evaluate each alone.")
        return self.method[0]

    def each(self) -> list[Self]:
        """The same under each of the protocol's conventions."""
        return [self.replaced(protocol=protocol) for protocol in self.protocol.each()]


class ScoreOptions(Options):
    """How to evaluate score maps or boxes that were computed elsewhere."""

    protocol: Protocol = Protocol()
    predictions: Place | None = Field(
        default=None,
        description="What a classifier said, for Top-1 and Top-5 Loc: CSV with the header "
        "image_id,c1,...,c5[,s1,...,s5], or another run's .outcomes.parquet.",
    )
    map_classes: Place | None = Field(
        default=None,
        description="CSV image_id,c1,...,cn: of which classes the n maps of an image are, where "
        "its array has the shape (n, height, width).",
    )
    box_corners: BoxCorners = Field(
        default="inclusive",
        description="Of boxes in CSV: whether x1, y1 is the last pixel, or one beyond it.",
    )
    box_pixels: BoxPixels = Field(
        default="photograph",
        description="What boxes count in: pixels of the photograph, fractions of its sides (to the "
        "outer edges), or the pixels and corners of the convention's grid.",
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        description="Threads that read maps and turn them into boxes; default: all cores.",
    )
    box_classes: bool = Field(
        default=True,
        description="Whether boxes are of the classes that their file names; without, each stands "
        "for its image's label, as those of a network of other classes.",
    )
    skip_bad: bool = Field(
        default=False, description="Leave bad, missing and extra maps or boxes out, list them."
    )
    curves: bool = Field(
        default=False, description="Keep the correct count at every threshold in the record."
    )
    per_image: bool = Field(
        default=False,
        description="Write every image's outcome beside the record, as .outcomes.parquet.",
    )
    name: str | None = Field(
        default=None, description="What to call the maps or boxes; default: their folder or file."
    )
    parameters: int | None = Field(
        default=None, ge=0, description="Of the network behind the maps, for tables."
    )
    network: str | None = Field(
        default=None,
        min_length=1,
        description="The network behind the maps, such as resnet50: some conventions state a "
        "threshold for it.",
    )
    save_every: float = Field(
        default=30.0, ge=0, description="Seconds between saves of progress (--json)."
    )

    def each(self) -> list[Self]:
        """The same under each of the protocol's conventions."""
        return [self.replaced(protocol=protocol) for protocol in self.protocol.each()]


class LookOptions(Options):
    """How a network looks at photographs of one's own: of `wsol show` and `wsol boxes`."""

    weights: str = Field(default="default", description="`default`, `none` or a checkpoint.")
    ema: bool = Field(
        default=False,
        description="Averaged weights, where a checkpoint has them beside the raw ones.",
    )
    class_name: str | None = Field(
        default=None,
        description="Localize this class: a name, a WordNet id or an index; default: of each "
        "photograph the most probable.",
        json_schema_extra={"flag": "--class"},
    )
    threshold: Annotated[float | str, BeforeValidator(parsed_threshold)] = Field(
        default=0.2,
        description="Of the box, times the map's maximum; or otsu, li, yen, triangle, isodata or "
        "mean, by which each map chooses its own.",
    )
    method: MethodNames = Field(
        default=("cam",),
        description="What makes the maps, `wsol methods` lists them; `wsol show` takes several.",
    )
    layer: str | None = Field(
        default=None,
        min_length=1,
        description="Layer whose output the maps are made of; default: found.",
    )
    resize_mode: ResizeMode = Field(
        default="squash", description="How a photograph becomes the network's square input."
    )
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, ...")

    @property
    def map_method(self) -> str:
        """The one method.

        Raises:
            InputError: when there are several.
        """
        if len(self.method) > 1:
            raise InputError(f"--method: {', '.join(self.method)} are several; take one.")
        return self.method[0]

    def each(self) -> list[Self]:
        """The same with each of the methods."""
        return [self.replaced(method=(method,)) for method in self.method]
