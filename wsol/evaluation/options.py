"""How to evaluate: the options of `wsol evaluate` and `wsol score`."""

from pydantic import Field

from wsol.evaluation.protocol import Protocol
from wsol.options import Options, Place, Precision, ResizeMode


class EvaluationOptions(Options):
    """How to evaluate networks and baselines; what is not about speed can change a number."""

    protocol: Protocol = Protocol()
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
        default=True, description="Also COCO AP/AR from the boxes of the top-5 classes."
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
        description="Folder for every image's map of its label, for `wsol score` (one model).",
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


class ScoreOptions(Options):
    """How to evaluate score maps that were computed elsewhere."""

    protocol: Protocol = Protocol()
    threads: int | None = Field(
        default=None,
        ge=1,
        description="Threads that read maps and turn them into boxes; default: all cores.",
    )
    skip_bad: bool = Field(
        default=False, description="Leave bad, missing and extra maps out, list them."
    )
    curves: bool = Field(
        default=False, description="Keep the correct count at every threshold in the record."
    )
    per_image: bool = Field(
        default=False,
        description="Write every image's outcome beside the record, as .outcomes.parquet.",
    )
    name: str | None = Field(
        default=None, description="What to call the maps; default: their folder."
    )
    parameters: int | None = Field(
        default=None, ge=0, description="Of the network behind the maps, for tables."
    )
    save_every: float = Field(
        default=30.0, ge=0, description="Seconds between saves of progress (--json)."
    )
