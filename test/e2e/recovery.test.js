'use strict';
/* Who lost a connection gets what was missed: stock clients behind a proxy that cuts
 * wherever it hurts, over both transports, and at any worker.
 *
 * NODE=1 has a Node server in the daemon's place, to see what the clients' checks notice. */
const assert = require('assert');
const { test, shared, keep, mode } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, SECRET } = require('./lib/daemon');
const { Cutter, RULES } = require('./lib/cutter');
const { Numbers, Follower, follow } = require('./lib/numbers');
const { visit, next, nextEvent, told, taken, claimOf, PID } = require('./lib/session');
const { Raw, joined } = require('./lib/raw');
const { Polling } = require('./lib/http');
const { Asker } = require('./lib/cluster');
const { renew } = require('./lib/reload');
const { scrape } = require('./lib/metrics');
const { isRunning } = require('./lib/proc');
const { Shift } = require('./lib/shift');
const { InMemory } = require('./lib/inmemory');
const { Random } = require('./lib/values');
const { sign } = require('./lib/jwt');
const { SLOW, within, until, elapse } = require('./lib/time');

const SEED = Number(process.env.SEED || Math.floor(Math.random() * 2 ** 31));
const PINGS = { pingInterval: 1000 * SLOW, pingTimeout: 1000 * SLOW };
const tokenOf = (uid) => sign({ uid }, SECRET);
const redisServer = shared((s) => Redis.start(s));

const inMemory = (s, redis) => InMemory.start(s, { redis: redis.port, secret: SECRET, nsp: '/axr', path: '/notifications', ...PINGS });
const world = shared(async (s) => {
    if (!process.env.NODE) idle(); /* time passes meanwhile */
    const redis = await redisServer();
    const config = { workers: 4, 'socket.io': { connectionStateRecovery: true, ...PINGS } };
    const server = process.env.NODE ? await inMemory(s, redis) : await Daemon.start(s, { redis, config });
    return { redis, server };
});

const ROOM = 'a room by request';
const KINDS = [4, 4.6].flatMap((version) => ['default', 'websocket', 'polling'].map((transports) => ({ version, transports })));
/* A client behind a proxy of its own, that hears everybody's numbers and its user's. */
async function cuttable(t, { version, transports }, { server, uid = `${transports}${version}`, hears = ['all', uid], ...how }) {
    const cutter = await Cutter.start(t, server.addr);
    const client = await follow(t, version, cutter.addr, { token: tokenOf(uid), hears, transports, ...offsetsOf, ...how });
    return Object.assign(client, { cutter });
}
const offsetsOf = process.env.NODE ? { offsets: /^[\w.-]+$/ } : {};
const all = (clients, fn) => Promise.all(clients.map(fn));
function assertWhole(clients) {
    for (const client of clients) {
        assert.deepStrictEqual(client.wrong, []);
        assert.strictEqual(client.refused, 0, `${client.title}: ${JSON.stringify(client.connects)}`);
    }
}

/* Nobody has a connection, and everybody has noticed. */
async function lose(clients, how) {
    clients.forEach(({ cutter }) => cutter.down(how));
    await all(clients, (client) => client.lost());
}
/* Everybody is back. */
async function back(clients) {
    const counts = clients.map((client) => client.connects.length);
    clients.forEach(({ cutter }) => cutter.up());
    await all(clients, (client, i) => client.connectedAgain(counts[i]));
}

/* --- at every place --- */

const PLACES = {
    'while nothing comes': null,
    'before the reply': RULES.beforeReply,
    'inside the reply': RULES.insideReply,
    'behind the reply': RULES.behindReply,
    'inside the first event': (how) => RULES.inReplay(0, how),
    'behind the first event': (how) => RULES.behindEvents(1, how),
    'inside the fourth event': (how) => RULES.inReplay(3, how),
    'behind the seventh event': (how) => RULES.behindEvents(7, how),
    'before $offset': RULES.beforeOffset,
    'while the transport is changed': RULES.atProbe,
};
const HOWS = {
    'FIN both ways': { client: 'fin', server: 'fin' },
    'RST both ways': { client: 'rst', server: 'rst' },
    'unknown to the server': { client: 'fin', server: 'none' },
};

/* Everybody loses the connection, misses some, is cut at the place when back, and again. */
async function loseAndCut({ clients, numbers }, place, how) {
    for (let nth = 0; nth < 2; nth++) {
        await lose(clients, nth === 0 ? how : undefined);
        const counts = clients.map((client) => client.connects.length);
        numbers.many(5);
        clients.forEach(({ cutter }) => {
            cutter.rule = place && place(how); /* not all have such a place */
            cutter.up();
        });
        numbers.say();
        await all(clients, (client, i) => client.connectedAgain(counts[i]));
        numbers.say();
        await all(clients, (client) => client.heardAll(numbers));
        clients.forEach(({ cutter }) => (cutter.rule = null));
    }
}
for (const [what, place] of Object.entries(PLACES))
    test(`cut ${what}: each number once, in order, recovered`, async (t) => {
        const { redis, server } = await world();
        const uids = KINDS.map(({ version, transports }) => `${transports}${version}`);
        const numbers = new Numbers(redis, ['all', ...uids, ROOM]);
        const clients = await all(KINDS, (kind, i) => cuttable(t, kind, { server, hears: ['all', uids[i], ROOM] }));
        redis.emitter().in(uids).socketsJoin(ROOM);
        numbers.many(3);
        await all(clients, (client) => client.heardAll(numbers));
        for (const how of Object.values(HOWS)) await loseAndCut({ clients, numbers }, place, how);
        assertWhole(clients);
    });

/* --- at random --- */

const RUN_MS = mode === 'long' ? 60000 : 3000;
/* Cuts again and again, until isOver(); the next connection may use another transport. */
async function harass(client, random, isOver) {
    const rules = [...Object.values(PLACES).filter(Boolean), RULES.atOpen, RULES.inReplay];
    const { transports } = client.socket.io.opts;
    while (!isOver()) {
        await elapse(random.below(300));
        const how = random.pick(Object.values(HOWS));
        const rule = random.pick(rules);
        client.socket.io.opts.transports = random.chance(1, 4) ? random.pick([['polling'], ['websocket'], ['polling', 'websocket']]) : transports;
        client.cutter.rule = random.chance(1, 2) ? (rule === RULES.inReplay ? rule(random.below(40), how) : rule(how)) : null;
        if (random.chance(1, 3)) client.cutter.cut(how);
        else if (random.chance(1, 2)) {
            client.cutter.down(how);
            await elapse(random.below(400));
            client.cutter.up();
        }
    }
    client.cutter.rule = null;
}
/* The workers that have let a user in, in the order of their first time. */
const workersOf = (server, uid) => [...new Set([...server.log.matchAll(/ worker (\d+)\[\d+\]: client connected: user=(\S+)/g)]
    .filter(([, , user]) => user === uid).map(([, worker]) => worker))];
test(`cut at random for ${RUN_MS / 1000} s, SEED=${SEED}: each number once, in order, recovered`, async (t) => {
    const { redis, server } = await world();
    const uids = KINDS.map(({ version, transports }) => `${transports}${version}`);
    const numbers = new Numbers(redis, ['all', ...uids, ROOM]);
    const clients = await all(KINDS, (kind, i) => cuttable(t, kind, { server, hears: ['all', uids[i], ROOM] }));
    redis.emitter().in(uids).socketsJoin(ROOM);
    numbers.start(t, 10);
    const end = Date.now() + RUN_MS;
    await all(clients, (client, i) => harass(client, new Random(SEED + i), () => Date.now() > end));
    numbers.stop();
    numbers.say();
    await all(clients, (client) => client.heardAll(numbers, within(10000)));
    assertWhole(clients);
    if (!process.env.NODE) assert.ok(uids.some((uid) => workersOf(server, uid).length > 1), 'nobody came to another worker');
    console.log(`# ${numbers.said.get('all')} numbers, ${clients.map(({ connects }) => connects.length - 1).join(', ')} times back, SEED=${SEED}`);
}, { timeout: RUN_MS + 60000 });
test('back by another transport', async (t) => {
    const { redis, server } = await world();
    const [uid, other] = ['turns', 'turns as well'];
    const numbers = new Numbers(redis, ['all', uid, other]);
    const clients = await all([[4, uid, 'websocket'], [4.6, other, 'polling']], ([version, name, transports]) =>
        cuttable(t, { version, transports }, { server, uid: name }));
    numbers.many(2);
    await all(clients, (client) => client.heardAll(numbers));
    for (const transports of [['polling'], ['websocket'], ['polling', 'websocket'], ['polling']]) {
        await lose(clients);
        numbers.many(5);
        clients.forEach((client) => (client.socket.io.opts.transports = transports));
        await back(clients);
        numbers.say();
        await all(clients, (client) => client.heardAll(numbers));
        assert.deepStrictEqual(clients.map(({ socket }) => socket.io.engine.opts.transports.includes(socket.io.engine.transport.name)), [true, true]);
    }
    assertWhole(clients);
});

/* --- who it is --- */

test('the same Socket.IO id, and rooms joined by request', async (t) => {
    const { redis, server } = await world();
    const clients = await all(KINDS, (kind, i) => cuttable(t, kind, { server, uid: `roomy${i}`, hears: [] }));
    const rooms = clients.map(({ socket }, i) => [`room ${i}`, socket.id, 'the same room']);
    clients.forEach((client, i) => {
        redis.emitter().in(`roomy${i}`).socketsJoin([`room ${i}`, 'the same room']);
        client.hears = rooms[i];
    });
    const ids = clients.map(({ socket }) => socket.id);
    const numbers = new Numbers(redis, [...new Set(rooms.flat())]);
    numbers.many(2);
    await all(clients, (client) => client.heardAll(numbers));
    for (const how of Object.values(HOWS)) {
        await lose(clients, how);
        numbers.many(3);
        await back(clients);
        numbers.say();
        await all(clients, (client) => client.heardAll(numbers));
    }
    assertWhole(clients);
    assert.deepStrictEqual(clients.map(({ connects }) => [...new Set(connects.map(({ id }) => id))]), ids.map((id) => [id]));
    const asker = await Asker.start(t, redis);
    const { sockets } = await asker.ask({ type: 5, opts: { rooms: ['the same room'], except: [] } });
    const seen = sockets.map(({ id, rooms: of }) => [id, ...of.filter((name) => name !== 'allusers' && !name.startsWith('roomy')).sort()]);
    assert.deepStrictEqual(seen.sort(), rooms.map((of, i) => [ids[i], ...[...of].sort()]).sort());
});
test('whom a message is not for who is in such a room, or has such an id', async (t) => {
    const { redis, server } = await world();
    const [kept, left] = await all(['kept', 'left'], (uid) => cuttable(t, { version: 4, transports: 'websocket' }, { server, uid, hears: [] }));
    const io = () => redis.emitter();
    io().in('left').socketsJoin('aside');
    io().in(['kept', 'left']).emit('m', 0);
    await all([kept, left], (client) => client.when(() => client.others.length === 1, within(2000), 'the first'));
    await lose([kept, left]);
    io().except('aside').in(['kept', 'left']).emit('m', 1);
    io().except(left.connects[0].id).in(['kept', 'left']).emit('m', 2);
    io().in(['kept', 'left']).emit('m', 3);
    await back([kept, left]);
    io().except(left.connects[0].id).in(['kept', 'left']).emit('m', 4);
    io().except('aside').in(['kept', 'left']).emit('m', 5);
    io().in(['kept', 'left']).emit('m', 6);
    await all([kept, left], (client) => client.when(() => client.others.some(([, nth]) => nth === 6), within(2000), 'the last'));
    const heardBy = (client) => client.others.map(([, nth]) => nth);
    assert.deepStrictEqual([heardBy(kept), heardBy(left)], [[0, 1, 2, 3, 4, 5, 6], [0, 3, 6]]);
    assertWhole([kept, left]);
});

/* --- from worker to worker --- */

const own = async (t, config = {}) => {
    const redis = await redisServer();
    const options = { workers: 2, drainTimeout: 500, 'socket.io': { connectionStateRecovery: true, ...PINGS } };
    return { redis, server: await Daemon.start(t, { redis, config: { ...config, ...options } }) };
};
/* Clients under a stream while fn() is at work. */
async function under(t, { redis, server }, fn) {
    const clients = await all(KINDS, ({ version, transports }) =>
        cuttable(t, { version, transports }, { server, hears: ['all', `${transports}${version}`, ROOM] }));
    redis.emitter().in('allusers').socketsJoin(ROOM);
    const numbers = new Numbers(redis, ['all', ...clients.map(({ hears }) => hears[1]), ROOM]);
    numbers.start(t, 5);
    await fn(clients);
    numbers.stop();
    numbers.say();
    await all(clients, (client) => client.heardAll(numbers, within(10000)));
    assertWhole(clients);
}
test('kill -9 of a worker, and of the next: all of its clients recover', async (t) => {
    const place = await own(t);
    place.server.deaths = true;
    await under(t, place, async (clients) => {
        for (const victim of place.server.workers()) {
            process.kill(victim, 'SIGKILL');
            await until(() => !isRunning(victim) && place.server.workers().length === 2, within(2000), 'the next worker');
        }
        await all(clients, (client) => client.connectedAgain(1)); /* none is where it was */
    });
});
test('a reload that needs new workers, twice: all clients recover', async (t) => {
    const place = await own(t);
    await under(t, place, async (clients) => {
        for (const workers of [3, 2]) {
            const counts = clients.map(({ connects }) => connects.length);
            await renew(place.server, { workers });
            await all(clients, (client, i) => client.connectedAgain(counts[i]));
        }
    });
});
test('clients that are away while all workers are replaced', async (t) => {
    const { redis, server } = await own(t);
    const clients = await all(KINDS, (kind) => cuttable(t, kind, { server }));
    const numbers = new Numbers(redis, ['all', ...clients.map(({ hears }) => hears[1])]);
    numbers.many(2);
    await all(clients, (client) => client.heardAll(numbers));
    await lose(clients);
    numbers.many(3);
    await renew(server, { workers: 3 });
    numbers.many(3);
    await back(clients);
    await all(clients, (client) => client.heardAll(numbers));
    assertWhole(clients);
});

test('the only connection that its user may have: it need not be waited for', async (t) => {
    for (const connectionsPerUserPolicy of ['refuse', 'replace']) {
        const { redis, server } = await own(t, { limits: { connectionsPerUser: 1, connectionsPerUserPolicy } });
        const clients = await all(KINDS, (kind, i) => cuttable(t, kind, { server, uid: `only${i}` }));
        const numbers = new Numbers(redis, ['all', ...clients.map(({ hears }) => hears[1])]);
        numbers.many(2);
        await all(clients, (client) => client.heardAll(numbers));
        for (let nth = 0; nth < 3; nth++) {
            await lose(clients, { client: 'fin', server: 'none' });
            numbers.many(2);
            await back(clients);
            numbers.many(2);
            await all(clients, (client) => client.heardAll(numbers));
        }
        assertWhole(clients);
        assert.ok(clients.every(({ connects }) => connects.length === 4));
    }
});
test('rooms of its token: those of the one that it comes back with', async (t) => {
    const { redis, server } = await own(t, { auth: { options: { roomsClaim: 'rooms' } } });
    const token = (...rooms) => sign({ uid: 'claimer', rooms }, SECRET);
    const first = await visit(t, server.addr, token('a', 'b'));
    await told(redis, [first]);
    first.destroy();
    const say = (nth) => ['a', 'b', 'c', 'claimer'].forEach((room) => redis.emitter().to(room).emit('m', room, nth));
    await taken(server, 'm', 4, () => say(1));
    const second = await visit(t, server.addr, token('b', 'c'), claimOf(first));
    assert.ok(second.recovered);
    say(2);
    const [events] = await told(redis, [second]);
    assert.deepStrictEqual(events.map(([, room, nth]) => `${room}${nth}`), ['b1', 'claimer1', 'b2', 'c2', 'claimer2']);
});
test('a flood meanwhile', async (t) => {
    const { redis, server } = await own(t, { limits: { sendBuffer: 64 << 20 } });
    const clients = await all(KINDS, (kind, i) => cuttable(t, kind, { server, uid: `flood${i}`, hears: ['all'] }));
    const numbers = new Numbers(redis, ['all']);
    const timer = setInterval(() => numbers.many(100), 20 * SLOW);
    t.after(() => clearInterval(timer));
    for (let nth = 0; nth < 3; nth++) {
        await lose(clients, Object.values(HOWS)[nth]);
        await elapse(200);
        clients.forEach(({ cutter }) => (cutter.rule = RULES.inReplay(100 * nth)));
        await back(clients);
        await all(clients, (client) => client.when(() => client.last.get('all') > numbers.said.get('all') - 2000, within(5000), 'it has caught up'));
    }
    clearInterval(timer);
    await all(clients, (client) => client.heardAll(numbers, within(10000)));
    assertWhole(clients);
});

/* --- who had nothing to hear --- */

/* All that is known of the time before these clients came is forgotten before they are cut. */
const LIMIT = 2500;
const QUIET_MS = LIMIT + 2 * (PINGS.pingInterval + PINGS.pingTimeout) + 2500;
const WEEK_S = 7 * 86400;
const idle = shared(async (s) => {
    const redis = await Redis.start(s);
    const shift = new Shift(s);
    const config = { workers: 2, 'socket.io': { connectionStateRecovery: { maxDisconnectionDuration: LIMIT }, ...PINGS } };
    const server = await Daemon.start(s, { redis, config, env: shift.env });
    const clients = await all(KINDS, (kind, i) => cuttable(s, kind, { server, uid: `idle${i}`, hears: [`idle${i}`] }));
    const numbers = new Numbers(redis, clients.map(({ hears }) => hears[0]));
    for (const uid of ['idle0', 'idle1', 'idle2']) numbers.say(uid);
    await all(clients, (client) => client.heardAll(numbers));
    shift.set(WEEK_S); /* a clock that is set is no time that passes */
    return { clients, numbers, shift, began: Date.now() };
});

/* --- half-open --- */

test('the server knows nothing of the cut: back at once, the old connection is closed', async (t) => {
    const { redis, server } = await world();
    const clients = await all(KINDS, (kind, i) => cuttable(t, kind, { server, uid: `half${i}` }));
    const numbers = new Numbers(redis, ['all', ...clients.map(({ hears }) => hears[1])]);
    numbers.many(2);
    await all(clients, (client) => client.heardAll(numbers));
    const from = server.log.length;
    const began = Date.now();
    const old = clients.map(({ cutter }) => [...cutter.lines]);
    await lose(clients, { client: 'fin', server: 'none' });
    numbers.many(2);
    await back(clients);
    numbers.many(2);
    await all(clients, (client) => client.heardAll(numbers));
    assert.ok(Date.now() - began < within(1000));
    assertWhole(clients);
    /* one that polls may have said that it closes, as soon as it could */
    await all(clients, ({ hears: [, uid], title }) => server.logged(new RegExp(
        `client disconnected: user=${uid} .*reason="${/websocket/.test(title) ? 'session taken by another connection' : ''}`), within(1000), from));
    for (const [i, { cutter, title }] of clients.entries()) {
        if (!/websocket/.test(title)) continue;
        const [line] = old[i];
        await cutter.when(() => line.server.destroyed, `the end of the old connection of ${title}`);
        assert.ok(line.swallowed.includes('41/axr,'), `${title}: ${line.swallowed}`);
    }
});
test('neither side knows of the cut', async (t) => {
    const { redis, server } = await world();
    const clients = await all(KINDS.filter(({ transports }) => transports === 'websocket'), (kind, i) => cuttable(t, kind, { server, uid: `deaf${i}` }));
    const numbers = new Numbers(redis, ['all', ...clients.map(({ hears }) => hears[1])]);
    numbers.many(2);
    await all(clients, (client) => client.heardAll(numbers));
    clients.forEach(({ cutter }) => cutter.cut({ client: 'none', server: 'none' }));
    numbers.many(3);
    await all(clients, (client) => client.connectedAgain(1, within(5000)));
    numbers.many(2);
    await all(clients, (client) => client.heardAll(numbers));
    assertWhole(clients);
});
test('a pid that two use: the older is closed and stays away', async (t) => {
    const { redis, server } = await world();
    for (const [nth, { version, transports }] of KINDS.entries()) {
        const uid = `two${nth}`;
        const numbers = new Numbers(redis, [uid]);
        const older = await cuttable(t, { version, transports }, { server, uid, hears: [uid] });
        numbers.many(2);
        await older.heardAll(numbers);
        const newer = new Follower(version, server.addr, { token: tokenOf(uid), hears: [uid], transports });
        t.after(() => newer.close());
        const { _pid, _lastOffset } = older.socket;
        Object.assign(newer.socket, { _pid, _lastOffset });
        newer.last.set(uid, 1);
        await newer.noted('connect');
        assert.ok(newer.socket.recovered);
        assert.strictEqual((await older.noted('disconnect')).detail, 'io server disconnect');
        numbers.many(2);
        await newer.heardAll(numbers);
        assert.deepStrictEqual([newer.wrong, older.wrong, newer.connects.length, older.connects.length, older.socket.connected], [[], [], 1, 1, false]);
        assert.deepStrictEqual(newer.notes.map(({ what }) => what), ['connect']);
    }
});

/* The worker that has a session of Engine.IO. */
function workerOf(server, { handshake, sid }) {
    const slot = Buffer.from(handshake ? handshake.sid : sid, 'base64url')[16];
    return Number(new RegExp(`worker ${slot + 1} ready: pid=(\\d+)`).exec(server.log)[1]);
}
for (const polling of [false, true])
    test(`an earlier connection over ${polling ? 'polling' : 'WebSocket'} asks late: the later one keeps the session`, async (t) => {
        const { redis, server } = await world();
        const uid = `late ${polling}`;
        const token = tokenOf(uid);
        const first = await visit(t, server.addr, token);
        await told(redis, [first]);
        first.destroy();
        const earlier = keep(t, await (polling ? Polling.open(server.addr, { keep: true }) : Raw.open(server.addr)));
        const worker = workerOf(server, earlier);
        await elapse(5); /* the next one is younger */
        const later = await until(async () => {
            const one = keep(t, await Raw.open(server.addr));
            return workerOf(server, one) !== worker && one;
        }, within(2000), 'another worker');
        const packet = `40/axr,${JSON.stringify({ token, ...claimOf(first) })}`;
        process.kill(worker, 'SIGSTOP');
        t.after(() => process.kill(worker, 'SIGCONT'));
        const asked = polling ? earlier.send(packet) : earlier.sendText(packet);
        later.sendText(packet);
        assert.strictEqual(JSON.parse((await later.text()).slice('40/axr,'.length)).pid, first.reply.pid);
        process.kill(worker, 'SIGCONT');
        await asked;
        assert.notStrictEqual(JSON.parse((await earlier.text()).slice('40/axr,'.length)).pid, first.reply.pid);
        redis.emitter().to(uid).emit('m', 1);
        assert.deepStrictEqual(await told(redis, [later]), [[['m', 1]]]);
    });

/* --- the wire --- */

for (const polling of [false, true]) {
    const what = polling ? 'polling' : 'WebSocket';
    test(`${what}: the reply and $offset; the reply, what was missed, and what comes then`, async (t) => {
        const { redis, server } = await world();
        const token = tokenOf(what);
        const first = await visit(t, server.addr, token, {}, { polling });
        assert.deepStrictEqual(Object.keys(first.reply), ['sid', 'pid']);
        assert.match(first.reply.pid, PID);
        assert.deepStrictEqual(await next(first), ['$offset']);
        redis.emitter().to(what).emit('m', 1);
        assert.deepStrictEqual(await next(first), ['m', 1]);
        first.destroy();
        await taken(server, 'm', 2, () => {
            for (const nth of [2, 3]) redis.emitter().to(what).emit('m', nth, Buffer.from([nth]));
        });
        const second = await visit(t, server.addr, token, claimOf(first), { polling });
        assert.strictEqual(second.answer, `40/axr,${JSON.stringify(first.reply)}`);
        for (const nth of [2, 3]) assert.deepStrictEqual(await next(second), ['m', nth, { _placeholder: true, num: 0 }]);
        redis.emitter().to(what).emit('m', 4);
        assert.deepStrictEqual(await nextEvent(second), ['m', 4]);
    });
}
test('without an offset all since the session began is missed', async (t) => {
    const { redis, server } = await world();
    await taken(server, 'm', 1, () => redis.emitter().to('anew').emit('m', 'before'));
    const first = await visit(t, server.addr, tokenOf('anew'));
    redis.emitter().to('anew').emit('m', 1);
    await told(redis, [first]);
    first.destroy();
    redis.emitter().to('anew').emit('m', 2);
    const second = await visit(t, server.addr, tokenOf('anew'), { pid: first.reply.pid });
    assert.ok(second.recovered);
    assert.deepStrictEqual(await told(redis, [second]), [[['m', 1], ['m', 2]]]);
});
test('volatile messages have an offset and are not sent again; those with acknowledgement have none', async (t) => {
    const { redis, server } = await world();
    const numbers = new Numbers(redis, ['mixed']);
    const first = await visit(t, server.addr, tokenOf('mixed'));
    numbers.say('mixed');
    numbers.whisper();
    numbers.ask();
    numbers.say('mixed');
    assert.deepStrictEqual((await nextEvent(first)).slice(0, 3), ['n', 'mixed', 0]);
    const offsets = [first.offset];
    assert.deepStrictEqual(await nextEvent(first), ['volatile', 1]);
    offsets.push(first.offset);
    assert.match(await first.text(), /^42\/axr,\d+\["ask",1\]$/);
    assert.deepStrictEqual((await nextEvent(first)).slice(0, 3), ['n', 'mixed', 1]);
    assert.notStrictEqual(first.offset, offsets[0]);
    first.destroy();
    await taken(server, 'n', 1, () => {
        numbers.whisper();
        numbers.ask();
        numbers.say('mixed');
    });
    for (const offset of offsets) {
        const second = await visit(t, server.addr, tokenOf('mixed'), { pid: first.reply.pid, offset });
        assert.ok(second.recovered);
        const [events] = await told(redis, [second]);
        assert.deepStrictEqual(events.map(([name, , nth]) => [name, nth]), [['n', 1], ['n', 2]]);
        second.destroy();
    }
});
test('$offset with a ping, where no offset was sent since the last', async (t) => {
    const redis = await redisServer();
    const hasty = { pingInterval: 300 * SLOW, pingTimeout: 3000 * SLOW };
    const server = await Daemon.start(t, { redis, config: { workers: 1, 'socket.io': { connectionStateRecovery: true, ...hasty } } });
    const client = await visit(t, server.addr, tokenOf('quiet'), {}, { heartbeat: false });
    assert.deepStrictEqual(await next(client), ['$offset']);
    const offsets = new Set([client.offset]);
    let last;
    while (offsets.size < 3 || last !== '2') {
        const text = await client.text();
        if (text === '2') client.sendText('3');
        else assert.ok(/^42\/axr,\["\$offset","[\w-]{11}"\]$/.test(text) && last !== undefined, `${text} behind ${last}`);
        if (text !== '2') offsets.add(JSON.parse(text.slice('42/axr,'.length))[1]);
        if (text !== '2' && last !== '2') assert.strictEqual(await client.text(), '2', 'with a ping');
        last = text;
    }
    const old = await joined(server.addr, tokenOf('quiet'), { eio: 3 });
    keep(t, old);
    redis.emitter().to('quiet').emit('m', 'plain');
    assert.strictEqual(await old.text(), '42/axr,["m","plain"]');
});
test('who wants none of it, in the query or in auth: no pid, no offset, nothing missed', async (t) => {
    const { redis, server } = await world();
    const ways = {
        'recovery=0': { options: { query: { recovery: 0 } } },
        'recovery=false': { options: { query: { recovery: 'false' } } },
        auth: { options: { auth: { recovery: false, token: tokenOf('none') } } },
    };
    for (const [what, how] of Object.entries(ways))
        for (const { version, transports } of KINDS) {
            const numbers = new Numbers(redis, ['none']);
            const client = await cuttable(t, { version, transports }, { server, uid: 'none', hears: ['none'], offsets: null, ...how });
            assert.strictEqual(client.socket._pid, undefined, what);
            numbers.many(4);
            await client.heardAll(numbers);
            await lose([client]);
            numbers.say();
            await back([client]);
            numbers.say();
            await client.heardAll(numbers);
            assert.deepStrictEqual([client.wrong, client.refused, client.refreshed, client.last.get('none')], [[], 1, 0, 5], what);
            client.close();
        }
});
test('where it is off: answers and messages as ever', async (t) => {
    const redis = await redisServer();
    const server = await Daemon.start(t, { redis, config: { workers: 1 } });
    for (const polling of [false, true])
        for (const claim of [{}, { pid: 'A'.repeat(72), offset: 'AAAAAAAAAAB' }]) {
            const client = await visit(t, server.addr, tokenOf('off'), claim, { polling });
            assert.match(client.answer, /^40\/axr,\{"sid":"[\w-]{20}"\}$/);
            redis.emitter().emit('m', 'as ever');
            assert.strictEqual(await client.text(), '42/axr,["m","as ever"]');
            client.destroy();
        }
});
test('what was missed does not fit into sendBuffer: told so at once, and nothing ends', async (t) => {
    const { redis, server } = await own(t, { limits: { sendBuffer: 65536 } });
    const clients = await all(KINDS, (kind, i) => cuttable(t, kind, { server, uid: `much${i}`, hears: ['all', `much${i}`] }));
    const numbers = new Numbers(redis, ['all', ...clients.map(({ hears }) => hears[1])]);
    numbers.many(2);
    await all(clients, (client) => client.heardAll(numbers));
    await lose(clients);
    await taken(server, 'filler', 20, () => {
        for (let i = 0; i < 20; i++) redis.emitter().emit('filler', 'x'.repeat(4000));
    });
    numbers.many(2);
    await back(clients);
    numbers.many(2);
    await all(clients, (client) => client.heardAll(numbers));
    for (const client of clients)
        assert.deepStrictEqual([client.wrong, client.connects.length, client.refused, client.others], [[], 2, 1, []], client.title);
    assert.strictEqual((await scrape(server)).get('replays_total', 'result="unfit"'), clients.length);
    await lose(clients); /* and the next time */
    numbers.many(2);
    await back(clients);
    await all(clients, (client) => client.heardAll(numbers));
    for (const client of clients) assert.deepStrictEqual([client.wrong, client.refused], [[], 1], client.title);
});

/* --- the end of the quiet --- */

test('who has heard nothing for longer than the history, or never, gets what is published while away', async (t) => {
    t.show((await idle()).clients[0]);
    const { clients, numbers, shift, began } = await idle();
    await elapse(Math.max(0, QUIET_MS - (Date.now() - began)));
    await lose(clients);
    shift.set(2 * WEEK_S);
    numbers.say();
    await elapse(Math.min(2000, LIMIT - 1000));
    await back(clients);
    await all(clients, (client) => client.heardAll(numbers));
    assertWhole(clients);
    assert.ok(clients.every(({ refreshed }) => refreshed > 1));
    assert.deepStrictEqual(clients.map(({ last }, i) => last.get(`idle${i}`)), [1, 1, 1, 0, 0, 0]);
});
