"""Opens report.html of results folders in headless Chromium as a reader would, at a phone's, a window's and a desktop's width, in
light and dark, and fails if anything is missing or cut off.

    python3 tests/browser/check_report.py results/census [more folders] [--screenshots DIR] [--prove]

Checks: the answer and its chart end within the first screen, its letters can be read on a phone, no error or warning on the console, nothing fetched from elsewhere, every section there and linked, every figure drawn
and every picture loaded, tables whole, no text that can't be read for want of contrast, the page no wider than the window, and columns
that sort both ways with absent values last. `--prove` spoils the first report in every way that is looked for and expects each to be
found. Needs Debian's package chromium and Python 3.11.
"""

import argparse
import pathlib
import sys
import tempfile

from browser import Browser

SECTIONS = [
    "Task by task",
    "How sure",
    "Tuning",
    "Figures",
    "What ran, at which cost",
    "Failed",
    "Getting the same numbers",
]
WIDTHS = {"phone": (400, 844, True), "window": (1000, 900, False), "desktop": (1400, 900, False)}
SCHEMES = ["light", "dark"]
# Where the answer and its chart have to end in a window, in pixels; a phone's is too narrow for it.
LAST_PIXEL = 900
# Of letters in the answer's chart, in pixels; those of the text around it are 16.
LEAST_LETTERS = 9
# WCAG 2.2, level AA, text of normal size.
LEAST_CONTRAST = 4.5

# Before anything is unfolded: where the chart ends, or what stands last where nothing is compared.
ANSWER_END = """
(() => {
  const answer = document.querySelector('.answer');
  const part = answer.querySelector('figure') ?? answer.lastElementChild;
  return Math.round(part.getBoundingClientRect().bottom + scrollY);
})()
"""
HAS_CHART = "document.querySelector('.answer figure') !== null || /nothing to compare|Nothing can be answered/.test(document.querySelector('.answer').textContent)"
# Tall letters of shown charts; what is not displayed has no height.
SMALL_LETTERS = """
[...document.querySelectorAll('.answer svg text')].filter(text => {
  const height = text.getBoundingClientRect().height;
  return height > 0 && height < LEAST;
}).map(text => text.textContent).slice(0, 3)
""".replace("LEAST", str(LEAST_LETTERS))
OPEN_SECTIONS = "document.querySelectorAll('details.section[open]').length"
HEADINGS = "[...document.querySelectorAll('h2')].map(heading => heading.textContent)"
DEAD_LINKS = """
[...document.querySelectorAll('a[href^="#"]')].map(link => link.getAttribute('href').slice(1))
  .filter(name => !document.getElementById(name))
"""
RAGGED = """
[...document.querySelectorAll('table')].filter(table => {
  const width = table.tHead.rows[0].cells.length;
  return [...table.tBodies[0].rows].some(row => row.cells.length !== width);
}).length
"""
# A figure is drawn if it has a size and marks, and nothing of it lies outside its frame.
BAD_FIGURES = """
[...document.querySelectorAll('figure')].filter(figure => {
  const svg = [...figure.querySelectorAll('svg')].find(svg => svg.getBoundingClientRect().width > 0);
  const image = figure.querySelector('img');
  if (image) return !(image.complete && image.naturalWidth > 0);
  const frame = svg.getBoundingClientRect();
  const inside = (box) => box.left >= frame.left - 1 && box.right <= frame.right + 1 && box.top >= frame.top - 1
    && box.bottom <= frame.bottom + 1;
  const marks = [...svg.querySelectorAll('*')].filter(mark => mark.getBBox).map(mark => mark.getBoundingClientRect())
    .filter(box => box.width > 0);
  return frame.width < 100 || frame.height < 50 || marks.length < 3 || !marks.every(inside)
    || figure.querySelector('figcaption').textContent.trim() === '';
}).map(figure => figure.querySelector('figcaption')?.textContent ?? 'no caption')
"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# What sticks out of the page on its own, other than inside a box that scrolls.
STICKING_OUT = """
[...document.querySelectorAll('main *')].filter(part => {
  if (part.closest('.table, pre, svg, details:not([open]) > :not(summary)')) return false;
  return part.getBoundingClientRect().right > document.documentElement.clientWidth + 1;
}).slice(0, 3).map(part => part.outerHTML.slice(0, 80))
"""
LOW_CONTRAST = """
(() => {
  const parse = (colour) => (colour.match(/[0-9.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const contrast = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  // A part has the ground of the part around it but where it has one of its own: each is asked once.
  const grounds = new Map([[null, [255, 255, 255]]]);
  const behind = (part) => {
    if (!grounds.has(part)) {
      const colour = parse(getComputedStyle(part).backgroundColor);
      grounds.set(part, colour.length === 3 || colour[3] === 1 ? colour : behind(part.parentElement));
    }
    return grounds.get(part);
  };
  const low = new Set();
  const judge = (words, ink, ground) => {
    if (ink.length < 3) return;
    const value = contrast(ink, ground);
    if (value < LEAST) low.add(`${value.toFixed(1)}: ${words.trim().slice(0, 40)}`);
  };
  // In a figure: on the fill of the last opaque shape that was drawn under the middle of the text. Shapes are kept in the order in which
  // they are drawn, so that those before a text are those that are there when it comes.
  const inFigure = (svg) => {
    const shapes = [];
    const fill = (shape) => {
      if (shape.fill === undefined) {
        const style = getComputedStyle(shape.part);
        const colour = parse(style.fill);
        const isOpaque = colour.length === 3 && Number(style.fillOpacity) * Number(style.opacity) === 1;
        shape.fill = isOpaque ? colour : null;
      }
      return shape.fill;
    };
    const under = (area) => {
      const [x, y] = [area.left + area.width / 2, area.top + area.height / 2];
      for (let place = shapes.length - 1; place >= 0; place -= 1) {
        const { left, right, top, bottom } = shapes[place].area;
        if (left <= x && x <= right && top <= y && y <= bottom && fill(shapes[place])) return fill(shapes[place]);
      }
      return behind(svg.parentElement);
    };
    for (const part of svg.querySelectorAll('rect, polygon, circle, text, text *')) {
      if (['rect', 'polygon', 'circle'].includes(part.localName)) {
        shapes.push({ part, area: part.getBoundingClientRect() });
        continue;
      }
      const words = [...part.childNodes].filter(node => node.nodeType === Node.TEXT_NODE).map(node => node.data).join(' ');
      if (words.trim()) judge(words, parse(getComputedStyle(part).fill), under(part.getBoundingClientRect()));
    }
  };
  const isPart = (node) => node.nodeType === Node.TEXT_NODE ? NodeFilter.FILTER_ACCEPT
    : ['style', 'script', 'svg'].includes(node.localName) ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_SKIP;
  const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT, isPart);
  for (let node; (node = walker.nextNode());) {
    const part = node.parentElement;
    if (node.data.trim()) judge(node.data, parse(getComputedStyle(part).color), behind(part));
  }
  for (const svg of document.querySelectorAll('main svg')) {
    // A chart's form for another width is not shown: without a place, all its shapes would seem to lie under its words.
    if (svg.getClientRects().length > 0) inFigure(svg);
  }
  return [...low].slice(0, 5);
})()
""".replace("LEAST", str(LEAST_CONTRAST))
# Clicks every header of every table twice; says which column did not sort.
UNSORTED = """
[...document.querySelectorAll('table')].flatMap((table, place) => [...table.tHead.rows[0].cells].flatMap((header, column) => {
  const faults = [];
  for (let click = 0; click < 2; click += 1) {
    header.querySelector('button').click();
    const rising = header.getAttribute('aria-sort') === 'ascending';
    const cells = [...table.tBodies[0].rows].map(row => row.cells[column]);
    const numeric = header.classList.contains('number');
    const keys = cells.map(cell => numeric ? (cell.dataset.sort === undefined ? null : Number(cell.dataset.sort)) : cell.textContent);
    const there = keys.filter(key => key !== null);
    const absentLast = keys.slice(there.length).every(key => key === null);
    const inOrder = there.every((key, row) => row === 0 || (numeric
      ? (rising ? there[row - 1] <= key : there[row - 1] >= key)
      : (rising ? 1 : -1) * there[row - 1].localeCompare(key, 'en', { numeric: true }) <= 0));
    const expected = numeric ? ['descending', 'ascending'] : ['ascending', 'descending'];
    if (!absentLast || !inOrder || header.getAttribute('aria-sort') !== expected[click])
      faults.push(`table ${place + 1}, column ${header.textContent}`);
  }
  return faults;
}))
"""


def complaints(browser):
    """What the page said on the console, and what it fetched."""
    for event in browser.events:
        method, what = event.get("method"), event.get("params", {})
        if method == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
            yield f"console: {what['entry']['text']}"
        if method == "Runtime.exceptionThrown":
            yield f"exception: {what['exceptionDetails']['text']}"
        if method == "Runtime.consoleAPICalled" and what["type"] in ("error", "warning", "assert"):
            yield f"console: {what['args']}"
        if method == "Network.requestWillBeSent" and not what["request"]["url"].startswith(("file:", "data:")):
            yield f"fetched {what['request']['url']}"


# What is done to a report, and a word of the fault that must be found.
SPOILT = [
    (lambda html: html.replace("<h2>Task by task</h2>", ""), "no section 'Task by task'"),
    (lambda html: html.replace("<div class=\"answer\">", "<div class=\"answer\"><p style=\"height: 900px\">x</p>"), "the answer ends", "window"),
    (lambda html: html.replace("<div class=\"answer\">", "<div class=\"answer\"><p style=\"height: 900px\">x</p>"), "the answer ends", "desktop"),
    (lambda html: html.replace("@media (max-width: 44rem)", "@media (max-width: 1rem)"), "letters", "phone"),
    (lambda html: html.replace("<div class=\"answer\">", "<div class=\"answer\"><p style=\"min-width: 420px\">x</p>"), "wider than the window", "phone"),
    (lambda html: html.replace("<details class=\"section\"", "<details open class=\"section\"", 1), "unfolded"),
    (lambda html: html.replace("<figure", "<div").replace("</figure>", "</div>"), "no chart"),
    (lambda html: html.replace("</script>", "nothing();</script>"), "exception"),
    (lambda html: html.replace("</script>", "console.error(1);</script>"), "console"),
    (lambda html: html.replace("</main>", "<img src=\"http://127.0.0.1:9/a.png\"></main>"), "fetched"),
    (lambda html: html.replace("<figcaption>", "<figcaption hidden></figcaption><p>", 1), "figure not drawn whole"),
    (lambda html: html.replace("</main>", "<figure><img src=\"gone.png\"><figcaption>x</figcaption></figure></main>"), "figure not"),
    (lambda html: html.replace("</main>", "<p style=\"min-width: 3000px\">x</p></main>"), "wider than the window"),
    (lambda html: html.replace("<text ", "<rect x=\"-900\" width=\"30\" height=\"30\"/><text ", 1), "figure not drawn whole"),
    (lambda html: html.replace("</main>", "<a href=\"#nowhere\">x</a></main>"), "a link to nowhere"),
    (lambda html: html.replace("--ink: #222222", "--ink: #cccccc"), "light: contrast"),
    (lambda html: html.replace("--ink: #e6e6e6", "--ink: #333333"), "dark: contrast"),
    # Letters of charts alone: pale ones, and dark ones on a dark shape that is drawn before them.
    (lambda html: html.replace("fill=\"#222222\"", "fill=\"#CCCCCC\""), "light: contrast"),
    (lambda html: html.replace("<text ", "<rect width=\"100%\" height=\"100%\" fill=\"#444444\"/><text ", 1), "light: contrast"),
    (lambda html: html.replace("<tbody>\n<tr>", "<tbody>\n<tr><td>x</td>", 1), "another width"),
    (lambda html: html.replace("x - y", "y - x"), "not sorted"),
]


def prove(browser, report):
    """Ways of spoiling the report that are not found."""
    html = report.read_text()
    with tempfile.TemporaryDirectory() as folder:
        for place, (spoil, expected, *width) in enumerate(SPOILT):
            spoilt = pathlib.Path(folder) / "report.html"
            spoilt.write_text(spoil(html))
            faults = check(browser, spoilt, width[0] if width else "desktop", SCHEMES, None)
            if spoilt.read_text() == html or not any(expected in fault for fault in faults):
                yield f"spoilt report {place + 1} ({expected}): found only {faults}"


def check(browser, report, width, schemes, screenshots):
    """Opens the report once, since opening it takes longer than most of what is looked at, and turns the colours around."""
    browser.resize(*WIDTHS[width])
    browser.colours(schemes[0])
    browser.open(report.as_uri())
    # Folded parts are looked at too, after the pictures, which show the page as it opens.
    if screenshots:
        for scheme in schemes:
            browser.colours(scheme)
            browser.screenshot(screenshots / f"{report.parent.name}-{width}-{scheme}.png")
        browser.colours(schemes[0])
    faults = [*folded_faults(browser, width)]
    browser.run("document.querySelectorAll('details').forEach(part => part.open = true)")
    faults += content_faults(browser)
    for scheme in schemes:
        browser.colours(scheme)
        faults += [f"{scheme}: {fault}" for fault in sight_faults(browser)]
    # Last, since it changes the order of rows.
    faults += [f"not sorted: {column}" for column in browser.run(UNSORTED)]
    faults += complaints(browser)
    return [f"{report}, {width}: {fault}" for fault in faults]


def folded_faults(browser, width):
    """Of the page as it opens."""
    if not browser.run(HAS_CHART):
        yield "no chart in the answer"
    elif width != "phone" and browser.run(ANSWER_END) > LAST_PIXEL:
        yield f"the answer ends at {browser.run(ANSWER_END)} pixels, after {LAST_PIXEL}"
    for text in browser.run(SMALL_LETTERS):
        yield f"letters that can't be read in the answer's chart: {text}"
    if browser.run(OPEN_SECTIONS):
        yield "a section is unfolded"


def content_faults(browser):
    """Of what is there, in whichever colours."""
    headings = browser.run(HEADINGS)
    yield from (f"no section {name!r}" for name in SECTIONS if name not in headings)
    if not any(name.startswith("Scores") for name in headings):
        yield "no scores"
    yield from (f"a link to nowhere: #{name}" for name in browser.run(DEAD_LINKS))
    if browser.run(RAGGED):
        yield "a table has rows of another width than its header"


def sight_faults(browser):
    """Of what can be seen."""
    yield from (f"figure not drawn whole: {caption}" for caption in browser.run(BAD_FIGURES))
    if browser.run(OVERFLOW) > 0:
        yield f"the page is {browser.run(OVERFLOW)} pixels wider than the window"
    yield from (f"sticks out: {part}" for part in browser.run(STICKING_OUT))
    yield from (f"contrast {words}" for words in browser.run(LOW_CONTRAST))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=pathlib.Path, metavar="RESULTS_DIR")
    parser.add_argument("--screenshots", type=pathlib.Path, metavar="DIR", help="keep pictures of every page here")
    parser.add_argument("--prove", action="store_true", help="show first that every kind of fault is found")
    arguments = parser.parse_args()
    if arguments.screenshots:
        arguments.screenshots.mkdir(parents=True, exist_ok=True)
    browser = Browser()
    faults = []
    try:
        if arguments.prove:
            faults += prove(browser, (arguments.folders[0] / "report.html").resolve())
        for folder in arguments.folders:
            report = (folder / "report.html").resolve()
            if not report.is_file():
                raise SystemExit(f"no {report}\nhint: homebench report {folder}")
            for width in WIDTHS:
                faults += check(browser, report, width, SCHEMES, arguments.screenshots)
    finally:
        browser.close()
    for fault in faults:
        print(fault, file=sys.stderr)
    pages = len(arguments.folders) * len(WIDTHS) * len(SCHEMES)
    print(f"{pages} pages looked at, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
