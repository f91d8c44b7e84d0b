'use strict';
/* Which revision of Engine.IO a request is taken for, beside a Node server: "4" is 4, and
 * whatever else is 3, where that is served.  Old Swift clients name none on any request. */
const assert = require('assert');
const { test, shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, SECRET } = require('./lib/daemon');
const { Reference } = require('./lib/reference');
const { Polling, encode, request } = require('./lib/http');
const { Raw, exchange, upgradeRequest } = require('./lib/raw');
const { heardArgs } = require('./lib/hear');

const PATH = '/notifications/';
const QUERIES = [
    'EIO=4', 'EIO=3', '', 'EIO', 'EIO=', 'EIO=1', 'EIO=2', 'EIO=5', 'EIO=44', 'EIO=4x', 'EIO=04', 'EIO=4.0', 'EIO=+4', 'EIO=%204', 'EIO=NaN',
    'EIO=%34', 'EIO=%3', 'eio=4', 'EIO=3&EIO=4', 'EIO=4&EIO=3', 'EIO=4&EIO=', `EIO=${'4'.repeat(2000)}`,
];

const redisOf = shared((s) => Redis.start(s));
/* Both servers, with revision 3 and without it. */
const pairOf = (allowEIO3) => shared(async (s) => {
    const redis = await redisOf();
    const [daemon, node] = await Promise.all([
        Daemon.start(s, { redis, config: { 'socket.io': { allowEIO3 } } }),
        Reference.start(s, { redis: redis.port, secret: SECRET, nsp: '/axr', path: '/notifications', allowEIO3 }),
    ]);
    return { redis, daemon, both: [daemon.addr, node] };
});
const PAIRS = { true: pairOf(true), false: pairOf(false) };

/* Node's errors are chunked. */
async function once(where, method, query, body) {
    const answer = await exchange(where, request(method, `${PATH}?${query}`, { Connection: 'close' }, body));
    return [answer.status, answer.body];
}

/* What a GET is answered: the revision of a session that it opens, or what is wrong. */
async function polls(where, query) {
    const [status, text] = await once(where, 'GET', query);
    if (status !== 200) return [status, text];
    return /^0\{/.test(text) ? 4 : /^\d+:0\{/.test(text) ? 3 : text;
}
/* The same for a WebSocket.  A client's ping is answered in revision 3; in 4 it is a fault. */
async function connects(where, query) {
    const raw = new Raw(where, { target: `${PATH}?${query}`, heartbeat: false });
    try {
        await raw.upgraded;
        assert.match(await raw.text(), /^0\{/);
        raw.sendText('2');
        for (;;) {
            const text = await raw.text().catch(() => null);
            if (text !== '40') return text === '3' ? 3 : text === null ? 4 : text;
        }
    } finally {
        raw.destroy();
    }
}

for (const allowed of [true, false])
    test(`a session is opened in the revision that Node opens it in, allowEIO3 ${allowed}`, async () => {
        const { both } = await PAIRS[allowed]();
        for (const query of QUERIES) {
            const [ours, theirs] = await Promise.all(both.map((where) => polls(where, `transport=polling&${query}`)));
            assert.deepStrictEqual(ours, theirs, query.slice(0, 40));
        }
    });
test('and so it is over WebSocket', async () => {
    const { both } = await PAIRS.true();
    for (const query of QUERIES) {
        const [ours, theirs] = await Promise.all(both.map((where) => connects(where, `transport=websocket&${query}`)));
        assert.strictEqual(ours, theirs, query.slice(0, 40));
    }
});
test('where revision 3 is not served, a WebSocket is refused before it is upgraded', async () => {
    const { daemon } = await PAIRS.false();
    for (const query of ['', 'EIO=3&', 'EIO=44&']) {
        const answer = await exchange(daemon.addr, upgradeRequest({ target: `${PATH}?${query}transport=websocket` }).text);
        assert.deepStrictEqual([answer.status, answer.body], [400, 'Unsupported protocol version']);
    }
});
test('a later request of another revision than the session is refused as by Node', async () => {
    const { both } = await PAIRS.true();
    for (const opened of ['EIO=4', 'EIO=3', '']) {
        const sids = await Promise.all(both.map(async (where) => {
            const [, text] = await once(where, 'GET', `transport=polling&${opened}`);
            return /"sid":"([^"]+)"/.exec(text)[1];
        }));
        for (const query of QUERIES) {
            const noop = opened === 'EIO=4' ? '6' : '1:6';
            const [ours, theirs] = await Promise.all(both.map((where, i) => once(where, 'POST', `transport=polling&sid=${sids[i]}&${query}`, noop)));
            assert.deepStrictEqual(ours, theirs, `${opened}, then ${query.slice(0, 40)}`);
        }
    }
});

test('a client that names no revision on any request polls, upgrades and hears', async (t) => {
    const { redis, daemon } = await PAIRS.true();
    const token = daemon.token('u');
    const client = new Polling(daemon.addr, { eio: 3 });
    client.target = () => `${PATH}?transport=polling${client.sid ? `&sid=${client.sid}` : ''}`;
    await client.get();
    client.sid = JSON.parse(client.packets.shift().slice(1)).sid;
    assert.strictEqual(await client.text(), '40');
    await client.join('/axr', token);
    redis.emitter().to('u').emit('n', 1);
    assert.deepStrictEqual((await client.event()).args, ['n', 1]);
    await client.send('2');
    await client.get();
    assert.deepStrictEqual(client.packets, ['3']);
    const raw = new Raw(daemon.addr, { eio: 3, target: `${PATH}?transport=websocket&sid=${client.sid}` });
    t.after(() => raw.destroy());
    await raw.upgraded;
    raw.sendText('2probe');
    assert.strictEqual(await raw.text(), '3probe');
    raw.sendText('5');
    raw.sendText('2');
    assert.strictEqual(await raw.text(), '3');
    const direct = await Raw.open(daemon.addr, { eio: 3, target: `${PATH}?transport=websocket` });
    t.after(() => direct.destroy());
    await direct.join('/axr', { token });
    redis.emitter().to('u').emit('n', 2);
    assert.deepStrictEqual(await heardArgs(redis, [raw, direct]), [[2], [2]]);
    assert.strictEqual((await client.post(encode(['2'], 3))).status, 400, 'the session polls no more');
});
