'use strict';
/* The results as an SVG chart: the servers side by side, then goals and results. */
const { figure, met } = require('./table');

const WIDTH = 960;
const MARGIN = 24;
const LINE = 20;
const BAR_FROM = 150; /* where bars begin in their half, after the names */
const BAR_MOST = 210; /* length of the longest */
const COLOURS = { 'axr-notifyd': '#1a7f64', 'bare loop': '#777777' };

const escape = (text) => String(text).replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c]);

function text(x, y, what, more = '') {
    return `<text x="${x}" y="${y}" ${more}>${escape(what)}</text>`;
}

/* One group of bars with its left upper corner there; returns its lines. */
function group({ bars, cells }, x, y) {
    const most = Math.max(...cells.map(([, value]) => value));
    const out = [text(x, y + 14, `${bars.title} (${bars.unit})`, 'font-weight="bold"')];
    cells.forEach(([name, value], index) => {
        const top = y + LINE * (index + 1) + 4;
        const length = Math.max(1, (value / most) * BAR_MOST).toFixed(1);
        const from = x + BAR_FROM - 40;
        out.push(text(x, top + 12, name));
        out.push(`<rect x="${from}" y="${top}" width="${length}" height="15" fill="${COLOURS[name] || '#c2a64d'}"/>`);
        out.push(text(from + Number(length) + 6, top + 12, figure(value)));
    });
    return out;
}

function goals(results, y) {
    const out = [];
    results.forEach((one, index) => {
        const top = y + LINE * index;
        const unit = one.unit ? ` ${one.unit}` : '';
        const colour = met(one) ? '#1a7f64' : '#b3261e';
        out.push(text(MARGIN, top, one.what.replace(/ \(.*\)/, '')));
        out.push(text(WIDTH - MARGIN - 170, top, `${figure(one.value)}${unit}`, `text-anchor="end" font-weight="bold" fill="${colour}"`));
        out.push(text(WIDTH - MARGIN - 155, top, `${met(one) ? 'reached' : 'missed'}, goal ${figure(one.goal)}${unit}`));
    });
    return out;
}

/* machine, notes: lines; rows as textOf() takes them. */
function chartOf(machine, notes, rows) {
    const results = rows.flatMap((row) => row.results || []);
    const groups = results.filter((one) => one.bars);
    const out = [];
    let y = MARGIN + 20;
    out.push(text(MARGIN, y, 'axr-notifyd beside others', 'font-size="20" font-weight="bold"'));
    for (const line of [...machine, ...notes]) out.push(text(MARGIN, (y += LINE), line, 'fill="#555555"'));
    y += LINE;
    for (let index = 0; index < groups.length; index += 2) {
        const pair = groups.slice(index, index + 2);
        pair.forEach((one, side) => out.push(...group(one, MARGIN + (side * (WIDTH - MARGIN)) / 2, y)));
        y += LINE * (Math.max(...pair.map((one) => one.cells.length)) + 2);
    }
    out.push(...goals(results, (y += LINE)));
    y += LINE * results.length;
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" ` +
        'font-family="sans-serif" font-size="13" fill="#222222">\n<rect width="100%" height="100%" fill="#ffffff"/>\n' +
        `${out.join('\n')}\n</svg>\n`;
}

module.exports = { chartOf };
