"""What is known of networks by name, without building one: packaged data.

`python -m wsol.models.look` makes the data; `wsol.models.look` also looks at networks that are not
in it. Reading needs no torch.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

_FILE = "data/models.json"


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """A module whose output is a grid of features.

    Attributes:
        name: as `--layer` takes it; of what no module returns, as records call it.
        channels: K.
        map: (width, height) at the network's own input size.
    """

    name: str
    channels: int
    map: tuple[int, int]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A network as its library builds it for 1,000 classes.

    Attributes:
        pretrained: whether its library has trained weights.
        size: side of the input in pixels that it was published with.
        convolutions, dense, head, other: parameters by what they belong to: convolutions; linear
            layers, those of attention included; what depends on the number of classes; and all
            else (normalizations, embeddings). Auxiliary classifiers are left out.
        layer: that maps are made at; None where it has none.
        layers: a module for each map size, where the network's stages end, or of a network of one
            size its blocks; and `layer`. Any other module's name can be given as well.
        methods: names of the map methods that apply to it.
        reason: why exact class activation maps do not; None where they do.
    """

    name: str
    pretrained: bool
    size: int
    convolutions: int
    dense: int
    head: int
    other: int
    layer: LayerFacts | None
    layers: tuple[LayerFacts, ...]
    methods: tuple[str, ...]
    reason: str | None

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.convolutions + self.dense + self.head + self.other

    @property
    def cam(self) -> bool:
        """Whether exact class activation maps apply."""
        return self.reason is None

    def applies(self, needs: str) -> bool:
        """Whether it has what a map method needs, see `wsol.maps.methods.method.Needs`."""
        examples = {"head": "cam", "features": "eigencam", "gradients": "gradcam",
                    "attention": "rollout"}  # fmt: skip
        if needs == "network":
            return True
        if needs == "layer":
            return self.layer is not None  # there is one to name
        return examples[needs] in self.methods

    def to_json(self) -> dict[str, Any]:
        """JSON values, with the sums that follow from them."""
        return {"parameters": self.parameters, "cam": self.cam} | asdict(self)


@cache
def known_models() -> Mapping[str, ModelFacts]:
    """The packaged facts by name, in the order of names."""
    text = files("wsol").joinpath(_FILE).read_text(encoding="utf-8")
    return {row["name"]: _from_json(row) for row in json.loads(text)}


def _from_json(row: dict[str, Any]) -> ModelFacts:
    def layer(item: dict[str, Any]) -> LayerFacts:
        return LayerFacts(item["name"], item["channels"], (item["map"][0], item["map"][1]))

    given = {name: row[name] for name in ModelFacts.__slots__}
    given["layer"] = None if row["layer"] is None else layer(row["layer"])
    given["layers"] = tuple(map(layer, row["layers"]))
    given["methods"] = tuple(row["methods"])
    return ModelFacts(**given)
