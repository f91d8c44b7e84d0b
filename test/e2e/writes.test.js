'use strict';
/* How many writes to a client's socket things take: the daemon counts them. */
const assert = require('assert');
const net = require('net');
const notepack = require('notepack.io');
const { test, shared, keep } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { Raw, joined } = require('./lib/raw');
const { scrape, settled } = require('./lib/metrics');

const world = shared(async (s) => {
    const redis = await Redis.start(s);
    const daemon = await Daemon.start(s, { redis, config: { workers: 1 } });
    return { redis, daemon };
});
const EXTENSIONS = { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' };

/* What fn causes, once bytes more have been sent; a client has them all by then. */
async function writesOf(daemon, fn) {
    const before = await scrape(daemon);
    const bytes = await fn();
    const sent = before.get('sent_bytes_total') + bytes;
    const after = await settled(daemon, (now) => now.get('sent_bytes_total') >= sent, `${bytes} bytes to be counted`);
    return after.get('socket_writes_total') - before.get('socket_writes_total');
}

for (const eio of [4, 3]) {
    for (const [what, headers, writes] of [['extensions', EXTENSIONS, 1], ['none', {}, 2]]) {
        test(`EIO ${eio}, who offers ${what}: the 101 and the open packet`, async (t) => {
            const { daemon } = await world();
            const got = await writesOf(daemon, async () => {
                const raw = keep(t, await Raw.open(daemon.addr, { eio, headers }));
                return JSON.stringify(raw.handshake).length + 100;
            });
            assert.strictEqual(got, writes);
        });
    }
}

test('many messages that are published in one go', async (t) => {
    const { redis, daemon } = await world();
    const clients = [];
    for (const uid of ['a', 'b', 'c']) clients.push(keep(t, await joined(daemon.addr, daemon.token(uid))));
    const commands = Array.from({ length: 50 }, (_, i) => {
        const payload = notepack.encode(['uid', { type: 2, data: ['n', i], nsp: '/axr' }, { rooms: [], flags: {} }]);
        return Buffer.concat([
            Buffer.from(`*3\r\n$7\r\nPUBLISH\r\n$15\r\nsocket.io#/axr#\r\n$${payload.length}\r\n`), payload, Buffer.from('\r\n'),
        ]);
    });
    const got = await writesOf(daemon, async () => {
        const socket = net.connect(redis.port, '127.0.0.1');
        t.after(() => socket.destroy());
        socket.write(Buffer.concat(commands));
        for (const client of clients)
            for (let i = 0; i < 50; i++) assert.deepStrictEqual((await client.event()).args, ['n', i]);
        return clients.length * 50 * '42/axr,["n",0]'.length;
    });
    assert.ok(got <= 30, `${got} writes for 150 messages`); /* 3, or a few more where redis was slow */
});
