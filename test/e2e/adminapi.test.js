'use strict';
/* What changes something on the admin address, and what it says of the whole cluster: two
 * daemons and a Node server on one redis, with clients on each. */
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { test, shared } = require('./lib/suite');
const { Redis, Daemon, Member, Asked, counted, tokenOf } = require('./lib/cluster');
const { RedisTls } = require('./lib/redistls');
const { FakeSentinel } = require('./lib/sentinels');
const { AnyEmitter } = require('./lib/emitters');
const { Http, once } = require('./lib/http');
const { adminOf, scrape } = require('./lib/metrics');
const { reload } = require('./lib/reload');
const { run } = require('./lib/proc');
const { NOTIFYD, ROOT } = require('./lib/daemon');
const { within, until } = require('./lib/time');

const TOKEN = 'a token that nobody guesses'.replace(/ /g, '-');
const REQUESTS = 'socket.io-request#/axr#';
const withToken = { workers: 2, admin: { token: TOKEN } };

const bearer = (token) => ({ Authorization: `Bearer ${token}` });
const json = { 'Content-Type': 'application/json' };

/* The answer to a POST with the token: its status and what it says. */
async function post(daemon, target, body, headers = {}) {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const answer = await once(await adminOf(daemon), 'POST', target, { ...bearer(TOKEN), ...(body === undefined ? {} : json), ...headers }, text);
    return { status: answer.status, ...JSON.parse(answer.text), headers: answer.headers };
}
const emit = async (daemon, message, headers) => {
    const { headers: ignored, ...rest } = await post(daemon, '/emit', message, headers);
    return rest;
};
const user = async (daemon, uid, query = '') => JSON.parse((await once(await adminOf(daemon), 'GET', `/users/${uid}${query}`)).text);

const world = shared(async (s) => {
    const redis = await Redis.start(s);
    const [one, other, node] = await Promise.all([
        Daemon.start(s, { redis, config: withToken }),
        Daemon.start(s, { redis, config: withToken }),
        Member.start(s, redis, '8.3'),
    ]);
    await counted(redis, 3);
    return { s, redis, one, other, node, places: [one.addr, other.addr, node.addr] };
});

/* Clients of a user, one in each place; what they have heard is theirs. */
async function clientsOf(t, uid, places) {
    const clients = await Promise.all(places.map(async (addr, i) => {
        const client = new Asked(4, addr, { token: tokenOf(uid) });
        client.name = `${uid}${i}`;
        t.after(() => client.close());
        await client.noted('connect');
        return client;
    }));
    return clients;
}

test('POST /emit delivers what the emitter does, here, to another daemon and to a Node server', async (t) => {
    const { redis, one, places } = await world();
    const { io } = new AnyEmitter(t, redis, '5.1');
    const of = () => io.of('/axr');
    const clients = [...(await clientsOf(t, 'ann', places)), ...(await clientsOf(t, 'bob', places))];
    const values = [0, -0, 1.5, -1.5e-300, 1e-7, 4294967296, -2147483649, 9007199254740991, 'é\u2028😀"\\\u0000', '', null, true, [[]], { a: { b: [1, 2] }, '': 0 }];
    const cases = [
        [(e) => e.emit('all', ...values), { event: 'all', args: values }],
        [(e) => e.emit('none'), { event: 'none' }],
        [(e) => e.to('ann').emit('one', 1), { to: 'ann', event: 'one', args: [1] }],
        [(e) => e.to(['ann', 'bob']).emit('two'), { to: ['ann', 'bob'], event: 'two', args: [] }],
        [(e) => e.to('ann').except('bob').emit('three'), { to: ['ann'], except: 'bob', event: 'three' }],
        [(e) => e.except(['ann']).emit('four'), { except: ['ann'], event: 'four' }],
        [(e) => e.volatile.to('nobody').emit('five'), { to: ['nobody'], event: 'five', volatile: true }],
        [(e) => e.volatile.emit('six', 'v'), { event: 'six', args: ['v'], volatile: true }],
        [(e) => e.emit('é 😀', { long: 'x'.repeat(100000) }), { event: 'é 😀', args: [{ long: 'x'.repeat(100000) }] }],
    ];
    const heard = async (send) => {
        for (const client of clients) client.events.length = 0;
        await send();
        of().emit('end');
        await Promise.all(clients.map((client) => client.when(() => client.events.some(([name]) => name === 'end'), within(3000), 'the end')));
        return clients.map(({ events }) => events.slice(0, -1));
    };
    for (const [call, message] of cases) {
        const wanted = await heard(async () => call(of()));
        const got = await heard(async () => assert.deepStrictEqual(await emit(one, message), { status: 200, subscribers: 3 }));
        assert.deepStrictEqual(got, wanted, JSON.stringify(message).slice(0, 200));
    }
    /* Text that JavaScript would not write so. */
    const [[[, ...exact]]] = await heard(() => emit(one, '{"event":"e","args":[1.0,12345678901234567890,"\\u00e9\\/",{"a":1,"a":2}]}'));
    assert.deepStrictEqual(exact, [1, 12345678901234567000, 'é/', { a: 2 }]);
});
test('with ack: who has acknowledged it, on all servers', async (t) => {
    const { one, places } = await world();
    const clients = await clientsOf(t, 'asked', places);
    const { answers, subscribers, ...rest } = await emit(one, { to: 'asked', event: 'ask for values', ack: 5000 });
    assert.deepStrictEqual(rest, { status: 200, servers: 3, answered: 3, reached: 3, acknowledged: 3, timeout: false });
    assert.strictEqual(subscribers, 3);
    assert.deepStrictEqual(answers.map(({ name }) => name).sort(), ['asked0', 'asked1', 'asked2']);
    assert.deepStrictEqual(clients[0].events[0], ['ask for values', 'ack']);
    assert.deepStrictEqual((await emit(one, { to: 'asked', event: 'ask for nothing', ack: 5000 })).answers, [null, null, null]);
    const { reached, acknowledged, timeout, answers: some } = await emit(one, { to: ['asked'], event: 'ask some', args: [['asked1']], ack: 2000 });
    assert.deepStrictEqual([reached, acknowledged, timeout, some], [3, 1, true, ['asked1']]);
    const none = await emit(one, { to: 'nobody', event: 'x', ack: 60000 });
    assert.deepStrictEqual([none.reached, none.timeout, none.answers], [0, false, []]);
});
test('GET /users/<uid>: its connections on all servers, and on this one alone', async (t) => {
    const { one, other, node, places } = await world();
    const clients = await clientsOf(t, 'who', places);
    await node.follow(['in', clients[2].id], ['socketsJoin', 'further']);
    const all = await until(async () => {
        const found = await user(one, 'who');
        return found.rooms.includes('further') && found;
    }, within(2000), 'further');
    const { sockets, rooms, ...rest } = all;
    assert.deepStrictEqual(rest, { uid: 'who', connected: true, connections: 3, here: { connections: 1 }, servers: 3, answered: 3 });
    assert.deepStrictEqual([...rooms].sort(), ['allusers', 'further', 'who']);
    assert.deepStrictEqual(sockets.map(({ id }) => id).sort(), clients.map(({ id }) => id).sort());
    for (const { id, here, address, time, rooms: its } of sockets) {
        assert.strictEqual(here, id === clients[0].id);
        assert.match(address, /127\.0\.0\.1$/);
        assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60000, time);
        assert.ok(its.includes('who'));
    }
    assert.deepStrictEqual(await user(other, 'who', '?cluster=0'), {
        uid: 'who', connected: true, connections: 1, rooms: ['who', 'allusers'], here: { connections: 1 }, servers: 1, answered: 1, cluster: false,
    });
    assert.deepStrictEqual((await user(one, 'not%2Fthere')).sockets, []);
    assert.deepStrictEqual(await user(one, 'allusers'), { /* not all clients of all servers */
        uid: 'allusers', connected: false, connections: 0, rooms: [], here: { connections: 0 }, servers: 1, answered: 1, cluster: false,
    });
});
test('POST /users/<uid>/disconnect: everywhere, and the connection only if that is wanted', async (t) => {
    const { one, places } = await world();
    const [raw] = await clientsOf(t, 'gone', [places[1]]);
    const [kept] = await clientsOf(t, 'kept', [places[1]]);
    let closed = 0;
    for (const { socket } of [raw, kept]) socket.io.engine.on('close', () => closed++);
    const more = await clientsOf(t, 'gone', places);
    const { headers, ...answer } = await post(one, '/users/gone/disconnect');
    assert.deepStrictEqual(answer, { status: 200, uid: 'gone', connections: 4, servers: 3, answered: 3, subscribers: 3 });
    assert.strictEqual(headers['cache-control'], 'no-store');
    for (const client of [raw, ...more]) assert.strictEqual((await client.noted('disconnect')).detail, 'io server disconnect');
    await until(() => closed === 1, within(2000), 'its connection is closed');
    assert.strictEqual((await post(one, '/users/kept/disconnect', ' {"close":false}\n')).connections, 1);
    await kept.noted('disconnect');
    assert.strictEqual((await user(one, 'gone')).connected, false);
    assert.match(one.log, /info master\[\d+\]: admin: disconnect user=gone connections=4 from 127\.0\.0\.1:\d+\n/);
    for (const bad of ['[]', '{"close":1}', '{"clos":true}', '{"close":true}x', '{"close":true}\0', ' ', '{"close":true,"close":false}'])
        assert.strictEqual((await post(one, '/users/kept/disconnect', bad)).status, 400, bad);
    assert.strictEqual((await post(one, '/users/a%00/disconnect')).status, 400);
});
test('a server that is counted and does not answer is waited for, and told of', async (t) => {
    const { redis, one, places } = await world();
    const silent = await redis.connect();
    t.after(() => silent.disconnect());
    const [client] = await clientsOf(t, 'some', places.slice(1, 2));
    await silent.subscribe(REQUESTS, () => {});
    await counted(redis, 4);
    const [found, sent] = await Promise.all([user(one, 'some'), emit(one, { to: 'some', event: 'ask', ack: 4000 })]);
    assert.deepStrictEqual([found.connections, found.servers, found.answered], [1, 4, 3]);
    assert.deepStrictEqual([sent.servers, sent.answered, sent.acknowledged, sent.timeout], [4, 3, 1, true]);
    await silent.unsubscribe(REQUESTS);
    await counted(redis, 3);
    assert.ok(!client.isGone);
});
test('who may not: without the token, from other pages, with other bodies', async (t) => {
    const { one } = await world();
    const from = one.log.length;
    const message = { event: 'never' };
    const body = JSON.stringify(message);
    const admin = await adminOf(one);
    const ask = (headers, text = body, target = '/emit') => once(admin, 'POST', target, { ...json, ...headers }, text);
    for (const [status, headers] of [
        [401, {}], [401, bearer('x')], [401, bearer(`${TOKEN}x`)], [401, bearer(TOKEN.slice(1))], [401, { Authorization: `Basic ${TOKEN}` }], [401, { Cookie: `token=${TOKEN}` }],
        [403, { ...bearer(TOKEN), Origin: 'http://evil.example' }], [403, { ...bearer(TOKEN), Origin: 'null' }], [403, { ...bearer(TOKEN), 'Sec-Fetch-Site': 'cross-site' }],
        [415, { ...bearer(TOKEN), 'Content-Type': 'text/plain' }], [415, { ...bearer(TOKEN), 'Content-Type': undefined }],
        [400, { ...bearer(TOKEN), 'Content-Length': [2, 3] }], [400, { ...bearer(TOKEN), 'Transfer-Encoding': 'chunked' }],
    ]) {
        const { status: got, text, headers: { 'www-authenticate': wanted } } = await ask(headers);
        assert.strictEqual(got, status, JSON.stringify(headers));
        assert.strictEqual(JSON.parse(text).error !== undefined, true);
        assert.strictEqual(wanted, status === 401 ? 'Bearer' : undefined);
    }
    assert.strictEqual((await ask({}, body, `/emit?token=${TOKEN}`)).status, 401);
    assert.strictEqual((await ask(bearer(TOKEN), JSON.stringify({ event: 'x', args: ['x'.repeat(4194304)] }))).status, 413);
    assert.strictEqual((await ask(bearer(TOKEN), 'x'.repeat(5 << 20))).status, 413);
    const refused = await once(admin, 'GET', '/emit');
    assert.deepStrictEqual([refused.status, refused.headers.allow], [405, 'POST']);
    assert.strictEqual((await once(admin, 'OPTIONS', '/emit', { Origin: 'http://evil.example', 'Access-Control-Request-Method': 'POST' })).headers['access-control-allow-origin'], undefined);
    assert.strictEqual((await emit(one, { event: 'x' }, { Origin: `http://localhost`, Host: 'localhost' })).status, 200);
    for (const [bad, member] of [[{ to: ['a'] }, 'event'], [{ event: 'x', to: [] }, 'to'], [{ event: 'x', rooms: ['a'] }, 'rooms'], [{ event: 'disconnect' }, 'event'], [{ event: 'x', args: [1], ack: 1.5 }, 'ack'], [{ event: 'x', volatile: 1 }, 'volatile']])
        assert.match((await emit(one, bad)).message, new RegExp(`^${member}: `));
    assert.match((await emit(one, `{"event":"x","args":${'['.repeat(130)}${']'.repeat(130)}}`)).message, /^args: they nest too deep/);
    const counts = await scrape(one);
    assert.ok(counts.get('admin_requests_total', 'status="401"') >= 7 && counts.get('admin_requests_total', 'status="415"') >= 2);
    assert.ok(counts.get('admin_actions_total', 'action="emit"') > 5 && counts.get('admin_actions_total', 'action="disconnect"') === 2);
    for (let i = 0; i < 5; i++) await ask(bearer('guess'));
    assert.strictEqual((await ask(bearer('guess'))).status, 429);
    assert.strictEqual((await emit(one, message)).status, 200, 'nobody keeps out who has it');
    assert.match(one.log.slice(from), /warn master\[\d+\]: admin: a request from 127\.0\.0\.1:\d+ without a good token/);
    assert.ok(!one.log.includes(TOKEN) && !one.log.includes('guess'));
    const printed = await run(NOTIFYD, ['-c', one.file, '-t'], { cwd: one.dir, env: one.env });
    assert.match(printed.out + printed.err, /token": ?"?\*{8}|\*{8}/);
    assert.ok(!`${printed.out}${printed.err}${fs.readFileSync(path.join('/proc', String(one.pid), 'cmdline'))}`.includes(TOKEN));
});
test('bodies in pieces, in chunks, after 100 (Continue), and callers that go', async (t) => {
    const { one, places } = await world();
    const [client] = await clientsOf(t, 'piece', places.slice(1, 2));
    const admin = await adminOf(one);
    const head = (more) => `POST /emit HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: application/json\r\n${more}\r\n\r\n`;
    const body = (n) => `{"to":"piece","event":"e","args":[${n}]}`;
    const dialled = () => {
        const http = new Http(admin);
        t.after(() => http.destroy());
        return http;
    };
    const chunked = dialled().send(head('Transfer-Encoding: chunked'));
    for (const char of body(1)) chunked.send(`1\r\n${char}\r\n`);
    chunked.send('0\r\n\r\n');
    assert.strictEqual((await chunked.answer()).status, 200);
    const patient = dialled().send(head(`Content-Length: ${body(2).length}\r\nExpect: 100-continue`));
    assert.strictEqual((await patient.answer()).status, 100);
    patient.send(body(2));
    assert.strictEqual((await patient.answer()).status, 200);
    /* The next request on a connection is not served. */
    const piped = dialled().send(head(`Content-Length: ${body(3).length}`) + body(3) + head(`Content-Length: ${body(9).length}`) + body(9));
    assert.strictEqual((await piped.answer()).status, 200);
    await piped.over();
    assert.strictEqual(piped.bytes.length, 0);
    /* Half of one is none; whoever has sent all may go. */
    dialled().send(head('Content-Length: 1000') + body(8)).socket.end();
    const hasty = dialled().send(head(`Content-Length: ${body(4).length}`) + body(4));
    await client.when(() => client.events.length === 4, within(3000), 'the fourth');
    hasty.destroy();
    const asked = dialled().send(head(`Content-Length: ${body(5).length - 1 + ',"ack":60000}'.length}`) + body(5).slice(0, -1) + ',"ack":60000}');
    await client.when(() => client.events.length === 5, within(3000), 'the fifth');
    asked.destroy();
    assert.deepStrictEqual(client.events.map(([, n]) => n), [1, 2, 3, 4, 5]);
    assert.strictEqual((await emit(one, { to: 'piece', event: 'ask', ack: 5000 })).acknowledged, 1);
});
test('as many questions at once as there may be, and no more', async (t) => {
    const { one, places } = await world();
    const [client] = await clientsOf(t, 'mute', places.slice(0, 1));
    const admin = await adminOf(one);
    const body = JSON.stringify({ to: 'mute', event: 'ask nobody', ack: 60000 });
    const waiting = Array.from({ length: 8 }, () => new Http(admin).send('POST', '/emit', { ...bearer(TOKEN), ...json }, body));
    t.after(() => waiting.forEach((http) => http.destroy()));
    await client.when(() => client.events.length === 8, within(3000), 'all eight');
    const refused = await post(one, '/emit', { event: 'x', ack: 1000 });
    assert.deepStrictEqual([refused.status, refused.message, refused.headers['retry-after']], [503, 'too many questions are under way', '1']);
    assert.strictEqual((await emit(one, { event: 'x' })).status, 200);
    assert.strictEqual((await user(one, 'mute', '?cluster=0')).connections, 1);
    waiting.pop().destroy();
    await until(async () => (await emit(one, { to: 'mute', event: 'ask', ack: 5000 })).acknowledged === 1, within(3000), 'a place is free');
});
test('many messages at once: none is cut off for others that come', async (t) => {
    const { one, places } = await world();
    const [client] = await clientsOf(t, 'burst', places.slice(0, 1));
    const admin = await adminOf(one);
    const body = JSON.stringify({ to: 'burst', event: 'e' });
    const headers = { ...bearer(TOKEN), ...json };
    const some = await Promise.all(Array.from({ length: 60 }, () => emit(one, body)));
    assert.deepStrictEqual([...new Set(some.map(({ status }) => status))], [200]);
    await client.when(() => client.events.length === 60, within(3000), 'all of them');
    /* Those that have shown the token stay, whoever else calls, and further ones are refused. */
    const dialled = (...what) => {
        const http = new Http(admin).send(...what);
        t.after(() => http.destroy());
        return http;
    };
    const begun = () => dialled('POST', '/emit', { ...headers, Expect: '100-continue', 'Content-Length': body.length });
    const waiting = Array.from({ length: 64 }, begun);
    const first = await Promise.all(waiting.map((http) => http.answer()));
    assert.deepStrictEqual([...new Set(first.map(({ status }) => status))], [100]);
    const refused = await begun().answer();
    assert.deepStrictEqual([refused.status, refused.headers['retry-after'], JSON.parse(refused.text).message], [503, '1', 'too many requests are under way']);
    for (let i = 0; i < 100; i++) dialled('GET /status HTTP/1.1\r\n');
    assert.strictEqual((await once(admin, 'GET', '/health/live')).status, 200);
    const answers = await Promise.all(waiting.map((http) => http.send(body).answer()));
    assert.deepStrictEqual([...new Set(answers.map(({ status }) => status))], [200]);
});
test('a reload: another token counts at once, and who waits is answered', async (t) => {
    const { redis } = await world();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1 } });
    assert.match((await post(daemon, '/emit', { event: 'x' })).message, /admin:token is not set/);
    const file = path.join(daemon.dir, 'token');
    fs.writeFileSync(file, `${TOKEN}\n`, { mode: 0o600 });
    await reload(daemon, { admin: { tokenFile: file } });
    const [client] = await clientsOf(t, 'reloaded', [daemon.addr]);
    const waiting = emit(daemon, { to: 'reloaded', event: 'ask nobody', ack: 1500 });
    await client.when(() => client.events.length === 1, within(3000), 'it has come');
    fs.writeFileSync(file, 'another-token-than-before\n');
    await reload(daemon, { 'socket.io': { requestsTimeout: 4000 } });
    assert.strictEqual((await post(daemon, '/emit', { event: 'x' })).status, 401);
    assert.strictEqual((await post(daemon, '/emit', { event: 'x' }, bearer('another-token-than-before'))).status, 200);
    const { status, reached, timeout } = await waiting;
    assert.deepStrictEqual([status, reached, timeout], [200, 1, true]);
    const last = post(daemon, '/emit', { to: 'reloaded', event: 'ask nobody', ack: 60000 }, bearer('another-token-than-before')).catch((error) => error);
    await client.when(() => client.events.length > 1, within(3000), 'another');
    await daemon.stop();
    const end = await last; /* cut off, or what was known when the client went */
    assert.ok(/closed/.test(end.message) || end.acknowledged === 0, JSON.stringify(end));
});
test('the admin address moves, or the daemon stops, while servers are asked: what was ordered is done', async (t) => {
    const redis = await Redis.start(t);
    const daemon = await Daemon.start(t, { redis, config: withToken });
    const silent = await redis.connect();
    await silent.subscribe(REQUESTS, () => {});
    await counted(redis, 2);
    const [one, other] = [(await clientsOf(t, 'one', [daemon.addr]))[0], (await clientsOf(t, 'other', [daemon.addr]))[0]];
    const admin = await adminOf(daemon);
    const ask = (target, body) => new Http(admin).send('POST', target, { ...bearer(TOKEN), ...json }, body);
    const all = [ask('/users/one/disconnect', '{}'), ask('/emit', '{"to":"other","event":"ask nobody","ack":60000}'), new Http(admin).send('GET', '/users/one')];
    t.after(() => all.forEach((http) => http.destroy()));
    await other.when(() => other.events.length === 1, within(3000), 'it has come');
    await reload(daemon, { admin: { host: '127.0.0.2' } });
    await Promise.all(all.map((http) => http.over()));
    await one.noted('disconnect');
    assert.match(daemon.log, /admin: disconnect user=one connections=\d+ from 127\.0\.0\.1:\d+/);
    const moved = { host: '127.0.0.2', port: Number(/admin listening on 127\.0\.0\.2:(\d+)/.exec(daemon.log)[1]) };
    const last = new Http(moved).send('POST', '/emit', { ...bearer(TOKEN), ...json }, '{"to":"other","event":"ask nobody","ack":60000}');
    t.after(() => last.destroy());
    await other.when(() => other.events.length === 2, within(3000), 'another');
    await daemon.stop();
    await last.over();
});
test('redis away, and one that does not allow all that', async (t) => {
    const redis = await Redis.start(t);
    const daemon = await Daemon.start(t, { redis, config: withToken });
    const [client] = await clientsOf(t, 'u', [daemon.addr]);
    const acl = (...rules) => redis.client.sendCommand(['ACL', 'SETUSER', 'default', ...rules]);
    await acl('-pubsub');
    const alone = await user(daemon, 'u');
    assert.deepStrictEqual([alone.connections, alone.servers, alone.cluster], [1, 1, false]);
    const unasked = await emit(daemon, { event: 'x', ack: 1000 });
    assert.deepStrictEqual([unasked.status, /NOPERM|permission/i.test(unasked.message)], [503, true], JSON.stringify(unasked));
    assert.strictEqual((await emit(daemon, { event: 'x' })).status, 200);
    await redis.client.sendCommand(['ACL', 'SETUSER', 'deaf', 'on', '>x', '+@all', '~*', 'resetchannels', '&socket.io-response#/axr#*']);
    const deaf = await Daemon.start(t, { redis, config: { ...withToken, 'socket.io': { redis: { username: 'deaf', password: 'x' } } } });
    assert.match((await emit(deaf, { event: 'x' })).message, /^redis has refused it/);
    assert.match((await post(deaf, '/users/u/disconnect')).message, /^redis has refused it/);
    await acl('+pubsub');
    const waiting = emit(daemon, { to: 'u', event: 'ask nobody', ack: 20000 });
    await client.when(() => client.events.some(([name]) => name === 'ask nobody'), within(3000), 'it has come');
    await redis.stop();
    const lost = await waiting;
    assert.deepStrictEqual([lost.status, lost.reached, lost.acknowledged, lost.timeout], [200, 1, 0, true]);
    assert.strictEqual((await emit(daemon, { event: 'x' })).status, 503);
    assert.strictEqual((await emit(daemon, { event: 'x', ack: 100 })).status, 503);
    assert.strictEqual((await post(daemon, '/users/u/disconnect')).status, 503);
    const last = await user(daemon, 'u');
    assert.deepStrictEqual([last.connections, last.cluster], [1, false]);
});
test('with the rights that conf(5) gives, and with those of notifications alone', async (t) => {
    const redis = await Redis.start(t);
    const page = fs.readFileSync(path.join(ROOT, 'man/axr-notifyd.conf.5'), 'utf8');
    const [, text] = /^redis-cli ACL SETUSER pusher ([^]*?)^\.Ed/m.exec(page);
    const rights = text.replace(/\\e\n/g, ' ').trim().split(/\s+/).map((word) => word.replace(/'/g, '')).filter((word) => !word.startsWith('>'));
    await redis.client.sendCommand(['ACL', 'SETUSER', 'full', '>x', ...rights]);
    await redis.client.sendCommand(['ACL', 'SETUSER', 'bare', 'on', '>x', 'resetchannels', '&socket.io#/axr#*', '&socket.io#emitter', '&socket.io#/axr', '+subscribe', '+psubscribe', '+ping']);
    const daemonOf = (username) => Daemon.start(t, { redis, config: { ...withToken, 'socket.io': { redis: { username, password: 'x' } } } });
    const [full, bare] = await Promise.all([daemonOf('full'), daemonOf('bare')]);
    await counted(redis, 1);
    await clientsOf(t, 'u', [full.addr, bare.addr]);
    assert.strictEqual((await emit(full, { to: 'u', event: 'ask', ack: 5000 })).acknowledged, 1);
    assert.deepStrictEqual((await user(full, 'u')).sockets.map(({ here }) => here), [true]);
    const alone = await user(bare, 'u');
    assert.deepStrictEqual([alone.connections, alone.cluster], [1, false]);
    assert.strictEqual((await emit(bare, { event: 'x' })).status, 503);
    assert.strictEqual((await post(bare, '/users/u/disconnect')).status, 503);
});
test('over TLS, and where sentinels say', async (t) => {
    const secure = await RedisTls.start(t);
    const sentinel = await FakeSentinel.start(t, secure);
    const [one, other] = await Promise.all([
        Daemon.start(t, { config: { ...withToken, 'socket.io': { redis: { host: '127.0.0.1', ...secure.settings() } } } }),
        Daemon.start(t, { config: { ...withToken, 'socket.io': { redis: { host: undefined, port: undefined, name: 'm', sentinels: [`127.0.0.1:${sentinel.port}`] } } } }),
    ]);
    await counted(secure, 2);
    await clientsOf(t, 'u', [one.addr, other.addr]);
    for (const daemon of [one, other]) {
        assert.strictEqual((await emit(daemon, { to: 'u', event: 'ask', ack: 5000 })).acknowledged, 2);
        assert.strictEqual((await user(daemon, 'u')).connections, 2);
    }
});
