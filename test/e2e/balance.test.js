'use strict';
/* Clients are spread over the workers, whatever the kernel does: one by one and in
 * a rush, after a worker has been replaced, and while one does not run; those that poll,
 * which have no connection between their requests, like those over WebSocket. */
const assert = require('assert');
const { test, shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { joined } = require('./lib/raw');
const { polled } = require('./lib/http');
const { scrape, settled } = require('./lib/metrics');
const { isRunning } = require('./lib/proc');
const { within, until } = require('./lib/time');

const redisServer = shared((s) => Redis.start(s));
const WORKERS = 4;
/* The daemon's own margin is 4 and a 64th of the mean; more may come where workers
 * see each other's counts late. */
const UNEVEN = 1.25;

/* count more clients, so many handshakes at a time. */
async function connect(t, daemon, count, atATime) {
    const clients = [];
    let begun = 0;
    const one = async () => {
        while (begun++ < count) clients.push(await joined(daemon.addr, daemon.token('u')));
    };
    t.after(() => clients.forEach((client) => client.destroy()));
    await Promise.all(Array.from({ length: atATime }, one));
    return clients;
}

/* The worker's slot is in the session id. */
const slotOf = (client) => Buffer.from(client.handshake.sid, 'base64url')[16];

function spread(clients) {
    const counts = new Array(WORKERS).fill(0);
    for (const client of clients) counts[slotOf(client)]++;
    return counts;
}

const isEven = (clients) => Math.max(...spread(clients)) <= (clients.length / WORKERS) * UNEVEN;

/* A worker that the machine does not run for a while has missed some: then those that
 * come next, at most as many again, are for it. */
async function assertEven(t, daemon, first) {
    const clients = [...first];
    while (!isEven(clients) && clients.length < 2 * first.length) clients.push(...(await connect(t, daemon, 5, 1)));
    assert(isEven(clients), `clients of each worker: ${spread(first)}, then ${spread(clients)}`);
}

async function start(t) {
    return Daemon.start(t, { redis: await redisServer(), config: { workers: WORKERS } });
}

test('clients that come one by one are spread evenly', async (t) => {
    const daemon = await start(t);
    await assertEven(t, daemon, await connect(t, daemon, 200, 1));
});

test('clients that come in a rush are spread evenly', async (t) => {
    const daemon = await start(t);
    await assertEven(t, daemon, await connect(t, daemon, 400, 100));
});

test('clients of a worker that was replaced come back evenly', async (t) => {
    const daemon = await start(t);
    const clients = await connect(t, daemon, 200, 20);
    const [pid] = daemon.workersAtReady;
    daemon.deaths = 1;
    process.kill(pid, 'SIGKILL');
    await until(() => !isRunning(pid), within(1000), 'end of the worker');
    await daemon.logged(/worker 1 ready: .* fork=2 /, within(2000));
    const lost = clients.filter((client) => slotOf(client) === 0);
    await Promise.all(lost.map((client) => client.closed));
    const others = clients.filter((client) => slotOf(client) !== 0);
    await assertEven(t, daemon, others.concat(await connect(t, daemon, lost.length, 20)));
});

test('a worker that does not run keeps nobody waiting', async (t) => {
    const daemon = await start(t);
    const clients = await connect(t, daemon, 100, 20);
    const [pid] = daemon.workersAtReady;
    daemon.deaths = 1;
    /* It has the fewest: the others would leave the next ones to it. */
    const lost = clients.filter((client) => slotOf(client) === 0);
    process.kill(pid, 'SIGKILL');
    await daemon.logged(/worker 1 ready: pid=(\d+) fork=2 /, within(2000));
    await Promise.all(lost.map((client) => client.closed));
    const stopped = daemon.workers().find((one) => !daemon.workersAtReady.includes(one));
    process.kill(stopped, 'SIGSTOP');
    t.after(() => isRunning(stopped) && process.kill(stopped, 'SIGCONT'));
    const more = await connect(t, daemon, 100, 20);
    assert.deepStrictEqual(more.filter((client) => slotOf(client) === 0), []);
    process.kill(stopped, 'SIGCONT');
});

/* --- those that poll --- */

/* count sessions that poll, and have no connection: so many handshakes at a time. */
async function poll(t, daemon, count, atATime) {
    const clients = [];
    let begun = 0;
    const one = async () => {
        while (begun++ < count) clients.push(await polled(daemon.addr, daemon.token('u')));
    };
    await Promise.all(Array.from({ length: atATime }, one));
    await settled(daemon, (now) => now.get('connections') === 0, 'no connection');
    return clients;
}
for (const atATime of [1, 40])
    test(`sessions that poll are spread evenly, ${atATime} at a time`, async (t) => {
        const daemon = await start(t);
        const clients = await poll(t, daemon, 120, atATime);
        while (!isEven(clients) && clients.length < 240) clients.push(...(await poll(t, daemon, 5, 1)));
        assert(isEven(clients), `sessions of each worker: ${spread(clients)}`);
    });
/* Both kinds, for a worker whose sessions have ended is the one for the next. */
for (const [what, come] of Object.entries({ WebSocket: connect, polling: poll }))
    test(`newcomers over ${what} go where the fewest sessions poll: those between two GETs count, and those that have ended do not`, async (t) => {
        const daemon = await start(t);
        const clients = await poll(t, daemon, 120, 20);
        const kept = clients.filter((client) => slotOf(client) !== 0);
        await Promise.all(clients.filter((client) => slotOf(client) === 0).map((client) => client.send('1')));
        await settled(daemon, (now) => now.get('clients') === kept.length && now.get('connections') === 0, 'the others have gone');
        const all = [...kept];
        const [missing] = spread(clients);
        const share = () => spread(all)[0] / ((all.length - spread(all)[0]) / (WORKERS - 1));
        /* A machine that is busy gives the others some of them. */
        while (share() < 0.6 && all.length < kept.length + 2 * missing) all.push(...(await come(t, daemon, 6, 1)));
        assert(share() >= 0.6, `clients of each worker: ${spread(kept)}, then ${spread(all)}`);
        assert.strictEqual((await scrape(daemon)).get('clients'), all.length);
    });
