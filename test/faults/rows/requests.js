'use strict';
/* Requests of the cluster that are no good, or too many. */
const assert = require('assert');
const notepack = require('../../e2e/node_modules/notepack.io');
const { row, MB, isLong, isSanitized, daemonPss } = require('../lib/table');
const { Redis, Daemon, Member, Asker, counted, join, REQUESTS, RESPONSES, NSP } = require('../../e2e/lib/cluster');
const { heard } = require('../../e2e/lib/hear');
const { joined } = require('../../e2e/lib/raw');
const { scrape } = require('../../e2e/lib/metrics');
const { within, until } = require('../../e2e/lib/time');

async function start(t, config = {}) {
    const redis = await Redis.start(t);
    const daemon = await Daemon.start(t, { redis, config: { log: { level: 'info' }, ...config } });
    await counted(redis, 1);
    return { redis, daemon, asker: await Asker.start(t, redis) };
}

const nested = (depth, [open, close] = '[]', core = '') => open.repeat(depth) + core + close.repeat(depth);
const names = (count, name = (i) => `room${i}`) => JSON.stringify(Array.from({ length: count }, (_, i) => name(i)));
const OPTS = '"opts":{"rooms":[],"except":[]}';
const packet = { type: 2, data: ['msg', 'x'], nsp: NSP };
const pack = (more) => notepack.encode({ uid: 'x', requestId: `p${pack.n = (pack.n || 0) + 1}`, type: 7, packet, opts: { rooms: ['nobody'], except: [], flags: { timeout: 500 } }, ...more });

/* Each is published as it is; none of them may hurt. */
const HOSTILE = {
    'a million brackets': nested(1e6),
    'a million brackets in opts': `{"type":2,"rooms":["x"],"opts":${nested(1e6)}}`,
    'a million brackets in rooms': `{"type":2,"rooms":${nested(1e6)},${OPTS}}`,
    'a million braces that nobody reads': `{"type":6,"data":["e",${'{"a":'.repeat(1e5)}1${'}'.repeat(1e5)}]}`,
    'a million brackets without an end': `{"type":5,"requestId":"a","opts":${'['.repeat(1e6)}`,
    '3 MB of text': `{"type":6,"requestId":"b","uid":"u","data":["e","${'x'.repeat(3 * MB)}"]}`,
    '8 MB of text': `{"type":6,"requestId":"c","uid":"u","data":["e","${'x'.repeat(8 * MB)}"]}`,
    'an id of 1 MB': `{"type":1,"requestId":"${'i'.repeat(MB)}"}`,
    'an id that is an object': '{"type":1,"requestId":{"a":[1]}}',
    'an id that is null': '{"type":1,"requestId":null}',
    'a uid of 1 MB': `{"type":1,"requestId":"d","uid":"${'u'.repeat(MB)}"}`,
    'a uid with everything': '{"type":1,"requestId":"e","uid":"#\\u0000 \\r\\nPUBLISH a b\\r\\n*"}',
    'a uid that is a number': '{"type":1,"requestId":"f","uid":1e308}',
    'types that are none': [-1, 1e308, 0.5, '"5"', true, null, '[5]', 4294967296, 1e-9].map((type) => `{"type":${type},"requestId":"g","opts":{}}`),
    'keys twice': '{"type":1,"type":4,"opts":{},"opts":{"rooms":["nobody"]},"close":true,"requestId":"h","requestId":"i"}',
    'a million rooms to be told of': `{"type":5,"requestId":"j","opts":{"rooms":${names(3e5)},"except":[]}}`,
    'a million rooms that are excluded': `{"type":5,"requestId":"k","opts":{"rooms":[],"except":${names(3e5)}}}`,
    'a million times the same room': `{"type":2,"rooms":${names(3e5, () => 'same')},${OPTS}}`,
    'a million rooms to join': `{"type":2,"rooms":${names(3e5)},${OPTS}}`,
    'a million numbers to join': `{"type":2,"rooms":${JSON.stringify(Array.from({ length: 4e5 }, (_, i) => i + 0.5))},${OPTS}}`,
    'a million rooms to leave': `{"type":3,"rooms":${names(3e5)},${OPTS}}`,
    'a room of 1 MB': `{"type":2,"rooms":["${'r'.repeat(MB)}"],${OPTS}}`,
    'rooms that are none': ['{"a":1}', '[[["x"]]]', '[null]', '[{}]', 'true', '1e999', '[1e999,-1e999]'].map((rooms) => `{"type":2,"rooms":${rooms},"opts":{"rooms":["nobody"],"except":${rooms}}}`),
    'opts that are none': ['[]', 'null', '"r"', '1', 'true'].map((opts) => `{"type":2,"rooms":["x"],"opts":${opts}}`),
    'no UTF-8': Buffer.concat([Buffer.from('{"type":2,"rooms":["'), Buffer.from([0xff, 0xc0, 0x80, 0xed, 0xa0, 0x80]), Buffer.from(`"],${OPTS}}`)]),
    'half a surrogate pair': `{"type":2,"rooms":["\\ud800"],${OPTS}}`,
    'NUL': '{"type":2,\u0000"rooms":["x"]}',
    'a million spaces': `{"type":1,"requestId":"l"${' '.repeat(1e6)}}`,
    'answers nobody asked for': ['{"requestId":"ask1","sockets":[]}', '{"type":8,"requestId":"m","clientCount":-1}', '{"requestid":"n"}'],
    'no msgpack': [Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff]), Buffer.from([0x85, 0xa3]), Buffer.from([0xc1]), Buffer.alloc(1000, 0x91), Buffer.alloc(1e6, 0x81)],
    'broadcasts that are none': [{ packet: undefined }, { packet: { type: 2, data: [], nsp: NSP } }, { packet: { ...packet, data: ['connect'] } }, { packet: { ...packet, data: 'x' } },
        { packet: { ...packet, nsp: '/other' } }, { opts: undefined }, { opts: { rooms: 7, except: {}, flags: [] } }, { requestId: undefined }, { requestId: { a: 1 } }, { requestId: 'x'.repeat(1e5) },
        { opts: { rooms: ['nobody'], flags: { timeout: 1e300 } } }, { opts: { rooms: ['nobody'], flags: { timeout: -1 } } }, { opts: { rooms: ['nobody'], flags: { timeout: 'soon' } } },
        { type: '7' }, { uid: Buffer.alloc(1e5) }, { packet: { ...packet, data: ['x', ...Array(20).fill(Buffer.alloc(1))] } }].map(pack),
};

row(53, 'requests with a million brackets, rooms, spaces, ids of 1 MB, no JSON, no msgpack', 'each counted, answered or not; whoever asks then is answered within 1 s, broadcasts go on; memory as before + 32 MB', async (t) => {
    const { redis, daemon, asker } = await start(t);
    const clients = await Promise.all(Array.from({ length: 4 }, (_, i) => joined(daemon.addr, daemon.token(`u${i}`))));
    t.after(() => clients.forEach((client) => client.destroy()));
    const before = daemonPss(daemon);
    let slowest = 0;
    let most = before;
    for (const [what, payloads] of Object.entries(HOSTILE)) {
        const channel = what.startsWith('answers') ? RESPONSES : REQUESTS;
        for (const payload of [].concat(payloads)) await redis.publish(channel, payload);
        const began = Date.now();
        const { sockets } = await asker.ask({ type: 5, opts: { rooms: ['allusers'], except: [] } }, { ms: within(3000) }).catch((error) => assert.fail(`${what}: ${error.message}`));
        assert.strictEqual(sockets.length, clients.length, what);
        const took = Date.now() - began;
        if (took > slowest) [slowest, t.slowest] = [took, what];
        await heard(redis, clients).catch((error) => assert.fail(`${what}: ${error.message}`));
        most = Math.max(most, daemonPss(daemon));
    }
    t.took(`an answer behind one at most ("${t.slowest}")`, slowest, 1000);
    const { sockets } = await asker.ask({ type: 5, opts: { rooms: [], except: [] } });
    for (const { rooms } of sockets) assert.ok(rooms.length <= 1000, `${rooms.length} rooms of a client`);
    await redis.publish(REQUESTS, `{"type":3,"rooms":${JSON.stringify([...new Set(sockets.flatMap(({ rooms }) => rooms.slice(2)))])},${OPTS}}`);
    await asker.ask({ type: 1 });
    assert.deepStrictEqual(daemon.workers(), daemon.workersAtReady, 'the workers are the same');
    t.memory('at most +', most - before, 256 * MB);
    if (!isSanitized) await until(async () => daemonPss(daemon) - before < 32 * MB, within(3000), 'the memory is given back');
    t.memory('then +', daemonPss(daemon) - before, 32 * MB);
    const lines = daemon.log.split('\n').filter((line) => / warn /.test(line)).length;
    assert.ok(lines < 200, `${lines} warnings`);
    t.note(`${lines} warnings, ${Object.keys(HOSTILE).length} kinds`);
});

row(54, 'a flood of 20,000 fetchSockets, and of emits with acknowledgements, with 500 clients', 'broadcasts go on; bounded memory; others are answered when it is over', async (t) => {
    const { redis, daemon } = await start(t, { workers: 2 });
    const member = await Member.start(t, redis, '8.3');
    await counted(redis, 2);
    const clients = await Promise.all(Array.from({ length: 500 }, (_, i) => joined(daemon.addr, daemon.token(`u${i}`))));
    t.after(() => clients.forEach((client) => client.destroy()));
    const light = await join(t, 'light', 4, daemon.addr, { options: { transports: ['websocket'] } });
    const before = daemonPss(daemon);
    const latencies = [];
    light.socket.on('tick', (sent) => latencies.push(Date.now() - sent));
    let ticks = 0;
    const io = redis.emitter();
    const timer = setInterval(() => {
        ticks++;
        io.to('light').emit('tick', Date.now());
    }, 20);
    t.after(() => clearInterval(timer));
    let most = before;
    const COUNT = isLong ? 100000 : 20000;
    for (let i = 0; i < COUNT; i += 500) {
        await Promise.all(Array.from({ length: 500 }, (_, n) => redis.publish(REQUESTS, (i + n) % 10
            ? JSON.stringify({ requestId: `f${i + n}`, uid: 'flood', type: 5, opts: { rooms: [], except: [] } })
            : pack({ requestId: `a${i + n}`, opts: { rooms: ['light'], except: [], flags: { timeout: 500 } } }))));
        most = Math.max(most, daemonPss(daemon));
    }
    const began = Date.now();
    const { sockets, ids } = await until(() => member.call('countSockets').catch(() => null), within(20000), 'an answer behind the flood');
    assert.deepStrictEqual([sockets, ids], [501, 501]);
    t.took('an answer behind it', Date.now() - began, 5000);
    clearInterval(timer);
    await until(() => latencies.length === ticks, within(5000), 'every broadcast');
    latencies.sort((a, b) => a - b);
    t.judged('broadcasts p99', latencies[Math.floor(latencies.length * 0.99)], 1000, 'ms');
    t.memory('at most +', most - before, 128 * MB);
    assert.deepStrictEqual(daemon.workers(), daemon.workersAtReady, 'the workers are the same');
    const { text } = await scrape(daemon);
    t.note(text.split('\n').filter((line) => /^axr_notifyd_(cluster|requests)\S*\{.*\} [1-9]/.test(line)).map((line) => line.replace('axr_notifyd_', '')).join(', '));
});
