'use strict';
/* Those that have no good token yet: a share of the places, and of the memory. */
const assert = require('assert');
const { test, shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, merge } = require('./lib/daemon');
const { Raw, joined } = require('./lib/raw');
const { Http, Polling, once } = require('./lib/http');
const { askJson, scrape, settled } = require('./lib/metrics');
const { heardArgs } = require('./lib/hear');
const { within, until } = require('./lib/time');

const redisServer = shared((s) => Redis.start(s));
const KINDS = ['socket', 'polling', 'websocket'];
const now = (metrics) => KINDS.map((kind) => metrics.get('strangers', `kind="${kind}"`));
const gone = (metrics) => KINDS.map((kind) => metrics.get('strangers_evicted_total', `kind="${kind}"`));

async function start(t, limits) {
    const redis = await redisServer();
    return { redis, daemon: await Daemon.start(t, { redis, config: { workers: 1, limits } }) };
}
/* Sockets that say nothing, each known to be there. */
async function silent(t, daemon, count) {
    const all = [];
    for (let i = 0; i < count; i++) {
        const accepted = (await scrape(daemon)).get('connections_accepted_total');
        const http = new Http(daemon.addr);
        t.after(() => http.destroy());
        all.push(http);
        await settled(daemon, (metrics) => metrics.get('connections_accepted_total') > accepted, 'it is accepted');
    }
    return all;
}

test('the oldest stranger goes for one more, users stay, and health, metrics and log tell', async (t) => {
    const { redis, daemon } = await start(t, { connections: 100 });
    const users = [await joined(daemon.addr, daemon.token('u')), await joined(daemon.addr, daemon.token('u'), { eio: 3 })];
    t.after(() => users.forEach((user) => user.destroy()));
    const waiting = await Polling.open(daemon.addr, { keep: true });
    t.after(() => waiting.destroy());
    await waiting.join('/axr', daemon.token('u'));
    const sockets = await silent(t, daemon, 25);
    assert.deepStrictEqual(await scrape(daemon).then((m) => [now(m), m.get('strangers_limit'), m.get('strangers_full')]), [[25, 0, 0], 25, 1]);
    const late = await silent(t, daemon, 3);
    await Promise.all(sockets.slice(0, 3).map((socket) => socket.over()));
    assert.ok([...sockets.slice(3), ...late].every((socket) => !socket.ended));
    assert.deepStrictEqual(await scrape(daemon).then((m) => [now(m), gone(m), m.get('connections_full')]), [[25, 0, 0], [3, 0, 0], 0]);
    const health = await askJson(daemon, '/health');
    assert.deepStrictEqual([health.status, health.strangers, health.connections.full], ['ok', { now: 25, limit: 25, full: 1 }, 0]);
    await daemon.logged(/warn worker 1.*: limits:strangers reached: sockets=26 .* address=127\.0\.0\.1:\d+ times=1$/m);
    redis.emitter().to('u').emit('msg', 'in');
    for (const one of await heardArgs(redis, [...users, waiting])) assert.deepStrictEqual(one, ['in']);
});

test('sessions that poll without a token are bounded, and those over one connection among themselves', async (t) => {
    const { daemon } = await start(t, { connections: 1000, strangers: 160 });
    const first = await Polling.open(daemon.addr);
    const http = new Http(daemon.addr);
    t.after(() => http.destroy());
    for (let i = 0; i < 100; i++) {
        http.send('GET', '/notifications/?EIO=4&transport=polling');
        assert.strictEqual((await http.answer()).status, 200);
    }
    await settled(daemon, (metrics) => metrics.get('sessions', 'transport="polling",protocol="4"') === 11, 'a sixteenth of the places, and another\'s');
    await daemon.logged(/warn worker 1.*: too many sessions without a good token over one connection: sessions=10; .* address=127\.0\.0\.1:\d+ times=1$/m);
    await first.join('/axr', daemon.token('u'));
    for (let i = 0; i < 200; i++) await once(daemon.addr, 'GET', '/notifications/?EIO=4&transport=polling', { Connection: 'close' });
    await settled(daemon, (metrics) => now(metrics).reduce((a, b) => a + b) <= 160, 'their share');
    await daemon.logged(/info worker 1.*: session without a good token closed, for others came: address=127\.0\.0\.1:\d+ transport=polling times=1$/m);
    await first.send('41/axr,');
});

test('limits:strangers takes effect by a reload', async (t) => {
    const { daemon } = await start(t, { connections: 1000, strangers: 10 });
    const sockets = await silent(t, daemon, 10);
    const set = async (strangers) => {
        const from = daemon.log.length;
        daemon.write(merge(daemon.config, { limits: { strangers } }));
        daemon.signal('SIGHUP');
        await daemon.logged(/configuration reloaded; changed: limits:strangers$/m, within(2000), from);
    };
    await set(4);
    await Promise.all(sockets.slice(0, 6).map((socket) => socket.over()));
    await set(6);
    const more = await silent(t, daemon, 2);
    assert.ok([...sockets.slice(6), ...more].every((socket) => !socket.ended));
    assert.deepStrictEqual(daemon.workers(), daemon.workersAtReady);
});

test('one that has no token and does not read has a tenth of limits:sendBuffer waiting, and no more', async (t) => {
    const { daemon } = await start(t, {});
    const count = 20;
    const ask = `40/${'x'.repeat(90000)},`;
    const clients = await Promise.all(Array.from({ length: count }, () => Raw.open(daemon.addr)));
    t.after(() => clients.forEach((client) => client.destroy()));
    clients.forEach((client) => client.socket.pause());
    let most = 0;
    let cut = 0;
    await until(async () => {
        clients.forEach((client) => client.sendText(ask));
        const metrics = await scrape(daemon);
        most = Math.max(most, metrics.get('output_queue_bytes'));
        cut = metrics.get('sessions_closed_total', 'reason="send_buffer"');
        return cut === count;
    }, within(10000), 'all are cut off');
    assert.ok(most <= (count * 1048576) / 10, `${most} bytes waited for ${count}`);
    const polling = await Polling.open(daemon.addr);
    await polling.send(ask);
    await polling.send(ask);
    await settled(daemon, (metrics) => metrics.get('sessions_closed_total', 'reason="send_buffer"') === count + 1, 'and one that polls');
    const user = await joined(daemon.addr, daemon.token('u'));
    t.after(() => user.destroy());
    user.sendText(`40/${'x'.repeat(900000)},`);
    assert.match(await user.text(), /^44\/x{900000},\{"message":"Invalid namespace"\}$/);
});
