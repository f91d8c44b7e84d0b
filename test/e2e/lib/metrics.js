'use strict';
/* The admin address of a daemon: requests, and its metrics as values. */
const { addresses } = require('./daemon');
const { once } = require('./http');
const { within, until } = require('./time');

const LINE = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/;

/* 'a="1",b="2"' in any order as one text. */
const labelsOf = (text) => (text ? text.split(',').sort().join(',') : '');

class Metrics {
    constructor(text) {
        this.text = text;
        this.values = new Map(); /* name -> Map of labels -> value */
        for (const line of text.trimEnd().split('\n')) {
            if (line.startsWith('#')) continue;
            const [, name, labels, value] = LINE.exec(line);
            if (!this.values.has(name)) this.values.set(name, new Map());
            this.values.get(name).set(labelsOf(labels), Number(value));
        }
    }
    /* The value of axr_notifyd_<name>{labels}. */
    get(name, labels = '') {
        const value = (this.values.get(`axr_notifyd_${name}`) || new Map()).get(labelsOf(labels));
        if (value === undefined) throw new Error(`no metric ${name}{${labels}}`);
        return value;
    }
    /* That of each worker, in their order. */
    each(name) {
        return [...this.values.get(`axr_notifyd_worker_${name}`).values()];
    }
}

/* The admin addresses of a daemon: a name, such as localhost, may have several. */
async function adminsOf(daemon) {
    const [, text] = await daemon.logged(/admin listening on (.+)$/m, within(2000));
    return addresses(text);
}
const adminOf = async (daemon) => (await adminsOf(daemon))[0];

const ask = async (daemon, target, method = 'GET') => once(await adminOf(daemon), method, target);
const askJson = async (daemon, target) => JSON.parse((await ask(daemon, target)).text);
const glance = async (daemon) => new Metrics((await ask(daemon, '/metrics')).text);
/* The figures of now: of each worker they are those behind all that has happened.  An answer may
 * be of a question that was under way before, and of a worker that is not run for half a second
 * the figures are those of before.  Where one stands still for longer that is all there is. */
const UNANSWERED_MS = 450;
async function scrape(daemon) {
    for (let tries = 3; ; tries--) {
        await glance(daemon);
        const began = Date.now();
        const metrics = await glance(daemon);
        if (Date.now() - began < UNANSWERED_MS || tries === 1) return metrics;
    }
}
/* Asks again until the figures are so: what a client has seen may not be written down yet,
 * and of a worker that is not run for half a second the figures are those of before. */
const settled = (daemon, check, what, ms = within(3000)) =>
    until(async () => {
        const metrics = await glance(daemon);
        return check(metrics) && metrics;
    }, ms, what);

/* Sends an HTTP request; resolves once the worker that it is for has read it, whichever
 * had it first.  Nothing else may be on its way. */
async function arrived(daemon, send) {
    const requests = (metrics) => metrics.get('http_requests_total');
    const done = (metrics, name) => metrics.get(name, 'result="done"');
    const before = requests(await scrape(daemon));
    send();
    await settled(daemon, (now) =>
        requests(now) > before && done(now, 'handoffs_total') === done(now, 'handoffs_received_total'), 'the request is read');
}

module.exports = { Metrics, adminOf, adminsOf, ask, askJson, glance, scrape, settled, arrived };
