"""Images and classes as files of predictions and boxes name them."""

import re
from collections import Counter
from collections.abc import Iterable

from wsol.datasets.base import Dataset
from wsol.datasets.names import joined
from wsol.errors import InputError
from wsol.reading import quoted


class ImageNames:
    """The images of a data set as a file names them.

    A name is an image id; or else what is the same without suffix or folders, as long as only one
    image is called so; or, as in COCO, the number that its file name ends in.
    """

    def __init__(self, dataset: Dataset, names: Iterable[str]) -> None:
        """
        Args:
            names: all that the file has.
        """
        ids = [sample.image_id for sample in dataset.samples]
        asked = list(dict.fromkeys(name.strip() for name in names))
        self._found = joined(asked, ids)
        self._dataset = dataset
        numbers = [name for name in asked if name not in self._found and name.isdecimal()]
        if numbers:
            of_number: dict[int, str | None] = {}
            for image_id in ids:
                ends = re.search(r"(\d{1,18})(?:\.[A-Za-z]+)?$", image_id)
                if ends:
                    number = int(ends[1])
                    of_number[number] = None if number in of_number else image_id
            known = {name: of_number.get(int(name[:18])) for name in numbers}
            self._found |= {name: found for name, found in known.items() if found is not None}

    def known(self, name: str) -> str | None:
        """The image that a name means; None where it is none."""
        return self._found.get(name.strip())

    def of(self, name: str, where: str) -> str:
        """The image that a name means.

        Raises:
            InputError: naming the place, when it is none.
        """
        found = self.known(name)
        if found is None:
            raise self.unknown(name, where)
        return found

    def unknown(self, name: str, where: str) -> InputError:
        """What to say about a name that is no image's."""
        return InputError(
            f"{where}: {quoted(name.strip())} is no image of {self._dataset.name} "
            f"{self._dataset.split}; choose the right split, remove the line, or pass over it with "
            "--skip-bad."
        )


class ClassNames:
    """The classes of a data set as files name them: by key, by name, or counted from 0."""

    def __init__(self, dataset: Dataset) -> None:
        self._count = len(dataset.classes)
        self._name = dataset.name
        self._of_key = {key: label for label, key in enumerate(dataset.classes)}
        counts = Counter(dataset.class_names)
        self._of_name = {
            name: label
            for label, name in enumerate(dataset.class_names)
            if counts[name] == 1 and name not in self._of_key
        }
        # Where keys are numbers of another kind, a number cannot be told from a position.
        self._by_position = not any(
            key.isdecimal() and int(key) != label for key, label in self._of_key.items()
        )

    def label(self, text: str, where: str) -> int:
        """The label that a text means.

        Raises:
            InputError: naming the place, when it is none.
        """
        text = text.strip()
        found = self._of_key.get(text, self._of_name.get(text))
        if found is not None:
            return found
        if self._by_position and re.fullmatch(r"\d{1,9}", text, re.A) and int(text) < self._count:
            return int(text)
        positions = f", or a position from 0 to {self._count - 1}" if self._by_position else ""
        raise InputError(
            f"{where}: {quoted(text)} is no class of {self._name}; expected a key such as "
            f"{next(iter(self._of_key))}{positions}."
        )
