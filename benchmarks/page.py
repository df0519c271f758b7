"""The page of examples in a browser: how long a step of its slider takes, and its first paint.

Generated outcomes of 10 runs on the same 200 photographs, as maps give them: boxes that shrink in
about 80 steps. A step is the handler and the frame that it asks for, with style and layout, timed
within the page while the slider goes through all thresholds. Needs selenium, Chromium and its
driver.

    python benchmarks/page.py
"""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image
from selenium import webdriver

from wsol.records.outcomes import THUMBNAIL, OutcomeInfo, OutcomeRow, switches_of, write_outcomes
from wsol.records.record import Curves, Environment, Metrics, ResultRecord, Timing, write_record
from wsol.results.report import ReportOptions, write_report
from wsol.results.sources import read_sources

SIDE, SIZE = 224, (500, 375)
LEVELS = (0.3, 0.5, 0.7)
GRID = np.arange(1000) / 1000
INFO = OutcomeInfo(GRID, LEVELS, ("largest", "all"), (SIDE, SIDE), "exact")
MODES = {
    "one model, by class": {"model": "0", "beside": "", "outcome": "", "order": "class"},
    "two beside each other": {"model": "0", "beside": "1", "outcome": "", "order": "class"},
    "all models": {"model": "", "beside": "", "outcome": "", "order": "class"},
    "wrong ones, worst first": {"model": "0", "beside": "", "outcome": "wrong", "order": "worst"},
    "all, wrong, worst first": {"model": "", "beside": "", "outcome": "wrong", "order": "worst"},
}
_WATCH = """
window.frames_ = [];
const ask = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = work => ask(time => {
  const start = performance.now();
  work(time);
  document.body.getBoundingClientRect();
  window.frames_.push(performance.now() - start + window.handled_);
  window.handled_ = 0;
});
window.handled_ = 0;
"""
_STEPS = """
const mode = arguments[0], done = arguments[1];
for (const [id, value] of Object.entries(mode)) {
  const node = document.getElementById(id);
  node.value = value;
  node.dispatchEvent(new Event("input"));
}
document.getElementById("gallery").scrollIntoView();
const slider = document.getElementById("threshold");
let at = 50;
const step = () => {
  if (at > 950) { done(window.frames_); return; }
  const start = performance.now();
  slider.value = at;
  slider.dispatchEvent(new Event("input"));
  window.handled_ += performance.now() - start;
  at += 10;
  setTimeout(step, 40);
};
setTimeout(() => { window.frames_.length = 0; step(); }, 1500);
"""


def generated(image: int, run: int, path: Path) -> OutcomeRow:
    """An image's boxes: around its object, smaller with every higher threshold."""
    rng = np.random.default_rng((image, run))
    starts = np.unique(np.concatenate([[0], rng.integers(1, 1000, 80)])).astype(np.uint16)
    centre = 112 + rng.normal(0, 15, 2)
    half = (112 * (1 - starts / 1000))[:, None] * rng.uniform(0.6, 1.2, 2)
    boxes = np.concatenate([centre - half, centre + half], axis=1).clip(0, SIDE - 1)
    boxes = np.rint(boxes).astype(np.int16)
    corner = np.random.default_rng(image).uniform(60, 180, 2)
    true = np.concatenate([corner, corner + 150])[None]
    sides = (boxes[:, 2:] - boxes[:, :2] + 1).prod(axis=1)
    ious = np.clip(np.minimum(sides / 20000, 20000 / sides), 0, 1).astype(np.float32)
    at_every = ious[np.searchsorted(starts, np.arange(1000), side="right") - 1]
    switches = {
        f"{kind}@{level:g}": switches_of(at_every >= level)
        for kind in INFO.kinds
        for level in LEVELS
    }
    y, x = np.mgrid[:THUMBNAIL, :THUMBNAIL] / THUMBNAIL - 0.5
    bump = np.exp(-((x - rng.normal(0, 0.1)) ** 2 + (y - rng.normal(0, 0.1)) ** 2) / 0.06)
    return OutcomeRow(
        image_id=f"{image}.jpg",
        path=str(path),
        label=image % 50,
        class_name=f"class {image % 50}",
        size=SIZE,
        true_boxes=true,
        rank=int(rng.integers(0, 3)),
        predicted=(f"class {image % 50}", "another"),
        scores=np.sort(rng.random(2))[::-1],
        fixed_box=boxes[np.searchsorted(starts, 200, side="right") - 1].astype(np.float64),
        fixed_iou=float(at_every[200]),
        switches=switches,
        box_starts=starts,
        boxes=boxes,
        ious=ious,
        score_map=(255 * bump).astype(np.uint8),
    )


def generate(folder: Path, examples: int, runs: int) -> None:
    """Write photographs, records and outcomes."""
    photographs = []
    for image in range(examples):
        rng = np.random.default_rng(image)
        small = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
        photographs.append(folder / f"{image}.jpg")
        picture = Image.fromarray(small).resize(SIZE, Image.Resampling.BICUBIC)
        noise = rng.normal(0, 12, (SIZE[1], SIZE[0], 1))
        Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8)).save(
            photographs[-1], quality=90
        )
    for run in range(runs):
        rows = [generated(image, run, path) for image, path in enumerate(photographs)]
        shares = (200 - 150 * np.abs(GRID - 0.3 - 0.02 * run)) * examples / 300
        counts = {f"{level:g}": (shares * (1.1 - level)).astype(int).tolist() for level in LEVELS}
        record = ResultRecord(
            model=f"network {run}",
            parameters=(run + 1) * 1_000_000,
            dataset="CUB",
            split="test",
            num_images=examples,
            cam_method="cam",
            metrics=Metrics(max_box_acc_v2=50.0 + run, gt_known_loc=48.0 + run),
            curves=Curves(thresholds=GRID.tolist(), largest=counts, all=counts),
            settings={"convention": "exact", "weights_fingerprint": str(run)},
            environment=Environment(
                python="", platform="", device="cpu", threads=1, date="2026-01-01", versions={}
            ),
            timing=Timing(data=1, forward=1, localization=1, total=1),
        )
        write_record(record, folder / f"{run}.json")
        write_outcomes(rows, INFO, folder / f"{run}.outcomes.parquet")


def open_browser() -> Any:
    """Chromium without a window, at 1,280 x 900."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--window-size=1280,900"):  # fmt: skip
        options.add_argument(argument)
    driver = shutil.which("chromedriver") or ""
    found = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=driver)
    )
    found.set_script_timeout(120)
    return found


def main(
    examples: Annotated[int, typer.Option("--examples", help="Images of the gallery.")] = 200,
    runs: Annotated[int, typer.Option("--runs", help="Models, each with all images.")] = 10,
) -> None:
    """Print the size of the page, its first paint, and the time of a step in several views."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder, examples, runs)
        options = ReportOptions(examples=examples)
        page = write_report(read_sources([folder]), folder / "out", options)
        print(f"page: {page.stat().st_size / 1e6:.1f} MB, {examples:,} images x {runs} runs")
        browser = open_browser()
        try:
            paints = []
            for _ in range(5):
                browser.get(page.as_uri())
                paints.append(
                    browser.execute_script(
                        "return performance.getEntriesByName('first-contentful-paint')[0].startTime"
                    )
                )
            print(f"first paint: {np.median(paints):.0f} ms (of 5; worst {max(paints):.0f})")
            browser.execute_script(_WATCH)
            print(f"{'a step of the slider':26}{'median':>10}{'95 %':>10}{'worst':>10}   ms")
            for mode, choices in MODES.items():
                times = np.array(browser.execute_async_script(_STEPS, choices))
                median, high, worst = np.percentile(times, [50, 95, 100])
                print(f"{mode:26}{median:10.2f}{high:10.2f}{worst:10.2f}   of {len(times)}")
        finally:
            browser.quit()


if __name__ == "__main__":
    typer.run(main)
