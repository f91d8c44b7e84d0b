'use strict';
/* A small test runner that is the same with every Node version.
 *
 *     const { test } = require('./lib/suite');
 *     test('what holds', async (t) => { ... });
 *
 * Tests run in turn, in the order given.  t.after(fn) undoes, last first;
 * t.show(source) has its log printed if the test fails.  shared(make) is made
 * by the first test that asks and undone when all have ended.
 * The process ends with 1 if a test failed or there was none. */
const path = require('path');
const { has } = require('./proc');
const { SLOW } = require('./time');

const MODES = ['quick', 'normal', 'long'];
const mode = MODES.includes(process.env.AXR_MODE) ? process.env.AXR_MODE : 'normal';
const name = path.basename(require.main ? require.main.filename : 'suite', '.test.js') + (process.env.AXR_TLS === '1' ? '-tls' : '');
const tests = [];
const TEST_MS = 60000;
const LINES = 40; /* of a log, shown when a test fails */

class Context {
    constructor() {
        this.undo = [];
        this.sources = [];
    }
    after(fn) {
        this.undo.push(fn);
    }
    show(source) {
        this.sources.push(source);
    }
    /* It cannot be run here, for why: it counts as neither passed nor failed. */
    skip(why) {
        this.skipped = why;
    }
    /* Undoes everything; returns the errors that this brought up. */
    async end() {
        const errors = [];
        while (this.undo.length) {
            try {
                await this.undo.pop()();
            } catch (error) {
                errors.push(error);
            }
        }
        return errors;
    }
}

const whole = new Context();

const only = new RegExp(process.env.AXR_ONLY || '');

/* Why a test with these options cannot be run here, or undefined. */
function hindrance({ root, tools = [], needs }) {
    if (root && process.getuid() !== 0) return 'only root may do what it takes';
    const wanted = [].concat(tools, (mode === 'quick' && needs) || []);
    const missing = wanted.filter((name) => !has(name));
    return missing.length ? `${missing.join(', ')}: not installed` : undefined;
}

/* options: timeout (ms), long: only with --long, quick: false leaves it out of --quick,
 * root: it takes root, tools: commands that it takes; without, it is skipped.
 * needs: the same for a command that only --quick makes do without.
 * AXR_ONLY=pattern in the environment picks tests by their name. */
function test(what, fn, options = {}) {
    if (!main.due) main.due = setImmediate(main);
    if (!only.test(what)) return;
    if (options.long && mode !== 'long') return;
    if (options.quick === false && mode === 'quick') return;
    const why = hindrance(options);
    tests.push({ what, fn: why ? (t) => t.skip(why) : fn, options });
}

function shared(make) {
    let made;
    return () => (made = made || make(whole));
}

function complain(errors, contexts) {
    for (const error of errors)
        console.log(`  ${String((error && error.stack) || error).replace(/\n/g, '\n  ')}`);
    for (const source of contexts.flatMap((context) => context.sources)) {
        const lines = source.log.trimEnd().split('\n');
        console.log(`  --- ${source.title}${lines.length > LINES ? `, last ${LINES} lines` : ''}`);
        for (const line of lines.slice(-LINES)) console.log(`  | ${line}`);
    }
}

/* Every error that reaches the top belongs to the test that runs. */
let onStray = (error) => {
    console.log(error);
    process.exitCode = 1;
};
process.on('uncaughtException', (error) => onStray(error));
process.on('unhandledRejection', (error) => onStray(error));

async function attempt({ fn, options }, context) {
    const limit = (options.timeout || TEST_MS) * SLOW;
    let timer;
    const stray = new Promise((_, reject) => {
        onStray = reject;
        timer = setTimeout(() => reject(new Error(`test not over after ${limit} ms`)), limit);
    });
    stray.catch(() => {});
    try {
        await Promise.race([fn(context), stray]);
    } finally {
        clearTimeout(timer);
    }
}

async function main() {
    const began = Date.now();
    let failed = 0;
    let skipped = 0;
    for (const [index, one] of tests.entries()) {
        const context = new Context();
        const start = Date.now();
        const errors = [];
        await attempt(one, context).catch((error) => errors.push(error));
        errors.push(...(await context.end()));
        const line = `${index + 1} - ${one.what} (${Date.now() - start} ms)`;
        const skip = !errors.length && context.skipped;
        console.log(errors.length ? `not ok ${line}` : skip ? `ok ${line} # SKIP ${skip}` : `ok ${line}`);
        if (skip) skipped++;
        if (!errors.length) continue;
        complain(errors, [context, whole]);
        failed++;
    }
    const passed = tests.length - failed - skipped;
    const errors = await whole.end();
    if (errors.length) {
        console.log('not ok - end of the suite');
        complain(errors, [whole]);
        failed++;
    }
    if (!tests.length) console.log('not ok - no test was run');
    const seconds = ((Date.now() - began) / 1000).toFixed(1);
    console.log(`# ${name}: ${passed} passed, ${failed} failed, ${skipped ? `${skipped} skipped, ` : ''}${seconds} s`);
    process.exit(failed || !tests.length ? 1 : 0);
}

/* A client that ends with the test, at the latest. */
function keep(t, client) {
    t.after(() => client.destroy());
    return client;
}

/* The rest is for test/faults, which runs tests of its own kind. */
module.exports = { test, shared, keep, mode, whole, Context, attempt, complain };
