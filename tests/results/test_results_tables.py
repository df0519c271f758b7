"""Tables to the last character, and records that survive the disk."""

import csv
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from wsol.errors import InputError
from wsol.maps.methods.catalog import METHODS
from wsol.records.record import (
    Cost,
    find_records,
    read_records,
    write_record,
)
from wsol.results.cells import Layout
from wsol.results.columns import frame, method_heading
from wsol.results.table import (
    data_frame,
    table_cells,
    terminal_table,
    to_csv,
    to_html,
    to_latex,
    to_markdown,
)
from wsol.results.thresholds_table import thresholds_table

from support.records import make


def records():
    return [
        make("resnet50", 25_557_032, top1_loc=50.126, max_box_acc_v2=63.0, box_acc={"0.5": 70.0}),
        make("vgg16_gap", 20_459_304, top1_loc=51.0, max_box_acc_v2=63.001, box_acc={"0.5": 60.0}),
        make("center", 0, max_box_acc_v2=56.8, box_acc={"0.5": 59.6}),
    ]


def test_markdown():
    lines = to_markdown(records()).splitlines()
    assert len({len(line) for line in lines}) == 1
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["Model", "Params (M)", "Top-1 Loc", "MaxBoxAccV2", "@0.5"]
    assert cells[2] == ["resnet50", "25.56", "<u>50.13</u>", "**63.00**", "**70.00**"]
    assert cells[3] == ["vgg16\\_gap", "20.46", "**51.00**", "**63.00**", "<u>60.00</u>"]
    assert cells[4] == ["center", "0", "–", "<u>56.80</u>", "59.60"]


def test_csv_has_every_digit():
    rows = to_csv(records()).splitlines()
    assert "50.126" in rows[1] and "25557032" in rows[1]
    assert rows[0].startswith("model,parameters,dataset,split,num_images")
    assert list(frame(records())["box_acc_0.5"]) == [70, 60, 59.6]


def test_latex_is_complete_and_escaped():
    hostile = make("a_b & 5% \\z{x}", 1, top1_loc=3.0)
    text = to_latex([*records(), hostile], Layout(preset="all"))
    assert r"a\_b \& 5\%" in text and r"\textbackslash{}z\{x\}" in text
    check_latex(text)
    assert text.count("\\\\\n") == 6  # two lines of headings
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"\textbf{51.00}"):
        assert part in text
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    rows = [line.replace(r"\&", "") for line in body if "addlinespace" not in line]
    assert {row.count("&") for row in rows} == {4}


def test_markdown_escapes_names():
    text = to_markdown([make("<b>|*x*\n`", 1, top1_loc=1.0)])
    assert "\\<b\\>\\|\\*x\\*" in text and len(text.splitlines()) == 3


def test_the_terminal_shows_hostile_names_as_they_are():
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(terminal_table([make("[red]x[/red]", 1, top1_loc=1.0)]))
    assert "[red]x[/red]" in console.export_text()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_a_terminal_too_narrow_for_the_table_loses_nothing(width):
    values = {name: 10.25 + i for i, name in enumerate(("top1_loc", "max_box_acc_v2", "pxap"))}
    values |= {"gt_known_loc": 31.5, "max_box_acc": 32.75, "top1_cls": 99.5, "top5_cls": 98.5}
    long = make("a network (of a long, long name, and more)", 25_557_032, **values)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(terminal_table([long, make("short", 7, **values)]))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    for value in values.values():
        assert words.count(f"{value:.2f}") == 2
    for heading in ("MaxBoxAccV2", "MaxBoxAcc", "PxAP", "GT-known"):
        assert words.count(heading) == 1
    assert words.count("25.56") == 1
    assert words.count("Model") == words.count("short")
    assert (words.count("Model") == 1) == (width == 160)


def test_a_single_row_is_not_marked():
    _, ((model, parameters, value),) = table_cells([make("a", 1, top1_loc=1.0)])
    assert value.rank is None and parameters.rank is None and model.text == "a"


def test_data_sets_do_not_mix():
    mixed = [make("a", 1, top1_loc=1.0), make("a", 1, "ILSVRC", top1_loc=1.0)]
    with pytest.raises(InputError, match="CUB test, ILSVRC test"):
        to_markdown(mixed)
    with pytest.raises(InputError):
        terminal_table(mixed)
    grouped = to_markdown(mixed, Layout(group_by=("dataset",)))
    assert grouped.count("| Model") == 2 and "**ILSVRC test, 5,794 images**" in grouped
    with pytest.raises(InputError, match="no record"):
        to_markdown([])


def test_a_record_survives_the_disk(tmp_path):
    record = records()[0]
    write_record(record, tmp_path / "r.json")
    assert read_records(tmp_path / "r.json") == [record]
    data = json.loads((tmp_path / "r.json").read_text())
    assert data["schema"] == "wsol.record/2" and "curves" not in data
    (tmp_path / "list.json").write_text(json.dumps([data, data]))
    assert read_records(tmp_path / "list.json") == [record, record]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "wsol.record/99"}, "has the schema 'wsol.record/99'"),
        ({"parameters": "many"}, "field parameters"),
        ({"metrics": {"top1_loc": "x"}}, r"field metrics\.top1_loc"),
        ({"surprise": 1}, "field surprise"),
    ],
)
def test_other_records_are_refused_by_file_and_field(tmp_path, change, message):
    data = json.loads(records()[0].to_json()) | change
    (tmp_path / "r.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=rf"r\.json: record 0.*{message}"):
        read_records(tmp_path / "r.json")


def test_files_that_are_no_record(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_records(tmp_path / "none.json")
    (tmp_path / "r.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        read_records(tmp_path / "r.json")
    (tmp_path / "r.json").write_text("[3]")
    with pytest.raises(InputError, match="has the schema None"):
        read_records(tmp_path / "r.json")


HOSTILE = [
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "-2+3",
    "+1",
    "[red]x[/red]\\",
    "*bold* [link](javascript:x) & <script>alert(1)</script>",
    r"\input{/etc/passwd} $x^2$ %#~_{}",
    "two\nlines\tand\x1b[31mred\x07 \u202egnp.exe",
    "",
]


def hostile_records():
    return [make(name, number, top1_loc=number) for number, name in enumerate(HOSTILE, 1)]


def check_latex(text):
    """Balanced braces and environments, and as many cells in every row as columns."""
    text = "\n".join(line for line in text.splitlines() if not line.startswith("% "))
    plain = re.sub(r"\\[\\{}&%$#_]", "", text.replace(r"\\", "\0"))
    depth = 0
    for character in plain:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert not re.search(r"[#%$^~_]", re.sub(r"\$(-|\\times|\\pm)\$", "", plain))
    assert re.findall(r"\\begin{(\w+)}", plain) == re.findall(r"\\end{(\w+)}", plain)
    for columns, body in re.findall(
        r"\\begin{tabular}{@{}([lr]+)@{}}(.*?)\\end{tabular}", plain, re.S
    ):
        rows = [row for row in body.split("\0") if "&" in row]
        assert {row.count("&") for row in rows} == {len(columns) - 1}
        # What follows a line break or a rule must not look like its argument.
        assert not re.search(r"(\0|rule)\s*[\[*]", body)


def test_latex_of_hostile_names():
    check_latex(to_latex(hostile_records()))
    check_latex(to_latex(costly(), Layout(group_by=("dataset",), against="published")))


def has_latex():
    """Whether LaTeX is here, with booktabs."""
    if not (shutil.which("pdflatex") and shutil.which("kpsewhich")):
        return False
    return subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True).returncode == 0


def repeated(seeds=3):
    """A network trained from several seeds, and what was trained once."""
    made = []
    for seed in range(seeds):
        record = make("ResNet-50 (width 0.125)", 400_000, top1_loc=10.0 + seed, gt_known_loc=50.0,
                      max_box_acc=50.0 + 2 * seed, max_box_acc_v2=44.8 + 7.25 * seed)  # fmt: skip
        record.settings |= {"training_seed": seed, "weights_fingerprint": str(seed)}
        made.append(record)
    once = make("VGG-GAP", 1_270_000, top1_loc=10.13, gt_known_loc=52.35, max_box_acc_v2=57.79)
    return [*made, once]


def with_intervals(made):
    for record in made:
        values = record.metrics.model_dump()
        record.intervals = {
            name: (value - 0.5, value + 0.75)
            for name, value in values.items()
            if isinstance(value, float)
        }
    return made


COMMITTED = Path(__file__).parents[2] / "results"


def papers():
    """Tables as papers print them; each has to fit one column of two."""
    plain, grouped = Layout(), Layout(group_by=("dataset",))
    spread = Layout(intervals=True)
    for folder in ("tiny-imagenet-lite", "tiny-imagenet-training", "center-baseline"):
        yield to_latex(find_records([COMMITTED / folder]), grouped)
    yield to_latex(repeated(), plain)
    yield to_latex(with_intervals(repeated()), spread)
    yield to_latex(hostile_records(), plain)
    yield to_latex([make("ein" * 30, 1, top1_loc=1.0), make("W" * 60, 2, top1_loc=2.0)], plain)


def test_repeated_trainings_are_one_row():
    layout = Layout(columns=("model", "seeds", "max_box_acc_v2"), sort="max_box_acc_v2")
    text = to_markdown(repeated(), layout)
    assert text.count("ResNet-50") == 1
    # The mean of 44.8, 52.05 and 59.3, and their standard deviation.
    assert "52.05</u> ± 7.25 |" in text and "standard deviation over 3 seeds" in text
    row = next(csv.DictReader(io.StringIO(to_csv(repeated()))))
    assert float(row["max_box_acc_v2"]) == pytest.approx(52.05)
    assert float(row["max_box_acc_v2_std"]) == pytest.approx(7.25)
    assert data_frame(repeated())["MaxBoxAccV2"].tolist() == pytest.approx([52.05, 57.79])
    other = repeated(2)
    other[1].settings["training_recipe"] = "another"
    assert to_markdown(other, layout).count("ResNet-50") == 2
    untold = repeated(2)
    for record in untold:
        record.settings.pop("training_seed", None)
    assert to_markdown(untold).count("ResNet-50") == 2


def test_intervals_of_repeated_trainings_alone_leave_the_deviation():
    seeds = repeated()[:3]
    layout = Layout(columns=("model", "seeds", "max_box_acc_v2"), intervals=True)
    with pytest.raises(InputError, match="no record has intervals"):
        to_markdown(seeds, layout)
    text = to_markdown(with_intervals(seeds), layout)
    assert "| 52.05 ± 7.25 |" in text and "standard deviation over 3 seeds" in text
    assert "of one run" not in text


def test_intervals_stand_behind_numbers():
    made = with_intervals(records())
    made[2].intervals = None
    layout = Layout(columns=("model", "parameters", "top1_loc", "top1_loc_error"), intervals=True)
    text = to_markdown(made, layout)
    assert "25.56 | <u>50.13</u> ± 0.63 | <u>49.87</u> ± 0.63 |" in text
    assert "half of the 95 % interval" in text and text.count("±") == 5
    # The interval reaches from 0.5 below to 0.75 above.
    assert "middle is not the number itself" in text and "At most 0.13 here" in text
    centred = with_intervals(records())
    for record in centred:
        for name, (low, high) in record.intervals.items():
            record.intervals[name] = (low, high - 0.25)
    assert "middle is not" not in to_markdown(centred, layout)
    assert r"$\pm$0.63" in to_latex(made, layout) and " ± 0.63</td>" in to_html(made, layout)
    row = next(csv.DictReader(io.StringIO(to_csv(made, layout))))
    assert float(row["top1_loc_interval_half"]) == 0.625
    assert [float(row[f"top1_loc_error_interval_{end}"]) for end in ("low", "high")] == (
        pytest.approx([100 - 50.126 - 0.75, 100 - 50.126 + 0.5])
    )
    with pytest.raises(InputError, match="wsol stats RECORD --update"):
        to_markdown(records(), layout)


def test_columns_that_tell_nothing_are_left_out():
    made = records()
    assert "latency_device" not in to_csv(made).splitlines()[0]
    assert "pxap" not in to_csv(made).splitlines()[0]
    headings = to_markdown(made, Layout(preset="paper")).splitlines()[0]
    assert [cell.strip() for cell in headings.strip("|").split("|")] == [
        "Model", "Method", "Params (M)", "Top-1 Loc", "MaxBoxAccV2",
    ]  # fmt: skip
    for number, record in enumerate(made):
        record.settings["weights"] = f"{number}.pt"
    assert "Weights" not in to_markdown(made)
    made[1].model = made[0].model
    assert "Weights" in to_markdown(made)


def test_methods_are_called_as_in_papers():
    made = [make(name, 1, top1_loc=1.0) for name in "abcd"]
    made[1].settings["training_method"] = "has"
    made[2].cam_method = "gradcam"
    made[3].cam_method, made[3].settings["training_method"] = "gradcam", "acol"
    assert frame(made)["method"].tolist() == ["CAM", "HaS", "Grad-CAM", "ACoL, Grad-CAM"]
    assert all(method_heading(name) == method.title for name, method in METHODS.items())


@pytest.mark.parametrize("paper", list(papers()))
def test_a_paper_s_table_fits_one_column(paper):
    assert "too wide" not in paper
    check_latex(paper)


@pytest.mark.skipif(not has_latex(), reason="there is no LaTeX with booktabs here")
def test_latex_compiles_without_an_overfull_box(tmp_path):
    body = "\n\n".join(papers())
    wide = to_latex(costly(), Layout(against="published"))
    text = (
        "\\documentclass[twocolumn,a4paper]{article}\\usepackage{booktabs}\\begin{document}"
        f"{body}\\begin{{table*}}{wide}\\end{{table*}}\\end{{document}}"
    )
    (tmp_path / "t.tex").write_text(text)
    command = ["pdflatex", "-halt-on-error", "-no-shell-escape", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in (tmp_path / "t.log").read_text(errors="replace")


def test_csv_holds_no_formula():
    rows = list(csv.reader(io.StringIO(to_csv(hostile_records()))))
    names = [row[0] for row in rows[1:]]
    assert names[:4] == ["'" + name for name in HOSTILE[:4]]
    assert not any(name.startswith(("=", "+", "-", "@", "\t", "\r")) for name in names)
    negative = make("a", 1)
    negative.metrics.top1_loc = -1.5  # no record has that, but numbers are no names
    assert "-1.5" in to_csv([negative]).splitlines()[1].split(",")


class Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.texts = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)


def test_html_shows_hostile_names_as_they_are():
    page = Cells()
    page.feed(to_html(hostile_records()))
    assert {tag for tag, _ in page.tags} == {
        "table", "caption", "thead", "tr", "th", "tbody", "td",
    }  # fmt: skip
    assert HOSTILE[5] in page.texts and HOSTILE[0] in page.texts


def test_html_has_a_class_a_rank():
    page = Cells()
    page.feed(to_html(records()))
    classes = [attributes["class"] for tag, attributes in page.tags if tag == "td"]
    assert classes[:5] == ["text", "number", "number second", "number best", "number best"]


def test_nothing_reaches_the_terminal_but_text():
    stream = io.StringIO()
    console = Console(width=200, file=stream, force_terminal=True, color_system="truecolor")
    console.print(terminal_table(hostile_records()))
    shown = stream.getvalue()
    assert "\x1b[31m" not in shown and "\x07" not in shown and "\u202e" not in shown
    assert "[red]x[/red]\\" in shown


def test_markdown_of_hostile_names_keeps_its_shape():
    lines = to_markdown(hostile_records()).splitlines()
    assert len(lines) == 2 + len(HOSTILE)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}
    assert r"\<script\>" in lines[7] and r"\[link\]" in lines[7]


def costly():
    """Two networks with costs and a baseline without, ILSVRC's validation images."""
    made = [
        make("vgg16_gap", 20_459_304, "ILSVRC", top1_loc=43.5, max_box_acc_v2=61.0),
        make("resnet50", 25_557_032, "ILSVRC", top1_loc=52.155, max_box_acc_v2=63.0),
        make("center", 0, "ILSVRC", max_box_acc_v2=53.36),
    ]
    made[0].cost = Cost(flops=32_544_997_376, map_size=(14, 14), latency_ms=9.04,
                        latency_device="cuda")  # fmt: skip
    made[1].cost = Cost(flops=8_178_368_512, map_size=(7, 7), latency_ms=7.96,
                        latency_device="cuda")  # fmt: skip
    for record in made:
        record.num_images = 50_000
        record.settings |= {"fixed_threshold": 0.2, "iou_levels": [0.3, 0.5, 0.7]}
    made[0].intervals = {"top1_loc": (43.0, 44.0)}
    return made


def test_costs_stand_between_parameters_and_metrics():
    headings, rows = table_cells(costly())
    assert headings[:6] == ["Model", "Params (M)", "GFLOPs", "Map", "Latency (ms)", "Top-1 Loc"]
    assert [cell.text for cell in rows[0][:5]] == ["vgg16_gap", "20.46", "32.54", "14×14", "9.0"]
    assert [cell.text for cell in rows[2][:5]] == ["center", "0", "–", "–", "–"]
    # The less the better, and parameters are not judged.
    assert [[row[c].rank for row in rows] for c in (1, 2, 3, 4)] == [
        [None, None, None], [2, 1, None], [None, None, None], [2, 1, None],
    ]  # fmt: skip


def test_times_of_two_machines_are_not_ranked():
    made = costly()
    made[1].cost.latency_device = "cpu, 2 threads, fp32"
    _, rows = table_cells(made)
    assert [row[4].rank for row in rows] == [None, None, None]


def test_figures_are_rounded_by_hand():
    layout = Layout(columns=("model", "top1_loc", "top1_loc_error"), digits=2)
    assert "52.16" in to_markdown(costly(), layout) and "47.85" in to_markdown(costly(), layout)
    for value, digits, text in ((48.05, 1, "48.1"), (49.5, 0, "50"), (52.15, 1, "52.2")):
        layout = Layout(columns=("top1_loc",), digits=digits)
        last = to_markdown([make("a", 1, top1_loc=value)], layout).splitlines()[-1]
        assert last.strip("| ") == text


def test_errors_are_best_where_they_are_low():
    text = to_markdown(costly(), Layout(columns=("model", "top1_loc_error")))
    assert "**47.85**" in text and "<u>56.50</u>" in text


def test_no_best_no_mark():
    text = to_markdown(records(), Layout(best="none"))
    assert "**" not in text and "<u>" not in text


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("max_box_acc_v2", ["vgg16_gap", "resnet50", "center"]),
        ("max_box_acc_v2:asc", ["center", "resnet50", "vgg16_gap"]),
        ("parameters", ["center", "vgg16_gap", "resnet50"]),
        ("parameters:desc", ["resnet50", "vgg16_gap", "center"]),
        ("top1_loc:asc", ["resnet50", "vgg16_gap", "center"]),
        ("top1_loc:desc", ["vgg16_gap", "resnet50", "center"]),
        ("model", ["center", "resnet50", "vgg16_gap"]),
        ("box_acc_0.5", ["resnet50", "vgg16_gap", "center"]),
        (None, ["resnet50", "vgg16_gap", "center"]),
    ],
)
def test_sorting(sort, order):
    names = [line.split(",")[0] for line in to_csv(records(), Layout(sort=sort)).splitlines()[1:]]
    assert names == order


def test_map_sizes_sort_by_area():
    layout = Layout(columns=("model", "map_size"), sort="map_size:desc")
    assert to_csv(costly(), layout).splitlines()[1:] == [
        "vgg16_gap,14x14", "resnet50,7x7", "center,",
    ]  # fmt: skip


def test_csv_keeps_whole_numbers_whole():
    layout = Layout(columns=("model", "flops", "parameters"))
    assert to_csv(costly(), layout).splitlines()[1:] == [
        "vgg16_gap,32544997376,20459304", "resnet50,8178368512,25557032", "center,,0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (Layout(columns=("model", "top1_lok")), "did you mean top1_loc"),
        (Layout(sort="nothing"), "no column 'nothing'"),
        (Layout(sort="model:up"), "expected COLUMN"),
        (Layout(group_by=("colour",)), "no grouping by 'colour', only by dataset"),
    ],
)
def test_unknown_names_are_refused(layout, message):
    for write in (to_markdown, to_csv, to_latex, to_html, terminal_table):
        with pytest.raises(InputError, match=message):
            write(records(), layout)


def test_other_conventions_and_counts_do_not_mix():
    exact, fewer, levels = make("a", 1), make("b", 1), make("c", 1)
    exact.settings["convention"] = "exact"
    fewer.num_images = 100
    levels.settings["iou_levels"] = [0.5]
    for other, name in ((exact, "convention"), (levels, "convention"), (fewer, "images")):
        mixed = [*records(), other]
        for write in (to_markdown, to_csv, to_latex, to_html, terminal_table):
            with pytest.raises(InputError, match=f"--group-by {name}"):
                write(mixed)
        assert to_markdown(mixed, Layout(group_by=("dataset", name))).count("| Model") == 2
    # A grouping does not excuse what it leaves mixed.
    with pytest.raises(InputError, match="conventions"):
        to_markdown([*records(), exact], Layout(group_by=("dataset",)))


def test_sections_are_ranked_apart_and_keep_their_order():
    mixed = [make("z", 1, "ILSVRC", top1_loc=3.0), make("a", 1, "CUB", top1_loc=1.0),
             make("y", 1, "ILSVRC", top1_loc=4.0), make("b", 1, "CUB", top1_loc=2.0)]  # fmt: skip
    layout = Layout(group_by=("dataset",), sort="top1_loc")
    for text in (to_markdown(mixed, layout), to_latex(mixed, layout), to_html(mixed, layout)):
        places = [text.index(word) for word in ("ILSVRC test", "4.00", "3.00", "CUB test", "2.00")]
        assert places == sorted(places)
    assert to_markdown(mixed, layout).count("**4.00**") == 1
    assert to_markdown(mixed, layout).count("**2.00**") == 1


def test_a_published_number_stands_beside_its_reproduction():
    layout = Layout(columns=("model", "top1_loc", "max_box_acc_v2"), against="published")
    made = costly()
    made[1].cost = made[1].cost.model_copy(update={"map_size": (28, 28)})  # the protocol's
    made[0].intervals = {"max_box_acc_v2": (60.5, 61.5)}
    lines = to_markdown(made, layout).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:5]]
    # The Top-1 Loc of Zhou et al. is of another convention.
    assert cells[0] == ["Model", "Top-1 Loc", "MaxBoxAccV2", "vs. publ."]
    assert cells[2][2:] == ["<u>61.00</u>", "+1.00 outside CI"]
    assert cells[3][2:] == ["**63.00**", "−0.70"]
    assert cells[4][2:] == ["53.36", "–"]
    assert any("against 63.7" in line and "Choe et al. 2020" in line for line in lines[5:])
    row = next(csv.DictReader(io.StringIO(to_csv(made, layout))))
    assert float(row["max_box_acc_v2_published"]) == 60.0
    assert float(row["max_box_acc_v2_difference"]) == pytest.approx(1.0)
    assert row["max_box_acc_v2_published_in_interval"] == "False"
    assert row["max_box_acc_v2_source"].startswith("http")
    # A map of another size is another thing.
    assert "vs. publ." not in to_markdown(costly()[1:2], layout)
    text = to_markdown(records(), Layout(against="published"))
    assert "vs. publ." not in text and "No published number" in text


def test_thresholds_side_by_side():
    record = make(
        "resnet50", 1, gt_known_loc=58.8, top1_loc=40.0, max_box_acc=65.0, max_box_acc_v2=60.0,
        max_box_acc_chosen=64.0, max_box_acc_v2_chosen=59.0,
        loc_at={"otsu": {"gt_known_loc": 61.0, "top1_loc": 44.0, "max_box_acc_v2": 55.0},
                "best": {"gt_known_loc": 65.0, "top1_loc": 48.0}},
    )  # fmt: skip
    record.settings["threshold_policy"] = {
        "gt_known_loc": "fixed at 0.2",
        "max_box_acc": "best on the evaluated split (oracle)",
        "max_box_acc_chosen": "chosen on CUB val (500 images)",
    }
    console = Console(width=120, file=io.StringIO())
    console.print(thresholds_table(record))
    lines = [re.split(r" {2,}", line.strip()) for line in console.file.getvalue().splitlines()]
    assert lines[0] == ["resnet50, choe2020, by threshold:"]
    assert lines[1:] == [
        ["Threshold", "GT-known Loc", "Top-1 Loc", "MaxBoxAccV2"],
        ["fixed at 0.2", "58.80", "40.00"],
        ["best on the evaluated split (oracle)", "65.00", "48.00", "60.00"],
        ["chosen on CUB val (500 images)", "64.00", "59.00"],
        ["otsu of each map, without boxes", "61.00", "44.00", "55.00"],
    ]
