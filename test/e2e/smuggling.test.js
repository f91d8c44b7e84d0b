'use strict';
/* A body where none is read: what looks like a request in it is none.  There is one answer,
 * which says that it is the last, and the end of the connection, however the bytes come. */
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { test, shared, keep } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { Http, Polling, polled, once } = require('./lib/http');
const { frame, OP } = require('./lib/raw');
const { scrape } = require('./lib/metrics');
const { tempDir } = require('./lib/proc');
const { within } = require('./lib/time');

const ORIGIN = 'https://app.example';
const HANDSHAKE = '/notifications/?EIO=4&transport=polling';
const WEBSOCKET = '/notifications/?EIO=4&transport=websocket';
const UPGRADE = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': 13, 'Sec-WebSocket-Key': 'MDEyMzQ1Njc4OWFiY2RlZg==' };
const PREFLIGHT = { Origin: ORIGIN, 'Access-Control-Request-Method': 'POST' };
const FOREIGN = { ...PREFLIGHT, Origin: 'https://foreign.example' };

/* A session of the victim's is what the hidden requests are after. */
const world = shared(async (s) => {
    const redis = await Redis.start(s);
    const clientFile = path.join(tempDir(s), 'socket.io.js');
    fs.writeFileSync(clientFile, '/* a client */');
    const config = { workers: 2, 'socket.io': { clientFile }, cors: { origins: [ORIGIN] } };
    const daemon = await Daemon.start(s, { redis, config });
    return { redis, daemon, victim: await polled(daemon.addr, daemon.token('victim')) };
});

/* A session for which something waits: the answer to its CONNECT. */
async function told(eio) {
    const { daemon } = await world();
    const session = await Polling.open(daemon.addr, { eio });
    const token = daemon.token('u');
    await session.send(eio === 4 ? `40/axr,{"token":"${token}"}` : `40/axr?token=${token},`);
    return session.target();
}

/* --- what is asked --- */

/* [method, target (or what makes it), headers, status, whether it keeps the connection
 * if there is no body; undefined: that depends on the worker] */
const KINDS = {
    'a handshake': ['GET', HANDSHAKE, {}, 200, true],
    'a handshake of revision 3': ['GET', '/notifications/?EIO=3&transport=polling', {}, 200, true],
    'a GET of a session': ['GET', () => told(4), {}, 200, true],
    'a GET of a session of revision 3': ['GET', () => told(3), {}, 200, true],
    'a GET of a session that there is not': ['GET', `${HANDSHAKE}&sid=AAAAAAAAAAAAAAAAAAAA`, {}, 400],
    'a GET of an unknown transport': ['GET', '/notifications/?EIO=4&transport=carrier', {}, 400, true],
    'a GET of WebSocket without an upgrade': ['GET', WEBSOCKET, {}, 400, true],
    'GET /status': ['GET', '/status', {}, 200, true],
    'HEAD /status': ['HEAD', '/status', {}, 200, true],
    'OPTIONS /status': ['OPTIONS', '/status', PREFLIGHT, 204, true],
    'PUT /status': ['PUT', '/status', {}, 405, false],
    'OPTIONS': ['OPTIONS', HANDSHAKE, PREFLIGHT, 204, true],
    'OPTIONS from a foreign page': ['OPTIONS', HANDSHAKE, FOREIGN, 403, true],
    'OPTIONS from no page': ['OPTIONS', HANDSHAKE, {}, 400, true],
    'the client file': ['GET', '/notifications/socket.io.js', {}, 200, true],
    'the client file, known': ['GET', '/notifications/socket.io.js', { 'If-None-Match': '*' }, 304, true],
    'POST of the client file': ['POST', '/notifications/socket.io.js', {}, 405, false],
    'a path that there is not': ['GET', '/nowhere', {}, 404, false],
    'a POST to a path that there is not': ['POST', '/nowhere', {}, 404, false],
    'a POST of a session that there is not': ['POST', `${HANDSHAKE}&sid=AAAAAAAAAAAAAAAAAAAA`, {}, 400],
    'a POST without a session': ['POST', HANDSHAKE, {}, 400, true],
    'DELETE of a session': ['DELETE', () => told(4), {}, 405, false],
    'an upgrade of another version': ['GET', WEBSOCKET, { ...UPGRADE, 'Sec-WebSocket-Version': 12 }, 426, false],
    'an upgrade for a session that there is not': ['GET', `${WEBSOCKET}&sid=AAAAAAAAAAAAAAAAAAAA`, UPGRADE, 400, false],
    'an upgrade from a foreign page': ['GET', WEBSOCKET, { ...UPGRADE, Origin: FOREIGN.Origin }, 400, false],
};

/* Those of a session meet its own worker, and the other, which hands them over. */
const isOfSession = (kind) => /of a session($| of rev)/.test(kind);
const handoffs = async (daemon) => (await scrape(daemon)).get('handoffs_total', 'result="done"');

/* --- how it comes --- */

const FRAMINGS = {
    'Content-Length': { head: (body) => `Content-Length: ${body.length}\r\n`, body: (body) => body },
    chunked: { head: () => 'Transfer-Encoding: chunked\r\n', body: (body) => `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n` },
};
const STATUS = 'GET /status HTTP/1.1\r\nHost: behind\r\n\r\n';
const oneAnswer = (http) => http.until(() => http.bytes.includes('\r\n\r\n'), within(3000), 'an answer');
const DELIVERIES = {
    'in one segment': async (http, head, body) => http.send(head + body),
    'with a request behind it': async (http, head, body) => http.send(head + body + STATUS),
    'after the answer': async (http, head, body) => {
        await oneAnswer(http.send(head));
        http.send(body);
    },
    'byte by byte': async (http, head, body) => {
        for (const byte of head + body) {
            http.send(byte);
            await new Promise(setImmediate);
        }
    },
    'cut off': async (http, head, body) => http.send(head + body.slice(0, -9)),
};

const headOf = (method, target, headers, more) =>
    `${method} ${target} HTTP/1.1\r\nHost: front\r\n${Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('')}${more}\r\n`;

/* A connection of which it is known whether the server ended it with a FIN: what is sent for
 * long after that meets a reset. */
function open(t, where) {
    const http = keep(t, new Http(where));
    http.socket.once('end', () => (http.fin = true));
    return http;
}

/* One answer of that status, the last of its connection, and nothing behind it. */
async function isTheEnd(http, status, bodiless) {
    await http.over();
    assert.ok(http.fin, `a clean end: ${http.error}`);
    const all = http.bytes.toString('latin1');
    const answer = await http.answer(within(1000), bodiless);
    assert.strictEqual(answer.status, status, all);
    assert.strictEqual(answer.headers.connection, 'close', all);
    assert.strictEqual(http.bytes.length, 0, `more than one answer: ${all}`);
    return answer;
}

async function lives(victim, redis) {
    redis.emitter().to('victim').emit('msg', 'alive');
    assert.deepStrictEqual((await victim.event()).args, ['msg', 'alive']);
}

const hiddenFor = (victim) => `POST ${victim.target()} HTTP/1.1\r\nHost: hidden\r\nContent-Length: 1\r\n\r\n1`;

for (const [kind, [method, made, headers, status]] of Object.entries(KINDS)) {
    test(`${kind}, with a body: one answer and the end`, async (t) => {
        const { redis, daemon, victim } = await world();
        const hidden = hiddenFor(victim);
        const before = await handoffs(daemon);
        for (const framing of Object.values(FRAMINGS)) {
            for (const deliver of Object.values(DELIVERIES)) {
                for (let i = 0; i < (isOfSession(kind) ? 2 : 1); i++) {
                    const target = typeof made === 'string' ? made : await made();
                    const http = open(t, daemon.addr);
                    await deliver(http, headOf(method, target, headers, framing.head(hidden)), framing.body(hidden));
                    await isTheEnd(http, status, method === 'HEAD' || status === 304);
                    http.destroy();
                }
            }
        }
        if (isOfSession(kind)) assert.ok((await handoffs(daemon)) > before, 'some were handed over');
        await lives(victim, redis);
    });
}

/* ... for it is the body for which it ends, but for what ends anyway. */
test('the same without a body, or with one of no bytes', async (t) => {
    const { daemon } = await world();
    for (const [kind, [method, made, headers, status, keeps]] of Object.entries(KINDS)) {
        for (const length of ['', 'Content-Length: 0\r\n']) {
            const target = typeof made === 'string' ? made : await made();
            const http = open(t, daemon.addr);
            http.send(headOf(method, target, headers, length) + STATUS);
            const bodiless = method === 'HEAD' || status === 304;
            const noEnd = method === 'POST' && !length; /* how long its body is it does not say */
            if (keeps && !noEnd) {
                const first = await http.answer(within(3000), bodiless);
                assert.deepStrictEqual([first.status, first.headers.connection], [status, undefined], kind);
                assert.strictEqual((await http.answer()).status, 200, kind);
            } else if (keeps !== undefined) {
                await isTheEnd(http, status, bodiless);
            }
            http.destroy();
        }
    }
});

/* --- a GET that waits --- */

/* Everything that was sent before has been read: both workers have answered since. */
const settled = (daemon) => scrape(daemon);

const WAITING = {
    'in one segment': async (http, head, body) => http.send(head + body),
    'with a request behind it': async (http, head, body) => http.send(head + body + STATUS),
    'while it waits': async (http, head, body, daemon) => {
        http.send(head);
        await settled(daemon);
        http.send(body);
    },
    'byte by byte': DELIVERIES['byte by byte'],
};
for (const [how, deliver] of Object.entries(WAITING)) {
    for (const [name, framing] of Object.entries(FRAMINGS)) {
        test(`a GET that waits, ${name}, ${how}: its message, and the end`, async (t) => {
            const { redis, daemon, victim } = await world();
            const hidden = hiddenFor(victim);
            for (let i = 0; i < 4; i++) {
                const session = await polled(daemon.addr, daemon.token(`waits${i}`));
                const http = open(t, daemon.addr);
                await deliver(http, headOf('GET', session.target(), {}, framing.head(hidden)), framing.body(hidden), daemon);
                await settled(daemon);
                assert.strictEqual(http.bytes.length, 0, `an answer before there is one: ${http.bytes}`);
                redis.emitter().to(`waits${i}`).emit('msg', 'late');
                const { text } = await isTheEnd(http, 200);
                assert.strictEqual(text, '42/axr,["msg","late"]');
                http.destroy();
            }
            await lives(victim, redis);
        });
    }
}
/* --- an upgrade that succeeds --- */

test('what follows an upgrade is WebSocket, whatever its head says of a body', async (t) => {
    const { redis, daemon, victim } = await world();
    const hidden = hiddenFor(victim);
    for (const framing of Object.values(FRAMINGS)) {
        const http = open(t, daemon.addr);
        http.send(headOf('GET', WEBSOCKET, UPGRADE, framing.head(hidden)) + framing.body(hidden));
        await http.over();
        const all = http.bytes.toString('latin1');
        assert.match(all, /^HTTP\/1\.1 101 /);
        assert.strictEqual(all.split('HTTP/1.1').length, 2, all);
        http.destroy();
    }
    await lives(victim, redis);
});

/* --- the admin address --- */

test('the admin address: one answer and the end', async (t) => {
    const { daemon } = await world();
    const hidden = 'GET /users/victim HTTP/1.1\r\nHost: hidden\r\n\r\n';
    const admin = { host: '127.0.0.1', port: Number(/admin listening on \S+:(\d+)/.exec(daemon.log)[1]) };
    const asked = [['GET', '/status', 200], ['HEAD', '/health', 200], ['GET', '/metrics', 200], ['OPTIONS', '/status', 405], ['POST', '/status', 405], ['GET', '/nowhere', 404]];
    for (const [method, target, status] of asked) {
        for (const framing of Object.values(FRAMINGS)) {
            for (const deliver of Object.values(DELIVERIES)) {
                const http = open(t, admin);
                await deliver(http, headOf(method, target, {}, framing.head(hidden)), framing.body(hidden));
                await isTheEnd(http, status, method === 'HEAD');
                http.destroy();
            }
        }
    }
});
