"""Plots of records: what they say, that nothing overprints, and how they look."""

import subprocess
import sys
import warnings

import matplotlib
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.transforms import Bbox

from wsol.errors import InputError
from wsol.records.record import Cost, Curves
from wsol.results.figures import colour_of, plain, save_figure, told_apart
from wsol.results.plots import AXES, cost_figure
from wsol.results.points import Point, pareto, side_by_side
from wsol.results.threshold_plot import threshold_figure

from support.pictures import check_picture
from support.records import make


def records():
    made = [
        make("resnet50 (width 0.25)", 1_485_080, max_box_acc_v2=49.0),
        make("vgg16_gap (width 0.125)", 300_000, max_box_acc_v2=52.0),
        make("center", 0, max_box_acc_v2=30.0),
    ]
    curves = Curves(thresholds=[0.0, 0.5], all={"0.5": [10, 4000]}, largest=None)
    return [record.model_copy(update={"curves": curves}) for record in made]


def zoo():
    """Networks with costs and intervals, one of them trained from three seeds; baselines."""
    made = []
    for name, millions, giga, side, value in (
        ("resnet18", 11.7, 3.6, 7, 58.1), ("resnet50", 25.6, 8.2, 7, 63.2),
        ("vgg16_gap", 20.5, 32.5, 14, 61.0), ("vgg16_gap (width 0.25)", 1.3, 2.1, 14, 57.8),
    ):  # fmt: skip
        record = make(name, round(millions * 1e6), max_box_acc_v2=value, gt_known_loc=value + 2)
        record.cost = Cost(flops=round(giga * 1e9), map_size=(side, side), latency_ms=giga,
                           latency_device="cpu")  # fmt: skip
        record.intervals = {"max_box_acc_v2": (value - 1.2, value + 1.1)}
        made.append(record)
    for seed, value in enumerate((44.8, 52.0, 59.3)):
        record = make("resnet50 (width 0.125)", 400_000, max_box_acc_v2=value)
        record.settings |= {"training_seed": seed, "weights_fingerprint": str(seed)}
        made.append(record)
    return [*made, make("center", 0, max_box_acc_v2=56.0), make("full", 0, max_box_acc_v2=50.5)]


def by_methods():
    """Four networks by five methods, of which several come to one number; baselines; curves."""
    grid = np.linspace(0, 0.99, 100)

    def curves(peak, scale):
        counts = {
            level: (scale * part * 50 * np.exp(-((grid - peak) ** 2) / 0.08)).astype(int).tolist()
            for level, part in (("0.3", 0.9), ("0.5", 0.7), ("0.7", 0.4))
        }
        return Curves(thresholds=grid.tolist(), all=counts)

    made = []
    for number, (name, millions, side, value) in enumerate((
        ("ResNet-50", 25.6, 7, 63.0), ("SqueezeNet 1.0", 1.25, 13, 60.0),
        ("EfficientNet-Lite0", 4.65, 7, 64.5), ("EfficientNet-Lite1", 5.42, 8, 66.0),
    )):  # fmt: skip
        for place, method in enumerate(("cam", "gradcam", "gradcam++", "layercam", "eigencam")):
            own = value + (0 if number == 1 and place < 4 else 0.8 * (place - 2) ** 2 - 1)
            record = make(name, round(millions * 1e6), max_box_acc_v2=own)
            record.cam_method = method
            record.cost = Cost(flops=1, map_size=(side, side))
            record.intervals = {"max_box_acc_v2": (own - 2.5, own + 1.8)}
            record.curves = curves(0.2 + own / 400, own)
            made.append(record)
    for name, value in (("center", 61.4), ("full", 49.2)):
        made.append(make(name, 0, max_box_acc_v2=value))
        made[-1].settings["baseline"] = name
        made[-1].curves = curves(0.6, value)
    return made


def texts_of(figure):
    """The boxes, in pixels, of all texts that are drawn within the axes and along the x axis."""
    figure.draw_without_rendering()
    axes = figure.axes[0]
    labels = [text.get_window_extent() for text in axes.texts]
    low, high = axes.get_xlim()
    ticks = [
        tick.label1.get_window_extent()
        for tick in axes.xaxis.get_major_ticks() + axes.xaxis.get_minor_ticks()
        if tick.label1.get_text() and low <= tick.get_loc() <= high
    ]
    return labels, ticks


def whiskers_of(axes):
    """The boxes, in pixels, of all vertical lines of intervals."""
    return [
        Bbox(axes.transData.transform(segment))
        for bars in axes.containers
        for line in bars[2]
        for segment in line.get_segments()
    ]


def require_apart(boxes):
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[i + 1 :])


def test_the_plot_names_its_points_axes_and_baselines(tmp_path):
    save_figure(cost_figure(records()), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    for part in ("resnet50", "width 0.25", "vgg16_gap", "center 30.0", "MaxBoxAccV2 (%)",
                 "Parameters"):  # fmt: skip
        assert part in text
    save_figure(cost_figure(records()), tmp_path / "b.svg")
    assert (tmp_path / "b.svg").read_text() == text
    save_figure(cost_figure(records()), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_plot_is_said(tmp_path):
    with pytest.raises(InputError, match=r"No record has pxap; there are max_box_acc_v2"):
        cost_figure(records(), "pxap")
    with pytest.raises(InputError, match="No record of a network has max_box_acc_v2 and latency"):
        cost_figure(records(), against="latency")
    with pytest.raises(InputError, match="--curves"):
        threshold_figure([make("a", 1)])


def test_threshold_curves(tmp_path):
    save_figure(threshold_figure(records()), tmp_path / "a.svg")
    assert "IoU 0.5" in (tmp_path / "a.svg").read_text()


def test_labels_do_not_cover_each_other():
    crowd = [
        make(f"net{i} (width 0.25)", 1_000_000 + 150_000 * i, max_box_acc_v2=50 + 1.3 * (i % 3))
        for i in range(7)
    ]
    crowd += [make(n, 0, max_box_acc_v2=40 + i / 50) for i, n in enumerate(("center", "full"))]
    labels, ticks = texts_of(cost_figure(crowd))
    assert len(labels) == 9
    require_apart(labels)
    require_apart(ticks)


def test_a_label_stands_nearer_to_its_own_point_than_to_another():
    """ "ResNet-18 ADL" stood beside the point of another method of training."""
    values = {"ResNet-18": 57.3, "ResNet-18 HaS": 52.1, "ResNet-18 ADL": 55.4, "CutMix": 56.4}
    made = [make(name, 11_280_000, max_box_acc_v2=value) for name, value in values.items()]
    made += [make("ResNet-50", 23_920_000, max_box_acc_v2=63.6), make("center", 0)]
    made[-1].metrics.max_box_acc_v2 = 56.5
    for records in (made, zoo()):
        figure = cost_figure(records)
        axes = figure.axes[0]
        notes = [note for note in axes.texts if note.xycoords == "data"]
        places = np.array([axes.transData.transform(note.xy) for note in notes])
        for number, note in enumerate(notes):
            box = note.get_window_extent()
            beyond = np.maximum(np.maximum(box.min - places, places - box.max), 0)
            assert np.hypot(*beyond.T).argmin() == number, note.get_text()


@pytest.mark.slow
@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(1_000, 200_000_000), st.floats(0, 100)), min_size=1, max_size=6),
    st.text(st.characters(codec="ascii", min_codepoint=32), min_size=1, max_size=60),
)
@example([(1000, 0.0)] * 3, "0")
@example([(2_000_000, 50.0)] * 3, "a")
@example([(76_000, 1.0)] * 4, "some longer name of a network")
@example([(1100, 0.0), (1101, 9.0)], "0")
def test_ticks_never_touch_and_labels_stay_inside(points, name):
    made = [make(f"{name} {i}", size, max_box_acc_v2=y) for i, (size, y) in enumerate(points)]
    figure = cost_figure(made)
    labels, ticks = texts_of(figure)
    require_apart(ticks)
    assert len(ticks) >= 2
    area = figure.axes[0].bbox
    for box in labels:
        assert area.x0 - 1 <= box.x0 and box.x1 <= area.x1 + 1
        assert area.y0 - 1 <= box.y0 and box.y1 <= area.y1 + 1


def test_two_checkpoints_of_one_size_have_ticks_that_can_be_read():
    """What came out as "60k70k80k90k0.1M"."""
    made = [make("a (one)", 76_000, max_box_acc_v2=50.0), make("a (two)", 76_000, pxap=1.0,
            max_box_acc_v2=52.0)]  # fmt: skip
    _, ticks = texts_of(cost_figure(made))
    assert len(ticks) >= 2
    require_apart(ticks)


def test_every_cost_has_its_axis():
    for against in AXES:
        axes = cost_figure(zoo(), against=against).axes[0]
        heading = {"parameters": "Parameters", "flops": "GFLOPs", "latency": "Latency (ms), cpu",
                   "map-size": "Positions of the map"}[against]  # fmt: skip
        assert axes.get_xlabel() == heading
    axes = cost_figure(zoo(), "gt_known_loc").axes[0]
    assert axes.get_ylabel() == "GT-known Loc (%)"
    mixed = zoo()
    mixed[0].cost.latency_device = "cuda"
    with pytest.raises(InputError, match="do not compare"):
        cost_figure(mixed, against="latency")


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_the_front_is_what_nothing_cheaper_beats(points):
    sizes, values = [x for x, _ in points], [y for _, y in points]
    front = pareto(sizes, values)
    kept = {(sizes[i], values[i]) for i in front}
    assert kept == {
        (x, y) for x, y in points if not any(a <= x and b >= y and (a, b) != (x, y)
                                             for a, b in points)
    }  # fmt: skip
    assert [sizes[i] for i in front] == sorted({x for x, _ in kept})


@pytest.mark.parametrize("number", [2, 3, 4, 7])
def test_each_of_the_curves_that_coincide_shows_equally_long(number):
    line = np.linspace(0, 90, 50)
    assert told_apart([line, line + 30], 0.7) == [{}, {}]
    styles = told_apart([line + 30, *(line + 0.01 * i for i in range(number))], 0.7)
    assert styles[0] == {} and styles[1] == {"ls": "-"}
    period = 5 * number
    seen = np.ones(period, dtype=int)  # the first one, beneath
    for curve, style in enumerate(styles[2:], 2):
        offset, (on, off) = style["ls"]
        assert on + off == period
        at = (np.arange(period) + 0.25 + offset) % period
        seen[at < on] = curve
    assert sorted(np.bincount(seen)[1:]) == [5] * number


def test_methods_of_a_network_are_told_apart_by_the_legend():
    made = by_methods()
    for against in ("parameters", "map-size"):
        figure = cost_figure(made, against=against)
        (legend,) = figure.legends
        labels = [text.get_text() for text in legend.get_texts()]
        assert {label for label in labels if label} == {
            "CAM", "Grad-CAM", "Grad-CAM++", "LayerCAM", "Eigen-CAM",
            *(record.model for record in made if record.parameters),
        }  # fmt: skip
        axes = figure.axes[0]
        dots = [bars.lines[0] for bars in axes.containers]
        looks = {(dot.get_color(), dot.get_marker()) for dot in dots}
        places = {round(float(dot.get_xdata()[0]), 3) for dot in dots}
        assert len(dots) == len(looks) == len(places) == 20
        texts, ticks = texts_of(figure)
        assert len(texts) == 2  # the baselines
        require_apart(texts)
        for box in texts:
            assert not any(box.overlaps(whisker) for whisker in whiskers_of(axes))
        require_apart(ticks)


def test_of_one_method_too_many_points_for_labels_go_into_the_legend():
    crowd = [
        make(f"n{number:02} with a long name", 1_000_000 + number, max_box_acc_v2=50 + number / 90)
        for number in range(30)
    ]
    figure = cost_figure(crowd)
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts() if text.get_text()]
    assert sorted(labels) == [record.model for record in crowd]
    assert len(figure.axes[0].texts) == 0
    dots = [bars.lines[0] for bars in figure.axes[0].containers]
    looks = {(dot.get_color(), dot.get_marker(), dot.get_markerfacecolor()) for dot in dots}
    assert len(looks) == 30


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from([1e6, 1.3e6, 5e6, 5.01e6, 4e7])),
        min_size=1, max_size=25,
    )
)  # fmt: skip
def test_points_of_one_cost_stand_beside_each_other_and_apart_from_others(named):
    points = [Point(network, str(i), x, 1.0, None) for i, (network, x) in enumerate(named)]
    at = np.log(side_by_side(points, 90.0)) * 90.0
    exact = np.log([x for _, x in named]) * 90.0
    assert len(set(at.round(6))) == len(points) or np.isclose(exact, exact[0]).any()
    for one in range(len(points)):
        for other in range(len(points)):
            if exact[one] - exact[other] > 3:  # not of one column
                assert at[one] > at[other]
    for x in set(exact):
        own = at[exact == x]
        assert len(set(own.round(6))) == len(own)


def test_a_row_a_network_where_methods_have_curves():
    figure = threshold_figure(by_methods())
    assert len(figure.axes) == 4 * 3
    told = [axes.get_ylabel() for axes in figure.axes[::3]]
    assert [text.partition("\n")[0] for text in told] == [
        "ResNet-50", "SqueezeNet 1.0", "EfficientNet-Lite0", "EfficientNet-Lite1",
    ]  # fmt: skip
    labels = {text.get_text() for text in figure.legends[0].get_texts()} - {""}
    assert labels == {
        "CAM", "Grad-CAM", "Grad-CAM++", "LayerCAM", "Eigen-CAM", "center", "full"
    }  # fmt: skip
    for axes in figure.axes:
        curves = [line for line in axes.lines if len(line.get_xdata()) > 1]
        assert len({line.get_color() for line in curves[:5]}) == 5 and len(curves) == 7
    many = [make(f"net{number}", 1) for number in range(14)]
    for record in many:
        record.curves = by_methods()[0].curves
    assert len(threshold_figure(many).axes) == 2 * 3
    assert len({colour_of(number) for number in range(12)}) == 12


def test_curves_that_coincide_are_told_apart():
    figure = threshold_figure(records())
    styles = {str(curve.get_linestyle()) for curve in figure.axes[0].lines if len(curve.get_xdata())
              > 1}  # fmt: skip
    assert len(styles) > 1


def test_names_of_any_characters_are_drawn_without_a_warning():
    made = [
        make(f"a{end} (x)", 10**6 + 9_000 * number, max_box_acc_v2=50.0 + number)
        for number, end in enumerate(("\x7f", "$x^", "\\$", "\x1b[31m", "\u202e", "_{", "%"))
    ]
    for record in made:
        record.curves = Curves(thresholds=[0.0, 0.5], all={"0.5": [10, 4000]}, largest=None)
    methods = [record.model_copy(update={"cam_method": "m\x7f$_"}) for record in made]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for records in (made, made + methods):
            cost_figure(records).draw_without_rendering()
            threshold_figure(records).draw_without_rendering()


def test_long_names_lose_their_middle():
    short = plain("efficientnet_lite:lite0 at 224 pixels", 21)
    assert short.startswith("efficient") and short.endswith("pixels") and len(short) <= 21
    assert plain("$x$") == r"\$x\$"


def test_another_format_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a\.gif: its name must end in \.png, \.svg or \.pdf"):
        save_figure(cost_figure(records()), tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []


def test_the_backend_of_a_notebook_stays():
    code = (
        "import matplotlib; matplotlib.use('svg'); import wsol.results.plots, sys;"
        "import wsol.results.image_plots, wsol.results.example_grid, wsol.results.overlay_picture;"
        "assert matplotlib.get_backend() == 'svg' and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    before = dict(matplotlib.rcParams)
    cost_figure(records())
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("against", ["parameters", "map-size"])
def test_cost_looks_as_it_did(tmp_path, against):
    check_picture(cost_figure(zoo(), against=against), f"cost-{against}", tmp_path)


def test_thresholds_look_as_they_did(tmp_path):
    made = zoo()
    grid = np.linspace(0, 0.99, 100)
    for number, record in enumerate(made):
        peak = 0.3 + 0.05 * number
        counts = {
            level: (5000 * scale * np.exp(-((grid - peak) ** 2) / 0.08)).astype(int).tolist()
            for level, scale in (("0.3", 0.9), ("0.5", 0.7), ("0.7", 0.4))
        }
        record.curves = Curves(thresholds=grid.tolist(), all=counts)
    made[1].curves = made[0].curves
    check_picture(threshold_figure(made), "thresholds", tmp_path)


@pytest.mark.parametrize("draw", [cost_figure, threshold_figure])
@pytest.mark.parametrize("made", [records, by_methods])
def test_what_is_drawn_keeps_its_look_in_any_order(draw, made):
    def looks(drawn):
        (legend,) = drawn.legends
        texts = [text.get_text() for text in legend.get_texts()]
        handles = [
            (h.get_color(), h.get_linestyle(), h.get_marker()) for h in legend.legend_handles
        ]
        return dict(zip(texts, handles, strict=True))

    found = made()
    forward, backward = draw(found), draw(found[::-1])
    if forward.legends:
        assert looks(forward) == looks(backward)


@pytest.mark.parametrize("draw", [cost_figure, threshold_figure])
def test_methods_look_as_they_did(tmp_path, draw):
    check_picture(draw(by_methods()), f"methods-{draw.__name__}", tmp_path)
