'use strict';
/* Each metric is put to the test: so many of an event are made, so many are counted. */
const assert = require('assert');
const { execFileSync } = require('child_process');
const fs = require('fs');
const net = require('net');
const notepack = require('notepack.io');
const { test, shared, mode, keep } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, merge } = require('./lib/daemon');
const { Raw, joined } = require('./lib/raw');
const { polled, once } = require('./lib/http');
const { askJson, scrape, settled } = require('./lib/metrics');
const { isRunning } = require('./lib/proc');
const { within, until, elapse } = require('./lib/time');

const redisServer = shared((s) => Redis.start(s));

/* The totals, as [name, labels, value]. */
const totals = (metrics) => [...metrics.values]
    .filter(([name]) => /^axr_notifyd_.*(_total|_count|_sum|_bucket)$/.test(name))
    .flatMap(([name, all]) => [...all].map(([labels, value]) => [name, labels, value]));
function onlyGrew(before, after) {
    for (const [name, labels, value] of totals(before)) {
        const now = after.values.get(name).get(labels);
        assert.ok(now >= value, `${name}{${labels}}: ${now} after ${value}`);
    }
}
async function reload(daemon, over, pattern = /configuration reloaded/) {
    const from = daemon.log.length;
    daemon.config = merge(daemon.config, over);
    daemon.write(daemon.config);
    daemon.signal('SIGHUP');
    await daemon.logged(pattern, within(5000), from);
    return from;
}

test('connections, rooms, requests and bytes, to the byte', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1 } });
    const before = await scrape(daemon);
    assert.strictEqual(before.get('connections'), 0);
    assert.strictEqual(before.get('rooms'), 0);
    const request = 'GET /status HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n';
    const answer = await new Promise((resolve, reject) => {
        const chunks = [];
        net.connect(daemon.addr.port, daemon.addr.host, function connected() { this.write(request); })
            .on('data', (chunk) => chunks.push(chunk)).on('error', reject).on('end', () => resolve(Buffer.concat(chunks)));
    });
    const after = await settled(daemon, (now) => now.get('connections_accepted_total') === 1 && now.get('connections') === 0, 'its end');
    assert.strictEqual(after.get('received_bytes_total'), request.length);
    assert.strictEqual(after.get('sent_bytes_total'), answer.length);
    assert.strictEqual(after.get('socket_writes_total'), 1);
    assert.strictEqual(after.get('http_requests_total'), 1);
    const clients = [];
    for (const uid of ['a', 'a', 'b']) clients.push(keep(t, await joined(daemon.addr, daemon.token(uid))));
    const now = await settled(daemon, (m) => m.get('clients') === 3, 'three clients');
    assert.strictEqual(now.get('rooms'), 3); /* allusers, a, b */
    assert.strictEqual(now.get('connections'), 3);
    assert.strictEqual(now.get('users'), 2);
    assert.strictEqual(now.get('admissions_total', 'verdict="ok"'), 3);
    clients[2].destroy();
    const less = await settled(daemon, (m) => m.get('clients') === 2, 'two clients');
    assert.deepStrictEqual([less.get('rooms'), less.get('connections'), less.get('users')], [2, 2, 1]);
    assert.strictEqual(less.get('connections_accepted_total'), 4);
});
test('sessions that clients have back, or not, and what they missed', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, 'socket.io': { connectionStateRecovery: { maxBytes: 2000000 } } } });
    const come = async (uid, claim = {}) => {
        const client = keep(t, await Raw.open(daemon.addr));
        client.sendText(client.connectPacket('/axr', { token: daemon.token(uid), ...claim }));
        return { client, ...JSON.parse((await client.text()).replace('40/axr,', '')) };
    };
    const heard = async ({ client }) => {
        for (;;) {
            const { args } = await client.event();
            if (args[0] !== '$offset') return args.slice(0, -1);
        }
    };
    const gone = async ({ client }, clients = 0) => {
        client.destroy();
        await settled(daemon, (now) => now.get('clients') === clients, 'it has gone');
    };
    const figures = async (...names) => {
        const now = await scrape(daemon);
        return names.map((name) => now.get(...name.split('|')));
    };
    const HISTORY = ['history_messages', 'history_crowded_total', 'history_limit_bytes', 'recovery_on'];
    assert.deepStrictEqual(await figures(...HISTORY, 'recovered_total'), [0, 0, 2000000, 1, 0]);

    const first = await come('u');
    redis.emitter().to('u').emit('one');
    assert.deepStrictEqual(await heard(first), ['one']);
    await gone(first);
    assert.deepStrictEqual(await figures('recovery_sessions', 'recovery_sessions_gone'), [0, 1]);
    redis.emitter().to('u').emit('two');
    redis.emitter().to('other').emit('not for it');
    redis.emitter().to('u').emit('three');
    await settled(daemon, (now) => now.get('history_messages') === 4, 'they are in the history');
    const { pid } = first;
    const second = await come('u', { pid });
    assert.strictEqual(second.pid, pid);
    for (const name of ['one', 'two', 'three']) assert.deepStrictEqual(await heard(second), [name]);
    assert.deepStrictEqual(await figures('recovered_total', 'replays_total|result="recovered"', 'replayed_total', 'recovery_sessions', 'recovery_sessions_gone'), [1, 1, 3, 1, 0]);

    const third = await come('u', { pid });
    assert.strictEqual(third.pid, pid);
    await second.client.end();
    assert.deepStrictEqual(await figures('recovered_total', 'recovery_takeovers_total', 'sessions_closed_total|reason="taken"'), [2, 1, 1]);
    const refusals = ['pid', 'offset', 'ended'].map((reason) => `recovery_refused_total|reason="${reason}"`);
    assert.notStrictEqual((await come('v', { pid })).pid, pid);
    assert.deepStrictEqual(await figures(...refusals), [1, 0, 0]);
    await gone(third, 1);
    assert.notStrictEqual((await come('u', { pid, offset: 'AAAAAAAAAAE' })).pid, pid);
    assert.deepStrictEqual(await figures(...refusals), [1, 1, 0]);
    const left = await come('w');
    left.client.sendText('41/axr,');
    await gone(left, 2);
    assert.notStrictEqual((await come('w', { pid: left.pid })).pid, left.pid);
    assert.deepStrictEqual(await figures(...refusals), [1, 1, 1]);
    await come('w', { pid: 'no pid' });
    assert.deepStrictEqual(await figures('replays_total|result="malformed"', 'recovered_total', 'history_messages'), [1, 2, 4]);
    const { recovery } = await askJson(daemon, '/status');
    assert.deepStrictEqual([recovery.recovered, recovery.refused, recovery.history.messages, recovery.history.limit], [2, 3, 4, 2000000]);
    await settled(daemon, (now) => now.get('recovery_offsets_shared') === 1, 'two marks');
});
test('what is not delivered: volatile ones skipped, an overflow dropped and discarded', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, limits: { sendBuffer: 4096 } } });
    keep(t, await polled(daemon.addr, daemon.token('u'))); /* and no GET any more */
    redis.emitter().emit('waits');
    redis.emitter().volatile.emit('skipped');
    redis.emitter().volatile.emit('skipped');
    const skipped = await settled(daemon, (now) => now.get('broadcasts_total') === 3, 'three notifications');
    assert.strictEqual(skipped.get('deliveries_total'), 1);
    assert.strictEqual(skipped.get('deliveries_skipped_total'), 2);
    const queued = skipped.get('output_queue_bytes');
    assert.ok(queued > 0);
    redis.emitter().emit('fits', 'x'.repeat(3000));
    redis.emitter().emit('lost', 'x'.repeat(3000));
    const over = await settled(daemon, (now) => now.get('disconnects_total', 'reason="send_buffer"') === 1, 'its end');
    assert.strictEqual(over.get('deliveries_total'), 2);
    assert.strictEqual(over.get('deliveries_dropped_total', 'reason="send_buffer"'), 1);
    assert.strictEqual(over.get('sessions_closed_total', 'reason="send_buffer"'), 1);
    const waiting = over.get('output_queue_bytes'); /* for a last GET, 10 s long */
    assert.ok(waiting > queued + 3000, `${waiting} bytes`);
    if (mode === 'quick') return;
    const gone = await until(async () => {
        const now = await scrape(daemon);
        return now.get('output_queue_bytes') === 0 && now;
    }, within(12000), 'the end of its time');
    assert.strictEqual(gone.get('output_discarded_bytes_total', 'reason="send_buffer"'), waiting);
    for (const [labels, bytes] of gone.values.get('axr_notifyd_output_discarded_bytes_total'))
        if (labels !== 'reason="send_buffer"') assert.strictEqual(bytes, 0, labels);
});
test('a client that polls and stays away is no latency', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1 } });
    const client = keep(t, await polled(daemon.addr, daemon.token('u')));
    redis.emitter().emit('msg', 1);
    await settled(daemon, (now) => now.get('deliveries_total') === 1, 'a notification that waits');
    const since = Date.now();
    await elapse(2000);
    const away = (Date.now() - since) / 1000;
    assert.deepStrictEqual((await client.event()).args, ['msg', 1]);
    const now = await settled(daemon, (m) => m.get('delivery_latency_seconds_count') === 1, 'an observation');
    assert.ok(now.get('delivery_latency_seconds_sum') < away, `${now.get('delivery_latency_seconds_sum')} s`);
});
test('messages that are passed over, or have no event, by cause', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1 } });
    const options = { rooms: [], except: [], flags: {} };
    const publish = (packet) => redis.publish('socket.io#/axr#', notepack.encode(['uid', packet, options]));
    for (let i = 0; i < 3; i++) await publish({ type: 2, data: ['msg'], nsp: '/other' });
    for (let i = 0; i < 2; i++) await publish({ type: 2, data: [], nsp: '/axr' });
    await publish({ type: 2, data: ['connect'], nsp: '/axr' });
    const now = await settled(daemon, (m) => m.get('redis_messages_total') === 6, 'six messages');
    assert.strictEqual(now.get('messages_passed_over_total', 'cause="other_namespace"'), 3);
    assert.strictEqual(now.get('messages_dropped_total', 'cause="no_event"'), 2);
    assert.strictEqual(now.get('messages_dropped_total', 'cause="reserved_event"'), 1);
    assert.strictEqual(now.get('redis_attempts_total'), 1);
    assert.strictEqual(now.get('broadcasts_total'), 0);
});
test('what waits for a worker that is stopped', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, limits: { sendBuffer: 16000000 } } });
    keep(t, await joined(daemon.addr, daemon.token('u')));
    assert.strictEqual((await scrape(daemon)).get('pipe_queue_bytes'), 0);
    const [pid] = daemon.workers();
    process.kill(pid, 'SIGSTOP');
    t.after(() => isRunning(pid) && process.kill(pid, 'SIGCONT'));
    for (let i = 0; i < 300; i++) redis.emitter().emit('msg', 'x'.repeat(10000));
    const waits = await settled(daemon, (now) => now.get('messages_relayed_total') === 300, '300 messages');
    const bytes = waits.get('pipe_queue_bytes');
    assert.ok(bytes > 300 * 10000 && bytes < 300 * 10500, `${bytes} bytes`);
    assert.deepStrictEqual(waits.each('pipe_queue_bytes'), [bytes]);
    process.kill(pid, 'SIGCONT');
    const now = await settled(daemon, (m) => m.get('pipe_queue_bytes') === 0 && m.get('broadcasts_total') === 300, 'all taken');
    assert.strictEqual(now.get('deliveries_total'), 300);
});
test('accepting that fails for want of descriptors', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1 } });
    const [pid] = daemon.workers();
    assert.strictEqual((await scrape(daemon)).get('accept_failures_total'), 0);
    const files = (n) => execFileSync('prlimit', ['--pid', String(pid), `--nofile=${n}:`]);
    const open = fs.readdirSync(`/proc/${pid}/fd`).map(Number);
    let free = 0;
    while (open.includes(free)) free++;
    files(free);
    const socket = net.connect(daemon.addr.port, daemon.addr.host).on('error', () => {});
    t.after(() => socket.destroy());
    await settled(daemon, (now) => now.get('accept_failures_total') > 0, 'a failure');
    files(1000);
    const served = await settled(daemon, (now) => now.get('connections') === 1, 'its connection');
    assert.strictEqual(served.get('connections_accepted_total'), 1);
}, { root: true, tools: 'prlimit' });
test('log lines that are lost, of workers and of the master', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, log: { level: 'info' } } });
    const before = await scrape(daemon);
    assert.strictEqual(before.get('log_lines_lost_total') + before.get('master_log_lines_lost_total'), 0);
    daemon.config = merge(daemon.config, { log: { target: '/dev/full' } });
    daemon.write(daemon.config);
    daemon.signal('SIGHUP');
    await settled(daemon, (now) => now.get('reloads_total', 'result="ok"') === 1, 'the reload');
    keep(t, await joined(daemon.addr, daemon.token('u')));
    await settled(daemon, (now) => now.get('log_lines_lost_total') > 0, 'lines of the worker');
    daemon.signal('SIGHUP');
    await settled(daemon, (now) => now.get('master_log_lines_lost_total') > 0, 'lines of the master');
});
test('no total goes back with a reload that needs other workers, nor the death of some', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 3, drainTimeout: 500 } });
    daemon.deaths = true;
    const [, , third] = daemon.workers();
    process.kill(third, 'SIGKILL');
    await settled(daemon, (now) => now.get('restarts_total') === 1 && now.get('workers_up') === 3, 'another worker');
    for (let i = 0; i < 6; i++) keep(t, await joined(daemon.addr, daemon.token(`u${i}`)));
    keep(t, await polled(daemon.addr, daemon.token('p')));
    await once(daemon.addr, 'GET', '/elsewhere');
    redis.emitter().emit('msg', 1);
    const before = await settled(daemon, (now) => now.get('deliveries_total') === 7, 'seven deliveries');
    assert.strictEqual(before.get('config_generation'), 1);
    const from = await reload(daemon, { workers: 1 });
    await daemon.logged(/generation 1 has left/, within(4000), from);
    const after = await settled(daemon, (now) => now.get('clients') === 0, 'nobody');
    onlyGrew(before, after);
    assert.strictEqual(after.get('restarts_total'), 1);
    assert.strictEqual(after.get('workers'), 1);
    assert.strictEqual(after.get('connects_total'), 7);
    assert.strictEqual(after.get('disconnects_total', 'reason="shutdown"'), 7);
    assert.strictEqual(after.get('reloads_total', 'result="ok"'), 1);
    assert.strictEqual(after.get('config_generation'), 2);
    await reload(daemon, { workers: 'none' }, /not reloaded/);
    keep(t, await joined(daemon.addr, daemon.token('u')));
    const more = await settled(daemon, (now) => now.get('connects_total') === 8, 'one more');
    onlyGrew(after, more);
    assert.strictEqual(more.get('reloads_total', 'result="failed"'), 1);
    assert.strictEqual(more.get('config_generation'), 2);
    const [last] = daemon.workers();
    process.kill(last, 'SIGKILL');
    const dead = await settled(daemon, (now) => now.get('restarts_total') === 2 && now.get('workers_up') === 1, 'another');
    onlyGrew(more, dead);
    assert.strictEqual(dead.get('connects_total'), 8);
});
