"""Published numbers as rows beside records, with marks, footnotes and sources."""

import csv
import io
import re

from wsol.results.cells import Layout
from wsol.results.published_rows import cited_sources, published_notes, published_rows
from wsol.results.table import to_csv, to_markdown

from support.records import make


def test_rows_of_the_same_images_and_convention():
    own = make("mine", 1_000_000, max_box_acc_v2=64.0)
    rows = published_rows([own])
    shown = [(record.model, record.cam_method) for record in rows.records]
    assert ("ResNet-50 [1]", "acol") in shown and len(shown) == 22
    assert all(record.metrics.gt_known_loc is None for record in rows.records)
    assert rows.left_out > 15
    text = to_markdown([own, *rows.records])
    assert "| mine " in text
    assert re.search(r"\| ResNet-50 \\\[1\\\] +\| ACoL +\| +– \| +– \| +66.50 \|", text)
    assert [s.key for s in cited_sources([own, *rows.records])] == ["choe2020"]
    (note,) = published_notes(rows.records)
    assert note.startswith("[1] Published: Choe, Oh, Lee, Chun, Akata, Shim: Evaluating Weakly")
    assert "https://arxiv.org/abs/2001.07437 (main table (MaxBoxAccV2)" in note


def test_every_convention_has_its_own_section():
    own = make("mine", 1_000_000, gt_known_loc=64.0)
    rows = published_rows([own], every_convention=True)
    assert rows.left_out == 0
    text = to_markdown([own, *rows.records], Layout(group_by=("convention",)))
    assert text.index("choe2020**") < text.index("convention not stated**")
    assert "5,794 images, sat**" in text and " 98.45 |" in text
    notes = published_notes(rows.records)
    assert [int(note[1 : note.index("]")]) for note in notes] == list(range(1, len(notes) + 1))
    (bas,) = (note for note in notes if "Background Activation" in note)
    assert "top1_loc is 41.06 here and 44.2 elsewhere." in bas
    assert "Not checked in a second place." in bas
    (psol,) = (note for note in notes if "Rethinking the Route" in note)
    assert "EfficientNet-B7 says the class." in psol


def test_a_method_and_a_source_are_always_told():
    own = make("mine", 1, top1_loc=70.0)
    own.settings["convention"] = "sat"
    (row,) = published_rows([own]).records
    text = to_markdown([own, row])
    assert re.search(r"\| DeiT-S \\\[1\\\] +\| SAT +\|", text)
    first, second = csv.DictReader(io.StringIO(to_csv([own, row])))
    assert first["source"] == "" and "https://arxiv.org/abs/2303.10438" in second["source"]


def test_other_images_have_none():
    other = make("mine", 1, dataset="shapes", max_box_acc_v2=64.0)
    rows = published_rows([other], every_convention=True)
    assert (rows.records, rows.left_out, published_notes([other])) == ([], 0, [])
    few = make("mine", 1, max_box_acc_v2=64.0)
    few.num_images = 100
    assert published_rows([few], every_convention=True).records == []


def test_classification_joins_the_row_of_the_network():
    own = make("mine", 1, dataset="ILSVRC", top1_loc=40.0)
    own.num_images = 50_000
    own.settings["convention"] = "zhou2016"
    rows = {(r.model, r.cam_method): r.metrics for r in published_rows([own]).records}
    both = rows["VGGnet-GAP [1]", "cam"]
    assert (both.top1_loc, both.top1_cls) == (42.8, 66.6)
    assert ("VGGnet [1]", "classifier") not in rows


def test_a_number_of_no_known_convention_stands_in_no_row_of_one():
    """DA-WSOL's MaxBoxAccV2 is the released protocol's, its localizations are otherwise made."""
    own = make("mine", 1, dataset="ILSVRC", gt_known_loc=40.0)
    own.num_images = 50_000
    found = [r.metrics for r in published_rows([own]).records if r.cam_method == "da-wsol"]
    assert [(one.max_box_acc_v2, one.gt_known_loc) for one in found] == [(68.23, None)]
    every = published_rows([own], every_convention=True).records
    others = [r for r in every if r.cam_method == "da-wsol" and r.metrics.gt_known_loc == 70.27]
    assert len(others) == 1 and "convention" not in others[0].settings
