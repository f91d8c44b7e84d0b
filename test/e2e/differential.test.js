'use strict';
/* Random messages through redis to two servers at once: this daemon and a Node
 * server.  The same client generation is handed deeply equal arguments by both,
 * whether it came by WebSocket, with default options (polling, then an upgrade), or
 * polls only.
 *
 * SEED=n repeats a run; the seed is printed. */
const assert = require('assert');
const util = require('util');
const { test, mode } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, SECRET } = require('./lib/daemon');
const { Reference } = require('./lib/reference');
const { VERSIONS, connect } = require('./lib/clients');
const { Random, Values } = require('./lib/values');
const { Emitter: Emitter5 } = require('e5');
const { Emitter: Emitter4 } = require('e4');
const emitter3 = require('e3');
const { within } = require('./lib/time');

const FIRST_SEED = Number(process.env.SEED || Date.now() % 1000000000);
const SEEDS = Array.from({ length: mode === 'long' && !process.env.SEED ? 10 : 1 }, (_, i) => FIRST_SEED + i);
const COUNT = Number(process.env.COUNT || mode === 'long' ? 3000 : 300);
let SEED = FIRST_SEED; /* of the test that runs */
const BATCH = 100;
const ROOMS = ['u1', 'u2', 'u3', 'u4', 'allusers', 'nobody'];

/* 3.x brings a redis client of its own, 4.x and 5.x take ours. */
function emitters(t, redis) {
    const old = emitter3({ host: '127.0.0.1', port: redis.port });
    old.redis.on('error', () => {});
    t.after(() => old.redis.end(false));
    return {
        3: old.of('/axr'),
        4: new Emitter4(redis.client, {}, '/axr'),
        5: new Emitter5(redis.client, {}, '/axr'),
        flush: () => Promise.all([redis.flush(), new Promise((resolve) => old.redis.ping(resolve))]),
    };
}

/* Rooms and except of a message: most go to everyone, so that all clients compare. */
function route(random, version) {
    const rooms = random.chance(1, 3) ? random.times(1 + random.below(3), () => random.pick(ROOMS)) : [];
    const except = version > 3 && random.chance(1, 8) ? [random.pick(ROOMS)] : [];
    return { rooms, except };
}

function publish(io, { rooms, except }, args) {
    let target = io;
    for (const room of rooms) target = target.to(room);
    for (const room of except) target = target.except(room);
    target.emit(...args);
}

/* How a client may be told to connect. */
const WAYS = { websocket: ['websocket'], default: undefined, polling: ['polling'] };

/* For each client generation one client of the Node server, and one for each way of
 * this daemon.  Node's is on WebSocket: over polling, 1.x clients cannot read what it
 * sends (they decode UTF-8 twice), and what they are handed depends on no transport. */
async function worlds(t) {
    const redis = await Redis.start(t);
    const daemon = await Daemon.start(t, { redis, config: { workers: 4, limits: { sendBuffer: 64 << 20 } } });
    const node = await Reference.start(t, { redis: redis.port, secret: SECRET, nsp: '/axr', path: '/notifications' });
    const open = async (version, where, transports) => {
        const token = daemon.token(`u${version}`);
        const client = await connect(version, where, { token, options: { transports } });
        t.after(() => client.close());
        return client;
    };
    const groups = [];
    for (const version of VERSIONS) {
        const group = { node: await open(version, node, WAYS.websocket), ours: [] };
        for (const [way, transports] of Object.entries(WAYS))
            group.ours.push(Object.assign(await open(version, daemon.addr, transports), { way }));
        groups.push(group);
    }
    return { redis, groups };
}
const transportOf = (client) => client.socket.io.engine.transport.name;

const reached = (mark) => (client) => {
    const last = client.events[client.events.length - 1];
    return last && last[0] === 'marker' && last[1] === mark;
};

function compareTwo(ours, node, sent, first) {
    for (let i = 0; i < Math.max(ours.events.length, node.events.length); i++) {
        try {
            assert.deepStrictEqual(ours.events[i], node.events[i]);
        } catch (error) {
            const index = node.events[i] ? node.events[i][1] : ours.events[i][1];
            const message = util.inspect(sent[index - first], { depth: 8, maxStringLength: 300 });
            error.message =
                `SEED=${SEED}, client ${ours.version}.x (${ours.way}), message ${index}: ${message}\n` +
                `actual is the daemon's, expected the Node server's\n${error.message}`.slice(0, 4000);
            throw error;
        }
    }
}
function compare(groups, sent, first) {
    for (const { ours, node } of groups) {
        for (const one of ours) compareTwo(one, node, sent, first);
        for (const one of [...ours, node]) one.events = [];
    }
}

for (const seed of SEEDS) test(`${COUNT} random messages, SEED=${seed}`, async (t) => {
    SEED = seed;
    const { redis, groups } = await worlds(t);
    const clients = groups.flatMap(({ ours, node }) => [...ours, node]);
    const io = emitters(t, redis);
    const random = new Random(SEED);
    const values = new Values(random);
    let delivered = 0;
    for (let first = 0; first < COUNT; first += BATCH) {
        const sent = [];
        for (let index = first; index < Math.min(first + BATCH, COUNT); index++) {
            const version = 3 + random.below(3);
            const to = route(random, version);
            const args = values.message(index);
            sent.push({ emitter: version, ...to, args });
            publish(io[version], to, args);
        }
        await io.flush();
        io[5].emit('marker', first);
        for (const client of clients)
            await client.when(reached(first), within(10000), `marker ${first}, SEED=${SEED}`);
        delivered += groups.reduce((sum, { ours }) => sum + ours.reduce((n, one) => n + one.events.length - 1, 0), 0);
        compare(groups, sent, first);
    }
    for (const { ours } of groups)
        assert.deepStrictEqual(ours.map(transportOf), ['websocket', 'websocket', 'polling'], 'transports at the end');
    assert.ok(delivered > COUNT, `only ${delivered} deliveries were compared`);
    console.log(`# ${delivered} deliveries compared, SEED=${SEED}`);
}, { timeout: 400000 });
