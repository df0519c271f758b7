"""The table of data sets, and opening one by the name of its layout.

A new layout is a file with a reader and a line here: command line, experiment files, training and
`wsol datasets sources` follow. A data set from outside needs neither: `package.module:callable`
returns a `Dataset`.

A reader is called with the root, with those options of the line that were given, by name, and with
`problems` (see `wsol.datasets.parsing.Problems`); it is imported when it is first needed.
"""

import difflib
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsol.errors import InputError
from wsol.plugin import call, is_plugin, load_callable
from wsol.reading import quoted

if TYPE_CHECKING:
    from wsol.datasets.base import Dataset, Exif
    from wsol.datasets.parsing import Problems


@dataclass(frozen=True, slots=True)
class Layout:
    """One way in which data sets lie on disk.

    Attributes:
        name: as users write it.
        root: what `--root` is.
        reader: `module:function` that yields a `Dataset`; `trainer` is the one for training, which
            opens no boxes, None where nothing can be trained on it.
        takes: which of images, masks and split the readers take.
        split: evaluated by default; None leaves it to the reader. `training_split` likewise.
        only_split: whether training has no other split than `training_split`.
        source: where it comes from.
        also: other words that people look for it under.
    """

    name: str
    root: str
    reader: str
    trainer: str | None
    takes: frozenset[str]
    split: str | None
    training_split: str | None
    source: str
    only_split: bool = False
    also: tuple[str, ...] = ()


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            "ilsvrc",
            "the folder with images and boxes",
            "wsol.datasets.ilsvrc:read_ilsvrc",
            "wsol.datasets.ilsvrc:read_ilsvrc_labels",
            frozenset({"images", "split"}),
            "val",
            "train",
            "https://image-net.org (registration): ILSVRC2012_img_val.tar and "
            "ILSVRC2012_bbox_val_v3.tgz; or Kaggle's imagenet-object-localization-challenge",
            only_split=True,
            also=("imagenet", "imagenet1k", "imagenet-1k", "ilsvrc2012", "in1k"),
        ),
        Layout(
            "cub",
            "the folder CUB_200_2011",
            "wsol.datasets.cub:read_cub",
            "wsol.datasets.cub:read_cub_labels",
            frozenset({"images", "split"}),
            "test",
            "train",
            "`wsol datasets download cub`, or https://data.caltech.edu/records/65de6-vp158",
            also=("cub200", "cub-200", "cub_200_2011", "cub-200-2011", "birds"),
        ),
        Layout(
            "protocol",
            "a four-file folder of the WSOL protocol",
            "wsol.datasets.protocol:read_protocol",
            "wsol.datasets.protocol:read_protocol_labels",
            frozenset({"images", "masks"}),
            None,
            None,
            "the metadata folder of https://github.com/clovaai/wsolevaluation",
            also=("wsolevaluation", "metadata", "choe2020"),
        ),
        Layout(
            "openimages",
            "the folder of the four-file folders train, val, test",
            "wsol.datasets.protocol:read_openimages",
            "wsol.datasets.protocol:read_openimages_labels",
            frozenset({"images", "masks", "split"}),
            "test",
            "train",
            "the metadata folder of https://github.com/clovaai/wsolevaluation, and its images and "
            "masks of OpenImages30k",
            also=("openimages30k", "open-images"),
        ),
        Layout(
            "tiny-imagenet",
            "the folder tiny-imagenet-200",
            "wsol.datasets.tiny_imagenet:read_tiny_imagenet",
            "wsol.datasets.tiny_imagenet:read_tiny_imagenet_labels",
            frozenset({"images", "split"}),
            "val",
            "train",
            "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
            only_split=True,
            also=("tinyimagenet", "tiny_imagenet", "tiny-imagenet-200", "tiny"),
        ),
        Layout(
            "coco",
            "a COCO JSON file, or its folder",
            "wsol.datasets.coco:read_coco",
            None,
            frozenset({"images", "split"}),
            None,
            None,
            "https://cocodataset.org/#download",
            also=("ms-coco", "mscoco", "coco2017", "json"),
        ),
        Layout(
            "imagefolder",
            "a folder with one folder of images a class, and a CSV or COCO JSON of boxes",
            "wsol.datasets.imagefolder:read_imagefolder",
            "wsol.datasets.imagefolder:read_imagefolder_labels",
            frozenset({"images", "split"}),
            None,
            None,
            "your own photographs: see the documentation of data sets",
            also=("image-folder", "image_folder", "folder", "csv"),
        ),
        Layout(
            "shapes",
            "a folder that `wsol demo` made",
            "wsol.datasets.shapes:read_shapes",
            "wsol.datasets.shapes:read_shapes_labels",
            frozenset({"split"}),
            "test",
            "train",
            "generated by `wsol demo`",
        ),
    )
}

DATASETS = tuple(LAYOUTS)
TRAINING_SETS = tuple(layout.name for layout in LAYOUTS.values() if layout.trainer is not None)


def require_data_name(name: str) -> str:
    """Return the name if it is that of a layout, or `module:callable`.

    Raises:
        InputError: with the layout that may be meant.
    """
    if name in LAYOUTS or is_plugin(name):
        return name
    words = {
        word: layout.name for layout in LAYOUTS.values() for word in (layout.name, *layout.also)
    }
    near = difflib.get_close_matches(name.lower(), words, 1, 0.7)
    hint = f"did you mean {words[near[0]]}? There" if near else "there"
    raise InputError(
        f"{quoted(name)[1:-1]}: not a known data set layout; {hint} are {', '.join(DATASETS)}, and "
        "package.module:callable for one of your own."
    )


def require_training_name(name: str) -> str:
    """Return the name if something can be trained on it.

    Raises:
        InputError: with the names of which that is true.
    """
    if require_data_name(name) in LAYOUTS and LAYOUTS[name].trainer is None:
        raise InputError(
            f"{name}: nothing can be trained on it; there are {', '.join(TRAINING_SETS)}."
        )
    return name


def open_dataset(
    name: str,
    root: Path | None = None,
    *,
    images: Path | None = None,
    masks: Path | None = None,
    split: str | None = None,
    exclude: Path | None = None,
    exif: "Exif" = "auto",
    skip_bad_annotations: bool = False,
    problems: "Problems | None" = None,
) -> "Dataset":
    """Open a data set.

    Args:
        name: a layout of `LAYOUTS`, or `package.module:callable` that returns a `Dataset`; it is
            called with the root, if there is one, and by name with whatever of images, masks,
            split and exclude is given.
        root: its folder; each reader says which.
        images: the image root, where the layout does not imply it.
        masks: the mask root.
        split: None takes the layout's evaluation split.
        exclude: a file of images to leave out, a path, name or number a line.
        exif: whether boxes are on photographs as stored or as their orientation tags turn them:
            `auto` (as the annotated sizes say), `apply` or `ignore`.
        skip_bad_annotations: leave out what is wrong about single images, and note it.
        problems: gathers what is wrong instead of raising; for checks.

    Raises:
        InputError: for an unknown name or split, an option the layout does not have, or anything
            wrong in its files.
    """
    from wsol.datasets.opening import Opening, nothing_collected

    require_data_name(name)
    given = {"images": images, "masks": masks, "split": split}
    opening = Opening(problems)
    if is_plugin(name):
        dataset, exclude = from_plugin(name, root, given, exclude)
    else:
        layout = LAYOUTS[name]
        arguments = reader_arguments(layout, layout.split, given)
        reader = load(layout.reader)
        with nothing_collected():
            dataset = reader(require_root(layout, root), **arguments, problems=opening.problems)
    dataset = opening.finished(dataset, exclude, strict=not skip_bad_annotations)
    return dataset.opened_with(exif, skip_bad_annotations)


def load(place: str) -> Callable[..., Any]:
    """A function of wsol's own by `module:function`."""
    module, _, function = place.partition(":")
    loaded: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return loaded


def require_root(layout: Layout, root: Path | None) -> Path:
    """The root, which a layout cannot do without."""
    if root is None:
        raise InputError(f"{layout.name}: name {layout.root} with --root.")
    return Path(root)


def reader_arguments(layout: Layout, split: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """What to give a reader, by name; refuses what it does not take."""
    for option, value in given.items():
        if value is not None and option not in layout.takes:
            hint = " (each of its folders is one split)" if option == "split" else ""
            raise InputError(f"{layout.name}: takes no --{option}{hint}.")
    arguments = {option: value for option, value in given.items() if value is not None}
    if split is not None:
        arguments.setdefault("split", split)
    return arguments


def from_plugin(
    spec: str, root: Path | None, given: dict[str, Any], exclude: Path | None
) -> "tuple[Dataset, Path | None]":
    """What a user's callable returns, and the images to leave out that it was not told of."""
    from wsol.datasets.base import Dataset

    function = load_callable(spec)
    arguments = {option: value for option, value in given.items() if value is not None}
    if exclude is not None and _takes(function, "exclude"):
        arguments["exclude"], exclude = exclude, None
    for option in arguments:
        if not _takes(function, option):
            raise InputError(f"{spec}: takes no --{option}.")
    made = call(spec, function, *([] if root is None else [Path(root)]), **arguments)
    if not isinstance(made, Dataset):
        raise InputError(
            f"{spec}: returned {type(made).__name__} instead of a wsol.datasets.base.Dataset."
        )
    return made, exclude


def _takes(function: Callable[..., Any], argument: str) -> bool:
    """Whether a callable can be called with an argument of this name."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some written in C do not say
        return True
    return any(
        parameter.kind is parameter.VAR_KEYWORD
        or (parameter.name == argument and parameter.kind is not parameter.POSITIONAL_ONLY)
        for parameter in parameters
    )
