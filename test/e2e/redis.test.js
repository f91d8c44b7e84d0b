'use strict';
/* The subscription, as redis sees it: every byte of it, and when it is asked for again. */
const assert = require('assert');
const { test } = require('./lib/suite');
const { FakeRedis, commandsOf } = require('./lib/fakeredis');
const { Daemon, merge } = require('./lib/daemon');
const { within, until, elapse } = require('./lib/time');

const BACKOFF = { min: 50, max: 1000 };

/* How long the daemon waited before each connection but the first. */
const pausesOf = (fake) => fake.connections.slice(1).map(({ at }, i) => at - fake.connections[i].closed);

test('a redis that confirms and breaks off is asked again at longer and longer intervals; after a while of success at once', async (t) => {
    const fake = await FakeRedis.start(t);
    let lasts = 0;
    fake.onSubscribed = (connection) => (lasts === 0 ? fake.close(connection) : setTimeout(() => fake.close(connection), lasts));
    const daemon = await Daemon.start(t, { redis: fake, config: { workers: 1 } });
    await until(() => fake.connections.length > 5, within(8000), 'five more attempts');
    const pauses = pausesOf(fake);
    for (const [i, pause] of pauses.entries()) {
        const least = Math.min(BACKOFF.min * 2 ** i, BACKOFF.max) / 2;
        assert.ok(pause >= least, `pauses of ${pauses} ms: number ${i + 1} is to be ${least} at least`);
    }
    /* One that holds for longer than the longest pause is a success; a machine that is
     * busy may make a short pause long, but not each time. */
    lasts = BACKOFF.max + 200;
    const from = fake.connections.length + 1;
    await until(() => pausesOf(fake).slice(from - 1).some((pause) => pause < BACKOFF.max / 2), within(5 * lasts), 'a pause from the beginning');
    assert.match(daemon.log, /redis subscribed again/);
});

const SETTINGS = {
    'the defaults': [{}, 5, [
        ['CLIENT', 'INFO'],
        ['PSUBSCRIBE', 'socket.io#/axr#*'], ['SUBSCRIBE', 'socket.io#emitter', 'socket.io#/axr'], ['PSUBSCRIBE', 'socket.io#[^/]*/axr#*'],
        ['PSUBSCRIBE', 'socket.io-request#/axr#'],
    ]],
    'a user, a database, and a key with wild cards': [
        { key: 'a[b]*?\\', redis: { username: 'né', password: 'pass word"\\', database: 7 } }, 5, [
            ['AUTH', 'né', 'pass word"\\'], ['SELECT', '7'], ['CLIENT', 'INFO'],
            ['PSUBSCRIBE', 'a\\[b]\\*\\?\\\\#/axr#*'], ['SUBSCRIBE', 'a[b]*?\\#emitter', 'a[b]*?\\#/axr'],
            ['PSUBSCRIBE', 'a\\[b]\\*\\?\\\\#[^/]*/axr#*'], ['PSUBSCRIBE', 'a\\[b]\\*\\?\\\\-request#/axr#'],
        ]],
    'a password alone, and the default namespace': [{ namespace: '/', redis: { password: 'p' } }, 6, [
        ['AUTH', 'p'], ['CLIENT', 'INFO'], ['PSUBSCRIBE', 'socket.io#/#*'], ['SUBSCRIBE', 'socket.io#emitter', 'socket.io#/'],
        ['PSUBSCRIBE', 'socket.io#[^/]*#'], ['SUBSCRIBE', 'socket.io#'], ['PSUBSCRIBE', 'socket.io-request#/#'],
    ]],
};
for (const [what, [settings, topics, commands]] of Object.entries(SETTINGS))
    test(`what is subscribed after a loss is byte for byte what was at first: ${what}`, async (t) => {
        const fake = await FakeRedis.start(t, { topics });
        const config = { workers: 1, 'socket.io': settings };
        const daemon = await Daemon.start(t, { redis: fake, config });
        const first = await fake.subscribed(0);
        assert.deepStrictEqual(commandsOf(first.asked), commands);
        const losses = [
            (connection) => fake.close(connection), (connection) => connection.socket.resetAndDestroy(),
            (connection) => connection.socket.write('what no redis says\r\n'),
        ];
        for (const [i, lose] of losses.entries()) {
            const from = daemon.log.length;
            lose(fake.connections[i]);
            assert.deepStrictEqual(String((await fake.subscribed(i + 1)).asked), String(first.asked), `loss ${i + 1}`);
            await daemon.logged(/redis subscribed again/, within(1000), from);
        }
        const from = daemon.log.length; /* the same server under another name */
        daemon.write(merge(daemon.config, { 'socket.io': { redis: { host: 'localhost' } } }));
        daemon.signal('SIGHUP');
        assert.deepStrictEqual(String((await fake.subscribed(losses.length + 1)).asked), String(first.asked), 'after a reload');
        await daemon.logged(/the new connection has taken the place/, within(3000), from);
    });
