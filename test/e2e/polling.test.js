'use strict';
/* HTTP long-polling as bytes on connections: Engine.IO 3 and 4, HTTP/1.1, CORS,
 * and requests of one session that come to whichever worker takes them. */
const assert = require('assert');
const { test, shared, keep } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { urlOf } = require('./lib/dial');
const { Http, Polling, polled, once, request, PATH } = require('./lib/http');
const { joined } = require('./lib/raw');
const { heard, heardArgs } = require('./lib/hear');
const { arrived, scrape } = require('./lib/metrics');
const { SLOW, within, until, elapse } = require('./lib/time');

const world = shared(async (s) => {
    const redis = await Redis.start(s);
    const daemon = await Daemon.start(s, { redis, config: { workers: 4 } });
    return { redis, daemon, addr: daemon.addr, token: daemon.token('u') };
});

/* Who is to stay has a second for what it must do. */
const PING = { interval: 300 * SLOW, timeout: 1000 * SLOW };
const hasty = shared(async (s) => {
    const { redis } = await world();
    const timers = { pingInterval: PING.interval, pingTimeout: PING.timeout, connectTimeout: 1000 * SLOW };
    const daemon = await Daemon.start(s, { redis, config: { workers: 2, 'socket.io': timers } });
    return { redis, daemon, addr: daemon.addr, token: daemon.token('u') };
});

const BY_CODE = ['Transport unknown', 'Session ID unknown', 'Bad handshake method', 'Bad request', 'Forbidden', 'Unsupported protocol version'];
function refusedWith(answer, code, status = 400) {
    const got = [answer.status, answer.headers['content-type'], answer.text];
    assert.deepStrictEqual(got, [status, 'application/json', JSON.stringify({ code, message: BY_CODE[code] })]);
}
async function enter(t, how, from) {
    const { addr, token, daemon } = from || (await world());
    const client = await polled(addr, token, how);
    t.after(() => client.destroy());
    return Object.assign(client, { daemon });
}
/* The sessions live: they hear a marker, and nothing before it. */
async function lives(clients, from) {
    const { redis } = from || (await world());
    const all = [].concat(clients);
    assert.deepStrictEqual(await heard(redis, all), all.map(() => []));
}
async function gone(client) {
    refusedWith(await client.get(), 1);
}
/* The session has been ended by the server: unknown, for a payload that is none, or
 * after a last word, for a packet in it that is none. */
async function ended(client) {
    const answer = await client.get();
    if (answer.status !== 200) return refusedWith(answer, 1);
    assert.strictEqual(client.packets.pop(), '1', answer.text);
    return gone(client);
}
/* A GET that hangs, on a connection of its own. */
async function hang(t, client, behind = '') {
    const http = new Http(client.where);
    t.after(() => http.destroy());
    await arrived(client.daemon, () => http.send(Buffer.concat([request('GET', client.target()), Buffer.from(behind)])));
    return http;
}

/* --- handshake --- */

for (const eio of [4, 3]) {
    test(`EIO${eio}: handshake, heads, namespace, an event`, async () => {
        const { addr, token, redis } = await world();
        const client = new Polling(addr, { eio });
        const answer = await client.get();
        const { 'content-length': length, ...headers } = answer.headers;
        assert.deepStrictEqual(headers, { 'cache-control': 'no-store', 'content-type': 'text/plain; charset=UTF-8' });
        assert.strictEqual(Number(length), answer.body.length);
        const open = JSON.parse(client.packets.shift().slice(1));
        assert.deepStrictEqual(Object.keys(open), ['sid', 'upgrades', 'pingInterval', 'pingTimeout', 'maxPayload']);
        assert.match(open.sid, /^[\w-]{32}$/);
        assert.deepStrictEqual({ ...open, sid: 0 }, { sid: 0, upgrades: ['websocket'], pingInterval: 25000, pingTimeout: 20000, maxPayload: 1000000 });
        client.sid = open.sid;
        if (eio === 3) assert.strictEqual(await client.text(), '40');
        const packet = eio === 4 ? `40/axr,${JSON.stringify({ token })}` : `40/axr?token=${token}`;
        const ok = await client.post(eio === 4 ? packet : `${packet.length}:${packet}`);
        assert.deepStrictEqual([ok.status, ok.headers['content-type'], ok.text], [200, 'text/html', 'ok']);
        assert.match(await client.text(), eio === 4 ? /^40\/axr,\{"sid":"[\w-]{20}"\}$/ : /^40\/axr,$/);
        redis.emitter().emit('msg', 'hé€😀', { a: [1, null] });
        assert.deepStrictEqual((await client.event()).args, ['msg', 'hé€😀', { a: [1, null] }]);
    });
}
const HANDSHAKE_ERRORS = {
    'POST': ['POST', 'EIO=4&transport=polling', 2], 'PUT': ['PUT', 'EIO=4&transport=polling', 2],
    'DELETE': ['DELETE', 'EIO=3&transport=polling', 2], 'OPTIONS without Origin': ['OPTIONS', 'EIO=4&transport=polling', 2],
    'another transport': ['GET', 'EIO=4&transport=webtransport', 0],
};
for (const [what, [method, query, code]] of Object.entries(HANDSHAKE_ERRORS)) {
    test(`handshake: ${what}: code ${code}`, async () => {
        const { addr } = await world();
        refusedWith(await once(addr, method, `${PATH}?${query}`, {}, method === 'GET' ? undefined : ''), code);
    });
}
test('HEAD: the head of the answer, and no body', async (t) => {
    const { addr } = await world();
    for (const [target, status] of [[`${PATH}?EIO=4&transport=polling`, 400], ['/nope', 404], [(await enter(t)).target(), 405]]) {
        const http = new Http(addr);
        http.send('HEAD', target, { Connection: 'close' });
        const answer = await http.answer(undefined, true);
        assert.strictEqual(answer.status, status);
        assert.ok(Number(answer.headers['content-length']) > 0);
        await http.over();
        assert.strictEqual(http.bytes.length, 0, `body: ${http.bytes}`);
    }
});

/* --- the sid --- */

test('a sid of wrong length, alphabet, generation, worker, index or secret is unknown', async (t) => {
    const client = await enter(t);
    const raw = Buffer.from(client.sid, 'base64url');
    const turned = (at) => {
        const copy = Buffer.from(raw);
        copy[at] ^= 1;
        return copy.toString('base64url');
    };
    const slots = [0, 1, 2, 3, 4, 200, 255].filter((slot) => slot !== raw[16]).map((slot) => {
        const copy = Buffer.from(raw);
        copy[16] = slot;
        return copy.toString('base64url');
    });
    const others = [client.sid.slice(1), `${client.sid}A`, `${client.sid}==`, 'a', 'a'.repeat(5000), '!'.repeat(32), `${client.sid.slice(0, 31)}+`, `${client.sid.slice(0, 31)} `, `${client.sid.slice(0, 31)}é`, '%00'.repeat(32)];
    for (const sid of [...slots, ...[0, 15, 17, 18, 19, 20, 23].map(turned), ...others]) {
        for (const method of ['GET', 'POST']) {
            const answer = await once(client.where, method, client.target({ sid }), {}, method === 'POST' ? '3' : undefined);
            refusedWith(answer, 1);
        }
    }
    await lives(client);
});
test('another protocol version than the session\'s: code 3', async (t) => {
    const client = await enter(t);
    refusedWith(await once(client.where, 'GET', client.target({ EIO: 3 })), 3);
    refusedWith(await once(client.where, 'GET', client.target({ EIO: '' })), 3);
    await lives(client);
    const raw = await joined(client.where, (await world()).token);
    t.after(() => raw.destroy());
    refusedWith(await once(client.where, 'GET', client.target({ sid: raw.handshake.sid })), 3);
});

/* --- payloads --- */

for (const [eio, query, what] of [[4, {}, 'EIO4'], [3, {}, 'EIO3, binary form'], [3, { b64: 1 }, 'EIO3, base64'], [4, { j: 7 }, 'EIO4, JSONP'], [3, { j: 0 }, 'EIO3, JSONP']]) {
    test(`payload: ${what}: text, non-ASCII, binary, large, many in order`, async (t) => {
        const { redis } = await world();
        const client = await enter(t, { eio, query });
        const io = redis.emitter();
        const big = Buffer.alloc(70000, 7);
        io.emit('a', 'é€😀\u2028\u2029\x1e"\\\n');
        io.emit('b', Buffer.from([1, 2, 255]), { deep: Buffer.alloc(0) });
        io.emit('c', 'x'.repeat(100000));
        io.emit('d', big);
        for (let i = 0; i < 300; i++) io.emit('n', i);
        const events = (await heard(redis, [client]))[0];
        assert.deepStrictEqual(events.shift().args, ['a', 'é€😀\u2028\u2029\x1e"\\\n']);
        assert.deepStrictEqual(events.shift().bins, ['0102ff', '']);
        assert.strictEqual(events.shift().args[1].length, 100000);
        assert.deepStrictEqual(events.shift().bins, [big.toString('hex')]);
        assert.deepStrictEqual(events.map((event) => event.args), Array.from({ length: 300 }, (_, i) => ['n', i]));
    });
}
test('content types; EIO3 text is ASCII', async (t) => {
    const { redis } = await world();
    const cases = [[4, {}, 'text/plain; charset=UTF-8'], [3, { b64: 1 }, 'text/plain; charset=UTF-8'], [3, {}, 'application/octet-stream'], [4, { j: 1 }, 'text/javascript; charset=UTF-8']];
    for (const [eio, query, type] of cases) {
        const client = await enter(t, { eio, query });
        redis.emitter().emit('x', 'é', Buffer.from([9]));
        const answer = await client.get();
        assert.strictEqual(answer.headers['content-type'], type);
        if (eio === 3) assert.ok(!answer.body.includes(Buffer.from('é')));
        assert.strictEqual((await client.event()).args[1], 'é');
    }
});
test('several packets in one POST, of both versions; octets of EIO3', async (t) => {
    for (const eio of [4, 3]) {
        const client = await enter(t, { eio });
        await client.send('42/axr,["up","é😀"]', '451-/axr,["b",{"_placeholder":true,"num":0}]', eio === 4 ? 'bAQI=' : 'b4AQI=', '42/axr,["more"]');
        await lives(client);
    }
    const client = await enter(t, { eio: 3 });
    const octets = Buffer.concat([Buffer.from([0, 1, 3, 255]), Buffer.from('42/axr,["up"]'), Buffer.from([1, 3, 255, 4, 1, 2])]);
    const type = { 'Content-Type': 'application/octet-stream' };
    /* The binary packet has no header before it: the session ends, with its POST answered. */
    assert.strictEqual((await client.post(octets, type)).text, 'ok');
    assert.strictEqual((await client.get()).status, 200);
    await gone(client);
    const other = await enter(t, { eio: 3 });
    assert.strictEqual((await other.post(octets.subarray(0, 17), type)).text, 'ok');
    await lives(other);
});
const MALFORMED = {
    'nothing': [4, ''], 'an unknown type': [4, 'x'], 'an empty packet': [4, '3\x1e'], 'a bare message': [4, '4'],
    'base64 that is none': [4, 'b!!!'], 'invalid UTF-8': [4, Buffer.from([0x34, 0x32, 0xff])], 'a ping from the client': [4, '2'],
    'a Socket.IO packet that is none': [4, '4abc'], 'binary without its header': [4, 'bAQI='],
    'EIO3 without a length': [3, '40/axr'], 'EIO3, length beyond the end': [3, '99:40'], 'EIO3, length 0': [3, '0:'],
    'EIO3, a length that is none': [3, '0x2:40'], 'EIO3, a negative length': [3, '-2:40'], 'EIO3, a huge length': [3, '99999999999999999999:40'],
};
for (const [what, [eio, body]] of Object.entries(MALFORMED)) {
    test(`malformed payload: ${what}: ok, and the session is over`, async (t) => {
        const client = await enter(t, { eio });
        const answer = await client.post(body);
        assert.deepStrictEqual([answer.status, answer.text], [200, 'ok']);
        await ended(client);
    });
}
test('octets posted to EIO4 are 400 and end the session', async (t) => {
    const client = await enter(t);
    const answer = await client.post('3', { 'Content-Type': 'application/octet-stream' });
    assert.deepStrictEqual([answer.status, answer.headers.connection], [400, 'close']);
    await gone(client);
});
test('JSONP: a POST is d=, with its escapes undone', async (t) => {
    for (const eio of [4, 3]) {
        const client = await enter(t, { eio, query: { j: '3' } });
        const packet = '42/axr,["a\\nb",1]';
        const body = eio === 4 ? packet : `${packet.length}:${packet}`;
        const answer = await client.post(`d=${encodeURIComponent(body.replace(/\\n/g, '\\\\n'))}`, { 'Content-Type': 'application/x-www-form-urlencoded' });
        assert.strictEqual(answer.text, 'ok');
        await lives(client);
        assert.strictEqual((await client.post('x=1')).status, 200);
        await gone(client);
    }
});
test('JSONP: the callback is digits only', async () => {
    const { addr } = await world();
    const answer = await once(addr, 'GET', `${PATH}?EIO=4&transport=polling&j=1);alert(2)//3`);
    assert.match(answer.text, /^___eio\[123\]\("0\{/);
});

/* --- two requests at once --- */

for (const eio of [4, 3]) {
    test(`EIO${eio}: overlapping GETs: the second is 400, the first hears the end`, async (t) => {
        const client = await enter(t, { eio });
        const first = await hang(t, client);
        const second = await client.get();
        assert.deepStrictEqual([second.status, second.text], [400, '']);
        assert.strictEqual((await first.answer()).text, eio === 4 ? '1' : '1:1');
        await gone(client);
    });
}
test('overlapping POSTs: the second is 400, the first is cut, the session over', async (t) => {
    const client = await enter(t);
    const first = new Http(client.where);
    t.after(() => first.destroy());
    await arrived(client.daemon, () => first.send(`POST ${client.target()} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n3`));
    const second = await client.post('3');
    assert.deepStrictEqual([second.status, second.text], [400, '']);
    await first.over();
    assert.strictEqual(first.bytes.length, 0);
    assert.strictEqual((await client.get()).text, '1');
    await gone(client);
});
test('a POST while a GET hangs; the GET then brings the next message', async (t) => {
    const { redis } = await world();
    for (const eio of [4, 3]) {
        const client = await enter(t, { eio });
        const get = await hang(t, client);
        await client.send(eio === 4 ? '42/axr,["up"]' : '2');
        if (eio === 4) redis.emitter().to('u').emit('msg', 1);
        assert.match((await get.answer()).text, eio === 4 ? /^42\/axr,\["msg",1\]$/ : /^1:3$/);
        await lives(client);
    }
});
test('the client closes: a hanging GET gets a word, the session is gone at once', async (t) => {
    for (const eio of [4, 3]) {
        const client = await enter(t, { eio });
        const get = await hang(t, client);
        await client.send('1');
        assert.strictEqual((await get.answer()).status, 200);
        await gone(client);
        const other = await enter(t, { eio });
        await other.send('1');
        await gone(other);
    }
});
test('a client that drops its GET is gone', async (t) => {
    const client = await enter(t);
    (await hang(t, client)).destroy();
    await until(async () => (await once(client.where, 'PUT', client.target())).status === 400, within(2000), 'end of the session');
});
test('a client that leaves its namespace hears nothing more, and lives', async (t) => {
    const { redis } = await world();
    const client = await enter(t, { keep: true });
    await client.send('41/axr,');
    redis.emitter().emit('msg', 'not for it');
    await heard(redis, [await enter(t)]); /* it has been relayed */
    const { token } = await world();
    await client.join('/axr', token);
    await lives(client);
});

/* --- heartbeats --- */

test('EIO4: pings come by GET, pongs by POST; without one it ends', async (t) => {
    const own = await hasty();
    const client = await enter(t, { keep: true }, own);
    let answered;
    for (let i = 0; i < 3; i++) {
        await client.get();
        assert.deepStrictEqual(client.packets.splice(0), ['2']);
        answered = Date.now(); /* the next ping comes an interval later */
        await client.send('3');
    }
    await client.get();
    assert.deepStrictEqual(client.packets.splice(0), ['2']);
    const asked = Date.now();
    await gone(client); /* no close packet: it may be there, and is to come back */
    const over = Date.now();
    assert.ok(over - answered > PING.interval + PING.timeout - 50, `${over - answered} ms after the last pong`);
    assert.ok(over - asked < within(PING.timeout), `${over - asked} ms after the ping`);
    await gone(client);
});
test('EIO3: pings go by POST and are answered at once; without one it ends', async (t) => {
    const own = await hasty();
    const client = await enter(t, { eio: 3, keep: true }, own);
    for (let i = 0; i < 3; i++) {
        const get = client.get();
        await elapse(PING.interval / 2);
        await client.send('2');
        assert.strictEqual((await get).text, '1:3');
        client.packets = [];
    }
    const began = Date.now();
    await gone(client);
    const took = Date.now() - began;
    assert.ok(took > PING.interval && took < within(PING.interval + PING.timeout), `after ${took} ms`);
});
test('a session that never comes back ends, and whoever asks for nothing', async (t) => {
    const own = await hasty();
    const from = own.daemon.log.length;
    await enter(t, {}, own);
    await own.daemon.logged(/client closed: .*reason="ping timeout"/, within(3000), from);
    const idle = await Polling.open(own.addr);
    await assert.rejects(async () => {
        for (;;) if ((await idle.text()) === '1') throw new Error('closed');
    }, /closed|POST: 400 .*Session ID unknown/); /* it was to send a pong */
});

/* --- limits and bodies --- */

const chunked = (body, size = 3) => {
    const parts = [];
    for (let at = 0; at < body.length; at += size) {
        const part = body.slice(at, at + size);
        parts.push(`${Buffer.byteLength(part).toString(16)};ext="x"\r\n${part}\r\n`);
    }
    return `${parts.join('')}0\r\nTrailer: x\r\n\r\n`;
};
test('a body above maxPayload is 413, and the session survives', async (t) => {
    const client = await enter(t);
    const packet = (length) => `42/axr,["${'x'.repeat(length - 11)}"]`;
    assert.strictEqual((await client.post(packet(1000001))).status, 413);
    await lives(client);
    assert.strictEqual((await client.post(packet(1000000))).status, 200);
    await lives(client);
    const http = new Http(client.where);
    t.after(() => http.destroy());
    http.send(`POST ${client.target()} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(packet(1000100), 100000)}`);
    assert.strictEqual((await http.answer()).status, 413);
    await http.over();
    await lives(client);
    const huge = await client.post('42/axr,["x"]', { 'Content-Length': '99999999999999999999999' });
    assert.ok([400, 413].includes(huge.status), huge.statusLine);
    await lives(client);
});
test('chunked bodies, whole and byte by byte, and the connection is kept', async (t) => {
    const client = await enter(t, { query: { t: 'x' } });
    const http = new Http(client.where);
    t.after(() => http.destroy());
    const bytes = `POST ${client.target()} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('42/axr,["one"]\x1e42/axr,["é"]')}`;
    http.send(bytes);
    assert.strictEqual((await http.answer()).text, 'ok');
    for (const byte of Buffer.from(bytes)) {
        http.send(Buffer.from([byte]));
        await new Promise(setImmediate);
    }
    assert.strictEqual((await http.answer()).text, 'ok');
    await lives(client);
});
test('Expect: 100-continue is answered before the body, anything else is 417', async (t) => {
    const client = await enter(t);
    const http = new Http(client.where);
    t.after(() => http.destroy());
    http.send('POST', client.target(), { 'Content-Length': 12, Expect: '100-Continue' });
    assert.strictEqual((await http.answer()).status, 100);
    http.send('42/axr,["x"]');
    assert.strictEqual((await http.answer()).text, 'ok');
    http.send('POST', client.target(), { 'Content-Length': 1000001, Expect: '100-continue' });
    assert.strictEqual((await http.answer()).status, 413);
    assert.strictEqual((await once(client.where, 'POST', client.target(), { Expect: 'a miracle' }, '3')).status, 417);
    await lives(client);
});

const post = (lines, body = '') => (target) => `POST ${target} HTTP/1.1\r\nHost: x\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n${body}`;
const BAD = {
    'Content-Length beside Transfer-Encoding': [400, post(['Content-Length: 1', 'Transfer-Encoding: chunked'], '1\r\n3\r\n0\r\n\r\n')],
    'two Content-Lengths that differ': [400, post(['Content-Length: 1', 'Content-Length: 2'], '3')],
    'Content-Length: 1, 2': [400, post(['Content-Length: 1, 2'], '3')],
    'Content-Length: -1': [400, post(['Content-Length: -1'])],
    'Content-Length: +1': [400, post(['Content-Length: +1'], '3')],
    'Content-Length: 0x1': [400, post(['Content-Length: 0x1'], '3')],
    'an empty Content-Length': [400, post(['Content-Length:'])],
    'neither length nor coding': [411, post([])],
    'a coding besides chunked': [501, post(['Transfer-Encoding: gzip, chunked'], '0\r\n\r\n')],
    'chunked not last': [400, post(['Transfer-Encoding: chunked, gzip'], '0\r\n\r\n')],
    'chunked twice': [400, post(['Transfer-Encoding: chunked, chunked'], '0\r\n\r\n')],
    'a folded header': [400, post(['Content-Length: 1', 'X: a', ' b'], '3')],
    'a space before the colon': [400, post(['Content-Length : 1'], '3')],
    'no Host': [400, (target) => `GET ${target} HTTP/1.1\r\n\r\n`],
    'two Hosts': [400, (target) => `GET ${target} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`],
    'HTTP/2.0': [505, (target) => `GET ${target} HTTP/2.0\r\nHost: x\r\n\r\n`],
    'HTTP/1.2': [[200, 405, 505], (target) => `PUT ${target} HTTP/1.2\r\nHost: x\r\n\r\n`],
    'no version': [400, (target) => `GET ${target}\r\n\r\n`],
    'a header too many': [431, post(Array(101).fill('X: x'))],
    'a head too large': [431, post([`X: ${'x'.repeat(17000)}`])],
    'a target too long': [[414, 431], (target) => `GET ${target}&x=${'x'.repeat(17000)} HTTP/1.1\r\nHost: x\r\n\r\n`],
    'a head that never ends': [431, (target) => `GET ${target} HTTP/1.1\r\nX: ${'x'.repeat(60000)}`],
    'another path': [404, () => 'GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
    'another path, with a body that is not read': [404, () => `POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n${'x'.repeat(300000)}`],
    'PUT': [405, (target) => `PUT ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`],
    'DELETE with a body': [405, (target) => `DELETE ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc`],
    'an unknown method': [405, (target) => `BREW ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`],
};
for (const [what, [statuses, make]] of Object.entries(BAD)) {
    test(`HTTP: ${what}: ${statuses}, answered, then closed`, async (t) => {
        const client = await enter(t);
        const http = new Http(client.where);
        t.after(() => http.destroy());
        http.send(make(client.target()));
        const answer = await http.answer();
        assert.ok([].concat(statuses).includes(answer.status), answer.statusLine);
        if (answer.status === 405) assert.strictEqual(answer.headers.allow, 'GET, POST');
        await http.over();
        assert.strictEqual(http.bytes.length, 0, 'more than one answer');
        assert.strictEqual(http.error, undefined);
        await lives(client);
    });
}
for (const [what, body] of Object.entries({ 'a chunk size that is none': 'x\r\n', 'a chunk that is longer than it says': '1\r\n33', 'a bare LF': '1\n3\n0\n\n', 'a size of 17 digits': '00000000000000001\r\n' })) {
    test(`HTTP: chunks: ${what}: 400, and the session is over`, async (t) => {
        const client = await enter(t);
        const http = new Http(client.where);
        t.after(() => http.destroy());
        http.send(`POST ${client.target()} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${body}`);
        assert.strictEqual((await http.answer()).status, 400);
        await http.over();
        assert.strictEqual((await client.get()).text, '1');
    });
}
test('slowloris: heads and bodies that dribble are 408, connections without a request closed, all in time', async (t) => {
    const client = await enter(t);
    const began = Date.now();
    const dribbles = {
        head: `GET ${client.target()} HTTP/1.1\r\nX: ${'x'.repeat(1000)}`,
        body: `POST ${client.target()} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n${'x'.repeat(900)}`,
    };
    const over = Object.entries(dribbles).map(async ([what, bytes]) => {
        const http = new Http(client.where);
        t.after(() => http.destroy());
        let at = what === 'head' ? 0 : bytes.indexOf('\r\n\r\n') + 4;
        if (at) http.send(bytes.slice(0, at));
        const timer = setInterval(() => http.ended || http.send(bytes[at++]), 100);
        t.after(() => clearInterval(timer));
        const answer = await http.answer(within(10000));
        clearInterval(timer);
        const took = Date.now() - began;
        assert.deepStrictEqual([what, answer.status], [what, 408]);
        assert.ok(took > 9000 && took < within(10000), `${what} after ${took} ms`);
        await http.over();
    });
    const idle = new Http(client.where);
    t.after(() => idle.destroy());
    await Promise.all([...over, idle.over(within(10000))]);
    assert.strictEqual(idle.bytes.length, 0);
}, { quick: false });
test('HTTP/1.0: the connection is kept where the client asks for it, and it is told so', async (t) => {
    const { addr, redis, token } = await world();
    const http = new Http(addr);
    t.after(() => http.destroy());
    const ask = (method, target, lines = '', body = '') =>
        http.send(`${method} ${target} HTTP/1.0\r\nConnection: Keep-Alive\r\n${lines}\r\n${body}`);
    const kept = async () => {
        const answer = await http.answer();
        assert.deepStrictEqual([answer.status, answer.headers.connection], [200, 'keep-alive']);
        return answer.text;
    };
    ask('GET', `${PATH}?EIO=4&transport=polling`);
    const target = `${PATH}?EIO=4&transport=polling&sid=${JSON.parse((await kept()).slice(1)).sid}`;
    const connect = `40/axr,${JSON.stringify({ token })}`;
    ask('POST', target, `Content-Length: ${connect.length}\r\n`, connect);
    assert.strictEqual(await kept(), 'ok');
    ask('GET', target);
    assert.match(await kept(), /^40\/axr,/);
    ask('GET', target); /* waits */
    redis.emitter().to('u').emit('n', 1);
    assert.strictEqual(await kept(), '42/axr,["n",1]');
    http.send(`GET ${PATH}?EIO=4&transport=polling HTTP/1.0\r\n\r\n`);
    const last = await http.answer();
    assert.deepStrictEqual([last.status, last.headers.connection], [200, 'close']);
    await http.over();
});
test('a long answer to a slow reader is not cut off, though its connection is not kept', async (t) => {
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1 } });
    const own = { addr: daemon.addr, token: daemon.token('u'), daemon };
    const client = await enter(t, {}, own);
    for (let i = 0; i < 9; i++) redis.emitter().to('u').emit('big', 'x'.repeat(100000));
    await heard(redis, [await enter(t, {}, own)]); /* of the same worker: all of it waits */
    const http = new Http(client.where);
    t.after(() => http.destroy());
    http.send('GET', client.target(), { Connection: 'close' });
    await http.until(() => http.bytes.length, within(2000), 'the answer begins');
    http.socket.pause();
    await elapse(2000);
    http.socket.resume();
    const answer = await http.answer();
    assert.ok(answer.body.length > 900000);
}, { quick: false });
test('a client that has sent its end after its request is answered', async () => {
    const { addr } = await world();
    const http = new Http(addr);
    http.send('GET', '/nope').socket.end();
    assert.strictEqual((await http.answer()).status, 404);
    await http.over();
});

/* --- connections and workers --- */

test('keep-alive: one connection for requests of different sessions in turn, pipelined ones too', async (t) => {
    const { redis, daemon } = await world();
    const clients = await Promise.all(Array.from({ length: 8 }, () => enter(t)));
    const http = new Http(daemon.addr);
    t.after(() => http.destroy());
    for (const client of clients) {
        http.send('POST', client.target(), {}, '42/axr,["up"]');
        assert.strictEqual((await http.answer()).text, 'ok');
    }
    http.send(Buffer.concat(clients.map((client) => request('POST', client.target(), {}, '42/axr,["up"]'))));
    for (const client of clients) assert.strictEqual((await http.answer()).text, 'ok', client.sid);
    redis.emitter().emit('msg', 1);
    http.send(Buffer.concat(clients.map((client) => request('GET', client.target()))));
    for (const client of clients) assert.strictEqual((await http.answer()).text, '42/axr,["msg",1]', client.sid);
    http.send(Buffer.concat([request('GET', '/nope', {}), request('GET', '/nope', {})]));
    assert.strictEqual((await http.answer()).status, 404);
    await lives(clients);
});
const handoffs = (daemon) => (daemon.log.match(/connection handed to worker/g) || []).length;
test('requests of one session over many connections and 4 workers; handoffs are counted in the log', async (t) => {
    const { redis, daemon, token } = await world();
    for (const eio of [4, 3]) {
        const client = await enter(t, { eio });
        const before = handoffs(daemon);
        const events = [];
        for (let i = 0; i < 60; i++) {
            redis.emitter().to('u').emit('msg', i);
            if (i % 3 === 0) await client.send(eio === 4 ? '42/axr,["up"]' : '2');
            if (i % 2) events.push((await client.event()).args[1]);
        }
        while (events.length < 60) events.push((await client.event()).args[1]);
        assert.deepStrictEqual(events, Array.from({ length: 60 }, (_, i) => i));
        /* Connections that are there at the same time are with several workers, at the latest
         * when the session's has the most: what it is handed stays with it. */
        const received = async () => (await scrape(daemon)).get('handoffs_received_total', 'result="done"');
        const fromHere = await received();
        for (let round = 0; round < 10 && (await received()) <= fromHere + 5; round++) {
            const many = Array.from({ length: 24 }, () => keep(t, new Http(daemon.addr)));
            many.forEach((http) => http.send('GET', '/status', {}));
            for (const http of many) assert.strictEqual((await http.answer()).status, 200);
            for (const http of many) {
                http.send('POST', client.target(), {}, eio === 4 ? '42/axr,["up"]' : '1:2');
                assert.strictEqual((await http.answer()).text, 'ok');
            }
        }
        await until(() => handoffs(daemon) > before + 5, within(2000), 'handoffs in the log');
        const kept = await polled(daemon.addr, token, { eio, keep: true });
        t.after(() => kept.destroy());
        await lives(kept);
        const settledAt = await received();
        for (let i = 0; i < 10; i++) await lives(kept);
        assert.strictEqual(await received(), settledAt, 'a kept connection stays where its session is');
    }
});
test('large bodies and heads are handed over whole', async (t) => {
    const client = await enter(t);
    for (let i = 0; i < 12; i++) {
        const body = `42/axr,["${'x'.repeat(i * 50000)}"]`;
        assert.strictEqual((await client.post(body, { 'X-Long': 'y'.repeat(15000) })).text, 'ok');
    }
    await lives(client);
});
test('a worker that was killed: its sessions are unknown, others live, and it can be used again', async (t) => {
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis, config: { workers: 4 } });
    const own = { redis, daemon, addr: daemon.addr, token: daemon.token('u') };
    const clients = await Promise.all(Array.from({ length: 40 }, () => enter(t, {}, own)));
    const slotOf = (client) => Buffer.from(client.sid, 'base64url')[16];
    const slot = slotOf(clients[0]);
    const pid = Number(new RegExp(`worker ${slot + 1} ready: pid=(\\d+)`).exec(daemon.log)[1]);
    const lost = clients.filter((client) => slotOf(client) === slot);
    const kept = clients.filter((client) => slotOf(client) !== slot);
    assert.ok(kept.length > 0, 'all on one worker');
    daemon.deaths = true;
    const from = daemon.log.length;
    process.kill(pid, 'SIGKILL');
    await Promise.all(lost.map((client) => until(async () => {
        const answer = await client.get().catch(() => null); /* its own connections die with it */
        if (answer) refusedWith(answer, 1);
        return answer;
    }, within(3000), 'unknown sid')));
    await daemon.logged(new RegExp(`worker ${slot + 1} ready: pid=\\d+ fork=2`), within(3000), from);
    for (const client of lost) await gone(client);
    await lives(kept, own);
    await until(async () => {
        const fresh = await enter(t, {}, own);
        await lives(fresh, own);
        return slotOf(fresh) === slot;
    }, within(5000), 'a session in the new worker');
});
test('a full daemon of polling clients: each hears each message once, in order', async (t) => {
    const { redis } = await world();
    const clients = await Promise.all(Array.from({ length: 60 }, (_, i) => enter(t, { eio: i % 2 ? 3 : 4, keep: i % 3 > 0 })));
    for (let i = 0; i < 100; i++) redis.emitter().emit('n', i);
    const all = await heardArgs(redis, clients);
    const expected = Array.from({ length: 100 }, (_, i) => i);
    for (const one of all) assert.deepStrictEqual(one, expected);
});
test('SIGTERM: who polls is told by a close packet, others come for what waits and are told then', async (t) => {
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, shutdownTimeout: 5000 } });
    const own = { addr: daemon.addr, token: daemon.token('u'), daemon };
    const enterBoth = () => Promise.all([4, 3].map((eio) => enter(t, { eio, keep: true }, own)));
    const [polls, away] = [await enterBoth(), await enterBoth()];
    redis.emitter().emit('msg', 1);
    for (const one of polls) assert.deepStrictEqual((await one.event()).args, ['msg', 1]);
    const gets = await Promise.all(polls.map((one) => hang(t, one)));
    daemon.signal('SIGTERM');
    for (const [i, get] of gets.entries()) assert.strictEqual((await get.answer()).text, ['1', '1:1'][i]);
    for (const one of away) {
        assert.deepStrictEqual((await one.event()).args, ['msg', 1]);
        assert.strictEqual(await one.text(), '1');
    }
    await daemon.stop();
});

/* --- CORS --- */

const PREFLIGHT = { 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'content-type,x-y' };
const cors = (answer) => Object.fromEntries(
    Object.entries(answer.headers).filter(([name]) => /^access-control|^vary/.test(name)).map(([name, value]) => [name.replace('access-control-', ''), value])
);
async function asked(addr, origin, { method = 'GET', query = 'EIO=4&transport=polling', headers = {} } = {}) {
    return once(addr, method, `${PATH}?${query}`, { Origin: origin, ...headers });
}
test('CORS: by default every origin, without credentials', async () => {
    const { addr } = await world();
    assert.deepStrictEqual(cors(await asked(addr, 'https://any.example')), { 'allow-origin': '*' });
    assert.deepStrictEqual(cors(await asked(addr, undefined)), {});
    const bad = await asked(addr, 'https://any.example', { query: 'EIO=4&transport=nope' });
    assert.strictEqual(bad.status, 400);
    assert.deepStrictEqual(cors(bad), { 'allow-origin': '*' });
    const preflight = await asked(addr, 'https://any.example', { method: 'OPTIONS', headers: PREFLIGHT });
    assert.deepStrictEqual([preflight.status, preflight.text], [204, '']);
    assert.deepStrictEqual(cors(preflight), {
        'allow-origin': '*', 'allow-methods': 'GET,HEAD,PUT,PATCH,POST,DELETE', 'allow-headers': 'content-type,x-y', vary: 'Access-Control-Request-Headers',
    });
});
const listed = shared(async (s) => {
    const { redis } = await world();
    const origins = ['https://app.example', 'http://other.example:8080'];
    const daemon = await Daemon.start(s, { redis, config: { cors: { origins, credentials: true } } });
    return { redis, daemon, addr: daemon.addr, token: daemon.token('u') };
});
test('CORS: listed origins with credentials, and Vary', async () => {
    const { addr, token } = await listed();
    for (const origin of ['https://app.example', 'http://other.example:8080']) {
        const own = { 'allow-origin': origin, 'allow-credentials': 'true', vary: 'Origin' };
        assert.deepStrictEqual(cors(await asked(addr, origin)), own);
        const preflight = await asked(addr, origin, { method: 'OPTIONS', headers: PREFLIGHT });
        assert.strictEqual(preflight.status, 204);
        const { vary, ...rest } = cors(preflight);
        assert.match(vary, /Origin/);
        assert.match(vary, /Access-Control-Request-Headers/);
        assert.deepStrictEqual({ ...rest, vary: 'Origin' }, { ...own, 'allow-methods': 'GET,HEAD,PUT,PATCH,POST,DELETE', 'allow-headers': 'content-type,x-y' });
        const client = await polled(addr, token, { headers: { Origin: origin } });
        await lives(client, await listed());
        const error = await once(addr, 'GET', client.target({ sid: 'x' }), { Origin: origin });
        refusedWith(error, 1);
        assert.deepStrictEqual(cors(error), own);
    }
    assert.deepStrictEqual(cors(await asked(addr, undefined)), { vary: 'Origin' });
});
test('CORS: a foreign origin is refused: handshake, session, preflight, upgrade', async (t) => {
    const own = await listed();
    const { addr, token } = own;
    const client = await polled(addr, token);
    for (const origin of ['https://evil.example', 'http://app.example', 'https://app.example.evil', 'https://app.example:444', 'null', 'https://xapp.example', '*']) {
        for (const answer of [
            await asked(addr, origin), await once(addr, 'GET', client.target(), { Origin: origin }),
            await once(addr, 'POST', client.target(), { Origin: origin }, '1'), await asked(addr, origin, { method: 'OPTIONS', headers: PREFLIGHT }),
        ]) {
            refusedWith(answer, 4, 403);
            assert.deepStrictEqual(cors(answer), { vary: 'Origin' }, origin);
        }
        const error = await joined(addr, token, { headers: { Origin: origin } }).catch((e) => e);
        assert.match(error.message, /not upgraded: HTTP\/1.1 40\d.*Forbidden/);
    }
    await lives(client, own);
    const raw = await joined(addr, token, { headers: { Origin: 'https://app.example' } });
    t.after(() => raw.destroy());
    await lives(raw, own);
});
test('CORS: the host that was asked is no foreign origin', async () => {
    const { addr } = await listed();
    const origin = urlOf(addr);
    const answer = await asked(addr, origin, { headers: { Host: `127.0.0.1:${addr.port}` } });
    assert.strictEqual(answer.status, 200);
});
