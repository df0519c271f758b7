"""Experiments that train: what is trained once, what is refused, and the files of this project."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from wsol.datasets.classes import imagenet_classes, openimages_classes
from wsol.datasets.shapes import generate_shapes
from wsol.errors import InputError
from wsol.evaluation.loop import evaluate
from wsol.evaluation.options import EvaluationOptions
from wsol.experiment.file import read_experiment
from wsol.experiment.outputs import write_outputs
from wsol.experiment.tasks import plan, run_tasks
from wsol.models.builders import build
from wsol.models.classifier import Preprocessing
from wsol.models.registry import load_classifier
from wsol.models.vgg_gap import vgg16_gap
from wsol.records.store import Store
from wsol.records.training import read_training_record

EXPERIMENTS = Path(__file__).parents[2] / "experiments"

EXPERIMENT = """
name: trained
data: {name: shapes, root: shapes}
models:
  - {model: resnet18, arguments: {width: 0.0625}, name: Narrow, train: {}}
  - {model: resnet18, arguments: {width: 0.0625}, train: {wsol_method: has, lr: 0.02}}
  - center
training:
  data: {name: shapes, root: shapes}
  out: checkpoints
  size: 48
  epochs: 2
  batch_size: 8
  lr: 0.01
  cache: true
protocol: {threshold_step: 0.1}
options: {device: cpu, workers: 0}
"""

SELECT = "  select: {data: {name: shapes, root: shapes, split: val}}\n  cache: true"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generate_shapes(folder / "shapes", train=16, val=4, test=6, size=48, seed=0)
    return folder / "shapes"


@pytest.fixture
def run(tmp_path, shapes, run_experiment):
    (tmp_path / "shapes").symlink_to(shapes)

    def results(text=EXPERIMENT, **options):
        return run_experiment(tmp_path, text, **options)

    return results


def states(results):
    return [result.state for result in results]


def test_networks_are_trained_once_and_then_evaluated(run, tmp_path, shapes):
    epochs = []
    first = run(on_epoch=lambda epoch, best: epochs.append(epoch.epoch))
    assert [result.reason for result in first] == [None] * 3
    assert states(first) == ["evaluated"] * 3 and epochs == [1, 2, 1, 2]
    narrow, has, _ = (result.record for result in first)
    assert (narrow.model, has.settings["training_method"]) == ("Narrow", "has")
    assert narrow.settings["size"] == 48  # that of the checkpoint
    trained = read_training_record(tmp_path / "checkpoints" / "Narrow" / "train.json")
    assert trained.settings["learning_rate"] == 0.01 and trained.settings["epochs"] == 2
    (other,) = (tmp_path / "checkpoints").glob("resnet18*has*/train.json")
    assert read_training_record(other).settings["learning_rate"] == 0.02
    alone = evaluate(
        load_classifier("resnet18", str(tmp_path / "checkpoints" / "Narrow" / "final.pt")),
        first[0].task.dataset,
        EvaluationOptions(protocol=first[0].task.options.protocol),
    )
    assert alone.metrics == narrow.metrics
    epochs.clear()
    assert states(run(on_epoch=lambda epoch, best: epochs.append(epoch))) == ["stored"] * 3
    assert epochs == []


def test_the_training_is_told_beside_the_record(run, tmp_path):
    results = run()
    write_outputs(results, read_experiment(tmp_path / "experiment.yaml"), tmp_path / "out")
    copied = read_training_record(tmp_path / "out" / "records" / "shapes-Narrow.training.json")
    assert copied.finished and len(copied.epochs) == 2
    assert not (tmp_path / "out" / "records" / "shapes-center.training.json").exists()


def test_thresholds_are_those_of_the_selection_set(run, tmp_path):
    (result, *_) = run(EXPERIMENT.replace("  cache: true", SELECT))
    chosen = read_training_record(tmp_path / "checkpoints" / "Narrow" / "train.json").chosen
    assert chosen.split == "val" and chosen.num_images == 4
    assert result.record.settings["chosen_thresholds"]["all"] == chosen.thresholds
    assert result.record.metrics.max_box_acc_v2_chosen is not None


def test_further_thresholds_of_an_evaluation_are_no_other_training(run):
    text = EXPERIMENT.replace("  cache: true", SELECT)
    assert states(run(text)) == ["evaluated"] * 3
    also = text.replace("{threshold_step: 0.1}", "{threshold_step: 0.1, also_at: [li]}")
    first, *_ = run(also)
    assert first.state == "evaluated" and "li" in first.record.metrics.loc_at


def test_a_dry_run_trains_nothing(run, tmp_path):
    results = run(dry_run=True)
    assert states(results) == ["missing"] * 3
    assert results[0].reason == "after training on 32 images"
    assert not (tmp_path / "checkpoints").exists() and not (tmp_path / "store").exists()
    run()
    assert states(run(dry_run=True)) == ["stored"] * 3


def test_another_recipe_needs_another_folder(run):
    run()
    results = run(EXPERIMENT.replace("  lr: 0.01", "  lr: 0.03"))
    assert states(results) == ["failed", "stored", "stored"]
    assert "learning_rate was 0.01, now 0.03" in results[0].reason


def test_an_interrupted_training_goes_on(run, tmp_path):
    def interrupt(epoch, best):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(on_epoch=interrupt)
    epochs = []
    resumed = run(on_epoch=lambda epoch, best: epochs.append(epoch.epoch))
    assert epochs == [2, 1, 2]
    for path in (tmp_path / "checkpoints").iterdir():
        path.rename(path.with_name(f"old {path.name}"))
    whole = run()
    assert whole[0].record.metrics == resumed[0].record.metrics


def test_a_training_that_another_process_is_at(run, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with FileLock(tmp_path / "checkpoints" / "Narrow.lock"):
        results = run()
    assert states(results) == ["failed", "evaluated", "evaluated"]
    assert results[0].reason.startswith("Narrow in training: another process is at it")
    assert states(run()) == ["evaluated", "stored", "stored"]
    assert not list((tmp_path / "checkpoints").glob("*.lock"))


def test_some_models_alone(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text(EXPERIMENT)
    experiment = read_experiment(path)
    labels = [m.label for m in experiment.with_only(["Narrow", "cen*"]).models]
    assert labels == ["Narrow", "center"]
    assert experiment.with_only(["*"]).models == experiment.models
    with pytest.raises(InputError, match=r"wide\*: no model is called so; there are Narrow, "):
        experiment.with_only(["Narrow", "wide*"])


def test_a_first_look_has_its_own_folder(run, tmp_path):
    assert states(run(limit=8)) == ["evaluated"] * 3
    record = read_training_record(tmp_path / "checkpoints-first-8" / "Narrow" / "train.json")
    assert record.num_images == 8


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("train: {}", "train: {}, weights: a.pt", "models[0]: has both weights and train"),
        ("  lr: 0.01", "  rate: 0.01", "training.rate: no such field; there are epochs, "),
        ("train: {}", "train: {lr: -1}", "models[0].train.lr: should be greater than 0"),
        ("train: {}", "train: {data: 1}", "train.data: no such field; there are epochs, "),
        ("training:\n  data: {name: shapes", "training:\n  data: {nam: shapes",
         "training.data.nam: no such field; there are data, root, images, split, limit"),
        ("train: {}", "train: {wsol_method: magic}",
         "models[0].train.wsol_method: should be 'cam'"),
    ],
)  # fmt: skip
def test_mistakes_in_a_file(run, old, new, mistake):
    with pytest.raises(InputError) as caught:
        run(EXPERIMENT.replace(old, new))
    assert mistake in str(caught.value)


def test_a_training_needs_data(run):
    text = EXPERIMENT[: EXPERIMENT.index("training:")]
    with pytest.raises(InputError, match="Narrow has a `train`; say in `training` on which data"):
        run(text)


def picture(path, side=40):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((side, side, 3), dtype=np.uint8)).save(path, format="JPEG")


@pytest.fixture
def real_layouts(tmp_path, monkeypatch, write_annotations):
    """ILSVRC, ImageNetV2, CUB, CUBV2 and OpenImages30k as people have them, of few images."""
    wnids = [wnid for wnid, _ in imagenet_classes()]
    metadata = tmp_path / "metadata"
    square = "40,40", "2,2,30,30"
    for wnid in wnids[:40]:
        picture(tmp_path / "ILSVRC" / "train" / wnid / f"{wnid}_1.JPEG")
    whole = [f"val2/{label}/0.jpeg" for label in range(1000)]
    for name in whole:
        picture(tmp_path / "ILSVRC" / name, 8)
    write_annotations(metadata / "ILSVRC" / "val", whole, range(1000), *square)
    names = ["val/ILSVRC2012_val_00000001.JPEG", "val/ILSVRC2012_val_00000002.JPEG"]
    for name in names:
        picture(tmp_path / "ILSVRC" / name)
    write_annotations(metadata / "ILSVRC" / "test", names, [65, 970], *square)

    cub = tmp_path / "CUB_200_2011"
    classes = [f"{number:03}.Bird_{number}" for number in range(1, 201)]
    files = [f"{name}/{letter}.jpg" for name in classes for letter in "ab"]
    for name in files:
        picture(cub / "images" / name, 8)
    numbered = list(enumerate(files, 1))
    (cub / "images.txt").write_text("".join(f"{i} {name}\n" for i, name in numbered))
    (cub / "classes.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(classes, 1)))
    (cub / "image_class_labels.txt").write_text(
        "".join(f"{i} {(i + 1) // 2}\n" for i, _ in numbered)
    )
    (cub / "train_test_split.txt").write_text("".join(f"{i} {i % 2}\n" for i, _ in numbered))
    (cub / "bounding_boxes.txt").write_text("".join(f"{i} 1 1 5 5\n" for i, _ in numbered))
    others = [f"{name}/{number}.jpg" for number, name in enumerate(classes)]
    for name in others:
        picture(tmp_path / "CUBV2" / name, 8)
    write_annotations(metadata / "CUB" / "val", others, range(200), *square)

    openimages = tmp_path / "OpenImages"
    classes = [folder for folder, _ in openimages_classes()]
    for split in ("train", "val", "test"):
        names = [f"{split}/{folder}/1.jpg" for folder in classes]
        for name in names:
            picture(openimages / name, 8)
            mask = (openimages / name).with_suffix(".png")
            Image.fromarray(np.full((8, 8), 255, dtype=np.uint8)).save(mask)
        folder = metadata / "OpenImages" / split
        write_annotations(folder, names, range(100), "", "")
        (folder / "image_sizes.txt").write_text("")
        (folder / "localization.txt").write_text(
            "".join(f"{name},{name.removesuffix('jpg')}png,\n" for name in names)
        )
    for variable, path in (
        ("ILSVRC", tmp_path / "ILSVRC"),
        ("CUB", cub),
        ("CUBV2", tmp_path / "CUBV2"),
        ("OPENIMAGES", openimages),
        ("WSOL_METADATA", metadata),
    ):
        monkeypatch.setenv(variable, str(path))


@pytest.fixture
def no_download(monkeypatch):
    """ImageNet weights of the right names and shapes, without the download."""

    def tensors(spec):
        if spec == "vgg16_gap":
            features = vgg16_gap(1000).features.state_dict()
            return {f"features.{name}": value for name, value in features.items()}, Preprocessing()
        return load_classifier(spec, "none").network.state_dict(), Preprocessing()

    made = {spec: tensors(spec) for spec in ("vgg16_gap", "resnet50", "inception_v3")}
    monkeypatch.setattr("wsol.training.start.pretrained_tensors", made.__getitem__)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "images"),
    [("ilsvrc-methods", 10 * 32), ("cub-methods", 50 * 192), ("openimages-methods", 10 * 96)],
)
def test_every_network_loader_and_optimizer_of_the_real_thing(
    name, images, real_layouts, no_download, tmp_path
):
    experiment = read_experiment(EXPERIMENTS / f"{name}.yaml")
    if not name.startswith("ilsvrc"):  # small images for two: the probing passes take long
        smaller = experiment.training.model_copy(update={"size": 96})
        experiment = experiment.model_copy(update={"training": smaller})
    tasks = plan(experiment)
    models = [task.training for task in tasks if task.training is not None]
    assert len(models) == 18
    assert {(m.model.model, m.recipe.wsol_method) for m in models} == {
        (network, method)
        for network in ("vgg16_gap", "inception_v3", "resnet50")
        for method in ("cam", "has", "acol", "spg", "adl", "cutmix")
    }
    results = list(run_tasks(tasks, Store(tmp_path / "store"), dry_run=True, fail_fast=True))
    assert states(results) == ["missing"] * 19
    assert results[0].reason == f"after training on {images:,} images"


@pytest.mark.slow
def test_every_network_of_the_real_thing_without_training(real_layouts, tmp_path, monkeypatch):
    def untrained(spec, arguments):
        return build(spec, None, arguments)

    monkeypatch.setattr("wsol.models.registry.build_trained", untrained)
    experiment = read_experiment(EXPERIMENTS / "ilsvrc-val.yaml").with_options(size=96)
    tasks = plan(experiment)
    results = list(run_tasks(tasks, Store(tmp_path / "store"), dry_run=True, fail_fast=True))
    assert states(results) == ["missing"] * (6 * 4 + 2)


@pytest.mark.slow
def test_the_protocols_schedule_and_fast_layers(real_layouts, no_download):
    """As the released code counts: ILSVRC is at 1, 0.1, 0.01, 0.001 from epochs 1, 3, 6, 9."""
    experiment = read_experiment(EXPERIMENTS / "ilsvrc-methods.yaml")
    tasks = {task.model.label: task for task in plan(experiment)}
    run = tasks["ResNet-50 CAM"].training.prepared()
    training = run.training
    rates = [training.options.rate(100 * epoch, 100) for epoch in range(10)]
    base = 0.00003108411
    assert rates == pytest.approx(
        [base, base, *3 * [base / 10], *3 * [base / 100], *2 * [base / 1000]]
    )
    slow, fast = training.optimizer.param_groups
    assert (slow["rate_factor"], fast["rate_factor"]) == (1, 10)
    network = training.classifier.network
    expected = {id(p) for p in [*network.layer4.parameters(), *network.fc.parameters()]}
    assert {id(p) for p in fast["params"]} == expected
    assert slow["weight_decay"] == 1e-4 and slow["nesterov"]


@pytest.mark.slow
def test_the_protocols_rates_of_each_method(real_layouts, no_download):
    """Which layers have ten times the rate, and what the search found on CUB."""
    experiment = read_experiment(EXPERIMENTS / "cub-methods.yaml")
    tasks = {task.model.label: task.training for task in plan(experiment) if task.training}

    def fast(label):
        training = tasks[label].prepared().training
        network = training.classifier.network
        names = {id(p): name for name, p in network.named_parameters()}
        groups = {
            group["rate_factor"]: group["params"] for group in training.optimizer.param_groups
        }
        layers = {names[id(p)].rsplit(".", 1)[0] for p in groups[10]}
        assert set(groups) == {1, 10}
        return {layer.partition(".")[0] for layer in layers}, layers

    assert fast("ResNet-50 ACoL")[0] == fast("ResNet-50 SPG")[0] == {"layer4"}
    assert fast("ResNet-50 ADL")[0] == {"layer4", "fc"}
    assert fast("VGG-GAP ACoL")[0] == {"acol"}
    parts, layers = fast("VGG-GAP SPG")
    assert parts == {"features", "cam_conv", "fc", "spg"}
    fourth_and_fifth = {f"features.{number}" for number in (17, 19, 21, 24, 26, 28)}
    assert {layer for layer in layers if layer.startswith("features")} == fourth_and_fifth
    assert fast("Inception v3 SPG")[0] == {"cam_conv", "fc", "spg"}
    recipes = {label: task.recipe for label, task in tasks.items()}
    assert recipes["ResNet-50 HaS"].method_options == {"grid_size": 120, "hide_rate": 0.66}
    assert recipes["ResNet-50 CutMix"].lr == 0.0003333722
    assert len({(recipe.lr, recipe.wsol_method) for recipe in recipes.values()}) == 18
    network = tasks["ResNet-50 ACoL"].prepared().training.classifier.network
    assert network.acol.threshold == 0.57


def test_the_recipe_for_tiny_imagenet(shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("TINY_IMAGENET", str(shared_data / "tiny-imagenet-200"))
    # A copy elsewhere has no checkpoints.
    (tmp_path / "experiments").mkdir()
    path = tmp_path / "experiments" / "tiny-imagenet-training.yaml"
    path.write_text((EXPERIMENTS / path.name).read_text())
    tasks = plan(read_experiment(path))
    assert all(len(task.dataset) == 10_000 for task in tasks)
    trained = [task.training for task in tasks if task.training is not None]
    assert len(trained) == 6 and all(len(training.dataset) == 20_000 for training in trained)
    results = list(run_tasks(tasks, Store(tmp_path / "store"), dry_run=True, fail_fast=True))
    assert states(results) == ["missing"] * 8
    assert sum("begins with" in (result.reason or "") for result in results) == 2


def test_fifty_classes_of_tiny_imagenet_in_parts(shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("TINY_IMAGENET", str(shared_data / "tiny-imagenet-200"))
    path = EXPERIMENTS / "tiny-imagenet-vgg.yaml"
    tasks = plan(read_experiment(path), modules=EXPERIMENTS)
    (first, *others) = [task for task in tasks if task.training is not None]
    assert len(others) == 8 and len(first.dataset) == 2_500
    fit, held_out = first.training.dataset, first.training.selection.dataset
    assert (len(fit), len(held_out)) == (4_000, 1_000)
    assert not {s.path for s in fit.samples} & {s.path for s in held_out.samples}
    for dataset in (fit, held_out, first.dataset):
        counts = np.bincount([sample.label for sample in dataset.samples])
        assert len(set(counts)) == 1 and len(counts) == len(dataset.classes) == 50
    one = replace(first, training=replace(first.training, folder=tmp_path / "runs"))
    (result,) = run_tasks([one], Store(tmp_path / "store"), dry_run=True, fail_fast=True)
    assert result.reason == "after training on 64,000 images"
    assert first.training.selection.options.size == first.options.size == 96
    assert first.training.selection.settings()["size"] == 96


def test_seeds_repeat_a_training_as_one_row(run, tmp_path):
    text = EXPERIMENT.replace("train: {}", "train: {seeds: [0, 3]}")
    results = run(text)
    assert [result.state for result in results] == 4 * ["evaluated"]
    assert [result.task.seed for result in results] == [0, 3, None, None]
    records = [result.record for result in results]
    assert [record.settings.get("training_seed") for record in records] == [0, 3, 0, None]
    first, second = (record.settings["weights_fingerprint"] for record in records[:2])
    assert first != second
    assert (tmp_path / "checkpoints" / "Narrow-seed-3" / "final.pt").exists()
    write_outputs(results, read_experiment(tmp_path / "experiment.yaml"), tmp_path / "out")
    table = (tmp_path / "out" / "table.md").read_text()
    assert table.count("Narrow") == 1 and "standard deviation over 2 seeds" in table
    assert (tmp_path / "out" / "records" / "shapes-Narrow-seed-3.json").exists()
    assert [result.state for result in run(text)] == 4 * ["stored"]


def test_seeds_reach_the_weights_to_start_from(tmp_path):
    text = EXPERIMENT.replace("train: {}", 'train: {weights: "runs/{seed}/final.pt"}')
    (tmp_path / "e.yaml").write_text(text.replace("cache: true", "seeds: [1, 2]"))
    experiment = read_experiment(tmp_path / "e.yaml")
    recipe = experiment.recipe_of(experiment.models[0])
    made = [recipe.with_seed(seed) for seed in recipe.all_seeds]
    assert [one.weights for one in made] == [
        str(tmp_path / "runs" / str(seed) / "final.pt") for seed in (1, 2)
    ]
    # A model's own seed takes the place of the experiment's seeds.
    (tmp_path / "e.yaml").write_text(
        EXPERIMENT.replace("cache: true", "seeds: [1, 2]").replace("{}", "{seed: 7}")
    )
    experiment = read_experiment(tmp_path / "e.yaml")
    assert experiment.seeds_of(experiment.models[0]) == (7,)
    assert experiment.seeds_of(experiment.models[2]) == (None,)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("{seeds: [1, 1]}", "names a seed twice"),
        ("{seeds: [-1]}", "greater than or equal to 0"),
        ("{seed: 1, seeds: [2]}", "both seed and seeds"),
    ],
)
def test_seeds_that_are_none(tmp_path, train, message):
    (tmp_path / "e.yaml").write_text(EXPERIMENT.replace("train: {}", f"train: {train}"))
    with pytest.raises(InputError, match=message):
        read_experiment(tmp_path / "e.yaml")
