"""Channel counts of narrower and wider networks."""

from wsol.errors import InputError


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, rounded, at least 4.

    Raises:
        InputError: when the width is not positive.
    """
    if not width > 0:
        raise InputError(f"The width {width} is not a positive number.")
    return max(4, round(channels * width))
