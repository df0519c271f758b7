"""Figures that pages take from `results/`: what a page says, and what the records say.

A table has a comment above it that names its records, and is made again from them:

    <!-- table results/center-baseline | ILSVRC -->

Its rows name models, and where the records have them maps, methods or conventions; its headings
are those of `wsol table`. `python -m support.figures PAGE...`, in tests/, writes its tables again.

A paragraph has a comment below it with a line for each of its decimal figures, in their order:

    <!-- figures results/cub-50
    63.6 = ResNet-50 | max_box_acc_v2
    +7.1 = ResNet-50 | max_box_acc_v2 minus center | max_box_acc_v2
    5.3 to 8.6 = against-center.csv | ResNet-50 | max_box_acc_v2
    0.7 = no result
    -->

`NAME | ... | COLUMN` is a record: of a model, and of a method, convention, data set or training
seed where there are several; repeated trainings are their mean. Of `results/parameter-parts` it is
a network and millions of one of its parts. A `.csv` is what `wsol stats A...
--against B --format csv` printed, beside the records: its row of a model, where there are several,
and metric.
"""

import csv
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from wsol.records.record import ResultRecord
from wsol.results.cells import Layout, rounded
from wsol.results.columns import COLUMNS, column_values, columns_of, frame
from wsol.results.repeats import Run, runs_of
from wsol.results.sources import find_sources
from wsol.results.table import to_markdown

ROOT = Path(__file__).parents[2]

_TABLE = re.compile(
    r"^<!-- table (?P<place>[^\n]+?) -->\n(?P<title>(?:\n|\*\*[^\n]*\n)*)(?P<rows>(?:\|[^\n]*\n)+)",
    re.MULTILINE,
)
_ANY_TABLE = re.compile(r"^\|[^\n]*\n\| ?[:-][^\n]*\n(?:\|[^\n]*\n)*", re.MULTILINE)
_SHEET = re.compile(r"<!-- figures (?P<place>\S+)\n(?P<lines>.*?)-->", re.DOTALL)
_FIGURE = re.compile(r"(?<![\w.])[+\-−]?\d+\.\d+(?![\w.]*\.?\d)")
_RESULTS = {column.heading for column in COLUMNS if column.is_metric}


@dataclass(frozen=True, slots=True)
class PageTable:
    """A table with its records; `start` and `end` are the place of its rows in the page."""

    place: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text between blank lines without its comments, and the sheets below it as place and lines."""

    text: str
    sheets: list[tuple[str, list[str]]]

    @property
    def figures(self) -> list[str]:
        """Its decimal figures in their order."""
        return decimals(self.text)


def decimals(text: str) -> list[str]:
    """The figures with a point in a text, but for code."""
    return _FIGURE.findall(re.sub(r"`[^`]*`", "", text))


def tables(text: str) -> list[PageTable]:
    """The tables of a page that name their records."""
    return [
        PageTable(found["place"], found["rows"], found.start("rows"), found.end("rows"))
        for found in _TABLE.finditer(text)
    ]


def unmarked_tables(text: str) -> list[str]:
    """The first lines of tables with metrics that name no records."""
    marked = {table.start for table in tables(text)}
    return [
        found[0].split("\n", 1)[0]
        for found in _ANY_TABLE.finditer(text)
        if found.start() not in marked and _RESULTS & set(_cells(found[0].split("\n", 1)[0]))
    ]


def made_again(table: PageTable) -> str:
    """The rows of a table as its records have them."""
    folder, *terms = (part.strip() for part in table.place.split("|"))
    found = [record for record in _records(folder) if _fits(record, terms)]
    columns = {column.heading: name for name, column in columns_of(frame(found)).items()}
    headings, _, *rows = (_cells(line) for line in table.text.splitlines())
    names = [columns[heading] for heading in headings]
    told = [name for name in names if name in ("cam_method", "method", "convention", "weights")]
    data = frame([run.record for run in runs_of(found)])
    values = {name: column_values(data, name) for name in ("model", *told)}
    wanted = []
    for row in rows:
        said = {name: _bare(row[names.index(name)]) for name in ("model", *told)}
        (run,) = [
            run
            for place, run in enumerate(runs_of(found))
            if all((values[name][place] or "–") == text for name, text in said.items())
        ]
        wanted += run.records
    layout = Layout(
        columns=tuple(names),
        intervals="±" in table.text and any(record.intervals for record in wanted),
        digits=_digits(rows),
    )
    text = to_markdown(wanted, layout)
    return "".join(f"{line}\n" for line in text.splitlines() if line.startswith("|"))


def paragraphs(text: str) -> Iterator[Paragraph]:
    """The paragraphs and list items of a page: no code, no tables, no comments."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^\|.*$", "", text, flags=re.MULTILINE)
    sheets: dict[str, str] = {}

    def keep(found: "re.Match[str]") -> str:
        sheets[f"\x00{len(sheets)}\x00"] = found[0]
        return f"\x00{len(sheets) - 1}\x00"

    text = _SHEET.sub(keep, text)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub("\n\\s*\n(?=\x00)", "\n", text)  # a sheet belongs to what is above it
    for block in re.split(r"\n\s*\n|\n(?=- )", text):
        own = [_SHEET.fullmatch(sheets[key]) for key in re.findall("\x00\\d+\x00", block)]
        yield Paragraph(
            re.sub("\x00\\d+\x00", "", block).strip(),
            [(one["place"], one["lines"].strip().splitlines()) for one in own if one],
        )


def expected(place: str, line: str) -> tuple[str, str]:
    """What a line of a sheet says, and the same with the figures that the results have."""
    said, _, source = (part.strip() for part in line.partition("="))
    if source == "no result":
        return said, said
    values = _interval(place, source) if ".csv" in source else [_value(place, source)]
    figures = decimals(said) or re.findall(r"[+\-−]?\d+", said)
    assert len(figures) == len(values), line
    again = said
    for figure, value in zip(figures, values, strict=True):
        again = again.replace(figure, _like(figure, value), 1)
    return said, again


def _like(figure: str, value: float) -> str:
    """A number with the digits of a figure, and with its sign where it has one."""
    text = rounded(value, len(figure.partition(".")[2]))
    if figure.startswith("+"):
        return text if value < 0 else f"+{text}"
    return text.replace("-", "−") if figure.startswith("−") else text


def _value(place: str, source: str) -> float:
    first, *others = (part.strip() for part in source.split(" minus "))
    return _metric(place, first) - sum(_metric(place, other) for other in others)


def _metric(place: str, told: str) -> float:
    *terms, name = (part.strip() for part in told.split("|"))
    if not (ROOT / place / "records").exists():
        return _parameters(place, *terms, name) / 1e6
    found = [record for record in _records(place) if _fits(record, terms)]
    runs: list[Run] = runs_of(found)
    assert len(runs) == 1, f"{told}: {len(runs)} records of {place} are so"
    data = frame([runs[0].record])
    value: float = column_values(data, name)[0]
    return value / columns_of(data)[name].scale


def _parameters(place: str, network: str, part: str) -> int:
    with (ROOT / place / "table.csv").open(encoding="utf-8") as stream:
        (row,) = [row for row in csv.DictReader(stream) if row["model"] == network]
    return int(row[part])


def _interval(place: str, told: str) -> list[float]:
    file, *terms, metric = (part.strip() for part in told.split("|"))
    with (ROOT / place / file).open(encoding="utf-8") as stream:
        rows = [
            row
            for row in csv.DictReader(stream)
            if row["metric"] == metric and (not terms or [row["model"]] == terms)
        ]
    assert len(rows) == 1, f"{told}: {len(rows)} rows are so"
    return [float(rows[0]["low"]), float(rows[0]["high"])]


@cache
def _records(place: str) -> list[ResultRecord]:
    return [source.record for source in find_sources([ROOT / place])]


def _fits(record: ResultRecord, terms: list[str]) -> bool:
    settings = record.settings
    own = (
        record.model, record.cam_method, record.dataset, record.split,
        settings.get("convention"), f"seed {settings.get('training_seed')}",
    )  # fmt: skip
    return all(term in own for term in terms)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _bare(cell: str) -> str:
    return re.sub(r"\\(.)", r"\1", re.sub(r"\*\*|</?u>", "", cell))


def _digits(rows: list[list[str]]) -> int:
    """After the point of percentages: the last column's."""
    figures = [found for row in rows for found in _FIGURE.findall(row[-1].split("±")[0])]
    return len(figures[0].partition(".")[2]) if figures else 2


def main(pages: list[str]) -> None:
    """Write the tables of pages again."""
    for page in map(Path, pages):
        text = page.read_text(encoding="utf-8")
        for table in reversed(tables(text)):
            text = text[: table.start] + made_again(table) + text[table.end :]
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
