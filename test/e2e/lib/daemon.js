'use strict';
/* The built daemon, started as an operator would: with a config file, in a
 * directory of its own, on ports that the system picks. */
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { Process, run, tempDir, childrenOf, isRunning } = require('./proc');
const { within, until } = require('./time');
const jwt = require('./jwt');
const { authority, LOCAL } = require('./certificates');

const ROOT = path.resolve(__dirname, '../../..');
const BUILD = path.resolve(process.env.AXR_BUILD || path.join(ROOT, 'build'));
const NOTIFYD = path.join(BUILD, 'axr-notifyd');
const NOTIFY = path.join(BUILD, 'axr-notify');
const SECRET = 'a secret that is long enough: 0123456789';
const READY =
    /axr-notifyd ready: (\d+) workers?, listening on (.*), redis (subscribed|not reachable, retrying)/;
const READY_JSON =
    /"event":"ready","workers":(\d+),"addresses":(\[.*?"\]),"redis":"(subscribed|not reachable, retrying)"/;
/* AXR_TLS=1: every daemon speaks TLS to its clients. */
const OVER_TLS = process.env.AXR_TLS === '1';
let trusted; /* the authority that has issued all certificates, once there is one */
/* A line of its log, when that is text. */
const LINE = /^\S+ (debug|info|warn|error) (axr-notifyd|master|worker \d+)\[\d+\]: [^\x00-\x1f\x7f-\x9f]*$/;
const SANITIZER = /runtime error:|AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer/;

/* Objects are merged, everything else replaced; undefined takes a key out. */
function merge(base, over) {
    const result = { ...base };
    for (const [key, value] of Object.entries(over)) {
        const both = [result[key], value].every(
            (one) => one && typeof one === 'object' && !Array.isArray(one)
        );
        if (value === undefined) delete result[key];
        else result[key] = both ? merge(result[key], value) : value;
    }
    return result;
}

/* Only what a program needs: the daemon reads its environment. */
function environment(dir, extra = {}) {
    /* verify_asan_link_order: for libraries that a test loads before it */
    const san = `log_path=${path.join(dir, 'san')}:abort_on_error=0:detect_leaks=1:verify_asan_link_order=0`;
    return {
        PATH: process.env.PATH, HOME: dir, ASAN_OPTIONS: san, UBSAN_OPTIONS: `${san}:print_stacktrace=1`,
        ...extra,
    };
}

function baseConfig(redis) {
    return {
        workers: 2, port: 0, host: '127.0.0.1', shutdownTimeout: 300,
        'socket.io': { redis: { host: '127.0.0.1', port: redis ? redis.port : 1 } },
        auth: { secret: SECRET },
        admin: { port: 0 },
        log: { level: 'debug' },
    };
}

/* "HOST:PORT [::1]:PORT unix:/path" -> what net.connect takes. */
function addresses(text) {
    return text.split(' ').map((one) => {
        if (one.startsWith('unix:')) return { path: one.slice(5) };
        const colon = one.lastIndexOf(':');
        const host = one.slice(0, colon).replace(/[[\]]/g, '');
        const any = { '*': '127.0.0.1', '0.0.0.0': '127.0.0.1', '::': '::1', '': '127.0.0.1' };
        return { host: host in any ? any[host] : host, port: Number(one.slice(colon + 1)) };
    });
}

class Daemon {
    /* Prepares the directory and the file; start() or spawn() runs it.  tls: its TCP sockets for
     * clients speak TLS, with .certificate, which whoever dials .addr trusts. */
    constructor(context, { redis, config = {}, text, args = [], env = {}, wrap = [], tls = OVER_TLS } = {}) {
        this.dir = tempDir(context);
        this.file = path.join(this.dir, 'axr-notifyd.conf');
        this.args = args;
        this.env = environment(this.dir, env);
        this.wrap = wrap; /* a command to run it under */
        this.config = merge({ ...baseConfig(redis), ...(tls ? this.certify() : {}) }, config);
        this.write(text === undefined ? this.config : text);
        context.show(this);
        context.after(() => this.stop());
    }
    get title() {
        return `axr-notifyd in ${this.dir}`;
    }
    get log() {
        return this.process ? this.process.log : '';
    }
    write(config) {
        fs.writeFileSync(this.file, typeof config === 'string' ? config : JSON.stringify(config));
    }

    /* Starts it and waits for the ready line. */
    static async start(context, options) {
        const daemon = new Daemon(context, options);
        daemon.spawn();
        await daemon.ready();
        return daemon;
    }
    spawn() {
        const [command, ...args] = [...this.wrap, NOTIFYD, '-c', this.file, ...this.args];
        this.process = new Process(command, args, { cwd: this.dir, env: this.env });
        this.pid = this.process.pid;
    }
    async ready(ms = within(4000)) {
        const isJson = this.config.log && this.config.log.format === 'json';
        const match = await this.process.line(isJson ? READY_JSON : READY, ms);
        if (isJson) match[2] = JSON.parse(match[2]).join(' ');
        this.begun(match);
    }
    certify() {
        trusted = trusted || authority();
        this.certificate = trusted.issue({ names: LOCAL });
        return { tls: this.certificate.write(this.dir) };
    }
    /* As clients dial it.  Unix sockets do not speak TLS unless that is asked for. */
    reached(addr) {
        return this.certificate && !addr.path ? { ...addr, tls: { ca: this.certificate.root } } : addr;
    }
    /* match: of the ready line. */
    begun(match) {
        this.redisState = match[3];
        this.addrs = addresses(match[2]).map((addr) => this.reached(addr));
        [this.addr] = this.addrs;
        this.workersAtReady = this.workers();
        assert.strictEqual(this.workersAtReady.length, Number(match[1]), 'workers that run');
    }
    /* Runs it to its end, as for a start that must fail. */
    static async once(context, options) {
        const daemon = new Daemon(context, options);
        daemon.spawn();
        const how = await daemon.process.ended(within(5000));
        return { ...how, log: daemon.log, daemon };
    }

    workers() {
        return childrenOf(this.pid);
    }
    token(uid, claims = {}) {
        return jwt.sign({ uid, ...claims }, SECRET);
    }
    signal(name) {
        this.ending = this.ending || ['SIGTERM', 'SIGINT', 'SIGKILL'].includes(name);
        this.process.signal(name);
    }
    /* Resolves to the match once the log has a line like it, from now on or from position from. */
    logged(pattern, ms = within(2000), from = 0) {
        return this.process.line(pattern, ms, from);
    }

    /* TERM, a clean exit, no process and no sanitizer report left. */
    async stop() {
        if (!this.process || this.stopped) return;
        this.stopped = true;
        const workers = this.workers();
        if (!this.process.how) {
            if (this.workersAtReady && !this.deaths && !this.ending)
                assert.deepStrictEqual(workers, this.workersAtReady, 'a worker died');
            this.signal('SIGTERM');
        }
        const how = await this.process.ended(within(this.config.shutdownTimeout + 2000));
        this.checkReports();
        for (const pid of workers) await until(() => !isRunning(pid), within(2000), `end of worker ${pid}`);
        if (!this.killed && this.workersAtReady)
            assert.deepStrictEqual(how, { code: 0, signal: null }, 'exit of the daemon');
    }
    checkReports() {
        const files = fs.readdirSync(this.dir).filter((name) => name.startsWith('san'));
        const reports = files.map((name) => fs.readFileSync(path.join(this.dir, name), 'utf8'));
        const all = [this.log, ...reports].filter((text) => SANITIZER.test(text));
        assert.deepStrictEqual(all, [], 'sanitizer reports');
    }
    /* kill -9 of the master: what is left must go by itself. */
    async kill() {
        this.killed = true;
        this.signal('SIGKILL');
        await this.process.exited;
    }

    /* axr-notify with the daemon's configuration. */
    notify(args, options = {}) {
        return run(NOTIFY, ['-c', this.file, ...args], { cwd: this.dir, env: this.env, ...options });
    }
}

module.exports = { Daemon, NOTIFYD, NOTIFY, BUILD, ROOT, SECRET, READY, LINE, addresses, environment, merge, baseConfig };
