'use strict';
/* One connection to redis takes the place of another, while the daemon is far behind. */
const assert = require('assert');
const { row, isSanitized } = require('../lib/table');
const { Proxy } = require('../lib/proxy');
const { lights, Sequences } = require('../lib/light');
const { Redis } = require('../../e2e/lib/redis');
const { Daemon, merge } = require('../../e2e/lib/daemon');
const { payloadOf } = require('../../e2e/lib/emitters');
const { within, until, elapse } = require('../../e2e/lib/time');

const CHANNEL = 'socket.io#/axr#';
const CLIENTS = 3;
const UNBOUNDED = { args: ['--client-output-buffer-limit', 'pubsub', '0', '0', '0'] };
const PLACE = /the new connection has taken the place/;

/* Publishes 0, 1, 2 ..., or always 0. */
class Publisher {
    constructor({ size = 0, isEqual = false }) {
        Object.assign(this, { filler: 'x'.repeat(size), isEqual, sent: 0 });
    }
    async publish(redis, count) {
        const all = [];
        for (let i = 0; i < count; i++, this.sent++) {
            all.push(redis.publish(CHANNEL, payloadOf({}, 'seq', this.isEqual ? 0 : this.sent, this.filler)));
            if (all.length === 5000) await Promise.all(all.splice(0));
        }
        await Promise.all(all);
    }
}

/* What each client hears: numbers in order, or how many where they are equal. */
class Ears {
    constructor(isEqual) {
        this.isEqual = isEqual;
        this.sequences = new Sequences();
        this.counts = new Map();
        this.onSeq = (number, client) => {
            this.counts.set(client, (this.counts.get(client) || 0) + 1);
            if (!isEqual) this.sequences.take(number, client);
        };
    }
    least(clients) {
        return Math.min(...clients.map((client) => (client.over ? Infinity : this.counts.get(client) || 0)));
    }
    async all(clients, sent) {
        const count = (client) => this.counts.get(client) || 0;
        await until(() => clients.every((client) => client.over || count(client) >= sent), within(30000), 'all to be heard').catch(() => {});
        await elapse(300); /* and no more than that */
        assert.deepStrictEqual(clients.map((client) => client.over), clients.map(() => null));
        assert.deepStrictEqual(this.sequences.wrong, []);
        assert.deepStrictEqual(clients.map(count), clients.map(() => sent));
    }
}

/* Another daemon on the same redis: what it hears of a marker is of no concern to anybody. */
async function witness(t, redis, limits) {
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, limits, log: { level: 'info' } } });
    const ears = new Ears(true);
    const clients = await lights(daemon.addr, 1, () => daemon.token('u'), ears.onSeq);
    t.after(() => clients.forEach((client) => client.destroy()));
    return {
        heard: async (sent) => {
            await ears.all(clients, sent);
            await daemon.stop();
            assert.match(daemon.log, /stopped: .* dropped=0 redis_gaps=0 /);
        },
    };
}

/* Workers stand still most of the time, until they are done. */
async function slowDown(workers, isDone) {
    const signal = (name) => workers.forEach((pid) => process.kill(pid, name));
    const end = Date.now() + within(30000);
    while (!isDone() && Date.now() < end) {
        signal('SIGSTOP');
        await elapse(50);
        signal('SIGCONT');
        await elapse(5);
    }
}

/* The master stands still while a backlog is published; then there is another configuration,
 * and more is published until that is in force.  before(redis): what is done first, returns
 * the configuration to start with.  change(redis, other): the one that follows.  other: it
 * leads to another redis, to which who publishes has moved by then.  late: by so much (ms)
 * the old connection is behind all the time.  isSlow: workers get a tenth of the time. */
async function handOver(t, what, { count, size, isEqual, before, change, other, late, isSlow }) {
    const redis = await Redis.start(t, UNBOUNDED);
    const to = other ? await Redis.start(t, UNBOUNDED) : redis;
    const limits = { sendBuffer: 1 << 30, sendTimeout: 120000 };
    const start = before ? await before(redis) : {};
    if (late) {
        const proxy = await Proxy.start(t, redis.port);
        proxy.late = late;
        start.port = proxy.port;
    }
    const daemon = await Daemon.start(t, { redis, config: { workers: 2, limits, log: { level: 'info' }, 'socket.io': { redis: start } } });
    const ears = new Ears(isEqual);
    const clients = await lights(daemon.addr, CLIENTS, () => daemon.token('u'), ears.onSeq);
    clients.forEach((client) => ears.sequences.next.set(client, 0));
    t.after(() => clients.forEach((client) => client.destroy()));
    const others = isEqual && (await witness(t, redis, limits));
    const publisher = new Publisher({ size, isEqual });
    await publisher.publish(redis, 10);
    daemon.process.signal('SIGSTOP'); /* the master alone */
    await publisher.publish(redis, count);
    daemon.write(merge(daemon.config, { 'socket.io': { redis: await change(redis, to) } }));
    daemon.signal('SIGHUP');
    const began = Date.now();
    daemon.process.signal('SIGCONT');
    let isOver = false;
    const slow = isSlow ? slowDown(daemon.workers(), () => ears.least(clients) > count) : null;
    const over = daemon.logged(PLACE, within(20000)).finally(() => (isOver = true));
    if (other) await until(async () => (await to.subscriptions()).patterns > 0, within(20000), 'the new subscription');
    while (!isOver) {
        await publisher.publish(to, 10);
        await elapse(1);
    }
    await over;
    const took = Date.now() - began;
    await publisher.publish(to, 1000);
    await slow;
    await ears.all(clients, publisher.sent);
    if (others) await others.heard(publisher.sent);
    await daemon.stop();
    assert.match(daemon.log, /stopped: .* dropped=0 redis_gaps=0 /);
    t.note(`${what}: ${publisher.sent} messages, in force after ${took} ms`);
}

const otherName = (redis) => ({ path: redis.socket });
const count = 60000;
const WAYS = {
    '60,000 messages': { count, change: otherName },
    '80 MB': { count, size: 1333, change: otherName },
    '80 MB, and workers that are slow': { count, size: 1333, isSlow: true, change: otherName },
    '60,000 equal messages': { count, isEqual: true, change: otherName },
    'nothing': { count: 0, change: otherName },
    'a connection that is two seconds late': { count: 1000, late: 2000, change: otherName },
    'the same, and equal messages': { count: 1000, late: 2000, isEqual: true, change: otherName },
    'another redis': { count, other: true, change: (redis, to) => ({ port: to.port }) },
    'a user who may not publish': {
        count,
        change: async (redis) => {
            await redis.client.sendCommand(['ACL', 'SETUSER', 'ears', 'on', '>sesame', 'allchannels', '+subscribe', '+psubscribe', '+ping']);
            return { username: 'ears', password: 'sesame' };
        },
    },
    'another password': {
        count,
        before: async (redis) => {
            await redis.client.sendCommand(['ACL', 'SETUSER', 'axr', 'on', '>first', 'allchannels', '+@all']);
            return { username: 'axr', password: 'first' };
        },
        change: async (redis) => {
            await redis.client.sendCommand(['ACL', 'SETUSER', 'axr', 'resetpass', '>second']);
            return { password: 'second' };
        },
    },
};

row(45, 'redis changed by a reload under a backlog of 60,000 messages, and of 80 MB', 'none lost, doubled or out of order', async (t) => {
    for (const [what, how] of Object.entries(WAYS)) await handOver(t, what, how);
}, { timeout: isSanitized ? 600000 : 240000 });
