'use strict';
/* A redis that goes, comes, hangs, refuses, floods and lies. */
const assert = require('assert');
const net = require('net');
const { row, redisServer, isLong, MB, pssOf, daemonPss } = require('../lib/table');
const { lights, Sequences } = require('../lib/light');
const { Redis } = require('../../e2e/lib/redis');
const { Proxy } = require('../lib/proxy');
const { Daemon } = require('../../e2e/lib/daemon');
const { joined } = require('../../e2e/lib/raw');
const { heard, heardArgs } = require('../../e2e/lib/hear');
const { crowd, deliversAgain } = require('../../e2e/lib/load');
const { PASSWORD, guarded } = require('../../e2e/lib/guarded');
const { GARBAGE, garbageFirst, garbageBetween } = require('../lib/garbage');
const { Process } = require('../../e2e/lib/proc');
const { within, until, elapse } = require('../../e2e/lib/time');

const gapsOf = (daemon) => Number(/stopped: .*\bredis_gaps=(\d+)/.exec(daemon.log)[1]);

row(30, 'redis restarts', 'subscribed again within 1.5 s of its return; gap counted, logged', async (t) => {
    const redis = await Redis.start(t);
    const daemon = await Daemon.start(t, { redis });
    const clients = await crowd(t, daemon, 6);
    let slowest = 0;
    const signals = ['SIGTERM', 'SIGKILL'];
    for (const signal of signals) {
        const from = daemon.log.length;
        redis.process.signal(signal);
        await redis.process.ended(within(3000));
        await daemon.logged(/ warn master\[\d+\]: redis lost/, within(2000), from);
        await elapse(2500); /* so that the back-off has grown to its most */
        await redis.again();
        slowest = Math.max(slowest, await deliversAgain(redis, clients[0], within(1500)));
        await daemon.logged(/ warn master\[\d+\]: redis subscribed again .*lost/, within(1000), from);
        await heard(redis, clients);
        redis.emitter().emit('msg', 'once');
        for (const one of await heardArgs(redis, clients)) assert.deepStrictEqual(one, ['once']);
        assert.strictEqual(daemon.log.slice(from).match(/redis lost/g).length, 1, 'logged once');
        assert.ok((daemon.log.slice(from).match(/ warn .*not reachable/g) || []).length <= 1, daemon.log);
    }
    for (const client of clients) assert.strictEqual(client.over, null);
    await daemon.stop();
    t.took('delivers again after', slowest, 1500);
    t.note(`${gapsOf(daemon)} gaps counted and logged, clients kept`);
    assert.strictEqual(gapsOf(daemon), signals.length);
});

row(31, 'redis stopped (SIGSTOP), link half-open', 'noticed within 10 s', async (t) => {
    const notice = async (what, redis, target, act, undo) => {
        const daemon = await Daemon.start(t, { redis: target });
        const [client] = await crowd(t, daemon, 1);
        const began = Date.now();
        act();
        await daemon.logged(/redis lost/, within(10000));
        t.took(`${what}: noticed after`, Date.now() - began, 10000);
        undo();
        await deliversAgain(redis, client, within(3000));
        assert.strictEqual(client.over, null);
    };
    const [stopped, healthy] = [await Redis.start(t), await redisServer()];
    const proxy = await Proxy.start(t, healthy.port);
    await Promise.all([
        notice('stopped', stopped, stopped, () => stopped.process.signal('SIGSTOP'), () => stopped.process.signal('SIGCONT')),
        notice('half-open', healthy, proxy, () => proxy.silence(), () => {}),
    ]);
});

/* A port that takes no connection and refuses none: its queue is full. */
async function blackHole(t) {
    const code = 'const s = require("net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => console.log("port " + s.address().port));';
    const hole = new Process(process.execPath, ['-e', code]);
    t.after(() => {
        hole.signal('SIGKILL');
        return hole.ended(within(2000));
    });
    const port = Number((await hole.line(/port (\d+)/, within(3000)))[1]);
    hole.signal('SIGSTOP');
    const plugs = Array.from({ length: 6 }, () => net.connect(port, '127.0.0.1').on('error', () => {}));
    t.after(() => plugs.forEach((plug) => plug.destroy()));
    await until(() => plugs.filter((plug) => !plug.connecting).length >= 2, within(1000), 'the queue to be full');
    return { port };
}
/* A redis that says the same to everyone, and when it was called. */
async function parrot(t, words) {
    const proxy = await Proxy.start(t, 0);
    proxy.calls = [];
    proxy.onConnection = (socket) => {
        proxy.calls.push(Date.now());
        socket.on('data', () => socket.write(words));
    };
    return proxy;
}
/* A daemon that cannot have its redis: serves, tries again and again, and says why once. */
async function goesWithout(t, what, redis, settings, reason) {
    const daemon = new Daemon(t, { redis, config: { workers: 1, 'socket.io': { redis: settings } } });
    const began = Date.now();
    daemon.spawn();
    await daemon.ready(within(4000));
    const ready = Date.now() - began;
    assert.strictEqual(daemon.redisState, 'not reachable, retrying', what);
    let slowest = 0;
    for (const end = Date.now() + 2500; Date.now() < end; await elapse(20)) {
        const start = Date.now();
        const client = await joined(daemon.addr, daemon.token('u')); /* which asks the master */
        slowest = Math.max(slowest, Date.now() - start);
        client.destroy();
    }
    const lines = daemon.log.split('\n').filter((line) => / (warn|error) master.*redis/.test(line));
    assert.ok(lines.length <= 1, lines.join('\n'));
    await daemon.logged(reason, within(10000));
    assert.ok(!daemon.log.includes(PASSWORD), 'a secret in the log');
    await daemon.stop();
    return { ready, slowest };
}
row(32, 'redis black-holed, wrong password, no permission, -LOADING, max clients', 'back-off with jitter, loop never blocks, no secret logged', async (t) => {
    const { redis } = await guarded(t);
    const [hole, loading, full, silent] = [
        await blackHole(t), await parrot(t, '-LOADING Redis is loading the dataset in memory\r\n'),
        await parrot(t, '-ERR max number of clients reached\r\n'), await parrot(t, ''),
    ];
    const secret = { password: `${PASSWORD}-wrong` };
    const ways = [
        ['black-holed', hole, secret, /not reachable/], ['says nothing', silent, secret, /not reachable/],
        ['wrong password', redis, secret, /WRONGPASS|password/i], ['no permission', redis, { username: 'nobody', password: `${PASSWORD}2` }, /NOPERM|permission/i],
        ['-LOADING', loading, secret, /LOADING/], ['max clients', full, secret, /max number of clients/],
    ];
    const all = await Promise.all(ways.map(([what, port, settings, reason]) => goesWithout(t, what, port, settings, reason)));
    const waits = loading.calls.slice(1).map((at, index) => at - loading.calls[index]);
    t.note(`${ways.length} ways: ready after at most ${Math.max(...all.map((one) => one.ready))} ms`);
    t.took('let in meanwhile within', Math.max(...all.map((one) => one.slowest)), 1000); /* a connect that blocks takes 3 s */
    t.note(`tries after ${waits.join(', ')} ms`);
    assert.ok(waits.length >= 3 && Math.max(...waits) <= within(1000), 'back-off');
    assert.ok(new Set(waits.slice(-3)).size > 1, 'jitter');
});

row(33, 'redis cuts the subscriber for its output buffer', 'gap counted, never silent', async (t) => {
    const redis = await Redis.start(t, { args: ['--client-output-buffer-limit', 'pubsub 1mb 1mb 1'] });
    /* What came before the cut comes in one burst, which a slow reader may have to wait for. */
    const daemon = await Daemon.start(t, { redis, config: { limits: { sendBuffer: 256 << 20 } } });
    const [client] = await crowd(t, daemon, 1);
    const filler = 'x'.repeat(100000);
    daemon.process.signal('SIGSTOP'); /* the master alone: it reads no more */
    for (let i = 0; i < 400; i++) redis.emitter().emit('fill', i, filler);
    await until(async () => (await redis.publish('socket.io#/axr#', 'x')) === 0, within(3000), 'redis to cut it');
    daemon.process.signal('SIGCONT');
    await daemon.logged(/ warn master\[\d+\]: redis lost/, within(5000));
    await daemon.logged(/ warn master\[\d+\]: redis subscribed again .*lost/, within(5000));
    redis.emitter().emit('msg', 'after');
    const events = (await heard(redis, [client], { ms: within(5000) }))[0].map((event) => event.args[1]);
    assert.strictEqual(events.pop(), 'after');
    assert.deepStrictEqual(events, events.map((_, index) => index), 'what came before the cut is whole');
    await daemon.stop();
    t.note(`${events.length} of 400 messages before the cut, ${gapsOf(daemon)} gap counted and logged`);
    assert.strictEqual(gapsOf(daemon), 1);
});

row(34, 'garbage from redis, one byte at a time', 'reconnect, master alive', async (t) => {
    const redis = await redisServer();
    const all = Object.entries(GARBAGE);
    await Promise.all(all.map(([what, bytes]) => garbageFirst(t, redis, what, bytes)));
    const between = await Promise.allSettled(all.map(([what, bytes]) => garbageBetween(t, redis, what, bytes)));
    assert.deepStrictEqual(between.filter((one) => one.reason).map((one) => one.reason.message), []);
    t.note(`${all.length} kinds at the start and amid a subscription: delivers again, clients kept`);
});

/* Publishes rate messages a second over one connection, as fast as they are due. */
async function flood(t, redis, rate, seconds) {
    const socket = net.connect(redis.port, '127.0.0.1');
    t.after(() => socket.destroy());
    const { encode } = require('../lib/resp');
    let sent = 0;
    const began = Date.now();
    socket.resume();
    while (Date.now() - began < seconds * 1000) {
        const due = Math.min((Date.now() - began) * rate / 1000, sent + rate / 10);
        const batch = [];
        for (; sent < due; sent++) batch.push(encode(sent));
        if (batch.length && !socket.write(Buffer.concat(batch))) await new Promise((resolve) => socket.once('drain', resolve));
        await elapse(2);
    }
    return { sent, rate: (sent * 1000) / (Date.now() - began) };
}
/* settings: of socket.io:redis. */
async function flooded(t, redis, settings = {}) {
    const config = { workers: 1, limits: { sendBuffer: 64 << 20 }, log: { level: 'info' }, 'socket.io': { redis: settings } };
    const daemon = await Daemon.start(t, { redis, config });
    const [client] = await crowd(t, daemon, 1);
    redis.emitter().emit('ten megabytes', 'x'.repeat(10 << 20));
    redis.emitter().emit('msg', 'after');
    assert.deepStrictEqual(await heardArgs(redis, [client], { ms: within(5000) }), [['after']]);
    await daemon.logged(/message dropped: reason=too_large/);
    client.destroy();
    const sequences = new Sequences();
    const clients = await lights(daemon.addr, 2, () => daemon.token('u'), sequences.onSeq);
    clients.forEach((one) => sequences.next.set(one, 0));
    const before = daemonPss(daemon);
    let most = 0;
    const watch = setInterval(() => (most = Math.max(most, daemonPss(daemon) - before)), 100);
    t.after(() => clearInterval(watch));
    const { sent, rate } = await flood(t, redis, 50000, isLong ? 20 : 2);
    await until(() => sequences.complete(clients, sent), within(20000), 'everything to be heard');
    clearInterval(watch);
    clients.forEach((one) => one.destroy());
    assert.deepStrictEqual(sequences.wrong, []);
    assert.strictEqual(sequences.heard, 2 * sent);
    await daemon.stop();
    const [, dropped] = /stopped: .*\bdropped=(\d+)/.exec(daemon.log);
    assert.strictEqual(dropped, '1');
    t.note(`10 MB: refused, ${dropped} counted; ${sent} messages at ${Math.round(rate)}/s, all heard by 2 clients in order`);
    t.memory('master and worker grew at most', most, 96 * MB);
}
row(35, 'a 10 MB message; 50,000 messages/s', 'first refused and counted; second relayed, memory bounded', async (t) => flooded(t, await redisServer()), { timeout: 120000 });

module.exports = { flooded };
