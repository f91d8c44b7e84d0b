'use strict';
/* Another configuration under load. */
const assert = require('assert');
const { row, redisServer, sizeOf, daemonPss } = require('../lib/table');
const { Light } = require('../lib/light');
const { Daemon, merge } = require('../../e2e/lib/daemon');
const { within, until, deadline, elapse } = require('../../e2e/lib/time');

const DRAIN = 1000;
const TAIL = 1000; /* ms: what was published so long before a close has been heard before it */

/* Hears the stream of numbers, notes what is wrong with it, and connects again when
 * it is told to. */
class Listener {
    constructor(daemon, stream, world) {
        Object.assign(this, { daemon, stream, world, closes: 0 });
        this.connect();
    }
    connect() {
        this.next = null;
        this.light = new Light(this.daemon.addr, this.daemon.token('steady'), (number) => this.take(number));
        this.light.closed.then((over) => this.closed(over));
        return this.light.ready;
    }
    take(number) {
        if (this.next !== null && number !== this.next) this.world.wrong.push(`${number} in place of ${this.next}`);
        this.next = number + 1;
    }
    closed({ code, error }) {
        if (this.isLeaving) return;
        this.closes++;
        if (code !== undefined || error || !this.light.joined) this.world.wrong.push(`closed with ${code} ${error || ''}`);
        const due = this.stream.times.findIndex((at) => at > Date.now() - within(TAIL));
        if (this.next !== null && this.next < due) this.world.wrong.push(`closed before ${this.next}, when ${due} was due`);
        this.connect().catch((failure) => this.world.wrong.push(`came back: ${failure.message}`));
    }
    leave() {
        this.isLeaving = true;
        this.light.destroy();
    }
}

/* Publishes numbers; when each was is in times. */
function numbers(redis, rate) {
    const times = [];
    const began = Date.now();
    const timer = setInterval(() => {
        for (const due = ((Date.now() - began) * rate) / 1000; times.length < due; times.push(Date.now())) redis.emitter().emit('seq', times.length);
    }, 1000 / rate);
    return { times, stop: () => clearInterval(timer) };
}
/* New clients at a rate: each is let in, stays half a second, and leaves. */
function connects(daemon, rate, world) {
    const open = new Set();
    const began = Date.now();
    const one = () => {
        const client = new Light(daemon.addr, daemon.token('passing'));
        world.connects++;
        open.add(client);
        deadline(client.ready, within(3000), 'being let in')
            .then(() => elapse(500))
            .then(() => client.over && (client.over.code !== undefined || client.over.error) && world.wrong.push(`a new one ended with ${JSON.stringify(client.over)}`))
            .catch((error) => world.wrong.push(error.message))
            .finally(() => client.destroy() || open.delete(client));
    };
    const timer = setInterval(() => {
        for (const due = ((Date.now() - began) * rate) / 1000; world.connects < due; ) one();
    }, 5);
    return {
        stop: async () => {
            clearInterval(timer);
            await until(() => open.size === 0, within(5000), 'the last new ones to leave');
        },
    };
}

row(38, '100 reloads at 200 connects/s under load, of both kinds', 'none refused, none reset; the first kind disconnects nobody; a drained client has everything up to its close', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 2, drainTimeout: DRAIN, log: { level: 'info' } } });
    daemon.deaths = true; /* workers of one generation after another */
    const world = { wrong: [], connects: 0 };
    const stream = numbers(redis, 100);
    t.after(() => stream.stop());
    const listeners = Array.from({ length: 200 }, () => new Listener(daemon, stream, world));
    t.after(() => listeners.forEach((one) => one.leave()));
    await Promise.all(listeners.map(({ light }) => light.ready));
    const load = connects(daemon, 200, world);
    t.after(() => load.stop());
    const reload = async (over, pattern) => {
        const from = daemon.log.length;
        daemon.config = merge(daemon.config, over);
        daemon.write(daemon.config);
        daemon.signal('SIGHUP');
        await daemon.logged(/configuration reloaded/, within(5000), from);
        if (pattern) await daemon.logged(pattern, within(DRAIN + 5000), from);
    };
    const closes = () => listeners.reduce((sum, one) => sum + one.closes, 0);
    let early = 0;
    for (let i = 0; i < 50; i++) {
        await reload({ limits: { headers: 50 + i } });
        await elapse(200);
        assert.strictEqual(closes(), i * listeners.length, 'disconnected by a reload of the first kind');
        await reload({ 'socket.io': { pingInterval: 20000 + i } }, /generation \d+ has left/);
        await until(() => listeners.every((one) => one.closes > i && one.light.joined), within(3000), 'all of them to be back');
        if (i === 4) early = daemonPss(daemon);
    }
    await load.stop();
    t.note(`100 reloads, ${world.connects} connects, ${stream.times.length} messages to ${listeners.length} clients, ${closes()} times one was told to come back, never by the first kind`);
    t.note(`daemon ${sizeOf(early)} after 10 reloads, ${sizeOf(daemonPss(daemon))} after 100`);
    assert.deepStrictEqual(world.wrong.slice(0, 10), []);
}, { long: true, timeout: 400000 });
