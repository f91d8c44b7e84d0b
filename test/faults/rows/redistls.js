'use strict';
/* A redis over TLS that goes, hangs, cuts, floods and lies: what holds without TLS holds. */
const assert = require('assert');
const { row } = require('../lib/table');
const { flooded } = require('./redis');
const { Proxy } = require('../lib/proxy');
const { Daemon } = require('../../e2e/lib/daemon');
const { RedisTls } = require('../../e2e/lib/redistls');
const { heard } = require('../../e2e/lib/hear');
const { crowd, deliversAgain } = require('../../e2e/lib/load');
const { within, until, elapse } = require('../../e2e/lib/time');

const daemonOf = (t, redis, over, config = {}) =>
    Daemon.start(t, { redis, config: { workers: 1, 'socket.io': { redis: redis.settings(over) }, ...config } });

async function restarts(t) {
    const redis = await RedisTls.start(t);
    const daemon = await daemonOf(t, redis);
    const clients = await crowd(t, daemon, 2);
    redis.process.signal('SIGKILL');
    await redis.process.ended(within(3000));
    await elapse(2500); /* so that the back-off has grown to its most */
    await redis.again();
    t.took('restarted: delivers again after', await deliversAgain(redis, clients[0], within(1500)), 1500);
    assert.match(daemon.log, / warn master\[\d+\]: redis subscribed again .*lost/);
}

/* While it is subscribed, and in the middle of a handshake. */
async function stopped(t) {
    const redis = await RedisTls.start(t);
    const daemon = await daemonOf(t, redis);
    const [client] = await crowd(t, daemon, 1);
    const began = Date.now();
    redis.process.signal('SIGSTOP');
    const from = daemon.log.length;
    await daemon.logged(/redis lost: no answer/, within(10000));
    t.took('stopped: noticed after', Date.now() - began, 10000);
    await daemon.logged(/redis not reachable at \S+: TLS: no answer to the handshake within 3000 ms/, within(6000), from);
    redis.process.signal('SIGCONT');
    t.took('delivers again after', await deliversAgain(redis, client, within(3000)), 3000);
    assert.strictEqual(client.over, null);
}

async function halfOpen(t) {
    const redis = await RedisTls.start(t);
    const proxy = await Proxy.start(t, redis.tlsPort);
    const daemon = await daemonOf(t, redis, { port: proxy.port });
    const [client] = await crowd(t, daemon, 1);
    const began = Date.now();
    proxy.silence();
    await daemon.logged(/redis lost/, within(10000));
    t.took('half-open: noticed after', Date.now() - began, 10000);
    await deliversAgain(redis, client, within(3000));
}

async function cut(t) {
    const redis = await RedisTls.start(t, { args: ['--client-output-buffer-limit', 'pubsub 1mb 1mb 1'] });
    const daemon = await daemonOf(t, redis, {}, { limits: { sendBuffer: 256 << 20 } });
    const [client] = await crowd(t, daemon, 1);
    daemon.process.signal('SIGSTOP'); /* the master alone */
    for (let i = 0; i < 400; i++) redis.emitter().emit('fill', i, 'x'.repeat(100000));
    await until(async () => (await redis.publish('socket.io#/axr#', 'x')) === 0, within(3000), 'redis to cut it');
    daemon.process.signal('SIGCONT');
    await daemon.logged(/ warn master\[\d+\]: redis subscribed again .*lost/, within(5000));
    redis.emitter().emit('msg', 'after');
    const events = (await heard(redis, [client], { ms: within(5000) }))[0].map((event) => event.args[1]);
    assert.strictEqual(events.pop(), 'after');
    assert.deepStrictEqual(events, events.map((_, index) => index), 'what came before the cut is whole');
    t.note(`cut: ${events.length} of 400 messages before it`);
}

/* Amid the records of a connection that serves. */
const NO_RECORDS = {
    'plain text': '-ERR what\r\n', 'a record of nothing': Buffer.from([23, 3, 3, 0, 0]), 'one of 64 KB': Buffer.from([23, 3, 3, 255, 255]),
    'an alert': Buffer.from([21, 3, 3, 0, 2, 2, 80]), 'one that nobody has encrypted': Buffer.concat([Buffer.from([23, 3, 3, 1, 0]), Buffer.alloc(256, 7)]),
    'a hello': Buffer.from([22, 3, 3, 0, 4, 0, 0, 0, 0]), 'an early record of another protocol': Buffer.from([128, 46, 1, 3, 1]),
};
async function lies(t) {
    const redis = await RedisTls.start(t);
    for (const [what, bytes] of Object.entries(NO_RECORDS)) {
        const proxy = await Proxy.start(t, redis.tlsPort);
        const daemon = await daemonOf(t, redis, { port: proxy.port });
        const [client] = await crowd(t, daemon, 1);
        proxy.inject(bytes);
        await daemon.logged(/redis lost: TLS: /, within(10000)).catch((error) => {
            throw new Error(`${what}: ${error.message}`);
        });
        await deliversAgain(redis, client, within(3000));
        assert.strictEqual(client.over, null, what);
        await daemon.stop();
    }
    t.note(`${Object.keys(NO_RECORDS).length} kinds of what is no record: delivers again`);
}

async function floods(t) {
    const redis = await RedisTls.start(t);
    await flooded(t, redis, redis.settings());
}

row(58, 'redis over TLS: rows 30, 31, 33, 34 and 35', 'the same', async (t) => {
    await Promise.all([restarts(t), stopped(t), halfOpen(t)]);
    await cut(t);
    await lies(t);
    await floods(t);
}, { long: true, timeout: 120000 });
