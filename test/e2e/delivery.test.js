'use strict';
/* Who gets what: rooms, except, volatile; each message once, in order, whole;
 * and nothing missed by a client that was told it is connected. */
const assert = require('assert');
const { test, shared, mode } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { joined } = require('./lib/raw');
const { heardArgs } = require('./lib/hear');
const { scrape } = require('./lib/metrics');
const { within, deadline } = require('./lib/time');

const world = shared(async (s) => {
    const redis = await Redis.start(s);
    const limits = { sendBuffer: 64 << 20, sendTimeout: 60000 };
    const daemon = await Daemon.start(s, { redis, config: { workers: 4, limits } });
    return { redis, daemon };
});

/* Clients by name: "a4" is user a over EIO4. */
async function crowd(t, daemon, names) {
    const clients = {};
    for (const name of names) {
        const uid = name.slice(0, -1);
        clients[name] = await joined(daemon.addr, daemon.token(uid), { eio: Number(name.slice(-1)) });
        t.after(() => clients[name].destroy());
    }
    return clients;
}

const NAMES = ['a4', 'b4', 'c4', 'a3', 'b3', 'c3'];

/* publish sends one event; only the named clients must get it, once each. */
async function expectOnly(t, publish, expected) {
    const { redis, daemon } = await world();
    const clients = await crowd(t, daemon, NAMES);
    publish(redis.emitter(), clients);
    const all = await heardArgs(redis, Object.values(clients));
    const got = NAMES.filter((_, index) => all[index].length);
    assert.deepStrictEqual(got, expected);
    for (const one of all) assert.deepStrictEqual(one, one.length ? ['hello'] : []);
}

const ROOMS = {
    'no room: everyone': [(io) => io.emit('msg', 'hello'), NAMES],
    'allusers: everyone': [(io) => io.to('allusers').emit('msg', 'hello'), NAMES],
    'one room': [(io) => io.to('b').emit('msg', 'hello'), ['b4', 'b3']],
    'several rooms': [(io) => io.to('b').to('c').emit('msg', 'hello'), ['b4', 'c4', 'b3', 'c3']],
    'the union of rooms, each client once': [
        (io) => io.to('b').to('allusers').to('nobody').emit('msg', 'hello'), NAMES,
    ],
    'a room without members': [(io) => io.to('nobody').emit('msg', 'hello'), []],
    'except a room': [(io) => io.except('b').emit('msg', 'hello'), ['a4', 'c4', 'a3', 'c3']],
    'a room except another': [(io) => io.to('a').except('allusers').emit('msg', 'hello'), []],
    'rooms except one of them': [
        (io) => io.to(['a', 'b']).except('b').emit('msg', 'hello'), ['a4', 'a3'],
    ],
    'by socket id, EIO4': [(io, all) => io.to(all.c4.sid).emit('msg', 'hello'), ['c4']],
    'by socket id, EIO3': [(io, all) => io.to(all.c3.sid).emit('msg', 'hello'), ['c3']],
    'by socket ids and a room, each client once': [
        (io, all) => io.to(all.a4.sid).to(all.a3.sid).to('a').emit('msg', 'hello'), ['a4', 'a3'],
    ],
    'except a socket id': [
        (io, all) => io.to('a').except(all.a4.sid).emit('msg', 'hello'), ['a3'],
    ],
    'except the socket id of an EIO3 client': [
        (io, all) => io.to('a').except(all.a3.sid).emit('msg', 'hello'), ['a4'],
    ],
};
for (const [what, [publish, expected]] of Object.entries(ROOMS))
    test(what, (t) => expectOnly(t, publish, expected));

/* Which worker a client is on, as its Socket.IO id has it. */
function homeOf(client) {
    const raw = Buffer.from(client.sid.split('#').pop(), 'base64url');
    return raw.subarray(client.eio === 4 ? 4 : 16).subarray(0, 3).toString('hex');
}
for (const eio of [4, 3]) {
    test(`a user with the name of a client's id, EIO${eio}, on another worker: both hear it`, async (t) => {
        const { redis, daemon } = await world();
        const open = async (uid) => {
            const client = await joined(daemon.addr, daemon.token(uid), { eio });
            t.after(() => client.destroy());
            return client;
        };
        const victim = await open('victim');
        let namesake = await open(victim.sid);
        for (let i = 0; homeOf(namesake) === homeOf(victim) && i < 100; i++) {
            namesake.destroy();
            await open('filler');
            namesake = await open(victim.sid);
        }
        assert.notStrictEqual(homeOf(namesake), homeOf(victim));
        redis.emitter().to(victim.sid).emit('msg', 'to the id');
        redis.emitter().to('victim').except(victim.sid).emit('msg', 'not to the id');
        redis.emitter().to('victim').to(victim.sid).emit('msg', 'to both');
        redis.emitter().except(victim.sid).emit('msg', 'to others');
        assert.deepStrictEqual(await heardArgs(redis, [victim, namesake]), Array(2).fill(['to the id', 'to both']));
    });
}

test('another namespace: nobody', async (t) => {
    const { redis, daemon } = await world();
    const clients = Object.values(await crowd(t, daemon, NAMES));
    for (const nsp of ['/', '/axr2', '/ax']) redis.emitter(nsp).emit('msg', 'wrong');
    for (const one of await heardArgs(redis, clients)) assert.deepStrictEqual(one, []);
});

test('a user id with glob characters and spaces is a room like any other', async (t) => {
    const { redis, daemon } = await world();
    const uids = ['a*[b]?\\', 'a#b', 'hé€😀', ' '];
    const clients = [];
    for (const uid of uids) clients.push(await joined(daemon.addr, daemon.token(uid)));
    t.after(() => clients.forEach((client) => client.destroy()));
    for (const uid of uids) redis.emitter().to(uid).emit('msg', uid);
    const all = await heardArgs(redis, clients);
    assert.deepStrictEqual(all, uids.map((uid) => [uid]));
});

test('who left a room by disconnecting is not in it', async (t) => {
    const { redis, daemon } = await world();
    const { a4, b4 } = await crowd(t, daemon, ['a4', 'b4']);
    a4.sendText('41/axr,');
    await a4.join('/axr', { token: daemon.token('other') });
    redis.emitter().to('a').emit('msg', 'for a');
    redis.emitter().to('other').emit('msg', 'for other');
    assert.deepStrictEqual(await heardArgs(redis, [a4, b4]), [['for other'], []]);
});

test('volatile is dropped for a client with output waiting, and only for it', async (t) => {
    const { redis, daemon } = await world();
    for (const eio of [4, 3]) {
        const stalled = await joined(daemon.addr, daemon.token('s'), { eio });
        const reader = await joined(daemon.addr, daemon.token('r'), { eio });
        t.after(() => stalled.destroy());
        t.after(() => reader.destroy());
        stalled.socket.pause();
        const io = redis.emitter();
        const big = 'x'.repeat(1 << 20);
        /* Until what the kernel's buffers of a connection hold is not all. */
        let count = 0;
        for (let waiting = 0; waiting < 2 * big.length; ) {
            io.to('s').emit('msg', count++, big);
            await heardArgs(redis, [reader]);
            waiting = (await scrape(daemon)).get('output_queue_bytes');
        }
        io.volatile.emit('msg', 'volatile');
        io.emit('msg', 'after');
        const ofReader = await heardArgs(redis, [reader]);
        assert.deepStrictEqual(ofReader, [['volatile', 'after']]);
        stalled.socket.resume();
        const [ofStalled] = await heardArgs(redis, [stalled], { ms: within(10000) });
        const numbers = [...Array(count).keys()];
        const notMarkers = ofStalled.filter((one) => !/^marker/.test(one));
        assert.deepStrictEqual(notMarkers, [...numbers, 'after']);
        io.volatile.emit('msg', 'volatile again');
        assert.deepStrictEqual(await heardArgs(redis, [stalled]), [['volatile again']]);
    }
});

/* Attachments that tell which message they belong to. */
function attachments(seq) {
    return [0, 1, 2].map((k) => Buffer.alloc(1 + ((seq * 7 + k * 131) % 2000), (seq + k) & 255));
}

test('header and attachments are contiguous for every client under load', async (t) => {
    const { redis, daemon } = await world();
    const clients = [];
    for (let i = 0; i < 24; i++) clients.push(await joined(daemon.addr, daemon.token(`u${i % 5}`), { eio: 3 + (i % 2) }));
    t.after(() => clients.forEach((client) => client.destroy()));
    const io = redis.emitter();
    const count = 400;
    for (let seq = 0; seq < count; seq++) {
        if (seq % 3 === 0) io.emit('text', seq);
        else io.emit('bin', seq, ...attachments(seq));
        io.to(`u${seq % 5}`).emit('own', seq);
        if (seq % 10 === 0) for (const client of clients) client.sendText('42/axr,["noise"]');
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
            const tag = client.eio === 3 ? '04' : '';
            const expected = attachments(seq).map((bytes) => ({ bin: tag + bytes.toString('hex') }));
            assert.deepStrictEqual(event.frames.slice(1), expected);
        }
        seq++;
    }
    return own;
}

/* Clients that come, hear something or not, and go one way or the other. */
async function churn(daemon, isOver) {
    for (let i = 0; !isOver(); i++) {
        const client = await joined(daemon.addr, daemon.token('churn'), { eio: 3 + (i % 2) });
        if (i % 3 === 1) {
            client.send(8, Buffer.from([3, 232]));
            await client.end();
        } else if (i % 3 === 2) {
            client.sendText('41/axr,');
        }
        client.destroy();
    }
}

test('each message once and in order, while other clients come and go', async (t) => {
    const { redis, daemon } = await world();
    const steady = [];
    for (let i = 0; i < 24; i++) steady.push(await joined(daemon.addr, daemon.token('s'), { eio: 3 + (i % 2) }));
    t.after(() => steady.forEach((client) => client.destroy()));
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
    const client = await joined(daemon.addr, daemon.token(uid), { eio: 3 + (index % 2) });
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
    const count = mode === 'long' ? 3000 : mode === 'quick' ? 150 : 500;
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
