'use strict';
/* Figures of several rounds. */

function median(values) {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = Math.floor(sorted.length / 2);
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/* The median with what it lies between. */
function spread(values) {
    return { value: median(values), low: Math.min(...values), high: Math.max(...values) };
}

function digits(value) {
    if (value >= 100) return value.toFixed(0);
    if (value >= 10) return value.toFixed(1);
    return value.toFixed(value >= 2 ? 2 : 3);
}

/* measure(id) for every id in turns, A B A B; the last rounds only for the first `steady` of
 * them, so that the slow do not take all the time.  Resolves to { id: [values] }. */
async function turns(ids, { rounds, steady = ids.length, others = rounds }, measure) {
    const values = Object.fromEntries(ids.map((id) => [id, []]));
    for (let round = 0; round < rounds; round++)
        for (const [index, id] of ids.entries())
            if (index < steady || round < others) values[id].push(await measure(id));
    return values;
}

/* Round by round, a to b. */
function ratios(a, b) {
    return spread(a.slice(0, b.length).map((value, index) => value / b[index]));
}

module.exports = { median, spread, digits, turns, ratios };
