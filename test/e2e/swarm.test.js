'use strict';
/* Many messages on their way to many clients, with any number of workers: each client
 * hears every one, once and in order (test/bench/swarm.c checks the numbers). */
const assert = require('assert');
const path = require('path');
const { test, mode } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, BUILD, SECRET } = require('./lib/daemon');
const { run } = require('./lib/proc');
const { within } = require('./lib/time');

const SWARM = path.join(BUILD, 'bench', 'swarm'); /* make bench */
const CLIENTS = mode === 'long' ? 2000 : 200;
const MESSAGES = mode === 'long' ? 1000 : 200;

/* The answers to the commands. */
async function swarm(t, workers, commands) {
    const redis = await Redis.start(t);
    const daemon = await Daemon.start(t, { redis, config: { workers, log: { level: 'info' } } });
    const words = ['--port', daemon.addr.port, '--redis', redis.port, '--secret', SECRET, '--pid', daemon.pid];
    const { code, out, err } = await run(SWARM, [...words.map(String), ...commands], { ms: within(20000) });
    assert.deepStrictEqual({ code, err }, { code: 0, err: '' });
    return out.trim().split('\n').map((line) => JSON.parse(line));
}

function assertAll({ sent, wanted, heard, wrong, clients, failed, gone }, expected) {
    const got = { sent, wanted, heard, wrong, clients, failed, gone };
    assert.deepStrictEqual(got, { ...expected, heard: expected.wanted, wrong: 0, failed: 0, gone: 0 });
}

for (const workers of [1, 2, 4, 8])
    test(`none lost, none out of order with ${workers} worker${workers > 1 ? 's' : ''}`, async (t) => {
        const [, toAll, toOne, memory] = await swarm(t, workers, [
            `connect clients=${CLIENTS}`,
            `publish messages=${MESSAGES} window=64`,
            `publish messages=${MESSAGES} window=64 direct=1`,
            'memory',
        ]);
        assertAll(toAll, { sent: MESSAGES, wanted: MESSAGES * CLIENTS, clients: CLIENTS });
        assertAll(toOne, { sent: MESSAGES, wanted: MESSAGES, clients: CLIENTS });
        assert.strictEqual(memory.processes, workers + 1);
    });
