'use strict';
/* The upgrade from polling to WebSocket: step by step, gone wrong, and for many
 * real clients at once while messages come. */
const assert = require('assert');
const { test, shared, mode } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { Http, polled, once, request } = require('./lib/http');
const { Raw, OP, frame, exchange, upgradeRequest } = require('./lib/raw');
const { heard } = require('./lib/hear');
const { arrived } = require('./lib/metrics');
const { urlOf } = require('./lib/dial');
const { launch } = require('./lib/fleet');
const { SLOW, within, elapse } = require('./lib/time');

const world = shared(async (s) => {
    const redis = await Redis.start(s);
    const daemon = await Daemon.start(s, { redis, config: { workers: 4, limits: { sendBuffer: 16 << 20 } } });
    return { redis, daemon, addr: daemon.addr, token: daemon.token('u') };
});
const UPGRADE = 300 * SLOW;
const PING = { interval: 600 * SLOW, timeout: 1000 * SLOW };
/* Each is in a hurry with one thing only. */
const withTimers = (timers) => shared(async (s) => {
    const { redis } = await world();
    const daemon = await Daemon.start(s, { redis, config: { workers: 2, 'socket.io': timers } });
    return { redis, daemon, addr: daemon.addr, token: daemon.token('u') };
});
const hasty = withTimers({ upgradeTimeout: UPGRADE });
const pinging = withTimers({ pingInterval: PING.interval, pingTimeout: PING.timeout });

async function enter(t, how, from) {
    const { addr, token, daemon } = from || (await world());
    const client = await polled(addr, token, how);
    t.after(() => client.destroy());
    return Object.assign(client, { daemon });
}
/* A WebSocket for the session, upgraded on HTTP's level. */
async function attempt(t, client, more = {}) {
    const { query, ...options } = more;
    const raw = new Raw(client.where, { eio: client.eio, query: { sid: client.sid, ...client.query, ...query }, ...options });
    t.after(() => raw.destroy());
    await raw.upgraded;
    return raw;
}
async function probe(t, client) {
    const raw = await attempt(t, client);
    raw.sendText('2probe');
    assert.strictEqual(await raw.text(), '3probe');
    return raw;
}
async function hang(t, client) {
    const http = new Http(client.where);
    t.after(() => http.destroy());
    await arrived(client.daemon, () => http.send('GET', client.target()));
    return http;
}
async function lives(client, from) {
    const { redis } = from || (await world());
    assert.deepStrictEqual(await heard(redis, [client]), [[]]);
}
const noop = (client) => (client.eio === 4 ? '6' : '1:6');
async function upgraded(client) {
    for (const [method, body] of [['GET'], ['POST', '3']]) {
        const answer = await once(client.where, method, client.target(), {}, body);
        assert.deepStrictEqual([answer.status, answer.text], [400, '{"code":3,"message":"Bad request"}']);
    }
}

/* --- step by step --- */

for (const [eio, query, what] of [[4, {}, 'EIO4'], [3, {}, 'EIO3'], [4, { b64: 1 }, 'EIO4, base64'], [3, { b64: 1 }, 'EIO3, base64'], [4, { j: 1 }, 'EIO4, JSONP']]) {
    test(`${what}: probe, pause, upgrade; what waited comes first, binary too`, async (t) => {
        const { redis } = await world();
        const client = await enter(t, { eio, query });
        const get = await hang(t, client);
        const raw = await probe(t, client);
        assert.match((await get.answer()).text, 'j' in query ? /"6"/ : new RegExp(`^${noop(client)}$`));
        const io = redis.emitter();
        io.emit('text', 'é€😀');
        io.emit('bin', Buffer.from([1, 2, 255]), Buffer.alloc(0));
        io.emit('big', 'x'.repeat(200000));
        await heard(redis, [await enter(t)]);
        raw.sendText('5');
        const bin = (hex) => {
            const bytes = Buffer.from(hex, 'hex');
            if ('b64' in query || 'j' in query) return { op: OP.TEXT, body: `b${eio === 3 ? '4' : ''}${bytes.toString('base64')}` };
            return { op: OP.BINARY, body: Buffer.concat([Buffer.from(eio === 3 ? [4] : []), bytes]).toString('latin1') };
        };
        assert.deepStrictEqual(JSON.parse((await raw.text()).slice('42/axr,'.length)), ['text', 'é€😀']);
        assert.match(await raw.text(), /^452-\/axr,\["bin",/);
        for (const hex of ['0102ff', '']) {
            const one = await raw.take();
            assert.deepStrictEqual({ op: one.op, body: one.payload.toString('latin1') }, bin(hex));
        }
        assert.strictEqual((await raw.text()).length, '42/axr,["big",""]'.length + 200000);
        assert.strictEqual((await raw.event()).args[0], 'marker');
        await lives(raw);
        await upgraded(client);
    });
}
test('"5" without a probe, and with a GET that waits', async (t) => {
    for (const eio of [4, 3]) {
        const client = await enter(t, { eio });
        const get = await hang(t, client);
        const raw = await attempt(t, client);
        raw.sendText('5');
        assert.strictEqual((await get.answer()).text, noop(client));
        await lives(raw);
        await upgraded(client);
    }
});
test('probe and upgrade right behind the request, in one segment', async (t) => {
    const client = await enter(t);
    const raw = await attempt(t, client, { early: Buffer.concat([frame(OP.TEXT, '2probe'), frame(OP.TEXT, '5')]) });
    assert.strictEqual(await raw.text(), '3probe');
    await lives(raw);
});
test('a request behind the GET that the upgrade ends is not served in its middle', async (t) => {
    let http, raw, first;
    do { /* 400: the GET came behind the upgrade, over another worker */
        const client = await enter(t);
        const one = http = new Http(client.where);
        t.after(() => one.destroy());
        http.send(Buffer.concat([request('GET', client.target()), request('POST', client.target(), {}, '1')]));
        await once(client.where, 'PUT', client.target());
        raw = await attempt(t, client);
        raw.sendText('5');
        first = await http.answer();
    } while (first.status === 400);
    assert.strictEqual(first.text, '6');
    assert.strictEqual((await http.answer()).status, 400);
    await lives(raw);
});
test('messages between probe and upgrade go to a GET, or wait', async (t) => {
    const { redis } = await world();
    const client = await enter(t);
    const raw = await probe(t, client);
    redis.emitter().emit('msg', 1);
    assert.deepStrictEqual((await client.event()).args, ['msg', 1]);
    assert.strictEqual((await client.get()).text, '6', 'a GET after the probe is answered at once');
    client.packets = [];
    redis.emitter().emit('msg', 2);
    raw.sendText('5');
    assert.deepStrictEqual((await raw.event()).args, ['msg', 2]);
    await lives(raw);
});

/* --- gone wrong --- */

test('an abandoned probe: polling goes on, and another attempt succeeds', async (t) => {
    const { redis } = await world();
    for (const eio of [4, 3]) {
        const client = await enter(t, { eio });
        (await attempt(t, client)).destroy();
        (await probe(t, client)).destroy();
        const closed = await probe(t, client).catch(() => null);
        if (closed) {
            closed.send(OP.CLOSE, Buffer.from([3, 232]));
            await closed.end();
        }
        redis.emitter().to('u').emit('msg', 1);
        assert.deepStrictEqual((await client.event()).args, ['msg', 1]);
        await lives(client);
        const raw = await probe(t, client);
        raw.sendText('5');
        await lives(raw);
    }
});
for (const text of ['4junk', '2', '3probe', '40/axr,', '', '1', '6']) {
    test(`"${text}" instead of a probe ends the attempt only`, async (t) => {
        const client = await enter(t);
        const raw = await attempt(t, client);
        raw.sendText(text);
        assert.ok([0, 1000, 1002].includes((await raw.end()).code));
        await lives(client);
        const binary = await attempt(t, client);
        binary.sendBinary(Buffer.from('2probe'));
        await binary.end();
        await lives(client);
    });
}
test('a second probe is closed, the first goes on; after the upgrade too', async (t) => {
    const client = await enter(t);
    const first = await probe(t, client);
    const second = await attempt(t, client);
    assert.strictEqual((await second.end()).code, 0);
    first.sendText('5');
    await lives(first);
    const third = await attempt(t, client);
    assert.strictEqual((await third.end()).code, 0);
    await lives(first);
});
test('a probe that is not followed by an upgrade is closed after upgradeTimeout, polling lives', async (t) => {
    const own = await hasty();
    for (const act of [(raw) => raw, (raw) => raw.sendText('2probe')]) {
        const client = await enter(t, {}, own);
        const began = Date.now();
        const raw = await attempt(t, client);
        act(raw);
        const how = await raw.end();
        const took = Date.now() - began;
        assert.strictEqual(how.code, 0);
        assert.ok(took > UPGRADE - 30 && took < within(UPGRADE), `after ${took} ms`);
        await lives(client, own);
    }
});
test('an upgrade with another protocol version, or for no session, is refused before 101', async (t) => {
    const client = await enter(t);
    const ask = (query) => exchange(client.where, upgradeRequest({ query: { sid: client.sid, ...query } }).text);
    for (const [query, message] of [[{ EIO: 3 }, 'Bad request'], [{ EIO: 5 }, 'Bad request'], [{ EIO: 4, sid: 'x' }, 'Session ID unknown']]) {
        const answer = await ask(query);
        assert.deepStrictEqual([answer.status, answer.body], [400, message]);
    }
    await lives(client);
});
test('a session that closes while it is probed takes the probe with it', async (t) => {
    const client = await enter(t);
    const raw = await probe(t, client);
    await client.send('1');
    await raw.end();
    assert.strictEqual((await client.get()).status, 400);
});
test('heartbeats go on over the new transport; an upgraded EIO3 client that does not ping ends', async (t) => {
    const own = await pinging();
    const four = await enter(t, {}, own);
    const raw = await probe(t, four);
    raw.options.heartbeat = false;
    raw.sendText('5');
    for (let i = 0; i < 2; i++) {
        assert.strictEqual(await raw.text(), '2');
        raw.sendText('3');
    }
    raw.destroy();
    const three = await enter(t, { eio: 3 }, own);
    const silent = await probe(t, three);
    const began = Date.now();
    silent.sendText('5');
    await silent.end();
    assert.ok(Date.now() - began < within(PING.interval + PING.timeout));
});

/* --- many at once --- */

/* Everybody upgrades under a stream of broadcasts: one every 5 ms, unless the clients are
 * so far behind that they would do nothing else but read. */
async function stream(t, fleets) {
    const { redis, addr, token } = await world();
    const io = redis.emitter();
    let index = 0;
    let started = [];
    const slowest = () => Math.min(...started.map((fleet) => fleet.heard()).filter((heard) => heard !== null));
    const timer = setInterval(() => index - slowest() < BEHIND && io.emit('n', index++), 5);
    t.after(() => clearInterval(timer));
    started = fleets.map((one) => launch(t, {
        url: urlOf(addr), nsp: '/axr', token, options: { path: '/notifications', ...addr.tls }, ...one,
    }));
    await Promise.all(started.map((fleet) => fleet.line(/upgraded/, within(60000))));
    await elapse(200);
    clearInterval(timer);
    io.emit('end', index);
    let firsts = 0;
    for (const [i, fleet] of started.entries()) {
        const result = JSON.parse((await fleet.line(/result (.*)\n/, within(30000)))[1]);
        assert.deepStrictEqual(result.wrong, [], `client ${fleets[i].version}.x`);
        assert.deepStrictEqual([result.upgraded, result.ended], [fleets[i].count, fleets[i].count]);
        firsts += result.first.filter((first) => first > 0).length;
    }
    return { index, firsts };
}
const BEHIND = 15; /* messages */
const SCALE = mode === 'long' ? 1 : 10;
test(`${500 / SCALE} default-option clients upgrade under a broadcast every 5 ms: no gap, no duplicate, no disorder`, async (t) => {
    const count = 125 / (SCALE === 1 ? 1 : 12.5);
    const { index, firsts } = await stream(t, Array.from({ length: 4 }, () => ({ version: 4, count })));
    console.log(`# ${index} broadcasts, ${firsts} clients began in their midst`);
    assert.ok(firsts > 2 * count);
}, { timeout: 300000 });
test('clients of 1.x, 2.x and 3.x the same', async (t) => {
    const count = mode === 'long' ? 40 : 5;
    await stream(t, [1, 2, 3].map((version) => ({ version, count })));
}, { timeout: 300000 });
