'use strict';
/* What becomes of a client that is not let in: it is told why at once and may stay for
 * 5 s, in which it hears nothing, to leave or to ask with a better token; then it gets
 * DISCONNECT and is closed.  Clients 1.x to 3.x that were closed at once would be back
 * at once, again and again. */
const assert = require('assert');
const { test, shared, keep } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, SECRET } = require('./lib/daemon');
const { Raw, joined } = require('./lib/raw');
const { Polling, polled } = require('./lib/http');
const { heardArgs } = require('./lib/hear');
const { settled } = require('./lib/metrics');
const { VERSIONS, Client, connect } = require('./lib/clients');
const { sign, now, expiring } = require('./lib/jwt');
const { within, elapse } = require('./lib/time');

const STAY_MS = 5000;
const quiet = shared((s) => Redis.start(s));
const world = shared(async (s) => Daemon.start(s, { redis: await quiet(), config: { workers: 2 } }));
const start = async (t, config) => Daemon.start(t, { redis: await quiet(), config });

/* --- packet by packet --- */

const WAYS = {
    'EIO4, WebSocket': (addr) => Raw.open(addr),
    'EIO3, WebSocket': (addr) => Raw.open(addr, { eio: 3 }),
    'EIO4, polling': (addr) => Polling.open(addr, { keep: true }),
    'EIO3, polling': (addr) => Polling.open(addr, { eio: 3, keep: true }),
};
const packet = (client, token, nsp = '/axr') =>
    client.eio === 4 ? `40${nsp},${JSON.stringify({ token })}` : `40${nsp}?token=${token}`;
const say = (client, text) => (client instanceof Raw ? client.sendText(text) : client.send(text));
const codeOf = (text) => JSON.parse(text.replace('44/axr,', '')).data.code;

/* The next packet is DISCONNECT, STAY_MS after asked or later, and then the end comes. */
async function sentAway(client, asked, nsp = '/axr,') {
    assert.strictEqual(await client.text(within(STAY_MS)), `41${nsp}`);
    const stayed = Date.now() - asked;
    assert.ok(stayed >= STAY_MS && stayed < within(STAY_MS), `stayed for ${stayed} ms`);
    if (client instanceof Raw) {
        assert.strictEqual((await client.end()).code, 0);
        assert.deepStrictEqual(client.frames, []);
    } else {
        assert.strictEqual(await client.text(), '1');
        assert.strictEqual((await client.get()).status, 400);
    }
}

/* fn for each way at once, for each takes its time. */
const byEveryWay = (fn) => Promise.all(Object.entries(WAYS).map(([what, open]) => fn(open).catch((error) => {
    error.message = `${what}: ${error.message}`;
    throw error;
})));

test('both versions and transports: refused, it hears nothing for 5 s, then DISCONNECT and the end', async (t) => {
    const daemon = await world();
    const redis = await quiet();
    await byEveryWay(async (open) => {
        const client = keep(t, await open(daemon.addr));
        const asked = Date.now();
        await say(client, packet(client, 'x.y.z'));
        assert.match(await client.text(), client.eio === 4 ? /^44\/axr,\{.*"code":"token_malformed"/ : /^44\/axr,"/);
        redis.emitter().emit('msg', 'for everybody');
        redis.emitter().to('u').emit('msg', 'for somebody');
        await redis.flush();
        await sentAway(client, asked);
    });
});
test('EIO3 where / is the namespace: judged by its request, and refused the same', async (t) => {
    const daemon = await start(t, { 'socket.io': { namespace: '/' } });
    const asked = Date.now();
    const client = keep(t, await Raw.open(daemon.addr, { eio: 3, query: { token: 'x.y.z' }, root: false }));
    assert.match(await client.text(), /^44"/);
    await sentAway(client, asked, '');
}, { quick: false });
test('past limits:connectionsPerUser it is the same, and who asks again when there is room stays', async (t) => {
    const daemon = await start(t, { limits: { connectionsPerUser: 1 } });
    const token = daemon.token('u');
    const first = await joined(daemon.addr, token);
    const [stays, goes] = await Promise.all([Raw.open(daemon.addr), Raw.open(daemon.addr)]);
    t.after(() => [first, stays, goes].forEach((one) => one.destroy()));
    const asked = Date.now();
    for (const one of [stays, goes]) {
        one.sendText(packet(one, token));
        assert.strictEqual(codeOf(await one.text()), 'user_limit');
    }
    first.send(8, Buffer.from([3, 232]));
    await first.end();
    await stays.join('/axr', { token });
    await sentAway(goes, asked);
    assert.deepStrictEqual(await heardArgs(await quiet(), [stays]), [[]]);
    assert.strictEqual(stays.over, null);
}, { quick: false });
test('both versions and transports: one that was refused asks with a good token, and stays', async (t) => {
    const daemon = await start(t, { workers: 1 });
    const redis = await quiet();
    const token = daemon.token('u');
    const [hearer, goes] = await Promise.all([joined(daemon.addr, token), Raw.open(daemon.addr)]);
    t.after(() => [hearer, goes].forEach((one) => one.destroy()));
    const clients = await byEveryWay(async (open) => {
        const client = keep(t, await open(daemon.addr));
        for (const bad of ['x.y.z', daemon.token('u', { exp: 1000 })]) {
            await say(client, packet(client, bad));
            assert.match(await client.text(), /^44\/axr,/);
        }
        return client;
    });
    assert.deepStrictEqual(await heardArgs(redis, [hearer]), [[]]);
    for (const client of clients) await client.join('/axr', client instanceof Raw ? { token } : token);
    /* One that was refused later is sent away: so would they have been. */
    const asked = Date.now();
    goes.sendText(packet(goes, 'x.y.z'));
    await goes.text();
    await sentAway(goes, asked);
    redis.emitter().to('u').emit('msg', 'now');
    for (const client of clients) assert.deepStrictEqual((await client.event()).args, ['msg', 'now']);
});
test('one that asks again and again is sent away 5 s after its first refusal', async (t) => {
    const daemon = await world();
    const client = keep(t, await Raw.open(daemon.addr));
    const asked = Date.now();
    for (let i = 0; i < 30; i++) client.sendText(packet(client, 'x.y.z'));
    for (let i = 0; i < 10; i++) assert.strictEqual(codeOf(await client.text()), 'token_malformed');
    const timer = setInterval(() => client.sendText(packet(client, 'x.y.z')), 100);
    t.after(() => clearInterval(timer));
    await sentAway(client, asked);
}, { quick: false });
test('the token of the handshake is judged each time', async (t) => {
    const daemon = await world();
    for (const eio of [4, 3]) {
        const client = keep(t, await Raw.open(daemon.addr, { eio, query: { token: daemon.token('u', { exp: 1000 }) } }));
        for (let i = 0; i < 3; i++) {
            client.sendText('40/axr');
            assert.match(await client.text(), /^44\/axr,.*The token has expired/);
        }
    }
});
test('one that says that it leaves, and does not, is sent away all the same', async (t) => {
    const daemon = await world();
    await byEveryWay(async (open) => {
        const client = keep(t, await open(daemon.addr));
        await client.join('/axr', client instanceof Raw ? { token: daemon.token('u') } : daemon.token('u'));
        await say(client, '41/axr,');
        const asked = Date.now();
        await say(client, packet(client, 'x.y.z'));
        assert.match(await client.text(), /^44\/axr,/);
        await say(client, '41/axr,');
        await sentAway(client, asked);
    });
});
test('an expired client that polls gets DISCONNECT, and with its next GET the end', async (t) => {
    const daemon = await world();
    const { client, exp } = await expiring(async (end) =>
        ({ client: await polled(daemon.addr, sign({ uid: 'u', exp: end }, SECRET)), exp: end }));
    keep(t, client);
    assert.strictEqual(await client.text(within((exp - now() + 2) * 1000)), '41/axr,');
    assert.deepStrictEqual(client.packets, []); /* clients 4.x would act on "1" before "41" */
    assert.strictEqual(await client.text(), '1');
});

/* --- real clients --- */

const PERSISTENT = { reconnection: true, reconnectionDelay: 40, reconnectionDelayMax: 50, randomizationFactor: 0 };
const TRANSPORTS = [['websocket'], ['polling'], undefined];
const isRefusal = (note) => note.what === (note.version < 3 ? 'error' : 'connect_error');

/* loops: as the documentation of the client has it for a server that disconnects. */
function make(t, daemon, version, transports, token, loops) {
    const options = { ...PERSISTENT, ...(transports ? { transports } : { transports: undefined }) };
    const client = new Client(version, daemon.addr, { token, options });
    t.after(() => client.close());
    client.began = Date.now();
    if (loops) client.socket.on('disconnect', (why) => why === 'io server disconnect' && client.socket.connect());
    return client;
}
const all = (fn) => VERSIONS.flatMap((version) => TRANSPORTS.flatMap((transports) => fn(version, transports)));
const names = (client) => client.notes.map((note) => note.what);
const refusals = (client) => client.notes.filter((note) => isRefusal({ ...note, version: client.version })).length;
const label = (client) => `client ${client.version}.x over ${client.socket.io.opts.transports}: ${JSON.stringify(client.notes)}`;

test('real clients that are refused do not come back, and go when they are told', async (t) => {
    const daemon = await start(t, { workers: 2 });
    const clients = all((version, transports) => make(t, daemon, version, transports, 'x.y.z', false));
    for (const client of clients) await client.when(() => refusals(client) === 1, within(5000), 'refused');
    /* 4.x leaves by itself, the others stay until they are sent away. */
    for (const client of clients) {
        if (client.version === 4) continue;
        const { detail } = await client.noted('disconnect', within(STAY_MS));
        assert.strictEqual(detail, 'io server disconnect');
        assert.ok(Date.now() - client.began >= STAY_MS, 'not before its time');
    }
    await elapse(25 * PERSISTENT.reconnectionDelay);
    for (const client of clients) {
        const [first, ...rest] = names(client);
        assert.ok(first === (client.version < 3 ? 'error' : 'connect_error'), label(client));
        assert.deepStrictEqual(rest, client.version === 4 ? [] : ['disconnect'], label(client));
        assert.deepStrictEqual(client.events, []);
    }
    await settled(daemon, (one) => one.get('refusals_total', 'reason="token_malformed"') === clients.length, 'one refusal each');
}, { quick: false });
test('real clients that connect again when they are disconnected come once in 5 s, not hundreds of times', async (t) => {
    const daemon = await start(t, { workers: 2 });
    const clients = all((version, transports) => make(t, daemon, version, transports, 'x.y.z', true));
    for (const client of clients) {
        if (client.version === 4) continue;
        await client.when(() => refusals(client) >= 2, within(2 * STAY_MS), 'the second refusal');
        assert.ok(Date.now() - client.began >= STAY_MS, label(client));
    }
    for (const client of clients) assert.ok(refusals(client) <= 1 + (Date.now() - client.began) / STAY_MS, label(client));
    for (const client of clients) if (client.version === 4) assert.deepStrictEqual(names(client), ['connect_error'], label(client));
}, { timeout: 90000 });
test('real clients whose token expires do not come back by themselves', async (t) => {
    const daemon = await world();
    const clients = await Promise.all(all((version, transports) => expiring((exp) => connect(version, daemon.addr, {
        token: sign({ uid: 'u', exp }, SECRET), options: { ...PERSISTENT, transports },
    }))));
    clients.forEach((client) => t.after(() => client.close()));
    for (const client of clients) await client.noted('disconnect', within(12000));
    await elapse(25 * PERSISTENT.reconnectionDelay);
    for (const client of clients) {
        assert.deepStrictEqual(names(client), ['connect', 'disconnect'], label(client));
        assert.strictEqual(client.notes[1].detail, 'io server disconnect');
        assert.deepStrictEqual(client.events, []);
    }
});
test('real clients that connect again after their token expired are refused, and that is all for 5 s', async (t) => {
    const daemon = await start(t, { workers: 2 });
    const clients = await Promise.all(all((version, transports) => expiring(async (exp) => {
        const client = make(t, daemon, version, transports, sign({ uid: 'u', exp }, SECRET), true);
        const told = () => client.notes[0];
        await client.when(told, within(5000), 'the first word');
        if (told().what === 'connect') return client;
        client.close();
        throw new Error('too late to come in');
    })));
    for (const client of clients) {
        await client.when(() => refusals(client) === 1, within(12000), 'refused');
        assert.deepStrictEqual(names(client).slice(0, 2), ['connect', 'disconnect'], label(client));
        assert.ok(refusals(client) <= 1 + (Date.now() - client.began) / STAY_MS, label(client));
    }
});
test('the error that a real client is handed has message and code', async (t) => {
    const daemon = await world();
    const token = daemon.token('u', { exp: 1 });
    const messages = new Set();
    for (const version of VERSIONS) {
        const client = new Client(version, daemon.addr, { token });
        t.after(() => client.close());
        const { detail } = await client.noted(version < 3 ? 'error' : 'connect_error');
        if (version >= 3) assert.deepStrictEqual(detail.data, { code: 'token_expired' });
        messages.add(version < 3 ? detail : detail.message);
    }
    assert.strictEqual(messages.size, 1, [...messages].join(' / '));
});
