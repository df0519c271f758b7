"""Looking at a network that is built for it: parameters by part, layers, and what maps it can have.

`python -m wsol.models.look` writes what `wsol.models.facts` reads, in the checkout that it runs
from: of every name that needs no prefix, as the installed torchvision builds it. With names it
looks at these alone, and keeps what is known of the others.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import wsol
from wsol.errors import InputError
from wsol.files import write_text
from wsol.maps.drawing import give_numbers
from wsol.maps.head import watched_pass
from wsol.maps.layers import spatial_modules
from wsol.maps.methods.catalog import METHODS
from wsol.maps.watch import Watched
from wsol.models.builders import (
    build,
    call_builder,
    has_torchvision_weights,
    is_callable,
    model_names,
    skeleton,
)
from wsol.models.classifier import Classifier, Preprocessing
from wsol.models.facts import LayerFacts, ModelFacts
from wsol.models.torchvision_weights import entries, preprocessing_of

_CLASSES, _FEWER = 1000, 10
_SIDE = 224  # of the images that are run, where the network's own are larger and may be smaller


def look_at(spec: str) -> ModelFacts:
    """What `wsol models NAME` says of a network.

    Built without memory for its weights and run on random numbers, on two images of at most 224
    pixels where it takes other sizes than its own; the sizes of maps are those of its own.

    Args:
        spec: as `wsol.models.registry.load_classifier` takes it.

    Raises:
        InputError: when there is no such network, or it takes no images.
    """
    if is_callable(spec):
        made = call_builder(spec)
        if not isinstance(made, Classifier):
            said = getattr(made, "wsol_preprocessing", None)
            made = Classifier(spec, made, None, said)
        return _facts(spec, made, made.preprocessing.size, False, None)
    network = skeleton(spec, _CLASSES, {}).eval()
    fewer = skeleton(spec, _FEWER, {}).state_dict()
    head = {
        name
        for name, parameter in network.named_parameters()
        if name in fewer and fewer[name].shape != parameter.shape
    }
    size = _published_size(spec, network)
    side = size if getattr(network, "image_size", None) or spec.startswith("timm:") else _SIDE
    classifier = Classifier(spec, give_numbers(network), None, Preprocessing(size=min(side, size)))
    return _facts(spec, classifier, size, spec != "vgg16_gap", head)


def _published_size(spec: str, network: nn.Module) -> int:
    if spec.startswith("timm:"):
        return build(spec, _FEWER, {})[1].size
    own: int | None = getattr(network, "image_size", None)
    if own is not None:
        return own
    return preprocessing_of(entries(spec)[0]).size if has_torchvision_weights(spec) else _SIDE


def _last_weights(watched: Watched, network: nn.Module, classes: int) -> set[str]:
    """The parameters that give the logits: those of the last layer with as many outputs."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    for step in reversed(watched.steps):
        own = step.weights or ()
        given = [tensor for tensor in own if tensor is not None and id(tensor) in names]
        if given and len(given[0]) == classes:
            return {names[id(tensor)] for tensor in given}
    return set()


def _facts(
    spec: str, classifier: Classifier, size: int, pretrained: bool, head: set[str] | None
) -> ModelFacts:
    network = classifier.network
    anatomy = classifier.examine()
    told = anatomy.head if isinstance(anatomy.head, InputError) else None
    reason = None
    if told is not None:
        reason = str(told).removeprefix(f"{spec}: ").split(", so class activation maps")[0]
    probe = classifier.probe(classifier.preprocessing.size)
    watched = watched_pass(network, probe, spec)
    if head is None:
        head = _last_weights(watched, network, anatomy.classes)
    parts = dict.fromkeys(("convolutions", "dense", "head", "other"), 0)
    for owner, module in network.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            full = f"{owner}.{name}" if owner else name
            parts["head" if full in head else _part(module)] += parameter.numel()
    attends = _has(classifier, "rollout")
    methods = tuple(
        name
        for name, method in METHODS.items()
        if (attends or method.needs != "attention") and _has(classifier, name)
    )
    # A table of positions is a grid too, but not of the images.
    found = [
        (name, (grid[1], grid[0]), channels)
        for name, grid, channels in spatial_modules(watched)
        if len(watched.outputs[name][0]) == len(probe)
    ]
    blocks = _blocks(network, [name for name, _, _ in found])
    known = _maps_at(network, [name for name, _, _ in found], probe, size)
    modules = {
        name: LayerFacts(name, channels, known.get(name, size_here))
        for name, size_here, channels in found
    }
    layer = None
    if not isinstance(anatomy.layer, InputError):
        own = anatomy.layer
        here = (own.grid[1], own.grid[0])
        alike = [modules[name].map for name, size_here, _ in found if size_here == here]
        unnamed = LayerFacts(own.name, own.channels, (alike or [here])[-1])
        layer = modules.get(own.module or "", unnamed)
    return ModelFacts(
        name=spec,
        pretrained=pretrained,
        size=size,
        layer=layer,
        layers=_shown(list(modules.values()), blocks, layer),
        methods=methods,
        reason=reason,
        **parts,
    )


def _part(module: nn.Module) -> str:
    if isinstance(module, nn.modules.conv._ConvNd):
        return "convolutions"
    return "dense" if isinstance(module, (nn.Linear, nn.MultiheadAttention)) else "other"


def _has(classifier: Classifier, method: str) -> bool:
    try:
        classifier.localizer(method)
    except InputError:
        return False
    return True


def _maps_at(
    network: nn.Module, modules: list[str], probe: Tensor, size: int
) -> dict[str, tuple[int, int]]:
    """(width, height) of modules' outputs for inputs of `size` pixels, by shapes alone.

    The network has no numbers any more afterwards. Nothing is found of outputs that are tokens.
    """
    if size == probe.shape[-1]:
        return {}
    shapes: dict[str, tuple[torch.Size, torch.Size]] = {}
    small: dict[str, torch.Size] = {}
    names = {id(network.get_submodule(name)): name for name in modules}

    def remember(module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            name = names[id(module)]
            if name in small:
                shapes[name] = (small[name], output.shape)
            else:
                small[name] = output.shape

    hooks = [network.get_submodule(name).register_forward_hook(remember) for name in modules]
    try:
        meta = network.to("meta")
        for side in (probe.shape[-1], size):
            with torch.no_grad():
                meta(torch.empty(2, probe.shape[1], side, side, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
    found = {}
    for name, (before, after) in shapes.items():
        changed = [axis for axis in range(1, 4) if before[axis] != after[axis]]
        if len(changed) == 2:
            height, width = (after[axis] for axis in changed)
            found[name] = (width, height)
    return found


def _blocks(network: nn.Module, modules: list[str]) -> set[str]:
    """The outermost modules of one kind that lie beside each other."""
    beside: dict[tuple[str, type], list[str]] = {}
    for name in modules:
        kind = (name.rpartition(".")[0], type(network.get_submodule(name)))
        beside.setdefault(kind, []).append(name)
    several = [names for names in beside.values() if len(names) > 1]
    several.sort(key=lambda names: names[0].count("."))
    return set(several[0]) if several else set()


def _shown(
    modules: list[LayerFacts], blocks: set[str], layer: LayerFacts | None
) -> tuple[LayerFacts, ...]:
    """What `ModelFacts.layers` is to say, of all modules in the order in which they end."""
    ends: dict[tuple[int, int], LayerFacts] = {}
    for module in modules:  # of each size the last of the outermost, as stages' ends are
        before = ends.get(module.map)
        if before is None or module.name.count(".") <= before.name.count("."):
            ends[module.map] = module
    if len(ends) == 1:
        chosen = [module for module in modules if module.name in blocks] or list(ends.values())
    else:
        chosen = [
            layer if layer in modules and layer and layer.map == map_size else module
            for map_size, module in ends.items()
        ]
    if layer is not None and layer not in chosen:
        chosen.append(layer)
    return tuple(chosen)


def main(names: Sequence[str]) -> None:
    """Write the packaged facts, after looking at networks of these names; of none, at all."""
    path = Path(wsol.__file__).parent / "data/models.json"
    rows = {row["name"]: row for row in json.loads(path.read_text())} if names else {}
    for name in names or model_names():
        rows[name] = asdict(look_at(name))
        print(name, flush=True)
    text = ",\n".join(json.dumps(rows[name]) for name in sorted(rows))
    write_text(path, f"[\n{text}\n]\n")


if __name__ == "__main__":
    main(sys.argv[1:])
