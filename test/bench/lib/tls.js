'use strict';
/* Rows over TLS, beside the same without, Node's https and nginx in front of the daemon: nginx's
 * processes and the daemon's are counted together.  The certificates are of ECDSA P-256 where
 * nothing is said; clients offer TLS 1.3, AES-128 first, and X25519. */
const { cells, deliveries, connections, growth, ratios } = require('./measure');
const { spread } = require('./stats');

const NAMES = {
    axrtls: 'axr-notifyd', axrrsa: 'axr-notifyd', axr: 'without TLS', nodetls: 'Node https', nodersa: 'Node https',
    nginx: 'nginx + daemon', nginxrsa: 'nginx + daemon',
};
const IDS = ['axrtls', 'axr', 'nodetls', 'nginx'];
const RSA_IDS = ['axrrsa', 'axr', 'nodersa', 'nginxrsa'];

async function fanOut(world, n, { what, goal, publish }) {
    const values = await deliveries(world, n, IDS, publish);
    return [{
        what: `TLS, ${what}, ${n.clients} clients: CPU per delivery, to that without TLS`,
        goal, ...ratios(values.axrtls, values.axr), cells: cells(values, 'us', NAMES),
        bars: { title: `TLS, CPU per delivery: ${what}`, unit: 'us' },
    }];
}

/* Beside nginx, or where there is none, Node. */
async function handshakes(world, n, { what, ids = IDS, resume = 0 }) {
    const values = await connections(world, n, ids, { resume });
    const [own, , node, nginx] = ids;
    const [beside, name] = values[nginx] ? [values[nginx], 'nginx\'s and the daemon\'s'] : [values[node], 'Node\'s'];
    return [{
        what: `TLS, ${what} and token, ${n.clients} clients: CPU per connect, to ${name}`,
        goal: 1, ...ratios(values[own], beside), cells: cells(values, 'us', NAMES),
        bars: { title: `TLS, CPU per connect: ${what}`, unit: 'us' },
    }];
}

async function idle(world, n) {
    await world.only();
    const others = [];
    for (const id of ['axr', 'nodetls', 'nginx']) others.push(...(await growth(world, id, n.fewer, NAMES)));
    const swarm = await world.fresh('axrtls');
    const memory = async () => (await swarm.tell('memory')).children_kb;
    const start = await memory();
    await swarm.connect(n.clients);
    const per = ((await memory()) - start) / n.clients;
    await swarm.stop();
    await swarm.server.stop();
    return [{
        what: `TLS, idle client, ${n.clients} of them, authenticated and in two rooms: PSS of the worker`,
        goal: 15, unit: 'KB', ...spread([per]), cells: [[NAMES.axrtls, per, 'KB'], ...others],
        bars: { title: 'TLS, memory per idle client', unit: 'KB' },
    }];
}

const ONE = { what: 'one message at a time, 3/s', goal: 1.5, publish: { rate: 3 } };
const MANY = { what: 'window 64', goal: 4, publish: { window: 64 } };

/* As rows.js has it. */
const TLS_ROWS = {
    'tls-connect': {
        run: (world, n) => handshakes(world, n, { what: 'full handshake' }),
        long: true,
        profile: { ids: ['axrtls', 'axr'] },
        full: { clients: 5000, fewer: 2000, rounds: 5, others: 2 },
        quick: { clients: 2000, fewer: 500, rounds: 3, others: 1 },
    },
    'tls-rsa': {
        run: (world, n) => handshakes(world, n, { what: 'full handshake, RSA 2048', ids: RSA_IDS }),
        long: true,
        profile: { ids: ['axrrsa', 'axr'] },
        full: { clients: 5000, fewer: 2000, rounds: 5, others: 2 },
        quick: { clients: 1000, fewer: 500, rounds: 3, others: 1 },
    },
    'tls-resumed': {
        run: (world, n) => handshakes(world, n, { what: 'resumed handshake', resume: 1 }),
        long: true,
        profile: { ids: ['axrtls', 'axr'], connect: { resume: 1 } },
        full: { clients: 5000, fewer: 2000, rounds: 5, others: 2 },
        quick: { clients: 2000, fewer: 500, rounds: 3, others: 1 },
    },
    'tls-one': {
        run: (world, n) => fanOut(world, n, ONE),
        long: true,
        profile: { ids: ['axrtls', 'axr'], publish: ONE.publish },
        full: { clients: 5000, messages: 25, fewer: 10, rounds: 7, others: 2 },
        quick: { clients: 2000, messages: 6, fewer: 3, rounds: 3, others: 1 },
    },
    'tls-window64': {
        run: (world, n) => fanOut(world, n, MANY),
        long: true,
        profile: { ids: ['axrtls', 'axr'], publish: MANY.publish },
        full: { clients: 2000, messages: 300, fewer: 100, rounds: 7, others: 2 },
        quick: { clients: 2000, messages: 128, fewer: 20, rounds: 3, others: 1 },
    },
    'tls-idle': {
        run: idle,
        long: true,
        full: { clients: 10000, fewer: 5000 },
        quick: { clients: 10000, fewer: 1000 },
    },
};

module.exports = { TLS_ROWS };
