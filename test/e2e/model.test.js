'use strict';
/* Joins, leaves, emits and disconnects in random order by one publisher, against a model
 * of them: each client gets exactly what the model says, and is in the rooms that it says,
 * with one worker and with several, under reloads (of what live workers take, of what needs
 * new ones, of redis), a lost subscription and kill -9 of workers.  Who was with a worker that ended got all up to some point, and is in none of its further rooms when it
 * is back.
 *
 * SEED=n repeats a run; the seed is printed.  With NODES=1 a Node server has the daemon's
 * place, and nothing comes between: what fails then is the model's own fault. */
const assert = require('assert');
const { test, mode } = require('./lib/suite');
const { Redis, Daemon, Member, Asker, join, counted } = require('./lib/cluster');
const { change } = require('./lib/reload');
const { Random } = require('./lib/values');
const { within, until } = require('./lib/time');

const FIRST_SEED = Number(process.env.SEED || Date.now() % 1000000000);
const SEEDS = Array.from({ length: process.env.SEED ? 1 : mode === 'long' ? 30 : mode === 'quick' ? 1 : 3 }, (_, i) => FIRST_SEED + i);
const COUNT = 1000;
const BATCH = 100;
const ROOMS = ['a', 'b', 'c', 'd', 'e', 'f'];
const VERSIONS = [4, 4, 4, 4, 4, 3, 2, 1, 4, 4, 4, 4];
const uidOf = (index) => `u${index % 8}`;

/* What is known of one connection of a client. */
class Mirror {
    constructor(client, uid) {
        this.client = client;
        this.rooms = new Set(['allusers', uid, client.id]);
        this.expected = []; /* numbers of the messages */
        this.isOut = false; /* by a call */
        this.mayEnd = false; /* its worker may have ended meanwhile */
    }
    isMeant({ rooms, except }) {
        const isIn = (room) => this.rooms.has(room);
        return !this.isOut && (!rooms.length || rooms.some(isIn)) && !except.some(isIn);
    }
    check(seed) {
        const heard = this.client.events.filter(([name]) => name === 'n').map(([, number]) => number);
        const where = `SEED=${seed}, client ${this.client.name}`;
        const { isGone } = this.client;
        if (isGone && !this.isOut) assert.ok(this.mayEnd, `${where} is gone: ${JSON.stringify(this.client.notes)}`);
        /* What it had read before the end is all that can be known of who is cut off. */
        const wanted = isGone && this.mayEnd ? this.expected.slice(0, heard.length) : this.expected;
        assert.deepStrictEqual(heard, wanted, where);
        if (this.isOut) assert.ok(isGone, `${where} was disconnected`);
    }
}

class Run {
    constructor(t, redis, daemon, asker, seed) {
        Object.assign(this, { t, redis, daemon, asker, seed, random: new Random(seed), number: 0, mirrors: [], isDraining: false, reloads: 0, counts: {} });
        this.io = redis.emitter();
    }
    async connect(index) {
        const client = await join(this.t, `${index}`, VERSIONS[index], this.daemon.addr, { uid: uidOf(index), options: { transports: ['websocket'], timeout: within(20000) } });
        this.mirrors[index] = new Mirror(client, uidOf(index));
    }
    /* --- the calls --- */
    room() {
        const { random } = this;
        if (random.chance(1, 8)) return random.pick(this.mirrors).client.id;
        return random.chance(1, 5) ? random.pick(['allusers', uidOf(random.below(8)), 'nobody']) : random.pick(ROOMS);
    }
    target(mostly) {
        const { random } = this;
        const rooms = random.times(random.pick(mostly), () => this.room());
        const except = random.chance(1, 4) ? random.times(1 + random.below(2), () => this.room()) : [];
        return { rooms: [...new Set(rooms)], except: [...new Set(except)] };
    }
    of({ rooms, except }) {
        const { io } = this;
        return [...except.map((room) => ['except', room]), ...rooms.map((room) => ['in', room])]
            .reduce((target, [how, room]) => target[how](room), io);
    }
    meant(target) {
        return this.mirrors.filter((mirror) => mirror.isMeant(target));
    }
    emit() {
        const target = this.target([0, 1, 1, 1, 2, 3]);
        const number = ++this.number;
        for (const mirror of this.meant(target)) mirror.expected.push(number);
        this.of(target).emit('n', number);
    }
    /* Now and then one of the two rooms that it began with. */
    names() {
        const { random } = this;
        return random.times(1 + random.below(3), () => (random.chance(1, 15) ? random.pick(['allusers', uidOf(random.below(8))]) : random.pick(ROOMS)));
    }
    socketsJoin() {
        const target = this.target([1, 1, 1, 2]);
        const names = this.names();
        for (const mirror of this.meant(target)) for (const name of names) mirror.rooms.add(name);
        this.of(target).socketsJoin(names);
    }
    socketsLeave() {
        const target = this.target([0, 1, 1, 2]);
        const names = this.names();
        for (const mirror of this.meant(target)) for (const name of names) mirror.rooms.delete(name);
        this.of(target).socketsLeave(names);
    }
    disconnect() {
        const target = { rooms: [this.random.pick(this.mirrors).client.id], except: [] };
        for (const mirror of this.meant(target)) mirror.isOut = true;
        this.of(target).disconnectSockets(this.random.chance(1, 2));
    }
    call() {
        const what = this.random.pick([...Array(12).fill('emit'), ...Array(9).fill('socketsJoin'), ...Array(6).fill('socketsLeave'), ...(this.random.chance(1, 4) ? ['disconnect'] : [])]);
        this.counts[what] = (this.counts[what] || 0) + 1;
        this[what]();
    }
    /* --- what comes between --- */
    reload(over) {
        change(this.daemon, over);
        this.daemon.signal('SIGHUP');
    }
    live() {
        this.reload({ limits: { sendBuffer: (1 << 20) + ++this.reloads } });
    }
    /* Another connection to redis follows this one, and nothing is lost. */
    redisSettings() {
        this.changedUntil = Date.now() + within(1000);
        this.reload({ 'socket.io': { redis: { database: ++this.reloads % 16 } } });
    }
    /* The subscription is lost: while nothing is published, for that would be lost with it. */
    async reconnect() {
        await this.settle();
        const from = this.daemon.log.length;
        const { client } = this.redis;
        const text = await client.sendCommand(['CLIENT', 'LIST', 'TYPE', 'PUBSUB']);
        for (const line of text.trim().split('\n').filter((one) => / sub=[1-9]/.test(one)))
            await client.sendCommand(['CLIENT', 'KILL', 'ID', /\bid=(\d+)/.exec(line)[1]]);
        await this.daemon.logged(/redis subscribed again/, within(3000), from);
        await counted(this.redis, 1);
    }
    /* One generation after the other: the next reload waits for the former. */
    async renew() {
        if (this.isDraining) return;
        this.isDraining = true;
        const from = this.daemon.log.length;
        this.reload({ 'socket.io': { pingInterval: 20000 + ++this.reloads } });
        this.drained = this.daemon.logged(/generation \d+ has left/, within(6000), from).then(() => (this.isDraining = false));
        this.drained.catch(() => {});
    }
    kill() {
        this.daemon.deaths = true;
        for (const mirror of this.mirrors) mirror.mayEnd = true;
        const workers = this.daemon.workers();
        if (workers.length) process.kill(this.random.pick(workers), 'SIGKILL');
    }
    /* --- */
    /* All that was published has come, or its client has gone. */
    async settle() {
        const mark = (this.marks = (this.marks || 0) + 1);
        this.io.emit('mark', mark);
        const isThere = (client) => client.events.some(([name, nth]) => name === 'mark' && nth === mark);
        for (const { client } of this.mirrors)
            await client.when(() => isThere(client) || client.isGone, within(5000), `mark ${mark}, SEED=${this.seed}`);
    }
    async compareRooms() {
        const request = { type: 5, opts: { rooms: [], except: [] } };
        /* Who counts the members while there are two connections may wait for both, though one of
         * them has gone when its request comes. */
        const ask = () => this.asker.ask(request, { ms: within(500) });
        const { sockets } = await (Date.now() < this.changedUntil ? ask().catch(ask) : ask());
        const told = new Map(sockets.map(({ id, rooms }) => [id, rooms]));
        assert.strictEqual(told.size, sockets.length, `SEED=${this.seed}: nobody is told twice`);
        for (const { client, rooms, mayEnd } of this.mirrors) {
            /* Who is sent away just then has not heard of it yet. */
            if (mayEnd && !told.has(client.id)) await client.when(() => client.isGone, within(2000), `the end of who is not told, SEED=${this.seed}`);
            if (!client.isGone) assert.deepStrictEqual((told.get(client.id) || ['not told']).sort(), [...rooms].sort(), `SEED=${this.seed}, rooms of client ${client.name}`);
        }
    }
    async batch(what) {
        const at = this.random.below(BATCH);
        for (let i = 0; i < BATCH; i++) {
            if (what && i === at) {
                if (what === 'kill') await this.redis.flush(); /* some has been delivered */
                await this[what]();
            }
            if (this.isDraining) for (const mirror of this.mirrors) mirror.mayEnd = true;
            this.call();
        }
        await this.settle();
        await this.compareRooms();
        for (const mirror of this.mirrors) mirror.check(this.seed);
        const gone = this.mirrors.flatMap(({ client }, index) => (client.isGone ? [index] : []));
        await Promise.all(gone.map((index) => this.connect(index)));
        return gone.length;
    }
}

for (const seed of SEEDS) for (const workers of [1, 2, 4]) test(`${COUNT} calls against the model, ${workers} workers, SEED=${seed}`, async (t) => {
    const redis = await Redis.start(t);
    const { NODES } = process.env;
    const daemon = NODES ? await Member.start(t, redis, '8.3') : await Daemon.start(t, { redis, config: { workers, drainTimeout: 300 } });
    await counted(redis, 1);
    const run = new Run(t, redis, daemon, await Asker.start(t, redis), seed);
    await Promise.all(VERSIONS.map((_, index) => run.connect(index)));
    const between = NODES ? [null] : [null, 'live', 'kill', 'redisSettings', 'renew', 'reconnect', 'kill', 'renew', 'redisSettings', 'kill'];
    let back = 0;
    for (let i = 0; i < COUNT / BATCH; i++) back += await run.batch(between[i % between.length]);
    if (run.isDraining) await run.drained;
    if (!NODES) await until(() => daemon.workers().length === workers, within(4000), `${workers} workers`);
    console.log(`# ${JSON.stringify(run.counts)}, ${back} came back, SEED=${seed}`);
});
