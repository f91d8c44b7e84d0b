'use strict';
/* TLS on the port of clients: what is offered and refused, sessions that are resumed on any
 * worker, handshakes that do not go on, and whatever else comes in place of records. */
const assert = require('assert');
const net = require('net');
const path = require('path');
const tls = require('tls');
const { test, shared, keep, mode } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { PATH, once } = require('./lib/http');
const { joined } = require('./lib/raw');
const { authority, LOCAL } = require('./lib/certificates');
const { scrape } = require('./lib/metrics');
const { relive, renew } = require('./lib/reload');
const { run, tempDir } = require('./lib/proc');
const { within, until, elapse } = require('./lib/time');

const HANDSHAKE_MS = 5000;
const POLL = `${PATH}?EIO=4&transport=polling`;
const root = authority();

const redisServer = shared((s) => Redis.start(s));
/* The first certificate is RSA, beside it ECDSA for the same names; then those of other names. */
const world = shared(async (s) => {
    const dir = tempDir(s);
    const certificates = {
        rsa: root.issue({ names: LOCAL, type: 'rsa' }), ec: root.issue({ names: LOCAL }),
        one: root.issue({ names: ['one.example'] }), wild: root.issue({ names: ['*.wild.example'] }),
    };
    const files = Object.entries(certificates).map(([name, one]) => one.write(dir, name));
    const daemon = await Daemon.start(s, {
        tls: false, /* but as below */
        redis: await redisServer(),
        config: {
            workers: 3, port: undefined, host: undefined, drainTimeout: 300,
            listen: [{ address: '127.0.0.1:0' }, { address: '127.0.0.1:0', tls: false }],
            tls: { ...files[0], certificates: files.slice(1) },
        },
    });
    return { daemon, certificates };
});
const secured = (addr, more = {}) => ({ ...addr, tls: { ca: root.root, servername: 'localhost', ...more } });

/* A handshake; resolves to the socket, or rejects. */
function connect(t, addr, options = {}) {
    return new Promise((resolve, reject) => {
        const socket = keep(t, tls.connect({ ...addr, ca: root.root, servername: 'localhost', ...options }, () => resolve(socket)));
        socket.on('error', reject);
    });
}
/* Resolves when the other side has ended it. */
const ended = (socket) =>
    new Promise((resolve) => {
        for (const event of ['end', 'close', 'error']) socket.once(event, resolve);
        socket.resume();
    });
async function failures(daemon, reason) {
    return (await scrape(daemon)).get('tls_failures_total', `reason="${reason}"`);
}
/* what() brings one more of that. */
async function counts(daemon, reason, what) {
    const before = await failures(daemon, reason);
    await what();
    await until(async () => (await failures(daemon, reason)) > before, within(2000), `one more of ${reason}`);
}

/* --- what is offered --- */

test('TLS 1.2 and 1.3, ECDSA, and RSA for who knows no other', async (t) => {
    const { daemon, certificates } = await world();
    for (const [version, options, which] of [
        ['TLSv1.3', {}, 'ec'], ['TLSv1.2', {}, 'ec'],
        ['TLSv1.3', { sigalgs: 'rsa_pss_rsae_sha256' }, 'rsa'],
        ['TLSv1.2', { ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' }, 'rsa'],
    ]) {
        const socket = await connect(t, daemon.addr, { maxVersion: version, ...options });
        assert.strictEqual(socket.getProtocol(), version);
        assert.strictEqual(socket.getPeerX509Certificate().toString(), certificates[which].cert, which);
        assert.strictEqual((await once(secured(daemon.addr, { maxVersion: version, ...options }), 'GET', POLL)).status, 200);
    }
});

test('a certificate by name: exactly, by wildcard, or else the first', async (t) => {
    const { daemon, certificates } = await world();
    for (const [servername, which] of [
        ['one.example', 'one'], ['ONE.example', 'one'], ['a.wild.example', 'wild'], ['a.b.wild.example', 'ec'],
        ['wild.example', 'ec'], ['localhost', 'ec'], ['unknown.example', 'ec'],
    ]) {
        const socket = await connect(t, daemon.addr, { servername, checkServerIdentity: () => undefined });
        assert.strictEqual(socket.getPeerX509Certificate().toString(), certificates[which].cert, servername);
    }
});

test('ALPN: HTTP/1.1, and nothing else', async (t) => {
    const { daemon } = await world();
    assert.strictEqual((await connect(t, daemon.addr, { ALPNProtocols: ['h2', 'http/1.1'] })).alpnProtocol, 'http/1.1');
    assert.strictEqual((await connect(t, daemon.addr)).alpnProtocol, false);
    await counts(daemon, 'alpn', () => assert.rejects(connect(t, daemon.addr, { ALPNProtocols: ['h2'] }), /alert no application protocol/));
});

/* A hello by hand, for what no library offers any more. */
function hello(version, suites) {
    const u16 = (n) => [n >> 8, n & 255];
    const body = [...u16(version), ...Buffer.alloc(32, 7), 0, ...u16(2 * suites.length), ...suites.flatMap(u16), 1, 0];
    const groups = [...u16(0x0a), ...u16(4), ...u16(2), ...u16(0x17), ...u16(0x0d), ...u16(8), ...u16(6), 4, 3, 4, 1, 8, 4];
    const message = [...body, ...u16(groups.length), ...groups];
    return Buffer.from([22, 3, 1, ...u16(message.length + 4), 1, 0, ...u16(message.length), ...message]);
}
/* What comes of bytes: the alert that is answered with, or none; it is closed in any case. */
async function answerTo(t, addr, bytes) {
    const socket = keep(t, net.connect(addr));
    const parts = [];
    socket.on('data', (data) => parts.push(data));
    socket.on('error', () => {});
    socket.write(bytes);
    await until(() => socket.readableEnded || socket.destroyed, within(2000), 'the end');
    const all = Buffer.concat(parts);
    socket.destroy();
    return all[0] === 21 ? all[all.length - 1] : all.length ? 'something' : 'nothing';
}

test('old versions, and ciphers of theirs, are refused', async (t) => {
    const { daemon } = await world();
    const HANDSHAKE_FAILURE = 40;
    const OLD = [HANDSHAKE_FAILURE, 70 /* protocol_version */];
    const good = 0xc02b;
    for (const version of [0x0300, 0x0301, 0x0302])
        await counts(daemon, 'version', async () => assert.ok(OLD.includes(await answerTo(t, daemon.addr, hello(version, [good])))));
    for (const [name, ...suites] of [
        ['export', 0x0003, 0x0008, 0x0014], ['RC4', 0x0005, 0xc011, 0xc007], ['CBC', 0xc009, 0xc00a, 0xc013, 0xc014, 0xc023, 0xc027],
        ['static RSA', 0x009c, 0x009d, 0x002f], ['DHE', 0x009e, 0x009f], ['no encryption', 0x0001, 0x0002, 0xc006], ['anonymous', 0x0018, 0xc018],
    ])
        await counts(daemon, 'cipher', async () => assert.strictEqual(await answerTo(t, daemon.addr, hello(0x0303, suites)), HANDSHAKE_FAILURE, name));
    assert.strictEqual(await answerTo(t, daemon.addr, hello(0x0303, [good]).subarray(0, 1).fill(0x80)), 'nothing', 'SSL 2');
});

test('a client that does not trust the certificate is named in the log, with what it said', async (t) => {
    const { daemon } = await world();
    await counts(daemon, 'refused', () => assert.rejects(connect(t, daemon.addr, { ca: [], rejectUnauthorized: true })).then(async () => {
        const args = ['s_client', '-connect', `127.0.0.1:${daemon.addr.port}`, '-verify_return_error', '-tls1_2'];
        await run('openssl', args, { input: '' });
    }));
    await daemon.logged(/info worker \d\[\d+\]: TLS: the client refuses \(tlsv1 alert unknown ca\): address=127\.0\.0\.1:\d+ times=1/);
});

/* --- what is not TLS --- */

test('plain HTTP, a PROXY header and other bytes: closed, counted, and said in the log', async (t) => {
    const { daemon } = await world();
    for (const [reason, text, ...kinds] of [
        ['http', 'plain HTTP on a port for TLS', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'P', 'POST /notifications/ HTTP/1.1\r\n'],
        ['proxy', 'PROXY protocol on a port that does not expect it', 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n', '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c'],
        ['not_tls', 'no TLS on a port for TLS', 'SSH-2.0-x\r\n'.toLowerCase(), '\0\0\0\0', '\x17\x03\x03\x00\x01x'],
        ['record', 'a record that is malformed', '\x16\x03\x01\xff\xff', '\x16\x03\x01\x00\x04\x01\x00\x00\x00', '\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00'],
    ]) {
        for (const kind of kinds) await counts(daemon, reason, () => answerTo(t, daemon.addr, Buffer.from(kind, 'latin1')));
        await daemon.logged(new RegExp(`info worker \\d\\[\\d+\\]: TLS: ${text}[^:]*: address=127\\.0\\.0\\.1:\\d+ times=1$`, 'm'));
    }
    const { port } = daemon.addrs[1];
    assert.match((await run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`], { input: '' })).err, /wrong version number|unexpected eof/);
    await daemon.logged(/TLS on a port for plain HTTP: address=/);
});

test('renegotiation is refused', async (t) => {
    const { daemon } = await world();
    const socket = await connect(t, daemon.addr, { maxVersion: 'TLSv1.2' });
    await counts(daemon, 'renegotiation', async () => {
        const over = ended(socket);
        socket.renegotiate({ rejectUnauthorized: false }, () => {});
        await over;
    });
});

/* Byte by byte, each a record. */
test('records that carry nothing, or next to nothing: closed', async (t) => {
    const { daemon } = await world();
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'])
        await counts(daemon, 'flood', async () => {
            const socket = await connect(t, daemon.addr, { maxVersion });
            const over = ended(socket);
            socket.setNoDelay(true);
            socket.write('GET / HTTP/1.1\r\nHost: ');
            for (let i = 0; i < 4000 && !socket.destroyed; i++) await new Promise((resolve) => socket.write('x', resolve));
            await over;
        });
});

test('half a record, then nothing, or the end', async (t) => {
    const { daemon } = await world();
    const before = (await scrape(daemon)).get('connections');
    const socket = await connect(t, daemon.addr);
    const under = keep(t, net.connect(daemon.addr));
    const whole = keep(t, tls.connect({ socket: under, ca: root.root, servername: 'localhost' }));
    await new Promise((resolve) => whole.once('secureConnect', resolve));
    under.end(Buffer.from('\x17\x03\x03\x01\x00half', 'latin1'));
    await until(() => under.destroyed || under.readableEnded, within(2000), 'the end');
    socket.destroy();
    await until(async () => (await scrape(daemon)).get('connections') === before, within(2000), 'nobody is left');
});

/* --- the end of a connection --- */

test('who says that nothing more comes still gets its answer, and then the end is said', async (t) => {
    const { daemon } = await world();
    for (const version of ['TLSv1.2', 'TLSv1.3']) {
        const socket = await connect(t, daemon.addr, { maxVersion: version, allowHalfOpen: true });
        const parts = [];
        let clean = false;
        socket.on('data', (data) => parts.push(data));
        socket.on('end', () => (clean = true));
        socket.end(`GET ${POLL} HTTP/1.1\r\nHost: a\r\n\r\n`);
        await until(() => clean, within(2000), 'the end');
        assert.match(Buffer.concat(parts).toString(), /^HTTP\/1\.1 200 /);
    }
    const eof = await run('openssl', ['s_client', '-connect', `127.0.0.1:${daemon.addr.port}`, '-quiet', '-verify_quiet'],
        { input: 'GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' });
    assert.doesNotMatch(eof.err, /unexpected eof/);
});

/* --- resumption --- */

/* A session of a first client, as a client keeps it. */
async function sessionOf(t, addr, options) {
    const socket = await connect(t, addr, options);
    const session = options.maxVersion === 'TLSv1.3' ? await new Promise((resolve) => socket.once('session', resolve)) : socket.getSession();
    socket.destroy();
    return session;
}
/* Of 24 clients that come with it, how many resume. */
async function resumed(t, addr, options, session) {
    const sockets = await Promise.all(Array.from({ length: 24 }, () => connect(t, addr, { ...options, session })));
    const n = sockets.filter((socket) => socket.isSessionReused()).length;
    for (const socket of sockets) socket.destroy();
    return n;
}

test('sessions are resumed by every worker, and by those that come after a reload', async (t) => {
    const { daemon, certificates } = await world();
    const { addr } = daemon;
    const sessions = {};
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
        sessions[maxVersion] = await sessionOf(t, addr, { maxVersion });
        assert.strictEqual(await resumed(t, addr, { maxVersion }, sessions[maxVersion]), 24, maxVersion);
    }
    const by = (metrics, worker, version) =>
        metrics.get('worker_tls_handshakes_total', `worker="${worker}",version="${version}",resumed="true"`);
    await until(async () => {
        const metrics = await scrape(daemon);
        const missing = ['1.2', '1.3'].filter((version) => [1, 2, 3].some((worker) => by(metrics, worker, version) === 0));
        for (const version of missing) {
            const maxVersion = `TLSv${version}`;
            assert.strictEqual(await resumed(t, addr, { maxVersion }, sessions[maxVersion]), 24, maxVersion);
        }
        return missing.length === 0;
    }, within(5000), 'each worker has resumed both versions');
    const again = async (what) => {
        for (const maxVersion of Object.keys(sessions)) {
            assert.strictEqual(await resumed(t, addr, { maxVersion }, sessions[maxVersion]), 24, `${maxVersion} ${what}`);
            sessions[maxVersion] = await sessionOf(t, addr, { maxVersion });
        }
    };
    await relive(daemon, { limits: { sendTimeout: 11000 } });
    await again('after a reload that live workers take');
    const other = root.issue({ names: LOCAL }).write(path.dirname(daemon.config.tls.certFile), 'other');
    await relive(daemon, { tls: { ...other, certificates: undefined } });
    await again('with another certificate');
    await renew(daemon, { 'socket.io': { pingInterval: 24000 } });
    await again('after a reload that needs new workers');
    await daemon.logged(/generation \d+ has left/);
    assert.ok(certificates.ec, 'the old one is not asked for');
});

test('openssl s_client resumes 24 times of 24', async (t) => {
    const { daemon } = await world();
    const file = path.join(tempDir(t), 'session');
    const args = ['s_client', '-connect', `127.0.0.1:${daemon.addr.port}`, '-servername', 'localhost'];
    const http = { input: 'GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' };
    for (const [version, n] of [['-tls1_2', mode === 'long' ? 24 : 6], ['-tls1_3', 24]]) {
        await run('openssl', [...args, version, '-sess_out', file, '-ign_eof'], http);
        const all = await Promise.all(Array.from({ length: n }, () => run('openssl', [...args, version, '-sess_in', file, '-ign_eof'], http)));
        assert.strictEqual(all.filter(({ out }) => /^Reused, TLSv1\.[23]/m.test(out)).length, n, version);
    }
});

/* --- handshakes that do not go on --- */

test('500 handshakes that do not go on are gone after 5 s, and users connect meanwhile', async (t) => {
    const { daemon } = await world();
    const [begins, timeouts] = [Date.now(), await failures(daemon, 'timeout')];
    const rest = hello(0x0303, [0xc02b]);
    const kinds = [Buffer.alloc(0), rest.subarray(0, 3), rest.subarray(0, 40), rest];
    const sockets = Array.from({ length: 500 }, (_, i) => {
        const socket = keep(t, net.connect(daemon.addr));
        socket.on('error', () => {});
        socket.on('data', () => {});
        socket.write(kinds[i % kinds.length]);
        return socket;
    });
    const left = () => sockets.filter((socket) => !socket.readableEnded && !socket.destroyed).length;
    const at = (ms) => elapse(begins + ms - Date.now());
    await until(async () => (await scrape(daemon)).get('connections') >= 500, within(2000), 'all are there');
    assert.strictEqual(left(), 500, 'at first they stay');
    for (let i = 0; i < 10; i++) {
        const client = keep(t, await joined(secured(daemon.addr), daemon.token(`user${i}`)));
        client.destroy();
    }
    await at(HANDSHAKE_MS - 1000);
    if (Date.now() < begins + HANDSHAKE_MS) assert.strictEqual(left(), 500, 'a second before their time');
    await until(() => left() === 0, within(HANDSHAKE_MS), 'all are gone');
    assert.strictEqual((await failures(daemon, 'timeout')) - timeouts, 500, 'counted');
    assert.strictEqual((await once(secured(daemon.addr), 'GET', POLL)).status, 200);
});

/* --- what it is for --- */

test('a WebSocket gets what is sent to it', async (t) => {
    const { daemon } = await world();
    const where = secured(daemon.addr);
    const raw = keep(t, await joined(where, daemon.token('ws')));
    const before = (await scrape(daemon)).get('tls_connections');
    assert.ok(before >= 1, 'it is counted');
    for (const text of ['x', 'y'.repeat(100000)]) {
        await daemon.notify(['--to', 'ws', 'news', JSON.stringify(text)]);
        assert.strictEqual(await raw.text(), `42/axr,["news",${JSON.stringify(text)}]`);
    }
    raw.destroy();
    await until(async () => (await scrape(daemon)).get('tls_connections') === before - 1, within(2000), 'it is gone');
});
