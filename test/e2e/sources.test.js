'use strict';
/* Clients by their addresses: a limit for each, over all workers, and who gives way when strangers
 * are too many. */
const assert = require('assert');
const { test, shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { Raw, joined } = require('./lib/raw');
const { Http, Polling, polled, once } = require('./lib/http');
const { askJson, scrape, settled } = require('./lib/metrics');
const { relive, renew } = require('./lib/reload');
const { heardArgs } = require('./lib/hear');
const { within, until } = require('./lib/time');

const redisServer = shared((s) => Redis.start(s));
const HANDSHAKE = '/notifications/?EIO=4&transport=polling';
const CLOSE = { Connection: 'close' };
const from = (daemon, localAddress) => ({ ...daemon.addr, localAddress });
const refused = (metrics, reason) => metrics.get('address_refused_total', `reason="${reason}"`);
const ofAddress = async (daemon, address) => (await askJson(daemon, '/status')).addresses.find((one) => one.address === address);

async function start(t, config) {
    const redis = await redisServer();
    return { redis, daemon: await Daemon.start(t, { redis, config: { workers: 3, ...config } }) };
}
/* Connects and says nothing: resolves to the connection, or to null where it has been closed for
 * the limit. */
async function silent(t, daemon, address) {
    const before = await scrape(daemon);
    const http = new Http(from(daemon, address));
    t.after(() => http.destroy());
    const after = await settled(daemon, (now) =>
        now.get('connections_accepted_total') > before.get('connections_accepted_total') ||
        refused(now, 'connections') > refused(before, 'connections'), 'it is accepted, or closed');
    if (refused(after, 'connections') === refused(before, 'connections')) return http;
    await http.over();
    return null;
}
/* How many of count are let in. */
async function fit(t, daemon, address, count) {
    const all = [];
    for (let i = 0; i < count; i++) all.push(await silent(t, daemon, address));
    return all.filter(Boolean);
}
/* The status of a handshake for a session, which stays without a connection. */
const handshake = async (daemon, address, headers = {}) =>
    (await once(from(daemon, address), 'GET', HANDSHAKE, { ...CLOSE, ...headers })).status;
async function handshakes(daemon, address, count, headers) {
    const all = [];
    for (let i = 0; i < count; i++) all.push(await handshake(daemon, address, headers));
    return all;
}

test('connections of one address are limited over all workers, and a reload changes how many there may be', async (t) => {
    const { daemon } = await start(t, { limits: { connectionsPerAddress: 4 } });
    const held = await fit(t, daemon, '127.0.0.2', 6);
    assert.strictEqual(held.length, 4);
    assert.strictEqual((await fit(t, daemon, '127.0.0.3', 2)).length, 2, 'those of another address are others');
    await daemon.logged(/warn worker \d.*: limits:connectionsPerAddress reached: connection closed: address=127\.0\.0\.2 times=1$/m);
    await relive(daemon, { limits: { connectionsPerAddress: 6 } });
    assert.strictEqual((await fit(t, daemon, '127.0.0.2', 3)).length, 2);
    held[0].destroy();
    await until(async () => (await scrape(daemon)).get('connections') === 7, within(2000), 'one has gone');
    assert.strictEqual((await fit(t, daemon, '127.0.0.2', 2)).length, 1, 'its place is free');
    await relive(daemon, { limits: { connectionsPerAddress: 2 } });
    assert.ok(held.slice(1).every((http) => !http.ended), 'who is in stays');
    assert.strictEqual((await fit(t, daemon, '127.0.0.2', 1)).length, 0);
    await relive(daemon, { limits: { connectionsPerAddress: 0 } });
    assert.strictEqual((await fit(t, daemon, '127.0.0.2', 3)).length, 3, 'without a limit all');
    await relive(daemon, { limits: { connectionsPerAddress: 9 } });
    assert.strictEqual((await fit(t, daemon, '127.0.0.2', 3)).length, 0, 'with one those count that came before');
    const worst = await ofAddress(daemon, '127.0.0.2');
    assert.deepStrictEqual([worst.connections, worst.strangers, worst.turnedAway], [9, 9, 8]);
});

test('sessions of one address are limited, and answered with 429', async (t) => {
    const { redis, daemon } = await start(t, { limits: { connectionsPerAddress: 3 } });
    const user = await polled(from(daemon, '127.0.0.2'), daemon.token('u'));
    assert.deepStrictEqual(await handshakes(daemon, '127.0.0.2', 4), [200, 200, 429, 429], 'a user is one of three');
    assert.deepStrictEqual(await handshakes(daemon, '127.0.0.3', 1), [200]);
    assert.strictEqual(refused(await scrape(daemon), 'sessions'), 2);
    await daemon.logged(/warn worker \d.*: limits:connectionsPerAddress reached: session refused with 429: address=127\.0\.0\.2 times=1$/m);
    redis.emitter().to('u').emit('msg', 'in');
    assert.deepStrictEqual(await heardArgs(redis, [user]), [['in']], 'the user is served');
    await user.send('1');
    await settled(daemon, (metrics) => metrics.get('sessions', 'transport="polling",protocol="4"') === 3, 'it has gone');
    assert.deepStrictEqual(await handshakes(daemon, '127.0.0.2', 2), [200, 429], 'and left a place');
});

test('a worker that is killed gives back what addresses had there', async (t) => {
    const { daemon } = await start(t, { limits: { connectionsPerAddress: 6 } });
    const held = await fit(t, daemon, '127.0.0.2', 7);
    assert.strictEqual(held.length, 6);
    const each = (await scrape(daemon)).each('connections');
    const lost = Math.max(...each);
    const number = each.indexOf(lost) + 1;
    const [, pid] = await daemon.logged(new RegExp(`worker ${number} ready: pid=(\\d+)`));
    const at = daemon.log.length;
    daemon.deaths = true;
    process.kill(Number(pid), 'SIGKILL');
    await daemon.logged(new RegExp(`worker ${number} ready: `), within(3000), at);
    await until(() => held.filter((http) => http.ended).length === lost, within(2000), 'those that were there end');
    assert.strictEqual((await fit(t, daemon, '127.0.0.2', lost + 2)).length, lost, 'as many fit again');
});

test('while a generation leaves its clients count for the next', async (t) => {
    const { redis, daemon } = await start(t, { drainTimeout: 10000, limits: { connectionsPerAddress: 2 } });
    const users = await Promise.all([1, 2].map(() => joined(from(daemon, '127.0.0.2'), daemon.token('u'))));
    t.after(() => users.forEach((user) => user.destroy()));
    users.forEach((user) => user.socket.pause());
    redis.emitter().to('u').emit('msg', 'x'.repeat(900000));
    await settled(daemon, (metrics) => metrics.get('output_queue_bytes') > 100000, 'they are to hear much before they are closed');
    await renew(daemon, { 'socket.io': { pingInterval: 20000 } }, { left: false });
    assert.strictEqual(await silent(t, daemon, '127.0.0.2'), null);
    assert.ok(await silent(t, daemon, '127.0.0.3'));
    users.forEach((user) => user.destroy());
    await daemon.logged(/generation 1 has left/, within(6000));
    daemon.workersAtReady = daemon.workers();
    assert.strictEqual((await fit(t, daemon, '127.0.0.2', 3)).length, 2, 'then they do not');
});

test('behind a proxy sessions count for the client that it names, a /64 for one', async (t) => {
    const { daemon } = await start(t, { proxies: ['127.0.0.1'], limits: { connectionsPerAddress: 2 } });
    const as = (address) => ({ 'X-Forwarded-For': address });
    assert.strictEqual((await fit(t, daemon, '127.0.0.1', 5)).length, 5, 'its connections have no limit');
    assert.deepStrictEqual(await handshakes(daemon, '127.0.0.1', 3, as('203.0.113.1')), [200, 200, 429]);
    assert.deepStrictEqual(await handshakes(daemon, '127.0.0.1', 1, as('203.0.113.2')), [200]);
    const network = ['2001:db8:0:1::1', '2001:db8:0:1:ffff::', '2001:db8:0:1::3', '2001:db8:0:2::1'];
    const statuses = [];
    for (const address of network) statuses.push(await handshake(daemon, '127.0.0.1', as(address)));
    assert.deepStrictEqual(statuses, [200, 200, 429, 200]);
    assert.deepStrictEqual(await handshakes(daemon, '127.0.0.1', 4), [200, 200, 200, 200], 'who names nobody has none');
    assert.deepStrictEqual(await handshakes(daemon, '127.0.0.2', 3, as('203.0.113.3')), [200, 200, 429], 'who is no proxy is himself');
    await daemon.logged(/limits:connectionsPerAddress reached: session refused with 429: address=203\.0\.113\.1 times=1$/m);
    const worst = await ofAddress(daemon, '2001:db8:0:1::/64');
    assert.deepStrictEqual([worst.connections, worst.sessions, worst.strangers, worst.handshakes, worst.turnedAway], [0, 2, 2, 2, 1]);
});

test('the worst addresses are in the status', async (t) => {
    const { daemon } = await start(t, { limits: { strangers: 1000 } });
    const client = await Raw.open(from(daemon, '127.0.0.7'));
    t.after(() => client.destroy());
    for (let i = 0; i < 3; i++) {
        client.sendText(client.connectPacket('/axr', { token: 'no token' }));
        assert.match(await client.text(), /token_malformed/);
    }
    await fit(t, daemon, '127.0.0.8', 9);
    const user = await joined(from(daemon, '127.0.0.9'), daemon.token('u'));
    t.after(() => user.destroy());
    for (let i = 20; i < 32; i++) await fit(t, daemon, `127.0.0.${i}`, i < 25 ? 2 : 1);
    const { addresses } = await askJson(daemon, '/status');
    assert.strictEqual(addresses.length, 10);
    assert.deepStrictEqual(addresses[0], { address: '127.0.0.8', connections: 9, sessions: 0, strangers: 9, handshakes: 0, tlsHandshakes: daemon.addr.tls ? 9 : 0, tokensRefused: 0, turnedAway: 0 });
    assert.deepStrictEqual(addresses[1], { address: '127.0.0.7', connections: 1, sessions: 1, strangers: 1, handshakes: 1, tlsHandshakes: daemon.addr.tls ? 1 : 0, tokensRefused: 3, turnedAway: 0 });
    assert.ok(addresses.slice(2, 7).every((one) => one.strangers === 2), 'the next');
    assert.ok(!addresses.some((one) => one.address === '127.0.0.9'), 'a user is no trouble');
});

test('where strangers are too many the address with most gives way: others come in, however slowly', async (t) => {
    const places = 120;
    const { daemon } = await start(t, { workers: 1, limits: { connections: 1000, strangers: places } });
    const opened = [];
    t.after(() => opened.forEach((client) => client.destroy()));
    const open = async (address) => {
        const client = Polling.open(from(daemon, address), { keep: true });
        opened.push(await client);
        return client;
    };
    const flood = async (count) => {
        for (let i = 0; i < count; i++) opened.push(await Raw.open(from(daemon, '127.0.0.99')));
    };
    const users = [];
    for (let i = 0; i < 50; i++) {
        const where = from(daemon, `127.0.1.${i + 1}`);
        users.push(i % 2 ? await Raw.open(where) : await open(`127.0.1.${i + 1}`));
    }
    opened.push(...users);
    await flood(2 * places);
    for (const [i, user] of users.entries()) {
        if (i % 2) await user.join('/axr', { token: daemon.token(`u${i}`) });
        else await user.join('/axr', daemon.token(`u${i}`));
        await flood(2);
    }
    const metrics = await scrape(daemon);
    assert.strictEqual(metrics.get('clients'), 50);
    assert.ok(metrics.get('strangers_evicted_total', 'kind="websocket"') > places);
    assert.strictEqual(metrics.get('strangers_evicted_total', 'kind="polling"'), 0);
    const worst = await ofAddress(daemon, '127.0.0.99');
    assert.ok(worst.strangers <= places && worst.handshakes === 2 * places + 100, JSON.stringify(worst));
    await daemon.logged(/warn worker 1.*: limits:strangers reached: .*; for each that comes the oldest is closed, of the address that has most: strangers=\d+ address=127\.0\.0\.99:\d+ times=1$/m);
});
