'use strict';
/* Messages that cost more than they look. */
const assert = require('assert');
const fs = require('fs');
const { row, redisServer } = require('../lib/table');
const { lights } = require('../lib/light');
const { Daemon } = require('../../e2e/lib/daemon');
const { payloadOf } = require('../../e2e/lib/emitters');
const { scrape } = require('../../e2e/lib/metrics');
const { joined } = require('../../e2e/lib/raw');
const { SLOW, within } = require('../../e2e/lib/time');

const CHANNEL = 'socket.io#/axr#';
const LIMIT = 4 << 20; /* limits:messageBytes */
const PAUSE_MS = 200;

/* --- rooms --- */

const MILLION = 1e6;
const heavy = (opts) => payloadOf(opts, 'heavy');
const numbered = (n) => Array.from({ length: n }, (_, i) => i.toString(36));

/* What: [payload, whether it is delivered, else the cause].  Each has less than LIMIT. */
const ROOMS = {
    'one room, a million times': [() => heavy({ rooms: Array(MILLION).fill('u') }), true],
    '... and 650,000 times more': [() => heavy({ rooms: Array(1.65 * MILLION).fill('u') }), true],
    'a hundred rooms, a million times': [() => heavy({ rooms: Array.from({ length: MILLION }, (_, i) => `${i % 100}`).concat('u') }), true],
    'not to one room, a million times': [() => heavy({ rooms: ['u'], except: Array(MILLION).fill('x') }), true],
    'a million rooms': [() => heavy({ rooms: numbered(0.8 * MILLION) }), 'too_many_rooms'],
    'not to a million rooms': [() => heavy({ except: numbered(0.8 * MILLION) }), 'too_many_rooms'],
    '4,096 rooms': [() => heavy({ rooms: numbered(4095).concat('u') }), true],
    'a million rooms and no end': [() => Buffer.concat([heavy({ rooms: Array(MILLION).fill('u') }), Buffer.from('x')]), 'malformed'],
};

/* Seconds of CPU that a process has used, exact to the last turn. */
const usedBy = (pid) => Number(fs.readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[0]) / 1e9;

async function heavyRooms(t, redis) {
    const daemon = await Daemon.start(t, { redis, config: { workers: 2 } });
    const clients = await Promise.all(Array.from({ length: 4 }, () => joined(daemon.addr, daemon.token('u'))));
    t.after(() => clients.forEach((client) => client.destroy()));
    const others = await lights(daemon.addr, 500, () => daemon.token('u')); /* the room has many members */
    t.after(() => others.forEach((client) => client.destroy()));
    let [slowest, most] = [0, 0];
    for (const [what, [make, expected]] of Object.entries(ROOMS)) {
        const payload = make();
        const pids = [daemon.pid, ...daemon.workers()];
        const before = pids.map(usedBy);
        const dropped = await scrape(daemon);
        redis.publish(CHANNEL, payload);
        await redis.flush(); /* it is on its way: from here on, only the daemon takes time */
        const began = Date.now();
        redis.emitter().emit('msg', 'after');
        for (const client of clients) {
            const names = [];
            while (names[names.length - 1] !== 'msg') names.push((await client.event(within(5000))).args[0]);
            assert.deepStrictEqual(names, expected === true ? ['heavy', 'msg'] : ['msg'], what);
        }
        slowest = Math.max(slowest, Date.now() - began);
        if (expected !== true) {
            const cause = `cause="${expected}"`;
            assert.strictEqual((await scrape(daemon)).get('messages_dropped_total', cause), dropped.get('messages_dropped_total', cause) + 1, what);
            await daemon.logged(new RegExp(`message dropped: reason=${expected} `), within(1000));
        }
        pids.forEach((pid, index) => {
            const ms = 1000 * (usedBy(pid) - before[index]);
            most = Math.max(most, ms);
            assert.ok(ms < PAUSE_MS * SLOW, `${what}: ${index ? 'a worker' : 'the master'} was busy for ${ms.toFixed(0)} ms`);
        });
    }
    t.note(`${Object.keys(ROOMS).length} lists of rooms: a process was busy for at most ${most.toFixed(0)} ms`);
    t.took('what came behind was heard after', slowest, PAUSE_MS);
}

/* --- doubles --- */

/* What emitter 5.x publishes: ["msg", [value...]] of values in msgpack, to everyone. */
function message(values) {
    const head = Buffer.from('93a7656d697474657283a47479706502a46461746192a36d7367dd00000000', 'hex');
    head.writeUInt32BE(values.length, head.length - 4);
    return Buffer.concat([head, ...values, Buffer.from('a36e7370a42f61787283a5726f6f6d7390a665786365707490a5666c61677380', 'hex')]);
}

/* Doubles far from 1, of as many digits as there are: large, small, and smaller than that. */
function doubles(count) {
    let bits = 88172645463325252n;
    return Array.from({ length: count }, (_, i) => {
        bits = BigInt.asUintN(64, bits * 6364136223846793005n + 1442695040888963407n);
        const value = Buffer.alloc(9, 0xcb);
        value.writeBigUInt64BE((bits >> 12n) | [0x7f0n, 0x010n, 0n][i % 3] << 52n, 1);
        return value;
    });
}

/* Each is published twice: once as large as a payload may be, which is refused for what
 * would become of it, and once so that clients get nearly the limit. */
const KINDS = {
    'odd doubles': [message(doubles(Math.floor((LIMIT - 200) / 9))), message(doubles(Math.floor(LIMIT / 25)))],
};

async function oddDoubles(t, redis) {
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, log: { level: 'info' } } });
    const client = await joined(daemon.addr, daemon.token('u'));
    const pids = [daemon.pid, ...daemon.workers()];
    let most = 0;
    const busy = async (what, payload, done) => {
        const before = pids.map(usedBy);
        await redis.publish(CHANNEL, payload);
        await done();
        const ms = Math.max(...pids.map((pid, index) => 1000 * (usedBy(pid) - before[index])));
        most = Math.max(most, ms);
        assert.ok(ms < PAUSE_MS * SLOW, `${what}: a process was busy for ${ms.toFixed(0)} ms`);
    };
    for (const [what, [refused, taken]] of Object.entries(KINDS)) {
        const from = daemon.log.length;
        await busy(what, refused, () => daemon.logged(/message dropped: reason=too_large/, within(20000), from));
        await busy(what, taken, () => client.event(within(20000)));
    }
    t.note(`${Object.keys(KINDS).join(', ')}: a process was busy for at most ${most.toFixed(0)} ms`);
    client.destroy();
    await daemon.stop();
}

row(44, 'one message with a million times the same room; a payload of nothing but odd doubles', 'no pause above 200 ms', async (t) => {
    const redis = await redisServer();
    await oddDoubles(t, redis);
    await heavyRooms(t, redis);
});
