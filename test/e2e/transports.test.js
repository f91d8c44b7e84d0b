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

test('an expiry that was renewed counts for who leaves and asks again: nearer', async (t) => {
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
});
test('an expiry that was renewed counts for who leaves and asks again: farther', async (t) => {
    const { redis, daemon } = await world();
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
    assert.deepStrictEqual(await heardArgs(redis, clients), clients.map(() => []));
});
test('who has left is not ended by the expiry of the token it came with, nor is it when it has come again with another', async (t) => {
    const { redis, daemon } = await world();
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
    assert.deepStrictEqual(await heardArgs(redis, clients), clients.map(() => []));
});
