'use strict';
/* The rows of the table of faults: row() declares one, run() makes its fault.
 *
 *     row(3, 'fault', 'what must hold', async (t) => { ... }, { long: true, timeout: 90000 });
 *
 * t is a test's context (test/e2e/lib/suite.js) that also keeps what was measured.
 * long: only with --long, or where the row is named. */
const assert = require('assert');
const suite = require('../../e2e/lib/suite');
const { Redis } = require('../../e2e/lib/redis');
const { pssOf, cpuOf } = require('../../e2e/lib/proc');
const { SLOW, elapse } = require('../../e2e/lib/time');

const rows = new Map();
const isLong = suite.mode === 'long';
const KB = 1024;
const MB = 1024 * KB;

/* A sanitizer keeps shadows and what was freed: memory is not judged then. */
const isSanitized = SLOW > 1;

class Row extends suite.Context {
    constructor() {
        super();
        this.measured = [];
    }
    note(text) {
        this.measured.push(text);
    }
    /* Memory in bytes, which must be below limit. */
    memory(what, bytes, limit) {
        this.note(`${what} ${sizeOf(bytes)}${isSanitized ? ' (not judged)' : ''}`);
        if (!isSanitized) assert.ok(bytes < limit, `${what} ${sizeOf(bytes)}, not below ${sizeOf(limit)}`);
    }
    /* Something that took ms, which must be below three times limit. */
    took(what, ms, limit) {
        this.note(`${what} ${Math.round(ms)} ms`);
        const most = limit * 3 * SLOW;
        assert.ok(ms < most, `${what} took ${Math.round(ms)} ms, not below 3 x ${limit * SLOW}`);
    }
    /* A percentile or a share of a CPU, which the long run judges. */
    judged(what, value, limit, unit) {
        const isJudged = isLong && !isSanitized;
        this.note(`${what} ${value.toFixed(1)} ${unit}${isJudged ? '' : ' (not judged)'}`);
        if (isJudged) assert.ok(value < limit, `${what} ${value.toFixed(1)} ${unit}, not below ${limit}`);
    }
}

function sizeOf(bytes) {
    return Math.abs(bytes) < 10 * MB ? `${Math.round(bytes / KB)} KB` : `${(bytes / MB).toFixed(1)} MB`;
}

/* PSS of the workers, and of the whole daemon. */
const workersPss = (daemon) => daemon.workers().reduce((sum, pid) => sum + pssOf(pid), 0);
const daemonPss = (daemon) => pssOf(daemon.pid) + workersPss(daemon);

/* Share of a core, in percent, that processes use in the next ms. */
async function cpuShare(pids, ms) {
    const used = () => pids.reduce((sum, pid) => sum + cpuOf(pid), 0);
    const before = used();
    const began = Date.now();
    await elapse(ms);
    return ((used() - before) * 1e5) / (Date.now() - began);
}

function row(number, fault, holds, fn, options = {}) {
    assert.ok(!rows.has(number), `row ${number} is there twice`);
    rows.set(number, { number, fault, holds, fn, options });
}

/* One redis for all rows that do it no harm. */
const redisServer = suite.shared((s) => Redis.start(s));

/* Runs one row and prints its line; returns whether what must hold does. */
async function run({ number, fault, holds, fn, options }) {
    const context = new Row();
    const errors = [];
    const began = Date.now();
    await suite.attempt({ fn, options }, context).catch((error) => errors.push(error));
    errors.push(...(await context.end()));
    const seconds = ((Date.now() - began) / 1000).toFixed(1);
    const why = errors.length ? [`FAILED: ${String(errors[0].message || errors[0]).split('\n')[0]}`] : [];
    const measured = [...context.measured, ...why].join('; ');
    const verdict = errors.length ? 'NOT HELD' : 'held';
    console.log(`${String(number).padStart(2)} | ${fault} | ${holds} | ${measured} (${seconds} s) | ${verdict}`);
    if (errors.length) suite.complain(errors, [context, suite.whole]);
    return !errors.length;
}

module.exports = {
    row, rows, run, redisServer, isLong, isSanitized, KB, MB, sizeOf, pssOf, workersPss, daemonPss, cpuShare,
    end: () => suite.whole.end(),
};
