"""VGG16-CAM as the authors of class activation maps published it: a Caffe model.

The network is that of Zhou et al. (CVPR 2016): VGG-16 up to conv5_3, a 3x3 convolution of 1,024
units in 2 groups, average pooling, a linear layer (github.com/zhoubolei/CAM,
models/deploy_vgg16CAM.prototxt). A `.caffemodel` is a protobuf message, whose fields are those of
caffe.proto (github.com/BVLC/caffe); the few that hold weights are declared here, so that neither
Caffe nor a compiler of .proto files is needed.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from wsol.errors import InputError
from wsol.files import require_file
from wsol.models.classifier import Preprocessing
from wsol.models.importers.published import Published, rows, width

if TYPE_CHECKING:
    from google.protobuf.message import Message

# Message: its fields, as (name, number, type, whether repeated). V1LayerParameter is what Caffe
# wrote until 2014, LayerParameter what it has written since.
_MESSAGES: dict[str, tuple[tuple[str, int, str, bool], ...]] = {
    "BlobShape": (("dim", 1, "int64", True),),
    "BlobProto": (
        ("num", 1, "int64", False),
        ("channels", 2, "int64", False),
        ("height", 3, "int64", False),
        ("width", 4, "int64", False),
        ("data", 5, "float", True),
        ("shape", 7, "BlobShape", False),
        ("double_data", 8, "double", True),
    ),
    "V1LayerParameter": (("name", 4, "bytes", False), ("blobs", 6, "BlobProto", True)),
    "LayerParameter": (("name", 1, "bytes", False), ("blobs", 7, "BlobProto", True)),
    "NetParameter": (
        ("layers", 2, "V1LayerParameter", True),
        ("layer", 100, "LayerParameter", True),
    ),
}
_BLOB_NAMES = ("weight", "bias")  # of a convolution and of an inner product, in this order

# Our layers by Caffe's names.
_LAYERS = {
    "features.0": "conv1_1", "features.2": "conv1_2",
    "features.5": "conv2_1", "features.7": "conv2_2",
    "features.10": "conv3_1", "features.12": "conv3_2", "features.14": "conv3_3",
    "features.17": "conv4_1", "features.19": "conv4_2", "features.21": "conv4_3",
    "features.24": "conv5_1", "features.26": "conv5_2", "features.28": "conv5_3",
    "cam_conv.0": "CAM_conv",
    "fc": "CAM_fc",
}  # fmt: skip

# Pixels from 0 to 255 in the order blue, green, red, minus the mean of ImageNet. The authors
# subtract a mean image; these are the means of its channels, rounded as Caffe's own models do.
_MEAN_BGR = (104.0, 117.0, 123.0)
_PREPROCESSING = Preprocessing(
    size=224,
    mean=(_MEAN_BGR[0] / 255, _MEAN_BGR[1] / 255, _MEAN_BGR[2] / 255),
    std=(1 / 255, 1 / 255, 1 / 255),
    channel_order="bgr",
)


def read_vgg16_cam(path: Path) -> Published:
    """Read VGG16-CAM's weights under Caffe's names, such as `CAM_conv.weight`.

    Raises:
        InputError: when the file is no Caffe model, or one of its blobs is damaged.
    """
    tensors = {name: _trimmed(name, tensor) for name, tensor in read_blobs(path).items()}
    last, cam = tensors.get("conv5_3.weight"), tensors.get("CAM_conv.weight")
    # In a convolution of groups each filter sees only its group's part of the channels.
    whole = last is not None and cam is not None and cam.shape[1:2] == last.shape[:1]
    return Published(
        tensors=tensors,
        called=_called,
        num_classes=rows(tensors, "CAM_fc.weight", 1000),
        arguments={**({} if whole else {"cam_groups": 2}), **width(tensors, "conv1_1.weight", 64)},
        preprocessing=_PREPROCESSING,
    )


def _called(ours: str) -> str:
    layer, _, blob = ours.rpartition(".")
    return f"{_LAYERS[layer]}.{blob}"


def read_blobs(path: Path) -> dict[str, Tensor]:
    """All blobs of a `.caffemodel`, float32, as `layer.weight`, `layer.bias`, `layer.blobs[2]`.

    Raises:
        InputError: when the file is no Caffe model, or a blob has not the numbers of its shape.
    """
    path = require_file(path, "a .caffemodel")
    try:
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise InputError(
            f"{path}: Caffe models need protobuf; pip install 'wsol[caffe]'."
        ) from error
    net: Any = message_class("NetParameter")()
    try:
        net.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise InputError(f"{path}: is no Caffe model, or is cut off ({error}).") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    tensors: dict[str, Tensor] = {}
    for layer in [*net.layers, *net.layer]:
        name = layer.name.decode(errors="replace")
        for number, blob in enumerate(layer.blobs):
            part = _BLOB_NAMES[number] if number < len(_BLOB_NAMES) else f"blobs[{number}]"
            if f"{name}.{part}" in tensors:
                raise InputError(f"{path}: holds the layer {name} twice.")
            tensors[f"{name}.{part}"] = _tensor(blob, f"{path}: {name}.{part}")
    if not tensors:
        raise InputError(
            f"{path}: holds no layer with weights; expected a .caffemodel (not a .prototxt)."
        )
    return tensors


def _trimmed(name: str, tensor: Tensor) -> Tensor:
    """A blob without the ones before its own dimensions: older files have four for every blob."""
    dimensions = 1 if name.endswith(".bias") else 2 if name == "CAM_fc.weight" else 4
    while tensor.ndim > dimensions and tensor.shape[0] == 1:
        tensor = tensor[0]
    return tensor


def _tensor(blob: Any, where: str) -> Tensor:
    values = np.array(blob.data or blob.double_data, dtype=np.float32)
    if blob.HasField("shape"):
        shape = tuple(blob.shape.dim)
    else:
        shape = (blob.num, blob.channels, blob.height, blob.width)
    if min(shape, default=0) < 1 or math.prod(shape) != values.size:
        told = "x".join(map(str, shape))
        raise InputError(f"{where}: has {values.size} numbers for the shape {told}.")
    return torch.from_numpy(values.reshape(shape))


def message_class(name: str) -> type[Message]:
    """The protobuf class of one of Caffe's messages, with the fields that hold weights."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for field, number, kind, repeated in fields:
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            entry = described.field.add(name=field, number=number, label=label)
            if kind in _MESSAGES:
                entry.type, entry.type_name = kinds.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                entry.type = kinds.Type.Value(f"TYPE_{kind.upper()}")
                # As Caffe packs its arrays of numbers; readers accept both forms.
                entry.options.packed = repeated
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))
