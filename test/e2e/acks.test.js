'use strict';
/* Broadcasts with acknowledgements, and clients that do not mean well: what counts, what is
 * dropped for which reason, and what it costs.  That the answers are those of Node servers
 * is cluster.test.js's. */
const assert = require('assert');
const fs = require('fs');
const notepack = require('notepack.io');
const { test, shared } = require('./lib/suite');
const { Redis, Daemon, Asker, counted, NSP, REQUESTS } = require('./lib/cluster');
const { NOTIFYD } = require('./lib/daemon');
const { joined, OP, frame } = require('./lib/raw');
const { scrape, settled } = require('./lib/metrics');
const { memoryOf } = require('./lib/proc');
const { within } = require('./lib/time');

const isSanitized = fs.readFileSync(NOTIFYD).includes('__asan_init'); /* keeps what was freed */
const MB = 1024 * 1024;
const REASONS = ['late', 'second', 'foreign', 'malformed', 'too_large', 'queue_full', 'no_room'];

const world = shared(async (s) => {
    const redis = await Redis.start(s);
    const daemon = await Daemon.start(s, { redis, config: { workers: 1 } });
    await counted(redis, 1);
    return { redis, daemon, asker: await Asker.start(s, redis) };
});

let ids = 0;

/* One that this test made: resolves to how many clients are meant, and acks(n) to what the
 * first n of them answered. */
async function emit(rooms, { ms = 60000, data = ['ask'] } = {}) {
    const { redis, asker } = await world();
    const requestId = `acks${++ids}`;
    const from = asker.answers.length;
    const mine = () => asker.answers.slice(from).map(({ payload }) => (payload[0] === 0x7b ? JSON.parse(payload) : notepack.decode(payload)))
        .filter((answer) => answer.requestId === requestId);
    const acksOf = (all) => all.filter(({ type }) => type === 9).map(({ packet }) => packet);
    await redis.publish(REQUESTS, notepack.encode({
        uid: 'test', requestId, type: 7,
        packet: { type: 2, data, nsp: NSP }, opts: { rooms, except: [], flags: { timeout: ms } },
    }));
    const { clientCount } = await asker.when(() => mine().find(({ type }) => type === 8), within(2000), 'the number of clients');
    return {
        clients: clientCount,
        acks: (n) => asker.when(() => acksOf(mine()).length >= n && acksOf(mine()), within(5000), `${n} acknowledgements`),
        sofar: () => acksOf(mine()),
    };
}

async function join(t, uid, options) {
    const { daemon } = await world();
    const client = await joined(daemon.addr, daemon.token(uid), options);
    t.after(() => client.destroy());
    return client;
}

/* The number of the event that the client has to acknowledge. */
async function asked(client) {
    const text = await client.text();
    const match = /^42\/axr,(\d+)\[/.exec(text);
    assert.ok(match, text);
    return Number(match[1]);
}

async function dropped() {
    const metrics = await scrape((await world()).daemon);
    return Object.fromEntries(REASONS.map((reason) => [reason, metrics.get('acks_dropped_total', `reason="${reason}"`)]));
}
/* What has been dropped since before, and nothing else, once it is so. */
async function droppedSince(before, wanted) {
    const { daemon } = await world();
    await settled(daemon, (metrics) => REASONS.every((reason) =>
        metrics.get('acks_dropped_total', `reason="${reason}"`) - before[reason] === (wanted[reason] || 0)), JSON.stringify(wanted));
}

test('what counts is the first acknowledgement of who got it, in time', async (t) => {
    const [ann, bob, eve] = await Promise.all(['ann', 'bob', 'eve'].map((uid) => join(t, uid)));
    const before = await dropped();
    const short = await emit(['ann'], { ms: 1 });
    const late = await asked(ann);
    await settled((await world()).daemon, (metrics) => metrics.get('broadcasts_waiting_for_acks') === 0, 'it is over');
    ann.sendText(`43${NSP},${late}["late"]`);
    const one = await emit(['ann', 'bob']);
    assert.strictEqual(one.clients, 2);
    const id = await asked(ann);
    assert.strictEqual(await asked(bob), id, 'the same number for all');
    eve.sendText(`43${NSP},${id}["I did not get it"]`);
    eve.sendText(`43${NSP},${id + 1}["nobody did"]`);
    eve.sendText(`43${NSP},["without a number"]`);
    ann.sendText(`43${NSP},${id}["first","more"]`);
    ann.sendText(`43${NSP},${id}["second"]`);
    await droppedSince(before, { late: 3, foreign: 1, second: 1 });
    bob.sendText(`43${NSP},${id}[]`);
    assert.deepStrictEqual(await one.acks(2), ['first', undefined]);
    assert.deepStrictEqual(short.sofar(), []);
});

test('who leaves and comes back is not asked any more', async (t) => {
    const { daemon } = await world();
    const client = await join(t, 'ann');
    const one = await emit(['ann']);
    const id = await asked(client);
    const before = await dropped();
    client.sendText(`41${NSP},`);
    await client.join(NSP, { token: daemon.token('ann') });
    client.sendText(`43${NSP},${id}["back"]`);
    await droppedSince(before, { foreign: 1 });
    assert.deepStrictEqual(one.sofar(), []);
});

/* None of these may cost anybody else anything. */
test('a flood of acknowledgements that nobody waits for', async (t) => {
    const { daemon } = await world();
    const [hostile, honest] = await Promise.all([join(t, 'eve'), join(t, 'ann')]);
    const before = await dropped();
    const n = 100000;
    const frames = Array.from({ length: 1000 }, (_, i) => frame(OP.TEXT, `43${NSP},${i * 7919}["x"]`));
    for (let i = 0; i < n / 1000; i++) hostile.sendRaw(Buffer.concat(frames));
    const one = await emit(['ann']);
    honest.sendText(`43${NSP},${await asked(honest)}["here"]`);
    assert.deepStrictEqual(await one.acks(1), ['here']);
    /* One of them may have had that number. */
    await settled(daemon, (metrics) => {
        const since = (reason) => metrics.get('acks_dropped_total', `reason="${reason}"`) - before[reason];
        return since('late') + since('foreign') === n;
    }, 'all are dropped', within(10000));
});

test('attachments that never come hold no more than there is for all', async (t) => {
    const { daemon } = await world();
    const [worker] = daemon.workers();
    const crowd = await Promise.all(Array.from({ length: 200 }, () => join(t, 'eve')));
    const honest = await join(t, 'ann');
    const one = await emit(['eve', 'ann']);
    assert.strictEqual(one.clients, 201);
    const id = await asked(honest);
    for (const client of crowd) await asked(client);
    const memory = memoryOf(worker);
    const before = await dropped();
    /* A few at a time: what a frame has before its end is nobody's yet, and what malloc() has of
     * many such at once it does not give back. */
    for (let i = 0; i < crowd.length; i += 20)
        await Promise.all(crowd.slice(i, i + 20).map(async (client) => {
            client.sendText(`462-${NSP},${id}[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`);
            client.sendBinary(Buffer.alloc(900000));
            client.send(OP.PING, 'read');
            assert.strictEqual((await client.take()).op, OP.PONG);
        }));
    await settled(daemon, (metrics) => metrics.get('acks_dropped_total', 'reason="no_room"') - before.no_room >= 165, 'most are given up');
    const grown = () => memoryOf(worker) - memory;
    await settled(daemon, () => isSanitized || grown() < 100 * MB, 'it is no more than that').catch((error) => {
        throw new Error(`the worker has grown by ${(grown() / MB).toFixed(1)} MB`, { cause: error });
    });
    honest.sendText(`461-${NSP},${id}[{"a":{"_placeholder":true,"num":0}}]`);
    honest.sendBinary(Buffer.from('bytes'));
    assert.deepStrictEqual(await one.acks(1), [{ a: Buffer.from('bytes') }]);
    /* Who came last has a place. */
    for (const client of crowd.slice(-3)) client.sendBinary(Buffer.from('late'));
    assert.strictEqual((await one.acks(4)).filter(({ length }) => length === 900000).length, 3);
});

test('what an acknowledgement may be', async (t) => {
    const clients = await Promise.all(Array.from({ length: 5 }, () => join(t, 'ann')));
    const one = await emit(['ann']);
    let id;
    for (const client of clients) id = await asked(client);
    const before = await dropped();
    const placeholder = '{"_placeholder":true,"num":0}';
    const long = 'x'.repeat(900000);
    clients[0].sendText(`461-${NSP},${id}[[${Array(20000).fill(placeholder).join()}]]`);
    clients[0].sendBinary(Buffer.alloc(300000));
    await droppedSince(before, { malformed: 1 });
    clients[1].sendText(`43${NSP},${id}["${long}"]`);
    assert.deepStrictEqual(await one.acks(1), [long]);
    clients[2].sendText(`43${NSP},${id}[${'['.repeat(500)}${']'.repeat(500)}]`);
    clients[3].sendText(`43${NSP},${id}[${placeholder}]`);
    assert.deepStrictEqual((await one.acks(3)).slice(1).filter(({ num }) => num === 0), [{ _placeholder: true, num: 0 }]);
    clients[4].sendText(`43${NSP},${id}[${'['.repeat(600)}${']'.repeat(600)}]`);
    await clients[4].end(); /* deeper than JSON may be here */
    const { daemon } = await world();
    assert.strictEqual(daemon.workers().length, 1);
});
