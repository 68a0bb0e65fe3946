# SPDX-License-Identifier: Apache-2.0
"""Bars of figures beside each other, as SVG; nothing but the standard library."""

from xml.sax.saxutils import escape

LEFT, WIDTH, BAR, GAP = 210, 420, 16, 6
OURS, THEIRS = "#1f6f8b", "#b8b8b8"


def bars(title, unit, values, ours):
    """One group: `values` {label: number}; labels for which `ours(label)` holds are coloured."""
    top = max(values.values()) or 1
    rows = [f'<text x="0" y="14" font-weight="bold">{escape(title)}</text>']
    for index, (label, value) in enumerate(values.items()):
        y = 24 + index * (BAR + GAP)
        width = max(1, value / top * WIDTH)
        colour = OURS if ours(label) else THEIRS
        rows.append(f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(label)}</text>'
                    f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>'
                    f'<text x="{LEFT + width + 6:.1f}" y="{y + 12}">{value:g} {escape(unit)}</text>')
    return "\n".join(rows), 24 + len(values) * (BAR + GAP) + 14


def page(groups):
    """The whole picture from what `bars` gave, one group under the other."""
    parts, y = [], 10
    for body, height in groups:
        parts.append(f'<g transform="translate(10,{y})">\n{body}\n</g>')
        y += height
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 140}" height="{y}" '
            'font-family="sans-serif" font-size="12">')
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>"]) + "\n"
