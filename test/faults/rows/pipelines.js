'use strict';
/* Requests behind an answer that is not read. */
const assert = require('assert');
const { row, redisServer } = require('../lib/table');
const { Daemon } = require('../../e2e/lib/daemon');
const { Http, polled, request } = require('../../e2e/lib/http');
const { Raw } = require('../../e2e/lib/raw');
const { arrived } = require('../../e2e/lib/metrics');
const { heard, heardArgs } = require('../../e2e/lib/hear');
const { serves } = require('../../e2e/lib/load');
const { within } = require('../../e2e/lib/time');

const BIG = 900000; /* more than both kernels keep of one connection */
const ROUNDS = 8;

/* Sessions that are in the namespace; the first has an answer of BIG bytes waiting. */
async function sessions(t, { daemon }, count) {
    const all = [];
    for (let i = 0; i < count; i++) {
        all.push(await polled(daemon.addr, daemon.token('u')));
        t.after(() => all[i].destroy());
    }
    await all[0].send(`40/${'x'.repeat(BIG)},`);
    return all;
}
/* A connection on which the answer to the first's GET begins to leave, and is not read. */
async function unread(t, { daemon }, client) {
    const http = new Http(daemon.addr);
    t.after(() => http.destroy());
    http.socket.pause();
    await arrived(daemon, () => http.send('GET', client.target()));
    return http;
}
/* Its WebSocket takes a session over. */
async function upgraded(t, { daemon }, client) {
    const ws = new Raw(daemon.addr, { query: { sid: client.sid } });
    t.after(() => ws.destroy());
    await ws.upgraded;
    ws.sendText('2probe');
    assert.strictEqual(await ws.text(), '3probe');
    ws.sendText('5');
    return ws;
}
const part = (client, bytes) => request('POST', client.target(), { 'Content-Length': 100 }, bytes);

/* It lost an answer: it hears nothing more, but that it is over. */
async function told(client) {
    while ((await client.get(within(5000))).status === 200);
    assert.deepStrictEqual(client.packets.filter((packet) => packet[0] === '4'), []);
}

/* A POST of the session itself, in part, and a WebSocket that takes it over. */
async function ownPost(t, world) {
    const [client] = await sessions(t, world, 1);
    const http = await unread(t, world, client);
    http.send(part(client, '3'));
    const ws = await upgraded(t, world, client);
    assert.deepStrictEqual(await heard(world.redis, [ws]), [[]]);
    http.socket.resume();
    const answer = await http.answer(within(10000));
    assert.strictEqual(answer.status, 200);
    assert.ok(answer.body.length > BIG);
    http.send('x'.repeat(99));
    assert.strictEqual((await http.answer()).status, 400);
}
/* A GET of another session behind it, and the connection is reset. */
async function twoSessions(t, world) {
    const [first, second] = await sessions(t, world, 2);
    const http = await unread(t, world, first);
    http.send('GET', second.target());
    for (const n of [1, 2, 3]) world.redis.emitter().emit('n', n);
    http.socket.resetAndDestroy();
    assert.deepStrictEqual(await heardArgs(world.redis, [second]), [[1, 2, 3]]);
    await told(first);
}
/* A POST of another session behind it, which upgrades; then a reset. */
async function othersPost(t, world) {
    const [first, second] = await sessions(t, world, 2);
    const http = await unread(t, world, first);
    http.send(part(second, '3'));
    const ws = await upgraded(t, world, second);
    world.redis.emitter().emit('n', 1);
    http.socket.resetAndDestroy();
    assert.deepStrictEqual(await heardArgs(world.redis, [ws]), [[1]]);
    await told(first);
}
/* A chain: behind each one's answer a part of the next one's POST; the first ends. */
async function chain(t, world) {
    const all = [];
    for (let i = 0; i < 10; i++) all.push(...(await sessions(t, world, 1)));
    const conns = [];
    for (const client of all) conns.push(await unread(t, world, client));
    conns.forEach((http, i) => http.send(part(all[(i + 1) % all.length], '3')));
    const ws = await upgraded(t, world, all[0]);
    conns[0].socket.resetAndDestroy();
    assert.strictEqual((await ws.end()).code, 0, 'the answer of its GET was lost');
    conns.forEach((http) => http.socket.resetAndDestroy());
    for (const client of all.slice(1)) await told(client);
}

row(42, 'a connection whose answer is not read is sent more requests, of its own session and of others; upgrades meanwhile',
    'no worker ends; whoever lost something is told', async (t) => {
        const redis = await redisServer();
        const daemon = await Daemon.start(t, { redis, config: { workers: 2 } });
        const world = { redis, daemon };
        const before = daemon.workers();
        const cases = { ownPost, twoSessions, othersPost, chain };
        for (const [name, make] of Object.entries(cases)) {
            for (let round = 0; round < ROUNDS; round++) await make(t, world);
            assert.deepStrictEqual(daemon.workers(), before, name);
        }
        t.note(`${ROUNDS} rounds of each: ${Object.keys(cases).join(', ')}`);
        await serves(redis, daemon);
    });
