'use strict';
/* axr-notifyd -t --connect: what it says of redis, sentinels, addresses and files, in a line for
 * each, and that nobody is disturbed by it. */
const assert = require('assert');
const fs = require('fs');
const http = require('http');
const net = require('net');
const os = require('os');
const path = require('path');
const { test, shared } = require('./lib/suite');
const { Redis, freePort } = require('./lib/redis');
const { RedisTls } = require('./lib/redistls');
const { Sentinel } = require('./lib/sentinels');
const { authority, LOCAL } = require('./lib/certificates');
const { Daemon, NOTIFYD, NOTIFY, SECRET, merge } = require('./lib/daemon');
const { joined } = require('./lib/raw');
const { run, tempDir } = require('./lib/proc');
const { within } = require('./lib/time');

const ROOT = process.getuid() === 0; /* others do not see whose the sockets of a daemon are */
const SESAME = 'open sesame, or else';
const redis = shared((s) => Redis.start(s));

/* Configuration, as far as it concerns this: any port, no admin. */
async function conf(over = {}) {
    const { port } = await redis();
    return merge({
        workers: 1, port: 0, host: '127.0.0.1', auth: { secret: SECRET }, admin: { host: 'off' },
        'socket.io': { redis: { host: '127.0.0.1', port } },
    }, over);
}
const toRedis = (settings) => conf({ 'socket.io': { redis: settings } });

/* { code, ok: lines, bad: lines, odd: lines } */
async function tried(t, config, { args = [], wrap = [], mode = 0o600 } = {}) {
    const dir = tempDir(t);
    const file = path.join(dir, 'axr-notifyd.conf');
    fs.chmodSync(dir, 0o755);
    fs.writeFileSync(file, JSON.stringify(config), { mode });
    const [command, ...rest] = [...wrap, NOTIFYD, '-t', '--connect', '-c', file, ...args];
    const began = Date.now();
    const { code, signal, out, err } = await run(command, rest, { cwd: dir, env: { PATH: process.env.PATH } });
    const lines = (text) => text.split('\n').slice(0, -1);
    assert.strictEqual(signal, null);
    assert.ok(lines(out).every((line) => line.startsWith('ok: ')), out);
    assert.ok(lines(err).every((line) => line.startsWith('axr-notifyd: ')), err);
    assert.ok(!`${out}${err}`.includes(SESAME) && !`${out}${err}`.includes(SECRET), 'a secret is shown');
    const said = lines(err).map((line) => line.slice(13));
    return {
        code, ms: Date.now() - began, ok: lines(out).map((line) => line.slice(4)),
        bad: said.filter((line) => !line.startsWith('warning: ')),
        odd: said.filter((line) => line.startsWith('warning: ')).map((line) => line.slice(9)),
    };
}

/* Nothing is bad but what this says. */
async function fails(t, config, ...patterns) {
    const said = await tried(t, await config);
    assert.deepStrictEqual([said.code, said.bad.length], [1, patterns.length], said.bad.join('\n'));
    patterns.forEach((pattern, i) => assert.match(said.bad[i], pattern));
    return said;
}

/* --- it is well --------------------------------------------------------------------- */

test('all is well: each thing that was tried is told', async (t) => {
    const admin = await freePort();
    const socket = path.join(tempDir(t), 'http.sock');
    const pidFile = path.join(tempDir(t), 'pid');
    const { port } = await redis();
    const listen = ['127.0.0.1:0', `unix:${socket}`];
    const said = await tried(t, merge(await conf(), { port: undefined, host: undefined, listen, pidFile, admin: { host: '127.0.0.1', port: admin } }));
    assert.deepStrictEqual([said.code, said.bad, said.odd], [0, [], []]);
    const redisLine = said.ok.pop();
    assert.match(redisLine, new RegExp(`^redis 127\\.0\\.0\\.1:${port}, (version|Valkey) \\d+\\.\\d+\\.\\d+: it lets us in, and we may subscribe; 0 servers of the cluster there$`));
    assert.match(said.ok.pop(), /^limits: \d+ clients in each of 1 worker, with \d+ open files$/);
    assert.deepStrictEqual(said.ok, [
        'the configuration, and the files that it names', 'any port of 127.0.0.1: it is free', `unix:${socket}: it is free`,
        `127.0.0.1:${admin}: it is free`, `${pidFile}: no daemon runs with this pid file`,
    ]);
    assert.deepStrictEqual([fs.existsSync(socket), fs.existsSync(pidFile)], [false, false], 'nothing is left');
});

test('beside the daemon that runs: it is known, and neither it, its clients nor redis notice', async (t) => {
    const socket = path.join(tempDir(t), 'http.sock');
    const pidFile = path.join(tempDir(t), 'pid');
    const [port, adminPort] = [await freePort(), await freePort()];
    const daemon = await Daemon.start(t, { redis: await redis(), tls: false, config: {
        workers: 1, port: undefined, host: undefined, listen: [`127.0.0.1:${port}`, `unix:${socket}`], admin: { port: adminPort }, pidFile,
        'socket.io': { connectionStateRecovery: true },
    } });
    const client = await joined(daemon.addr, daemon.token('u'));
    t.after(() => client.destroy());
    const { client: at } = await redis();
    const publishes = async () => (await at.sendCommand(['INFO', 'commandstats'])).match(/cmdstat_publish:calls=(\d+)|$/)[1];
    const subscribed = async () => JSON.stringify(await (await redis()).subscriptions());
    await daemon.logged(/redis subscribed/);
    await daemon.logged(/client connected/);
    const before = [await subscribed(), daemon.log];
    const counted = await publishes();
    const began = Date.now();
    const { code, out, err } = await run(NOTIFYD, ['-t', '--connect', '-c', daemon.file], { cwd: daemon.dir, env: daemon.env });
    assert.strictEqual(code, 0, err);
    assert.ok(out.includes(`ok: ${pidFile}: the daemon is running already, pid ${daemon.pid}\n`), `${out}${err}`);
    for (const [key, address] of [['listen', `127.0.0.1:${port}`], ['listen', `unix:${socket}`], ['admin', `127.0.0.1:${adminPort}`]]) {
        if (ROOT) assert.ok(out.includes(`ok: ${address}: the axr-notifyd that runs has it, pid ${daemon.pid}\n`), `${address}\n${out}${err}`);
        else assert.match(err, new RegExp(`^axr-notifyd: warning: ${key}: ${address} is in use, and axr-notifyd runs, pid \\d+; only root sees whose it is$`, 'm'));
    }
    assert.match(out, /; 1 server of the cluster there\n/);
    assert.deepStrictEqual([await subscribed(), daemon.log], before);
    /* The daemon itself publishes where it is each second, and nobody else anything. */
    assert.ok(Number(await publishes()) - Number(counted) <= 2 + (Date.now() - began) / 1000, 'published');
    await (await redis()).emitter().to('u').emit('msg', 'still here');
    let text = '';
    while (!text.includes('still here')) text = await client.text();
});

/* --- addresses ---------------------------------------------------------------------- */

async function occupied(t, where) {
    const server = net.createServer();
    await new Promise((resolve) => server.listen(where, resolve));
    t.after(() => server.close());
    return server.address().port;
}

test('addresses: taken by another program, by another daemon, twice, not here, not known', async (t) => {
    const port = await occupied(t, { port: 0, host: '127.0.0.1' });
    const me = `${fs.readFileSync('/proc/self/comm', 'utf8').trim()}, pid ${process.pid}`;
    await fails(t, conf({ port }), new RegExp(`^listen: 127\\.0\\.0\\.1:${port} is in use by ${me}: end that, or choose another$`));
    await fails(t, conf({ port, host: undefined }), new RegExp(`^listen: \\*:${port} is in use by ${me}`));
    await fails(t, conf({ admin: { host: '127.0.0.1', port } }), new RegExp(`^admin: 127\\.0\\.0\\.1:${port} is in use by ${me}`));
    const daemon = await Daemon.start(t, { redis: await redis(), tls: false });
    if (ROOT) await fails(t, conf({ port: daemon.addr.port }),
        new RegExp(`^listen: 127\\.0\\.0\\.1:${daemon.addr.port} is in use by another axr-notifyd, pid ${daemon.pid}, with -c ${daemon.file}$`));
    const free = await freePort();
    await fails(t, conf({ port: free, admin: { host: '127.0.0.1', port: free } }), new RegExp(`^admin: port ${free} is wanted twice: by number 1 of listen`));
    await fails(t, conf({ host: undefined, port: undefined, listen: [`127.0.0.1:${free}`, free] }), new RegExp(`^listen: port ${free} is wanted twice`));
    await fails(t, conf({ host: '192.0.2.77', port: free }), /^listen: 192\.0\.2\.77:\d+: this machine has no such address; ip address lists those it has$/);
    await fails(t, conf({ host: 'no-such-host.invalid', port: free }), /^listen: no-such-host\.invalid cannot be looked up: .*; getent hosts no-such-host\.invalid$/);
});

test('more clients than open files allow: a warning, which is counted in the end', async (t) => {
    const few = ['sh', '-c', 'ulimit -n 100 && exec "$@"', 'sh'];
    const fits = await tried(t, await conf({ limits: { connections: 34 } }), { wrap: few });
    assert.deepStrictEqual([fits.code, fits.odd], [0, []]);
    assert.ok(fits.ok.includes('limits: 34 clients in each of 1 worker, with 100 open files'), fits.ok.join('\n'));
    const said = await tried(t, await conf({ limits: { connections: 35 } }), { wrap: few });
    assert.deepStrictEqual([said.code, said.bad, said.odd.length], [0, [], 2]);
    assert.match(said.odd[0], /limits:connections: found 35, but the hard limit of open files allows 34$/);
    assert.match(said.odd[1], /^limits:connections: of 35 clients in each of 1 worker only 34 find a place, with 100 open files: raise their hard limit for who starts the daemon/);
    assert.ok(!said.ok.some((line) => line.startsWith('limits: ')), said.ok.join('\n'));
    assert.strictEqual(said.ok.pop(), 'nothing that would not work, and 2 warnings');
});

test('Unix sockets: taken, no socket, no directory, a leftover', async (t) => {
    const dir = tempDir(t);
    const at = (name) => conf({ host: undefined, port: undefined, listen: [`unix:${path.join(dir, name)}`] });
    await occupied(t, path.join(dir, 'taken'));
    await fails(t, at('taken'), new RegExp(`^listen: unix:${dir}/taken is in use by .*, pid ${process.pid}`));
    fs.writeFileSync(path.join(dir, 'file'), '');
    await fails(t, at('file'), /^listen: unix:.*\/file: what is there is no socket, and is not replaced: move it away$/);
    await fails(t, at('none/sock'), /^listen: .*\/none\/sock: cannot make a file in .*\/none: it is not there: mkdir it, and give it to the daemon's user$/);
    const left = net.createServer();
    await new Promise((resolve) => left.listen(path.join(dir, 'first'), resolve));
    fs.linkSync(path.join(dir, 'first'), path.join(dir, 'leftover'));
    left.close();
    assert.strictEqual((await tried(t, await at('leftover'))).code, 0);
    assert.ok(fs.existsSync(path.join(dir, 'leftover')), 'it is not taken away');
});

test('a pid file whose directory is not there', async (t) => {
    await fails(t, conf({ pidFile: '/nowhere/axr.pid' }), /^pidFile: \/nowhere\/axr\.pid: cannot make a file in \/nowhere: it is not there/);
});

/* --- redis -------------------------------------------------------------------------- */

const closed = shared(async () => freePort());

test('redis: away, another program, a name that is not known, a socket that is not there', async (t) => {
    const port = await closed();
    await fails(t, toRedis({ port }), new RegExp(`^redis 127\\.0\\.0\\.1:${port}: cannot connect: Connection refused: it does not run there, or does not listen`));
    await fails(t, toRedis({ host: 'no-such-host.invalid' }), /^redis no-such-host\.invalid:\d+: cannot connect: .*: (there is no such name|the name server does not answer)/);
    await fails(t, toRedis({ path: '/nowhere/redis.sock' }), /^redis \/nowhere\/redis\.sock: cannot connect: No such file or directory: it does not run, or unixsocket/);
    const web = http.createServer((request, response) => response.end('hello'));
    await new Promise((resolve) => web.listen(0, '127.0.0.1', resolve));
    t.after(() => web.close());
    await fails(t, toRedis({ port: web.address().port }), /^redis .*: PING: .*(that is no redis|closed the connection)/);
});

test('redis: what hangs is given up in time', async (t) => {
    const hung = await Redis.start(t);
    hung.process.signal('SIGSTOP');
    const said = await fails(t, toRedis({ port: hung.port }), /^redis .*: PING: no answer within 1 s: it is stopped or overloaded, is no redis, or a firewall is between$/);
    assert.ok(said.ms < within(1500), `${said.ms} ms`);
    const silent = net.createServer(() => {});
    await new Promise((resolve) => silent.listen(0, '127.0.0.1', resolve));
    t.after(() => silent.close());
    await fails(t, toRedis({ port: silent.address().port, password: SESAME }), /^redis .*: it does not let us in: AUTH: no answer within 1 s/);
}, { quick: false });

test('redis: passwords, and a database that is not there', async (t) => {
    const locked = await Redis.start(t, { args: ['--requirepass', SESAME], auth: { password: SESAME } });
    const file = path.join(tempDir(t), 'password');
    fs.writeFileSync(file, `${SESAME}\n`, { mode: 0o600 });
    const { port } = locked;
    assert.strictEqual((await tried(t, await toRedis({ port, passwordFile: file }))).code, 0);
    await fails(t, toRedis({ port }), /^redis .*: it does not let us in: PING: NOAUTH Authentication required\.: it wants a password: socket\.io:redis:passwordFile$/);
    await fails(t, toRedis({ port, password: 'wrong' }), /^redis .*: it does not let us in: AUTH: WRONGPASS .*: socket\.io:redis:username and passwordFile are to be those of its ACL$/);
    await fails(t, toRedis({ port, password: SESAME, database: 99 }), /^redis .*: socket\.io:redis:database cannot be selected: SELECT: ERR DB index is out of range$/);
    await fails(t, toRedis({ password: SESAME }), /^redis .*: it does not let us in: AUTH: .*without any password.*: it has no password: take socket\.io:redis:password out$/);
    assert.strictEqual((await tried(t, await toRedis({ port: undefined, path: locked.socket, password: SESAME }))).code, 0);
});

/* The ACL of the manual, line by line: the channels of notifications, of requests, of recovery. */
const RIGHTS = ['+subscribe', '+psubscribe', '+unsubscribe', '+punsubscribe', '+ping', '+publish', '+client|info', '+client|kill', '+cluster|myid', '+pubsub|numsub'];
const CHANNELS = [['&socket.io#/axr#*', '&socket.io#emitter', '&socket.io#/axr'], ['&socket.io-request#/axr#', '&socket.io-response#/axr#*'], ['&socket.io-peer#/axr#']];

test('redis: the rights of an ACL; those of the manual are enough', async (t) => {
    const server = await Redis.start(t);
    const allow = (...rights) => server.client.sendCommand(['ACL', 'SETUSER', 'pusher', 'reset', 'on', `>${SESAME}`, 'resetchannels', ...rights.flat(2)]);
    const settings = await conf({ 'socket.io': { connectionStateRecovery: true, redis: { port: server.port, username: 'pusher', password: SESAME } } });
    await allow(CHANNELS, RIGHTS);
    const all = await tried(t, settings);
    assert.deepStrictEqual([all.code, all.bad, all.odd], [0, [], []]);
    await allow(CHANNELS[0], RIGHTS);
    const some = await tried(t, settings);
    assert.deepStrictEqual([some.code, some.bad], [0, []]);
    for (const pattern of [/no right to PUBLISH on socket\.io-response#\/axr#[0-9a-f]{16}#: what other servers ask/, /no right to PSUBSCRIBE to socket\.io-request#\/axr#: nobody counts the daemon/,
        /no right to SUBSCRIBE to socket\.io-peer#\/axr#: each daemon recovers its own clients only/])
        assert.ok(some.odd.some((line) => pattern.test(line)), `${pattern}: ${some.odd.join('\n')}`);
    await allow(CHANNELS, RIGHTS.filter((right) => !right.includes('|')));
    const few = await tried(t, settings);
    assert.deepStrictEqual([few.code, few.odd.map((line) => /no right to (\w+ \w+):/.exec(line)[1])], [0, ['PUBSUB NUMSUB', 'CLIENT INFO', 'CLIENT KILL', 'CLUSTER MYID']]);
    await allow(['&socket.io#/other#*'], RIGHTS);
    await fails(t, settings, ...['PSUBSCRIBE to socket\\.io#/axr#\\*', 'SUBSCRIBE to socket\\.io#emitter', 'SUBSCRIBE to socket\\.io#/axr']
        .map((what) => new RegExp(`^redis .*: no right to ${what}: no notification would come; the rights that are needed are in axr-notifyd\\.conf\\(5\\)`)));
    /* Who may publish, and use transactions, is asked without publishing. */
    await allow(CHANNELS, RIGHTS, '+multi', '+discard');
    await server.client.sendCommand(['CONFIG', 'RESETSTAT']);
    assert.strictEqual((await tried(t, settings)).code, 0);
    assert.doesNotMatch(await server.client.sendCommand(['INFO', 'commandstats']), /cmdstat_publish:calls=[1-9]/);
});

test('redis: a replica', async (t) => {
    const { port } = await redis();
    const replica = await Redis.start(t, { args: ['--replicaof', '127.0.0.1', port] });
    const said = await tried(t, await toRedis({ port: replica.port }));
    assert.strictEqual(said.code, 0);
    assert.match(said.odd[0], /: it is a replica: notifications come, but what the daemon publishes reaches nobody at the master/);
}, { quick: false });

test('redis: TLS, with the right authority and the wrong one, and without where it is wanted', async (t) => {
    const server = await RedisTls.start(t);
    const said = await tried(t, await toRedis(server.settings()));
    assert.strictEqual(said.code, 0, said.bad.join('\n'));
    assert.match(said.ok.pop(), /^redis 127\.0\.0\.1:\d+, .*, TLS: it lets us in/);
    const other = path.join(tempDir(t), 'ca.pem');
    fs.writeFileSync(other, authority().issue({ names: LOCAL }).root);
    await fails(t, toRedis(server.settings({}, { caFile: other })), /^redis .*: cannot connect: TLS: /);
    await fails(t, toRedis({ port: server.tlsPort }), /^redis .*: .*does it want TLS \(socket\.io:redis:tls\)\?/);
    await fails(t, toRedis({ port: server.port, tls: { caFile: server.ca } }), /^redis .*: cannot connect: TLS: /);
}, { quick: false });

test('sentinels: each says where the master is, or why not; and the master is asked', async (t) => {
    const master = await Redis.start(t);
    const sentinel = await Sentinel.start(t, { master, replicas: [] });
    await sentinel.launch([]);
    const sentinels = (list, more) => toRedis({ host: undefined, port: undefined, sentinels: list, ...more });
    const [at, off] = [`127.0.0.1:${sentinel.port}`, `127.0.0.1:${await closed()}`];
    const good = await tried(t, await sentinels([at]));
    assert.deepStrictEqual([good.code, good.bad, good.odd], [0, [], []]);
    assert.strictEqual(good.ok[good.ok.length - 2], `sentinel ${at}: the master "mymaster" is at 127.0.0.1:${master.port}`);
    assert.match(good.ok[good.ok.length - 1], new RegExp(`^redis 127\\.0\\.0\\.1:${master.port}, .*: it lets us in`));
    const half = await tried(t, await sentinels([off, at]));
    assert.deepStrictEqual([half.code, half.bad, half.odd.length], [0, [], 1]);
    assert.match(half.odd[0], new RegExp(`^sentinel ${off}: Connection refused: it does not run there`));
    assert.match(half.ok[half.ok.length - 2], /^redis 127\.0\.0\.1/);
    assert.strictEqual(half.ok.pop(), 'nothing that would not work, and 1 warning');
    await fails(t, sentinels([off]), new RegExp(`^sentinel ${off}: Connection refused`), /^redis: no sentinel says where/);
    await fails(t, sentinels([at], { name: 'other' }), /^sentinel .*: it knows no master "other" \(socket\.io:redis:name\)$/, /^redis: no sentinel says where the master "other" is$/);
    await fails(t, sentinels([at], { sentinelPassword: SESAME }), /^sentinel .*: AUTH: .*: it has no password: take socket\.io:redis:sentinelPassword out$/, /^redis: no sentinel/);
});

/* --- who asks ----------------------------------------------------------------------- */

const NOBODY = ['setpriv', '--reuid', 'nobody', '--clear-groups'];

test('as root for a user who may not read the secret: that, and all the rest', async (t) => {
    const file = path.join(tempDir(t), 'secret');
    fs.writeFileSync(file, SECRET, { mode: 0o600 });
    const config = merge(await conf({ auth: { secret: undefined, secretFile: file } }), { user: 'nobody' });
    const said = await tried(t, config, { mode: 0o644 });
    assert.strictEqual(said.code, 1);
    assert.match(said.bad[0], /^user nobody, whom the daemon becomes, cannot read all it needs/);
    assert.ok(said.bad.some((line) => line.includes('secret: Permission denied')) || said.bad.length > 1, said.bad.join('\n'));
    assert.match(said.ok[said.ok.length - 1], /^redis .* it lets us in/);
    fs.chmodSync(path.dirname(file), 0o755);
    fs.chmodSync(file, 0o644);
    const good = await tried(t, config, { mode: 0o644 });
    assert.deepStrictEqual([good.code, good.ok[0]], [0, 'the configuration, and the files that it names, for the user nobody, too']);
}, { root: true });

test('as root for a user or a group that is not there: the daemon would not start', async (t) => {
    for (const [key, name] of [['user', 'no-such-user'], ['group', 'no-such-group']]) {
        const said = await fails(t, conf({ [key]: name }), new RegExp(`^${key} ${name} is not known$`));
        assert.ok(!said.ok.some((line) => line.includes('the configuration')), said.ok.join('\n'));
    }
}, { root: true });

/* The socket is opened after root is given up. */
test('as root for a user who may not use the socket of redis', async (t) => {
    const shut = await Redis.start(t, { args: ['--unixsocketperm', '700'] });
    fs.chmodSync(shut.dir, 0o755);
    const settings = { user: 'nobody', 'socket.io': { redis: { host: undefined, port: undefined, path: shut.socket } } };
    const said = await tried(t, await conf(settings), { mode: 0o644 });
    assert.deepStrictEqual([said.code, said.bad.length], [1, 1], said.bad.join('\n'));
    assert.match(said.bad[0], /^redis .*redis\.sock: cannot connect: Permission denied: the socket is not for this user: unixsocketperm/);
    fs.chmodSync(shut.socket, 0o777);
    assert.strictEqual((await tried(t, await conf(settings), { mode: 0o644 })).code, 0);
}, { root: true });

test('as a plain user: low ports, and ports of others', async (t) => {
    const copy = path.join(tempDir(t), 'axr-notifyd');
    fs.copyFileSync(NOTIFYD, copy);
    fs.chmodSync(copy, 0o755);
    fs.chmodSync(path.dirname(copy), 0o755);
    const dir = tempDir(t);
    fs.chmodSync(dir, 0o755);
    const taken = await occupied(t, { port: 0, host: '127.0.0.1' });
    const ask = async (over) => {
        const file = path.join(dir, 'conf');
        fs.writeFileSync(file, JSON.stringify(await conf(over)), { mode: 0o644 });
        return run(NOBODY[0], [...NOBODY.slice(1), copy, '-t', '--connect', '-c', file], { cwd: dir, env: { PATH: process.env.PATH } });
    };
    const low = await ask({ port: 81 });
    if (Number(fs.readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8')) > 81) {
        assert.strictEqual(low.code, 1);
        assert.match(low.err, /listen: 127\.0\.0\.1:81: a port below 1024 needs root at the start, or CAP_NET_BIND_SERVICE/);
    }
    const { err } = await ask({ port: taken });
    assert.match(err, new RegExp(`listen: 127\\.0\\.0\\.1:${taken} is in use(, and axr-notifyd runs, pid \\d+; only root sees whose it is| by another program, which root sees with ss -ltnp)`));
    const other = await ask({ user: os.userInfo().username });
    assert.match(other.err, /warning: user: what the user \S+ may read is seen by root only/);
}, { root: true, tools: ['setpriv'] });

test('the command line, and a configuration that is wrong', async (t) => {
    const alone = await run(NOTIFYD, ['--connect'], { env: {} });
    assert.deepStrictEqual([alone.code, alone.out], [2, '']);
    assert.match(alone.err, /^axr-notifyd: --connect goes with -t\nusage: /);
    const wrong = await tried(t, await conf({ workers: 0 }));
    assert.deepStrictEqual([wrong.code, wrong.ok, wrong.bad.length], [1, [], 1]);
});
test('what redis answers shows no password, and nothing that a terminal acts on', async (t) => {
    const server = net.createServer((socket) => {
        socket.on('error', () => {}).on('data', () => socket.write(`-ERR \x1b]0;x\x07 unknown command, with args beginning with: '${SESAME}'\r\n`));
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    for (const password of [undefined, SESAME]) {
        const config = await toRedis({ port: server.address().port, password });
        const { bad } = await tried(t, config);
        assert.match(bad.join('\n'), password ? /AUTH: an error that shows the password/ : /PING: ERR \\x1b\]0;x\\x07 unknown command/);
        const file = path.join(tempDir(t), 'axr-notifyd.conf');
        fs.writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
        for (const args of [['x'], ['--ack', '300', 'x'], ['--watch']]) {
            const { code, err } = await run(NOTIFY, ['-c', file, ...args], { env: { PATH: process.env.PATH } });
            assert.strictEqual(code, 1);
            assert.match(err, /^[ -~\n]+$/);
            assert.ok(!err.includes(SESAME), err);
        }
    }
});
test('a sentinel that names what is no address', async (t) => {
    const answers = [];
    const server = net.createServer((socket) => {
        socket.on('error', () => {}).on('data', () => socket.write(answers[0]));
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const config = await toRedis({ host: undefined, port: undefined, sentinels: [`127.0.0.1:${server.address().port}`] });
    const file = path.join(tempDir(t), 'axr-notifyd.conf');
    fs.writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
    const why = /^.*sentinel 127\.0\.0\.1:\d+: it names no address of "mymaster"/;
    for (const [host, port] of [['\x1b[31m', '6379'], ['a\nb', '6379'], ['a', '-1'], ['a', '99999999999999999999']]) {
        answers[0] = `*2\r\n$${host.length}\r\n${host}\r\n$${port.length}\r\n${port}\r\n`;
        assert.match((await tried(t, config)).bad[0], why);
        const { code, err } = await run(NOTIFY, ['-c', file, 'x'], { env: { PATH: process.env.PATH } });
        assert.strictEqual(code, 1);
        assert.match(err, why);
    }
});
