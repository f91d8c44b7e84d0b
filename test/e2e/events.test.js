'use strict';
/* What whoever looks at the daemon is told: it moves with what happens, and is what /metrics says. */
const assert = require('assert');
const { test, shared, mode, keep } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, merge } = require('./lib/daemon');
const { crowd } = require('./lib/load');
const { Events } = require('./lib/events');
const { once } = require('./lib/http');
const { Raw } = require('./lib/raw');
const { adminOf, ask, askJson, scrape, settled } = require('./lib/metrics');
const { SLOW, within, until } = require('./lib/time');

const redisServer = shared((s) => Redis.start(s));
const started = shared(async (s) => Daemon.start(s, { redis: await redisServer(), config: { workers: 2 } }));
const CLIENTS = 100;
const MESSAGES = 30;

/* As Prometheus' histogram_quantile() does. */
function quantile(metrics, q) {
    const name = 'axr_notifyd_delivery_latency_seconds_bucket';
    const buckets = [...metrics.values.get(name)].map(([label, count]) => [Number(/"(.*)"/.exec(label)[1].replace('+Inf', 'Infinity')), count]);
    const rank = q * buckets.at(-1)[1];
    const at = buckets.findIndex(([, count]) => count >= rank);
    const [from, below] = at > 0 ? buckets[at - 1] : [0, 0];
    const [to, count] = buckets[at];
    return to === Infinity ? from : from + ((to - from) * (rank - below)) / (count - below);
}
const near = (got, want, by, what) => assert.ok(Math.abs(got - want) <= by * Math.max(1, Math.abs(want)), `${what}: ${got}, not ${want}`);
const textOf = (now, pattern) => now.events.find(({ text }) => pattern.test(text));
async function reload(daemon, config, pattern) {
    const from = daemon.log.length;
    daemon.write(config);
    daemon.signal('SIGHUP');
    await daemon.logged(pattern, within(5000), from);
}

test('100 clients and 3000 deliveries: what is told is what /metrics says', async (t) => {
    const daemon = await started();
    const redis = await redisServer();
    const events = await Events.open(t, daemon);
    const idle = await events.first('now');
    assert.match(events.head, /^HTTP\/1\.1 200 OK\r\n[^]*Content-Type: text\/event-stream/);
    assert.deepStrictEqual((await events.first('hour')).clients, []);
    assert.deepStrictEqual([idle.clients, idle.namespace, idle.token, idle.stopping], [0, '/axr', false, false]);
    assert.deepStrictEqual([idle.drops, idle.refusals, idle.closed], [[], [], []]);
    const clients = await crowd(t, daemon, CLIENTS);
    for (let i = 0; i < MESSAGES; i++) redis.emitter().emit('msg', i);
    const moving = await events.now((now) => now.rates.delivered > 0, 'rates');
    assert.ok(moving.rates.bytesOut > 0);
    assert.ok(events.all.some(([event, { rates }]) => event === 'now' && rates.received > 0));
    await settled(daemon, (now) => now.get('deliveries_total') === CLIENTS * MESSAGES, 'all is delivered');
    const metrics = await scrape(daemon);
    const after = await events.now((now) => now.clients === CLIENTS && now.rates.delivered === 0, 'rest');
    const status = await askJson(daemon, '/status');
    for (const name of ['users', 'rooms', 'memberships', 'pid', 'generation', 'version'])
        assert.strictEqual(after[name], status[name], name);
    assert.strictEqual(after.connections, metrics.get('connections'));
    assert.deepStrictEqual(after.limit, { connections: metrics.get('connections_limit'), strangers: metrics.get('strangers_limit') });
    assert.deepStrictEqual(after.workers.map((one) => one.clients), metrics.each('clients'));
    assert.deepStrictEqual(after.workers.map(({ number, up, restarts }) => [number, up, restarts]), [[1, true, 0], [2, true, 0]]);
    assert.deepStrictEqual(after.workers.map(({ pid }) => pid).sort(), daemon.workers().sort());
    if (after.uptime < 9) { /* or else some of it is longer ago than the ten seconds that it is of */
        assert.strictEqual(after.latency.count, metrics.get('delivery_latency_seconds_count'));
        near(after.latency.p50, quantile(metrics, 0.5), 2e-6, 'p50');
        near(after.latency.p99, quantile(metrics, 0.99), 2e-6, 'p99');
    }
    clients.forEach((client) => client.destroy());
    const left = await events.now((now) => now.clients === 0, 'they leave');
    assert.deepStrictEqual(left.closed.map(({ name, reason, total }) => [name, reason, total]), [['disconnects', 'client', CLIENTS]]);
});
test('drops and refusals, by reason', async (t) => {
    const daemon = await started();
    const redis = await redisServer();
    const events = await Events.open(t, daemon);
    for (let i = 0; i < 3; i++) await redis.publish('socket.io#/axr#', 'rubbish');
    for (let i = 0; i < 2; i++) await once(daemon.addr, 'GET', '/nowhere');
    const client = keep(t, await Raw.open(daemon.addr));
    client.sendText(client.connectPacket('/axr', { token: 'none' }));
    await client.text();
    const find = (list, name, reason) => list.find((one) => one.name === name && one.reason === reason) || {};
    const now = await events.now(({ drops, refusals }) => find(drops, 'messages_dropped', 'malformed').total === 3
        && find(refusals, 'http_errors', '404').total === 2 && refusals.some(({ name }) => name === 'refusals'), 'all of them');
    const metrics = await scrape(daemon);
    const LABELS = ['cause', 'reason', 'status', 'result', 'kind'];
    for (const { name, reason, total } of [...now.drops, ...now.refusals, ...now.closed]) {
        const values = metrics.values.get(`axr_notifyd_${name}_total`);
        assert.ok(LABELS.some((label) => values.get(`${label}="${reason}"`) === total), `${name} ${reason}`);
    }
});
test('reloads, generations, and an admin address that moves', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, drainTimeout: 0 } });
    const events = await Events.open(t, daemon);
    assert.deepStrictEqual((await events.first('now')).reloads, { good: 0, failed: 0, last: null });
    await reload(daemon, '{', /not reloaded/);
    const bad = await events.now((now) => now.reloads.failed === 1, 'a reload that failed');
    assert.deepStrictEqual([bad.reloads.last.ok, bad.events[0].level], [false, 'error']);
    assert.match(bad.events[0].text, /^configuration not reloaded/);
    near(bad.reloads.last.time, Date.now(), 1e-6, 'when');
    await reload(daemon, merge(daemon.config, { workers: 2 }), /configuration reloaded/);
    const more = await events.now((now) => now.workers.length === 2 && now.workers.every(({ up, generation }) => up && generation === 2), 'another generation');
    assert.deepStrictEqual([more.reloads.good, more.generation], [1, 2]);
    assert.ok(textOf(more, /^configuration reloaded; changed: .*workers/) && textOf(more, /^generation 2 serves/));
    const alone = await events.now((now) => now.generations.length === 1 && textOf(now, /^generation 1 has left/), 'the old one leaves');
    assert.deepStrictEqual(alone.generations, [{ number: 2, workers: 2, state: 'serves' }]);
    const { port } = await adminOf(daemon);
    await reload(daemon, merge(daemon.config, { workers: 2, admin: { host: '127.0.0.2' } }), /admin listening on 127\.0\.0\.2/);
    await events.ended;
    assert.ok(port > 0);
    daemon.deaths = 1; /* workers of the first generation have left */
});
test('a worker dies, redis goes and comes, and the daemon stops', async (t) => {
    const redis = await Redis.start(t);
    const daemon = await Daemon.start(t, { redis, config: { workers: 2 } });
    const events = await Events.open(t, daemon);
    const { workers } = await events.first('now');
    process.kill(workers[0].pid, 'SIGKILL');
    daemon.deaths = 1;
    const dead = await events.now((now) => now.workers[0].restarts === 1 && now.workers.every(({ up }) => up), 'another in its place');
    assert.notStrictEqual(dead.workers[0].pid, workers[0].pid);
    assert.strictEqual(textOf(dead, /^worker 1: killed by signal 9/).level, textOf(dead, /replaced at once/) ? 'warn' : 'error');
    await redis.stop();
    const cut = await events.now((now) => !now.redis.subscribed, 'redis is lost');
    assert.deepStrictEqual([cut.events[0].level, cut.health.status], ['error', 'failing']);
    assert.match(cut.events[0].text, /^redis is lost/);
    await redis.again();
    const back = await events.now((now) => now.redis.subscribed, 'redis is there again');
    assert.match(back.events[0].text, /^redis is subscribed again after \d+ ms$/);
    near(back.redis.lastGap, Date.now(), 1e-6, 'when');
    const metrics = await scrape(daemon);
    assert.deepStrictEqual([back.redis.gaps, back.redis.gapSeconds], [metrics.get('redis_gaps_total'), metrics.get('redis_gap_seconds_total')]);
    assert.strictEqual(back.redis.server, `127.0.0.1:${redis.port}`);
    await daemon.stop();
    await events.ended;
    const [, last] = events.all.at(-1);
    assert.strictEqual(textOf(last, /is ready$/).text, `axr-notifyd ${last.version} is ready`);
});
test('nine who watch: eight are told the same, the ninth is refused', async (t) => {
    const daemon = await started();
    const all = [];
    for (let i = 0; i < 8; i++) all.push(await Events.open(t, daemon));
    for (const one of all) await one.first('now');
    const ninth = await ask(daemon, '/events');
    assert.strictEqual(ninth.status, 503);
    const told = await Promise.all(all.map((one) => one.now(() => true, 'the next')));
    const times = new Set(told.map(({ time }) => time));
    assert.ok(times.size <= 2, [...times].join(' '));
    all[0].close();
    await until(async () => {
        const next = await Events.open(t, daemon);
        return Promise.race([next.first('now').catch(() => false), next.ended.then(() => false)]);
    }, within(2000), 'its place is free');
});
test('every ten seconds are a point', async (t) => {
    const daemon = await started();
    const events = await Events.open(t, daemon);
    let hour = await events.first('hour');
    if (hour.clients.length === 0) {
        const point = await events.next('point', () => true, 'a point', within(11000));
        hour = await (await Events.open(t, daemon)).first('hour');
        for (const [name, value] of Object.entries(point)) assert.deepStrictEqual([].concat(hour[name]).at(-1), name === 'end' ? hour.end : value, name);
    }
    assert.strictEqual(hour.step, 10);
    near(hour.end, Date.now(), 1e-6, 'when');
    const total = (name) => hour[name].reduce((sum, value) => sum + 10 * value, 0);
    near(total('delivered'), CLIENTS * MESSAGES, 0.1 * SLOW, 'deliveries a second');
    near(total('received'), MESSAGES + 3, 0.1 * SLOW, 'messages a second');
    near(total('connected'), CLIENTS, 0.1 * SLOW, 'clients that come');
    assert.ok(total('dropped') > 0 && total('refused') > 0 && total('bytesOut') > CLIENTS * MESSAGES);
    const [p50, p99] = [hour.p50, hour.p99].map((list) => list.find((one) => one !== null));
    assert.ok(p50 > 0 && p99 >= p50 && p99 <= 10, `${p50} ${p99}`);
    if (mode === 'long') await events.next('point', ({ delivered }) => delivered === 0, 'the next point', within(11000));
});
