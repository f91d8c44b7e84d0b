'use strict';
/* Descriptors, disk, configuration and network that are not there any more. */
const assert = require('assert');
const { execFileSync } = require('child_process');
const fs = require('fs');
const net = require('net');
const path = require('path');
const { row, redisServer, cpuShare } = require('../lib/table');
const { sit } = require('../lib/sitter');
const { Daemon, SECRET, merge } = require('../../e2e/lib/daemon');
const { Raw, joined } = require('../../e2e/lib/raw');
const { freePort } = require('../../e2e/lib/redis');
const { crowd, serves } = require('../../e2e/lib/load');
const { sign } = require('../../e2e/lib/jwt');
const { Process, has, tempDir } = require('../../e2e/lib/proc');
const { selfSigned } = require('../../e2e/lib/certificates');
const { SLOW, within, until, elapse } = require('../../e2e/lib/time');

/* --- 18, 19: descriptors and configuration ---------------------------------- */

const FILES = 40;
/* A daemon of which neither process may open more, and sockets that use it all up. */
async function starved(t, redis, config = {}) {
    const daemon = await Daemon.start(t, {
        redis, config: merge({ workers: 1, limits: { connections: 1000 } }, config), wrap: ['prlimit', `--nofile=${FILES}:${FILES}`],
    });
    const [worker] = daemon.workers();
    const sockets = Array.from({ length: 2 * FILES }, () => net.connect(daemon.addr));
    sockets.forEach((socket) => socket.on('error', () => {}));
    const free = () => sockets.forEach((socket) => socket.destroy());
    t.after(free);
    await daemon.logged(/ warn worker 1\[\d+\]: accept: /, within(2000));
    return { daemon, worker, free };
}

row(18, 'out of descriptors', 'under 10% of a core, at most 1 log line/s, recovers within 1 s', async (t) => {
    const redis = await redisServer();
    const { daemon, worker, free } = await starved(t, redis);
    const from = daemon.log.length;
    let began = Date.now();
    t.judged('CPU', await cpuShare([daemon.pid, worker], 3000), 10, '% of a core');
    const lines = daemon.log.slice(from).split('\n').length - 1;
    const seconds = (Date.now() - began) / 1000;
    t.note(`${lines} lines in ${seconds.toFixed(1)} s`);
    assert.ok(lines <= 1 + seconds, `${lines} lines`);
    began = Date.now();
    free();
    await serves(redis, daemon);
    t.took('serves again after', Date.now() - began, 1000);
});

const OTHER = 'another secret that is long enough: 0123456789';
/* What a reload finds: what is over the configuration in force, or text. */
const RELOADS = {
    'a file that is no JSON': '{ "workers": ',
    'an unknown key': { unknown: 1, auth: { secret: OTHER } },
    'a wrong type': { log: { level: 7 }, auth: { secret: OTHER } },
    'an empty secret': { auth: { secret: '' } },
    'no key': { auth: { secret: undefined } },
    'a secret file that is not there': { auth: { secret: undefined, secretFile: '/nonexistent/secret' } },
    'a public key that is none': { auth: { secret: undefined, publicKeyFile: '/dev/null' } },
    'a certificate that is not there': { tls: { certFile: '/nonexistent/cert.pem', keyFile: '/nonexistent/key.pem' }, auth: { secret: OTHER } },
};
/* Certificates that are no good, each in files of its own. */
function badCertificates(t) {
    const [one, other] = [selfSigned(), selfSigned()];
    const bad = { half: { chain: one.chain.slice(0, 300), key: one.key }, other: { chain: one.chain, key: other.key }, weak: selfSigned({ type: 'rsa1024' }) };
    return Object.entries(bad).map(([name, { chain, key }]) => {
        const files = { certFile: path.join(tempDir(t), `${name}.crt`), keyFile: path.join(tempDir(t), `${name}.key`) };
        fs.writeFileSync(files.certFile, chain);
        fs.writeFileSync(files.keyFile, key, { mode: 0o600 });
        return { tls: files, auth: { secret: OTHER } };
    });
}
/* The old secret counts, and no other. */
async function oldAuth(redis, daemon) {
    await serves(redis, daemon);
    for (const token of [sign({ uid: 'u' }, OTHER), sign({ uid: 'u' }, '')]) {
        const client = await Raw.open(daemon.addr);
        await assert.rejects(client.join('/axr', { token }), /refused/);
        client.destroy();
    }
}
async function reload(daemon, config) {
    const from = daemon.log.length;
    daemon.write(typeof config === 'string' ? config : merge(daemon.config, config));
    daemon.signal('SIGHUP');
    await daemon.logged(/configuration not reloaded: the old one stays in force/, within(2000), from);
}
row(19, 'reload while out of descriptors, with a bad file, a bad certificate', 'old config and old auth stay in force', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis });
    const [client] = await crowd(t, daemon, 1);
    const bad = [...Object.values(RELOADS), ...badCertificates(t)];
    for (const config of bad) {
        await reload(daemon, config);
        await oldAuth(redis, daemon);
    }
    assert.deepStrictEqual(daemon.workers(), daemon.workersAtReady);
    assert.strictEqual(client.over, null);
    const hungry = await starved(t, redis);
    await reload(hungry.daemon, RELOADS['a file that is no JSON']);
    await exhaust(hungry.daemon.pid, () => reload(hungry.daemon, {}));
    hungry.free();
    await oldAuth(redis, hungry.daemon);
    t.note(`${bad.length} bad ones, and a good one that could not be read for want of descriptors: the old secret counts, the new ones do not, nobody lost`);
});
/* Runs fn while the process may open no file more. */
async function exhaust(pid, fn) {
    const limit = (soft) => execFileSync('prlimit', ['-p', String(pid), `--nofile=${soft}:${FILES}`]);
    limit(3); /* none below 3 is free, and those that are open stay so */
    try {
        await fn();
    } finally {
        limit(FILES);
    }
}

/* --- 23: the disk ----------------------------------------------------------- */

row(23, 'log disk full', 'serves on; drops counted', async (t) => {
    const redis = await redisServer();
    const daemon = new Daemon(t, { redis });
    const log = path.join(daemon.dir, 'log');
    fs.symlinkSync('/dev/full', log);
    const port = await freePort();
    daemon.config = merge(daemon.config, { port, log: { target: log } });
    daemon.write(daemon.config);
    daemon.spawn();
    daemon.addr = { host: '127.0.0.1', port };
    await until(() => Raw.open(daemon.addr).then((client) => client.destroy() || true, () => false), within(4000), 'a daemon that serves');
    await until(async () => (await redis.publish('socket.io#/axr#', 'x')) > 0, within(3000), 'the subscription');
    for (let i = 0; i < 20; i++) await serves(redis, daemon);
    fs.unlinkSync(log); /* and now there is room */
    daemon.signal('SIGUSR1');
    await until(() => fs.existsSync(log), within(2000), 'the log to be opened again');
    await serves(redis, daemon);
    daemon.signal('SIGTERM');
    assert.deepStrictEqual(await daemon.process.ended(within(3000)), { code: 0, signal: null });
    const [, lost] = /stopped: .*\blog_lost=(\d+)/.exec(fs.readFileSync(log, 'utf8'));
    assert.ok(Number(lost) > 0);
    t.note(`21 of 21 clients served; ${lost} lines of the master counted as lost, in the log once there was room`);
});

/* --- 36: the network -------------------------------------------------------- */

/* Until they vanish they have 2 s to answer. */
const PING = { pingInterval: 1000 * SLOW, pingTimeout: 2000 * SLOW };
/* A network that can be taken away; null where we may not make one. */
function network(t) {
    if (process.getuid() !== 0 || !has('ip') || !has('nsenter')) return null;
    const id = process.pid % 250;
    const [ours, theirs] = [`axr${process.pid}a`, `axr${process.pid}b`];
    const [here, there] = [`10.213.${id}.1`, `10.213.${id}.2`];
    const ip = (...args) => execFileSync('ip', args, { stdio: 'pipe' });
    const holder = new Process('unshare', ['-n', 'sleep', '1000000']);
    t.after(() => {
        holder.signal('SIGKILL');
        return holder.ended(within(2000));
    });
    const inside = (...args) => execFileSync('nsenter', ['-t', String(holder.pid), '-n', ...args], { stdio: 'pipe' });
    return {
        here, wrap: ['nsenter', '-t', String(holder.pid), '-n'],
        async up() {
            const own = fs.readlinkSync('/proc/self/ns/net');
            await until(() => fs.readlinkSync(`/proc/${holder.pid}/ns/net`) !== own, within(2000), 'a network of its own');
            ip('link', 'add', ours, 'type', 'veth', 'peer', 'name', theirs, 'netns', String(holder.pid));
            t.after(() => { try { ip('link', 'del', ours); } catch { /* it went with the other end */ } });
            ip('addr', 'add', `${here}/30`, 'dev', ours);
            ip('link', 'set', ours, 'up');
            inside('ip', 'addr', 'add', `${there}/30`, 'dev', theirs);
            inside('ip', 'link', 'set', theirs, 'up');
        },
        cut: () => inside('ip', 'link', 'set', theirs, 'down'),
    };
}
row(36, 'client vanishes without FIN', 'gone within pingInterval + pingTimeout + 1 s', async (t) => {
    const redis = await redisServer();
    const world = network(t);
    if (world) await world.up();
    const listen = ['127.0.0.1:0', ...(world ? [`${world.here}:0`] : [])];
    const daemon = await Daemon.start(t, { redis, config: { 'socket.io': PING, listen, port: undefined, host: undefined } });
    const where = daemon.addrs[daemon.addrs.length - 1];
    const count = 12;
    const sitter = await sit(t, { where, token: daemon.token('gone'), count }, world ? world.wrap : []);
    const client = await joined(daemon.addr, daemon.token('u'));
    t.after(() => client.destroy());
    await elapse(PING.pingInterval); /* it lives, and is not just out of its first timeout */
    const from = daemon.log.length;
    assert.strictEqual(gone(daemon, 0), 0, 'somebody left before');
    const began = Date.now();
    if (world) world.cut();
    else sitter.signal('SIGSTOP');
    await until(() => gone(daemon, from) === count, within(PING.pingInterval + PING.pingTimeout + 1000), 'all of them to be gone');
    t.note(`${count} clients (both versions, polling), ${world ? 'their network taken away' : 'stopped'}`);
    t.took('gone after', Date.now() - began, PING.pingInterval + PING.pingTimeout + 1000);
    assert.strictEqual(client.over, null);
});
function gone(daemon, from) {
    return (daemon.log.slice(from).match(/client disconnected: .*reason="ping timeout"/g) || []).length;
}
