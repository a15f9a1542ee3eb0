"""The pictures of bench/RESULTS.md, as SVG."""
import math
import statistics
from xml.sax.saxutils import escape

COLOURS = {"lark": "#2f6fab", "webdis": "#c9733a", "return-200": "#8a8f98", "lark-token": "#6aa0d0",
           "lark-store": "#a9c8e6", "lark-rs256": "#4f9a6a", "lark-rs256-first": "#a3d1b4", "lark-eddsa": "#8a6bb0",
           "lark-eddsa-first": "#c9b6e0"}
LEFT, WIDTH, ROW, GAP = 250, 620, 16, 14
PANEL, HEIGHT, MARGIN = 250, 220, 70  # of a curve's panel


def page(width, height, title, parts):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="13" fill="#222">',
        "<style>.n { font-size: 11px; fill: #555 }</style>", f'<rect width="{width}" height="{height}" fill="#fff"/>',
        text(20, 18, title, 'font-weight="bold"'), *parts, "</svg>", ""])


def text(x, y, words, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'


def line(x1, y1, x2, y2, colour):
    return f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def legend(names, left, top, columns):
    for i, name in enumerate(names):
        x, y = left + i % columns * 130, top + i // columns * 18
        yield f'<rect x="{x}" y="{y}" width="12" height="12" fill="{COLOURS[name]}"/>' + text(x + 17, y + 10, name)


def bars(cases, results):
    """Bars of CPU a request against webdis's median, with the smallest and largest run as a line on each."""
    shown = [case for case in cases if "webdis" in results[case["name"]]]
    parts, y = [], 74
    for case in shown:
        runs = results[case["name"]]
        base = statistics.median(run["cpu_us"] for run in runs["webdis"])
        parts.append(text(LEFT - 10, y + ROW * len(runs) / 2 + 4, case["about"], 'text-anchor="end"'))
        for name, found in runs.items():
            values = [run["cpu_us"] for run in found]
            low, middle, high = (LEFT + min(v / base, 1.3) / 1.3 * WIDTH
                                 for v in (min(values), statistics.median(values), max(values)))
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{middle - LEFT:.1f}" height="{ROW - 2}" fill="{COLOURS[name]}"/>')
            parts.append(line(low, y + ROW / 2 - 1, high, y + ROW / 2 - 1, "#222"))
            parts.append(text(max(middle, high) + 6, y + ROW - 5, f"{statistics.median(values):.1f} µs", 'class="n"'))
            y += ROW
        y += GAP
    names = list(dict.fromkeys(name for case in shown for name in results[case["name"]]))
    return page(LEFT + WIDTH + 90, y, "Gateway CPU a request, webdis = 1 (shorter is better)",
                [*legend(names, LEFT, 30, 5), *parts])


class Axis:
    """From numbers to places, logarithmic, with a mark at each power of ten."""

    def __init__(self, values, start, end):
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)
        self.start, self.end = start, end

    def at(self, value):
        return self.start + (math.log10(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    def marks(self):
        return [10.0**n for n in range(self.low, self.high + 1)]


def short(value):
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def panel(what, gateways, left, top):
    across = Axis([at for points in gateways.values() for at, _ in points], left, left + PANEL)
    up = Axis([v for points in gateways.values() for _, values in points for v in values], top + HEIGHT, top)
    for mark in across.marks():
        yield line(across.at(mark), top, across.at(mark), top + HEIGHT, "#e4e4e4")
        yield text(across.at(mark), top + HEIGHT + 15, short(mark), 'class="n" text-anchor="middle"')
    for mark in up.marks():
        yield line(left, up.at(mark), left + PANEL, up.at(mark), "#e4e4e4")
        yield text(left - 6, up.at(mark) + 4, f"{short(mark)} µs", 'class="n" text-anchor="end"')
    yield text(left + PANEL / 2, top + HEIGHT + 34, what, 'text-anchor="middle"')
    for name, points in gateways.items():
        places = [(across.at(at), up.at(statistics.median(values))) for at, values in points]
        yield (f'<polyline fill="none" stroke="{COLOURS[name]}" stroke-width="2" '
               f'points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>')
        for (x, y), (_, values) in zip(places, points):
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[name]}"/>'
            yield line(x, up.at(min(values)), x, up.at(max(values)), "#222")


def curves(found):
    """A panel for each that grows, both axes logarithmic. found: {what grows: {gateway: [(how many, [CPU a request, ...]), ...]}}"""
    parts = list(legend(dict.fromkeys(name for gateways in found.values() for name in gateways), MARGIN, 30, 5))
    for i, (what, gateways) in enumerate(found.items()):
        parts += panel(what, gateways, MARGIN + i * (PANEL + MARGIN), 62)
    return page(MARGIN + len(found) * (PANEL + MARGIN), HEIGHT + 112, "Gateway CPU a request (lower is better)", parts)
