"""The page stands alone, is safe, and does in a browser what it says."""

import json
import os
import re
import shutil
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from wsol.errors import InputError
from wsol.records.outcomes import read_outcomes
from wsol.records.record import read_records, write_record
from wsol.results.report import ReportOptions, write_report
from wsol.results.report_data import curves_of
from wsol.results.sources import read_sources

from support.records import make, outcome, write_photographs, write_run

HOSTILE = "</script><script>alert(1)</script>\"'&\u2028$x"


def run(folder, *, images="photographs", hostile=False, count=12):
    write_photographs(folder / images, count)
    paths = [
        folder / images / f"{number}.png" if images == "photographs" else f"/gone/{number}.png"
        for number in range(count)
    ]
    name = HOSTILE if hostile else None
    outcomes = [
        outcome(number, path=path, class_name=name, right=number % 2 == 0)
        for number, path in enumerate(paths)
    ]
    write_run(folder, "big", outcomes, parameters=4_000_000, top1_loc=40.0, gt_known_loc=20.0)
    write_run(folder, "small", outcomes, parameters=1_000_000, top1_loc=9.5)
    return folder


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))


def test_the_page_stands_alone(tmp_path):
    path = write_report(read_sources([run(tmp_path)]), tmp_path / "out")
    text = path.read_text()
    tags = Tags()
    tags.feed(text)
    for _, attributes in tags.seen:
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", text)
    assert "default-src 'none'" in text
    assert list(path.parent.iterdir()) == [path]
    again = write_report(read_sources([tmp_path]), tmp_path / "other")
    assert again.read_bytes() == path.read_bytes()


def test_hostile_names_stay_text(tmp_path):
    folder = run(tmp_path, hostile=True)
    record = read_records(folder / "big.json")[0]
    write_record(record.model_copy(update={"model": HOSTILE}), folder / "big.json")
    path = write_report(read_sources([folder]), tmp_path / "out", ReportOptions(title=HOSTILE))
    tags = Tags()
    tags.feed(path.read_text())
    assert [tag for tag, _ in tags.seen].count("script") == 2
    assert "&lt;script&gt;alert(1)" in path.read_text()


def test_missing_photographs_are_told_and_shown(tmp_path):
    folder = run(tmp_path, images="moved")
    told = []
    path = write_report(read_sources([folder]), tmp_path / "out", warn=told.append)
    assert len(told) == 1
    assert re.search(r"/gone/\d+\.png: the image is not there; .*--images.* 11 more", told[0])
    assert "data:image/jpeg" not in path.read_text()
    found = []
    options = ReportOptions(images=folder / "moved")
    path = write_report(read_sources([folder]), tmp_path / "out", options, warn=found.append)
    assert found == [] and path.read_text().count("data:image/jpeg") == 12


def test_records_alone_have_table_and_plots(tmp_path):
    run(tmp_path)
    for file in tmp_path.glob("*.parquet"):
        file.unlink()
    told = []
    text = write_report(read_sources([tmp_path]), tmp_path / "out", warn=told.append).read_text()
    assert told == ["No examples of big; small: no per-image outcomes beside the record."]
    assert "gallery-section" not in text.split("<script")[0] and 'class="results' in text


def test_nothing_is_overwritten_on_failure(tmp_path):
    run(tmp_path)
    (tmp_path / "index.html").write_text("mine")
    (tmp_path / "small.outcomes.parquet").write_bytes(b"cut")
    with pytest.raises(InputError, match=r"small\.outcomes\.parquet"):
        write_report(read_sources([tmp_path / "big.json", tmp_path / "small.json"]), tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"
    write_run(tmp_path, "small", [outcome(0)])
    record = read_records(tmp_path / "small.json")[0]
    write_record(record.model_copy(update={"num_images": 2}), tmp_path / "small.json")
    with pytest.raises(InputError, match="has 1 images and its record 2"):
        write_report(read_sources([tmp_path / "small.json"]), tmp_path)


def test_curves_are_added_up_from_switches(tmp_path):
    run(tmp_path, count=3)
    curves = curves_of(*read_outcomes(tmp_path / "big.outcomes.parquet"))
    assert curves["largest"]["0.5"] == [0] * 50 + [100] * 50
    assert curves["all"]["0.3"] == [0] * 50 + [100] * 50


def test_a_run_has_one_look_whatever_its_place_and_its_convention(tmp_path):
    looks = []
    for names in (("resnet", "Alex", "center"), ("center", "Alex", "resnet")):
        folder = tmp_path / names[0]
        for name in names:
            for convention in ("choe2020", "psol"):
                record = make(name, 0 if name == "center" else 1_000_000, max_box_acc_v2=50.0)
                settings = record.settings | {"convention": convention}
                own = record.model_copy(update={"settings": settings})
                write_record(own, folder / f"{names.index(name)}-{convention}.json")
        path = write_report(read_sources([folder], conventions=True), folder / "out")
        text = re.search(r'<script[^>]* id="data"[^>]*>(.*?)</script>', path.read_text(), re.S)[1]
        data = json.loads(text)
        assert {run["group"] for run in data["runs"]} == {0, 1}
        looks.append({(run["name"].partition(",")[0], run["look"]) for run in data["runs"]})
    assert looks[0] == looks[1] == {("Alex", 0), ("resnet", 1), ("center", 2)}


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--window-size=1200,900"):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=driver)
    )
    yield found
    found.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page of two models and twelve images."""
    folder = tmp_path_factory.mktemp("report")
    return write_report(read_sources([run(folder)]), folder / "out").as_uri()


@pytest.fixture
def page(browser, address):
    """The page opened from its file, every choice as it is at first, its gallery in view."""
    browser.get(address)
    wait(browser, SHOWN, 12)
    browser.execute_script("document.getElementById('gallery').scrollIntoView()")
    return browser


def wait(browser, script, wanted):
    """Wait until a script's value is the wanted one, and require it."""
    end = time.monotonic() + 5
    value = browser.execute_script(f"return {script}")
    while value != wanted and time.monotonic() < end:
        time.sleep(0.02)
        value = browser.execute_script(f"return {script}")
    assert value == wanted, script


FIRST = "document.querySelector('#gallery figure')"
WIDTH = f"{FIRST}?.querySelector('.box.predicted')?.style.width"
SHOWN = "document.querySelectorAll('#gallery figure').length"
COUNT = "document.getElementById('count').textContent"
NAMES = (
    "[...document.querySelectorAll('#gallery figure')].map(f => f.querySelector('b').textContent)"
)


def choose(browser, control, value):
    browser.execute_script(
        "const node = document.getElementById(arguments[0]); node.value = arguments[1];"
        "node.dispatchEvent(new Event('input', { bubbles: true }));"
        "node.dispatchEvent(new Event('change', { bubbles: true }));",
        control,
        value,
    )


def test_the_slider_moves_the_boxes(page):
    wait(page, "document.getElementById('value').textContent", "0.20")
    wait(page, WIDTH, "100%")
    wait(page, f"{FIRST}.querySelector('.verdict').textContent", "IoU 0.25 ✗ more")
    choose(page, "threshold", "49")
    wait(page, WIDTH, "100%")
    slider = page.find_element("id", "threshold")
    slider.send_keys("\ue014")  # the right arrow key
    wait(page, WIDTH, "50%")
    wait(page, f"{FIRST}.querySelector('.verdict').textContent", "IoU 1.00 ✓")
    wait(page, "document.getElementById('value').textContent", "0.50")
    page.execute_script("document.getElementById('fixed').click()")
    wait(page, WIDTH, "100%")
    page.execute_script("document.getElementById('best').click()")
    wait(page, WIDTH, "50%")
    wait(page, COUNT, "12 shown of 12, 12 of 12 correct (100.0 %); all images: 100.0 %")
    wait(page, "document.getElementById('announcement').textContent.slice(0, 8)", "12 shown")


def test_filters_filter(page):
    choose(page, "class", "CAT")  # is a name, so bobcat is left out
    wait(page, SHOWN, 4)
    choose(page, "class", "bob")
    wait(page, SHOWN, 4)
    choose(page, "class", "")
    choose(page, "outcome", "correct")
    wait(page, SHOWN, 0)
    wait(page, "document.getElementById('nothing').hidden", False)
    choose(page, "outcome", "more")
    wait(page, SHOWN, 12)
    choose(page, "outcome", "part")
    wait(page, SHOWN, 0)
    choose(page, "outcome", "correct")
    choose(page, "threshold", "60")
    wait(page, SHOWN, 12)
    choose(page, "outcome", "wrong")
    wait(page, SHOWN, 0)
    choose(page, "outcome", "")
    wait(page, SHOWN, 12)


LOOKS = """Object.fromEntries([...document.querySelectorAll(arguments[0])].map(
    one => [one.textContent, one.querySelector("path").getAttribute("class")]))"""


def test_a_run_looks_the_same_in_every_part(page):
    in_table = page.execute_script(f"return {LOOKS}", "tr[data-run] th")
    assert in_table == page.execute_script(f"return {LOOKS}", "#legend li")
    page.execute_script("document.querySelector('th[data-column=parameters] button').click()")
    assert page.execute_script(f"return {LOOKS}", "tr[data-run] th") == in_table
    choose(page, "model", "1")
    choose(page, "beside", "0")
    wait(page, f"[...{FIRST}.querySelectorAll('.of')].length", 2)
    in_gallery = page.execute_script(f"return {LOOKS}", "#gallery figure:first-child .of")
    assert in_gallery == in_table == {"big": "series s0 dash0", "small": "series s1 dash0"}


def test_two_models_stand_beside_each_other(page):
    views = f"{FIRST}.querySelectorAll('.picture').length"
    wait(page, views, 1)
    choose(page, "beside", "1")
    wait(page, views, 2)
    wait(page, f"[...{FIRST}.querySelectorAll('.of')].map(n => n.textContent)", ["big", "small"])
    wait(page, "document.getElementById('shown-model').textContent", "big beside small")
    choose(page, "model", "")
    wait(page, views, 2)
    wait(page, "document.getElementById('beside').disabled", True)


def test_classes_are_in_order_whatever_their_case(page):
    wait(page, NAMES, 4 * ["bobcat"] + 4 * ["cat"] + 4 * ["dog"])
    choose(page, "order", "unsure")
    wait(page, SHOWN, 12)


def test_a_click_enlarges(page):
    opened = "document.getElementById('viewer').open"
    wait(page, opened, False)
    page.execute_script(f"{FIRST}.querySelector('.enlarge').focus()")
    page.switch_to.active_element.send_keys("\ue007")  # enter
    wait(page, opened, True)
    title = "document.getElementById('viewer-title').textContent"
    wait(page, title, "bobcat · 11.png")
    wait(page, "document.querySelectorAll('#viewer-chart .series').length", 1)
    choose(page, "viewer-threshold", "50")
    wait(page, "document.querySelector('#viewer .box.predicted').style.width", "50%")
    page.execute_script("document.getElementById('viewer-next').click()")
    wait(page, f"{title} !== 'bobcat · 11.png'", True)
    page.find_element("id", "viewer-close").send_keys("\ue00c")  # escape
    wait(page, opened, False)
    wait(page, "document.activeElement.className", "enlarge")


def test_boxes_stay_inside_the_photograph(browser, tmp_path):
    write_photographs(tmp_path / "images", 1)
    made = replace(
        outcome(0, path=tmp_path / "images" / "0.png"),
        size=(160, 80), true_boxes=np.array([[-3.0, 40, 165, 90]]),
    )  # fmt: skip
    write_run(tmp_path, "one", [made])
    browser.get(write_report(read_sources([tmp_path]), tmp_path / "out").as_uri())
    browser.execute_script("document.getElementById('gallery').scrollIntoView()")
    truth = (
        "(s => s && [s.left, s.top, s.width, s.height])"
        "(document.querySelector('.box.truth')?.style)"
    )
    wait(browser, truth, ["0%", "50%", "100%", "50%"])


def test_classes_that_are_localized_worst_come_first(page):
    wait(page, "document.querySelectorAll('#class-table tbody tr').length", 3)
    wait(page, "document.querySelector('#class-table th[aria-sort=ascending]').textContent",
         "Localized at IoU 0.5")  # fmt: skip
    page.execute_script("document.querySelector('#class-table .link').click()")
    wait(page, SHOWN, 4)


def test_the_map_can_be_hidden(page):
    display = f"(map => map && getComputedStyle(map).display)({FIRST}.querySelector('canvas'))"
    wait(page, display, "block")
    page.execute_script("document.getElementById('overlay').click()")
    wait(page, display, "none")
    page.execute_script("document.getElementById('overlay').click()")
    wait(page, display, "block")


def test_the_table_sorts(page):
    names = "[...document.querySelectorAll('.results tbody th')].map(cell => cell.textContent)"
    head = (
        "[...document.querySelectorAll('.results thead th')]"
        ".find(h => h.textContent === 'Top-1 Loc')"
    )
    page.execute_script(f"{head}.firstElementChild.click()")
    wait(page, names, ["big", "small"])
    page.execute_script(f"{head}.firstElementChild.click()")
    wait(page, names, ["small", "big"])  # 9.5 is less than 40, as numbers
    wait(page, f"{head}.getAttribute('aria-sort')", "ascending")


def test_the_headline_comes_first_and_the_rest_is_behind_a_control(page):
    heads = (
        "[...document.querySelectorAll('.results thead th')]"
        ".filter(h => h.offsetWidth).map(h => h.textContent)"
    )
    wait(page, heads, ["Model", "MaxBoxAccV2", "GT-known Loc", "Top-1 Loc", "Params (M)"])
    page.execute_script("document.querySelector('#columns summary').click()")
    page.execute_script("document.querySelector('#columns input:checked').click()")
    wait(page, heads, ["Model", "GT-known Loc", "Top-1 Loc", "Params (M)"])
    page.set_window_size(375, 800)
    try:
        page.refresh()
        wait(page, SHOWN, 12)
        scroll = "document.querySelector('.scroll')"
        page.execute_script(f"{scroll}.scrollLeft = 500")
        left = f"document.querySelector('.results tbody th').getBoundingClientRect().left \
            - {scroll}.getBoundingClientRect().left < 3"
        wait(page, left, True)
        wait(page, "document.documentElement.scrollWidth <= innerWidth", True)
    finally:
        page.set_window_size(1200, 900)


def test_the_plots_show_every_model(page):
    wait(page, "document.querySelectorAll('#parameters-plot path.dot').length", 2)
    wait(page, "document.querySelectorAll('#thresholds-plot .series').length", 4)
    wait(page, "[...document.querySelectorAll('#legend li')].map(li => li.textContent)",
         ["big", "small"])  # fmt: skip
    # The two models' curves are the same.
    wait(page, "document.querySelectorAll('#thresholds-plot .series.over').length", 2)
    page.execute_script("document.querySelector('#parameters-plot .dot').focus()")
    wait(page, "document.getElementById('tip').textContent",
         "big\n4.00 M parameters\nMaxBoxAccV2 50.00")  # fmt: skip
    wait(page, "document.querySelector('tr.lit th').textContent", "big")


def test_conventions_have_a_selector(browser, tmp_path):
    folder = run(tmp_path)
    record = read_records(folder / "small.json")[0]
    settings = record.settings | {"convention": "wsolevaluation"}
    write_record(record.model_copy(update={"settings": settings}), folder / "small.json")
    with pytest.raises(InputError, match="do not compare"):
        read_sources([folder])
    path = write_report(read_sources([folder], conventions=True), tmp_path / "out")
    browser.get(path.as_uri())
    wait(browser, "document.getElementById('group-choice').hidden", False)
    legend = "[...document.querySelectorAll('#legend li')].map(li => li.textContent)"
    wait(browser, legend, ["big"])
    choose(browser, "group", "1")
    wait(browser, legend, ["small"])
    rows = (
        "[...document.querySelectorAll('.results tbody th')].filter(h => h.offsetWidth)"
        ".map(h => h.textContent)"
    )
    wait(browser, rows, ["small"])


def test_methods_have_a_selector(browser, tmp_path):
    folder = run(tmp_path)
    for name, method in (("big", "gradcam++"), ("small", "cam")):
        record = read_records(folder / f"{name}.json")[0]
        other = record.model_copy(
            update={"model": "net", "cam_method": method, "parameters": 1_000_000}
        )
        write_record(other, folder / f"{name}.json")
    browser.get(write_report(read_sources([folder]), tmp_path / "out").as_uri())
    wait(browser, "document.getElementById('method-choice').hidden", False)
    choices = "[...document.querySelectorAll('#method option')].map(o => o.textContent)"
    wait(browser, choices, ["all", "Grad-CAM++", "CAM"])
    shown = (
        "[...document.querySelectorAll('.results tbody th')].filter(h => h.offsetWidth)"
        ".map(h => h.textContent)"
    )
    dots = "document.querySelectorAll('#parameters-plot path.dot').length"
    wait(browser, shown, ["net, Grad-CAM++", "net, CAM"])
    wait(browser, dots, 2)
    # Both have one number: they stand beside each other.
    places = (
        "[...document.querySelectorAll('#parameters-plot path.dot')]"
        ".map(dot => dot.getAttribute('transform'))"
    )
    wait(browser, f"new Set({places}).size", 2)
    choose(browser, "method", "CAM")
    wait(browser, shown, ["net, CAM"])
    wait(browser, dots, 1)
    choose(browser, "method", "")
    wait(browser, dots, 2)


def test_repeated_trainings_are_one_row_and_one_dot(browser, tmp_path):
    for seed in range(3):
        path = write_run(tmp_path, f"net{seed}", [outcome(0)], top1_loc=10.0 + seed)
        record = read_records(path)[0]
        settings = record.settings | {"training_seed": seed, "training_method": "cam",
                                      "weights_fingerprint": str(seed)}  # fmt: skip
        write_record(record.model_copy(update={"model": "net", "settings": settings}), path)
    path = write_report(read_sources([tmp_path]), tmp_path / "out")
    assert "No network saw a box" in path.read_text()  # as each record knows
    browser.get(path.as_uri())
    row = "[...document.querySelectorAll('.results tbody tr')].map(tr => tr.textContent)"
    wait(browser, f"{row}.length", 1)
    wait(browser, f"{row}[0].includes('11.00 ± 1.00')", True)
    wait(browser, "document.querySelectorAll('#parameters-plot path.dot').length", 1)
    wait(browser, "document.querySelectorAll('#model option').length", 4)


def test_what_no_record_knows_is_not_said(tmp_path):
    assert (
        "No network saw a box"
        not in write_report(read_sources([run(tmp_path)]), tmp_path / "out").read_text()
    )


def test_a_page_says_its_size_beforehand(tmp_path):
    told = []
    path = write_report(read_sources([run(tmp_path)]), tmp_path / "out", tell=told.append)
    (line,) = told
    assert line.startswith("12 examples: the page will have about ")
    megabytes = float(line.split()[-2])
    data = path.read_text().split('id="data">')[1].split("</script>")[0]
    assert megabytes == pytest.approx(len(data) / 1e6, abs=0.06)


def axe():
    """The source of axe-core: of WSOL_AXE, or `npm install axe-core` beside the tests."""
    beside = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
    path = Path(os.environ.get("WSOL_AXE", beside))
    if not path.is_file():
        pytest.skip("needs axe-core: npm install --no-save axe-core")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 768, 375])
def test_no_violation_of_accessibility(browser, tmp_path, scheme, width):
    source = axe()
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    browser.set_window_size(width, 900)
    try:
        browser.get(write_report(read_sources([run(tmp_path)]), tmp_path / "out").as_uri())
        wait(browser, SHOWN, 12)
        for step in (
            "",
            "document.querySelector('#columns summary').click()",
            "document.getElementById('gallery').scrollIntoView();"
            f"{FIRST}.querySelector('.enlarge').click()",
        ):
            browser.execute_script(step)
            browser.execute_script(source)
            found = browser.execute_async_script(
                "const done = arguments[0]; axe.run().then(found => done(found.violations.map("
                "one => `${one.id}: ${one.nodes[0].html.slice(0, 200)}`)))"
            )
            assert found == []
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        browser.set_window_size(1200, 900)


def test_no_console_message_even_with_hostile_names(browser, tmp_path):
    folder = run(tmp_path, hostile=True)
    path = write_report(read_sources([folder]), tmp_path / "out", ReportOptions(title=HOSTILE))
    browser.get(path.as_uri())
    wait(browser, SHOWN, 12)
    wait(browser, f"{FIRST}.querySelector('b').textContent.startsWith('</script>')", True)
    browser.execute_script(f"{FIRST}.querySelector('.enlarge').click()")
    assert browser.get_log("browser") == []
