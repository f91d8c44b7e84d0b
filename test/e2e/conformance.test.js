'use strict';
/* The conformance server: the daemon's transport and protocol layers under an
 * application that echoes.  What the public suites of Engine.IO 3 and 4 and of
 * Socket.IO 5 ask of a server, in tests of our own. */
const assert = require('assert');
const path = require('path');
const { test, shared } = require('./lib/suite');
const { BUILD, environment } = require('./lib/daemon');
const { Process, tempDir } = require('./lib/proc');
const { Http, request: wire } = require('./lib/http');
const { Raw, OP, exchange } = require('./lib/raw');
const { within, until } = require('./lib/time');

/* Of the heartbeats' own tests; the public suites want a timeout of 200: on a busy machine who
 * lives might be taken for dead.  In all others none comes in between. */
const BEATS = { interval: 300, timeout: 1500 };
const CALM = { interval: 25000, timeout: 20000 };
const OPEN = { upgrades: ['websocket'], pingInterval: CALM.interval, pingTimeout: CALM.timeout, maxPayload: 1000000 };

/* Of its own for each revision, as the public suites have it: that of 4 wants 3 refused. */
const serverOf = (allowEio3, { interval, timeout }) => shared(async (s) => {
    const program = path.join(BUILD, 'test', 'conformance-server');
    const args = ['--port', '0', '--ping-interval', String(interval), '--ping-timeout', String(timeout), '--allow-eio3', allowEio3];
    const child = new Process(program, args, { env: environment(tempDir(s)) });
    s.show(child);
    s.after(async () => {
        child.signal('SIGTERM');
        assert.deepStrictEqual(await child.ended(within(2000)), { code: 0, signal: null });
        assert.doesNotMatch(child.log, /runtime error|Sanitizer/);
    });
    const [, port] = await child.line(/ready: port (\d+)/, within(3000));
    return { host: '127.0.0.1', port: Number(port) };
});
const serversOf = (pings) => ({ 3: serverOf('1', pings), 4: serverOf('0', pings) });
const [CALM_ONES, BEATING] = [serversOf(CALM), serversOf(BEATS)];
let servers = CALM_ONES;
const server = (eio) => servers[eio]();
/* Until the end of the test it is one that beats. */
function beating(t) {
    servers = BEATING;
    t.after(() => (servers = CALM_ONES));
}

/* --- one request, one session that polls, one WebSocket --- */

async function request(eio, target, { method = 'GET', body } = {}) {
    const length = body === undefined ? '' : `Content-Length: ${Buffer.byteLength(body)}\r\n`;
    return exchange(await server(eio),
        `${method} ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${length}\r\n${body || ''}`);
}

class Poller {
    static async open(mount, eio, more = '') {
        const poller = new Poller();
        poller.eio = eio;
        poller.target = `${mount}?EIO=${eio}&transport=polling${more}`;
        const answer = await request(eio, poller.target);
        assert.strictEqual(answer.status, 200);
        poller.handshake = JSON.parse(answer.body.slice(answer.body.indexOf('{')));
        poller.target += `&sid=${poller.handshake.sid}`;
        return poller;
    }
    get() {
        return request(this.eio, this.target);
    }
    /* A GET that waits; resolves once it has been read: what was sent before a request
     * that is answered has come before it, to the one process that there is. */
    async hang(t) {
        const http = new Http(await server(this.eio));
        t.after(() => http.destroy());
        await new Promise((resolve) => http.socket.write(wire('GET', this.target, {}), resolve));
        await request(this.eio, '/');
        return http;
    }
    post(body) {
        return request(this.eio, this.target, { method: 'POST', body });
    }
    async sends(body) {
        const { status, body: ok } = await this.post(body);
        assert.deepStrictEqual([status, ok], [200, 'ok']);
    }
    async hears(body) {
        const answer = await this.get();
        assert.deepStrictEqual([answer.status, answer.body], [200, body]);
    }
    async isGone() {
        assert.strictEqual((await this.get()).status, 400);
    }
}

async function socket(t, mount, eio, options = {}) {
    const raw = await Raw.open(await server(eio), { path: mount, eio, root: false, ...options });
    t.after(() => raw.destroy());
    return raw;
}

async function upgraded(t, poller, mount, eio) {
    const raw = new Raw(await server(eio), { path: mount, eio, query: { sid: poller.handshake.sid } });
    t.after(() => raw.destroy());
    await raw.upgraded;
    raw.sendText('2probe');
    assert.strictEqual(await raw.text(), '3probe');
    raw.sendText('5');
    return raw;
}

/* --- Engine.IO, on every mount that speaks the version --- */

const MOUNTS = [['/engine.io/', 3], ['/engine.io/', 4], ['/socket.io/', 4]];
for (const [mount, eio] of MOUNTS) {
    const name = `${mount} EIO ${eio}`;
    const packet = (text) => (eio === 3 ? `${text.length}:${text}` : text);

    test(`${name}: handshakes, and those that are refused`, async (t) => {
        const { sid, ...rest } = (await Poller.open(mount, eio)).handshake;
        assert.match(sid, /^[\w-]{20,}$/);
        assert.deepStrictEqual(rest, OPEN);
        const raw = await socket(t, mount, eio);
        assert.deepStrictEqual({ ...raw.handshake, sid: 0 }, { sid: 0, ...OPEN, upgrades: [] });
        const odd = ['transport=polling', 'EIO=abc&transport=polling'];
        for (const query of [`EIO=${eio}`, `EIO=${eio}&transport=abc`, ...(eio === 4 ? odd : [])])
            assert.strictEqual((await request(eio, `${mount}?${query}`)).status, 400, query);
        for (const method of ['POST', 'PUT'])
            assert.strictEqual((await request(eio, `${mount}?EIO=${eio}&transport=polling`, { method })).status, 400);
        for (const query of [{ transport: undefined }, { transport: 'abc' }, ...(eio === 4 ? [{ EIO: undefined }, { EIO: 'abc' }] : [])]) {
            const refused = new Raw(await server(eio), { path: mount, eio, query });
            await assert.rejects(refused.upgraded, { status: 400 });
        }
    });

    test(`${name}: heartbeats, and their absence`, async (t) => {
        beating(t);
        const began = Date.now();
        const raw = await socket(t, mount, eio, { heartbeat: false });
        const silent = await socket(t, mount, eio, { heartbeat: false });
        const poller = await Poller.open(mount, eio);
        for (let i = 0; i < 3; i++) {
            if (eio === 3) raw.sendText('2');
            const text = await raw.text();
            assert.strictEqual(text, eio === 3 ? '3' : '2');
            if (eio === 4) raw.sendText('3');
        }
        if (eio === 4) assert.ok(Date.now() - began >= 3 * BEATS.interval - 50);
        await silent.end(within(BEATS.interval + BEATS.timeout));
        await until(async () => (await poller.get()).status === 400, within(BEATS.interval + BEATS.timeout), 'end of the session');
    });

    test(`${name}: a client that leaves`, async (t) => {
        const poller = await Poller.open(mount, eio);
        const get = await poller.hang(t);
        await poller.sends(packet('1'));
        assert.strictEqual((await get.answer()).text, packet('6'));
        await poller.isGone();
        const raw = await socket(t, mount, eio);
        raw.sendText('1');
        await raw.end();
    });

    test(`${name}: a second GET, and one that is given up`, async (t) => {
        const poller = await Poller.open(mount, eio);
        const first = await poller.hang(t);
        assert.strictEqual((await poller.get()).status, 400);
        assert.strictEqual((await first.answer()).text, packet('1'));
        await poller.isGone();
        const other = await Poller.open(mount, eio);
        (await other.hang(t)).destroy();
        await other.isGone();
    });

    test(`${name}: an upgrade, after which the session is the WebSocket's`, async (t) => {
        const poller = await Poller.open(mount, eio);
        const raw = await upgraded(t, poller, mount, eio);
        if (eio === 3) raw.sendText('2');
        else assert.strictEqual(raw.over, null);
        await poller.isGone();
        const second = new Raw(await server(eio), { path: mount, eio, query: { sid: poller.handshake.sid } });
        t.after(() => second.destroy());
        await second.end();
        assert.strictEqual(raw.over, null);
    });
}

/* --- echo --- */

test('/engine.io/ EIO 4: messages come back over polling', async () => {
    const poller = await Poller.open('/engine.io/', 4);
    for (const body of ['4hello', '4a\x1e4b\x1e4c', '4hé€😀\x1ebAQIDBA==', '42{}']) {
        await poller.sends(body);
        await poller.hears(body);
    }
    await poller.post('junk');
    await poller.isGone();
});

test('/engine.io/ EIO 3: messages come back over polling', async () => {
    const poller = await Poller.open('/engine.io/', 3, '&b64=1');
    for (const body of ['6:4hello', '2:4a2:4b2:4c', '6:4hello10:b4AQIDBA==', '6:4hé€😀']) {
        await poller.sends(body);
        await poller.hears(body);
    }
    const binary = await Poller.open('/engine.io/', 3);
    await binary.sends('2:4a10:b4AQIDBA==');
    const { headers, body } = await binary.get();
    assert.strictEqual(headers['content-type'], 'application/octet-stream');
    assert.strictEqual(body, Buffer.from('0002ff3461' + '0105ff0401020304', 'hex').toString());
    await binary.post('junk');
    await binary.isGone();
});

for (const eio of [3, 4]) {
    test(`/engine.io/ EIO ${eio}: messages come back over WebSocket, also after an upgrade`, async (t) => {
        const direct = await socket(t, '/engine.io/', eio);
        const late = await upgraded(t, await Poller.open('/engine.io/', eio), '/engine.io/', eio);
        const bytes = Buffer.from(eio === 3 ? [4, 1, 2, 3] : [1, 2, 3]);
        for (const raw of [direct, late]) {
            raw.sendText('4hé€😀');
            assert.strictEqual(await raw.text(), '4hé€😀');
            raw.sendBinary(bytes);
            const back = await raw.take();
            assert.deepStrictEqual([back.op, back.payload], [OP.BINARY, bytes]);
            raw.sendText('abc');
            await raw.end();
        }
    });
}

/* --- Socket.IO 5 --- */

async function member(t, nsp = '/', auth) {
    const raw = await socket(t, '/socket.io/', 4);
    raw.sendText(`40${nsp === '/' ? '' : `${nsp},`}${auth ? JSON.stringify(auth) : ''}`);
    const reply = await raw.text();
    const prefix = nsp === '/' ? '40' : `40${nsp},`;
    assert.ok(reply.startsWith(prefix), reply);
    assert.deepStrictEqual(Object.keys(JSON.parse(reply.slice(prefix.length))), ['sid']);
    assert.deepStrictEqual((await raw.event()).args, ['auth', auth || {}]);
    return raw;
}

for (const nsp of ['/', '/custom']) {
    test(`Socket.IO: ${nsp} may be entered, with and without a payload`, async (t) => {
        await member(t, nsp);
        await member(t, nsp, { token: '123' });
    });
}
test('Socket.IO: an unknown namespace is refused, and one who enters none is sent away', async (t) => {
    beating(t); /* without an answer to its heartbeats it goes the sooner */
    const raw = await socket(t, '/socket.io/', 4, { heartbeat: false });
    raw.sendText('40/random');
    let text = await raw.text();
    while (text === '2') text = await raw.text();
    assert.strictEqual(text, '44/random,{"message":"Invalid namespace"}');
    await raw.end();
});
test('Socket.IO: leaving one namespace leaves the other', async (t) => {
    const raw = await member(t);
    raw.sendText('40/custom');
    assert.match(await raw.text(), /^40\/custom,/);
    assert.strictEqual((await raw.event()).nsp, '/custom');
    raw.sendText('41/custom');
    raw.sendText('42["message","still here"]');
    assert.strictEqual(await raw.text(), '42["message-back","still here"]');
});
test('Socket.IO: events and acknowledgements, with and without attachments', async (t) => {
    const raw = await member(t);
    const holes = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}';
    const bins = [Buffer.from([1, 2, 3]), Buffer.alloc(300, 7)];
    raw.sendText('42["message",1,"2",{"3":[true]}]');
    assert.strictEqual(await raw.text(), '42["message-back",1,"2",{"3":[true]}]');
    raw.sendText('42["message"]');
    assert.strictEqual(await raw.text(), '42["message-back"]');
    raw.sendText('42456["message-with-ack",1,"2",{"3":[false]}]');
    assert.strictEqual(await raw.text(), '43456[1,"2",{"3":[false]}]');
    raw.sendText('427["message-with-ack"]');
    assert.strictEqual(await raw.text(), '437[]');
    for (const [packet, answer] of [
        [`452-["message",${holes}]`, `452-["message-back",${holes}]`],
        [`452-789["message-with-ack",${holes}]`, `462-789[${holes}]`],
    ]) {
        raw.sendText(packet);
        for (const bin of bins) raw.sendBinary(bin);
        assert.strictEqual(await raw.text(), answer);
        for (const bin of bins) assert.deepStrictEqual((await raw.take()).payload, bin);
    }
});
for (const wrong of ['4abc', '42{}', '42abc["message"]', '42["message"', '452-["message"]x']) {
    test(`Socket.IO: ${wrong} ends the connection`, async (t) => {
        const raw = await member(t);
        raw.sendText(wrong);
        await raw.end();
    });
}
