'use strict';
/* The results as text. */
const { digits } = require('./stats');

const WIDTH = 96;

const met = ({ value, goal }) => value <= goal;

function figure(value) {
    if (typeof value !== 'number') return String(value);
    return Number.isInteger(value) ? String(value) : digits(value);
}

/* Text in lines of at most width. */
function wrap(text, width) {
    const lines = [''];
    for (const word of text.split(' ')) {
        const line = lines[lines.length - 1];
        if (line && line.length + 1 + word.length > width) lines.push(word);
        else lines[lines.length - 1] = line ? `${line} ${word}` : word;
    }
    return lines;
}

function rowLines({ what, unit = '', value, low, high, goal, cells }) {
    const range = low === high ? '' : ` (${figure(low)} to ${figure(high)})`;
    const verdict = met({ value, goal }) ? 'reached' : 'MISSED';
    const tail = unit && ` ${unit}`;
    const result = `    ${verdict.padEnd(8)} ${figure(value)}${tail}${range}; goal: at most ${figure(goal)}${tail}`;
    const behind = cells.map(([name, number, of]) => `${name} ${figure(number)}${of && ` ${of}`}`).join(', ');
    return [...wrap(what, WIDTH), result, ...wrap(behind, WIDTH - 4).map((line) => `    ${line}`)];
}

/* One row's results, or why it could not be measured. */
function textOf({ name, results, error }) {
    if (error) return `[${name}] NOT MEASURED: ${error}\n`;
    return `${results.map((one) => `[${name}] ${rowLines(one).join('\n')}`).join('\n')}\n`;
}

function summary(rows) {
    const results = rows.flatMap((row) => row.results || []);
    const missed = results.filter((one) => !met(one));
    const without = rows.filter((row) => row.error).map((row) => row.name);
    const lines = [`${results.length - missed.length} of ${results.length} goals reached`];
    for (const one of missed) lines.push(`missed: ${one.what}: ${figure(one.value)}, goal ${figure(one.goal)}`);
    if (without.length) lines.push(`not measured: ${without.join(', ')}`);
    return lines.join('\n');
}

module.exports = { textOf, summary, figure, met };
