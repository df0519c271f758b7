"""Every figure of the pages that comes from `results/` is the one that lies there."""

import re
from pathlib import Path

import pytest
from support import figures

from wsol.records.record import read_records
from wsol.results.sources import find_sources

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "experiments/README.md", *sorted((ROOT / "docs").glob("*.md"))]
RESULTS = sorted(path.parent for path in (ROOT / "results").glob("*/records"))
LIKE_A_RESULT = re.compile(r"^[+\-−]|^\d{2,}\.")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_tables_are_those_of_their_records(page):
    text = page.read_text(encoding="utf-8")
    assert figures.unmarked_tables(text) == []
    for table in figures.tables(text):
        assert table.text == figures.made_again(table), table.place


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_figures_in_sentences_are_those_of_their_records(page):
    for paragraph in figures.paragraphs(page.read_text(encoding="utf-8")):
        told = [
            figures.expected(place, line) for place, lines in paragraph.sheets for line in lines
        ]
        assert [said for said, _ in told] == [again for _, again in told]
        if paragraph.sheets:
            listed = [figure for said, _ in told for figure in figures.decimals(said)]
            assert paragraph.figures == listed, paragraph.text
        else:
            unlisted = [figure for figure in paragraph.figures if LIKE_A_RESULT.match(figure)]
            assert not unlisted, paragraph.text


def test_pages_have_figures_to_compare():
    texts = [page.read_text(encoding="utf-8") for page in PAGES[:2]]
    assert all(len(figures.tables(text)) >= 2 for text in texts)
    assert all(sum(len(p.sheets) for p in figures.paragraphs(text)) >= 1 for text in texts)


TABLE = """
<!-- table results/center-baseline | CUB -->

| Model  |  MaxBoxAccV2 |
| ------ | -----------: |
| full   | <u>25.82</u> |
| center |    **56.83** |
"""
SENTENCE = """
The centre has 56.8 points, 31.0 more than
the photograph, of {birds}.

<!-- figures results/center-baseline
56.8 = center | CUB | max_box_acc_v2
31.0 = center | CUB | max_box_acc_v2 minus full | CUB | max_box_acc_v2
-->
"""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("56.83", "56.93"), ("**56.83**", "56.83"), ("Model", "Maps")],
)
def test_a_table_changed_by_hand_is_noticed(right, wrong):
    (table,) = figures.tables(TABLE)
    assert table.text == figures.made_again(table)
    (changed,) = figures.tables(TABLE.replace(right, wrong))
    try:
        again = figures.made_again(changed)
    except ValueError:  # no record is so
        return
    assert changed.text != again
