'use strict';
/* Who is not recovered: told so, gets nothing of what was missed, and then what is live.
 * And who asks for what is another's. */
const assert = require('assert');
const { test, shared } = require('./lib/suite');
const { Redis, freePort } = require('./lib/redis');
const { Daemon, SECRET } = require('./lib/daemon');
const { Cutter, RULES } = require('./lib/cutter');
const { Numbers, follow } = require('./lib/numbers');
const { visit, next, told, taken, claimOf, PID } = require('./lib/session');
const { reload } = require('./lib/reload');
const { scrape } = require('./lib/metrics');
const { sign, expiring } = require('./lib/jwt');
const { within, until, elapse } = require('./lib/time');

const tokenOf = (uid, claims) => sign({ uid, ...claims }, SECRET);
const redisServer = shared((s) => Redis.start(s));
const start = (t, redis, recovery = true, config = {}) => Daemon.start(t, {
    redis, config: { workers: 2, ...config, 'socket.io': { connectionStateRecovery: recovery, ...config['socket.io'] } },
});
const world = shared(async (s) => {
    const redis = await redisServer();
    return { redis, server: await start(s, redis) };
});

let users = 0;
const stranger = () => `user${++users}`;
/* A client of a new user, that has heard something. */
async function begin(t, { redis, server }, { uid = stranger(), ...how } = {}) {
    const client = await visit(t, server.addr, tokenOf(uid), {}, how);
    await told(redis, [client]);
    return Object.assign(client, { uid });
}
/* Resolves when the master knows that a user has no connection. */
async function absent({ redis, server }, uid) {
    const from = server.log.length;
    const nobody = new RegExp(`notification: event=probe rooms=${uid} workers=nobody`);
    await until(() => {
        redis.emitter().to(uid).volatile.emit('probe');
        return nobody.test(server.log.slice(from));
    }, within(2000), `absence of ${uid}`);
}
/* It has lost its connection, and its server knows. */
async function away(place, client) {
    client.destroy();
    await absent(place, client.uid);
}
/* What it will not get, if it is refused: the server has taken it. */
function miss({ redis, server }, { uid }) {
    return taken(server, 'missed', 2, () => {
        redis.emitter().to(uid).emit('missed', uid);
        redis.emitter().emit('missed', 'all');
    });
}
/* A client of uid with that claim, which is not accepted: it gets what is live, and its new
 * session goes on. */
async function refused(t, { redis, server }, uid, claim, token = tokenOf(uid)) {
    const client = await visit(t, server.addr, token, claim);
    assert.ok(!client.recovered);
    assert.match(client.reply.pid, PID);
    assert.deepStrictEqual(await told(redis, [client]), [[]]);
    redis.emitter().to(uid).emit('live', 1);
    redis.emitter().emit('live', 2);
    assert.deepStrictEqual(await told(redis, [client]), [[['live', 1], ['live', 2]]]);
    return Object.assign(client, { uid });
}
/* It is accepted, and what was missed of its user's follows. */
async function recovers(t, { redis, server }, { uid, ...client }, missed) {
    const back = await visit(t, server.addr, tokenOf(uid), claimOf(client));
    assert.ok(back.recovered);
    assert.deepStrictEqual(await told(redis, [back]), [missed]);
    return Object.assign(back, { uid });
}
const MISSED = (uid) => [['missed', uid], ['missed', 'all']];
/* It is disconnected, after whatever it was sent before. */
async function kicked(client) {
    while ((await client.text()) !== '41/axr,');
}
/* A refusal, and after it a cut that is recovered. */
async function refusedOnce(t, place, client) {
    await miss(place, client);
    const other = await refused(t, place, client.uid, claimOf(client));
    other.destroy();
    await miss(place, client);
    await recovers(t, place, other, MISSED(client.uid));
}

/* --- too long, too much --- */

test('away for longer than maxDisconnectionDuration, and for less', async (t) => {
    const redis = await redisServer();
    const LIMIT = 2000;
    const place = { redis, server: await start(t, redis, { maxDisconnectionDuration: LIMIT }) };
    const late = await begin(t, place);
    const early = await begin(t, place);
    const cutter = await Cutter.start(t, place.server.addr);
    const real = await follow(t, 4, cutter.addr, { token: tokenOf('real'), hears: ['real'] });
    const numbers = new Numbers(redis, ['real']);
    numbers.many(2);
    await real.heardAll(numbers);
    cutter.down();
    await real.lost();
    await away(place, late);
    numbers.say();
    await elapse(LIMIT - 100);
    await away(place, early);
    await miss(place, early);
    await elapse(200);
    cutter.up();
    await recovers(t, place, early, MISSED(early.uid));
    await refusedOnce(t, place, late);
    await real.connectedAgain(1);
    numbers.many(2);
    await real.heardAll(numbers);
    assert.deepStrictEqual([real.wrong, real.refused], [[], 1]);
});
test('the history is overrun while the client is away', async (t) => {
    const redis = await redisServer();
    const place = { redis, server: await start(t, redis, { maxBytes: 1 << 20 }) };
    const client = await begin(t, place);
    await away(place, client);
    for (let i = 0; i < 30; i++) redis.emitter().to('nobody').emit('filler', 'x'.repeat(50000));
    await begin(t, place); /* all that has come */
    await refusedOnce(t, place, client);
});
/* The worker stands still in the middle of it. */
test('the history is overrun during the replay: the connection ends, and the next is refused', async (t) => {
    const redis = await Redis.start(t, { args: ['--client-output-buffer-limit', 'pubsub', '0', '0', '0'] });
    const limits = { sendBuffer: 256 << 20, sendTimeout: 60000 };
    const place = { redis, server: await start(t, redis, { maxBytes: 32 << 20 }, { workers: 1, limits }) };
    const [worker] = place.server.workers();
    const overruns = async () => (await scrape(place.server)).get('sessions_closed_total', 'reason="history_overrun"');
    /* The master has it all then.  For a worker that stands still it keeps 32 MB, and no more. */
    const fill = (count) => taken(place.server, 'filled', 1, () => {
        for (let i = 0; i < count; i++) redis.emitter().to(client.uid).emit('filler', i, 'x'.repeat(10000));
        redis.emitter().to('nobody').emit('filled');
    });
    let client;
    for (let attempt = 0; attempt < 8 && !(await overruns()); attempt++) {
        client = await begin(t, place);
        await away(place, client);
        await fill(2500);
        const first = await visit(t, place.server.addr, tokenOf(client.uid), claimOf(client));
        process.kill(worker, 'SIGSTOP');
        await fill(2900);
        process.kill(worker, 'SIGCONT');
        const [events] = await told(redis, [first], within(10000)).catch(() => [null]); /* closed */
        if (events !== null) {
            /* it was through, or all of it was too late */
            const numbers = events.map(([, nth]) => nth);
            assert.ok(first.recovered ? numbers.length === 5400 : numbers.length < 5400);
            continue;
        }
        assert.ok(first.recovered);
        assert.strictEqual((await first.end()).code === undefined, true);
        await refused(t, place, client.uid, claimOf(first.offset ? { reply: first.reply, offset: first.offset } : client));
    }
    console.log(`# the replay was overrun: ${await overruns()}`);
}, { timeout: 120000, quick: false });

/* --- the stream of messages was broken --- */

const subscribed = (redis) => until(async () => (await redis.subscriptions()).patterns > 0, within(5000), 'a subscription');
const GAPS = {
    'redis has cut the subscription': async (redis) => {
        await redis.client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    },
    'redis was restarted': async (redis) => {
        await redis.flush();
        await redis.stop();
        await redis.again();
    },
};
for (const [what, fault] of Object.entries(GAPS))
    test(`${what}: who was there before is refused, once; who came then is not`, async (t) => {
        const redis = await Redis.start(t);
        const place = { redis, server: await start(t, redis) };
        const [gone, stays] = [await begin(t, place), await begin(t, place)];
        await away(place, gone);
        const from = place.server.log.length;
        await fault(redis);
        await place.server.logged(/redis.*(?:lost|closed|cannot|refused|reset)|connection.*redis/i, within(5000), from);
        await subscribed(redis);
        await until(async () => {
            redis.emitter().to(stays.uid).emit('ping');
            return stays.frames.length > 0;
        }, within(5000), 'messages again');
        await told(redis, [stays]);
        await refusedOnce(t, place, gone);
        stays.destroy();
        await refusedOnce(t, place, stays);
        const later = await begin(t, place);
        later.destroy();
        await miss(place, later);
        await recovers(t, place, later, MISSED(later.uid));
    });

/* Two nodes of a Cluster: what is published at one is heard at both. */
async function nodes(t) {
    const both = [];
    for (let i = 0; i < 2; i++) {
        const bus = await freePort();
        both.push(Object.assign(await Redis.start(t, { args: ['--cluster-enabled', 'yes', '--cluster-port', bus] }), { bus }));
    }
    const [one, other] = both;
    const say = (redis, ...words) => redis.client.sendCommand(words.map(String));
    await say(one, 'CLUSTER', 'ADDSLOTSRANGE', 0, 8191);
    await say(other, 'CLUSTER', 'ADDSLOTSRANGE', 8192, 16383);
    await say(other, 'CLUSTER', 'SET-CONFIG-EPOCH', 2);
    await say(one, 'CLUSTER', 'MEET', '127.0.0.1', other.port, other.bus);
    await until(async () => (await Promise.all(both.map((redis) => say(redis, 'CLUSTER', 'INFO')))).every((info) =>
        /cluster_state:ok/.test(info) && /cluster_known_nodes:2/.test(info)), within(10000), 'a Cluster');
    return both;
}
test('another node of the Cluster: by a reload, or by another daemon', async (t) => {
    const [one, other] = await nodes(t);
    const place = { redis: one, server: await start(t, one) };
    const further = await start(t, other);
    await until(async () => {
        const client = await begin(t, { redis: one, server: further });
        client.destroy();
        return client;
    }, within(5000), 'messages from the other node');
    const client = await begin(t, place);
    client.destroy();
    await miss({ redis: other, server: further }, client);
    await refused(t, { redis: other, server: further }, client.uid, claimOf(client));
    const second = await begin(t, place);
    await away(place, second);
    await reload(place.server, { 'socket.io': { redis: { port: other.port } } });
    await place.server.logged(/the new connection has taken the place/, within(5000));
    await refusedOnce(t, { ...place, redis: other }, second);
});
test('the daemon was started anew', async (t) => {
    const redis = await redisServer();
    const place = { redis, server: await start(t, redis) };
    const client = await begin(t, place);
    await place.server.stop();
    await refusedOnce(t, { redis, server: await start(t, redis) }, client);
});

/* --- it was over --- */

for (const close of [false, true])
    test(`kicked${close ? ', with its connection' : ''}: while it was there, and while it was away`, async (t) => {
        const place = await world();
        const { redis } = place;
        const [there, gone] = [await begin(t, place), await begin(t, place)];
        redis.emitter().in(there.uid).disconnectSockets(close);
        await kicked(there);
        await away(place, gone);
        redis.emitter().in(gone.uid).disconnectSockets(close);
        there.destroy();
        await refusedOnce(t, place, there);
        await refusedOnce(t, place, gone);
        const byId = await begin(t, place);
        await away(place, byId);
        redis.emitter().in(byId.reply.sid).disconnectSockets(close);
        await refusedOnce(t, place, byId);
    });
test('it has left: 41, or disconnect() of a client', async (t) => {
    const place = await world();
    const client = await begin(t, place);
    client.sendText('41/axr,');
    await absent(place, client.uid);
    await refusedOnce(t, place, client);
    const uid = stranger();
    const numbers = new Numbers(place.redis, [uid]);
    for (const version of [4, 4.6]) {
        const real = await follow(t, version, place.server.addr, { token: tokenOf(uid), hears: [uid], late: true });
        numbers.many(2);
        await real.heardAll(numbers);
        real.socket.disconnect();
        await absent(place, uid);
        numbers.say();
        real.socket.connect();
        await real.connectedAgain(1);
        numbers.say();
        await real.heardAll(numbers);
        assert.deepStrictEqual([real.wrong, real.refused], [[], 1]);
        real.close();
    }
});
test('its token had expired', async (t) => {
    const place = await world();
    const uid = stranger();
    const client = await expiring(async (exp) => {
        const one = await visit(t, place.server.addr, tokenOf(uid, { exp }));
        await told(place.redis, [one]);
        return Object.assign(one, { uid });
    });
    await kicked(client);
    await absent(place, uid);
    await refusedOnce(t, place, client);
});
test('another connection of the user has taken its place, by limits:connectionsPerUser', async (t) => {
    const redis = await redisServer();
    const limits = { connectionsPerUser: 1, connectionsPerUserPolicy: 'replace' };
    const place = { redis, server: await start(t, redis, true, { limits }) };
    const older = await begin(t, place);
    const newer = await begin(t, place, { uid: older.uid });
    await kicked(older);
    newer.destroy();
    await refusedOnce(t, place, older);
});
test('rooms that it has left by request: nothing of them, and the rest', async (t) => {
    const place = await world();
    const { redis, server } = place;
    const io = redis.emitter();
    const client = await begin(t, place);
    io.in(client.uid).socketsJoin(['a', 'b', 'c']);
    io.in(client.uid).socketsLeave('a');
    await told(redis, [client]);
    await away(place, client);
    const rooms = ['a', 'b', 'c', 'd', client.uid];
    await taken(server, 'm', 2 * rooms.length, () => {
        for (const room of rooms) io.to(room).emit('m', room, 1);
        io.in(client.uid).socketsLeave('b');
        io.in(client.reply.sid).socketsJoin('d');
        for (const room of rooms) io.to(room).emit('m', room, 2);
    });
    const back = await visit(t, server.addr, tokenOf(client.uid), claimOf(client));
    assert.ok(back.recovered);
    for (const room of rooms) io.to(room).emit('m', room, 3);
    assert.deepStrictEqual(await told(redis, [back]), [[
        ['m', 'c', 1], ['m', client.uid, 1], ['m', 'c', 2], ['m', 'd', 2], ['m', client.uid, 2], ['m', 'c', 3], ['m', 'd', 3], ['m', client.uid, 3],
    ]]);
});
test('the default rooms, left by request: nothing of them', async (t) => {
    const place = await world();
    const { redis, server } = place;
    const io = redis.emitter();
    for (const isAway of [false, true]) {
        const client = await begin(t, place);
        const witness = await begin(t, place);
        if (isAway) await away(place, client);
        io.in(client.reply.sid).socketsLeave('allusers');
        if (!isAway) {
            await told(redis, [witness]);
            await away(place, client);
        }
        await taken(server, 'm', 2, () => {
            io.to('allusers').emit('m', 1);
            io.to(client.uid).emit('m', 2);
        });
        const back = await visit(t, server.addr, tokenOf(client.uid), claimOf(client));
        assert.ok(back.recovered);
        io.to('allusers').emit('m', 3);
        io.to(client.uid).emit('m', 4);
        assert.deepStrictEqual(await told(redis, [back]), [[['m', 2], ['m', 4]]]);
    }
});
test('refused, and cut off again before it knows its new offset', async (t) => {
    const redis = await redisServer();
    const first = await start(t, redis);
    const cutter = await Cutter.start(t, first.addr);
    const kinds = ['websocket', 'polling'];
    for (const transports of kinds) {
        const numbers = new Numbers(redis, ['again']);
        const client = await follow(t, 4, cutter.addr, { token: tokenOf('again'), hears: ['again'], transports });
        numbers.many(2);
        await client.heardAll(numbers);
        redis.emitter().in('again').disconnectSockets(); /* it has no session any more */
        await client.noted('disconnect');
        numbers.many(2);
        for (const rule of [RULES.behindReply(), RULES.beforeOffset(), RULES.beforeReply()]) {
            cutter.rule = rule;
            const count = client.connects.length;
            if (client.socket.active) {
                cutter.down();
                await client.lost();
                cutter.up();
            } else {
                client.socket.connect();
            }
            await client.connectedAgain(count);
            numbers.many(2);
            await client.heardAll(numbers);
            cutter.rule = null; /* not each answer has an $offset */
        }
        assert.deepStrictEqual(client.wrong, []);
        assert.ok(client.refused > 0 && !client.connects[1].recovered);
        assert.ok(client.last.get('again') === numbers.said.get('again') - 1);
        client.close();
    }
});

/* --- not its own --- */

/* All that a client gets for such a claim, but for what differs each time. */
async function answerTo(t, { redis, server }, uid, claim) {
    const client = await visit(t, server.addr, tokenOf(uid), claim);
    const blank = (text) => text.replace(/[\w-]{72}/g, 'PID').replace(/[\w-]{20}/g, 'ID').replace(/"[\w-]{11}"/g, '"OFFSET"');
    redis.emitter().to(uid).emit('end');
    const packets = [blank(client.answer)];
    while (!packets[packets.length - 1].includes('"end"')) packets.push(blank(await client.text()));
    client.destroy();
    return { recovered: client.recovered, packets };
}
const REFUSED = ['40/axr,{"sid":"ID","pid":"PID"}', '42/axr,["$offset","OFFSET"]', '42/axr,["end","OFFSET"]'];
const flip = (pid, at, bits = 1) => {
    const bytes = Buffer.from(pid, 'base64url');
    bytes[at] ^= bits;
    return bytes.toString('base64url');
};

test('pids and offsets that are none, cut short or forged: all are answered alike', async (t) => {
    const place = await world();
    const client = await begin(t, place);
    await miss(place, client);
    await away(place, client);
    const { pid, offset } = claimOf(client);
    const other = await begin(t, place);
    other.destroy();
    const foreign = await start(t, place.redis, true, { auth: { secret: `another ${SECRET}` } });
    const forged = await visit(t, foreign.addr, sign({ uid: client.uid }, `another ${SECRET}`));
    await foreign.stop();
    const pids = [
        '', 'x', 'A'.repeat(72), '_'.repeat(72), pid.slice(0, 71), `${pid}A`, `${pid}=`, pid.slice(1), pid.toUpperCase(), pid.replace(/./, '%'),
        'é€😀'.repeat(12), 'A'.repeat(3000), 0, 1, -1, 1e300, true, false, [], [pid], {}, { pid }, [[[[[[]]]]]], other.reply.pid, forged.reply.pid,
        ...Array.from({ length: 54 }, (_, at) => flip(pid, at, 1 << (at & 7))), flip(pid, 0, 0xff), pid.slice(0, 36) + other.reply.pid.slice(36),
    ];
    const offsets = [
        '', 'x', 'A'.repeat(11), '_'.repeat(11), offset.slice(0, 10), `${offset}A`, `${offset}=`, offset.slice(1), flip(offset, 7), flip(offset, 0), `${offset} `,
        'A'.repeat(3000), 7, true, [], [offset], {}, { offset },
    ];
    const claims = [...pids.map((one) => ({ pid: one, offset })), ...offsets.map((one) => ({ pid, offset: one }))];
    for (let at = 0; at < claims.length; at += 20)
        await Promise.all(claims.slice(at, at + 20).map(async (claim) => {
            const answer = await answerTo(t, place, client.uid, claim);
            assert.deepStrictEqual(answer, { recovered: false, packets: REFUSED }, JSON.stringify(claim).slice(0, 200));
        }));
});
test('a pid of another user, and of another session of its own', async (t) => {
    const place = await world();
    const { redis, server } = place;
    const [victim, attacker] = [await begin(t, place), await begin(t, place)];
    redis.emitter().to(victim.uid).emit('secret', 1);
    await told(redis, [victim, attacker]);
    /* while the victim is there: it stays */
    for (const offset of [victim.offset, attacker.offset, undefined])
        assert.deepStrictEqual(await answerTo(t, place, attacker.uid, { pid: victim.reply.pid, offset }), { recovered: false, packets: REFUSED });
    assert.deepStrictEqual(await told(redis, [victim]), [[]]);
    await away(place, victim);
    redis.emitter().to(victim.uid).emit('secret', 2);
    for (const offset of [victim.offset, attacker.offset, undefined])
        assert.deepStrictEqual(await answerTo(t, place, attacker.uid, { pid: victim.reply.pid, offset }), { recovered: false, packets: REFUSED });
    const back = await visit(t, server.addr, tokenOf(victim.uid), claimOf(victim));
    assert.ok(back.recovered);
    assert.deepStrictEqual(await told(redis, [back]), [[['secret', 2]]]);
});
test('its own pid, with offsets of any message to anybody, and from before it was there', async (t) => {
    const place = await world();
    const { redis, server } = place;
    const [victim, uid] = [await begin(t, place), stranger()];
    redis.emitter().to(uid).emit('before', 1);
    await told(redis, [victim]);
    const earliest = victim.offset;
    redis.emitter().to(uid).emit('before', 2);
    redis.emitter().to(victim.uid).emit('secret', 0);
    await told(redis, [victim]);
    const attacker = await begin(t, place, { uid });
    const offsets = [earliest, victim.offset];
    for (let i = 1; i <= 4; i++) {
        redis.emitter().to(victim.uid).emit('secret', i);
        while ((await next(victim))[0] !== 'secret');
        offsets.push(victim.offset);
        redis.emitter().to(uid).emit('own', i);
    }
    await told(redis, [victim, attacker]);
    attacker.destroy();
    redis.emitter().to(victim.uid).emit('secret', 5);
    redis.emitter().to(uid).emit('own', 5);
    for (const offset of [...offsets, undefined]) {
        const client = await visit(t, server.addr, tokenOf(uid), { pid: attacker.reply.pid, offset });
        const [events] = await told(redis, [client]);
        assert.ok(client.recovered);
        const first = offset === undefined ? 1 : Math.max(1, offsets.indexOf(offset) - 1);
        assert.deepStrictEqual(events.map(([name, nth]) => [name, nth]), [1, 2, 3, 4, 5].slice(first - 1).map((nth) => ['own', nth]));
        client.destroy();
    }
});
