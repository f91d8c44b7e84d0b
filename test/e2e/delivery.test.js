'use strict';
/* Who gets what, over both transports: rooms, except, volatile; each message once, in
 * order, whole; and nothing missed by a client that was told it is connected. */
const assert = require('assert');
const { test, shared, mode } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { WAYS, isRaw, say } = require('./lib/ways');
const { heardArgs } = require('./lib/hear');
const { arrived, scrape, settled } = require('./lib/metrics');
const { within, deadline } = require('./lib/time');

const world = shared(async (s) => {
    const redis = await Redis.start(s);
    const limits = { sendBuffer: 64 << 20, sendTimeout: 60000 };
    const daemon = await Daemon.start(s, { redis, config: { workers: 4, limits } });
    return { redis, daemon };
});

const KINDS = Object.values(WAYS);
/* A client that goes with the test, or before. */
async function enter(t, daemon, uid, way) {
    const client = await way.joined(daemon.addr, daemon.token(uid));
    t.after(() => client.destroy());
    return client;
}
/* count clients, of each kind in turn. */
const mixed = (t, daemon, count, uidOf) =>
    Promise.all(Array.from({ length: count }, (_, i) => enter(t, daemon, uidOf(i), KINDS[i % KINDS.length])));

/* Clients by name: "a4" is user a over EIO4 and WebSocket, "a4p" over polling. */
const nameOf = (uid, { eio, transport }) => `${uid}${eio}${transport === 'polling' ? 'p' : ''}`;
const namesOf = (users) => [...users].flatMap((uid) => KINDS.map((way) => nameOf(uid, way)));
async function crowd(t, daemon, users) {
    const clients = {};
    await Promise.all([...users].flatMap((uid) => KINDS.map(async (way) => {
        clients[nameOf(uid, way)] = await enter(t, daemon, uid, way);
    })));
    return clients;
}

/* publish sends one event; only those of these users, or with these names, must get it,
 * once each. */
async function expectOnly(t, publish, expected) {
    const { redis, daemon } = await world();
    const clients = await crowd(t, daemon, 'abc');
    publish(redis.emitter(), clients);
    const names = Object.keys(clients);
    const all = await heardArgs(redis, Object.values(clients));
    const got = names.filter((_, index) => all[index].length);
    assert.deepStrictEqual(got.sort(), (Array.isArray(expected) ? expected : namesOf(expected)).sort());
    for (const one of all) assert.deepStrictEqual(one, one.length ? ['hello'] : []);
}
const others = (uid, name) => namesOf(uid).filter((one) => one !== name);

const ROOMS = {
    'no room: everyone': [(io) => io.emit('msg', 'hello'), 'abc'],
    'allusers: everyone': [(io) => io.to('allusers').emit('msg', 'hello'), 'abc'],
    'one room': [(io) => io.to('b').emit('msg', 'hello'), 'b'],
    'several rooms': [(io) => io.to('b').to('c').emit('msg', 'hello'), 'bc'],
    'the union of rooms, each client once': [(io) => io.to('b').to('allusers').to('nobody').emit('msg', 'hello'), 'abc'],
    'a room without members': [(io) => io.to('nobody').emit('msg', 'hello'), ''],
    'except a room': [(io) => io.except('b').emit('msg', 'hello'), 'ac'],
    'a room except another': [(io) => io.to('a').except('allusers').emit('msg', 'hello'), ''],
    'rooms except one of them': [(io) => io.to(['a', 'b']).except('b').emit('msg', 'hello'), 'a'],
    'by socket ids and a room, each client once': [
        (io, all) => io.to(all.a4.id).to(all.a3.id).to(all.a4p.id).to('a').emit('msg', 'hello'), 'a',
    ],
};
for (const [what, way] of Object.entries(WAYS)) {
    const [c, a] = ['c', 'a'].map((uid) => nameOf(uid, way));
    ROOMS[`by socket id, ${what}`] = [(io, all) => io.to(all[c].id).emit('msg', 'hello'), [c]];
    ROOMS[`except a socket id, ${what}`] = [(io, all) => io.to('a').except(all[a].id).emit('msg', 'hello'), others('a', a)];
}
for (const [what, [publish, expected]] of Object.entries(ROOMS))
    test(what, (t) => expectOnly(t, publish, expected));

/* Which worker a client is on, as its Socket.IO id has it. */
function homeOf(client) {
    const raw = Buffer.from(client.id.split('#').pop(), 'base64url');
    return raw.subarray(client.eio === 4 ? 4 : 16).subarray(0, 3).toString('hex');
}
for (const [what, way] of Object.entries(WAYS)) {
    test(`a user with the name of a client's id, ${what}, on another worker: both hear it`, async (t) => {
        const { redis, daemon } = await world();
        const victim = await enter(t, daemon, 'victim', way);
        let namesake = await enter(t, daemon, victim.id, way);
        for (let i = 0; homeOf(namesake) === homeOf(victim) && i < 100; i++) {
            if (isRaw(namesake)) namesake.destroy();
            else await namesake.send('1');
            await enter(t, daemon, 'filler', way);
            namesake = await enter(t, daemon, victim.id, way);
        }
        assert.notStrictEqual(homeOf(namesake), homeOf(victim));
        redis.emitter().to(victim.id).emit('msg', 'to the id');
        redis.emitter().to('victim').except(victim.id).emit('msg', 'not to the id');
        redis.emitter().to('victim').to(victim.id).emit('msg', 'to both');
        redis.emitter().except(victim.id).emit('msg', 'to others');
        assert.deepStrictEqual(await heardArgs(redis, [victim, namesake]), Array(2).fill(['to the id', 'to both']));
    });
}

test('another namespace: nobody', async (t) => {
    const { redis, daemon } = await world();
    const clients = Object.values(await crowd(t, daemon, 'ab'));
    for (const nsp of ['/', '/axr2', '/ax']) redis.emitter(nsp).emit('msg', 'wrong');
    for (const one of await heardArgs(redis, clients)) assert.deepStrictEqual(one, []);
});

test('a user id with glob characters and spaces is a room like any other', async (t) => {
    const { redis, daemon } = await world();
    const uids = ['a*[b]?\\', 'a#b', 'hé€😀', ' '];
    const clients = await mixed(t, daemon, 4 * uids.length, (i) => uids[i >> 2]);
    for (const uid of uids) redis.emitter().to(uid).emit('msg', uid);
    const all = await heardArgs(redis, clients);
    assert.deepStrictEqual(all, uids.flatMap((uid) => Array(4).fill([uid])));
});

for (const [what, way] of Object.entries(WAYS)) {
    test(`${what}: who left a room by disconnecting is not in it`, async (t) => {
        const { redis, daemon } = await world();
        const [leaver, other] = [await enter(t, daemon, 'a', way), await enter(t, daemon, 'b', way)];
        await say(leaver, '41/axr,');
        await leaver.join('/axr', isRaw(leaver) ? { token: daemon.token('other') } : daemon.token('other'));
        redis.emitter().to('a').emit('msg', 'for a');
        redis.emitter().to('other').emit('msg', 'for other');
        assert.deepStrictEqual(await heardArgs(redis, [leaver, other]), [['for other'], []]);
    });
    test(`${what}: volatile is dropped for a client with output waiting, and only for it`, async (t) => {
        const { redis, daemon } = await world();
        const [s, r] = ['s', 'r'].map((uid) => `${uid} of ${what}`); /* sessions of other tests may still poll */
        const [stalled, reader] = [await enter(t, daemon, s, way), await enter(t, daemon, r, way)];
        if (isRaw(stalled)) stalled.socket.pause();
        const both = () => redis.emitter().to([s, r]);
        const dealt = (metrics) => metrics.get('deliveries_total') + metrics.get('deliveries_skipped_total');
        /* Until what the kernel's buffers of a connection hold is not all. */
        const big = 'x'.repeat(isRaw(stalled) ? 1 << 20 : 1000);
        let count = 0;
        for (let waiting = 0; waiting < 2 * big.length; ) {
            redis.emitter().to(s).emit('msg', count++, big);
            await heardArgs(redis, [reader]);
            waiting = (await scrape(daemon)).get('output_queue_bytes');
        }
        const before = dealt(await scrape(daemon));
        both().volatile.emit('msg', 'volatile');
        both().emit('msg', 'after');
        /* One that polls has had no GET there, and nothing waited. */
        await settled(daemon, (now) => dealt(now) === before + 4, 'both for both');
        assert.deepStrictEqual(await heardArgs(redis, [reader]), [['volatile', 'after']]);
        if (isRaw(stalled)) stalled.socket.resume();
        const [ofStalled] = await heardArgs(redis, [stalled], { ms: within(10000) });
        const notMarkers = ofStalled.filter((one) => !/^marker/.test(one));
        assert.deepStrictEqual(notMarkers, [...Array(count).keys(), 'after']);
        let first = null; /* of one that polls: its GET is there */
        if (!isRaw(stalled)) await arrived(daemon, () => (first = stalled.event()));
        both().volatile.emit('msg', 'volatile again');
        assert.deepStrictEqual(first ? [[(await first).args[1]]] : await heardArgs(redis, [stalled]), [['volatile again']]);
    });
}

/* Attachments that tell which message they belong to. */
function attachments(seq) {
    return [0, 1, 2].map((k) => Buffer.alloc(1 + ((seq * 7 + k * 131) % 2000), (seq + k) & 255));
}

test('header and attachments are contiguous for every client under load', async (t) => {
    const { redis, daemon } = await world();
    const clients = await mixed(t, daemon, 24, (i) => `u${i % 5}`);
    const io = redis.emitter();
    const count = 400;
    for (let seq = 0; seq < count; seq++) {
        if (seq % 3 === 0) io.emit('text', seq);
        else io.emit('bin', seq, ...attachments(seq));
        io.to(`u${seq % 5}`).emit('own', seq);
        if (seq % 10 === 0) await Promise.all(clients.map((client) => say(client, '42/axr,["noise"]')));
        if (seq % 50 === 49) await redis.flush();
    }
    const all = await Promise.all(clients.map((client) => inOrder(client, count)));
    all.forEach((own, index) => {
        const room = index % 5;
        const expected = [...Array(count).keys()].filter((seq) => seq % 5 === room);
        assert.deepStrictEqual(own, expected, `messages of room u${room}`);
    });
});

/* Reads the messages 0 to count-1 with their attachments; returns the numbers of its own. */
async function inOrder(client, count) {
    const own = [];
    for (let seq = 0; seq < count || own.length < count / 5;) {
        const event = await client.event();
        const [name, number] = event.args;
        if (name === 'own') {
            own.push(number);
            continue;
        }
        assert.strictEqual(number, seq);
        if (name === 'bin') {
            const tag = isRaw(client) && client.eio === 3 ? '04' : '';
            const bins = event.bins || event.frames.slice(1).map(({ bin }) => bin);
            assert.deepStrictEqual(bins, attachments(seq).map((bytes) => tag + bytes.toString('hex')));
        }
        seq++;
    }
    return own;
}

/* Clients that come, hear something or not, and go one way or the other. */
async function churn(daemon, isOver) {
    for (let i = 0; !isOver(); i++) {
        const client = await KINDS[i % 4].joined(daemon.addr, daemon.token('churn'));
        if (i % 3 === 1 && isRaw(client)) {
            client.send(8, Buffer.from([3, 232]));
            await client.end();
        } else if (i % 3 > 0) {
            await say(client, i % 3 === 1 ? '1' : '41/axr,');
        }
        client.destroy();
    }
}

test('each message once and in order, while other clients come and go', async (t) => {
    const { redis, daemon } = await world();
    const steady = await mixed(t, daemon, 24, () => 's');
    const count = mode === 'long' ? 20000 : 2000;
    let over = false;
    const others = [0, 1, 2, 3].map(() => churn(daemon, () => over));
    const io = redis.emitter();
    for (let seq = 0; seq < count; seq++) {
        if (seq % 2) io.emit('seq', seq);
        else io.to('s').to('churn').emit('seq', seq);
        if (seq % 20 === 19) await redis.flush();
    }
    const all = await heardArgs(redis, steady, { ms: within(10000) });
    over = true;
    await Promise.all(others);
    const expected = [...Array(count).keys()];
    for (const numbers of all) assert.deepStrictEqual(numbers, expected);
});

/* Connects, then reads its first messages: they must begin at the latest with
 * the first one that was published after it heard that it is connected. */
async function latecomer(daemon, redis, published, index) {
    const uid = `late${index}`;
    const client = await KINDS[index % 4].joined(daemon.addr, daemon.token(uid));
    const next = published() + 1;
    redis.emitter().to(uid).emit('own', index);
    let own = 0;
    let expected;
    for (let count = 0; count < 40 || !own; count++) {
        const [name, number] = (await client.event()).args;
        if (name === 'own') {
            assert.strictEqual(number, index);
            own++;
            continue;
        }
        if (expected === undefined) assert.ok(number <= next, `first is ${number}, published next was ${next}`);
        else assert.strictEqual(number, expected);
        expected = number + 1;
    }
    assert.strictEqual(own, 1, 'the message to its own room');
    client.destroy();
}

test('a client that was told it is connected misses no later message, under load', async () => {
    const { redis, daemon } = await world();
    const io = redis.emitter();
    let seq = 0;
    const timer = setInterval(() => io.emit('seq', ++seq), 1);
    const count = mode === 'long' ? 3000 : 150;
    let index = 0;
    const lane = async () => {
        while (index < count) await latecomer(daemon, redis, () => seq, index++);
    };
    try {
        await deadline(Promise.all(Array.from({ length: 25 }, lane)), within(20000 + count * 20), 'all clients');
    } finally {
        clearInterval(timer);
    }
    assert.ok(seq > 100, `only ${seq} messages were published meanwhile`);
});
