"""A metric has one entry, from which its column and its heading follow."""

from wsol.metrics.catalog import HEADLINE, IMAGE_METRICS, METRICS, heading
from wsol.records.record import Metrics
from wsol.results.columns import columns_of, frame

from support.records import make


def test_every_number_of_a_record_is_in_the_catalog():
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    assert set(names) == set(Metrics.single_numbers())
    assert set(HEADLINE) <= set(names)


def test_columns_are_those_of_the_catalog():
    record = make("a", 1, **{metric.name: 50.0 for metric in METRICS}, rank_accuracy=40.0)
    columns = columns_of(frame([record]))
    for metric in METRICS:
        column = columns[metric.name]
        assert (column.heading, column.better) == (metric.heading, metric.better)
        assert (column.shown == "asked") == metric.asked
        assert (f"{metric.name}_error" in columns) == metric.error
    assert columns["rank_accuracy"].heading == heading("rank_accuracy") == "Rank acc."


def test_headings():
    assert heading("max_box_acc_v2") == "MaxBoxAccV2"
    assert heading("my_metrics:centre_inside") == "centre inside"
    assert all(heading(name) for name in IMAGE_METRICS)
