"""Whether a network is as it was before somebody else's code had it in hand."""

from torch import Tensor, nn

_MODES = {True: "training", False: "evaluation"}


class Untouched:
    """A network, the modes of its modules, and copies of its tensors as they were.

    A parameter is compared when something was written into it since it was last looked at, which
    its version tells without reading it: a method may change weights and put them back. Buffers
    are few and always compared: batch normalization writes them without a new version.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._training = {name: module.training for name, module in network.named_modules()}
        tensors = _tensors(network)
        self._kept = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        self._versions = {name: _version(tensor) for name, tensor in tensors.items()}

    def difference(self) -> str | None:
        """What is not as it was, in words that follow "left"; None where all is."""
        for name, module in self.network.named_modules():
            if module.training != self._training.get(name, module.training):
                return f"{name or 'the network'} in {_MODES[module.training]} mode"
        tensors = _tensors(self.network)
        gone = self._kept.keys() ^ tensors.keys()
        if gone:
            return f"the network with other tensors ({min(gone)})"
        buffers = {name for name, _ in self.network.named_buffers()}
        for name, tensor in tensors.items():
            if name in buffers or _version(tensor) != self._versions[name]:
                if not _is_same(tensor, self._kept[name]):
                    return f"other numbers in {name}"
                self._versions[name] = _version(tensor)
        return None


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return dict([*network.named_parameters(), *network.named_buffers()])


def _version(tensor: Tensor) -> tuple[int, int]:
    """Which tensor it is, and how often it was written; one of inference mode does not count."""
    return id(tensor), -1 if tensor.is_inference() else tensor._version


def _is_same(one: Tensor, other: Tensor) -> bool:
    if (one.shape, one.dtype, one.device) != (other.shape, other.dtype, other.device):
        return False
    return bool(((one == other) | (one != one) & (other != other)).all())  # NaN is NaN
