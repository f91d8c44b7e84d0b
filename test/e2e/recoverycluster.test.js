'use strict';
/* Several daemons on one redis: who lost a connection recovers at any of them, or is told
 * that it does not.  Never is a message lost for who is recovered, doubled, or another's. */
const assert = require('assert');
const { test, shared, keep, mode } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, SECRET } = require('./lib/daemon');
const { Cutter, RULES } = require('./lib/cutter');
const { Numbers, Follower, follow } = require('./lib/numbers');
const { visit, next, told, taken, claimOf } = require('./lib/session');
const { Asker } = require('./lib/cluster');
const { Random } = require('./lib/values');
const { Raw } = require('./lib/raw');
const { sign } = require('./lib/jwt');
const { SLOW, within, until, elapse } = require('./lib/time');

const SEED = Number(process.env.SEED || Math.floor(Math.random() * 2 ** 31));
const PINGS = { pingInterval: 1000 * SLOW, pingTimeout: 1000 * SLOW };
const tokenOf = (uid) => sign({ uid }, SECRET);
const all = (clients, fn) => Promise.all(clients.map(fn));

const start = (t, redis, config = {}) => Daemon.start(t, {
    redis, config: { workers: 2, ...config, 'socket.io': { connectionStateRecovery: true, ...PINGS, ...config['socket.io'] } },
});
/* Resolves when who was at one daemon recovers at the other. */
let pairs = 0;
async function follows(t, from, to) {
    await until(async () => {
        const token = tokenOf(`pair${++pairs}`);
        const client = await visit(t, from.addr, token);
        await next(client);
        client.destroy();
        const back = await visit(t, to.addr, token, claimOf(client));
        back.destroy();
        return back.recovered;
    }, within(6000), 'daemons that agree');
}
const agreed = (t, one, other) => follows(t, one, other).then(() => follows(t, other, one));
async function together(t, redis, ...daemons) {
    for (const daemon of daemons.slice(1)) await agreed(t, daemons[0], daemon);
    return { redis, daemons };
}
/* Two of which one is to go: what the other has seen since before a session began is to be
 * believed when it is older than clocks may differ. */
const TRUSTED_MS = 10500;
const orphans = shared(async (s) => {
    const redis = await Redis.start(s);
    const { daemons: [gone, stays] } = await together(s, redis, await start(s, redis), await start(s, redis));
    return { redis, gone, stays, began: Date.now() };
});
const world = shared(async (s) => {
    orphans(); /* time passes meanwhile */
    const redis = await Redis.start(s);
    return together(s, redis, await start(s, redis), await start(s, redis));
});

const KINDS = [4, 4.6].flatMap((version) => ['default', 'websocket', 'polling'].map((transports) => ({ version, transports })));
let users = 0;
/* Clients of each kind, with a proxy each. */
async function crowd(t, redis, addr, { kinds = KINDS, numbers, rooms = [] } = {}) {
    const clients = await all(kinds, async ({ version, transports }) => {
        const uid = `user${++users}`;
        const cutter = await Cutter.start(t, addr);
        const client = await follow(t, version, cutter.addr, { token: tokenOf(uid), hears: ['all', uid, ...rooms], transports });
        return Object.assign(client, { cutter, uid });
    });
    for (const room of rooms) redis.emitter().in(clients.map(({ uid }) => uid)).socketsJoin(room);
    if (numbers) clients.forEach(({ uid }) => numbers.said.set(uid, 0));
    return { clients, numbers: numbers || new Numbers(redis, ['all', ...rooms, ...clients.map(({ uid }) => uid)]) };
}
async function lose(clients, how) {
    clients.forEach(({ cutter }) => cutter.down(how));
    await all(clients, (client) => client.lost());
}
async function back(clients, daemon) {
    const counts = clients.map((client) => client.connects.length);
    clients.forEach(({ cutter }) => {
        cutter.to = daemon.addr;
        cutter.up();
    });
    await all(clients, (client, i) => client.connectedAgain(counts[i]));
}
const heardAll = (clients, numbers) => all(clients, (client) => client.heardAll(numbers, within(8000)));
/* refused: how many of its returns each client was refused at; null: any. */
function assertClean(clients, refused = 0) {
    for (const client of clients) {
        assert.deepStrictEqual(client.wrong, []);
        if (refused !== null) assert.strictEqual(client.refused, refused, `${client.title}: ${JSON.stringify(client.connects)}`);
    }
}
/* Away from where they are, and back at another daemon; some is said before, meanwhile, after. */
async function move({ clients, numbers }, daemon, how) {
    numbers.many(2);
    await heardAll(clients, numbers);
    await lose(clients, how);
    numbers.many(3);
    await back(clients, daemon); /* it goes there until the next move: requests of one session have to */
    numbers.many(2);
    await heardAll(clients, numbers);
}

const HOWS = {
    'with FIN': { client: 'fin', server: 'fin' },
    'with RST': { client: 'rst', server: 'rst' },
    'which the daemon does not notice': { client: 'fin', server: 'none' },
};
for (const [what, how] of Object.entries(HOWS))
    test(`to the other daemon and back, ${what}: each number once, recovered, with the same id`, async (t) => {
        const { redis, daemons: [one, other] } = await world();
        const { clients, numbers } = await crowd(t, redis, one.addr, { rooms: ['r'] });
        for (const daemon of [other, one, one, other]) await move({ clients, numbers }, daemon, how);
        assertClean(clients);
        for (const { connects } of clients) assert.strictEqual(new Set(connects.map(({ id }) => id)).size, 1);
    });
test('at every place of the reply and of what follows, at the other daemon each time', async (t) => {
    const { redis, daemons } = await world();
    const { clients, numbers } = await crowd(t, redis, daemons[0].addr, { rooms: ['r'] });
    const places = [
        RULES.beforeReply, RULES.insideReply, RULES.behindReply, RULES.beforeOffset,
        (how) => RULES.inReplay(0, how), (how) => RULES.behindEvents(1, how), (how) => RULES.inReplay(3, how),
    ];
    for (const place of places)
        for (const how of Object.values(HOWS)) {
            await lose(clients, how);
            numbers.many(4);
            clients.forEach(({ cutter }) => {
                cutter.onCut = () => (cutter.to = daemons[cutter.cuts & 1].addr);
                cutter.rule = place(how);
            });
            const counts = clients.map(({ connects }) => connects.length);
            clients.forEach(({ cutter }) => cutter.up());
            numbers.say();
            await all(clients, (client, i) => client.connectedAgain(counts[i]));
            numbers.say();
            await heardAll(clients, numbers);
            clients.forEach(({ cutter }) => (cutter.rule = null));
        }
    assertClean(clients);
}, { quick: false });

/* --- rooms and requests --- */

test('rooms joined by request come along, and requests meanwhile count', async (t) => {
    const { redis, daemons: [one, other] } = await world();
    const io = redis.emitter();
    const token = tokenOf('mover');
    const client = await visit(t, one.addr, token);
    io.in('mover').socketsJoin(['a', 'b', 'c']);
    await told(redis, [client]);
    client.destroy();
    const rooms = { a: 'a', b: 'b', c: 'c', d: 'd', id: client.reply.sid };
    const say = (nth) => Object.entries(rooms).forEach(([name, room]) => io.to(room).emit('m', name, nth));
    await taken(other, 'm', 10, () => {
        say(1);
        io.in(client.reply.sid).socketsLeave('b');
        io.in('mover').socketsJoin('d');
        say(2);
    });
    const again = await visit(t, other.addr, token, claimOf(client));
    assert.ok(again.recovered);
    assert.strictEqual(again.reply.sid, client.reply.sid);
    say(3);
    const [events] = await told(redis, [again]);
    assert.deepStrictEqual(events.map(([, room, nth]) => `${room}${nth}`), ['a1', 'c1', 'id1', 'a2', 'c2', 'd2', 'id2', 'a3', 'c3', 'd3', 'id3']);
    const asker = await Asker.start(t, redis);
    const { sockets } = await asker.ask({ type: 5, opts: { rooms: ['mover'], except: [] } });
    assert.deepStrictEqual(sockets.map(({ id, rooms: of }) => [id, [...of].sort()]), [[client.reply.sid, ['a', 'allusers', 'c', 'd', 'mover', client.reply.sid].sort()]]);
});
test('kicked at one daemon while away, or there: refused at the other', async (t) => {
    const { redis, daemons: [one, other] } = await world();
    for (const isAway of [true, false]) {
        const token = tokenOf('kicked');
        const client = await visit(t, one.addr, token);
        await told(redis, [client]);
        const from = one.log.length;
        if (isAway) {
            client.destroy();
            await one.logged(/client disconnected: user=kicked /, within(1000), from);
        }
        redis.emitter().in('kicked').disconnectSockets();
        if (!isAway) await one.logged(/client disconnected: user=kicked /, within(1000), from);
        await taken(other, 'missed', 1, () => redis.emitter().to('kicked').emit('missed'));
        const again = await visit(t, other.addr, token, claimOf(client));
        assert.ok(!again.recovered);
        assert.deepStrictEqual(await told(redis, [again]), [[]]);
        again.destroy();
        await other.logged(/client disconnected: user=kicked /, within(1000));
    }
});
test('a pid that two use, at two daemons: the older is closed, no ping-pong', async (t) => {
    const { redis, daemons: [one, other] } = await world();
    const numbers = new Numbers(redis, ['both']);
    const older = await follow(t, 4, one.addr, { token: tokenOf('both'), hears: ['both'] });
    numbers.many(2);
    await older.heardAll(numbers);
    const newer = new Follower(4, other.addr, { token: tokenOf('both'), hears: ['both'] });
    t.after(() => newer.close());
    const { _pid, _lastOffset } = older.socket;
    Object.assign(newer.socket, { _pid, _lastOffset });
    newer.last.set('both', 1);
    await newer.noted('connect');
    assert.ok(newer.socket.recovered);
    assert.strictEqual((await older.noted('disconnect')).detail, 'io server disconnect');
    numbers.many(2);
    await newer.heardAll(numbers);
    assert.deepStrictEqual([newer.wrong, older.wrong, newer.connects.length, older.socket.connected], [[], [], 1, false]);
});

/* --- daemons that are not alike --- */

const late = shared(async (s) => {
    const { redis } = await world();
    const proxy = await Cutter.start(s, { port: redis.port, host: '127.0.0.1' }, { isPlain: true });
    proxy.delay = 500;
    return { behind: await start(s, { port: proxy.addr.port }) };
});
test('a daemon that is 500 ms behind: recovered there', async (t) => {
    const { redis, daemons: [one] } = await world();
    const { behind } = await late();
    await follows(t, one, behind);
    const { clients, numbers } = await crowd(t, redis, one.addr);
    await move({ clients, numbers }, behind);
    await move({ clients, numbers }, behind);
    assertClean(clients);
    await move({ clients, numbers }, one); /* which may not wait for an answer so long */
    assertClean(clients, null);
});
test('who has asked at a daemon that is behind, and is back at the first before that has found its offset, stays there', async (t) => {
    const { redis, daemons: [one] } = await world();
    const { behind } = await late();
    const token = tokenOf('hasty');
    const first = await visit(t, one.addr, token);
    await told(redis, [first]);
    first.destroy();
    const asks = keep(t, await Raw.open(behind.addr));
    asks.sendText(`40/axr,${JSON.stringify({ token, ...claimOf(first) })}`);
    await elapse(100); /* else they come at one moment */
    const second = await visit(t, one.addr, token, claimOf(first));
    assert.ok(second.recovered);
    assert.match(await asks.text(), /^40\/axr,/);
    redis.emitter().to('hasty').emit('m', 1);
    assert.deepStrictEqual(await told(redis, [second]), [[['m', 1]]]);
});
test('one that is started later: told not, until it agrees with the others, then recovered', async (t) => {
    const { redis, daemons: [one, other] } = await world();
    const { clients, numbers } = await crowd(t, redis, one.addr);
    numbers.many(2);
    await heardAll(clients, numbers);
    await lose(clients);
    numbers.many(3);
    const later = await start(t, redis);
    numbers.many(3);
    await back(clients, later); /* what was before it, it has not seen */
    numbers.many(2);
    await heardAll(clients, numbers);
    assertClean(clients, 1);
    await agreed(t, one, later);
    for (const daemon of [other, later, one, later]) await move({ clients, numbers }, daemon);
    assertClean(clients, null);
    const refusals = clients.map(({ refused }) => refused);
    assert.ok(refusals.every((count) => count <= 2), `refused ${refusals}`);
});
test('one with a gap of its own', async (t) => {
    const { redis, daemons: [one] } = await world();
    const proxy = await Cutter.start(t, { port: redis.port, host: '127.0.0.1' }, { isPlain: true });
    const gappy = await start(t, { port: proxy.addr.port });
    await agreed(t, one, gappy);
    const { clients, numbers } = await crowd(t, redis, one.addr);
    const { clients: others } = await crowd(t, redis, gappy.addr, { kinds: KINDS.slice(0, 3), numbers });
    const everybody = [...clients, ...others];
    numbers.many(2);
    await heardAll(everybody, numbers);
    await lose(clients);
    const from = gappy.log.length;
    numbers.many(2);
    const over = numbers.excuse(others, 2);
    proxy.cut();
    numbers.many(2);
    await gappy.logged(/subscribed/, within(5000), from);
    over();
    await back(clients, gappy);
    numbers.many(2);
    await heardAll(everybody, numbers);
    assertClean(clients, 1);
    await lose(others);
    numbers.many(2);
    await back(others, one); /* it has heard all, but they have not: it has to ask theirs */
    numbers.many(2);
    await heardAll(everybody, numbers);
    assertClean(others, 1);
    await agreed(t, one, gappy);
    for (const daemon of [one, gappy]) await move({ clients, numbers }, daemon);
    assertClean(clients, null);
});
const EARS = ['SETUSER', 'ears', 'on', '>sesame', 'allchannels', '+subscribe', '+psubscribe', '+unsubscribe', '+punsubscribe', '+ping', '+client', '+cluster'];
const AS_EARS = { 'socket.io': { redis: { username: 'ears', password: 'sesame' } } };
test('one that may not publish: its own clients recover there, others are told', async (t) => {
    const { redis, daemons: [one] } = await world();
    await redis.client.sendCommand(['ACL', ...EARS]);
    const silent = await start(t, redis, AS_EARS);
    const { clients, numbers } = await crowd(t, redis, silent.addr);
    await move({ clients, numbers }, silent);
    await move({ clients, numbers }, silent);
    assertClean(clients);
    for (const daemon of [one, silent, silent]) await move({ clients, numbers }, daemon);
    assertClean(clients, null);
    for (const { refused } of clients) assert.ok(refused <= 2);
});
test('all that may not publish', async (t) => {
    const redis = await Redis.start(t);
    await redis.client.sendCommand(['ACL', ...EARS]);
    const daemons = [await start(t, redis, AS_EARS), await start(t, redis, AS_EARS)];
    const { clients, numbers } = await crowd(t, redis, daemons[0].addr, { kinds: KINDS.slice(0, 3) });
    await move({ clients, numbers }, daemons[0]);
    assertClean(clients);
    for (const daemon of [daemons[1], daemons[1], daemons[0]]) await move({ clients, numbers }, daemon);
    assertClean(clients, null);
});
test('one with other limits: what it has not taken is a hole for those who come from elsewhere', async (t) => {
    const { redis, daemons: [one] } = await world();
    const small = await start(t, redis, { limits: { messageBytes: 20000 } });
    await agreed(t, one, small);
    const io = redis.emitter();
    const token = tokenOf('large');
    const from = async (daemon) => {
        const client = await visit(t, daemon.addr, token);
        await told(redis, [client]);
        return client;
    };
    const large = () => io.to('large').emit('large', 'x'.repeat(30000));
    const client = await from(one);
    client.destroy();
    await taken(small, 'm', 2, () => {
        io.to('large').emit('m', 1);
        large();
        io.to('large').emit('m', 2);
    });
    const away = await visit(t, small.addr, token, claimOf(client));
    assert.ok(!away.recovered, 'a hole');
    assert.deepStrictEqual(await told(redis, [away]), [[]]);
    away.destroy();
    const back_ = await visit(t, one.addr, token, claimOf(client)); /* nobody took it over */
    const [events] = await told(redis, [back_]);
    assert.deepStrictEqual(events.map(([name]) => name), back_.recovered ? ['m', 'large', 'm'] : []);
    back_.destroy();
    /* What comes behind it is there. */
    const second = await from(one);
    large();
    await told(redis, [second]);
    second.destroy();
    io.to('large').emit('m', 3);
    const there = await visit(t, small.addr, token, claimOf(second));
    const [rest] = await told(redis, [there]);
    assert.deepStrictEqual([there.recovered, rest], [true, [['m', 3]]]);
});
/* --- three, at random --- */

const RUN_MS = mode === 'long' ? 60000 : 4000;
test(`three daemons, cut and led to any of them for ${RUN_MS / 1000} s, SEED=${SEED}: each number once, recovered`, async (t) => {
    const { redis, daemons: [one, other] } = await world();
    const third = await start(t, redis, { workers: 3 });
    await agreed(t, one, third);
    await agreed(t, other, third);
    const { clients, numbers } = await crowd(t, redis, one.addr, { rooms: ['r'] });
    numbers.start(t, 10);
    const end = Date.now() + RUN_MS;
    await all(clients, async (client, i) => {
        const random = new Random(SEED + i);
        const { cutter } = client;
        while (Date.now() < end) {
            await elapse(random.below(300));
            const how = random.pick(Object.values(HOWS));
            cutter.rule = random.chance(1, 2) ? random.pick([RULES.beforeReply(how), RULES.behindReply(how), RULES.inReplay(random.below(20), how)]) : null;
            cutter.down(how);
            await client.lost();
            cutter.to = random.pick([one, other, third]).addr;
            if (random.chance(1, 3)) await elapse(random.below(300));
            cutter.up();
            await client.when(() => client.socket.connected, within(8000), 'it is back');
        }
        cutter.rule = null;
    });
    numbers.stop();
    numbers.say();
    await heardAll(clients, numbers);
    assertClean(clients);
    console.log(`# ${numbers.said.get('all')} numbers, ${clients.map(({ connects }) => connects.length - 1).join(', ')} times back, SEED=${SEED}`);
}, { timeout: RUN_MS + 60000 });

/* --- the daemon that made a session is gone --- */

test('its daemon is gone: recovered elsewhere with a new id, or told so where rooms were joined', async (t) => {
    const { redis, gone, stays, began } = await orphans();
    t.show(gone);
    t.show(stays);
    await elapse(Math.max(0, TRUSTED_MS - (Date.now() - began)));
    const { clients, numbers } = await crowd(t, redis, gone.addr);
    numbers.many(2);
    await heardAll(clients, numbers);
    clients.forEach(({ cutter }) => (cutter.isDown = true));
    const joiner = await visit(t, gone.addr, tokenOf('joined'));
    await told(redis, [joiner]);
    await gone.kill();
    await all(clients, (client) => client.lost());
    numbers.many(3);
    await back(clients, stays);
    numbers.many(2);
    await heardAll(clients, numbers);
    assertClean(clients);
    redis.emitter().in('joined').socketsJoin('room');
    await taken(stays, 'm', 1, () => redis.emitter().to('joined').emit('m'));
    const again = await visit(t, stays.addr, tokenOf('joined'), claimOf(joiner));
    assert.ok(!again.recovered);
    assert.deepStrictEqual(await told(redis, [again]), [[]]);
});
