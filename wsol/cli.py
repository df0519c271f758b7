"""The command line: arguments in, tables out; the work is done elsewhere."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import wsol
from wsol.errors import InputError
from wsol.progress import MESSAGES, track

if TYPE_CHECKING:
    from wsol.datasets.base import Dataset
    from wsol.protocol import Protocol
    from wsol.results.record import ResultRecord

app = typer.Typer(
    help="How well does a classifier that never saw a box localize objects, and at what size?",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
datasets_app = typer.Typer(
    help="Check, download and describe data sets.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.add_typer(datasets_app, name="datasets")

# A file or a pipe has no width of its own: there, no table is squeezed.
_output = Console(width=None if sys.stdout.isatty() else 180)


class DataName(StrEnum):
    """The layouts that `--data` reads."""

    ILSVRC = "ilsvrc"
    CUB = "cub"
    PROTOCOL = "protocol"
    TINY_IMAGENET = "tiny-imagenet"
    COCO = "coco"
    SHAPES = "shapes"


class Compat(StrEnum):
    """Whose evaluation convention holds."""

    WSOLEVALUATION = "wsolevaluation"
    NONE = "none"


class ContourName(StrEnum):
    """Which components count."""

    LARGEST = "largest"
    ALL = "all"
    BOTH = "both"


class ResizeName(StrEnum):
    """How a photograph is fitted into the network's square input."""

    SQUASH = "squash"
    LETTERBOX = "letterbox"
    CENTER_CROP = "center-crop"


class PrecisionName(StrEnum):
    """Arithmetic of the forward pass."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


DataOption = Annotated[DataName, typer.Option("--data", help="Layout of the data set.")]
RootOption = Annotated[
    Path, typer.Option("--root", help="The data set's folder (protocol: the four-file folder).")
]
ImagesOption = Annotated[
    Path | None, typer.Option("--images", help="Image root, where it is not under --root.")
]
MasksOption = Annotated[
    Path | None, typer.Option("--masks", help="Mask root, where it is not the image root.")
]
SplitOption = Annotated[
    str | None, typer.Option("--split", help="Split to evaluate; each layout has its default.")
]
ExcludeOption = Annotated[
    Path | None,
    typer.Option("--exclude", help="ilsvrc: file of images to leave out (the CLS-LOC blacklist)."),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="Evaluate only the first N images.")
]
StepOption = Annotated[
    float, typer.Option("--threshold-step", help="Thresholds at 0, step, 2*step, ... below 1.")
]
IouOption = Annotated[
    str, typer.Option("--iou", help="IoU levels of the MaxBoxAcc family, separated by commas.")
]
CompatOption = Annotated[
    Compat,
    typer.Option(
        "--compat",
        help="`wsolevaluation`: the published protocol, digit for digit. "
        "`none`: tight boxes, unquantized maps, untruncated ground truth.",
    ),
]
ContoursOption = Annotated[
    ContourName, typer.Option("--contours", help="Components that the MaxBoxAcc family looks at.")
]
CurvesOption = Annotated[
    bool, typer.Option("--curves", help="Keep the correct count at every threshold in the record.")
]
JsonOption = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE|-", help="Write the record(s) as JSON; - is stdout."),
]
ResumeOption = Annotated[
    bool,
    typer.Option("--resume", help="Go on where an interrupted run of the same command stopped."),
]


@app.command(
    epilog="""Examples:

`wsol evaluate resnet50 densenet161 center full --data ilsvrc --root /data/imagenet`

`wsol evaluate center --data protocol --root wsol-metadata/CUB/test --threshold-step 0.001`

`wsol evaluate resnet50 --weights cub.pt --data cub --root CUB_200_2011 --json resnet50.json`
"""
)
def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="resnet50, vgg16_gap, a torchvision name, timm:NAME, package.module:callable, "
            "or a baseline: center, full.",
        ),
    ],
    data: DataOption,
    root: RootOption,
    images: ImagesOption = None,
    masks: MasksOption = None,
    split: SplitOption = None,
    exclude: ExcludeOption = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weights",
            help="`default` (the library's), `none` (random) or a checkpoint; once for all "
            "networks, or once each in their order.",
        ),
    ] = None,
    limit: LimitOption = None,
    size: Annotated[
        int, typer.Option("--size", min=16, help="Side of the network's input in pixels.")
    ] = 224,
    resize_mode: Annotated[
        ResizeName, typer.Option("--resize-mode", help="How a photograph becomes the input.")
    ] = ResizeName.SQUASH,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1)] = 32,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that decode images.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    precision: Annotated[PrecisionName, typer.Option("--precision")] = PrecisionName.FP32,
    threshold_step: StepOption = 0.001,
    iou: IouOption = "0.3,0.5,0.7",
    compat: CompatOption = Compat.WSOLEVALUATION,
    contours: ContoursOption = ContourName.BOTH,
    coco: Annotated[
        bool, typer.Option(help="Also COCO AP/AR from the boxes of the top-5 classes.")
    ] = True,
    curves: CurvesOption = False,
    skip_bad_images: Annotated[
        bool,
        typer.Option("--skip-bad-images", help="Leave unreadable images out and list them."),
    ] = False,
    save_scoremaps: Annotated[
        Path | None,
        typer.Option("--save-scoremaps", help="Write every map for `wsol score` (one model)."),
    ] = None,
    json_file: JsonOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for a record a model and the table.")
    ] = None,
    resume: ResumeOption = False,
) -> None:
    """Evaluate classifiers and baselines on a data set: localization beside parameters.

    Boxes come from class activation maps of the ground-truth class; see the README for what each
    column means. Nothing is trained, and no box is seen by the network.
    """
    from wsol.evaluate import Options, limited
    from wsol.runs import evaluate_models, pair_weights

    if save_scoremaps is not None and len(models) > 1:
        raise InputError("--save-scoremaps takes one model at a time; evaluate them in turn.")
    device = _device(device)
    protocol = _protocol(threshold_step, iou, compat, contours)
    requests = pair_weights(models, weights or [])
    folder = _progress_folder(out, json_file, resume)
    dataset = limited(_open(data, root, images, masks, split, exclude), limit)
    options = Options(
        protocol=protocol,
        size=size,
        resize_mode=resize_mode.value,
        precision=precision.value,
        coco=coco,
        batch_size=batch_size,
        workers=_default_workers(device) if workers is None else workers,
        device=device,
        skip_bad_images=skip_bad_images,
        save_maps=save_scoremaps,
        curves=curves,
    )
    with _resume_hint(folder):
        records = evaluate_models(
            requests, dataset, options, folder=folder, resume=resume, track=track
        )
    _deliver(records, json_file, out)
    if out is None:
        _clear(folder)


@app.command(
    epilog="""Examples:

`wsol score scoremaps/ --data protocol --root wsol-metadata/CUB/test --json cub.json`

`wsol score maps.h5 --data ilsvrc --root /data/imagenet --contours all --curves --json maps.json`

`wsol score scoremaps/ --data protocol --root wsol-metadata/OpenImages/test --masks masks/`
"""
)
def score(
    scoremaps: Annotated[
        Path,
        typer.Argument(
            help="Folder of <image id>.npy files; or an .npz, .h5, or .npy stack of all maps."
        ),
    ],
    data: DataOption,
    root: RootOption,
    images: ImagesOption = None,
    masks: MasksOption = None,
    split: SplitOption = None,
    exclude: ExcludeOption = None,
    contours: ContoursOption = ContourName.BOTH,
    threshold_step: StepOption = 0.001,
    iou: IouOption = "0.3,0.5,0.7",
    compat: CompatOption = Compat.WSOLEVALUATION,
    limit: LimitOption = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Threads; default: all cores.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What to call the maps; default: their folder.")
    ] = None,
    parameters: Annotated[
        int | None, typer.Option("--parameters", min=0, help="Of the network behind the maps.")
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave bad, missing and extra maps out, list them.")
    ] = False,
    curves: CurvesOption = False,
    json_file: JsonOption = None,
    resume: ResumeOption = False,
    save_every: Annotated[
        float,
        typer.Option("--save-every", min=0, help="Seconds between saves of progress (--json)."),
    ] = 30.0,
) -> None:
    """Evaluate score maps that your own method wrote.

    Maps are float16/32/64 within [0, 1], or uint8. A map of another size than 224x224 is resized
    bicubically and min-max normalized again.
    """
    from wsol.evaluate import limited
    from wsol.pipeline import usable_cores
    from wsol.score import ScoreOptions
    from wsol.score import score as score_maps

    options = ScoreOptions(
        protocol=_protocol(threshold_step, iou, compat, contours),
        threads=workers or usable_cores(),
        skip_bad=skip_bad,
        curves=curves,
        name=name,
        parameters=parameters,
        save_every=save_every,
    )
    folder = _progress_folder(None, json_file, resume)
    dataset = _open(data, root, images, masks, split, exclude)
    part = limited(dataset, limit)
    with _resume_hint(folder), track(name or scoremaps.name, len(part)) as advance:
        record = score_maps(
            scoremaps,
            dataset,
            options,
            evaluated=part,
            progress_file=None if folder is None else folder / "score.progress.npz",
            resume=resume,
            advance=advance,
        )
    _deliver([record], json_file, None)
    _clear(folder)


@app.command()
def models(
    search: Annotated[str | None, typer.Argument(help="Show only names that contain this.")] = None,
    json_file: JsonOption = None,
) -> None:
    """List the networks by name: parameters, and whether class activation maps apply."""
    from wsol.models.registry import list_models, model_names

    names = [name for name in model_names() if search is None or search in name]
    if not names:
        raise InputError(f"No model's name contains {search!r}; `wsol models` lists them all.")
    with track("looking at the heads", len(names)) as advance:
        rows = list_models(names, advance=lambda: advance(1))
    if json_file is not None:
        _write_json([asdict(row) for row in rows], json_file)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("Model")
    table.add_column("Params (M)", justify="right")
    table.add_column("CAM")
    table.add_column("Pretrained")
    table.add_column("Why not", style="dim")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.parameters / 1e6:.2f}",
            "yes" if row.cam else "no",
            "yes" if row.pretrained else "no",
            escape(row.reason or ""),
        )
    _output.print(table)
    _output.print(
        "[dim]Also: timm:NAME, package.module:callable, and the baselines center and full.[/dim]"
    )


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything it makes.")] = Path(
        "wsol-demo"
    ),
    seed: Annotated[int, typer.Option("--seed", help="Of the data and the training.")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, ...")] = "auto",
) -> None:
    """See the whole thing work, offline: make data, train, evaluate, tabulate, draw.

    Takes a few minutes on two cores. Run again, it goes on where it stopped.
    """
    from wsol.demo import run_demo

    run_demo(out, seed=seed, device=_device(device), console=_output)


@datasets_app.command("check")
def check(
    name: Annotated[DataName, typer.Argument(help="Layout of the data set.")],
    root: RootOption,
    images: ImagesOption = None,
    masks: MasksOption = None,
    split: SplitOption = None,
    exclude: ExcludeOption = None,
    decode: Annotated[
        bool, typer.Option(help="Decode every image fully; else only its header is read.")
    ] = True,
    workers: Annotated[int | None, typer.Option("--workers", min=1)] = None,
    json_file: JsonOption = None,
) -> None:
    """Verify a copy: counts, missing or undecodable images, boxes outside images.

    Exits with 1 when something is wrong, after saying what would fix it.
    """
    from wsol.datasets.check import check_dataset
    from wsol.pipeline import usable_cores

    dataset = _open(name, root, images, masks, split, exclude)
    with track(f"checking {dataset.name}", len(dataset)) as advance:
        report = check_dataset(
            dataset, decode=decode, workers=workers or usable_cores(), advance=advance
        )
    if json_file is not None:
        _write_json(report.as_json(), json_file)
    else:
        _output.print(report.text(), markup=False, highlight=False)
    if report.problems:
        raise typer.Exit(1)


@datasets_app.command("download")
def download(
    name: Annotated[str, typer.Argument(help="cub is the one that may be fetched directly.")],
    root: Annotated[Path, typer.Option("--root", help="Folder to put it in.")] = Path("data"),
) -> None:
    """Fetch CUB-200-2011 and verify it by checksum."""
    from wsol.datasets.download import SOURCES, download_cub

    if name != "cub":
        known = SOURCES.get(name)
        where = f"get it from {known}" if known else f"known are cub, {', '.join(SOURCES)}"
        raise InputError(f"{name}: not downloaded by this command; {where}.")
    folder = download_cub(root)
    _output.print(f"CUB-200-2011 is at {escape(str(folder))}. Next:", soft_wrap=True)
    _output.print(f"  wsol datasets check cub --root {escape(str(folder))}", soft_wrap=True)


@datasets_app.command("sources")
def sources() -> None:
    """Where each data set comes from."""
    from wsol.datasets.download import SOURCES

    for name, source in SOURCES.items():
        _output.print(f"[bold]{name}[/bold]: {escape(source)}", soft_wrap=True)


def main() -> None:
    """Run the command line; bad input exits with 2, Ctrl-C with 130, neither with a traceback."""
    try:
        app(_join_iou_levels(sys.argv[1:]))
    except InputError as error:
        MESSAGES.print(f"[bold red]wsol:[/bold red] {escape(str(error))}", soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        MESSAGES.print("wsol: interrupted.")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone (`wsol models | head`): nothing left to say.
        sys.stderr.close()
        sys.exit(1)


def _join_iou_levels(arguments: list[str]) -> list[str]:
    """Let `--iou 0.3 0.5 0.7` be written as well as `--iou 0.3,0.5,0.7`."""
    joined: list[str] = []
    for argument in arguments:
        if len(joined) > 1 and joined[-2] == "--iou" and _is_number(argument):
            joined[-1] += f",{argument}"
        else:
            joined.append(argument)
    return joined


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _version(value: bool) -> None:
    if value:
        typer.echo(f"wsol {wsol.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _protocol(step: float, iou: str, compat: Compat, contours: ContourName) -> "Protocol":
    from wsol.protocol import Protocol

    try:
        levels = tuple(float(level) for level in iou.replace(",", " ").split())
    except ValueError as error:
        raise InputError(f"--iou {iou}: expected numbers such as 0.3,0.5,0.7.") from error
    return Protocol(
        convention="wsolevaluation" if compat is Compat.WSOLEVALUATION else "exact",
        threshold_step=step,
        iou_levels=levels,
        contours=contours.value,
    )


def _open(
    data: DataName,
    root: Path,
    images: Path | None,
    masks: Path | None,
    split: str | None,
    exclude: Path | None,
) -> "Dataset":
    from wsol.datasets.registry import open_dataset

    return open_dataset(data.value, root, images=images, masks=masks, split=split, exclude=exclude)


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"--device {name}: cannot be used here ({first}).") from error
    return name


def _default_workers(device: str) -> int:
    from wsol.pipeline import usable_cores

    # On a GPU the loaders are the bottleneck; on a CPU they compete with the network.
    return min(8, usable_cores()) if device.startswith("cuda") else min(4, usable_cores() // 2)


def _progress_folder(out: Path | None, json_file: str | None, resume: bool) -> Path | None:
    """Where finished records and the progress of an unfinished one are kept during a run."""
    if out is not None:
        return out
    if json_file is not None and json_file != "-":
        return Path(f"{json_file}.progress")
    if resume:
        raise InputError("--resume needs a place for the progress: --json FILE or --out DIR.")
    return None


def _clear(folder: Path | None) -> None:
    """Remove a progress folder: its records have been written where the user wants them."""
    import shutil

    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _resume_hint(folder: Path | None) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if folder is not None:
            MESSAGES.print(
                f"Progress is kept in {escape(str(folder))}; "
                "repeat the command with --resume to go on.",
                soft_wrap=True,
            )
        raise


def _deliver(records: "list[ResultRecord]", json_file: str | None, out: Path | None) -> None:
    """Write and print finished records."""
    from wsol.files import write_text
    from wsol.results.table import terminal_table, to_csv, to_markdown

    if out is not None:
        write_text(out / "table.md", to_markdown(records))
        write_text(out / "table.csv", to_csv(records))
    if json_file is not None:
        data = [json.loads(record.to_json()) for record in records]
        _write_json(data if len(data) > 1 else data[0], json_file)
    if json_file != "-":
        _output.print(terminal_table(records))
    for record in records:
        if record.skipped:
            first = record.skipped[0]
            MESSAGES.print(
                f"{record.model}: {len(record.skipped)} left out, listed in the record; "
                f"first: {first.image_id} ({first.reason})",
                markup=False,
                soft_wrap=True,
            )


def _write_json(data: object, target: str) -> None:
    from wsol.files import write_text

    text = json.dumps(data, indent=2) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        write_text(Path(target), text)
