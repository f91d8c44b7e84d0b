'use strict';
/* What real emitters and adapters published (test/vectors/emit.json), replayed
 * through redis: the frames and packets that raw clients get, byte for byte, over both
 * transports, and who gets them.  A marker after each message proves what does not come. */
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const util = require('util');
const { test, shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, ROOT } = require('./lib/daemon');
const { WAYS, isRaw } = require('./lib/ways');
const { heard } = require('./lib/hear');

const FILE = path.join(ROOT, 'test/vectors/emit.json');
const { producers, messages } = JSON.parse(fs.readFileSync(FILE, 'utf8'));
const NAMESPACES = ['/', '/axr'];
const UID_MAX = 255;

/* One for each payload: producers often agree to the byte. */
const vectors = messages.flatMap(({ payloads, ...message }) =>
    payloads.map((one) => ({ ...message, ...one, producers: one.by.map((i) => producers[i]) })));

/* A client is in allusers and in the room of its user: so every room that a
 * vector names, and that can be a user id, gets a client.  Not the socket ids of
 * the servers that were recorded: they end with a counter. */
const uids = [...new Set(messages.flatMap((one) => [...one.rooms, ...one.except]))]
    .filter((room) => typeof room === 'string' && room !== '' && room !== 'allusers')
    .filter((room) => Buffer.byteLength(room) <= UID_MAX && !/^[\w-]{15,17}AA[A-Z]{1,3}$/.test(room))
    .concat('nobody in particular');

/* Of those that poll, which takes longer, the last users are enough. */
const POLLING = uids.slice(-2);
async function client(daemon, nsp, uid, way) {
    const token = daemon.token(uid);
    const one = await way.open(daemon.addr, nsp === '/' && way.eio === 3 ? { query: { token } } : {});
    if (nsp !== '/' || way.eio === 4) await one.join(nsp, isRaw(one) ? { token } : token);
    return Object.assign(one, { uid, nsp });
}

const world = shared(async (s) => {
    const redis = await Redis.start(s);
    const clients = [];
    for (const nsp of NAMESPACES) {
        const config = { 'socket.io': { namespace: nsp }, limits: { messageBytes: 8 << 20 } };
        const daemon = await Daemon.start(s, { redis, config });
        for (const way of Object.values(WAYS))
            for (const uid of way.transport === 'polling' ? POLLING : uids) clients.push(await client(daemon, nsp, uid, way));
    }
    s.after(() => clients.forEach((one) => one.destroy()));
    return { redis, clients };
});

function isFor(vector, one) {
    if (vector.text === null || vector.nsp !== one.nsp) return false;
    const member = (room) => room === one.uid || room === 'allusers';
    const { rooms, except } = vector;
    return (!rooms.length || rooms.some(member)) && !except.some(member);
}

/* The frames of a vector for one encoding, or its packets; text is the JSON array, which
 * is ASCII for revision 3 over polling. */
const ascii = (text) => text.replace(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
function framesOf({ text, bins = [], nsp }, { eio, transport }) {
    const type = bins.length ? `5${bins.length}-` : '2';
    const head = `4${type}${nsp === '/' ? '' : `${nsp},`}`;
    if (transport === 'polling') return [eio === 3 ? ascii(head + text) : head + text, ...bins];
    return [{ text: head + text }, ...bins.map((hex) => ({ bin: (eio === 3 ? '04' : '') + hex }))];
}

/* Publishes a vector and checks what each client got before the marker.  They
 * have read all by then, so that the next one finds no output waiting (volatile). */
async function replay(vector) {
    const { redis, clients } = await world();
    const receivers = await redis.publish(vector.channel, Buffer.from(vector.payload, 'hex'));
    assert.ok(receivers <= NAMESPACES.length, 'subscribed to it twice');
    const groups = await Promise.all(
        NAMESPACES.map((nsp) => heard(redis, clients.filter((one) => one.nsp === nsp), { nsp }))
    );
    groups.flat().forEach((events, index) => {
        const one = clients[index];
        const transport = isRaw(one) ? 'websocket' : 'polling';
        const got = events.map((event) => event.frames || [event.text, ...event.bins]);
        const expected = isFor(vector, one) ? [framesOf(vector, { eio: one.eio, transport })] : [];
        const where = `${vector.name} to EIO${one.eio} over ${transport} user "${one.uid}" in ${one.nsp}`;
        assert.deepStrictEqual(got, expected, where + util.inspect({ got, expected }, { depth: 4 }));
    });
}

async function replayAll(list) {
    const errors = [];
    for (const vector of list) await replay(vector).catch((error) => errors.push(error.message.slice(0, 1500)));
    assert.strictEqual(errors.length, 0, errors.join('\n'));
}

for (const producer of producers) {
    const list = vectors.filter((one) => one.producers.includes(producer));
    if (list.length) test(`${list.length} messages of ${producer}`, () => replayAll(list));
}
