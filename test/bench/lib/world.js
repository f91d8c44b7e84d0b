'use strict';
/* The servers that are measured, started when first asked for, on one redis. */
const fs = require('fs');
const net = require('net');
const path = require('path');
const { spawnSync } = require('child_process');
const { Daemon, BUILD, READY, SECRET } = require('../../e2e/lib/daemon');
const { Process, childrenOf, run, tempDir } = require('../../e2e/lib/proc');
const { authority, LOCAL } = require('../../e2e/lib/certificates');
const { freePort } = require('../../e2e/lib/redis');
const { until } = require('../../e2e/lib/time');
const { SERVER, CLIENT } = require('./machine');
const { Swarm } = require('./swarm');

const HERE = path.resolve(__dirname, '..');
const BUN = path.join(HERE, 'node_modules', '.bin', 'bun');
const START_MS = 30000;
const SETTLE_MS = 60000;
const ROOMS_MS = 300000;
const PING_MS = 120000; /* servers/app.js has the same */

const NAMES = {
    axr: 'axr-notifyd', recovery: 'with recovery', recovering: 'Node, in memory', bare: 'bare loop', node: 'Node', node2: 'Node x2', bun: 'Bun',
    axr8: 'axr-notifyd', axrtls: 'axr-notifyd, TLS', axrrsa: 'axr-notifyd, TLS, RSA', nodetls: 'Node https', nodersa: 'Node https, RSA',
    nginx: 'nginx', nginxrsa: 'nginx, RSA',
};

/* Debian has it in /usr/sbin. */
const WITH_SBIN = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };

/* As it is put before a service that speaks WebSocket; its defaults where nothing demands another. */
const nginxConfig = (port, to, { certFile, keyFile }) => `
${process.getuid() === 0 ? 'user root;' : ''}
daemon off; worker_processes 1; worker_rlimit_nofile 65536; pid nginx.pid; error_log stderr;
events { worker_connections 40000; }
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    map $http_upgrade $upgrade_or_not { default upgrade; '' ''; }
    server {
        listen 127.0.0.1:${port} ssl;
        ssl_certificate ${certFile}; ssl_certificate_key ${keyFile};
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {
            proxy_pass http://127.0.0.1:${to}; proxy_http_version 1.1; proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upgrade_or_not;
            proxy_read_timeout 1h;
        }
    }
}`;

function canConnect(port) {
    return new Promise((resolve) => {
        const socket = net.connect({ host: '127.0.0.1', port });
        socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
        socket.on('connect', () => socket.destroy());
    });
}

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

/* A server under measurement: its name, port, pid (of the whole tree), key in redis; tls: its clients
 * speak it; behind: another one that it is put before; both are measured as one. */
class Server {
    constructor(fields) {
        Object.assign(this, fields);
        this.pids = [this.pid, ...(this.behind ? this.behind.pids : [])];
        this.files = this.countFiles();
    }
    countFiles() {
        return this.pids.flatMap(treeOf).reduce((sum, pid) => sum + filesOf(pid), 0);
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
        this.certificates = new Map();
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

    /* The daemon with so many workers, other settings of socket.io and more; stop() ends it. */
    async daemon(workers, settings = {}, more = {}) {
        const key = `axr-${process.pid}-${++this.launched}`;
        const daemon = new Logged(this, {
            redis: this.redis,
            wrap: SERVER,
            config: {
                workers, shutdownTimeout: 2000,
                'socket.io': { key, pingInterval: PING_MS, pingTimeout: PING_MS, ...settings }, ...more,
            },
        });
        daemon.spawn();
        await daemon.ready();
        const server = new Server({ name: NAMES.axr, port: daemon.addr.port, pid: daemon.pid, key, tls: Boolean(more.tls) });
        server.stop = () => daemon.stop();
        server.mayDie = () => {
            daemon.deaths = true;
            return server.workers()[0];
        };
        return server;
    }
    async program(id, words, more = {}) {
        const key = `${id}-${process.pid}-${++this.launched}`;
        const all = [...SERVER, ...words(key)].map(String);
        const one = new Process(all[0], all.slice(1));
        this.after(() => this.end(one));
        const [, port] = await one.line(/ready (\d+)/, START_MS);
        const server = new Server({ name: NAMES[id], port: Number(port), pid: one.pid, key, ...more });
        server.stop = () => this.end(one);
        return server;
    }
    /* Files with a certificate for a key of that type, and the key. */
    certificate(type) {
        const made = this.certificates;
        if (!made.has(type)) made.set(type, authority().issue({ names: LOCAL, type }).write(tempDir(this)));
        return made.get(type);
    }
    https(id, type) {
        const { certFile, keyFile } = this.certificate(type);
        const script = path.join(HERE, 'servers', 'node.js');
        return this.program(id, (key) => [process.execPath, script, 0, this.redis.port, key, SECRET, 1, certFile, keyFile], { tls: true });
    }
    /* nginx, which speaks TLS, and the daemon behind it, which does not. */
    async nginx(id, type) {
        if (spawnSync('nginx', ['-v'], { env: WITH_SBIN }).error) throw new Error('it is not installed');
        const behind = await this.daemon(1);
        const dir = tempDir(this);
        const port = await freePort();
        fs.writeFileSync(path.join(dir, 'nginx.conf'), nginxConfig(port, behind.port, this.certificate(type)));
        const words = [...SERVER, 'nginx', '-p', dir, '-c', 'nginx.conf', '-e', 'stderr'];
        const one = new Process(words[0], words.slice(1), { cwd: dir, env: WITH_SBIN });
        this.after(() => this.end(one));
        await until(() => one.how || canConnect(port), START_MS, 'nginx to listen');
        if (one.how) throw new Error(`it has ended: ${one.log.split('\n')[0]}`);
        const server = new Server({ name: NAMES[id], port, pid: one.pid, key: behind.key, tls: true, behind });
        server.stop = () => this.end(one).then(() => behind.stop());
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
            case 'axrtls':
                return this.daemon(1, {}, { tls: this.certificate('ec') });
            case 'axrrsa':
                return this.daemon(1, {}, { tls: this.certificate('rsa') });
            case 'nodetls':
                return this.https(id, 'ec');
            case 'nodersa':
                return this.https(id, 'rsa');
            case 'nginx':
                return this.nginx(id, 'ec');
            case 'nginxrsa':
                return this.nginx(id, 'rsa');
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
