'use strict';
/* What waits for clients that do not read. */
const assert = require('assert');
const { row, redisServer, isLong, KB, MB, sizeOf, workersPss } = require('../lib/table');
const { Daemon } = require('../../e2e/lib/daemon');
const { joined } = require('../../e2e/lib/raw');
const { polled } = require('../../e2e/lib/http');
const { settled } = require('../../e2e/lib/metrics');
const { within } = require('../../e2e/lib/time');

const LINE = 4000; /* bytes of a message for the others */
const SPARSE = 16; /* such messages to one that waits: a block of 64 KB for a few bytes */
const TOTAL = isLong ? 1024 * MB : 32 * MB; /* of each kind of client */
const HOURS = 3600000;

/* A client of each kind: they are sent different bytes. */
async function each(t, daemon, uid) {
    const token = daemon.token(uid);
    const clients = [];
    for (const eio of [4, 3]) clients.push(await joined(daemon.addr, token, { eio }), await polled(daemon.addr, token, { eio, keep: true }));
    t.after(() => clients.forEach((client) => client.destroy()));
    return clients;
}
async function hears(client, last) {
    const numbers = [];
    while (numbers[numbers.length - 1] !== last) numbers.push((await client.event(within(20000))).args[1]);
    return numbers;
}

row(46, `four that stay away while others of their worker are sent ${sizeOf(4 * TOTAL)}`, 'memory by its own bytes', async (t) => {
    const redis = await redisServer();
    const patient = { 'socket.io': { pingInterval: HOURS, pingTimeout: HOURS }, limits: { sendTimeout: HOURS, sendBuffer: 4 * MB } };
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, log: { level: 'info' }, ...patient } });
    const [slow, fast] = [await each(t, daemon, 'slow'), await each(t, daemon, 'fast')];
    const [emitter, filler] = [redis.emitter(), 'x'.repeat(LINE)];
    const round = async (from, count) => {
        for (let i = from; i < from + count; i++) {
            emitter.to('fast').emit('m', i, filler);
            if (i % SPARSE === 0) emitter.to('slow').emit('m', i);
        }
        await Promise.all(fast.map((client) => hears(client, from + count - 1)));
    };
    await round(0, 100); /* so that everybody has all that a client takes */
    const before = workersPss(daemon);
    for (const client of slow) if (client.socket) client.socket.pause();
    emitter.to('slow').emit('m', -1, 'x'.repeat(300 * KB)); /* more than the kernel takes */
    let [most, at] = [0, 100];
    for (; at < TOTAL / LINE; at += 100) {
        await round(at, 100);
        most = Math.max(most, workersPss(daemon) - before);
    }
    const metrics = await settled(daemon, (now) => now.get('output_queue_bytes') > 0, 'what waits');
    t.note(`${sizeOf(metrics.get('output_queue_bytes'))} wait for them, in ${sizeOf(metrics.get('output_memory_bytes'))}`);
    t.memory('worker grew at most', most, 8 * MB);
    for (const client of slow) if (client.socket) client.socket.resume();
    emitter.to('slow').emit('m', at);
    for (const numbers of await Promise.all(slow.map((client) => hears(client, at)))) {
        const own = numbers.filter((one) => one >= 100);
        assert.deepStrictEqual(own, own.map((_, i) => 112 + i * SPARSE));
    }
    t.memory('and when they have read', workersPss(daemon) - before, 4 * MB);
}, { timeout: isLong ? 600000 : 90000 });
