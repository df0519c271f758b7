"""The leaderboard: its rows, what each is marked as, and its pages in a browser."""

import json
from urllib.parse import unquote

import pytest
from test_results_report import HOSTILE, Tags, axe, browser, choose, wait  # noqa: F401
from test_results_verify import honest, run

from wsol.errors import InputError
from wsol.records.record import find_records, read_records, write_record
from wsol.results.leaderboard import (
    ALONE,
    PUBLISHED,
    RECOMPUTED,
    REPRODUCED,
    LeaderboardOptions,
    write_leaderboard,
)
from wsol.results.sources import find_sources

from support.records import make


def site(folder, out, **options):
    return write_leaderboard(find_sources([folder]), out, LeaderboardOptions(**options))


def data_of(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(text.split('id="data">')[1].split("</script>")[0])


def three(folder):
    """A record with outcomes, one of submitted maps, and one alone."""
    for name in ("ours", "theirs"):
        (folder / name).mkdir(parents=True)
        path = run(folder / name, [honest(n) for n in range(6)])
        record = read_records(path)[0]
        kind = {"ours": "cam", "theirs": "precomputed"}[name]
        write_record(record.model_copy(update={"model": name, "cam_method": kind}), path)
    write_record(make("alone", 3_000_000, max_box_acc_v2=60.0), folder / "alone.json")
    return folder


def test_every_row_says_where_it_comes_from(tmp_path):
    path = site(three(tmp_path / "records"), tmp_path / "site")
    data = data_of(path)
    status = dict(zip([run["name"] for run in data["runs"]], data["status"], strict=True))
    assert (status["ours"], status["theirs"], status["alone"]) == (REPRODUCED, RECOMPUTED, ALONE)
    assert set(data["status"]) == {REPRODUCED, RECOMPUTED, ALONE, PUBLISHED}
    # Numbers of papers stand with the images that they are of.
    groups = {data["groups"][run["group"]] for run in data["runs"] if run["name"] == "alone"}
    assert groups == {"CUB test, 5,794 images"}
    assert any(data["groups"][run["group"]] == "CUB test, 5,794 images"
               for run, told in zip(data["runs"], data["status"], strict=True)
               if told == PUBLISHED)  # fmt: skip


def test_pages_stand_alone_and_link_to_each_other(tmp_path):
    path = site(three(tmp_path / "records"), tmp_path / "site")
    pages = [path, *(tmp_path / "site" / "runs").glob("*/index.html")]
    assert len(pages) == 4
    for page in pages:
        tags = Tags()
        tags.feed(page.read_text(encoding="utf-8"))
        for tag, attributes in tags.seen:
            assert "src" not in attributes or attributes["src"].startswith("data:")
            if tag == "a":
                assert (page.parent / attributes["href"]).is_file()
        assert "default-src 'none'" in page.read_text(encoding="utf-8")
    assert read_records(pages[1].parent / "record.json")


def test_sets_that_networks_were_evaluated_on_come_first(tmp_path):
    baseline = make("center", 0, dataset="ILSVRC", max_box_acc_v2=50.0)
    baseline.settings["baseline"] = "center"
    write_record(baseline, tmp_path / "a.json")
    write_record(make("resnet", 1_000, max_box_acc_v2=60.0), tmp_path / "b.json")
    groups = data_of(site(tmp_path, tmp_path / "site"))["groups"]
    assert groups[:2] == ["CUB test, 5,794 images", "ILSVRC test, 5,794 images"]


def test_without_pages_of_runs_rows_lead_to_records(tmp_path):
    records, out = three(tmp_path / "records"), tmp_path / "a site"
    (records / "alone.json").rename(records / "alone #1, 50%.json")
    site(records, out)
    path = site(records, out, run_pages=False)
    tags = Tags()
    tags.feed(path.read_text(encoding="utf-8"))
    links = [attributes["href"] for tag, attributes in tags.seen if tag == "a"]
    found = {read_records(out / unquote(link))[0].model for link in links}
    assert found == {"ours", "theirs", "alone"}
    assert not any((out / "runs").iterdir())


def test_a_record_that_does_not_follow_is_refused(tmp_path):
    folder = three(tmp_path / "records")
    file = folder / "ours" / "one.json"
    data = json.loads(file.read_text())
    data["metrics"]["gt_known_loc"] += 1
    file.write_text(json.dumps(data))
    with pytest.raises(InputError, match="its images make gt_known_loc"):
        site(folder, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_pages_of_runs_that_are_gone_are_removed_and_nothing_else(tmp_path):
    records, out = three(tmp_path / "records"), tmp_path / "site"
    own = out / "runs" / "resnet50"
    own.mkdir(parents=True)
    (own / "final.pt").write_text("weeks of training")
    (own / "index.html").write_text("notes")
    site(records, out)
    (records / "alone.json").unlink()
    site(records, out)
    names = [folder.name for folder in (out / "runs").iterdir()]
    assert len(names) == 3 and not any("alone" in name for name in names)
    assert (own / "final.pt").exists() and (own / "index.html").read_text() == "notes"


@pytest.mark.slow
def test_the_committed_results_make_one(tmp_path, request):
    results = request.config.rootpath / "results"
    data = data_of(site(results, tmp_path / "site"))
    names = {run["name"] for run in data["runs"]}
    assert {record.model for record in find_records([results])} <= {
        name.partition(",")[0] for name in names
    } | names


def test_hostile_names_stay_text(tmp_path):
    write_record(make(HOSTILE, 1_000, dataset=HOSTILE, max_box_acc_v2=1.0), tmp_path / "a.json")
    path = site(tmp_path, tmp_path / "site")
    for page in (path, *(tmp_path / "site" / "runs").glob("*/index.html")):
        tags = Tags()
        tags.feed(page.read_text(encoding="utf-8"))
        assert [tag for tag, _ in tags.seen].count("script") == 2


def test_the_board_in_a_browser(browser, tmp_path):  # noqa: F811
    path = site(three(tmp_path / "records"), tmp_path / "site")
    browser.get(path.as_uri())
    data = data_of(path)
    choose(browser, "group", str(data["groups"].index("CUB test, 5,794 images")))
    rows = (
        "[...document.querySelectorAll('.results tbody tr')].filter(r => r.offsetWidth)"
        ".map(r => r.cells[0].textContent)"
    )
    choose(browser, "status", ALONE)
    wait(browser, rows, ["alone"])
    wait(browser, "document.querySelectorAll('#parameters-plot path.dot').length", 1)
    choose(browser, "word", "no such text")
    wait(browser, rows, [])
    choose(browser, "word", "")
    choose(browser, "status", PUBLISHED)
    wait(browser, f"{rows}.length > 1", True)
    assert browser.get_log("browser") == []
    browser.execute_script(axe())
    found = browser.execute_async_script(
        "const done = arguments[0]; axe.run().then(found => done(found.violations.map("
        "one => `${one.id}: ${one.nodes[0].html.slice(0, 200)}`)))"
    )
    assert found == []


def test_examples_without_photographs_are_maps_and_boxes(browser, tmp_path):  # noqa: F811
    site(three(tmp_path / "records"), tmp_path / "site")
    (page,) = (tmp_path / "site" / "runs").glob("*-ours/index.html")
    assert "data:image/jpeg" not in page.read_text(encoding="utf-8")
    browser.get(page.as_uri())
    browser.execute_script("document.getElementById('gallery').scrollIntoView()")
    wait(browser, "document.querySelectorAll('#gallery figure canvas').length", 6)
    wait(browser, "document.querySelectorAll('#gallery .gone').length", 0)


def test_missing_photographs_are_told(tmp_path):
    told = []
    options = LeaderboardOptions(photographs=True)
    sources = find_sources([three(tmp_path / "records")])
    write_leaderboard(sources, tmp_path / "site", options, warn=told.append)
    assert len([line for line in told if "name the image folder with --images" in line]) == 2
