'use strict';
/* What time does to a client, over both transports: heartbeats, those that nobody asked
 * for and those that are late because a worker was not run; and how long output may wait
 * for one that does not read, counted from the first byte, and anew each time. */
const assert = require('assert');
const path = require('path');
const { test, shared, keep } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon } = require('./lib/daemon');
const { OP, frame } = require('./lib/raw');
const { WAYS, isRaw, say, ended, blocked } = require('./lib/ways');
const { heard, heardArgs } = require('./lib/hear');
const { scrape, settled } = require('./lib/metrics');
const { isRunning, tempDir } = require('./lib/proc');
const { SLOW, within, until, elapse } = require('./lib/time');

const redisServer = shared((s) => Redis.start(s));
/* Who is to stay has a second for what it must do. */
const PING = { pingInterval: 300 * SLOW, pingTimeout: 1000 * SLOW };
const STALL = 1500 * SLOW;
const BUFFER = 64 << 20;

const hasty = shared(async (s) => {
    const redis = await redisServer();
    return { redis, daemon: await Daemon.start(s, { redis, config: { 'socket.io': PING } }) };
});
/* Where it is known how much is on its way to a client that does not read: see blocked(). */
async function local(t, config) {
    const redis = await redisServer();
    const listen = [`unix:${path.join(tempDir(t), 'axr.sock')}`];
    const own = { workers: 1, listen, port: undefined, host: undefined, ...config };
    return { redis, daemon: await Daemon.start(t, { redis, config: own }) };
}
const patient = shared((s) => local(s, { limits: { sendTimeout: STALL, sendBuffer: BUFFER } }));
let groups = 0;
/* fn for each way at once, for each takes its time; uid is this client's alone, so that what was
 * published last before comes to nobody. */
function each(ways, fn) {
    const nth = ++groups;
    return Promise.all(ways.map(([what, way]) => fn(way, `${way.transport}${way.eio}-${nth}`).catch((error) => {
        error.message = `${what}: ${error.message}`;
        throw error;
    })));
}
const all = Object.entries(WAYS);
const of = (eio) => all.filter(([, way]) => way.eio === eio);
const closed = (daemon, uid, reason, ms, from = 0) =>
    daemon.logged(new RegExp(`client disconnected: user=${uid} .*reason="${reason}"`), within(ms), from);

let marks = 0;
/* What its user is sent up to a marker. */
async function upToMarker(redis, client, uid) {
    const mark = `mark ${++marks}`;
    const events = [];
    redis.emitter().to(uid).emit(mark);
    for (;;) {
        const { args } = await client.event();
        if (args[0] === mark) return events;
        events.push(args);
    }
}
/* Says text every so often until fn is done. */
async function meanwhile(client, text, ms, fn) {
    let over = false;
    const saying = (async () => {
        for (; !over; await elapse(ms)) await say(client, text);
    })();
    try {
        return await fn();
    } finally {
        over = true;
        await saying;
    }
}

/* --- heartbeats that nobody asked for --- */

test('EIO4: pongs that nobody asked for put no ping off, answer none, and harm nobody', async (t) => {
    const { redis, daemon } = await hasty();
    await each(of(4), async (way, uid) => {
        const client = keep(t, await way.joined(daemon.addr, daemon.token(uid)));
        for (let round = 0; round < 2; round++) {
            client.options.heartbeat = false;
            const ping = await meanwhile(client, '3', PING.pingInterval / 6, () => client.text());
            assert.strictEqual(ping, '2');
            client.options.heartbeat = true;
            await say(client, '3');
            assert.deepStrictEqual(await upToMarker(redis, client, uid), []);
        }
        client.options.heartbeat = false;
        await say(client, '3', '3', '3');
        await ended(client, within(PING.pingInterval + PING.pingTimeout));
        await closed(daemon, uid, 'ping timeout', 1000);
    });
});
test('EIO3: a pong that nobody can have asked for ends the session', async (t) => {
    const { daemon } = await hasty();
    await each(of(3), async (way, uid) => {
        const client = keep(t, await way.joined(daemon.addr, daemon.token(uid)));
        await say(client, '3');
        await closed(daemon, uid, 'protocol error', 1000);
        await ended(client);
    });
});
test('pings and pongs of WebSocket are no heartbeats: who sends nothing else is closed', async (t) => {
    const { daemon } = await hasty();
    await each(all.filter(([, way]) => way.transport === 'websocket'), async (way, uid) => {
        const client = keep(t, await way.joined(daemon.addr, daemon.token(uid), { heartbeat: false }));
        const both = Buffer.concat([frame(OP.PING, 'p'), frame(OP.PONG, 'q')]);
        const timer = setInterval(() => client.sendRaw(both), PING.pingInterval / 6);
        t.after(() => clearInterval(timer));
        await ended(client, within(PING.pingInterval + PING.pingTimeout));
        await closed(daemon, uid, 'ping timeout', 1000);
    });
});

/* --- a worker that was not run --- */

test('EIO4: a ping that is late because the worker was not run counts from when it is sent', async (t) => {
    const redis = await redisServer();
    const timers = { pingInterval: 1000 * SLOW, pingTimeout: 1000 * SLOW };
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, 'socket.io': timers } });
    const clients = [];
    await each(of(4), async (way, uid) => clients.push(Object.assign(keep(t, await way.joined(daemon.addr, daemon.token(uid))), { uid })));
    for (const client of clients) assert.deepStrictEqual(await upToMarker(redis, client, client.uid), []);
    const [pid] = daemon.workers();
    process.kill(pid, 'SIGSTOP');
    t.after(() => isRunning(pid) && process.kill(pid, 'SIGCONT'));
    for (const client of clients) client.options.heartbeat = false;
    await elapse(timers.pingInterval + timers.pingTimeout + 200);
    process.kill(pid, 'SIGCONT');
    for (const client of clients) assert.strictEqual(await client.text(), '2');
    await elapse(timers.pingTimeout / 4);
    for (const client of clients) {
        await say(client, '3');
        client.options.heartbeat = true;
    }
    for (const client of clients) assert.deepStrictEqual(await upToMarker(redis, client, client.uid), []);
    assert.doesNotMatch(daemon.log, /ping timeout/);
});

/* Plays a real client's part, who answers pings LATE ms after they came (EIO4, WebSocket) or
 * at once, or pings by itself (EIO3): reads what comes into .events, until the test ends. */
const LATE = PING.pingTimeout / 10;
function play(t, client) {
    const part = { events: [], over: false };
    const take = async () => {
        const { args } = await client.event(within(10000));
        part.events.push(args);
    };
    const until = async (fn) => {
        while (!part.over) await fn();
    };
    const failed = (error) => (part.error = part.error || error);
    t.after(() => {
        part.over = true;
        client.destroy();
    });
    if (isRaw(client)) client.onFrame = (one) => {
        if (client.eio === 4 && one.text === '2') setTimeout(() => client.sendText('3'), LATE);
        return one.text === '2' || one.text === '3';
    };
    until(take).catch(failed);
    if (client.eio === 3) until(() => say(client, '2').then(() => elapse(PING.pingInterval / 2))).catch(failed);
    return part;
}

test('a worker that was not run for longer than a client has: nobody who answers is cut', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, 'socket.io': PING } });
    const parts = [];
    await each(all, async (way) => {
        for (let i = 0; i < 10; i++) parts.push(play(t, await way.joined(daemon.addr, daemon.token('u'))));
    });
    const has = (text) => until(() => parts.every(({ events, error }) => error || events.some(([, arg]) => arg === text)), within(3000), text);
    redis.emitter().emit('msg', 'before');
    await has('before');
    const [pid] = daemon.workers();
    process.kill(pid, 'SIGSTOP');
    t.after(() => isRunning(pid) && process.kill(pid, 'SIGCONT'));
    await elapse(PING.pingInterval + PING.pingTimeout + 500);
    process.kill(pid, 'SIGCONT');
    redis.emitter().emit('msg', 'after');
    await has('after');
    assert.deepStrictEqual(daemon.log.match(/client disconnected: .*/g) || [], []);
    await elapse(PING.pingInterval + PING.pingTimeout); /* and the ping that was late is answered, too */
    redis.emitter().emit('msg', 'later');
    await has('later');
    assert.deepStrictEqual(daemon.log.match(/client disconnected: .*/g) || [], []);
    assert.deepStrictEqual(parts.filter(({ error }) => error).map(({ error }) => error.message), []);
});

/* --- clients that do not read --- */

/* One that does not read is sent more all the time: this is no reason to wait longer. */
test('limits:sendTimeout counts from the first that waits, whatever comes behind it', async (t) => {
    const { redis, daemon } = await patient();
    await each(all, async (way, uid) => {
        const client = keep(t, await way.joined(daemon.addr, daemon.token(uid)));
        const from = daemon.log.length;
        const began = Date.now();
        await blocked(redis, daemon, client, uid);
        const timer = setInterval(() => redis.emitter().to(uid).emit('more'), STALL / 20);
        t.after(() => clearInterval(timer));
        await closed(daemon, uid, 'send timeout', STALL, from);
        const took = Date.now() - began;
        clearInterval(timer);
        assert.ok(took >= STALL, `after ${took} ms`);
    });
});
test('limits:sendTimeout counts anew for one that has read all, and does not read again', async (t) => {
    const { redis, daemon } = await patient();
    await each(all, async (way, uid) => {
        const client = keep(t, await way.joined(daemon.addr, daemon.token(uid)));
        const from = daemon.log.length;
        const count = await blocked(redis, daemon, client, uid);
        await elapse(STALL / 3);
        if (isRaw(client)) client.socket.resume();
        const events = await upToMarker(redis, client, uid);
        assert.deepStrictEqual(events.map(([, number]) => number), Array.from({ length: count }, (_, i) => i));
        await elapse(STALL / 3);
        const began = Date.now();
        await blocked(redis, daemon, client, uid);
        await closed(daemon, uid, 'send timeout', STALL, from);
        const took = Date.now() - began;
        assert.ok(took >= STALL, `after ${took} ms`);
    });
});
/* The daemon's own pings of Engine.IO wait like all that is sent. */
test('EIO4: one that does not read is pinged once, however long that takes', async (t) => {
    const timers = { pingInterval: 200 * SLOW, pingTimeout: 3000 * SLOW };
    const { redis, daemon } = await local(t, { 'socket.io': timers, limits: { sendBuffer: BUFFER } });
    await each(of(4), async (way, uid) => {
        const client = keep(t, await way.joined(daemon.addr, daemon.token(uid)));
        const count = await blocked(redis, daemon, client, uid);
        client.options.heartbeat = false;
        await elapse(3 * timers.pingInterval);
        if (isRaw(client)) client.socket.resume();
        redis.emitter().to(uid).emit('last');
        const texts = [];
        while (!/"last"/.test(texts[texts.length - 1])) texts.push(await client.text());
        assert.strictEqual(texts.filter((text) => text === '2').length, 1);
        assert.strictEqual(texts.filter((text) => /"fill"/.test(text)).length, count);
        await say(client, '3');
        assert.strictEqual(await client.text(), '2', 'it goes on with the next');
    });
});
/* A worker answers pings of WebSocket, and keeps so many answers for one that does not read. */
for (const [what, way] of all.filter(([, { transport }]) => transport === 'websocket'))
    test(`${what}: one that does not read may ping 100 times, and as often when it has read; the next ends it`, async (t) => {
        const { redis, daemon } = await local(t, { limits: { sendBuffer: BUFFER } });
        const client = keep(t, await way.joined(daemon.addr, daemon.token('u')));
        const pings = (count) => Buffer.concat(Array.from({ length: count }, () => frame(OP.PING, 'p')));
        let pongs = 0;
        client.onFrame = (one) => one.op === OP.PONG && ++pongs;
        for (let round = 1; ; round++) {
            await blocked(redis, daemon, client, 'u');
            const from = (await scrape(daemon)).get('received_bytes_total');
            client.sendRaw(pings(100));
            await settled(daemon, (now) => now.get('received_bytes_total') >= from + pings(100).length, 'the pings are read');
            if (round === 3) break;
            client.socket.resume();
            await upToMarker(redis, client, 'u');
            await until(() => pongs === round * 100, within(1000), 'the pongs');
        }
        assert.doesNotMatch(daemon.log, /client disconnected/);
        client.sendRaw(pings(1));
        await closed(daemon, 'u', 'protocol error', 1000);
    });
