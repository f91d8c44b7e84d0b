'use strict';
/* socket.io:presence: what Node servers of the cluster hear of users who come and go, and of
 * those who are back in time, that they hear nothing. */
const assert = require('assert');
const { test, mode } = require('./lib/suite');
const { Redis, Daemon, Member, counted, tokenOf, members, REQUESTS } = require('./lib/cluster');
const { Raw, joined, sentAway } = require('./lib/raw');
const { connect } = require('./lib/clients');
const { reload, renew } = require('./lib/reload');
const { settled } = require('./lib/metrics');
const { PASSWORD, guarded } = require('./lib/guarded');
const { within, until, elapse } = require('./lib/time');

const ON = { 'socket.io': { presence: true } };
const GONE_MS = 1000;
const MOVED_MS = 5000;

const come = (uid, connections = 1) => ({ uid, online: true, connections });
const go = (uid) => ({ uid, online: false, connections: 0 });

/* What a Node server has heard, in order. */
class Listener {
    static async start(t, redis, generation = '8.3') {
        const listener = new Listener();
        listener.member = await Member.start(t, redis, generation);
        listener.all = [];
        return listener;
    }
    async look() {
        for (const args of await this.member.call('heard')) {
            const [event, presence, ...more] = args;
            assert.deepStrictEqual([event, more], ['presence', []]);
            this.all.push(presence);
        }
        return this.all;
    }
    /* The next events, all of them and no other, in any order. */
    async next(want, ms = within(GONE_MS + 1000)) {
        await until(async () => (await this.look()).length >= want.length, ms, `${want.length} events: ${JSON.stringify(want)}`);
        const key = ({ uid, online }) => `${uid} ${online}`;
        const sort = (list) => [...list].sort((a, b) => (key(a) < key(b) ? -1 : 1));
        assert.deepStrictEqual(sort(this.all), sort(want));
        this.all = [];
    }
    /* Nothing up to now: somebody who comes is what it hears next. */
    async nothing(daemon) {
        const uid = `mark ${(Listener.marks = (Listener.marks || 0) + 1)}`;
        const client = await joined(daemon.addr, tokenOf(uid));
        await this.next([come(uid)]);
        client.destroy();
        await this.next([go(uid)]);
    }
}

async function world(t, { workers = 2, config = {}, generation, options = {} } = {}) {
    const redis = await Redis.start(t);
    const listener = await Listener.start(t, redis, generation);
    const daemon = await Daemon.start(t, { redis, config: { workers, ...ON, ...config }, ...options });
    await counted(redis, 2);
    return { redis, listener, daemon };
}
async function enter(t, daemon, uid) {
    const client = await joined(daemon.addr, tokenOf(uid));
    t.after(() => client.destroy());
    return client;
}

for (const generation of ['7.2', '8.3']) {
    test(`a user comes with the first connection and goes with the last: redis-adapter ${generation}`, async (t) => {
        const { listener, daemon } = await world(t, { generation });
        const first = await enter(t, daemon, 'ann');
        await listener.next([come('ann')]);
        const second = await enter(t, daemon, 'ann');
        const bob = await enter(t, daemon, 'b"o\\b é😀');
        await listener.next([come('b"o\\b é😀')]);
        first.destroy();
        bob.destroy();
        await listener.next([go('b"o\\b é😀')]);
        const left = Date.now();
        second.sendText('41/axr,'); /* leaves the namespace, not the connection */
        await listener.next([go('ann')]);
        assert.ok(Date.now() - left >= GONE_MS - 50, 'not before a second is over');
        second.sendText(second.connectPacket('/axr', { token: tokenOf('ann') }));
        await listener.next([come('ann')]);
    });
}

for (const generation of ['5.4', '6.1'])
    test(`servers that know no such event live on: socket.io-redis ${generation}`, async (t) => {
        const { redis, listener, daemon } = await world(t, { generation });
        const client = await enter(t, daemon, 'ann');
        await settled(daemon, (now) => now.get('presence_total', 'state="online"') === 1, 'it is told');
        client.destroy();
        await settled(daemon, (now) => now.get('presence_total', 'state="offline"') === 1, 'and that she has gone');
        assert.deepStrictEqual(await listener.look(), []);
        assert.strictEqual(await members(redis), 2);
    });

test('it is off unless it is turned on; by a reload all come, or nothing more is told', async (t) => {
    const { listener, daemon } = await world(t, { config: { 'socket.io': { presence: false } } });
    const clients = [await enter(t, daemon, 'ann'), await enter(t, daemon, 'bob'), await enter(t, daemon, 'bob')];
    assert.match(await reload(daemon, ON), /changed: socket.io:presence$/m);
    await listener.next([come('ann'), come('bob', 2)]);
    clients[0].destroy();
    await listener.next([go('ann')]);
    await reload(daemon, { 'socket.io': { presence: false } });
    clients.forEach((client) => client.destroy());
    await settled(daemon, (now) => now.get('users') === 0, 'nobody');
    await elapse(GONE_MS + 200);
    await reload(daemon, ON);
    await listener.nothing(daemon);
    assert.deepStrictEqual(daemon.workers(), daemon.workersAtReady);
});

test('who is back within a second has not gone', async (t) => {
    const { listener, daemon } = await world(t);
    let client = await enter(t, daemon, 'ann');
    await listener.next([come('ann')]);
    let isLate = false; /* on a machine that is busy */
    for (let round = 0; round < 8; round++) {
        const left = Date.now();
        client.destroy();
        await elapse(round * 40);
        client = await enter(t, daemon, 'ann');
        isLate = isLate || Date.now() - left >= GONE_MS;
    }
    await elapse(GONE_MS + 200);
    if (isLate) for (const one of (await listener.look()).splice(0)) assert.strictEqual(one.uid, 'ann');
    await listener.nothing(daemon);
    client.destroy();
    await listener.next([go('ann')]);
});

/* Of every generation, as they come back by themselves: after 0.5 to 1.5 s. */
const steady = async (t, daemon, version) => {
    const client = await connect(version, daemon.addr, { token: tokenOf(`user${version}`), options: { reconnection: true } });
    t.after(() => client.close());
    return client;
};

test('a user who moves to the workers of a new generation has not gone', async (t) => {
    const { listener, daemon } = await world(t, { config: { drainTimeout: 1000 } });
    const clients = [];
    for (const version of [1, 2, 3, 4]) clients.push(await steady(t, daemon, version));
    const gone = await enter(t, daemon, 'gone');
    await listener.next([...clients.map(({ version }) => come(`user${version}`)), come('gone')]);
    const ended = Date.now();
    await renew(daemon, { 'socket.io': { pingInterval: 20000 } });
    await sentAway(gone);
    for (const client of clients) await client.when(({ notes }) => notes.filter(({ what }) => what === 'connect').length === 2, within(4000), 'back');
    await listener.next([go('gone')], within(MOVED_MS + 2000));
    assert.ok(Date.now() - ended >= MOVED_MS, 'it would have had the time');
    await listener.nothing(daemon);
}, { timeout: 120000 });

test('a worker dies: its users have the time to come back', async (t) => {
    const { listener, daemon } = await world(t, { workers: 1 });
    daemon.deaths = true;
    const clients = [];
    for (const version of [2, 4]) clients.push(await steady(t, daemon, version));
    await enter(t, daemon, 'gone');
    await listener.next([...clients.map(({ version }) => come(`user${version}`)), come('gone')]);
    process.kill(daemon.workers()[0], 'SIGKILL');
    for (const client of clients) await client.when(({ notes }) => notes.filter(({ what }) => what === 'connect').length === 2, within(4000), 'back');
    await listener.next([go('gone')], within(MOVED_MS + 2000));
    await listener.nothing(daemon);
}, { timeout: 120000 });

test('two daemons tell each of its own', async (t) => {
    const { redis, listener, daemon } = await world(t);
    const other = await Daemon.start(t, { redis, config: ON });
    await counted(redis, 3);
    const here = await enter(t, daemon, 'ann');
    await listener.next([come('ann')]);
    const there = await enter(t, other, 'ann');
    await listener.next([come('ann')]);
    here.destroy();
    await listener.next([go('ann')]);
    await listener.nothing(daemon);
    await listener.nothing(other);
    there.destroy();
    await listener.next([go('ann')]);
    assert.ok(!/request dropped/.test(daemon.log + other.log));
});

test('a stop: its users go with it, and redis has taken that', async (t) => {
    const { redis, listener, daemon } = await world(t);
    for (const uid of ['ann', 'bob', 'bob', 'cid']) await enter(t, daemon, uid);
    await settled(daemon, (now) => now.get('presence_total', 'state="online"') === 3, 'all have come');
    await listener.look();
    listener.all = [];
    await daemon.stop();
    await listener.next([go('ann'), go('bob'), go('cid')]);
    await counted(redis, 1);
});

test('while redis is away nothing is told, and then what has changed', async (t) => {
    const { redis, listener, daemon } = await world(t);
    const stays = await enter(t, daemon, 'stays');
    const goes = await enter(t, daemon, 'goes');
    await listener.next([come('stays'), come('goes')]);
    /* The server's connections stay, and what is published by hand reaches it. */
    await redis.client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes']).catch(() => {});
    const from = daemon.log.length;
    process.kill(redis.process.pid, 'SIGSTOP');
    goes.destroy();
    const short = await enter(t, daemon, 'short');
    await enter(t, daemon, 'comes');
    await elapse(GONE_MS + 500);
    short.destroy();
    await elapse(GONE_MS + 500);
    process.kill(redis.process.pid, 'SIGCONT');
    assert.strictEqual(stays.over, null);
    /* What was on its way as redis stopped may be told twice, or not at all, if it is over. */
    const ends = (all) => new Map(all.map(({ uid, online }) => [uid, online]));
    await until(async () => {
        const now = ends(await listener.look());
        return now.get('goes') === false && now.get('comes') === true && now.get('short') !== true && now.get('stays') !== false;
    }, within(15000), `what has changed: ${daemon.log.slice(from).slice(-2000)}`);
}, { timeout: 120000 });

if (mode !== 'quick')
    test('the right to publish is lost, and comes back', async (t) => {
        const { redis } = await guarded(t);
        const channels = ['&socket.io-request#/axr#', '&socket.io-response#/axr#*'];
        await redis.client.sendCommand(['ACL', 'SETUSER', 'pusher', ...channels]);
        const config = { 'socket.io': { presence: true, redis: { username: 'pusher', password: `${PASSWORD}2` } } };
        const daemon = await Daemon.start(t, { redis, config });
        const told = [];
        const sub = await redis.connect({ password: PASSWORD });
        await sub.subscribe(REQUESTS, (payload) => {
            const { type, data } = JSON.parse(payload);
            if (type === 6) told.push(data[1]);
        });
        const hears = async (want) => {
            await until(() => told.length >= want.length, within(15000), JSON.stringify(want));
            assert.deepStrictEqual(told.splice(0), want);
        };
        const ann = await enter(t, daemon, 'ann');
        await hears([come('ann')]);
        await redis.client.sendCommand(['ACL', 'SETUSER', 'pusher', '-publish']);
        ann.destroy();
        await enter(t, daemon, 'bob');
        const short = await enter(t, daemon, 'short');
        await settled(daemon, (now) => now.get('presence_failed_total') > 0, 'refused');
        short.destroy();
        await settled(daemon, (now) => now.get('users') === 1, 'one has gone again');
        await elapse(2 * GONE_MS + 500);
        await redis.client.sendCommand(['ACL', 'SETUSER', 'pusher', '+publish']);
        await until(() => told.some(({ uid }) => uid === 'bob') && told.some(({ uid }) => uid === 'ann'), within(15000), 'both');
        const all = told.splice(0);
        /* Whether what redis has refused was heard is not known: that she has gone is told in any case. */
        assert.deepStrictEqual(all.filter(({ uid }) => uid !== 'short').sort((a, b) => (a.uid < b.uid ? -1 : 1)), [go('ann'), come('bob')]);
        assert.ok(all.every(({ uid, online }) => uid !== 'short' || !online));
        await elapse(1500);
        assert.deepStrictEqual(told, [], 'once');
    }, { timeout: 120000 });

test('a crowd comes and goes: each is told once', async (t) => {
    const { listener, daemon } = await world(t);
    const uids = Array.from({ length: mode === 'quick' ? 100 : 400 }, (_, i) => `u${i}`);
    const clients = [];
    for (const uid of uids) clients.push(await enter(t, daemon, uid));
    await listener.next(uids.map((uid) => come(uid)));
    clients.forEach((client) => client.destroy());
    await listener.next(uids.map(go));
    await settled(daemon, (now) => now.get('presence_waiting') === 0, 'nothing waits');
});
