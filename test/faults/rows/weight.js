'use strict';
/* Single messages that are made to cost as much as they can. */
const assert = require('assert');
const fs = require('fs');
const { row, redisServer } = require('../lib/table');
const { lights } = require('../lib/light');
const { Daemon } = require('../../e2e/lib/daemon');
const { joined } = require('../../e2e/lib/raw');
const { payloadOf } = require('../../e2e/lib/emitters');
const { scrape } = require('../../e2e/lib/metrics');
const { SLOW, within } = require('../../e2e/lib/time');

const PAUSE_MS = 200;
const CHANNEL = 'socket.io#/axr#';
const MILLION = 1e6;

const message = (opts, ...args) => payloadOf(opts, 'heavy', ...args);
const numbered = (n) => Array.from({ length: n }, (_, i) => i.toString(36));

/* What: [payload, whether it is delivered, else the cause].  Each has less than
 * limits:messageBytes. */
const HEAVY = {
    'one room, a million times': [() => message({ rooms: Array(MILLION).fill('u') }), true],
    '... and 650,000 times more': [() => message({ rooms: Array(1.65 * MILLION).fill('u') }), true],
    'a hundred rooms, a million times': [() => message({ rooms: Array.from({ length: MILLION }, (_, i) => `${i % 100}`).concat('u') }), true],
    'not to one room, a million times': [() => message({ rooms: ['u'], except: Array(MILLION).fill('x') }), true],
    'a million rooms': [() => message({ rooms: numbered(0.8 * MILLION) }), 'too_many_rooms'],
    'not to a million rooms': [() => message({ except: numbered(0.8 * MILLION) }), 'too_many_rooms'],
    '4,096 rooms': [() => message({ rooms: numbered(4095).concat('u') }), true],
    'a million rooms and no end': [() => Buffer.concat([message({ rooms: Array(MILLION).fill('u') }), Buffer.from('x')]), 'malformed'],
};

/* Seconds of CPU that a process has used, exact to the last turn. */
const usedBy = (pid) => Number(fs.readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[0]) / 1e9;

row(44, 'one message with a million times the same room', 'no pause above 200 ms', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 2 } });
    const clients = await Promise.all(Array.from({ length: 4 }, () => joined(daemon.addr, daemon.token('u'))));
    t.after(() => clients.forEach((client) => client.destroy()));
    const others = await lights(daemon.addr, 500, () => daemon.token('u')); /* the room has many members */
    t.after(() => others.forEach((client) => client.destroy()));
    let [slowest, most] = [0, 0];
    for (const [what, [make, expected]] of Object.entries(HEAVY)) {
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
            await daemon.logged(new RegExp(`message dropped: cause=${expected} `), within(1000));
        }
        pids.forEach((pid, index) => {
            const ms = 1000 * (usedBy(pid) - before[index]);
            most = Math.max(most, ms);
            assert.ok(ms < PAUSE_MS * SLOW, `${what}: ${index ? 'a worker' : 'the master'} was busy for ${ms.toFixed(0)} ms`);
        });
    }
    t.note(`${Object.keys(HEAVY).length} messages: a process was busy for at most ${most.toFixed(0)} ms`);
    t.took('what came behind was heard after', slowest, PAUSE_MS);
});
