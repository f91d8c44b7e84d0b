'use strict';
/* Users and their connections: how many one may have, tokens that are renewed or
 * expire, clocks that jump, and what the log says of who comes and goes. */
const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const { test, shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, BUILD, SECRET } = require('./lib/daemon');
const { Raw, OP, joined, exchange } = require('./lib/raw');
const { polled } = require('./lib/http');
const { heard, heardArgs } = require('./lib/hear');
const { scrape, settled } = require('./lib/metrics');
const { VERSIONS, connect } = require('./lib/clients');
const { Shift } = require('./lib/shift');
const { sign, now, expiring } = require('./lib/jwt');
const { tempDir } = require('./lib/proc');
const { SLOW, within, until, elapse } = require('./lib/time');

const quiet = shared((s) => Redis.start(s));
const start = async (t, config = {}, more = {}) =>
    Daemon.start(t, { redis: await quiet(), config: { workers: 4, ...config }, ...more });
const replace = (connectionsPerUser) => ({ limits: { connectionsPerUser, connectionsPerUserPolicy: 'replace' } });
const PERSISTENT = { reconnection: true, reconnectionDelay: 40, reconnectionDelayMax: 50, randomizationFactor: 0 };

/* The next message is DISCONNECT, and then the connection ends. */
async function disconnected(client) {
    assert.strictEqual(await client.text(), '41/axr,');
    await client.end();
    assert.deepStrictEqual(client.frames, []);
}

/* --- limits:connectionsPerUser: who comes back at once --- */

const HOLD_MS = 240; /* a refusal takes 250, less what clocks may differ in reading */

/* The pid of the worker that let this user in last. */
function workerOf(daemon, uid) {
    const number = daemon.log.match(new RegExp(`.*info worker (\\d+)\\b.*client connected: user=${uid} `, 'g')).pop().match(/worker (\d+)/)[1];
    return Number(daemon.log.match(new RegExp(`worker ${number} ready: pid=(\\d+)`))[1]);
}

test('refuse: a place that comes free a moment later is given', async (t) => {
    const daemon = await start(t, { limits: { connectionsPerUser: 1 } });
    let admitted = 0;
    for (let round = 0; admitted < 3; round++) {
        const token = daemon.token(`u${round}`);
        const one = await joined(daemon.addr, token);
        await daemon.logged(new RegExp(`client connected: user=u${round} `));
        const pid = workerOf(daemon, `u${round}`);
        process.kill(pid, 'SIGSTOP'); /* it does not see that its client has left */
        t.after(() => daemon.workers().includes(pid) && process.kill(pid, 'SIGCONT'));
        one.destroy();
        const two = await Raw.open(daemon.addr);
        t.after(() => two.destroy());
        const asked = Date.now();
        two.sendText(two.connectPacket('/axr', { token }));
        await elapse(20);
        process.kill(pid, 'SIGCONT');
        const answer = await two.text();
        const took = Date.now() - asked;
        if (answer.startsWith('40/axr,')) admitted++;
        else assert.ok(took >= HOLD_MS && round < 100, `refused after ${took} ms`);
        two.destroy();
    }
});

test('refuse: real clients that disconnect and connect again at once', async (t) => {
    const daemon = await start(t, { limits: { connectionsPerUser: 1 } });
    for (const transport of ['websocket', 'polling']) {
        /* 4.x alone: the others lose track of themselves when they are treated so. */
        const client = await connect(4, daemon.addr, { token: daemon.token(transport), options: { transports: [transport] } });
        t.after(() => client.close());
        let again = 0;
        for (let round = 0; again < 20; round++) {
            const seen = client.notes.length;
            const told = () => client.notes.slice(seen).find(({ what }) => what === 'connect' || what === 'connect_error');
            const left = Date.now();
            client.socket.disconnect();
            client.socket.connect();
            await client.when(told, within(3000), 'connected again');
            again += told().what === 'connect';
            assert.ok(told().what === 'connect' || (Date.now() - left >= HOLD_MS && round < 100),
                `${transport}: refused after ${Date.now() - left} ms`);
        }
    }
    assert.ok(!/a client left that was not in/.test(daemon.log));
});

test('refuse: refusals that wait do not keep the daemon from its end', async (t) => {
    const daemon = await start(t, { limits: { connectionsPerUser: 1 } });
    const token = daemon.token('u');
    const one = await joined(daemon.addr, token);
    t.after(() => one.destroy());
    for (let i = 0; i < 8; i++) {
        const client = await Raw.open(daemon.addr);
        t.after(() => client.destroy());
        client.sendText(client.connectPacket('/axr', { token }));
    }
    await daemon.stop();
    assert.ok(!/ error /.test(daemon.log));
});

/* --- limits:connectionsPerUserPolicy --- */

test('replace: the newest clients of a user stay, the oldest do not come back', async (t) => {
    const daemon = await start(t, replace(2));
    const clients = [];
    for (const transport of ['websocket', 'polling']) {
        for (const version of VERSIONS) {
            const options = { ...PERSISTENT, transports: [transport] };
            const client = await connect(version, daemon.addr, { token: daemon.token('u'), options });
            t.after(() => client.close());
            clients.push(client);
            if (clients.length > 2) await clients[clients.length - 3].noted('disconnect');
        }
    }
    const other = await connect(4, daemon.addr, { token: daemon.token('other'), options: PERSISTENT });
    t.after(() => other.close());
    await elapse(25 * PERSISTENT.reconnectionDelay);
    (await quiet()).emitter().to('u').to('other').emit('msg', 'who is there');
    const stay = [...clients.slice(-2), other];
    for (const client of stay) await client.when(() => client.events.length > 0, within(3000), 'msg');
    for (const client of clients) {
        const names = client.notes.map((note) => note.what);
        assert.deepStrictEqual(names, stay.includes(client) ? ['connect'] : ['connect', 'disconnect'], `client ${client.version}.x`);
        assert.deepStrictEqual(client.events, stay.includes(client) ? [['msg', 'who is there']] : []);
    }
    const [{ detail }] = clients[0].notes.slice(-1);
    assert.strictEqual(detail, 'io server disconnect');
    const kicks = daemon.log.match(/info worker .*: client disconnected: user=u .*reason="replaced by a newer connection"/g);
    assert.strictEqual(kicks.length, clients.length - 2);
});

/* Raw clients that ask all at once.  Each is let in, and then may have to leave. */
async function crowd(t, daemon, uid, n) {
    const token = daemon.token(uid);
    const clients = await Promise.all(Array.from({ length: n }, (_, i) =>
        joined(daemon.addr, token, { eio: 3 + (i & 1) })));
    clients.forEach((client) => t.after(() => client.destroy()));
    return clients;
}
/* Those of them that are in: they hear a marker.  The others have been told to leave. */
async function staying(clients, n, redis) {
    const over = (client) => client.over || client.frames.some((one) => one.text === '41/axr,');
    await until(() => clients.filter((client) => !over(client)).length === n, within(3000), `${n} that stay`);
    const stay = clients.filter((client) => !over(client));
    assert.deepStrictEqual(await heard(redis, stay), stay.map(() => []));
    for (const client of clients.filter((one) => !stay.includes(one))) await disconnected(client);
    return stay;
}

test('replace: of many that come at once to several workers as many stay as may', async (t) => {
    const redis = await quiet();
    const daemon = await start(t, replace(3));
    for (let round = 0; round < 5; round++) {
        const clients = await crowd(t, daemon, 'u', 24);
        const stay = await staying(clients, 3, redis);
        const [last] = await crowd(t, daemon, 'u', 1);
        assert.strictEqual((await staying([...stay, last], 3, redis)).includes(last), true, 'the newest stays');
        for (const client of [...stay, last]) client.destroy();
    }
    assert.ok(!/a client left that was not in/.test(daemon.log), 'each that was let in has left once');
});

test('replace: of many that poll, and come at once to several workers, as many stay as may', async (t) => {
    const redis = await quiet();
    const daemon = await start(t, replace(3));
    const clients = await Promise.all(Array.from({ length: 16 }, (_, i) => polled(daemon.addr, daemon.token('u'), { eio: 3 + (i & 1), keep: true })));
    t.after(() => clients.forEach((client) => client.destroy()));
    await settled(daemon, (now) => now.get('clients') === 3, 'three that stay');
    redis.emitter().to('u').emit('who is there');
    const first = await Promise.all(clients.map((client) => client.text()));
    assert.strictEqual(first.filter((text) => /^42\/axr,\["who is there"/.test(text)).length, 3);
    for (const [i, text] of first.entries()) {
        if (text !== '41/axr,') continue;
        assert.strictEqual(await clients[i].text(), '1');
    }
    assert.strictEqual(first.filter((text) => text === '41/axr,').length, clients.length - 3);
    assert.ok(!/a client left that was not in/.test(daemon.log), 'each that was let in has left once');
});

test('replace: workers that are killed, clients that vanish: the count stays right', async (t) => {
    const redis = await quiet();
    const daemon = await start(t, replace(3));
    daemon.deaths = true;
    for (let round = 0; round < 3; round++) {
        const clients = await crowd(t, daemon, 'u', 12);
        const [victim] = daemon.workers();
        process.kill(victim, 'SIGKILL');
        clients.filter((client, i) => i % 3 === 0).forEach((client) => client.socket.resetAndDestroy());
        await until(() => daemon.workers().length === 4 && !daemon.workers().includes(victim), within(1000), 'worker replaced');
        const more = await crowd(t, daemon, 'u', 6);
        const stay = await staying(more, 3, redis);
        for (const client of stay) client.destroy();
    }
    const places = [];
    for (let i = 0; i < 3; i++) places.push(...(await crowd(t, daemon, 'u', 1)));
    assert.deepStrictEqual(await heard(redis, places), [[], [], []], 'three have a place, and nobody had to leave');
    assert.ok(!/a client left that was not in/.test(daemon.log));
});

test('replace: a client that left by itself and one that is still joining', async (t) => {
    const redis = await quiet();
    const daemon = await start(t, replace(1));
    const token = daemon.token('u');
    const request = (client) => client.connectPacket('/axr', { token });
    const rounds = 50;
    for (let round = 0; round < rounds; round++) {
        const one = await Raw.open(daemon.addr);
        const two = await Raw.open(daemon.addr);
        one.sendText(request(one));
        two.sendText(request(two));
        if (round % 2) one.sendText('41/axr,');
        if (round % 5 === 0) two.destroy();
        if (round % 4 === 0) one.sendText(request(one));
        one.destroy();
        two.destroy();
    }
    /* The newest is the one that the master hears of last: let all of them be read first. */
    await settled(daemon, (now) => now.get('connections_accepted_total') === 2 * rounds && now.get('connections') === 0, 'all of them gone');
    const [last] = await crowd(t, daemon, 'u', 1);
    assert.deepStrictEqual(await heard(redis, [last]), [[]]);
    assert.ok(!/a client left that was not in/.test(daemon.log));
});

test('replace: a polling client is told by its GET', async (t) => {
    const daemon = await start(t, replace(1));
    for (const eio of [4, 3]) {
        const client = await polled(daemon.addr, daemon.token('u'), { eio });
        t.after(() => client.destroy());
        const told = client.text();
        await crowd(t, daemon, 'u', 1);
        assert.strictEqual(await told, '41/axr,');
        assert.strictEqual(await client.text(), '1');
        await daemon.logged(/client disconnected: user=u address=127\.0\.0\.1:\d+ transport=polling reason="replaced by a newer connection"/);
    }
});

/* --- authenticate --- */

const claims = (uid, exp) => ({ profile: { uid }, ...(exp && { exp }) });
const token = (uid, exp) => sign(claims(uid, exp), SECRET);
const ask = (client, ...args) =>
    new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error('no acknowledgement')), within(3000));
        client.socket.emit('authenticate', ...args, (...answer) => {
            clearTimeout(timer);
            resolve(answer);
        });
    });

for (const transport of ['websocket', 'polling']) {
    test(`a client renews its token over ${transport}`, async (t) => {
        const daemon = await start(t);
        const later = now() + 10000;
        for (const version of VERSIONS) {
            const options = { transports: [transport] };
            const client = await connect(version, daemon.addr, { token: token('u', now() + 600), options });
            t.after(() => client.close());
            assert.deepStrictEqual(await ask(client, token('u', later)), [{ ok: true, expires: later }]);
            assert.deepStrictEqual(await ask(client, { token: token('u', later + 1) }), [{ ok: true, expires: later + 1 }]);
            assert.deepStrictEqual(await ask(client, token('u')), [{ ok: true, expires: null }]);
            const refusals = [
                [[token('v', later)], 'token_other_user'], [[token('u', 1000)], 'token_expired'],
                [['x.y.z'], 'token_malformed'], [[sign(claims('u'), 'another secret')], 'token_signature'],
                [[], 'token_missing'], [[{}], 'token_missing'],
            ];
            for (const [args, code] of refusals) {
                const [answer, ...more] = await ask(client, ...args);
                assert.deepStrictEqual([answer.ok, answer.code, more], [false, code, []]);
                assert.strictEqual(typeof answer.message, 'string');
                assert.deepStrictEqual(Object.keys(answer).sort(), ['code', 'message', 'ok']);
            }
            client.events.length = 0;
        }
        const metrics = await scrape(daemon);
        const counted = ['ok', 'token_other_user', 'token_expired', 'token_malformed', 'token_signature', 'token_missing', 'token_rate']
            .map((result) => metrics.get('token_renewals_total', `result="${result}"`) / VERSIONS.length);
        assert.deepStrictEqual(counted, [3, 1, 1, 1, 1, 2, 0]);
    });
}

test('a renewed token counts from then on; a refused one changes nothing', async (t) => {
    const daemon = await start(t);
    const redis = await quiet();
    const { renewed, not, exp } = await expiring(async (end) => {
        const made = async (how, eio) => {
            const client = await joined(daemon.addr, token('u', end), { eio });
            t.after(() => client.destroy());
            for (const one of how) client.sendText(`42/axr,${JSON.stringify(['authenticate', one])}`); /* without an ack */
            client.send(OP.PING, 'asked');
            assert.strictEqual((await client.take()).payload.toString(), 'asked');
            return client;
        };
        return {
            renewed: [await made([token('u', end + 1000)], 4), await made([token('u')], 3)],
            not: [
                await made([], 4), await made([token('v', end + 1000)], 4), await made(['x.y.z'], 3),
                await made([token('u', end + 1000), token('u', end), 'x'], 4),
            ],
            exp: end,
        };
    });
    for (const client of not) {
        assert.strictEqual(await client.text(within((exp - now() + 2) * 1000)), '41/axr,');
        assert.ok(Date.now() >= exp * 1000, 'not before its time');
        assert.ok(Date.now() - exp * 1000 < within(2000), 'and not late');
        await client.end();
    }
    assert.deepStrictEqual(await heard(redis, renewed), [[], []]);
});

test('a flood of tokens is acknowledged, and hardly any is verified', async (t) => {
    const rsa = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
    const file = path.join(tempDir(t), 'public.pem');
    fs.writeFileSync(file, rsa.publicKey.export({ type: 'spki', format: 'pem' }));
    const daemon = await start(t, { workers: 1, auth: { secret: undefined, publicKeyFile: file } });
    const good = sign(claims('u'), rsa.privateKey, 'RS256');
    const client = await joined(daemon.addr, good);
    t.after(() => client.destroy());
    const answers = { ok: 0, token_rate: 0 };
    const began = Date.now();
    for (let i = 0; i < 2000; i++) client.sendText(`42/axr,${i}${JSON.stringify(['authenticate', good])}`);
    for (let i = 0; i < 2000; i++) {
        const text = await client.text();
        assert.ok(text.startsWith(`43/axr,${i}[`), text);
        const [answer] = JSON.parse(text.slice(text.indexOf('[')));
        answers[answer.ok ? 'ok' : answer.code]++;
    }
    const spent = (Date.now() - began) / 1000;
    assert.strictEqual(answers.ok + answers.token_rate, 2000, JSON.stringify(answers));
    const metrics = await scrape(daemon);
    for (const result of ['ok', 'token_rate'])
        assert.strictEqual(metrics.get('token_renewals_total', `result="${result}"`), answers[result]);
    assert.ok(answers.ok >= 10 && answers.ok <= 11 + spent / 6, JSON.stringify(answers));
});

test('other events are dropped, with their attachments', async (t) => {
    const daemon = await start(t, { workers: 1 });
    const client = await joined(daemon.addr, token('u'));
    t.after(() => client.destroy());
    client.sendText('42/axr,1["authentication","x"]');
    client.sendText('42/axr,2[1,"authenticate"]');
    client.sendText(`452-/axr,3["authenticate",{"_placeholder":true,"num":0}]`);
    client.sendBinary(Buffer.alloc(500000));
    client.sendBinary(Buffer.alloc(500000));
    assert.deepStrictEqual(await heard(await quiet(), [client]), [[]]);
    client.sendText(`42/axr,4${JSON.stringify(['authenticate', token('u')])}`);
    assert.strictEqual(await client.text(), '43/axr,4[{"ok":true,"expires":null}]');
});

/* --- clocks --- */

/* The sanitizers' library has to come before any that is preloaded. */
const sanitized = fs.readFileSync(path.join(BUILD, 'axr-notifyd')).includes('__asan_init');
test('the clock jumps an hour, a year: nobody is disconnected, new tokens follow it', async (t) => {
    if (sanitized) return t.skip('the clock is moved by a library that comes before all others');
    const redis = await quiet();
    const clock = new Shift(t);
    const daemon = await start(t, { workers: 2 }, { env: clock.env });
    const HOUR = 3600;
    const clients = [];
    for (let i = 0; i < 8; i++) {
        const how = { eio: 3 + (i & 1), keep: true };
        const come = i & 4 ? polled : joined;
        clients.push(await come(daemon.addr, token('u', i & 2 ? now() + HOUR / 2 : undefined), how));
    }
    const brief = await joined(daemon.addr, token('u', now() + 4 * SLOW));
    const end = Date.now() + 4000 * SLOW;
    [...clients, brief].forEach((client) => t.after(() => client.destroy()));
    for (const jump of [HOUR, 365 * 24 * HOUR, -HOUR, -365 * 24 * HOUR]) {
        clock.set(jump);
        assert.deepStrictEqual(await heardArgs(redis, clients), clients.map(() => []), `jump of ${jump} s`);
        const there = now() + jump;
        const client = await joined(daemon.addr, token('u', there + 600));
        client.destroy();
        await assert.rejects(joined(daemon.addr, token('u', there - 5)), /token_expired/);
        const early = sign({ ...claims('u'), nbf: there + 600 }, SECRET);
        await assert.rejects(joined(daemon.addr, early), /token_not_active/);
    }
    for (;;) {
        const text = await brief.text(within(8000));
        if (text === '41/axr,') break;
    }
    assert.ok(Date.now() >= end - 1100, 'an expiry is as far away as it was when the client came');
    await brief.end();
    assert.deepStrictEqual(await heardArgs(redis, clients), clients.map(() => []));
});

/* --- what the log says --- */

const ADDRESS = 'address=127\\.0\\.0\\.1:\\d+';
const line = (text) => new RegExp(`^\\S+ info worker \\d+\\[\\d+\\]: ${text}$`, 'm');
const came = (user, transport, eio) =>
    line(`client connected: user=${user} ${ADDRESS} transport=${transport} protocol=${eio}`);
const went = (user, transport, why) =>
    line(`client disconnected: user=${user} ${ADDRESS} transport=${transport} reason="${why}" duration=\\d+\\.\\ds`);

test('connects and disconnects are logged with their reason', async (t) => {
    const daemon = await start(t, { log: { level: 'info' }, shutdownTimeout: 1000 });
    for (const eio of [4, 3]) {
        const leaver = await joined(daemon.addr, token(`leaver${eio}`), { eio });
        await daemon.logged(came(`leaver${eio}`, 'websocket', eio));
        leaver.sendText('41/axr,');
        await daemon.logged(went(`leaver${eio}`, 'websocket', 'client left'));
        leaver.destroy();
        const gone = await joined(daemon.addr, token(`gone${eio}`), { eio });
        gone.socket.resetAndDestroy();
        await daemon.logged(went(`gone${eio}`, 'websocket', 'client'));
    }
    const upgrader = await connect(4, daemon.addr, { token: token('upgrader'), options: { transports: ['polling', 'websocket'] } });
    t.after(() => upgrader.close());
    await daemon.logged(came('upgrader', 'polling', 4));
    await until(() => upgrader.socket.io.engine.transport.name === 'websocket', within(3000), 'upgrade');
    const { brief, exp, began } = await expiring(async (end) => {
        const asked = now();
        return { brief: await joined(daemon.addr, token('brief', end)), exp: end, began: asked };
    });
    t.after(() => brief.destroy());
    await daemon.logged(went('brief', 'websocket', 'token expired'), within((exp - now() + 2) * 1000));
    upgrader.close();
    await daemon.logged(went('upgrader', 'websocket', 'client( left)?'));
    const stayer = await joined(daemon.addr, token('stayer'));
    daemon.signal('SIGTERM');
    await stayer.end();
    await daemon.logged(went('stayer', 'websocket', 'shutdown'));
    await daemon.process.ended(within(3000)); /* a second TERM might meet it at its very end */
    const duration = Number(/user=brief .* duration=(\d+\.\d)s/.exec(daemon.log)[1]);
    assert.ok(duration > 0 && duration < exp - began + within(2000) / 1000, `${duration} s`);
});
test('who polls no more is logged as gone by ping timeout', async (t) => {
    const timers = { pingInterval: 1000 * SLOW, pingTimeout: 1000 * SLOW };
    const daemon = await start(t, { log: { level: 'info' }, 'socket.io': timers });
    for (const eio of [4, 3]) {
        const poller = await polled(daemon.addr, token(`poller${eio}`), { eio });
        await daemon.logged(came(`poller${eio}`, 'polling', eio));
        poller.destroy();
    }
    for (const eio of [4, 3]) await daemon.logged(went(`poller${eio}`, 'polling', 'ping timeout'), within(2000));
});

test('nothing that a client sends breaks a line of the log', async (t) => {
    const daemon = await start(t, { workers: 1, log: { level: 'debug' } });
    const evil = 'a b\r\n2026-01-01T00:00:00.000Z error master[1]: forged\u001b[31m "x" \u2028é';
    const client = await joined(daemon.addr, sign({ uid: evil }, SECRET));
    client.sendText('41/axr,');
    await daemon.logged(/client disconnected: user=a\\x20b\\x0d\\x0a2026\S*forged\\x1b\[31m\\x20\\x22x\\x22\\x20\\xe2\\x80\\xa8\\xc3\\xa9 address=/);
    client.destroy();
    for (const head of ['GET /notifications/?a=\u001b[31m HTTP/1.1', 'GET /\u0000\u001b HTTP/1.1', 'GET /%0d%0aforged HTTP/1.1'])
        await exchange(daemon.addr, `${head}\r\nHost: x\r\nUser-Agent: \u001b\u0000[31m\r\nConnection: close\r\n\r\n`);
    (await quiet()).publish('socket.io#/axr#room\r\nforged\u001b#', '\u0000\u001b\r\nforged');
    await daemon.logged(/message dropped: reason=malformed .*\\x0d\\x0aforged\\x1b/);
    for (const one of daemon.log.split('\n').filter((text) => text && !text.startsWith('axr-notifyd: '))) {
        assert.match(one, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warn|info|debug) \S+( \d+)?\[\d+\]: [\x20-\x7e]*$/);
        assert.ok(!one.startsWith('2026-01-01'), one);
    }
});
