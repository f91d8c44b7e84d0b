'use strict';
/* Bytes in place of redis. */
const assert = require('assert');
const { Daemon } = require('../../e2e/lib/daemon');
const { heardArgs } = require('../../e2e/lib/hear');
const { deliversAgain } = require('../../e2e/lib/load');
const { Proxy } = require('./proxy');
const { joined } = require('../../e2e/lib/raw');
const { within, until } = require('../../e2e/lib/time');

const GARBAGE = {
    'bytes that are no protocol': '\x16\x03\x01 HTTP/1.1 400 Bad Request\r\n\r\n',
    'an array that claims 2^31 elements': '*2147483647\r\n',
    'an array that claims 2^62 elements': '*4611686018427387904\r\n',
    'a string that claims 2 GB': '$2147483647\r\nx',
    'a negative length': '*-2\r\n$-7\r\n',
    'an unsolicited +OK': '+OK\r\n+OK\r\n+OK\r\n',
    'an empty array': '*0\r\n',
    'an array of one': '*1\r\n$7\r\nmessage\r\n',
    'a nil channel': '*3\r\n$7\r\nmessage\r\n$-1\r\n$1\r\nx\r\n',
    'a pmessage of integers': '*4\r\n$8\r\npmessage\r\n:1\r\n:2\r\n:3\r\n',
    'a message of arrays': '*3\r\n$7\r\nmessage\r\n*0\r\n*0\r\n',
    'arrays in arrays': '*1\r\n'.repeat(1000),
    'an error': '-ERR what\r\n',
    'a line without an end': `+${'x'.repeat(200000)}`,
    'nil': '$-1\r\n*-1\r\n',
};
/* Says bytes to the daemon where redis should be, then lets it through to redis. */
async function garbageFirst(t, redis, what, bytes) {
    const proxy = await Proxy.start(t, redis.port);
    proxy.onConnection = (socket) => {
        let at = 0;
        const all = Buffer.from(bytes, 'latin1');
        const size = Math.ceil(all.length / 2000); /* one byte, unless there are many */
        socket.setNoDelay(true);
        const step = () => at < all.length && socket.writable && socket.write(all.subarray(at, (at += size)), () => setImmediate(step));
        step();
    };
    const config = { workers: 1, 'socket.io': { namespace: `/${proxy.port}` } };
    const daemon = new Daemon(t, { redis: proxy, config });
    daemon.spawn();
    await until(() => proxy.accepted > 0, within(10000), `connection: ${what}`);
    proxy.onConnection = null;
    await daemon.ready();
    const nsp = `/${proxy.port}`;
    await until(async () => (await redis.publish(`socket.io#${nsp}#`, 'x')) > 0, within(6000), `subscription after ${what}`);
    const client = await joined(daemon.addr, daemon.token('u'), { nsp });
    redis.emitter(nsp).emit('msg', what);
    assert.deepStrictEqual(await heardArgs(redis, [client], { nsp }), [[what]]);
    client.destroy();
    await daemon.stop();
}
/* Says bytes in the middle of a subscription; then redis is heard again. */
async function garbageBetween(t, redis, what, bytes) {
    const proxy = await Proxy.start(t, redis.port);
    const nsp = `/${proxy.port}`;
    const daemon = await Daemon.start(t, { redis: proxy, config: { workers: 1, 'socket.io': { namespace: nsp } } });
    const client = await joined(daemon.addr, daemon.token('u'), { nsp });
    proxy.inject(Buffer.from(bytes, 'latin1'));
    await deliversAgain(redis, client, within(10000), nsp).catch((error) => {
        throw new Error(`after ${what}: ${error.message}`);
    });
    assert.ok(!daemon.process.how && !client.over);
    client.destroy();
}

module.exports = { GARBAGE, garbageFirst, garbageBetween };
