'use strict';
/* What is promised to a client holds over polling as it does over WebSocket, and with both
 * revisions: expiry of tokens, limits of output, places of tokens, faults, what is logged. */
const assert = require('assert');
const { test, shared, keep } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, SECRET } = require('./lib/daemon');
const { Http, request } = require('./lib/http');
const { WAYS, isRaw, say, connectPacket, ended } = require('./lib/ways');
const { heardArgs } = require('./lib/hear');
const { arrived, scrape, settled } = require('./lib/metrics');
const { sign, now, expiring } = require('./lib/jwt');
const { SLOW, within, until, elapse } = require('./lib/time');

const redisServer = shared((s) => Redis.start(s));
const world = shared(async (s) => {
    const redis = await redisServer();
    return { redis, daemon: await Daemon.start(s, { redis, config: { workers: 2 } }) };
});
const all = Object.entries(WAYS);
const polling = all.filter(([, way]) => way.transport === 'polling');
/* fn for each way at once; uid is this client's alone. */
const each = (ways, fn) => Promise.all(ways.map(([what, way, more], i) => fn(way, `${way.transport}${i}`, more).catch((error) => {
    error.message = `${what}: ${error.message}`;
    throw error;
})));
const token = (uid, exp) => sign({ uid, ...(exp && { exp }) }, SECRET);

/* --- the expiry of tokens --- */

async function renew(client, fresh) {
    await say(client, `42/axr,7${JSON.stringify(['authenticate', fresh])}`);
    const text = await client.text();
    assert.match(text, /^43\/axr,7\[\{"ok":true,/);
}
const leave = (client) => say(client, client.eio === 4 ? '41/axr,' : '41/axr');
/* Asks to be let in again; carried: the token is in the packet, else it is what the session
 * has known since its handshake. */
async function joinAgain(client, carried) {
    await say(client, connectPacket(client, carried));
    assert.match(await client.text(), /^40\/axr,/);
}
async function expires(client, exp) {
    assert.strictEqual(await client.text(within((exp - now() + 2) * 1000)), '41/axr,');
    const late = Date.now() - exp * 1000;
    assert.ok(late >= 0 && late < within(2000), `${late} ms after exp`);
    await ended(client);
}
/* A client that came in with the token in its handshake, and had a moment. */
const comes = (t, daemon, way, uid, exp) => way.open(daemon.addr, { query: { token: token(uid, exp) } })
    .then(async (client) => {
        keep(t, client);
        await joinAgain(client);
        return client;
    });

/* Each takes its time, so that they go on at once; and returns those that are to stay. */
const EXPIRIES = {
    'an expiry that was renewed counts for who leaves and asks again: nearer': async (t) => {
        const { daemon } = await world();
        await each(all, async (way, uid) => {
            const { client, exp } = await expiring(async (near) => {
                const one = await comes(t, daemon, way, uid, now() + 1000);
                await renew(one, token(uid, near));
                await leave(one);
                await joinAgain(one);
                return { client: one, exp: near };
            });
            await expires(client, exp);
        });
        return [];
    },
    'an expiry that was renewed counts for who leaves and asks again: farther': async (t) => {
        const { daemon } = await world();
        const clients = [];
        const last = [];
        await each(all, async (way, uid) => {
            const { client, exp } = await expiring(async (near) => {
                const one = await comes(t, daemon, way, uid, near);
                await renew(one, token(uid, now() + 1000));
                await leave(one);
                return { client: one, exp: near };
            });
            clients.push(client);
            last.push(exp);
            await elapse((exp - now() + 1) * 1000); /* the first token is over now */
            await joinAgain(client);
        });
        assert.ok(Math.max(...last) < now());
        return clients;
    },
    'who has left is not ended by the expiry of the token it came with, nor is it when it has come again with another': async (t) => {
        const { daemon } = await world();
        const clients = [];
        await each(all.flatMap((one) => [[...one, false], [...one, true]]), async (way, uid, again) => {
            const { client, exp } = await expiring(async (near) => {
                const one = keep(t, await way.joined(daemon.addr, token(uid, near)));
                clients.push(one);
                await leave(one);
                return { client: one, exp: near };
            });
            if (again) await joinAgain(client, token(uid));
            await elapse((exp - now() + 1) * 1000);
            if (!again) await joinAgain(client, token(uid));
            assert.deepStrictEqual(isRaw(client) ? client.frames : client.packets, []);
        });
        return clients;
    },
};
test('the expiry that counts: a renewed one, nearer or farther, for who leaves and asks again; none for who has left', async (t) => {
    const { redis } = await world();
    const stay = await Promise.all(Object.entries(EXPIRIES).map(([what, fn]) => fn(t).catch((error) => {
        error.message = `${what}: ${error.message}`;
        throw error;
    })));
    const clients = stay.flat();
    assert.deepStrictEqual(await heardArgs(redis, clients), clients.map(() => []));
});

/* --- output that waits --- */

const small = shared(async (s) => {
    const redis = await redisServer();
    return { redis, daemon: await Daemon.start(s, { redis, config: { workers: 1, limits: { sendBuffer: 20000 } } }) };
});
for (const [what, way] of all)
    test(`${what}: one message above limits:sendBuffer reaches a client for which nothing waits`, async (t) => {
        const { redis, daemon } = await small();
        const client = keep(t, await way.joined(daemon.addr, daemon.token('u')));
        for (const size of [20000, 60000, 400000]) {
            redis.emitter().to('u').emit('large', 'x'.repeat(size));
            const { args } = await client.event();
            assert.deepStrictEqual([args[0], args[1].length], ['large', size]);
        }
        let large = null; /* while a GET is there, too */
        if (!isRaw(client)) {
            await arrived(daemon, () => (large = client.event()));
            redis.emitter().to('u').emit('large', 'x'.repeat(60000));
            assert.strictEqual((await large).args[1].length, 60000);
        }
        assert.deepStrictEqual(await heardArgs(redis, [client]), [[]]);
    });

for (const [what, way] of polling)
    test(`${what}: what comes behind a message above limits:sendBuffer may wait as behind any`, async (t) => {
        const { redis, daemon } = await small();
        const [client, witness] = await Promise.all(['u', 'u'].map((uid) => way.joined(daemon.addr, daemon.token(uid))));
        [client, witness].forEach((one) => keep(t, one));
        const publish = async (sizes) => {
            const count = (now) => now.get('deliveries_total') + now.get('deliveries_dropped_total', 'reason="send_buffer"');
            const before = count(await scrape(daemon));
            for (const [i, size] of sizes.entries()) redis.emitter().to('u').emit('n', i, 'x'.repeat(size));
            return settled(daemon, (now) => count(now) >= before + 2 * sizes.length, 'all of them');
        };
        const sizes = [60000, ...Array(9).fill(2000)];
        for (let round = 0; round < 2; round++) {
            await publish(sizes);
            for (const one of [client, witness])
                for (const [i, size] of sizes.entries()) assert.deepStrictEqual((await one.event()).args, ['n', i, 'x'.repeat(size)]);
        }
        await publish([60000, 15000, 15000]); /* it is no more than that */
        for (const one of [client, witness]) {
            for (let i = 0; i < 2; i++) assert.strictEqual((await one.event()).args[1], i);
            await ended(one);
        }
    });

const STALLS = {
    sendTimeout: [{ sendTimeout: Math.max(1500, 700 * SLOW), sendBuffer: 64 << 20 }, 'send timeout'],
    sendBuffer: [{ sendTimeout: 60000, sendBuffer: 200000 }, 'send buffer full'],
};
for (const [limit, [limits, reason]] of Object.entries(STALLS))
    test(`who polls and stays away is cut by limits:${limit}, and those who come lose nothing`, async (t) => {
        const redis = await redisServer();
        const daemon = await Daemon.start(t, { redis, config: { limits } });
        const [come, away] = [[], []];
        await each(polling, async (way) => {
            for (let i = 0; i < 2; i++) come.push(keep(t, await way.joined(daemon.addr, daemon.token('u'))));
            away.push(keep(t, await way.joined(daemon.addr, daemon.token('away'))));
        });
        const heard = come.map(() => []);
        const cut = () => (daemon.log.match(new RegExp(`client disconnected: user=away .*reason="${reason}"`, 'g')) || []).length;
        let seq = 0;
        for (const end = Date.now() + within(10000); cut() < away.length && Date.now() < end; ) {
            for (let i = 0; i < 5; i++) redis.emitter().emit('seq', seq++, 'x'.repeat(5000));
            (await heardArgs(redis, come)).forEach((numbers, i) => heard[i].push(...numbers));
        }
        assert.strictEqual(cut(), away.length, daemon.log);
        for (const numbers of heard) assert.deepStrictEqual(numbers, [...Array(seq).keys()]);
        /* What waited is still to be had where it was too much, and is whole up to its end. */
        for (const client of away) {
            const got = [];
            for (let text; (text = await client.text().catch(() => '')); ) got.push(...(/"seq",(\d+)/.exec(text) || []).slice(1).map(Number));
            assert.deepStrictEqual(got, [...Array(got.length).keys()]);
            assert.strictEqual(got.length > 0, limit === 'sendBuffer');
        }
    });

/* --- where a token travels --- */

const inQuery = (name) => (token) => ({ query: { [name]: token } });
const inHeader = (scheme) => (token) => ({ headers: { Authorization: `${scheme} ${token}` } });
const cookie = (token) => ({ headers: { Cookie: `a=b; jwt=${token}; c=d` } });
const PLACES = {
    packet: (token) => ({ packet: token }), 'query jwt_token': inQuery('jwt_token'), 'query auth_token': inQuery('auth_token'),
    'query token': inQuery('token'), 'Authorization: Bearer': inHeader('Bearer'), 'Authorization: JWT': inHeader('JWT'), cookie,
};
/* What a client with these tokens is told: "ok", or the code or text of a refusal. */
async function asks(t, daemon, way, { packet, ...how }) {
    const client = keep(t, await way.open(daemon.addr, how));
    await say(client, connectPacket(client, packet));
    const text = await client.text();
    client.user = /^40/.test(text);
    if (client.user) return { client, told: 'ok' };
    const reason = JSON.parse(text.slice('44/axr,'.length));
    return { client, told: way.eio === 4 ? reason.data.code : reason };
}
const together = (...parts) => parts.reduce((sum, one) => ({
    packet: one.packet || sum.packet, query: { ...sum.query, ...one.query }, headers: { ...sum.headers, ...one.headers },
}), {});
test('a token in each of its places: a good one lets in, of a bad one the reason is told, over both transports', async (t) => {
    const { daemon } = await world();
    for (const [place, carry] of Object.entries(PLACES))
        await each(all, async (way) => {
            assert.strictEqual((await asks(t, daemon, way, carry(token('u')))).told, 'ok', place);
            const { told } = await asks(t, daemon, way, carry(token('u', 1000)));
            assert.match(told, /^token_expired$|^The token has expired/, place);
        });
});
test('tokens in several places: the first good one counts, and of bad ones the first reason, over both transports', async (t) => {
    const { redis, daemon } = await world();
    const order = Object.values(PLACES).filter((carry) => carry !== PLACES['Authorization: JWT']);
    await each(all, async (way, uid) => {
        for (let first = 0; first < order.length; first++) {
            const bad = order.slice(0, first).map((carry) => carry(token('u', 1000)));
            const good = order.slice(first).map((carry, i) => carry(token(`${uid}-${first}-${i}`)));
            const { client, told } = await asks(t, daemon, way, together(...good, ...bad));
            assert.strictEqual(told, 'ok', `from place ${first} on`);
            for (let i = good.length - 1; i >= 0; i--) redis.emitter().to(`${uid}-${first}-${i}`).emit('msg', i);
            assert.deepStrictEqual((await client.event()).args, ['msg', 0]);
            client.destroy();
        }
        const reasons = await asks(t, daemon, way, together(...order.map((carry, i) => carry(i ? 'x.y.z' : token('u', 1000)))));
        assert.match(reasons.told, /^token_expired$|^The token has expired/);
    });
});
test('who polls, asks, leaves and goes before it is admitted takes no place of its user', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { limits: { connectionsPerUser: 2 } } });
    await each(polling, async (way, uid) => {
        const hasty = [['join'], ['join', 'leave'], ['join', 'leave', 'join'], ['join', 'leave', 'join', 'leave', 'join', 'leave']];
        for (let i = 0; i < 40; i++) {
            const client = keep(t, await way.open(daemon.addr));
            const packets = { join: connectPacket(client, token(uid)), leave: client.eio === 4 ? '41/axr,' : '41/axr' };
            const all = hasty[i % hasty.length].map((name) => packets[name]);
            if (i & 4) await client.send(...all, '1');
            else await client.send(...all).then(() => client.send('1'));
        }
        const clients = [];
        await until(async () => {
            const { client, told } = await asks(t, daemon, way, { packet: token(uid) });
            if (told === 'ok') clients.push(client);
            return clients.length === 2;
        }, within(3000), 'two places');
        redis.emitter().to(uid).emit('msg', 'once');
        for (const client of clients) assert.deepStrictEqual((await client.event()).args, ['msg', 'once']);
    });
    assert.doesNotMatch(daemon.log, /a client left that was not in/);
});

/* --- faults, and what is logged --- */

const placeholder = '["x",{"_placeholder":true,"num":0}]';
const FAULTS = {
    'no attachments announced': ['450-/axr,["x"]'], '11 attachments announced': [`4511-/axr,${placeholder}`],
    '10^9 attachments announced': [`451000000000-/axr,${placeholder}`], 'a number of attachments that is none': [`45x-/axr,${placeholder}`],
    'text in place of an attachment': [`451-/axr,${placeholder}`, '42/axr,["y"]'], 'an attachment nobody announced': ['b4AQID'],
    'an unknown Engine.IO packet': ['9'], 'a message without a packet': ['4'], 'an unknown Socket.IO packet': ['49/axr,["x"]'],
    'JSON that ends early': ['42/axr,["x"'], 'JSON that goes on': ['42/axr,["x"]]'], 'an event that is no array': ['42/axr,{"a":1}'],
    'an event without a name': ['42/axr,[]'], 'an event whose name is an object': ['42/axr,[{}]'], 'an ack that is no array': ['43/axr,1{}'],
    'CONNECT where it is in already': ['40/axr,'], 'an event in a namespace it never asked for': ['42/nope,["x"]'],
    'a refusal from the client': ['44/axr,"no"'],
};
test('packets that end a session end it over polling, too, and what is behind them is not read', async (t) => {
    const { daemon } = await world();
    for (const [what, packets] of Object.entries(FAULTS))
        await each(polling, async (way, uid) => {
            const client = keep(t, await way.joined(daemon.addr, daemon.token(uid)));
            const from = daemon.log.length;
            await client.send(...packets, '41/axr,', connectPacket(client, 'x.y.z'));
            await daemon.logged(new RegExp(`client disconnected: user=${uid} .*reason="protocol error"`), within(2000), from)
                .catch((error) => assert.fail(`${what}: ${error.message}`));
            await ended(client);
            assert.ok(!client.packets.some((one) => /^44/.test(one)), what);
        });
});
test('events, acks and attachments from clients that poll are read and dropped', async (t) => {
    const { redis, daemon } = await world();
    const clients = [];
    await each(polling, async (way) => {
        const client = keep(t, await way.joined(daemon.addr, daemon.token('u')));
        clients.push(client);
        await client.send('42/axr,["x",1,{"a":[null]}]', '42/axr,17["ack me"]', '43/axr,7[]', '43/axr,99["nobody asked"]', '5', '6');
        for (const count of [1, 2, 10]) {
            const parts = Array(count).fill(way.eio === 4 ? 'bAQID' : 'b4AQID');
            await client.send(`45${count}-/axr,${placeholder}`, ...parts.slice(1));
            await client.send(parts[0], `46${count}-/axr,5[{"_placeholder":true,"num":0}]`, ...parts);
        }
    });
    assert.deepStrictEqual(await heardArgs(redis, clients), [[], []]);
});
const IDLERS = {
    'asks for nothing': [], 'asks for the default namespace only': ['40'], 'asks for a wrong namespace only': ['40/nope,'],
};
test('connectTimeout: who polls and does not ask for the namespace is closed, who is in stays', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { 'socket.io': { connectTimeout: 1000 * SLOW } } });
    const clients = [];
    await each(polling, async (way) => clients.push(keep(t, await way.joined(daemon.addr, daemon.token('u')))));
    await each(polling, (way) => Promise.all(Object.entries(IDLERS).map(async ([what, packets]) => {
        const began = Date.now();
        const client = keep(t, await way.open(daemon.addr));
        for (const packet of way.eio === 3 && packets[0] === '40' ? [] : packets) await client.send(packet);
        await ended(client, within(2000));
        const took = Date.now() - began;
        assert.ok(took >= 1000 * SLOW - 20, `${what}: after ${took} ms`);
    })));
    assert.strictEqual((await scrape(daemon)).get('sessions_closed_total', 'reason="connect_timeout"'), 6);
    assert.deepStrictEqual(await heardArgs(redis, clients), [[], []]);
});
const ADDRESS = 'address=127\\.0\\.0\\.1:\\d+';
test('connects and disconnects over polling are logged with their reason', async (t) => {
    const { daemon } = await world();
    const line = (text) => daemon.logged(new RegExp(`^\\S+ info worker \\d+\\[\\d+\\]: ${text}$`, 'm'));
    await each(polling, async (way, uid) => {
        const came = (user) => line(`client connected: user=${user} ${ADDRESS} transport=polling protocol=${way.eio}`);
        const went = (user, why) => line(`client disconnected: user=${user} ${ADDRESS} transport=polling reason="${why}" duration=\\d+\\.\\ds`);
        const enter = async (user) => {
            const client = keep(t, await way.joined(daemon.addr, daemon.token(user)));
            await came(user);
            return client;
        };
        await leave(await enter(`${uid}leaver`));
        await went(`${uid}leaver`, 'client left');
        await (await enter(`${uid}closer`)).send('1');
        await went(`${uid}closer`, 'client');
        const dropper = await enter(`${uid}dropper`);
        const http = keep(t, new Http(daemon.addr));
        http.send(request('GET', dropper.target()));
        await settled(daemon, (now) => now.get('connections') > 0, 'it is there');
        http.destroy();
        await went(`${uid}dropper`, 'client');
    });
});
