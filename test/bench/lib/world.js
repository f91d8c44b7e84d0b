'use strict';
/* The servers that are measured, started when first asked for, on one redis. */
const fs = require('fs');
const path = require('path');
const { Daemon, BUILD, READY, SECRET } = require('../../e2e/lib/daemon');
const { Process, childrenOf, run, tempDir } = require('../../e2e/lib/proc');
const { until } = require('../../e2e/lib/time');
const { SERVER, CLIENT } = require('./machine');
const { Swarm } = require('./swarm');

const HERE = path.resolve(__dirname, '..');
const BUN = path.join(HERE, 'node_modules', '.bin', 'bun');
const START_MS = 30000;
const SETTLE_MS = 60000;
const ROOMS_MS = 300000;
const PING_MS = 120000; /* servers/app.js has the same */

const NAMES = { axr: 'axr-notifyd', recovery: 'with recovery', recovering: 'Node, in memory', bare: 'bare loop', node: 'Node', node2: 'Node x2', bun: 'Bun' };

/* Logs to a file, as in service: what reads a pipe would be measured too. */
class Logged extends Daemon {
    constructor(context, options) {
        super(context, options);
        this.logFile = path.join(this.dir, 'log');
        this.write({ ...this.config, log: { level: 'info', target: this.logFile } });
    }
    async ready() {
        const line = () => fs.existsSync(this.logFile) && READY.exec(fs.readFileSync(this.logFile, 'utf8'));
        const failed = () => this.process.how && [this.process.log];
        const match = await until(() => line() || failed(), START_MS, 'ready line of the daemon');
        if (this.process.how) throw new Error(`the daemon did not start: ${match[0]}`);
        const port = Number(/:(\d+)$/.exec(match[2])[1]);
        this.addr = { host: '127.0.0.1', port };
        this.workersAtReady = this.workers();
    }
}

function treeOf(pid) {
    return [pid, ...childrenOf(pid).flatMap(treeOf)];
}

function filesOf(pid) {
    return fs.readdirSync(`/proc/${pid}/fd`).length;
}

/* A server under measurement: its name, port, pid (of the whole tree), key in redis. */
class Server {
    constructor(fields) {
        Object.assign(this, fields);
        this.files = this.countFiles();
    }
    countFiles() {
        return treeOf(this.pid).reduce((sum, pid) => sum + filesOf(pid), 0);
    }
    /* Resolves once it has closed what its clients have left. */
    settled() {
        return until(() => this.countFiles() <= this.files + 16, SETTLE_MS, `${this.name} to close connections`);
    }
    workers() {
        return childrenOf(this.pid);
    }
}

class World {
    constructor() {
        this.undo = [];
        this.made = new Map();
        this.notes = [];
        this.launched = 0;
    }
    after(fn) {
        this.undo.push(fn);
    }
    show() {} /* the suites show logs; here an error says enough */

    async start() {
        const dir = tempDir(this);
        for (let port = 20000 + (process.pid % 10000); !this.redis; port++) {
            const words = [...CLIENT, 'redis-server', '--port', port, '--bind', '127.0.0.1', '--dir', dir]
                .concat(['--save', '', '--appendonly', 'no']).map(String);
            const one = new Process(words[0], words.slice(1));
            const said = await one.line(/Ready to accept connections|Address already in use/, START_MS);
            if (!said[0].startsWith('Ready')) continue;
            this.redis = { port };
            this.after(() => this.end(one));
        }
    }
    async end(one) {
        if (one.how) return;
        one.signal('SIGTERM');
        await one.ended(START_MS);
    }

    /* The daemon with so many workers, and other settings of socket.io; stop() ends it. */
    async daemon(workers, settings = {}) {
        const key = `axr-${process.pid}-${++this.launched}`;
        const daemon = new Logged(this, {
            redis: this.redis,
            wrap: SERVER,
            config: {
                workers, shutdownTimeout: 2000,
                'socket.io': { key, pingInterval: PING_MS, pingTimeout: PING_MS, ...settings },
            },
        });
        daemon.spawn();
        await daemon.ready();
        const server = new Server({ name: NAMES.axr, port: daemon.addr.port, pid: daemon.pid, key });
        server.stop = () => daemon.stop();
        server.mayDie = () => {
            daemon.deaths = true;
            return server.workers()[0];
        };
        return server;
    }
    async program(id, words) {
        const key = `${id}-${process.pid}-${++this.launched}`;
        const all = [...SERVER, ...words(key)].map(String);
        const one = new Process(all[0], all.slice(1));
        this.after(() => this.end(one));
        const [, port] = await one.line(/ready (\d+)/, START_MS);
        const server = new Server({ name: NAMES[id], port: Number(port), pid: one.pid, key });
        server.stop = () => this.end(one);
        return server;
    }
    async launch(id) {
        const port = this.redis.port;
        const script = (name) => path.join(HERE, 'servers', name);
        switch (id) {
            case 'axr':
                return this.daemon(1);
            case 'axr8':
                return this.daemon(8);
            case 'recovery':
                return this.daemon(1, { connectionStateRecovery: true });
            case 'recovering':
                return this.program(id, (key) => [process.execPath, script('recovering.js'), 0, port, key, SECRET]);
            case 'bare':
                return this.program(id, (key) => [path.join(BUILD, 'bench', 'bare'), 0, port, key]);
            case 'node':
                return this.program(id, (key) => [process.execPath, script('node.js'), 0, port, key, SECRET]);
            case 'node2':
                return this.program(id, (key) => [process.execPath, script('node.js'), 0, port, key, SECRET, 2]);
            case 'bun':
                if (!fs.existsSync(BUN)) throw new Error('npm could not install it');
                return this.program(id, (key) => [BUN, script('bun.js'), 0, port, key, SECRET]);
            default:
                throw new Error(`no server ${id}`);
        }
    }
    /* A swarm at the server id; both are kept for the rows that follow. */
    swarm(id) {
        if (!this.made.has(id)) this.made.set(id, this.fresh(id));
        return this.made.get(id);
    }
    /* A swarm at a server of its own; the caller stops both. */
    async fresh(id, options) {
        return new Swarm(this, await this.launch(id), options);
    }
    /* One more swarm, which the caller stops. */
    another(server, options) {
        return new Swarm(this, server, options);
    }
    /* What test/bench/rooms.c says, a line each. */
    async rooms({ members, rounds, rooms }) {
        const words = [...SERVER, path.join(BUILD, 'bench', 'rooms'), members, rounds, ...rooms].map(String);
        const { code, out, err } = await run(words[0], words.slice(1), { ms: ROOMS_MS });
        if (code !== 0) throw new Error(`rooms ended with ${code}: ${err}`);
        return out.trim().split('\n').map((line) => JSON.parse(line));
    }
    /* made, or null where that server cannot be had here (then a note says so). */
    async peer(id, made = this.swarm(id)) {
        try {
            return await made;
        } catch (error) {
            const note = `${NAMES[id]} is not measured: ${String(error.message).split('\n')[0]}`;
            if (!this.notes.includes(note)) this.notes.push(note);
            return null;
        }
    }
    /* No clients anywhere but at these servers. */
    async only(...ids) {
        for (const [id, made] of this.made) {
            const swarm = await made.catch(() => null);
            if (swarm && !ids.includes(id)) await swarm.close();
        }
    }
    async stop() {
        while (this.undo.length) await this.undo.pop()();
    }
}

module.exports = { World, NAMES, filesOf };
