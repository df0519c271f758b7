"""The map methods by name; adding one is adding an entry here. Importing this needs no torch."""

from wsol.errors import InputError
from wsol.maps.methods.method import MapMethod
from wsol.options import one_of
from wsol.plugin import is_plugin

SMOOTH = {"samples": 4, "deviation": 0.3, "seed": 0}
"""Noisy copies, the noise's deviation in the network's input, and what it is drawn from."""

_TORCHCAM = "torchcam:"

_TABLE = (
    MapMethod("cam", "CAM", "Zhou et al., CVPR 2016", "head", "1", True, "cam:cam"),
    MapMethod(
        "gradcam",
        "Grad-CAM",
        "Selvaraju et al., ICCV 2017",
        "gradients",
        "1",
        True,
        "gradient:gradcam",
    ),
    MapMethod(
        "gradcam++",
        "Grad-CAM++",
        "Chattopadhay et al., WACV 2018",
        "gradients",
        "1",
        True,
        "gradient:gradcam_plus_plus",
    ),
    MapMethod(
        "xgradcam", "XGrad-CAM", "Fu et al., BMVC 2020", "gradients", "1", True, "gradient:xgradcam"
    ),
    MapMethod(
        "layercam",
        "LayerCAM",
        "Jiang et al., TIP 2021",
        "gradients",
        "1",
        True,
        "gradient:layercam",
    ),
    MapMethod(
        "hirescam",
        "HiResCAM",
        "Draelos and Carin, arXiv 2011.08891",
        "gradients",
        "1",
        True,
        "gradient:hirescam",
    ),
    MapMethod(
        "eigencam",
        "Eigen-CAM",
        "Muhammad and Yeasin, IJCNN 2020",
        "features",
        "1",
        False,
        "eigen:eigencam",
    ),
    MapMethod(
        "smoothgradcam++",
        "Smooth Grad-CAM++",
        "Omeiza et al., arXiv 1908.01224",
        "gradients",
        f"1 + {SMOOTH['samples']}; 1 where cam applies",
        True,
        "smooth:smooth_gradcam_plus_plus",
        lambda channels, head: 1 if head else 1 + int(SMOOTH["samples"]),
        dict(SMOOTH),
    ),
    MapMethod(
        "scorecam",
        "Score-CAM",
        "Wang et al., CVPR Workshops 2020",
        "features",
        "1 + K",
        True,
        "perturbation:scorecam",
        lambda channels, head: 1 + channels,
    ),
    MapMethod(
        "rollout",
        "Attention rollout",
        "Abnar and Zuidema, ACL 2020",
        "attention",
        "1",
        False,
        "attention:rollout",
    ),
    MapMethod(
        "attention",
        "Class attention",
        "Caron et al., ICCV 2021",
        "attention",
        "1",
        False,
        "attention:attention",
    ),
    MapMethod(
        "legrad",
        "LeGrad",
        "Bousselham et al., arXiv 2404.03214",
        "attention",
        "1",
        True,
        "attention:legrad",
    ),
)

METHODS = {method.name: method for method in _TABLE}
"""The methods of this package by name, in the order of `wsol methods`."""


def check_name(name: str) -> str:
    """`name`, if it can be a method's; torchcam and modules of one's own are not looked into.

    Raises:
        ValueError: naming the methods, and the nearest one.
    """
    if name.startswith(_TORCHCAM) or is_plugin(name):
        return name
    try:
        return one_of(name, tuple(METHODS))
    except ValueError as error:
        raise ValueError(f"{error} (or torchcam:NAME, or package.module:callable)") from None


def find_method(name: str) -> MapMethod:
    """A method by its name, `torchcam:NAME`, or `package.module:callable`.

    Raises:
        InputError: when there is none, with near matches.
    """
    if name.startswith(_TORCHCAM):
        from wsol.maps.methods.torchcam import torchcam_method

        return torchcam_method(name)
    try:
        check_name(name)
    except ValueError as error:
        raise InputError(f"--method {name}: {error}.") from None
    if name in METHODS:
        return METHODS[name]
    from wsol.maps.methods.own import own_method

    return own_method(name)
