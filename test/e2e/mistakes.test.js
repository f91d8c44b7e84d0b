'use strict';
/* The mistakes of a backend developer's first hour: what the client is told, what the daemon's
 * log says at the level info, and what the tools show.  axr-notifyd-guide(7), IT DOES NOT
 * ARRIVE, has them by symptom. */
const assert = require('assert');
const crypto = require('crypto');
const { Emitter } = require('e5');
const fs = require('fs');
const path = require('path');
const { test, shared } = require('./lib/suite');
const { Redis, freePort } = require('./lib/redis');
const { Daemon, NOTIFY, ROOT, SECRET } = require('./lib/daemon');
const { Client, connect } = require('./lib/clients');
const { Process } = require('./lib/proc');
const { adminOf, askJson, settled } = require('./lib/metrics');
const { sign, now } = require('./lib/jwt');
const { within, until } = require('./lib/time');

const VERSIONS = [4, 2];
const CONNECT_MS = 700; /* socket.io:connectTimeout */
const config = { workers: 1, log: { level: 'info' }, 'socket.io': { connectTimeout: CONNECT_MS } };

const quiet = shared((s) => Redis.start(s));
const stray = shared((s) => Redis.start(s)); /* on which nobody listens */
/* Each mistake has a daemon of its own: a line comes once a minute. */
const start = async (t, more = {}) => Daemon.start(t, { redis: await quiet(), config: { ...config, ...more.config }, ...more.how });

/* --- the client's --- */

/* What a client 4.x and one of 2.x hear, as "EVENT MESSAGE CODE"; polling says the status in place of it. */
async function tried(t, version, where, how, options = {}) {
    const client = new Client(version, where, { ...how, options: { ...(how.options || {}), ...options } });
    t.after(() => client.close());
    await client.when(() => client.notes.length > 0, within(3000), 'something');
    const { what, detail } = client.notes[0];
    const message = detail && (detail.message || detail);
    return { client, heard: [what, message, detail && detail.data && detail.data.code].filter(Boolean).join(' '), detail };
}
/* heard: by version; line: of the daemon's log, once for both. */
async function mistake(t, daemon, { where = daemon.addr, how, heard, line }) {
    for (const version of VERSIONS) {
        const { heard: said, detail } = await tried(t, version, where, how);
        assert.match(said, [].concat(heard)[version === 4 ? 0 : heard.length > 1 ? 1 : 0], `client ${version}.x`);
        if (how.status) assert.match(String((detail.description && detail.description.message) || detail.description), how.status);
    }
    if (line) await daemon.logged(line);
    else assert.doesNotMatch(daemon.log, /client refused|another path|times=/);
}
const polling = { transports: ['polling'] };
const untold = /^connect_error (xhr poll error|websocket error)$/;

test('the wrong port: the client is told of its own machine only', async (t) => {
    const daemon = await start(t);
    const where = { ...daemon.addr, port: await freePort() };
    const how = { token: daemon.token('u') };
    await mistake(t, daemon, { where, how: { ...how, status: /ECONNREFUSED/ }, heard: [untold] });
    await mistake(t, daemon, { where, how: { ...how, options: polling }, heard: [untold] });
    await daemon.logged(/listening on 127\.0\.0\.1:\d+, redis subscribed/); /* the right one */
});
test('the port of the admin address', async (t) => {
    const daemon = await start(t);
    const where = await adminOf(daemon);
    const line = /info master\[\d+\]: a client at the admin address, which is not for clients: path=\/notifications\/ address=\S+ times=1/;
    await mistake(t, daemon, { where, how: { token: daemon.token('u'), status: /404/ }, heard: [untold], line });
    await mistake(t, daemon, { where, how: { options: polling, status: /404/ }, heard: [untold], line });
});
test('the wrong path', async (t) => {
    const daemon = await start(t);
    const line = /info worker 1\[\d+\]: request for another path: path=\/socket\.io\/ served=\/notifications\/ address=\S+ times=1/;
    await mistake(t, daemon, { how: { path: '/socket.io', token: daemon.token('u'), status: /404/ }, heard: [untold], line });
    await mistake(t, daemon, { how: { path: '/socket.io', options: polling, status: /404/ }, heard: [untold], line });
});
test('/axr is forgotten: the client is connected, to /, and hears nothing', async (t) => {
    const daemon = await start(t);
    /* 2.x is in / unasked, be it meant or not: the line is of the other. */
    const old = await tried(t, 2, daemon.addr, { token: daemon.token('u'), nsp: '/' });
    assert.strictEqual(old.heard, 'connect');
    const { client, heard } = await tried(t, 4, daemon.addr, { token: daemon.token('u'), nsp: '/', options: polling });
    assert.strictEqual(heard, 'connect');
    await daemon.logged(/info worker 1\[\d+\]: token for the namespace \/, in which nothing is sent: namespace=\/ served=\/axr address=\S+ transport=polling times=1/);
    assert.strictEqual((await askJson(daemon, '/users/u')).connected, false);
    for (const one of [client, old.client])
        assert.match((await one.noted('disconnect', within(CONNECT_MS + 2000))).detail, /^transport (close|error)$/);
    await daemon.logged(/info worker 1\[\d+\]: client did not ask for the namespace and is closed: served=\/axr within_ms=700 /);
});
test('another namespace', async (t) => {
    const daemon = await start(t);
    await mistake(t, daemon, {
        how: { token: daemon.token('u'), nsp: '/ax' },
        heard: [/^connect_error Invalid namespace$/, /^error Invalid namespace$/],
        line: /info worker 1\[\d+\]: namespace is not served: namespace=\/ax served=\/axr address=\S+ transport=websocket times=1/,
    });
});

/* A token that another key has signed. */
function es256(claims) {
    const { privateKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const head = [{ alg: 'ES256', typ: 'JWT' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    return `${head}.${crypto.sign('sha256', Buffer.from(head), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}
const TOKENS = {
    'no token': [() => undefined, 'token_missing', /No token was given/],
    'the name in place of a token': [() => 'alice', 'token_malformed', /The token is malformed/],
    'the wrong secret': [() => sign({ uid: 'u' }, 'another secret that is long enough'), 'token_signature', /The token's signature is invalid/],
    'the secret with the newline of its file': [() => sign({ uid: 'u' }, `${SECRET}\n`), 'token_signature', /The token's signature is invalid/],
    'another algorithm': [() => es256({ uid: 'u' }), 'token_algorithm', /The token's algorithm is not accepted/],
    'an expired token': [() => sign({ uid: 'u', exp: now() - 60 }, SECRET), 'token_expired', /The token has expired/],
    'a token without a user': [() => sign({ name: 'u' }, SECRET), 'token_user', /The token names no user: profile\.uid, uid or sub has to be a string/],
    'a user that is a number': [() => sign({ uid: 42 }, SECRET), 'token_user', /The token names no user: uid has to be a string/],
};
for (const [what, [make, code, message]] of Object.entries(TOKENS))
    test(what, async (t) => {
        const daemon = await start(t);
        const words = message.source;
        await mistake(t, daemon, {
            how: { token: make() },
            heard: [new RegExp(`^connect_error ${words}.* ${code}$`), new RegExp(`^error ${words}`)],
            line: new RegExp(`info worker 1\\[\\d+\\]: client refused: reason=${code} address=\\S+ transport=websocket .*times=1`),
        });
        await settled(daemon, (now_) => now_.get('refusals_total', `reason="${code}"`) === VERSIONS.length, 'both are counted');
    });

test('https for http', async (t) => {
    const daemon = await start(t, { how: { tls: false } });
    const where = { ...daemon.addr, tls: { rejectUnauthorized: false } };
    const line = /info worker 1\[\d+\]: TLS on a port for plain HTTP: address=\S+ times=1/;
    await mistake(t, daemon, { where, how: { token: daemon.token('u'), status: /EPROTO.*wrong version number/ }, heard: [untold], line });
    await mistake(t, daemon, { where, how: { options: polling }, heard: [untold], line });
});
test('http for https', async (t) => {
    const daemon = await start(t, { how: { tls: true } });
    const where = { host: daemon.addr.host, port: daemon.addr.port };
    const line = /info worker 1\[\d+\]: TLS: plain HTTP on a port for TLS: address=\S+ times=1/;
    await mistake(t, daemon, { where, how: { token: daemon.token('u'), status: /socket hang up/ }, heard: [untold], line });
    await mistake(t, daemon, { where, how: { options: polling }, heard: [untold], line });
});
test('a certificate that the client does not know', async (t) => {
    const daemon = await start(t, { how: { tls: true } });
    const where = { host: daemon.addr.host, port: daemon.addr.port, tls: { rejectUnauthorized: true } };
    await mistake(t, daemon, {
        where, how: { token: daemon.token('u'), status: /self.signed|unable to (get|verify)/ }, heard: [untold],
        line: /info worker 1\[\d+\]: TLS: the client (refuses|left during the handshake)/,
    });
});

/* --- the emitter's --- */

/* A daemon with a client, and axr-notify --watch. */
async function watched(t, { uid = 'alice', redis } = {}) {
    const daemon = await start(t);
    const client = await connect(4, daemon.addr, { token: daemon.token(uid) });
    t.after(() => client.close());
    const where = redis ? ['--socket.io:redis:port', String(redis.port)] : [];
    const watch = new Process(NOTIFY, ['-c', daemon.file, ...where, '--watch'], { cwd: daemon.dir, env: daemon.env });
    t.after(() => watch.signal('SIGTERM'));
    await watch.line(/^watching redis at 127\.0\.0\.1:\d+ for key=socket\.io namespace=\/axr$/m, within(2000));
    return { daemon, client, watch, shown: (pattern) => watch.line(pattern, within(2000)) };
}
/* What was published has gone by when a good message has arrived. */
async function unheard(t, client, send) {
    send();
    (await quiet()).emitter().to('allusers').emit('end');
    await client.when(() => client.events.length > 0, within(3000), 'the end');
    assert.deepStrictEqual(client.events, [['end']]);
}
/* axr-notify has told so many.  Those of a test before this one may still be on their way out. */
const toldTo = (n, daemon, args) => until(async () => {
    const said = await daemon.notify(args);
    return said.out === `${n} subscriber${n === 1 ? '' : 's'}\n` && said;
}, within(2000), `${n} subscribers`);

test('an emitter without .of("/axr"), or of another namespace: --watch sees it', async (t) => {
    const redis = await quiet();
    const { daemon, client, shown } = await watched(t);
    await unheard(t, client, () => {
        redis.emitter('/').to('alice').emit('msg', 1);
        redis.emitter('/chat').emit('msg', 1);
        redis.emitter('/').in('alice').socketsJoin('x');
    });
    await shown(/^event=msg rooms=alice channel=socket\.io#\/#alice# wrong="namespace \/, and \/axr is served: emitter\.of\(\)"$/m);
    await shown(/^event=msg rooms=\* channel=socket\.io#\/chat# wrong="namespace \/chat, and \/axr is served: emitter\.of\(\)"$/m);
    await shown(/^request channel=socket\.io-request#\/# wrong="namespace \/, and \/axr is served: emitter\.of\(\)"$/m);
    await shown(/^event=end rooms=allusers channel=socket\.io#\/axr#allusers#$/m);
    const { err } = await toldTo(1, daemon, ['--socket.io:namespace', '/', 'msg']); /* that is --watch */
    assert.strictEqual(err, '');
    await settled(daemon, (metrics) => metrics.get('messages_relayed_total') === 1, 'none of them came to the daemon');
});
test('an emitter with another key', async (t) => {
    const redis = await quiet();
    const { client, shown } = await watched(t);
    await unheard(t, client, () => redis.emitter('/axr', { key: 'app' }).to('alice').emit('msg', 1));
    await shown(/^event=msg rooms=alice channel=app#\/axr#alice# wrong="the key is not socket\.io: socket\.io:key, or the emitter's option key"$/m);
});
test('a room with a typo: the log, the counter, /users and --ack', async (t) => {
    const redis = await quiet();
    const { daemon, client, shown } = await watched(t);
    await unheard(t, client, () => redis.emitter().to('alcie').emit('msg', 1));
    await daemon.logged(/info master\[\d+\]: nobody here is in these rooms: event=msg rooms=alcie times=1/);
    await shown(/^event=msg rooms=alcie channel=socket\.io#\/axr#alcie#$/m);
    await settled(daemon, (metrics) => metrics.get('messages_unheard_total') === 1, 'it is counted');
    assert.strictEqual((await askJson(daemon, '/users/alcie')).connected, false);
    assert.strictEqual((await askJson(daemon, '/users/alice')).connected, true);
    await toldTo(2, daemon, ['--to', 'alcie', 'msg']);
    const { out, err } = await daemon.notify(['--ack', '2s', '--to', 'alcie', 'msg']);
    assert.strictEqual(out, 'reached 0, acknowledged 0\n');
    assert.match(err, /^axr-notify: warning: nobody is there: no client of the 1 server is in such a room; that of a user is the uid of its token\n$/);
});
test('a number for the room of a user', async (t) => {
    const redis = await quiet();
    const { daemon, client, shown } = await watched(t, { uid: '42' });
    await unheard(t, client, () => redis.emitter().to(42).emit('msg', 1));
    await daemon.logged(/info master\[\d+\]: nobody here is in a room that is a number, for those of users are text, String\(id\): event=msg room=42 times=1/);
    await shown(/^event=msg rooms=42 channel=socket\.io#\/axr#42# wrong="a room is a number, and those of users are text: String\(id\)"$/m);
});
test('a room of a variable that is not set', async (t) => {
    const redis = await quiet();
    const { daemon, client, shown } = await watched(t);
    await unheard(t, client, () => redis.emitter().to(undefined).emit('msg', 1));
    await daemon.logged(/info master\[\d+\]: nobody is in a room that has no name, as that of a variable that is not set: channel=socket\.io#\/axr#undefined# times=1/);
    await shown(/^message channel=socket\.io#\/axr#undefined# wrong="its rooms have no name, as that of a variable that is not set"$/m);
    await settled(daemon, (metrics) => metrics.get('messages_passed_over_total', 'cause="nobody"') === 1, 'it is counted');
});
test('another redis: axr-notify says where it is, and that nobody listens', async (t) => {
    const other = await stray();
    const { daemon, client, watch, shown } = await watched(t, { redis: other });
    const emitter = new Emitter(other.client).of('/axr');
    await unheard(t, client, () => emitter.to('alice').emit('msg', 1));
    /* With the daemon's own configuration it would show nothing of this. */
    await shown(/^event=msg rooms=alice channel=socket\.io#\/axr#alice#$/m);
    const there = ['--socket.io:redis:port', String((await stray()).port)];
    watch.signal('SIGTERM');
    await watch.exited;
    const plain = await until(async () => {
        const said = await daemon.notify([...there, '--to', 'alice', 'msg']);
        return said.out === '0 subscribers\n' && said;
    }, within(2000), 'redis has noticed that --watch has gone');
    assert.match(plain.err, /nobody listens: no axr-notifyd is subscribed to "socket\.io#\/axr#alice#" at this redis/);
    const acked = await daemon.notify([...there, '--ack', '500', '--to', 'alice', 'msg']);
    assert.deepStrictEqual([acked.code, acked.out], [3, 'reached 0, acknowledged 0\n']);
    assert.match(acked.err, /nobody serves: no server answers on "socket\.io-request#\/axr#" at this redis/);
    const none = await daemon.notify(['--socket.io:redis:port', String(await freePort()), 'msg']);
    assert.match(none.err, /^axr-notify: cannot connect to redis at 127\.0\.0\.1:\d+: Connection refused\n$/);
});
test('another database of redis is no mistake', async (t) => {
    const { client } = await watched(t);
    const other = await (await quiet()).connect({ database: 5 });
    new Emitter(other).of('/axr').to('alice').emit('msg', 1);
    await client.when(() => client.events.length > 0, within(3000), 'the message');
    assert.deepStrictEqual(client.events, [['msg', 1]]);
});
test('--watch ends with the redis that it watches', async (t) => {
    const redis = await Redis.start(t);
    const daemon = new Daemon(t, { redis, config });
    const watch = new Process(NOTIFY, ['-c', daemon.file, '--watch'], { cwd: daemon.dir, env: daemon.env });
    await watch.line(/^watching redis/m, within(2000));
    redis.process.signal('SIGKILL');
    assert.deepStrictEqual(await watch.ended(within(3000)), { code: 1, signal: null });
    assert.match(watch.log, /^axr-notify: redis: .*(closed|reset)/m);
});

/* Whoever looks for a line finds it in the guide. */
const GUIDE = [
    'a client at the admin address, which is not for clients: path=', 'request for another path: path=',
    'token for the namespace /, in which nothing is sent: namespace=/', 'client did not ask for the namespace and is closed: served=/axr',
    'namespace is not served: namespace=', 'client refused: reason=token_', 'TLS on a port for plain HTTP: address=',
    'TLS: plain HTTP on a port for TLS: address=', 'nobody here is in these rooms: event=',
    'namespace /, and /axr is served: emitter.of()', 'the key is not socket.io: ', 'a room is a number, and those of users are text: String(id)',
    'its rooms have no name, as that of a variable that is not set', 'watching redis at localhost:6379 for key=socket.io namespace=/axr',
];
test('axr-notifyd-guide(7) has them, and every code of a refused token', () => {
    const text = fs.readFileSync(path.join(ROOT, 'man/axr-notifyd-guide.7'), 'utf8').replace(/\\\(dq/g, '"');
    for (const line of GUIDE) assert.ok(text.includes(line), line);
    for (const [, code] of Object.values(TOKENS)) assert.ok(text.includes(code), code);
});
