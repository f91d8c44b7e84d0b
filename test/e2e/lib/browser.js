'use strict';
/* Headless Chromium, and the site that it visits.  Pages report to the server they
 * came from, so nothing drives them. */
const fs = require('fs');
const http = require('http');
const path = require('path');
const { spawnSync } = require('child_process');
const { test } = require('./suite');
const { Process, tempDir } = require('./proc');
const { deadline, within } = require('./time');

const BUNDLES = { 1: 'c1/dist/socket.io.js', 2: 'c2/dist/socket.io.js', 4: 'c4/dist/socket.io.min.js' };
const FLAGS = [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync', '--log-level=3',
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
            const { token } = job;
            const auth = !token ? {} : job.version >= 3 ? { auth: { token } } : { query: { token } };
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

/* A page that calls fn with value. */
function pageOf(fn, value) {
    return `<!doctype html><body><script>(${fn})(${JSON.stringify(value).replace(/</g, '\\u003c')})</script>`;
}

/* The server of the page; .when(check) resolves once the reports satisfy check. */
class Site {
    constructor() {
        this.reports = [];
        this.watchers = new Set();
        this.jobs = [];
        this.server = http.createServer((req, res) => this.serve(req, res));
    }
    static async start(t, ...args) {
        const site = new this(...args);
        await new Promise((resolve) => site.server.listen(0, '127.0.0.1', resolve));
        site.port = site.server.address().port;
        site.origin = `http://localhost:${site.port}`;
        t.after(() => {
            site.server.closeAllConnections();
            site.server.close();
        });
        return site;
    }
    /* Those that open clients, with inPage(). */
    offer(jobs) {
        this.jobs = jobs.map((job, id) => ({ ...job, id, bundle: `/${BUNDLES[job.version]}` }));
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
            res.end(fs.readFileSync(path.join(__dirname, '../node_modules', bundle)));
        } else {
            res.setHeader('Content-Type', 'text/html; charset=utf-8');
            res.end(this.page(req, res));
        }
    }
    page() {
        return pageOf(inPage, this.jobs);
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

/* Chromium, with that page, and with these flags.  Its settings let cookies go to other sites too. */
const SETTINGS = { profile: { cookie_controls_mode: 0, block_third_party_cookies: false } };
function visit(t, site, url, flags = []) {
    const dir = tempDir(t);
    fs.mkdirSync(path.join(dir, 'Default'));
    fs.writeFileSync(path.join(dir, 'Default/Preferences'), JSON.stringify(SETTINGS));
    const args = [...FLAGS, ...flags, `--user-data-dir=${dir}`, url];
    const chromium = new Process(CHROMIUM, args, { env: { ...process.env, HOME: tempDir(t) } });
    t.show(site);
    t.show(chromium);
    t.after(() => {
        chromium.signal('SIGTERM');
        return chromium.ended(within(10000));
    });
}
function browser(what, fn, options = {}) {
    test(what, async (t) => {
        if (CHROMIUM) return fn(t);
        return t.skip('chromium is not installed; scripts/deps test does that');
    }, { timeout: 90000, ...options });
}
const seen = (reports, id, what) => reports.filter((one) => one.id === id && one.what === what);

module.exports = { CHROMIUM, FLAGS, BUNDLES, Site, browser, visit, pageOf, seen };
