"""The page stands alone, is safe, and does in a browser what it says."""

import re
import shutil
import time
from html.parser import HTMLParser

import pytest

from wsol.errors import InputError
from wsol.records.outcomes import read_outcomes
from wsol.records.record import read_records, write_record
from wsol.results.report import ReportOptions, _curves, write_report
from wsol.results.sources import read_sources

from support.records import outcome, write_photographs, write_run

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
    assert told == ["No examples of big, small: no per-image outcomes beside the record."]
    assert "gallery-section" not in text.split("<script")[0] and 'id="table"' in text


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
    curves = _curves(*read_outcomes(tmp_path / "big.outcomes.parquet"))
    assert curves["largest"]["0.5"] == [0] * 50 + [100] * 50
    assert curves["all"]["0.3"] == [0] * 50 + [100] * 50


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
def page(browser, tmp_path_factory):
    """The page of two models and twelve images, opened from a file."""
    folder = tmp_path_factory.mktemp("report")
    path = write_report(read_sources([run(folder)]), folder / "out")
    browser.get(path.as_uri())
    return browser


def wait(browser, script, wanted):
    """Wait until a script's value is the wanted one, and require it."""
    end = time.monotonic() + 5
    value = browser.execute_script(f"return {script}")
    while value != wanted and time.monotonic() < end:
        time.sleep(0.02)
        value = browser.execute_script(f"return {script}")
    assert value == wanted, script


FIRST = "document.querySelector('figure:not([hidden])')"
WIDTH = f"{FIRST}?.querySelector('rect.predicted')?.getAttribute('width')"
SHOWN = "document.querySelectorAll('figure:not([hidden])').length"
COUNT = "document.getElementById('count').textContent"


def choose(browser, control, value):
    browser.execute_script(
        "const node = document.getElementById(arguments[0]); node.value = arguments[1];"
        "node.dispatchEvent(new Event('input', { bubbles: true }));"
        "node.dispatchEvent(new Event('change', { bubbles: true }));",
        control,
        value,
    )


def show(browser, outcome):
    browser.execute_script(f"document.querySelector('[name=outcome][value=\"{outcome}\"]').click()")


def test_the_slider_moves_the_boxes(page):
    wait(page, "document.getElementById('value').textContent", "0.20")
    page.execute_script("document.getElementById('gallery').scrollIntoView()")
    wait(page, WIDTH, "1")
    wait(page, f"{FIRST}.querySelector('.verdict').textContent", "IoU 0.25 ✗")
    choose(page, "threshold", "49")
    wait(page, WIDTH, "1")
    slider = page.find_element("id", "threshold")
    slider.send_keys("\ue014")  # the right arrow key
    wait(page, WIDTH, "0.5")
    wait(page, f"{FIRST}.querySelector('.verdict').textContent", "IoU 1.00 ✓")
    wait(page, "document.getElementById('value').textContent", "0.50")
    page.execute_script("document.getElementById('fixed').click()")
    wait(page, WIDTH, "1")
    page.execute_script("document.getElementById('best').click()")
    wait(page, WIDTH, "0.5")
    wait(page, COUNT, "12 shown of 12, 12 of 12 correct (100.0 %); all images: 100.0 %")
    wait(page, "document.getElementById('announcement').textContent.slice(0, 8)", "12 shown")


def test_filters_filter(page):
    choose(page, "threshold", "20")
    wait(page, SHOWN, 12)
    choose(page, "model", "")
    wait(page, SHOWN, 24)
    choose(page, "class", "cat")  # is a name, so bobcat is left out
    wait(page, SHOWN, 8)
    choose(page, "class", "bob")
    wait(page, SHOWN, 8)
    choose(page, "class", "")
    show(page, "correct")
    wait(page, SHOWN, 0)
    wait(page, "document.getElementById('nothing').hidden", False)
    choose(page, "threshold", "60")
    wait(page, SHOWN, 24)
    show(page, "wrong")
    wait(page, SHOWN, 0)
    show(page, "")
    wait(page, SHOWN, 24)


def test_the_map_can_be_hidden(page):
    page.execute_script("document.getElementById('gallery').scrollIntoView()")
    display = f"getComputedStyle({FIRST}.querySelector('canvas')).display"
    wait(page, display, "block")
    page.execute_script("document.getElementById('overlay').click()")
    wait(page, display, "none")
    page.execute_script("document.getElementById('overlay').click()")
    wait(page, display, "block")


def test_the_table_sorts(page):
    names = "[...document.querySelectorAll('#table tbody th')].map(cell => cell.textContent)"
    head = (
        "[...document.querySelectorAll('#table thead th')].find(h => h.textContent === 'Top-1 Loc')"
    )
    page.execute_script(f"{head}.firstElementChild.click()")
    wait(page, names, ["big", "small"])
    page.execute_script(f"{head}.firstElementChild.click()")
    wait(page, names, ["small", "big"])  # 9.5 is less than 40, as numbers
    wait(page, f"{head}.getAttribute('aria-sort')", "ascending")


def test_the_plots_show_every_model(page):
    wait(page, "document.querySelectorAll('#parameters-plot .dot').length", 2)
    wait(page, "document.querySelectorAll('#thresholds-plot .series').length", 4)
    page.execute_script("document.querySelector('#parameters-plot .dot').focus()")
    wait(page, "document.getElementById('tip').textContent",
         "big\n4.00 M parameters\nMaxBoxAccV2 50.00")  # fmt: skip


def test_no_console_message_even_with_hostile_names(browser, tmp_path):
    folder = run(tmp_path, hostile=True)
    path = write_report(read_sources([folder]), tmp_path / "out", ReportOptions(title=HOSTILE))
    browser.get(path.as_uri())
    wait(browser, SHOWN, 12)
    wait(browser, f"{FIRST}.querySelector('b').textContent.startsWith('</script>')", True)
    assert browser.get_log("browser") == []
