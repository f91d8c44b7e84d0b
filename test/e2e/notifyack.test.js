'use strict';
/* axr-notify --ack: it asks as a server of the cluster does, and prints what came of it;
 * with servers made up here, which answer what a test wants, and with Node servers. */
const assert = require('assert');
const notepack = require('notepack.io');
const { test, shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, NOTIFY, SECRET } = require('./lib/daemon');
const { Reference } = require('./lib/reference');
const { VERSIONS, connect } = require('./lib/clients');
const { sign } = require('./lib/jwt');
const { run, tempDir } = require('./lib/proc');
const { until, within } = require('./lib/time');

const REQUESTS = 'socket.io-request#/axr#';
const ANSWERS = 'socket.io-response#/axr#';
const PLENTY = '20000'; /* ms, which no test waits for */

const world = shared(async (s) => ({ redis: await Redis.start(s), dir: tempDir(s) }));

async function notify(args, options = {}) {
    const { redis, dir } = await world();
    const where = ['-c', '/dev/null', '--socket.io:redis:host', '127.0.0.1', '--socket.io:redis:port', String((options.redis || redis).port)];
    return run(NOTIFY, [...where, ...args], { cwd: dir, env: { PATH: process.env.PATH } });
}

/* A server that is counted, and answers each broadcast with what answer(request, say) says. */
async function server(t, answer) {
    const { redis } = await world();
    const client = await redis.connect();
    const seen = [];
    await client.subscribe(REQUESTS, (payload) => {
        const request = notepack.decode(payload);
        seen.push(request);
        answer(request, {
            on: ANSWERS,
            publish(payload) { return redis.client.publish(this.on, payload); },
            count(clientCount) { return this.publish(JSON.stringify({ type: 8, requestId: request.requestId, clientCount })); },
            ack(packet) { return this.publish(notepack.encode({ type: 9, requestId: request.requestId, packet })); },
        });
    }, true);
    t.after(() => client.disconnect());
    return seen;
}

const numsub = async () => Number((await (await world()).redis.client.sendCommand(['PUBSUB', 'NUMSUB', REQUESTS]))[1]);

test('counts and acknowledgements of two servers, one of which answers to it alone', async (t) => {
    const seen = await server(t, (request, say) => {
        say.count(2);
        say.ack('a');
        say.ack({ b: [1.5, null] });
    });
    await server(t, (request, say) => {
        say.on = `${ANSWERS}${request.uid}#`;
        say.ack(Buffer.from([1, 2]));
        say.ack(undefined);
        say.count(2);
    });
    const result = await notify(['--ack', PLENTY, '--to', 'u1', '--to', 'u2', '--except', 'u3', 'msg', '{"a":1}', '2']);
    assert.deepStrictEqual(result, { code: 0, signal: null, out: 'reached 4, acknowledged 4\n', err: '' });
    const [{ uid, requestId, ...rest }] = seen;
    assert.match(uid, /^[0-9a-f]{16}$/);
    assert.match(requestId, /^[0-9a-f]{16}$/);
    assert.deepStrictEqual(rest, {
        type: 7,
        packet: { type: 2, data: ['msg', { a: 1 }, 2], nsp: '/axr' },
        opts: { rooms: ['u1', 'u2'], flags: { timeout: 20000 }, except: ['u3'] },
    });
    assert.strictEqual((await notify(['--ack', PLENTY, 'msg'])).code, 0);
    assert.notStrictEqual(seen[1].uid, uid);
    assert.notStrictEqual(seen[1].requestId, requestId);
});

test('--json: each answer and the numbers, a line each', async (t) => {
    const acks = ['a', null, { b: '\u2028\n"' }, [Buffer.from([1, 2]), { c: Buffer.alloc(0) }], undefined, 1.5e-7];
    await server(t, (request, say) => {
        say.count(acks.length + 1);
        acks.forEach((ack) => say.ack(ack));
        say.publish(`{"type":9,\n"requestId":"${request.requestId}",\r\n"packet":{"d":\n1}}`);
    });
    const { code, out, err } = await notify(['--ack', PLENTY, '--json', 'msg']);
    assert.deepStrictEqual([code, err], [0, '']);
    assert.ok(out.endsWith('\n'));
    const lines = out.trimEnd().split('\n').map((line) => JSON.parse(line));
    assert.deepStrictEqual(lines, [
        { ack: 'a' }, { ack: null }, { ack: { b: '\u2028\n"' } },
        { ack: [{ _placeholder: true, num: 0 }, { c: { _placeholder: true, num: 1 } }], attachments: ['AQI=', ''] },
        { ack: null }, { ack: 1.5e-7 }, { ack: { d: 1 } },
        { servers: 1, answered: 1, reached: 7, acknowledged: 7 },
    ]);
});

test('not everybody acknowledges', async (t) => {
    await server(t, (request, say) => {
        say.count(3);
        say.ack(1);
    });
    const started = Date.now();
    const result = await notify(['--ack', '500', '--json', 'msg']);
    assert.ok(Date.now() - started >= 500);
    assert.deepStrictEqual([result.code, result.err], [3, '']);
    assert.strictEqual(result.out, '{"ack":1}\n{"servers":1,"answered":1,"reached":3,"acknowledged":1}\n');
});

test('a server that does not say whom it reaches', async (t) => {
    await server(t, () => {});
    await server(t, (request, say) => say.count(0));
    const result = await notify(['--ack', '300', 'msg']);
    assert.deepStrictEqual([result.code, result.out], [3, 'reached 0, acknowledged 0\n']);
    assert.strictEqual(result.err, 'axr-notify: warning: of 2 servers 1 did not say within 300 ms whom they reach\n');
});

test('nobody to reach', async (t) => {
    await server(t, (request, say) => say.count(0));
    for (const [room, err] of [[[], 'no client is in the namespace "/axr"'],
        [['--to', 'x'], 'no client of the 1 server is in such a room; that of a user is the uid of its token']])
        assert.deepStrictEqual(await notify(['--ack', PLENTY, ...room, 'msg']),
            { code: 0, signal: null, out: 'reached 0, acknowledged 0\n', err: `axr-notify: warning: nobody is there: ${err}\n` });
});

test('no server: said at once, and published for who is not counted', async (t) => {
    const { redis } = await world();
    const heard = [];
    const client = await redis.connect();
    t.after(() => client.disconnect());
    await client.pSubscribe('socket.io-request#*', (payload) => heard.push(notepack.decode(payload)), true);
    const result = await notify(['--ack', PLENTY, 'msg', '1']);
    assert.deepStrictEqual([result.code, result.out], [3, 'reached 0, acknowledged 0\n']);
    assert.strictEqual(result.err, `axr-notify: warning: nobody serves: no server answers on "${REQUESTS}" at this redis\n`);
    await until(() => heard.length > 0, within(2000), 'the request');
    assert.deepStrictEqual(heard[0].packet.data, ['msg', 1]);
});

test('what is not for it is passed over, however much it is', async (t) => {
    const { redis } = await world();
    const big = JSON.stringify({ requestId: 'other', sockets: [{ data: 'x'.repeat(20 << 20) }] });
    await server(t, async (request, say) => {
        for (const text of ['', '{', '{}', 'x', '[]', '{"type":8}', '{"type":8,"requestId":"other","clientCount":9}',
            `{"type":6,"requestId":"${request.requestId}","data":1}`, `{"type":8,"requestId":"${request.requestId}","clientCount":-1}`,
            `{"type":8,"requestId":"${request.requestId}","clientCount":"5"}`, `{"type":9,"requestId":"${request.requestId}x"}`])
            await say.publish(text);
        await say.publish(notepack.encode({ type: 9, requestId: 'other', packet: 1 }));
        await say.publish(Buffer.from('83a474797065', 'hex'));
        await say.publish(big);
        await say.count(1);
        await say.ack('yes');
    });
    const result = await notify(['--ack', PLENTY, 'msg']);
    assert.deepStrictEqual(result, { code: 0, signal: null, out: 'reached 1, acknowledged 1\n', err: '' });
    assert.strictEqual(await redis.client.ping(), 'PONG');
});

test('it is counted by nobody', async (t) => {
    const counts = [];
    await server(t, async (request, say) => {
        counts.push(await numsub());
        say.count(0);
    });
    counts.push(await numsub());
    assert.strictEqual((await notify(['--ack', PLENTY, 'msg'])).code, 0);
    assert.deepStrictEqual(counts, [1, 1]);
});

test('an answer that nests too deep, or has many attachments, is one', async (t) => {
    const deep = Array.from({ length: 1000 }).reduce((inner) => [inner], 0);
    await server(t, (request, say) => {
        say.count(2);
        say.ack(deep);
        say.ack(Array.from({ length: 256 }, () => Buffer.from('a')));
    });
    const { code, out } = await notify(['--ack', PLENTY, '--json', 'msg']);
    assert.deepStrictEqual([code, out], [0, '{"ack":null}\n{"ack":null}\n{"servers":1,"answered":1,"reached":2,"acknowledged":2}\n']);
});

test('redis is lost while it waits', async (t) => {
    const redis = await Redis.start(t);
    const client = await redis.connect();
    await client.subscribe(REQUESTS, async (payload) => {
        const { requestId } = notepack.decode(payload);
        await redis.client.publish(ANSWERS, JSON.stringify({ type: 8, requestId, clientCount: 2 }));
        await redis.client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub', 'SKIPME', 'yes']);
    }, true);
    const result = await notify(['--ack', PLENTY, 'msg'], { redis });
    assert.deepStrictEqual([result.code, result.out], [3, 'reached 2, acknowledged 0\n']);
    assert.match(result.err, /^axr-notify: redis: while waiting for answers: .*closed/);
});

test('a redis that does not let it subscribe, or ask', async (t) => {
    const redis = await Redis.start(t);
    const as = (name) => ['--socket.io:redis:username', name, '--socket.io:redis:password', 'p'];
    for (const [name, rules, pattern] of [['one', ['&*', '+publish'], /redis: SUBSCRIBE: NOPERM/],
        ['two', ['resetchannels', '&socket.io-response#/axr#', '+subscribe'], /redis: SUBSCRIBE: NOPERM/],
        ['three', ['&*', '+subscribe', '+publish'], /redis: PUBSUB: NOPERM/],
        ['four', ['&*', '+subscribe', '+pubsub'], /redis: PUBLISH: NOPERM/]]) {
        await redis.client.sendCommand(['ACL', 'SETUSER', name, 'on', '>p', ...rules]);
        const result = await notify([...as(name), '--ack', PLENTY, 'msg'], { redis });
        assert.deepStrictEqual([result.code, result.out], [1, ''], name);
        assert.match(result.err, pattern);
    }
});

test('the command line', async () => {
    for (const [args, pattern] of [[['--ack', '0', 'x'], /--ack wants milliseconds, 1 to 3600000/], [['--ack', '-1', 'x'], /--ack/],
        [['--ack', '2h', 'x'], /--ack wants/], [['--ack', '1k', 'x'], /--ack wants .*\(ms, s, m, h or d\)/], [['--ack=3600001', 'x'], /--ack wants/], [['--ack', '', 'x'], /--ack wants/],
        [['--json', 'x'], /--json is of use with --ack only/]]) {
        const result = await notify(args);
        assert.deepStrictEqual([result.code, result.out], [2, ''], args.join(' '));
        assert.match(result.err, pattern);
    }
});

test('Node servers and their clients', async (t) => {
    const { redis } = await world();
    const servers = [];
    const clients = [];
    for (let i = 0; i < 2; i++) servers.push(await Reference.start(t, { redis: redis.port, secret: SECRET, nsp: '/axr', path: '/notifications' }));
    for (const [i, uid] of ['u1', 'u2', 'u1', 'silent'].entries()) {
        const client = await connect(4, servers[i % 2], { token: sign({ uid }, SECRET) });
        t.after(() => client.close());
        clients.push(client);
        if (uid !== 'silent') client.socket.on('ask', (arg, done) => done(i === 2 ? Buffer.from([7]) : { uid, arg }, 'more'));
    }
    await until(async () => await numsub() === 2, within(5000), 'both servers');
    const ofU1 = await notify(['--ack', PLENTY, '--json', '--to', 'u1', 'ask', '5']);
    assert.deepStrictEqual([ofU1.code, ofU1.err], [0, '']);
    assert.deepStrictEqual(ofU1.out.trimEnd().split('\n').sort(), [
        '{"ack":{"_placeholder":true,"num":0},"attachments":["Bw=="]}',
        '{"ack":{"uid":"u1","arg":5}}',
        '{"servers":2,"answered":2,"reached":2,"acknowledged":2}',
    ]);
    const ofAll = await notify(['--ack', '1000', 'ask', '6']);
    assert.deepStrictEqual([ofAll.code, ofAll.out, ofAll.err], [3, 'reached 4, acknowledged 3\n', '']);
    const butOne = await notify(['--ack', PLENTY, '--except', 'silent', 'ask', '7']);
    assert.deepStrictEqual([butOne.code, butOne.out], [0, 'reached 3, acknowledged 3\n']);
});

test('a daemon beside a Node server, clients of every generation', async (t) => {
    const redis = await Redis.start(t);
    const daemon = await Daemon.start(t, { redis, workers: 2 });
    const node = await Reference.start(t, { redis: redis.port, secret: SECRET, nsp: '/axr', path: '/notifications' });
    const client = async (version, where, uid) => {
        const one = await connect(version, where, { token: sign({ uid }, SECRET) });
        delete one.socket.onevent; /* which has no acknowledgements */
        t.after(() => one.close());
        return one;
    };
    for (const version of VERSIONS) {
        const one = await client(version, daemon.addr, `v${version}`);
        one.socket.on('ask', (arg, done) => done(version % 2 ? Buffer.from([version]) : [version, arg]));
    }
    (await client(4, node, 'of Node')).socket.on('ask', (arg, done) => done('node'));
    (await client(4, daemon.addr, 'empty')).socket.on('ask', (arg, done) => done());
    await client(4, daemon.addr, 'silent');
    const count = async () => Number((await redis.client.sendCommand(['PUBSUB', 'NUMSUB', REQUESTS]))[1]);
    await until(async () => await count() === 2, within(5000), 'both servers');
    const told = async (...args) => {
        const { code, out, err } = await notify(args, { redis });
        assert.strictEqual(err !== '', out.startsWith('reached 0'), err);
        return [code, ...out.trimEnd().split('\n').sort()];
    };
    const bin = (byte) => `{"ack":{"_placeholder":true,"num":0},"attachments":["${Buffer.from([byte]).toString('base64')}"]}`;
    const acks = ['{"ack":"node"}', '{"ack":[2,5]}', '{"ack":[4,5]}', bin(1), bin(3), '{"ack":null}'];
    const all = '{"servers":2,"answered":2,"reached":6,"acknowledged":6}';
    assert.deepStrictEqual(await told('--ack', PLENTY, '--json', '--except', 'silent', 'ask', '5'), [0, ...[...acks, all].sort()]);
    assert.deepStrictEqual(await told('--ack', '1000', 'ask', '6'), [3, 'reached 7, acknowledged 6']);
    assert.deepStrictEqual(await told('--ack', PLENTY, '--to', 'v2', 'ask', '7'), [0, 'reached 1, acknowledged 1']);
    assert.deepStrictEqual(await told('--ack', PLENTY, '--to', 'who is away', 'ask', '8'), [0, 'reached 0, acknowledged 0']);
});
