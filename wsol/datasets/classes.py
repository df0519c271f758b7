"""The 1,000 classes of ILSVRC 2012."""

from functools import cache
from importlib.resources import files


@cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """(WordNet id, name) of each class, in the order of sorted ids: that of ImageNet networks."""
    text = files("wsol").joinpath("data/ilsvrc_classes.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t", 1) for line in text.splitlines())
    return tuple((wnid, name) for wnid, name in rows)
