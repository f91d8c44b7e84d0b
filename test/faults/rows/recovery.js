'use strict';
/* Clients that get what they missed, or are told that they do not. */
const assert = require('assert');
const { row, isLong } = require('../lib/table');
const { Redis } = require('../../e2e/lib/redis');
const { Daemon, SECRET } = require('../../e2e/lib/daemon');
const { Cutter } = require('../../e2e/lib/cutter');
const { Numbers, follow } = require('../../e2e/lib/numbers');
const { sign } = require('../../e2e/lib/jwt');
const { isRunning } = require('../../e2e/lib/proc');
const { within, until, elapse } = require('../../e2e/lib/time');

const COUNT = isLong ? 60 : 12;
const KINDS = ['websocket', 'websocket', 'default', 'polling'];

async function daemonOn(t, redis, workers) {
    const config = { workers, log: { level: 'info' }, 'socket.io': { connectionStateRecovery: true } };
    const daemon = await Daemon.start(t, { redis, config });
    daemon.deaths = true;
    return daemon;
}
/* Each hears everybody's numbers and its own, behind a proxy that they share. */
async function followers(t, redis, daemon) {
    const cutter = await Cutter.start(t, daemon.addr);
    const clients = await Promise.all(Array.from({ length: COUNT }, (_, i) => {
        const how = { token: sign({ uid: `u${i}` }, SECRET), hears: ['all', `u${i}`], transports: KINDS[i & 3] };
        return follow(t, i % 3 ? 4 : 4.6, cutter.addr, how);
    }));
    await upgraded(clients);
    const numbers = new Numbers(redis, ['all', ...clients.map(({ hears }) => hears[1])]);
    const heard = () => Promise.all(clients.map((client) => client.heardAll(numbers, within(10000))));
    return { cutter, clients, numbers, heard };
}
/* Who loses a WebSocket while it changes to it polls no more, and waits for its ping timeout: 45 s. */
const upgraded = (clients) => Promise.all(clients.filter((_, i) => KINDS[i & 3] === 'default').map((client) =>
    until(() => client.socket.connected && client.socket.io.engine.transport.name === 'websocket', within(5000), 'its upgrade')));
function assertRight(clients) {
    for (const client of clients) assert.deepStrictEqual(client.wrong, []);
}
const refusedOf = (clients) => clients.map(({ refused }) => refused);
const slowest = (clients) => Math.max(...clients.map(({ lastBack }) => lastBack));
/* When each was last back, after now. */
function watch(clients) {
    const began = Date.now();
    clients.forEach((client) => {
        client.lastBack = 0;
        client.socket.on('connect', () => (client.lastBack = Date.now() - began));
    });
}

row(55, `kill -9 a worker, ${isLong ? 20 : 4} times, under ${COUNT} clients that recover`, 'all are back within 5 s, each with each number once', async (t) => {
    const redis = await Redis.start(t);
    const daemon = await daemonOn(t, redis, 2);
    const { clients, numbers, heard } = await followers(t, redis, daemon);
    numbers.start(t, 10);
    let most = 0;
    for (let round = 0; round < (isLong ? 20 : 4); round++) {
        const [victim] = daemon.workers(); /* the older one is forked at once */
        await upgraded(clients);
        watch(clients);
        process.kill(victim, 'SIGKILL');
        await until(() => !isRunning(victim) && daemon.workers().length === 2, within(3000), 'the next worker');
        await Promise.all(clients.map((client) => client.when(() => client.socket.connected, within(5000), 'it is back')));
        await elapse(2100); /* a younger one is forked later */
        most = Math.max(most, slowest(clients));
    }
    numbers.stop();
    numbers.say();
    await heard();
    assertRight(clients);
    assert.deepStrictEqual(refusedOf(clients), clients.map(() => 0));
    t.took('the last was back after', most, 5000);
    t.note(`${numbers.said.get('all')} numbers, ${clients.reduce((sum, { connects }) => sum + connects.length - 1, 0)} returns`);
}, { timeout: isLong ? 300000 : 90000 });

row(56, 'kill -9 the master under clients that recover, and a start', 'nobody is recovered, all are told, nothing is heard twice; then they recover', async (t) => {
    const redis = await Redis.start(t);
    let daemon = await daemonOn(t, redis, 2);
    const { cutter, clients, numbers, heard } = await followers(t, redis, daemon);
    numbers.many(3);
    await heard();
    await upgraded(clients);
    cutter.isDown = true;
    await daemon.kill();
    numbers.many(3);
    daemon = await daemonOn(t, redis, 2);
    cutter.to = daemon.addr;
    cutter.up();
    await Promise.all(clients.map((client) => client.connectedAgain(1)));
    numbers.many(3);
    await heard();
    assertRight(clients);
    assert.deepStrictEqual(refusedOf(clients), clients.map(() => 1));
    await upgraded(clients);
    cutter.cut();
    numbers.many(3);
    await heard();
    assertRight(clients);
    assert.deepStrictEqual(refusedOf(clients), clients.map(() => 1));
    t.note(`${clients.length} clients told once, and recovered then`);
});

row(57, 'redis restarts under clients that recover', 'who comes back then is told, once; nothing is heard twice, nothing lost later', async (t) => {
    const redis = await Redis.start(t);
    const daemon = await daemonOn(t, redis, 2);
    const { cutter, clients, numbers, heard } = await followers(t, redis, daemon);
    numbers.many(3);
    await heard();
    const over = numbers.excuse(clients);
    const from = daemon.log.length;
    await redis.stop();
    await redis.again();
    numbers.many(2);
    await daemon.logged(/subscribed/, within(8000), from);
    over();
    numbers.many(3);
    await heard();
    for (const refused of [1, 1]) {
        await upgraded(clients);
        cutter.down();
        await Promise.all(clients.map((client) => client.lost()));
        const counts = clients.map(({ connects }) => connects.length);
        numbers.many(3);
        cutter.up();
        await Promise.all(clients.map((client, i) => client.connectedAgain(counts[i])));
        numbers.many(3);
        await heard();
        assertRight(clients);
        assert.deepStrictEqual(refusedOf(clients), clients.map(() => refused));
    }
    t.note(`${clients.length} clients told once, and recovered then`);
});
