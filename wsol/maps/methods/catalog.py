"""The map methods by name; adding one is adding an entry here."""

import difflib

from wsol.errors import InputError
from wsol.maps.methods import smooth
from wsol.maps.methods.attention import attention, legrad, rollout
from wsol.maps.methods.cam import cam
from wsol.maps.methods.eigen import eigencam
from wsol.maps.methods.gradient import gradcam, gradcam_plus_plus, hirescam, layercam, xgradcam
from wsol.maps.methods.method import MapMethod
from wsol.maps.methods.own import own_method
from wsol.maps.methods.perturbation import scorecam
from wsol.maps.methods.torchcam import torchcam_method

_TABLE = (
    MapMethod("cam", "CAM", "Zhou et al., CVPR 2016", "head", "1", True, cam),
    MapMethod("gradcam", "Grad-CAM", "Selvaraju et al., ICCV 2017", "gradients", "1", True, gradcam),
    MapMethod(
        "gradcam++",
        "Grad-CAM++",
        "Chattopadhay et al., WACV 2018",
        "gradients",
        "1",
        True,
        gradcam_plus_plus,
    ),
    MapMethod("xgradcam", "XGrad-CAM", "Fu et al., BMVC 2020", "gradients", "1", True, xgradcam),
    MapMethod("layercam", "LayerCAM", "Jiang et al., TIP 2021", "gradients", "1", True, layercam),
    MapMethod(
        "hirescam",
        "HiResCAM",
        "Draelos and Carin, arXiv 2011.08891",
        "gradients",
        "1",
        True,
        hirescam,
    ),
    MapMethod(
        "eigencam", "Eigen-CAM", "Muhammad and Yeasin, IJCNN 2020", "features", "1", False, eigencam
    ),
    MapMethod(
        "smoothgradcam++",
        "Smooth Grad-CAM++",
        "Omeiza et al., arXiv 1908.01224",
        "gradients",
        f"1 + {smooth.SAMPLES}; 1 where cam applies",
        True,
        smooth.smooth_gradcam_plus_plus,
        lambda channels, classes, head: 1 if head else 1 + smooth.SAMPLES,
        {"samples": smooth.SAMPLES, "deviation": smooth.DEVIATION, "seed": smooth.SEED},
    ),
    MapMethod(
        "scorecam",
        "Score-CAM",
        "Wang et al., CVPR Workshops 2020",
        "features",
        "1 + K",
        True,
        scorecam,
        lambda channels, classes, head: 1 + channels,
    ),
    MapMethod(
        "rollout",
        "Attention rollout",
        "Abnar and Zuidema, ACL 2020",
        "attention",
        "1",
        False,
        rollout,
    ),
    MapMethod(
        "attention", "Class attention", "Caron et al., ICCV 2021", "attention", "1", False, attention
    ),
    MapMethod(
        "legrad", "LeGrad", "Bousselham et al., ICCV 2025", "attention", "1", True, legrad
    ),
)

METHODS = {method.name: method for method in _TABLE}
"""The methods of this package by name, in the order of `wsol methods`."""


def find_method(name: str) -> MapMethod:
    """A method by its name, `torchcam:NAME`, or `package.module:callable`.

    Raises:
        InputError: when there is none, with near matches.
    """
    if name.startswith("torchcam:"):
        return torchcam_method(name)
    if ":" in name:
        return own_method(name)
    if name in METHODS:
        return METHODS[name]
    near = difflib.get_close_matches(name.lower(), METHODS, 3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(METHODS)}."
    raise InputError(f"--method {name}: no method has this name; {hint}")


def method_names(text: str) -> list[str]:
    """The names in a list separated by commas, each one's method found.

    Raises:
        InputError: when one has none, or stands twice.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        find_method(name)
        if names.count(name) > 1:
            raise InputError(f"--method {text}: names {name} twice.")
    return names
