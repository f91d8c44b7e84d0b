'use strict';
/* Faults beside those of the table, which test/faults/run makes: a redis that refuses,
 * messages that hurt, readers that stall, no descriptors. */
const assert = require('assert');
const fs = require('fs');
const net = require('net');
const emitter3 = require('e3');
const { test, shared, mode } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { Raw } = require('./lib/raw');
const { heard, heardArgs } = require('./lib/hear');
const { once, polled } = require('./lib/http');
const { ask, scrape } = require('./lib/metrics');
const { crowd, isSequence, numbersOf, deliversAgain } = require('./lib/load');
const { PASSWORD, guarded } = require('./lib/guarded');
const { cpuOf } = require('./lib/proc');
const { SLOW, within, deadline, until, elapse } = require('./lib/time');

const redisServer = shared((s) => Redis.start(s));

/* --- redis --- */

test('a subscription that redis ends is taken up again, and the gap is logged', async (t) => {
    const redis = await Redis.start(t);
    const daemon = await Daemon.start(t, { redis });
    const [client] = await crowd(t, daemon, 1);
    await redis.client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    await daemon.logged(/redis lost/);
    await deliversAgain(redis, client, within(1500));
    await daemon.logged(/redis subscribed again/);
});
test('redis by password, password file, ACL user, Unix socket, database and URL', async (t) => {
    const { redis, file } = await guarded(t);
    const { port, socket } = redis;
    const none = { host: undefined, port: undefined };
    const ways = {
        password: { password: PASSWORD },
        'password file': { passwordFile: file },
        'ACL user': { username: 'pusher', password: `${PASSWORD}2` },
        database: { password: PASSWORD, database: 5 },
        'Unix socket': { ...none, path: socket, password: PASSWORD },
        URL: { ...none, url: `redis://:${PASSWORD}@127.0.0.1:${port}/3` },
        'URL with user': { ...none, url: `redis://pusher:${PASSWORD}2@127.0.0.1:${port}` },
        'host name': { host: 'localhost', password: PASSWORD },
    };
    for (const [way, settings] of Object.entries(ways)) {
        const daemon = await Daemon.start(t, { redis, config: { 'socket.io': { redis: settings } } });
        assert.strictEqual(daemon.redisState, 'subscribed', way);
        const [client] = await crowd(t, daemon, 1);
        redis.emitter().emit('msg', way);
        assert.deepStrictEqual(await heardArgs(redis, [client]), [[way]]);
        assert.ok(!daemon.log.includes(PASSWORD), way);
        await daemon.stop();
    }
});
test('redis refuses: a wrong password, none, no permission; the reason is logged once, no secret is', async (t) => {
    const { redis } = await guarded(t);
    const ways = [
        [{ password: `${PASSWORD}-wrong` }, /WRONGPASS|password/i],
        [{}, /NOAUTH|password|auth/i],
        [{ username: 'nobody', password: `${PASSWORD}2` }, /NOPERM|permission/i],
        [{ username: 'stranger', password: `${PASSWORD}2` }, /WRONGPASS|password/i],
    ];
    for (const [settings, reason] of ways) {
        const daemon = await Daemon.start(t, { redis, config: { 'socket.io': { redis: settings } } });
        assert.strictEqual(daemon.redisState, 'not reachable, retrying');
        const lines = () => daemon.log.split('\n').filter((line) => / (warn|error) master.*redis/.test(line));
        assert.strictEqual(lines().length, 1, daemon.log);
        assert.match(lines()[0], reason);
        await until(() => (daemon.log.match(/ debug master.*redis/g) || []).length >= 3, within(3000), 'more attempts');
        assert.strictEqual(lines().length, 1, daemon.log);
        assert.ok(!daemon.log.includes(PASSWORD));
        await daemon.stop();
    }
});

/* --- messages --- */

test('messages that would hurt clients or are too large: dropped with their cause', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis });
    const clients = await crowd(t, daemon, 2);
    const old = emitter3({ host: '127.0.0.1', port: redis.port });
    old.redis.on('error', () => {});
    t.after(() => old.redis.end(false));
    const io = old.of('/axr');
    for (const name of ['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener']) io.emit(name, 1);
    io.emit();
    io.emit(null);
    io.emit({ a: 1 });
    io.emit('attachments', ...Array.from({ length: 11 }, () => Buffer.from('x')));
    io.emit('ten', ...Array.from({ length: 10 }, () => Buffer.from('x')));
    await new Promise((resolve) => old.redis.ping(resolve));
    redis.emitter().emit('large', 'x'.repeat(5 << 20));
    redis.emitter().emit('ten megabytes', 'x'.repeat(10 << 20));
    redis.emitter().emit('last', 'x');
    for (const events of await heard(redis, clients, { ms: within(5000) }))
        assert.deepStrictEqual(events.map((event) => event.args[0]), ['ten', 'last']);
    for (const reason of ['reserved_event', 'no_event', 'attachments', 'too_large'])
        await daemon.logged(new RegExp(`message dropped: reason=${reason} `));
});

test('a message as large as limits:messageBytes allows reaches a client for which nothing waits', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis });
    const clients = await crowd(t, daemon, 2);
    const text = 'x'.repeat((4 << 20) - 200);
    redis.emitter().emit('large', text);
    assert.deepStrictEqual(await heardArgs(redis, clients, { ms: within(5000) }), [[text], [text]]);
});

/* --- readers that stall --- */

/* Publishes to everyone, at the readers' pace, until done(); then what each got.  All that waits
 * for a reader at any time is a few messages: less than any limit here. */
const BATCH = 5;
async function loadUntil(redis, readers, done, size) {
    const filler = 'x'.repeat(size);
    let seq = 0;
    const all = readers.map(() => []);
    while (!done()) {
        for (let i = 0; i < BATCH; i++) redis.emitter().emit('seq', seq++, filler);
        const got = await heardArgs(redis, readers, { ms: within(5000) });
        got.forEach((numbers, index) => all[index].push(...numbers));
    }
    for (const numbers of all) {
        assert.ok(isSequence(numbers, 0));
        assert.strictEqual(numbers.length, seq);
    }
}
const STALLS = {
    sendTimeout: [{ sendTimeout: 1000 * SLOW, sendBuffer: 256 << 20 }, /client closed: reason="send timeout"/],
    sendBuffer: [{ sendTimeout: 60000, sendBuffer: 200000 }, /client closed: reason="send buffer full"/],
};
for (const [limit, [limits, reason]] of Object.entries(STALLS)) {
    test(`a reader that stalls is cut by limits:${limit}, the others lose nothing`, async (t) => {
        const redis = await redisServer();
        const daemon = await Daemon.start(t, { redis, config: { limits } });
        const readers = await crowd(t, daemon, 6);
        const stalled = await crowd(t, daemon, 2, 's');
        stalled.forEach((client) => client.socket.pause());
        const closed = () => (daemon.log.match(new RegExp(reason, 'g')) || []).length;
        const end = Date.now() + within(10000);
        await loadUntil(redis, readers, () => closed() === 2 || Date.now() > end, 20000);
        assert.strictEqual(closed(), 2, daemon.log);
        stalled.forEach((client) => client.socket.resume());
        for (const client of stalled) {
            await client.end();
            assert.ok(isSequence(numbersOf(client.frames).filter((one) => typeof one === 'number')));
        }
    });
}
/* --- descriptors --- */

test('out of descriptors: no spinning, at most a line a second, and it recovers', async (t) => {
    const redis = await redisServer();
    const config = { workers: 1, limits: { connections: 1000 } };
    const daemon = await Daemon.start(t, { redis, config, wrap: ['prlimit', '--nofile=40:40'] });
    const [worker] = daemon.workers();
    const sockets = Array.from({ length: 80 }, () => net.connect(daemon.addr));
    sockets.forEach((socket) => socket.on('error', () => {}));
    t.after(() => sockets.forEach((socket) => socket.destroy()));
    await until(() => {
        const { length } = fs.readdirSync(`/proc/${worker}/fd`);
        return length >= 35;
    }, within(2000), 'descriptors used up');
    const from = daemon.log.length;
    const cpu = cpuOf(worker) + cpuOf(daemon.pid);
    const began = Date.now();
    await elapse(2000);
    const used = cpuOf(worker) + cpuOf(daemon.pid) - cpu;
    assert.ok(used < 0.2 * SLOW, `${used} s of CPU in 2 s`);
    const lines = daemon.log.slice(from).split('\n').length - 1;
    const seconds = (Date.now() - began) / 1000;
    assert.ok(lines <= 1 + seconds, `${lines} lines in ${seconds} s`);
    daemon.write('{ "workers": "many" }');
    daemon.signal('SIGHUP'); /* a bad file, and no descriptor to spare */
    sockets.forEach((socket) => socket.destroy());
    const [client] = await crowd(t, daemon, 1);
    redis.emitter().emit('msg', 'served');
    assert.deepStrictEqual(await heardArgs(redis, [client]), [['served']]);
}, { root: true, tools: 'prlimit' });
test('limits:connections: more are not served, those that are in stay, and a place is given back', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, limits: { connections: 5 } } });
    const clients = await crowd(t, daemon, 5);
    await daemon.logged(/warn worker 1.*: limits:connections reached: connections=5$/m);
    const full = await scrape(daemon);
    assert.deepStrictEqual([full.get('connections_limit'), full.get('connections_full')], [5, 1]);
    const late = Raw.open(daemon.addr).catch((error) => error);
    redis.emitter().emit('msg', 'in');
    for (const one of await heardArgs(redis, clients)) assert.deepStrictEqual(one, ['in']);
    clients.pop().destroy();
    const next = await late;
    const served = next instanceof Error ? await Raw.open(daemon.addr) : next;
    t.after(() => served.destroy());
    await served.join('/axr', { token: daemon.token('u') });
    clients.forEach((client) => client.destroy());
    await until(async () => (await scrape(daemon)).get('connections_full') === 0, within(2000), 'a place');
});
test('limits:connections: sessions that poll count too, and the one too many is answered and logged', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, limits: { connections: 2 } } });
    for (let i = 0; i < 2; i++) await polled(daemon.addr, daemon.token('u'));
    const open = () => once(daemon.addr, 'GET', '/notifications/?EIO=4&transport=polling', { headers: { Connection: 'close' } });
    for (const status of [503, 503]) assert.strictEqual((await open()).status, status);
    await daemon.logged(/warn worker 1.*: limits:connections reached: sessions=2; answered with 503 times=1$/m);
    const full = await scrape(daemon);
    assert.deepStrictEqual([full.get('http_errors_total', 'status="503"'), full.get('connections_full')], [2, 1]);
    const { status, text } = await ask(daemon, '/health');
    assert.deepStrictEqual([status, JSON.parse(text).reasons], [503, ['no place for a client: limits:connections']]);
});

/* --- slow heads --- */

test('heads that never end are closed within 10 s, the others are served meanwhile', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis });
    const [client] = await crowd(t, daemon, 1);
    const count = mode === 'long' ? 2000 : 50;
    const sockets = Array.from({ length: count }, () => net.connect(daemon.addr));
    const ended = sockets.map((socket) => new Promise((resolve) => socket.on('error', () => {}).on('close', resolve).resume()));
    sockets.forEach((socket) => socket.write('GET /notifications/?EIO=4&transport=websocket HTTP/1.1\r\n'));
    const drip = setInterval(() => sockets.forEach((socket) => socket.writable && socket.write('X: x\r\n')), 500);
    t.after(() => clearInterval(drip));
    t.after(() => sockets.forEach((socket) => socket.destroy()));
    const over = deadline(Promise.all(ended), within(10000), 'end of all slow heads');
    redis.emitter().emit('msg', 'served');
    assert.deepStrictEqual(await Promise.race([heardArgs(redis, [client]), over]), [['served']], 'served meanwhile');
    await over;
}, { quick: false });
