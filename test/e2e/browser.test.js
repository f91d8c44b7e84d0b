'use strict';
/* headless Chromium: a page of another origin, with the bundles that npm ships,
 * connects by polling, upgrades and receives; refused where its origin is not
 * listed.  The page reports to the server it came from, so nothing drives it. */
const assert = require('assert');
const fs = require('fs');
const http = require('http');
const path = require('path');
const { spawnSync } = require('child_process');
const { test, shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { Process, tempDir } = require('./lib/proc');
const { deadline, within } = require('./lib/time');

const BUNDLES = { 1: 'c1/dist/socket.io.js', 2: 'c2/dist/socket.io.js', 4: 'c4/dist/socket.io.min.js' };
const FLAGS = [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
];
const CHROMIUM = ['chromium', 'google-chrome'].find((name) => !spawnSync(name, ['--version']).error);

/* Runs in the page: opens a client for each of jobs, reports what happens to it. */
function inPage(jobs) {
    const report = (id, what, detail) => fetch('/report', { method: 'POST', body: JSON.stringify({ id, what, detail }) });
    const view = (value) => (Object.prototype.toString.call(value) === '[object ArrayBuffer]'
        ? { bytes: Array.from(new Uint8Array(value)) } : value);
    const open = (job) => {
        const frame = document.createElement('iframe'); /* a global of its own for each bundle */
        document.body.appendChild(frame);
        const script = frame.contentDocument.createElement('script');
        script.src = job.bundle;
        script.onload = () => {
            const auth = job.version >= 3 ? { auth: { token: job.token } } : { query: { token: job.token } };
            const socket = frame.contentWindow.io(job.url, { path: '/notifications', forceNew: true, reconnection: false, ...auth, ...job.options });
            /* Not at 'connect': the upgrade may be done before. */
            socket.io.on('open', () => {
                const engine = socket.io.engine;
                report(job.id, 'open', engine.transport.name);
                engine.on('upgrade', (transport) => report(job.id, 'upgrade', transport.name));
            });
            socket.on('connect', () => report(job.id, 'connect'));
            for (const what of ['connect_error', 'error']) socket.on(what, (why) => report(job.id, 'refused', String(why)));
            socket.on('msg', (...args) => report(job.id, 'msg', args.map(view)));
        };
        frame.contentDocument.body.appendChild(script);
    };
    jobs.forEach(open);
}

/* The server of the page; .when(check) resolves once the reports satisfy check. */
class Site {
    constructor() {
        this.reports = [];
        this.watchers = new Set();
        this.jobs = [];
        this.server = http.createServer((req, res) => this.serve(req, res));
    }
    async listen() {
        await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
        this.origin = `http://localhost:${this.server.address().port}`;
    }
    serve(req, res) {
        const bundle = Object.values(BUNDLES).find((name) => req.url === `/${name}`);
        if (req.url === '/report') {
            let body = '';
            req.on('data', (data) => (body += data)).on('end', () => {
                this.reports.push(JSON.parse(body));
                for (const watcher of [...this.watchers]) watcher();
                res.end();
            });
        } else if (bundle) {
            res.setHeader('Content-Type', 'text/javascript');
            res.end(fs.readFileSync(path.join(__dirname, 'node_modules', bundle)));
        } else {
            res.setHeader('Content-Type', 'text/html; charset=utf-8');
            const jobs = JSON.stringify(this.jobs).replace(/</g, '\\u003c');
            res.end(`<!doctype html><body><script>(${inPage})(${jobs})</script>`);
        }
    }
    when(check, what) {
        let watcher;
        const met = new Promise((resolve) => {
            watcher = () => check(this.reports) && resolve();
            this.watchers.add(watcher);
            watcher();
        });
        return deadline(met, within(10000), what).finally(() => this.watchers.delete(watcher));
    }
    get title() {
        return 'reports of the page';
    }
    get log() {
        return this.reports.map((one) => JSON.stringify(one)).join('\n');
    }
}

async function browse(t, site, jobs) {
    site.jobs = jobs.map((job, id) => ({ ...job, id, bundle: `/${BUNDLES[job.version]}` }));
    const args = [...FLAGS, `--user-data-dir=${tempDir(t)}`, `${site.origin}/`];
    const chromium = new Process(CHROMIUM, args, { env: { ...process.env, HOME: tempDir(t) } });
    t.show(site);
    t.show(chromium);
    t.after(() => {
        chromium.signal('SIGTERM');
        return chromium.ended(within(10000));
    });
}
async function site(t) {
    const one = new Site();
    await one.listen();
    t.after(() => {
        one.server.closeAllConnections();
        one.server.close();
    });
    return one;
}
function browser(what, fn) {
    test(what, async (t) => {
        if (CHROMIUM) return fn(t);
        console.log('# skipped: chromium is not installed, and scripts/deps test could not');
    }, { timeout: 90000 });
}
const redisOf = shared((s) => Redis.start(s));
const seen = (reports, id, what) => reports.filter((one) => one.id === id && one.what === what);

const WAYS = [
    { version: 4, options: {} }, { version: 2, options: {} }, { version: 1, options: {} },
    { version: 4, options: { transports: ['polling'] }, stays: true }, { version: 2, options: { transports: ['polling'] }, stays: true },
    { version: 1, options: { transports: ['polling'] }, stays: true },
    { version: 2, options: { transports: ['polling'], forceJSONP: true }, stays: true },
    { version: 4, options: { withCredentials: true } },
];
browser('Chromium: pages of a listed origin connect by polling, upgrade and receive', async (t) => {
    const redis = await redisOf();
    const page = await site(t);
    const daemon = await Daemon.start(t, { redis, config: { workers: 4, cors: { origins: [page.origin], credentials: true } } });
    const url = `http://127.0.0.1:${daemon.addr.port}/axr`;
    await browse(t, page, WAYS.map((way) => ({ ...way, url, token: daemon.token('u') })));
    await page.when((reports) => WAYS.every((way, id) => seen(reports, id, 'connect').length && (way.stays || seen(reports, id, 'upgrade').length)), 'connects and upgrades');
    for (const [id, way] of WAYS.entries()) {
        assert.deepStrictEqual(seen(page.reports, id, 'open').map((one) => one.detail), ['polling'], JSON.stringify(way));
        assert.deepStrictEqual(seen(page.reports, id, 'upgrade').map((one) => one.detail), way.stays ? [] : ['websocket']);
    }
    const message = ['hé€😀', { a: [1, null] }];
    redis.emitter().emit('msg', ...message);
    redis.emitter().to('u').emit('msg', 'bin', Buffer.from([1, 2, 255]));
    await page.when((reports) => WAYS.every((_, id) => seen(reports, id, 'msg').length === 2), 'messages');
    for (const [id, way] of WAYS.entries()) {
        const got = seen(page.reports, id, 'msg').map((one) => one.detail);
        got.sort((a, b) => a[0] === 'bin' ? 1 : b[0] === 'bin' ? -1 : 0); /* reports may overtake one another */
        assert.deepStrictEqual(got, [message, ['bin', { bytes: [1, 2, 255] }]], JSON.stringify(way));
    }
});
browser('Chromium: with the default of every origin', async (t) => {
    const redis = await redisOf();
    const page = await site(t);
    const daemon = await Daemon.start(t, { redis, config: { workers: 4 } });
    await browse(t, page, [{ version: 4, options: {}, url: `http://127.0.0.1:${daemon.addr.port}/axr`, token: daemon.token('u') }]);
    await page.when((reports) => seen(reports, 0, 'upgrade').length && seen(reports, 0, 'connect').length, 'connect and upgrade');
    redis.emitter().emit('msg', 1);
    await page.when((reports) => seen(reports, 0, 'msg').length, 'message');
});
browser('Chromium: a page of an origin that is not listed is refused, by polling and by WebSocket', async (t) => {
    const redis = await redisOf();
    const page = await site(t);
    const daemon = await Daemon.start(t, { redis, config: { workers: 2, cors: { origins: ['https://app.example'] } } });
    const job = (version, options) => ({ version, options, url: `http://127.0.0.1:${daemon.addr.port}/axr`, token: daemon.token('u') });
    const jobs = [job(4, {}), job(4, { transports: ['websocket'] }), job(2, {}), job(2, { transports: ['websocket'] })];
    await browse(t, page, jobs);
    await page.when((reports) => jobs.every((_, id) => seen(reports, id, 'refused').length), 'refusals');
    assert.deepStrictEqual(page.reports.filter((one) => one.what === 'connect'), []);
});
