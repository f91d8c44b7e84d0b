'use strict';
/* "Connected, but nothing arrives": each way to get there leaves a line in the log, with
 * the address, and no flood of them. */
const assert = require('assert');
const net = require('net');
const tls = require('tls');
const { test, shared, keep } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, SECRET } = require('./lib/daemon');
const { Http, Polling, once } = require('./lib/http');
const { Raw, joined } = require('./lib/raw');
const { sign } = require('./lib/jwt');
const { SLOW, within } = require('./lib/time');

const redisOf = shared((s) => Redis.start(s));
const world = shared(async (s) => {
    const redis = await redisOf();
    const config = { workers: 1, log: { level: 'info' }, 'socket.io': { connectTimeout: 500 * SLOW }, cors: { origins: ['https://app.example'] } };
    const daemon = await Daemon.start(s, { redis, config });
    return { redis, daemon, addr: daemon.addr };
});

/* Sends bytes as they are; resolves to the port they came from, once the daemon has closed. */
function sends(addr, bytes) {
    const socket = net.connect(addr, () => socket.write(bytes));
    return new Promise((resolve) => {
        let port;
        socket.on('connect', () => (port = socket.localPort));
        socket.on('error', () => {}).resume();
        socket.on('close', () => resolve(port));
    });
}
const get = (target, lines = '', version = '1.1') => `GET ${target} HTTP/${version}\r\nHost: h\r\nConnection: close\r\n${lines}\r\n`;
const WS = '/notifications/?EIO=4&transport=websocket';

/* What is sent, and the line without its address. */
const BYTES = {
    'a client of another path': [get('/socket.io/?EIO=4&transport=polling'), 'request for another path: path=/socket.io/ served=/notifications/'],
    'TLS': [Buffer.from('16030102000100', 'hex'), 'TLS on a port for plain HTTP:'],
    'a PROXY line': [`PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n${get(WS)}`, 'PROXY header on a listener without proxyProtocol:'],
    'an upgrade that a proxy took away': [get(WS), 'WebSocket request without its upgrade: a proxy has to pass on Upgrade and Connection:'],
    'a page that may not': [get('/notifications/?EIO=4&transport=polling', 'Origin: https://evil.example\r\n'), 'request of a page that may not: origin=https://evil.example site=-'],
};
for (const [what, [bytes, line]] of Object.entries(BYTES))
    test(`${what}: one line`, async () => {
        const { daemon, addr } = await world();
        const port = await sends(addr, bytes);
        await daemon.logged(new RegExp(`info worker 1\\[\\d+\\]: ${line.replace(/[.?]/g, '\\$&')} address=127\\.0\\.0\\.1:${port} times=1$`, 'm'));
        for (let i = 0; i < 5; i++) await sends(addr, bytes);
        assert.strictEqual(daemon.log.split(line).length, 2, 'lines');
    });
test('a real TLS client', async (t) => {
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1 } });
    const socket = tls.connect({ ...daemon.addr, rejectUnauthorized: false });
    socket.on('error', () => {});
    await daemon.logged(/info worker 1\[\d+\]: TLS on a port for plain HTTP: address=/);
    socket.destroy();
});
test('a WebSocket over HTTP/1.0, as nginx passes it on by default', async (t) => {
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1 } });
    const lines = 'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
    await sends(daemon.addr, `GET ${WS} HTTP/1.0\r\nConnection: upgrade\r\n${lines}\r\n`);
    await daemon.logged(/WebSocket over HTTP\/1\.0: a proxy has to pass requests on as HTTP\/1\.1: address=/);
});

for (const [what, open] of Object.entries({ WebSocket: (addr) => Raw.open(addr), polling: (addr) => Polling.open(addr) }))
    test(`over ${what}: a namespace that is not served, and none asked for in time`, async (t) => {
        const { redis } = await world();
        const daemon = await Daemon.start(t, { redis, config: { workers: 1, 'socket.io': { connectTimeout: 500 * SLOW } } });
        const client = keep(t, await open(daemon.addr));
        const connect = (nsp) => (client.sendText ? client.sendText(`40${nsp},`) : client.send(`40${nsp},`));
        const transport = what.toLowerCase();
        await connect('/a x');
        assert.match(await client.text(), /^44\/a x,.*Invalid namespace/);
        await daemon.logged(new RegExp(`info worker 1\\[\\d+\\]: namespace is not served: namespace=/a\\\\x20x served=/axr address=127\\.0\\.0\\.1:\\d+ transport=${transport} times=1$`, 'm'));
        await connect('/b');
        await daemon.logged(new RegExp(`debug worker 1\\[\\d+\\]: namespace is not served: namespace=/b served=/axr address=127\\.0\\.0\\.1:\\d+ transport=${transport}$`, 'm'));
        await daemon.logged(new RegExp(`info worker 1\\[\\d+\\]: client did not ask for the namespace and is closed: served=/axr within_ms=${500 * SLOW} address=127\\.0\\.0\\.1:\\d+ transport=${transport} times=1$`, 'm'), within(5000));
    });

test('a token that is refused', async (t) => {
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, limits: { connectionsPerUser: 1 } } });
    keep(t, await joined(daemon.addr, daemon.token('u')));
    await assert.rejects(joined(daemon.addr, daemon.token('u')));
    for (let i = 0; i < 2; i++) await assert.rejects(joined(daemon.addr, 'junk'));
    await daemon.logged(/info worker 1\[\d+\]: client refused: reason=user_limit address=127\.0\.0\.1:\d+ transport=websocket times=1$/m);
    await daemon.logged(/info worker 1\[\d+\]: client refused: reason=token_malformed address=127\.0\.0\.1:\d+ transport=websocket times=1$/m);
    await daemon.logged(/debug worker 1\[\d+\]: client refused: reason=token_malformed address=127\.0\.0\.1:\d+ transport=websocket$/m);
});

const OTHER = 'another secret, as long as the one: 0123456789';
test('a token that is refused: which one it was, and what was wanted', async (t) => {
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1 } });
    const refused = async (token) => {
        const client = keep(t, await Raw.open(daemon.addr));
        client.sendText(client.connectPacket('/axr', { token }));
        return JSON.parse((await client.text()).slice('44/axr,'.length));
    };
    const line = (text) => new RegExp(`info worker 1\\[\\d+\\]: client refused: ${text} times=1$`, 'm');
    const from = 'address=127\\.0\\.0\\.1:\\d+ transport=websocket';
    await refused(sign({ iss: 'the issuer', profile: { uid: 'x\ny' } }, OTHER, 'HS256', { kid: 'k"1' }));
    await daemon.logged(line(`reason=token_signature ${from} kid=k\\\\x221 iss=the\\\\x20issuer unverified_uid=x\\\\x0ay`));
    assert.deepStrictEqual(await refused(sign({ uid: 'u', exp: '1' }, SECRET)), {
        message: 'A claim of the token is invalid: exp has to be a number of seconds since 1970', data: { code: 'token_claim' } });
    await daemon.logged(line(`reason=token_claim ${from} wanted="exp has to be a number of seconds since 1970" unverified_uid=u`));
    assert.deepStrictEqual(await refused(sign({ profile: {}, sub: 'u', iss: 'i' }, SECRET)), {
        message: 'The token names no user: profile.uid has to be a string of 1 to 255 bytes', data: { code: 'token_user' } });
    await daemon.logged(line(`reason=token_user ${from} wanted="profile.uid has to be a string of 1 to 255 bytes" iss=i`));
});
test('at info nothing is said of what a refused token says of itself', async () => {
    const { daemon, addr } = await world();
    await assert.rejects(joined(addr, sign({ iss: 'secretive', uid: 'unseen' }, OTHER, 'HS256', { kid: 'hidden' })));
    await assert.rejects(joined(addr, sign({ uid: 7 }, SECRET)));
    await daemon.logged(/info worker 1\[\d+\]: client refused: reason=token_signature address=127\.0\.0\.1:\d+ transport=websocket times=1$/m);
    await daemon.logged(/info worker 1\[\d+\]: client refused: reason=token_user address=127\.0\.0\.1:\d+ transport=websocket wanted="uid has to be a string of 1 to 255 bytes" times=1$/m);
    assert.doesNotMatch(daemon.log, /secretive|unseen|hidden/);
});
test('a token that is not renewed', async (t) => {
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1 } });
    const client = keep(t, await joined(daemon.addr, daemon.token('u')));
    const renewed = async (token) => {
        client.sendText(`42/axr,1["authenticate",${JSON.stringify(token)}]`);
        return JSON.parse((await client.text()).slice('43/axr,1'.length))[0];
    };
    assert.deepStrictEqual(await renewed(sign({ uid: 'u', nbf: [] }, SECRET)), {
        ok: false, message: 'A claim of the token is invalid: nbf has to be a number of seconds since 1970', code: 'token_claim' });
    await renewed(sign({ uid: 'v' }, OTHER));
    await daemon.logged(/info worker 1\[\d+\]: token not renewed: reason=token_claim address=127\.0\.0\.1:\d+ transport=websocket wanted="nbf has to be a number of seconds since 1970" unverified_uid=u times=1$/m);
    await daemon.logged(/info worker 1\[\d+\]: token not renewed: reason=token_signature address=127\.0\.0\.1:\d+ transport=websocket unverified_uid=v times=1$/m);
});

test('each notification and request at debug, with nobody who hears it, and none at info', async (t) => {
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis, config: { workers: 2 } });
    const client = keep(t, await joined(daemon.addr, daemon.token('ann')));
    redis.emitter().to('ann').except('bob').emit('msg', { hush: 1 });
    redis.emitter().to(['nosuch', 'x y']).emit('msg', 1);
    redis.emitter().emit('all');
    redis.emitter().in('ann').socketsJoin(['g', 'h']);
    await daemon.logged(/debug master\[\d+\]: request: type=join rooms=ann names=g,h workers=[12]$/m);
    await daemon.logged(/debug master\[\d+\]: notification: event=msg rooms=ann except=bob workers=[12]$/m);
    await daemon.logged(/debug master\[\d+\]: notification: event=msg rooms=nosuch,x\\x20y workers=nobody$/m);
    await daemon.logged(/debug master\[\d+\]: notification: event=all rooms=\* workers=(1,2|2,1)$/m);
    assert.deepStrictEqual((await client.event()).args, ['msg', { hush: 1 }]);
    assert.doesNotMatch(daemon.log, /hush/);
    const quiet = (await world()).daemon;
    const other = keep(t, await joined(quiet.addr, quiet.token('ann')));
    redis.emitter().to('ann').emit('msg', 2);
    assert.deepStrictEqual((await other.event()).args, ['msg', 2]);
    assert.doesNotMatch(quiet.log, /notification: /);
});
test('what is right leaves no such line', async (t) => {
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1 } });
    const client = keep(t, await joined(daemon.addr, daemon.token('u')));
    const http = keep(t, new Http(daemon.addr));
    assert.strictEqual((await http.send('GET', '/status').answer()).status, 200);
    await once(daemon.addr, 'GET', `${WS.replace('websocket', 'polling')}`);
    client.destroy();
    await daemon.logged(/client disconnected: /);
    assert.doesNotMatch(daemon.log, /another path|plain HTTP|upgrade|may not|not served/);
});
