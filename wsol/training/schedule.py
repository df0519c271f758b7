"""Learning rates over a training run."""

import math

STEP_FACTOR = 0.1


def cosine_rate(step: int, steps: int, warmup: int) -> float:
    """The share of the highest learning rate that step `step` of `steps` (from 0) uses.

    Rises linearly over the first `warmup` steps, whose last has 1, then falls along half a cosine
    towards 0, which the step after the last would have (SGDR without restarts: Loshchilov and
    Hutter, ICLR 2017; warm-up: Goyal et al., arXiv 1706.02677).
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def step_rate(step: int, first: int, every: int, warmup: int) -> float:
    """Like `cosine_rate`, but a tenth of the rate before after `first` steps, and every `every`
    from there on."""
    if step < warmup:
        return (step + 1) / warmup
    return STEP_FACTOR ** (0 if step < first else 1 + (step - first) // every)
