"""Every figure of the pages that comes from `results/` is the one that lies there."""

import re
from pathlib import Path

import pytest

from wsol.results.cells import GROUPS, Layout
from wsol.results.sources import find_sources
from wsol.results.table import to_markdown

from support import figures

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "experiments/README.md", *sorted((ROOT / "docs").glob("*.md"))]
RESULTS = sorted(path.parent for path in (ROOT / "results").glob("*/records"))
LIKE_A_RESULT = re.compile(
    r"(?<![\w.])(?:[+\-−]\d+|\d{2,})\.\d+(?! ?(?:µs|ms|s|min|MB|GB|GiB|times|x)\b)(?![\w.]*\d)"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_tables_are_those_of_their_records(page):
    text = page.read_text(encoding="utf-8")
    assert figures.unmarked_tables(text) == []
    for table in figures.tables(text):
        assert table.text == figures.made_again(table), table.place


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_figures_in_sentences_are_those_of_their_records(page):
    for paragraph in figures.paragraphs(page.read_text(encoding="utf-8")):
        check(paragraph)


def check(paragraph):
    lines = [(place, line) for place, lines in paragraph.sheets for line in lines]
    told = [figures.expected(place, line) for place, line in lines]
    assert [said for said, _ in told] == [again for _, again in told]
    listed = [figure for said, _ in told for figure in figures.decimals(said)]
    if paragraph.sheets:
        assert paragraph.figures == listed, paragraph.text
        words = " ".join(paragraph.text.split())
        assert all(said in words for said, _ in told), paragraph.text
    else:
        unlisted = LIKE_A_RESULT.findall(re.sub(r"`[^`]*`", "", paragraph.text))
        assert not unlisted, f"say where this is from, see support/figures.py: {paragraph.text}"


def test_pages_have_figures_to_compare():
    texts = [page.read_text(encoding="utf-8") for page in PAGES[:2]]
    assert all(len(figures.tables(text)) >= 2 for text in texts)
    assert all(sum(len(p.sheets) for p in figures.paragraphs(text)) >= 1 for text in texts)


@pytest.mark.parametrize("folder", RESULTS, ids=lambda folder: folder.name)
def test_tables_in_results_are_those_of_their_records(folder):
    records = [source.record for source in find_sources([folder / "records"])]
    by_convention = len({record.settings["convention"] for record in records}) > 1
    layout = Layout(group_by=GROUPS if by_convention else ("dataset",))
    assert (folder / "table.md").read_text(encoding="utf-8") == to_markdown(records, layout)


def test_results_stay_small():
    assert sum(path.stat().st_size for path in (ROOT / "results").rglob("*")) < 20e6


TABLE = """
<!-- table results/center-baseline | CUB -->

| Model  |  MaxBoxAccV2 |
| ------ | -----------: |
| full   | <u>25.82</u> |
| center |    **56.83** |
"""
SENTENCE = """
The centre has 56.8 points, 31.0 more than
the whole photograph, and the network was trained for 0.5 hours.

<!-- figures results/center-baseline
56.8 = center | CUB | max_box_acc_v2
31.0 = center | CUB | max_box_acc_v2 minus full | CUB | max_box_acc_v2
0.5 = no result
-->
"""


@pytest.mark.parametrize(
    ("right", "wrong"), [("56.83", "56.93"), ("**56.83**", "56.83"), ("| full  ", "| fully")]
)
def test_a_table_changed_by_hand_is_noticed(right, wrong):
    (table,) = figures.tables(TABLE)
    assert table.text == figures.made_again(table)
    (changed,) = figures.tables(TABLE.replace(right, wrong))
    try:
        again = figures.made_again(changed)
    except ValueError:  # there is no such record
        return
    assert changed.text != again
    assert figures.unmarked_tables(TABLE.replace("<!-- table", "<!-- a table"))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("has 56.8", "has 56.9"),
        ("\n56.8 =", "\n56.9 ="),
        ("31.0", "30.9"),
        ("more than", "more than the 1.5 of"),
        ("0.5 = no result\n", ""),
        ("<!-- figures", "<!-- some figures"),
    ],
)
def test_a_figure_changed_by_hand_is_noticed(right, wrong):
    def check_all(text):
        for paragraph in figures.paragraphs(text):
            check(paragraph)

    check_all(SENTENCE)
    assert right in SENTENCE
    with pytest.raises(AssertionError):
        check_all(SENTENCE.replace(right, wrong))
