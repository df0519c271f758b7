"""What `wsol/data/published.toml` holds, whose comments say what its parts mean."""

import tomllib
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict

from wsol.records.record import ResultRecord


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Part):
    """Where numbers were published; `venue` is empty for what appeared at none."""

    key: str
    short: str
    authors: tuple[str, ...]
    title: str
    venue: str = ""
    year: int
    url: str

    @property
    def citation(self) -> str:
        """For people."""
        names = ", ".join(author.split()[-1] for author in self.authors)
        return f"{names}: {self.title}, {self.venue} {self.year}".replace(",  ", ", ")

    @property
    def bibtex(self) -> str:
        """A BibTeX entry; its key is `key`."""
        fields = {
            "author": " and ".join(self.authors),
            # Braces keep the capitals of names.
            "title": f"{{{self.title}}}",
            "booktitle": self.venue,
            "year": str(self.year),
            "url": self.url,
        }
        kind = "inproceedings" if self.venue else "misc"
        lines = [f"  {name} = {{{value}}},\n" for name, value in fields.items() if value]
        return f"@{kind}{{{self.key},\n{''.join(lines)}}}\n"


class ImageSet(_Part):
    """The images that numbers are about; `also` lists other names of the split."""

    dataset: str
    split: str
    also: tuple[str, ...] = ()
    images: int

    def holds(self, record: ResultRecord) -> bool:
        """Whether a record is of these images, all of them."""
        return (
            record.dataset == self.dataset
            and record.split in (self.split, *self.also)
            and record.num_images == self.images
        )


class View(_Part):
    """The input of a convention."""

    size: int
    resize_mode: str | None = None


class Block(_Part):
    """A column of a published table; each value is a model, a method and a number."""

    source: str
    table: str
    set: str
    metric: str
    definition: str
    convention: str | None = None
    maps: dict[str, int] = {}
    settings: dict[str, Any] = {}
    decimals: int = 1
    checked: bool
    relative_to: str | None = None
    values: list[tuple[str, str, float]]


class Line(_Part):
    """A line of comparison tables: Top-1 Loc, Top-5 Loc and GT-known Loc of two data sets."""

    source: str
    table: str
    model: str
    method: str
    classifier: str | None = None
    convention: str | None = None
    note: str | None = None
    decimals: int = 2
    cub: tuple[float, float, float]
    ilsvrc: tuple[float, float, float]
    elsewhere: dict[str, dict[str, float]] = {}
    checked: bool


class Registry(_Part):
    """The whole file."""

    sources: dict[str, Source]
    conventions: dict[str, View]
    sets: dict[str, ImageSet]
    names: dict[str, list[str]]
    blocks: list[Block]
    results: list[Line]


def read_registry() -> Registry:
    """Read the file."""
    text = files("wsol").joinpath("data/published.toml").read_text(encoding="utf-8")
    read = tomllib.loads(text)
    for key, source in read["sources"].items():
        source["key"] = key
    return Registry.model_validate(read)


def bibliography(sources: Iterable[Source]) -> str:
    """A BibTeX file, each source once."""
    return "\n".join(source.bibtex for source in dict.fromkeys(sources))
