'use strict';
/* Clients over TLS with the transports that they choose themselves, at a daemon of three workers:
 * socket.io-client 1.x to 4.x, Chromium, python-socketio and curl.  All of them verify the
 * certificate; what trusts nobody does not connect. */
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { spawnSync } = require('child_process');
const { test, shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { urlOf } = require('./lib/dial');
const { VERSIONS, Client, connect } = require('./lib/clients');
const { Site, browser, visit, seen } = require('./lib/browser');
const { Process, run } = require('./lib/proc');
const { within, until } = require('./lib/time');

const world = shared(async (s) => {
    const redis = await Redis.start(s);
    const daemon = await Daemon.start(s, { redis, tls: true, config: { workers: 3 } });
    const authority = path.join(daemon.dir, 'authority.crt');
    fs.writeFileSync(authority, daemon.certificate.root);
    return { redis, daemon, addr: daemon.addr, token: daemon.token('u'), authority };
});
const transportOf = (client) => client.socket.io.engine.transport.name;
const MESSAGES = Array.from({ length: 20 }, (_, i) => ['n', i, 'hé€😀', Buffer.from([i, 255])]);

for (const [what, transports, last] of [['default transports', undefined, 'websocket'], ['polling only', ['polling'], 'polling'], ['WebSocket only', ['websocket'], 'websocket']])
    test(`socket.io-client 1.x to 4.x, ${what}: several of each hear all, in order`, async (t) => {
        const { redis, addr, token } = await world();
        const clients = await Promise.all([...VERSIONS, ...VERSIONS, ...VERSIONS].map(async (version) => {
            const client = await connect(version, addr, { token, options: { transports } });
            t.after(() => client.close());
            return client;
        }));
        for (const client of clients) await until(() => transportOf(client) === last, within(3000), `${last} of ${client.version}.x`);
        for (const message of MESSAGES) redis.emitter().emit(...message);
        for (const client of clients) {
            await client.when(() => client.events.length === MESSAGES.length, within(5000), 'messages');
            assert.deepStrictEqual(client.events, MESSAGES);
        }
    });
test('socket.io-client 1.x to 4.x: whoever does not trust the authority does not connect', async (t) => {
    const { addr, token } = await world();
    await Promise.all(VERSIONS.map(async (version) => {
        const client = new Client(version, addr, { token, options: { ca: undefined, transports: undefined } });
        t.after(() => client.close());
        await client.noted('connect_error');
        assert.ok(!client.notes.some((note) => note.what === 'connect'), `${version}.x`);
    }));
});

/* --- Chromium --- */

browser('Chromium: polls, upgrades and receives, with bundles of 1.x, 2.x and 4.x', async (t) => {
    const { redis } = await world();
    const page = await Site.start(t);
    const cors = { origins: [page.origin], credentials: true };
    const daemon = await Daemon.start(t, { redis, tls: true, config: { workers: 3, cors } });
    const jobs = [1, 2, 4].flatMap((version) => [{ version, options: {} }, { version, options: { transports: ['polling'] }, stays: true }]);
    page.offer(jobs.map((job) => ({ ...job, url: `${urlOf({ ...daemon.addr, host: 'localhost' })}/axr`, token: daemon.token('u') })));
    visit(t, page, `${page.origin}/`, [`--ignore-certificate-errors-spki-list=${daemon.certificate.pin}`]);
    const isIn = (reports, id) => seen(reports, id, 'connect').length && (jobs[id].stays || seen(reports, id, 'upgrade').length);
    await page.when((reports) => jobs.every((_, id) => isIn(reports, id)), 'connects and upgrades');
    redis.emitter().emit('msg', 'hé€😀', Buffer.from([1, 2, 255]));
    await page.when((reports) => jobs.every((_, id) => seen(reports, id, 'msg').length), 'messages');
    for (const [id] of jobs.entries())
        assert.deepStrictEqual(seen(page.reports, id, 'msg').map((one) => one.detail), [['hé€😀', { bytes: [1, 2, 255] }]]);
});

/* --- python-socketio --- */

const PYTHON = '/usr/bin/python3';
const installed = spawnSync(PYTHON, ['-c', 'import socketio, requests, websocket, aiohttp']).status === 0;

function python(t, { addr, token, authority }, kind, trusts) {
    const trust = trusts ? { SSL_CERT_FILE: authority, REQUESTS_CA_BUNDLE: authority } : {};
    const args = [urlOf(addr), 'notifications', '/axr', token, '', kind, '{}'];
    const client = new Process(PYTHON, [path.join(__dirname, 'lib/client.py'), ...args], { env: { ...process.env, ...trust } });
    t.show(client);
    t.after(() => {
        client.signal('SIGTERM');
        return client.ended(within(3000));
    });
    return client;
}
for (const kind of ['sync', 'async'])
    test(`python-socketio, ${kind}, default transports: polls, upgrades and receives`, async (t) => {
        if (!installed) return t.skip('python3-socketio is not installed; scripts/deps test does that');
        const { redis, ...how } = await world();
        const client = python(t, how, kind, true);
        const doubter = python(t, how, kind, false);
        assert.strictEqual((await client.line(/connected (\w+)\n/, within(5000)))[1], 'websocket');
        redis.emitter().emit('text', 'hé€😀', { a: [1, null, 1.5] });
        redis.emitter().to('u').emit('bin', Buffer.from([1, 2, 255]), 'and text');
        const lines = () => client.log.split('\n').slice(0, -1).filter((line) => line.startsWith('event ')).sort();
        await until(() => lines().length === 2, within(3000), 'events');
        assert.deepStrictEqual(lines().map((line) => JSON.parse(line.slice(6))),
            [['bin', { bytes: '0102ff' }, 'and text'], ['text', 'hé€😀', { a: [1, null, 1.5] }]]);
        assert.notStrictEqual((await doubter.ended(within(5000))).code, 0);
        assert.doesNotMatch(doubter.log, /^connected/m);
        assert.match(doubter.log, /certificate/i);
    });

/* --- curl --- */

const curl = (...args) => run('curl', ['-sS', '--max-time', '20', ...args]);
for (const version of ['1.2', '1.3'])
    test(`curl, TLS ${version}: a session that polls, each request on another connection`, async () => {
        const { redis, addr, token, authority } = await world();
        const url = `${urlOf(addr)}/notifications/?EIO=4&transport=polling`;
        const trusting = (...args) => curl('--cacert', authority, `--tlsv${version}`, '--tls-max', version, ...args);
        const first = await trusting('-w', '\n%{http_version} %{ssl_verify_result}', url);
        assert.deepStrictEqual([first.code, first.err], [0, '']);
        const [open, said] = first.out.split('\n');
        assert.strictEqual(said, '1.1 0');
        const session = `${url}&sid=${JSON.parse(open.slice(1)).sid}`;
        assert.strictEqual((await trusting('-d', `40/axr,${JSON.stringify({ token })}`, '-H', 'Content-Type: text/plain', session)).out, 'ok');
        assert.match((await trusting(session)).out, /^40\/axr,\{"sid":"/);
        const heard = trusting(session);
        for (let i = 0; i < 3; i++) {
            redis.emitter().emit('msg', i);
            const { out } = i ? await trusting(session) : await heard;
            assert.strictEqual(out, `42/axr,["msg",${i}]`);
        }
    }, { tools: ['curl'] });
test('curl: without the authority, and over TLS 1.1: no connection', async () => {
    const { addr, authority } = await world();
    const refused = await curl(urlOf(addr));
    assert.strictEqual(refused.code, 60, refused.err);
    const old = await curl('--cacert', authority, '--tls-max', '1.1', '--ciphers', 'ALL:@SECLEVEL=0', urlOf(addr));
    assert.strictEqual(old.code, 35, old.err);
}, { tools: ['curl'] });
