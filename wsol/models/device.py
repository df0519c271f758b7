"""The device that a network runs on, by name."""

from wsol.errors import InputError


def usable_device(name: str) -> str:
    """A device by name; `auto` is the GPU where there is one.

    Raises:
        InputError: when it cannot be used here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).cpu()  # which has no numbers on `meta`
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"--device {name}: cannot be used here ({first}).") from error
    return name
