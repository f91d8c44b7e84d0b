'use strict';
/* The admin address: what it says is what clients have seen. */
const assert = require('assert');
const { spawnSync } = require('child_process');
const { lookup } = require('dns').promises;
const fs = require('fs');
const path = require('path');
const { test, shared, keep } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, ROOT } = require('./lib/daemon');
const { Raw, joined } = require('./lib/raw');
const { once, polled, Polling } = require('./lib/http');
const { connect } = require('./lib/clients');
const { adminOf, adminsOf, ask, askJson, glance, scrape, settled } = require('./lib/metrics');
const { isRunning, tempDir } = require('./lib/proc');
const { SLOW, within, until } = require('./lib/time');

const redisServer = shared((s) => Redis.start(s));
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const VERSION = /^\d+\.\d+\.\d+$/;

const clientsAre = (daemon, count) => settled(daemon, (now) => now.get('clients') === count, `${count} clients`);

test('status: three fields on the client port, more on the admin address', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 3, cors: { origins: ['https://a.example'] } } });
    const own = await once(daemon.addr, 'GET', '/status', { Origin: 'https://a.example' });
    assert.strictEqual(own.status, 200);
    assert.strictEqual(own.headers['access-control-allow-origin'], 'https://a.example');
    assert.deepStrictEqual(Object.keys(JSON.parse(own.text)), ['name', 'time', 'version']);
    keep(t, await joined(daemon.addr, daemon.token('u')));
    await clientsAre(daemon, 1);
    const more = await askJson(daemon, '/status');
    for (const { name, time, version } of [JSON.parse(own.text), more]) {
        assert.strictEqual(name, 'axr-notifyd');
        assert.match(time, TIME);
        assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60000, time);
        assert.match(version, VERSION);
    }
    assert.deepStrictEqual(more.workers, { configured: 3, up: 3, restarts: 0 });
    assert.deepStrictEqual([more.clients, more.users, more.pid], [1, 1, daemon.pid]);
    assert.deepStrictEqual(more.redis, { subscribed: true, gaps: 0, commands: true, counted: true });
});
test('promtool has no remark, and every sum is that of the workers', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 3 } });
    for (let i = 0; i < 5; i++) keep(t, await joined(daemon.addr, daemon.token(`u${i}`)));
    const metrics = await clientsAre(daemon, 5);
    const tool = spawnSync('promtool', ['check', 'metrics'], { input: metrics.text, encoding: 'utf8' });
    assert.deepStrictEqual([tool.status, tool.stdout, tool.stderr], [0, '', '']);
    let families = 0;
    for (const [name, all] of metrics.values) {
        const [, family] = /^axr_notifyd_worker_(.*)$/.exec(name) || [];
        if (!family || family === 'up') continue;
        const sums = new Map();
        for (const [labels, value] of all) {
            const rest = labels.split(',').filter((label) => !label.startsWith('worker=')).join(',');
            sums.set(rest, (sums.get(rest) || 0) + value);
        }
        for (const [labels, sum] of sums)
            assert.ok(Math.abs(sum - metrics.get(family, labels)) < 1e-6, `${family}{${labels}}`);
        families++;
    }
    assert.ok(families > 30, `${families} families`);
    assert.deepStrictEqual(metrics.each('up'), [1, 1, 1]);
}, { needs: 'promtool' });
test('the manual names every metric, and no other', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, tls: true }); /* with certificates there are series of them */
    const { text } = await scrape(daemon);
    const page = fs.readFileSync(path.join(ROOT, 'man/axr-notifyd.8'), 'utf8');
    const [, part] = /^\.Ss Metrics\n([^]*?)^Worth an alert/m.exec(page);
    const named = part.match(/^\.It Cm .*/gm).flatMap((line) => line.slice(7).split(/[ ,]+/).filter(Boolean));
    const families = [...text.matchAll(/^# TYPE axr_notifyd_(\S+) /gm)].map(([, name]) => name)
        .filter((name, i, all) => !(name.startsWith('worker_') && all.includes(name.slice(7))));
    assert.deepStrictEqual([...named].sort(), families.sort());
    const [, alerts] = /^Worth an alert:\n\.Bd[^\n]*\n([^]*?)^\.Ed/m.exec(page);
    for (const [name] of alerts.matchAll(/axr_notifyd_\w+/g)) assert.match(text, new RegExp(`^${name}[ {]`, 'm'));
});
test('promtool takes the job and the alerts of the manual', async (t) => {
    const page = fs.readFileSync(path.join(ROOT, 'man/axr-notifyd.8'), 'utf8');
    const literal = (start) => new RegExp(`^\\.Bd -literal -offset indent\\n(${start}[^]*?)^\\.Ed`, 'm').exec(page)[1];
    const checked = (what, text) => {
        const file = path.join(tempDir(t), `${what}.yml`);
        fs.writeFileSync(file, text);
        const tool = spawnSync('promtool', ['check', what, file], { encoding: 'utf8' });
        assert.strictEqual(tool.status, 0, tool.stdout + tool.stderr);
    };
    checked('config', literal('scrape_configs:'));
    const alerts = literal('up\\{').replace(/\n +/g, ' ').trim().split('\n');
    assert.ok(alerts.length > 8, `${alerts.length} alerts`);
    const rules = alerts.map((expr, i) => ({ alert: `a${i}`, expr }));
    checked('rules', JSON.stringify({ groups: [{ name: 'axr-notifyd', rules }] }));
}, { needs: 'promtool' });
test('figures are what clients have seen: sessions, connects, deliveries, bytes, latency', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 3 } });
    const { addr } = daemon;
    const raws = [];
    for (const eio of [3, 4, 4]) raws.push(keep(t, await joined(addr, daemon.token(`ws${eio}`), { eio })));
    const polls = [];
    for (const eio of [3, 4]) polls.push(keep(t, await polled(addr, daemon.token(`poll${eio}`), { eio })));
    const before = await clientsAre(daemon, 5);
    for (const [transport, protocol, count] of [['websocket', 3, 1], ['websocket', 4, 2], ['polling', 3, 1], ['polling', 4, 1]]) {
        const labels = `transport="${transport}",protocol="${protocol}"`;
        assert.strictEqual(before.get('sessions', labels), count, labels);
        assert.strictEqual(before.get('sessions_opened_total', labels), count, labels);
    }
    assert.strictEqual(before.get('connects_total'), 5);
    assert.strictEqual(before.get('users'), 4); /* ws4 is there twice */
    assert.strictEqual(before.get('deliveries_total'), 0);
    for (let i = 0; i < 7; i++) redis.emitter().emit('msg', 'x'.repeat(100));
    redis.emitter().to('ws4').emit('msg', 'two of them');
    redis.emitter().to('nobody').emit('msg', 'nobody');
    redis.emitter().except('ws4').emit('last');
    await redis.flush();
    const counts = await Promise.all([...raws, ...polls].map(async (client, i) => {
        let n = 0;
        const last = i === 1 || i === 2 ? 'two of them' : undefined;
        for (;;) {
            const { args } = await client.event();
            n++;
            if (last ? args[1] === last : args[0] === 'last') return n;
        }
    }));
    assert.deepStrictEqual(counts, [8, 8, 8, 8, 8]);
    const after = await settled(daemon, (now) => now.get('output_queue_bytes') === 0 && now.get('deliveries_total') >= 40, 'an empty queue');
    assert.strictEqual(after.get('deliveries_total'), 40);
    assert.strictEqual(after.get('messages_relayed_total'), 9);
    assert.strictEqual(after.get('messages_unheard_total'), 1);
    assert.strictEqual(after.get('redis_messages_total'), 10);
    assert.ok(after.get('sent_bytes_total') - before.get('sent_bytes_total') > 7 * 5 * 100);
    const writes = after.get('delivery_latency_seconds_count');
    assert.ok(writes >= 5 && writes <= 40, `${writes} writes with notifications`);
    assert.strictEqual(after.get('delivery_latency_seconds_bucket', 'le="+Inf"'), writes);
    const mean = after.get('delivery_latency_seconds_sum') / writes;
    assert.ok(mean >= 0 && mean < 10 * SLOW, `${mean} s`);
    assert.strictEqual(after.get('deliveries_dropped_total', 'reason="send_buffer"'), 0);
    raws[0].destroy();
    const left = await settled(daemon, (now) => now.get('clients') === 4 && now.get('sessions_closed_total', 'reason="client"') > 0, 'one has left');
    assert.strictEqual(left.get('sessions_closed_total', 'reason="client"'), 1);
    assert.strictEqual(left.get('disconnects_total', 'reason="client"'), 1);
});
test('upgrades and handoffs are counted once each', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 4 } });
    for (let i = 0; i < 6; i++) {
        const client = await connect(4, daemon.addr, { token: daemon.token('u'), options: { transports: ['polling', 'websocket'] } });
        t.after(() => client.close());
        client.socket.io.engine.on('upgrade', () => client.wake());
        await client.when(() => client.socket.io.engine.transport.name === 'websocket', within(3000), 'upgrade');
    }
    const metrics = await settled(daemon, (now) => now.get('upgrades_total', 'result="done"') === 6, 'six upgrades');
    assert.strictEqual(metrics.get('sessions', 'transport="websocket",protocol="4"'), 6);
    assert.strictEqual(metrics.get('sessions', 'transport="polling",protocol="4"'), 0);
    assert.strictEqual(metrics.get('sessions_opened_total', 'transport="polling",protocol="4"'), 6);
    assert.strictEqual(metrics.get('upgrades_total', 'result="failed"'), 0);
    const done = await settled(daemon, (now) =>
        now.get('handoffs_total', 'result="done"') === now.get('handoffs_received_total', 'result="done"'), 'handoffs that have arrived');
    for (const name of ['handoffs_total', 'handoffs_received_total'])
        assert.strictEqual(done.get(name, 'result="failed"'), 0, name);
});
test('a request that is passed to another worker is counted once', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 4 } });
    let passed = 0;
    for (let sent = 0; !passed && sent < 400; ) {
        const client = keep(t, await Polling.open(daemon.addr)); /* a GET */
        for (let i = 0; i < 9; i++) await client.send('41/nowhere,'); /* each on a connection of its own */
        sent += 10;
        const metrics = await settled(daemon, (now) => now.get('http_requests_total') >= sent, 'all that were sent');
        passed = metrics.get('handoffs_received_total', 'result="done"');
        assert.strictEqual(metrics.get('http_requests_total'), sent);
    }
    assert.ok(passed > 0, 'a handoff');
});
test('refusals by the reason that clients were told, errors by status', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { limits: { connectionsPerUser: 1 }, 'socket.io': { allowEIO3: false } } });
    const told = {};
    const tries = [undefined, 'junk', daemon.token('u', { exp: 1000 }), daemon.token('u', { exp: 1000 }), daemon.token('one')];
    keep(t, await joined(daemon.addr, daemon.token('one')));
    for (const token of tries) {
        const client = keep(t, await Raw.open(daemon.addr));
        client.sendText(`40/axr,${JSON.stringify({ token })}`);
        const { data: { code } } = JSON.parse((await client.text()).replace('44/axr,', ''));
        told[code] = (told[code] || 0) + 1;
        client.destroy();
    }
    assert.deepStrictEqual(told, { token_missing: 1, token_malformed: 1, token_expired: 2, user_limit: 1 });
    assert.strictEqual((await once(daemon.addr, 'GET', '/elsewhere')).status, 404);
    for (const query of ['EIO=3&transport=polling', 'EIO=4&transport=polling&sid=x', 'EIO=4&transport=polling&sid=y'])
        assert.strictEqual((await once(daemon.addr, 'GET', `/notifications/?${query}`)).status, 400);
    const metrics = await settled(daemon, (now) => now.get('sessions_closed_total', 'reason="client"') === 5
        && now.get('http_errors_total', 'status="400"') >= 3 && now.get('http_errors_total', 'status="404"') >= 1, 'all refused');
    for (const [code, count] of Object.entries(told))
        assert.strictEqual(metrics.get('refusals_total', `reason="${code}"`), count, code);
    assert.strictEqual(metrics.get('admissions_total', 'verdict="user_limit"'), 1);
    assert.strictEqual(metrics.get('http_errors_total', 'status="404"'), 1);
    assert.strictEqual(metrics.get('http_errors_total', 'status="400"'), 3);
    assert.strictEqual(metrics.get('engineio_errors_total', 'error="unknown_sid"'), 2);
    assert.strictEqual(metrics.get('engineio_errors_total', 'error="unsupported_version"'), 1);
});
test('messages that are dropped, by cause', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { limits: { messageBytes: 1000 } } });
    await redis.publish('socket.io#/axr#', Buffer.from('c1', 'hex'));
    redis.emitter().emit('msg', 'x'.repeat(2000));
    await settled(daemon, (now) => ['malformed', 'too_large']
        .every((cause) => now.get('messages_dropped_total', `cause="${cause}"`) === 1), 'two dropped');
});
test('health: 503 while redis is away, with the reason; then 200 again, and the gap counted', async (t) => {
    const redis = await Redis.start(t);
    const daemon = await Daemon.start(t, { redis });
    const good = await ask(daemon, '/health');
    assert.deepStrictEqual([good.status, JSON.parse(good.text).status], [200, 'ok']);
    await redis.stop();
    const bad = await until(async () => {
        const answer = await ask(daemon, '/health');
        return answer.status === 503 && answer;
    }, within(3000), '503');
    assert.deepStrictEqual(JSON.parse(bad.text).reasons, ['redis is not subscribed']);
    assert.strictEqual((await ask(daemon, '/health/live')).status, 200);
    assert.strictEqual((await scrape(daemon)).get('redis_up'), 0);
    await redis.again();
    await until(async () => (await ask(daemon, '/health')).status === 200, within(3000), '200');
    const metrics = await scrape(daemon);
    assert.strictEqual(metrics.get('redis_up'), 1);
    assert.strictEqual(metrics.get('redis_gaps_total'), 1);
    assert.ok(metrics.get('redis_gap_seconds_total') > 0);
});
test('a worker that is killed takes none of the totals with it', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 2 } });
    daemon.deaths = true;
    for (let i = 0; i < 10; i++) keep(t, await joined(daemon.addr, daemon.token('u')));
    redis.emitter().emit('msg', 1);
    const before = await settled(daemon, (now) => now.get('deliveries_total') === 10, 'ten deliveries');
    const clients = before.each('clients'); /* all ten may be with one */
    const victim = clients.findIndex((count) => count > 0);
    const pid = daemon.workers()[victim];
    process.kill(pid, 'SIGKILL');
    await until(() => !isRunning(pid), within(1000), 'its end');
    const after = await settled(daemon, (now) => now.get('restarts_total') === 1 && now.get('workers_up') === 2, 'another');
    let totals = 0;
    for (const [name, all] of before.values) {
        if (!/^axr_notifyd_.*(_total|_count|_sum|_bucket)$/.test(name)) continue;
        for (const [labels, value] of all) {
            const now = after.values.get(name).get(labels);
            assert.ok(now >= value, `${name}{${labels}}: ${now} after ${value}`);
            totals++;
        }
    }
    assert.ok(totals > 100, `${totals} totals`);
    assert.strictEqual(after.get('connects_total'), 10);
    const alive = after.get('clients');
    assert.strictEqual(alive, 10 - clients[victim], 'gauges are of those that live');
    assert.strictEqual((await askJson(daemon, '/status')).workers.restarts, 1);
    for (let i = 0; i < 4; i++) keep(t, await joined(daemon.addr, daemon.token('u')));
    const more = await clientsAre(daemon, alive + 4);
    assert.strictEqual(more.get('connects_total'), 14);
});
test('a worker that does not answer is waited for half a second, and others are not', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 2 } });
    keep(t, await joined(daemon.addr, daemon.token('u')));
    await clientsAre(daemon, 1);
    const [pid] = daemon.workers();
    process.kill(pid, 'SIGSTOP');
    t.after(() => isRunning(pid) && process.kill(pid, 'SIGCONT'));
    const start = Date.now();
    const metrics = await glance(daemon);
    assert.ok(Date.now() - start < within(500), `${Date.now() - start} ms`);
    assert.strictEqual(metrics.get('clients'), 1);
    process.kill(pid, 'SIGCONT');
});
test('health: 503 while no worker gives a sign of life, long before it is replaced', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 2 } });
    const pids = daemon.workers();
    t.after(() => pids.forEach((pid) => isRunning(pid) && process.kill(pid, 'SIGCONT')));
    const health = async () => {
        const { status, text } = await ask(daemon, '/health');
        return { ...JSON.parse(text), status };
    };
    const becomes = (check, what) => until(async () => check(await health()), within(5000), what);
    await becomes(({ status, workers }) => status === 200 && workers.up === 2, 'both up');
    process.kill(pids[0], 'SIGSTOP');
    await becomes(({ status, workers }) => status === 200 && workers.up === 1, '200 with one of two');
    const metrics = await scrape(daemon);
    assert.deepStrictEqual(metrics.each('up'), [0, 1]);
    assert.strictEqual(metrics.get('workers_up'), 1);
    process.kill(pids[0], 'SIGCONT');
    await becomes(({ workers }) => workers.up === 2, 'both up again');
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    await becomes(({ status, reasons }) => status === 503 && reasons[0] === 'no worker serves', '503');
    assert.strictEqual((await ask(daemon, '/health/live')).status, 200);
    for (const pid of pids) process.kill(pid, 'SIGCONT');
    await becomes(({ status, workers }) => status === 200 && workers.up === 2, '200 again');
    assert.deepStrictEqual(daemon.workers(), pids, 'none was replaced');
});
test('users: who is connected, and how often, over all workers', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 3 } });
    const uid = 'ünï code/with?odd&signs%';
    const target = `/users/${encodeURIComponent(uid)}`;
    const is = (connections) => until(async () => {
        const user = await askJson(daemon, target);
        assert.strictEqual(user.uid, uid);
        assert.strictEqual(user.connected, user.connections > 0);
        return user.connections === connections;
    }, within(2000), `${connections} connections`);
    await is(0);
    const clients = [];
    for (let i = 1; i <= 4; i++) {
        clients.push(keep(t, await joined(daemon.addr, daemon.token(uid))));
        await is(i);
    }
    for (const client of clients) client.destroy();
    await is(0);
});
test('users: the rooms that they are in, over all workers', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 3 } });
    const emitter = redis.emitter();
    const are = (uid, rooms) => until(async () => {
        const user = await askJson(daemon, `/users/${uid}`);
        return JSON.stringify(user.rooms) === JSON.stringify(rooms);
    }, within(5000), `${uid} in ${JSON.stringify(rooms)}`);
    /* All of them: one worker's word is enough for who is in which room. */
    const count = async (rooms, memberships) => {
        await settled(daemon, (now) => now.get('further_rooms') === rooms && now.get('memberships') === memberships, `${rooms} rooms, ${memberships} memberships`);
        const status = await askJson(daemon, '/status');
        assert.deepStrictEqual([status.rooms, status.memberships], [rooms, memberships]);
    };
    await are('ann', []);
    const clients = [];
    for (const uid of ['ann', 'ann', 'ann', 'bob']) {
        clients.push(keep(t, await joined(daemon.addr, daemon.token(uid))));
    }
    await are('ann', ['ann', 'allusers']);
    emitter.in('ann').socketsJoin(['guild', 42, '42']);
    await are('ann', ['ann', 'allusers', '42', 'guild', 42]);
    await count(3, 9);
    emitter.in('bob').socketsJoin(['guild', 'ann']);
    await are('bob', ['bob', 'allusers', 'ann', 'guild']);
    await count(4, 11);
    emitter.in('ann').socketsLeave('allusers');
    await are('ann', ['ann', '42', 'guild', 42]);
    await are('bob', ['bob', 'ann', 'guild']); // who is in the room of that name, too
    await count(4, 11);
    emitter.to('ann').emit('msg', 'all four');
    for (const client of clients) assert.deepStrictEqual((await client.event()).args, ['msg', 'all four']);
    for (const client of clients) client.destroy();
    await are('ann', []);
    await are('bob', []);
    await count(0, 0);
});
test('the admin address: in use, and off', async (t) => {
    const redis = await redisServer();
    const first = await Daemon.start(t, { redis });
    const { port } = await adminOf(first);
    const how = await Daemon.once(t, { redis, config: { admin: { port } } });
    assert.ok(how.code > 0);
    assert.match(how.log, new RegExp(`admin: cannot listen on 127\\.0\\.0\\.1:${port}: Address already in use`));
    const none = await Daemon.start(t, { redis, config: { admin: { port: 'off' } } });
    assert.doesNotMatch(none.log, /admin listening/);
});
/* Debian's installer writes both into /etc/hosts; not every machine has that file. */
test('the admin address by name: localhost is 127.0.0.1 and ::1', async (t) => {
    const redis = await redisServer();
    const hosts = path.join(tempDir(t), 'hosts');
    fs.writeFileSync(hosts, '127.0.0.1\tlocalhost\n::1     localhost ip6-localhost ip6-loopback\n');
    const own = ['unshare', '--mount', 'sh', '-c', 'mount --bind "$0" /etc/hosts && exec "$@"', hosts];
    const private_ = spawnSync(own[0], [...own.slice(1), 'true']).status === 0;
    const config = { admin: { host: 'localhost' } };
    const daemon = await Daemon.start(t, { redis, config, wrap: private_ ? own : [] });
    const addresses = (await adminsOf(daemon)).map((one) => one.host).sort();
    const found = (await lookup('localhost', { all: true })).map((one) => one.address);
    assert.deepStrictEqual(addresses, private_ ? ['127.0.0.1', '::1'] : [...new Set(found)].sort());
    for (const where of await adminsOf(daemon)) assert.strictEqual((await once(where, 'GET', '/health')).status, 200);
    assert.strictEqual((await ask(daemon, '/health')).status, 200);
});
test('no worker holds the admin address or a connection to it', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis });
    daemon.deaths = true;
    const where = await adminOf(daemon);
    const waiting = keep(t, await Raw.open(daemon.addr)); /* any open socket */
    const [pid] = daemon.workers();
    process.kill(pid, 'SIGKILL');
    await settled(daemon, (now) => now.get('workers_up') === 2 && now.get('restarts_total') === 1, 'another worker');
    await daemon.kill();
    for (const one of daemon.workersAtReady) await until(() => !isRunning(one), within(2000), 'end of the workers');
    await assert.rejects(once(where, 'GET', '/health'));
    waiting.destroy();
});
