'use strict';
/* Everything at once, at random: clients that are cut off and led to any daemon, workers
 * that are killed, reloads, subscriptions that are lost, clients that are kicked, a daemon
 * that is started anew.  Whoever is told to be recovered has missed nothing, and nobody
 * hears anything twice or what is another's.  SEED repeats a run; --long takes an hour
 * (MINUTES in the environment). */
const assert = require('assert');
const { test, mode } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, SECRET } = require('./lib/daemon');
const { Cutter, RULES } = require('./lib/cutter');
const { Numbers, follow } = require('./lib/numbers');
const { renew } = require('./lib/reload');
const { Random } = require('./lib/values');
const { sign } = require('./lib/jwt');
const { isRunning } = require('./lib/proc');
const { SLOW, within, until, elapse } = require('./lib/time');

const SEED = Number(process.env.SEED || Math.floor(Math.random() * 2 ** 31));
const RUN_MS = mode === 'long' ? 60000 * Number(process.env.MINUTES || 60) : mode === 'quick' ? 5000 : 10000;
const PINGS = { pingInterval: 1000 * SLOW, pingTimeout: 1000 * SLOW };
const tokenOf = (uid) => sign({ uid }, SECRET);
const HOWS = [{ client: 'fin', server: 'fin' }, { client: 'rst', server: 'rst' }, { client: 'fin', server: 'none' }, { client: 'none', server: 'none' }];
const ROOM = 'the room';

class World {
    static async make(t, random) {
        const world = new World();
        Object.assign(world, { t, random, counts: {}, isOver: false, lateUntil: 0 });
        world.redis = await Redis.start(t);
        /* The second daemon's subscription can be cut by itself. */
        world.proxy = await Cutter.start(t, { port: world.redis.port, host: '127.0.0.1' }, { isPlain: true });
        world.daemons = await Promise.all([world.start(world.redis), world.start({ port: world.proxy.addr.port })]);
        return world;
    }
    async start(redis) {
        const config = { workers: 2, drainTimeout: 500, log: { level: 'info' }, 'socket.io': { connectionStateRecovery: true, ...PINGS } };
        const daemon = await Daemon.start(this.t, { redis, config });
        daemon.deaths = true;
        return daemon;
    }
    did(what) {
        this.counts[what] = (this.counts[what] || 0) + 1;
    }
    /* --- clients --- */
    async client(version, transports, nth) {
        const uid = `user${nth}`;
        const cutter = await Cutter.start(this.t, this.daemons[nth & 1].addr);
        const client = await follow(this.t, version, cutter.addr, { token: tokenOf(uid), hears: ['all', uid, ROOM], transports, late: true });
        /* Who begins anew is in no room. */
        const enter = () => {
            if (client.socket.recovered) return;
            client.mayMiss.add(ROOM);
            this.redis.emitter().in(client.socket.id).socketsJoin(ROOM);
        };
        client.socket.on('connect', enter);
        client.socket.on('disconnect', (reason) => reason === 'io server disconnect' && client.socket.connect());
        enter();
        return Object.assign(client, { cutter, uid, forgets: () => Date.now() < this.lateUntil });
    }
    async people() {
        const kinds = [4, 4.6].flatMap((version) => ['default', 'websocket', 'polling'].map((transports) => [version, transports]));
        const many = [...kinds, ...kinds];
        this.numbers = new Numbers(this.redis, ['all', ROOM, ...many.map((_, nth) => `user${nth}`)]);
        this.clients = await Promise.all(many.map(([version, transports], nth) => this.client(version, transports, nth)));
    }
    async harass(client, random) {
        const { cutter } = client;
        const all = client.socket.io.opts.transports;
        while (!this.isOver) {
            await elapse(random.below(500));
            const how = random.pick(HOWS);
            const rules = [
                RULES.beforeReply, RULES.insideReply, RULES.behindReply, RULES.beforeOffset, RULES.atProbe,
                () => RULES.inReplay(random.below(30), how), () => RULES.behindEvents(random.below(30), how),
            ];
            cutter.rule = random.chance(1, 2) ? random.pick(rules)(how) : null;
            client.socket.io.opts.transports = random.chance(1, 4) ? random.pick([['polling'], ['websocket'], ['polling', 'websocket']]) : all;
            if (random.chance(1, 4)) {
                cutter.cut(how);
                continue;
            }
            cutter.down(how);
            await elapse(random.below(random.chance(1, 5) ? 1500 : 200));
            cutter.to = random.pick(this.daemons).addr;
            cutter.up();
            this.did('moves');
        }
        cutter.rule = null;
    }
    /* --- what happens to daemons --- */
    async kill() {
        const daemon = this.random.pick(this.daemons);
        const [victim] = daemon.workers();
        if (victim === undefined) return;
        process.kill(victim, 'SIGKILL');
        await until(() => !isRunning(victim), within(1000), 'end of a worker');
        this.did('kills');
    }
    async replace() {
        const daemon = this.random.pick(this.daemons);
        await renew(daemon, { workers: this.random.pick([2, 3, 4].filter((count) => count !== daemon.config.workers)) });
        this.did('reloads');
    }
    /* Another history. */
    async resize() {
        const maxBytes = this.random.pick([1, 8, 64].map((mb) => mb << 20));
        const recovery = { maxBytes, maxDisconnectionDuration: 60000 + this.random.below(1000) };
        await renew(this.random.pick(this.daemons), { 'socket.io': { connectionStateRecovery: recovery } });
        this.did('resizes');
    }
    async flood() {
        this.numbers.many(this.random.below(400));
        this.did('floods');
    }
    /* A worker stands still, or what redis says to the second daemon comes late, for a while. */
    async pause() {
        const [victim] = this.random.pick(this.daemons).workers();
        if (victim === undefined) return;
        process.kill(victim, 'SIGSTOP');
        await elapse(this.random.below(400));
        if (isRunning(victim)) process.kill(victim, 'SIGCONT');
        this.did('pauses');
    }
    async delay() {
        this.proxy.delay = this.random.pick([0, 0, 50, 300]);
        this.lateUntil = this.proxy.delay ? Infinity : Date.now() + 2000;
        this.did('delays');
    }
    async gap() {
        const [, daemon] = this.daemons;
        const over = this.numbers.excuse(this.clients, 500, ({ cutter }) => cutter.to === daemon.addr);
        const from = daemon.log.length;
        this.proxy.cut();
        await daemon.logged(/subscribed/, within(5000), from);
        over();
        this.did('gaps');
    }
    async kick() {
        const { uid } = this.random.pick(this.clients);
        this.redis.emitter().in(uid).disconnectSockets(this.random.chance(1, 2));
        this.did('kicks');
    }
    async anew() {
        const [old] = this.daemons;
        await old.stop();
        this.daemons[0] = await this.start(this.redis);
        for (const { cutter } of this.clients) if (cutter.to === old.addr) cutter.to = this.daemons[0].addr;
        this.did('restarts');
    }
    async trouble(isLate) {
        const { random } = this;
        const shares = { kill: 4, replace: 3, resize: 2, gap: 2, kick: 6, anew: 1, flood: 6, pause: 3, delay: 3 };
        const acts = Object.entries(shares).flatMap(([name, share]) => Array(share).fill(name));
        while (!isLate()) {
            await elapse(random.below(600));
            await this[random.pick(acts)]();
        }
    }
}

test(`everything at once for ${RUN_MS / 1000} s, SEED=${SEED}`, async (t) => {
    const random = new Random(SEED);
    const world = await World.make(t, random);
    await world.people();
    const { numbers, clients } = world;
    numbers.start(t, 10);
    const end = Date.now() + RUN_MS;
    const isLate = () => Date.now() > end || clients.some(({ wrong }) => wrong.length);
    const harassed = Promise.all(clients.map((client, nth) => world.harass(client, new Random(SEED + nth + 1))));
    await world.trouble(isLate);
    world.isOver = true;
    await harassed;
    numbers.stop();
    /* Some are still to notice that they are cut off, and may be refused then: the last number
     * is said once more. */
    const all = async () => (await Promise.all(clients.map((client) => client.heardAll(numbers, 1000).then(() => true, () => false)))).every(Boolean);
    await until(() => {
        numbers.say();
        return all();
    }, within(8000), 'everybody hears the last number').catch((error) => {
        for (const { title, uid, wrong, last, socket, notes } of clients)
            error.message += `\n${uid} (${title}): heard ${last.get('all')}, connected ${socket.connected}, active ${socket.active}, ${JSON.stringify([wrong, notes.slice(-4)])}`;
        throw error;
    });
    for (const client of clients) assert.deepStrictEqual(client.wrong, []);
    const returns = clients.flatMap(({ connects }) => connects.slice(1));
    const recovered = returns.filter((one) => one.recovered).length;
    console.log(`# ${numbers.said.get('all')} numbers, ${returns.length} returns, ${recovered} recovered, ${JSON.stringify(world.counts)}, SEED=${SEED}`);
    assert.ok(recovered > 0);
}, { timeout: RUN_MS + 120000 });
