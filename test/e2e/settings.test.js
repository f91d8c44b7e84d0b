'use strict';
/* Each key of the configuration that a reload can change: what it does before and after,
 * in every worker that runs, in those that take the place of one that died, and in the
 * master.  And what a reload that is refused leaves behind: nothing. */
const assert = require('assert');
const { execFileSync } = require('child_process');
const fs = require('fs');
const net = require('net');
const path = require('path');
const { test, shared, keep } = require('./lib/suite');
const { Redis, freePort } = require('./lib/redis');
const { Daemon, NOTIFYD, ROOT, SECRET, merge } = require('./lib/daemon');
const { Raw, exchange, joined } = require('./lib/raw');
const { Http, PATH, once, polled } = require('./lib/http');
const { reload, relive, renew } = require('./lib/reload');
const { scrape, settled } = require('./lib/metrics');
const { heard, heardArgs } = require('./lib/hear');
const { PASSWORD, guarded } = require('./lib/guarded');
const { isRunning, tempDir } = require('./lib/proc');
const { SLOW, within, until, elapse } = require('./lib/time');
const jwt = require('./lib/jwt');

const redisServer = shared((s) => Redis.start(s));
const OTHER = 'another secret that is long enough: 0123';

/* --- clients as the configuration in force wants them --- */

/* A token that is good, but for more claims, another secret, algorithm or header. */
function good(daemon, { claims = {}, secret, alg, header } = {}) {
    const { secret: own, options = {} } = daemon.config.auth;
    const of = (list) => list && [].concat(list)[0];
    const all = { uid: 'u', aud: of(options.audience), iss: of(options.issuer), ...claims };
    return jwt.sign(JSON.stringify(all), secret || own, alg || of(options.algorithms) || 'HS256', { typ: of(options.types) || 'JWT', ...header });
}
/* What becomes of one with such a token: "ok", or the code of its refusal. */
async function outcome(daemon, how) {
    const client = await Raw.open(daemon.addr, { path: daemon.config.path });
    try {
        client.sendText(client.connectPacket('/axr', { token: good(daemon, how) }));
        const text = await client.text();
        return text.startsWith('40/axr,') ? 'ok' : JSON.parse(text.replace('44/axr,', '')).data.code;
    } finally {
        client.destroy();
    }
}
async function member(t, daemon, uid = 'u') {
    return keep(t, await joined(daemon.addr, good(daemon, { claims: { uid } })));
}
const handshake = (daemon, headers = {}) => once(daemon.addr, 'GET', `${PATH}?EIO=4&transport=polling`, headers);
const statusWith = async (daemon, headers) => (await once(daemon.addr, 'GET', '/status', headers)).status;
const closes = (client) => client.end(within(3000)).then(() => 'closed');
let uids = 0;
let addresses = 0;
/* From an address that nobody else comes from. */
const far = (daemon) => ({ ...daemon.addr, localAddress: `127.0.7.${++addresses}` });
/* Where the log says that a client is of which a proxy says that. */
async function seenFrom(t, daemon, xff, forwarded) {
    const uid = `from${++uids}`;
    const headers = { 'X-Forwarded-For': xff, Forwarded: `for=${forwarded}` };
    const client = keep(t, await joined(daemon.addr, good(daemon, { claims: { uid } }), { headers }));
    const [, address] = await daemon.logged(new RegExp(`client connected: user=${uid} address=([\\d.]+)`));
    client.destroy();
    return address;
}

/* --- what live workers take --- */

/* Each key: what is over the configuration in force, what to look at (with the only worker
 * that runs; where it takes a time, what is waited for when the other runs, too), what it is
 * to be then, and before, unless that takes too long.  They stay, one on the other. */
const LIVE = {
    'auth:secret': [{ auth: { secret: OTHER } }, (t, daemon) => outcome(daemon, { secret: OTHER }), 'ok', 'token_signature'],
    'auth:options:algorithms': [{ auth: { options: { algorithms: ['HS384'] } } }, (t, daemon) => outcome(daemon, { alg: 'HS256' }), 'token_algorithm', 'ok'],
    'auth:options:audience': [{ auth: { options: { audience: ['us'] } } }, (t, daemon) => outcome(daemon, { claims: { aud: undefined } }), 'token_audience', 'ok'],
    'auth:options:issuer': [{ auth: { options: { issuer: ['me'] } } }, (t, daemon) => outcome(daemon, { claims: { iss: undefined } }), 'token_issuer', 'ok'],
    'auth:options:types': [{ auth: { options: { types: ['session+jwt'] } } }, (t, daemon) => outcome(daemon, { header: { typ: 'JWT' } }), 'token_malformed', 'ok'],
    'auth:options:clockTolerance': [{ auth: { options: { clockTolerance: 60 } } },
        (t, daemon) => outcome(daemon, { claims: { exp: jwt.now() - 10 } }), 'ok', 'token_expired'],
    'auth:options:roomsClaim': [{ auth: { options: { roomsClaim: 'rooms' } } }, (t, daemon) => outcome(daemon, { claims: { rooms: 7 } }), 'token_claim', 'ok'],
    'limits:tokenBytes': [{ limits: { tokenBytes: 700 } }, (t, daemon) => outcome(daemon, { claims: { x: 'x'.repeat(700) } }), 'token_too_large', 'ok'],
    'cors:origins': [{ cors: { origins: ['https://a.example'] } }, async (t, daemon) => (await handshake(daemon, { Origin: 'https://b.example' })).status, 403, 200],
    'cors:credentials': [{ cors: { credentials: true } },
        async (t, daemon) => (await handshake(daemon, { Origin: 'https://a.example' })).headers['access-control-allow-credentials'] || 'none', 'true', 'none'],
    proxies: [{ proxies: ['127.0.0.1'] }, (t, daemon) => seenFrom(t, daemon, '203.0.113.9', '203.0.113.9'), '203.0.113.9', '127.0.0.1'],
    proxyHeader: [{ proxyHeader: 'Forwarded' }, (t, daemon) => seenFrom(t, daemon, '203.0.113.9', '203.0.113.8'), '203.0.113.8', '203.0.113.9'],
    'limits:headerBytes': [{ limits: { headerBytes: 2000 } }, (t, daemon) => statusWith(daemon, { X: 'x'.repeat(3000) }), 431, 200],
    'limits:headers': [{ limits: { headers: 12 } }, (t, daemon) => statusWith(daemon, { X: Array(20).fill('x') }), 431, 200],
    'limits:sendBuffer': [{ limits: { sendBuffer: 20000 } }, async (t, daemon, redis) => {
        const uid = `away${++uids}`;
        const away = keep(t, await polled(daemon.addr, good(daemon, { claims: { uid } })));
        const witness = await member(t, daemon, uid);
        /* The first one does not count. */
        for (let i = 0; i < 3; i++) redis.emitter().to(uid).emit('big', i, 'x'.repeat(15000));
        for (let i = 0; i < 3; i++) assert.strictEqual((await witness.event()).args[1], i);
        await away.get();
        const count = away.packets.length;
        await away.send('1').catch(() => {});
        return count;
    }, 2, 3],
    'limits:strangers': [{ limits: { strangers: 8 } }, async (t, daemon) => {
        const sockets = [];
        for (let i = 0; i < 12; i++) sockets.push(keep(t, new Http(daemon.addr)));
        const over = await Promise.race(sockets.map((one) => one.over(within(3000)))).then(() => 'evicted');
        sockets.forEach((one) => one.destroy());
        return over;
    }, 'evicted'],
    'limits:connectionsPerAddress': [{ limits: { connectionsPerAddress: 15 } }, async (t, daemon) => {
        const where = far(daemon);
        const clients = [];
        for (let client; clients.length < 16 && (client = await joined(where, good(daemon)).catch(() => null)); ) clients.push(keep(t, client));
        clients.forEach((client) => client.destroy());
        const gone = () => daemon.log.split(`client disconnected: user=u address=${where.localAddress}:`).length - 1;
        await until(() => gone() === clients.length, within(3000), 'all are gone');
        return clients.length;
    }, 15, 16],
    'limits:connections': [{ limits: { connections: 20 } }, async (t, daemon) => {
        const reached = daemon.logged(/limits:connections reached: connections=(\d+)/, within(3000), daemon.log.length);
        let count;
        reached.then(([, text]) => (count = text), () => {});
        const clients = [];
        while (count === undefined && clients.length < 22) {
            clients.push(joined(far(daemon), good(daemon)).then((client) => keep(t, client)));
            await Promise.race([clients[clients.length - 1], reached]); /* the last one waits for a place */
        }
        await reached;
        for (const client of clients) (await client).destroy();
        return count;
    }, '20'],
    'limits:roomsPerClient': [{ limits: { roomsPerClient: 3 } }, async (t, daemon, redis) => {
        const uid = `roomy${++uids}`;
        const client = await member(t, daemon, uid);
        const rooms = ['a', 'b'].map((name) => `${uid}${name}`);
        redis.emitter().in(uid).socketsJoin(rooms);
        for (const room of rooms) redis.emitter().to(room).emit('one');
        redis.emitter().to(uid).emit('end');
        for (let count = 0; ; count++) if ((await client.event()).args[0] === 'end') return count;
    }, 1, 2],
    'limits:sendTimeout': [{ limits: { sendTimeout: 500 * SLOW } }, async (t, daemon, redis) => {
        const uid = `away${++uids}`;
        keep(t, await polled(daemon.addr, good(daemon, { claims: { uid } })));
        redis.emitter().to(uid).emit('waits');
        return async () => (await daemon.logged(new RegExp(`user=${uid} .*reason="(.*)" `), within(3000)))[1];
    }, 'send timeout'],
    'limits:idleTimeout': [{ limits: { idleTimeout: 400 * SLOW } }, async (t, daemon) => {
        const http = keep(t, new Http(daemon.addr));
        await http.send('GET', '/status').answer();
        return () => http.over(within(3000)).then(() => 'closed');
    }, 'closed'],
    'socket.io:connectTimeout': [{ 'socket.io': { connectTimeout: 2000 * SLOW } }, async (t, daemon) => {
        const client = keep(t, await Raw.open(daemon.addr));
        return () => closes(client);
    }, 'closed'],
    'socket.io:upgradeTimeout': [{ 'socket.io': { upgradeTimeout: 500 * SLOW } }, async (t, daemon) => {
        const { sid } = await polled(daemon.addr, good(daemon));
        const raw = keep(t, new Raw(daemon.addr, { query: { sid } }));
        await raw.upgraded;
        raw.sendText('2probe');
        assert.strictEqual(await raw.text(), '3probe');
        return () => closes(raw);
    }, 'closed'],
};

/* fn while this is the only worker that runs. */
async function alone(daemon, pid, fn) {
    const others = daemon.workers().filter((one) => one !== pid);
    others.forEach((one) => process.kill(one, 'SIGSTOP'));
    try {
        return await fn();
    } finally {
        others.filter(isRunning).forEach((one) => process.kill(one, 'SIGCONT'));
    }
}
/* waits: for what is still to come. */
async function observe(t, daemon, redis, key, wanted, pids, waits) {
    const [, look] = LIVE[key];
    for (const pid of pids) {
        const seen = await alone(daemon, pid, () => look(t, daemon, redis));
        const check = (value) => assert.strictEqual(value, wanted, `${key}, worker ${pid}`);
        if (typeof seen === 'function') waits.push(seen().then(check));
        else check(seen);
    }
}
test('each key that live workers take is in force in every worker, and in those that are forked later', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { limits: { strangers: 1000 } } });
    t.after(() => daemon.workers().forEach((pid) => process.kill(pid, 'SIGCONT')));
    const steady = await member(t, daemon, 'steady');
    const polls = keep(t, await polled(daemon.addr, daemon.token('steady'), { keep: true }));
    let waits = [];
    for (const [key, [over, , after, before]] of Object.entries(LIVE)) {
        if (before !== undefined) await observe(t, daemon, redis, key, before, daemon.workers().slice(0, 1));
        const log = await relive(daemon, over);
        assert.match(log, new RegExp(`changed: ${key === 'auth:secret' ? 'auth \\(a key\\)' : key}$`, 'm'));
        await observe(t, daemon, redis, key, after, daemon.workers(), waits);
    }
    await Promise.all(waits);
    redis.emitter().to('steady').emit('msg', 'still');
    for (const one of [steady, polls]) assert.deepStrictEqual((await one.event()).args, ['msg', 'still']);
    daemon.deaths = true;
    const old = daemon.workers();
    for (const pid of old) process.kill(pid, 'SIGKILL');
    await until(() => daemon.workers().length === 2 && !daemon.workers().some((pid) => old.includes(pid)), within(2000), 'other workers');
    for (const pid of daemon.workers()) await daemon.logged(new RegExp(`worker \\d ready: pid=${pid} `));
    waits = [];
    for (const [key, [, , after]] of Object.entries(LIVE)) await observe(t, daemon, redis, key, after, daemon.workers(), waits);
    await Promise.all(waits);
}, { timeout: 120000 });

/* --- what the master takes --- */

const events = async (redis, client) => (await heard(redis, [client]))[0].map(({ args }) => args[0]);
/* How many of three clients of one user stay, and what the last one is told. */
async function third(t, daemon) {
    const uid = `often${++uids}`;
    const clients = [];
    for (let i = 0; i < 2; i++) clients.push(await member(t, daemon, uid));
    const told = await outcome(daemon, { claims: { uid } });
    const replaced = told === 'ok' && daemon.config.limits && daemon.config.limits.connectionsPerUser > 0;
    if (replaced) assert.strictEqual(await clients[0].text(), '41/axr,');
    clients.forEach((client) => client.destroy());
    return told === 'ok' && replaced ? 'replaced' : told;
}
/* How long a request waits for a worker that hangs. */
async function waited(t, daemon, redis) {
    const [pid] = daemon.workers();
    const listener = redis.client.duplicate();
    await listener.connect();
    try {
        process.kill(pid, 'SIGSTOP');
        const began = Date.now();
        const requestId = `r${++uids}`;
        const answer = new Promise((resolve) => { listener.subscribe('socket.io-response#/axr#', (text) => text.includes(requestId) && resolve(text)); });
        await redis.publish('socket.io-request#/axr#', JSON.stringify({ requestId, type: 0, rooms: [] }));
        assert.ok(Array.isArray(JSON.parse(await answer).sockets));
        return Date.now() - began >= 3000 ? 'long' : 'not so long';
    } finally {
        process.kill(pid, 'SIGCONT');
        await listener.disconnect();
    }
}
const MASTER = {
    'socket.io:requestsTimeout': [{ 'socket.io': { requestsTimeout: 3000 } }, waited, 'long', 'not so long'],
    'limits:connectionsPerUser': [{ limits: { connectionsPerUser: 2 } }, third, 'user_limit', 'ok'],
    'limits:connectionsPerUserPolicy': [{ limits: { connectionsPerUserPolicy: 'replace' } }, third, 'replaced', 'user_limit'],
    'limits:messageBytes': [{ limits: { messageBytes: 5000 } }, async (t, daemon, redis) => {
        redis.emitter().emit('large', 'x'.repeat(8000));
        return events(redis, await steadyOf(t, daemon));
    }, [], ['large']],
    'limits:attachments': [{ limits: { attachments: 2 } }, async (t, daemon, redis) => {
        redis.emitter().emit('three', ...[1, 2, 3].map((byte) => Buffer.from([byte])));
        return events(redis, await steadyOf(t, daemon));
    }, [], ['three']],
};
/* One client of the daemon that has been in all the time. */
async function steadyOf(t, daemon) {
    return (daemon.steady = daemon.steady || (await member(t, daemon, 'steady')));
}
test('each key that the master takes is in force at once', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis });
    const pids = daemon.workers();
    await steadyOf(t, daemon);
    for (const [key, [over, look, after, before]] of Object.entries(MASTER)) {
        assert.deepStrictEqual(await look(t, daemon, redis), before, `${key}, before`);
        assert.match(await reload(daemon, over), new RegExp(`changed: ${key}$`, 'm'));
        assert.deepStrictEqual(await look(t, daemon, redis), after, key);
    }
    const port = await freePort();
    assert.match(await reload(daemon, { admin: { port } }), /changed: admin:port$/m);
    assert.strictEqual((await once({ host: '127.0.0.1', port }, 'GET', '/health/live')).status, 200);
    assert.strictEqual(daemon.steady.over, null);
    assert.deepStrictEqual(daemon.workers(), pids);
});
test('socket.io:redis:username and password: the next connection has them', async (t) => {
    const { redis } = await guarded(t);
    const daemon = await Daemon.start(t, { redis, config: { 'socket.io': { redis: { username: 'pusher', password: `${PASSWORD}2` } } } });
    const client = await member(t, daemon);
    const who = async () => String(await redis.client.sendCommand(['CLIENT', 'LIST', 'TYPE', 'pubsub'])).match(/ user=\w+/g);
    assert.deepStrictEqual(await who(), [' user=pusher']);
    const users = [{ username: undefined, password: PASSWORD }, { username: 'pusher', password: `${PASSWORD}2` }];
    for (const over of [...users, { password: `${PASSWORD}3` }]) {
        const from = daemon.log.length;
        if (over.password === `${PASSWORD}3`) await redis.client.sendCommand(['ACL', 'SETUSER', 'pusher', `>${over.password}`]);
        await reload(daemon, { 'socket.io': { redis: over } });
        await daemon.logged(/the new connection has taken the place/, within(3000), from);
        const user = ` user=${daemon.config['socket.io'].redis.username || 'default'}`;
        await until(async () => String(await who()) === user, within(2000), `only${user}`);
        redis.emitter().emit('msg', user);
        assert.deepStrictEqual(await heardArgs(redis, [client]), [[user]]);
    }
});
test('auth:jwksFile: another file takes its place, and is watched from then on', async (t) => {
    const redis = await redisServer();
    const dir = tempDir(t);
    const secrets = [SECRET, OTHER, 'a third secret that is long enough: 0123'];
    const write = (name, secret) => {
        const file = path.join(dir, name);
        fs.writeFileSync(`${file}.new`, JSON.stringify({ keys: [{ kty: 'oct', k: Buffer.from(secret).toString('base64url') }] }));
        fs.renameSync(`${file}.new`, file);
        return file;
    };
    const [one, two] = [write('one', secrets[0]), write('two', secrets[1])];
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, auth: { secret: undefined, jwksFile: one } } });
    const accepted = async () => {
        const all = await Promise.all(secrets.map((secret) => outcome(daemon, { secret })));
        return all.map((code) => code === 'ok');
    };
    assert.deepStrictEqual(await accepted(), [true, false, false]);
    await relive(daemon, { auth: { jwksFile: two } });
    assert.deepStrictEqual(await accepted(), [false, true, false]);
    const from = daemon.log.length;
    write('one', secrets[2]); /* nobody cares any more */
    write('two', secrets[2]);
    await daemon.logged(/settings taken/, within(4000), from);
    assert.deepStrictEqual(await accepted(), [false, false, true]);
    assert.strictEqual(daemon.log.slice(from).match(/keys read again/g).length, 1);
});
test('drainTimeout and shutdownTimeout: what a reload says counts for the workers that leave then, and for the end', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, drainTimeout: 600000, shutdownTimeout: 600000 } });
    /* Each has something waiting, and does not come for it: its worker stays as long as it may. */
    const stays = async () => {
        const client = keep(t, await polled(daemon.addr, daemon.token('stays')));
        const before = (await settled(daemon, (now) => now.get('workers_up') === 1, 'a worker')).get('deliveries_total');
        redis.emitter().to('stays').emit('waits');
        await settled(daemon, (now) => now.get('deliveries_total') > before, 'something waits');
        return client;
    };
    await stays();
    await reload(daemon, { drainTimeout: 300, shutdownTimeout: 300 });
    await renew(daemon, { 'socket.io': { pingInterval: 20000 } });
    await stays();
    await daemon.stop(); /* within 300 ms, and a little */
});


/* --- connection state recovery --- */

/* A client that is let in, with what it claims: { client, sid, pid }. */
async function session(t, daemon, claim = {}) {
    const client = keep(t, await Raw.open(daemon.addr, { path: daemon.config.path }));
    client.sendText(client.connectPacket('/axr', { token: good(daemon), ...claim }));
    const text = await client.text();
    assert.match(text, /^40\/axr,\{/);
    return { client, ...JSON.parse(text.slice(7)) };
}
/* Has one its session back, which has been away for ms at least? */
async function recovers(t, daemon, ms = 0, meanwhile = async () => {}) {
    const { client, pid } = await session(t, daemon);
    client.destroy();
    await settled(daemon, (now) => now.get('clients') === 0, 'it has gone');
    await elapse(ms);
    await meanwhile();
    const again = await session(t, daemon, { pid });
    again.client.destroy();
    await settled(daemon, (now) => now.get('clients') === 0, 'it has gone again');
    return again.pid === pid;
}
test('socket.io:connectionStateRecovery:secretFile: sessions of before are not known, those from then on are', async (t) => {
    const redis = await redisServer();
    const dir = tempDir(t);
    const write = (name, text) => {
        fs.writeFileSync(path.join(dir, name), text, { mode: 0o600 });
        return path.join(dir, name);
    };
    const secretFile = write('one', SECRET);
    const daemon = await Daemon.start(t, { redis, config: { workers: 2, 'socket.io': { connectionStateRecovery: { secretFile } } } });
    const pids = daemon.workers();
    const changed = /changed: socket\.io:connectionStateRecovery:secretFile$/m;
    assert.strictEqual(await recovers(t, daemon), true, 'before');
    assert.strictEqual(await recovers(t, daemon, 0, async () => {
        write('one', OTHER);
        assert.match(await reload(daemon, {}), changed);
    }), false, 'another secret in the file');
    assert.strictEqual(await recovers(t, daemon, 0, () => reload(daemon, {})), true, 'a reload of the same');
    assert.strictEqual(await recovers(t, daemon, 0, async () => {
        const other = write('two', SECRET);
        assert.match(await reload(daemon, { 'socket.io': { connectionStateRecovery: { secretFile: other } } }), changed);
    }), false, 'another file');
    assert.deepStrictEqual(daemon.workers(), pids);
});

test('a history that there is no memory for: the reload is refused, and the one that there is stays', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, 'socket.io': { connectionStateRecovery: { maxBytes: 2000000 } } } });
    const pids = daemon.workers();
    /* The file that it lies in counts, too. */
    execFileSync('prlimit', ['--pid', daemon.pid, '--fsize=3000000']);
    assert.strictEqual(await recovers(t, daemon, 0, async () => {
        const from = daemon.log.length;
        daemon.write(merge(daemon.config, { 'socket.io': { connectionStateRecovery: { maxBytes: 4000000 } } }));
        daemon.signal('SIGHUP');
        await daemon.logged(/history: bytes=\d+: File too large[^]*configuration not reloaded/, within(3000), from);
    }), true);
    assert.strictEqual((await scrape(daemon)).get('history_limit_bytes'), 2000000);
    assert.deepStrictEqual(daemon.workers(), pids);
});

/* --- what needs new workers --- */

const open = async (daemon) => JSON.parse((await handshakeAt(daemon)).text.slice(1));
const handshakeAt = (daemon, query = 'EIO=4&transport=polling') => once(daemon.addr, 'GET', `${(daemon.config.path || PATH).replace(/\/?$/, '/')}?${query}`);
const clientFile = path.join(__dirname, 'lib/ways.js'); /* any text */
const pollingStatus = async (t, daemon) => (await handshakeAt(daemon)).status;
const WORKERS = {
    'socket.io:transports (polling)': [{ 'socket.io': { transports: ['websocket'] } }, pollingStatus, 400, 200],
    'socket.io:transports (polling), back': [{ 'socket.io': { transports: ['websocket', 'polling'] } }, pollingStatus, 200, 400],
    'socket.io:connectionStateRecovery': [{ 'socket.io': { connectionStateRecovery: {} } }, async (t, daemon) => {
        const { client, pid } = await session(t, daemon);
        client.destroy();
        return typeof pid;
    }, 'string', 'undefined'],
    'socket.io:connectionStateRecovery:maxBytes': [{ 'socket.io': { connectionStateRecovery: { maxBytes: 2000000 } } },
        async (t, daemon) => (await scrape(daemon)).get('history_limit_bytes'), 2000000, 67108864],
    'socket.io:connectionStateRecovery:maxDisconnectionDuration': [{ 'socket.io': { connectionStateRecovery: { maxDisconnectionDuration: 100 } } },
        (t, daemon) => recovers(t, daemon, 200), false, true],
    'path': [{ path: '/other' }, async (t, daemon) => (await once(daemon.addr, 'GET', '/other/?EIO=4&transport=polling')).status, 200, 404],
    'socket.io:pingInterval': [{ 'socket.io': { pingInterval: 20001 } }, async (t, daemon) => (await open(daemon)).pingInterval, 20001, 25000],
    'socket.io:pingTimeout': [{ 'socket.io': { pingTimeout: 15001 } }, async (t, daemon) => (await open(daemon)).pingTimeout, 15001, 20000],
    'socket.io:maxHttpBufferSize': [{ 'socket.io': { maxHttpBufferSize: 2000 } }, async (t, daemon) => {
        const { sid, maxPayload } = await open(daemon);
        const { status } = await once(daemon.addr, 'POST', `${daemon.config.path}/?EIO=4&transport=polling&sid=${sid}`, {}, `40/x,{"a":"${'x'.repeat(3000)}"}`);
        return [maxPayload, status];
    }, [2000, 413], [1000000, 200]],
    'socket.io:transports (websocket)': [{ 'socket.io': { transports: ['polling'] } }, async (t, daemon) => (await open(daemon)).upgrades, [], ['websocket']],
    'socket.io:allowEIO3': [{ 'socket.io': { allowEIO3: false } }, async (t, daemon) => (await handshakeAt(daemon, 'EIO=3&transport=polling')).status, 400, 200],
    'socket.io:clientFile': [{ 'socket.io': { clientFile } }, async (t, daemon) => {
        const { status, body } = await exchange(daemon.addr, `GET ${daemon.config.path}/socket.io.js HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
        return status === 200 ? body === fs.readFileSync(clientFile, 'utf8') : status;
    }, true, 404],
};
test('each key that needs new workers is in force when they serve', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, drainTimeout: 300 } });
    for (const [key, [over, look, after, before]] of Object.entries(WORKERS)) {
        assert.deepStrictEqual(await look(t, daemon), before, `${key}, before`);
        assert.ok((await renew(daemon, over)).includes(`changed: ${key.replace(', back', '')}\n`), key);
        assert.deepStrictEqual(await look(t, daemon), after, key);
    }
});

/* Keys whose effect after a reload is tried in these tests. */
const ELSEWHERE = {
    'lifecycle.test.js: HUP: a good file applies log:level': ['log:level'],
    'reload.test.js: the log moves to a file, takes another format': ['log:target', 'log:format'],
    'reload.test.js: redis: another one takes its place': ['socket.io:redis:port', 'socket.io:redis:host'],
    'reload.test.js: redis: the same one under another name': ['socket.io:redis:path', 'socket.io:redis:database'],
    'reload.test.js: new workers take over on the same socket': ['workers'],
    'reload.test.js: a sandbox that a reload turns off': ['sandbox'],
    'reload.test.js: sockets are added and removed': ['listen', 'port', 'host'],
    'reload.test.js: the admin address: a name is looked up': ['admin:host'],
    'adminapi.test.js: a reload: another token counts at once': ['admin:token', 'admin:tokenFile'],
    'certificates.test.js: HUP: new connections get the new certificate': ['certFile', 'keyFile', 'minVersion', 'ciphers', 'cipherSuites'].map((name) => `tls:${name}`),
    'certificates.test.js: a certificate beside it, and TLS as a whole': ['tls:certificates'],
    'presence.test.js: it is off unless it is turned on; by a reload': ['socket.io:presence'],
    'redistls.test.js: a reload from plain text to TLS and back': ['', ':caFile', ':certFile', ':keyFile', ':servername', ':rejectUnauthorized'].map((member) => `socket.io:redis:tls${member}`),
    'sentinel.test.js: from an address to sentinels that name it': ['socket.io:redis:sentinels'],
    'sentinel.test.js: a reload of what sentinels are asked for': ['name', 'sentinelUsername', 'sentinelPassword', 'sentinelPasswordFile', 'sentinelTLS', 'sentinelTLS:caFile'].map((name) => `socket.io:redis:${name}`),
    'reload.test.js: what needs a restart is warned of': ['socket.io:namespace', 'socket.io:key', 'pidFile', 'user', 'group'],
};
/* Other names of values that are tried under one of theirs, and what is not implemented. */
const SAME = ['auth:secretFile', 'auth:publicKeyFile', 'auth:keys', 'socket.io:redis:url', 'socket.io:redis:passwordFile',
    ...['ca', 'cert', 'key'].map((text) => `socket.io:redis:tls:${text}`),
    ...['ca', 'cert', 'key', 'certFile', 'keyFile', 'servername', 'rejectUnauthorized'].map((member) => `socket.io:redis:sentinelTLS:${member}`)];
const HERE = ['socket.io:connectionStateRecovery:secretFile', 'admin:port', 'socket.io:redis:username', 'socket.io:redis:password', 'auth:jwksFile', 'drainTimeout', 'shutdownTimeout'];
test('every key that -t prints is tried in a reload', () => {
    const printed = execFileSync(NOTIFYD, ['-t', '-c', '/dev/null', '--auth:secret', SECRET], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const keys = [...printed.matchAll(/^(\S+) = /gm)].map(([, key]) => key);
    assert.ok(keys.length > 50, `${keys.length} keys`);
    for (const name of Object.keys(ELSEWHERE)) {
        const [, file, start] = /^(\S+): (.*)$/.exec(name);
        assert.ok(fs.readFileSync(path.join(__dirname, file), 'utf8').includes(`test('${start}`), name);
    }
    const tables = [LIVE, MASTER, WORKERS].flatMap(Object.keys).map((key) => key.replace(/ .*/, ''));
    const tried = [...tables, ...Object.values(ELSEWHERE).flat(), ...SAME, ...HERE];
    assert.deepStrictEqual(keys.filter((key) => !tried.includes(key)), []);
});

/* --- a reload that is refused --- */

test('a reload that is refused leaves nothing bound, open or changed', async (t) => {
    const redis = await redisServer();
    const dir = tempDir(t);
    const [old, fresh] = ['old', 'fresh'].map((name) => path.join(dir, name));
    const port = await freePort();
    const here = [`127.0.0.1:${port}`, `unix:${old}`];
    const daemon = await Daemon.start(t, { redis, config: { port: undefined, host: undefined, listen: here, drainTimeout: 1000 } });
    const steady = await member(t, daemon);
    const pids = daemon.workers();
    const busy = net.createServer().listen(0, '127.0.0.1');
    t.after(() => busy.close());
    await new Promise((resolve) => busy.once('listening', resolve));
    const good = daemon.config;
    const files = () => fs.readdirSync(`/proc/${daemon.pid}/fd`).length;
    const [free, admin] = [await freePort(), await freePort()];
    const listen = [...here, `127.0.0.1:${free}`, `unix:${fresh}`];
    const taken = `127.0.0.1:${busy.address().port}`;
    const bad = {
        'an address of several is in use': { listen: [...listen, taken] },
        'all of them could be bound, and the log cannot be opened': { listen, log: { target: '/nowhere/log' } },
        'the address of the status is in use': { listen, admin: { port: busy.address().port } },
        'the address of the status is free, another is not': { listen: [...listen, taken], admin: { port: admin } },
        'a value is none': { listen, workers: 'many' },
        'a key file is not there': { listen, auth: { secret: undefined, secretFile: '/nowhere/secret' } },
        'a user is not known': { listen, user: 'no-such-user' },
    };
    const before = files();
    for (const [what, over] of Object.entries(bad)) {
        daemon.config = good;
        await reload(daemon, over, /not reloaded: the old one stays in force/);
        /* Who binds it finds it free. */
        for (const one of [free, admin]) {
            const server = net.createServer().listen(one, '127.0.0.1');
            await new Promise((resolve, reject) => server.once('listening', resolve).once('error', reject));
            await new Promise((resolve) => server.close(resolve));
        }
        assert.ok(!fs.existsSync(fresh), `${what}: a socket file`);
        await until(() => files() === before, within(1000), `${what}: ${before} open files, not ${files()}`);
        for (const where of daemon.addrs) {
            const client = keep(t, await joined(where, daemon.token('u')));
            redis.emitter().to('u').emit('msg', what);
            for (const one of [client, steady]) assert.deepStrictEqual((await one.event()).args, ['msg', what]);
            client.destroy();
        }
    }
    daemon.config = good;
    assert.match(await reload(daemon, {}), /changed: nothing/);
    assert.deepStrictEqual(daemon.workers(), pids);
    await renew(daemon, { listen }); /* and what was refused for something else can be had */
    const client = keep(t, await joined({ path: fresh }, daemon.token('u')));
    redis.emitter().to('u').emit('msg', 'now');
    assert.deepStrictEqual((await client.event()).args, ['msg', 'now']);
});
