'use strict';
/* HUP: another configuration while everything goes on. */
const assert = require('assert');
const { execFileSync } = require('child_process');
const fs = require('fs');
const net = require('net');
const path = require('path');
const { test, shared, keep, mode } = require('./lib/suite');
const { Redis, freePort } = require('./lib/redis');
const { Daemon, NOTIFYD, ROOT, SECRET, merge } = require('./lib/daemon');
const { Raw, joined, sentAway } = require('./lib/raw');
const { Inside } = require('./lib/inside');
const { change, reload, taken, relive, renew } = require('./lib/reload');
const { Http, Polling, polled, once, request } = require('./lib/http');
const { askJson, scrape, settled } = require('./lib/metrics');
const { heardArgs } = require('./lib/hear');
const { tempDir, isRunning } = require('./lib/proc');
const { within, until, elapse } = require('./lib/time');
const jwt = require('./lib/jwt');

const redisServer = shared((s) => Redis.start(s));
const OTHER = 'another secret that is long enough: 0123';

/* Who leaves tells a client every 100 ms, and waits 10 s for those that poll: time for
 * what is to happen while there are two generations. */
const LONG = { drainTimeout: 60000 };
async function start(t, config = {}, more = {}) {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { drainTimeout: 1000, ...config }, ...more });
    return { redis, daemon };
}
async function client(t, daemon, options = {}, token = daemon.token('u')) {
    const one = await joined(daemon.addr, token, options);
    t.after(() => one.destroy());
    return one;
}
/* Clients that poll, and do not come for what waits for them: they keep the workers that
 * they are with. */
async function holders(t, redis, daemon, count = 1) {
    const all = await Promise.all(Array.from({ length: count }, () => polled(daemon.addr, daemon.token('holder'))));
    t.after(() => all.forEach((one) => one.destroy()));
    const before = (await scrape(daemon)).get('deliveries_total');
    redis.emitter().to('holder').emit('held', 1);
    await settled(daemon, (now) => now.get('deliveries_total') === before + count, 'something waits for each');
    return all;
}
async function serves(t, redis, daemon, where = daemon.addr) {
    for (;;) {
        const one = await joined(where, daemon.token('u'));
        redis.emitter().to('u').emit('msg', 'hello');
        const heard = await heardArgs(redis, [one]).catch((error) => error);
        one.destroy();
        /* A worker that was about to leave had taken it in: it is sent away again. */
        if (heard instanceof Error && /closed while a frame was awaited: \{\}/.test(heard.message)) continue;
        if (heard instanceof Error) throw heard;
        assert.deepStrictEqual(heard.map((args) => args.slice(-1)), [['hello']]);
        return;
    }
}

/* --- what the manual says --- */

test('the manual says of each key how a reload brings it into force', () => {
    const page = fs.readFileSync(path.join(ROOT, 'man/axr-notifyd.8'), 'utf8');
    const [, part] = /^\.Sh RELOAD\n([^]*?)^New workers are a new/m.exec(page);
    const named = part.match(/^\.Cm .*/gm).flatMap((line) => line.slice(4).split(/[ ,]+/).filter((word) => /^[\w.:]{2,}$/.test(word)))
        .map((word) => word.replace(/\.$/, ''));
    const below = ['auth', 'socket.io:redis'];
    for (const name of below) assert.ok(named.includes(name), name);
    const printed = execFileSync(NOTIFYD, ['-t', '-c', '/dev/null', '--auth:secret', SECRET], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const keys = [...printed.matchAll(/^(\S+) = /gm)].map(([, key]) => key);
    assert.ok(keys.length > 50, `${keys.length} keys`);
    const missing = keys.filter((key) => !named.includes(key) && !below.some((name) => key.startsWith(`${name}:`)));
    assert.deepStrictEqual(missing, []);
});

/* --- what live workers take --- */

test('keys, options of tokens, CORS and limits reach live workers, and nobody is disconnected', async (t) => {
    const { redis, daemon } = await start(t);
    const pids = daemon.workers();
    const old = daemon.token('u');
    const steady = await client(t, daemon);
    let log = await relive(daemon, { auth: { secret: OTHER } });
    assert.match(log, /configuration reloaded; changed: auth \(a key\)$/m);
    assert.ok(!daemon.log.includes(OTHER) && !daemon.log.includes(SECRET), 'a secret in the log');
    for (let i = 0; i < 8; i++) await assert.rejects(joined(daemon.addr, old), /token_signature/);
    const fresh = await client(t, daemon, {}, jwt.sign({ uid: 'u' }, OTHER));

    await relive(daemon, { auth: { options: { audience: 'me' } } });
    await assert.rejects(joined(daemon.addr, jwt.sign({ uid: 'u' }, OTHER)), /token_audience/);
    const named = await client(t, daemon, {}, jwt.sign({ uid: 'u', aud: 'me' }, OTHER));
    await relive(daemon, { auth: { options: { types: ['session+jwt'] } } });
    await assert.rejects(joined(daemon.addr, jwt.sign({ uid: 'u', aud: 'me' }, OTHER)), /token_malformed/);
    await relive(daemon, { auth: { options: { types: undefined } } });

    const headers = { Origin: 'https://a.example' };
    await relive(daemon, { cors: { origins: ['https://b.example'] } });
    for (let i = 0; i < 8; i++) await assert.rejects(Raw.open(daemon.addr, { headers }));

    log = await relive(daemon, { cors: undefined, limits: { headers: 8, connectionsPerUser: 3 } });
    assert.match(log, /changed: cors:origins, limits:headers, limits:connectionsPerUser$/m);
    const many = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`X-${i}`, '1']));
    for (let i = 0; i < 8; i++) assert.strictEqual((await once(daemon.addr, 'GET', '/', many)).status, 431);
    await assert.rejects(joined(daemon.addr, jwt.sign({ uid: 'u', aud: 'me' }, OTHER)), /user_limit/);

    redis.emitter().emit('msg', 'still');
    for (const args of await heardArgs(redis, [steady, fresh, named])) assert.deepStrictEqual(args, ['still']);
    assert.deepStrictEqual(daemon.workers(), pids);
    assert.match(await reload(daemon, {}), /changed: nothing/);
});
test('a JWKS file that changes reaches the workers without a signal', async (t) => {
    const file = path.join(tempDir(t), 'jwks.json');
    const [one, two] = [SECRET, OTHER].map((secret, i) => ({ kty: 'oct', kid: `k${i}`, alg: 'HS256', k: Buffer.from(secret).toString('base64url') }));
    fs.writeFileSync(file, JSON.stringify({ keys: [one] }));
    const { redis, daemon } = await start(t, { auth: { secret: undefined, jwksFile: file } });
    const steady = await client(t, daemon);
    const began = daemon.log.length;
    fs.writeFileSync(`${file}.new`, JSON.stringify({ keys: [two] }));
    fs.renameSync(`${file}.new`, file);
    await taken(daemon, began);
    for (let i = 0; i < 8; i++) await assert.rejects(joined(daemon.addr, daemon.token('u')), /token_/);
    await client(t, daemon, {}, jwt.sign({ uid: 'u' }, OTHER));
    redis.emitter().emit('msg', 'still');
    assert.deepStrictEqual(await heardArgs(redis, [steady]), [['still']]);
    const from = daemon.log.length; /* and after a reload it is still watched */
    await renew(daemon, { workers: 1 });
    fs.writeFileSync(`${file}.new`, JSON.stringify({ keys: [one] }));
    fs.renameSync(`${file}.new`, file);
    await until(() => joined(daemon.addr, daemon.token('u')).then((late) => late.destroy() || true, () => false), within(4000), 'the old key is back');
    assert.match(daemon.log.slice(from), /changed: .*workers$/m);
});
test('a sandbox that a reload turns off is warned of, once', async (t) => {
    const { daemon } = await start(t, { workers: 1 });
    const warnings = () => daemon.log.match(/ warn master\[\d+\]: sandbox: false/g) || [];
    await renew(daemon, { sandbox: false });
    assert.strictEqual(warnings().length, 1);
    await relive(daemon, { limits: { headers: 50 } });
    assert.strictEqual(warnings().length, 1);
});
test('connections are kept between requests for limits:idleTimeout, which live workers take', async (t) => {
    const { daemon } = await start(t);
    await relive(daemon, { limits: { idleTimeout: 300 } });
    const ends = await Promise.all(Array.from({ length: 8 }, async () => {
        const http = keep(t, new Http(daemon.addr));
        const asked = Date.now(); /* the answer may be read late, and the end at once behind it */
        assert.strictEqual((await http.send('GET', '/status').answer()).status, 200);
        await http.over(within(3000));
        return Date.now() - asked;
    }));
    assert.ok(Math.min(...ends) >= 250, `closed after ${ends} ms`);
    await relive(daemon, { limits: { idleTimeout: 60000 } });
    const http = keep(t, new Http(daemon.addr));
    for (let i = 0; i < 2; i++) {
        assert.strictEqual((await http.send('GET', '/status').answer()).status, 200);
        await elapse(600);
    }
    assert.ok(!http.ended, 'closed');
});
test('a worker that is replaced has the settings that are in force', async (t) => {
    const { daemon } = await start(t, { workers: 1 });
    await relive(daemon, { auth: { secret: OTHER } });
    const from = daemon.log.length;
    daemon.deaths = true;
    process.kill(daemon.workers()[0], 'SIGKILL');
    await daemon.logged(/worker 1 ready/, within(3000), from);
    await assert.rejects(joined(daemon.addr, daemon.token('u')), /token_signature/);
    await client(t, daemon, {}, jwt.sign({ uid: 'u' }, OTHER));
});
test('the log moves to a file, takes another format, and comes back', async (t) => {
    const { daemon } = await start(t);
    const steady = await client(t, daemon);
    const file = path.join(tempDir(t), 'log');
    change(daemon, { log: { target: file, format: 'json' } });
    daemon.signal('SIGHUP');
    /* What is there may be no line yet. */
    const lines = () => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n').slice(0, -1).map(JSON.parse) : []);
    await until(() => lines().some((line) => /configuration reloaded/.test(line.message)), within(2000), 'a line in the file');
    await daemon.logged(new RegExp(`info master.*: the log goes on in ${file} as json$`, 'm'));
    assert.strictEqual(fs.statSync(file).mode & 0o777, 0o640);
    await until(async () => {
        (await joined(daemon.addr, daemon.token('v'))).destroy();
        return new Set(lines().map((line) => line.process)).size === 3;
    }, within(3000), 'lines of the master and both workers');
    await reload(daemon, { log: { target: 'stderr', format: 'text' } });
    const { message, event, file: to, format } = lines().filter((line) => line.process === 'master').pop();
    assert.deepStrictEqual([message, event, to, format], ['the log goes on', 'log_moved', 'stderr', 'text']);
    assert.strictEqual(steady.over, null);

    const before = lines().length; /* new workers begin with the log as it was */
    change(daemon, { log: { target: file, format: 'json' }, workers: 3 });
    daemon.signal('SIGHUP');
    await until(() => lines().slice(before).some((line) => line.event === 'generation_left' && line.generation === 1), within(4000), 'new workers');
    daemon.workersAtReady = daemon.workers();
    await until(async () => {
        (await joined(daemon.addr, daemon.token('v'))).destroy();
        return new Set(lines().slice(before).map((line) => line.process)).size === 4;
    }, within(3000), 'lines of the master and three workers');
});
test('what needs a restart is warned of, and stays as it is', async (t) => {
    const { redis, daemon } = await start(t);
    const log = await reload(daemon, { 'socket.io': { namespace: '/other' }, pidFile: '/tmp/never', log: { level: 'info' } });
    assert.match(log, /warn.*only after a restart: socket.io:namespace, pidFile$/m);
    assert.match(log, /changed: log:level$/m);
    await serves(t, redis, daemon);
});
test('redis: another one takes its place without a word to the clients', async (t) => {
    const { redis, daemon } = await start(t);
    const other = await Redis.start(t);
    const steady = await client(t, daemon);
    const from = daemon.log.length;
    redis.emitter().emit('msg', 1);
    await redis.flush();
    await reload(daemon, { 'socket.io': { redis: { port: other.port } } });
    await daemon.logged(/the new connection has taken the place/, within(3000), from);
    other.emitter().emit('msg', 2);
    assert.deepStrictEqual(await heardArgs(other, [steady]), [[1, 2]]);
    await until(async () => (await redis.subscriptions()).patterns === 0, within(2000), 'the old subscription ends');

    const gone = daemon.log.length; /* one that is not there: the old one stays */
    await reload(daemon, { 'socket.io': { redis: { port: 1 } } });
    await daemon.logged(/redis not reachable at 127\.0\.0\.1:1/, within(3000), gone);
    other.emitter().emit('msg', 3);
    assert.deepStrictEqual(await heardArgs(other, [steady]), [[3]]);
    await other.stop();
});

test('redis: the same one under another name: each message once, in order', async (t) => {
    const { redis, daemon } = await start(t);
    const steady = await client(t, daemon);
    let n = 0;
    const emitter = redis.emitter();
    const stream = setInterval(() => {
        for (let i = 0; i < 10; i++) emitter.emit('n', n++);
    }, 2);
    t.after(() => clearInterval(stream));
    for (const over of [{ path: redis.socket }, { path: undefined, database: 1 }, { database: 0 }, { path: redis.socket }]) {
        const from = daemon.log.length;
        await reload(daemon, { 'socket.io': { redis: over } });
        await daemon.logged(/the new connection has taken the place/, within(3000), from);
    }
    await until(() => n > 200, within(5000), 'some messages');
    clearInterval(stream);
    await redis.flush();
    const [heard] = await heardArgs(redis, [steady]);
    assert.deepStrictEqual(heard, Array.from({ length: n }, (_, i) => i));
});

/* --- what is refused --- */

test('a bad configuration changes nothing: key files, listeners, log, values', async (t) => {
    const { redis, daemon } = await start(t, { admin: { port: await freePort() } });
    const steady = await client(t, daemon);
    const pids = daemon.workers();
    const busy = net.createServer().listen(0, '127.0.0.1');
    t.after(() => busy.close());
    await new Promise((resolve) => busy.once('listening', resolve));
    const good = daemon.config;
    const fifo = path.join(daemon.dir, 'fifo'); /* that nobody reads */
    execFileSync('mkfifo', [fifo]);
    const silent = path.join(daemon.dir, 'silent'); /* whose writer says nothing */
    execFileSync('mkfifo', [silent]);
    const writer = fs.openSync(silent, fs.constants.O_RDWR);
    t.after(() => fs.closeSync(writer));
    const bad = [
        ...['secretFile', 'publicKeyFile', 'jwksFile'].flatMap((key) => [silent, '/dev/zero'].map((name) =>
            [{ auth: { [key]: name }, log: { level: 'info' } }, new RegExp(`auth:${key}: cannot read ${name}: it is no regular file`)])),
        [{ 'socket.io': { redis: { passwordFile: silent } } }, /passwordFile: cannot read \S+: it is no regular file/],
        [{ 'socket.io': { clientFile: silent } }, /clientFile: cannot read \S+: it is no regular file/],
        [{ auth: { secret: undefined, secretFile: '/nowhere/secret' }, log: { level: 'info' } }, /secretFile/],
        [{ auth: { secret: undefined } }, /auth/],
        [{ port: busy.address().port, auth: { secret: OTHER } }, /cannot listen on 127\.0\.0\.1:\d+: Address already in use/],
        [{ log: { target: '/nowhere/log' }, auth: { secret: OTHER } }, /\/nowhere\/log: No such file/],
        [{ log: { target: fifo }, auth: { secret: OTHER } }, /log:target: \S+\/fifo: No such device or address/],
        [{ workers: 'many', auth: { secret: OTHER } }, /workers/],
        [{ limits: { sendTimeout: '1h30m' } }, /limits:sendTimeout: found "1h30m", wanted an integer from 100 to 86400000 \(milliseconds\), or a duration as "10s"/],
        [{ limits: { sendBuffer: '10m', tokenBytes: '9000' } }, /sendBuffer: found "10m", wanted .*, and no unit of time[^]*tokenBytes: found "9000", wanted .*, and no quotes around it/],
        [{ user: 'no-such-user', auth: { secret: OTHER } }, /user no-such-user is not known/],
        [{ group: 'no-such-group', auth: { secret: OTHER } }, /group no-such-group is not known/],
        [{ admin: { host: '192.0.2.1' }, auth: { secret: OTHER } }, /admin: cannot listen on 192\.0\.2\.1:\d+: Cannot assign/],
    ];
    for (const [over, why] of bad) {
        daemon.config = good;
        const log = await reload(daemon, over, /not reloaded: the old one stays in force/);
        assert.match(log, why);
        await serves(t, redis, daemon);
    }
    daemon.config = good;
    for (const text of ['', ' \n// to be written\n']) {
        const from = daemon.log.length;
        daemon.write(text);
        daemon.signal('SIGHUP');
        await daemon.logged(/not reloaded: the old one stays in force/, within(5000), from);
        assert.match(daemon.log.slice(from), /the file is empty, wanted an object/);
        await serves(t, redis, daemon);
    }
    assert.match(await reload(daemon, {}), /changed: nothing/);
    assert.match(await reload(daemon, { limits: { sendTimeout: '10s', sendBuffer: '1M' } }), /changed: nothing/); /* the defaults, in other words */
    assert.strictEqual(steady.over, null);
    assert.deepStrictEqual(daemon.workers(), pids);
});
test('out of descriptors: the old configuration and the old keys stay in force', async (t) => {
    const { redis, daemon } = await start(t, { limits: { connections: 100 } });
    const steady = await client(t, daemon);
    const { execFileSync } = require('child_process');
    const files = (n) => execFileSync('prlimit', ['--pid', String(daemon.pid), `--nofile=${n}:`]);
    const open = fs.readdirSync(`/proc/${daemon.pid}/fd`).length;
    files(open + 3);
    const over = { auth: { secret: OTHER }, workers: 4 };
    assert.match(await reload(daemon, over, /not reloaded: the old one stays/), /Too many open files/);
    await serves(t, redis, daemon);
    files(open); /* not even the file can be read */
    await reload(daemon, over, /not reloaded: the old one stays/);
    await serves(t, redis, daemon);
    files(10000);
    daemon.config = merge(daemon.config, { auth: { secret: SECRET } });
    await renew(daemon, {});
    await serves(t, redis, daemon);
    await sentAway(steady);
    assert.strictEqual(daemon.workers().length, 4);
}, { root: true, tools: 'prlimit' });

/* --- names that have to be looked up --- */

const ANY = { port: undefined, host: undefined };

test('broadcasts flow while a host name is looked up; then it is bound, or the reload is bad', async (t) => {
    const inside = new Inside(t);
    const { redis, daemon } = await start(t, { ...ANY, listen: ['127.0.0.1:0'] }, { env: inside.env });
    daemon.deaths = true; /* whoever looks a name up is a child, too */
    const pids = daemon.workers();
    const steady = await client(t, daemon);
    const looks = /reload waits: host names are looked up/;
    await reload(daemon, { listen: ['127.0.0.1:0', 'slow.test:0'], limits: { headers: 9 } }, looks);
    for (const n of [1, 2, 3]) {
        redis.emitter().emit('msg', n);
        assert.deepStrictEqual(await heardArgs(redis, [steady]), [[n]]);
    }
    await serves(t, redis, daemon);
    assert.doesNotMatch(daemon.log, /generation 2/);

    let log = await reload(daemon, { listen: ['127.0.0.1:0', 'none.test:0'] }, looks);
    assert.match(log, /waits for host names is given up for another/);
    inside.answer('slow.test', '127.0.0.1'); /* nobody cares any more */
    let from = daemon.log.length;
    inside.answer('none.test');
    await daemon.logged(/not reloaded: the old one stays/, within(2000), from);
    assert.match(daemon.log.slice(from), /cannot look none\.test up: Name or service not known/);
    await serves(t, redis, daemon);
    assert.deepStrictEqual(daemon.workers(), pids);

    log = await reload(daemon, { listen: ['127.0.0.1:0', 'late.test:0'] }, looks); /* a bad one meanwhile */
    assert.match(await reload(daemon, { workers: 'many' }, /not reloaded/), /given up for another/);
    log = await reload(daemon, { workers: 2, log: { level: 'info' }, listen: ['127.0.0.1:0'] });
    assert.match(log, /changed: log:level, limits:headers$/m); /* needs no name */
    assert.strictEqual(steady.over, null);

    from = daemon.log.length;
    await renew(daemon, { listen: ['127.0.0.1:0', 'slow.test:0'] });
    const [, port] = await daemon.logged(/listening on 127\.0\.0\.1:\d+ 127\.0\.0\.1:(\d+)$/m, within(1000), from);
    await serves(t, redis, daemon, daemon.reached({ host: '127.0.0.1', port: Number(port) }));
    await serves(t, redis, daemon);
});
test('the admin address: a name is looked up, and where it was it can come back to', async (t) => {
    const inside = new Inside(t);
    const port = await freePort();
    inside.answer('first.test', '127.0.0.1');
    const { daemon } = await start(t, { admin: { host: 'first.test', port } }, { env: inside.env });
    daemon.deaths = true;
    const steady = await client(t, daemon);
    fs.unlinkSync(inside.file('first.test')); /* the name server of before says nothing */
    await reload(daemon, { admin: { host: 'second.test' } }, /reload waits: host names are looked up/);
    assert.strictEqual((await once({ host: '127.0.0.1', port }, 'GET', '/health/live')).status, 200);
    const other = net.createServer().listen(port, '127.0.0.2'); /* where it would be bound */
    t.after(() => other.close());
    await new Promise((resolve) => other.once('listening', resolve));
    const from = daemon.log.length;
    inside.answer('second.test', '127.0.0.2');
    await daemon.logged(/configuration reloaded; changed: admin:host$/m, within(3000), from);
    assert.match(daemon.log.slice(from), /admin: cannot listen on second\.test:\d+: Address already in use/);
    assert.strictEqual((await once({ host: '127.0.0.1', port }, 'GET', '/health/live')).status, 200);
    other.close();
    await reload(daemon, { admin: { host: '127.0.0.3' } });
    assert.strictEqual((await once({ host: '127.0.0.3', port }, 'GET', '/health/live')).status, 200);
    assert.strictEqual(steady.over, null);
});
test('TERM while a host name is looked up', async (t) => {
    const inside = new Inside(t);
    const { daemon } = await start(t, {}, { env: inside.env });
    daemon.deaths = true;
    await reload(daemon, { ...ANY, listen: ['never.test:0'] }, /reload waits: host names are looked up/);
    assert.strictEqual(daemon.workers().length, 3, 'two workers, and whoever looks');
    await daemon.stop(); /* looks for each of them */
});
test('a JWKS file that changes before the new workers serve', async (t) => {
    const inside = new Inside(t);
    const file = path.join(tempDir(t), 'jwks.json');
    const [one, two] = [SECRET, OTHER].map((secret, i) => ({ kty: 'oct', kid: `k${i}`, alg: 'HS256', k: Buffer.from(secret).toString('base64url') }));
    fs.writeFileSync(file, JSON.stringify({ keys: [one] }));
    const { daemon } = await start(t, { auth: { secret: undefined, jwksFile: file } }, { env: inside.env });
    inside.hang();
    await reload(daemon, { workers: 3 }, /generation 2 starts/);
    fs.writeFileSync(`${file}.new`, JSON.stringify({ keys: [two] }));
    fs.renameSync(`${file}.new`, file);
    const from = daemon.log.length;
    inside.resume();
    await daemon.logged(/configuration reloaded/, within(3000), from);
    const order = daemon.log.slice(from);
    assert.ok(order.indexOf('keys read again') >= 0 && order.indexOf('keys read again') < order.indexOf('configuration reloaded'), order);
    await taken(daemon, from);
    for (let i = 0; i < 4; i++) await assert.rejects(joined(daemon.addr, daemon.token('u')), /token_/);
    await client(t, daemon, {}, jwt.sign({ uid: 'u' }, OTHER));
    daemon.deaths = true;
});

/* --- new workers --- */

test('a first generation that hangs is replaced by one that does not', async (t) => {
    const redis = await redisServer();
    const inside = new Inside(t);
    inside.hang('for ever');
    const daemon = new Daemon(t, { redis, config: { drainTimeout: 1000 }, env: inside.env });
    daemon.spawn();
    await daemon.logged(/redis subscribed at/, within(4000));
    await reload(daemon, { log: { level: 'info' } }); /* what is live does not wait */
    inside.resume();
    const from = daemon.log.length;
    await reload(daemon, { workers: 3 });
    await daemon.logged(/generation 1 has left/, within(4000), from);
    await daemon.ready(); /* with three workers */
    assert.match(daemon.log.slice(from), /axr-notifyd ready: 3 workers/);
    await serves(t, redis, daemon);
});
test('a bad configuration while new workers start leaves theirs alone', async (t) => {
    const inside = new Inside(t);
    const { redis, daemon } = await start(t, {}, { env: inside.env });
    const port = await freePort();
    inside.hang();
    await reload(daemon, { workers: 3, admin: { port } }, /generation 2 starts/);
    const early = new Http({ host: '127.0.0.1', port }); /* bound already, and not served yet */
    t.after(() => early.destroy());
    early.send('GET', '/health/live');
    await reload(daemon, { workers: 'many' }, /not reloaded: the old one stays/);
    const from = daemon.log.length;
    daemon.deaths = true;
    inside.resume();
    await daemon.logged(/generation 1 has left/, within(5000), from);
    assert.strictEqual((await early.answer()).status, 200);
    await serves(t, redis, daemon);
});

test('new workers take over on the same socket; the old ones send their clients away', async (t) => {
    const { redis, daemon } = await start(t, LONG);
    const clients = await Promise.all(Array.from({ length: 40 }, () => client(t, daemon)));
    const old = daemon.workers();
    redis.emitter().emit('msg', 1);
    for (const one of clients) assert.strictEqual((await one.event()).args[1], 1);
    const from = daemon.log.length;
    await renew(daemon, { workers: 3, 'socket.io': { pingInterval: 20000 } }, { left: false });
    await Promise.race(clients.map((one) => one.closed));
    redis.emitter().emit('msg', 2); /* while the old ones leave */
    await serves(t, redis, daemon);
    const fresh = await client(t, daemon);
    assert.strictEqual(fresh.handshake.pingInterval, 20000);
    const heard = await Promise.all(clients.map(async (one) => {
        await sentAway(one, within(4000));
        const events = [];
        while (one.frames.length) events.push((await one.event()).args[1]);
        return events;
    }));
    assert.ok(heard.some((events) => events[0] === 2), 'those who left later have heard it');
    assert.ok(heard.some((events) => events.length === 0), 'who had left has not');
    await daemon.logged(/generation 1 has left/, within(3000), from);
    daemon.workersAtReady = daemon.workers();
    assert.strictEqual(daemon.workersAtReady.length, 3);
    for (const pid of old) assert.ok(!isRunning(pid) && !daemon.workersAtReady.includes(pid));
    assert.strictEqual(fresh.over, null);
});
test('sockets are added and removed', async (t) => {
    const dir = tempDir(t);
    const [one, two] = ['one', 'two'].map((name) => path.join(dir, name));
    const both = { port: undefined, host: undefined };
    const { redis, daemon } = await start(t, { ...both, listen: ['127.0.0.1:0', `unix:${one}`] });
    await serves(t, redis, daemon, { path: one });
    const from = daemon.log.length;
    await renew(daemon, { listen: [`unix:${two}`, '127.0.0.1:0', '[::1]:0'] });
    await serves(t, redis, daemon);
    const named = await daemon.logged(/listening on unix:\S+ 127\.0\.0\.1:(\d+) \[::1\]:(\d+)$/m, within(1000), from);
    assert.strictEqual(Number(named[1]), daemon.addr.port);
    await serves(t, redis, daemon, daemon.reached({ host: '::1', port: Number(named[2]) }));
    await serves(t, redis, daemon, { path: two });
    assert.ok(!fs.existsSync(one), 'the old socket file is removed');
    await assert.rejects(Raw.open({ path: one }));
    await renew(daemon, { listen: [`unix:${two}`] });
    await serves(t, redis, daemon, { path: two });
    await assert.rejects(Raw.open(daemon.addr));
    await daemon.stop();
    assert.ok(!fs.existsSync(two), 'and at the end the last one');
});
test('a kept connection to an old worker: what is new goes to a new worker', async (t) => {
    const { redis, daemon } = await start(t, { workers: 1, ...LONG });
    const kept = await Promise.all([1, 2, 3].map(async () => {
        const http = new Http(daemon.addr);
        t.after(() => http.destroy());
        assert.strictEqual((await http.send('GET', '/notifications/?transport=none').answer()).status, 400);
        return http;
    }));
    const quiet = new Http(daemon.addr); /* has sent half a request */
    t.after(() => quiet.destroy());
    const asked = request('GET', '/notifications/?EIO=4&transport=polling');
    quiet.send(asked.subarray(0, 30));
    const [holder] = await holders(t, redis, daemon);
    const from = daemon.log.length;
    await renew(daemon, { 'socket.io': { pingInterval: 20000 } }, { left: false });
    const opened = [];
    for (const http of kept) {
        const { text, status } = await http.send(asked).answer();
        assert.strictEqual(status, 200);
        const handshake = JSON.parse(text.slice(1));
        assert.strictEqual(handshake.pingInterval, 20000, 'served by a new worker');
        opened.push(handshake.sid);
    }
    quiet.send(asked.subarray(30));
    assert.strictEqual(JSON.parse((await quiet.answer()).text.slice(1)).pingInterval, 20000);
    assert.ok(!/generation 1 has left/.test(daemon.log));
    assert.deepStrictEqual((await holder.event()).args, ['held', 1]);
    assert.strictEqual(await holder.text(), '1');
    await daemon.logged(/generation 1 has left/, within(3000), from);
    for (const [i, one] of kept.entries()) { /* the connections have moved with it; one over TLS has ended */
        assert.strictEqual(Boolean(one.isLast), Boolean(daemon.addr.tls));
        const http = one.isLast ? new Http(daemon.addr) : one;
        t.after(() => http.destroy());
        const target = `/notifications/?EIO=4&transport=polling&sid=${opened[(i + 1) % 3]}`;
        const { status, text } = await http.send('POST', target, {}, '3').answer();
        assert.strictEqual(`${status} ${text}`, '200 ok');
    }
});
test('a session of the new generation is found through a connection to an old worker, and the other way round', async (t) => {
    const { redis, daemon } = await start(t, { workers: 2, ...LONG });
    const old = await Promise.all(Array.from({ length: 6 }, () => polled(daemon.addr, daemon.token('u'), { keep: true })));
    await renew(daemon, { workers: 3 }, { left: false });
    const fresh = await Promise.all(Array.from({ length: 6 }, () => polled(daemon.addr, daemon.token('u'))));
    t.after(() => [...old, ...fresh].forEach((one) => one.destroy()));
    redis.emitter().emit('msg', 7);
    for (const [i, one] of fresh.entries()) { /* over the others' connections */
        const http = Object.values(old[i].conns)[0];
        let answer = await http.send(request('GET', one.target())).answer();
        /* Over TLS the old worker carries it, and goes: what has not come yet comes over another. */
        if (daemon.addr.tls && answer.text === '6') answer = await once(daemon.addr, 'GET', one.target());
        assert.match(answer.text, /"msg",7/);
    }
    for (const one of old) { /* over new connections, which new workers accept */
        const answer = await once(daemon.addr, 'GET', one.target());
        assert.match(answer.text, /"msg",7|^1$/);
    }
});
test('polling clients between two requests are told, after all that waits for them', async (t) => {
    const { redis, daemon } = await start(t, LONG);
    const clients = await Promise.all(Array.from({ length: 12 }, (_, i) =>
        polled(daemon.addr, daemon.token('u'), { eio: i % 2 ? 3 : 4, keep: i % 3 === 0 })));
    t.after(() => clients.forEach((one) => one.destroy()));
    for (let i = 0; i < 5; i++) redis.emitter().emit('n', i);
    await heardArgs(redis, [await client(t, daemon)]); /* it is with the workers */
    await renew(daemon, { 'socket.io': { pingTimeout: 15000 } }, { left: false });
    await elapse(1500); /* their sessions have been closed meanwhile */
    for (const one of clients) {
        const events = [];
        for (let packet; (packet = await one.text()) !== '1'; ) if (/"n",/.test(packet)) events.push(JSON.parse(packet.slice(packet.indexOf('[')))[1]);
        assert.deepStrictEqual(events, [0, 1, 2, 3, 4]);
        const { answer } = await one.take().catch((error) => error);
        assert.strictEqual(answer.status, 400, 'the session is over');
    }
});
test('the admin address shows the workers of the generation that serves', async (t) => {
    const { daemon } = await start(t, { workers: 3, drainTimeout: 20000 });
    const coming = await Raw.open(daemon.addr); /* its worker stays */
    t.after(() => coming.destroy());
    await renew(daemon, { workers: 1 }, { left: false });
    await until(() => daemon.workers().length === 2, within(3000), 'one old worker and a new one');
    const { workers } = await askJson(daemon, '/health');
    assert.deepStrictEqual(workers, { configured: 1, up: 1 });
});
test('several reloads while two generations live: the last one counts', async (t) => {
    const { redis, daemon } = await start(t, LONG);
    const first = await client(t, daemon);
    await Promise.all(Array.from({ length: 3 }, () => client(t, daemon)));
    await holders(t, redis, daemon); /* would keep its worker for a minute */
    await renew(daemon, { workers: 3 }, { left: false });
    const from = daemon.log.length;
    for (const workers of [4, 5, 1]) {
        await reload(daemon, { workers }, /reload waits/);
    }
    await daemon.logged(/generation 1 draining within 2000 ms/, within(1000), from);
    await daemon.logged(/generation 3 serves: workers=1/, within(5000), from);
    await sentAway(first);
    assert.ok(!/generation 4/.test(daemon.log));
    await serves(t, redis, daemon);
    await reload(daemon, { log: { level: 'info' } }); /* what is live does not wait */
    await serves(t, redis, daemon);
});
test('workers die in either generation: a new one is replaced, one that leaves is not', async (t) => {
    const { redis, daemon } = await start(t, LONG);
    const old = daemon.workers();
    const hold = await holders(t, redis, daemon, 12);
    await renew(daemon, { 'socket.io': { pingTimeout: 15000 } }, { left: false });
    daemon.deaths = true;
    const fresh = daemon.workers().filter((pid) => !old.includes(pid));
    const from = daemon.log.length;
    const [first, ...rest] = old.filter(isRunning); /* whoever had none of them has gone already */
    process.kill(first, 'SIGKILL');
    process.kill(fresh[0], 'SIGKILL');
    await daemon.logged(/worker \d ready: pid=\d+ fork=2 generation=2/, within(4000), from);
    await serves(t, redis, daemon);
    for (const pid of rest.filter(isRunning)) process.kill(pid, 'SIGKILL');
    await daemon.logged(/generation 1 has left/, within(2000));
    assert.ok(!/fork=2 generation=1/.test(daemon.log));
    for (const one of hold.slice(0, 3)) assert.strictEqual((await once(daemon.addr, 'GET', one.target())).status, 400, 'unknown, and said so');
    await serves(t, redis, daemon);
});
test('TERM while two generations live', async (t) => {
    const { daemon } = await start(t, { ...LONG, shutdownTimeout: 500 });
    const old = await Promise.all(Array.from({ length: 8 }, () => client(t, daemon)));
    await renew(daemon, { 'socket.io': { pingTimeout: 15000 } }, { left: false });
    const fresh = await client(t, daemon);
    const began = Date.now();
    await daemon.stop();
    assert.ok(Date.now() - began < within(3000));
    for (const one of [...old, fresh]) await sentAway(one);
});
test('TERM while a generation starts', async (t) => {
    const { daemon } = await start(t, { workers: 8 });
    daemon.deaths = true;
    const one = await client(t, daemon);
    change(daemon, { workers: 9 });
    const from = daemon.log.length;
    daemon.signal('SIGHUP');
    await daemon.logged(/generation 2 starts/, within(2000), from);
    await daemon.stop();
    await sentAway(one);
});
test('the master is killed while two generations live: all workers go, and the port is free', async (t) => {
    const { daemon } = await start(t, LONG);
    const clients = await Promise.all(Array.from({ length: 4 }, () => client(t, daemon)));
    clients.push(await Raw.open(daemon.addr)); /* its worker stays */
    t.after(() => clients[4].destroy());
    await renew(daemon, { workers: 3 }, { left: false });
    const all = daemon.workers();
    assert.ok(all.length > 3, `${all.length} workers`);
    await daemon.kill();
    for (const pid of all) await until(() => !isRunning(pid), within(2000), `end of worker ${pid}`);
    for (const one of clients) await one.end();
    await assert.rejects(Raw.open(daemon.addr));
});

/* --- row 38 --- */

/* Connects again and again, per_s a second, until stopped; each client must be served. */
function connects(t, daemon, perSecond) {
    const state = { done: 0, failed: [], stopped: false };
    const one = async (i) => {
        try {
            if (i % 4 === 3) {
                const session = await polled(daemon.addr, daemon.token('v'));
                session.destroy();
            } else {
                (await joined(daemon.addr, daemon.token('v'))).destroy();
            }
            state.done++;
        } catch (error) {
            state.failed.push(error.message);
        }
    };
    let i = 0;
    const pending = new Set();
    const began = Date.now();
    const timer = setInterval(() => {
        /* On a machine that does not keep up with it, no more at once than this. */
        while (i < ((Date.now() - began) * perSecond) / 1000 && pending.size < 40) {
            const p = one(i++).finally(() => pending.delete(p));
            pending.add(p);
        }
    }, 20);
    t.after(() => clearInterval(timer));
    state.stop = async () => {
        clearInterval(timer);
        await Promise.all(pending);
    };
    return state;
}

/* A client that comes back when it is told to: what it hears in one connection has no
 * gap, and it is never cut off. */
async function follow(daemon, state) {
    while (!state.over) {
        const one = await joined(daemon.addr, daemon.token('w'));
        state.clients.add(one);
        let last = null;
        for (;;) {
            const event = await one.event(within(10000)).catch(() => null);
            if (!event) break;
            const [name, n] = event.args;
            if (name !== 'n') continue;
            if (last !== null && n !== last + 1) state.wrong.push(`${n} after ${last}`);
            last = n;
            state.events++;
        }
        const how = await sentAway(one).catch((error) => error);
        state.clients.delete(one);
        if (state.over) return;
        state.ends.push(how);
        if (how) state.wrong.push(how.message);
    }
}

test('reloads of both kinds under connects and broadcasts: none refused, none reset, nothing lost', async (t) => {
    const count = mode === 'long' ? 100 : 6;
    const { redis, daemon } = await start(t, { drainTimeout: 6000, log: { level: 'info' } });
    const state = { wrong: [], ends: [], events: 0, clients: new Set() };
    const followers = Array.from({ length: 20 }, () => follow(daemon, state));
    await until(() => state.clients.size === 20, within(2000), 'followers');
    let n = 0;
    const emitter = redis.emitter();
    const stream = setInterval(() => emitter.emit('n', n++), 10);
    t.after(() => clearInterval(stream));
    const load = connects(t, daemon, 200);
    for (let i = 0; i < count; i++) {
        const before = state.ends.length;
        if (i % 2) {
            await renew(daemon, { workers: 2 + (i % 3), 'socket.io': { pingInterval: 20000 + i } });
            /* A worker that was about to leave may have taken one in: that one is sent away again. */
            const isNew = ({ handshake }) => handshake.pingInterval === 20000 + i;
            const back = () => state.clients.size === 20 && [...state.clients].every(isNew);
            await until(() => back() || state.wrong.length, within(2000), 'all followers are back');
        } else {
            await reload(daemon, { limits: { sendTimeout: 9000 + i } });
            await serves(t, redis, daemon).catch(() => {}); /* a turn for all of them */
            assert.strictEqual(state.ends.length, before, 'a live reload has disconnected somebody');
        }
    }
    await load.stop();
    clearInterval(stream);
    state.over = true;
    for (const one of state.clients) one.destroy();
    await Promise.all(followers);
    assert.deepStrictEqual(load.failed, []);
    assert.deepStrictEqual(state.wrong, []);
    assert.ok(load.done > count * 20, `${load.done} connects`);
    assert.ok(state.events > 300 && state.ends.length >= 20, `${state.events} events, ${state.ends.length} ends`);
    console.log(`# ${count} reloads, ${load.done} connects, ${state.events} events, ${state.ends.length} drained`);
}, { timeout: 600000 });
