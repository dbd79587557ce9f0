"""The frame of the report: one HTML file, which can be read without its script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

SCRIPT = Path(__file__).with_name("report.js")
PALETTE = """\
:root{color-scheme:light dark;--paper:#fbfaf8;--card:#fff;--ink:#20242a;--soft:#69707a;
--line:#e3e0da;--win:#0f7b6c;--ref:#9a5b13;--warn:#b3403a;--dot:#9aa3ad}
@media(prefers-color-scheme:dark){:root{--paper:#14171b;--card:#1b1f25;--ink:#e6e8ea;
--soft:#949ca6;--line:#2e343c;--win:#45c4ac;--ref:#e0a458;--warn:#ee8078;--dot:#8791a0}}
"""
"""The report's colours, by day and by night."""

NETWORK = """\
svg.net text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;
fill:var(--ink);font-variant-numeric:tabular-nums}
svg.net .soft{fill:var(--soft)}svg.net .end{text-anchor:end}svg.net .middle{text-anchor:middle}
svg.net .kind{font-weight:600}svg.net .times{font-weight:650}
svg.net .sheet{fill:var(--card)}
svg.net .hull{fill:var(--line);opacity:.5}
svg.net .repeat{fill:var(--dot);fill-opacity:.1;stroke:var(--dot);stroke-opacity:.35}
svg.net .flow,svg.net .skip{fill:none;stroke:var(--soft);stroke-width:1.3}
svg.net .skip{stroke:var(--ref)}svg.net .head{fill:var(--ref)}
svg.net .leader{stroke:var(--dot);stroke-dasharray:1 4;stroke-linecap:round;fill:none}
svg.net .learned{fill:var(--win)}svg.net .grouped{fill:var(--win);opacity:.55}
svg.net .fixed{fill:var(--ref)}svg.net .interface{fill:var(--soft)}
svg.net rect.join{fill:var(--dot)}
svg.net circle.join{fill:var(--card);stroke:var(--soft);stroke-width:1.3}
svg.net .sign{stroke:var(--ink);stroke-width:1.4;fill:none}
svg.net .work{fill:var(--dot);opacity:.7}
"""
"""Of the drawing of a network, in the report and in a file of its own."""

STYLE = PALETTE + NETWORK + """\
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:1000px;margin:0 auto;padding:44px 24px 80px}
h1{font-size:2.05rem;line-height:1.2;margin:.1em 0 .45em;letter-spacing:-.015em;
font-weight:650;text-wrap:balance}
h2{font-size:1.2rem;margin:2.7em 0 .7em;font-weight:650}
h3{font-size:1rem;margin:0 0 .3em;font-weight:650}
p{margin:.4em 0 .9em;max-width:70ch}
.over{color:var(--soft);font-size:.9rem;margin:0}
.lead{font-size:1.08rem}
.soft,figcaption{color:var(--soft)}
.small{font-size:.88rem}
.win{color:var(--win)}.ref{color:var(--ref)}.warn{color:var(--warn)}
code{font:.87em ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;
overflow-wrap:anywhere}
pre{background:var(--paper);border:1px solid var(--line);border-radius:7px;padding:9px 12px;
white-space:pre-wrap;margin:.6em 0}
section.card,.box{background:var(--card);border:1px solid var(--line);border-radius:11px;
padding:20px 22px;margin:0 0 16px}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;width:100%;font-size:.91rem;font-variant-numeric:tabular-nums}
th{font-weight:500;color:var(--soft);text-align:left;font-size:.84rem;white-space:nowrap}
th,td{padding:7px 13px 7px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}
td.n,th.n{text-align:right;white-space:nowrap}
td.what{min-width:15em}
.ci{display:block;color:var(--soft);font-size:.8rem}
td.name{white-space:nowrap;font-weight:600}
dl{display:grid;grid-template-columns:minmax(8em,max-content) 1fr;gap:5px 22px;margin:0;
font-size:.93rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
ul{padding-left:1.15em;margin:.5em 0 1em}li{margin:.25em 0}
details summary{cursor:pointer;color:var(--soft);font-size:.92rem;margin-top:.7em}
.crops{display:flex;flex-wrap:wrap;gap:16px 14px;padding-bottom:4px}
figure{margin:0;flex:none}
figure img{display:block;image-rendering:pixelated;border-radius:3px}
figcaption{font-size:.83rem;line-height:1.35;margin-top:5px}
figcaption b{color:var(--ink);font-weight:600;display:block;overflow-wrap:anywhere}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;
fill:var(--ink);font-variant-numeric:tabular-nums}
svg .axis,svg .soft{fill:var(--soft)}svg .end{text-anchor:end}svg .middle{text-anchor:middle}
svg .count{font-weight:600}
svg .warn{fill:var(--warn)}svg .win-label{fill:var(--win);font-weight:600}
svg .ref-label{fill:var(--ref)}
svg .grid{stroke:var(--line);fill:none}
svg .limit{stroke:var(--warn);fill:none;stroke-width:1.5}
svg .beyond{fill:var(--warn);opacity:.06}
svg .baseline{stroke:var(--soft);stroke-dasharray:5 4;fill:none}
svg .front{stroke:var(--win);stroke-width:2;fill:none;opacity:.55}
svg circle.ref{fill:var(--ref)}
svg circle.win{fill:var(--win);stroke:var(--card);stroke-width:2}
svg path.ref{fill:var(--ref);stroke:var(--card);stroke-width:1.5}
svg .brief{fill:var(--dot);opacity:.5}
svg .full{fill:none;stroke:var(--win);stroke-width:1.5;opacity:.8}
svg .tick{stroke-width:1.5;fill:none}svg .slow{stroke:var(--warn);opacity:.65}
svg .fast{stroke:var(--dot);opacity:.65}
svg .bar{fill:var(--dot);opacity:.6}svg .won{fill:var(--win);opacity:1}
.drawn{margin:0 0 18px}.drawn svg{min-width:540px}
.legend{display:flex;flex-wrap:wrap;gap:4px 20px;font-size:.85rem;color:var(--soft);
margin:12px 0 0}
.legend span{display:flex;align-items:baseline;gap:7px}
.narrow{display:none}
.key{flex:none;width:10px;height:10px;border-radius:50%}
.key.w{background:var(--win)}.key.f{border:1.5px solid var(--win)}
.key.b{background:var(--dot);opacity:.6}.key.r{background:var(--ref);border-radius:1px;
transform:rotate(45deg) scale(.85)}
.key.s{background:var(--warn);width:2px;border-radius:0}
.told{position:absolute;z-index:2;max-width:min(34em,calc(100vw - 16px));padding:6px 10px;
border-radius:7px;background:var(--ink);color:var(--paper);font-size:.85rem;line-height:1.4;
pointer-events:none}
svg [data-network]{cursor:pointer}
svg [data-network].chosen{stroke:var(--ink);stroke-width:2.5;opacity:1}
svg path.curve.chosen{stroke:var(--ink)}
tr.chosen td{background:color-mix(in srgb,var(--win) 13%,transparent)}
tr[data-network]{cursor:pointer}
th[title]{cursor:pointer}th[aria-sort]{color:var(--ink)}
th[aria-sort=ascending]::after{content:" ↑"}th[aria-sort=descending]::after{content:" ↓"}
svg path.curve{fill:none;stroke:var(--dot);stroke-width:1;opacity:.45}
svg path.curve.w{stroke:var(--win);stroke-width:1.8;opacity:.9}
svg path.curve.r{stroke:var(--ref);stroke-width:1.8;opacity:.9}
.compare{margin:6px 0 18px}
.stage{position:relative;width:min(100%,512px);aspect-ratio:1;overflow:hidden;border-radius:5px;
touch-action:pan-y}
.stage img{position:absolute;inset:0;width:100%;height:100%;object-fit:cover;
image-rendering:pixelated}
.stage .over{clip-path:inset(0 calc(100% - var(--cut)) 0 0)}
.stage::after{content:"";position:absolute;top:0;bottom:0;left:calc(var(--cut) - 1px);width:2px;
background:#fff;box-shadow:0 0 3px #000;pointer-events:none}
.stage input{position:absolute;inset:0;width:100%;height:100%;margin:0;opacity:0;
cursor:ew-resize}
.stage:focus-within{outline:2px solid var(--win);outline-offset:2px}
.choices{display:flex;justify-content:space-between;width:min(100%,512px);margin-top:6px}
.choices select{font:inherit;font-size:.87rem;color:var(--ink);background:var(--card);
border:1px solid var(--line);border-radius:6px;padding:2px 6px;max-width:48%}
@media(max-width:640px){main{padding:26px 16px 60px}h1{font-size:1.55rem}
section.card,.box{padding:16px 15px}.wide{display:none}.narrow{display:block}
dl{grid-template-columns:1fr;gap:0}.crops{flex-wrap:nowrap;overflow-x:auto}dd{margin-bottom:8px}}
@media print{body{background:#fff}section.card{break-inside:avoid}}
"""


def page(title: str, body: str) -> str:
    """A whole document around a body that is HTML already."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n<script>\n{SCRIPT.read_text()}</script>\n</body>\n"
        "</html>\n"
    )


def cell(text: str, css: str = "") -> str:
    """One cell; the text is escaped."""
    return f'<td class="{css}">{escape(text)}</td>' if css else f"<td>{escape(text)}</td>"


def table(
    heads: list[tuple[str, str]], rows: list[str], *, networks: Sequence[str] = ()
) -> str:
    """A table that scrolls sideways where the screen is narrow.

    Args:
        heads: (text, css class) of each column.
        rows: each the HTML of its cells.
        networks: what each row tells of, for pointing at it; empty where that is nothing.
    """
    head = "".join(f'<th class="{css}">{escape(text)}</th>' for text, css in heads)
    body = "".join(
        f"<tr{pointed(name)}>{row}</tr>"
        for row, name in zip(rows, networks or [""] * len(rows), strict=True)
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def pointed(network: str) -> str:
    """The attribute by which a row and a mark of one network are found together."""
    return f' data-network="{escape(network)}"' if network else ""


def facts(pairs: list[tuple[str, str]]) -> str:
    """A list of terms and what is to be said of them; what is empty is left out."""
    lines = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in pairs if v)
    return f"<dl>{lines}</dl>"


def bullets(lines: list[str]) -> str:
    """A list of sentences."""
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"
