'use strict';
/* Engine.IO and Socket.IO over WebSocket as the protocols say it, and what
 * happens to those that do not keep to them. */
const assert = require('assert');
const fs = require('fs');
const net = require('net');
const tls = require('tls');
const { once } = require('events');
const { test, shared, mode } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { Raw, OP, frame, exchange, upgradeRequest, joined } = require('./lib/raw');
const { heard } = require('./lib/hear');
const { BAD_FRAMES } = require('./lib/hostile');
const { memoryOf } = require('./lib/proc');
const { SLOW, within, deadline, until } = require('./lib/time');

const world = shared(async (s) => {
    const redis = await Redis.start(s);
    const daemon = await Daemon.start(s, { redis });
    return { redis, daemon, token: daemon.token('u') };
});

/* Who is to stay has a second for what it must do. */
const PING = { interval: 300 * SLOW, timeout: 1000 * SLOW, connect: 1000 * SLOW };
const hasty = shared(async (s) => {
    const { redis } = await world();
    const timers = { pingInterval: PING.interval, pingTimeout: PING.timeout, connectTimeout: PING.connect };
    const daemon = await Daemon.start(s, { redis, config: { 'socket.io': timers } });
    return { redis, daemon, token: daemon.token('u') };
});

/* Opens a client that goes with the test. */
async function open(t, options, { daemon } = {}) {
    const client = await Raw.open((daemon || (await world()).daemon).addr, options);
    t.after(() => client.destroy());
    return client;
}
async function join(t, options, { daemon, token } = {}) {
    const own = daemon ? { daemon, token } : await world();
    const client = await joined(own.daemon.addr, own.token, options);
    t.after(() => client.destroy());
    return client;
}

/* The client is still served: it hears a marker, and before it nothing. */
async function stays(client) {
    const { redis } = await world();
    assert.deepStrictEqual(await heard(redis, [client]), [[]]);
}
async function closes(client, codes) {
    const how = await client.end();
    assert.ok([].concat(codes).includes(how.code), `close code ${how.code}, not ${codes}`);
}
const ANY_CLOSE = [undefined, 0, 1000, 1002, 1003, 1007, 1008, 1009];

/* --- HTTP --- */

const get = (target, lines = '', method = 'GET') =>
    `${method} ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${lines}\r\n`;

const BY_CODE = ['Transport unknown', 'Session ID unknown', 'Bad handshake method', 'Bad request', 'Forbidden', 'Unsupported protocol version'];
const HTTP_ERRORS = {
    'no transport': [get('/notifications/?EIO=4'), 0],
    'an unknown transport': [get('/notifications/?EIO=4&transport=tobi'), 0],
    'transport __proto__': [get('/notifications/?EIO=4&transport=__proto__'), 0],
    'polling with POST and no session': [get('/notifications/?EIO=4&transport=polling', 'Content-Length: 2\r\n', 'POST') + '40', 2],
    'an unknown session': [get('/notifications/?EIO=4&transport=websocket&sid=abc'), 1],
    'a handshake with POST': [get('/notifications/?EIO=4&transport=websocket', 'Content-Length: 0\r\n', 'POST'), 2],
    'websocket without an upgrade': [get('/notifications/?EIO=4&transport=websocket'), 3],
};
for (const [what, [request, code]] of Object.entries(HTTP_ERRORS)) {
    test(`HTTP: ${what} is refused with code ${code}`, async () => {
        const { daemon } = await world();
        const answer = await exchange(daemon.addr, request);
        assert.strictEqual(answer.status, 400);
        assert.match(answer.headers['content-type'], /^application\/json/);
        assert.strictEqual(answer.body, JSON.stringify({ code, message: BY_CODE[code] }));
    });
}
test('HTTP: polling is served', async () => {
    const { daemon } = await world();
    for (const query of ['EIO=4&transport=polling', 'EIO=3&transport=polling&b64=1']) {
        const answer = await exchange(daemon.addr, get(`/notifications/?${query}`));
        assert.strictEqual(answer.status, 200, query);
        assert.match(answer.body, /^(\d+:)?0\{"sid":"[\w-]+","upgrades":\["websocket"\],/, query);
    }
});
test('socket.io:transports: what is not listed is an unknown transport, and no upgrade is offered', async (t) => {
    const { redis } = await world();
    const only = async (transports) => Daemon.start(t, { redis, config: { 'socket.io': { transports } } });
    const websocket = await only(['websocket']);
    for (const query of ['EIO=4&transport=polling', 'EIO=3&transport=polling&b64=1']) {
        const answer = await exchange(websocket.addr, get(`/notifications/?${query}`));
        assert.strictEqual(answer.status, 400);
        assert.strictEqual(answer.body, JSON.stringify({ code: 0, message: BY_CODE[0] }));
    }
    await join(t, {}, { daemon: websocket, token: websocket.token('u') });
    const polling = await only(['polling']);
    const open = await exchange(polling.addr, get('/notifications/?EIO=4&transport=polling'));
    assert.match(open.body, /"upgrades":\[\],/);
    const refused = await exchange(polling.addr, upgradeRequest({ eio: 4 }).text);
    assert.deepStrictEqual([refused.status, refused.body], [400, BY_CODE[0]]);
});

/* An upgrade request that must be refused: the answer. */
async function refusedUpgrade(options) {
    const { daemon } = await world();
    const { text } = upgradeRequest({ eio: 4, ...options });
    return exchange(daemon.addr, text);
}
const UPGRADE_ERRORS = {
    'an unknown transport': [{ query: { transport: 'tobi' } }, 400, /Transport unknown/],
    'no transport': [{ query: { transport: undefined } }, 400, /Transport unknown/],
    'an unknown session': [{ query: { sid: 'abc' } }, 400, /Session ID unknown/],
    'a session id of 10,000 characters': [{ query: { sid: 'a'.repeat(10000) } }, 400, /Session ID unknown/],
    'no key': [{ headers: { 'Sec-WebSocket-Key': undefined } }, 400],
    'a short key': [{ headers: { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZQ==' } }, 400],
    'a key that is not base64': [{ headers: { 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' } }, 400],
    'version 7': [{ headers: { 'Sec-WebSocket-Version': 7 } }, 426],
    'POST': [{ method: 'POST' }, 400],
    'another path': [{ path: '/socket.io/' }, 404],
    'a path that begins like ours': [{ path: '/notificationsx/' }, 404],
    'the root': [{ path: '/' }, 404],
};
for (const [what, [options, status, body]] of Object.entries(UPGRADE_ERRORS)) {
    test(`upgrade: ${what} is refused with ${status}`, async () => {
        const answer = await refusedUpgrade(options);
        assert.strictEqual(answer.status, status, JSON.stringify(answer));
        if (status === 426) assert.strictEqual(answer.headers['sec-websocket-version'], '13');
        if (body) assert.match(answer.body, body);
    });
}
test('HTTP: another path is 404', async () => {
    const { daemon } = await world();
    for (const target of ['/', '/socket.io/?EIO=4&transport=websocket', '/notificationsx', '/statusx'])
        assert.strictEqual((await exchange(daemon.addr, get(target))).status, 404, target);
});
test('upgrade: with and without the last slash, below the path, with unknown parameters, the last of two counts', async (t) => {
    for (const path of ['/notifications', '/notifications/', '/notifications/below'])
        await open(t, { path });
    await open(t, { query: { t: 'PqR', b: '1' } });
    await open(t, { target: '/notifications/?EIO=3&transport=polling&EIO=4&transport=websocket' });
    await open(t, { headers: { Connection: 'keep-alive, uPgRaDe', Upgrade: 'WebSocket' } });
    await open(t, { headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' } });
});
test('upgrade: no extension is agreed to', async (t) => {
    const client = await open(t, { headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' } });
    assert.strictEqual(client.head.headers['sec-websocket-extensions'], undefined);
});

const target = '/notifications/?EIO=4&transport=websocket';
const BAD_HEADS = {
    'a head above limits:headerBytes': [get(target, `X: ${'x'.repeat(20000)}\r\n`), [431]],
    'more than limits:headers headers': [get(target, 'X: x\r\n'.repeat(200)), [431]],
    'a target above limits:headerBytes': [get(`${target}&x=${'x'.repeat(20000)}`), [414, 431]],
    'Content-Length with Transfer-Encoding': [get(target, 'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n') + '0\r\n\r\n', [400]],
    'two Content-Lengths': [get(target, 'Content-Length: 3\r\nContent-Length: 4\r\n') + 'abcd', [400]],
    'a folded header': [get(target, 'X: a\r\n b\r\n'), [400]],
    'white space before a colon': [get(target, 'X : a\r\n'), [400]],
    'a header without a colon': [get(target, 'nonsense\r\n'), [400]],
    'NUL in a header': [get(target, 'X: a\x00b\r\n'), [400]],
    'a bare CR': [get(target, 'X: a\rb\r\n'), [400]],
    'HTTP/2.0': [`GET ${target} HTTP/2.0\r\nHost: x\r\n\r\n`, [400, 505]],
    'the HTTP/2 preface': ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400, 404, 505]],
    'nonsense': ['hello there\r\n\r\n', [400]],
    'octets posted to EIO4': [get('/notifications/?EIO=4&transport=polling', 'Content-Type: application/octet-stream\r\nContent-Length: 4\r\n', 'POST') + '\x00\x01\xff4', [400]],
    'a body of a megabyte': [get('/notifications/?EIO=4&transport=polling', 'Content-Length: 1048576\r\n', 'POST') + 'x'.repeat(1 << 20), [400, 413]],
};
for (const [what, [request, statuses]] of Object.entries(BAD_HEADS)) {
    test(`HTTP: ${what}: ${statuses.join(' or ')}, and the answer arrives`, async () => {
        const { daemon } = await world();
        const answer = await exchange(daemon.addr, Buffer.from(request, 'latin1'), within(1000));
        assert.ok(statuses.includes(answer.status), `status ${answer.status} ${answer.error || ''}`);
    });
}
test('HTTP: a TLS hello and an h2c upgrade end with a clean close', async (t) => {
    const { daemon } = await world();
    const hello = Buffer.from('16030100c8010000c40303' + '00'.repeat(196), 'hex');
    assert.strictEqual((await exchange(daemon.addr, hello, within(1000))).error, undefined);
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');
    assert.strictEqual((await exchange(daemon.addr, preface, within(1000))).error, undefined);
    const { host, port } = daemon.addr;
    const [error] = await deadline(once(tls.connect({ host, port, rejectUnauthorized: false }), 'error'), within(1000), 'a TLS client hears no');
    assert.match(error.code, /^(ERR_SSL_|ECONNRESET|EPROTO)/);
    const h2c = get(target, 'Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n').replace('close', 'Upgrade, HTTP2-Settings, close');
    assert.strictEqual((await exchange(daemon.addr, h2c, within(1000))).status, 400);
    await stays(await join(t));
});

/* --- the handshake --- */

test('the open packet is Engine.IO\'s; ids are long, of their alphabet and of each their own', async (t) => {
    const ids = new Set();
    for (const eio of [4, 3]) {
        const client = await open(t, { eio });
        assert.deepStrictEqual(Object.keys(client.handshake), ['sid', 'upgrades', 'pingInterval', 'pingTimeout', 'maxPayload']);
        const { sid, ...rest } = client.handshake;
        assert.deepStrictEqual(rest, { upgrades: [], pingInterval: 25000, pingTimeout: 20000, maxPayload: 1000000 });
        assert.match(sid, /^[A-Za-z0-9_-]{20,}$/);
        const own = await client.join('/axr', { token: (await world()).token });
        if (eio === 4) assert.match(own, /^[A-Za-z0-9_-]{20}$/);
        ids.add(sid).add(own);
    }
    assert.strictEqual(ids.size, 4);
});
test('a request that comes byte by byte, and frames that do', async () => {
    const { daemon, token } = await world();
    const auth = frame(OP.TEXT, `40/axr,${JSON.stringify({ token })}`);
    const bytes = Buffer.concat([Buffer.from(upgradeRequest({ eio: 4 }).text), auth]);
    const answer = await byteByByte(daemon.addr, bytes, /40\/axr,\{"sid":/);
    assert.match(answer, /^HTTP\/1\.1 101 /);
});
/* Each byte in a segment of its own, as far as the kernel lets us. */
function byteByByte(where, bytes, until_) {
    const socket = net.connect(where).setNoDelay(true);
    const found = new Promise((resolve, reject) => {
        let got = '';
        socket.on('error', reject);
        socket.on('close', () => reject(new Error(`closed after ${got}`)));
        socket.on('data', (data) => {
            got += data.toString('latin1');
            if (until_.test(got)) resolve(got);
        });
    });
    let at = 0;
    const step = () => at < bytes.length && socket.write(bytes.subarray(at, ++at), () => setImmediate(step));
    step();
    return deadline(found, within(5000), until_).finally(() => socket.destroy());
}
test('frames that come right behind the upgrade request', async (t) => {
    const { daemon, token } = await world();
    for (const eio of [4, 3]) {
        const auth = eio === 4 ? `40/axr,${JSON.stringify({ token })}` : `40/axr?token=${token},`;
        const early = Buffer.concat([frame(OP.TEXT, auth), frame(OP.PING, 'p'), frame(OP.TEXT, '42/axr,["x"]')]);
        const client = new Raw(daemon.addr, { eio, early });
        t.after(() => client.destroy());
        const frames = [];
        const seen = (check) => frames.some(check);
        while (!seen((one) => one.op === OP.PONG) || !seen((one) => /^40\/axr,/.test(one.text)))
            frames.push(await client.take());
        assert.deepStrictEqual(frames.find((one) => one.op === OP.PONG).payload.toString(), 'p');
        await stays(client);
    }
});

/* --- heartbeats --- */

/* In, however long that took; from now on it does not answer by itself. */
async function joinMute(t) {
    const client = await join(t, {}, await hasty());
    client.options.heartbeat = false;
    return client;
}
test('EIO4: the server pings, and goes on while it is answered', async (t) => {
    const client = await joinMute(t);
    for (let i = 0; i < 4; i++) {
        assert.strictEqual(await client.text(), '2');
        client.sendText('3');
    }
});
test('EIO4: who does not answer is closed after pingTimeout', async (t) => {
    const began = Date.now();
    const client = await joinMute(t);
    assert.strictEqual(await client.text(), '2');
    const asked = Date.now();
    await closes(client, [undefined, 0, 1000]);
    const took = Date.now() - began;
    assert.ok(took >= PING.interval + PING.timeout - 20, `after ${took} ms`);
    assert.ok(Date.now() - asked <= within(PING.timeout), `${Date.now() - asked} ms after the ping`);
});
test('EIO3: a ping is answered at once', async (t) => {
    const client = await join(t, { eio: 3 });
    client.sendText('2');
    assert.strictEqual(await client.text(), '3');
    client.sendText('2with data');
    assert.match(await client.text(), /^3/);
});
test('EIO3: who does not ping is closed after pingInterval + pingTimeout, who does is not', async (t) => {
    const own = await hasty();
    const live = await join(t, { eio: 3 }, own);
    const timer = setInterval(() => live.sendText('2'), PING.interval / 2);
    t.after(() => clearInterval(timer));
    live.onFrame = (one) => one.text === '3';
    const began = Date.now();
    const silent = await join(t, { eio: 3 }, own);
    await closes(silent, [undefined, 0, 1000]);
    assert.ok(Date.now() - began >= PING.interval + PING.timeout - 50);
    const { redis } = own;
    for (const end = Date.now() + PING.interval + PING.timeout; Date.now() < end;)
        assert.deepStrictEqual(await heard(redis, [live]), [[]]);
});
test('a heartbeat in the wrong direction closes', async (t) => {
    const four = await join(t, { eio: 4 });
    four.sendText('2');
    await closes(four, ANY_CLOSE);
    const three = await join(t, { eio: 3 });
    three.sendText('3');
    await closes(three, ANY_CLOSE);
});

/* --- connectTimeout --- */

const IDLERS = {
    'EIO4, asks for nothing': [4, () => {}],
    'EIO3, asks for nothing': [3, () => {}],
    'EIO4, only for the default namespace': [4, (client) => client.sendText('40')],
    'EIO4, only for a wrong namespace': [4, (client) => client.sendText('40/nope,')],
};
for (const [what, [eio, act]] of Object.entries(IDLERS)) {
    test(`connectTimeout: ${what}: closed`, async (t) => {
        const began = Date.now();
        const client = await open(t, { eio }, await hasty());
        act(client);
        await closes(client, [undefined, 0, 1000]);
        const took = Date.now() - began;
        assert.ok(took >= PING.connect - 20 && took <= within(PING.connect), `after ${took} ms`);
    });
}
test('connectTimeout: who is in stays', async (t) => {
    const client = await joinMute(t);
    for (const end = Date.now() + 2 * PING.connect; Date.now() < end;) {
        assert.strictEqual(await client.text(), '2');
        client.sendText('3');
    }
});

/* --- namespaces --- */

test('another namespace is refused, and the connection stays', async (t) => {
    const { token } = await world();
    const four = await open(t);
    four.sendText('40/nope,{"token":"x"}');
    assert.strictEqual(await four.text(), '44/nope,{"message":"Invalid namespace"}');
    four.sendText('40/axrx,');
    assert.strictEqual(await four.text(), '44/axrx,{"message":"Invalid namespace"}');
    await four.join('/axr', { token });
    await stays(four);
    const three = await open(t, { eio: 3 });
    three.sendText('40/nope?token=x,');
    assert.match(await three.text(), /^44\/nope,"Invalid namespace"$/);
    await three.join('/axr', { token });
    await stays(three);
});
test('the default namespace is joined as the protocol wants, and hears nothing', async (t) => {
    const { redis, token } = await world();
    const four = await open(t);
    assert.match(await four.join('/'), /^[A-Za-z0-9_-]{20}$/);
    await four.join('/axr', { token });
    const three = await open(t, { eio: 3 });
    await three.join('/axr', { token });
    redis.emitter('/').emit('msg', 'to the default namespace');
    assert.deepStrictEqual(await heard(redis, [four, three]), [[], []]);
});
test('where the default namespace is the configured one, EIO3 is judged by its request', async (t) => {
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis, config: { 'socket.io': { namespace: '/' } } });
    const token = daemon.token('u');
    const three = await Raw.open(daemon.addr, { eio: 3, query: { token } });
    const four = await Raw.open(daemon.addr);
    t.after(() => [three, four].forEach((client) => client.destroy()));
    await four.join('/', { token });
    redis.emitter('/').to('u').emit('msg', 1);
    for (const client of [three, four]) assert.deepStrictEqual((await client.event()).args, ['msg', 1]);
    const refused = await Raw.open(daemon.addr, { eio: 3, query: { token: 'x.y.z' }, root: false });
    assert.match(await refused.text(), /^44"/);
    refused.destroy();
});
test('DISCONNECT: the connection stays, nothing is heard, and it may ask again', async (t) => {
    const { redis, token } = await world();
    for (const eio of [4, 3]) {
        const witness = await join(t);
        const client = await join(t, { eio });
        const first = client.sid;
        client.sendText(eio === 4 ? '41/axr,' : '41/axr');
        client.sendText('42/axr,["late"]'); /* on its way when it left */
        client.send(OP.PING, 'left');
        assert.strictEqual((await client.take()).payload.toString(), 'left');
        redis.emitter().emit('msg', 'while out');
        assert.deepStrictEqual((await witness.event()).args, ['msg', 'while out']);
        const second = await client.join('/axr', { token });
        if (eio === 4) assert.notStrictEqual(second, first);
        await stays(client);
    }
});
test('EIO3: the namespace with a query, with and without a comma, encoded', async (t) => {
    const { token } = await world();
    for (const packet of [`40/axr?token=${token},`, `40/axr?token=${token}`, `40/axr?a=b&token=${token.replace(/\./g, '%2E')}&c=%20d,`]) {
        const client = await open(t, { eio: 3 });
        client.sendText(packet);
        assert.strictEqual(await client.text(), '40/axr,');
        await stays(client);
    }
    const client = await open(t, { eio: 3, query: { token } });
    client.sendText('40/axr');
    assert.strictEqual(await client.text(), '40/axr,');
});

/* --- what clients send --- */

test('events and acks from clients are ignored', async (t) => {
    for (const eio of [4, 3]) {
        const client = await join(t, { eio });
        for (const text of ['42/axr,["x",1,{"a":[null]}]', '42/axr,17["ack me"]', '43/axr,7[]', '43/axr,99["nobody asked"]', '5', '6'])
            client.sendText(text);
        await stays(client);
    }
});
test('1 to 10 attachments are read and dropped', async (t) => {
    for (const eio of [4, 3]) {
        const client = await join(t, { eio });
        for (const count of [1, 2, 10]) {
            client.sendText(`45${count}-/axr,["x",{"_placeholder":true,"num":0}]`);
            for (let i = 0; i < count; i++) client.sendBinary(Buffer.from(eio === 3 ? [4, i] : [i]));
            client.sendText(`46${count}-/axr,5[{"_placeholder":true,"num":0}]`);
            for (let i = 0; i < count; i++) client.sendText(eio === 3 ? 'b4AQID' : 'bAQID');
        }
        await stays(client);
    }
});
test('EIO3: a ping between a header and its attachment', async (t) => {
    const client = await join(t, { eio: 3 });
    client.sendText('451-/axr,["x",{"_placeholder":true,"num":0}]');
    client.sendText('2');
    assert.strictEqual(await client.text(), '3');
    client.sendBinary(Buffer.from([4, 1]));
    await stays(client);
});

const placeholder = '["x",{"_placeholder":true,"num":0}]';
const text = (...packets) => (client) => packets.forEach((packet) => client.sendText(packet));
const FAULTS = {
    'no attachments announced': text('450-/axr,["x"]'),
    '11 attachments announced': text(`4511-/axr,${placeholder}`),
    '10^9 attachments announced': text(`451000000000-/axr,${placeholder}`),
    'a number of attachments that is none': text(`45x-/axr,${placeholder}`),
    'text in place of an attachment': text(`451-/axr,${placeholder}`, '42/axr,["y"]'),
    'an attachment nobody announced': (client) => client.sendBinary(Buffer.from([4, 1])),
    'an empty text': text(''),
    'an unknown Engine.IO packet': text('9'),
    'a message without a packet': text('4'),
    'an unknown Socket.IO packet': text('49/axr,["x"]'),
    'JSON that ends early': text('42/axr,["x"'),
    'JSON that goes on': text('42/axr,["x"]]'),
    'an event that is no array': text('42/axr,{"a":1}'),
    'an event without a name': text('42/axr,[]'),
    'an event whose name is an object': text('42/axr,[{}]'),
    'an ack that is no array': text('43/axr,1{}'),
    'auth that is an array': text('40/axr,[1]'),
    'auth that is null': text('40/axr,null'),
    'auth that is a string': text('40/axr,"s"'),
    'CONNECT where it is in already': text('40/axr,{}'),
};
for (const [what, act] of Object.entries(FAULTS)) {
    test(`closed: ${what}`, async (t) => {
        const client = await join(t);
        act(client);
        await closes(client, ANY_CLOSE);
    });
}
/* --- RFC 6455 --- */

for (const [what, [bytes, codes]] of Object.entries(BAD_FRAMES)) {
    test(`WebSocket: ${what}: ${codes}`, async (t) => {
        const client = await join(t);
        client.sendRaw(bytes);
        await closes(client, codes);
    });
}
test('WebSocket: a length with its highest bit set', async (t) => {
    const client = await join(t);
    client.sendRaw(Buffer.from('81ffffffffffffffffff00000000', 'hex'));
    await closes(client, [1002, 1009]);
});
test('WebSocket: fragments that together are above maxHttpBufferSize: 1009', async (t) => {
    const client = await join(t);
    client.send(OP.TEXT, '4' + 'x'.repeat(600000), { fin: false });
    client.send(OP.CONT, 'x'.repeat(600000));
    await closes(client, 1009);
});
test('WebSocket: a message of maxHttpBufferSize bytes is read', async (t) => {
    const client = await join(t);
    const head = '42/axr,["';
    client.sendText(`${head}${'x'.repeat(1000000 - head.length - 2)}"]`);
    await stays(client);
});
for (const [what, piece] of [['one byte', 'x'], ['no byte', '']]) {
    test(`WebSocket: a message in fragments of ${what} is closed by the 64th`, async (t) => {
        const client = await join(t);
        client.send(OP.TEXT, '4', { fin: false });
        for (let i = 1; i < 64; i++) client.send(OP.CONT, piece, { fin: false });
        await closes(client, [1002, 1008, 1009]);
    });
}
test('WebSocket: a message in a few fragments, with a ping between', async (t) => {
    const client = await join(t, { eio: 3 });
    client.send(OP.TEXT, '', { fin: false });
    client.send(OP.CONT, '2pr', { fin: false });
    client.send(OP.PING, 'between');
    client.send(OP.CONT, 'obe');
    const pong = await client.take();
    assert.deepStrictEqual([pong.op, pong.payload.toString()], [OP.PONG, 'between']);
    assert.match(await client.text(), /^3/);
});
test('WebSocket: a ping is answered with its payload, a pong is ignored', async (t) => {
    const client = await join(t);
    client.send(OP.PONG, 'nobody asked');
    for (const payload of ['', 'x', 'y'.repeat(125)]) {
        client.send(OP.PING, payload);
        const one = await client.take();
        assert.deepStrictEqual([one.op, one.payload.toString(), one.fin, one.masked], [OP.PONG, payload, true, false]);
    }
});
test('WebSocket: a close is echoed with its code, and the connection ends', async (t) => {
    for (const [payload, code] of [[[], 0], [[3, 232], 1000], [[3, 233], 1001], [[11, 184], 3000], [[3, 232, 111, 107], 1000]]) {
        const client = await join(t, { echo: false });
        client.send(OP.CLOSE, Buffer.from(payload));
        await closes(client, code);
    }
});
test('WebSocket: what comes behind a close is not read', async (t) => {
    const client = await join(t, { echo: false });
    client.sendRaw(Buffer.concat([frame(OP.CLOSE, Buffer.from([3, 232])), frame(3, 'junk'), frame(OP.TEXT, '9')]));
    await closes(client, 1000);
});

/* --- what many bad clients cost --- */

const workerMemory = (daemon) => daemon.workers().reduce((sum, pid) => sum + memoryOf(pid), 0);

test('50 frames that claim 2^31 - 2 bytes cost less than 16 KB each', async (t) => {
    const { daemon } = await world();
    const clients = [];
    for (let i = 0; i < 50; i++) clients.push(await join(t, { echo: false }));
    const before = workerMemory(daemon);
    for (const client of clients) client.send(OP.TEXT, 'x', { claim: 2 ** 31 - 2 });
    await Promise.all(clients.map((client) => client.end()));
    const grown = workerMemory(daemon) - before;
    assert.ok(SLOW > 1 || grown < 50 * 16384, `grew by ${grown} bytes`);
});
test('pings without end, their pongs never read: closed, and little held', async (t) => {
    const { daemon } = await world();
    const client = await join(t);
    const before = workerMemory(daemon);
    client.socket.pause();
    let over = false;
    let most = 0;
    for (const event of ['error', 'close']) client.socket.on(event, () => (over = true));
    const pings = Buffer.concat(Array.from({ length: 1000 }, () => frame(OP.PING, 'x'.repeat(125))));
    let sent = 0;
    for (; !over && sent < 1000000; sent += 1000) {
        if (!client.socket.write(pings)) await flowing(client.socket, () => over);
        most = Math.max(most, workerMemory(daemon) - before);
    }
    assert.ok(over, `${sent} pings, and not closed`);
    assert.ok(SLOW > 1 || most < 256 * 1024, `workers grew by ${most} bytes`);
}, { quick: false });
/* Resolves when the socket takes more, or is over. */
function flowing(socket, isOver) {
    return deadline(new Promise((resolve) => {
        if (isOver()) resolve();
        for (const event of ['drain', 'error', 'close']) socket.once(event, resolve);
    }), within(15000), 'drain or close');
}
test('clients that vanish leave nothing behind', async (t) => {
    const { daemon } = await world();
    const count = mode === 'long' ? 20000 : 300;
    const before = await until(() => descriptors(daemon), 100, 'descriptors');
    for (let i = 0; i < count; i += 20) {
        await Promise.all(Array.from({ length: 20 }, async (_, k) => {
            const client = await joined(daemon.addr, daemon.token(`v${k}`), { eio: 3 + (k & 1) });
            if (k % 3 === 0) client.sendRaw(Buffer.from([0x81, 0xfe, 1]));
            if (k % 2) client.socket.resetAndDestroy();
            else client.destroy();
        }));
    }
    await until(() => descriptors(daemon) <= before, within(2000), 'descriptors of the clients given back');
    await stays(await join(t));
}, { root: true }); /* who else may not see the descriptors */
function descriptors(daemon) {
    return daemon.workers().reduce((sum, pid) => sum + fs.readdirSync(`/proc/${pid}/fd`).length, 0);
}
