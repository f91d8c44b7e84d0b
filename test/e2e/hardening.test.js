'use strict';
/* What the processes may do and what can be seen of them: the sandbox, capabilities,
 * descriptors, secrets, the log after the change of user, the service manager. */
const assert = require('assert');
const fs = require('fs');
const net = require('net');
const path = require('path');
const { spawnSync } = require('child_process');
const { test, shared } = require('./lib/suite');
const { Redis, freePort } = require('./lib/redis');
const { Daemon, NOTIFYD, SECRET, READY } = require('./lib/daemon');
const { Raw, joined } = require('./lib/raw');
const { once } = require('./lib/http');
const { heardArgs } = require('./lib/hear');
const { Process, isRunning, tempDir } = require('./lib/proc');
const { within, until } = require('./lib/time');

const redisServer = shared((s) => Redis.start(s));
const isRoot = process.getuid() === 0;
/* The sanitizers need system calls and debugging that the sandbox takes away. */
const isSanitized = fs.readFileSync(NOTIFYD).includes('__asan_init');
const NOBODY = 65534;

const read = (pid, name) => fs.readFileSync(`/proc/${pid}/${name}`, 'latin1');
const statusOf = (pid) => Object.fromEntries(read(pid, 'status').trim().split('\n').map((line) => line.split(/:\s*/)));
const CAPS = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'];
const capsOf = (pid) => Object.fromEntries(CAPS.map((name) => [name, parseInt(statusOf(pid)[name], 16)]));
const caps = (held, bounding = 0) => ({ CapInh: 0, CapPrm: held, CapEff: held, CapBnd: bounding, CapAmb: 0 });
const BIND = 1 << 10;

async function serves(t, redis, daemon, uid = 'u') {
    const client = await joined(daemon.addr, daemon.token(uid));
    t.after(() => client.destroy());
    redis.emitter().to(uid).emit('msg', 'hello');
    assert.deepStrictEqual(await heardArgs(redis, [client]), [['hello']]);
    return client;
}
async function comeAndGo(daemon) {
    const client = await joined(daemon.addr, daemon.token('u'));
    client.destroy();
}

/* A daemon in a directory that belongs to nobody, which it becomes. */
function nobodys(t, redis, config, rest = {}) {
    const daemon = new Daemon(t, { redis, config: { user: 'nobody', group: 'nogroup', ...config }, ...rest });
    fs.chownSync(daemon.dir, NOBODY, NOBODY);
    fs.chmodSync(daemon.dir, 0o755);
    fs.chmodSync(daemon.file, 0o644);
    return daemon;
}

/* Its log is a file from the start on: that of stderr has only what came before. */
function readsLogFrom(daemon, file) {
    Object.defineProperty(daemon, 'log', { get: () => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '') });
}
async function readyInFile(daemon) {
    const ready = await until(() => READY.exec(daemon.log), within(4000), 'ready line');
    daemon.addr = { host: '127.0.0.1', port: Number(/:(\d+)$/.exec(ready[2])[1]) };
}

/* --- the sandbox --- */

test('workers are in the sandbox, with no capability and no way to gain one; they serve there', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis });
    for (const pid of daemon.workers()) {
        const status = statusOf(pid);
        assert.strictEqual(status.NoNewPrivs, '1');
        assert.strictEqual(status.Seccomp, isSanitized ? '0' : '2');
        const { CapBnd, ...rest } = capsOf(pid);
        assert.deepStrictEqual(rest, { CapInh: 0, CapPrm: 0, CapEff: 0, CapAmb: 0 });
        if (isRoot) assert.strictEqual(CapBnd, 0);
    }
    assert.strictEqual(statusOf(daemon.pid).NoNewPrivs, '1');
    await serves(t, redis, daemon);
    assert.doesNotMatch(daemon.log, /sandbox/);
});
test('sandbox: false turns it off, with a warning', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { sandbox: false } });
    for (const pid of daemon.workers()) assert.strictEqual(statusOf(pid).Seccomp, '0');
    assert.match(daemon.log, / warn master\[\d+\]: sandbox: false/);
    await serves(t, redis, daemon);
});
test('a worker that the sandbox has ended is replaced, and the log names the key', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1 } });
    daemon.deaths = true;
    process.kill(daemon.workers()[0], 'SIGSYS');
    await daemon.logged(/ worker 1: killed by signal 31 \(Bad system call\).*sandbox: false/);
    await daemon.logged(/ worker 1 ready: .*fork=2/);
    await serves(t, redis, daemon);
});
test('in the sandbox a worker logs to syslog', async (t) => {
    const redis = await redisServer();
    const [port, admin] = [await freePort(), { host: '127.0.0.1', port: await freePort() }];
    const silent = new Daemon(t, { redis, config: { port, workers: 1, log: { target: 'syslog' }, admin } });
    silent.spawn();
    silent.addr = { host: '127.0.0.1', port };
    /* which is well once redis is subscribed to */
    await until(() => once(admin, 'GET', '/health').then(({ status }) => status === 200, () => false), within(4000), 'health');
    const client = await joined(silent.addr, silent.token('u'));
    t.after(() => client.destroy());
    const workers = silent.workers();
    silent.signal('SIGUSR1');
    await comeAndGo(silent);
    assert.deepStrictEqual(silent.workers(), workers, 'the same worker');
    assert.deepStrictEqual(await heardArgs(redis, [client]), [[]]);
});

/* --- capabilities --- */

test('as root, without user: the log says so', async (t) => {
    const daemon = await Daemon.start(t, { redis: await redisServer() });
    assert.match(daemon.log, / warn master\[\d+\]: running as root/);
}, { root: true });
test('user: nothing is left in any of the sets, of master and workers', async (t) => {
    const redis = await redisServer();
    const daemon = nobodys(t, redis, {});
    daemon.spawn();
    await daemon.ready();
    for (const pid of [daemon.pid, ...daemon.workers()]) assert.deepStrictEqual(capsOf(pid), caps(0));
    await serves(t, redis, daemon);
}, { root: true });

/* A port below 1024 that is free. */
async function lowPort() {
    for (let port = 700 + (process.pid % 200); port < 1024; port++) {
        const server = net.createServer();
        const free = await new Promise((resolve) => server.on('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)));
        await new Promise((resolve) => server.close(resolve));
        if (free) return port;
    }
    throw new Error('no free port below 1024');
}
test('user and a port below 1024: the master may bind another, and nothing else; the workers nothing', async (t) => {
    const redis = await redisServer();
    const daemon = nobodys(t, redis, { port: await lowPort() });
    daemon.spawn();
    await daemon.ready();
    assert.deepStrictEqual(capsOf(daemon.pid), caps(BIND));
    for (const pid of daemon.workers()) assert.deepStrictEqual(capsOf(pid), caps(0));
    await serves(t, redis, daemon);
}, { root: true });
test('started by a user with capabilities of its own: they are given up', async (t) => {
    const redis = await redisServer();
    for (const [port, held] of [[0, 0], [await lowPort(), BIND]]) {
        const names = '+net_bind_service,+net_raw';
        const wrap = ['setpriv', '--reuid', `${NOBODY}`, '--regid', `${NOBODY}`, '--clear-groups', '--inh-caps', names, '--ambient-caps', names, '--'];
        const daemon = nobodys(t, redis, { port, user: undefined, group: undefined }, { wrap });
        daemon.spawn();
        await daemon.ready();
        assert.deepStrictEqual({ ...capsOf(daemon.pid), CapBnd: 0 }, caps(held));
        for (const pid of daemon.workers()) assert.deepStrictEqual({ ...capsOf(pid), CapBnd: 0 }, caps(0));
        await serves(t, redis, daemon);
    }
}, { root: true, tools: 'setpriv' });
test('what a reload cannot read any more after the change of user is said at the start; a reload fails and changes nothing', async (t) => {
    const redis = await redisServer();
    const daemon = nobodys(t, redis, {});
    const secretFile = path.join(daemon.dir, 'secret');
    fs.writeFileSync(secretFile, SECRET, { mode: 0o600 });
    daemon.config.auth = { secretFile };
    daemon.write(daemon.config);
    daemon.spawn();
    await daemon.ready();
    assert.match(daemon.log, / warn master\[\d+\]: a reload will fail/);
    assert.match(daemon.log, new RegExp(` warn master\\[\\d+\\]: configuration: .*${secretFile}.*Permission denied`));
    const from = daemon.log.length;
    daemon.signal('SIGHUP');
    await daemon.logged(/ error master\[\d+\]: .*not reloaded/, within(2000), from);
    await serves(t, redis, daemon);
    fs.chmodSync(secretFile, 0o644);
    daemon.signal('SIGHUP');
    await daemon.logged(/ info master\[\d+\]: configuration reloaded/, within(2000), from);
}, { root: true });

/* --- the log --- */

test('a log file that root has made can be opened again by the user', async (t) => {
    const daemon = nobodys(t, await redisServer(), { workers: 1 });
    const target = path.join(daemon.dir, 'axr.log');
    daemon.write({ ...daemon.config, log: { target, level: 'debug' } });
    readsLogFrom(daemon, target);
    daemon.spawn();
    await readyInFile(daemon);
    assert.strictEqual(fs.statSync(target).uid, NOBODY);
    assert.strictEqual(fs.statSync(target).mode & 0o777, 0o640);
    daemon.signal('SIGUSR1'); /* without a new name: the file is there */
    await until(() => / info master\[\d+\]: log opened again/.test(daemon.log), within(1000), 'the log opened again');
    const lines = () => daemon.log.split('\n').filter((line) => / debug worker 1\[/.test(line)).length;
    const before = lines();
    await comeAndGo(daemon);
    await until(() => lines() > before, within(1000), 'lines of the worker');
    fs.renameSync(target, `${target}.1`);
    daemon.signal('SIGUSR1');
    await until(() => / info master\[\d+\]: log opened again/.test(daemon.log), within(1000), 'a new file');
    /* The worker is told by the master, and may log to the other until then. */
    await until(() => comeAndGo(daemon).then(() => lines() > 0), within(1000), 'lines of the worker in it');
    assert.strictEqual(fs.statSync(target).uid, NOBODY);
    assert.doesNotMatch(daemon.log + fs.readFileSync(`${target}.1`, 'utf8'), /cannot (open|be opened)/);
}, { root: true });
test('a log file of root\'s that was there stays root\'s, and it is said that it cannot be opened again', async (t) => {
    const daemon = nobodys(t, await redisServer(), {});
    const target = path.join(daemon.dir, 'axr.log');
    fs.writeFileSync(target, '', { mode: 0o640 });
    daemon.write({ ...daemon.config, log: { target } });
    readsLogFrom(daemon, target);
    daemon.spawn();
    await readyInFile(daemon);
    assert.strictEqual(fs.statSync(target).uid, 0);
    assert.match(daemon.log, / warn master\[\d+\]: the log file .* cannot be opened again by the user.*: Permission denied/);
}, { root: true });
test('the disk of the log is full: served on, and once there is room the lines lost are counted in the log', async (t) => {
    const redis = await redisServer();
    const dir = tempDir(t);
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', dir]).status !== 0) return t.skip('no file system may be mounted here');
    t.after(() => spawnSync('umount', ['-l', dir]));
    const target = path.join(dir, 'axr.log');
    const daemon = new Daemon(t, { redis, config: { workers: 1, log: { target, level: 'debug' } } });
    readsLogFrom(daemon, target);
    daemon.spawn();
    await readyInFile(daemon);
    const filler = path.join(dir, 'filler');
    const hole = fs.openSync(filler, 'w');
    assert.throws(() => { for (;;) fs.writeSync(hole, Buffer.alloc(4096)); }, { code: 'ENOSPC' });
    await until(async () => { /* the page that the log has */
        await comeAndGo(daemon);
        return fs.statSync(target).size % 4096 === 0;
    }, within(5000), 'no room for a line');
    const size = fs.statSync(target).size;
    const client = await serves(t, redis, daemon);
    assert.strictEqual(fs.statSync(target).size, size, 'full');
    client.destroy();
    fs.closeSync(hole);
    fs.unlinkSync(filler);
    await comeAndGo(daemon);
    await until(() => / warn worker 1\[\d+\]: log lines lost: count=\d+/.test(daemon.log), within(1000), 'the number of lines lost');
}, { root: true });

/* --- what is open, and what can be seen --- */

/* socket:[1] -> socket */
const openFiles = (pid) => fs.readdirSync(`/proc/${pid}/fd`)
    .filter((fd) => fd > 2)
    .map((fd) => fs.readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/:\[\d+\]$/, ''))
    .sort();
test('a worker has open what it uses, and nothing of the master or of who started it', async (t) => {
    const redis = await redisServer();
    const target = path.join(tempDir(t), 'axr.log');
    const daemon = new Daemon(t, { redis, config: { workers: 3, pidFile: `${target}.pid`, log: { target } } });
    readsLogFrom(daemon, target);
    /* A file, a directory and a pipe that the caller forgot. */
    daemon.wrap = ['sh', '-c', 'exec 7<"$1" 8</ 9<&1; shift; exec "$@"', 'sh', daemon.file];
    daemon.spawn();
    await readyInFile(daemon);
    for (const pid of daemon.workers()) {
        const files = openFiles(pid);
        assert.deepStrictEqual(files, [
            target, /* the log */
            'anon_inode:[eventpoll]',
            'pipe', 'pipe', 'pipe', 'pipe', /* from and to the master; both ends of libevent's own */
            'socket', /* that listens */
            'socket', 'socket', 'socket', 'socket', /* connections handed over: those for it, those for each worker */
            'socket', /* where it hears of workers that come later */
        ]);
    }
    /* The master leaves alone what is its caller's, in the foreground. */
    const foreign = new Set([7, 8, 9, ...fs.readdirSync('/proc/self/fd').filter((fd) => fd > 20).map(Number)]);
    for (const pid of [daemon.pid, ...daemon.workers()]) {
        for (const fd of fs.readdirSync(`/proc/${pid}/fd`).map(Number).filter((one) => one > 2)) {
            if (pid === daemon.pid && foreign.has(fd)) continue;
            const flags = parseInt(/^flags:\s+(\d+)/m.exec(read(pid, `fdinfo/${fd}`))[1], 8);
            const what = fs.readlinkSync(`/proc/${pid}/fd/${fd}`);
            assert.ok(flags & 0o2000000, `${what} (${fd} of ${pid === daemon.pid ? 'master' : 'worker'}) would be open after an exec`);
        }
    }
}, { root: true });
test('a secret from the environment is not to be seen in it, nor is that from the command line in the title', async (t) => {
    const password = 'redis-Passw0rd-of-the-test';
    const secret = 'S3cret-of-the-environment-0123456789';
    const redis = await Redis.start(t, { args: ['--requirepass', password], auth: { password } });
    const env = { AXR_NOTIFYD__AUTH__SECRET: secret };
    const args = [`--socket.io:redis:password=${password}`];
    const daemon = await Daemon.start(t, { redis, config: { auth: undefined }, env, args });
    assert.strictEqual(daemon.redisState, 'subscribed');
    for (const pid of [daemon.pid, ...daemon.workers()]) {
        if (isRoot) assert.match(read(pid, 'environ'), /AXR_NOTIFYD__AUTH__SECRET=\*+\0/);
        for (const hidden of [secret, password])
            for (const name of isRoot ? ['cmdline', 'comm', 'environ'] : ['cmdline', 'comm'])
                assert.ok(!read(pid, name).includes(hidden), `${name} of ${pid}`);
    }
    const from = daemon.log.length;
    daemon.signal('SIGHUP'); /* which finds them where it keeps them */
    await daemon.logged(/configuration reloaded/, within(2000), from);
    assert.doesNotMatch(daemon.log.slice(from), /changed: (?!nothing)/);
});

/* Whether the memory that a process may write to has text in it. */
function holds(pid, text) {
    const needle = Buffer.from(text);
    const mem = fs.openSync(`/proc/${pid}/mem`, 'r');
    try {
        return read(pid, 'maps').split('\n').some((line) => {
            const range = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line);
            if (!range) return false;
            const [from, to] = range.slice(1).map((one) => parseInt(one, 16));
            const bytes = Buffer.alloc(to - from);
            try {
                return bytes.subarray(0, fs.readSync(mem, bytes, 0, bytes.length, from)).includes(needle);
            } catch {
                return false; /* [vvar] cannot be read */
            }
        });
    } finally {
        fs.closeSync(mem);
    }
}
for (const where of ['file', 'passwordFile', 'environment', 'command line']) {
    test(`no worker has the password of redis in its memory: ${where}`, async (t) => {
        if (isSanitized) return t.skip('the sanitizers keep copies');
        const password = 'Passw0rd-that-no-worker-may-have';
        const redis = await Redis.start(t, { args: ['--requirepass', password], auth: { password } });
        const file = path.join(tempDir(t), 'password');
        fs.writeFileSync(file, password, { mode: 0o600 });
        const options = {
            file: { config: { 'socket.io': { redis: { password } } } },
            passwordFile: { config: { 'socket.io': { redis: { passwordFile: file } } } },
            environment: { env: { AXR_NOTIFYD__SOCKET_IO__REDIS: JSON.stringify({ password }) } },
            'command line': { args: ['--socket.io:redis:url', `redis://:${password}@127.0.0.1:${redis.port}`] },
        }[where];
        const daemon = await Daemon.start(t, { redis, ...options });
        assert.strictEqual(daemon.redisState, 'subscribed');
        assert.ok(holds(daemon.pid, password), 'the master has');
        for (const pid of daemon.workers()) assert.ok(!holds(pid, password), `worker ${pid}`);
    }, { root: true });
}
test('no process can be debugged or dumped by its own user', async (t) => {
    if (isSanitized) return t.skip('the sanitizers have to debug it');
    const daemon = nobodys(t, await redisServer(), {});
    daemon.spawn();
    await daemon.ready();
    for (const pid of [daemon.pid, ...daemon.workers()]) {
        assert.strictEqual(fs.statSync(`/proc/${pid}/mem`).uid, 0, 'dumpable');
        assert.match(read(pid, 'limits'), /^Max core file size +0 +0 /m);
        assert.strictEqual(statusOf(pid).Umask, '0077');
    }
}, { root: true });

/* --- the service manager --- */

for (const kind of ['path', 'abstract name']) {
    test(`NOTIFY_SOCKET, ${kind}: ready, reload, watchdog, stop`, async (t) => {
        const redis = await redisServer();
        const name = kind === 'path' ? path.join(tempDir(t), 'notify') : `@axr-hardening-${process.pid}`;
        const manager = new Process('python3', [path.join(__dirname, 'lib/manager.py'), name]);
        t.after(() => manager.signal('SIGKILL'));
        await manager.line(/^bound$/m, within(2000));
        const nowhere = { 'socket.io': { redis: { port: 1 } } };
        const daemon = new Daemon(t, { redis, config: nowhere, env: { NOTIFY_SOCKET: name, WATCHDOG_USEC: '200000' } });
        daemon.spawn();
        await manager.line(/^READY=1$/m, within(4000));
        await daemon.ready();
        await manager.line(/^STATUS=serving, redis not reachable, retrying$/m, within(1000));
        daemon.config['socket.io'].redis.port = redis.port;
        daemon.write(daemon.config);
        daemon.signal('SIGHUP');
        await manager.line(/^STATUS=serving, redis subscribed$/m, within(2000));
        await manager.line(/^WATCHDOG=1$/m, within(1000));
        for (const text of ['{ "workers": "many" }', daemon.config]) {
            const from = manager.log.length;
            daemon.write(text);
            daemon.signal('SIGHUP');
            await manager.line(/^RELOADING=1 MONOTONIC_USEC=\d+\n(?:WATCHDOG=1\n|STATUS=.*\n)*READY=1$/m, within(1000), from);
        }
        const coming = await Raw.open(daemon.addr); /* its worker stays for a while */
        t.after(() => coming.destroy());
        const began = daemon.log.length, from = manager.log.length;
        for (const [i, workers] of [3, 2].entries()) {
            daemon.write({ ...daemon.config, workers });
            daemon.signal('SIGHUP');
            await daemon.logged([/configuration reloaded/, /reload waits/][i], within(2000), began);
        }
        await daemon.logged(/generation 3 serves/, within(5000), began);
        await manager.line(/^READY=1\n(?:WATCHDOG=1\n|STATUS=.*\n)*(?:RELOADING=1 .*\n(?:WATCHDOG=1\n|STATUS=.*\n)*){2}READY=1$/m, within(1000), from);
        /* Until then a worker that leaves may take who comes, and send him away. */
        await daemon.logged(/generation 2 has left/, within(3000), began);
        daemon.workersAtReady = daemon.workers();
        await serves(t, redis, daemon);
        daemon.signal('SIGTERM');
        await manager.line(/^STOPPING=1 EXTEND_TIMEOUT_USEC=\d+$/m, within(1000));
        await until(() => !isRunning(daemon.pid), within(2000), 'end of the daemon');
    });
}
