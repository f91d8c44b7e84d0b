'use strict';
/* Those that have no token, by the thousand. */
const assert = require('assert');
const { row, redisServer, isLong, isSanitized, MB, workersPss } = require('../lib/table');
const { Daemon } = require('../../e2e/lib/daemon');
const { sit } = require('../lib/sitter');
const { Stream } = require('../lib/stream');
const { Flood } = require('../lib/flood');
const { VERSIONS, Client } = require('../../e2e/lib/clients');
const { Raw } = require('../../e2e/lib/raw');
const { Polling } = require('../../e2e/lib/http');
const { ask, askJson, scrape } = require('../../e2e/lib/metrics');
const { SLOW, within, until, elapse } = require('../../e2e/lib/time');

const HANDSHAKES = isSanitized ? 10000 : 40000;
const KINDS = ['socket', 'polling', 'websocket'];
const PLACES = { connections: 4000, strangers: 1000 };
const placesOf = (metrics) => KINDS.reduce((sum, kind) => sum + metrics.get('strangers', `kind="${kind}"`), 0);

/* A client of each generation over each way in, as it comes: it may try again. */
async function newcomers(t, daemon, redis) {
    const took = [];
    for (const version of VERSIONS) {
        for (const transports of [['websocket'], ['polling', 'websocket'], ['polling']]) {
            const began = Date.now();
            const client = new Client(version, daemon.addr, { token: daemon.token(`new ${version}`), options: { transports, reconnection: true } });
            t.after(() => client.close());
            await client.noted('connect', within(5000));
            took.push(Date.now() - began);
            redis.emitter().to(`new ${version}`).emit('hello', version);
            await client.when(() => client.events.some(([name]) => name === 'hello'), within(3000), 'its message');
            client.close();
        }
    }
    return took;
}

/* Over a slow line: half a second from the handshake to the token. */
async function slowly(t, daemon) {
    const token = daemon.token('slow');
    const clients = [await Raw.open(daemon.addr), await Polling.open(daemon.addr)];
    t.after(() => clients.forEach((client) => client.destroy()));
    await elapse(500);
    await Promise.all([clients[0].join('/axr', { token }), clients[1].join('/axr', token)]);
    clients[0].destroy();
    await clients[1].send('1');
}

row(41, `strangers: ${HANDSHAKES} polling handshakes over four connections, sockets that only ask for /status, sockets that never speak`,
    'users connect and stay; strangers keep to their share; health and metrics tell', async (t) => {
        const redis = await redisServer();
        const daemon = await Daemon.start(t, { redis, config: { workers: 1, log: { level: 'info' }, limits: { connections: PLACES.connections } } });
        const sitter = await sit(t, { where: daemon.addr, token: daemon.token('sits'), count: 12 });
        const stream = await Stream.start(t, daemon, redis, { count: 20, rate: 50 });
        const before = workersPss(daemon);
        const flood = await Flood.start(t, daemon, { connections: 4, sockets: 600 });
        await until(async () => {
            const { handshakes, refused } = await flood.counts();
            return handshakes + refused > 2 * PLACES.connections;
        }, within(20000), 'the flood');
        let most = 0;
        const came = [];
        await until(async () => {
            const slow = slowly(t, daemon);
            slow.catch(() => {});
            came.push(...(await newcomers(t, daemon, redis)));
            await slow;
            const metrics = await scrape(daemon);
            most = Math.max(most, placesOf(metrics));
            assert.deepStrictEqual([metrics.get('connections_full'), metrics.get('strangers_limit')], [0, PLACES.strangers]);
            const { status, text } = await ask(daemon, '/health');
            assert.deepStrictEqual([status, JSON.parse(text).strangers.limit], [200, PLACES.strangers]);
            return (await flood.counts()).handshakes >= HANDSHAKES;
        }, within(isLong ? 120000 : 60000), 'all handshakes');
        const counts = await flood.stop();
        const metrics = await scrape(daemon);
        t.note(`${counts.handshakes} handshakes, ${counts.status} times /status, ${counts.closed} sockets closed; at most ${most} of ${PLACES.strangers} places`);
        t.note(`${came.length} users came, the slowest in ${Math.max(...came)} ms`);
        t.memory('the worker grew', workersPss(daemon) - before, 4 * MB);
        assert.strictEqual(counts.refused, 0, 'a stranger was refused');
        assert.ok(most <= PLACES.strangers && most > PLACES.strangers / 4, `${most} places`);
        for (const kind of ['socket', 'polling']) assert.ok(metrics.get('strangers_evicted_total', `kind="${kind}"`) > 0, kind);
        assert.ok(metrics.get('sessions_closed_total', 'reason="evicted"') > HANDSHAKES / 2);
        assert.match(daemon.log, /warn worker 1\[\d+\]: limits:strangers reached: .* address=127\.0\.0\.1:\d+ times=\d+/);
        assert.match(daemon.log, /warn worker 1\[\d+\]: too many sessions without a good token over one connection: .* address=127\.0\.0\.1:\d+ /);
        const result = await stream.stop();
        t.note(`those that were in heard all of ${result.sent}, p99 ${result.p99.toFixed(1)} ms`);
        assert.deepStrictEqual([result.lost, result.behind, result.wrong], [0, 0, []]);
        assert.ok(!sitter.how);
        assert.doesNotMatch(daemon.log, /client disconnected: user=sits /);
        await full(t, redis);
    }, { timeout: 300000 * SLOW });

/* Only users fill a worker, and then it says so. */
async function full(t, redis) {
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, log: { level: 'info' }, limits: { connections: 20 } } });
    const flood = await Flood.start(t, daemon, { connections: 2, sockets: 20 });
    const clients = [];
    const comes = async () => {
        const client = new Raw(daemon.addr);
        client.sendText(client.connectPacket('/axr', { token: daemon.token('u') }));
        await client.upgraded;
        while (!(await client.text()).startsWith('40/axr,'));
        return client;
    };
    while (clients.length < 20) {
        const client = await comes().catch(() => null);
        if (client) clients.push(client);
    }
    t.after(() => clients.forEach((client) => client.destroy()));
    const { status, text } = await ask(daemon, '/health');
    assert.deepStrictEqual([status, JSON.parse(text).reasons, JSON.parse(text).connections], [503, ['no place for a client: limits:connections'], { now: 20, limit: 20, full: 1 }]);
    assert.strictEqual((await scrape(daemon)).get('connections_full'), 1);
    clients.pop().destroy();
    await until(async () => (await askJson(daemon, '/health')).status === 'ok', within(3000), 'a place');
    await flood.stop();
    t.note('20 of 20 places went to users, and then /health said so');
}
