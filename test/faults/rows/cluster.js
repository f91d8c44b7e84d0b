'use strict';
/* The daemon as a member of a cluster that something happens to, while Node servers ask. */
const assert = require('assert');
const { row } = require('../lib/table');
const { Proxy } = require('../lib/proxy');
const { Redis, Daemon, Member, counted, members, join } = require('../../e2e/lib/cluster');
const { reload } = require('../../e2e/lib/reload');
const { scrape } = require('../../e2e/lib/metrics');
const { SLOW, within, until, elapse } = require('../../e2e/lib/time');

/* For what hangs or is gone nobody waits longer. */
const SECOND = 1000;
const WAIT_MS = 2500; /* of whoever asks */
const EVERY_MS = 20;
const NODE_CLIENTS = 2;
const OUR_CLIENTS = 6;
/* Of the daemon alone. */
const [USER, PASSWORD] = ['axr', 'a password'];

/* Two Node servers, the daemon (by way of where, if that is given), clients of the second
 * server and of the daemon. */
class Scene {
    static async make(t, { config = {}, by = (redis) => redis } = {}) {
        const scene = new Scene();
        scene.t = t;
        scene.redis = await Redis.start(t);
        [scene.first, scene.second] = await Promise.all([1, 2].map(() => Member.start(t, scene.redis, '8.3', { adapter: { requestsTimeout: WAIT_MS } })));
        await counted(scene.redis, 2);
        scene.config = { workers: 2, ...config };
        await scene.redis.client.sendCommand(['ACL', 'SETUSER', USER, 'on', `>${PASSWORD}`, '&*', '+@all']);
        scene.config['socket.io'] = { redis: { username: USER, password: PASSWORD } };
        scene.where = await by(scene.redis);
        scene.foreign = new Set((await scene.connections()).map(({ id }) => id));
        await scene.begin();
        await scene.enter(NODE_CLIENTS, 'n', scene.second.addr);
        return scene;
    }
    async begin() {
        this.daemon = await Daemon.start(this.t, { redis: this.where, config: this.config });
        await counted(this.redis, 3);
        this.clients = await this.enter(OUR_CLIENTS, 'd', this.daemon.addr);
    }
    enter(count, prefix, addr) {
        return Promise.all(Array.from({ length: count }, (_, nth) => join(this.t, `${prefix}${nth}`, 4, addr, { options: { transports: ['websocket'] } })));
    }
    /* Connections to redis, as it lists them. */
    async connections() {
        const text = await this.redis.client.sendCommand(['CLIENT', 'LIST']);
        return text.trim().split('\n').map((line) => Object.fromEntries(line.split(' ').map((word) => word.split('='))));
    }
    /* Cuts those of the daemon that subscribe, or the others; resolves to how many. */
    async cut(subscribes) {
        const isIt = ({ id, sub, psub }) => !this.foreign.has(id) && (Number(sub) + Number(psub) > 0) === subscribes;
        const all = (await this.connections()).filter(isIt);
        for (const { id } of all) await this.redis.client.sendCommand(['CLIENT', 'KILL', 'ID', id]).catch(() => {});
        return all.length;
    }
    start() {
        return this.first.call('start', 'calls', { calls: [['countSockets'], ['countAnswers', [], WAIT_MS, 'ask']], every: EVERY_MS });
    }
    /* Resolves when so many more calls are over. */
    async calls(more = 20) {
        const before = await this.first.call('progress', 'calls');
        await until(async () => (await this.first.call('progress', 'calls')) >= before + more, within(8000), `${more} more calls`);
    }
    stop() {
        return this.first.call('stop', 'calls');
    }
}

/* Of a call: how many sockets or answers it brought, whether one came twice, and whether it timed out. */
function judge({ name, value, error }) {
    if (error) return { count: 0, isDouble: false, isLate: true };
    if (name === 'countSockets') return { count: value.sockets, isDouble: value.sockets !== value.ids, isLate: false };
    return { count: value.answers, isDouble: value.answers !== value.different, isLate: Boolean(value.error) };
}

/* No answer twice; none late, and none that waited, but what was on its way when it happened or
 * began in the second behind it (three of them are given).  faults: when it happened, each time. */
function check(t, what, results, faults, wanted) {
    const meets = ({ began, ms }) => faults.some((at) => began <= at + 3 * SECOND * SLOW && began + ms >= at);
    let slowest = 0;
    let late = 0;
    let last = 0;
    for (const result of results) {
        const { count, isDouble, isLate } = judge(result);
        const since = result.began - Math.max(...faults.filter((at) => at <= result.began), faults[0]);
        const text = `${what}: ${JSON.stringify(result)}, ${since} ms after the fault`;
        assert.ok(!isDouble, `twice: ${text}`);
        assert.ok(!isLate || meets(result), `timed out: ${text}`);
        if (isLate) {
            late++;
            last = Math.max(last, since);
        }
        if (meets(result)) continue;
        slowest = Math.max(slowest, result.ms);
        assert.ok(result.ms < 3 * SECOND * SLOW, `waited: ${text}`);
        if (wanted) assert.ok(wanted.includes(count), `${count}, not ${wanted}: ${text}`);
    }
    t.note(`${what}: ${results.length} calls, ${late} timed out${late ? ` (begun up to ${last} ms after it)` : ''}, others at most ${slowest} ms`);
}

/* Resolves to when it happened: now, and whenever it says so. */
async function happening(fault) {
    const faults = [Date.now()];
    await fault(() => faults.push(Date.now()));
    return faults;
}

row(50, 'a worker hangs (SIGSTOP) while servers ask for sockets and for acknowledgements', 'answers of the others within 1.3 s, again and again', async (t) => {
    const scene = await Scene.make(t);
    const { first, daemon, clients } = scene;
    /* Each worker has some of them. */
    while (Math.min(...(await scrape(daemon)).each('clients')) === 0) clients.push(...(await scene.enter(1, `e${clients.length}x`, daemon.addr)));
    const fetch = async () => (await first.call('adapter', 'fetchSockets', {})).map(({ id }) => id).sort();
    const all = await fetch();
    assert.strictEqual(all.length, NODE_CLIENTS + clients.length);
    const [pid] = daemon.workers();
    process.kill(pid, 'SIGSTOP');
    t.after(() => process.kill(pid, 'SIGCONT'));
    let slowest = 0;
    const others = [];
    for (let i = 0; i < 3; i++) {
        const began = Date.now();
        others.push(await fetch());
        slowest = Math.max(slowest, Date.now() - began);
        assert.deepStrictEqual(others[i], others[0]);
    }
    t.took('fetchSockets at most', slowest, 1300);
    const ours = others[0].length - NODE_CLIENTS;
    assert.ok(ours > 0 && ours < clients.length, `${ours} of ${clients.length} clients of the daemon told`);
    const began = Date.now();
    const { error, answers } = await first.call('ask', [], WAIT_MS, 'ask');
    t.took('emitWithAck', Date.now() - began, 1300);
    assert.strictEqual(error, null);
    assert.strictEqual(answers.length, others[0].length);
    process.kill(pid, 'SIGCONT');
    assert.deepStrictEqual(await fetch(), all);
    for (const client of clients) await client.when(() => client.events.length === 1, within(2000), 'the question');
    t.note(`${ours} of ${clients.length} clients told meanwhile`);
});

/* What happens to a scene: one after the other.  Calls go on until some began so late that
 * nothing excuses them. */
async function happen(t, list) {
    let proxy;
    const scene = await Scene.make(t, { by: async (redis) => (proxy = await Proxy.start(t, redis.port)) });
    for (const [what, fault, { count = 3, wanted = [NODE_CLIENTS + OUR_CLIENTS] } = {}] of list) {
        await scene.start();
        await scene.calls(10);
        const faults = await happening((now) => fault(scene, { now, proxy }));
        await counted(scene.redis, count);
        await elapse(3 * SECOND * SLOW + SECOND / 4);
        await scene.calls(10);
        check(t, what, await scene.stop(), faults, wanted);
        assert.strictEqual(await members(scene.redis), count);
    }
}

/* The daemon has just changed from being counted or to it: its clients are among the answers, or not. */
const EITHER = [NODE_CLIENTS + OUR_CLIENTS, NODE_CLIENTS];

row(51, 'the connection for commands is cut again and again, may not publish, hangs', 'calls between Node servers do not wait for the daemon beyond 1 s', async (t) => {
    await Promise.all([
        happen(t, [
            ['cut', (scene) => scene.cut(false)],
            ['cut every 50 ms for 2 s', async (scene, { now }) => {
                for (const end = Date.now() + 2 * SECOND; Date.now() < end; await elapse(50)) {
                    now();
                    await scene.cut(false);
                }
            }],
        ]),
        happen(t, [
            ['hangs', (scene, { proxy }) => proxy.silence(({ isSubscriber }) => !isSubscriber)],
            ['may not publish', (scene) => scene.redis.client.sendCommand(['ACL', 'SETUSER', USER, '-publish']), { count: 2, wanted: EITHER }],
        ]),
    ]);
});

row(52, 'reload of the redis settings, CLIENT KILL of either connection, a link that goes silent, stop and start, under a stream of fetchSockets and emitWithAck', 'no socket and no answer twice; none timed out but in the second of the fault', async (t) => {
    const changed = (database) => (scene) => reload(scene.daemon, { 'socket.io': { redis: { database } } });
    await Promise.all([
        happen(t, [['reload', changed(1)], ['reload back', changed(0)]]),
        happen(t, [['subscription killed', (scene) => scene.cut(true)], ['commands killed', (scene) => scene.cut(false)]]),
        happen(t, [
            ['silent', (scene, { proxy }) => proxy.silence()],
            ['stop and start', async (scene, { now }) => {
                await scene.daemon.stop();
                await counted(scene.redis, 2);
                await elapse(3 * SECOND * SLOW + SECOND / 4);
                now();
                await scene.begin();
            }, { wanted: EITHER }],
        ]),
    ]);
});
