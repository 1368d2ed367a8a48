"""The page: one file, nothing fetched, light and dark, for a screen, a phone and paper.

Whatever comes from a run folder (names, labels, recipes, messages) is escaped here.
"""

import html
from collections.abc import Sequence

from starter.report import style
from starter.report.render import Shown
from starter.report.words import Words

_LIGHT = "".join(f"--{name}:{value};" for value, name in style.VARIABLES.items())
_DARK = "".join(f"--{name}:{style.DARK[value]};" for value, name in style.VARIABLES.items())
CSS = f"""
:root{{color-scheme:light dark;{_LIGHT}--card:#f4f5f7;--warn:#fff4d6}}
@media screen and (prefers-color-scheme:dark){{:root{{{_DARK}--card:#1f2329;--warn:#3a3113}}}}
*{{box-sizing:border-box}}
body{{margin:0 auto;max-width:1500px;padding:1rem clamp(.9rem,3vw,2.5rem) 3rem;
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;color:var(--ink);
background:var(--paper);overflow-wrap:anywhere}}
h1{{font-size:1.5rem;margin:.4rem 0}} h2{{font-size:1.15rem;margin:2.2rem 0 .6rem;
border-bottom:1px solid var(--grid);padding-bottom:.2rem}} h3{{font-size:1rem;margin:0 0 .3rem}}
.lead{{font-size:1.15rem;font-weight:600;margin:.3rem 0}} .soft{{color:var(--soft)}}
p{{margin:.4rem 0;max-width:52rem}} ul{{margin:.4rem 0;padding-left:1.2rem;max-width:52rem}}
.notes{{background:var(--warn);border-radius:.5rem;padding:.6rem .9rem;max-width:54rem}}
.notes ul{{margin:.2rem 0}} code,pre{{font:.88em/1.45 ui-monospace,Menlo,Consolas,monospace}}
pre{{background:var(--card);padding:.8rem;border-radius:.5rem;overflow:auto;white-space:pre-wrap}}
.scroll{{overflow-x:auto}} table{{border-collapse:collapse;font-variant-numeric:tabular-nums}}
th,td{{padding:.3rem .8rem .3rem 0;text-align:right;white-space:nowrap;overflow-wrap:normal;
border-bottom:1px solid var(--grid)}} th{{font-weight:600;color:var(--soft);font-size:.88rem}}
th:first-child,td:first-child{{text-align:left}}
.grid{{display:grid;gap:1rem;align-items:start;
grid-template-columns:repeat(auto-fill,minmax(min(100%,25rem),1fr))}}
figure{{margin:0;padding:.8rem;border:1px solid var(--grid);border-radius:.6rem}}
figure svg{{display:block;width:100%;height:auto;margin:0 auto}}
figcaption{{font-size:.86rem;color:var(--soft);margin-top:.5rem}}
summary{{cursor:pointer;font-weight:600;margin:.6rem 0}}
@media (max-width:30rem){{body{{padding:.6rem .7rem 2rem}} figure{{padding:.5rem}}}}
@media print{{body{{max-width:none;font-size:11pt}} figure,tr{{break-inside:avoid}}
h2{{break-after:avoid}} .grid{{grid-template-columns:1fr 1fr}} .screen{{display:none}}}}
"""


def page(title: str, parts: Sequence[str]) -> str:
    """The whole document; the parts are HTML already."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{escape(title)}</title><style>{CSS}</style></head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def escape(value: object) -> str:
    """Text of a run folder as HTML."""
    return html.escape(str(value))


def heading(title: str, under: str = "") -> str:
    text = f"<h1>{escape(title)}</h1>"
    return text + (f'<p class="soft">{escape(under)}</p>' if under else "")


def summary(words: Words) -> str:
    """The headline, what stands out, and the next command."""
    text = f'<p class="lead">{escape(words.headline)}</p>' + items(words.facts)
    if words.notes:
        text += f'<div class="notes"><b>What stands out</b>{items(words.notes)}</div>'
    if words.next:
        text += f"<p>Next: <code>{escape(words.next)}</code></p>"
    return f"<section>{text}</section>"


def problems(found: Sequence[str]) -> str:
    """What could not be read or drawn."""
    if not found:
        return ""
    return f'<div class="notes"><b>Not in this report</b>{items(dict.fromkeys(found))}</div>'


def items(lines) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>" if lines else ""


def table(rows: Sequence[Sequence[object]]) -> str:
    """The first row is the head; the first column names the rest."""
    if len(rows) < 2:
        return ""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:]
    )
    whole = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll"><table>{whole}</table></div>'


def figures(shown: Sequence[Shown]) -> str:
    """Figures by section, in the order given."""
    parts = []
    for section in dict.fromkeys(figure.section for figure in shown):
        cards = "".join(
            f'<figure id="{figure.slug}"><h3>{escape(figure.title)}</h3>{figure.svg}'
            f"<figcaption>{escape(figure.caption)}</figcaption></figure>"
            for figure in shown
            if figure.section == section
        )
        parts.append(f'<h2>{escape(section)}</h2><div class="grid">{cards}</div>')
    return "\n".join(parts)


def folded(title: str, text: str) -> str:
    """Text that is shown when asked for."""
    if not text.strip():
        return ""
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"
