'use strict';
/* Real emitters of every generation, each with the same twenty calls, to real
 * clients of every generation, over both transports.  What arrives is what a server of the emitter's own
 * generation would have delivered.
 *
 * Python's emitter takes part where it is installed (AXR_PYTHON names an
 * interpreter that has it; pip install socket-io-emitter).  What it and PHP's
 * publish is recorded, and replayed in the suite vectors. */
const assert = require('assert');
const { spawnSync } = require('child_process');
const { test, shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { run } = require('./lib/proc');
const clients = require('./lib/clients');
const emitters = require('./lib/emitters');
const { CALLS, arrivesOf } = require('./lib/calls');
const { within } = require('./lib/time');

const USERS = ['a', 'b'];

/* A client of each generation for each user, over each transport. */
const world = shared(async (s) => {
    const redis = await Redis.start(s);
    const daemon = await Daemon.start(s, { redis });
    const all = [];
    for (const version of clients.VERSIONS) {
        for (const user of USERS) {
            for (const transport of ['websocket', 'polling']) {
                const client = await clients.connect(version, daemon.addr, { token: daemon.token(user), options: { transports: [transport] } });
                s.after(() => client.close());
                all.push(Object.assign(client, { user, transport }));
            }
        }
    }
    return { redis, daemon, all };
});

let marks = 0;

/* Takes what each client has got before a marker that is published now. */
async function taken() {
    const { redis, all } = await world();
    const mark = `marker ${++marks}`;
    redis.emitter().emit('marker', mark);
    const last = (client) => client.events[client.events.length - 1];
    const marked = (client) => last(client) && last(client)[0] === 'marker' && last(client)[1] === mark;
    for (const client of all) await client.when(() => marked(client), within(5000), mark);
    return all.map((client) => client.events.splice(0).slice(0, -1));
}

/* Publishes one event; the named users must get it, with args, and nobody else. */
async function expect(what, publish, args, users = USERS) {
    await publish();
    const { all } = await world();
    const got = await taken();
    all.forEach((client, index) => {
        const expected = users.includes(client.user) ? [args] : [];
        assert.deepStrictEqual(got[index], expected, `${what}, to client ${client.version}.x over ${client.transport} of user ${client.user}`);
    });
}

for (const version of emitters.VERSIONS) {
    test(`emitter ${version}: twenty calls`, async (t) => {
        const { redis } = await world();
        const emitter = new emitters.AnyEmitter(t, redis, version);
        assert.strictEqual(Object.keys(CALLS).length, 20);
        for (const [what, call] of Object.entries(CALLS)) {
            const publish = () => {
                call.to(emitter.axr).emit('msg', ...call.args);
                return emitter.flush();
            };
            const args = ['msg', ...arrivesOf(call, emitter.dialect)];
            await expect(`${version}: ${what}`, publish, args, call.users);
        }
    });
}

test('other namespaces, and none: not heard', async (t) => {
    const { redis } = await world();
    for (const version of emitters.VERSIONS) {
        const emitter = new emitters.AnyEmitter(t, redis, version);
        emitter.io.emit('msg', 'to /');
        emitter.io.of('/other').emit('msg', 'to /other');
        emitter.io.of('/other').to('a').to('b').emit('msg', 'to rooms of /other');
        await emitter.flush();
    }
    for (const events of await taken()) assert.deepStrictEqual(events, []);
});

test('a daemon with another key hears the emitters that have it', async (t) => {
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis, config: { 'socket.io': { key: 'app [1]', namespace: '/' } } });
    const client = await clients.connect(4, daemon.addr, { token: daemon.token('a'), nsp: '/' });
    t.after(() => client.close());
    for (const [channel, form] of [['app [1]#emitter', 2], ['app [1]#/#', 3], ['app [1]#/#a#', 3], ['app [1]#', 2], ['app [1]#a#', 2]]) {
        const uid = form === 3 ? 'a7656d6974746572' : '';
        const hex = `9${form}${uid}83a47479706502a46461746192a36d7367a26869a36e7370a12f82a5726f6f6d7390a5666c61677380`;
        assert.strictEqual(await redis.publish(channel, Buffer.from(hex, 'hex')), 1, channel);
    }
    await client.when(() => client.events.length === 5, within(2000), 'five events');
    for (const event of client.events) assert.deepStrictEqual(event, ['msg', 'hi']);
});

/* The channels that emitters in other languages make, for what they publish there. */
const PLAIN = '9283a47479706502a46461746192a36d7367a26869a36e7370a42f61787282a5726f6f6d73';
const CHANNELS = {
    'PHP, rase: socket.io#emitter': ['socket.io#emitter', `${PLAIN}90a5666c61677390`],
    'PHP with the key socket.io#/axr#': ['socket.io#/axr##emitter', `${PLAIN}90a5666c61677390`],
    'Java, sunsus: namespace, then room': ['socket.io#/axr#a#', `${PLAIN}91a161a5666c61677380`, ['a']],
    'Java, sunsus: room, then namespace': ['socket.io#a#/axr#', `${PLAIN}91a161a5666c61677380`, ['a']],
    'Java, sunsus: two rooms': ['socket.io#/axr#a#b#', `${PLAIN}92a161a162a5666c61677380`],
    'Java, sunsus: two rooms, then namespace': ['socket.io#a#b#/axr#', `${PLAIN}92a161a162a5666c61677380`],
    'Java, sunsus: its first emit with a key': ['socket.io#emitter/axr#', `${PLAIN}90a5666c61677380`],
    'Python, roma-glushko: everyone': ['socket.io#/axr', `${PLAIN}c0a5666c616773c0`],
    'Python, roma-glushko: a room': ['socket.io#/axr#b', `${PLAIN}91a162a5666c616773c0`, ['b']],
};

for (const [what, [channel, hex, users]] of Object.entries(CHANNELS)) {
    test(`${what}: ${channel}`, async () => {
        const { redis } = await world();
        const publish = async () =>
            assert.strictEqual(await redis.publish(channel, Buffer.from(hex, 'hex')), 1, 'one subscription');
        await expect(what, publish, ['msg', 'hi'], users);
    });
}

const PYTHON = process.env.AXR_PYTHON || 'python3';
const SCRIPT = `
import sys
from socket_io_emitter import Emitter
def io(): return Emitter({'host': '127.0.0.1', 'port': int(sys.argv[1])}).Of('/axr')
eval(sys.argv[2])
`;
const IN_PYTHON = {
    "io().Emit('msg', 'hello')": { args: ['hello'] },
    "io().Emit('msg', 0, -1, 255, 65536, 2**40, 1.5, True, None)": { args: [0, -1, 255, 65536, 2 ** 40, 1.5, true, null] },
    "io().Emit('msg', 'h\\u00e9', {'k': {'z': [1, None]}, 1: 'one'}, 'x' * 300)": {
        args: ['hé', { k: { z: [1, null] }, 1: 'one' }, 'x'.repeat(300)],
    },
    "io().To('a').Emit('msg', 'hello')": { args: ['hello'], users: ['a'] },
    "io().In('a', 'b').Emit('msg', 'hello')": { args: ['hello'] },
};

test("Python's emitter", async (t) => {
    if (spawnSync(PYTHON, ['-c', 'import socket_io_emitter']).status !== 0)
        return t.skip('socket-io-emitter is not installed; what it publishes is replayed in the suite vectors');
    const { redis } = await world();
    for (const [call, { args, users }] of Object.entries(IN_PYTHON)) {
        const publish = async () => {
            const { code, err } = await run(PYTHON, ['-c', SCRIPT, String(redis.port), call]);
            assert.strictEqual(code, 0, err);
        };
        await expect(call, publish, ['msg', ...args], users);
    }
});
