'use strict';
/* Faults made for real: killed processes, a redis that goes away or talks
 * nonsense, readers that stall, payloads that are no messages, no descriptors. */
const assert = require('assert');
const fs = require('fs');
const net = require('net');
const emitter3 = require('e3');
const { test, shared, mode } = require('./lib/suite');
const { Redis, freePort } = require('./lib/redis');
const { Daemon, SECRET } = require('./lib/daemon');
const { Raw, exchange, joined } = require('./lib/raw');
const { heard, heardArgs } = require('./lib/hear');
const { crowd, publisher, isSequence, numbersOf, deliversAgain } = require('./lib/load');
const { GARBAGE, garbageFirst, garbageBetween } = require('./lib/garbage');
const { MALFORMED, whole } = require('./lib/hostile');
const { PASSWORD, guarded } = require('./lib/guarded');
const { Proxy } = require('./lib/proxy');
const { sign } = require('./lib/jwt');
const { isRunning, memoryOf, cpuOf, has } = require('./lib/proc');
const { SLOW, within, deadline, until, elapse } = require('./lib/time');

const redisServer = shared((s) => Redis.start(s));

/* --- processes --- */

/* Kills workers until some clients are lost and some are not (who is where is
 * not known); resolves to the pids that were killed. */
async function killUntilSomeAreLost(daemon, clients) {
    const killed = [];
    for (const pid of daemon.workersAtReady.slice(0, -1)) {
        process.kill(pid, 'SIGKILL');
        killed.push(pid);
        await until(() => !isRunning(pid), within(1000), 'end of the worker');
        const lost = await deadline(Promise.race(clients.map((client) => client.closed)), within(300), 'a lost client').catch(() => null);
        if (lost) return killed;
    }
    throw new Error('no worker had a client');
}

const ROUNDS = mode === 'long' ? 20 : 2;
for (let round = 1; round <= ROUNDS; round++) {
    test(`kill -9 of a worker under load: replaced, the others' clients get all, once, in order (${round} of ${ROUNDS})`, async (t) => {
        const redis = await redisServer();
        const daemon = await Daemon.start(t, { redis, config: { workers: 3 } });
        daemon.deaths = true;
        const clients = await crowd(t, daemon, 36);
        const load = publisher(redis);
        t.after(() => load.stop());
        await clients[0].take();
        const killed = await killUntilSomeAreLost(daemon, clients);
        await until(() => daemon.workers().length === 3, within(1000), 'worker replaced');
        assert.ok(!daemon.workers().some((pid) => killed.includes(pid)));
        const fresh = await crowd(t, daemon, 8);
        await fresh[0].take();
        const count = await load.stop();
        const kept = clients.filter((client) => !client.over);
        const lost = clients.filter((client) => client.over);
        assert.ok(kept.length && lost.length, `${kept.length} kept, ${lost.length} lost`);
        const rest = await heardArgs(redis, [...kept, ...fresh]);
        rest.forEach((numbers, index) => {
            const client = kept[index];
            /* the first client took a message above, and fresh ones came later */
            const from = client && client !== clients[0] ? 0 : numbers[0];
            assert.ok(isSequence(numbers, from), 'a gap, a double or a wrong order');
            if (numbers.length || client) assert.strictEqual(numbers[numbers.length - 1], count - 1);
        });
        for (const client of lost) assert.ok(isSequence(numbersOf(client.frames)), 'before the end of a lost one');
    });
}
test('kill -9 of the master under load: no process after 2 s, the port is free', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 4 } });
    const clients = await crowd(t, daemon, 20);
    const load = publisher(redis);
    t.after(() => load.stop());
    await clients[0].take();
    const workers = daemon.workers();
    await daemon.kill();
    await until(() => !workers.some(isRunning), within(2000), 'end of the workers');
    await Promise.all(clients.map((client) => client.end()));
    for (const client of clients) if (client !== clients[0]) assert.ok(isSequence(numbersOf(client.frames)));
    const server = net.createServer();
    await new Promise((resolve, reject) => server.on('error', reject).listen(daemon.addr.port, '127.0.0.1', resolve));
    await new Promise((resolve) => server.close(resolve));
});
test('a stopped worker is replaced, and the others lose nothing', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 3 } });
    daemon.deaths = true;
    const clients = await crowd(t, daemon, 30);
    const load = publisher(redis);
    t.after(() => load.stop());
    const [stopped] = daemon.workers();
    process.kill(stopped, 'SIGSTOP');
    t.after(() => isRunning(stopped) && process.kill(stopped, 'SIGKILL'));
    const before = memoryOf(daemon.pid);
    await until(() => !isRunning(stopped), within(12000), 'end of the stopped worker');
    await until(() => daemon.workers().length === 3, within(1000), 'its successor');
    assert.ok(memoryOf(daemon.pid) - before < 64 << 20);
    const count = await load.stop();
    const kept = clients.filter((client) => !client.over);
    assert.ok(kept.length && kept.length < clients.length, `${kept.length} kept`);
    for (const numbers of await heardArgs(redis, kept)) {
        assert.ok(isSequence(numbers, 0));
        assert.strictEqual(numbers.length, count);
    }
}, { long: true, timeout: 120000 });

/* --- redis --- */

for (const signal of ['SIGTERM', 'SIGKILL']) {
    test(`redis ended by ${signal} and started again: delivering within 1.5 s of its return, the gap logged, clients kept`, async (t) => {
        const redis = await Redis.start(t);
        const daemon = await Daemon.start(t, { redis });
        const clients = await crowd(t, daemon, 6);
        redis.process.signal(signal);
        await redis.process.ended(within(3000));
        await daemon.logged(/ warn master\[\d+\]: redis lost/);
        await elapse(1500); /* so that the back-off has grown */
        let from = daemon.log.length;
        await redis.again();
        const took = await deliversAgain(redis, clients[0], within(1500));
        assert.ok(took < within(1500), `${took} ms`);
        await daemon.logged(/ (info|warn) master\[\d+\]: redis subscribed again .*lost/, within(1000), from);
        for (const client of clients) assert.strictEqual(client.over, null);
        await heard(redis, clients);
        redis.emitter().emit('msg', 'once');
        for (const one of await heardArgs(redis, clients)) assert.deepStrictEqual(one, ['once']);
        const lines = daemon.log.split('\n').filter((line) => / warn .*not reachable/.test(line));
        assert.ok(lines.length <= 1, lines.join('\n'));
    });
}
test('a subscription that redis ends is taken up again, and the gap is logged', async (t) => {
    const redis = await Redis.start(t);
    const daemon = await Daemon.start(t, { redis });
    const [client] = await crowd(t, daemon, 1);
    await redis.client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    await daemon.logged(/redis lost/);
    await deliversAgain(redis, client, within(1500));
    await daemon.logged(/redis subscribed again/);
});
test('a redis that stops answering, and a link that is half open, are noticed within 10 s', async (t) => {
    const stopped = async () => {
        const redis = await Redis.start(t);
        const daemon = await Daemon.start(t, { redis });
        const [client] = await crowd(t, daemon, 1);
        redis.process.signal('SIGSTOP');
        await daemon.logged(/redis lost/, within(10000));
        redis.process.signal('SIGCONT');
        await deliversAgain(redis, client, within(3000));
    };
    const halfOpen = async () => {
        const redis = await Redis.start(t);
        const proxy = await Proxy.start(t, redis.port);
        const daemon = await Daemon.start(t, { redis: proxy });
        const [client] = await crowd(t, daemon, 1);
        proxy.silence();
        await daemon.logged(/redis lost/, within(10000));
        await deliversAgain(redis, client, within(3000));
    };
    await Promise.all([stopped(), halfOpen()]);
}, { quick: false });

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

test('garbage in place of redis, one byte at a time: the master lives, and subscribes when it is over', async (t) => {
    const redis = await redisServer();
    await Promise.all(Object.entries(GARBAGE).map(([what, bytes]) => garbageFirst(t, redis, what, bytes)));
});
test('garbage in the middle of a subscription: the master lives, clients are kept, delivery goes on', async (t) => {
    const redis = await redisServer();
    const all = await Promise.allSettled(Object.entries(GARBAGE).map(([what, bytes]) => garbageBetween(t, redis, what, bytes)));
    const errors = all.filter((one) => one.reason).map((one) => one.reason.message);
    assert.deepStrictEqual(errors, []);
});

/* --- payloads that are no messages --- */

test('payloads that are no messages: dropped, counted, logged once a cause; the subscription lives', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis });
    const clients = await crowd(t, daemon, 2);
    redis.emitter().emit('msg', 'before');
    assert.deepStrictEqual(await heardArgs(redis, clients), [['before'], ['before']]);
    const before = memoryOf(daemon.pid);
    const { pid } = daemon;
    for (let round = 0; round < 20; round++) for (const payload of MALFORMED) redis.publish('socket.io#/axr#', payload);
    redis.publish('socket.io#/axr#', whole);
    assert.deepStrictEqual(await heardArgs(redis, clients), [[1], [1]], 'only the whole one');
    const grown = memoryOf(pid) - before;
    assert.ok(SLOW > 1 || grown < 3 << 20, `master grew by ${grown} bytes`);
    const lines = daemon.log.split('\n').filter((line) => /message dropped: cause=/.test(line));
    const causes = lines.map((line) => /cause=(\w+)/.exec(line)[1]);
    assert.ok(causes.includes('malformed'), daemon.log);
    assert.deepStrictEqual([...new Set(causes)], causes, 'one line a cause');
    assert.ok(!/redis lost/.test(daemon.log));
});
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
    for (const cause of ['reserved_event', 'no_event', 'attachments', 'too_large'])
        assert.match(daemon.log, new RegExp(`message dropped: cause=${cause} `));
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

/* Publishes to everyone, at the readers' pace, until done(); then what each got. */
async function loadUntil(redis, readers, done, size) {
    const filler = 'x'.repeat(size);
    let seq = 0;
    const all = readers.map(() => []);
    while (!done()) {
        for (let i = 0; i < 10; i++) redis.emitter().emit('seq', seq++, filler);
        const got = await heardArgs(redis, readers, { ms: within(5000) });
        got.forEach((numbers, index) => all[index].push(...numbers));
    }
    for (const numbers of all) {
        assert.ok(isSequence(numbers, 0));
        assert.strictEqual(numbers.length, seq);
    }
}
const STALLS = {
    sendTimeout: [{ sendTimeout: 700, sendBuffer: 256 << 20 }, /client closed: reason="send timeout"/],
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
test('many readers that stall: memory bounded, all cut, the others lose nothing', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { limits: { sendTimeout: 2000 } } });
    const readers = await crowd(t, daemon, 3);
    const count = mode === 'long' ? 2000 : 200;
    const stalled = await crowd(t, daemon, count, 's');
    stalled.forEach((client) => client.socket.pause());
    const memory = () => daemon.workers().reduce((sum, pid) => sum + memoryOf(pid), 0);
    const before = memory();
    let most = 0;
    const closed = () => {
        most = Math.max(most, memory() - before);
        return (daemon.log.match(/client closed: reason="send /g) || []).length;
    };
    const end = Date.now() + within(10000);
    await loadUntil(redis, readers, () => closed() >= count || Date.now() > end, 20000);
    assert.strictEqual(closed(), count);
    assert.ok(SLOW > 1 || most < 64 << 20, `workers grew by ${most} bytes`);
}, { quick: false });

/* --- descriptors --- */

test('out of descriptors: no spinning, at most a line a second, and it recovers', async (t) => {
    if (!has('prlimit') || process.getuid() !== 0) return;
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
    await elapse(2000);
    const used = cpuOf(worker) + cpuOf(daemon.pid) - cpu;
    assert.ok(used < 0.2 * SLOW, `${used} s of CPU in 2 s`);
    const lines = daemon.log.slice(from).split('\n').length - 1;
    assert.ok(lines <= 3, `${lines} lines in 2 s`);
    daemon.write('{ "workers": "many" }');
    daemon.signal('SIGHUP'); /* a bad file, and no descriptor to spare */
    sockets.forEach((socket) => socket.destroy());
    const began = Date.now();
    const [client] = await crowd(t, daemon, 1);
    assert.ok(Date.now() - began < within(1000));
    redis.emitter().emit('msg', 'served');
    assert.deepStrictEqual(await heardArgs(redis, [client]), [['served']]);
});
test('limits:connections: more are not served, those that are in stay, and a place is given back', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, limits: { connections: 5 } } });
    const clients = await crowd(t, daemon, 5);
    const late = Raw.open(daemon.addr).catch((error) => error);
    redis.emitter().emit('msg', 'in');
    for (const one of await heardArgs(redis, clients)) assert.deepStrictEqual(one, ['in']);
    clients.pop().destroy();
    const next = await late;
    const served = next instanceof Error ? await Raw.open(daemon.addr) : next;
    t.after(() => served.destroy());
    await served.join('/axr', { token: daemon.token('u') });
});

/* --- the log --- */

const LINE = /^\S+ (debug|info|warn|error) (axr-notifyd|master|worker \d+)\[\d+\]: [^\x00-\x1f\x7f-\x9f]*$/;
test('CR, LF, ESC and NUL from outside end in one escaped line', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis });
    const evil = 'x\r\n2026-01-01T00:00:00Z error master[1]: forged\x1b[31m\x00\x9b\u2028y';
    await redis.publish(`socket.io#/axr#${evil}#`, Buffer.from('c1', 'hex'));
    const encoded = encodeURIComponent(evil);
    await exchange(daemon.addr, `GET /${encoded}?${encoded} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: ${encoded}\r\n\r\n`);
    await exchange(daemon.addr, Buffer.from(`GET /\x1b[31m HTTP/1.1\r\nHost: x\r\nUser-Agent: \x1b[31m\r\n\r\n`, 'latin1'));
    const client = await joined(daemon.addr, daemon.token(evil.replace(/\0/g, '')), { headers: { 'User-Agent': '\x1b[31mred' } }).catch(() => null);
    if (client) client.destroy();
    const other = await Raw.open(daemon.addr);
    other.sendText(`40/${evil.replace(/,/g, '')},`);
    await other.take();
    other.destroy();
    await daemon.logged(/message dropped/);
    await daemon.stop();
    const lines = daemon.log.trimEnd().split('\n').filter((line) => !/^axr-notifyd: warning:/.test(line));
    for (const line of lines) assert.match(line, LINE);
    assert.doesNotMatch(daemon.log, /^\S+ error master\[1\]: forged/m);
});
test('secrets given on the command line are not in the process title, and no secret is in the log', async (t) => {
    const secret = 'S3cret-on-the-command-line-0123456789';
    const redis = await Redis.start(t, { args: ['--requirepass', PASSWORD], auth: { password: PASSWORD } });
    const args = ['--auth:secret', secret, `--socket.io:redis:password=${PASSWORD}`];
    const daemon = await Daemon.start(t, { redis, config: { auth: undefined }, args });
    assert.strictEqual(daemon.redisState, 'subscribed');
    const token = sign({ uid: 'u' }, secret);
    const client = await joined(daemon.addr, token, { query: { token } });
    const bad = `${token.slice(0, -3)}AAA`;
    const refused = await joined(daemon.addr, bad, { query: { token: bad } }).catch((error) => error);
    assert.ok(refused instanceof Error);
    for (const pid of [daemon.pid, ...daemon.workers()]) {
        const title = fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1') + fs.readFileSync(`/proc/${pid}/comm`, 'latin1');
        for (const hidden of [secret, PASSWORD]) assert.ok(!title.includes(hidden), title);
    }
    client.destroy();
    await daemon.stop();
    for (const hidden of [secret, PASSWORD, SECRET, token.split('.')[2], token.split('.')[1], bad.split('.')[2]])
        assert.ok(!daemon.log.includes(hidden), hidden);
    assert.match(daemon.log, /warn.*(auth:secret|command line)/i);
});
test('a log that cannot be written does not stop the daemon', async (t) => {
    const redis = await redisServer();
    const port = await freePort();
    const daemon = new Daemon(t, { redis, config: { port, log: { target: '/dev/full' } } });
    daemon.spawn();
    daemon.addr = { host: '127.0.0.1', port };
    const client = await until(() => joined(daemon.addr, daemon.token('u')).catch(() => null), within(4000), 'a client');
    await until(async () => (await redis.publish('socket.io#/axr#', 'x')) > 0, within(2000), 'subscription');
    redis.emitter().emit('msg', 'served');
    assert.deepStrictEqual(await heardArgs(redis, [client]), [['served']]);
    client.destroy();
    daemon.signal('SIGTERM');
    assert.deepStrictEqual(await daemon.process.ended(within(2000)), { code: 0, signal: null });
});
test('core dumps are off', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis });
    for (const pid of [daemon.pid, ...daemon.workers()])
        assert.match(fs.readFileSync(`/proc/${pid}/limits`, 'latin1'), /^Max core file size +0 /m);
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
    assert.deepStrictEqual(await heardArgs(redis, [client], { ms: within(500) }), [['served']]);
    await over;
}, { quick: false });
