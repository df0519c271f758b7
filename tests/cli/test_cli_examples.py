"""Every example that `--help` shows runs: on data of two images under the names it uses, with the
networks it names and random weights in place of those to be fetched."""

import re
import shlex
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import typer.main
from PIL import Image

from wsol.cli import app
from wsol.datasets.classes import imagenet_classes
from wsol.models.builders import build, is_callable
from wsol.models.torchvision_weights import entries, preprocessing_of
from wsol.models.vgg_gap import vgg16_gap
from wsol.records.store import Store

from support.caffe import write_caffe
from support.command import wsol
from support.data_files import lines, picture

pytestmark = pytest.mark.slow  # that each is parsed is a quick test of the guides

ROOT = Path(__file__).parents[2]
WNIDS = [wnid for wnid, _ in imagenet_classes()]
BIRDS = ("001.Black_footed_Albatross/a.jpg", "002.Laysan_Albatross/b.jpg")
TRAINED = [f"{folder}/{number}.jpg" for number in range(16) for folder in (
    "001.Black_footed_Albatross", "002.Laysan_Albatross")]  # fmt: skip
"""As many as a batch of the experiments'."""
PSEUDO = ("001.Black_footed_Albatross/e.jpg", "002.Laysan_Albatross/f.jpg")
OPEN = ("test/0abc/1.jpg", "test/1xyz/2.jpg")
PHOTOGRAPHS = [f"ILSVRC2012_val_{number:08}.JPEG" for number in (1, 2)]

SMALL = {
    "evaluate": "--workers 0 --device cpu --threshold-step 0.1",
    "score": "--threshold-step 0.1",
    "train": "--epochs 1 --limit 2 --size 64 --batch-size 2 --workers 0 --device cpu",
}
"""What is added to an example, by command, so that it takes a second."""
DRY = {
    "wsol compare experiments/ilsvrc-val.yaml --limit 100 --out first-look":
        "seven networks on a hundred photographs; each command of its kind runs in other tests",
    'wsol compare experiments/cub-methods.yaml --only "ResNet-50*"':
        "trains six networks; what it would train is built by the tests of experiments",
}  # fmt: skip
"""Examples that are not run to the end, and why: their mistakes are told without."""
STORED = "wsol evaluate center --data cub --root CUB_200_2011 --store=wsol-results"


def examples():
    """{command: the examples that its help shows}, subcommands included."""
    found = {}

    def walk(command, name=""):
        for word, inner in getattr(command, "commands", {}).items():
            walk(inner, f"{name} {word}".strip())
        texts = re.findall(
            r"`((?:torchrun [^`]+)?wsol [^`]+)`", getattr(command, "epilog", "") or ""
        )
        if texts:
            found[name] = [" ".join(text.split()) for text in texts]

    walk(typer.main.get_command(app))
    return found


EXAMPLES = examples()


def protocol(folder, ids, *, masks=False):
    """The released files of annotations, of two classes."""
    lines(folder / "image_ids.txt", *ids)
    lines(folder / "class_labels.txt", *(f"{name},{i}" for i, name in enumerate(ids)))
    lines(folder / "image_sizes.txt", *(f"{name},60,40" for name in ids))
    boxes = (f"{name},mask.png,ignore.png" if masks else f"{name},5,5,40,30" for name in ids)
    lines(folder / "localization.txt", *boxes)


def masks(folder):
    mask = np.zeros((40, 60), np.uint8)
    mask[5:30, 5:40] = 255
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(folder / "mask.png")
    Image.fromarray(255 - mask.T.repeat(2, 0)[:40, :40]).resize((60, 40)).save(
        folder / "ignore.png"
    )


def score_maps(folder, ids):
    shutil.rmtree(folder, ignore_errors=True)
    for number, name in enumerate(ids):
        path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.random.default_rng(number).random((9, 9), dtype=np.float32))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with all that the examples name."""
    here = tmp_path_factory.mktemp("examples")
    shutil.copytree(ROOT / "experiments", here / "experiments")
    for name in ("cat.jpg", "dog.jpg", "street.jpg", *(f"photographs/{name}" for name in BIRDS)):
        picture(here / name)

    cub = here / "CUB_200_2011"
    for name in (*BIRDS, *TRAINED):
        picture(cub / "images" / name)
    known = ROOT / "wsol" / "datasets" / "cub_classes.txt"
    classes = ["001.Black_footed_Albatross", "002.Laysan_Albatross"]
    del known
    lines(cub / "classes.txt", *(f"{i} {name}" for i, name in enumerate(classes, 1)))
    numbered = list(enumerate((*BIRDS, *TRAINED), 1))
    lines(cub / "images.txt", *(f"{i} {name}" for i, name in numbered))
    lines(cub / "image_class_labels.txt", *(f"{i} {2 - i % 2}" for i, _ in numbered))
    lines(cub / "train_test_split.txt", *(f"{i} {int(i > 2)}" for i, _ in numbered))
    lines(cub / "bounding_boxes.txt", *(f"{i} 5 5 35 25" for i, _ in numbered))
    protocol(here / "wsol-metadata/CUB/test", BIRDS)
    protocol(here / "metadata/CUB/val", PSEUDO)
    protocol(here / "wsol-metadata/CUB/val", PSEUDO)
    protocol(here / "pseudo/CUB/val", PSEUDO)
    for name in PSEUDO:
        picture(here / "CUBV2" / name)

    photographs = here / "imagenet"
    for number, name in enumerate(PHOTOGRAPHS):
        picture(photographs / "val" / name)
        picture(photographs / "train" / WNIDS[number] / f"{WNIDS[number]}_1.JPEG")
        path = photographs / "bbox/val" / name.replace("JPEG", "xml")
        lines(
            path,
            f"<annotation><filename>{name}</filename><size><width>60</width><height>40</height>"
            f"<depth>3</depth></size><object><name>{WNIDS[number]}</name><bndbox><xmin>5</xmin>"
            "<ymin>5</ymin><xmax>40</xmax><ymax>30</ymax></bndbox></object></annotation>",
        )
    protocol(here / "wsol-metadata/ILSVRC/test", [f"val/{name}" for name in PHOTOGRAPHS])

    for split in ("train", "val", "test"):
        ids = [name.replace("test/", f"{split}/") for name in OPEN]
        protocol(here / "metadata/OpenImages" / split, ids, masks=True)
        for name in ids:
            picture(here / "OpenImages" / name)
    masks(here / "OpenImages")
    masks(here / "masks")
    protocol(here / "wsol-metadata/OpenImages/test", OPEN, masks=True)

    tiny = here / "tiny-imagenet-200"
    lines(tiny / "wnids.txt", *WNIDS[:2])
    lines(tiny / "words.txt", f"{WNIDS[0]}\ttench", f"{WNIDS[1]}\tgoldfish")
    lines(tiny / "val/val_annotations.txt", f"a.JPEG\t{WNIDS[0]}\t0\t1\t62\t63")
    picture(tiny / "val/images/a.JPEG", (64, 64))
    for wnid in WNIDS[:2]:
        picture(tiny / "train" / wnid / "images" / f"{wnid}_0.JPEG", (64, 64))
        lines(tiny / "train" / wnid / f"{wnid}_boxes.txt", f"{wnid}_0.JPEG\t1\t2\t30\t40")

    lines(here / "boxes.csv", "image_id,x0,y0,x1,y1,score",
          *(f"{name},5,5,40,30,0.9" for name in BIRDS))  # fmt: skip
    lines(here / "classifier.csv", "image_id,c1,c2,c3,c4,c5",
          *(f"{name},1,2,3,4,5" for name in BIRDS))  # fmt: skip
    score_maps(here / "crops", PHOTOGRAPHS)
    with h5py.File(here / "maps.h5", "w") as file:
        for name in PHOTOGRAPHS:
            file[name] = np.random.default_rng(0).random((9, 9), dtype=np.float32)
    write_caffe(
        vgg16_gap(1000, width=1 / 16, cam_groups=2), here / "vgg16CAM_train_iter_90000.caffemodel"
    )
    return here


@pytest.fixture(scope="module")
def no_download():
    """Random weights where a library would fetch its own."""

    def trained(spec, arguments):
        assert not is_callable(spec)
        torch.manual_seed(0)
        network, preprocessing = build(spec, None, arguments)
        if not spec.startswith("timm:"):
            preprocessing = preprocessing_of(entries(spec)[0])
        return network.eval(), preprocessing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wsol.models.registry.build_trained", trained)
        yield


@pytest.fixture(scope="module")
def trained(place, no_download):
    """`cub.pt`, and a training whose epochs and chosen thresholds are kept."""
    run(
        place,
        "wsol train resnet50 --data cub --root CUB_200_2011 --select-data protocol --select-root "
        "pseudo/CUB/val --select-images CUBV2 --keep-epochs --out run",
    )
    shutil.copy(place / "run/final.pt", place / "cub.pt")
    network = build("resnet50", 1000, {"method": "adl", "output_stride": 8})[0]
    # In the published networks a layer of ADL follows the first block of the last two stages.
    moved = {
        re.sub(r"^(layer[34])\.([1-9])", lambda m: f"{m[1]}.{int(m[2]) + 1}", name): tensor
        for name, tensor in network.state_dict().items()
    }
    torch.save({"state_dict": moved}, place / "adl.pth.tar")


@pytest.fixture(scope="module")
def recorded(place, trained):
    """Records with outcomes, under every name that an example has for them."""
    (made,) = (text for text in EXAMPLES["stats"] if "evaluate" in text)
    run(place, made)
    run(place, "wsol stats cub --update")
    run(place, STORED)
    run(place, "wsol evaluate center full --per-image --data ilsvrc --root imagenet "
               "--out results/ilsvrc")  # fmt: skip
    shutil.copytree(place / "cub", place / "results/cub")
    shutil.copytree(place / "cub", place / "submissions")
    shutil.copytree(place / "cub", place / "results/submissions")
    shutil.copytree(place / "results/ilsvrc", place / "results/tiny-imagenet-lite")
    shutil.copy(place / "cub/center.json", place / "cub.json")
    shutil.copy(place / "results/ilsvrc/center.json", place / "ilsvrc.json")


def run(place, text):
    """Run an example as a shell would, made small; what it prints."""
    text = re.sub(r"^torchrun .* -m wsol", "wsol", text).replace("/data/imagenet", "imagenet")
    if "3f9a0c21d4" in text:
        if not Store(place / "wsol-results").read()[0]:
            run(place, STORED)
        text = text.replace("3f9a0c21d4", Store(place / "wsol-results").read()[0][0].short_id)
    inner = re.search(r"\$\(wsol ([^)]*)\)", text)
    if inner:
        found = wsol(place, *shlex.split(inner[1]))[0].strip()
        text = text.replace(inner[0], found)
    words = []
    for word in shlex.split(text)[1:]:
        pattern = "*" in word and not word.startswith(("ResNet", "-"))
        words += sorted(map(str, place.glob(word))) if pattern else [word]
    words += SMALL.get(words[0], "").split()
    if words[0] == "evaluate" and "vit" not in text:
        words += ["--size", "64"]
    if "scoremaps/" in words:
        score_maps(place / "scoremaps", OPEN if "OpenImages" in text else BIRDS)
    variables = {name: str(place / folder) for name, folder in VARIABLES.items()}
    return wsol(place, *words, environment=variables)[0]


VARIABLES = {
    "WSOL_METADATA": "wsol-metadata", "TINY_IMAGENET": "tiny-imagenet-200",
    "CUB": "CUB_200_2011", "CUBV2": "CUBV2", "ILSVRC": "imagenet",
}  # fmt: skip
"""Of experiment files: where the data are below the folder of the examples."""


def test_there_are_examples():
    assert sum(map(len, EXAMPLES.values())) > 60
    assert {text for texts in EXAMPLES.values() for text in texts} >= set(DRY)


@pytest.mark.parametrize("command", EXAMPLES)
def test_the_examples_of_a_command_run(place, no_download, trained, recorded, command):
    for text in EXAMPLES[command]:
        run(place, f"{text} --dry-run" if text in DRY else text)
    if command == "compare":  # whose first example only says what it would do
        run(place, "wsol compare experiments/center-baseline.yaml --limit 2 --out compared")
        assert (place / "compared/table.md").exists()
