'use strict';
/* Over TLS a connection stays with the worker that accepted it, and is carried to the one that
 * has the session: no request of a client needs to come to the same worker. */
const assert = require('assert');
const crypto = require('crypto');
const { test, shared, keep } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { Http, Polling, polled, request, PATH } = require('./lib/http');
const { Raw, joined } = require('./lib/raw');
const { Client } = require('./lib/clients');
const { scrape, settled } = require('./lib/metrics');
const { renew } = require('./lib/reload');
const { heard, heardArgs } = require('./lib/hear');
const { within, until } = require('./lib/time');

const WORKERS = 4;
const redisServer = shared((s) => Redis.start(s));

async function begin(t, config = {}) {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, tls: true, config: { workers: WORKERS, ...config } });
    return { redis, daemon, addr: daemon.addr, token: daemon.token('u') };
}
const world = shared((s) => begin(s));

const carried = async (daemon) => (await scrape(daemon)).get('carried_connections');
/* Makes connections one by one, which stay, until one is carried: that one.  make(): a
 * connection that has been served. */
async function untilCarried({ daemon }, make) {
    for (let i = 0; i < 40; i++) {
        const before = await carried(daemon);
        const one = await make();
        if ((await carried(daemon)) > before) return one;
    }
    throw new Error('no connection is carried');
}

/* --- long-polling --- */

/* A connection over which requests of client are carried. */
const carriedHttp = (t, w, client) =>
    untilCarried(w, async () => {
        const http = keep(t, new Http(w.addr));
        http.send('POST', client.target(), {}, client.eio === 4 ? '42/axr,["up"]' : '1:2');
        assert.strictEqual((await http.answer()).text, 'ok');
        return http;
    });

for (const [eio, query, what] of [[4, {}, ''], [3, {}, ', binary form'], [3, { b64: 1 }, ', base64']]) {
    test(`EIO${eio}${what}: requests of one session come to any worker: events, attachments, in order`, async (t) => {
        const w = await world();
        const client = keep(t, await polled(w.addr, w.token, { eio, query, keep: true }));
        const bytes = crypto.randomBytes(100000);
        const http = await carriedHttp(t, w, client);
        for (let i = 0; i < 5; i++) {
            w.redis.emitter().to('u').emit('msg', i, bytes);
            w.redis.emitter().to('u').emit('text', '€'.repeat(10000 * i));
        }
        client.conns.get = http;
        for (let i = 0; i < 5; i++) {
            const { args, bins } = await client.event();
            assert.deepStrictEqual([args[1], bins], [i, [bytes.toString('hex')]]);
            assert.strictEqual((await client.event()).args[1].length, 10000 * i);
            client.conns.get = keep(t, new Http(w.addr));
        }
        assert.deepStrictEqual(await heard(w.redis, [client]), [[]]);
    });
}
test('what HTTP has: HEAD, OPTIONS, 100 (Continue), bodies up to the limit, requests one behind the other', async (t) => {
    const w = await world();
    const client = keep(t, await polled(w.addr, w.token, { keep: true }));
    const http = await carriedHttp(t, w, client);
    http.send('HEAD', client.target()); /* which ends the connection */
    assert.strictEqual((await http.answer(undefined, true)).status, 405);
    await http.over();
    assert.strictEqual(http.bytes.length, 0);

    const next = await carriedHttp(t, w, client);
    next.send('OPTIONS', client.target(), { Origin: 'http://a.example', 'Access-Control-Request-Method': 'POST' });
    assert.strictEqual((await next.answer()).status, 204);
    next.send(request('POST', client.target(), { Expect: '100-continue', 'Content-Length': 14 }));
    assert.strictEqual((await next.answer()).status, 100);
    next.send('42/axr,["up"]'.padEnd(14));
    assert.strictEqual((await next.answer()).text, 'ok');
    next.send('POST', client.target(), {}, `42/axr,["${'x'.repeat(990000)}"]`);
    assert.strictEqual((await next.answer()).text, 'ok');
    next.send(Buffer.concat([request('POST', client.target(), {}, '42/axr,["up"]'), request('GET', '/nope'), request('GET', '/status')]));
    assert.deepStrictEqual([(await next.answer()).text, (await next.answer()).status], ['ok', 404]);

    const last = await carriedHttp(t, w, client);
    last.send('POST', client.target(), {}, 'x'.repeat(1000001));
    assert.strictEqual((await last.answer()).status, 413);
    await last.over();
    assert.deepStrictEqual(await heard(w.redis, [client]), [[]], 'the session lives');
});
test('requests for several sessions over one connection go to the worker of each', async (t) => {
    const w = await world();
    const clients = [];
    for (let i = 0; i < 8; i++) clients.push(keep(t, await polled(w.addr, w.token, { keep: true })));
    const http = await carriedHttp(t, w, clients[0]);
    for (const client of [...clients, ...clients]) {
        http.send('POST', client.target(), {}, '42/axr,["up"]');
        assert.strictEqual((await http.answer()).text, 'ok');
    }
    w.redis.emitter().emit('msg', 1);
    for (const client of clients) {
        http.send('GET', client.target());
        assert.strictEqual((await http.answer()).text, '42/axr,["msg",1]');
    }
});
test('a session that is not there, and one whose worker has gone: 400', async (t) => {
    const w = await begin(t);
    const client = keep(t, await polled(w.addr, w.token, { keep: true }));
    const http = await carriedHttp(t, w, client);
    const [, number] = [...w.daemon.log.matchAll(/handed to worker (\d+): .* carried=1/g)].pop();
    const [, pid] = new RegExp(`worker ${number}\\[(\\d+)\\]`).exec(w.daemon.log);
    w.daemon.deaths = true;
    process.kill(Number(pid), 'SIGKILL');
    await http.over();
    await until(() => w.daemon.workers().length === WORKERS, within(3000), 'another worker');
    for (let i = 0; i < 4; i++) {
        const answer = await keep(t, new Http(w.addr)).send('GET', client.target()).answer(within(5000));
        assert.deepStrictEqual([answer.status, JSON.parse(answer.text).code], [400, 1]);
    }
    const other = keep(t, await polled(w.addr, w.token, { keep: true }));
    assert.deepStrictEqual(await heard(w.redis, [other]), [[]], 'a new one lives');
});

/* --- WebSocket --- */

/* A session that a WebSocket takes over which is carried: with .port, where the session comes
 * from, and the pids of .carrier and .server. */
async function carriedSocket(t, w) {
    for (let i = 0; i < 40; i++) {
        const client = keep(t, await polled(w.addr, w.token, { keep: true }));
        const { localPort: port } = client.conns.get.socket;
        const before = await carried(w.daemon);
        const socket = keep(t, new Raw(w.addr, { query: { sid: client.sid } }));
        await socket.upgraded;
        socket.sendText('2probe');
        assert.strictEqual(await socket.text(), '3probe');
        const here = (await carried(w.daemon)) <= before; /* those of earlier tests go */
        socket.sendText('5');
        if (here) continue;
        const line = `\\[(\\d+)\\]: connection handed to worker (\\d+): bytes=\\d+ address=127.0.0.1:${socket.socket.localPort} carried=1`;
        const [, carrier, number] = await w.daemon.logged(new RegExp(line));
        const [, server] = new RegExp(`worker ${number}\\[(\\d+)\\]`).exec(w.daemon.log);
        return Object.assign(socket, { port, carrier: Number(carrier), server: Number(server) });
    }
    throw new Error('no WebSocket is carried');
}
/* The line of its end. */
const ended = ({ server, port }, reason) => new RegExp(`\\[${server}\\]: client disconnected: user=u address=127.0.0.1:${port} transport=websocket reason="${reason}"`);

test('upgraded to a WebSocket at another worker: it hears, is heard, and is logged with its address when it goes', async (t) => {
    const w = await world();
    const socket = await carriedSocket(t, w);
    const bytes = crypto.randomBytes(300000);
    w.redis.emitter().to('u').emit('msg', 1, bytes);
    for (let i = 0; i < 500; i++) w.redis.emitter().to('u').emit('msg', i);
    assert.deepStrictEqual((await socket.event()).frames[1], { bin: bytes.toString('hex') });
    const events = await heardArgs(w.redis, [socket]);
    assert.deepStrictEqual(events, [Array.from({ length: 500 }, (_, i) => i)]);
    socket.sendText(`42/axr,["${'x'.repeat(900000)}"]`);
    assert.deepStrictEqual(await heard(w.redis, [socket]), [[]]);
    const before = await carried(w.daemon);
    socket.destroy();
    await w.daemon.logged(ended(socket, 'client'));
    await settled(w.daemon, (now) => now.get('carried_connections') < before, 'it is carried no more');
});
for (const [what, limits, count, reason] of [
    ['too much waits for it', { sendBuffer: 200000, sendTimeout: 2000 }, 60, 'send buffer full'],
    ['too long', { sendTimeout: 300 }, 8, 'send timeout']]) {
    test(`a client that does not read: ${what}; the session's worker says so`, async (t) => {
        const w = await begin(t, { limits });
        const socket = await carriedSocket(t, w);
        const other = keep(t, await joined(w.addr, w.daemon.token('other')));
        const before = await carried(w.daemon);
        socket.socket.pause();
        for (let i = 0; i < count; i++) w.redis.emitter().to('u').emit('msg', i, 'x'.repeat(100000));
        await w.daemon.logged(ended(socket, reason), within(5000));
        await settled(w.daemon, (now) => now.get('carried_connections') === before - 1, 'it is carried no more');
        assert.deepStrictEqual(await heard(w.redis, [other]), [[]]);
    });
}
test('kill -9 of who carries, and of who serves: others hear on', async (t) => {
    const w = await begin(t);
    const sockets = [];
    for (let i = 0; i < 6; i++) sockets.push(await carriedSocket(t, w));
    w.daemon.deaths = true;
    for (const role of ['carrier', 'server']) {
        const alive = sockets.filter((socket) => !socket.over);
        const victim = alive[0][role];
        process.kill(victim, 'SIGKILL');
        const hurt = alive.filter((socket) => [socket.carrier, socket.server].includes(victim));
        await Promise.all(hurt.map((socket) => socket.end()));
        if (role === 'carrier')
            await w.daemon.logged(ended(alive[0], 'client'));
        const others = alive.filter((socket) => !hurt.includes(socket));
        await heard(w.redis, others);
        if (others.length === 0) break;
    }
});

test('a flood of strangers, carried all over, costs no user his connection', async (t) => {
    const w = await begin(t, { workers: 2, limits: { connections: 200, strangers: 16 } });
    const socket = await carriedSocket(t, w);
    const client = keep(t, await polled(w.addr, w.token, { keep: true }));
    const http = await carriedHttp(t, w, client);
    http.send('GET', client.target());
    const sessions = [];
    for (let i = 0; i < 4; i++) sessions.push(keep(t, await Polling.open(w.addr, { keep: true })));
    const gone = [];
    for (let i = 0; i < 80; i++) {
        const stranger = keep(t, new Http(w.addr));
        stranger.send('POST', sessions[i % 4].target(), {}, '3');
        gone.push(stranger.over(within(5000)));
        await stranger.until(() => stranger.ended || stranger.bytes.length, within(3000), 'answer, or end');
    }
    await Promise.any(gone);
    await settled(w.daemon, (now) => now.get('strangers_evicted_total', 'kind="socket"') > 20 && now.get('carried_connections') < 30,
        'strangers go, those that are carried, too');
    w.redis.emitter().to('u').emit('msg', 1);
    assert.strictEqual((await http.answer()).text, '42/axr,["msg",1]');
    assert.strictEqual((await socket.event()).args[1], 1);
});

/* --- real clients --- */

const VERSIONS = [2, 4];
const WAYS = { 'polling only': { transports: ['polling'] }, default: { transports: ['polling', 'websocket'] } };
async function crowd(t, w, { reconnection = false } = {}) {
    const clients = [];
    for (const version of VERSIONS)
        for (const options of Object.values(WAYS))
            for (let i = 0; i < 2; i++)
                clients.push(new Client(version, w.addr, {
                    token: w.token, options: { ...options, reconnection, reconnectionDelay: 50, reconnectionDelayMax: 200, randomizationFactor: 0 },
                }));
    t.after(() => clients.forEach((client) => client.close()));
    await Promise.all(clients.map((client) => client.noted('connect', within(5000))));
    return clients;
}
const upgradedAll = (clients) =>
    Promise.all(clients.filter((client) => client.socket.io.opts.transports.length > 1).map((client) =>
        until(() => client.socket.io.engine.transport.name === 'websocket', within(5000), 'upgrade')));
/* Everybody hears a word that is published again and again, since who is coming back misses some. */
async function hearAgain(w, clients, word) {
    const again = setInterval(() => w.redis.emitter().emit('msg', word), 20);
    try {
        await Promise.all(clients.map((client) => client.when((one) => one.events.some(([, what]) => what === word), within(5000), word)));
    } finally {
        clearInterval(again);
    }
}

test('clients 2.x and 4.x, polling only and with an upgrade: all of it, in order', async (t) => {
    const w = await world();
    const clients = await crowd(t, w);
    await upgradedAll(clients);
    const big = 'x'.repeat(200000);
    const bytes = crypto.randomBytes(50000);
    for (let i = 0; i < 20; i++) w.redis.emitter().to('u').emit('msg', i, i % 5 ? 'short' : big, i % 7 ? null : bytes);
    w.redis.emitter().emit('msg', 'last');
    for (const client of clients) {
        await client.when((one) => one.events.some(([, what]) => what === 'last'), within(5000), 'last');
        assert.deepStrictEqual(client.events.map(([, i]) => i), [...Array.from({ length: 20 }, (_, i) => i), 'last']);
        for (const [, i, text, attachment] of client.events.slice(0, 20))
            assert.ok(text === (i % 5 ? 'short' : big) && (i % 7 ? attachment === null : bytes.equals(Buffer.from(attachment))));
        assert.deepStrictEqual(client.notes.map(({ what }) => what), ['connect']);
    }
    assert.ok((await carried(w.daemon)) > 0, 'some of them are carried');
});
test('a reload of all workers, then kill -9 of each: clients come back', async (t) => {
    const w = await begin(t, { drainTimeout: 1000 });
    const clients = await crowd(t, w, { reconnection: true });
    await upgradedAll(clients);
    await renew(w.daemon, { workers: 3 });
    await hearAgain(w, clients, 'reloaded');
    w.daemon.deaths = true;
    for (const pid of w.daemon.workers()) {
        /* Clients that lose a WebSocket while they change to it poll no more, over whatever
         * connection, and wait for their ping timeout. */
        await upgradedAll(clients);
        process.kill(pid, 'SIGKILL');
        await until(() => w.daemon.workers().length === 3 && !w.daemon.workers().includes(pid), within(3000), 'another worker');
        await hearAgain(w, clients, `without ${pid}`);
    }
});
test('connection state recovery: sessions come back over whichever worker', async (t) => {
    const w = await begin(t, { 'socket.io': { ...(await world()).daemon.config['socket.io'], connectionStateRecovery: true } });
    const clients = [];
    for (let i = 0; i < 4; i++)
        clients.push(new Client(4.6, w.addr, { token: w.token, options: { transports: ['polling', 'websocket'], reconnection: true, reconnectionDelay: 50 } }));
    t.after(() => clients.forEach((client) => client.close()));
    await Promise.all(clients.map((client) => client.noted('connect', within(5000))));
    await upgradedAll(clients);
    w.redis.emitter().emit('msg', 'first');
    for (const client of clients) {
        await client.when((one) => one.events.length > 0, within(3000), 'first');
        client.notes = [];
        client.socket.io.engine.close();
        w.redis.emitter().emit('msg', 'second');
    }
    for (const client of clients) {
        await client.noted('connect', within(5000));
        assert.strictEqual(client.socket.recovered, true);
        const seconds = () => client.events.filter(([, what]) => what === 'second').length;
        await client.when(() => seconds() === clients.length, within(3000), 'what it missed');
    }
});
