'use strict';
/* Start, ready line, signals, end. */
const assert = require('assert');
const fs = require('fs');
const net = require('net');
const path = require('path');
const { test, shared } = require('./lib/suite');
const { Redis, freePort } = require('./lib/redis');
const { Daemon, NOTIFYD, READY, LINE } = require('./lib/daemon');
const { Raw, joined, sentAway } = require('./lib/raw');
const { polled } = require('./lib/http');
const { heard, heardArgs } = require('./lib/hear');
const { scrape, settled } = require('./lib/metrics');
const { VERSIONS, connect } = require('./lib/clients');
const { run, isRunning, tempDir } = require('./lib/proc');
const { within, until, elapse } = require('./lib/time');

const redisServer = shared((s) => Redis.start(s));

/* The log, without warnings about the configuration: they come before it is open. */
const linesOf = (daemon) => daemon.log.trimEnd().split('\n').filter((line) => !/^axr-notifyd: warning:/.test(line));

/* A client that is heard of through redis: the daemon does its main job. */
async function serves(t, redis, daemon, where = daemon.addr) {
    const client = await joined(where, daemon.token('u'));
    t.after(() => client.destroy());
    redis.emitter().to('u').emit('msg', 'hello');
    assert.deepStrictEqual(await heardArgs(redis, [client]), [['hello']]);
    return client;
}

/* --- starting --- */

test('the ready line: workers, the port that was bound, redis; every line of the log in its form', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 3 } });
    assert.match(daemon.log, /axr-notifyd ready: 3 workers, listening on 127\.0\.0\.1:\d+, redis subscribed$/m);
    assert.strictEqual(daemon.workers().length, 3);
    await serves(t, redis, daemon);
    await daemon.stop();
    for (const line of linesOf(daemon)) assert.match(line, LINE);
});
test('log:format json: every line is an object', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { log: { format: 'json' } } });
    await serves(t, redis, daemon);
    await daemon.stop();
    for (const line of daemon.log.trimEnd().split('\n')) assert.strictEqual(typeof JSON.parse(line), 'object');
});
for (const format of ['text', 'json']) {
    test(`stderr is the journal of systemd, ${format}: priorities, and no second time`, async (t) => {
        const redis = await redisServer();
        const wrap = ['sh', '-c', 'JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2) exec "$@"', 'sh'];
        const config = { log: { format } };
        const daemon = await Daemon.start(t, { redis, config, wrap });
        await serves(t, redis, daemon);
        await daemon.stop();
        for (const line of daemon.log.trimEnd().split('\n')) {
            const form = format === 'text'
                ? /^<([3467])>(axr-notifyd: warning: |(debug|info|warn|error) (master|worker \d+)\[\d+\]: )/
                : /^<([3467])>\{"level":"(debug|info|warn|error)","process"/;
            const [, priority] = form.exec(line) || assert.fail(`not in its form: ${line}`);
            const level = { 3: 'error', 4: 'warn', 6: 'info', 7: 'debug' }[priority];
            assert.ok(line.includes(level), line);
        }
        const warning = { text: /^<4>axr-notifyd: warning: .*auth:secret/m, json: /^<4>.*"event":"configuration_warning".*auth:secret/m };
        assert.match(daemon.log, warning[format]);
        assert.match(daemon.log, /^<6>/m);
        assert.match(daemon.log, /^<7>/m);
    });
}
test('several listeners: IPv4, IPv6 in brackets, a Unix socket', async (t) => {
    const redis = await redisServer();
    const socket = path.join(tempDir(t), 'axr.sock');
    const listen = ['127.0.0.1:0', '[::1]:0', `unix:${socket}`, '127.0.0.1:0'];
    const daemon = await Daemon.start(t, { redis, config: { listen, port: undefined, host: undefined } });
    assert.match(daemon.log, /listening on 127\.0\.0\.1:\d+ \[::1\]:\d+ unix:\/\S+\.sock 127\.0\.0\.1:\d+, redis/);
    assert.strictEqual(daemon.addrs.length, 4);
    for (const where of daemon.addrs) await serves(t, redis, daemon, where);
    await daemon.stop();
    assert.ok(!fs.existsSync(socket), 'the Unix socket is removed');
});
test('a Unix socket that a killed daemon left is taken over', async (t) => {
    const redis = await redisServer();
    const socket = path.join(tempDir(t), 'axr.sock');
    const config = { listen: [`unix:${socket}`], port: undefined, host: undefined };
    const first = await Daemon.start(t, { redis, config });
    const workers = first.workers();
    await first.kill();
    await until(() => !workers.some(isRunning), within(2000), 'end of the workers');
    assert.ok(fs.existsSync(socket));
    const second = await Daemon.start(t, { redis, config });
    await serves(t, redis, second);
});
test('no host: all addresses, IPv4 and IPv6', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { host: undefined } });
    const { port } = daemon.addr;
    for (const host of ['127.0.0.1', '::1']) await serves(t, redis, daemon, { host, port });
});
test('another path and namespace', async (t) => {
    const redis = await redisServer();
    const config = { path: '/push/here/', 'socket.io': { namespace: '/news', key: 'my[key]*?' } };
    const daemon = await Daemon.start(t, { redis, config });
    const client = await Raw.open(daemon.addr, { path: '/push/here/' });
    t.after(() => client.destroy());
    await client.join('/news', { token: daemon.token('u') });
    redis.emitter('/news', { key: 'mykeyx' }).emit('msg', 'another key');
    redis.emitter('/news').emit('msg', 'the default key');
    redis.emitter('/axr', { key: 'my[key]*?' }).emit('msg', 'another namespace');
    redis.emitter('/news', { key: 'my[key]*?' }).emit('msg', 'right');
    assert.deepStrictEqual((await client.event()).args, ['msg', 'right']);
});
test('without redis: ready, clients come in, and hear once redis is there', async (t) => {
    const redis = await Redis.start(t);
    await redis.stop();
    const began = Date.now();
    const daemon = await Daemon.start(t, { redis });
    assert.ok(Date.now() - began < within(3000));
    assert.strictEqual(daemon.redisState, 'not reachable, retrying');
    const clients = [];
    for (const eio of [4, 3]) clients.push(await joined(daemon.addr, daemon.token('u'), { eio }));
    t.after(() => clients.forEach((client) => client.destroy()));
    await redis.again();
    await until(async () => (await redis.publish('socket.io#/axr#', 'x')) > 0, within(1500), 'subscription');
    redis.emitter().emit('msg', 'here');
    assert.deepStrictEqual(await heardArgs(redis, clients), [['here'], ['here']]);
});
test('a redis that does not answer delays the ready line by 3 s at most', async (t) => {
    const silent = net.createServer(() => {}).listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.on('listening', resolve));
    t.after(() => silent.close());
    const daemon = new Daemon(t, { redis: silent.address() });
    daemon.spawn();
    await daemon.ready(within(3000));
    assert.strictEqual(daemon.redisState, 'not reachable, retrying');
}, { quick: false });

/* --- starts that must fail --- */

async function fails(t, options, ...patterns) {
    const how = await Daemon.once(t, options);
    assert.ok(how.code > 0, `code ${how.code}, signal ${how.signal}`);
    assert.doesNotMatch(how.log, READY);
    for (const pattern of patterns) assert.match(how.log, pattern);
}
test('a port in use: an error that names it', async (t) => {
    const busy = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => busy.on('listening', resolve));
    t.after(() => busy.close());
    const { port } = busy.address();
    await fails(t, { config: { port } }, new RegExp(`127\\.0\\.0\\.1\\D+${port}`), /in use/i);
});
test('no key, an empty key, an empty secret file: no start', async (t) => {
    const empty = path.join(tempDir(t), 'secret');
    fs.writeFileSync(empty, '\n');
    await fails(t, { config: { auth: undefined } }, /auth:secret/);
    await fails(t, { config: { auth: { secret: '' } } }, /auth:secret/);
    await fails(t, { config: { auth: { secret: undefined, secretFile: empty } } }, /auth:secret/);
    await fails(t, { config: { auth: { secret: undefined, secretFile: `${empty}.none` } } }, /auth:secretFile/);
});
test('a broken file: its name, the line and the key', async (t) => {
    await fails(t, { text: '{\n  "workers": 2,\n  "prot": 3\n}\n' }, /axr-notifyd\.conf:3/, /prot/);
    await fails(t, { text: '{\n  "workers": "many"\n}\n' }, /axr-notifyd\.conf:2/, /workers/, /many/);
    await fails(t, { text: '{ "workers": 2' }, /axr-notifyd\.conf/);
});
test('options: an unknown one is an error, -h and -V are not', async () => {
    for (const args of [['-x'], ['--nothing', '1'], ['what']]) {
        const how = await run(NOTIFYD, args, { env: {} });
        assert.ok(how.code > 0, args.join(' '));
        assert.ok(how.err.includes(args[0].replace(/^-+/, '')), how.err);
    }
    for (const args of [['-h'], ['--help'], ['-V'], ['--version']]) {
        const how = await run(NOTIFYD, args, { env: {} });
        assert.strictEqual(how.code, 0);
        assert.match(how.out, /axr-notifyd/);
    }
    assert.match((await run(NOTIFYD, ['-V'], { env: {} })).out, /libevent \d[^]*wslay \d[^]*hiredis \d[^]*OpenSSL/);
});

test('--health and --live: what the admin address answers, and whether it is well', async (t) => {
    const redis = await Redis.start(t);
    const daemon = await Daemon.start(t, { redis, config: { admin: { port: await freePort() } } });
    const asked = (option) => run(NOTIFYD, ['-c', daemon.file, option], { env: {} });
    for (const [option, wanted] of [['--health', /^\{"status":"ok",.*\}\n$/], ['--live', /^\{.*\}\n$/]]) {
        const how = await asked(option);
        assert.deepStrictEqual([how.code, how.err], [0, '']);
        assert.match(how.out, wanted);
    }
    await redis.stop();
    await until(async () => (await asked('--health')).code === 1, within(3000), 'it is known that redis is away');
    assert.match((await asked('--health')).out, /^\{.*redis.*\}\n$/);
    assert.strictEqual((await asked('--live')).code, 0);
    await redis.again();
    await until(async () => (await asked('--health')).code === 0, within(3000), 'redis is subscribed again');
    await daemon.stop();
    for (const option of ['--health', '--live']) {
        const how = await asked(option);
        assert.deepStrictEqual([how.code, how.out], [1, '']);
        assert.match(how.err, /^axr-notifyd: no connection to 127\.0\.0\.1, port \d+: Connection refused\n$/);
    }
});

/* --- in the background --- */

/* Starts with -d; resolves to the daemon with the pid that the pid file has. */
async function detached(t, redis, config = {}) {
    const dir = tempDir(t);
    const pidFile = path.join(dir, 'axr.pid');
    const target = path.join(dir, 'axr.log');
    const daemon = new Daemon(t, { redis, config: { pidFile, log: { target, level: 'debug' }, ...config }, args: ['-d'] });
    Object.defineProperty(daemon, 'log', { get: () => (fs.existsSync(target) ? fs.readFileSync(target, 'utf8') : '') });
    daemon.spawn();
    const how = await daemon.process.ended(within(4000));
    const pid = fs.existsSync(pidFile) ? Number(fs.readFileSync(pidFile, 'utf8')) : 0;
    t.after(() => isRunning(pid) && process.kill(pid, 'SIGKILL'));
    Object.assign(daemon, { how, pid, pidFile });
    return daemon;
}
test('-d returns 0 when ready, the pid file is there; TERM ends it and removes the file', async (t) => {
    const redis = await redisServer();
    const daemon = await detached(t, redis);
    assert.deepStrictEqual(daemon.how, { code: 0, signal: null });
    const match = READY.exec(daemon.log);
    assert.ok(match, 'ready line at the return');
    assert.ok(isRunning(daemon.pid));
    assert.strictEqual(daemon.workers().length, 2);
    const where = { host: '127.0.0.1', port: Number(/:(\d+)$/.exec(match[2])[1]) };
    const client = await serves(t, redis, daemon, where);
    process.kill(daemon.pid, 'SIGTERM');
    await sentAway(client);
    await until(() => !isRunning(daemon.pid), within(2000), 'end of the daemon');
    assert.ok(!fs.existsSync(daemon.pidFile));
});
test('-d: a second one with the same pid file fails, and the first stays', async (t) => {
    const redis = await redisServer();
    const first = await detached(t, redis);
    const second = new Daemon(t, { redis, config: { pidFile: first.pidFile }, args: ['-d'] });
    second.spawn();
    const how = await second.process.ended(within(4000));
    assert.ok(how.code > 0);
    assert.ok(second.log.includes(first.pidFile), second.log);
    assert.ok(isRunning(first.pid));
    assert.strictEqual(Number(fs.readFileSync(first.pidFile, 'utf8')), first.pid);
    process.kill(first.pid, 'SIGTERM');
    await until(() => !isRunning(first.pid), within(2000), 'end of the daemon');
});
test('-d: a start that fails returns an error, on stderr', async (t) => {
    const busy = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => busy.on('listening', resolve));
    t.after(() => busy.close());
    const redis = await redisServer();
    const daemon = await detached(t, redis, { port: busy.address().port });
    assert.ok(daemon.how.code > 0);
    assert.match(daemon.process.log, /in use/i);
    assert.ok(!fs.existsSync(daemon.pidFile));
});
test('a pid file that a killed daemon left is no hindrance', async (t) => {
    const redis = await redisServer();
    const pidFile = path.join(tempDir(t), 'axr.pid');
    fs.writeFileSync(pidFile, `${process.pid}\n`);
    const daemon = await detached(t, redis, { pidFile });
    assert.strictEqual(daemon.how.code, 0);
    const pid = Number(fs.readFileSync(pidFile, 'utf8'));
    assert.notStrictEqual(pid, process.pid);
    process.kill(pid, 'SIGTERM');
    await until(() => !isRunning(pid), within(2000), 'end of the daemon');
    assert.ok(!fs.existsSync(pidFile));
});

/* --- TERM --- */

for (const signal of ['SIGTERM', 'SIGINT']) {
    test(`${signal}: each client gets FIN, no close frame and no DISCONNECT, or a close packet with its GET, spread over shutdownTimeout; exit 0`, async (t) => {
        const redis = await redisServer();
        const span = 3000; /* 1 s of it is for the last to answer */
        const daemon = await Daemon.start(t, { redis, config: { workers: 1, shutdownTimeout: span } });
        /* They are told in the order in which they came: of both kinds some are told early and some
         * late, also where the worker is not run for a while and catches up. */
        const [clients, polls] = [[], []];
        for (let i = 0; i < 40; i++) {
            clients.push(await joined(daemon.addr, daemon.token('u'), { eio: 3 + (i & 1) }));
            if (i % 4 === 1) polls.push(await polled(daemon.addr, daemon.token('u'), { eio: 3 + ((i >> 2) & 1), keep: true }));
        }
        const idle = await Raw.open(daemon.addr); /* asked for nothing yet */
        const began = Date.now();
        daemon.signal(signal);
        const told = polls.map((client) => client.text().then((text) => assert.strictEqual(text, '1')));
        const ends = [...[...clients, idle].map((client) => sentAway(client)), ...told];
        const times = await Promise.all(ends.map((end) => end.then(() => Date.now() - began)));
        const ofPolls = times.slice(-polls.length);
        assert.ok(Math.max(...ofPolls) - Math.min(...ofPolls) > span / 6, `those that poll all within ${ofPolls} ms`);
        for (const client of clients) assert.deepStrictEqual(client.frames, []);
        times.sort((a, b) => a - b);
        const last = times[times.length - 1];
        assert.ok(last < within(span), `last after ${last} ms`);
        assert.ok(last - times[0] > span / 6, `all within ${last - times[0]} ms of ${span}`);
        assert.deepStrictEqual(await daemon.process.ended(within(span)), { code: 0, signal: null });
    });
}
test('TERM: no new connection is taken', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { shutdownTimeout: 1500 } });
    const clients = [];
    for (let i = 0; i < 10; i++) clients.push(await joined(daemon.addr, daemon.token('u')));
    const draining = daemon.workers().map((pid) => daemon.logged(new RegExp(`\\[${pid}\\]: draining: `)));
    daemon.signal('SIGTERM');
    await Promise.all(draining);
    const late = await joined(daemon.addr, daemon.token('u')).catch((error) => error);
    assert.ok(late instanceof Error, 'a client came in');
    await daemon.process.ended(within(2000));
    clients.forEach((client) => client.destroy());
});
test('TERM: what was published before it reaches the clients', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { shutdownTimeout: 3000 } });
    const client = await joined(daemon.addr, daemon.token('u'));
    const count = 300;
    for (let i = 0; i < count; i++) redis.emitter().to('u').emit('msg', i);
    await redis.flush();
    daemon.signal('SIGTERM');
    await sentAway(client);
    const got = client.frames.map((one) => JSON.parse(/\[.*/.exec(one.text)[0])[1]);
    assert.deepStrictEqual(got, [...Array(got.length).keys()]);
    assert.strictEqual(got.length, count, 'published before TERM');
});
test('TERM: one that reads slowly hears all that was sent to it', async (t) => {
    const redis = await redisServer();
    const limits = { sendBuffer: 64 << 20 };
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, shutdownTimeout: 30000, limits } });
    const [slow, quick] = [await joined(daemon.addr, daemon.token('s')), await joined(daemon.addr, daemon.token('q'))];
    t.after(() => slow.destroy());
    slow.socket.pause();
    const count = 20; /* of a megabyte each: more than the kernel holds for it */
    for (let i = 0; i < count; i++) redis.emitter().to('s').emit('msg', i, 'x'.repeat(1 << 20));
    await settled(daemon, (now) => now.get('deliveries_total') === count, 'all of it queued', within(20000));
    daemon.signal('SIGTERM');
    await sentAway(quick);
    await elapse(2000); /* longer than a client has that broke a rule */
    slow.socket.resume();
    for (let i = 0; i < count; i++) assert.strictEqual((await slow.event()).args[1], i);
    await sentAway(slow);
    assert.deepStrictEqual(await daemon.process.ended(within(2000)), { code: 0, signal: null });
});
test('TERM with a client that does not close or read: exit by the deadline', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { shutdownTimeout: 500 } });
    const deaf = await joined(daemon.addr, daemon.token('u'), { echo: false });
    const stalled = await joined(daemon.addr, daemon.token('s'));
    const away = await polled(daemon.addr, daemon.token('s')); /* and does not come for it */
    const headless = net.connect(daemon.addr);
    headless.on('error', () => {}).write('GET /notif');
    t.after(() => [deaf, stalled, away, headless].forEach((one) => one.destroy()));
    stalled.socket.pause();
    for (let i = 0; i < 8; i++) redis.emitter().to('s').emit('msg', 'x'.repeat(100000));
    await heard(redis, [deaf]);
    daemon.signal('SIGTERM');
    assert.deepStrictEqual(await daemon.process.ended(within(1500)), { code: 0, signal: null });
});
test('clients of every generation, over either transport, come back to the next process', async (t) => {
    const redis = await redisServer();
    const port = await freePort();
    const config = { port };
    const first = await Daemon.start(t, { redis, config });
    const options = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100, randomizationFactor: 0 };
    const clients = [];
    for (const version of VERSIONS) {
        for (const transports of [['websocket'], ['polling']]) {
            const client = await connect(version, first.addr, { token: first.token('u'), options: { ...options, transports } });
            t.after(() => client.close());
            clients.push(client);
        }
    }
    await first.stop();
    for (const client of clients) await client.noted('disconnect');
    await Daemon.start(t, { redis, config });
    const connects = (client) => client.notes.filter((note) => note.what === 'connect').length;
    for (const client of clients) await client.when(() => connects(client) === 2, within(4000), 'second connect');
    redis.emitter().to('u').emit('msg', 'again');
    for (const client of clients) {
        await client.when(() => client.events.length, within(2000), 'event');
        assert.deepStrictEqual(client.events, [['msg', 'again']]);
    }
});

/* --- HUP and USR1 --- */

/* Comes and goes: what workers log of it at level debug. */
async function comeAndGo(daemon) {
    const client = await joined(daemon.addr, daemon.token('u'));
    client.send(8, Buffer.from([3, 232]));
    await client.end();
}
const debugLines = (log) => log.split('\n').filter((line) => / debug worker \d/.test(line)).length;

test('HUP: a good file applies log:level, a bad one changes nothing and says why', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { log: { level: 'info' } } });
    const steady = await joined(daemon.addr, daemon.token('u'));
    t.after(() => steady.destroy());
    await comeAndGo(daemon);
    assert.strictEqual(debugLines(daemon.log), 0);

    daemon.write({ ...daemon.config, log: { level: 'debug' } });
    daemon.signal('SIGHUP');
    await until(() => comeAndGo(daemon).then(() => debugLines(daemon.log)), within(2000), 'lines of level debug');

    let from = daemon.log.length;
    daemon.write('{\n "workers": 2,\n "log": { "level": "loud" } }\n');
    daemon.signal('SIGHUP');
    const line = await daemon.logged(/.*(error|warn).*log:level.*/, within(2000), from);
    assert.match(line[0], /:3/);
    from = daemon.log.length;
    await comeAndGo(daemon);
    await daemon.logged(/ debug worker/, within(2000), from);

    daemon.write({ ...daemon.config, auth: undefined, log: { level: 'info' } });
    from = daemon.log.length;
    daemon.signal('SIGHUP');
    await daemon.logged(/auth:secret/, within(2000), from);
    await serves(t, redis, daemon);

    daemon.write({ ...daemon.config, log: { level: 'info' } });
    daemon.signal('SIGHUP');
    await until(async () => {
        const before = debugLines(daemon.log);
        await comeAndGo(daemon);
        return debugLines(daemon.log) === before;
    }, within(2000), 'no more lines of level debug');
    assert.strictEqual(steady.over, null, 'a client was disconnected');
    redis.emitter().emit('msg', 'still');
    assert.deepStrictEqual((await heardArgs(redis, [steady]))[0].slice(-1), ['still']);
});
test('USR1: the log is opened again, by the master and the workers', async (t) => {
    const redis = await redisServer();
    const target = path.join(tempDir(t), 'axr.log');
    const daemon = new Daemon(t, { redis, config: { workers: 1, log: { target, level: 'debug' } } });
    Object.defineProperty(daemon, 'log', { get: () => (fs.existsSync(target) ? fs.readFileSync(target, 'utf8') : '') });
    daemon.spawn();
    const ready = await until(() => READY.exec(daemon.log), within(4000), 'ready line');
    daemon.addr = { host: '127.0.0.1', port: Number(/:(\d+)$/.exec(ready[2])[1]) };
    fs.renameSync(target, `${target}.1`);
    daemon.signal('SIGUSR1');
    await until(() => fs.existsSync(target), within(1000), 'new log');
    assert.strictEqual(fs.statSync(target).mode & 0o037, 0, 'not for others');
    await until(() => comeAndGo(daemon).then(() => debugLines(daemon.log)), within(2000), 'lines of a worker');
    const old = fs.statSync(`${target}.1`).size;
    await comeAndGo(daemon);
    daemon.signal('SIGTERM');
    assert.deepStrictEqual(await daemon.process.ended(within(2000)), { code: 0, signal: null });
    assert.match(daemon.log, / master\[/);
    assert.strictEqual(fs.statSync(`${target}.1`).size, old);
});
test('a log that nobody reads holds nobody up, and says later how many lines it has lost', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, log: { level: 'debug' } } });
    await comeAndGo(daemon);
    daemon.process.reader.pause();
    const crowd = () => Promise.all(Array.from({ length: 50 }, () => comeAndGo(daemon)));
    const lost = async () => (await scrape(daemon)).get('log_lines_lost_total');
    await until(() => crowd().then(lost), within(20000), 'lines of the worker that are lost');
    await serves(t, redis, daemon);
    daemon.process.reader.resume();
    await until(() => comeAndGo(daemon).then(() => / warn worker 1\[\d+\]: log lines lost: count=\d+$/m.test(daemon.log)),
        within(2000), 'the line that says so');
});
test('signals that mean nothing here change nothing', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis });
    for (const signal of ['SIGPIPE', 'SIGWINCH', 'SIGCONT']) daemon.signal(signal);
    await serves(t, redis, daemon);
});

/* --- who it runs as --- */

test('user and group: neither master nor worker keeps a way back', async (t) => {
    const redis = await redisServer();
    const daemon = new Daemon(t, { redis, config: { user: 'nobody', group: 'nogroup' } });
    fs.chmodSync(daemon.dir, 0o755);
    daemon.spawn();
    await daemon.ready();
    await serves(t, redis, daemon);
    for (const pid of [daemon.pid, ...daemon.workers()]) {
        const status = fs.readFileSync(`/proc/${pid}/status`, 'latin1');
        const ids = (name) => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)[1].trim().split(/\s+/);
        assert.deepStrictEqual([...new Set(ids('Uid'))], ['65534']);
        assert.deepStrictEqual([...new Set(ids('Gid'))], ['65534']);
        assert.deepStrictEqual(ids('Groups').filter((gid) => gid && gid !== '65534'), []);
        for (const name of ['CapInh', 'CapEff', 'CapPrm', 'CapAmb'])
            assert.ok(BigInt(`0x${ids(name)[0]}`) <= 1n << 10n, `${name} ${ids(name)}`);
        assert.deepStrictEqual(ids('NoNewPrivs'), ['1']);
    }
}, { root: true });
