'use strict';
/* TLS to redis: whom the daemon and axr-notify speak to and whom not, with which line; messages,
 * requests, reloads and losses over it. */
const assert = require('assert');
const fs = require('fs');
const net = require('net');
const path = require('path');
const tls = require('tls');
const { Emitter } = require('e5');
const { test, shared, mode } = require('./lib/suite');
const { authority, selfSigned, LOCAL, DAY_MS } = require('./lib/certificates');
const { RedisTls, front } = require('./lib/redistls');
const { Daemon, NOTIFY } = require('./lib/daemon');
const { heardArgs } = require('./lib/hear');
const { deliversAgain } = require('./lib/load');
const { joined } = require('./lib/raw');
const { change, reload } = require('./lib/reload');
const { run, tempDir } = require('./lib/proc');
const { within, until } = require('./lib/time');

const SESAME = 'open sesame';
const SUBSCRIBED = /redis subscribed at 127\.0\.0\.1:\d+/;
const TAKEN = /the new connection has taken the place/;
const ca = shared(async () => authority('authority of the redis'));
const local = shared(async () => (await ca()).issue({ names: LOCAL }));

const redisOf = (t, options) => RedisTls.start(t, options);
const daemonOf = (t, redis, settings = redis.settings(), more = {}) =>
    Daemon.start(t, { redis, config: { workers: 1, 'socket.io': { redis: settings } }, ...more });
async function member(t, daemon, options) {
    const one = await joined(daemon.addr, daemon.token('u'), options);
    t.after(() => one.destroy());
    return one;
}
/* Its exit status and what it says. */
function notify(t, settings, args = ['msg', '1']) {
    const dir = tempDir(t);
    const file = path.join(dir, 'c');
    fs.writeFileSync(file, JSON.stringify({ 'socket.io': { redis: { host: '127.0.0.1', ...settings } } }));
    return run(NOTIFY, ['-c', file, ...args], { cwd: dir, env: { PATH: process.env.PATH } });
}

/* --- it works ------------------------------------------------------------------- */

test('with a password, a user of an ACL and a client certificate: messages, requests, axr-notify, an emitter over TLS', async (t) => {
    const clients = authority('authority of clients');
    const redis = await redisOf(t, { certificate: await local(), clients, args: ['--requirepass', SESAME], auth: { password: SESAME } });
    await redis.client.sendCommand(['ACL', 'SETUSER', 'pusher', 'on', `>${SESAME}`, 'allchannels', '+@all']);
    await redis.client.sendCommand(['ACL', 'SETUSER', 'default', 'off']); /* which ends no connection */
    const dir = tempDir(t);
    const files = clients.issue({ name: 'daemon' }).write(dir, 'client');
    const settings = redis.settings({ username: 'pusher', password: SESAME }, files);
    const daemon = await daemonOf(t, redis, settings);
    assert.strictEqual(daemon.redisState, 'subscribed');
    const one = await member(t, daemon);
    const emitting = await redis.connectTls({
        username: 'pusher', password: SESAME,
        socket: { port: redis.tlsPort, host: '127.0.0.1', tls: true, ca: [fs.readFileSync(redis.ca)], cert: fs.readFileSync(files.certFile), key: fs.readFileSync(files.keyFile), reconnectStrategy: false },
    });
    new Emitter(emitting, {}, '/axr').to('u').emit('msg', 'over TLS', Buffer.alloc(0));
    await emitting.ping();
    const large = 'x'.repeat(3000000);
    redis.emitter().emit('msg', large);
    assert.deepStrictEqual((await heardArgs(redis, [one])), [['over TLS', large]]);
    const said = await notify(t, settings, ['--to', 'u', 'msg', '"from the shell"']);
    assert.deepStrictEqual([said.code, said.out, said.err], [0, '1 subscriber\n', '']);
    assert.deepStrictEqual(await heardArgs(redis, [one]), [['from the shell']]);
    const acked = await notify(t, settings, ['--ack', '200', '--to', 'nobody', 'msg']);
    assert.deepStrictEqual([acked.code, acked.out], [0, 'reached 0, acknowledged 0\n']);
    const users = String(await redis.client.sendCommand(['CLIENT', 'LIST'])).match(/ user=pusher /g);
    assert.strictEqual(users.length, 3, 'both connections of the daemon, and the emitter');
    assert.ok(!daemon.log.includes(SESAME));
});

test('a user without a password, by a URL, at the address of a name', async (t) => {
    const redis = await redisOf(t, { certificate: await local() });
    await redis.client.sendCommand(['ACL', 'SETUSER', 'open', 'on', 'nopass', 'allchannels', '+@all']);
    const url = `rediss://open@localhost:${redis.tlsPort}?db=0`;
    const daemon = await Daemon.start(t, { config: { workers: 1, 'socket.io': { redis: { host: undefined, port: undefined, url, tls: { caFile: redis.ca } } } } });
    assert.match(daemon.log, /redis subscribed at localhost/);
    assert.match(String(await redis.client.sendCommand(['CLIENT', 'LIST', 'TYPE', 'pubsub'])), / user=open /);
    const said = await notify(t, { host: undefined, url, tls: { caFile: redis.ca } });
    assert.strictEqual(said.out, '1 subscriber\n');
});

test('the system\'s authorities are trusted where nothing is said; caFile takes their place', async (t) => {
    const redis = await redisOf(t, { certificate: await local() });
    const dir = tempDir(t);
    const empty = path.join(dir, 'empty');
    fs.mkdirSync(empty);
    const env = { SSL_CERT_FILE: redis.ca, SSL_CERT_DIR: empty };
    const settings = { port: redis.tlsPort, tls: true };
    const daemon = await daemonOf(t, redis, settings, { env });
    assert.strictEqual(daemon.redisState, 'subscribed');
    const other = path.join(dir, 'other.pem');
    fs.writeFileSync(other, authority('another').cert);
    const log = await reload(daemon, { 'socket.io': { redis: { tls: { caFile: other } } } });
    assert.match(log, /changed: socket\.io:redis:tls:ca, socket\.io:redis:tls:caFile\n/);
    await daemon.logged(/TLS: its certificate is signed by an authority that is not known/, within(2000));
});

/* --- it does not ---------------------------------------------------------------- */

/* What redis shows or wants, what is configured, and the line; tried by the daemon and by
 * axr-notify.  good: of redis, what makes it well. */
const WRONG = {
    'a wrong authority': {
        settings: (redis, dir) => {
            const file = path.join(dir, 'other.pem');
            fs.writeFileSync(file, authority('another').cert);
            return redis.settings({}, { caFile: file });
        },
        line: /TLS: its certificate is signed by an authority that is not known: authority of the redis(, self-signed certificate in chain)? \(tls:caFile\)/,
    },
    'one that has signed itself': {
        redis: async () => ({ certificate: selfSigned({ names: LOCAL }) }),
        settings: (redis, dir) => {
            const file = path.join(dir, 'other.pem');
            fs.writeFileSync(file, authority('another').cert);
            return redis.settings({}, { caFile: file });
        },
        line: /TLS: its certificate is signed by itself, and not one that is trusted \(tls:caFile\)/,
    },
    'a wrong name': {
        redis: async () => ({ certificate: (await ca()).issue({ names: ['a.example', '*.b.example', '10.0.0.1', 'c.example'] }) }),
        line: /TLS: its certificate is for a\.example, \*\.b\.example, 10\.0\.0\.1 and 1 more, wanted 127\.0\.0\.1 \(tls:servername\)/,
        good: local,
    },
    'another name than servername': {
        settings: (redis) => redis.settings({}, { servername: 'b.example' }),
        line: /TLS: its certificate is for localhost, 127\.0\.0\.1, ::1, wanted b\.example \(tls:servername\)/,
        good: async () => (await ca()).issue({ names: ['b.example'] }),
    },
    'an expired certificate': {
        redis: async () => ({ certificate: (await ca()).issue({ names: LOCAL, from: Date.now() - 9 * DAY_MS, to: Date.now() - DAY_MS }) }),
        line: /TLS: its certificate has expired on \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/,
        good: local,
    },
    'one that is not valid yet': {
        redis: async () => ({ certificate: (await ca()).issue({ names: LOCAL, from: Date.now() + DAY_MS }) }),
        line: /TLS: its certificate is not valid before \d{4}-/,
        good: local,
    },
    'no client certificate, TLS 1.3': {
        redis: async () => ({ clients: authority('clients') }),
        line: /TLS: it wants a client certificate \(tls:certFile, tls:keyFile\)/,
    },
    'no client certificate, TLS 1.2': {
        redis: async () => ({ clients: authority('clients'), args: ['--tls-protocols', 'TLSv1.2'] }),
        line: /TLS: it wants a client certificate \(tls:certFile, tls:keyFile\)/,
    },
    'a client certificate that redis does not trust': {
        redis: async () => ({ clients: authority('clients') }),
        settings: (redis, dir) => redis.settings({}, authority('strangers').issue({ name: 'us' }).write(dir, 'client')),
        line: /TLS: it does not accept the client certificate: unknown CA \(tls:certFile\)/,
    },
    'plain text to a port that speaks TLS': {
        settings: (redis) => ({ port: redis.tlsPort }),
        line: /(it closed the connection|Connection reset by peer).*does it want TLS \(socket\.io:redis:tls\)\?/,
    },
    'a wrong password': {
        redis: async () => ({ args: ['--requirepass', SESAME], auth: { password: SESAME } }),
        settings: (redis) => redis.settings({ password: 'not this one' }),
        line: /WRONGPASS/,
    },
};

for (const [what, { redis: how = async () => ({}), settings = (redis) => redis.settings(), line, good }] of Object.entries(WRONG))
    test(`no word to redis: ${what}`, async (t) => {
        const options = await how();
        const redis = await redisOf(t, { certificate: await local(), ...options });
        const values = settings(redis, tempDir(t));
        const daemon = await daemonOf(t, redis, values);
        assert.strictEqual(daemon.redisState, 'not reachable, retrying');
        await daemon.logged(line, within(1000));
        const warnings = daemon.log.split('\n').filter((one) => / warn master\S* redis/.test(one));
        assert.strictEqual(warnings.length, 1, warnings.join('\n'));
        assert.match(warnings[0], /redis not reachable at 127\.0\.0\.1:\d+: .*; retrying$/);
        await daemon.logged(/redis: another attempt has failed: /, within(2000));
        assert.ok(!/not this one|PRIVATE/.test(daemon.log));
        const said = await notify(t, values);
        assert.strictEqual(said.code, 1);
        assert.match(said.err, line);
        assert.strictEqual(said.err.split('\n').length, 2, said.err);
        if (!good) return;
        await redis.show(await good());
        await daemon.logged(/redis subscribed at/, within(3000));
    });

/* What speaks no TLS answers nothing to the beginning of it, or in its own words. */
test('TLS to a port that does not speak it', async (t) => {
    const redis = await redisOf(t, { certificate: await local() });
    const words = net.createServer((socket) => socket.on('error', () => {}).end('-ERR max number of clients reached\r\n'));
    await new Promise((resolve) => words.listen(0, '127.0.0.1', resolve));
    t.after(() => words.close());
    const settings = redis.settings({ port: words.address().port });
    const daemon = await daemonOf(t, redis, settings);
    await daemon.logged(/redis not reachable at \S+: TLS: it does not speak TLS; retrying/, within(1000));
    assert.match((await notify(t, settings)).err, /TLS: it does not speak TLS\n/);
    if (mode !== 'long') return; /* until the deadline */
    const from = daemon.log.length;
    change(daemon, { 'socket.io': { redis: { port: redis.port } } });
    daemon.signal('SIGHUP');
    await daemon.logged(/TLS: no answer to the handshake within 3000 ms; does it speak TLS there\?/, within(5000), from);
});

test('who does not look at the certificate is warned, and served', async (t) => {
    const redis = await redisOf(t, { certificate: selfSigned({ names: ['elsewhere'] }) });
    const settings = { port: redis.tlsPort, tls: { rejectUnauthorized: false } };
    const daemon = await daemonOf(t, redis, settings);
    assert.strictEqual(daemon.redisState, 'subscribed');
    assert.match(daemon.log, /warning: \S+:1: socket\.io:redis:tls:rejectUnauthorized: whoever is on the way can read/);
    assert.strictEqual((await notify(t, settings)).code, 0);
});

/* --- while it runs -------------------------------------------------------------- */

test('a restart, a redis that is stopped, a connection that is cut: noticed, and subscribed again', async (t) => {
    const redis = await redisOf(t, { certificate: await local() });
    const daemon = await daemonOf(t, redis);
    const one = await member(t, daemon);
    await redis.stop();
    await daemon.logged(/redis lost: /, within(1000));
    await redis.again();
    await daemon.logged(/redis subscribed again after/, within(1500));
    await deliversAgain(redis, one, within(2000));
    const from = daemon.log.length;
    redis.process.signal('SIGSTOP');
    await daemon.logged(/redis: commands: .* no answer /, within(2000), from);
    redis.process.signal('SIGCONT');
    await redis.client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    await daemon.logged(/redis subscribed again after/, within(3000), from);
    await deliversAgain(redis, one, within(2000));
});

test('records of a byte each, and garbage behind a good beginning', async (t) => {
    const redis = await redisOf(t, { certificate: await local() });
    const before = await front(t, { certificate: await local(), port: redis.port, bytes: 1 });
    const daemon = await daemonOf(t, redis, redis.settings({ port: before.port }));
    const one = await member(t, daemon);
    redis.emitter().emit('msg', 'x'.repeat(5000));
    assert.deepStrictEqual(await heardArgs(redis, [one]), [['x'.repeat(5000)]]);
    const from = daemon.log.length;
    for (const socket of before.sockets) if (socket instanceof tls.TLSSocket) socket.write('what no redis says\r\n');
    await daemon.logged(/redis lost: not the redis protocol/, within(1000), from);
    await daemon.logged(/redis subscribed again/, within(2000), from);
});

/* Publishes numbers without a pause; stop() resolves to how many. */
function stream(t, redis) {
    const emitter = redis.emitter();
    let n = 0;
    const timer = setInterval(() => {
        for (let i = 0; i < 10; i++) emitter.emit('n', n++);
    }, 2);
    t.after(() => clearInterval(timer));
    return async () => {
        await until(() => n > 200, within(5000), 'some messages');
        clearInterval(timer);
        await redis.flush();
        return n;
    };
}

test('a reload from plain text to TLS and back, with other files and without: each message once, in order', async (t) => {
    const redis = await redisOf(t, { certificate: await local() });
    const daemon = await daemonOf(t, redis, { port: redis.port });
    const one = await member(t, daemon);
    const stop = stream(t, redis);
    const dir = tempDir(t);
    const both = path.join(dir, 'both.pem');
    fs.writeFileSync(both, authority('another').cert + fs.readFileSync(redis.ca, 'utf8'));
    const ours = (await ca()).issue({ name: 'client' });
    const steps = [
        redis.settings(), { port: redis.port, tls: false }, redis.settings({ tls: undefined, url: `rediss://localhost:${redis.tlsPort}` }, {}),
        redis.settings({ url: undefined }, { caFile: both }), redis.settings({}, { servername: 'localhost' }), redis.settings({}, ours.write(dir, 'client')),
        redis.settings({}, { rejectUnauthorized: false }), { port: redis.port, tls: false },
    ];
    steps[2].tls = { caFile: redis.ca };
    for (const over of steps) {
        const from = daemon.log.length;
        await reload(daemon, { 'socket.io': { redis: over } });
        await daemon.logged(TAKEN, within(3000), from);
    }
    const n = await stop();
    assert.deepStrictEqual((await heardArgs(redis, [one]))[0], Array.from({ length: n }, (_, i) => i));
    assert.ok(!/redis lost|redis_gaps=[^0]/.test(daemon.log));
});

test('files that have changed are read again: a certificate, an authority; one that is bad changes nothing', async (t) => {
    const clients = authority('authority of clients');
    const redis = await redisOf(t, { certificate: await local(), clients });
    const dir = tempDir(t);
    const files = clients.issue({ name: 'first' }).write(dir, 'client');
    const daemon = await daemonOf(t, redis, redis.settings({}, files));
    const from = daemon.log.length;
    clients.issue({ name: 'second' }).write(dir, 'client');
    assert.match(await reload(daemon, {}), /changed: socket\.io:redis:tls:cert, socket\.io:redis:tls:key\n/);
    await daemon.logged(TAKEN, within(3000), from);
    authority('strangers').issue({ name: 'third' }).write(dir, 'other');
    fs.copyFileSync(path.join(dir, 'other.key'), files.keyFile);
    assert.match(await reload(daemon, {}), /tls:keyFile: \S+client\.key: it does not fit the certificate[^]*not reloaded/);
    fs.writeFileSync(files.keyFile, '');
    assert.match(await reload(daemon, {}), /tls:keyFile: \S+client\.key: found no private key, wanted PEM[^]*not reloaded/);
    assert.match(await reload(daemon, { 'socket.io': { redis: { tls: { keyFile: undefined, certFile: undefined } } } }), /configuration reloaded/);
    await daemon.logged(/redis not reachable at \S+: TLS: it wants a client certificate/, within(3000));
    const one = await member(t, daemon);
    redis.emitter().emit('msg', 'the old connection serves');
    assert.deepStrictEqual(await heardArgs(redis, [one]), [['the old connection serves']]);
});

test('a key that only root may read is read at the start, and stays in force over a reload', async (t) => {
    const clients = authority('authority of clients');
    const redis = await redisOf(t, { certificate: await local(), clients });
    const dir = tempDir(t);
    const files = clients.issue({ name: 'first' }).write(dir, 'client');
    for (const one of [dir, redis.dir]) fs.chmodSync(one, 0o755);
    const daemon = new Daemon(t, { redis, config: { workers: 1, user: 'nobody', 'socket.io': { redis: redis.settings({}, files) } } });
    fs.chmodSync(daemon.dir, 0o755);
    daemon.spawn();
    await daemon.ready();
    assert.strictEqual(daemon.redisState, 'subscribed');
    await daemon.logged(/ warn master\S* socket\.io:redis:tls: \S+client\.key cannot be read by the user that the daemon runs as: a new key comes into force with a restart only/);
    const log = await reload(daemon, { log: { level: 'info' } });
    assert.match(log, / warn master\S* configuration: socket\.io:redis:tls: cannot read \S+client\.key as the user that this runs as: the certificate in force stays until a restart\n/);
    assert.match(log, /configuration reloaded; changed: log:level\n/);
    const other = path.join(dir, 'other.key');
    fs.copyFileSync(files.keyFile, other);
    fs.chmodSync(other, 0o600);
    assert.match(await reload(daemon, { 'socket.io': { redis: { tls: { keyFile: other } } } }), /cannot read \S+other\.key as the user that this runs as\n[^]*not reloaded/);
}, { root: true });

test('a password in a file, changed in redis first, then here first, under load: no gap', async (t) => {
    const redis = await redisOf(t, { certificate: await local(), args: ['--requirepass', 'first'], auth: { password: 'first' } });
    const file = path.join(tempDir(t), 'password');
    fs.writeFileSync(file, 'first\n');
    const daemon = await daemonOf(t, redis, redis.settings({ passwordFile: file }));
    const one = await member(t, daemon);
    const stop = stream(t, redis);
    let from = daemon.log.length;
    await redis.client.sendCommand(['CONFIG', 'SET', 'requirepass', 'second']);
    fs.writeFileSync(file, 'second\n');
    assert.match(await reload(daemon, {}), /changed: socket\.io:redis:password\n/);
    await daemon.logged(TAKEN, within(3000), from);
    from = daemon.log.length;
    fs.writeFileSync(file, 'third\n');
    await reload(daemon, {});
    await daemon.logged(/redis not reachable at \S+: it answered: WRONGPASS/, within(2000), from);
    assert.ok(!TAKEN.test(daemon.log.slice(from)), 'the old connection serves');
    await redis.client.sendCommand(['CONFIG', 'SET', 'requirepass', 'third']);
    await daemon.logged(TAKEN, within(3000), from);
    const n = await stop();
    assert.deepStrictEqual((await heardArgs(redis, [one]))[0], Array.from({ length: n }, (_, i) => i));
    assert.ok(!/redis lost|(first|second|third)/.test(daemon.log.replace(/fi?rst attempt/g, '')), 'no loss, and no password in the log');
});
