'use strict';
/* Messages that cost more than they look. */
const { row, redisServer } = require('../lib/table');
const { pauses } = require('../lib/pauses');
const { Daemon } = require('../../e2e/lib/daemon');
const { deadline, within } = require('../../e2e/lib/time');

const CHANNEL = 'socket.io#/axr#';
const LIMIT = 4 << 20; /* limits:messageBytes */

/* What emitter 5.x publishes: ["msg", [value...]] of values in msgpack, to everyone. */
function message(values) {
    const head = Buffer.from('93a7656d697474657283a47479706502a46461746192a36d7367dd00000000', 'hex');
    head.writeUInt32BE(values.length, head.length - 4);
    return Buffer.concat([head, ...values, Buffer.from('a36e7370a42f61787283a5726f6f6d7390a665786365707490a5666c61677380', 'hex')]);
}

/* Doubles far from 1, of as many digits as there are: large, small, and smaller than that. */
function doubles(count) {
    let bits = 88172645463325252n;
    return Array.from({ length: count }, (_, i) => {
        bits = BigInt.asUintN(64, bits * 6364136223846793005n + 1442695040888963407n);
        const value = Buffer.alloc(9, 0xcb);
        value.writeBigUInt64BE((bits >> 12n) | [0x7f0n, 0x010n, 0n][i % 3] << 52n, 1);
        return value;
    });
}

/* Each is published twice: once as large as a payload may be, which is refused for what
 * would become of it, and once so that clients get nearly the limit. */
const KINDS = {
    'odd doubles': [message(doubles(Math.floor((LIMIT - 200) / 9))), message(doubles(Math.floor(LIMIT / 25)))],
};

row(44, 'payloads of nothing but odd doubles', 'no pause of the master or a worker above 200 ms', async (t) => {
    const redis = await redisServer();
    const daemon = await Daemon.start(t, { redis, config: { workers: 1, log: { level: 'info' } } });
    for (const [what, [refused, taken]] of Object.entries(KINDS)) {
        const { master, worker } = await pauses(t, daemon, async (client) => {
            await redis.publish(CHANNEL, refused);
            await daemon.logged(/message dropped: cause=too_large/, within(20000));
            await redis.publish(CHANNEL, taken);
            await deadline(client.take(within(20000)), within(20000), 'what is below the limit');
        });
        t.took(`${what}: pause of the master`, master, 200);
        t.took('of a worker', worker, 200);
    }
});
