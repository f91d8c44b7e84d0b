'use strict';
/* Emitters of every generation on one namespace at once, at 10,000 messages a
 * second: none is lost, none comes twice, none is misread. */
const assert = require('assert');
const net = require('net');
const { test, mode } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { WAYS, isRaw } = require('./lib/ways');
const { VERSIONS, Recorder } = require('./lib/emitters');
const { CALLS, arrivesOf } = require('./lib/calls');
const { Random } = require('./lib/values');
const { within, elapse } = require('./lib/time');

const SEED = Number(process.env.SEED || Date.now() % 1000000000);
const RATE = 10000;
const SECONDS = mode === 'long' ? 20 : 1;
const TICK_MS = 10;
const USERS = ['a', 'b'];

/* Emitters that write maps in another order, no uid, "" for what is empty, ...:
 * see the suites vectors and emitters.  seq as its four hexadecimal bytes. */
const FOREIGN = {
    'PHP, rase': (seq) => ['socket.io#emitter', `9283a47479706502a46461746193a36d7367ce${seq}a26869a36e7370a42f61787282a5726f6f6d7390a5666c61677390`],
    'Python, bugthesystem': (seq) => ['socket.io#/axr#', `93a7656d697474657283a46461746193a36d7367ce${seq}a26869a47479706502a36e7370a42f61787282a5666c616773a0a5726f6f6d73a0`],
    'Java, sunsus': (seq) => ['socket.io#b#a#/axr#', `9283a47479706502a46461746193a36d7367ce${seq}a26869a36e7370a42f61787282a5726f6f6d7392a162a161a5666c61677380`],
    'Python, roma-glushko': (seq) => ['socket.io#/axr', `93a7656d697474657283a46461746193a36d7367ce${seq}a26869a47479706502a36e7370a42f61787283a5726f6f6d73c0a5666c616773c0a6657863657074c0`],
    'streams adapter': (seq) => ['socket.io#/axr#', `84a47479706503a46461746182a67061636b657482a47479706502a46461746193a36d7367ce${seq}a26869a46f70747383a5726f6f6d7390a665786365707490a5666c61677380a3756964a131a36e7370a42f617872`],
};

/* What nobody gets: another namespace, garbage, other messages of a cluster. */
const NOISE = [
    ['socket.io#emitter', '9283a47479706502a46461746191a36d7367a36e7370a12f82a5726f6f6d7390a5666c61677380'],
    ['socket.io#/axr#', '666c616773000000000000000000000000000000'],
    ['socket.io#/axr#', '84a47479706507a46461746180a3756964a131a36e7370a42f617872'],
    ['socket.io#/axr#', '93a7656d697474657283a47479706502a46461746191c4a36e7370a42f61787282a5726f6f6d7390a5666c61677380'],
];

/* Volatile ones may be dropped, and the large ones would measure something else. */
const calls = Object.values(CALLS).filter((call) => !call.large && call !== CALLS.volatile);

/* count messages: what is published, and what each user gets, in order. */
function makeMessages(random, count) {
    const recorders = VERSIONS.map((version) => new Recorder(version));
    const all = [];
    for (let seq = 0; seq < count; seq++) {
        const kind = random.below(recorders.length + 2);
        if (random.chance(1, 20)) all.push({ publishes: [random.pick(NOISE)].map(([channel, hex]) => [channel, Buffer.from(hex, 'hex')]) });
        if (kind >= recorders.length) {
            const name = random.pick(Object.keys(FOREIGN));
            const [channel, hex] = FOREIGN[name](seq.toString(16).padStart(8, '0'));
            all.push({ what: name, publishes: [[channel, Buffer.from(hex, 'hex')]], args: ['msg', seq, 'hi'], users: USERS });
            continue;
        }
        const recorder = recorders[kind];
        const call = random.pick(calls);
        call.to(recorder.axr).emit('msg', seq, ...call.args);
        all.push({
            what: `emitter ${recorder.version}`, publishes: recorder.take(),
            args: ['msg', seq, ...arrivesOf(call, recorder.dialect)], users: call.users || USERS,
        });
    }
    return all;
}

function command(channel, payload) {
    const name = Buffer.from(channel);
    return Buffer.concat([
        Buffer.from(`*3\r\n$7\r\nPUBLISH\r\n$${name.length}\r\n`), name,
        Buffer.from(`\r\n$${payload.length}\r\n`), payload, Buffer.from('\r\n'),
    ]);
}

/* Publishes them over one connection, at RATE; resolves to the seconds it took. */
async function publishAll(redis, messages) {
    const socket = net.connect(redis.port, '127.0.0.1');
    socket.on('data', () => {}); /* how many got it */
    const failed = new Promise((_, reject) => socket.on('error', reject));
    const began = process.hrtime.bigint();
    const seconds = () => Number(process.hrtime.bigint() - began) / 1e9;
    for (let sent = 0; sent < messages.length;) {
        const due = Math.min(messages.length, Math.ceil(seconds() * RATE));
        const bytes = messages.slice(sent, due).flatMap((one) => one.publishes.map(([channel, payload]) => command(channel, payload)));
        if (bytes.length) socket.write(Buffer.concat(bytes));
        sent = due;
        await Promise.race([elapse(TICK_MS), failed]);
    }
    socket.end();
    return seconds();
}

/* The arguments, attachments put in their places. */
function argsOf({ args, frames, bins: hex }, eio) {
    const bins = hex ? hex.map((bin) => Buffer.from(bin, 'hex'))
        : frames.slice(1).map(({ bin }) => Buffer.from(bin, 'hex').subarray(eio === 3 ? 1 : 0));
    const fill = (value) => {
        if (!value || typeof value !== 'object') return value;
        if (Array.isArray(value)) return value.map(fill);
        if (value._placeholder) return bins[value.num];
        return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, fill(one)]));
    };
    return bins.length ? fill(args) : args;
}

/* Reads what is for the client's user, and compares it. */
async function readAll(client, messages) {
    for (const [index, { what, args, users }] of messages.entries()) {
        if (!users || !users.includes(client.user)) continue;
        const event = await client.event(within(20000));
        assert.deepStrictEqual(argsOf(event, client.eio), args, `SEED=${SEED}, ${what}, message ${index} to EIO${client.eio} over ${isRaw(client) ? 'WebSocket' : 'polling'}, user ${client.user}`);
        if (index % 1000 === 999) await new Promise(setImmediate); /* others read too */
    }
}

test(`every emitter at once, ${RATE} messages a second for ${SECONDS} s, SEED=${SEED}`, async (t) => {
    const redis = await Redis.start(t);
    const limits = { sendBuffer: 256 << 20, sendTimeout: 60000 };
    const daemon = await Daemon.start(t, { redis, config: { limits, log: { level: 'info' } } });
    const clients = [];
    for (const [i, way] of Object.values(WAYS).entries()) {
        const user = USERS[i >> 1];
        const client = await way.joined(daemon.addr, daemon.token(user));
        t.after(() => client.destroy());
        clients.push(Object.assign(client, { user }));
    }
    const messages = makeMessages(new Random(SEED), RATE * SECONDS);
    const reading = clients.map((client) => readAll(client, messages));
    const [seconds] = await Promise.all([publishAll(redis, messages), ...reading]);
    console.log(`# ${messages.length} messages in ${seconds.toFixed(1)} s, SEED=${SEED}`);
    redis.emitter().emit('marker', SEED);
    for (const client of clients) assert.deepStrictEqual((await client.event()).args, ['marker', SEED], 'nothing comes twice');
}, { timeout: 60000 + SECONDS * 10000 });
