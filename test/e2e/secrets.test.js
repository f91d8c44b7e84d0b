'use strict';
/* A secret is in the processes that need it, and nowhere else: the keys of tokens in the
 * master and in its workers, the password of redis and the secret of recovery in the master.  The text that it came
 * in, and one that is not in force any more, is in none. */
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const tls = require('tls');
const { once } = require('events');
const { test } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { FakeSentinel } = require('./lib/sentinels');
const { RedisTls } = require('./lib/redistls');
const { authority, selfSigned, LOCAL } = require('./lib/certificates');
const { Daemon, NOTIFYD, merge } = require('./lib/daemon');
const { Inside } = require('./lib/inside');
const { behind, copies, long, pieces } = require('./lib/memory');
const { adminOf, askJson } = require('./lib/metrics');
const { Http, Polling, once: request, polled } = require('./lib/http');
const { sign } = require('./lib/jwt');
const { Raw } = require('./lib/raw');
const { tempDir } = require('./lib/proc');
const { within, until } = require('./lib/time');

/* The sanitizers keep what was freed. */
const isSanitized = fs.readFileSync(NOTIFYD).includes('__asan_init');
/* CAP_SYS_PTRACE: root has it, but not in every container. */
const mayTrace = (BigInt(`0x${/^CapEff:\s*(\S+)/m.exec(fs.readFileSync('/proc/self/status', 'latin1'))[1]}`) >> 19n) & 1n;
const canLook = process.getuid() === 0 && mayTrace && !isSanitized;
function testOf(what, fn) {
    test(what, (t) => (canLook ? fn(t) : t.skip('needs root that may look into processes, and a build without sanitizers')));
}

/* Written so in a JSON text, it is another text. */
const escaped = (text) => [...text].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
const escapedPieces = (text) => pieces(escaped(text));

/* A redis that takes each of these passwords. */
async function redisWith(t, ...passwords) {
    const redis = await Redis.start(t, { args: ['--requirepass', passwords[0]], auth: { password: passwords[0] } });
    for (const password of passwords) await redis.client.sendCommand(['ACL', 'SETUSER', 'default', `>${password}`]);
    return redis;
}

/* { name: [of the master, of each worker] } for { name: pieces } */
function whoHas(daemon, texts, workers = daemon.workers()) {
    const all = [daemon.pid, ...workers].map((pid) => copies(pid, texts));
    return Object.fromEntries(Object.keys(texts).map((name) => [name, all.map((counts) => counts[name])]));
}
const allOf = (secrets) => Object.fromEntries(Object.entries(secrets).map(([name, text]) => [name, pieces(text)]));
const none = (counts) => counts.every((count) => count === 0);

function isKey(counts, name) {
    assert.ok(counts.every((count) => count > 0), `${name}: master and workers have it: ${counts}`);
    assert.strictEqual(new Set(counts.slice(1)).size, 1, `${name}: each worker has it as often: ${counts}`);
}
function isOfMaster([master, ...workers], name) {
    assert.ok(master > 0, `${name}: the master has it`);
    assert.ok(none(workers), `${name}: no worker has it: ${workers}`);
}
const isGone = (counts, name) => assert.ok(none(counts), `${name}: nobody has it: ${counts}`);
/* What a process has to do for that it does at once, but not before a line of the log. */
const soonGone = (daemon, texts) =>
    until(() => Object.values(whoHas(daemon, texts)).every(none), within(2000), 'nobody has it').catch((error) => {
        throw new Error(`${error.message}: ${JSON.stringify(whoHas(daemon, texts))}`);
    });

/* Sends text so that it is read in pieces.  Resolves with the answer, or, where none is waited for,
 * when the end of the connection has been seen. */
async function inPieces(where, text, isAnswered) {
    const http = new Http(where);
    for (let at = 0; at < text.length; at += 100) {
        http.send(text.slice(at, at + 100));
        await request(where, 'GET', '/health'); /* it has been read by then */
    }
    if (isAnswered) return (await http.answer()).statusLine;
    http.socket.destroy();
    await request(where, 'GET', '/health');
    return '';
}
/* A reload that reaches the workers that there are. */
async function reload(daemon, config) {
    const from = daemon.log.length;
    if (config) daemon.write(config);
    daemon.signal('SIGHUP');
    await daemon.logged(/configuration reloaded/, within(2000), from);
    const taken = daemon.workers().length;
    await until(() => daemon.log.slice(from).split('settings taken').length > taken, within(2000), 'settings taken');
}

/* --- where they come from --- */

/* Secrets of every kind in the file, or named by it. */
class World {
    constructor(t) {
        this.dir = tempDir(t);
        this.secrets = { secret: long(), keyed: long(), inFile: long(), inKeyFile: long(), inJwks: long(300) };
        this.password = long();
        this.recovery = long();
        this.admin = long(); /* the token of the admin address */
        this.change(this.secrets);
    }
    file(name, text) {
        const full = path.join(this.dir, name);
        if (text !== undefined) {
            fs.writeFileSync(`${full}.new`, text, { mode: 0o600 });
            fs.renameSync(`${full}.new`, full);
        }
        return full;
    }
    jwksOf(secret) {
        return JSON.stringify({ keys: [{ kty: 'oct', kid: 'jwks', alg: 'HS256', k: Buffer.from(secret).toString('base64url') }] });
    }
    change(secrets) {
        Object.assign(this.secrets, secrets);
        this.file('secret', `${this.secrets.inFile}\n`);
        this.file('key', this.secrets.inKeyFile);
        this.file('jwks', this.jwksOf(this.secrets.inJwks));
        this.file('recovery', `${this.recovery}\n`);
        this.file('admin', `${this.admin}\n`);
    }
    /* As text, with what is secret escaped. */
    text(port) {
        const config = {
            workers: 2, port: 0, host: '127.0.0.1', shutdownTimeout: 300, admin: { port: 0, tokenFile: this.file('admin') }, log: { level: 'debug' },
            'socket.io': { redis: { host: '127.0.0.1', port, password: '@password' }, connectionStateRecovery: { secretFile: this.file('recovery') } },
            auth: {
                secret: '@secret', secretFile: this.file('secret'), jwksFile: this.file('jwks'),
                keys: [{ kid: 'text', secret: '@keyed' }, { kid: 'file', secretFile: this.file('key') }],
            },
        };
        const { secret, keyed } = this.secrets;
        const all = { ...{ secret, keyed }, password: this.password };
        return JSON.stringify(config).replace(/@(password|secret|keyed)/g, (whole, name) => escaped(all[name]));
    }
    /* The texts that they came in. */
    sources() {
        const { secret, keyed, inJwks } = this.secrets;
        return {
            'the file: secret': escapedPieces(secret), 'the file: keys': escapedPieces(keyed),
            'the file: password': escapedPieces(this.password),
            'the JWKS': pieces(Buffer.from(inJwks).toString('base64url')),
        };
    }
}

testOf('TLS to redis: the password and the key that redis is shown are in the master, and in no worker, whenever it was forked', async (t) => {
    const [password, clients] = [long(), authority('clients')];
    const redis = await RedisTls.start(t, { certificate: authority().issue({ names: LOCAL }), clients, args: ['--requirepass', password], auth: { password } });
    const ours = clients.issue({ name: 'us' });
    const settings = redis.settings({ passwordFile: path.join(tempDir(t), 'password') }, ours.write(tempDir(t), 'client'));
    fs.writeFileSync(settings.passwordFile, password);
    const daemon = await Daemon.start(t, { redis, config: { 'socket.io': { redis: settings } } });
    assert.strictEqual(daemon.redisState, 'subscribed');
    const number = Buffer.from(ours.privateKey.export({ format: 'jwk' }).d, 'base64url');
    const texts = { password: pieces(password), 'the PEM': pieces(ours.key), 'the number, as OpenSSL has it': [Buffer.from(number).reverse()] };
    const look = () => {
        for (const [name, counts] of Object.entries(whoHas(daemon, texts))) isOfMaster(counts, name);
        isGone(whoHas(daemon, { der: [number] }).der, 'the number, as it is in DER');
    };
    look();
    daemon.deaths = true;
    process.kill(daemon.workers()[0], 'SIGKILL');
    await daemon.logged(/worker 1 ready: pid=\d+ fork=2/, within(3000));
    look();
    await reload(daemon);
    look();
});

testOf('sentinels: their password is in the master, and in no worker, whenever it was forked; after a reload the old one is nowhere', async (t) => {
    const [first, second] = [long(), long()];
    const redis = await Redis.start(t);
    const fake = await FakeSentinel.start(t, redis);
    const sentinelPasswordFile = path.join(tempDir(t), 'password');
    fs.writeFileSync(sentinelPasswordFile, first, { mode: 0o600 });
    const settings = { host: undefined, port: undefined, sentinels: [`127.0.0.1:${fake.port}`], sentinelPasswordFile };
    const daemon = await Daemon.start(t, { config: { 'socket.io': { redis: settings } } });
    assert.strictEqual(daemon.redisState, 'subscribed');
    assert.ok(fake.credentials.includes(first));
    const look = (text) => isOfMaster(whoHas(daemon, { password: pieces(text) }).password, 'password');
    look(first);
    daemon.deaths = true;
    process.kill(daemon.workers()[0], 'SIGKILL');
    await daemon.logged(/worker 1 ready: pid=\d+ fork=2/, within(3000));
    look(first);
    fs.writeFileSync(sentinelPasswordFile, second);
    await reload(daemon);
    await until(() => fake.credentials.includes(second), within(2000), 'the new one');
    await soonGone(daemon, { password: pieces(first) });
    look(second);
});

testOf('the file, and files that it names: keys are in all processes, the password and the secret of recovery in the master, their texts nowhere', async (t) => {
    const world = new World(t);
    const redis = await redisWith(t, world.password);
    const daemon = await Daemon.start(t, { text: world.text(redis.port) });
    assert.strictEqual(daemon.redisState, 'subscribed');
    const texts = { ...allOf(world.secrets), password: pieces(world.password), recovery: pieces(world.recovery), admin: pieces(world.admin) };
    const atFirst = whoHas(daemon, texts);
    isOfMaster(atFirst.admin, 'admin:token');
    for (const token of [world.admin, `${world.admin}x`, world.admin]) {
        const answer = await request(await adminOf(daemon), 'POST', '/emit', { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }, '{"event":"x","ack":50}');
        assert.strictEqual(answer.status, token === world.admin ? 200 : 401);
    }
    const admin = await adminOf(daemon);
    const head = `POST /emit HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nAuthorization: Bearer ${world.admin}`;
    for (const [end, answer] of [['\r\nContent-Type: application/json\r\n\r\n{}', /^HTTP\/1.1 400 /], [`${'\r\na:b'.repeat(100)}\r\n\r\n`, /^HTTP\/1.1 431 /], ['', /^$/]])
        assert.match(await inPieces(admin, `${head}${end}`, answer.source !== '^$'), answer);
    assert.deepStrictEqual(whoHas(daemon, texts).admin, atFirst.admin, 'requests leave no copy');
    for (const name of Object.keys(world.secrets)) isKey(atFirst[name], name);
    isOfMaster(atFirst.password, 'password');
    isOfMaster(atFirst.recovery, 'recovery');
    for (const [name, counts] of Object.entries(whoHas(daemon, world.sources()))) isGone(counts, name);
    for (let i = 0; i < 3; i++) {
        await reload(daemon);
        await until(() => JSON.stringify(whoHas(daemon, texts)) === JSON.stringify(atFirst), within(2000), 'as many copies as at first')
            .catch(() => assert.deepStrictEqual(whoHas(daemon, texts), atFirst, 'a reload of the same leaves no copy'));
    }
    for (const [name, counts] of Object.entries(whoHas(daemon, world.sources()))) isGone(counts, name);
});
testOf('each of them changes with a reload: the old one is nowhere', async (t) => {
    const world = new World(t);
    const password = long();
    const redis = await redisWith(t, world.password, password);
    const daemon = await Daemon.start(t, { text: world.text(redis.port) });
    const old = { ...allOf(world.secrets), password: pieces(world.password), ...world.sources() };
    for (const name of Object.keys(world.secrets)) {
        world.change({ [name]: long(name === 'inJwks' ? 300 : 600) });
        await reload(daemon, world.text(redis.port));
        await soonGone(daemon, { [name]: old[name] });
        isKey(whoHas(daemon, { [name]: pieces(world.secrets[name]) })[name], name);
    }
    const [recovery, admin] = [pieces(world.recovery), pieces(world.admin)];
    world.recovery = long();
    world.admin = long();
    world.change({});
    await reload(daemon);
    await soonGone(daemon, { recovery, admin });
    isOfMaster(whoHas(daemon, { admin: pieces(world.admin) }).admin, 'admin:token');
    isOfMaster(whoHas(daemon, { recovery: pieces(world.recovery) }).recovery, 'recovery');
    world.password = password;
    await reload(daemon, world.text(redis.port));
    await soonGone(daemon, old); /* with the old connection */
    isOfMaster(whoHas(daemon, { password: pieces(password) }).password, 'password');
    for (const [name, counts] of Object.entries(whoHas(daemon, world.sources()))) isGone(counts, name);
});
testOf('a JWKS file that changes by itself: the old key is nowhere', async (t) => {
    const world = new World(t);
    const redis = await redisWith(t, world.password);
    const daemon = await Daemon.start(t, { text: world.text(redis.port) });
    const old = { key: pieces(world.secrets.inJwks), ...world.sources() };
    world.change({ inJwks: long(300) });
    await soonGone(daemon, { key: old.key });
    await until(() => !none(whoHas(daemon, { key: pieces(world.secrets.inJwks) }).key.slice(1)), within(2000), 'the new one');
    isKey(whoHas(daemon, { key: pieces(world.secrets.inJwks) }).key, 'the new key');
    for (const [name, counts] of Object.entries(whoHas(daemon, { ...old, ...world.sources() }))) isGone(counts, name);
});

/* What the master keeps of these is what it reads again. */
const SOURCES = {
    environment: ({ secret, password }) => ({ env: { AXR_NOTIFYD__AUTH__SECRET: secret, AXR_NOTIFYD__SOCKET_IO__REDIS__PASSWORD: password } }),
    'environment, as JSON': ({ secret, password }) => ({
        env: { AXR_NOTIFYD__AUTH: `{"secret":"${escaped(secret)}"}`, AXR_NOTIFYD__SOCKET_IO__REDIS: `{"password":"${escaped(password)}"}` },
    }),
    'command line': ({ secret, password }) => ({ args: [`--auth:secret=${secret}`, '--socket.io:redis:password', password] }),
    'command line, as a URL': ({ secret, password }, port) => ({ args: ['--auth:secret', secret, `--socket.io:redis:url=redis://:${password}@127.0.0.1:${port}`] }),
    'a file of its own': ({ secret, password }, port, dir) => {
        const [secretFile, passwordFile] = ['secret', 'password'].map((name) => path.join(dir, name));
        fs.writeFileSync(secretFile, secret, { mode: 0o600 });
        fs.writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
        return { config: { auth: { secretFile }, 'socket.io': { redis: { passwordFile } } } };
    },
};
for (const [where, make] of Object.entries(SOURCES)) {
    testOf(`${where}: a worker has the key as often as one from the file, and the password not at all`, async (t) => {
        const secrets = { secret: long(), password: long() };
        const inFile = long();
        const redis = await redisWith(t, secrets.password);
        const { config = {}, ...rest } = make(secrets, redis.port, tempDir(t));
        const daemon = await Daemon.start(t, { redis, ...rest, config: merge({ auth: { secret: undefined, keys: [{ kid: 'k', secret: inFile }] } }, config) });
        assert.strictEqual(daemon.redisState, 'subscribed');
        for (let i = 0; i < 2; i++) {
            const held = whoHas(daemon, { ...allOf({ ...secrets, inFile }), json: escapedPieces(secrets.secret) });
            isKey(held.secret, 'secret');
            isOfMaster(held.password, 'password');
            assert.deepStrictEqual(held.secret.slice(1), held.inFile.slice(1), 'no text beside the key');
            assert.ok(none(held.json.slice(1)), `no worker has the text: ${held.json}`);
            await reload(daemon);
        }
    });
}

/* --- while a reload waits --- */

/* Two secrets of each kind: the first is in force, the others are to come. */
async function waiting(t, config = {}) {
    const inside = new Inside(t);
    const secrets = [long(), long(), long()];
    const passwords = [long(), long(), long()];
    const redis = await redisWith(t, ...passwords);
    const nth = (n, more = {}) => merge({ auth: { secret: secrets[n] }, 'socket.io': { redis: { password: passwords[n] } } }, more);
    const daemon = await Daemon.start(t, { redis, config: nth(0, config), env: inside.env });
    const texts = {};
    for (const n of [0, 1, 2]) Object.assign(texts, { [`secret ${n}`]: pieces(secrets[n]), [`password ${n}`]: pieces(passwords[n]) });
    daemon.deaths = true;
    const write = (n, more) => daemon.write(merge(daemon.config, nth(n, more)));
    return { inside, daemon, texts, write };
}
const heldBy = (pid, texts) => Object.entries(copies(pid, texts)).filter(([, count]) => count).map(([name]) => name);

/* The worker that takes the place of one that is killed. */
async function successor(daemon) {
    const before = daemon.workers();
    process.kill(before[0], 'SIGKILL');
    return until(() => daemon.workers().find((pid) => !before.includes(pid)), within(3000), 'another worker');
}
const wiped = (pid, texts) => until(() => !heldBy(pid, texts).some((name) => name.startsWith('password')), within(2000), `no password in ${pid}`);

testOf('while host names are looked up: who looks has no secret, a new worker only its own key; then the old one is nowhere', async (t) => {
    const { inside, daemon, texts, write } = await waiting(t, { port: undefined, host: undefined, listen: ['127.0.0.1:0'] });
    const workers = daemon.workers();
    write(1, { listen: ['127.0.0.1:0', 'slow.test:0'] });
    daemon.signal('SIGHUP');
    await daemon.logged(/reload waits: host names are looked up/);
    const looks = daemon.workers().find((pid) => !workers.includes(pid));
    await until(() => !heldBy(looks, texts).length, within(2000), 'no secret in who looks')
        .catch(() => assert.deepStrictEqual(heldBy(looks, texts), []));
    const other = await successor(daemon);
    await daemon.logged(/ worker 1 ready: .*fork=2/);
    assert.deepStrictEqual(heldBy(other, texts), ['secret 0']);
    const from = daemon.log.length;
    inside.answer('slow.test', '127.0.0.1');
    await daemon.logged(/configuration reloaded/, within(3000), from);
    const { 'secret 0': secret, 'password 0': password } = texts;
    await soonGone(daemon, { secret, password });
    for (const pid of daemon.workers()) assert.deepStrictEqual(heldBy(pid, texts), ['secret 1']);
    assert.deepStrictEqual(heldBy(daemon.pid, texts), ['secret 1', 'password 1']);
});
testOf('while workers start: each has the key of its generation; what is to come after is in no process', async (t) => {
    const { inside, daemon, texts, write } = await waiting(t);
    const first = daemon.workers();
    inside.hang();
    write(1, { workers: 3 });
    daemon.signal('SIGHUP');
    await daemon.logged(/generation 2 starts/);
    const added = () => daemon.workers().filter((pid) => !first.includes(pid));
    await until(() => added().length === 3, within(2000), 'three new workers');
    const starting = added();
    for (const pid of starting) {
        await wiped(pid, texts);
        await until(() => !heldBy(pid, texts).includes('secret 0'), within(2000), 'the old key in no new worker');
        assert.deepStrictEqual(heldBy(pid, texts), ['secret 1']);
    }
    const other = await successor(daemon);
    await wiped(other, texts);
    assert.deepStrictEqual(heldBy(other, texts), ['secret 0'], 'one of the old generation');
    write(2, { workers: 3 });
    daemon.signal('SIGHUP');
    await daemon.logged(/reload waits: workers are starting/);
    assert.deepStrictEqual(heldBy(daemon.pid, texts), ['secret 0', 'password 0', 'secret 1', 'password 1']);
    inside.resume();
    await daemon.logged(/configuration reloaded[^]*configuration reloaded/, within(5000));
    const old = Object.fromEntries(Object.entries(texts).filter(([name]) => !name.endsWith('2')));
    await soonGone(daemon, old); /* with the last of the old workers */
    for (const pid of daemon.workers()) assert.deepStrictEqual(heldBy(pid, texts), ['secret 2']);
    assert.deepStrictEqual(heldBy(daemon.pid, texts), ['secret 2', 'password 2']);
});

/* --- certificates, and tickets of TLS --- */

/* What there is of a private key of RSA: its PEM, and a number of it, as DER and as OpenSSL
 * compute with it, which is the same bytes from behind. */
function traces({ key, privateKey }) {
    const number = Buffer.from(privateKey.export({ format: 'jwk' }).d, 'base64url');
    return { pem: pieces(key), der: pieces(number), number: pieces(Buffer.from(number).reverse()) };
}
/* The name that its tickets begin with, and what lies behind it in memory: the keys. */
async function ticketKeys(daemon, pid) {
    const socket = tls.connect({ ...daemon.addr, ca: daemon.certificate.root, servername: 'localhost', maxVersion: 'TLSv1.2' });
    await once(socket, 'secureConnect');
    const name = socket.getTLSTicket().subarray(0, 16);
    socket.destroy();
    return { name, keys: behind(pid, name, 64) };
}
testOf('a private key of TLS: its text is in the master, the key in workers, and who looks up names has neither; then the old one is nowhere', async (t) => {
    const inside = new Inside(t);
    const redis = await Redis.start(t);
    const first = selfSigned({ names: LOCAL, type: 'rsa' });
    const second = selfSigned({ names: LOCAL, type: 'rsa' });
    const listen = ['127.0.0.1:0'];
    const daemon = new Daemon(t, { redis, tls: true, env: inside.env, config: { port: undefined, host: undefined, listen } });
    const put = ({ chain, key }) => {
        fs.writeFileSync(daemon.config.tls.certFile, chain);
        fs.writeFileSync(daemon.config.tls.keyFile, key);
    };
    put(first);
    daemon.certificate.root = first.root;
    daemon.spawn();
    await daemon.ready();
    const old = traces(first);
    const held = whoHas(daemon, old);
    isOfMaster(held.pem, 'PEM');
    isGone(held.der, 'DER');
    const [inMaster, ...inWorkers] = held.number;
    assert.strictEqual(inMaster, 0, 'the master does not compute with it');
    assert.ok(inWorkers.every((count) => count > 0), `the workers do: ${inWorkers}`);

    const tickets = await ticketKeys(daemon, daemon.workers()[0]);
    const ofTickets = { tickets: [tickets.keys] };
    assert.ok(whoHas(daemon, ofTickets).tickets.every((count) => count === 1), `master and workers have the keys of tickets once: ${whoHas(daemon, ofTickets).tickets}`);
    const workers = daemon.workers();
    put(second);
    daemon.write(merge(daemon.config, { listen: [...listen, 'slow.test:0'] }));
    daemon.signal('SIGHUP');
    await daemon.logged(/reload waits: host names are looked up/);
    const looks = daemon.workers().find((pid) => !workers.includes(pid));
    const all = { ...old, ...ofTickets };
    await until(() => !heldBy(looks, all).length, within(2000), 'no key in who looks')
        .catch(() => assert.deepStrictEqual(heldBy(looks, all), []));
    const from = daemon.log.length;
    daemon.deaths = true;
    inside.answer('slow.test', '127.0.0.1');
    await daemon.logged(/configuration reloaded/, within(3000), from);
    await soonGone(daemon, old);
    const fresh = whoHas(daemon, traces(second));
    isOfMaster(fresh.pem, 'PEM');
    assert.ok(fresh.number.slice(1).every((count) => count > 0), `the new one is in the workers: ${fresh.number}`);
    assert.ok(whoHas(daemon, ofTickets).tickets.every((count) => count === 1), 'the keys of tickets are those that they were');
    const said = `${daemon.log}${JSON.stringify(await askJson(daemon, '/status'))}`;
    for (const { key } of [first, second]) assert.ok(!said.includes(key.slice(40, 80)), 'nowhere in what is said');
});
testOf('a private key of TLS that changes by itself: the old one is nowhere', async (t) => {
    const redis = await Redis.start(t);
    const daemon = await Daemon.start(t, { redis, tls: true });
    const first = selfSigned({ names: LOCAL, type: 'rsa' });
    const second = selfSigned({ names: LOCAL });
    const { certFile, keyFile } = daemon.config.tls;
    for (const one of [first, second]) {
        const from = daemon.log.length;
        fs.writeFileSync(certFile, one.chain);
        fs.writeFileSync(keyFile, one.key);
        await daemon.logged(/another certificate is in force/, within(4000), from);
        if (one === first) await until(() => whoHas(daemon, traces(first)).number.slice(1).every(Boolean), within(2000), 'in workers');
    }
    await soonGone(daemon, traces(first));
});

/* --- tokens --- */

const PLACES = {
    query: (token) => ({ query: { token } }),
    header: (token) => ({ headers: { Authorization: `Bearer ${token}` } }),
    cookie: (token) => ({ headers: { Cookie: `jwt=${token}`, Origin: 'http://localhost' } }),
};

/* Tokens of three times as many bytes as a buffer has at first. */
async function issuer(t) {
    const redis = await Redis.start(t);
    const secret = long();
    const daemon = await Daemon.start(t, { redis, config: { auth: { secret } } });
    let n = 0;
    const issue = (good) => sign({ uid: `u${n++}`, more: long(3000) }, good ? secret : long());
    return { daemon, issue };
}
const nobodyHas = (daemon, token) => soonGone(daemon, { token: pieces(token) });

for (const eio of [4, 3]) {
    for (const [place, make] of Object.entries(PLACES)) {
        testOf(`revision ${eio}: a token in the ${place} of the handshake is nowhere once it has been judged`, async (t) => {
            const { daemon, issue } = await issuer(t);
            for (const good of [true, false]) {
                const first = issue(good);
                const client = await Raw.open(daemon.addr, { eio, ...make(first) });
                t.after(() => client.destroy());
                const judged = await client.join('/axr').then(() => true, () => false);
                assert.strictEqual(judged, good);
                if (!good) client.destroy(); /* else it may ask again, for five seconds */
                await nobodyHas(daemon, first);
                for (let i = 0; i < 3; i++) { /* some meet a worker that hands them over */
                    const token = issue(good);
                    const session = await Polling.open(daemon.addr, { eio, ...make(token) });
                    await session.send('40/axr,');
                    assert.match(await session.text(), good ? /^40/ : /^44/);
                    if (!good) await session.send('1');
                    await nobodyHas(daemon, token);
                }
            }
        });
    }
    testOf(`revision ${eio}: a token in a CONNECT packet that is posted, likewise`, async (t) => {
        const { daemon, issue } = await issuer(t);
        for (let i = 0; i < 4; i++) {
            const token = issue(true);
            await polled(daemon.addr, token, { eio });
            await nobodyHas(daemon, token);
            const forged = issue(false);
            await assert.rejects(polled(daemon.addr, forged, { eio }), /not let in/);
            await nobodyHas(daemon, forged);
        }
    });
}
