"""The frame of a report's page: one HTML file without scripts, fonts or anything from elsewhere."""

from collections.abc import Iterable, Sequence

from aa_jax.training.report_text import escape

# Okabe & Ito's palette, told apart with every common colour vision deficiency; the dark page has
# lighter ones of the same hues.
_LIGHT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#a87900", "#56b4e9", "#333333", "#7b5ea7")
_DARK = ("#5cb6ea", "#ff8c42", "#35c99b", "#e7a3c8", "#e6b830", "#9ad2f5", "#dddddd", "#b79ce0")

_RULES = """
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 76rem; background: var(--page);
  color: var(--ink); font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.8rem 0 .8rem; padding-bottom: .3rem;
  border-bottom: 1px solid var(--rule); }
h3 { font-size: .95rem; margin: 1.6rem 0 .6rem; color: var(--soft); font-weight: 600; }
p { max-width: 48rem; margin: .4rem 0; }
.soft, figcaption, .tick { color: var(--soft); }
.soft { font-size: .9rem; }
a { color: inherit; }
code, pre, .name { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono",
  monospace; font-size: .88em; overflow-wrap: anywhere; }
pre { background: var(--panel); border: 1px solid var(--rule); border-radius: 6px;
  padding: .7rem .9rem; white-space: pre-wrap; }
.cards { display: flex; flex-wrap: wrap; gap: .6rem 2.4rem; margin: 1rem 0; }
.cards div { min-width: 6rem; }
.cards b { display: block; font-size: 1.25rem; font-weight: 600; line-height: 1.3; }
.cards span { color: var(--soft); font-size: .85rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr));
  gap: 1rem; }
figure { margin: 0; break-inside: avoid; min-width: 0; }
.panel { background: var(--panel); border: 1px solid var(--rule); border-radius: 8px;
  padding: .7rem .8rem .4rem; }
.panel figcaption { display: flex; flex-wrap: wrap; gap: .1rem .9rem; align-items: center;
  font-size: .85rem; margin-bottom: .3rem; }
.panel figcaption .name { color: var(--ink); font-weight: 600; font-size: .9rem; }
.key { display: inline-flex; align-items: center; gap: .35rem; overflow-wrap: anywhere; }
.key i { width: 1rem; height: 3px; border-radius: 2px; background: var(--c); flex: none; }
.key i.dashed { background: linear-gradient(90deg, var(--c) 40%, transparent 40% 60%,
  var(--c) 60%); }
svg { display: block; width: 100%; height: auto; }
svg text { font: 11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  fill: var(--soft); font-variant-numeric: tabular-nums; }
.grid { stroke: var(--rule); }
.axis { stroke: var(--soft); }
.line, .faint { fill: none; stroke: var(--c); stroke-width: 1.7; stroke-linejoin: round; }
.faint { stroke-width: 1; opacity: .32; }
.band { fill: var(--c); opacity: .13; }
.dot { fill: var(--c); }
.dashed { stroke-dasharray: 6 4; }
.hover rect { fill: transparent; }
.hover rect:hover { fill: var(--soft); fill-opacity: .14; }
.scroll { overflow-x: auto; margin-bottom: 1rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .9rem .28rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--rule); }
th { font-weight: 600; color: var(--soft); }
td.number, th.number { text-align: right; white-space: nowrap; }
tr.differs td { background: var(--mark); }
td.name { overflow-wrap: normal; }
td:not([class]) { overflow-wrap: anywhere; min-width: 5rem; }
td.best { font-weight: 700; }
details { margin: .8rem 0; }
summary { cursor: pointer; font-weight: 600; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr));
  gap: 1rem; align-items: start; }
.strip { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .8rem; }
img { display: block; max-width: 100%; height: auto; border-radius: 4px; }
.pair img, .strip img { width: 100%; }
figcaption { font-size: .85rem; margin-top: .25rem; }
.note { border-left: 3px solid var(--warn); padding-left: .8rem; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  .panels { grid-template-columns: 1fr 1fr; }
  table { font-size: 8pt; }
  .hover { display: none; }
  details::details-content { content-visibility: visible; display: block; height: auto; }
  h2, h3 { break-after: avoid; }
}
"""


def _colours(colours: Sequence[str]) -> str:
    return "".join(f".c{index} {{ --c: {colour}; }} " for index, colour in enumerate(colours))


_LIGHT_PAGE = (
    ":root { color-scheme: light dark; --page: #fff; --panel: #fff; --ink: #1b1f24; "
    "--soft: #5d6671; --rule: #e3e6ea; --mark: #fff4d1; --warn: #d9a400; } " + _colours(_LIGHT)
)
_DARK_PAGE = (
    ":root { --page: #14171b; --panel: #1a1e23; --ink: #e6e9ed; --soft: #9aa4b0; "
    "--rule: #2e343b; --mark: #443a14; --warn: #d9a400; } " + _colours(_DARK)
)
# Paper is white, whatever the screen is.
_STYLE = f"{_LIGHT_PAGE}\n@media screen and (prefers-color-scheme: dark) {{ {_DARK_PAGE} }}{_RULES}"
# Were anything in a file taken for markup in spite of all, it could still load and run nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(title: str, body: str) -> str:
    """A whole HTML document.

    Args:
        title: text, not yet escaped.
        body: HTML.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A heading and what follows; nothing at all if that is empty."""
    inner = "\n".join(filter(None, parts))
    return f"<section>\n<h2>{escape(title)}</h2>\n{inner}\n</section>" if inner else ""


def table(head: Sequence[str], rows: Iterable[str], *, numbers_from: int = 1) -> str:
    """A table of rows made by `row`; columns from the `numbers_from`-th are numbers."""
    cells = "".join(
        f'<th class="number">{escape(it)}</th>'
        if index >= numbers_from
        else f"<th>{escape(it)}</th>"
        for index, it in enumerate(head)
    )
    return (
        f'<div class="scroll"><table>\n<thead><tr>{cells}</tr></thead>\n<tbody>\n'
        + "\n".join(rows)
        + "\n</tbody></table></div>"
    )


def row(name: str, cells: Sequence[str], *, cls: str = "", cell_cls: Sequence[str] = ()) -> str:
    """A row: its name in a fixed-width font, then cells; all text, not yet escaped."""
    classes = [*cell_cls, *[""] * (len(cells) - len(cell_cls))]
    tds = "".join(
        f'<td class="{kind}">{escape(cell)}</td>' if kind else f"<td>{escape(cell)}</td>"
        for cell, kind in zip(cells, classes, strict=True)
    )
    opening = f'<tr class="{cls}">' if cls else "<tr>"
    return f'{opening}<td class="name">{escape(name)}</td>{tds}</tr>'


def panel(name: str, svg: str, *, remark: str = "", keys: Sequence[tuple[str, str]] = ()) -> str:
    """A chart with its name and legend.

    Args:
        name: of the chart.
        svg: the chart.
        remark: behind the name.
        keys: (label, classes that give the colour) of its lines.
    """
    caption = f'<span class="name">{escape(name)}</span>'
    caption += "".join(
        f'<span class="key"><i class="{classes}"></i>{escape(label)}</span>'
        for label, classes in keys
    )
    caption += f"<span>{escape(remark)}</span>" if remark else ""
    return f'<figure class="panel"><figcaption>{caption}</figcaption>{svg}</figure>'
