'use strict';
/* The rows of the benchmark.  Each is run(world, n) with n its numbers, of the full or the
 * quick run, and resolves to results:
 *
 *     what, unit      what was measured, in what
 *     value, low, high  the median of the rounds, and what they lay between
 *     goal            the most it may be
 *     cells           [[name, value, unit]]: the figures behind it
 *     bars            { title, unit }: the cells are for the chart too
 *
 * profile: the servers that --profile looks at one after the other, and the fields of the publish
 * (else of the connect) that it looks at. */
const { NAMES, filesOf } = require('./world');
const { swarmsOf, each, cells, deliveries, connections, growth } = require('./measure');
const { median, spread, turns, ratios } = require('./stats');
const { TLS_ROWS } = require('./tls');

const SETTLE_MS = 3000;
const PEERS = ['node', 'node2', 'bun'];
/* --- a message to all --- */

async function fanOut(world, n, { what, goal, publish }) {
    const values = await deliveries(world, n, ['axr', 'bare', ...PEERS], publish);
    return [{
        what: `${what}, ${n.clients} clients: CPU per delivery, to the bare loop's`,
        goal, ...ratios(values.axr, values.bare), cells: cells(values, 'us'),
        bars: { title: `CPU per delivery: ${what}`, unit: 'us' },
    }];
}

/* --- a message to one --- */

async function direct(world, n) {
    const swarms = await swarmsOf(world, ['axr', 'node', 'axr8']);
    for (const swarm of Object.values(swarms)) {
        await swarm.have(n.clients);
        await swarm.publish({ messages: 100, window: 64, direct: 1 });
    }
    const values = await turns(Object.keys(swarms), { rounds: n.rounds }, async (id) =>
        each(await swarms[id].publish({ messages: n.messages, window: 64, direct: 1 }))
    );
    const results = [{
        what: `to one user among ${n.clients}, 8 workers: CPU per delivery, to that with 1`,
        goal: 1.2, ...ratios(values.axr8, values.axr),
        cells: [['8 workers', median(values.axr8), 'us'], ['1 worker', median(values.axr), 'us']],
    }];
    if (!values.node) return results;
    const figures = { axr: values.axr, node: values.node };
    return [{
        what: `to one user among ${n.clients}: CPU per delivery, to Node's`,
        goal: 0.35, ...ratios(values.axr, values.node), cells: cells(figures, 'us'),
        bars: { title: 'CPU per delivery: to one user', unit: 'us' },
    }, ...results];
}

/* --- connections --- */

async function connect(world, n) {
    const values = await connections(world, n, ['axr', 'bare', ...PEERS]);
    return [{
        what: `connect with token, ${n.clients} clients: CPU per connect, to the bare loop's`,
        goal: 1.5, ...ratios(values.axr, values.bare), cells: cells(values, 'us'),
        bars: { title: 'CPU per connect, with token', unit: 'us' },
    }];
}

/* --- memory --- */

async function idle(world, n) {
    await world.only();
    const others = [];
    for (const id of PEERS) others.push(...(await growth(world, id, n.fewer)));
    const server = await world.daemon(1);
    const swarm = world.another(server);
    const memory = async () => (await swarm.tell('memory')).children_kb;
    const start = await memory();
    await swarm.connect(n.clients);
    const first = await memory();
    for (let cycle = 0; cycle < n.cycles; cycle++) {
        await swarm.close();
        await swarm.connect(n.clients);
    }
    const last = await memory();
    await swarm.stop();
    await server.stop();
    const per = (first - start) / n.clients;
    return [{
        what: `idle client, ${n.clients} of them, authenticated and in two rooms: PSS of the worker`,
        goal: 1.0, unit: 'KB', ...spread([per]), cells: [[NAMES.axr, per, 'KB'], ...others],
        bars: { title: 'memory per idle client', unit: 'KB' },
    }, {
        what: `the same after ${n.cycles} cycles of connecting and disconnecting ${n.clients}, to that at first`,
        goal: 1.1, ...spread([(last - start) / (first - start)]),
        cells: [['at first', first - start, 'KB'], ['at last', last - start, 'KB']],
    }];
}

/* --- very many --- */

async function crowd(world, n) {
    await world.only();
    const server = await world.daemon(n.workers);
    const swarms = Array.from({ length: n.swarms }, (_, index) =>
        world.another(server, { source: `127.0.${index + 1}.1`, patience: 120 })
    );
    const before = await swarms[0].tell('memory');
    const began = Date.now();
    const until = (index) => Math.floor((index * n.clients) / n.swarms);
    const tried = swarms.map((swarm, index) => swarm.tell('connect', { clients: until(index + 1) - until(index) }));
    const refused = n.clients - (await Promise.all(tried)).reduce((sum, one) => sum + one.joined.n, 0);
    const connected = (Date.now() - began) / 1000;
    const held = server.workers().map(filesOf);
    const after = await swarms[0].tell('memory');
    const heard = swarms.slice(1).map((swarm) => swarm.tell('hear', { messages: n.messages }));
    const sent = await swarms[0].tell('publish', { messages: n.messages, window: 1 });
    const all = [sent, ...(await Promise.all(heard))];
    const peak = await swarms[0].tell('memory');
    await Promise.all(swarms.map((swarm) => swarm.tell('close')));
    const left = Date.now();
    await server.settled();
    const gone = (Date.now() - left) / 1000;
    for (const swarm of swarms) await swarm.stop();
    await server.stop();
    const lost = all.reduce((sum, one) => sum + (one.wanted - one.heard) + one.wrong + one.gone, refused);
    const most = Math.max(after.all_kb, peak.all_kb);
    const per = (most - before.all_kb) / n.clients;
    return [{
        what: `${n.clients} clients, ${n.workers} workers, ${n.messages} messages to all: refused, lost, doubled or out of order`,
        goal: 0, ...spread([lost]),
        cells: [['not connected', refused, ''], ['deliveries', all.reduce((sum, one) => sum + one.heard, 0), ''],
            ['descriptors of a worker', `${Math.min(...held)} to ${Math.max(...held)}`, ''],
            ['to connect all', connected, 's'], ['to let go of all', gone, 's']],
    }, {
        what: `${n.clients} clients, ${n.workers} workers: PSS of all processes of the server`,
        goal: 250, unit: 'MB', ...spread([most / 1024]),
        cells: [['without clients', before.all_kb / 1024, 'MB'], ['per client', per, 'KB'],
            ['that is for 200000', (before.all_kb + per * 200000) / 1024, 'MB']],
    }];
}

async function balance(world, n) {
    const swarm = await world.swarm('axr8');
    await world.only();
    const pids = swarm.server.workers();
    const before = pids.map(filesOf);
    await swarm.connect(n.clients);
    const counts = pids.map((pid, index) => filesOf(pid) - before[index]);
    const mean = counts.reduce((sum, one) => sum + one, 0) / counts.length;
    return [{
        what: `${n.clients} clients over 8 workers: the most of a worker, to the mean`,
        goal: 1.1, ...spread([Math.max(...counts) / mean]),
        cells: [['clients of each', counts.sort((a, b) => a - b).join(' '), '']],
    }];
}

/* --- time --- */

async function newcomer(world, n) {
    const swarm = await world.swarm('axr');
    await world.only('axr');
    await swarm.have(n.clients);
    const probe = world.another(swarm.server, { source: '127.0.99.1', nice: -15 });
    const quiet = await probe.tell('probe', { seconds: n.seconds / 2 });
    /* Two on their way: there is always one to write. */
    const stream = swarm.publish({ seconds: n.seconds + 1, window: 2 });
    const busy = await probe.tell('probe', { seconds: n.seconds });
    await stream;
    await probe.stop();
    return [{
        what: `a broadcast being written to ${n.clients} clients: time to connect one more, p99`,
        goal: 30, unit: 'ms', ...spread([busy.joined.p99 / 1000]),
        cells: [['median', busy.joined.p50 / 1000, 'ms'], ['most', busy.joined.max / 1000, 'ms'],
            ['tries', busy.joined.n, ''], ['p99 without a broadcast', quiet.joined.p99 / 1000, 'ms']],
    }];
}

const p99 = (answer) => answer.latency.p99 / 1000;

async function stream(world, n) {
    const swarms = await swarmsOf(world, ['axr', 'bare']);
    for (const swarm of Object.values(swarms)) await swarm.have(n.clients);
    const values = await turns(['axr', 'bare'], { rounds: n.rounds }, async (id) =>
        p99(await swarms[id].publish({ messages: n.rate * n.seconds, rate: n.rate }))
    );
    return [{
        what: `${n.rate} messages/s to ${n.clients} clients for ${n.seconds} s: latency p99, to the bare loop's`,
        goal: 1.1, ...ratios(values.axr, values.bare), cells: cells(values, 'ms'),
    }];
}

async function torrent(world, n) {
    const swarms = await swarmsOf(world, ['axr', 'bare']);
    for (const swarm of Object.values(swarms)) await swarm.have(n.clients);
    const values = await turns(['axr', 'bare'], { rounds: n.rounds, steady: 1, others: 1 }, async (id) => {
        const seconds = id === 'axr' ? n.seconds : n.fewer;
        return p99(await swarms[id].publish({ messages: n.rate * seconds, rate: n.rate }));
    });
    return [{
        what: `${n.rate} messages/s to ${n.clients} clients for ${n.seconds} s: latency p99`,
        goal: 60, unit: 'ms', ...spread(values.axr),
        cells: [[NAMES.axr, median(values.axr), 'ms'], [`bare loop after ${n.fewer} s`, values.bare[0], 'ms']],
    }];
}

/* --- clients that come back --- */

/* All connections of a server are cut while messages are published, and come back. */
async function outage(world, id, n) {
    const swarm = await world.peer(id, world.fresh(id, { returns: 1 }));
    if (!swarm) return null;
    await swarm.connect(n.clients);
    await swarm.tell('publish', { messages: 2 });
    const answer = await swarm.tell('publish', {
        messages: n.rate * n.seconds, rate: n.rate, cut: n.seconds / 4, away: 2, spread: 1,
    });
    await swarm.stop();
    await swarm.server.stop();
    return answer;
}

const share = (part, whole) => (100 * part) / whole;

/* Half of the clients come back, with all that each of them missed; the others go on hearing. */
async function bystanders(world, n) {
    const swarm = await world.fresh('recovery', { returns: 1 });
    await swarm.connect(n.clients);
    const fields = { messages: n.direct * n.seconds, rate: n.direct, direct: 1 };
    const quiet = await swarm.publish(fields);
    const busy = await swarm.tell('publish', { ...fields, cut: n.seconds / 4, away: 2, spread: 1, share: 0.5 });
    await swarm.stop();
    await swarm.server.stop();
    return { quiet, busy };
}

async function comeback(world, n) {
    await world.only();
    const rounds = [];
    for (let i = 0; i < n.rounds; i++) rounds.push(await outage(world, 'recovery', n));
    const node = await outage(world, 'recovering', n);
    const { quiet, busy } = await bystanders(world, n);
    const lost = (answer) => answer.wanted - answer.heard + answer.wrong;
    const missed = rounds.reduce((sum, one) => sum + lost(one) + (n.clients - one.recovered), 0);
    const all = [];
    if (node) {
        all.push(['Node, in memory: recovered', share(node.recovered, n.clients), '%'],
            ['its p99', node.caught.p99 / 1000, 'ms'], ['lost, doubled or out of order', lost(node), '']);
    }
    return [{
        what: `${n.clients} clients cut for 2 s, back within 1 s, ${n.rate} messages/s: connecting to having all that was missed, p99`,
        goal: 1000, unit: 'ms', ...spread(rounds.map((one) => one.caught.p99 / 1000)),
        cells: [['recovered', share(median(rounds.map((one) => one.recovered)), n.clients), '%'], ...all],
    }, {
        what: 'the same: not recovered, lost, doubled or out of order',
        goal: 0, ...spread([missed]), cells: [['deliveries', rounds.reduce((sum, one) => sum + one.heard, 0), '']],
    }, {
        what: `half of them cut and back, ${n.direct} messages/s, each to one user: latency p99 of those who stay`,
        goal: 30, unit: 'ms', ...spread([busy.latency.p99 / 1000]),
        cells: [['with nobody cut', quiet.latency.p99 / 1000, 'ms'], ['lost, doubled or out of order', lost(busy), '']],
    }];
}

/* Each publishes to its own clients. */
const together = (swarms, fields) => Promise.all(swarms.map((swarm) => swarm.tell('publish', fields)));

/* The worker that has most of the clients is killed; those of the others go on hearing. */
async function killed(world, server, n, victim) {
    const options = (index) => ({ source: `127.0.${20 + index}.1`, prefix: `u${index}x`, returns: 1, patience: 20 });
    const swarms = Array.from({ length: n.swarms }, (_, index) => world.another(server, options(index)));
    for (const swarm of swarms) await swarm.connect(Math.floor(n.clients / n.swarms));
    const rate = n.rate / n.swarms;
    const quiet = await together(swarms, { messages: (rate * n.seconds) / 4, rate, direct: 1 });
    const heard = together(swarms, { messages: rate * n.seconds, rate, direct: 1 });
    await new Promise((resolve) => setTimeout(resolve, (1000 * n.seconds) / 4));
    process.kill(victim(), 'SIGKILL');
    const all = await heard;
    for (const swarm of swarms) await swarm.stop();
    await server.stop();
    return { quiet, all };
}

const total = (all, of) => all.reduce((sum, one) => sum + of(one), 0);
const most = (all, of) => Math.max(...all.map(of));

async function storm(world, n) {
    await world.only();
    const server = await world.daemon(2, { connectionStateRecovery: true });
    const { quiet, all } = await killed(world, server, n, () => server.mayDie());
    const cells = [];
    const peer = await world.peer('node2', world.launch('node2'));
    if (peer) {
        const { all: node } = await killed(world, peer, { ...n, clients: n.fewer }, () => peer.workers()[0]);
        cells.push(['Node x2, of them recovered', total(node, (one) => one.recovered), ''],
            ['its clients back after, p99', most(node, (one) => one.missing.p99) / 1e6, 's'],
            ['lost, doubled or out of order', total(node, (one) => one.wanted - one.heard + one.wrong), '']);
    }
    const back = total(all, (one) => one.recovered);
    return [{
        what: `a worker of two with half of ${n.clients} clients is killed, ${n.rate} messages/s, each to one user: from the kill to having all that was missed, p99`,
        goal: 5, unit: 's', ...spread([most(all, (one) => one.missing.p99) / 1e6]),
        cells: [['recovered', back, ''], ['most', most(all, (one) => one.missing.max) / 1e6, 's'], ...cells],
    }, {
        what: 'the same: clients of the other worker, latency p99',
        goal: 100, unit: 'ms', ...spread([most(all, (one) => one.latency.p99) / 1000]),
        cells: [['with nobody killed', most(quiet, (one) => one.latency.p99) / 1000, 'ms']],
    }, {
        what: 'the same: not recovered, lost, doubled or out of order',
        goal: 0, ...spread([total(all, (one) => one.wanted - one.heard + one.wrong + one.forgotten + one.away + one.gone)]),
        cells: [],
    }];
}

/* Bytes of all processes for a client that is idle, and when all have come back, or again: beside
 * a tenth of them, for what a server takes once is none of it. */
async function footprint(world, id, clients) {
    const swarm = await world.fresh(id, { returns: 1 });
    const memory = async () => 1024 * (await swarm.tell('memory')).all_kb;
    const some = clients / 10;
    await swarm.tell('connect', { clients: some });
    const before = await memory();
    await swarm.tell('connect', { clients: clients - some });
    const idle = await memory();
    await swarm.tell('publish', { messages: 3, rate: 1, cut: 0.5, away: 0.2, spread: 1 });
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS)); /* what the storm took is given back */
    const back = await memory();
    await swarm.stop();
    await swarm.server.stop();
    return [idle, back].map((bytes) => (bytes - before) / (clients - some));
}

/* What the option costs those who lose no connection. */
async function recovery(world, n) {
    const results = [];
    await world.only();
    const off = [], on = [];
    for (let i = 0; i < n.rounds; i += 2) {
        off.push(await footprint(world, 'axr', n.idle));
        on.push(await footprint(world, 'recovery', n.idle));
    }
    const more = (which) => spread(on.map((one, index) => one[which] - off[index][which]));
    const bytes = (which) => [['without', median(off.map((one) => one[which])), 'bytes'], ['with it', median(on.map((one) => one[which])), 'bytes']];
    results.push({
        what: `idle client, ${n.idle} of them: memory of all processes with connection state recovery, beyond that without`,
        goal: 32, unit: 'bytes', ...more(0), cells: bytes(0),
    }, {
        what: 'the same of clients that have come back, beyond those that have connected again without',
        goal: 52, unit: 'bytes', ...more(1), cells: bytes(1),
    });
    for (const [what, publish, messages] of [['one message at a time', { rate: 5 }, n.one], ['window 64', { window: 64 }, n.many]]) {
        const swarms = await swarmsOf(world, ['axr', 'recovery']);
        for (const swarm of Object.values(swarms)) {
            await swarm.have(n.clients);
            await swarm.publish({ ...publish, messages: 2 });
        }
        const values = await turns(['axr', 'recovery'], { rounds: n.rounds }, async (id) => each(await swarms[id].publish({ ...publish, messages })));
        results.push({
            what: `${what}, ${n.clients} clients: CPU per delivery with connection state recovery, to that without`,
            goal: 1.05, ...ratios(values.recovery, values.axr), cells: cells(values, 'us'),
        });
    }
    return results;
}

/* --- correctness, tables --- */

async function verify(world, n) {
    await world.only();
    const figures = [];
    let lost = 0;
    for (const workers of [1, 2, 4, 8]) {
        const server = await world.daemon(workers);
        const swarm = world.another(server);
        await swarm.connect(n.clients);
        const answer = await swarm.tell('publish', { messages: n.messages, window: 64 });
        lost += answer.wanted - answer.heard + answer.wrong + answer.gone;
        figures.push([`${workers} worker${workers > 1 ? 's' : ''}`, each(answer), 'us per delivery']);
        await swarm.stop();
        await server.stop();
    }
    return [{
        what: `${n.messages} messages to ${n.clients} clients, window 64, 1 2 4 8 workers: lost, doubled or out of order`,
        goal: 0, ...spread([lost]), cells: figures,
    }];
}

const JOINS = {
    join: 'join', leave: 'leave', route_join: 'join at the master', route_leave: 'leave there',
    further_join: 'further room: join at the master', further_leave: 'leave there',
};
const OTHERS = {
    walk: 'broadcast, a room or member', route_find: 'to find a room at the master', further_find: 'a further one',
    user_find: 'a user', user_among: 'among as many further rooms', expect: 'a join on its way',
};

async function rooms(world, n) {
    const lines = await world.rooms(n);
    const last = lines[lines.length - 1];
    const worst = Math.max(...Object.keys(JOINS).map((op) => last[op] / lines[0][op]));
    return [{
        what: `${last.members} members in ${n.rooms.join(', ')} rooms: CPU for a join or leave, at most rooms to at least ` +
            '(the caches of the CPU cost up to 10)',
        goal: 10, ...spread([worst]),
        cells: [
            ...Object.entries({ ...JOINS, ...OTHERS }).map(([op, name]) =>
                [name, lines.map((one) => one[op].toFixed(0)).join(' '), 'ns']),
            ['a worker ends', lines.map((one) => (one.down / 1e6).toFixed(0)).join(' '), 'ms'],
            ['further room, a member', lines.map((one) => one.further_bytes.toFixed(0)).join(' '), 'bytes'],
        ],
    }];
}

const ONE = { what: 'one message at a time, 5/s', goal: 1.05, publish: { rate: 5 } };
const MANY = { what: 'window 64', goal: 0.07, publish: { window: 64 } };
const FOUR = { what: 'window 4', goal: 0.3, publish: { window: 4 } };

/* In the order in which they are run.  long: --quick leaves it out, unless it is named. */
const ROWS = {
    connect: {
        run: connect,
        profile: { ids: ['axr'] },
        full: { clients: 10000, fewer: 2000, rounds: 5, others: 2 },
        quick: { clients: 2000, fewer: 300, rounds: 3, others: 1 },
    },
    one: {
        run: (world, n) => fanOut(world, n, ONE),
        profile: { ids: ['axr'], publish: ONE.publish },
        full: { clients: 10000, messages: 25, fewer: 15, rounds: 7, others: 2 },
        quick: { clients: 2000, messages: 5, fewer: 3, rounds: 3, others: 1 },
    },
    window64: {
        run: (world, n) => fanOut(world, n, MANY),
        profile: { ids: ['axr'], publish: MANY.publish },
        full: { clients: 2000, messages: 300, fewer: 100, rounds: 7, others: 2 },
        quick: { clients: 2000, messages: 128, fewer: 20, rounds: 3, others: 1 },
    },
    window4: {
        run: (world, n) => fanOut(world, n, FOUR),
        full: { clients: 2000, messages: 300, fewer: 100, rounds: 7, others: 2 },
        quick: { clients: 2000, messages: 60, fewer: 10, rounds: 3, others: 1 },
    },
    direct: {
        run: direct,
        full: { clients: 10000, messages: 20000, rounds: 7 },
        quick: { clients: 2000, messages: 3000, rounds: 3 },
    },
    idle: {
        run: idle,
        full: { clients: 10000, fewer: 10000, cycles: 10 },
        quick: { clients: 5000, fewer: 500, cycles: 3 },
    },
    crowd: {
        run: crowd,
        full: { clients: 200000, workers: 16, swarms: 11, messages: 10 },
        quick: { clients: 20000, workers: 16, swarms: 2, messages: 10 },
    },
    balance: { run: balance, full: { clients: 16000 }, quick: { clients: 4000 } },
    newcomer: {
        run: newcomer,
        full: { clients: 15000, seconds: 10 },
        quick: { clients: 5000, seconds: 2 },
    },
    stream: {
        run: stream,
        full: { clients: 2000, rate: 50, seconds: 30, rounds: 3 },
        quick: { clients: 2000, rate: 50, seconds: 2, rounds: 2 },
    },
    torrent: {
        run: torrent,
        full: { clients: 2000, rate: 400, seconds: 10, fewer: 3, rounds: 3 },
        quick: { clients: 2000, rate: 400, seconds: 2, fewer: 1, rounds: 1 },
    },
    recovery: {
        run: recovery,
        long: true,
        full: { clients: 2000, one: 20, many: 300, rounds: 5, idle: 19000 },
        quick: { clients: 2000, one: 10, many: 64, rounds: 3, idle: 8000 },
    },
    comeback: {
        run: comeback,
        long: true,
        full: { clients: 10000, rate: 5, direct: 500, seconds: 12, rounds: 3 },
        quick: { clients: 2000, rate: 5, direct: 500, seconds: 8, rounds: 1 },
    },
    storm: {
        run: storm,
        long: true,
        full: { clients: 39000, fewer: 10000, swarms: 3, rate: 1500, seconds: 16 },
        quick: { clients: 4000, fewer: 1000, swarms: 2, rate: 600, seconds: 12 },
    },
    verify: {
        run: verify,
        full: { clients: 2000, messages: 1000 },
        quick: { clients: 1000, messages: 300 },
    },
    ...TLS_ROWS,
    rooms: {
        run: rooms,
        full: { members: 1 << 20, rounds: 3, rooms: [10, 1000, 100000, 1000000] },
        quick: { members: 1 << 17, rounds: 1, rooms: [10, 1000, 100000] },
    },
};

module.exports = { ROWS };
