'use strict';
/* Recorded requests of servers and emitters (test/vectors/requests.json) on redis, and what
 * the daemon answers: as many messages as one server answered, each with the same keys in
 * the same order, values of the same kind, and on the channel where it is waited for. */
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const notepack = require('notepack.io');
const { test, shared } = require('./lib/suite');
const { Redis, Daemon, Asked, Asker, tokenOf } = require('./lib/cluster');
const { ROOT } = require('./lib/daemon');
const { within, until } = require('./lib/time');

const recorded = JSON.parse(fs.readFileSync(path.join(ROOT, 'test/vectors/requests.json'), 'utf8'));

/* One daemon for each key and namespace that was recorded, and a client that is in r and s. */
const CHANNEL = /^(.*)-(request|response)#([^#]*)#(?:([^#]*)#)?$/;
const redisServer = shared((s) => Redis.start(s));
const asking = shared(async (s) => Asker.start(s, await redisServer(), '*-response#*'));

class Place {
    static async make(context, key, nsp) {
        const place = new Place();
        Object.assign(place, { context, key, nsp, redis: await redisServer(), asker: await asking() });
        place.daemon = await Daemon.start(context, { redis: place.redis, config: { workers: 2, 'socket.io': { key, namespace: nsp } } });
        const { client } = place.redis;
        await until(async () => (await client.sendCommand(['PUBSUB', 'NUMSUB', place.channel]))[1] === 1, within(4000), 'the daemon is counted');
        return place;
    }
    get channel() {
        return `${this.key}-request#${this.nsp}#`;
    }
    publish(request) {
        return this.redis.publish(this.channel, typeof request === 'object' && !Buffer.isBuffer(request) ? JSON.stringify(request) : request);
    }
    ask(request) {
        return this.asker.ask(request, { channel: this.channel });
    }
    /* In r and s, once more if a request has disconnected it. */
    async client() {
        if (!this.one || this.one.isGone) {
            this.one = new Asked(4, this.daemon.addr, { token: tokenOf('u'), nsp: this.nsp });
            this.one.name = 'one';
            this.context.after(() => this.one.close());
            await this.one.noted('connect');
        }
        await this.publish({ type: 2, opts: { rooms: [this.one.id], except: [] }, rooms: ['r', 's'] });
        return this.one;
    }
}
const places = new Map();
function placeOf(channel) {
    const [, key, , nsp] = CHANNEL.exec(channel);
    const name = `${key} ${nsp}`;
    if (!places.has(name)) places.set(name, shared((s) => Place.make(s, key, nsp)));
    return places.get(name)();
}

/* --- the form of an answer --- */

/* Keys in order, with the form of each value; of an array, the forms that its elements have.  What
 * is in handshake and data, the recordings leave out, or it is an application's. */
function formOf(value) {
    if (value === null) return 'null';
    if (Array.isArray(value)) return [...new Set(value.map((one) => JSON.stringify(formOf(one))))].map(JSON.parse);
    if (typeof value !== 'object') return typeof value;
    return Object.entries(value).map(([key, one]) => [key, key === 'handshake' || key === 'data' ? typeof one : formOf(one)]);
}
/* What has its value by chance: the acknowledgement of the recorded client, and what application code said. */
const SAID = ['data', 'packet'];
const decoded = ({ text, hex, payload }) => {
    const bytes = payload || Buffer.from(text === undefined ? hex : text, text === undefined ? 'hex' : 'utf8');
    return bytes[0] === 0x7b ? JSON.parse(bytes) : notepack.decode(bytes);
};
function formOfAnswer(answer) {
    const value = decoded(answer);
    return formOf(Object.fromEntries(Object.entries(value).map(([key, one]) => [key, SAID.includes(key) ? 'said' : one])));
}

/* --- the requests --- */

/* With our client's id for that of a recorded one. */
function ours({ text, hex }, id) {
    if (text === undefined) return Buffer.from(hex, 'hex');
    return text.replace(/"sid":"[^"]*"/, () => `"sid":${JSON.stringify(id)}`);
}

/* Those of one server: in generations where the requester answers too, both are recorded. */
const answersOfOne = ({ answers, is }) => (/^broadcast/.test(is) ? answers : answers.slice(-1));
const meansOurs = ({ is }) => is.includes('by_id') || !is.includes('rooms=') || /rooms=.*"[rs]"/.test(is);

/* Where the answer goes: to who asked, where the request says who that is. */
function channelOf(request) {
    const { uid, type, requestId } = decoded(request);
    const [, key, , nsp] = CHANNEL.exec(request.channel);
    const own = requestId !== undefined && uid !== undefined && [0, 1, 5, 7].includes(type) ? `${uid}#` : '';
    return `${key}-response#${nsp}#${own}`;
}
const idOf = (message) => {
    const { requestId, requestid } = decoded(message);
    return requestId === undefined ? requestid : requestId;
};

async function replay(request) {
    const place = await placeOf(request.channel);
    const client = await place.client();
    const { asker } = place;
    const from = asker.answers.length;
    const id = idOf(request);
    await place.publish(ours(request, client.id));
    const wanted = answersOfOne(request);
    const mine = () => asker.answers.slice(from).filter((answer) => answer.channel.startsWith(place.key) && idOf(answer) === id);
    if (wanted.length) await asker.when(() => mine().length >= wanted.length, within(2000), `${wanted.length} answers`);
    /* Whatever else there is would have come before the answer to another one. */
    await place.ask({ type: 1 });
    const got = mine();
    assert.deepStrictEqual(got.map(formOfAnswer), wanted.map(formOfAnswer));
    for (const answer of got) assert.strictEqual(answer.channel, channelOf(request));
    for (const answer of got) check(request, decoded(answer), client);
    if (/^disconnect/.test(request.is) && meansOurs(request)) await client.noted('disconnect');
}

/* What is known of the values. */
function check(request, answer, client) {
    const [what] = request.is.split(' ');
    if (what === 'sockets') assert.deepStrictEqual(answer.sockets || answer.clients, [client.id]);
    if (what === 'fetch') assert.deepStrictEqual(answer.sockets.map(({ id }) => id), [client.id]);
    if (what === 'all_rooms') for (const room of ['r', 's', 'u', 'allusers', client.id]) assert.ok(answer.rooms.includes(room), room);
    if (what === 'client_rooms') for (const room of ['r', 's', 'u', 'allusers', client.id]) assert.ok(answer.rooms.includes(room), room);
    if (what === 'server_side_emit' || what === 'custom') assert.strictEqual(answer.data, null);
    if (answer.type === 8) assert.strictEqual(answer.clientCount, /to="nobody"/.test(request.is) ? 0 : 1);
}

const producers = [...new Set(recorded.map(({ by }) => by))];
for (const by of producers) test(`${by}: ${recorded.filter((one) => one.by === by).length} requests`, async () => {
    for (const request of recorded.filter((one) => one.by === by)) {
        try {
            await replay(request);
        } catch (error) {
            error.message = `${request.name}: ${request.text || request.hex}\n${error.message}`;
            throw error;
        }
    }
});
