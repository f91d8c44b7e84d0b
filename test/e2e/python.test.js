'use strict';
/* python-socketio, of another hand than the npm clients: over polling, WebSocket,
 * and from one to the other.  It ends the connection when a poll brings more than
 * 16 packets (engineio.payload.Payload.max_decode_packets), whoever the server is:
 * there are never that many here at once. */
const assert = require('assert');
const path = require('path');
const { spawnSync } = require('child_process');
const { test, shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { Process } = require('./lib/proc');
const { within, until } = require('./lib/time');

const world = shared(async (s) => {
    const redis = await Redis.start(s);
    const daemon = await Daemon.start(s, { redis, config: { workers: 4 } });
    return { redis, daemon };
});
/* Debian's modules are not those of another python3 in PATH. */
const PYTHON = '/usr/bin/python3';
const installed = spawnSync(PYTHON, ['-c', 'import socketio, requests, websocket, aiohttp']).status === 0;

function start(t, daemon, token, transports, kind, { query = '', auth = {} } = {}) {
    const { host, port } = daemon.addr;
    const args = [`http://${host}:${port}${query}`, 'notifications', '/axr', token, transports, kind, JSON.stringify(auth)];
    const client = new Process(PYTHON, [path.join(__dirname, 'lib/client.py'), ...args]);
    t.show(client);
    t.after(() => {
        client.signal('SIGTERM');
        return client.ended(within(3000));
    });
    return client;
}
function python(what, fn) {
    test(what, async (t) => {
        if (installed) return fn(t);
        return t.skip('python3-socketio is not installed; scripts/deps test does that');
    });
}
for (const kind of ['sync', 'async']) {
    for (const [transports, final] of [['polling', 'polling'], ['websocket', 'websocket'], ['', 'websocket']]) {
        python(`python-socketio, ${kind}, ${transports || 'default options'}: receives`, async (t) => {
            const { redis, daemon } = await world();
            const client = start(t, daemon, daemon.token('u'), transports, kind);
            const [, transport] = await client.line(/connected (\w+)\n/, within(5000));
            assert.strictEqual(transport, final);
            const io = redis.emitter();
            io.emit('text', 'hé€😀', { a: [1, null, 1.5] });
            io.to('u').emit('bin', Buffer.from([1, 2, 255]), 'and text');
            io.to('somebody else').emit('text', 'not for it');
            for (let i = 0; i < 10; i++) io.emit('text', i);
            await until(() => (client.log.match(/event /g) || []).length >= 12, within(3000), 'the first events');
            for (let i = 10; i < 20; i++) io.emit('text', i);
            io.emit('end');
            const expected = [
                ['text', 'hé€😀', { a: [1, null, 1.5] }], ['bin', { bytes: '0102ff' }, 'and text'],
                ...Array.from({ length: 20 }, (_, i) => ['text', i]), ['end'],
            ];
            if (kind === 'async') assert.strictEqual((await client.ended(within(5000))).code, 0);
            const lines = () => client.log.split('\n').slice(0, -1).filter((line) => line.startsWith('event '));
            await until(() => lines().length >= expected.length, within(3000), 'events');
            const events = lines().map((line) => JSON.parse(line.slice(6)));
            const inOrder = (list) => (kind === 'async' ? list : list.map((one) => JSON.stringify(one)).sort());
            assert.deepStrictEqual(inOrder(events), inOrder(expected));
        });
    }
}
python('python-socketio: a token that is refused', async (t) => {
    const { daemon } = await world();
    const client = start(t, daemon, 'bad', 'polling', 'sync');
    await client.line(/refused/, within(5000));
});

/* What a client says, over which transports, and how many more arguments it has then. */
const RECOVERING = [
    [{}, 'polling', 1], [{}, 'websocket', 1],
    [{ query: '?recovery=0' }, 'polling', 0], [{ query: '/?a=1&recovery=false' }, '', 0], [{ auth: { recovery: false } }, 'websocket', 0],
];
python('python-socketio, where clients recover: one more argument, unless it has said that it wants none', async (t) => {
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, 'socket.io': { connectionStateRecovery: true } } });
    await Promise.all(RECOVERING.map(async ([how, transports, further], i) => {
        const client = start(t, daemon, daemon.token(`u${i}`), transports, 'async', how);
        await client.line(/connected (\w+)\n/, within(10000));
        redis.emitter().to(`u${i}`).emit('text', 'one');
        redis.emitter().to(`u${i}`).emit('end', 2);
        assert.strictEqual((await client.ended(within(10000))).code, 0);
        const events = client.log.split('\n').filter((line) => line.startsWith('event ')).map((line) => JSON.parse(line.slice(6)));
        for (const args of events) {
            assert.strictEqual(args.length, 2 + further, JSON.stringify(how));
            for (const offset of args.splice(2)) assert.match(offset, /^[\w-]{11}$/);
        }
        assert.deepStrictEqual(events, [['text', 'one'], ['end', 2]], JSON.stringify(how));
    }));
});
