"""The report in a real browser: Debian's chromium and chromium-driver, through selenium."""

import csv
import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest

from bench.case import Case
from bench.compare.history import append_history
from bench.records.kinds.load import Load, LoadPoint, MemoryPoint
from bench.records.kinds.profile import ProfiledKernel
from bench.records.schema import Record, Status
from bench.report.render import write_report
from tests.conftest import ROOT, SweepRun
from tests.report.test_inside import PROFILE, profile_record
from tests.report.test_streaming import stream, streaming_record
from tests.synthetic_records import (
    changed,
    failed_record,
    given,
    speed_of,
    speed_record,
    sweep_records,
    with_audio,
    write_run,
)

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (extra: browser)")

from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402 - selenium may be missing

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no Chromium with its driver here: apt-get install chromium chromium-driver"
)

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
    "--autoplay-policy=no-user-gesture-required",
)
FAST = Case("v3", "tensorrt", "fp16", 1, 468)
HOSTILE = "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report of every kind of row, with a baseline, nights, sounds and hostile text."""
    directory = tmp_path_factory.mktemp("run")
    history = tmp_path_factory.mktemp("history")
    records = sweep_records(versions=("v3",))
    records = [with_audio(directory, r) if r.case == FAST and r.kind == "quality" else r for r in records]
    records.append(failed_record(Case("v3", "eager", "bf16", 1, 9), Status.CRASHED, HOSTILE))
    eager = replace(FAST, backend="eager")
    records += [record for case in (FAST, eager) for record in (streams_of(case), load_of(case))]
    profile = replace(PROFILE, layers=tuple(replace(layer, ms=None) for layer in PROFILE.layers), kernels=KERNELS)
    records += [profile_record(FAST, profile), profile_record(eager)]
    run = write_run(directory, records)
    for night in range(9):
        factor = (1.0, 1.3, 1.1)[night // 3]
        at = f"2025-12-{night + 1:02}T00:00:00+00:00"
        past = [faster(record, factor) for record in records if record.kind == "speed" and record.result]
        earlier = [replace(record, run_id=f"night-{night}", recorded_at=at) for record in past]
        append_history(write_run(tmp_path_factory.mktemp(f"night-{night}"), earlier), history)
    smaller = [
        changed(record, memory=replace(given(speed_of(record).memory), allocated_peak_bytes=2**28)) for record in past
    ]
    baseline = write_run(tmp_path_factory.mktemp("baseline"), [replace(record, run_id="base") for record in smaller])
    return write_report(run, baseline, history=history).html.as_uri()


KERNELS = tuple(
    ProfiledKernel(f"void a_namespace::a_kernel_with_a_rather_long_name_{place:02}<float>(int)", 3, 5.0 / (place + 1))
    for place in range(20)
)


def streams_of(case: Case) -> Record:
    """Streams of every length of a chunk, with both joins."""
    lengths = {"100ms": 0.0981, "250ms": 0.2453, "500ms": 0.4992, "1000ms": 0.9984}
    names = [(join, name) for join in ("halo", "sola") for name in lengths]
    return streaming_record(case, **{f"{join}_{name}": stream(join, chunk_s=lengths[name]) for join, name in names})


def load_of(case: Case) -> Record:
    """Every loop, with batches and without, and memory over time."""
    points = [
        LoadPoint(
            loop, batching, None if loop == "open" else size, float(size) if loop == "open" else None, 10.0, 700, 700,
            0, 0, 0, min(size, 20), 6.5 * size, 5.0 * size, 4.0 * size, 6.0 * size, 9.0 * size, 10.0 * size,
            3.0 * size, 4.0 * size, 5.0 * size, 6.0 * size,
        )
        for loop in ("closed", "open", "speakers")
        for batching in (True, False)
        for size in (1, 4, 16, 64)
    ]  # fmt: skip
    memory = tuple(MemoryPoint(5.0 * place, (1000 + place) * 2**20, 2**29) for place in range(12))
    load = Load(
        utterances="one length",
        plan="standard",
        workers=1,
        points=tuple(points),
        saturation_per_s=16.0,
        saturation_unbatched_per_s=4.0,
        memory=memory,
        memory_growth_bytes_per_h=2.0**20,
    )
    return replace(speed_record(case), kind="load", build=None, precision=None, result=load)


def faster(record: Record, factor: float) -> Record:
    """The record with every duration divided by a factor."""
    timing = speed_of(record).timing
    assert timing is not None
    samples = tuple(sample / factor for sample in timing.samples_ms)
    return changed(record, timing=replace(timing, samples_ms=samples, median_ms=timing.median_ms / factor))


@pytest.fixture(scope="module")
def h100_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report of the published records."""
    out = tmp_path_factory.mktemp("h100") / "report.html"
    return write_report(ROOT / "reports" / "2026-11-22-h100-pytorch", out=out).html.as_uri()


@pytest.fixture(scope="module")
def h200_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report of the flagship's records."""
    out = tmp_path_factory.mktemp("h200") / "report.html"
    return write_report(ROOT / "reports" / "2026-11-26-h200-tensorrt", out=out).html.as_uri()


@pytest.fixture(scope="module")
def cpu_page(cpu_sweep: SweepRun, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report of what the suite recorded on this processor."""
    return write_report(cpu_sweep.results, out=tmp_path_factory.mktemp("cpu") / "report.html").html.as_uri()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    # axe looks at every mark of every figure; a machine with other work takes its time.
    browser.set_script_timeout(150)
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium: Any, page: str) -> Any:
    chromium.get("about:blank")
    for kind in ("browser", "performance"):
        chromium.get_log(kind)
    drawn(chromium, page)
    return chromium


def drawn(browser: Any, page: str) -> None:
    """Opens a page and waits until its figures are drawn."""
    browser.get(page)
    if browser.find_elements("css selector", "figure.live"):
        wait = WebDriverWait(browser, 60)
        wait.until(lambda _: browser.execute_script("return document.documentElement.dataset.figures") == "drawn")


def cells(browser: Any, table: str, column: int) -> list[str]:
    texts: list[str] = browser.execute_script(
        "return [...document.getElementById(arguments[0]).tBodies[0].rows].filter(row => !row.hidden)"
        ".map(row => row.cells[arguments[1]].textContent.trim())",
        table,
        column,
    )
    return texts


def column(browser: Any, table: str, name: str) -> int:
    heads: list[str] = browser.execute_script(
        "return [...document.getElementById(arguments[0]).tHead.rows[0].cells].map(cell => cell.textContent)", table
    )
    return heads.index(name)


def press(browser: Any, table: str, name: str) -> str:
    heading = browser.find_element("css selector", f"#{table}").find_elements("css selector", "thead th")[
        column(browser, table, name)
    ]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', inline: 'center'})", heading)
    heading.find_element("css selector", "button").send_keys("\ue007")
    return str(heading.get_attribute("aria-sort"))


def emulate(browser: Any, scheme: str, width: int) -> None:
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def luminance(browser: Any, selector: str, name: str) -> float:
    colour = browser.execute_script(
        "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", selector, name
    )
    return sum(int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]) / 765


@pytest.mark.parametrize("kind", ["page", "h100_page", "cpu_page"])
def test_no_console_message_and_no_request(browser: Any, kind: str, request: pytest.FixtureRequest) -> None:
    """Reports open from disk without a word on the console and ask for nothing but themselves."""
    page = request.getfixturevalue(kind)
    for log in ("browser", "performance"):
        browser.get_log(log)
    drawn(browser, page)
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = {
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    }
    assert {url for url in requests if not url.startswith("data:")} == {page}


def test_hostile_text_does_not_run(browser: Any) -> None:
    """A reason that holds a script is text in its row."""
    assert browser.title.startswith("Vocoder benchmark")
    assert HOSTILE in cells(browser, "case-table", column(browser, "case-table", "Reason"))


def test_figures_sort_as_numbers_by_keyboard(browser: Any) -> None:
    """Enter on a heading sorts by the figure, again the other way, blanks last; aria-sort says which."""
    place = column(browser, "case-table", "Median, ms")
    for state, sign in (("ascending", 1), ("descending", -1)):
        assert press(browser, "case-table", "Median, ms") == state
        texts = cells(browser, "case-table", place)
        filled = [sign * float(text.split(" ")[0]) for text in texts if text]
        assert len(set(filled)) > 20
        assert filled == sorted(filled)
        assert all(texts[: len(filled)])
        assert len(filled) < len(texts)


def test_filters_leave_the_rows_that_fit(browser: Any) -> None:
    """A choice and a search word together leave just the rows that have both, and the count is announced."""
    form = browser.find_element("css selector", 'form[data-table="case-table"]')
    total = len(cells(browser, "case-table", 0))
    selects = form.find_elements("css selector", "select")
    selects[1].find_element("css selector", 'option[value="tensorrt"]').click()
    form.find_element("css selector", "input").send_keys("FP16 b4")
    assert set(cells(browser, "case-table", 0)) == {"Torch-TensorRT fp16"}
    assert sorted(map(int, cells(browser, "case-table", column(browser, "case-table", "Frames")))) == [23, 128, 468]
    told = form.find_element("css selector", "output")
    assert told.text == f"3 of {total} rows"
    assert told.get_attribute("aria-live") == "polite"


def test_changes_and_nights_are_tables_too(browser: Any) -> None:
    """What changed since the baseline and over the nights can be filtered as the cases can, down to what was asked."""
    for table, name, wanted in (("changes-table-1", "Metric", "time"), ("steps-table", "Direction", "better")):
        place = column(browser, table, name)
        before = cells(browser, table, place)
        assert 0 < before.count(wanted) < len(before)
        form = browser.find_element("css selector", f'form[data-table="{table}"]')
        form.find_element("css selector", f'option[value="{wanted}"]').click()
        assert cells(browser, table, place) == before.count(wanted) * [wanted]
    assert browser.find_element("css selector", "#nights .chart svg").is_displayed()


def test_samples_open_from_their_row(browser: Any) -> None:
    """The link in a row unfolds the samples and shows as many durations as the row says."""
    link = browser.find_element("css selector", "#case-table tbody td a[href^='#samples-']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', inline: 'center'})", link)
    expected = int(link.text)
    target = link.get_attribute("href").split("#")[1]
    link.send_keys("\ue007")
    samples = browser.find_element("css selector", f"#{target} code")
    assert samples.is_displayed()
    assert len(samples.text.split()) == expected
    WebDriverWait(browser, 10).until(lambda _: browser.find_elements("css selector", f"#{target} svg"))
    strip = browser.find_element("css selector", f"#{target} svg path").get_attribute("d")
    assert strip.count("M") == expected


def test_the_sounds_play(browser: Any) -> None:
    """Every player has loaded its sound, half a second long, and plays it."""
    lengths = browser.execute_async_script(
        "const done = arguments[0];"
        "Promise.all([...document.querySelectorAll('audio')].map(async player => {"
        "  player.muted = true; await player.play(); return player.error ? -1 : player.duration;"
        "})).then(done, error => done(String(error)))"
    )
    assert lengths == pytest.approx([0.5, 0.5, 0.5], abs=0.01)


# Texts of the page and of its figures that lie over one another, or that their boxes cut off.
COLLISIONS = """
const shown = (node) => node.checkVisibility({checkOpacity: true, checkVisibilityCSS: true});
const words = [...document.querySelectorAll(".chart svg")].map(svg =>
  [...svg.querySelectorAll("text")].filter(text => text.textContent.trim() && shown(text)));
const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
  && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
const found = [];
for (const texts of words) {
  const boxes = texts.map(text => [text.getBoundingClientRect(), text.textContent]);
  for (const [i, [box, text]] of boxes.entries()) {
    const frame = texts[i].ownerSVGElement.getBoundingClientRect();
    if (box.left < frame.left - 2 || box.right > frame.right + 2) found.push(`cut: ${text}`);
    for (const [other, words] of boxes.slice(i + 1)) if (over(box, other)) found.push(`over: ${text} and ${words}`);
  }
}
const kinds = "p, li, h1, h2, h3, b, pre, .value, .rung, button, figcaption, .stack td";
for (const node of document.querySelectorAll(kinds)) {
  if (!shown(node)) continue;
  const style = getComputedStyle(node);
  if (node.scrollWidth > node.clientWidth + 1 && style.display !== "inline" && style.overflowX === "visible"
      && !node.closest(".scroll")) found.push(`wide: ${node.textContent.slice(0, 60)}`);
}
return found;
"""


@pytest.mark.parametrize("width", [400, 800, 1300])
@pytest.mark.parametrize("kind", ["page", "h200_page"])
def test_nothing_overlaps_or_is_cut(browser: Any, kind: str, width: int, request: pytest.FixtureRequest) -> None:
    """On a phone, a tablet and a desktop no text lies over another, none is cut, and only tables scroll sideways."""
    emulate(browser, "light", width)
    drawn(browser, request.getfixturevalue(kind))
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script(COLLISIONS) == []
    size = browser.execute_script("return parseFloat(getComputedStyle(document.querySelector('.lead')).fontSize)")
    assert size >= 16


def test_the_answer_stands_on_the_first_screen(browser: Any, h200_page: str) -> None:
    """The sentence, the ladder and the lines that run it are seen without scrolling, for both vocoders."""
    emulate(browser, "light", 1300)
    drawn(browser, h200_page)
    assert len(browser.find_elements("css selector", ".card")) == 2
    for kind in (".card .lead", ".card .ladder", ".card pre"):
        bottoms = browser.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map(e => e.getBoundingClientRect().bottom)", kind
        )
        assert max(bottoms) < 900


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_that_axe_finds(browser: Any, scheme: str) -> None:
    """WCAG A and AA, contrast among them, in both schemes, with everything unfolded."""
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed (extra: browser)")
    emulate(browser, scheme, 1300)
    browser.execute_script("for (const details of document.querySelectorAll('details')) details.open = true")
    browser.execute_script((files(axe) / "axe.min.js").read_text(encoding="utf-8"))
    found = browser.execute_async_script(
        "const done = arguments[0];"
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']}).then(found =>"
        " done(found.violations.map(v => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 200),"
        " v.nodes[0].failureSummary])), error => done(String(error)))"
    )
    assert found == []


def test_a_legend_switches_its_series(browser: Any) -> None:
    """A press hides a configuration's points and a second one brings them back; the button says which."""
    button = browser.find_element("css selector", "#latency-0 .legend button")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)

    def points() -> int:
        return len(browser.find_elements("css selector", "#latency-0 .chart .mark-symbol path[aria-label]"))

    before = points()
    wait = WebDriverWait(browser, 10)
    button.send_keys("\ue007")
    assert button.get_attribute("aria-pressed") == "false"
    wait.until(lambda _: points() < before)
    button.send_keys("\ue007")
    assert button.get_attribute("aria-pressed") == "true"
    wait.until(lambda _: points() == before)


def test_a_point_tells_its_value_interval_and_case(browser: Any) -> None:
    """Hovering shows what the figure is made of."""
    point = browser.find_element("css selector", "#latency-0 .chart .mark-symbol path[aria-label]")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", point)
    webdriver.ActionChains(browser).move_to_element(point).perform()
    tip = WebDriverWait(browser, 10).until(
        lambda _: browser.find_element("css selector", "#vg-tooltip-element.visible").text
    )
    for words in ("configuration", "latency, ms", "95 % interval", "-b1-t"):
        assert words in tip


def test_every_column_filters_by_word_and_number(browser: Any) -> None:
    """Rows that are shorter than a limit stay, and the count follows."""
    browser.find_element("css selector", ".tools [data-do=columns]").send_keys("\ue007")
    place = column(browser, "case-table", "Median, ms")
    boxes = browser.find_elements("css selector", "#case-table tr.by-column input")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', inline: 'center'})", boxes[place])
    boxes[place].send_keys("<2")
    boxes[0].send_keys("torchscript")
    left = cells(browser, "case-table", place)
    assert left
    assert all(float(text.split(" ")[0]) < 2 for text in left)
    assert set(cells(browser, "case-table", 0)) <= {"TorchScript fp16", "TorchScript fp32"}


def test_the_rows_shown_are_saved_as_csv(browser: Any) -> None:
    """The file has the case's id, every column, and the rows that the filters leave."""
    form = browser.find_element("css selector", 'form[data-table="case-table"]')
    form.find_element("css selector", "input").send_keys("b4-t468 tensorrt fp16")
    text = browser.execute_async_script(
        "const done = arguments[0];"
        "URL.createObjectURL = (blob) => { blob.text().then(done); return '#'; };"
        "document.querySelector('.tools [data-do=csv]').click()"
    )
    heads, row = csv.reader(text.splitlines())
    assert heads[:3] == ["case", "Configuration", "Vocoder"]
    assert row[:4] == ["v3-tensorrt-fp16-b4-t468", "Torch-TensorRT fp16", "v3", "4"]


def test_a_blind_test_counts_and_says_what_chance_would_do(browser: Any) -> None:
    """Ten guesses at a hidden X give a score and the binomial chance of it; X comes from the two sounds alone."""
    form = browser.find_element("css selector", ".abx")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", form)
    play, guess = (form.find_element("css selector", f"[data-{what}]") for what in ("play=X", "guess=A"))
    guess.click()
    assert form.find_element("css selector", "output").text.startswith("No trial yet")
    play.click()
    for _ in range(10):
        guess.click()
    told = form.find_element("css selector", "output").text
    right = int(told.split(" ")[0])
    chance = sum(math.comb(10, k) for k in range(right, 11)) / 2**10
    assert told.startswith(f"{right} of 10 right, p = {chance:.3f} (binomial)")
    assert ("you hear a difference" in told) == (chance < 0.05)


def test_the_keyboard_goes_through_the_page_in_its_order(browser: Any) -> None:
    """The first stop skips to the answer, and stops follow the page from top to bottom."""
    emulate(browser, "light", 1300)
    body = browser.find_element("css selector", "body")
    body.send_keys("\ue004")
    assert browser.switch_to.active_element.get_attribute("class") == "skip"
    order = []
    for _ in range(30):
        browser.switch_to.active_element.send_keys("\ue004")
        order.append(
            browser.execute_script(
                "const all = [...document.querySelectorAll('*')]; return all.indexOf(document.activeElement)"
            )
        )
    assert order == sorted(order)
    assert len(set(order)) == len(order)


def test_dark_mode_reaches_into_the_figures(browser: Any) -> None:
    """Page, text and the figures' own text change sides."""
    emulate(browser, "light", 1280)
    assert luminance(browser, "body", "backgroundColor") > 0.9
    assert luminance(browser, ".chart svg text", "fill") < 0.5
    emulate(browser, "dark", 1280)
    assert luminance(browser, "body", "backgroundColor") < 0.2
    assert luminance(browser, "body", "color") > 0.8
    assert luminance(browser, ".chart svg text", "fill") > 0.5


def test_what_scrolls_can_be_reached_by_keyboard_and_has_a_name(browser: Any) -> None:
    """Every scrolling region takes the focus and says what it is; every control and figure is named."""
    regions = browser.find_elements("css selector", ".scroll")
    assert len(regions) > 4
    assert all(region.get_attribute("tabindex") == "0" and region.get_attribute("aria-label") for region in regions)
    for kind in ("input", "select", "thead button", "audio", "img", ".legend button", ".chart svg"):
        elements = browser.find_elements("css selector", kind)
        assert elements
        assert [element.get_attribute("outerHTML")[:200] for element in elements if not element.accessible_name] == []


def test_it_prints(browser: Any) -> None:
    """Printing gives a PDF of some pages and not a page a row."""
    pdf = browser.print_page()
    assert pdf.startswith("JVBER")
