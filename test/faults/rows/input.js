'use strict';
/* Bytes of every other kind: HTTP, packets, messages from redis, the configuration. */
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { row, redisServer, isLong, MB, pssOf } = require('../lib/table');
const { Daemon, NOTIFYD, ROOT, LINE } = require('../../e2e/lib/daemon');
const { Raw, OP, exchange, joined, upgradeRequest } = require('../../e2e/lib/raw');
const { Http, Polling, request } = require('../../e2e/lib/http');
const { heardArgs } = require('../../e2e/lib/hear');
const { MALFORMED, whole } = require('../../e2e/lib/hostile');
const { run } = require('../../e2e/lib/proc');
const { crowd, serves } = require('../../e2e/lib/load');
const { Random } = require('../../e2e/lib/values');
const { within } = require('../../e2e/lib/time');

const SEED = Number(process.env.SEED || 1);

/* --- 6: mutated input ------------------------------------------------------- */

/* What the fuzzers start from. */
function corpus(name) {
    const dir = path.join(ROOT, 'test/fuzz/corpus', name);
    return fs.readdirSync(dir).map((file) => fs.readFileSync(path.join(dir, file)));
}
const WORDS = ['\0', '\xff', '"', '[', ']', '{', '}', ',', ':', '-', '/', '\r\n', '\x1e', '4', '5', '6', '9999999999', '\xdf\xff\xff\xff\xff', '%00'];
/* One of the seeds, changed in a few places. */
function mutated(random, seeds) {
    let bytes = Buffer.from(random.pick(seeds));
    for (let left = 1 + random.below(4); left; left--) {
        const at = random.below(bytes.length + 1);
        const end = Math.min(bytes.length, at + random.below(16));
        switch (random.below(5)) {
            case 0: bytes = bytes.subarray(0, at); break;
            case 1: bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]); break;
            case 2: bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(random.pick(WORDS), 'latin1'), bytes.subarray(at)]); break;
            case 3: bytes = Buffer.concat([bytes.subarray(0, at), random.pick(seeds).subarray(0, 200)]); break;
            default: if (at < bytes.length) bytes = Buffer.from(bytes.map((byte, index) => (index === at ? byte ^ (1 << random.below(8)) : byte)));
        }
    }
    return bytes;
}

/* Says bytes on a connection of its own; ends with it. */
async function say(daemon, bytes) {

    const http = new Http(daemon.addr);
    http.socket.end(bytes);
    await http.over(within(15000));
    http.destroy();
}
/* As a packet from a client that is in, until it is closed for one. */
async function sayPackets(daemon, random, seeds, count) {
    let client = null;
    for (let i = 0; i < count; i++) {
        client = client && !client.over ? client : await joined(daemon.addr, daemon.token('u'), { eio: 3 + (i & 1) });
        const bytes = mutated(random, seeds);
        if (random.chance(1, 8)) client.sendBinary(bytes);
        else client.sendText(random.chance(1, 2) ? bytes : Buffer.concat([Buffer.from('4'), bytes]));
        if (random.chance(1, 4)) client.sendRaw(mutated(random, seeds));
        client.send(OP.PING, 'p');
        while (!client.over) {
            const one = await client.take().catch(() => null);
            if (!one || one.op === OP.PONG) break;
        }
    }
    if (client) client.destroy();
}
async function sayPayloads(daemon, random, seeds, count) {
    for (let i = 0; i < count; i++) {
        const client = await Polling.open(daemon.addr, { eio: 3 + (i & 1) });
        await client.post(mutated(random, seeds)).catch(() => {});
    }
}
async function checkConfigs(daemon, random, seeds, count) {
    const file = path.join(daemon.dir, 'mutated.conf');
    for (let i = 0; i < count; i++) {
        fs.writeFileSync(file, mutated(random, seeds));
        const { code, signal, err } = await run(NOTIFYD, ['-t', '-c', file], { cwd: daemon.dir, env: daemon.env });
        assert.ok(code === 0 || code === 1, `-t: ${code} ${signal}\n${err}\n${fs.readFileSync(file)}`);
    }
}
row(6, 'mutated Engine.IO and Socket.IO packets, HTTP heads, msgpack, config', 'nothing dies, nothing is reported (scripts/fuzz does more of it)', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis });
    const random = new Random(SEED);
    const count = isLong ? 5000 : 300;
    const heads = [...corpus('http'), ...corpus('body'), Buffer.from(upgradeRequest({ eio: 4 }).text)];
    for (let i = 0; i < count; i++) await say(daemon, mutated(random, heads));
    await sayPackets(daemon, random, [...corpus('sio'), ...corpus('eio')], count);
    await sayPayloads(daemon, random, [...corpus('payload'), ...corpus('sio')], count);
    const messages = [...corpus('emit'), ...corpus('msgpack'), whole];
    for (let i = 0; i < 10 * count; i++) {
        await redis.publish('socket.io#/axr#', mutated(random, messages));
    }
    await checkConfigs(daemon, random, [...corpus('conf'), ...corpus('jsonc'), fs.readFileSync(path.join(ROOT, 'etc/axr-notifyd.conf'))], count / 10);
    t.note(`${count} heads, ${count} runs of packets, ${count} payloads, ${10 * count} messages, ${count / 10} files, seed ${SEED}`);
    assert.deepStrictEqual(daemon.workers(), daemon.workersAtReady, 'a worker died');
    await serves(redis, daemon);
    await daemon.stop(); /* which looks for reports */
    t.note('0 deaths, 0 reports');
}, { timeout: isLong ? 600000 : 60000 });

/* --- 8: to redis ------------------------------------------------------------ */

row(8, 'msgpack that claims, nests, lies or goes on', 'dropped, counted, logged once a cause; master alive, under 1 MB', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis });
    const clients = await crowd(t, daemon, 2);
    const rounds = async (count) => {
        for (let round = 0; round < count; round++) for (const payload of MALFORMED) redis.publish('socket.io#/axr#', payload);
        redis.publish('socket.io#/axr#', whole);
        assert.deepStrictEqual(await heardArgs(redis, clients), [[1], [1]], 'only the whole one');
    };
    await rounds(2);
    const before = pssOf(daemon.pid);
    await rounds(20);
    const grown = pssOf(daemon.pid) - before;
    t.memory('master grew', grown, MB);
    const lines = daemon.log.split('\n').filter((line) => /message dropped: reason=/.test(line));
    const reasons = lines.map((line) => /reason=(\w+)/.exec(line)[1]);
    assert.ok(reasons.includes('malformed'), daemon.log);
    assert.deepStrictEqual([...new Set(reasons)], reasons, 'one line a reason');
    assert.doesNotMatch(daemon.log, /redis lost/);
    await daemon.stop();
    const [, dropped] = /stopped: .*\bdropped=(\d+)/.exec(daemon.log);
    const bad = 22 * MALFORMED.filter((payload) => payload[0] !== 0x7b).length; /* "{": another adapter's, ignored */
    t.note(`${dropped} of ${bad} dropped and counted, ${reasons.length} lines: ${reasons}`);
    assert.strictEqual(Number(dropped), bad);
});

/* --- 9, 10: HTTP ------------------------------------------------------------ */

const TARGET = '/notifications/?EIO=4&transport=polling';
const get = (headers) => Buffer.from(`GET ${TARGET} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`, 'latin1');
const HEADS = {
    'a head of 20 KB': get(`X: ${'x'.repeat(20000)}\r\n`),
    'a head of 1 MB': get(`X: ${'x'.repeat(1 << 20)}\r\n`),
    'a target of 1 MB': Buffer.from(`GET ${TARGET}&x=${'x'.repeat(1 << 20)} HTTP/1.1\r\nHost: x\r\n\r\n`),
    '101 headers': get('X: x\r\n'.repeat(100)),
    '100000 headers': get('X: x\r\n'.repeat(1e5)),
    'Content-Length with Transfer-Encoding': Buffer.concat([get('Content-Length: 3\r\nTransfer-Encoding: chunked\r\n'), Buffer.from('0\r\n\r\n')]),
    'two Content-Lengths': Buffer.concat([get('Content-Length: 3\r\nContent-Length: 4\r\n'), Buffer.from('abcd')]),
    'a Content-Length of 2^64': get('Content-Length: 18446744073709551616\r\n'),
    'obs-fold': get('X: a\r\n b\r\n'),
    'a body of 8 MB': request('POST', TARGET, {}, Buffer.alloc(8 << 20, 'x')),
};
row(9, 'huge or many headers, Content-Length with Transfer-Encoding, obs-fold, octets on EIO4', '4xx, an answer that arrives, close within 1 s', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis });
    const session = await Polling.open(daemon.addr);
    const octets = request('POST', session.target(), { 'Content-Type': 'application/octet-stream' }, '\0\x01\xff4');
    const statuses = [];
    let slowest = 0;
    for (const [what, bytes] of Object.entries({ ...HEADS, 'octets on EIO4': octets })) {
        const answer = await exchange(daemon.addr, bytes, within(3000));
        assert.ok(answer.status >= 400 && answer.status < 500, `${what}: status ${answer.status} ${answer.error || ''}`);
        statuses.push(answer.status);
        slowest = Math.max(slowest, answer.ms);
    }
    t.note(`${statuses.length} answered: ${statuses.join(' ')}`);
    t.took('closed at the latest after', slowest, 1000);
    await serves(redis, daemon);
});

const HELLO = Buffer.from(`16030100c8010000c40303${'00'.repeat(196)}`, 'hex');
const FOREIGN = {
    'h2c upgrade': [get('Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n')],
    'h2c in place of WebSocket': [Buffer.from(upgradeRequest({ eio: 4, headers: { Upgrade: 'h2c', Connection: 'Upgrade, close' } }).text), [400]],
    'HTTP/2 preface': [Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1'), [400, 505]],
    'TLS hello': [HELLO, [400]],
};
/* What is no TLS; and TLS that is cut off, too large, too old, or changed. */
const NOT_TLS = {
    HTTP: get(''), 'a WebSocket': Buffer.from(upgradeRequest({ eio: 4 }).text), 'HTTP/2 preface': FOREIGN['HTTP/2 preface'][0],
    'PROXY v1': Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n'), 'SSL 2': Buffer.from('802e0100020015000000100100800300800700c0', 'hex'),
    'a record of 64 KB': Buffer.from('160301ffff', 'hex'), 'data first': Buffer.from('1703030001ff', 'hex'),
    'TLS 1.1': Buffer.from(HELLO.toString('hex').replace('0303', '0302'), 'hex'), 'a hello of zeros': HELLO,
};
row(10, 'h2c upgrade, HTTP/2, TLS hello on the plain port; plain bytes and bad hellos on that of TLS', 'clean close', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, tls: false });
    const secure = await Daemon.start(t, { redis, tls: true });
    const { host, port } = secure.addr;
    let slowest = 0;
    for (const [what, bytes] of Object.entries(NOT_TLS)) {
        const { status, error, ms } = await exchange({ host, port }, bytes, within(3000));
        assert.strictEqual(error, undefined, `${what}: ${error}`);
        assert.strictEqual(status, 0, `${what}: an answer`);
        slowest = Math.max(slowest, ms);
    }
    t.took(`${Object.keys(NOT_TLS).length} on the port for TLS: no reset, at the latest after`, slowest, 1000);
    await serves(redis, secure);
    for (const [what, [bytes, statuses = [200]]] of Object.entries(FOREIGN)) {
        const { status, error } = await exchange(daemon.addr, bytes, within(3000));
        assert.strictEqual(error, undefined, `${what}: ${error}`);
        assert.ok(statuses.includes(status), `${what}: status ${status}`);
        t.note(`${what}: ${status}, no reset`);
    }
    await serves(redis, daemon);
});

/* --- 17: the log ------------------------------------------------------------ */

const EVIL = 'x\r\n2026-01-01T00:00:00Z error master[1]: forged\x1b[31m\x00\x9b\u2028y';
row(17, 'CR, LF, ESC, NUL in room, path, user agent, user, event', 'one escaped log line', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis });
    const encoded = encodeURIComponent(EVIL);
    const raw = EVIL.replace(/[\r\n\0]/g, '');
    await redis.publish(`socket.io#/axr#${EVIL}#`, Buffer.from('c1', 'hex'));
    redis.emitter().to(EVIL).emit(EVIL, EVIL);
    for (const text of [encoded, raw]) {
        const head = `GET /${text}?${text} HTTP/1.1\r\nHost: ${text}\r\nConnection: close\r\nUser-Agent: ${text}\r\nOrigin: ${text}\r\n\r\n`;
        await exchange(daemon.addr, Buffer.from(head, 'latin1'));
    }
    const headers = { 'User-Agent': raw.replace(/[^\x00-\xff]/g, ''), Referer: '\x1b[31mred' };
    for (const uid of [EVIL, EVIL.replace(/\0/g, '')]) {
        const client = await joined(daemon.addr, daemon.token(uid), { headers }).catch(() => null);
        if (client) client.destroy();
    }
    const plain = await joined(daemon.addr, daemon.token(EVIL.replace(/\0/g, ''))).catch(() => null);
    if (plain) plain.destroy();
    const other = await Raw.open(daemon.addr);
    other.sendText(`40/${EVIL.replace(/,/g, '')},`);
    await other.take();
    other.destroy();
    await daemon.logged(/message dropped: reason=malformed/);
    await daemon.stop();
    const lines = daemon.log.trimEnd().split('\n').filter((line) => !/^axr-notifyd: warning:/.test(line));
    for (const line of lines) assert.match(line, LINE);
    assert.doesNotMatch(daemon.log, /^\S+ error master\[1\]: forged/m);
    t.note(`${lines.length} lines, all of the form, none forged`);
});
