"""Caffe's file of a VGG-GAP network."""

from wsol.models.importers.caffe import message_class

LAYERS = {
    0: "conv1_1", 2: "conv1_2", 5: "conv2_1", 7: "conv2_2", 10: "conv3_1", 12: "conv3_2",
    14: "conv3_3", 17: "conv4_1", 19: "conv4_2", 21: "conv4_3", 24: "conv5_1", 26: "conv5_2",
    28: "conv5_3",
}  # fmt: skip


def write_caffe(network, path):
    """Write the weights of a `vgg16_gap` under the names of the published models."""
    net = message_class("NetParameter")()
    modules = [(name, network.features[number]) for number, name in LAYERS.items()]
    for name, module in [*modules, ("CAM_conv", network.cam_conv[0]), ("CAM_fc", network.fc)]:
        layer = net.layer.add(name=name.encode())
        for parameter in (module.weight, module.bias):
            blob = layer.blobs.add()
            blob.shape.dim.extend(parameter.shape)
            blob.data.extend(parameter.flatten().tolist())
    path.write_bytes(net.SerializeToString())
