'use strict';
/* Requests that a worker was sent, and dies before it has read them: its clients come back as
 * if it had carried them out. */
const assert = require('assert');
const { test, shared } = require('./lib/suite');
const { Redis } = require('./lib/redis');
const { Daemon, SECRET } = require('./lib/daemon');
const { visit, told, claimOf } = require('./lib/session');
const { isRunning } = require('./lib/proc');
const { sign } = require('./lib/jwt');
const { within, until } = require('./lib/time');

const world = shared(async (s) => {
    const redis = await Redis.start(s);
    const config = { workers: 1, log: { level: 'debug' }, 'socket.io': { connectionStateRecovery: true } };
    return { redis, server: await Daemon.start(s, { redis, config }) };
});
const tokenOf = (uid) => sign({ uid }, SECRET);

/* What fn() publishes the master has sent to a worker that does not read, which is killed then. */
async function unheard({ redis, server }, fn) {
    const [worker] = server.workers();
    const from = server.log.length;
    server.deaths = true;
    process.kill(worker, 'SIGSTOP');
    fn(redis.emitter());
    redis.emitter().in('nobody').except('end').socketsLeave('this');
    await server.logged(/request: type=leave rooms=nobody except=end/, within(2000), from);
    process.kill(worker, 'SIGKILL');
    await until(() => !isRunning(worker) && server.workers().length === 1, within(2000), 'the next worker');
}

test('joins, leaves and disconnects that a worker has not read when it is killed', async (t) => {
    const place = await world();
    const { redis, server } = place;
    const uids = ['joins', 'joins by id', 'leaves', 'kicked', 'other'];
    const clients = await Promise.all(uids.map((uid) => visit(t, server.addr, tokenOf(uid))));
    redis.emitter().in('leaves').socketsJoin('left');
    await told(redis, clients, within(2000));
    await unheard(place, (io) => {
        io.to('late').emit('m', 'before the join');
        io.in(['joins', clients[1].reply.sid]).socketsJoin('late');
        io.to('late').emit('m', 'behind the join');
        io.to('left').emit('m', 'before the leave');
        io.in('left').socketsLeave('left');
        io.to('left').emit('m', 'behind the leave');
        io.in('kicked').disconnectSockets(true);
        io.to('other').emit('m', 'as ever');
    });
    redis.emitter().to(['late', 'left']).emit('m', 'behind its end');
    const back = await Promise.all(clients.map((client, i) => visit(t, server.addr, tokenOf(uids[i]), claimOf(client))));
    assert.deepStrictEqual(back.map(({ recovered }) => recovered), [true, true, true, false, true]);
    const heard = await told(redis, back, within(2000));
    const late = [['m', 'behind the join'], ['m', 'behind its end']];
    assert.deepStrictEqual(heard, [late, late, [], [], [['m', 'as ever']]]);
});

test('a room that is joined and left, left and joined, while nobody reads', async (t) => {
    const place = await world();
    const { redis, server } = place;
    const uids = ['in and out', 'out and in'];
    const clients = await Promise.all(uids.map((uid) => visit(t, server.addr, tokenOf(uid))));
    redis.emitter().in('out and in').socketsJoin('room');
    await told(redis, clients, within(2000));
    await unheard(place, (io) => {
        io.in('in and out').socketsJoin('room');
        io.to('room').emit('m', 1);
        io.in('room').socketsLeave('room');
        io.to('room').emit('m', 2);
        io.in('out and in').socketsJoin('room');
        io.to('room').emit('m', 3);
    });
    const back = await Promise.all(clients.map((client, i) => visit(t, server.addr, tokenOf(uids[i]), claimOf(client))));
    assert.deepStrictEqual(back.map(({ recovered }) => recovered), [true, true]);
    assert.deepStrictEqual(await told(redis, back, within(2000)), [[], [['m', 3]]]);
    redis.emitter().to('room').emit('m', 4);
    assert.deepStrictEqual(await told(redis, back, within(2000)), [[], [['m', 4]]]);
});
